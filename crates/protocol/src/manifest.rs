//! The Manifest's content: the grammar of roles, read once into resolved columns (`docs/protocol.md`, Manifest).

use crate::ids::PublicKey;
pub use crate::manifest_parse::{
    MAX_INIT, MAX_MANIFEST_LEN, MAX_RULES, MAX_STATES, MAX_TRAITS, OUTSIDER, OWNER_STATE, OWNER_TRAIT, PROTOCOL_TYPES,
};
use crate::manifest_parse::{state_number, trait_index};
use alloc::string::String;
use alloc::vec::Vec;

/// A State by number: 0 is `OUTSIDER`, declared states count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateNumber(pub u8);

/// A trait by its place in `traits`, from 0; bit `8 + index` of a bitmask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraitIndex(pub u8);

/// What an operator, a reader or a scope names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// The identity's State is this one (0: `OUTSIDER`).
    State(StateNumber),
    /// The identity holds this trait.
    Trait(TraitIndex),
    /// The author is the identity acted on (Moves and Own only).
    Own,
    /// The author wrote the event acted on (U and D only).
    Sender,
    /// Anyone.
    Public,
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Create.
    C,
    /// Read.
    R,
    /// Update.
    U,
    /// Delete.
    D,
    /// Be notified.
    N,
    /// Be pushed to.
    P,
}

impl Op {
    /// All of them.
    pub const ALL: [Op; 6] = [Op::C, Op::R, Op::U, Op::D, Op::N, Op::P];
}

/// A set of operations and of denies, as one rule writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpSet {
    allow: u8,
    deny: u8,
}

impl OpSet {
    /// Adds a permission.
    pub fn allow(&mut self, op: Op) {
        self.allow |= 1 << op as u8;
    }

    /// Adds a deny.
    pub fn deny(&mut self, op: Op) {
        self.deny |= 1 << op as u8;
    }

    /// Whether the permission stands in the set, denies aside.
    pub fn allows(self, op: Op) -> bool {
        self.allow & (1 << op as u8) != 0
    }

    /// Whether the deny stands in the set.
    pub fn denies(self, op: Op) -> bool {
        self.deny & (1 << op as u8) != 0
    }

    /// Whether any deny stands in the set.
    pub fn has_deny(self) -> bool {
        self.deny != 0
    }

    /// Both sets united.
    pub fn union(self, other: OpSet) -> OpSet {
        OpSet { allow: self.allow | other.allow, deny: self.deny | other.deny }
    }

    /// Whether the operation remains when every deny is taken away: deny always wins.
    pub fn permits(self, op: Op) -> bool {
        self.allows(op) && !self.denies(op)
    }
}

/// A trait as declared: `name(rank)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trait {
    /// `[a-z][a-z0-9_]{0,63}`.
    pub name: String,
    /// 0 is highest; unique.
    pub rank: u32,
    /// Named as the column of any deny: counts for no rank, stays through Moves, never dropped by its holder.
    pub restrictive: bool,
}

/// Which types a reader may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reads {
    /// All.
    All,
    /// These.
    Types(Vec<String>),
}

/// How long one who left may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Not at all.
    Current,
    /// Up to the own Move by which it stopped matching.
    Snapshot,
}

/// A row of `readers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderRule {
    /// State, trait or `Public`.
    pub column: Column,
    /// What it may read.
    pub reads: Reads,
    /// For how long.
    pub retention: Retention,
}

/// A gate on a rule, opened and closed by its operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateRule {
    /// Who may turn it.
    pub operator: Vec<Column>,
    /// How it starts.
    pub open: bool,
}

/// A row of `moves`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveRule {
    /// The target's present State.
    pub from: StateNumber,
    /// The target's next State.
    pub to: StateNumber,
    /// Any of these.
    pub operator: Vec<Column>,
    /// `C` and `_C` only.
    pub ops: OpSet,
    /// The gate's name.
    pub alias: Option<String>,
    /// Must be open, where given.
    pub gate: Option<GateRule>,
}

/// Grant or Revoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantKind {
    /// Gives a trait.
    Grant,
    /// Takes a trait.
    Revoke,
}

