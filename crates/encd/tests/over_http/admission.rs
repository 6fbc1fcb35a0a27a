//! Admission on a running node: what is judged is the resolved action, by whatever route it comes, and each refusal is the answer that
//! its code has.

use crate::node::{Running, config, get, key, manifest, note, post, text};
use encd::config::Config;
use encd::hooks::creation::CreatePolicy;
use protocol::{Json, VerifiedCommit, json};
use std::net::SocketAddr;
use tungstenite::{Message, connect};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const NDJSON: &[(&str, &str)] = &[("content-type", "application/x-ndjson")];

/// On every interface.
fn public() -> Config {
    let mut config = config();
    config.listen.public = vec![SocketAddr::from(([0, 0, 0, 0], 0))];
    config
}

/// Loopback is limited like everybody: so many requests, then nothing for the time of a test.
fn limited(burst: u64) -> Config {
    let mut config = config();
    config.rates.loopback = true;
    config.rates.address_burst = burst;
    config.rates.address_per_second = 1;
    config.rates.key_per_second = 0;
    config
}

fn made(node: &Running, nonce: &str) -> VerifiedCommit {
    manifest(&key(0x33), &node.sequencer(), nonce, 5_000)
}

fn code(answer: &Json) -> String {
    answer.member("error").and_then(Json::as_text).unwrap_or("").to_owned()
}

/// A Manifest by every route that takes one; the code of each answer.
fn by_every_route(node: &Running, nonce: &str) -> Vec<(String, String)> {
    let body = |route: &str| made(node, &format!("{nonce}{route}")).commit().to_json().to_jcs();
    let parse = |text: &[u8]| json::parse(text, json::MAX_DEPTH).expect("an answer is JSON");
    let mut codes = Vec::new();
    for (spelling, prefix) in [("bare", ""), ("long", "/enclaves/"), ("short", "/enclave/"), ("id", "/")] {
        let commit = made(node, &format!("{nonce}{spelling}"));
        let path =
            if prefix.is_empty() { "/".to_owned() } else { format!("{prefix}{}", commit.commit().enclave.hex()) };
        let answer = post(&node.url(&path), JSON, commit.commit().to_json().to_jcs().as_bytes());
        codes.push((format!("{spelling} {}", answer.status), code(&answer.json())));
    }
    let line = post(&node.url("/commits"), NDJSON, body("line").as_bytes());
    codes.push(("line".into(), code(&parse(line.text().trim_end().as_bytes()))));
    let (mut socket, _) = connect(node.url("/").replacen("http", "ws", 1)).expect("the node takes the upgrade");
    socket.send(Message::text(body("frame"))).expect("sent");
    let frame = socket.read().expect("a frame comes").into_text().expect("a text frame");
    codes.push(("frame".into(), code(&parse(frame.as_bytes()))));
    codes
}

#[test]
fn making_enclaves_is_closed_to_the_network_by_whatever_route() {
    let node = Running::start(public());
    for (route, code) in by_every_route(&node, "a") {
        assert!(route.ends_with("401") || route.ends_with("404") || !route.contains(' '), "{route}: {code}");
        let expected = if route.ends_with("404") { "invalid_route" } else { "unauthorized" };
        assert_eq!(code, expected, "{route}");
    }
    let commit = made(&node, "b").commit().to_json().to_jcs();
    assert_eq!(post(&node.url("/"), JSON, commit.as_bytes()).status, 401);
    assert_eq!(get(&node.url("/")).status, 200, "what is public stays so");
}

#[test]
fn making_enclaves_is_open_on_loopback_by_whatever_route() {
    let node = Running::start(config());
    for (route, code) in by_every_route(&node, "a") {
        let expected = if route.ends_with("404") { "invalid_route" } else { "" };
        assert_eq!(code, expected, "{route}");
    }
}

#[test]
fn the_admin_token_opens_it() {
    let path = std::env::temp_dir().join(format!("encd-ops-{}-over-http", std::process::id()));
    std::fs::write(&path, "the-operator-himself").expect("the temporary folder can be written to");
    let mut config = public();
    config.admin.token_file = Some(path.clone());
    let node = Running::start(config);
    for (token, status) in [("Bearer the-operator-himsel", 401), ("Bearer the-operator-himself", 200)] {
        let headers = [JSON[0], ("authorization", token)];
        let body = made(&node, "a").commit().to_json().to_jcs();
        assert_eq!(post(&node.url("/"), &headers, body.as_bytes()).status, status, "{token}");
    }
    std::fs::remove_file(path).expect("it was written above");
}

