//! Who may read what, and who may be told of it (`docs/protocol.md`, Reading).

use crate::operation::{Kind, RoleKind};
use crate::rights::Actor;
use crate::transition::ReferKind;
use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use protocol::Manifest;
use protocol::manifest::{Column, Op, OpSet, Reads, SlotKind, StateNumber};
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader<'a> {
    others: Reach,
    named: BTreeMap<&'a str, Reach>,
}

/// What may be read, for a query that filters by type. Updates and Deletes stand under the type they refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadableTypes<'a> {
    /// Of every type that is not named below.
    pub others: Reach,
    /// Of the types that differ from the others, in order of their names.
    pub named: Vec<(&'a str, Reach)>,
}

/// What may be read at present, kept for as long as no event changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readable {
    others: bool,
    named: BTreeMap<String, bool>,
}

/// What an event can change of how others are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearing {
    /// Nothing: every bitmask and every stored content stays as it is.
    Nothing,
    /// Bitmasks, so that who may read what has to be asked again; or it ends what there is to read here.
    Rights,
    /// Stored contents, which it erases.
    Contents,
}

impl Bearing {
    /// By the event's type.
    pub fn of(event_type: &str) -> Bearing {
        match Kind::of(event_type) {
            Kind::Manifest
            | Kind::AcBundle
            | Kind::Role(RoleKind::Move | RoleKind::Grant(_) | RoleKind::Transfer)
            | Kind::Migrate => Bearing::Rights,
            Kind::Refer(ReferKind::Delete) => Bearing::Contents,
            Kind::Role(RoleKind::Gate)
            | Kind::Slot(_)
            | Kind::Refer(ReferKind::Update)
            | Kind::Lifecycle(_)
            | Kind::Recovered
            | Kind::Custom => Bearing::Nothing,
        }
    }
}

impl Readable {
    /// Whether events of this type may be read, as [`Reader::may_read_now`] says it.
    pub fn holds(&self, event_type: &str) -> bool {
        !refers(event_type) && self.named.get(event_type).copied().unwrap_or(self.others)
    }
}

