//! Transfer: a trait goes from its holder to another in one step.

use crate::draft::{Draft, Furthest};
use crate::operation::Order;
use crate::refusal::{Fault, Refusal};
use crate::rights::{Actor, Rank};
use crate::view::View;
use protocol::PublicKey;

/// Judges a Transfer on the running state and carries it out. The last owner may do this: an owner remains.
pub(crate) fn judge<V: View>(
    draft: &mut Draft<'_, V>,
    author: &PublicKey,
    order: &Order,
) -> Result<(), Fault<V::Error>> {
    let manifest = draft.manifest;
    let index = manifest.trait_named(&order.what).ok_or(Refusal::Unauthorized)?;
    let declared = manifest.declared_trait(index).ok_or(Refusal::Unauthorized)?;
    let (giver, taker) = (draft.mask(author)?, draft.mask(&order.target)?);
    let actor = Actor::new(Some(giver));
    let below = Rank::of(manifest, &taker) > Rank::Of(declared.rank);
    let fits = giver.has(index) && !taker.has(index) && *author != order.target && draft.writable(&order.target)?;

    let mut furthest = Furthest::none();
    for rule in manifest.rbac.transfers.iter().filter(|rule| rule.trait_index == index) {
        furthest.take(if !actor.matches_any(&rule.operator) {
            Err(Refusal::Unauthorized)
        } else if !below {
            Err(Refusal::RankTooLow)
        } else if !fits || !rule.scope.contains(&taker.state()) {
            Err(Refusal::BadState)
        } else {
            Ok(())
        });
    }
    furthest.answer()?;

    let (mut gave, mut took) = (giver, taker);
    gave.set(index, false);
    took.set(index, true);
    draft.replace(author, &giver, &gave)?;
    draft.replace(&order.target, &taker, &took)
}
