//! A node, a writer, and logs of any size.

use conformance::encd::Encd;
use conformance::people::{json, key, now};
use conformance::wire::{Ask, Connection, ask};
use protocol::commit::Draft;
use protocol::json::{self as reader, MAX_DEPTH};
use protocol::schnorr::KeyPair;
use protocol::{Commit, EnclaveId, Json};

/// Lines of one request.
const LINES: u64 = 5_000;

/// Who writes, everywhere.
pub fn owner() -> KeyPair {
    key(7)
}

/// Makes an enclave that everybody reads, with bundles of so many events.
pub fn make_enclave(node: &Encd, bundle: u64, nonce: &str) -> EnclaveId {
    let owner = owner();
    let (sequencer, identity) = (node.sequencer, owner.public());
    let content = json(&format!(
        r#"{{"enc_v":2,"sequencer":"{sequencer}","bundle":{{"size":{bundle},"timeout":3600000}},"RBAC":{{
            "states":["MEMBER"],"traits":["owner(0)"],"readers":[{{"type":"Public","reads":"*"}}],
            "customs":[{{"event":"message","operator":"MEMBER","ops":["C"]}}],
            "init":[{{"identity":"{identity}","state":"MEMBER","traits":["owner"]}}]}}}}"#
    ));
    let tags = vec![vec!["nonce".to_owned(), nonce.to_owned()]];
    let commit = Draft::manifest(&owner, &content, tags, now() + 60_000).sign(&owner).into_commit();
    let answer = ask(&node.address, &Ask::post("/", commit.to_json().to_jcs()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    commit.enclave
}

/// Commits so many events.
pub fn fill(node: &Encd, enclave: EnclaveId, count: u64) {
    let owner = owner();
    let mut connection = Connection::open(&node.address).expect("the node listens");
    let mut left = count;
    while left > 0 {
        let lines = left.min(LINES);
        let exp = now() + 600_000;
        let commits = (0..lines).map(|line| {
            let content = Json::from(left - line);
            let commit: Commit = Draft::new(enclave, "message", &content, exp).sign(&owner).into_commit();
            commit.to_json().to_jcs()
        });
        let body: Vec<String> = commits.collect();
        let request = Ask::post_as("application/x-ndjson", "/commits", body.join("\n"));
        let answer = connection.ask(&request).expect("the lines are answered");
        let receipts = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let taken = receipts.map(|line| reader::parse(line, MAX_DEPTH).expect("an answer is JSON"));
        let taken = taken.inspect(|line| assert!(line.member("seq_sig").is_some(), "{}", line.to_jcs())).count();
        assert_eq!(taken as u64, lines);
        left -= lines;
    }
}

/// The URL prefix of an enclave's log.
pub fn log_url(node: &Encd, enclave: EnclaveId) -> String {
    format!("http://{}/{enclave}", node.address)
}

/// A member of the JSON that a path answers, which is a text.
pub fn text_of(node: &Encd, path: &str, member: &str) -> String {
    let answer = ask(&node.address, &Ask::get(path)).json();
    answer.member(member).and_then(Json::as_text).unwrap_or_else(|| panic!("{path} has no {member}")).to_owned()
}
