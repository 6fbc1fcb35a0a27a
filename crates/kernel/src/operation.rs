//! The content of protocol events, read by the table of their type before anything is judged.

use crate::transition::ReferKind;
use alloc::string::String;
use alloc::vec::Vec;
use merkle::Hash;
use protocol::cbor::sha256;
use protocol::fields::{Fields, wrong};
use protocol::json::{self, MAX_DEPTH};
use protocol::manifest::{GrantKind, LifecycleEvent, SlotKind};
use protocol::{Code, Commit, EventHash, EventId, Json, PublicKey, Rejection, schnorr};

/// Parts of an AC_Bundle.
pub(crate) const MAX_PARTS: usize = 64;

/// What an event type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Manifest,
    Role(RoleKind),
    AcBundle,
    Slot(SlotKind),
    Refer(ReferKind),
    Lifecycle(LifecycleEvent),
    Migrate,
    Recovered,
    /// Whatever `customs` say of it; nothing, where they do not name it.
    Custom,
}

/// Events that change roles and gates: the parts of an AC_Bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoleKind {
    Move,
    Grant(GrantKind),
    Transfer,
    Gate,
}

/// An identity and what it is to become: a State's or a trait's name.
pub(crate) struct Order {
    pub(crate) target: PublicKey,
    pub(crate) what: String,
}

/// The content of a role event.
pub(crate) enum RoleOrder {
    Move(Order),
    Grant(GrantKind, Order),
    Transfer(Order),
    Gate { alias: String, open: bool },
}

/// One part of an AC_Bundle, its content not read yet.
pub(crate) struct Part {
    pub(crate) kind: RoleKind,
    pub(crate) content: Json,
}

/// The content of a Shared or an Own; `value` is the hash of what is set, or `None` to delete.
pub(crate) struct SlotOrder {
    pub(crate) key: String,
    pub(crate) value: Option<Hash>,
}

/// The content of a Migrate.
pub(crate) struct MigrateOrder {
    pub(crate) new_sequencer: PublicKey,
    pub(crate) prev_seq: u64,
    pub(crate) ct_root: Hash,
    pub(crate) prev: Option<EventHash>,
}

impl Kind {
    pub(crate) fn of(event_type: &str) -> Kind {
        if let Some(role) = RoleKind::of(event_type) {
            return Kind::Role(role);
        }
        match event_type {
            "Manifest" => Kind::Manifest,
            "AC_Bundle" => Kind::AcBundle,
            "Shared" => Kind::Slot(SlotKind::Shared),
            "Own" => Kind::Slot(SlotKind::Own),
            "Update" => Kind::Refer(ReferKind::Update),
            "Delete" => Kind::Refer(ReferKind::Delete),
            "Pause" => Kind::Lifecycle(LifecycleEvent::Pause),
            "Resume" => Kind::Lifecycle(LifecycleEvent::Resume),
            "Terminate" => Kind::Lifecycle(LifecycleEvent::Terminate),
            "Migrate" => Kind::Migrate,
            "Recovered" => Kind::Recovered,
            _ => Kind::Custom,
        }
    }
}

impl RoleKind {
    fn of(event_type: &str) -> Option<RoleKind> {
        match event_type {
            "Move" => Some(RoleKind::Move),
            "Grant" => Some(RoleKind::Grant(GrantKind::Grant)),
            "Revoke" => Some(RoleKind::Grant(GrantKind::Revoke)),
            "Transfer" => Some(RoleKind::Transfer),
            "Gate" => Some(RoleKind::Gate),
            _ => None,
        }
    }

