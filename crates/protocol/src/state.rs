//! What stands in an enclave's state tree, and under which keys (`docs/protocol.md`, State tree).

use crate::ids::{EventId, PublicKey};
use crate::manifest::{StateNumber, TraitIndex};
use alloc::vec::Vec;
use merkle::Hash;
use merkle::sparse::StateKey;

/// Raw keys of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateName<'a> {
    /// An identity's bitmask.
    Identity(&'a PublicKey),
    /// An event's status.
    Event(&'a EventId),
    /// A Shared slot.
    Shared(&'a str),
    /// An Own slot.
    Own(&'a PublicKey, &'a str),
    /// A gate.
    Gate(&'a str),
    /// The lifecycle.
    Lifecycle,
}

/// Namespaces of the tree.
pub mod namespace {
    /// Identities.
    pub const RBAC: u8 = 0;
    /// Event status.
    pub const EVENT: u8 = 1;
    /// Shared and Own slots.
    pub const KV: u8 = 2;
    /// Gates and lifecycle.
    pub const ENCLAVE: u8 = 3;
}

impl StateName<'_> {
    /// The namespace.
    pub fn namespace(&self) -> u8 {
        match self {
            StateName::Identity(_) => namespace::RBAC,
            StateName::Event(_) => namespace::EVENT,
            StateName::Shared(_) | StateName::Own(..) => namespace::KV,
            StateName::Gate(_) | StateName::Lifecycle => namespace::ENCLAVE,
        }
    }

    /// The raw key.
    pub fn raw(&self) -> Vec<u8> {
        match self {
            StateName::Identity(key) => key.0.to_vec(),
            StateName::Event(id) => id.0.to_vec(),
            StateName::Shared(key) => [&[0], key.as_bytes()].concat(),
            StateName::Own(identity, key) => [&[1], &identity.0[..], key.as_bytes()].concat(),
            StateName::Gate(alias) => [b"gate:", alias.as_bytes()].concat(),
            StateName::Lifecycle => b"lifecycle".to_vec(),
        }
    }

    /// The key in the tree.
    pub fn key(&self) -> StateKey {
        StateKey::new(self.namespace(), &self.raw())
    }
}

/// Value of an open gate.
pub const GATE_OPEN: Hash = [1; 32];
/// Status of a deleted event.
pub const DELETED: Hash = [0; 32];

/// Whether an enclave takes commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Yes.
    Active,
    /// Only Resume, Terminate, Migrate.
    Paused,
    /// Never again.
    Terminated,
    /// Elsewhere.
    Migrated,
}

impl Lifecycle {
    /// The leaf's value; Active has no leaf.
    pub fn value(self) -> Option<Hash> {
        let number = match self {
            Lifecycle::Active => return None,
            Lifecycle::Paused => 1,
            Lifecycle::Terminated => 2,
            Lifecycle::Migrated => 3,
        };
        let mut value = [0; 32];
        value[31] = number;
        Some(value)
    }

    /// Reads the leaf's value.
    pub fn from_value(value: Option<&Hash>) -> Option<Lifecycle> {
        [Lifecycle::Active, Lifecycle::Paused, Lifecycle::Terminated, Lifecycle::Migrated]
            .into_iter()
            .find(|lifecycle| lifecycle.value().as_ref() == value)
    }

    /// The word that `info/enclave` uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Lifecycle::Active => "active",
            Lifecycle::Paused => "paused",
            Lifecycle::Terminated => "terminated",
            Lifecycle::Migrated => "migrated",
        }
    }
}

/// An identity's State and traits: 256 bits, big-endian; bits 0–7 the State, bit `8 + index` a trait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bitmask(pub [u8; 32]);

impl Bitmask {
    /// The State.
    pub fn state(&self) -> StateNumber {
        StateNumber(self.0[31])
    }

    /// Sets the State.
    pub fn set_state(&mut self, state: StateNumber) {
        self.0[31] = state.0;
    }

    /// Whether the trait is held.
    pub fn has(&self, held: TraitIndex) -> bool {
        let (byte, bit) = Self::place(held);
        self.0[byte] & bit != 0
    }

    /// Gives or takes a trait.
    pub fn set(&mut self, held: TraitIndex, on: bool) {
        let (byte, bit) = Self::place(held);
        if on { self.0[byte] |= bit } else { self.0[byte] &= !bit }
    }

    /// The leaf's value; zero has no leaf.
    pub fn value(&self) -> Option<Hash> {
        (self.0 != [0; 32]).then_some(self.0)
    }

    /// Reads the leaf's value.
    pub fn from_value(value: Option<Hash>) -> Bitmask {
        Bitmask(value.unwrap_or_default())
    }

    fn place(held: TraitIndex) -> (usize, u8) {
        let bit = 8 + usize::from(held.0);
        (31 - bit / 8, 1 << (bit % 8))
    }
}
