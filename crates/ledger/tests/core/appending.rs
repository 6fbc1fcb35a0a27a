//! Records: taken once, told the same again, refused for anything else.

use crate::world::{append, at, init, payload, policy, records, reopen, signer};
use ledger::append::{Append, Content};
use ledger::entry::{Body, Mode};
use ledger::index::{Index, MemoryIndex};
use ledger::ledger::{Failure, Fault, Ledger, MAX_BATCH};
use ledger::memory::MemoryStore;
use ledger::path::ObjectPath;
use ledger::rejection::Rejection;
use ledger::retention::Retention;
use ledger::signer::Signer;
use ledger::statement::verify_receipt;
use ledger::store::Store;
use ledger::time::Until;
use ledger::value::{ClassName, Digest, Value};
use merkle::log::{verify_consistency, verify_inclusion};

fn one(ledger: &mut crate::world::World<MemoryStore>, append: Append) -> Result<(u64, bool), Rejection> {
    let answers = ledger.append(at(5), vec![append]).expect("the store holds");
    let answer = answers.into_iter().next().expect("one answer for one record");
    answer.map(|appended| (appended.index, appended.repeated))
}

#[test]
fn the_first_entries_are_readme_and_policy() {
    let ledger = init();
    assert_eq!((ledger.size(), ledger.published()), (2, 2));
    let readme = ledger.view().entry(0).expect("it is read").expect("it is there");
    assert!(readme.is_readme());
    assert_eq!(Some(&ledger.payload(0).expect("it is there")), ledger.store().files().get(&ObjectPath::Readme));
    let entry = ledger.view().entry(1).expect("it is read").expect("it is there");
    assert!(matches!(entry.body, Body::Policy(_)));
    assert_eq!(ledger.payload(1).expect("it is there"), policy().to_string().into_bytes());
    let again = Ledger::init(ledger.into_parts().0, MemoryIndex::default(), signer(None), (&policy(), at(0)));
    assert_eq!(again.err(), Some(Failure::Fault(Fault::AlreadyInitialised)));
}

#[test]
fn a_record_is_taken_once() {
    let mut ledger = init();
    let full = |bytes: &[u8]| Append {
        retention: Retention { until: Until::parse("2030-01-01"), mode: Some(Mode::Compliance), class: None },
        media_type: Value::parse("text/plain"),
        digest: Some(Digest::of(bytes)),
        ..append("a", bytes)
    };
    assert_eq!(one(&mut ledger, full(b"one")), Ok((2, false)));
    let plain = Append { media_type: Value::parse("text/plain"), ..append("a", b"one") };
    let asks = |retention| Append { retention, ..plain.clone() };
    let until = |text| Retention { until: Until::parse(text), ..Retention::default() };
    let class = Retention { class: ClassName::parse("x"), ..Retention::default() };
    let mode = Retention { mode: Some(Mode::Governance), ..Retention::default() };
    let conflict = |field| Err(Rejection::Conflict { index: 2, field });
    for (append, answer) in [
        (full(b"one"), Ok((2, true))),
        (plain.clone(), Ok((2, true))),
        (full(b"two"), conflict("sha256")),
        (append("a", b"one"), conflict("media_type")),
        (asks(until("2031-01-01")), conflict("retain_until")),
        (asks(class.clone()), conflict("class")),
        (asks(mode), conflict("mode")),
        (Append { digest: Some(Digest::of(b"x")), ..append("b", b"one") }, Err(Rejection::DigestMismatch)),
        (Append { retention: class, ..append("b", b"one") }, Err(Rejection::InvalidField("class"))),
        (append("b", b"one"), Ok((3, false))),
    ] {
        assert_eq!(one(&mut ledger, append), answer);
        ledger.publish().expect("the store holds");
    }
    assert_eq!(ledger.size(), 4);
}

#[test]
fn in_a_batch_each_is_judged_alone_and_after_the_one_before() {
    let mut ledger = init();
    let batch = vec![append("a", b"1"), append("a", b"1"), append("a", b"2"), append("b", b"3")];
    let answers = ledger.append(at(1), batch).expect("the store holds");
    let told: Vec<_> = answers.iter().map(|answer| answer.as_ref().map(|one| (one.index, one.repeated))).collect();
    assert_eq!(
        told,
        [Ok((2, false)), Ok((2, true)), Err(&Rejection::Conflict { index: 2, field: "sha256" }), Ok((3, false))]
    );
    let (first, again) = (answers[0].as_ref().expect("taken"), answers[1].as_ref().expect("taken"));
    assert_eq!((first.leaf, first.time), (again.leaf, again.time));
    let receipt = ledger.receipt(again);
    assert_eq!(verify_receipt(&receipt, ledger.signer().vkey()).expect("it is ours").leaf.0, first.leaf);
}

#[test]
fn time_never_goes_back() {
    let mut ledger = init();
    for (now, told) in [(10, 10), (3, 10), (11, 11), (0, 11)] {
        let answers = ledger.append(at(now), vec![append(&format!("r{now}"), b"x")]).expect("the store holds");
        assert_eq!(answers[0].as_ref().expect("taken").time, at(told));
    }
    let (store, _, key) = ledger.into_parts();
    let mut ledger = reopen(store, key.signed()).expect("it opens");
    let answers = ledger.append(at(1), vec![append("after", b"x")]).expect("the store holds");
    assert_eq!(answers[0].as_ref().expect("taken").time, at(11));
}

