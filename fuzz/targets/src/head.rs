//! Tree heads and log entries, as JSON and as the 80 bytes of an entry.

use crate::{Input, key, round_trip, value};
use protocol::EnclaveId;
use protocol::entry::{ENTRY_LEN, Entry};
use protocol::head::{HEADS_ENTRY_LEN, Sth, heads_entry};

/// A JSON object as a head or an entry; other bytes as an entry, and as the members of a head.
pub fn run(bytes: &[u8]) {
    if let Some(json) = value(bytes) {
        if let Some(sth) = round_trip(json.clone(), Sth::from_json, Sth::to_json) {
            head(&sth);
        }
        if let Some(entry) = round_trip(json, Entry::from_json, Entry::to_json) {
            assert_eq!(Entry::decode(&entry.encode()), Some(entry));
        }
        return;
    }
    if let Some(bytes) = bytes.first_chunk::<ENTRY_LEN>()
        && let Some(entry) = Entry::decode(bytes)
    {
        assert_eq!(entry.encode(), *bytes);
        assert_eq!(entry.index_of(entry.first_seq), Some(0));
        assert_eq!(entry.first_seq.checked_add(entry.count).and_then(|after| entry.index_of(after)), None);
    }
    let mut input = Input::new(bytes);
    let (enclave, root) = (EnclaveId(input.take()), input.take());
    let (timestamp, size) = (u64::from_be_bytes(input.take()), u64::from_be_bytes(input.take()));
    head(&Sth::sign(key(1), enclave, timestamp, size, root));
}

fn head(sth: &Sth) {
    let verified = sth.verify_for(&sth.enclave, &sth.sequencer);
    assert_eq!(verified.is_ok(), sth.verify().is_ok());
    let entry = heads_entry(&sth.enclave, sth.tree_size, &sth.root_hash);
    assert_eq!(entry.len(), HEADS_ENTRY_LEN);
    if verified.is_ok() {
        let altered = [
            Sth { timestamp: sth.timestamp ^ 1, ..*sth },
            Sth { tree_size: sth.tree_size ^ 1, ..*sth },
            Sth { root_hash: sth.root_hash.map(|byte| byte ^ 1), ..*sth },
        ];
        assert!(altered.iter().all(|altered| altered.verify().is_err()), "time, size and root are signed");
    }
}
