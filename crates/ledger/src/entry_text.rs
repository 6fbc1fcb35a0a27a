//! The text of an entry: `worm-entry v1`, then a line `name: value` for each member, in one order, each name once.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use crate::entry::{
    Audit, Author, Body, Dispose, Entry, Fate, Hold, Kind, Mode, Payload, Placement, Record, Release, Retain, Statement,
};
use crate::time::{Timestamp, Until};
use crate::value::{Actor, Case, ClassName, Digest, Mark, RecordId, Value, parse_number};

/// The first line.
const HEADER: &str = "worm-entry v1\n";

/// The names of each kind behind `index`, `time`, `kind`, in their order.
fn names(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Record => &[
            "record-id",
            "actor",
            "on-behalf-of",
            "media-type",
            "size",
            "sha256",
            "payload",
            "plain-mac",
            "class",
            "retain-until",
            "retention-mode",
        ],
        Kind::Hold => &["case", "actor", "on-behalf-of", "reason", "size", "sha256", "payload"],
        Kind::Release => &["case", "actor", "on-behalf-of", "reason"],
        Kind::Retain => {
            &["target", "actor", "on-behalf-of", "class", "event", "retain-until", "retention-mode", "reason"]
        }
        Kind::Dispose => &["target", "actor", "on-behalf-of", "reason", "payload"],
        Kind::Key | Kind::Policy => &["actor", "size", "sha256", "payload"],
        Kind::Audit => &["action", "target", "actor", "on-behalf-of", "result", "peer", "request-id"],
    }
}

/// Why bytes are not an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryError {
    /// Not UTF-8, another first line, or no line feed at the end.
    Form,
    /// A line is not a name, a colon, a space and a value.
    Line,
    /// A name stands twice.
    Twice,
    /// A name stands before one that it has to follow.
    Order,
    /// A member of its kind is missing.
    Missing(&'static str),
    /// A member has a value that it cannot have.
    Value(&'static str),
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EntryError::Form => f.write_str("not the text of an entry"),
            EntryError::Line => f.write_str("entry has a malformed line"),
            EntryError::Twice => f.write_str("entry has a name twice"),
            EntryError::Order => f.write_str("entry has its names in another order"),
            EntryError::Missing(name) => write!(f, "entry has no {name}"),
            EntryError::Value(name) => write!(f, "entry has a malformed {name}"),
        }
    }
}

impl core::error::Error for EntryError {}

/// The one text of an entry.
pub fn format(entry: &Entry) -> String {
    let mut out = Lines(HEADER.to_owned());
    out.line("index", entry.index).line("time", entry.time).line("kind", entry.body.kind().as_str());
    match &entry.body {
        Body::Record(record) => {
            out.line("record-id", &record.record_id).author(&record.author).line("media-type", &record.media_type);
            out.payload(&record.payload).maybe("plain-mac", &record.plain_mac).maybe("class", &record.class);
            out.maybe("retain-until", &record.retain_until);
            out.maybe("retention-mode", &record.retention_mode.map(Mode::as_str));
        }
        Body::Hold(hold) => {
            out.line("case", &hold.case).author(&hold.author).line("reason", &hold.reason).payload(&hold.payload);
        }
        Body::Release(release) => {
            out.line("case", &release.case).author(&release.author).line("reason", &release.reason);
        }
        Body::Retain(retain) => {
            out.line("target", retain.target).author(&retain.author);
            out.maybe("class", &retain.class).maybe("event", &retain.event).line("retain-until", retain.retain_until);
            out.maybe("retention-mode", &retain.retention_mode.map(Mode::as_str)).line("reason", &retain.reason);
        }
        Body::Dispose(dispose) => {
            out.line("target", dispose.target).author(&dispose.author);
            out.line("reason", &dispose.reason).line("payload", dispose.fate.as_str());
        }
        Body::Key(statement) | Body::Policy(statement) => {
            out.line("actor", &statement.actor).payload(&statement.payload);
        }
        Body::Audit(audit) => {
            out.line("action", &audit.action).maybe("target", &audit.target).author(&audit.author);
            out.line("result", &audit.result).maybe("peer", &audit.peer).maybe("request-id", &audit.request_id);
        }
    }
    out.0
}

struct Lines(String);

impl Lines {
    fn line(&mut self, name: &str, value: impl fmt::Display) -> &mut Lines {
        writeln!(self.0, "{name}: {value}").expect("a string takes all");
        self
    }

    fn maybe(&mut self, name: &str, value: &Option<impl fmt::Display>) -> &mut Lines {
        if let Some(value) = value {
            self.line(name, value);
        }
        self
    }

    fn author(&mut self, author: &Author) -> &mut Lines {
        self.line("actor", &author.actor).maybe("on-behalf-of", &author.on_behalf_of)
    }

    fn payload(&mut self, payload: &Payload) -> &mut Lines {
        self.line("size", payload.size).line("sha256", payload.sha256).line("payload", payload.placement.as_str())
    }
}