#[test]
fn every_payload_is_read_as_it_was_written() {
    let mut ledger = init();
    for (from, to) in [(0, 1), (1, 250), (250, 300), (300, 900)] {
        ledger.append(at(from), records(from..to)).expect("the store holds");
        let check = |ledger: &crate::world::World<MemoryStore>| {
            for number in (0..to).filter(|number| number % 7 == 0 || *number + 3 > to) {
                assert_eq!(ledger.payload(number + 2).expect("it is there"), payload(number), "{number}");
            }
        };
        check(&ledger);
        ledger.publish().expect("the store holds");
        check(&ledger);
    }
    let packs = ledger.store().files().keys().filter(|path| matches!(path, ObjectPath::Pack(_)));
    assert_eq!(packs.count(), 4);
}

#[test]
fn a_cursor_reads_all_in_order_whatever_the_steps() {
    let mut ledger = init();
    ledger.append(at(0), records(0..600)).expect("the store holds");
    ledger.publish().expect("the store holds");
    ledger.append(at(0), records(600..700)).expect("the store holds");
    let all = ledger.view().read_since(0, 1000).expect("it is read");
    assert_eq!(all.len(), 702);
    for limit in [1, 7, 255, 256, 257, 1000] {
        let (mut at, mut read) = (0, Vec::new());
        while at < 702 {
            let some = ledger.view().read_since(at, limit).expect("it is read");
            assert!(some.len() == limit || at + some.len() as u64 == 702);
            at += some.len() as u64;
            read.extend(some);
        }
        assert_eq!(read, all, "{limit}");
    }
    assert_eq!(ledger.view().read_since(702, 5).expect("it is read").len(), 0);
    assert_eq!(ledger.view().read_since(703, 5), Err(Failure::Rejected(Rejection::CursorAhead { size: 702 })));
}

#[test]
fn proofs_hold_at_every_published_size() {
    let mut ledger = init();
    let (mut roots, mut leaves) = (vec![(2, ledger.root())], Vec::new());
    for step in [1, 252, 1, 1, 1, 300, 600] {
        let from = ledger.size() - 2;
        ledger.append(at(0), records(from..from + step)).expect("the store holds");
        ledger.publish().expect("the store holds");
        roots.push((ledger.size(), ledger.root()));
    }
    for entry in ledger.view().read_since(0, 10_000).expect("it is read") {
        leaves.push(merkle::log::leaf_hash(&entry));
    }
    for (size, root) in &roots {
        assert_eq!(ledger.view().root(*size).as_ref(), Ok(root));
        for index in (0..*size).filter(|index| index % 61 == 0 || index % 256 > 253 || index + 2 > *size) {
            let path = ledger.view().inclusion_path(index, *size).expect("it is covered");
            verify_inclusion(&leaves[index as usize], index, *size, &path, root).expect("it holds");
        }
        for (newer, newer_root) in roots.iter().filter(|(newer, _)| newer >= size) {
            let path = ledger.view().consistency_path(*size, *newer).expect("both are published");
            verify_consistency(*size, *newer, &path, root, newer_root).expect("it holds");
        }
        assert_eq!(ledger.view().inclusion_path(*size, *size), Err(Failure::Rejected(Rejection::NotPublished)));
    }
    let beyond = ledger.size() + 1;
    assert_eq!(ledger.view().inclusion_path(0, beyond), Err(Failure::Rejected(Rejection::NotPublished)));
}

#[test]
fn what_was_staged_goes_unless_it_is_taken() {
    let mut ledger = init();
    let bytes = vec![9; 500];
    let staged = ObjectPath::Staged(Digest::of(&bytes), 1 << 63);
    let content = Content::Staged { sha256: Digest::of(&bytes), number: 1 << 63, size: 500 };
    let blob = ObjectPath::Blob(Digest::of(&bytes));
    let stage = |ledger: &mut crate::world::World<MemoryStore>| {
        ledger.store_mut().create(&[(staged.clone(), &bytes)]).expect("it is staged");
    };
    stage(&mut ledger);
    let (store, index, key) = ledger.into_parts();
    ledger = Ledger::open(store, index, key).expect("it opens");
    assert!(!ledger.store().files().contains_key(&staged), "a start takes it away");
    for (id, taken) in [("README.txt", false), ("a", true), ("a", false)] {
        stage(&mut ledger);
        let answer = one(&mut ledger, Append { content: content.clone(), ..append(id, b"") });
        assert_eq!(answer.is_ok_and(|(_, repeated)| !repeated), taken, "{id}");
        assert!(!ledger.store().files().contains_key(&staged), "{id}");
        assert_eq!(ledger.store().files().contains_key(&blob), id == "a");
    }
    assert_eq!(ledger.payload(2), Ok(bytes));
}

#[test]
#[should_panic(expected = "bounded")]
fn a_batch_is_bounded() {
    let mut ledger = init();
    let many = records(0..MAX_BATCH as u64 + 1);
    ledger.append(at(0), many).expect("never reached").clear();
}

#[test]
fn an_index_of_another_log_is_made_again() {
    let mut ledger = init();
    ledger.append(at(0), records(0..300)).expect("the store holds");
    ledger.publish().expect("the store holds");
    ledger.append(at(0), records(300..310)).expect("the store holds");
    let mut other = init();
    other.append(at(0), vec![append("other", b"x")]).expect("the store holds");
    let older = ledger.index().clone();
    ledger.append(at(0), records(310..400)).expect("the store holds");
    let right = ledger.index().clone();
    let (store, _, key) = ledger.into_parts();
    for index in [MemoryIndex::default(), older, other.index().clone(), right.clone()] {
        let opened = Ledger::open(store.clone(), index, signer(key.signed())).expect("it opens");
        assert_eq!(*opened.index(), right);
    }
    assert_eq!(right.covered().map(|covered| covered.size), Ok(402));
}
