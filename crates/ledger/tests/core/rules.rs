//! Retention, holds, disposal, policy: what is refused, in which order, and what is left afterwards.

use crate::world::{World, append, at, author, init, policy, records, reopen};
use ledger::append::Append;
use ledger::change::{DisposeOf, PlaceHold, SetRetention};
use ledger::entry::{Fate, Mode, Release};
use ledger::hold::{HoldScope, Query};
use ledger::ledger::Failure;
use ledger::memory::MemoryStore;
use ledger::path::ObjectPath;
use ledger::policy::{Class, Policy};
use ledger::rejection::Rejection;
use ledger::retention::{Retention, Scope};
use ledger::signer::Signer;
use ledger::time::{Period, Timestamp, Until};
use ledger::value::{Case, ClassName, Digest, RecordId, Value};

const DAY: u64 = 86_400_000;

fn reason() -> Value {
    Value::parse("because").expect("a value")
}

fn case(name: &str) -> Case {
    Case::parse(name).expect("an id")
}

fn until(text: &str) -> Until {
    Until::parse(text).expect("a date")
}

fn dispose(ledger: &mut World<MemoryStore>, now: Timestamp, targets: &[u64]) -> Result<Vec<(u64, Fate)>, Failure> {
    let targets = targets.to_vec();
    ledger.dispose(now, DisposeOf { targets, author: author("bob"), reason: reason(), outside_time: None })
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Failure>) -> Rejection {
    match answer {
        Err(Failure::Rejected(rejection)) => rejection,
        other => panic!("not refused: {other:?}"),
    }
}

fn dated(id: &str, bytes: &[u8], date: &str) -> Append {
    let retention = Retention { until: Some(until(date)), mode: None, class: None };
    Append { retention, ..append(id, bytes) }
}

#[test]
fn disposal_waits_for_the_date_and_the_cases() {
    let mut ledger = init();
    ledger.append(at(0), vec![dated("a", b"small", "2026-01-02"), append("b", b"for ever")]).expect("the store holds");
    assert_eq!(refused(dispose(&mut ledger, at(0), &[2])), Rejection::Retained { until: until("2026-01-02") });
    assert_eq!(refused(dispose(&mut ledger, at(9 * DAY), &[3])), Rejection::Retained { until: Until::Forever });
    assert_eq!(refused(dispose(&mut ledger, at(9 * DAY), &[9])), Rejection::NotFound);
    let hold = PlaceHold { case: case("c"), author: author("carol"), reason: reason(), targets: vec![2], query: None };
    assert_eq!(ledger.hold(at(DAY), hold.clone()), Ok((4, true)));
    assert_eq!(ledger.hold(at(DAY), hold.clone()), Ok((4, false)));
    assert_eq!(refused(dispose(&mut ledger, at(2 * DAY), &[2])), Rejection::Held { case: case("c") });
    let release = Release { case: case("c"), author: author("carol"), reason: reason() };
    assert_eq!(ledger.release(at(DAY), release.clone()), Ok((5, true)));
    assert_eq!(ledger.release(at(DAY), release), Ok((5, false)));
    assert_eq!(refused(ledger.hold(at(DAY), hold)), Rejection::CaseClosed);
    assert_eq!(
        refused(dispose(&mut ledger, at(2 * DAY - 1), &[2])),
        Rejection::Retained { until: until("2026-01-02") }
    );
    assert_eq!(dispose(&mut ledger, at(2 * DAY), &[2]), Ok(vec![(6, Fate::Removed)]));
    assert_eq!(ledger.published(), 7);
    assert_eq!(refused(dispose(&mut ledger, at(2 * DAY), &[2])), Rejection::Disposed { index: 6 });
    assert_eq!(refused(ledger.payload(2)), Rejection::Disposed { index: 6 });
    let again = ledger.append(at(2 * DAY), vec![append("a", b"small")]).expect("the store holds");
    assert_eq!(again[0], Err(Rejection::Disposed { index: 6 }));
    assert_eq!(ledger.payload(3).as_deref(), Ok(&b"for ever"[..]));
    let pack = &ledger.store().files()[&ObjectPath::Pack(0)];
    assert!(!pack.windows(5).any(|window| window == b"small"));
}

