//! Evidence files: each kind proves what it says, and no honest pair of statements proves anything.

use crate::log::{Log, START, key};
use protocol::event::Event;
use protocol::evidence::{Contradiction, Evidence, EvidenceError, EvidenceKind, HeadStatement, Rewriting, verify};
use protocol::head::{Sth, checkpoint_message, checkpoint_origin};
use protocol::json::Json;
use protocol::proof::InclusionAnswer;

fn file(log: &Log, contradiction: Contradiction) -> Json {
    Evidence { enclave: log.enclave(), sequencer: key(9).public(), contradiction }.to_json()
}

/// The outcome of a file, after it has been written and read.
fn outcome(log: &Log, contradiction: Contradiction) -> Result<EvidenceKind, EvidenceError> {
    verify(crate::log::parsed(&file(log, contradiction).to_jcs())).map(|proven| proven.kind)
}

fn two_events(a: &Event, b: &Event) -> Contradiction {
    Contradiction::TwoEvents(Box::new(a.receipt()), Box::new(b.receipt()))
}

/// One log that splits in two after two events.
fn fork() -> (Log, Log) {
    let mut first = Log::begin();
    first.push(1, "m", "1", 10);
    let mut second = first.clone();
    first.push(1, "m", "2", 10);
    second.push(1, "m", "3", 10);
    for log in [&mut first, &mut second] {
        log.push(1, "m", "4", 10);
        log.counts = vec![4];
    }
    (first, second)
}

#[test]
fn two_events_at_one_place() {
    let (a, b) = fork();
    assert_eq!(outcome(&a, two_events(&a.events[2], &b.events[2])), Ok(EvidenceKind::TwoEvents { seq: 2 }));
    // One commit with two pasts is two events too.
    assert_eq!(outcome(&a, two_events(&a.events[3], &b.events[3])), Ok(EvidenceKind::TwoEvents { seq: 3 }));
    assert_eq!(outcome(&a, two_events(&a.events[1], &b.events[1])), Err(EvidenceError::NoContradiction));
    assert_eq!(outcome(&a, two_events(&a.events[2], &b.events[3])), Err(EvidenceError::NoContradiction));
    let mut forged = b.events[2].clone();
    forged.position.timestamp += 1;
    assert_eq!(outcome(&a, two_events(&a.events[2], &forged)), Err(EvidenceError::Statement));
}

#[test]
fn a_file_is_about_one_enclave_and_one_key() {
    let (a, b) = fork();
    let contradiction = two_events(&a.events[2], &b.events[2]);
    let other_key = Evidence { enclave: a.enclave(), sequencer: key(8).public(), contradiction: contradiction.clone() };
    assert_eq!(other_key.verify(), Err(EvidenceError::Statement));
    let other_enclave = Evidence {
        enclave: protocol::EnclaveId([1; 32]),
        sequencer: key(9).public(),
        contradiction: contradiction.clone(),
    };
    assert_eq!(other_enclave.verify(), Err(EvidenceError::Statement));
    let Json::Object(mut members) = file(&a, contradiction) else { panic!("a file is an object") };
    members.push(("note".into(), Json::Null));
    assert!(matches!(verify(Json::object(members)), Err(EvidenceError::Shape(_))));
}

fn sth(head: Sth) -> Box<HeadStatement> {
    Box::new(HeadStatement::Sth(head))
}

fn checkpoint(log: &Log, size: &str, root: &str, rest: &str) -> Box<HeadStatement> {
    let text = format!("{}\n{size}\n{root}\n{rest}", checkpoint_origin(&log.enclave()));
    let signature = key(9).sign(&checkpoint_message(&text));
    Box::new(HeadStatement::Checkpoint { text, signature })
}

fn base64(root: &[u8]) -> String {
    <base64ct::Base64 as base64ct::Encoding>::encode_string(root)
}

