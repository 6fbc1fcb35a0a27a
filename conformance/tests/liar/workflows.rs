//! `enc workflow … --remote` through a proxy that changes one byte: exactly the check that the byte belongs to fails.

use conformance::encd::{Encd, binary};
use conformance::liar::{Exchange, Liar};
use conformance::people::json;
use protocol::Json;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// In which check, of which request (the first in that check whose line and body hold all of these), after what in the answer the byte
/// is changed.
struct Row {
    check: usize,
    request: &'static [&'static str],
    after: &'static str,
}

const fn row(check: usize, request: &'static [&'static str], after: &'static str) -> Row {
    Row { check, request, after }
}

const PERSONAL: &[Row] = &[
    row(1, &["GET / "], "\"sequencer\":\""),
    row(1, &["GET / "], "\"heads_vkey\":\""),
    row(2, &["POST / "], "\"error\":\""),
    row(3, &["POST / ", "\"Manifest\""], "\"seq_sig\":\""),
    row(4, &["GET / "], "\"sequencer\":\""),
    row(5, &["/info/manifest"], "\"operator\":\""),
    row(5, &["/info/manifest"], "\"sequencer\":\""),
    row(6, &["\"Query\""], "\"text\":\""),
    row(7, &["\"after\""], "\"prev\":\""),
    row(8, &["\"Query\""], "\"name\":\""),
    row(9, &["/state "], "\"v\":\""),
    row(10, &["\"Query\""], "\"text\":\""),
    row(11, &["POST / "], "\"error\":\""),
    row(12, &["POST / "], "\"error\":\""),
    row(13, &["\"said once\""], "\"seq_sig\":\""),
    row(14, &["\"Pull\""], "\"sig\":\""),
    row(14, &["/push "], "\"ok\":"),
    row(15, &["/inclusion "], "\"siblings\":[\""),
    row(15, &["/inclusion "], "\"audit_path\":[\""),
    row(16, &["/sth "], "\"signature\":\""),
    row(16, &["/checkpoint "], "enc/"),
    row(16, &["/consistency"], "\"path\":[\""),
    row(16, &["/info/enclave"], "\"tree_size\":"),
];

const GROUP: &[Row] = &[
    row(1, &["\"Manifest\""], "\"seq_sig\":\""),
    row(2, &["/state "], "\"v\":\""),
    row(3, &["\"Query\""], "\"error\":\""),
    row(3, &["\"message\""], "\"error\":\""),
    row(4, &["/state "], "\"v\":\""),
    row(4, &["\"PENDING\""], "\"error\":\""),
    row(5, &["\"PENDING\""], "\"seq_sig\":\""),
    row(6, &["/state "], "\"v\":\""),
    row(7, &["\"message\""], "\"hash\":\""),
    row(8, &["\"Query\""], "\"text\":\""),
    row(9, &["\"Query\""], "\"trait\":\""),
    row(9, &["\"may I?\""], "\"error\":\""),
    row(10, &["\"thank you\""], "\"id\":\""),
    row(11, &["\"BLOCKED\""], "\"error\":\""),
    row(12, &["\"Query\""], "\"error\":\""),
    row(13, &["\"Query\""], "\"to\":\""),
    row(14, &["/state-batch "], "\"v\":\""),
    row(14, &["/inclusion "], "\"events_root\":\""),
    row(14, &["/sth "], "\"root_hash\":\""),
];

/// A verdict of a workflow's line.
#[derive(Debug)]
struct Verdict {
    check: usize,
    ok: bool,
}

/// Exit code, the checks' verdicts, everything that was printed.
fn run(workflow: &str, url: &str) -> (Option<i32>, Vec<Verdict>, String) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(binary("enc"))
        .args(["workflow", workflow, "--json", "--remote", url])
        .env("ENC_HOME", home.path())
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs here");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let verdicts = text.lines().map(json).filter_map(|line| {
        let check = line.member("check").and_then(Json::as_uint)?;
        let ok = line.member("ok") == Some(&Json::Bool(true));
        Some(Verdict { check: usize::try_from(check).expect("a small number"), ok })
    });
    let verdicts = verdicts.collect();
    (output.status.code(), verdicts, text + &String::from_utf8_lossy(&output.stderr))
}

