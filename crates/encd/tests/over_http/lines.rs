//! `POST /commits`: a line in, a line out, in order, whatever stands in the lines.

use crate::node::{Running, config, key, manifest, note, now, post, text};
use protocol::commit::Draft;
use protocol::{Json, VerifiedCommit, json};

const NDJSON: &[(&str, &str)] = &[("content-type", "application/x-ndjson")];

fn line(commit: &VerifiedCommit) -> String {
    commit.commit().to_json().to_jcs()
}

fn send(node: &Running, lines: &[String]) -> Vec<Json> {
    let answer = post(&node.url("/commits"), NDJSON, lines.join("\n").as_bytes());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert!(answer.body.is_empty() || answer.body.ends_with(b"\n"));
    let text = answer.text();
    text.lines().map(|line| json::parse(line.as_bytes(), json::MAX_DEPTH).expect("each line is JSON")).collect()
}

fn code(answer: &Json) -> &str {
    answer.member("error").and_then(Json::as_text).unwrap_or("")
}

#[test]
fn lines_are_sequenced_and_answered_in_their_order() {
    let node = Running::start(config());
    let owner = key(0x33);
    let manifests: Vec<_> = ["a", "b"].map(|nonce| manifest(&owner, &node.sequencer(), nonce, 5_000)).into();
    let enclaves: Vec<_> = manifests.iter().map(|manifest| manifest.commit().enclave).collect();
    let mut commits = manifests.clone();
    commits.extend((0..400).map(|n| note(&owner, enclaves[n % 2], &n.to_string())));
    let answers = send(&node, &commits.iter().map(line).collect::<Vec<_>>());
    assert_eq!(answers.len(), commits.len());
    for (place, (commit, answer)) in commits.iter().zip(&answers).enumerate() {
        assert_eq!(code(answer), "", "line {place}");
        assert_eq!(answer.member("hash"), Some(&text(&commit.commit().hash.hex())), "line {place}");
        assert_eq!(answer.member("seq").and_then(Json::as_uint), Some(place as u64 / 2), "line {place}");
    }
    let (transactions, requests, largest) = node.server().host().metrics.batches();
    assert!(requests >= 402 && transactions < requests && largest > 1, "{transactions} {requests} {largest}");
}

#[test]
fn each_line_is_judged_alone() {
    let node = Running::start(config());
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    let good = note(&owner, enclave, "x");
    let stranger = note(&key(0x44), enclave, "x");
    let lines = [
        line(&good),
        String::new(),
        "{".into(),
        "  \r".into(),
        line(&good),
        line(&stranger),
        format!("{{\"hash\":\"{}\"}}", good.commit().hash.hex()),
        format!("\"{}\"", "x".repeat(2 << 20)),
        line(&note(&owner, enclave, "last")),
    ];
    let answers = send(&node, &lines);
    let codes: Vec<&str> = answers.iter().map(code).collect();
    assert_eq!(codes, ["", "invalid_json", "duplicate", "unauthorized", "invalid_structure", "too_large", ""]);
    assert_eq!(answers[4].member("hash"), Some(&text(&good.commit().hash.hex())));
    assert_eq!(answers[5].member("hash"), None);
}

#[test]
fn a_hundred_failures_end_it() {
    let node = Running::start(config());
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    let mut lines = vec!["{".to_owned(); 100];
    lines.insert(50, line(&note(&owner, enclave, "between")));
    lines.extend(vec![line(&note(&owner, enclave, "after")); 200]);
    let answers = send(&node, &lines);
    assert_eq!(answers.len(), 102, "a hundred failures, what was good between them, and the last line");
    assert_eq!(code(&answers[50]), "");
    assert_eq!(code(&answers[101]), "limit_exceeded");
    assert_eq!(answers[101].member("hash"), None);
    let sequenced = node.get(&format!("/{}/sth", enclave.hex()));
    assert_eq!(sequenced.status, 200);
    let after = node.commit(&note(&owner, enclave, "now"));
    assert_eq!(after.json().member("seq").and_then(Json::as_uint), Some(2), "nothing after the hundredth was taken");
}

#[test]
fn failures_that_only_the_writer_sees_count_too() {
    let node = Running::start(config());
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    let late = |n: usize| Draft::new(enclave, "note", &text(&n.to_string()), now() - 120_000).sign(&owner);
    let lines: Vec<String> = (0..5_000).map(|n| line(&late(n))).collect();
    let answers = send(&node, &lines);
    assert!((101..5_000).contains(&answers.len()), "{} answers", answers.len());
    assert!(answers[..100].iter().all(|answer| code(answer) == "expired"));
    assert_eq!(answers.last().map(code), Some("limit_exceeded"));
}

#[test]
fn a_commit_that_the_node_fails_at_takes_no_other_with_it() {
    let mut one_shard = config();
    one_shard.store.shards = 1;
    let node = Running::start(one_shard);
    let (owner, sequencer) = (key(0x33), key(0x66));
    let good = node.create(&owner, "a");
    let lost = manifest(&owner, &sequencer.public(), "b", 5_000);
    let keys = &node.server().host().keys;
    let provision =
        Json::object([("enclave_id", text(&lost.commit().enclave.hex())), ("sequencer_priv", text(&"66".repeat(32)))]);
    let taken = node.post(&format!("/{}/init-with-priv", lost.commit().enclave.hex()), &provision);
    assert_eq!(taken.status, 200, "{}", taken.text());
    assert_eq!(node.commit(&lost).status, 200);
    keys.withdraw(&lost.commit().enclave).expect("withdrawn");
    let commits: Vec<_> = (0..200)
        .map(|n| note(&owner, if n % 10 == 3 { lost.commit().enclave } else { good }, &n.to_string()))
        .collect();
    let answers = send(&node, &commits.iter().map(line).collect::<Vec<_>>());
    let mut next = 1;
    for (place, answer) in answers.iter().enumerate() {
        if place % 10 == 3 {
            assert_eq!(code(answer), "internal", "line {place}");
        } else {
            assert_eq!(answer.member("seq").and_then(Json::as_uint), Some(next), "line {place}");
            next += 1;
        }
    }
}

#[test]
fn limits_cut_it_off_with_their_code() {
    let mut small = config();
    small.limits.lines = 3;
    let node = Running::start(small);
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    let lines: Vec<String> = (0..5).map(|n| line(&note(&owner, enclave, &n.to_string()))).collect();
    for (sent, last) in [(3, ""), (4, "limit_exceeded"), (5, "limit_exceeded")] {
        let answers = send(&node, &lines[..sent]);
        assert_eq!(answers.len(), sent.min(4), "{sent}");
        assert_eq!(answers.last().map(code), Some(if sent == 3 { "" } else { last }), "{sent}");
    }
    let mut short = config();
    short.limits.lines_bytes = 1_000;
    let node = Running::start(short);
    let answers = send(&node, &vec!["{}".to_owned(); 50]);
    assert_eq!(answers.len(), 50);
    let answers = send(&node, &vec![format!("\"{}\"", "x".repeat(600)); 3]);
    assert_eq!(answers.last().map(code), Some("too_large"));
}