/// A row of `grants`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRule {
    /// Grant or Revoke.
    pub event: GrantKind,
    /// Any of these.
    pub operator: Vec<Column>,
    /// The target's State is one of these.
    pub scope: Vec<StateNumber>,
    /// The traits that it covers.
    pub traits: Vec<TraitIndex>,
}

/// A row of `transfers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferRule {
    /// The trait that moves.
    pub trait_index: TraitIndex,
    /// Any of these.
    pub operator: Vec<Column>,
    /// The target's State is one of these.
    pub scope: Vec<StateNumber>,
}

/// Shared or Own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// One value for the enclave.
    Shared,
    /// One value for each identity.
    Own,
}

/// A row of `slots`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotRule {
    /// Shared or Own.
    pub event: SlotKind,
    /// Any of these.
    pub operator: Vec<Column>,
    /// C sets, U replaces, D deletes; R, N, P as in customs.
    pub ops: OpSet,
    /// `[A-Za-z0-9_.:-]{1,64}`.
    pub key: String,
}

/// Pause, Resume or Terminate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifecycleEvent {
    /// Stops all but Resume, Terminate, Migrate.
    Pause,
    /// Undoes Pause.
    Resume,
    /// Ends the enclave.
    Terminate,
}

/// A row of `lifecycle`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleRule {
    /// Which.
    pub event: LifecycleEvent,
    /// Any of these.
    pub operator: Vec<Column>,
    /// `C` and `_C` only.
    pub ops: OpSet,
}

/// A row of `customs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomRule {
    /// The app's event type.
    pub event: String,
    /// Any of these.
    pub operator: Vec<Column>,
    /// Any.
    pub ops: OpSet,
    /// The gate's name.
    pub alias: Option<String>,
    /// Holds for C, U and D of this row.
    pub gate: Option<GateRule>,
}

/// A row of `init`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitRow {
    /// Who.
    pub identity: PublicKey,
    /// In which State.
    pub state: StateNumber,
    /// With which traits.
    pub traits: Vec<TraitIndex>,
}

/// The roles and rules of an enclave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rbac {
    /// State names; `states[0]` is State 1.
    pub states: Vec<String>,
    /// Traits in order.
    pub traits: Vec<Trait>,
    /// Readers.
    pub readers: Vec<ReaderRule>,
    /// Moves.
    pub moves: Vec<MoveRule>,
    /// Grants and Revokes.
    pub grants: Vec<GrantRule>,
    /// Transfers.
    pub transfers: Vec<TransferRule>,
    /// Slots.
    pub slots: Vec<SlotRule>,
    /// Pause, Resume, Terminate.
    pub lifecycle: Vec<LifecycleRule>,
    /// The app's own events.
    pub customs: Vec<CustomRule>,
    /// Who is what at seq 0.
    pub init: Vec<InitRow>,
}

/// When a bundle closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundlePolicy {
    /// Events, 1 to 4096.
    pub size: u16,
    /// Milliseconds after the first event's timestamp, 100 to 3,600,000.
    pub timeout_ms: u32,
}

impl Default for BundlePolicy {
    fn default() -> Self {
        BundlePolicy { size: 256, timeout_ms: 5000 }
    }
}

/// A manifest that has passed every rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The first sequencer.
    pub sequencer: PublicKey,
    /// When bundles close.
    pub bundle: BundlePolicy,
    /// The app's name.
    pub app: Option<String>,
    /// A description.
    pub desc: Option<String>,
    /// The rules.
    pub rbac: Rbac,
}

impl Manifest {
    /// The name of a State; `OUTSIDER` is 0. None if it is not declared.
    pub fn state_name(&self, state: StateNumber) -> Option<&str> {
        match usize::from(state.0).checked_sub(1) {
            None => Some(OUTSIDER),
            Some(place) => self.rbac.states.get(place).map(String::as_str),
        }
    }

    /// The State of that name.
    pub fn state_named(&self, name: &str) -> Option<StateNumber> {
        state_number(&self.rbac.states, name)
    }

    /// The trait of that name, written without its rank.
    pub fn trait_named(&self, name: &str) -> Option<TraitIndex> {
        trait_index(&self.rbac.traits, name)
    }

    /// A trait's declaration. None if the index is none of this manifest.
    pub fn declared_trait(&self, index: TraitIndex) -> Option<&Trait> {
        self.rbac.traits.get(usize::from(index.0))
    }
}
