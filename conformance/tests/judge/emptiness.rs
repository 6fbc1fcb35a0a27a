//! Servers that understand nothing: no check may be green there, and none may say that it does not apply.

use crate::scene::{Scene, judged, lines, subject};
use conformance::impostor::Impostor;
use conformance::judge::{Outcome, Report, select};
use conformance::wire::Answer;

fn always(status: u16, body: &str) -> Answer {
    let headers = vec![
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("Access-Control-Allow-Origin".to_owned(), "*".to_owned()),
    ];
    Answer { status, headers, body: body.into() }
}

/// Judges a server that gives this answer to everything, but for `GET /` where it is to say what the node says.
fn all_of(answer: Answer, tells_itself: bool) -> Vec<Report> {
    let scene = Scene::new();
    let lie = move |exchange: &conformance::liar::Exchange| {
        let itself = exchange.ask.method == "GET" && exchange.ask.target == "/";
        (!itself || !tells_itself).then(|| answer.clone())
    };
    let impostor = Impostor::without_sockets(&scene.node.address, Box::new(lie));
    judged(&subject(&impostor.address), &select(&[]).expect("no name, no unknown name"))
}

fn not_red(reports: &[Report]) -> Vec<&Report> {
    reports.iter().filter(|report| !matches!(report.outcome, Outcome::Failed(_))).collect()
}

#[test]
fn nothing_is_green_where_everything_is_answered_200() {
    assert_eq!(lines(not_red(&all_of(always(200, "{}"), false))), "");
}

#[test]
fn nothing_is_green_where_everything_is_not_found() {
    assert_eq!(lines(not_red(&all_of(always(404, "{}"), false))), "");
}

/// A server that says who it is and nothing else: only what is about that is green.
#[test]
fn knowing_oneself_is_not_enough() {
    let refusal = r#"{"error":"invalid_route","message":"There is no such route."}"#;
    for answer in [always(200, "{}"), always(404, refusal)] {
        let reports = all_of(answer, true);
        let others: Vec<&Report> =
            not_red(&reports).into_iter().filter(|report| !report.check.name.starts_with("node.")).collect();
        assert_eq!(lines(others), "");
    }
}