#[test]
fn open_making_has_a_quota() {
    let mut config = public();
    config.create.policy = CreatePolicy::Open;
    config.create.per_creator_per_hour = 2;
    let node = Running::start(config);
    for (nonce, status) in [("a", 200), ("b", 200), ("c", 400)] {
        let answer = node.commit(&made(&node, nonce));
        assert_eq!(answer.status, status, "{}", answer.text());
        if status == 400 {
            assert_eq!(answer.code(), "limit_exceeded");
            assert_eq!(answer.json().member("limit"), Some(&Json::from(2)));
        }
    }
}

#[test]
fn who_sends_too_much_is_told_when_to_come_again() {
    let node = Running::start(limited(3));
    let answers: Vec<_> = (0..6).map(|_| node.get("/")).collect();
    assert_eq!(answers[0].status, 200);
    let refused = answers.iter().find(|answer| answer.status == 429).expect("six at once are more than three");
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("rate_limited", Some("1")));
    assert_eq!(node.get("/healthz").status, 200, "who watches the node is not limited");
}

#[test]
fn what_cannot_be_read_counts_too() {
    let node = Running::start(limited(3));
    let statuses: Vec<u16> = (0..6).map(|_| post(&node.url("/"), JSON, b"{").status).collect();
    assert_eq!(statuses[0], 400);
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[test]
fn every_line_and_frame_counts() {
    let node = Running::start(limited(50));
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    let lines: Vec<String> =
        (0..200).map(|n| note(&owner, enclave, &n.to_string()).commit().to_json().to_jcs()).collect();
    let answer = post(&node.url("/commits"), NDJSON, lines.join("\n").as_bytes()).text();
    assert!(answer.lines().take(10).all(|line| line.contains("\"Receipt\"")), "{answer}");
    assert!(answer.lines().any(|line| line.contains("\"rate_limited\"")), "{answer}");
}

#[test]
fn an_enclave_that_grows_too_fast_waits() {
    let mut config = config();
    // A Manifest has more bytes than ten seconds' worth.
    config.quotas.enclave_bytes_per_second = 20;
    let node = Running::start(config);
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    let answer = node.commit(&note(&owner, enclave, "x"));
    assert_eq!((answer.status, answer.code().as_str()), (400, "limit_exceeded"));
    assert_eq!(answer.json().member("limit"), Some(&Json::from(20)));
    node.create(&owner, "b");
}

#[test]
fn a_full_disk_refuses_what_grows_and_nothing_else() {
    let mut config = config();
    config.disk.create_free_mib = 1 << 40;
    let node = Running::start(config.clone());
    let refused = node.commit(&made(&node, "a"));
    assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    let unknown = note(&key(0x33), made(&node, "a").commit().enclave, "x");
    assert_eq!(node.commit(&unknown).code(), "enclave_not_found", "commits go on");
    drop(node);

    config.disk.commit_free_mib = 1 << 40;
    let node = Running::start(config);
    assert_eq!(node.commit(&unknown).code(), "overloaded");
    let query = Json::object([("type", text("Query")), ("enclave", text(&unknown.commit().enclave.hex()))]);
    assert_eq!(node.post("/", &query).code(), "enclave_not_found", "reads go on");
}

#[test]
fn what_was_counted_is_shown_to_the_operator_without_names() {
    let node = Running::start(config());
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    for n in 0..3 {
        assert_eq!(node.commit(&note(&owner, enclave, &n.to_string())).status, 200);
    }
    assert_eq!(node.commit(&note(&key(0x44), enclave, "x")).code(), "unauthorized");
    let shown = get(&format!("http://{}/metrics", node.server().admin()));
    assert_eq!(shown.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let shown = shown.text();
    for row in ["encd_commits_total 4", "encd_refusals_total{code=\"unauthorized\"} 1", "encd_commit_seconds_count 5"] {
        assert!(shown.lines().any(|line| line == row), "{row} is not in\n{shown}");
    }
    let free = shown.lines().find_map(|line| line.strip_prefix("encd_disk_free_bytes ")).expect("a gauge");
    assert_ne!(free, "0");
    assert!(!shown.contains(&enclave.hex()) && !shown.contains(&owner.public().hex()) && !shown.contains("127.0.0.1"));
}
