//! What one accepted commit does: everything that the caller stores, in one durable transaction or not at all.

use crate::head::Head;
use alloc::vec::Vec;
use merkle::Hash;
use merkle::sparse::StateKey;
use protocol::event::Position;
use protocol::manifest::StateNumber;
use protocol::{EventHash, EventId, PublicKey};

/// The next event and its effects. The id is known once the event hash is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// What the sequencer adds to the commit.
    pub position: Position,
    /// What the sequencer signs.
    pub event_hash: EventHash,
    /// Changes of the state tree, each key at most once, in rising order of the paths.
    pub writes: Vec<Write>,
    /// The head after the event, its bundle still open.
    pub head: Head,
    /// The bundle ends with this event: it is full, or the event is a Migrate or a Terminate.
    pub close: bool,
    /// What an Update or a Delete refers to.
    pub refers: Option<Refers>,
    /// What becomes of the right to read of those who left, in order.
    pub retention: Vec<RetentionChange>,
}

/// A change of the state tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub key: StateKey,
    /// What.
    pub value: WriteValue,
}

/// What a key becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteValue {
    /// Absent.
    Remove,
    /// This value.
    Set(Hash),
    /// The id of the event whose transition this is.
    ThisEvent,
}

/// What an Update or a Delete acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refers {
    /// The event.
    pub event: EventId,
    /// What happens to it.
    pub kind: ReferKind,
}

/// Update or Delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferKind {
    /// A later content stands beside it.
    Update,
    /// Its content is served no more.
    Delete,
}

/// A change of what those who left may still read (readers with `retention: "snapshot"`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetentionChange {
    /// By its own Move the identity stopped matching these rows of `readers`: up to this event's `seq` it may go on reading by them.
    /// A later one takes the place of an earlier one of the same row.
    Left {
        /// Who.
        identity: PublicKey,
        /// The State that it left; denies of that State go on binding it.
        state: StateNumber,
        /// Indices into `readers`.
        rules: Vec<usize>,
    },
    /// The identity was moved by another: nothing that it kept remains.
    Forget {
        /// Who.
        identity: PublicKey,
    },
}
