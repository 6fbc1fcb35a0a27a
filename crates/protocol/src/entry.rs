//! A closed bundle as one entry of the enclave's log: 80 bytes (`docs/protocol.md`, Log).

use crate::cbor::{Encoder, prefix};
use crate::code::Rejection;
use crate::fields::{Fields, wrong};
use crate::ids::{EventHash, hex};
use crate::json::Json;
use merkle::Hash;

/// Length of an entry in bytes.
pub const ENTRY_LEN: usize = 80;

/// A closed bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Root over the bundle's event ids.
    pub events_root: Hash,
    /// `H(0x22, event_hash of the last event, state_hash)`: blinded, so that tiles tell nobody who is a member.
    pub state_commit: Hash,
    /// The first event's `seq`.
    pub first_seq: u64,
    /// How many events, 1 to 4096.
    pub count: u64,
}

/// The second field of an entry.
pub fn state_commit(last_event: &EventHash, state_hash: &Hash) -> Hash {
    let mut input = Encoder::hash_input(prefix::STATE_COMMIT, 2);
    input.bytes(&last_event.0).bytes(state_hash);
    input.hash()
}

impl Entry {
    /// The 80 bytes.
    pub fn encode(&self) -> [u8; ENTRY_LEN] {
        let mut bytes = [0; ENTRY_LEN];
        bytes[..32].copy_from_slice(&self.events_root);
        bytes[32..64].copy_from_slice(&self.state_commit);
        bytes[64..72].copy_from_slice(&self.first_seq.to_be_bytes());
        bytes[72..].copy_from_slice(&self.count.to_be_bytes());
        bytes
    }

    /// Reads the 80 bytes; a count outside 1 to 4096 is none.
    pub fn decode(bytes: &[u8; ENTRY_LEN]) -> Option<Entry> {
        let (events_root, rest) = bytes.split_first_chunk::<32>()?;
        let (state_commit, rest) = rest.split_first_chunk::<32>()?;
        let (first_seq, rest) = rest.split_first_chunk::<8>()?;
        let count = u64::from_be_bytes(*rest.first_chunk::<8>()?);
        let entry = Entry {
            events_root: *events_root,
            state_commit: *state_commit,
            first_seq: u64::from_be_bytes(*first_seq),
            count,
        };
        entry.count_holds().then_some(entry)
    }

    /// Reads an entry out of a proof answer; a count outside 1 to 4096 is `invalid_structure`.
    pub fn from_json(value: Json) -> Result<Entry, Rejection> {
        let mut fields = Fields::of(value)?;
        let entry = Entry {
            events_root: fields.hex("events_root")?,
            state_commit: fields.hex("state_commit")?,
            first_seq: fields.uint("first_seq")?,
            count: fields.uint("count")?,
        };
        fields.finish()?;
        if entry.count_holds() { Ok(entry) } else { Err(wrong("count")) }
    }

    /// The entry as a proof answer shows it.
    pub fn to_json(&self) -> Json {
        Json::object([
            ("events_root", Json::from(hex(&self.events_root))),
            ("state_commit", Json::from(hex(&self.state_commit))),
            ("first_seq", Json::from(self.first_seq)),
            ("count", Json::from(self.count)),
        ])
    }

    fn count_holds(&self) -> bool {
        (1..=merkle::bundle::MAX_SIZE).contains(&self.count)
    }

    /// The entry's leaf hash in the log.
    pub fn leaf_hash(&self) -> Hash {
        merkle::log::leaf_hash(&self.encode())
    }

    /// The place of an event in the bundle, if it is in it.
    pub fn index_of(&self, seq: u64) -> Option<u64> {
        seq.checked_sub(self.first_seq).filter(|index| *index < self.count)
    }
}