#[test]
fn a_hold_on_what_comes_later() {
    let mut ledger = init();
    let query = Query { id_prefix: RecordId::parse("mail-"), ..Query::default() };
    let hold = |case_name, targets, query| PlaceHold {
        case: case(case_name),
        author: author("carol"),
        reason: reason(),
        targets,
        query,
    };
    ledger.hold(at(0), hold("c", vec![], Some(query))).expect("it is placed");
    ledger
        .append(at(1), vec![dated("mail-1", b"x", "2026-01-01"), dated("other", b"y", "2026-01-01")])
        .expect("it holds");
    assert_eq!(refused(dispose(&mut ledger, at(DAY), &[3])), Rejection::Held { case: case("c") });
    assert_eq!(refused(ledger.hold(at(1), hold("d", vec![99], None))), Rejection::NotFound);
    let (store, _, key) = ledger.into_parts();
    let mut ledger = reopen(store, key.signed()).expect("it opens");
    assert_eq!(refused(dispose(&mut ledger, at(DAY), &[4, 3])), Rejection::Held { case: case("c") });
    assert_eq!(dispose(&mut ledger, at(DAY), &[4]), Ok(vec![(5, Fate::Removed)]));
}

#[test]
fn a_scope_has_one_spelling() {
    let query = Query { id_prefix: RecordId::parse("a"), from: Some(at(0)), ..Query::default() };
    for (scope, text) in [
        (HoldScope { targets: vec![2, 7], query: None }, r#"{"targets":[2,7]}"#),
        (
            HoldScope { targets: vec![], query: Some(query) },
            r#"{"query":{"from":"2026-01-01T00:00:00.000Z","id_prefix":"a"},"targets":[]}"#,
        ),
    ] {
        assert_eq!(String::from_utf8(scope.encode()).expect("text"), text);
        assert_eq!(HoldScope::decode(text.as_bytes()), Some(scope));
    }
    for bad in
        [r#"{"targets":[7,2]}"#, r#"{"targets":[2,2]}"#, r#"{ "targets":[]}"#, r#"{"targets":[],"x":1}"#, "[]", ""]
    {
        assert_eq!(HoldScope::decode(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn a_blob_goes_with_the_last_that_names_it() {
    let mut ledger = init();
    let large = vec![5; 300];
    let appends = ["a", "b", "c", "d"].map(|id| dated(id, &large, "2026-01-01")).to_vec();
    ledger.append(at(0), appends).expect("the store holds");
    let blob = ObjectPath::Blob(Digest::of(&large));
    assert_eq!(dispose(&mut ledger, at(DAY), &[2]), Ok(vec![(6, Fate::Shared)]));
    assert!(ledger.store().files().contains_key(&blob));
    assert_eq!(dispose(&mut ledger, at(DAY), &[5, 3]), Ok(vec![(7, Fate::Shared), (8, Fate::Shared)]));
    assert!(ledger.store().files().contains_key(&blob));
    assert_eq!(dispose(&mut ledger, at(DAY), &[4]), Ok(vec![(9, Fate::Removed)]));
    assert!(!ledger.store().files().contains_key(&blob));
    ledger.append(at(DAY), vec![append("e", &large)]).expect("the store holds");
    assert_eq!(ledger.payload(10), Ok(large));
    let (store, _, key) = ledger.into_parts();
    let ledger = reopen(store, key.signed()).expect("it opens");
    assert!(ledger.store().files().contains_key(&blob), "an old tombstone takes nothing of a newer record");
}

#[test]
fn a_disposal_that_was_cut_off_is_finished() {
    let mut ledger = init();
    let appends = vec![dated("a", b"small", "2026-01-01"), dated("b", &[5; 300], "2026-01-01")];
    ledger.append(at(0), appends).expect("the store holds");
    ledger.publish().expect("the store holds");
    let before = ledger.store().clone();
    dispose(&mut ledger, at(DAY), &[2, 3]).expect("it is done");
    let (whole, _, key) = ledger.into_parts();
    let mut store = whole.clone();
    for path in [ObjectPath::Pack(0), ObjectPath::Blob(Digest::of(&[5; 300]))] {
        store.tamper(&path, Some(before.files()[&path].clone()));
    }
    assert_ne!(store.files(), whole.files());
    let opened = reopen(store, key.signed()).expect("it opens");
    assert_eq!(opened.store().files(), whole.files());
}

fn set(ledger: &mut World<MemoryStore>, scope: Scope, date: &str, mode: Option<Mode>) -> Result<Vec<u64>, Failure> {
    let (author, until) = (author("bob"), until(date));
    ledger.retain(at(0), SetRetention { targets: vec![2], author, scope, until, mode, class: None, reason: reason() })
}

#[test]
fn who_may_change_a_date() {
    let mut ledger = init();
    ledger.append(at(0), vec![append("a", b"x")]).expect("the store holds");
    assert_eq!(refused(set(&mut ledger, Scope::Hold, "2026-05-01", None)), Rejection::Forbidden("admin"));
    assert_eq!(set(&mut ledger, Scope::Admin, "2026-05-01", None), Ok(vec![3]));
    assert_eq!(set(&mut ledger, Scope::Hold, "2026-06-01", None), Ok(vec![4]));
    assert_eq!(refused(set(&mut ledger, Scope::Hold, "2026-05-01", None)), Rejection::Forbidden("admin"));
    assert_eq!(set(&mut ledger, Scope::Admin, "2025-05-01", None), Ok(vec![5]));
    assert_eq!(set(&mut ledger, Scope::Admin, "2026-05-01", Some(Mode::Compliance)), Ok(vec![6]));
    assert_eq!(refused(set(&mut ledger, Scope::Admin, "2026-04-30", None)), Rejection::RetentionLocked);
    let back = set(&mut ledger, Scope::Admin, "2026-05-01", Some(Mode::Governance));
    assert_eq!(refused(back), Rejection::RetentionLocked);
    assert_eq!(set(&mut ledger, Scope::Hold, "forever", None), Ok(vec![7]));
}

fn with_classes() -> Policy {
    let class = |period: &str, after: Option<&str>| Class {
        period: Period::parse(period).expect("a period"),
        after: after.and_then(ledger::value::Mark::parse),
        encrypted: false,
    };
    let name = |text| ClassName::parse(text).expect("an id");
    let classes = [(name("six"), class("P6Y", None)), (name("end"), class("P1Y", Some("contract-end")))];
    Policy { mode: Mode::Compliance, default_period: Period::parse("P1M"), classes: classes.into(), ..policy() }
}

#[test]
fn dates_that_a_class_or_the_module_gives() {
    let mut ledger = init();
    ledger.set_policy(at(0), &with_classes(), &author("root")).expect("governance takes all");
    let mut index = 3;
    for (class, asked, date) in [
        (None, None, Ok(Some("2026-02-01"))),
        (Some("six"), None, Ok(Some("2032-01-01"))),
        (Some("six"), Some("2033-01-01"), Ok(Some("2033-01-01"))),
        (Some("six"), Some("2031-12-31"), Err(Rejection::RetentionTooShort)),
        (None, Some("2026-01-31"), Err(Rejection::RetentionTooShort)),
        (None, Some("forever"), Ok(Some("forever"))),
        (Some("end"), None, Ok(None)),
        (Some("none"), None, Err(Rejection::InvalidField("class"))),
    ] {
        let retention = Retention { until: asked.map(until), mode: None, class: class.and_then(ClassName::parse) };
        let answers = ledger.append(at(0), vec![Append { retention, ..append(&format!("r{index}"), b"x") }]);
        match (answers.expect("the store holds").remove(0), date) {
            (Ok(appended), Ok(date)) => {
                assert_eq!(appended.index, index);
                assert_eq!(ledger.record(index).expect("a record").retention.until, date.map(until));
                index += 1;
            }
            (Err(rejection), Err(expected)) => assert_eq!(rejection, expected),
            (answer, expected) => panic!("{answer:?}, not {expected:?}"),
        }
    }
    assert_eq!(refused(dispose(&mut ledger, at(40 * DAY), &[3])), Rejection::NoOutsideTime);
    let outside = |day| DisposeOf {
        targets: vec![3],
        author: author("bob"),
        reason: reason(),
        outside_time: Some(at(day * DAY)),
    };
    assert_eq!(refused(ledger.dispose(at(40 * DAY), outside(31))), Rejection::NoOutsideTime);
    assert_eq!(ledger.dispose(at(40 * DAY), outside(32)), Ok(vec![(index, Fate::Removed)]));
}

#[test]
fn the_same_hand_may_not_do_both() {
    let mut ledger = init();
    ledger.set_policy(at(0), &Policy { four_eyes: true, ..policy() }, &author("root")).expect("it is taken");
    let appends = ["a", "b"].map(|id| Append { author: author("bob"), ..dated(id, b"x", "2026-01-01") });
    ledger.append(at(0), appends.to_vec()).expect("the store holds");
    assert_eq!(refused(dispose(&mut ledger, at(DAY), &[3])), Rejection::FourEyes);
    let hold = PlaceHold { case: case("c"), author: author("bob"), reason: reason(), targets: vec![3], query: None };
    ledger.hold(at(0), hold).expect("it is placed");
    let release = |name| Release { case: case("c"), author: author(name), reason: reason() };
    assert_eq!(refused(ledger.release(at(0), release("bob"))), Rejection::FourEyes);
    assert_eq!(ledger.release(at(0), release("carol")), Ok((6, true)));
}

#[test]
fn a_policy_has_one_spelling_and_is_kept_whole() {
    let mut ledger = init();
    let newer = with_classes();
    assert_eq!(ledger.set_policy(at(0), &newer, &author("root")), Ok((2, true)));
    assert_eq!(ledger.set_policy(at(0), &newer, &author("root")), Ok((2, false)));
    let text = String::from_utf8(ledger.payload(2).expect("it is there")).expect("text");
    assert_eq!(Policy::parse(&text), Ok(newer.clone()));
    for (from, to) in
        [("mode = ", "mode  = "), ("\n\n[", "\n["), ("pack_max = 100", "pack_max = 0100"), ("quorum = []\n", "")]
    {
        assert!(Policy::parse(&text.replacen(from, to, 1)).is_err(), "{from:?}");
    }
    assert!(Policy::parse(&(text.clone() + "more = 1\n")).is_err());
    for (lower, name) in [
        (Policy { mode: Mode::Governance, ..newer.clone() }, "mode"),
        (Policy { default_period: Period::parse("P29D"), ..newer.clone() }, "default_period"),
        (Policy { classes: Default::default(), ..newer.clone() }, "class"),
        (Policy { tiles_public: true, ..newer.clone() }, "tiles_public"),
    ] {
        assert_eq!(newer.lowered_by(&lower), Some(name));
        assert_eq!(refused(ledger.set_policy(at(0), &lower, &author("root"))), Rejection::RetentionLocked);
    }
    let higher = Policy { default_period: Period::parse("P2Y"), four_eyes: true, ..newer.clone() };
    assert_eq!((newer.lowered_by(&higher), higher.lowered_by(&newer)), (None, Some("four_eyes")));
    let (store, _, key) = ledger.into_parts();
    let mut ledger = reopen(store, key.signed()).expect("it opens");
    assert_eq!(*ledger.policy(), newer);
    ledger.append(at(0), records(0..2)).expect("the store holds");
}
