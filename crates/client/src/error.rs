//! What can go wrong, closed, and what to do about each.

use crate::migration::MigrationFault;
use crate::moving::{Moving, Why};
use crate::refusal::Refusal;
use core::fmt;
use protocol::event::EventError;
use protocol::{Code, CommitHash, EnclaveId, PublicKey, Rejection};
use std::path::PathBuf;

/// Why an operation has no result. [`Error::advice`] says what to do.
#[derive(Debug)]
pub enum Error {
    /// The node's address is no `http` or `https` URL.
    Address(String),
    /// The node could not be asked, or did not answer in time.
    Unreachable {
        /// What was asked.
        url: String,
        /// What the network said.
        cause: String,
        /// The request may have arrived all the same.
        sent: bool,
    },
    /// A commit was sent, no answer came, and the node could not be asked about it afterwards. Sending the same commit again is safe: the
    /// node stores it once.
    Undecided(CommitHash),
    /// The node has refused.
    Refused(Box<Refusal>),
    /// The enclave was handed to another node, and is not to be had there.
    Moving(Box<Moving>),
    /// A move to another node cannot be made, or went otherwise.
    Migration(MigrationFault),
    /// The answer does not hold. Nothing of it was kept or returned.
    False(Falsehood),
    /// The enclave's id proves nothing about who made it, and the caller has pinned neither its Manifest nor its sequencer.
    Unbound(EnclaveId),
    /// The operation needs an identity, and the handle has none.
    NoIdentity,
    /// The operating system gives no random bytes.
    Random,
    /// A kept file could not be read or written.
    Store {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A kept file holds what this software never wrote.
    Damaged(PathBuf),
    /// What was to be sent is refused before it leaves.
    Request(Rejection),
}

/// What a node said and what does not hold of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Falsehood {
    /// The answer has not the shape that is listed for it; unknown members count.
    Shape(Answer),
    /// It is about another enclave.
    OtherEnclave(EnclaveId),
    /// An event does not verify.
    Event {
        /// Its place, as it says.
        seq: u64,
        /// What fails.
        fault: EventError,
    },
    /// A receipt does not verify.
    Receipt(EventError),
    /// Signed by a key that was never the enclave's sequencer at this place.
    OtherSequencer {
        /// The place.
        seq: u64,
        /// The key.
        found: PublicKey,
    },
    /// The node that an enclave was handed to, or that serves it, has a key that the chain of Migrates does not lead to.
    NotTheSuccessor {
        /// The node's.
        claimed: PublicKey,
        /// The one that sequences, by what was verified.
        proved: PublicKey,
    },
    /// The Manifest is not the one that the id names or that was pinned.
    OtherManifest,
    /// The Manifest breaks a rule.
    Manifest(Rejection),
    /// A time that the node signed for a fresh request is more than a minute from the client's clock.
    Clock {
        /// As signed, milliseconds.
        given: u64,
        /// The client's, milliseconds.
        own: u64,
    },
    /// Events out of order, or one twice.
    Order {
        /// The place where the order breaks.
        seq: u64,
    },
    /// An event's `prev` is not the hash of the event before it.
    Chain {
        /// The later of the two.
        seq: u64,
    },
    /// Events are left out.
    Gap {
        /// The `seq`, or of one type the `type_seq`, that had to come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// An event that was not asked for.
    Unasked {
        /// Its place.
        seq: u64,
    },
    /// A page says that it goes on somewhere it does not.
    Next,
    /// A tree head is not signed by the sequencer.
    SthSignature,
    /// The log is smaller than it has been.
    SmallerTree {
        /// The size of the tree head that was kept.
        kept: u64,
        /// The size that was shown.
        shown: u64,
    },
    /// The time of the tree head lies before that of the one that was kept.
    OlderHead,
    /// The log does not continue the one that was seen before: history was rewritten.
    Rewritten {
        /// The size of the tree head that was kept.
        kept: u64,
        /// The size that was shown.
        shown: u64,
    },
    /// A checkpoint does not hold, or states another root than the tree head of its size.
    Checkpoint,
    /// Fewer witnesses have cosigned the heads log than the policy asks for.
    Unwitnessed,
    /// A proof does not hold.
    Proof(Answer),
    /// The log stands where the receipt's event is not.
    Dropped {
        /// The receipt's place.
        seq: u64,
    },
    /// A receipt promised an entry by now, and the log has none.
    Overdue {
        /// The receipt's place.
        seq: u64,
    },
    /// Two signed statements of one sequencer that exclude each other. [`crate::Store::keep_evidence`] has both.
    Equivocation {
        /// The place, or the size of the tree.
        at: u64,
    },
    /// A replay of the whole log leads elsewhere than the node says.
    Replay {
        /// The event or bundle where they part.
        at: u64,
        /// Which of the two, and in what.
        part: ReplayPart,
    },
}

/// Kinds of answers, as messages name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `GET /`.
    NodeInfo,
    /// `info/manifest`.
    Manifest,
    /// `info/enclave`.
    Enclave,
    /// A receipt.
    Receipt,
    /// A refusal.
    Refusal,
    /// A page of events.
    Events,
    /// Deliveries of a Pull or a push.
    Delivery,
    /// A tree head.
    Sth,
    /// A checkpoint.
    Checkpoint,
    /// A consistency proof.
    Consistency,
    /// An inclusion proof.
    Inclusion,
    /// A bundle membership proof.
    Bundle,
    /// A state proof.
    State,
    /// An answer that only says that it was done.
    Done,
    /// A snapshot.
    Snapshot,
    /// A frame on a socket.
    Frame,
    /// A sealed answer.
    Envelope,
    /// A proof that a head stands in the heads log.
    Heads,
}

