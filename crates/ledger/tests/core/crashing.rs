//! The end between any two writes, and what the next start finds: all that was answered, and nothing half done.

use crate::world::{Ending, World, append, at, payload, policy, records, reopen, signer};
use ledger::entry::Placement;
use ledger::index::MemoryIndex;
use ledger::ledger::{Damage, Failure, Fault, Ledger};
use ledger::memory::MemoryStore;
use ledger::path::ObjectPath;
use ledger::signer::{MemorySigner, SignedHead, Signer};
use ledger::store::{Files, Folder, Store, StoreError, StoreFault};
use ledger::value::RecordId;
use std::cell::Cell;
use std::collections::BTreeSet;

/// What a client was told before the end.
#[derive(Default)]
struct Told {
    entries: Vec<(RecordId, u64, [u8; 32])>,
    published: u64,
}

type Crashing = Ledger<Ending<MemoryStore>, MemoryIndex, MemorySigner>;

/// A day of a ledger: batches over the edges of bundles, repeats, publishing now and then, a batch that spans two bundles.
fn live(ledger: &mut Crashing, told: &mut Told) -> Result<(), Fault> {
    for (round, (from, to)) in
        [(0, 3), (2, 253), (253, 254), (254, 260), (260, 261), (261, 263)].into_iter().enumerate()
    {
        let batch = records(from..to);
        let ids: Vec<RecordId> = batch.iter().map(|append| append.record_id.clone()).collect();
        for (id, answer) in ids.into_iter().zip(ledger.append(at(round as u64), batch)?) {
            let answer = answer.expect("no rule refuses it");
            told.entries.push((id, answer.index, answer.leaf));
        }
        if round % 2 == 1 {
            ledger.publish()?;
            told.published = ledger.published();
        }
    }
    Ok(())
}

fn start(store: MemoryStore, writes: u64) -> Result<Crashing, Failure> {
    let store = Ending { inner: store, left: Cell::new(writes) };
    Ledger::init(store, MemoryIndex::default(), signer(None), (&policy(), at(0)))
}

/// How many writes it takes whole.
fn writes_of_all() -> (u64, u64) {
    let mut ledger = start(MemoryStore::new(), u64::MAX).unwrap_or_else(|failure| panic!("{failure}"));
    let made = u64::MAX - ledger.store().left.get();
    live(&mut ledger, &mut Told::default()).expect("nothing ends");
    (made, u64::MAX - ledger.store().left.get())
}

/// The packs and blobs that entries name.
fn named(ledger: &World<MemoryStore>) -> BTreeSet<ObjectPath> {
    let entries = ledger.view().read_since(0, 10_000).expect("it is read");
    let entries = entries.iter().map(|bytes| ledger::entry_text::parse(bytes).expect("an entry"));
    let path = |entry: ledger::entry::Entry| {
        let payload = *entry.body.payload().filter(|payload| payload.size > 0)?;
        Some(match payload.placement {
            Placement::Pack => ObjectPath::Pack(entry.index / 256),
            Placement::Blob => ObjectPath::Blob(payload.sha256),
        })
    };
    entries.filter_map(path).collect()
}

fn judge(mut ledger: World<MemoryStore>, told: &Told, writes: u64) {
    assert!(ledger.published() >= told.published, "after {writes} writes");
    for (id, index, leaf) in &told.entries {
        let entry = ledger.view().entry_bytes(*index).expect("it is read").expect("what was told is there");
        assert_eq!(merkle::log::leaf_hash(&entry), *leaf, "after {writes} writes: {id:?}");
    }
    let size = ledger.size();
    for index in (2..size).filter(|index| index % 17 == 0 || index + 3 > size) {
        assert_eq!(ledger.payload(index).expect("it is there"), payload(index - 2), "after {writes} writes");
    }
    assert_eq!(ledger.store().list(Folder::Staged), Ok(Vec::new()), "after {writes} writes");
    let named = named(&ledger);
    for path in ledger.store().files().keys().filter(|path| matches!(path, ObjectPath::Blob(_) | ObjectPath::Pack(_))) {
        assert!(named.contains(path), "after {writes} writes: {path} belongs to nothing");
    }
    // The same day again, to its end: what was there is told again, and the log is the one that it always is.
    let more = ledger.append(at(9), records(0..263)).expect("nothing ends");
    for (number, answer) in (0..).zip(more) {
        let answer = answer.expect("no rule refuses it");
        assert_eq!(answer.index, number + 2);
    }
    ledger.publish().expect("nothing ends");
    ledger.append(at(9), vec![append("last", b"last")]).expect("nothing ends");
    ledger.publish().expect("nothing ends");
    let (store, index, key) = ledger.into_parts();
    let again = Ledger::open(store, index.clone(), signer(key.signed())).expect("it opens");
    assert_eq!((again.size(), again.index()), (266, &index));
}

