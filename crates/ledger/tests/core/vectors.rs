//! The ledger of `vectors/ledger`, made again from what its records are said to be.

use crate::world::author;
use ledger::append::{Append, Appended, Content};
use ledger::entry::Author;
use ledger::index::MemoryIndex;
use ledger::ledger::Ledger;
use ledger::memory::MemoryStore;
use ledger::policy::Policy;
use ledger::retention::Retention;
use ledger::signer::{MemorySigner, Signer};
use ledger::time::Timestamp;
use ledger::value::{Actor, Digest, RecordId, Value};
use ledger::verify::verify;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use tlog::note::KeyName;
use tlog::signer::NoteSigner;

fn text<'a>(vectors: &'a Json, name: &str) -> &'a str {
    vectors[name].as_str().unwrap_or_else(|| panic!("the vectors have no text {name}"))
}

fn at(index: u64) -> Timestamp {
    let first = Timestamp::parse("2026-02-03T04:05:06.000Z").expect("a time").millis();
    Timestamp::from_millis(first + 1000 * index).expect("a time")
}

fn record(index: u64) -> Append {
    let bytes = (0..index * 37 % 130).map(|at| ((index * 31 + at) % 256) as u8).collect();
    Append {
        record_id: RecordId::parse(&format!("record-{index}")).expect("an id"),
        author: Author { on_behalf_of: Actor::parse("bob"), ..author("alice") },
        media_type: Value::parse("text/plain"),
        content: Content::Bytes(bytes),
        digest: None,
        retention: Retention::default(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_second_reading_makes_the_same_ledger() {
    let vectors: Json = serde_json::from_str(include_str!("../../../../vectors/ledger/ledger.json")).expect("JSON");
    let origin = KeyName::parse(text(&vectors, "origin")).expect("a name");
    let seed = Digest::parse(text(&vectors, "seed")).expect("32 bytes").0;
    let key = MemorySigner::new(NoteSigner::from_seed(origin, &seed).expect("a key"), None);
    assert_eq!(key.vkey().to_string(), text(&vectors, "vkey"));
    let policy = Policy::parse(text(&vectors, "policy")).expect("a policy");
    let made = Ledger::init(MemoryStore::new(), MemoryIndex::default(), key, (&policy, at(0)));
    let mut ledger = made.unwrap_or_else(|failure| panic!("{failure}"));
    let mut told: BTreeMap<u64, Appended> = BTreeMap::new();
    let sizes = vectors["sizes"].as_array().expect("a list").iter().map(|size| size.as_u64().expect("a number"));
    for (size, root) in sizes.zip(vectors["roots"].as_array().expect("a list")) {
        for index in ledger.size()..size {
            let answer = ledger.append(at(index), vec![record(index)]).expect("it is written").remove(0);
            told.insert(index, answer.expect("it is taken"));
        }
        ledger.publish().expect("it is published");
        assert_eq!(Some(hex(&ledger.root()).as_str()), root.as_str(), "size {size}");
    }
    for (index, entry) in vectors["entries"].as_object().expect("an object") {
        let found = ledger.view().entry(index.parse().expect("a number")).expect("it is read").expect("it is there");
        assert_eq!(Some(found.to_string().as_str()), entry.as_str());
    }
    assert_eq!(ledger.checkpoint().expect("there is one").to_string(), text(&vectors, "checkpoint"));
    assert_eq!(ledger.receipt(&told[&7]).to_string(), text(&vectors, "receipt_of_7"));
    let entries = ledger.view().read_since(7, 2).expect("it is read");
    assert_eq!(hex(&ledger::journal::encode(7, &entries)), text(&vectors, "journal_of_7_and_8"));
    let files: BTreeMap<String, String> =
        ledger.store().files().iter().map(|(path, bytes)| (path.to_string(), Digest::of(bytes).to_string())).collect();
    let wanted: BTreeMap<String, String> = vectors["files"]
        .as_object()
        .expect("an object")
        .iter()
        .map(|(path, digest)| (path.clone(), digest.as_str().expect("a text").to_owned()))
        .collect();
    let paths = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&files), paths(&wanted));
    assert_eq!(files, wanted);
    let report = verify(ledger.store(), ledger.signer().vkey()).expect("it is read");
    assert_eq!((report.problems.len(), report.entries), (0, 600));
}
