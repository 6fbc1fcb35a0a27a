//! Events and receipts: read, written back byte by byte, verified.

use crate::{key, round_trip, value};
use protocol::event::Content;
use protocol::{Commit, Event, Receipt};

/// Bytes as an event.
pub fn event(bytes: &[u8]) {
    let Some(event) = value(bytes).and_then(|value| round_trip(value, Event::from_json, Event::to_json)) else {
        return;
    };
    assert_eq!(event.verify().is_ok(), event.verified().is_ok());
    assert_eq!(event.receipt().event_hash(), event.event_hash());
    let Content::Present(content) = &event.content else { return };
    // The same commit at the same place, signed by a key at hand, holds as far as a sequencer can make it.
    let Event { hash, enclave, from, exp, sig, .. } = event;
    let (event_type, content, tags) = (event.event_type.clone(), content.clone(), event.tags.clone());
    let commit = Commit { hash, enclave, from, event_type, content, exp, tags, sig };
    let mut position = event.position;
    position.sequencer = key(1).public();
    let again = Event::sequence(commit.clone(), position, key(1));
    assert!(again.receipt().verify_signature().is_ok());
    let window = protocol::event::within_window(exp, position.timestamp);
    assert_eq!(again.verify().is_ok(), commit.verify().is_ok() && window);
}

/// Bytes as a receipt.
pub fn receipt(bytes: &[u8]) {
    let read = value(bytes).and_then(|value| round_trip(value, Receipt::from_json, Receipt::to_json));
    let Some(receipt) = read else { return };
    if receipt.verify_signature().is_ok() {
        let mut altered = receipt;
        altered.position.seq ^= 1;
        assert!(altered.verify_signature().is_err(), "seq is signed");
        let mut altered = receipt;
        altered.id.0[31] ^= 1;
        assert!(altered.verify_signature().is_err(), "the id is the signature's");
    }
}