#[test]
fn an_end_between_any_two_writes_of_a_day_loses_nothing_that_was_told() {
    let (made, all) = writes_of_all();
    assert!(all > made + 50, "{made} and {all} writes");
    for writes in made..=all {
        let mut ledger = start(MemoryStore::new(), writes).unwrap_or_else(|failure| panic!("{failure}"));
        let mut told = Told::default();
        assert_eq!(live(&mut ledger, &mut told).is_ok(), writes == all && !ledger.is_degraded());
        let (store, _, key) = ledger.into_parts();
        let cut = store.inner.clone().after_power_cut();
        for store in [Some(cut).filter(|cut| *cut != store.inner), Some(store.inner)].into_iter().flatten() {
            let opened = reopen(store, key.signed()).unwrap_or_else(|fault| panic!("after {writes} writes: {fault}"));
            judge(opened, &told, writes);
        }
    }
}

#[test]
fn a_ledger_that_was_begun_is_begun_again() {
    let (made, _) = writes_of_all();
    for writes in 0..made {
        for cut in [false, true] {
            // `init` gives nothing back where it fails, so the store is watched from outside.
            let shared = Shared::default();
            let store = Ending { inner: shared.clone(), left: Cell::new(writes) };
            let first = Ledger::init(store, MemoryIndex::default(), signer(None), (&policy(), at(0)));
            assert!(first.is_err(), "after {writes} writes");
            let left = shared.0.take();
            let left = if cut { left.after_power_cut() } else { left };
            // Whether the key has signed size 2 by then is not known.
            let made = match left.files().contains_key(&ObjectPath::Checkpoint) {
                true => reopen(left, None).map_err(Failure::Fault),
                false => Ledger::init(left, MemoryIndex::default(), signer(None), (&policy(), at(77))),
            };
            let made = made.unwrap_or_else(|failure| panic!("after {writes} writes: {failure}"));
            assert_eq!((made.size(), made.published()), (2, 2));
        }
    }
}

/// A store that somebody else sees too.
#[derive(Clone, Default)]
struct Shared(std::rc::Rc<std::cell::RefCell<MemoryStore>>);

macro_rules! forward {
    ($($name:ident($self:ident: $this:ty $(, $arg:ident: $type:ty)*) -> $out:ty;)*) => {$(
        fn $name($self: $this $(, $arg: $type)*) -> Result<$out, ledger::store::StoreError> {
            #[allow(unused_mut)]
            let mut store = $self.0.borrow_mut();
            store.$name($($arg),*)
        }
    )*};
}

impl Files for Shared {
    forward! {
        read(self: &Self, path: &ObjectPath) -> Option<Vec<u8>>;
        read_range(self: &Self, path: &ObjectPath, offset: u64, len: u64) -> Option<Vec<u8>>;
        len(self: &Self, path: &ObjectPath) -> Option<u64>;
        list(self: &Self, folder: Folder) -> Vec<ObjectPath>;
    }
}

impl Store for Shared {
    forward! {
        create(self: &mut Self, objects: &[(ObjectPath, &[u8])]) -> ();
        link(self: &mut Self, staged: &ObjectPath, path: &ObjectPath) -> ();
        replace(self: &mut Self, path: &ObjectPath, bytes: &[u8]) -> ();
        append(self: &mut Self, path: &ObjectPath, len: u64, bytes: &[u8]) -> ();
        sync(self: &mut Self, path: &ObjectPath) -> ();
        cut(self: &mut Self, path: &ObjectPath, len: u64) -> ();
        seal(self: &mut Self, path: &ObjectPath) -> ();
        remove(self: &mut Self, path: &ObjectPath) -> ();
    }
}

