//! The answers by which a node proves something: read, written back, and checked against heads that anyone could have signed.

use crate::{key, round_trip, value};
use protocol::EnclaveId;
use protocol::head::{Sth, VerifiedSth};
use protocol::proof::{
    BundleAnswer, BundleProof, ConsistencyAnswer, HeadsAnswer, InclusionAnswer, StateAnswer, state_proof_from_json,
    state_proof_to_json,
};
use protocol::state::StateName;

/// Bytes as any of them.
pub fn run(bytes: &[u8]) {
    let Some(json) = value(bytes) else { return };
    if let Some(answer) = round_trip(json.clone(), InclusionAnswer::from_json, InclusionAnswer::to_json) {
        inclusion(&answer);
    }
    if let Some(answer) = round_trip(json.clone(), BundleAnswer::from_json, BundleAnswer::to_json) {
        bundle(&answer);
    }
    if let Some(answer) = round_trip(json.clone(), ConsistencyAnswer::from_json, ConsistencyAnswer::to_json) {
        consistency(&answer);
    }
    if let Some(answer) = round_trip(json.clone(), StateAnswer::from_json, StateAnswer::to_json) {
        state(&answer);
    }
    if let Some(answer) = round_trip(json.clone(), HeadsAnswer::from_json, HeadsAnswer::to_json) {
        let right = answer.verify(&answer.enclave, answer.heads_size, &[0; 32]);
        assert!(right.is_err(), "nobody knows what hashes to zeros");
    }
    round_trip(json.clone(), BundleProof::from_json, BundleProof::to_json);
    round_trip(json, state_proof_from_json, state_proof_to_json);
}

/// The head as if a sequencer at hand had signed it.
fn signed(sth: &Sth) -> VerifiedSth {
    let Sth { enclave, timestamp, tree_size, root_hash, .. } = *sth;
    let again = Sth::sign(key(1), enclave, timestamp, tree_size, root_hash);
    again.verify_for(&enclave, &key(1).public()).expect("just signed")
}

fn inclusion(answer: &InclusionAnswer) {
    let head = signed(&answer.sth);
    let Ok(entry) = answer.verify_entry(answer.entry.leaf_index, &head) else { return };
    assert_eq!(entry, &answer.entry.entry);
    let mut altered = answer.clone();
    altered.entry.entry.first_seq ^= 1;
    assert!(altered.verify_entry(answer.entry.leaf_index, &head).is_err(), "first_seq is under the root");
    let mut altered = answer.clone();
    altered.entry.leaf_index ^= 1;
    assert!(altered.verify_entry(altered.entry.leaf_index, &head).is_err(), "an entry stands at one place");
    if let Some(bundle) = &answer.bundle {
        let seq = answer.entry.entry.first_seq.saturating_add(bundle.bundle_index);
        let mut other = bundle.clone();
        other.event_id.0[0] ^= 1;
        assert!(bundle.verify_id(seq, entry).is_err() || other.verify_id(seq, entry).is_err(), "one event at a place");
    }
}

fn bundle(answer: &BundleAnswer) {
    let proof = &answer.proof;
    let entry = protocol::entry::Entry {
        events_root: answer.events_root,
        state_commit: [0; 32],
        first_seq: 0,
        count: proof.bundle_size,
    };
    let mut other = proof.clone();
    other.event_id.0[0] ^= 1;
    let (right, wrong) = (proof.verify_id(proof.bundle_index, &entry), other.verify_id(proof.bundle_index, &entry));
    assert!(right.is_err() || wrong.is_err(), "one event at a place");
}

fn consistency(answer: &ConsistencyAnswer) {
    let enclave = EnclaveId([7; 32]);
    let head = |size, root| signed(&Sth::sign(key(1), enclave, 0, size, root));
    let root = answer.path.first().copied().unwrap_or_default();
    let same = answer.verify(&head(answer.from, root), &head(answer.to, root));
    if same.is_ok() && answer.from == answer.to {
        assert!(answer.path.is_empty());
        assert!(answer.verify(&head(answer.from, root), &head(answer.to, [9; 32])).is_err(), "one size, one root");
    }
}

fn state(answer: &StateAnswer) {
    let head = signed(&answer.sth);
    for names in [&[StateName::Lifecycle][..], &[]] {
        if let Ok(proven) = answer.verify(names, &head) {
            assert_eq!(proven.values.len(), names.len());
            assert_eq!(proven.newest, answer.entry.leaf_index + 1 == answer.sth.tree_size);
        }
    }
}
