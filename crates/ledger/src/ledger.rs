//! One open ledger: its state, and what can be wrong with it.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use merkle::Hash;
use tlog::checkpoint::Origin;
use tlog::note::Note;

use crate::edge::{Edge, TileFile};
use crate::index::{Index, IndexFault};
use crate::path::ObjectPath;
use crate::policy::Policy;
use crate::reading::View;
use crate::rejection::Rejection;
use crate::signer::{SignFault, Signer};
use crate::store::{Store, StoreError};
use crate::time::Timestamp;

/// The bytes of an entry, shared by those that read it.
pub type EntryBytes = Arc<[u8]>;

/// The longest entry, in bytes.
pub const MAX_ENTRY_LEN: usize = tlog::entry_bundle::MAX_ENTRY_LEN;
/// The most entries of one write, so that recovery knows how far a torn one can have reached.
pub const MAX_BATCH: usize = 4096;
/// The longest origin, in bytes.
pub const MAX_ORIGIN_LEN: usize = 255;

/// One ledger, open for writing. Exactly one may be open on a store; the host's lock sees to that.
pub struct Ledger<S, I, K> {
    pub(crate) store: S,
    pub(crate) index: I,
    pub(crate) signer: K,
    pub(crate) origin: Origin,
    pub(crate) policy: Policy,
    pub(crate) log: Log,
    pub(crate) journal: JournalFile,
    pub(crate) degraded: bool,
}

/// The log as it is acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) edge: Edge,
    /// What the newest checkpoint covers.
    pub(crate) published: u64,
    /// The newest checkpoint, if there is one.
    pub(crate) note: Option<Note>,
    /// Entries from `published` on.
    pub(crate) tail: VecDeque<EntryBytes>,
    /// Tiles and bundles that have become full since.
    pub(crate) fresh: Vec<TileFile>,
    /// Bytes in the open bundle's pack.
    pub(crate) pack_len: u64,
    pub(crate) last_time: Option<Timestamp>,
}

impl Log {
    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }
}

/// The journal file that is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JournalFile {
    pub(crate) path: ObjectPath,
    /// How long it is with all that is acknowledged.
    pub(crate) len: u64,
}

impl<S: Store, I: Index, K: Signer> Ledger<S, I, K> {
    /// The origin.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The rules as they are.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How many entries are acknowledged.
    pub fn size(&self) -> u64 {
        self.log.size()
    }

    /// How many entries the newest checkpoint covers.
    pub fn published(&self) -> u64 {
        self.log.published
    }

    /// The root over all that is acknowledged.
    pub fn root(&self) -> Hash {
        self.log.edge.root()
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> Option<&Note> {
        self.log.note.as_ref()
    }

    /// Whether a failed write could not be undone, so that nothing is appended until the ledger is opened again.
    pub fn is_degraded(&self) -> bool {
        self.degraded
    }

    /// The entries that no checkpoint covers yet.
    pub fn tail(&self) -> impl ExactSizeIterator<Item = &EntryBytes> {
        self.log.tail.iter()
    }

    /// What is read by place.
    pub fn view(&self) -> View<'_, S> {
        View { store: &self.store, published: self.log.published, tail: &self.log.tail }
    }

    /// What is looked up.
    pub fn index(&self) -> &I {
        &self.index
    }

    /// The key.
    pub fn signer(&self) -> &K {
        &self.signer
    }

    /// The files.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The files, for a host that stages payloads; whatever it stages, it says in [`crate::append::Content::Staged`].
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// Lets go of everything.
    pub fn into_parts(self) -> (S, I, K) {
        (self.store, self.index, self.signer)
    }
}

/// What is wrong with a ledger's files, its index or its key: not with what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A file.
    Store(StoreError),
    /// The index.
    Index(IndexFault),
    /// The key.
    Sign(SignFault),
    /// There is no ledger here; it is made by `init`.
    NotInitialised,
    /// There is one already, or the beginning of another.
    AlreadyInitialised,
    /// A file is not what the rest of the ledger says it is.
    Damaged {
        /// Which.
        path: ObjectPath,
        /// What is wrong.
        damage: Damage,
    },
    /// The folder is older than what is known of it outside.
    RolledBack {
        /// How many entries the folder has.
        size: u64,
        /// How many it had.
        known: u64,
    },
    /// An earlier write failed and could not be undone.
    Degraded,
}

/// What can be wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// It is not there.
    Missing,
    /// It is shorter than what it must hold.
    Short,
    /// It is longer than what it may hold, or should not be there.
    Surplus,
    /// It is not of its format.
    Form,
    /// It is not signed by the key that has to have signed it.
    Signature,
    /// It is of another ledger.
    OtherLedger,
    /// The tree says another hash.
    Hash,
    /// The checkpoint says another root.
    Root,
    /// An entry says another index than its place.
    Place,
    /// An entry has an earlier time than the one before it.
    Time,
    /// An entry says another digest.
    Digest,
    /// It says another thing than the entry that it belongs to.
    Contradiction,
}

impl Damage {
    /// In words, after the name of a file.
    pub fn as_str(self) -> &'static str {
        match self {
            Damage::Missing => "is missing",
            Damage::Short => "is too short",
            Damage::Surplus => "holds too much, or should not be there",
            Damage::Form => "is malformed",
            Damage::Signature => "is not signed by the ledger's key",
            Damage::OtherLedger => "is of another ledger",
            Damage::Hash => "does not hold what the tree says",
            Damage::Root => "does not have the root of the entries",
            Damage::Place => "holds an entry of another place",
            Damage::Time => "holds an entry with an earlier time than the one before it",
            Damage::Digest => "does not have the digest that its entry says",
            Damage::Contradiction => "contradicts the log",
        }
    }
}

impl Fault {
    pub(crate) fn damaged(path: ObjectPath, damage: Damage) -> Fault {
        Fault::Damaged { path, damage }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::Store(error)
    }
}

impl From<IndexFault> for Fault {
    fn from(fault: IndexFault) -> Fault {
        Fault::Index(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Store(error) => error.fmt(f),
            Fault::Index(fault) => fault.fmt(f),
            Fault::Sign(fault) => fault.fmt(f),
            Fault::NotInitialised => f.write_str("there is no ledger here"),
            Fault::AlreadyInitialised => f.write_str("there is a ledger here already"),
            Fault::Damaged { path, damage } => write!(f, "{path} {}", damage.as_str()),
            Fault::RolledBack { size, known } => {
                write!(f, "rolled back: {size} entries are here, and {known} are known to have been")
            }
            Fault::Degraded => f.write_str("a write failed and could not be undone: open the ledger again"),
        }
    }
}

impl core::error::Error for Fault {}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A rule refuses it; nothing has changed.
    Rejected(Rejection),
    /// It could not be done.
    Fault(Fault),
}

impl<F: Into<Fault>> From<F> for Failure {
    fn from(fault: F) -> Failure {
        Failure::Fault(fault.into())
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Failure {
        Failure::Rejected(rejection)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Rejected(rejection) => rejection.fmt(f),
            Failure::Fault(fault) => fault.fmt(f),
        }
    }
}

impl core::error::Error for Failure {}
