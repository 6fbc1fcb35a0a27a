//! The ledger on a real file system: the same bytes as in memory, nothing overwritten, many that append at once.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use ledger::append::{Append, Content};
use ledger::change::{DisposeOf, PlaceHold};
use ledger::entry::{Author, Release};
use ledger::hold::Query;
use ledger::index::{Index, MemoryIndex};
use ledger::ledger::{Fault, Ledger};
use ledger::memory::MemoryStore;
use ledger::path::ObjectPath;
use ledger::policy::Policy;
use ledger::retention::Retention;
use ledger::signer::{MemorySigner, Signer};
use ledger::statement::verify_receipt;
use ledger::store::{Files, Folder, Store, StoreFault};
use ledger::time::{Timestamp, Until};
use ledger::value::{Actor, Case, Digest, RecordId, Value};
use ledger::verify::verify;
use ledger_fs::folder::{FolderFiles, FolderStore, OpenError};
use ledger_fs::key_file::{KeyError, KeyFile};
use ledger_fs::sequencer;
use ledger_fs::sqlite_index::SqliteIndex;
use tlog::note::KeyName;
use tlog::signer::NoteSigner;

const ORIGIN: &str = "example.org/ledger/test";

fn name() -> KeyName {
    KeyName::parse(ORIGIN).expect("a name")
}

fn memory_signer() -> MemorySigner {
    MemorySigner::new(NoteSigner::from_seed(name(), &[7; 32]).expect("a key"), None)
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000 + millis).expect("a time")
}

fn policy() -> Policy {
    Policy { pack_max: 100, ..Policy::default() }
}

fn author(actor: &str) -> Author {
    Author { actor: Actor::parse(actor).expect("an id"), on_behalf_of: None }
}

fn record(id: &str, bytes: Vec<u8>) -> Append {
    Append {
        record_id: RecordId::parse(id).expect("an id"),
        author: author("alice"),
        media_type: None,
        content: Content::Bytes(bytes),
        digest: None,
        retention: Retention { until: Until::parse("2026-01-01"), ..Retention::default() },
    }
}

fn records(numbers: std::ops::Range<u64>) -> Vec<Append> {
    numbers.map(|number| record(&format!("r{number}"), vec![number as u8; (number * 37 % 130) as usize])).collect()
}

/// Some days of a ledger, with everything that it can do.
fn live<S: Store, I: Index, K: Signer>(store: S, index: I, key: K) -> Ledger<S, I, K> {
    let made = Ledger::init(store, index, key, (&policy(), at(0)));
    let mut ledger = made.unwrap_or_else(|failure| panic!("{failure}"));
    let reason = Value::parse("because").expect("a value");
    for (round, (from, to)) in [(0, 3), (2, 253), (253, 254), (254, 600)].into_iter().enumerate() {
        ledger.append(at(round as u64), records(from..to)).expect("it is written");
        ledger.publish().expect("it is published");
    }
    let case = Case::parse("c").expect("an id");
    let query = Some(Query { id_prefix: RecordId::parse("mail-"), ..Query::default() });
    let hold =
        PlaceHold { case: case.clone(), author: author("carol"), reason: reason.clone(), targets: vec![4, 9], query };
    ledger.hold(at(5), hold).expect("it is placed");
    let dispose =
        DisposeOf { targets: vec![2, 3, 5, 300], author: author("bob"), reason: reason.clone(), outside_time: None };
    ledger.dispose(at(86_400_000), dispose).expect("it is due");
    ledger.release(at(86_400_001), Release { case, author: author("carol"), reason }).expect("it is released");
    ledger.append(at(86_400_002), records(600..700)).expect("it is written");
    ledger
}

/// Every file of a folder that is a ledger's.
fn all(files: &impl Files) -> BTreeMap<ObjectPath, Vec<u8>> {
    let paths = files.list(Folder::All).expect("it is listed");
    paths.into_iter().map(|path| (path.clone(), files.read(&path).expect("it is read").expect("it is there"))).collect()
}

