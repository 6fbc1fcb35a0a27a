//! Grant and Revoke: a trait is given or taken.

use crate::draft::{Draft, Furthest};
use crate::operation::Order;
use crate::refusal::{Fault, Refusal};
use crate::rights::{Actor, Rank};
use crate::view::View;
use protocol::PublicKey;
use protocol::manifest::{GrantKind, Trait};
use protocol::state::Bitmask;

/// Judges a Grant or a Revoke on the running state and carries it out.
pub(crate) fn judge<V: View>(
    draft: &mut Draft<'_, V>,
    author: &PublicKey,
    kind: GrantKind,
    order: &Order,
) -> Result<(), Fault<V::Error>> {
    let manifest = draft.manifest;
    let index = manifest.trait_named(&order.what).ok_or(Refusal::Unauthorized)?;
    let declared = manifest.declared_trait(index).ok_or(Refusal::Unauthorized)?;
    let on_self = *author == order.target;
    let (authors, before) = (draft.mask(author)?, draft.mask(&order.target)?);
    let mut after = before;
    after.set(index, kind == GrantKind::Grant);
    let fits = after != before && draft.keeps_owner(&before, &after) && draft.writable(&order.target)?;

    let mut furthest = Furthest::none();
    if drops_own(kind, on_self, declared) {
        // Nobody is held to power that it does not want: no rule and no scope is asked.
        furthest.take(if fits { Ok(()) } else { Err(Refusal::BadState) });
    } else {
        let (actor, reaches) = (Actor::new(Some(authors)), rank_reaches(draft, &authors, &before, on_self, declared));
        let frees_itself = on_self && kind == GrantKind::Revoke;
        let rules = manifest.rbac.grants.iter().filter(|rule| rule.event == kind && rule.traits.contains(&index));
        for rule in rules {
            furthest.take(if !actor.matches_any(&rule.operator) {
                Err(Refusal::Unauthorized)
            } else if frees_itself || !reaches {
                Err(Refusal::RankTooLow)
            } else if !fits || !rule.scope.contains(&before.state()) {
                Err(Refusal::BadState)
            } else {
                Ok(())
            });
        }
    }
    furthest.answer()?;
    draft.replace(&order.target, &before, &after)
}

fn drops_own(kind: GrantKind, on_self: bool, declared: &Trait) -> bool {
    kind == GrantKind::Revoke && on_self && !declared.restrictive
}

/// The author stands above the trait, and above the target where that is another.
fn rank_reaches<V: View>(
    draft: &Draft<'_, V>,
    author: &Bitmask,
    target: &Bitmask,
    on_self: bool,
    declared: &Trait,
) -> bool {
    let rank = Rank::of(draft.manifest, author);
    rank < Rank::Of(declared.rank) && (on_self || rank.reaches(Rank::of(draft.manifest, target)))
}