fn grown() -> (MemoryStore, Option<SignedHead>) {
    let mut ledger = crate::world::init();
    ledger.append(at(1), records(0..300)).expect("the store holds");
    ledger.publish().expect("the store holds");
    ledger.append(at(2), records(300..310)).expect("the store holds");
    let (store, _, key) = ledger.into_parts();
    (store, key.signed())
}

#[test]
fn an_older_copy_is_found_out() {
    let (older, signed) = grown();
    let mut ledger = reopen(older.clone(), signed).expect("it opens");
    ledger.append(at(3), records(310..320)).expect("the store holds");
    ledger.publish().expect("the store holds");
    let (_, index, key) = ledger.into_parts();
    let found = reopen(older.clone(), key.signed()).err();
    assert_eq!(found, Some(Fault::RolledBack { size: 312, known: 322 }));
    let found = Ledger::open(older.clone(), index, signer(signed)).err();
    assert_eq!(found, Some(Fault::RolledBack { size: 312, known: 322 }));
    let other = SignedHead { size: 302, root: [0; 32] };
    assert_eq!(reopen(older, Some(other)).err(), Some(Fault::RolledBack { size: 312, known: 302 }));
}

#[test]
fn what_a_crash_cannot_have_done_is_not_opened() {
    let (whole, signed) = grown();
    let journal = ObjectPath::Journal(302);
    let bytes = whole.files()[&journal].clone();
    let rows: Vec<(ObjectPath, Option<Vec<u8>>, Fault)> = vec![
        (ObjectPath::Checkpoint, None, Fault::NotInitialised),
        (ObjectPath::Pack(1), None, Fault::Damaged { path: ObjectPath::Pack(1), damage: Damage::Short }),
        (
            journal.clone(),
            Some([&bytes[..60], b"x", &bytes[61..], &bytes[..]].concat()),
            Fault::Damaged { path: journal.clone(), damage: Damage::Form },
        ),
        (
            journal.clone(),
            Some(ledger::journal::encode(305, &["x"])),
            Fault::Damaged { path: journal.clone(), damage: Damage::Place },
        ),
        (journal.clone(), Some(ledger::journal::encode(301, &["x"])), Fault::RolledBack { size: 302, known: 302 }),
    ];
    for (path, bytes, fault) in rows {
        let mut store = whole.clone();
        store.tamper(&path, bytes);
        assert_eq!(reopen(store, signed).err(), Some(fault), "{path}");
    }
    for (path, bytes) in whole.files() {
        let edge = matches!(path, ObjectPath::Tile(tile) if tile.index() > 0 || tile.to_string().starts_with("tile/1"));
        if !(edge && path.to_string().ends_with(".p/46") || *path == ObjectPath::Checkpoint) {
            continue;
        }
        let mut store = whole.clone();
        let mut bytes = bytes.clone();
        bytes[5] ^= 1;
        store.tamper(path, Some(bytes));
        let found = reopen(store, signed).err();
        assert!(matches!(found, Some(Fault::Damaged { .. })), "{path}: {found:?}");
    }
}

#[test]
fn a_failed_write_leaves_all_of_it_or_nothing() {
    let mut ledger = start(MemoryStore::new(), u64::MAX).unwrap_or_else(|failure| panic!("{failure}"));
    ledger.append(at(1), records(0..10)).expect("nothing ends");
    let (store, index, key) = ledger.into_parts();
    let (whole, mut outcomes) = (store.inner, BTreeSet::new());
    for writes in 0..30 {
        let store = Ending { inner: whole.clone(), left: Cell::new(u64::MAX) };
        let mut ledger = Ledger::open(store, index.clone(), signer(key.signed())).expect("it opens");
        ledger.store().left.set(writes);
        let done = ledger.append(at(2), records(10..14)).is_ok() && !ledger.is_degraded();
        if done {
            assert_eq!(outcomes.len(), 2, "some ends left nothing, some a whole write that was not answered");
            return;
        }
        // The undoing had no writes left either.
        assert_eq!(ledger.append(at(2), records(20..21)), Err(Fault::Degraded));
        let (store, index, key) = ledger.into_parts();
        let ledger = Ledger::open(store.inner, index, key).expect("it opens");
        outcomes.insert(ledger.size());
        assert!(ledger.size() == 16 || ledger.store().files() == whole.files(), "after {writes} writes");
    }
    panic!("no number of writes was enough");
}

