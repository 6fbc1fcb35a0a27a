//! One event in the making: the running state on which it is judged, and what it does so far.

use crate::head::Head;
use crate::overlay::Overlay;
use crate::refusal::{Fault, Refusal};
use crate::rights::is_owner;
use crate::transition::{Refers, RetentionChange, WriteValue};
use crate::view::{Slot, View};
use alloc::vec::Vec;
use protocol::manifest::GateRule;
use protocol::state::{Bitmask, GATE_OPEN, Lifecycle, StateName};
use protocol::{Manifest, PublicKey};

/// What an event has done so far. Dropped on refusal.
pub(crate) struct Draft<'a, V> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) state: Overlay<'a, V>,
    pub(crate) owners: u64,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) migrated_to: Option<PublicKey>,
    pub(crate) retention: Vec<RetentionChange>,
    pub(crate) refers: Option<Refers>,
}

impl<'a, V: View> Draft<'a, V> {
    /// Nothing done yet, but that the first event after a Migrate takes the lifecycle leaf away.
    pub(crate) fn new(manifest: &'a Manifest, head: &Head, view: &'a V) -> Result<Self, Fault<V::Error>> {
        let mut draft = Draft {
            manifest,
            state: Overlay::new(view),
            owners: head.owners,
            lifecycle: head.lifecycle,
            migrated_to: head.migrated_to,
            retention: Vec::new(),
            refers: None,
        };
        if draft.lifecycle == Lifecycle::Active && draft.migrated_to.take().is_some() {
            draft.turn(Lifecycle::Active)?;
        }
        Ok(draft)
    }

    /// An identity's bitmask; 0 where it has no leaf.
    pub(crate) fn mask(&self, identity: &PublicKey) -> Result<Bitmask, Fault<V::Error>> {
        Ok(Bitmask::from_value(self.state.slot(&StateName::Identity(identity))?.value()))
    }

    /// Whether the identity's key is its own to write.
    pub(crate) fn writable(&self, identity: &PublicKey) -> Result<bool, Fault<V::Error>> {
        Ok(self.state.slot(&StateName::Identity(identity))? != Slot::Taken)
    }

    /// Whether the gate is open, where there is one.
    pub(crate) fn passes(&self, alias: Option<&str>, gate: Option<&GateRule>) -> Result<bool, Fault<V::Error>> {
        match (alias, gate) {
            (Some(alias), Some(_)) => self.is_open(alias),
            (None, Some(_)) => Ok(false),
            (_, None) => Ok(true),
        }
    }

    /// Whether the gate of that name is open.
    pub(crate) fn is_open(&self, alias: &str) -> Result<bool, Fault<V::Error>> {
        Ok(self.state.slot(&StateName::Gate(alias))?.value() == Some(GATE_OPEN))
    }

    /// Whether an owner remains when this bitmask becomes that one.
    pub(crate) fn keeps_owner(&self, before: &Bitmask, after: &Bitmask) -> bool {
        self.owners > 1 || !is_owner(self.manifest, before) || is_owner(self.manifest, after)
    }

    /// Gives an identity another bitmask and counts the owners.
    pub(crate) fn replace(
        &mut self,
        identity: &PublicKey,
        before: &Bitmask,
        after: &Bitmask,
    ) -> Result<(), Fault<V::Error>> {
        self.state.write(&StateName::Identity(identity), after.value().map_or(WriteValue::Remove, WriteValue::Set))?;
        match (is_owner(self.manifest, before), is_owner(self.manifest, after)) {
            (true, false) => self.owners = self.owners.saturating_sub(1),
            (false, true) => self.owners += 1,
            (true, true) | (false, false) => {}
        }
        Ok(())
    }

    /// Turns a gate.
    pub(crate) fn turn_gate(&mut self, alias: &str, open: bool) -> Result<(), Fault<V::Error>> {
        let value = if open { WriteValue::Set(GATE_OPEN) } else { WriteValue::Remove };
        self.state.write(&StateName::Gate(alias), value)
    }

    /// Sets the lifecycle.
    pub(crate) fn turn(&mut self, lifecycle: Lifecycle) -> Result<(), Fault<V::Error>> {
        self.lifecycle = lifecycle;
        self.state.write(&StateName::Lifecycle, lifecycle.value().map_or(WriteValue::Remove, WriteValue::Set))
    }
}

/// The best of several rules' answers: one that admits is enough, else the one that got furthest.
pub(crate) struct Furthest(Result<(), Refusal>);

impl Furthest {
    /// Nobody has been admitted by anything yet.
    pub(crate) fn none() -> Furthest {
        Furthest(Err(Refusal::Unauthorized))
    }

    /// Takes one rule's answer in.
    pub(crate) fn take(&mut self, answer: Result<(), Refusal>) {
        self.0 = match (self.0, answer) {
            (Ok(()), _) | (_, Ok(())) => Ok(()),
            (Err(best), Err(refusal)) => Err(best.max(refusal)),
        };
    }

    /// The answer.
    pub(crate) fn answer(self) -> Result<(), Refusal> {
        self.0
    }
}
