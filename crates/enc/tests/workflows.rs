//! Both workflows against a real node, and against a proxy that changes one byte of one answer: exactly the check that the answer belongs
//! to must fail.

#[path = "../../client/tests/support/lying_proxy.rs"]
mod lying_proxy;
#[path = "../../client/tests/support/running.rs"]
mod running;

use lying_proxy::{LyingProxy, Passed};
use protocol::Json;
use protocol::json::{self, MAX_DEPTH};
use running::Running;
use std::process::Command;

/// Runs a workflow and gives each check's verdict.
fn run(workflow: &str, url: &str) -> (bool, Vec<bool>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_enc"))
        .args(["workflow", workflow, "--json", "--remote", url])
        .output()
        .expect("the program runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let rows: Vec<Json> =
        text.lines().map(|line| json::parse(line.as_bytes(), MAX_DEPTH).expect("one JSON text a line")).collect();
    let ok = |row: &Json| row.member("ok") == Some(&Json::Bool(true));
    let (sum, checks) = rows.split_last().expect("a last line with the sum");
    assert_eq!(ok(sum), output.status.success(), "the exit code says what the sum says");
    (ok(sum), checks.iter().map(ok).collect(), text)
}

/// Which check an answer belongs to, from 1, by what its request said.
fn check_of(passed: &Passed) -> usize {
    let number = passed.agent.rsplit_once("check ").and_then(|(_, rest)| rest.trim_end_matches(')').parse().ok());
    number.expect("every request of a workflow names its check")
}

#[test]
fn personal_holds() {
    let node = Running::start();
    let (ok, checks, text) = run("personal", &node.url);
    assert!(ok, "{text}");
    assert_eq!(checks.len(), 16);
    assert!(!text.contains("by Pull: "), "a node that may deliver to this machine delivers\n{text}");
}

#[test]
fn group_holds() {
    let node = Running::start();
    let (ok, checks, text) = run("group", &node.url);
    assert!(ok, "{text}");
    assert_eq!(checks.len(), 14);
}

#[test]
fn a_node_that_cannot_reach_this_machine_is_pulled_from() {
    let node = Running::with(|config| config.outbound.allow_loopback = false);
    let (ok, _, text) = run("personal", &node.url);
    assert!(ok, "{text}");
    assert!(text.contains("by Pull: "), "{text}");
}

#[test]
fn a_changed_byte_fails_exactly_its_own_check_of_personal() {
    lie_once_for_each_check("personal", 16);
}

#[test]
fn a_changed_byte_fails_exactly_its_own_check_of_group() {
    lie_once_for_each_check("group", 14);
}

fn lie_once_for_each_check(workflow: &str, checks: usize) {
    let node = Running::start();
    let honest = LyingProxy::start(&node.url, Box::new(|_, answer| Some(answer.body.clone())));
    let (ok, _, text) = run(workflow, &honest.url);
    assert!(ok, "{text}");
    let answers = honest.passed();
    // Every answer, for those who have the time; else one for each check, another one each day.
    let all = std::env::var_os("ENC_TEST_EVERY_ANSWER").is_some();
    let today = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let given = std::env::var("ENC_TEST_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed: usize = given.unwrap_or(today.as_secs() as usize / 86_400);
    for check in 1..=checks {
        let own: Vec<usize> = (0..answers.len()).filter(|number| check_of(&answers[*number]) == check).collect();
        assert!(!own.is_empty(), "check {check} of {workflow} asks the node nothing");
        let chosen = if all { own } else { vec![own[seed % own.len()]] };
        for number in chosen {
            lie_in(workflow, &node.url, (number, seed), check);
        }
    }
}

fn lie_in(workflow: &str, node: &str, (number, seed): (usize, usize), check: usize) {
    let proxy = LyingProxy::start(
        node,
        Box::new(move |at, answer| {
            let mut body = answer.body.clone();
            if at == number {
                change_one_byte(&mut body, seed + number);
            }
            Some(body)
        }),
    );
    let (_, verdicts, text) = run(workflow, &proxy.url);
    let failed: Vec<usize> = (1..).zip(&verdicts).filter(|(_, ok)| !**ok).map(|(check, _)| check).collect();
    let answer = &proxy.passed()[number];
    let changed = format!("answer {number}, {}, seed {seed}", answer.line);
    assert_eq!(failed, [check], "{changed}: {}\n{text}", String::from_utf8_lossy(&answer.body));
}

/// Another digit for a digit, another letter for a letter: the text stays JSON of the same shape. A clock's own digits are left alone:
/// what a clock says is nobody's to verify to the millisecond.
fn change_one_byte(body: &mut [u8], seed: usize) {
    let clock = body.windows(7).position(|window| window == b"\"time\":").map_or(0..0, |at| at..at + 24);
    let places: Vec<usize> =
        (0..body.len()).filter(|at| body[*at].is_ascii_alphanumeric() && !clock.contains(at)).collect();
    let place = places[seed.wrapping_mul(7919) % places.len()];
    body[place] = match body[place] {
        b'9' => b'8',
        b'f' => b'e',
        b'z' | b'Z' => body[place] - 1,
        other => other + 1,
    };
}
