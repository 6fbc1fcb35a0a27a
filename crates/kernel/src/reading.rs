//! Who may read what, and who may be told of it (`docs/protocol.md`, Reading).

use crate::operation::Kind;
use crate::rights::Actor;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use protocol::Manifest;
use protocol::manifest::{Column, CustomRule, Op, OpSet, ReaderRule, Reads, SlotKind, StateNumber};
use protocol::state::Bitmask;

/// How much of a type an identity may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Nothing.
    Nothing,
    /// Events whose own `seq` is at most this: what it kept when it left.
    UpTo(u64),
    /// Everything, also what is to come.
    Everything,
}

/// A row of `readers` with retention that an identity has stopped matching by its own Move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retained {
    /// Index into `readers`.
    pub rule: usize,
    /// The State that it left.
    pub state: StateNumber,
    /// `seq` of that Move.
    pub seq: u64,
}

/// What one identity, or nobody in particular, may read. An Update or a Delete is read as the event it refers to: callers ask by that event's
/// type and by the Update's or Delete's own `seq`. A Shared or Own event is read by its type; a deny on any key takes the type.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    manifest: &'a Manifest,
    actor: Actor,
    retained: &'a [Retained],
}

/// What may be read, for a query that filters by type. Updates and Deletes stand under the type they refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadableTypes<'a> {
    /// Of every type that is not named below.
    pub others: Reach,
    /// Of these types, in order of their names.
    pub named: Vec<(&'a str, Reach)>,
}

impl<'a> Reader<'a> {
    /// The reader of an identity's bitmask, with what it retains; `None` without a session: then only `Public` matches.
    pub fn new(manifest: &'a Manifest, mask: Option<Bitmask>, retained: &'a [Retained]) -> Reader<'a> {
        Reader { manifest, actor: Actor::new(mask), retained: if mask.is_some() { retained } else { &[] } }
    }

    /// Whether it may read anything at present: what state, proofs and subscriptions ask.
    pub fn anything(&self) -> bool {
        let readable = self.readable_types();
        readable.others == Reach::Everything || readable.named.iter().any(|(_, reach)| *reach == Reach::Everything)
    }

    /// Whether it may read anything at all, also what it retains: what Query and Pull ask.
    pub fn anything_retained(&self) -> bool {
        let readable = self.readable_types();
        readable.others != Reach::Nothing || readable.named.iter().any(|(_, reach)| *reach != Reach::Nothing)
    }

    /// Whether it may read an event of this type at this `seq`.
    pub fn may_read(&self, event_type: &str, seq: u64) -> bool {
        match self.reach(event_type) {
            Reach::Nothing => false,
            Reach::UpTo(last) => seq <= last,
            Reach::Everything => true,
        }
    }

    /// Whether it may read events of this type at present.
    pub fn may_read_now(&self, event_type: &str) -> bool {
        self.reach(event_type) == Reach::Everything
    }

    /// How much of a type it may read. `Update` and `Delete` have no permission of their own.
    pub fn reach(&self, event_type: &str) -> Reach {
        if matches!(Kind::of(event_type), Kind::Refer(_)) {
            return Reach::Nothing;
        }
        let customs = self.actor.effective(custom_rows(self.manifest, event_type));
        if self.denied(event_type, &self.actor) {
            return Reach::Nothing;
        }
        let now = |row: &ReaderRule| self.actor.matches(row.column) && names(&row.reads, event_type);
        if customs.allows(Op::R) || self.manifest.rbac.readers.iter().any(now) {
            return Reach::Everything;
        }
        let kept = self.retained.iter().filter(|kept| self.keeps(kept, event_type));
        kept.map(|kept| Reach::UpTo(kept.seq)).max().unwrap_or(Reach::Nothing)
    }

    /// The reach of every type that the manifest names, and of all others.
    pub fn readable_types(&self) -> ReadableTypes<'a> {
        let others = self.reach("");
        let mut named = BTreeMap::new();
        for event_type in named_types(self.manifest) {
            named.entry(event_type).or_insert_with(|| self.reach(event_type));
        }
        ReadableTypes { others, named: named.into_iter().collect() }
    }

    /// Whether a retained row still gives the type. Denies of the State that was left go on binding: leaving shows nobody what it
    /// could not read before.
    fn keeps(&self, kept: &Retained, event_type: &str) -> bool {
        let mut before = Bitmask::default();
        before.set_state(kept.state);
        let row = self.manifest.rbac.readers.get(kept.rule);
        row.is_some_and(|row| names(&row.reads, event_type)) && !self.denied(event_type, &Actor::new(Some(before)))
    }

    fn denied(&self, event_type: &str, actor: &Actor) -> bool {
        let rows = custom_rows(self.manifest, event_type).chain(slot_rows(self.manifest, event_type, None));
        actor.effective(rows).denies(Op::R)
    }
}

/// Whether one with this bitmask is pushed (`Op::P`) or notified of (`Op::N`) events of a type; for Shared and Own, of this key. Updates and
/// Deletes are never pushed.
pub fn may_push(manifest: &Manifest, mask: Bitmask, event_type: &str, slot_key: Option<&str>, op: Op) -> bool {
    let rows = custom_rows(manifest, event_type);
    let slots = slot_key.into_iter().flat_map(|key| slot_rows(manifest, event_type, Some(key)));
    Actor::new(Some(mask)).effective(rows.chain(slots)).permits(op)
}

/// Whether one with this bitmask is pushed or notified of anything.
pub fn may_push_anything(manifest: &Manifest, mask: Bitmask) -> bool {
    let either = |event_type: &str, key: Option<&str>| {
        [Op::P, Op::N].into_iter().any(|op| may_push(manifest, mask, event_type, key, op))
    };
    manifest.rbac.customs.iter().any(|row| either(&row.event, None))
        || manifest.rbac.slots.iter().any(|row| either(slot_type(row.event), Some(&row.key)))
}

fn names(reads: &Reads, event_type: &str) -> bool {
    match reads {
        Reads::All => true,
        Reads::Types(types) => types.iter().any(|named| named == event_type),
    }
}

/// Every type that a reader or a rule names, and that has a permission of its own.
fn named_types(manifest: &Manifest) -> impl Iterator<Item = &str> {
    let readers = manifest.rbac.readers.iter().flat_map(|row| match &row.reads {
        Reads::All => &[][..],
        Reads::Types(types) => &types[..],
    });
    let customs = manifest.rbac.customs.iter().map(|row| &row.event);
    let slots = manifest.rbac.slots.iter().map(|row| slot_type(row.event));
    let names = readers.chain(customs).map(|name| name.as_str()).chain(slots);
    names.filter(|event_type| !matches!(Kind::of(event_type), Kind::Refer(_)))
}

fn slot_type(kind: SlotKind) -> &'static str {
    match kind {
        SlotKind::Shared => "Shared",
        SlotKind::Own => "Own",
    }
}

fn custom_rows<'m>(manifest: &'m Manifest, event_type: &str) -> impl Iterator<Item = (&'m [Column], OpSet)> {
    let rows = manifest.rbac.customs.iter().filter(move |row| row.event == event_type);
    rows.map(|row: &CustomRule| (&row.operator[..], row.ops))
}

/// The rows of a slot event, of one key or of all.
fn slot_rows<'m>(
    manifest: &'m Manifest,
    event_type: &str,
    key: Option<&str>,
) -> impl Iterator<Item = (&'m [Column], OpSet)> {
    let rows = manifest.rbac.slots.iter();
    rows.filter(move |row| slot_type(row.event) == event_type && key.is_none_or(|key| row.key == key))
        .map(|row| (&row.operator[..], row.ops))
}
