//! Move: an identity's State changes.

use crate::draft::{Draft, Furthest};
use crate::operation::Order;
use crate::refusal::{Fault, Refusal};
use crate::rights::{Actor, Rank, stripped};
use crate::transition::RetentionChange;
use crate::view::View;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use protocol::manifest::{Column, MoveRule, Op, Retention, StateNumber};
use protocol::state::Bitmask;
use protocol::{Manifest, PublicKey};

/// What is asked, and all of it that is the same under every rule.
struct Case {
    actor: Actor,
    on_self: bool,
    /// The author's rank reaches the target, where that is another.
    reaches: bool,
    /// From these States the author is denied the way.
    denied: BTreeSet<StateNumber>,
    before: Bitmask,
    after: Bitmask,
    /// An owner remains, and the target's key is its own.
    fits: bool,
}

/// Judges a Move on the running state and carries it out.
pub(crate) fn judge<V: View>(
    draft: &mut Draft<'_, V>,
    author: &PublicKey,
    order: &Order,
) -> Result<(), Fault<V::Error>> {
    let manifest = draft.manifest;
    let to = manifest.state_named(&order.what).ok_or(Refusal::Unauthorized)?;
    let rules = || manifest.rbac.moves.iter().filter(|rule| rule.to == to);
    let on_self = *author == order.target;
    let (authors, before) = (draft.mask(author)?, draft.mask(&order.target)?);
    let after = moved(manifest, before, to, on_self);
    let actor = Actor::new(Some(authors)).on_self(on_self);
    let denying = rules().filter(|rule| rule.ops.denies(Op::C) && actor.matches_any(&rule.operator));
    let case = Case {
        actor,
        on_self,
        reaches: Rank::of(manifest, &authors).reaches(Rank::of(manifest, &before)),
        denied: denying.map(|rule| rule.from).collect(),
        before,
        after,
        fits: draft.keeps_owner(&before, &after) && draft.writable(&order.target)?,
    };
    let mut furthest = Furthest::none();
    for rule in rules().filter(|rule| rule.ops.allows(Op::C)) {
        let mut answer = case.under(rule);
        if answer.is_ok() && !draft.passes(rule.alias.as_deref(), rule.gate.as_ref())? {
            answer = Err(Refusal::GateClosed);
        }
        furthest.take(answer);
    }
    furthest.answer()?;
    draft.replace(&order.target, &before, &after)?;
    keep_or_forget(draft, &case, order.target);
    Ok(())
}

impl Case {
    /// One rule's answer by the stages of steps 7 and 8, its gate left aside.
    fn under(&self, rule: &MoveRule) -> Result<(), Refusal> {
        if !self.actor.matches_any(&rule.operator) || self.denied.contains(&rule.from) {
            return Err(Refusal::Unauthorized);
        }
        let reaches = if self.on_self { rule.operator.contains(&Column::Own) } else { self.reaches };
        if !reaches {
            return Err(Refusal::RankTooLow);
        }
        if self.before.state() != rule.from || !self.fits {
            return Err(Refusal::BadState);
        }
        Ok(())
    }
}

/// The bitmask after the Move: power does not survive being moved by another, nor leaving.
fn moved(manifest: &Manifest, before: Bitmask, to: StateNumber, on_self: bool) -> Bitmask {
    let mut after = if on_self && to != StateNumber(0) { before } else { stripped(manifest, before) };
    after.set_state(to);
    after
}

/// Notes which readers' rows the identity left by its own Move; one moved by another keeps nothing.
fn keep_or_forget<V: View>(draft: &mut Draft<'_, V>, case: &Case, identity: PublicKey) {
    if !case.on_self {
        draft.retention.push(RetentionChange::Forget { identity });
        return;
    }
    let (was, is) = (Actor::new(Some(case.before)), Actor::new(Some(case.after)));
    let rows = draft.manifest.rbac.readers.iter().enumerate();
    let rules: Vec<usize> = rows
        .filter(|(_, row)| row.retention == Retention::Snapshot && was.matches(row.column) && !is.matches(row.column))
        .map(|(index, _)| index)
        .collect();
    if !rules.is_empty() {
        draft.retention.push(RetentionChange::Left { identity, state: case.before.state(), rules });
    }
}
