//! Keys by name, and the commits that they sign.

use protocol::commit::Draft;
use protocol::json::{self, MAX_DEPTH};
use protocol::schnorr::KeyPair;
use protocol::session::Session;
use protocol::{Commit, EnclaveId, Json, PublicKey, Signature};
use std::time::{SystemTime, UNIX_EPOCH};

/// The machine's clock, milliseconds since the epoch.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands after 1970");
    u64::try_from(since.as_millis()).expect("a time before the year 500 million")
}

/// A key of one byte, repeated.
pub fn key(byte: u8) -> KeyPair {
    KeyPair::from_secret(&[byte; 32]).expect("a repeated small byte is a valid scalar")
}

/// JSON from its text.
pub fn json(text: &str) -> Json {
    json::parse(text.as_bytes(), MAX_DEPTH).expect("a test's own JSON is valid")
}

/// A small enclave: members write `message`, the owner moves people, bundles of two.
pub fn manifest(sequencer: &PublicKey, owner: &PublicKey) -> Json {
    json(&format!(
        r#"{{"enc_v":2,"sequencer":"{sequencer}","bundle":{{"size":2,"timeout":5000}},"RBAC":{{
            "states":["MEMBER"],"traits":["owner(0)"],
            "readers":[{{"type":"MEMBER","reads":"*"}}],
            "moves":[{{"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":"owner","ops":["C"]}},
                     {{"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":["Self","owner"],"ops":["C"]}}],
            "slots":[{{"event":"Shared","key":"topic","operator":"owner","ops":["C","U","D"]}}],
            "lifecycle":[{{"event":"Terminate","operator":"owner","ops":["C"]}}],
            "customs":[{{"event":"message","operator":"MEMBER","ops":["C"]}},
                       {{"event":"message","operator":"Sender","ops":["U","D"]}}],
            "init":[{{"identity":"{owner}","state":"MEMBER","traits":["owner"]}}]}}}}"#
    ))
}

/// The Manifest commit of [`manifest`].
pub fn create(sequencer: &PublicKey, owner: &KeyPair, exp: u64) -> Commit {
    Draft::manifest(owner, &manifest(sequencer, &owner.public()), Vec::new(), exp).sign(owner).into_commit()
}

/// Any other commit.
pub fn commit(enclave: EnclaveId, author: &KeyPair, event_type: &str, content: &str, exp: u64) -> Commit {
    Draft::new(enclave, event_type, &json(content), exp).sign(author).into_commit()
}

/// A plain session token.
pub fn token(key: &KeyPair, sequencer: &PublicKey, now_ms: u64) -> String {
    let expires = u32::try_from(now_ms / 1000 + 3600).expect("a time before 2106");
    Session::make(key, sequencer, expires).plain.hex()
}

/// Another valid signature by the key of this byte: BIP-340 lets a signer choose its randomness, this protocol's signers do not.
pub fn sign_otherwise(byte: u8, message: &[u8; 32]) -> Signature {
    let key = k256::schnorr::SigningKey::from_slice(&[byte; 32]).expect("a repeated small byte is a valid scalar");
    Signature(key.sign_raw(message, &[1; 32]).expect("any randomness gives a signature").to_bytes())
}
