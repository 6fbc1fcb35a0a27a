//! Gate: one of a gate's operators opens or closes it.

use crate::draft::Draft;
use crate::refusal::{Fault, Refusal};
use crate::rights::Actor;
use crate::view::{Slot, View};
use protocol::manifest::GateRule;
use protocol::state::StateName;
use protocol::{Manifest, PublicKey};

/// Judges a Gate on the running state and carries it out.
pub(crate) fn judge<V: View>(
    draft: &mut Draft<'_, V>,
    author: &PublicKey,
    alias: &str,
    open: bool,
) -> Result<(), Fault<V::Error>> {
    let manifest = draft.manifest;
    let actor = Actor::new(Some(draft.mask(author)?));
    let turns = |gate: &GateRule| actor.matches_any(&gate.operator);
    if !aliases(manifest).any(|(_, gate)| gate.is_some_and(turns)) {
        return Err(Refusal::Unauthorized.into());
    }
    if !aliases(manifest).any(|(name, _)| name == alias) {
        return Err(Refusal::NotFound.into());
    }
    if !aliases(manifest).any(|(name, gate)| name == alias && gate.is_some_and(turns)) {
        return Err(Refusal::Unauthorized.into());
    }
    if draft.state.slot(&StateName::Gate(alias))? == Slot::Taken || draft.is_open(alias)? == open {
        return Err(Refusal::BadState.into());
    }
    draft.turn_gate(alias, open)
}

/// Every alias of the manifest, with its gate if it has one.
pub(crate) fn aliases(manifest: &Manifest) -> impl Iterator<Item = (&str, Option<&GateRule>)> {
    let moves = manifest.rbac.moves.iter().map(|rule| (&rule.alias, &rule.gate));
    let customs = manifest.rbac.customs.iter().map(|rule| (&rule.alias, &rule.gate));
    moves.chain(customs).filter_map(|(alias, gate)| Some((alias.as_deref()?, gate.as_ref())))
}