/// Where a replay and a node part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayPart {
    /// The rules refuse an event that the node sequenced.
    Refused(Code),
    /// The event's position follows otherwise.
    Position,
    /// A bundle closes otherwise.
    Bundle,
    /// The log's root differs.
    Root,
    /// A state root differs.
    State,
}

impl Error {
    /// The refusal's code, where the node has refused.
    pub fn code(&self) -> Option<Code> {
        match self {
            Error::Refused(refusal) => Some(refusal.code),
            Error::Moving(_) => Some(Code::EnclaveMigrated),
            Error::Address(_)
            | Error::Unreachable { .. }
            | Error::Undecided(_)
            | Error::Migration(_)
            | Error::False(_)
            | Error::Unbound(_)
            | Error::NoIdentity
            | Error::Random
            | Error::Store { .. }
            | Error::Damaged(_)
            | Error::Request(_) => None,
        }
    }

    /// One sentence that says what to do.
    pub fn advice(&self) -> &'static str {
        match self {
            Error::Address(_) => "Give the node's address like http://127.0.0.1:8080.",
            Error::Unreachable { sent: false, .. } => "Check the address and that the node runs, then try again.",
            Error::Unreachable { sent: true, .. } => "Try again; if it goes on, ask the node's operator.",
            Error::Undecided(_) => "Send the same commit again: it is stored once, however often it is sent.",
            Error::Refused(refusal) => refusal.code.message(),
            Error::Moving(moving) => match moving.why {
                Why::Unsaid => "Ask an owner of the enclave where its node is.",
                Why::Plain => "Ask an owner of the enclave for the node's https address.",
                Why::NotYet | Why::Answer(_) => "Try again in a while; if it goes on, ask an owner of the enclave.",
            },
            Error::Migration(fault) => fault.advice(),
            Error::False(_) => {
                "Do not act on this answer. Keep what was kept of this enclave, ask another client what it sees, and ask the operator."
            }
            Error::Unbound(_) => {
                "Pin the Manifest's commit hash and the sequencer's key, both from somebody you trust."
            }
            Error::NoIdentity => "Open the enclave with an identity.",
            Error::Random => "The system's random source must be mended before keys can be made.",
            Error::Store { .. } => "Make the file's folder readable and writable, then try again.",
            Error::Damaged(_) => "Put the file back from a copy; removing it forgets what was kept of this enclave.",
            Error::Request(_) => "Correct the request.",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Address(text) => write!(f, "{text:?} is no address of a node"),
            Error::Unreachable { url, cause, .. } => write!(f, "no answer from {url}: {cause}"),
            Error::Undecided(hash) => write!(f, "the fate of commit {hash} is not known"),
            Error::Refused(refusal) => write!(f, "refused: {refusal}"),
            Error::Moving(moving) => moving.fmt(f),
            Error::Migration(fault) => fault.fmt(f),
            Error::False(falsehood) => write!(f, "the answer does not hold: {falsehood}"),
            Error::Unbound(id) => write!(f, "the id {id} is unbound: nothing proves who made it"),
            Error::NoIdentity => f.write_str("this needs an identity"),
            Error::Random => f.write_str("no random bytes from the system"),
            Error::Store { path, cause } => write!(f, "{}: {cause}", path.display()),
            Error::Damaged(path) => write!(f, "{} is damaged", path.display()),
            Error::Request(rejection) => write!(f, "not sent: {}", rejection.code.as_str()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Store { cause, .. } => Some(cause),
            Error::Address(_)
            | Error::Unreachable { .. }
            | Error::Undecided(_)
            | Error::Refused(_)
            | Error::Moving(_)
            | Error::Migration(_)
            | Error::False(_)
            | Error::Unbound(_)
            | Error::NoIdentity
            | Error::Random
            | Error::Damaged(_)
            | Error::Request(_) => None,
        }
    }
}

