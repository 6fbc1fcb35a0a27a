//! Move: an identity's State changes.

use crate::draft::{Draft, Furthest};
use crate::operation::Order;
use crate::refusal::{Fault, Refusal};
use crate::rights::{Actor, Rank, stripped};
use crate::transition::RetentionChange;
use crate::view::View;
use alloc::vec::Vec;
use protocol::manifest::{Column, MoveRule, Op, Retention, StateNumber};
use protocol::state::Bitmask;
use protocol::{Manifest, PublicKey};

/// What is asked, with the bitmasks as they are.
struct Case<'a> {
    manifest: &'a Manifest,
    actor: Actor,
    on_self: bool,
    author: Bitmask,
    before: Bitmask,
    after: Bitmask,
}

/// Judges a Move on the running state and carries it out.
pub(crate) fn judge<V: View>(
    draft: &mut Draft<'_, V>,
    author: &PublicKey,
    order: &Order,
) -> Result<(), Fault<V::Error>> {
    let manifest = draft.manifest;
    let to = manifest.state_named(&order.what).ok_or(Refusal::Unauthorized)?;
    let on_self = *author == order.target;
    let (authors, before) = (draft.mask(author)?, draft.mask(&order.target)?);
    let case = Case {
        manifest,
        actor: Actor::new(Some(authors)).on_self(on_self),
        on_self,
        author: authors,
        before,
        after: moved(manifest, before, to, on_self),
    };
    let fits = draft.keeps_owner(&before, &case.after) && draft.writable(&order.target)?;
    let mut furthest = Furthest::none();
    for rule in manifest.rbac.moves.iter().filter(|rule| rule.to == to && rule.ops.allows(Op::C)) {
        let open = draft.passes(rule.alias.as_deref(), rule.gate.as_ref())?;
        furthest.take(case.under(rule, fits, open));
    }
    furthest.answer()?;
    draft.replace(&order.target, &before, &case.after)?;
    keep_or_forget(draft, &case, order.target);
    Ok(())
}

impl Case<'_> {
    /// One rule's answer, by the stages of steps 7 and 8.
    fn under(&self, rule: &MoveRule, fits: bool, open: bool) -> Result<(), Refusal> {
        let twins = self.manifest.rbac.moves.iter().filter(|twin| twin.from == rule.from && twin.to == rule.to);
        let effective = self.actor.effective(twins.map(|twin| (&twin.operator[..], twin.ops)));
        if !self.actor.matches_any(&rule.operator) || !effective.permits(Op::C) {
            return Err(Refusal::Unauthorized);
        }
        if !self.rank_reaches(rule) {
            return Err(Refusal::RankTooLow);
        }
        if self.before.state() != rule.from || !fits {
            return Err(Refusal::BadState);
        }
        if open { Ok(()) } else { Err(Refusal::GateClosed) }
    }

    fn rank_reaches(&self, rule: &MoveRule) -> bool {
        if self.on_self {
            return rule.operator.contains(&Column::Own);
        }
        Rank::of(self.manifest, &self.author).reaches(Rank::of(self.manifest, &self.before))
    }
}

/// The bitmask after the Move: power does not survive being moved by another, nor leaving.
fn moved(manifest: &Manifest, before: Bitmask, to: StateNumber, on_self: bool) -> Bitmask {
    let mut after = if on_self && to != StateNumber(0) { before } else { stripped(manifest, before) };
    after.set_state(to);
    after
}

/// Notes which readers' rows the identity left by its own Move; one moved by another keeps nothing.
fn keep_or_forget<V: View>(draft: &mut Draft<'_, V>, case: &Case<'_>, identity: PublicKey) {
    if !case.on_self {
        draft.retention.push(RetentionChange::Forget { identity });
        return;
    }
    let (was, is) = (Actor::new(Some(case.before)), Actor::new(Some(case.after)));
    let rows = case.manifest.rbac.readers.iter().enumerate();
    let rules: Vec<usize> = rows
        .filter(|(_, row)| row.retention == Retention::Snapshot && was.matches(row.column) && !is.matches(row.column))
        .map(|(index, _)| index)
        .collect();
    if !rules.is_empty() {
        draft.retention.push(RetentionChange::Left { identity, state: case.before.state(), rules });
    }
}
