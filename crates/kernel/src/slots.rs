//! Shared and Own: values under the keys that the manifest names.

use crate::draft::Draft;
use crate::operation::SlotOrder;
use crate::refusal::{Fault, Refusal};
use crate::rights::Actor;
use crate::transition::WriteValue;
use crate::view::{Slot, View};
use protocol::PublicKey;
use protocol::manifest::{Op, SlotKind};
use protocol::state::StateName;

/// Judges a Shared or an Own on the running state and carries it out.
pub(crate) fn judge<V: View>(
    draft: &mut Draft<'_, V>,
    author: &PublicKey,
    kind: SlotKind,
    order: &SlotOrder,
) -> Result<(), Fault<V::Error>> {
    let actor = Actor::new(Some(draft.mask(author)?)).on_self(kind == SlotKind::Own);
    let rules = || draft.manifest.rbac.slots.iter().filter(|rule| rule.event == kind);
    let candidates = || rules().filter(|rule| rule.key == order.key);
    if !rules().any(|rule| actor.matches_any(&rule.operator)) {
        return Err(Refusal::Unauthorized.into());
    }
    if candidates().next().is_none() {
        return Err(Refusal::NotFound.into());
    }
    let name = match kind {
        SlotKind::Shared => StateName::Shared(&order.key),
        SlotKind::Own => StateName::Own(author, &order.key),
    };
    let occupied = matches!(draft.state.slot(&name)?, Slot::Value(_));
    let op = match (order.value, occupied) {
        (None, _) => Op::D,
        (Some(_), false) => Op::C,
        (Some(_), true) => Op::U,
    };
    if !actor.effective(candidates().map(|rule| (&rule.operator[..], rule.ops))).permits(op) {
        return Err(Refusal::Unauthorized.into());
    }
    if order.value.is_none() && !occupied {
        return Err(Refusal::NotFound.into());
    }
    draft.state.write(&name, order.value.map_or(WriteValue::Remove, WriteValue::Set))
}
