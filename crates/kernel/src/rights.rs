//! Columns, effective sets, rank and ownership: how an identity stands to the rules of a manifest.

use protocol::Manifest;
use protocol::manifest::{Column, OWNER_STATE, OWNER_TRAIT, OpSet, TraitIndex};
use protocol::state::Bitmask;

/// Rank: the smaller, the higher; without any, an identity is below all that have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The least rank number of its non-restrictive traits; 0 in State `OWNER`.
    Of(u32),
    /// ∞.
    Unranked,
}

impl Rank {
    /// The rank of an identity with this bitmask.
    pub fn of(manifest: &Manifest, mask: &Bitmask) -> Rank {
        if in_state_owner(manifest, mask) {
            return Rank::Of(0);
        }
        traits(manifest)
            .filter(|(index, held)| !held.restrictive && mask.has(*index))
            .map(|(_, held)| Rank::Of(held.rank))
            .min()
            .unwrap_or(Rank::Unranked)
    }

    /// Whether one of this rank may act on another of that rank.
    pub(crate) fn reaches(self, target: Rank) -> bool {
        target == Rank::Unranked || self < target
    }
}

/// Whether the bitmask makes an owner: the trait `owner`, or, where none is declared, State `OWNER`.
pub fn is_owner(manifest: &Manifest, mask: &Bitmask) -> bool {
    match manifest.trait_named(OWNER_TRAIT) {
        Some(owner) => mask.has(owner),
        None => in_state_owner(manifest, mask),
    }
}

/// Who acts, as the columns of rules see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actor {
    /// `None`: nobody in particular; only `Public` matches.
    mask: Option<Bitmask>,
    on_self: bool,
    sender: bool,
}

impl Actor {
    /// An identity, or, with `None`, anybody.
    pub(crate) fn new(mask: Option<Bitmask>) -> Actor {
        Actor { mask, on_self: false, sender: false }
    }

    /// Whether it acts on itself.
    pub(crate) fn on_self(self, on_self: bool) -> Actor {
        Actor { on_self, ..self }
    }

    /// Whether it wrote the event that it acts on.
    pub(crate) fn sender(self, sender: bool) -> Actor {
        Actor { sender, ..self }
    }

    pub(crate) fn matches(&self, column: Column) -> bool {
        match column {
            Column::State(state) => self.mask.is_some_and(|mask| mask.state() == state),
            Column::Trait(held) => self.mask.is_some_and(|mask| mask.has(held)),
            Column::Own => self.on_self,
            Column::Sender => self.sender,
            Column::Public => true,
        }
    }

    pub(crate) fn matches_any(&self, columns: &[Column]) -> bool {
        columns.iter().any(|column| self.matches(*column))
    }

    /// The union over the rows that match; a deny in any of them wins.
    pub(crate) fn effective<'r>(&self, rows: impl Iterator<Item = (&'r [Column], OpSet)>) -> OpSet {
        rows.filter(|(operator, _)| self.matches_any(operator)).fold(OpSet::default(), |set, (_, ops)| set.union(ops))
    }
}

/// The bitmask without its non-restrictive traits.
pub(crate) fn stripped(manifest: &Manifest, mut mask: Bitmask) -> Bitmask {
    for (index, held) in traits(manifest) {
        if !held.restrictive {
            mask.set(index, false);
        }
    }
    mask
}

fn traits(manifest: &Manifest) -> impl Iterator<Item = (TraitIndex, &protocol::manifest::Trait)> {
    (0..=u8::MAX).map(TraitIndex).zip(&manifest.rbac.traits)
}

fn in_state_owner(manifest: &Manifest, mask: &Bitmask) -> bool {
    manifest.state_named(OWNER_STATE) == Some(mask.state())
}