/// The check during which a request was sent.
fn check_of(exchange: &Exchange) -> usize {
    let agent = exchange.header("user-agent");
    let number = agent.rsplit_once("check ").and_then(|(_, rest)| rest.trim_end_matches(')').parse().ok());
    number.unwrap_or_else(|| panic!("every request of a workflow names its check: {agent:?}"))
}

/// Another digit for a digit, another letter for a letter, so that the text keeps its shape as far as it can.
fn another(byte: u8) -> u8 {
    match byte {
        b'9' => b'8',
        b'f' => b'e',
        b'z' | b'Z' => byte - 1,
        other => other + 1,
    }
}

/// The answer with the first letter or digit behind a place changed.
fn alter(body: &[u8], after: &str) -> Option<Vec<u8>> {
    let start = body.windows(after.len()).position(|window| window == after.as_bytes())? + after.len();
    let place = start + body[start..].iter().position(u8::is_ascii_alphanumeric)?;
    let mut altered = body.to_vec();
    altered[place] = another(altered[place]);
    Some(altered)
}

fn lie(workflow: &str, node: &Encd, row: &'static Row) -> Result<(), String> {
    let lies = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&lies);
    let liar = Liar::before(
        &node.address,
        Box::new(move |exchange| {
            let asked = format!(
                "{} {} {}",
                exchange.ask.method,
                exchange.ask.target,
                String::from_utf8_lossy(&exchange.ask.body)
            );
            let meant = check_of(exchange) == row.check && row.request.iter().all(|part| asked.contains(part));
            if !meant || told.load(Ordering::SeqCst) > 0 {
                return None;
            }
            let altered = alter(&exchange.answer.body, row.after)?;
            told.fetch_add(1, Ordering::SeqCst);
            Some(altered)
        }),
    );
    let (code, verdicts, text) = run(workflow, &liar.url);
    let failed: Vec<usize> = verdicts.iter().filter(|verdict| !verdict.ok).map(|verdict| verdict.check).collect();
    let what = format!("{workflow}, check {}, {:?}, after {:?}", row.check, row.request, row.after);
    if lies.load(Ordering::SeqCst) != 1 {
        return Err(format!("{what}: there is no such answer"));
    }
    if failed != [row.check] || code != Some(1) {
        return Err(format!("{what}: exit code {code:?}, failed {failed:?}\n{text}"));
    }
    Ok(())
}

fn holds_and_fails(workflow: &'static str, count: usize, rows: &'static [Row]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = Encd::start(folder.path(), "[outbound]\nallow_loopback = true\n");
    let (code, verdicts, text) = run(workflow, &format!("http://{}", node.address));
    assert_eq!((code, verdicts.len()), (Some(0), count), "{text}");
    assert!(verdicts.iter().all(|verdict| verdict.ok), "{text}");
    let checks: BTreeSet<usize> = verdicts.iter().map(|verdict| verdict.check).collect();
    let lied_to: BTreeSet<usize> = rows.iter().map(|row| row.check).collect();
    assert_eq!(checks, lied_to, "a check that nobody ever lied to shows nothing");
    let faults: Vec<String> = std::thread::scope(|scope| {
        let halves: Vec<_> = [0, 1]
            .map(|half| {
                let (node, rows) = (&node, rows.iter().skip(half).step_by(2));
                scope.spawn(move || rows.filter_map(|row| lie(workflow, node, row).err()).collect::<Vec<_>>())
            })
            .into();
        halves.into_iter().flat_map(|half| half.join().expect("no lie panics")).collect()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn personal() {
    holds_and_fails("personal", 16, PERSONAL);
}

#[test]
fn group() {
    holds_and_fails("group", 14, GROUP);
}