fn folder_at(root: &Path) -> FolderStore {
    FolderStore::open(root).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn folder_and_memory_hold_the_same_bytes() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let root = scratch.path().join("ledger");
    let in_memory = live(MemoryStore::new(), MemoryIndex::default(), memory_signer());
    let index = SqliteIndex::open(&root.join("index/index.sqlite")).expect("it opens");
    let in_folder = live(folder_at(&root), index, memory_signer());
    assert_eq!(all(in_folder.store()), *in_memory.store().files());
    assert_eq!(in_folder.store().files().strangers().expect("it is listed"), Vec::<String>::new());
    let report = verify(&FolderFiles::new(&root), memory_signer().vkey()).expect("it is read");
    assert_eq!((report.problems.len(), report.size, report.disposed), (0, in_folder.published(), 4));
    for (path, _) in all(in_folder.store()) {
        let open = matches!(&path, ObjectPath::Pack(number) if *number == in_folder.size() / 256);
        let replaced = matches!(path, ObjectPath::Checkpoint | ObjectPath::Journal(_));
        let mode = fs::metadata(root.join(path.to_string())).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, if open || replaced { 0o600 } else { 0o444 }, "{path}");
    }
}

#[test]
fn an_index_made_again_is_the_same() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let root = scratch.path().join("ledger");
    let path = root.join("index/index.sqlite");
    let ledger = live(folder_at(&root), SqliteIndex::open(&path).expect("it opens"), memory_signer());
    let grown = ledger.index().dump().expect("it is read");
    assert!(grown.len() > 700);
    let (store, index, key) = ledger.into_parts();
    drop(index);
    let ledger = Ledger::open(store, SqliteIndex::in_memory().expect("it opens"), key).expect("it opens");
    assert_eq!(ledger.index().dump().expect("it is read"), grown);
    for id in ["r0", "r1", "r7", "r699", "README.txt", "none"].map(|id| RecordId::parse(id).expect("an id")) {
        let in_memory = live(MemoryStore::new(), MemoryIndex::default(), memory_signer());
        assert_eq!(ledger.index().record(&id), in_memory.index().record(&id));
    }
    fs::write(&path, b"this is no database").expect("it is written");
    let (store, _, key) = ledger.into_parts();
    let ledger = Ledger::open(store, SqliteIndex::open(&path).expect("it is thrown away"), key).expect("it opens");
    assert_eq!(ledger.index().dump().expect("it is read"), grown);
}

#[test]
fn what_is_written_once_is_never_overwritten() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let mut store = folder_at(scratch.path());
    let blob = ObjectPath::Blob(Digest::of(b"x"));
    let staged = ObjectPath::Staged(Digest::of(b"x"), 1);
    store.create(&[(blob.clone(), b"x")]).expect("it is made");
    store.create(&[(blob.clone(), b"x")]).expect("the same is there");
    let refused = |result: Result<(), ledger::store::StoreError>| result.err().map(|error| error.fault);
    assert_eq!(refused(store.create(&[(blob.clone(), b"y")])), Some(StoreFault::Exists));
    assert_eq!(refused(store.replace(&blob, b"y")), Some(StoreFault::Exists));
    store.create(&[(staged.clone(), b"y")]).expect("it is made");
    assert_eq!(refused(store.link(&staged, &blob)), Some(StoreFault::Exists));
    assert_eq!(store.read(&blob), Ok(Some(b"x".to_vec())));
    let pack = ObjectPath::Pack(0);
    store.append(&pack, 0, b"one").expect("it is made");
    assert_eq!(refused(store.append(&pack, 2, b"x")), Some(StoreFault::Exists));
    store.append(&pack, 3, b"two").expect("it is appended");
    store.cut(&pack, 4).expect("it is cut");
    store.seal(&pack).expect("it is sealed");
    assert_eq!(refused(store.append(&pack, 4, b"x")), Some(StoreFault::Exists));
    assert_eq!(refused(store.cut(&pack, 2)), Some(StoreFault::Exists));
    assert_eq!(store.read(&pack), Ok(Some(b"onet".to_vec())));
    assert!(matches!(FolderStore::open(scratch.path()), Err(OpenError::Locked(_))));
    fs::write(scratch.path().join("tmp/new-7"), b"torn").expect("it is written");
    fs::write(scratch.path().join("stranger"), b"?").expect("it is written");
    drop(store);
    let store = folder_at(scratch.path());
    assert_eq!(store.files().strangers().expect("it is listed"), ["stranger"]);
}