#[test]
fn two_roots_of_one_size() {
    let (a, b) = fork();
    let (head_a, head_b) = (a.sth(START), b.sth(START + 5));
    let proven = Ok(EvidenceKind::TwoHeads { tree_size: 1 });
    let heads = |first, second| outcome(&a, Contradiction::TwoHeads(first, second));
    assert_eq!(heads(sth(head_a), sth(head_b)), proven);
    assert_eq!(heads(sth(head_a), sth(a.sth(START + 9))), Err(EvidenceError::NoContradiction));
    let (root_a, root_b) = (base64(&head_a.root_hash), base64(&head_b.root_hash));
    assert_eq!(heads(checkpoint(&a, "1", &root_a, ""), checkpoint(&a, "1", &root_b, "")), proven);
    assert_eq!(heads(checkpoint(&a, "1", &root_a, ""), sth(head_b)), proven);
    assert_eq!(heads(checkpoint(&a, "1", &root_a, "an extension\n"), sth(head_b)), proven);
    assert_eq!(heads(checkpoint(&a, "1", &root_a, ""), sth(head_a)), Err(EvidenceError::NoContradiction));
    assert_eq!(heads(checkpoint(&a, "2", &root_a, ""), sth(head_b)), Err(EvidenceError::NoContradiction));
    for (size, root) in [("01", root_a.as_str()), ("+1", &root_a), ("", &root_a), ("1", "AAAA"), ("1", "")] {
        assert_eq!(heads(checkpoint(&a, size, root, ""), sth(head_b)), Err(EvidenceError::Statement), "{size} {root}");
    }
}

#[test]
fn going_on_after_a_migrate() {
    let mut log = Log::begin();
    log.push(1, "m", "1", 10);
    log.migrate(8);
    let migrate = Box::new(log.events[2].clone());
    let mut honest = log.clone();
    log.sequencer = 9;
    let later = |log: &mut Log| Box::new(log.push(1, "m", "2", 10).receipt());
    let after = |event: &Event, later| Contradiction::AfterMigrate(Box::new(event.clone()), later);
    let next = later(&mut log);
    assert_eq!(outcome(&log, after(&migrate, next.clone())), Ok(EvidenceKind::AfterMigrate { seq: 3 }));
    assert_eq!(outcome(&log, after(&migrate, later(&mut honest))), Err(EvidenceError::Statement));
    // Further on the enclave may have come back.
    assert_eq!(outcome(&log, after(&migrate, later(&mut log.clone()))), Err(EvidenceError::NoContradiction));
    assert_eq!(outcome(&log, after(&log.events[1], next)), Err(EvidenceError::Statement));
}

fn left_out(receipt: &Event, inclusion: InclusionAnswer) -> Contradiction {
    Contradiction::LeftOut(Box::new(receipt.receipt()), Box::new(inclusion))
}

#[test]
fn a_promised_event_is_not_in_the_log() {
    let (a, b) = fork();
    let proven = outcome(&a, left_out(&a.events[2], b.inclusion(0, Some(2), START)));
    assert_eq!(proven, Ok(EvidenceKind::LeftOut { seq: 2 }));
    let kept = outcome(&a, left_out(&b.events[2], b.inclusion(0, Some(2), START)));
    assert_eq!(kept, Err(EvidenceError::NoContradiction));
    let elsewhere = outcome(&a, left_out(&a.events[2], b.inclusion(0, Some(3), START)));
    assert_eq!(elsewhere, Err(EvidenceError::Statement));
    assert!(matches!(outcome(&a, left_out(&a.events[2], b.inclusion(0, None, START))), Err(EvidenceError::Shape(_))));
}

#[test]
fn a_promised_event_comes_too_late() {
    let mut log = Log::begin();
    log.counts = vec![1];
    log.push(1, "m", "1", 10);
    let promised = START + 10 + 1000 + 60_000;
    let overdue = |timestamp| {
        let answer = log.inclusion(0, None, timestamp);
        let (receipt, manifest) = (Box::new(log.events[1].receipt()), Box::new(log.events[0].clone()));
        outcome(&log, Contradiction::Overdue(receipt, manifest, Box::new(answer)))
    };
    assert_eq!(overdue(promised), Err(EvidenceError::NoContradiction));
    assert_eq!(overdue(promised + 1), Ok(EvidenceKind::Overdue { seq: 1 }));
    let mut kept = log.clone();
    kept.counts = vec![1, 1];
    let receipt = Box::new(kept.events[1].receipt());
    let manifest = Box::new(kept.events[0].clone());
    for leaf_index in [0, 1] {
        let answer = Box::new(kept.inclusion(leaf_index, None, promised + 1));
        let kind = outcome(&kept, Contradiction::Overdue(receipt.clone(), manifest.clone(), answer));
        assert_eq!(kind, Err(EvidenceError::NoContradiction));
    }
}

