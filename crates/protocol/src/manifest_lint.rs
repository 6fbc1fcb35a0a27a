//! Advice about manifests that are valid and yet hardly what their author meant.

use crate::manifest::*;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A bundle that stays open longer than this keeps its readers waiting for proofs, in milliseconds.
pub const SLOW_BUNDLE_MS: u32 = 60_000;

/// One piece of advice, and the place that it is about, written like the paths of `invalid_manifest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// What is odd.
    pub advice: Advice,
    /// Where.
    pub path: String,
}

/// What can be odd about a valid manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// No column may read anything.
    NoReader,
    /// Nobody in `init` is an owner, so the enclave can never migrate.
    NoOwner,
    /// Nobody in `init` has the trait, and no rule grants it.
    UngrantedTrait,
    /// A restrictive trait can be granted and never revoked.
    LastingRestriction,
    /// No one who may turn the gate can exist, so it stays as it starts.
    StuckGate,
    /// The alias names no gate.
    AliasWithoutGate,
    /// Anyone may create these events, without a gate.
    OpenToAnyone,
    /// `reads` names a type that no rule lets anyone write, or one that is read with the event it refers to.
    IdleReads,
    /// A bundle may stay open longer than a minute.
    SlowBundle,
}

impl Advice {
    /// One sentence for a person.
    pub fn message(self) -> &'static str {
        match self {
            Advice::NoReader => "Nobody may read anything here; add a row to readers.",
            Advice::NoOwner => "Nobody is an owner at the start, so the enclave can never move to another node.",
            Advice::UngrantedTrait => "Nobody has this trait at the start and no rule grants it; it can never be held.",
            Advice::LastingRestriction => {
                "This trait restricts its holder and no rule revokes it; once granted it stays."
            }
            Advice::StuckGate => "Nobody can ever turn this gate; it stays as it starts.",
            Advice::AliasWithoutGate => "The alias names no gate, so nothing can be done with it.",
            Advice::OpenToAnyone => {
                "Anyone may create these events; a gate or a rate limit keeps strangers from filling the log."
            }
            Advice::IdleReads => {
                "A type in this list has no effect: nobody can write it, or it is read with what it refers to."
            }
            Advice::SlowBundle => {
                "A bundle may stay open for more than a minute; proofs and receipts' promises wait as long."
            }
        }
    }
}

impl Manifest {
    /// Advice, in the order of the manifest's sections. Empty for the templates of this project, but for what they mean to do.
    pub fn lint(&self) -> Vec<Lint> {
        let mut lints = Vec::new();
        let mut add = |advice, path: String| lints.push(Lint { advice, path });
        if self.bundle.timeout_ms > SLOW_BUNDLE_MS {
            add(Advice::SlowBundle, "bundle.timeout".to_string());
        }
        for (place, held) in self.rbac.traits.iter().enumerate() {
            let index = TraitIndex(place as u8);
            if !self.obtainable(index) {
                add(Advice::UngrantedTrait, format!("RBAC.traits[{place}]"));
            } else if held.restrictive && !self.has_grant_rule(GrantKind::Revoke, index) {
                add(Advice::LastingRestriction, format!("RBAC.traits[{place}]"));
            }
        }
        self.lint_readers(&mut add);
        self.lint_rows(&mut add);
        if !self.has_owner() {
            add(Advice::NoOwner, "RBAC.init".to_string());
        }
        lints
    }

    fn lint_readers(&self, add: &mut impl FnMut(Advice, String)) {
        let customs = self.rbac.customs.iter().map(|row| row.ops);
        let slots = self.rbac.slots.iter().map(|row| row.ops);
        if self.rbac.readers.is_empty() && !customs.chain(slots).any(|ops| ops.permits(Op::R)) {
            add(Advice::NoReader, "RBAC.readers".to_string());
        }
        for (place, row) in self.rbac.readers.iter().enumerate() {
            let idle = match &row.reads {
                Reads::All => false,
                Reads::Types(types) => types.iter().any(|event_type| !self.is_written(event_type)),
            };
            if idle {
                add(Advice::IdleReads, format!("RBAC.readers[{place}].reads"));
            }
        }
    }

    fn lint_rows(&self, add: &mut impl FnMut(Advice, String)) {
        for (place, row) in self.rbac.moves.iter().enumerate() {
            self.lint_gate(&row.gate, &row.alias, &format!("RBAC.moves[{place}]"), add);
        }
        for (place, row) in self.rbac.customs.iter().enumerate() {
            let path = format!("RBAC.customs[{place}]");
            self.lint_gate(&row.gate, &row.alias, &path, add);
            let anyone = |column: &Column| matches!(column, Column::Public | Column::State(StateNumber(0)));
            if row.ops.permits(Op::C) && row.gate.is_none() && row.operator.iter().any(anyone) {
                add(Advice::OpenToAnyone, path);
            }
        }
    }

    fn lint_gate(
        &self,
        gate: &Option<GateRule>,
        alias: &Option<String>,
        path: &str,
        add: &mut impl FnMut(Advice, String),
    ) {
        match gate {
            Some(gate) if !gate.operator.iter().any(|column| self.can_match(column)) => {
                add(Advice::StuckGate, format!("{path}.gate"));
            }
            Some(_) => {}
            None if alias.is_some() => add(Advice::AliasWithoutGate, format!("{path}.alias")),
            None => {}
        }
    }

    /// Whether somebody may ever match the column. Every State can be come into: the manifest was refused otherwise.
    fn can_match(&self, column: &Column) -> bool {
        match column {
            Column::Trait(index) => self.obtainable(*index),
            Column::State(_) | Column::Own | Column::Sender | Column::Public => true,
        }
    }

    fn obtainable(&self, index: TraitIndex) -> bool {
        self.rbac.init.iter().any(|row| row.traits.contains(&index)) || self.has_grant_rule(GrantKind::Grant, index)
    }

    fn has_grant_rule(&self, kind: GrantKind, index: TraitIndex) -> bool {
        self.rbac.grants.iter().any(|row| row.event == kind && row.traits.contains(&index))
    }

    fn has_owner(&self) -> bool {
        match self.trait_named(OWNER_TRAIT) {
            Some(owner) => self.rbac.init.iter().any(|row| row.traits.contains(&owner)),
            None => {
                let owner = self.state_named(OWNER_STATE);
                owner.is_some() && self.rbac.init.iter().any(|row| Some(row.state) == owner)
            }
        }
    }

    fn is_written(&self, event_type: &str) -> bool {
        match event_type {
            "Update" | "Delete" => false,
            "Shared" => self.rbac.slots.iter().any(|row| row.event == SlotKind::Shared),
            "Own" => self.rbac.slots.iter().any(|row| row.event == SlotKind::Own),
            other if PROTOCOL_TYPES.contains(&other) => true,
            other => self.rbac.customs.iter().any(|row| row.event == other && row.ops.allows(Op::C)),
        }
    }
}