/// Reads an entry. Names that are not known here are passed over: entries by later versions may have some.
///
/// # Errors
/// Any [`EntryError`].
pub fn parse(bytes: &[u8]) -> Result<Entry, EntryError> {
    let text = core::str::from_utf8(bytes).map_err(|_| EntryError::Form)?;
    let lines = text.strip_prefix(HEADER).and_then(|rest| rest.strip_suffix('\n')).ok_or(EntryError::Form)?;
    let mut members = Members { lines: Vec::new() };
    let mut seen = BTreeSet::new();
    for line in lines.split('\n') {
        let (name, value) = line.split_once(": ").ok_or(EntryError::Line)?;
        if !is_name(name) || Value::parse(value).is_none() {
            return Err(EntryError::Line);
        }
        if !seen.insert(name) {
            return Err(EntryError::Twice);
        }
        members.lines.push((name, value));
    }
    let kind = members.required("kind", |text| Kind::ALL.into_iter().find(|kind| kind.as_str() == text))?;
    members.check_order(names(kind))?;
    let index = members.required("index", parse_number)?;
    let time = members.required("time", Timestamp::parse)?;
    Ok(Entry { index, time, body: members.body(kind)? })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

struct Members<'a> {
    lines: Vec<(&'a str, &'a str)>,
}

impl Members<'_> {
    fn check_order(&self, known: &[&str]) -> Result<(), EntryError> {
        let order = || ["index", "time", "kind"].iter().chain(known);
        let places = self.lines.iter().filter_map(|(name, _)| order().position(|known| known == name));
        if places.is_sorted() { Ok(()) } else { Err(EntryError::Order) }
    }

    fn optional<T>(&self, name: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, EntryError> {
        match self.lines.iter().find(|(found, _)| *found == name) {
            Some((_, value)) => read(value).map(Some).ok_or(EntryError::Value(name)),
            None => Ok(None),
        }
    }

    fn required<T>(&self, name: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<T, EntryError> {
        self.optional(name, read)?.ok_or(EntryError::Missing(name))
    }

    fn author(&self) -> Result<Author, EntryError> {
        let actor = self.required("actor", Actor::parse)?;
        Ok(Author { actor, on_behalf_of: self.optional("on-behalf-of", Actor::parse)? })
    }

    fn payload(&self) -> Result<Payload, EntryError> {
        Ok(Payload {
            size: self.required("size", parse_number)?,
            sha256: self.required("sha256", Digest::parse)?,
            placement: self.required("payload", Placement::parse)?,
        })
    }

    fn body(&self, kind: Kind) -> Result<Body, EntryError> {
        Ok(match kind {
            Kind::Record => Body::Record(Record {
                record_id: self.required("record-id", RecordId::parse)?,
                author: self.author()?,
                media_type: self.required("media-type", Value::parse)?,
                payload: self.payload()?,
                plain_mac: self.optional("plain-mac", Digest::parse)?,
                class: self.optional("class", ClassName::parse)?,
                retain_until: self.optional("retain-until", Until::parse)?,
                retention_mode: self.optional("retention-mode", Mode::parse)?,
            }),
            Kind::Hold => Body::Hold(Hold {
                case: self.required("case", Case::parse)?,
                author: self.author()?,
                reason: self.required("reason", Value::parse)?,
                payload: self.payload()?,
            }),
            Kind::Release => Body::Release(Release {
                case: self.required("case", Case::parse)?,
                author: self.author()?,
                reason: self.required("reason", Value::parse)?,
            }),
            Kind::Retain => Body::Retain(Retain {
                target: self.required("target", parse_number)?,
                author: self.author()?,
                class: self.optional("class", ClassName::parse)?,
                event: self.optional("event", Mark::parse)?,
                retain_until: self.required("retain-until", Until::parse)?,
                retention_mode: self.optional("retention-mode", Mode::parse)?,
                reason: self.required("reason", Value::parse)?,
            }),
            Kind::Dispose => Body::Dispose(Dispose {
                target: self.required("target", parse_number)?,
                author: self.author()?,
                reason: self.required("reason", Value::parse)?,
                fate: self.required("payload", Fate::parse)?,
            }),
            Kind::Key => Body::Key(self.statement()?),
            Kind::Policy => Body::Policy(self.statement()?),
            Kind::Audit => Body::Audit(self.audit()?),
        })
    }

    fn statement(&self) -> Result<Statement, EntryError> {
        Ok(Statement { actor: self.required("actor", Actor::parse)?, payload: self.payload()? })
    }

    fn audit(&self) -> Result<Audit, EntryError> {
        Ok(Audit {
            action: self.required("action", Mark::parse)?,
            target: self.optional("target", Value::parse)?,
            author: self.author()?,
            result: self.required("result", Value::parse)?,
            peer: self.optional("peer", Mark::parse)?,
            request_id: self.optional("request-id", Mark::parse)?,
        })
    }
}

/// The bytes of an entry's text, as they are hashed and stored.
pub fn encode(entry: &Entry) -> Vec<u8> {
    entry.to_string().into_bytes()
}