impl From<Falsehood> for Error {
    fn from(falsehood: Falsehood) -> Self {
        Error::False(falsehood)
    }
}

impl fmt::Display for Falsehood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Falsehood::Shape(answer) => write!(f, "{answer} of another shape than is listed"),
            Falsehood::OtherEnclave(id) => write!(f, "it is about enclave {id}"),
            Falsehood::Event { seq, fault } => write!(f, "event {seq}: {}", event_fault(*fault)),
            Falsehood::Receipt(fault) => write!(f, "receipt: {}", event_fault(*fault)),
            Falsehood::OtherSequencer { seq, found } => {
                write!(f, "event {seq} is signed by {found}, not the enclave's sequencer there")
            }
            Falsehood::NotTheSuccessor { claimed, proved } => {
                write!(f, "the node's key is {claimed}, and the Migrates lead to {proved}")
            }
            Falsehood::OtherManifest => f.write_str("the Manifest is not the one that the id names"),
            Falsehood::Manifest(rejection) => write!(f, "the Manifest breaks a rule ({:?})", rejection.detail),
            Falsehood::Clock { given, own } => {
                write!(f, "signed time {given} is over a minute from this clock's {own}")
            }
            Falsehood::Order { seq } => write!(f, "events out of order at {seq}"),
            Falsehood::Chain { seq } => write!(f, "event {seq} does not follow the one before it"),
            Falsehood::Gap { expected, found } => {
                write!(f, "{expected} had to come, {found} came: events are left out")
            }
            Falsehood::Unasked { seq } => write!(f, "event {seq} was not asked for"),
            Falsehood::Next => f.write_str("the page's continuation is not its last event"),
            Falsehood::SthSignature => f.write_str("the tree head is not signed by the enclave's sequencer"),
            Falsehood::SmallerTree { kept, shown } => write!(f, "the log had {kept} entries and is shown with {shown}"),
            Falsehood::OlderHead => f.write_str("the tree head is older than one that was seen before"),
            Falsehood::Rewritten { kept, shown } => {
                write!(f, "the log of {shown} entries does not continue the {kept} seen before: history was rewritten")
            }
            Falsehood::Checkpoint => f.write_str("the checkpoint does not hold or contradicts the tree head"),
            Falsehood::Unwitnessed => {
                f.write_str("the heads log is not cosigned by as many witnesses as the policy asks for")
            }
            Falsehood::Proof(answer) => write!(f, "{answer}: the hashes lead elsewhere"),
            Falsehood::Dropped { seq } => write!(f, "event {seq}, for which there is a receipt, is not in the log"),
            Falsehood::Overdue { seq } => {
                write!(f, "event {seq}, for which there is a receipt, is in no closed bundle long after its time")
            }
            Falsehood::Equivocation { at } => write!(f, "the sequencer has signed two histories at {at}"),
            Falsehood::Replay { at, part } => write!(f, "replay at {at}: {}", replay_part(*part)),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Answer::NodeInfo => "the node's description",
            Answer::Manifest => "the Manifest answer",
            Answer::Enclave => "the enclave's description",
            Answer::Receipt => "the receipt",
            Answer::Refusal => "the refusal",
            Answer::Events => "the page of events",
            Answer::Delivery => "the delivery",
            Answer::Sth => "the tree head",
            Answer::Checkpoint => "the checkpoint",
            Answer::Consistency => "the consistency proof",
            Answer::Inclusion => "the inclusion proof",
            Answer::Bundle => "the bundle proof",
            Answer::State => "the state proof",
            Answer::Done => "the confirmation",
            Answer::Snapshot => "the snapshot",
            Answer::Frame => "the frame",
            Answer::Envelope => "the sealed answer",
            Answer::Heads => "the heads proof",
        })
    }
}

/// What an event's fault means, in words.
pub fn event_fault(fault: EventError) -> &'static str {
    match fault {
        EventError::CommitHash => "the hash is not that of its members",
        EventError::AuthorSignature => "the author's signature does not verify",
        EventError::Window => "timestamp and expiry do not fit",
        EventError::SequencerSignature => "the sequencer's signature does not verify",
        EventError::Id => "the id is not that of the sequencer's signature",
        EventError::OtherCommit => "it is for another commit",
        EventError::OtherSequencer => "it is by another sequencer",
    }
}

fn replay_part(part: ReplayPart) -> String {
    match part {
        ReplayPart::Refused(code) => format!("the rules refuse the event ({})", code.as_str()),
        ReplayPart::Position => "the event stands elsewhere".into(),
        ReplayPart::Bundle => "the bundle closes otherwise".into(),
        ReplayPart::Root => "the log's root differs".into(),
        ReplayPart::State => "the state's root differs".into(),
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Error::Refused(Box::new(refusal))
    }
}
