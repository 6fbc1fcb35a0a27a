//! Which records a legal case holds: the payload of a `hold` entry, JSON in its canonical spelling (RFC 8785).

use alloc::string::String;
use alloc::vec::Vec;

use protocol::Json;
use protocol::json;

use crate::entry::{Kind, Record};
use crate::time::Timestamp;
use crate::value::{Actor, Digest, RecordId, Value};

/// What a case holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldScope {
    /// Indices of records, rising.
    pub targets: Vec<u64>,
    /// Later records that match are held too.
    pub query: Option<Query>,
}

/// A search: all that is given must hold (ledger.md 4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The record's id.
    pub id: Option<RecordId>,
    /// What its id begins with.
    pub id_prefix: Option<RecordId>,
    /// Sequenced at this time or later.
    pub from: Option<Timestamp>,
    /// Sequenced before this time.
    pub to: Option<Timestamp>,
    /// Who appended it.
    pub actor: Option<Actor>,
    /// What it is said to be.
    pub media_type: Option<Value>,
    /// The kind of the entry.
    pub kind: Option<Kind>,
    /// The payload's digest.
    pub sha256: Option<Digest>,
}

impl Query {
    /// Whether a record matches.
    pub fn matches(&self, record: &Record, time: Timestamp) -> bool {
        let equal_or_any = |wanted: bool, given: bool| !given || wanted;
        let prefix = |prefix: &RecordId| record.record_id.as_str().starts_with(prefix.as_str());
        equal_or_any(self.id.as_ref() == Some(&record.record_id), self.id.is_some())
            && self.id_prefix.as_ref().is_none_or(prefix)
            && self.from.is_none_or(|from| time >= from)
            && self.to.is_none_or(|to| time < to)
            && equal_or_any(self.actor.as_ref() == Some(&record.author.actor), self.actor.is_some())
            && equal_or_any(self.media_type.as_ref() == Some(&record.media_type), self.media_type.is_some())
            && equal_or_any(self.kind == Some(Kind::Record), self.kind.is_some())
            && equal_or_any(self.sha256 == Some(record.payload.sha256), self.sha256.is_some())
    }

    /// As JSON; members that are not given are left out.
    pub fn to_json(&self) -> Json {
        let text = |text: &dyn core::fmt::Display| Json::from(alloc::format!("{text}"));
        let members = [
            ("id", self.id.as_ref().map(|id| text(id))),
            ("id_prefix", self.id_prefix.as_ref().map(|prefix| text(prefix))),
            ("from", self.from.map(|time| text(&time))),
            ("to", self.to.map(|time| text(&time))),
            ("actor", self.actor.as_ref().map(|actor| text(actor))),
            ("media_type", self.media_type.as_ref().map(|media_type| text(media_type))),
            ("kind", self.kind.map(|kind| text(&kind.as_str()))),
            ("sha256", self.sha256.map(|digest| text(&digest))),
        ];
        Json::object(members.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }

    /// Reads a search; `None` for unknown members and for values that they cannot have.
    pub fn from_json(value: &Json) -> Option<Query> {
        let Json::Object(members) = value else { return None };
        let mut query = Query::default();
        for (name, value) in members {
            let text = value.as_text()?;
            match name.as_str() {
                "id" => query.id = Some(RecordId::parse(text)?),
                "id_prefix" => query.id_prefix = Some(RecordId::parse(text)?),
                "from" => query.from = Some(Timestamp::parse(text)?),
                "to" => query.to = Some(Timestamp::parse(text)?),
                "actor" => query.actor = Some(Actor::parse(text)?),
                "media_type" => query.media_type = Some(Value::parse(text)?),
                "kind" => query.kind = Some(Kind::ALL.into_iter().find(|kind| kind.as_str() == text)?),
                "sha256" => query.sha256 = Some(Digest::parse(text)?),
                _ => return None,
            }
        }
        Some(query)
    }
}

impl HoldScope {
    /// The payload's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let targets = self.targets.iter().map(|index| Json::from(*index)).collect();
        let mut members = Vec::from([("targets", Json::Array(targets))]);
        members.extend(self.query.as_ref().map(|query| ("query", query.to_json())));
        let text: String = Json::object(members).to_jcs();
        text.into_bytes()
    }

    /// Reads a payload; `None` for anything but the one spelling of a scope.
    pub fn decode(bytes: &[u8]) -> Option<HoldScope> {
        let value = json::parse(bytes, 4).ok()?;
        let Json::Array(targets) = value.member("targets")? else { return None };
        let targets: Vec<u64> = targets.iter().map(Json::as_uint).collect::<Option<_>>()?;
        let query = match value.member("query") {
            Some(query) => Some(Query::from_json(query)?),
            None => None,
        };
        let scope = HoldScope { targets, query };
        let rising = scope.targets.is_sorted_by(|a, b| a < b);
        (rising && scope.encode() == bytes).then_some(scope)
    }

    /// Whether it holds a record.
    pub fn holds(&self, index: u64, record: &Record, time: Timestamp) -> bool {
        self.targets.binary_search(&index).is_ok()
            || self.query.as_ref().is_some_and(|query| query.matches(record, time))
    }
}
