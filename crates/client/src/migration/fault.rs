//! Why a move cannot be made.

use core::fmt;
use protocol::PublicKey;

/// Why a move to another node cannot be made, or went otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MigrationFault {
    /// The node has another key than the caller expects.
    OtherKey {
        /// What the node says.
        said: PublicKey,
        /// What the caller expects.
        expected: PublicKey,
    },
    /// The node sequences the enclave already, or has the key that does.
    SameNode,
    /// The node at hand does not sequence the enclave.
    NotHere,
    /// The new node has a log of this enclave already, which cannot be gone on with.
    Known,
    /// The new node takes no log as large as this.
    TooLarge {
        /// Bytes of the log.
        len: u64,
        /// What the node takes.
        limit: u64,
    },
    /// Commits kept coming between the question where the log stands and the Migrate that names it.
    Busy,
    /// The log was handed to another key.
    MovedElsewhere(PublicKey),
    /// What the old node gives away does not end in the Migrate.
    OtherLog,
    /// The new node has the log and does not sequence it.
    NotTakenUp,
    /// Another move of this enclave was begun and not finished.
    Unfinished {
        /// Where to.
        to: String,
    },
    /// No move of this enclave was begun.
    NothingBegun,
}

impl MigrationFault {
    /// One sentence that says what to do.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            MigrationFault::OtherKey { .. } => "Ask the node's operator for its key. Nothing was done.",
            MigrationFault::SameNode => "Nothing is to be done.",
            MigrationFault::NotHere => "Ask the node that sequences it (--node URL).",
            MigrationFault::Known => {
                "A node takes a log that it has not had. Move to another node, or have its operator put the old copy away."
            }
            MigrationFault::TooLarge { .. } => "Ask the node's operator to raise limits.restore_bytes.",
            MigrationFault::Busy => "Pause the enclave, or have its authors wait, and run this again.",
            MigrationFault::MovedElsewhere(_) => "Move it to the node of that key.",
            MigrationFault::OtherLog => "Run this again; if it goes on, ask the old node's operator.",
            MigrationFault::NotTakenUp => {
                "The node took this Migrate up before and has lost what came after, or it was restored without saying that it is the first time. \
                 Ask its operator."
            }
            MigrationFault::Unfinished { .. } => "Finish that one first: run the same command with --resume.",
            MigrationFault::NothingBegun => "Say where to with --to URL.",
        }
    }
}

impl fmt::Display for MigrationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MigrationFault::OtherKey { said, expected } => write!(f, "the node's key is {said}, not {expected}"),
            MigrationFault::SameNode => f.write_str("the enclave is sequenced there already"),
            MigrationFault::NotHere => f.write_str("the node does not sequence the enclave"),
            MigrationFault::Known => f.write_str("the new node has a log of this enclave already"),
            MigrationFault::TooLarge { len, limit } => {
                write!(f, "the log has {len} bytes, and the new node takes {limit}")
            }
            MigrationFault::Busy => {
                f.write_str("commits keep coming: the Migrate names a place that is past when it arrives")
            }
            MigrationFault::MovedElsewhere(key) => write!(f, "the log was handed to the key {key}"),
            MigrationFault::OtherLog => f.write_str("the old node's log does not end in the Migrate"),
            MigrationFault::NotTakenUp => f.write_str("the new node has the log, and does not sequence it"),
            MigrationFault::Unfinished { to } => write!(f, "a move of this enclave to {to} is not finished"),
            MigrationFault::NothingBegun => f.write_str("no move of this enclave was begun"),
        }
    }
}
