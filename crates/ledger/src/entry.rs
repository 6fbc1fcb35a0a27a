//! The entries of a ledger (ledger.md 2): what is hashed into the tree.

use alloc::string::String;

use crate::time::{Timestamp, Until};
use crate::value::{Actor, Case, ClassName, Digest, Mark, RecordId, Value};

/// One entry: its place, its time, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its 0-based place in the log.
    pub index: u64,
    /// When it was sequenced; never before the entry before it.
    pub time: Timestamp,
    /// What it says.
    pub body: Body,
}

/// The kinds of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A payload is kept.
    Record,
    /// A legal case holds records.
    Hold,
    /// A case lets go.
    Release,
    /// A record is kept until another date.
    Retain,
    /// A record's payload goes.
    Dispose,
    /// Another key signs.
    Key,
    /// The rules of this ledger.
    Policy,
    /// Somebody did something; in audit ledgers only.
    Audit,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 8] =
        [Kind::Record, Kind::Hold, Kind::Release, Kind::Retain, Kind::Dispose, Kind::Key, Kind::Policy, Kind::Audit];

    /// As entries write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Record => "record",
            Kind::Hold => "hold",
            Kind::Release => "release",
            Kind::Retain => "retain",
            Kind::Dispose => "dispose",
            Kind::Key => "key",
            Kind::Policy => "policy",
            Kind::Audit => "audit",
        }
    }
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A payload is kept.
    Record(Record),
    /// A legal case holds records.
    Hold(Hold),
    /// A case lets go.
    Release(Release),
    /// A record is kept until another date.
    Retain(Retain),
    /// A record's payload goes.
    Dispose(Dispose),
    /// Another key signs from the next size on.
    Key(Statement),
    /// The whole policy.
    Policy(Statement),
    /// Somebody did something.
    Audit(Audit),
}

impl Body {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Body::Record(_) => Kind::Record,
            Body::Hold(_) => Kind::Hold,
            Body::Release(_) => Kind::Release,
            Body::Retain(_) => Kind::Retain,
            Body::Dispose(_) => Kind::Dispose,
            Body::Key(_) => Kind::Key,
            Body::Policy(_) => Kind::Policy,
            Body::Audit(_) => Kind::Audit,
        }
    }

    /// The payload that it names, if it is of a kind that has one.
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Body::Record(record) => Some(&record.payload),
            Body::Hold(hold) => Some(&hold.payload),
            Body::Key(statement) | Body::Policy(statement) => Some(&statement.payload),
            Body::Release(_) | Body::Retain(_) | Body::Dispose(_) | Body::Audit(_) => None,
        }
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Author {
    /// The token's name.
    pub actor: Actor,
    /// The person it acted for.
    pub on_behalf_of: Option<Actor>,
}

/// What a payload is and where it stands. It never stands in the entry: what is hashed into the tree can never go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Payload {
    /// Its length in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
    /// Where it stands.
    pub placement: Placement,
}

/// Where a payload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Placement {
    /// Among the small payloads of the entry's bundle.
    Pack,
    /// In a file of its own, by its digest.
    Blob,
}

/// Who may change a retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// An admin may shorten it, with a reason.
    Governance,
    /// Nobody may.
    Compliance,
}

/// `record`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub record_id: RecordId,
    /// Who appended it.
    pub author: Author,
    /// What the payload is said to be.
    pub media_type: Value,
    /// The payload, as stored.
    pub payload: Payload,
    /// Of an encrypted class: HMAC of the plaintext.
    pub plain_mac: Option<Digest>,
    /// Its class.
    pub class: Option<ClassName>,
    /// Kept until.
    pub retain_until: Option<Until>,
    /// Who may change that.
    pub retention_mode: Option<Mode>,
}

/// `hold`; the payload says which records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The case.
    pub case: Case,
    /// Who placed it.
    pub author: Author,
    /// Why.
    pub reason: Value,
    /// A [`crate::hold::HoldScope`].
    pub payload: Payload,
}

/// `release`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The case.
    pub case: Case,
    /// Who released it.
    pub author: Author,
    /// Why.
    pub reason: Value,
}

/// `retain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retain {
    /// The record's index.
    pub target: u64,
    /// Who set it.
    pub author: Author,
    /// The class that it follows from.
    pub class: Option<ClassName>,
    /// The event that it is counted from.
    pub event: Option<Mark>,
    /// Kept until.
    pub retain_until: Until,
    /// Who may change that.
    pub retention_mode: Option<Mode>,
    /// Why.
    pub reason: Value,
}

/// `dispose`: the tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispose {
    /// The record's index.
    pub target: u64,
    /// Who disposed of it.
    pub author: Author,
    /// Why.
    pub reason: Value,
    /// What became of the payload.
    pub fate: Fate,
}

/// What a disposal does to the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It goes.
    Removed,
    /// Another entry that is not disposed of names the same blob: it stays.
    Shared,
}

/// `key` and `policy`: the payload says all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Who made it.
    pub actor: Actor,
    /// A note, or a policy.
    pub payload: Payload,
}

/// `audit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// What was done.
    pub action: Mark,
    /// To what: `entry:<index>`, `record:<id>`, `case:<case>`, else a path.
    pub target: Option<Value>,
    /// By whom.
    pub author: Author,
    /// Status and code.
    pub result: Value,
    /// From where.
    pub peer: Option<Mark>,
    /// By which request.
    pub request_id: Option<Mark>,
}

impl Mode {
    /// As entries write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Governance => "governance",
            Mode::Compliance => "compliance",
        }
    }

    /// Reads a mode.
    pub fn parse(text: &str) -> Option<Mode> {
        [Mode::Governance, Mode::Compliance].into_iter().find(|mode| mode.as_str() == text)
    }
}

impl Placement {
    /// As entries write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Placement::Pack => "pack",
            Placement::Blob => "blob",
        }
    }

    /// Reads a placement.
    pub fn parse(text: &str) -> Option<Placement> {
        [Placement::Pack, Placement::Blob].into_iter().find(|placement| placement.as_str() == text)
    }
}

impl Fate {
    /// As entries write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Fate::Removed => "removed",
            Fate::Shared => "shared",
        }
    }

    /// Reads a fate.
    pub fn parse(text: &str) -> Option<Fate> {
        [Fate::Removed, Fate::Shared].into_iter().find(|fate| fate.as_str() == text)
    }
}

/// The text of an entry, for those that show it.
impl core::fmt::Display for Entry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let text: String = crate::entry_text::format(self);
        f.write_str(&text)
    }
}