#[test]
fn a_key_remembers_what_it_signed() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let (root, key) = (scratch.path().join("ledger"), scratch.path().join("keys/test.key"));
    let made = KeyFile::create(&key, &name()).unwrap_or_else(|error| panic!("{error}"));
    let index = || SqliteIndex::open(&root.join("index/index.sqlite")).expect("it opens");
    let mut ledger = live(folder_at(&root), index(), made);
    assert!(matches!(KeyFile::create(&key, &name()), Err(KeyError::Io(..))), "a key is never overwritten");
    let older: BTreeMap<_, _> = all(ledger.store());
    ledger.publish().expect("it is published");
    drop(ledger);
    let opened = |root: &Path| {
        let key = KeyFile::open(&key).unwrap_or_else(|error| panic!("{error}"));
        Ledger::open(folder_at(root), SqliteIndex::in_memory().expect("it opens"), key)
    };
    let size = opened(&root).expect("it opens").published();
    // The folder as it was, with the last hundred records gone: nothing in it says so, the file beside the key does.
    let copy = scratch.path().join("copy");
    for (path, bytes) in older.iter().filter(|(path, _)| !matches!(path, ObjectPath::Journal(_))) {
        let target = copy.join(path.to_string());
        fs::create_dir_all(target.parent().expect("it lies in a folder")).expect("it is made");
        fs::write(target, bytes).expect("it is written");
    }
    assert_eq!(opened(&copy).err(), Some(Fault::RolledBack { size: size - 101, known: size }));
    fs::remove_file(scratch.path().join("keys/test.key.head")).expect("it is there");
    assert!(matches!(KeyFile::open(&key), Err(KeyError::NoHead(_))));
}

#[test]
fn many_append_at_once_and_whoever_was_answered_finds_it_again() {
    const THREADS: u64 = 16;
    const EACH: u64 = 40;
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let root = scratch.path().join("ledger");
    let index = SqliteIndex::open(&root.join("index/index.sqlite")).expect("it opens");
    let made = Ledger::init(folder_at(&root), index, memory_signer(), (&policy(), at(0)));
    let ledger = made.unwrap_or_else(|failure| panic!("{failure}"));
    let vkey = ledger.signer().vkey().clone();
    let (appender, thread) = sequencer::start(ledger, Duration::from_millis(50)).expect("a thread starts");
    let told: Vec<_> = std::thread::scope(|scope| {
        let work = |number: u64| {
            let appender = appender.clone();
            move || {
                let one = |at: u64| (format!("t{number}-{at}"), vec![number as u8; (at * 7) as usize]);
                let told = (0..EACH).map(one).map(|(id, bytes)| {
                    let appended = appender.append(record(&id, bytes)).expect("it is taken");
                    (id, appended)
                });
                told.collect::<Vec<_>>()
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(work(number))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect()
    });
    let appended = told[0].1.clone();
    let receipt = appender.with(move |ledger, _| ledger.receipt(&appended)).expect("it runs");
    assert_eq!(verify_receipt(&receipt, &vkey).expect("it is signed").index, told[0].1.index);
    drop(appender);
    let ledger = thread.join();
    assert_eq!((ledger.size(), ledger.published()), (THREADS * EACH + 2, THREADS * EACH + 2));
    drop(ledger);
    let report = verify(&FolderFiles::new(&root), &vkey).expect("it is read");
    assert_eq!((report.problems.len(), report.entries), (0, THREADS * EACH + 2));
    let signer = memory_signer();
    let ledger = Ledger::open(folder_at(&root), SqliteIndex::in_memory().expect("it opens"), signer).expect("it opens");
    for (id, appended) in told {
        let state =
            ledger.index().record(&RecordId::parse(&id).expect("an id")).expect("it is read").expect("it is there");
        assert_eq!(
            (state.index, state.time, state.record.payload.sha256),
            (appended.index, appended.time, appended.sha256)
        );
    }
}
