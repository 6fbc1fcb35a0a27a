//! What the next event of an enclave depends on, besides its state tree.

use merkle::Hash;
use protocol::manifest::BundlePolicy;
use protocol::state::Lifecycle;
use protocol::{EnclaveId, EventHash, PublicKey};

/// One small record an enclave, replaced whole by each transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The enclave.
    pub enclave: EnclaveId,
    /// Whether the id is derived from the Manifest; an unbound one was provisioned.
    pub bound: bool,
    /// Who signs the next event.
    pub sequencer: PublicKey,
    /// Whether this node may sign for it.
    pub live: bool,
    /// The next `seq`, at least 1.
    pub next_seq: u64,
    /// The last event's timestamp, in milliseconds.
    pub last_timestamp: u64,
    /// The last event's hash.
    pub prev: EventHash,
    /// Whether it takes commits.
    pub lifecycle: Lifecycle,
    /// Where a Migrate sent it. It stays after [`Head::take_up`] until the next event, which takes the lifecycle leaf away.
    pub migrated_to: Option<PublicKey>,
    /// How many hold the trait `owner`, or, where none is declared, are in State `OWNER`.
    pub owners: u64,
    /// Closed bundles.
    pub tree_size: u64,
    /// The log's root over them.
    pub root: Hash,
    /// The bundle that is still open, if it has an event.
    pub open: Option<OpenBundle>,
}

/// Events that are in no log entry yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenBundle {
    /// `seq` of the first.
    pub first_seq: u64,
    /// Timestamp of the first, in milliseconds.
    pub first_timestamp: u64,
    /// How many, at least 1.
    pub count: u64,
}

impl Head {
    /// When the open bundle closes at the latest: whatever is judged or answered at this time or later sees it closed as of then.
    pub fn due(&self, policy: BundlePolicy) -> Option<u64> {
        let open = self.open?;
        Some(open.first_timestamp.saturating_add(u64::from(policy.timeout_ms)))
    }

    /// The last event's `seq`.
    pub fn last_seq(&self) -> u64 {
        self.next_seq.saturating_sub(1)
    }

    /// Goes on after a Migrate with the sequencer that it named: Active again, live; `seq` and log go on. Whether this node may do so is
    /// the caller's to know (fencing). Without a Migrate nothing changes and the answer is false.
    pub fn take_up(&mut self) -> bool {
        match (self.lifecycle, self.migrated_to) {
            (Lifecycle::Migrated, Some(sequencer)) => {
                self.sequencer = sequencer;
                self.lifecycle = Lifecycle::Active;
                self.live = true;
                true
            }
            (Lifecycle::Active | Lifecycle::Paused | Lifecycle::Terminated, _) | (Lifecycle::Migrated, None) => false,
        }
    }
}
