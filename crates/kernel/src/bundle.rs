//! Closing a bundle: the open events become one entry of the log (`docs/protocol.md`, State and log).

use crate::head::Head;
use alloc::vec::Vec;
use merkle::Hash;
use protocol::EventId;
use protocol::entry::{Entry, state_commit};

/// A bundle that has closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// What the caller appends to the log, then setting `tree_size` and `root` of the head.
    pub entry: Entry,
    /// The time of the tree head over it, in milliseconds; never less than that of the one before.
    pub timestamp: u64,
}

/// Closes the open bundle. `ids` are its events in order, `state_root` the state tree after the last of them. `at` is the time of closing:
/// the last event's timestamp when it was full or ended by a Migrate or a Terminate, [`Head::due`] when its time was up, else `t`.
/// `previous` is the timestamp of the newest tree head.
///
/// # Panics
/// When no bundle is open or `ids` are not as many as the head counts: the caller's rows contradict its head.
pub fn close(head: &mut Head, ids: &[EventId], state_root: &Hash, at: u64, previous: u64) -> Closing {
    let open = head.open.take().expect("only an open bundle is closed");
    assert_eq!(open.count, ids.len() as u64, "the head counts the events of its open bundle");
    let leaves: Vec<Hash> = ids.iter().map(|id| id.0).collect();
    let entry = Entry {
        events_root: merkle::bundle::root(&leaves),
        state_commit: state_commit(&head.prev, state_root),
        first_seq: open.first_seq,
        count: open.count,
    };
    Closing { entry, timestamp: at.max(previous) }
}
