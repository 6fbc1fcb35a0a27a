//! What a crash must not do.

use crate::encd::NotStarted;
use protocol::EnclaveId;
use std::fmt;

/// Why what survived is not what was promised.
#[derive(Debug)]
pub enum Failure {
    /// The node does not start on it.
    NotStarted(NotStarted),
    /// The node takes it for an older copy of itself.
    RolledBack,
    /// An event that a client was told of is not there.
    Lost {
        /// How the client heard of it.
        told: Told,
        /// Its enclave.
        enclave: EnclaveId,
        /// Its place.
        seq: u64,
        /// What there is instead, or why it cannot be read.
        instead: String,
    },
    /// Another event stands in its place.
    Other {
        /// How the client heard of it.
        told: Told,
        /// Its enclave.
        enclave: EnclaveId,
        /// Its place.
        seq: u64,
    },
    /// What came by a subscription or by push leaves something out, or repeats it otherwise.
    Order {
        /// By which way.
        told: Told,
        /// Its enclave.
        enclave: EnclaveId,
        /// The place that should have come.
        expected: u64,
        /// The place that came.
        found: u64,
    },
    /// A tree head that a client has seen does not belong to this log.
    Head {
        /// Its enclave.
        enclave: EnclaveId,
        /// Its size.
        tree_size: u64,
        /// The size of the tree that there is.
        survived: u64,
    },
    /// The SDK does not believe the node, or is refused.
    Unbelieved {
        /// The enclave.
        enclave: EnclaveId,
        /// What was asked.
        asked: &'static str,
        /// The SDK's words.
        error: String,
    },
    /// A commit that must be taken, or answered as a duplicate, is not.
    Refused {
        /// The enclave.
        enclave: EnclaveId,
        /// What the node said.
        answer: String,
    },
    /// Something was answered, while the node was well, with an error that nothing explains.
    Unexpected(String),
    /// An event is in the log and nobody was told.
    Unanswered {
        /// The enclave.
        enclave: EnclaveId,
        /// Its place.
        seq: u64,
    },
}

/// How a client came to know of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// By its receipt.
    Receipt,
    /// By a subscription.
    Subscription,
    /// By push.
    Push,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Told::Receipt => "receipt",
            Told::Subscription => "event of a subscription",
            Told::Push => "event that was pushed",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotStarted(error) => write!(f, "{error}"),
            Failure::RolledBack => {
                f.write_str("the node takes its database for an older copy, although nobody put one there")
            }
            Failure::Lost { told, enclave, seq, instead } => {
                write!(f, "lost: the {told} of seq {seq} in {enclave}; {instead}")
            }
            Failure::Other { told, enclave, seq } => {
                write!(f, "rewritten: the {told} of seq {seq} in {enclave}; something else stands there")
            }
            Failure::Order { told, enclave, expected, found } => {
                write!(f, "out of order: the {told} of seq {expected} in {enclave} was due, {found} came")
            }
            Failure::Head { enclave, tree_size, survived } => {
                write!(
                    f,
                    "the tree head of size {tree_size} of {enclave} does not belong to its log of {survived} entries"
                )
            }
            Failure::Unbelieved { enclave, asked, error } => write!(f, "{asked} of {enclave}: {error}"),
            Failure::Refused { enclave, answer } => write!(f, "{enclave} does not go on: {answer}"),
            Failure::Unexpected(answer) => write!(f, "under load the node answered {answer}"),
            Failure::Unanswered { enclave, seq } => write!(f, "committed and not answered: seq {seq} in {enclave}"),
        }
    }
}