impl<'a> Reader<'a> {
    /// The reader of an identity's bitmask, with what it retains; `None` without a session: then only `Public` matches, and nothing is
    /// retained. Takes as long as the manifest and what is retained are large; asking it is cheap.
    pub fn new(manifest: &'a Manifest, mask: Option<Bitmask>, retained: &[Retained]) -> Reader<'a> {
        let (actor, retained) = (Actor::new(mask), if mask.is_some() { retained } else { &[] });
        let mut reader = Reader { others: Reach::Nothing, named: BTreeMap::new() };
        let denied = denied_types(manifest, &actor);
        reader.name(&denied);
        let mut left: BTreeMap<StateNumber, BTreeSet<&str>> = BTreeMap::new();
        for kept in retained {
            // Denies of the State that was left go on binding: leaving shows nobody what it could not read before.
            left.entry(kept.state).or_insert_with(|| denied_types(manifest, &in_state(kept.state)));
        }
        left.values().for_each(|denied| reader.name(denied));
        let current = manifest.rbac.readers.iter().filter(|row| actor.matches(row.column));
        let nothing = BTreeSet::new();
        let now = current.map(|row| (&row.reads, Reach::Everything, &nothing));
        let before = retained.iter().filter_map(|kept| {
            Some((&manifest.rbac.readers.get(kept.rule)?.reads, Reach::UpTo(kept.seq), left.get(&kept.state)?))
        });
        reader.give(now.chain(before).collect());
        // R in a slot's row gives nothing: reading goes by type.
        for row in rows(manifest).filter(|row| row.key.is_none() && row.ops.allows(Op::R)) {
            if actor.matches_any(row.operator) {
                reader.raise(row.event_type, Reach::Everything);
            }
        }
        reader.named.extend(denied.into_iter().map(|event_type| (event_type, Reach::Nothing)));
        reader
    }

    /// Whether it may read anything at present: what state, proofs and subscriptions ask.
    pub fn anything(&self) -> bool {
        self.reaches().any(|reach| reach == Reach::Everything)
    }

    /// Whether it may read anything at all, also what it retains: what Query and Pull ask.
    pub fn anything_retained(&self) -> bool {
        self.reaches().any(|reach| reach != Reach::Nothing)
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

    /// What it may read at present, without the manifest that says so.
    pub fn at_present(&self) -> Readable {
        let everything = |reach: Reach| reach == Reach::Everything;
        let named = self.named.iter().map(|(name, reach)| ((*name).to_owned(), everything(*reach)));
        Readable { others: everything(self.others), named: named.collect() }
    }

    /// How much of a type it may read. `Update` and `Delete` have no permission of their own.
    pub fn reach(&self, event_type: &str) -> Reach {
        if refers(event_type) {
            return Reach::Nothing;
        }
        self.named.get(event_type).copied().unwrap_or(self.others)
    }

    /// The reach of every type.
    pub fn readable_types(&self) -> ReadableTypes<'a> {
        let named = self.named.iter().filter(|(name, reach)| **reach != self.others && !refers(name));
        ReadableTypes { others: self.others, named: named.map(|(name, reach)| (*name, *reach)).collect() }
    }

    fn reaches(&self) -> impl Iterator<Item = Reach> {
        let named = self.named.iter().filter(|(name, _)| !refers(name)).map(|(_, reach)| *reach);
        named.chain([self.others])
    }

    /// Lets these types stand by themselves, with nothing so far.
    fn name(&mut self, types: &BTreeSet<&'a str>) {
        for event_type in types {
            self.raise(event_type, Reach::Nothing);
        }
    }

    /// What rows of `readers` give, each but for some types: first by name, then `*` to all that has been named and to the others.
    fn give(&mut self, rows: Vec<(&'a Reads, Reach, &BTreeSet<&'a str>)>) {
        let mut all = Vec::new();
        for (reads, reach, denied) in rows {
            match reads {
                Reads::All if !all.contains(&(reach, denied)) => all.push((reach, denied)),
                Reads::All => {}
                Reads::Types(types) => {
                    types
                        .iter()
                        .filter(|name| !denied.contains(name.as_str()))
                        .for_each(|name| self.raise(name, reach));
                }
            }
        }
        for (name, named) in &mut self.named {
            let given = all.iter().filter(|(_, denied)| !denied.contains(name)).map(|(reach, _)| *reach);
            *named = given.fold(*named, Reach::max);
        }
        self.others = all.iter().map(|(reach, _)| *reach).fold(self.others, Reach::max);
    }

    fn raise(&mut self, event_type: &'a str, reach: Reach) {
        let named = self.named.entry(event_type).or_insert(Reach::Nothing);
        *named = reach.max(*named);
    }
}

/// Whether one with this bitmask is pushed (`Op::P`) or notified of (`Op::N`) events of a type; for Shared and Own, of this key. Updates and
/// Deletes are never pushed.
pub fn may_push(manifest: &Manifest, mask: Bitmask, event_type: &str, slot_key: Option<&str>, op: Op) -> bool {
    let mine = rows(manifest).filter(|row| row.event_type == event_type && (row.key.is_none() || row.key == slot_key));
    Actor::new(Some(mask)).effective(mine.map(|row| (row.operator, row.ops))).permits(op)
}

/// Whether one with this bitmask is pushed or notified of anything.
pub fn may_push_anything(manifest: &Manifest, mask: Bitmask) -> bool {
    let told = |row: &Row<'_>, op| row.ops.allows(op) && may_push(manifest, mask, row.event_type, row.key, op);
    rows(manifest).any(|row| told(&row, Op::P) || told(&row, Op::N))
}

/// A row that gives or takes operations on one type of events, of slots on one key.
struct Row<'m> {
    event_type: &'m str,
    key: Option<&'m str>,
    operator: &'m [Column],
    ops: OpSet,
}

fn rows(manifest: &Manifest) -> impl Iterator<Item = Row<'_>> {
    let customs = manifest.rbac.customs.iter();
    let customs = customs.map(|row| Row { event_type: &row.event, key: None, operator: &row.operator, ops: row.ops });
    let slots = manifest.rbac.slots.iter().map(|row| {
        let event_type = match row.event {
            SlotKind::Shared => "Shared",
            SlotKind::Own => "Own",
        };
        Row { event_type, key: Some(&row.key), operator: &row.operator, ops: row.ops }
    });
    customs.chain(slots)
}

/// The types of which some row denies R.
fn denied_types<'m>(manifest: &'m Manifest, actor: &Actor) -> BTreeSet<&'m str> {
    let denying = rows(manifest).filter(|row| row.ops.denies(Op::R) && actor.matches_any(row.operator));
    denying.map(|row| row.event_type).collect()
}

fn in_state(state: StateNumber) -> Actor {
    let mut mask = Bitmask::default();
    mask.set_state(state);
    Actor::new(Some(mask))
}

fn refers(event_type: &str) -> bool {
    matches!(Kind::of(event_type), Kind::Refer(_))
}
