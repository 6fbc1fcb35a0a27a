//! What the rules read of an enclave: a trait, so that never the whole state is in memory.

use alloc::string::String;
use merkle::Hash;
use protocol::state::StateName;
use protocol::{CommitHash, EventId, PublicKey, Receipt};

/// What stands under a key of the state tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Nothing.
    Absent,
    /// This value.
    Value(Hash),
    /// The 21-byte key belongs to another raw key: absent when read, `bad_state` when written.
    Taken,
}

impl Slot {
    /// The value as a reader sees it.
    pub fn value(self) -> Option<Hash> {
        match self {
            Slot::Value(value) => Some(value),
            Slot::Absent | Slot::Taken => None,
        }
    }
}

/// The event that an Update or a Delete refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referred {
    /// Its type.
    pub event_type: String,
    /// Its author.
    pub from: PublicKey,
    /// Its place in the enclave.
    pub seq: u64,
}

/// A read-only view of one enclave as it stands after its last event.
pub trait View {
    /// Why something could not be read. It ends the judgement; nothing follows from it.
    type Error;

    /// What stands under a name of the running state tree.
    fn slot(&self, name: &StateName<'_>) -> Result<Slot, Self::Error>;

    /// The event of this enclave that has this id.
    fn referred(&self, id: &EventId) -> Result<Option<Referred>, Self::Error>;

    /// How many events of this type there are: the next `type_seq`.
    fn type_count(&self, event_type: &str) -> Result<u64, Self::Error>;

    /// The receipt of the stored commit that has this hash.
    fn stored(&self, hash: &CommitHash) -> Result<Option<Receipt>, Self::Error>;
}
