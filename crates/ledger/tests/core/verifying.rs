//! A ledger judged by its files: whole ones hold, and whatever is altered is found where it is.

use crate::world::{World, append, at, author, init, records, signer};
use ledger::append::Append;
use ledger::change::DisposeOf;
use ledger::ledger::Damage;
use ledger::memory::MemoryStore;
use ledger::path::ObjectPath;
use ledger::retention::Retention;
use ledger::signer::Signer;
use ledger::time::Until;
use ledger::value::{Digest, Value};
use ledger::verify::{Problem, Report, verify};
use std::collections::{BTreeSet, HashSet};

fn judged(store: &MemoryStore) -> Report {
    verify(store, signer(None).vkey()).expect("a store in memory is read")
}

/// Two bundles, blobs, checkpoints of four sizes, something disposed of, something that is not published.
fn grown() -> World<MemoryStore> {
    let mut ledger = init();
    let dated = |id: &str, bytes: &[u8]| Append {
        retention: Retention { until: Until::parse("2026-01-01"), ..Retention::default() },
        ..append(id, bytes)
    };
    ledger.append(at(0), vec![dated("small", b"goes"), dated("large", &[3; 300])]).expect("the store holds");
    ledger.append(at(1), records(0..40)).expect("the store holds");
    ledger.publish().expect("the store holds");
    ledger.append(at(2), records(40..270)).expect("the store holds");
    let reason = Value::parse("over").expect("a value");
    let dispose = DisposeOf { targets: vec![2, 3], author: author("bob"), reason, outside_time: None };
    ledger.dispose(at(86_400_000), dispose).expect("it is due");
    ledger.append(at(86_400_000), records(271..281)).expect("the store holds");
    ledger
}

#[test]
fn a_whole_ledger_holds_at_every_size() {
    let mut ledger = init();
    for more in [0, 1, 2, 251, 1, 1, 1, 300] {
        let from = ledger.size() - 2;
        ledger.append(at(0), records(from..from + more)).expect("the store holds");
        ledger.publish().expect("the store holds");
        let report = judged(ledger.store());
        assert_eq!((report.size, report.entries, report.root), (ledger.size(), ledger.size(), ledger.root()));
        assert_eq!(report.problems, BTreeSet::new());
    }
    let ledger = grown();
    let report = judged(ledger.store());
    assert_eq!((report.problems, report.disposed, report.size), (BTreeSet::new(), 2, 276));
}

#[test]
fn an_altered_byte_of_any_file_is_found_in_that_file() {
    let whole = grown().into_parts().0;
    let mut kinds = HashSet::new();
    for (path, bytes) in whole.files() {
        kinds.insert(std::mem::discriminant(path));
        for at in [0, bytes.len() / 3, bytes.len() / 2, bytes.len() * 2 / 3, bytes.len() - 1] {
            let mut store = whole.clone();
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            // The last frame of a journal, torn, is what a crash leaves; and the pack behind the checkpoint is nobody's yet.
            let unpublished = matches!(path, ObjectPath::Journal(_)) || (*path == ObjectPath::Pack(1) && at > 0);
            store.tamper(path, Some(altered));
            let found: Vec<ObjectPath> = judged(&store).problems.into_iter().map(|problem| problem.path).collect();
            assert!(found.contains(path) || unpublished, "{path}, byte {at} of {}: {found:?}", bytes.len());
        }
    }
    assert_eq!(kinds.len(), 8, "every kind of file but what is staged");
}

#[test]
fn a_missing_file_is_named() {
    let whole = grown().into_parts().0;
    for (path, bytes) in whole.files() {
        let mut store = whole.clone();
        store.tamper(path, None);
        let found = judged(&store).problems;
        let older = match path {
            ObjectPath::CheckpointAt(size) => *size < 276,
            ObjectPath::Tile(tile) => tile.width() < 256 && tile.width() != 20 && tile.width() != 1,
            ObjectPath::Journal(_) => true,
            _ => false,
        };
        let damage = if matches!(path, ObjectPath::Pack(_)) { Damage::Short } else { Damage::Missing };
        let named = found.contains(&Problem { path: path.clone(), damage });
        assert!(named || older, "{path} of {} bytes: {found:?}", bytes.len());
    }
}

#[test]
fn what_belongs_to_nothing_is_named() {
    let whole = grown().into_parts().0;
    let blob = ObjectPath::Blob(Digest::of(b"stranger"));
    let key = ObjectPath::Key(tlog::note::KeyId([1, 2, 3, 4]));
    for (path, bytes, damage) in [
        (blob, b"stranger".to_vec(), Damage::Surplus),
        (key, b"x+01020304+AAAA\n".to_vec(), Damage::Form),
        (ObjectPath::Pack(0), [&whole.files()[&ObjectPath::Pack(0)][..], b"x"].concat(), Damage::Surplus),
        (ObjectPath::CheckpointAt(9), whole.files()[&ObjectPath::Checkpoint].clone(), Damage::Place),
    ] {
        let mut store = whole.clone();
        store.tamper(&path, Some(bytes));
        assert_eq!(judged(&store).problems, BTreeSet::from([Problem { path, damage }]));
    }
}

#[test]
fn bytes_that_came_back_or_went_without_a_tombstone() {
    let whole = grown().into_parts().0;
    let mut store = whole.clone();
    let pack = &whole.files()[&ObjectPath::Pack(0)];
    assert_eq!(pack[..4], [0; 4]);
    store.tamper(&ObjectPath::Pack(0), Some([b"goes", &pack[4..]].concat()));
    store.tamper(&ObjectPath::Blob(Digest::of(&[3; 300])), Some(vec![3; 300]));
    assert_eq!(judged(&store).problems, BTreeSet::new(), "the recorded bytes are not wrong");
    let zeros = [&pack[..4], &vec![0; pack.len() - 4]].concat();
    store.tamper(&ObjectPath::Pack(0), Some(zeros));
    let damage = Problem { path: ObjectPath::Pack(0), damage: Damage::Digest };
    assert_eq!(judged(&store).problems, BTreeSet::from([damage]));
}

#[test]
fn another_key_is_another_ledger() {
    let whole = grown().into_parts().0;
    let name = tlog::note::KeyName::parse(crate::world::ORIGIN).expect("a name");
    let other = tlog::signer::NoteSigner::from_seed(name, &[8; 32]).expect("a key");
    let report = verify(&whole, other.vkey()).expect("it is read");
    assert!(report.problems.contains(&Problem { path: ObjectPath::Checkpoint, damage: Damage::Signature }));
}