#[test]
fn neighbours_of_two_histories() {
    let (a, b) = fork();
    let chain = |earlier: &Event, later: &Event| {
        outcome(&a, Contradiction::BrokenChain(Box::new(earlier.receipt()), Box::new(later.receipt())))
    };
    assert_eq!(chain(&a.events[2], &b.events[3]), Ok(EvidenceKind::BrokenChain { seq: 3 }));
    assert_eq!(chain(&a.events[2], &a.events[3]), Err(EvidenceError::NoContradiction));
    assert_eq!(chain(&a.events[1], &b.events[2]), Err(EvidenceError::NoContradiction));
    assert_eq!(chain(&b.events[3], &a.events[2]), Err(EvidenceError::NoContradiction));
    assert_eq!(chain(&a.events[1], &b.events[3]), Err(EvidenceError::NoContradiction));
    let mut forged = b.events[3].clone();
    forged.position.timestamp += 1;
    assert_eq!(chain(&a.events[2], &forged), Err(EvidenceError::Statement));
}

/// A log of `leaves` by leaf hashes; its nodes are computed anew each time.
struct Leaves(Vec<merkle::Hash>);

impl merkle::log::Nodes for Leaves {
    type Error = core::convert::Infallible;

    fn node(&self, id: merkle::log::NodeId) -> Result<merkle::Hash, Self::Error> {
        if id.level == 0 {
            return Ok(self.0[usize::try_from(id.index).expect("a small log")]);
        }
        let half = |index| self.node(merkle::log::NodeId { level: id.level - 1, index });
        Ok(merkle::log::node_hash(&half(id.index * 2)?, &half(id.index * 2 + 1)?))
    }
}

#[test]
fn a_log_that_does_not_begin_with_the_older_one() {
    let (log, _) = fork();
    let leaves = |fork: u8| Leaves((0..9).map(|leaf| [if leaf < 2 { leaf } else { leaf + fork }; 32]).collect());
    let (ours, theirs) = (leaves(0), leaves(100));
    let root = |leaves: &Leaves, size| merkle::log::root(leaves, size).expect("within the log");
    let head =
        |leaves: &Leaves, size| HeadStatement::Sth(Sth::sign(&key(9), log.enclave(), START, size, root(leaves, size)));
    for newer in 1..9 {
        for older in 0..=newer {
            let path = merkle::log::consistency_path(&theirs, older, newer).expect("within the log");
            let judge = |older_head, newer_head, root, path: &[merkle::Hash]| {
                let (older, newer, path) = (older_head, newer_head, path.to_vec());
                outcome(&log, Contradiction::Rewritten(Box::new(Rewriting { older, newer, root, path })))
            };
            let said = judge(head(&ours, older), head(&theirs, newer), root(&theirs, older), &path);
            let differs = older > 2 && older < newer;
            let proven = if differs {
                Ok(EvidenceKind::Rewritten { older, newer })
            } else {
                Err(EvidenceError::NoContradiction)
            };
            assert_eq!(said, proven, "{older} {newer}");
            // The proof must be of the root that is claimed, and end in the newer head's.
            if older > 0 && older < newer {
                let other = judge(head(&ours, older), head(&theirs, newer), [7; 32], &path);
                assert_eq!(other, Err(EvidenceError::Statement), "{older} {newer}");
                let cut = judge(head(&ours, older), head(&theirs, newer), root(&theirs, older), &path[1..]);
                assert_eq!(cut, Err(EvidenceError::Statement), "{older} {newer}");
            }
        }
    }
}

#[test]
fn a_log_that_was_larger_before() {
    let (log, _) = fork();
    let head = |size, timestamp| Box::new(Sth::sign(&key(9), log.enclave(), timestamp, size, [1; 32]));
    let shrunk = |larger, smaller| outcome(&log, Contradiction::Shrunk(larger, smaller));
    assert_eq!(shrunk(head(5, 1), head(4, 2)), Ok(EvidenceKind::Shrunk { from: 5, to: 4 }));
    assert_eq!(shrunk(head(5, 2), head(4, 2)), Err(EvidenceError::NoContradiction));
    assert_eq!(shrunk(head(5, 2), head(4, 1)), Err(EvidenceError::NoContradiction));
    assert_eq!(shrunk(head(5, 1), head(5, 2)), Err(EvidenceError::NoContradiction));
    assert_eq!(shrunk(head(4, 1), head(5, 2)), Err(EvidenceError::NoContradiction));
    let mut forged = head(4, 2);
    forged.timestamp = 3;
    assert_eq!(shrunk(head(5, 1), forged), Err(EvidenceError::Statement));
}