    /// Reads the content that belongs to the kind.
    pub(crate) fn read(self, content: Json) -> Result<RoleOrder, Rejection> {
        let mut fields = Fields::of(content)?;
        let order = match self {
            // An app may put members of its own beside these two.
            RoleKind::Move => return Ok(RoleOrder::Move(order(&mut fields, "to")?)),
            RoleKind::Grant(kind) => RoleOrder::Grant(kind, order(&mut fields, "trait")?),
            RoleKind::Transfer => RoleOrder::Transfer(order(&mut fields, "trait")?),
            RoleKind::Gate => RoleOrder::Gate {
                alias: fields.text("alias")?,
                open: match fields.required("open")? {
                    Json::Bool(open) => open,
                    _ => return Err(wrong("open")),
                },
            },
        };
        fields.finish()?;
        Ok(order)
    }
}

/// The content of a stored or arriving commit as a value.
pub(crate) fn content(commit: &Commit) -> Result<Json, Rejection> {
    Ok(json::parse(commit.content.as_bytes(), MAX_DEPTH)?)
}

/// `{ops: [{type, content}…]}`, 1 to 64, of role events only. The parts' contents are read when their turn comes.
pub(crate) fn parts(content: Json) -> Result<Vec<Part>, Rejection> {
    let mut fields = Fields::of(content)?;
    let Json::Array(rows) = fields.required("ops")? else { return Err(wrong("ops")) };
    fields.finish()?;
    if !(1..=MAX_PARTS).contains(&rows.len()) {
        return Err(wrong("ops"));
    }
    rows.into_iter().map(part).collect()
}

/// `{key, value}`.
pub(crate) fn slot(content: Json) -> Result<SlotOrder, Rejection> {
    let mut fields = Fields::of(content)?;
    let key = fields.text("key")?;
    let value = match fields.required("value")? {
        Json::Null => None,
        value => Some(sha256(value.to_jcs().as_bytes())),
    };
    fields.finish()?;
    Ok(SlotOrder { key, value })
}

/// The id in the only tag that begins with `r`.
pub(crate) fn reference(tags: &[Vec<String>]) -> Result<EventId, Rejection> {
    let mut references = tags.iter().filter(|tag| tag.first().is_some_and(|name| name == "r"));
    match (references.next().map(Vec::as_slice), references.next()) {
        (Some([_, id]), None) => EventId::parse(id).map_err(|_| wrong("tags")),
        _ => Err(wrong("tags")),
    }
}

/// `{}`.
pub(crate) fn nothing(content: Json) -> Result<(), Rejection> {
    Fields::of(content)?.finish()
}

/// `{new_sequencer, prev_seq, ct_root, prev?}`.
pub(crate) fn migrate(content: Json) -> Result<MigrateOrder, Rejection> {
    let mut fields = Fields::of(content)?;
    let order = MigrateOrder {
        new_sequencer: point(&mut fields, "new_sequencer")?,
        prev_seq: fields.uint("prev_seq")?,
        ct_root: fields.hex("ct_root")?,
        prev: match fields.optional("prev") {
            None => None,
            Some(Json::Text(text)) => Some(EventHash::parse(&text).map_err(|_| wrong("prev"))?),
            Some(_) => return Err(wrong("prev")),
        },
    };
    fields.finish()?;
    Ok(order)
}

/// `{prev_seq}`.
pub(crate) fn recovered(content: Json) -> Result<u64, Rejection> {
    let mut fields = Fields::of(content)?;
    let prev_seq = fields.uint("prev_seq")?;
    fields.finish()?;
    Ok(prev_seq)
}

fn part(row: Json) -> Result<Part, Rejection> {
    let mut fields = Fields::of(row)?;
    let kind = RoleKind::of(&fields.text("type")?).ok_or_else(|| Rejection::new(Code::InvalidStructure))?;
    let content = fields.required("content")?;
    fields.finish()?;
    Ok(Part { kind, content })
}

fn order(fields: &mut Fields, what: &'static str) -> Result<Order, Rejection> {
    Ok(Order { target: point(fields, "target")?, what: fields.text(what)? })
}

fn point(fields: &mut Fields, name: &'static str) -> Result<PublicKey, Rejection> {
    let key = PublicKey(fields.hex(name)?);
    if schnorr::is_point(&key) { Ok(key) } else { Err(wrong(name)) }
}