#[test]
fn a_failed_write_is_undone_at_once() {
    let mut ledger = crate::world::init();
    ledger.append(at(1), records(0..10)).expect("the store holds");
    let (store, index, key) = ledger.into_parts();
    let whole = store.clone();
    let mut ledger = Ledger::open(Failing { inner: store, failing: None }, index, key).expect("it opens");
    let large = vec![append("large", &[1; 400]), append("small", b"small")];
    for failing in [Call::Create, Call::Link, Call::Append, Call::Sync] {
        ledger.store_mut().failing = Some(failing);
        assert!(matches!(ledger.append(at(2), large.clone()), Err(Fault::Store(_))));
        assert!(!ledger.is_degraded());
        assert_eq!(ledger.store().inner.files(), whole.files());
    }
    ledger.store_mut().failing = None;
    let answers = ledger.append(at(2), large).expect("it holds again");
    assert_eq!(answers.iter().map(|answer| answer.as_ref().map(|one| one.index)).collect::<Vec<_>>(), [Ok(12), Ok(13)]);
    assert_eq!(ledger.payload(12), Ok(vec![1; 400]));
}

/// The calls that can be made to fail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Create,
    Link,
    Append,
    Sync,
}

/// A store in which one kind of call fails after it has done its work, the last of its kind first: the journal's.
struct Failing {
    inner: MemoryStore,
    failing: Option<Call>,
}

impl Failing {
    fn done(&self, call: Call, path: &ObjectPath) -> Result<(), StoreError> {
        let last = match call {
            Call::Create | Call::Link => true,
            Call::Append | Call::Sync => matches!(path, ObjectPath::Journal(_)),
        };
        if self.failing == Some(call) && last { Err(StoreError::new(path, StoreFault::Full)) } else { Ok(()) }
    }
}

impl Files for Failing {
    fn read(&self, path: &ObjectPath) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.read(path)
    }

    fn read_range(&self, path: &ObjectPath, offset: u64, len: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.read_range(path, offset, len)
    }

    fn len(&self, path: &ObjectPath) -> Result<Option<u64>, StoreError> {
        self.inner.len(path)
    }

    fn list(&self, folder: Folder) -> Result<Vec<ObjectPath>, StoreError> {
        self.inner.list(folder)
    }
}

impl Store for Failing {
    fn create(&mut self, objects: &[(ObjectPath, &[u8])]) -> Result<(), StoreError> {
        self.inner.create(objects)?;
        self.done(Call::Create, &objects[0].0)
    }

    fn link(&mut self, staged: &ObjectPath, path: &ObjectPath) -> Result<(), StoreError> {
        self.inner.link(staged, path)?;
        self.done(Call::Link, path)
    }

    fn replace(&mut self, path: &ObjectPath, bytes: &[u8]) -> Result<(), StoreError> {
        self.inner.replace(path, bytes)
    }

    fn append(&mut self, path: &ObjectPath, len: u64, bytes: &[u8]) -> Result<(), StoreError> {
        self.inner.append(path, len, bytes)?;
        self.done(Call::Append, path)
    }

    fn sync(&mut self, path: &ObjectPath) -> Result<(), StoreError> {
        self.inner.sync(path)?;
        self.done(Call::Sync, path)
    }

    fn cut(&mut self, path: &ObjectPath, len: u64) -> Result<(), StoreError> {
        self.inner.cut(path, len)
    }

    fn seal(&mut self, path: &ObjectPath) -> Result<(), StoreError> {
        self.inner.seal(path)
    }

    fn remove(&mut self, path: &ObjectPath) -> Result<(), StoreError> {
        self.inner.remove(path)
    }
}
