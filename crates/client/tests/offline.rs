//! What needs no node: replay against the golden vectors, and the store on disk.

use base64ct::{Base64, Encoding};
use client::audit::audit_snapshot;
use client::replay::{Replay, root_of};
use client::{Error, FolderStore, MemoryStore, Pin, Store};
use protocol::entry::Entry;
use protocol::head::Sth;
use protocol::ids::hex;
use protocol::schnorr::KeyPair;
use protocol::verify;
use protocol::{EnclaveId, Event, Json};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

fn group(name: &str, at_least: usize) -> Vec<Value> {
    let path = format!("{}/../../vectors/enc-vectors.json", env!("CARGO_MANIFEST_DIR"));
    let all: Value = serde_json::from_str(&fs::read_to_string(path).expect("the vectors")).expect("JSON");
    let cases = all["groups"][name].as_array().expect("the group").clone();
    assert!(cases.len() >= at_least, "{name} has only {}", cases.len());
    cases
}

fn read(value: &Value) -> Json {
    protocol::json::parse(value.to_string().as_bytes(), 64).expect("within the rules")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn golden_events() -> (EnclaveId, Vec<Event>, Value) {
    let case = group("enclave", 1).remove(0);
    let events = case["expected"]["events"].as_array().expect("events");
    let events = events.iter().map(|event| Event::from_json(read(event)).expect("an event")).collect();
    let id = EnclaveId::parse(text(&case["expected"]["enclave"])).expect("an id");
    (id, events, case["expected"].clone())
}

fn entry(value: &Value) -> Entry {
    let bytes: [u8; 80] = protocol::ids::parse_hex(text(value)).expect("80 bytes");
    Entry::decode(&bytes).expect("an entry")
}

#[test]
fn a_replay_comes_to_the_golden_entries_and_states() {
    let (id, events, expected) = golden_events();
    let entries: Vec<Entry> = expected["entries"].as_array().expect("entries").iter().map(entry).collect();
    let counts: Vec<u64> = entries.iter().map(|entry| entry.count).collect();
    let roots = expected["state_root_after"].as_array().expect("roots");
    let mut replay = Replay::begin(&events[0], &verify::Pin::Bound(id), &counts).expect("the Manifest");
    assert_eq!(hex(&replay.state_root()), text(&roots[0]));
    for (event, root) in events[1..].iter().zip(&roots[1..]) {
        replay.push(event).expect("the rules admit it");
        assert_eq!(hex(&replay.state_root()), text(root), "after event {}", event.position.seq);
    }
    let replayed = replay.finish().expect("the whole log");
    assert_eq!((replayed.events, replayed.open_events), (7, 1));
    assert_eq!(replayed.entries, entries);
    assert_eq!(hex(&replayed.root), text(&expected["sth"]["root_hash"]));
    assert_eq!(replayed.root, root_of(&entries));
}

#[test]
fn a_replay_notices_what_is_left_out_and_what_is_exchanged() {
    let (id, events, _) = golden_events();
    for missing in 1..events.len() - 1 {
        let mut rest = events.clone();
        rest.remove(missing);
        let mut replay = Replay::begin(&rest[0], &verify::Pin::Bound(id), &[]).expect("the Manifest");
        let refused = rest[1..].iter().find_map(|event| replay.push(event).err());
        assert!(matches!(refused, Some(Error::False(_))), "without event {missing}");
    }
}

#[test]
fn snapshots_hold_or_not_as_the_vectors_say() {
    for case in group("snapshot", 1) {
        let bytes = Base64::decode_vec(text(&case["expected"]["base64"])).expect("base64");
        let (id, audited) = audit_snapshot(&bytes, None).expect("the golden snapshot");
        assert_eq!(id, golden_events().0);
        assert_eq!(audited.replayed.events, 7);
        // Any single bit: the whole file is under signatures and roots.
        for place in (0..bytes.len()).step_by(97) {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(audit_snapshot(&changed, None).is_err(), "bit 0 of byte {place}");
        }
    }
    for case in group("restore_bundles", 2) {
        let bytes = Base64::decode_vec(text(&case["input"]["snapshot_base64"])).expect("base64");
        let holds = case["expected"]["valid"].as_bool().expect("a verdict");
        assert_eq!(audit_snapshot(&bytes, None).is_ok(), holds, "{}", case["name"]);
    }
}

/// Counts that no sum of 64 bits holds: refused like any others that do not fit the events.
#[test]
fn counts_beyond_counting() {
    let mut bytes = Base64::decode_vec(text(&group("snapshot", 1)[0]["expected"]["base64"])).expect("base64");
    let place = bytes.windows(8).position(|name| name == b"\x67bundles").expect("the member") + 8;
    let count = usize::from(bytes[place] & 0x1f);
    let largest = [&[0x1b][..], &protocol::MAX_INTEGER.to_be_bytes()].concat();
    // An array of 2049: each count is small enough for JSON, their sum is above 2^64.
    let counts = [&[0x99, 0x08, 0x01][..], &largest.repeat(2049)].concat();
    bytes.splice(place..=place + count, counts);
    assert!(audit_snapshot(&bytes, None).is_err());
}

#[test]
fn a_pin_is_its_own_manifest_or_nothing() {
    let (id, events, _) = golden_events();
    let pin = Pin::of_manifest(id, events[0].clone(), None).expect("the golden Manifest");
    assert_eq!(Pin::from_json(pin.to_json()).expect("as it was written"), pin);
    let other = EnclaveId([9; 32]);
    assert!(Pin::of_manifest(other, events[0].clone(), None).is_err(), "another id");
    assert!(Pin::of_manifest(id, events[1].clone(), None).is_err(), "no Manifest");
    let mut forged = events[0].clone();
    forged.position.timestamp += 1;
    assert!(Pin::of_manifest(id, forged, None).is_err(), "another time than was signed");
}

/// A folder of its own that is cleared away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("enc-client-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the folder goes");
    }
}

