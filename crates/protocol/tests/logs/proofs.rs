//! Proofs that are right in themselves and about something else.

use crate::log::{Log, START, key};
use protocol::head::VerifiedSth;
use protocol::proof::{ConsistencyAnswer, HeadsAnswer, ProofError, StateAnswer, StateProofs};
use protocol::state::StateName;

/// Eight events in two bundles; the second log differs from event 2 on.
fn fork() -> (Log, Log) {
    let mut first = Log::begin();
    first.push(1, "m", "1", 10);
    let mut second = first.clone();
    for (log, content) in [(&mut first, "2"), (&mut second, "3")] {
        for _ in 0..6 {
            log.push(1, "m", content, 10);
        }
        log.counts = vec![4, 4];
    }
    (first, second)
}

fn head(log: &Log) -> VerifiedSth {
    log.sth(START).verify_for(&log.enclave(), &key(9).public()).expect("it is the sequencer's")
}

#[test]
fn an_event_is_proved_by_its_own_log() {
    let (log, other) = fork();
    for seq in 0..8 {
        let answer = log.inclusion(seq / 4, Some(seq), START);
        let receipt = log.events[seq as usize].receipt();
        assert_eq!(answer.verify_event(&receipt, &key(9).public(), &head(&log)), Ok(()));
        assert_eq!(answer.verify_entry(seq / 4, &head(&log)), Ok(&log.entries()[seq as usize / 4]));
        assert_eq!(answer.verify_entry(1 - seq / 4, &head(&log)), Err(ProofError::Index));
        assert!(answer.verify_event(&receipt, &key(9).public(), &head(&other)).is_err());
        assert_eq!(answer.verify_event(&receipt, &key(8).public(), &head(&log)), Err(ProofError::Receipt));
    }
}

#[test]
fn a_log_that_has_another_event_at_the_place_proves_nothing() {
    let (log, other) = fork();
    let promised = log.events[2].receipt();
    let answer = other.inclusion(0, Some(2), START);
    assert_eq!(answer.verify_event(&promised, &key(9).public(), &head(&other)), Err(ProofError::OtherSubject));
    let elsewhere = other.inclusion(0, Some(1), START);
    let there = other.events[2].receipt();
    assert_eq!(elsewhere.verify_event(&there, &key(9).public(), &head(&other)), Err(ProofError::OtherSubject));
    let next = other.inclusion(1, None, START);
    assert_eq!(next.verify_event(&there, &key(9).public(), &head(&other)), Err(ProofError::NoBundle));
}

#[test]
fn a_state_is_proved_by_the_entry_that_commits_to_it() {
    let (log, _) = fork();
    let identity = key(1).public();
    let name = StateName::Identity(&identity);
    // Nothing at all is in the empty tree, and this log's entries commit to another one.
    let absent = merkle::sparse::Proof { key: name.key().path, value: None, bitmap: [0; 21], siblings: Vec::new() };
    let answer = StateAnswer {
        proofs: StateProofs::One(absent),
        state_hash: merkle::EMPTY,
        last_event_hash: log.events[7].event_hash(),
        entry: log.inclusion(1, None, START).entry,
        sth: log.sth(START),
    };
    assert_eq!(answer.verify(&[name], &head(&log)), Err(ProofError::StateCommit));
    let mut committed = answer.clone();
    committed.entry.entry.state_commit = protocol::entry::state_commit(&log.events[7].event_hash(), &merkle::EMPTY);
    assert!(matches!(committed.verify(&[name], &head(&log)), Err(ProofError::Path(_))));
}

#[test]
fn a_log_grows_and_never_changes() {
    let (log, other) = fork();
    let mut older = log.clone();
    older.counts.pop();
    let path = merkle::log::consistency_path(&log.nodes(), 1, 2).expect("every node is there");
    let answer = ConsistencyAnswer { from: 1, to: 2, path };
    assert_eq!(answer.verify(&head(&older), &head(&log)), Ok(()));
    assert!(matches!(answer.verify(&head(&older), &head(&other)), Err(ProofError::Path(_))));
    assert_eq!(answer.verify(&head(&log), &head(&log)), Err(ProofError::TreeSize));
    assert_eq!(answer.verify(&head(&older), &head(&older)), Err(ProofError::TreeSize));
}

#[test]
fn a_head_stands_in_the_heads_log() {
    let (log, _) = fork();
    let sth = log.sth(START);
    let entry = protocol::head::heads_entry(&log.enclave(), sth.tree_size, &sth.root_hash);
    let (leaf, sibling) = (merkle::log::leaf_hash(&entry), [7; 32]);
    let root = merkle::log::node_hash(&sibling, &leaf);
    let answer = HeadsAnswer {
        enclave: log.enclave(),
        tree_size: sth.tree_size,
        root_hash: sth.root_hash,
        leaf_index: 1,
        heads_size: 2,
        audit_path: vec![sibling],
        checkpoint: String::new(),
    };
    assert_eq!(answer.verify(&log.enclave(), 2, &root), Ok(()));
    assert_eq!(answer.verify(&log.enclave(), 3, &root), Err(ProofError::TreeSize));
    assert_eq!(answer.verify(&protocol::EnclaveId([1; 32]), 2, &root), Err(ProofError::OtherSubject));
    let other_root = HeadsAnswer { root_hash: [1; 32], ..answer };
    assert!(matches!(other_root.verify(&log.enclave(), 2, &root), Err(ProofError::Path(_))));
}
