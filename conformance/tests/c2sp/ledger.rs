//! A ledger's folder, read by `golang.org/x/mod/sumdb` as it lies on the disk.

use conformance::golang;
use ledger::append::{Append, Content};
use ledger::entry::Author;
use ledger::ledger::Ledger;
use ledger::policy::Policy;
use ledger::retention::Retention;
use ledger::signer::Signer;
use ledger::store::Store;
use ledger::value::{Actor, RecordId};
use ledger_fs::folder::FolderStore;
use ledger_fs::key_file::KeyFile;
use ledger_fs::sequencer::now;
use ledger_fs::sqlite_index::SqliteIndex;
use tlog::note::KeyName;

/// The sizes at which tiles begin and end; `init` makes the first.
const SIZES: [u64; 5] = [2, 255, 256, 257, 600];

fn record(number: u64) -> Append {
    Append {
        record_id: RecordId::parse(&format!("record-{number}")).expect("an id"),
        author: Author { actor: Actor::parse("alice").expect("an id"), on_behalf_of: None },
        media_type: None,
        content: Content::Bytes(format!("payload {number}").into_bytes()),
        digest: None,
        retention: Retention::default(),
    }
}

#[test]
fn go_reads_a_ledger_at_every_edge() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let root = scratch.path().join("ledger");
    let name = KeyName::parse("example.org/ledger/edges").expect("a name");
    let key = KeyFile::create(&scratch.path().join("keys/edges.key"), &name).unwrap_or_else(|error| panic!("{error}"));
    let store = FolderStore::open(&root).unwrap_or_else(|error| panic!("{error}"));
    let index = SqliteIndex::open(&root.join("index/index.sqlite")).expect("it opens");
    let made = Ledger::init(store, index, key, (&Policy::default(), now()));
    let mut ledger = made.unwrap_or_else(|failure| panic!("{failure}"));
    let vkey = ledger.signer().vkey().to_string();
    let folder = root.to_str().expect("a plain path");
    for size in SIZES {
        let answers = ledger.append(now(), (ledger.size()..size).map(record).collect()).expect("it is written");
        assert!(answers.iter().all(Result::is_ok));
        ledger.publish().expect("it is published");
        let said = golang::run(&["ledger", folder, &vkey]).unwrap_or_else(|error| panic!("{size}: {error}"));
        assert_eq!(said.split(' ').next(), Some(size.to_string().as_str()));
    }
    // Go sees what is altered.
    let path = ledger::path::ObjectPath::parse("tile/entries/000").expect("a path");
    let mut bytes = ledger::store::Files::read(ledger.store(), &path).expect("it is read").expect("it is there");
    bytes[300] ^= 1;
    ledger.store_mut().remove(&path).expect("it is removed");
    ledger.store_mut().create(&[(path, &bytes)]).expect("it is made");
    golang::run(&["ledger", folder, &vkey]).expect_err("the root is another");
}