fn heads(id: EnclaveId) -> [Sth; 3] {
    let key = KeyPair::from_secret(&[0x44; 32]).expect("a key");
    [(1, 10), (2, 5), (2, 20)].map(|(size, at)| Sth::sign(&key, id, at, size, [size as u8; 32]))
}

#[test]
fn both_stores_keep_the_largest_and_newest_head() {
    let (id, ..) = golden_events();
    let folder = Folder::new("heads");
    let stores: [&dyn Store; 2] = [&MemoryStore::default(), &FolderStore::new(&folder.0)];
    for store in stores {
        let [small, large, newest] = heads(id);
        assert_eq!(store.sth(&id).expect("readable"), None);
        for (given, kept) in [(small, small), (large, large), (small, large), (newest, newest), (large, newest)] {
            store.keep_sth(&given).expect("writable");
            assert_eq!(store.sth(&id).expect("readable"), Some(kept));
        }
    }
}

#[test]
fn the_folder_gives_back_what_was_kept_and_says_what_is_damaged() {
    let (id, events, _) = golden_events();
    let folder = Folder::new("kept");
    let store = FolderStore::new(&folder.0);
    assert_eq!(store.enclaves().expect("readable"), []);
    let pin = Pin::of_manifest(id, events[0].clone(), None).expect("the golden Manifest");
    store.keep_pin(&pin).expect("writable");
    assert_eq!(store.pin(&id).expect("readable"), Some(pin));
    assert_eq!(store.enclaves().expect("readable"), [id]);
    let receipts: Vec<_> = events.iter().map(Event::receipt).collect();
    for receipt in &receipts[..3] {
        store.keep_receipt(receipt).expect("writable");
    }
    let path = folder.0.join(id.hex()).join("receipts.ndjson");
    let whole = fs::read(&path).expect("readable");
    // A crash in the middle of a line takes that receipt only, and the next one does not stick to what is left of it.
    fs::write(&path, &whole[..whole.len() - 10]).expect("writable");
    assert_eq!(store.receipts(&id).expect("readable"), receipts[..2]);
    assert_eq!(store.newest_receipt(&id).expect("readable"), Some(receipts[1]));
    store.keep_receipt(&receipts[3]).expect("writable");
    assert_eq!(store.receipts(&id).expect("readable"), [receipts[0], receipts[1], receipts[3]]);
    for file in ["pin.json", "receipts.ndjson"] {
        fs::write(folder.0.join(id.hex()).join(file), "{}\n").expect("writable");
    }
    assert!(matches!(store.pin(&id), Err(Error::Damaged(_))));
    assert!(matches!(store.receipts(&id), Err(Error::Damaged(_))));
    assert!(matches!(store.newest_receipt(&id), Err(Error::Damaged(_))));
}

#[cfg(unix)]
#[test]
fn only_the_owner_reads_the_folder() {
    use std::os::unix::fs::PermissionsExt;
    let (id, events, _) = golden_events();
    let folder = Folder::new("private");
    let store = FolderStore::new(&folder.0);
    store.keep_pin(&Pin::of_manifest(id, events[0].clone(), None).expect("the golden Manifest")).expect("writable");
    store.keep_receipt(&events[0].receipt()).expect("writable");
    for file in ["", "pin.json", "receipts.ndjson", "lock"] {
        let mode = fs::metadata(folder.0.join(id.hex()).join(file)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file:?}");
    }
}
