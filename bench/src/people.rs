//! Who writes in a measurement: keys, the enclave's rules, sessions.

use crate::request::{self, Request};
use protocol::commit::Draft;
use protocol::json::{self, MAX_DEPTH};
use protocol::schnorr::KeyPair;
use protocol::session::Session;
use protocol::{Commit, EnclaveId, Json, PublicKey};
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Authors of an enclave, its owner first.
pub const AUTHORS: u64 = 64;

/// The machine's clock, milliseconds since the epoch.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands after 1970");
    u64::try_from(since.as_millis()).expect("a time before the year 500 million")
}

/// Half an hour from here: when the commits of a round expire.
pub fn expiry() -> u64 {
    now_ms() + 1_800_000
}

/// The key of a number.
pub fn key(number: u64) -> KeyPair {
    let mut secret = [1; 32];
    secret[24..].copy_from_slice(&number.to_be_bytes());
    KeyPair::from_secret(&secret).expect("a scalar that begins with 24 small bytes is below the order")
}

/// The authors' keys.
pub fn authors() -> Vec<KeyPair> {
    (0..AUTHORS).map(key).collect()
}

/// The rules of a measured enclave: members read all and write `message` and `note`, each has one value of its own; the owner moves
/// people and makes them speakers. The owner and the other `members` stand in it from the start.
pub fn manifest(sequencer: &PublicKey, owner: &PublicKey, members: &[PublicKey]) -> Json {
    let mut init = format!(r#"{{"identity":"{owner}","state":"MEMBER","traits":["owner"]}}"#);
    for member in members.iter().filter(|member| *member != owner) {
        let row = write!(init, r#",{{"identity":"{member}","state":"MEMBER","traits":[]}}"#);
        row.expect("a text takes whatever is written to it");
    }
    let text = format!(
        r#"{{"enc_v":2,"sequencer":"{sequencer}","RBAC":{{"states":["MEMBER"],"traits":["owner(0)","speaker(1)"],
            "readers":[{{"type":"MEMBER","reads":"*"}}],
            "moves":[{{"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":"owner","ops":["C"]}},
                     {{"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":"owner","ops":["C"]}}],
            "grants":[{{"event":"Grant","operator":["owner"],"scope":["MEMBER"],"trait":["speaker"]}},
                      {{"event":"Revoke","operator":["owner"],"scope":["MEMBER"],"trait":["speaker"]}}],
            "slots":[{{"event":"Own","key":"profile","operator":"MEMBER","ops":["C","U","D"]}}],
            "customs":[{{"event":"message","operator":"MEMBER","ops":["C"]}},
                       {{"event":"note","operator":"MEMBER","ops":["C"]}}],
            "init":[{init}]}}}}"#
    );
    json::parse(text.as_bytes(), MAX_DEPTH).expect("the bench's own manifest is valid JSON")
}

/// The Manifest of enclave `number` with these rules, which has the enclave's id.
pub fn draft(owner: &KeyPair, manifest: &Json, number: u64, exp: u64) -> Draft {
    let nonce = vec![vec!["nonce".to_owned(), format!("{number:016x}")]];
    Draft::manifest(owner, manifest, nonce, exp)
}

/// The same, signed.
pub fn create(owner: &KeyPair, manifest: &Json, number: u64, exp: u64) -> Commit {
    draft(owner, manifest, number, exp).sign(owner).into_commit()
}

/// A message of about 600 bytes as JSON.
pub fn message(author: &KeyPair, enclave: EnclaveId, number: u64, exp: u64) -> Commit {
    let content = Json::object([("n", Json::from(number)), ("text", Json::from("m".repeat(128)))]);
    Draft::new(enclave, "message", &content, exp).sign(author).into_commit()
}

/// The body of a commit's POST.
pub fn body(commit: &Commit) -> String {
    commit.to_json().to_jcs()
}

/// A plain session of an hour.
pub fn session(key: &KeyPair, sequencer: &PublicKey) -> String {
    let expires = u32::try_from(now_ms() / 1000 + 3600).expect("a time before 2106");
    Session::make(key, sequencer, expires).plain.hex()
}

/// Asks for an enclave's status, as a member may see it.
pub fn info(enclave: &EnclaveId, member: &KeyPair, sequencer: &PublicKey) -> Request {
    let (from, session) = (member.public(), session(member, sequencer));
    request::get_as(enclave, "info/enclave", &format!("X-Enc-From: {from}\r\nX-Enc-Session: {session}\r\n"))
}
