//! What a client reads from disk and from a node: proof files, pins, refusals, a node's account of itself, names.

use crate::{round_trip, value};
use client::node::NodeInfo;
use client::proof_file::{ProofFile, verify_file};
use client::{Name, Pin, Refusal};
use protocol::PublicKey;

/// Bytes as any of them.
pub fn run(bytes: &[u8]) {
    if let Ok(text) = core::str::from_utf8(bytes)
        && let Some(name) = Name::parse(text, |key| PublicKey::parse(key).ok())
    {
        assert_eq!(name.to_string(), text);
        assert_eq!(name.state_name().key().path[0], name.state_name().namespace());
    }
    let Some(json) = value(bytes) else { return };
    if let Some(file) = round_trip(json.clone(), ProofFile::from_json, ProofFile::to_json) {
        assert_eq!(file.verify().is_ok(), verify_file(bytes).is_ok());
    }
    if let Some(pin) = round_trip(json.clone(), Pin::from_json, Pin::to_json) {
        assert_eq!(pin.event().enclave, pin.enclave());
        assert!(pin.sequencers().contains(&pin.event().position.sequencer));
    }
    if let Ok(refusal) = Refusal::from_json(json.clone(), 0) {
        assert!(refusal.to_string().starts_with(refusal.code.as_str()));
    }
    if let Ok(info) = NodeInfo::from_json(json.clone()) {
        assert_eq!(NodeInfo::from_json(json).ok().map(|again| again.name), Some(info.name));
    }
}
