//! The app's own events, and Update and Delete, which act on them.

use crate::draft::Draft;
use crate::refusal::{Fault, Refusal};
use crate::rights::Actor;
use crate::transition::{ReferKind, Refers, WriteValue};
use crate::view::{Slot, View};
use protocol::manifest::{CustomRule, Op};
use protocol::state::{DELETED, StateName};
use protocol::{Manifest, PublicKey};

/// Judges an app event.
pub(crate) fn create<V: View>(
    draft: &Draft<'_, V>,
    author: &PublicKey,
    event_type: &str,
) -> Result<(), Fault<V::Error>> {
    let actor = Actor::new(Some(draft.mask(author)?));
    permit(draft.manifest, &actor, event_type, Op::C)?;
    pass_gate(draft, &actor, event_type, Op::C)
}

/// Judges an Update or a Delete and carries it out.
pub(crate) fn refer<V: View>(
    draft: &mut Draft<'_, V>,
    author: &PublicKey,
    refers: Refers,
) -> Result<(), Fault<V::Error>> {
    let referred = draft.state.view().referred(&refers.event).map_err(Fault::View)?.ok_or(Refusal::NotFound)?;
    let actor = Actor::new(Some(draft.mask(author)?)).sender(referred.from == *author);
    let (op, status) = match refers.kind {
        ReferKind::Update => (Op::U, WriteValue::ThisEvent),
        ReferKind::Delete => (Op::D, WriteValue::Set(DELETED)),
    };
    permit(draft.manifest, &actor, &referred.event_type, op)?;
    let name = StateName::Event(&refers.event);
    match draft.state.slot(&name)? {
        Slot::Taken | Slot::Value(DELETED) => return Err(Refusal::BadState.into()),
        Slot::Absent | Slot::Value(_) => {}
    }
    pass_gate(draft, &actor, &referred.event_type, op)?;
    draft.refers = Some(refers);
    draft.state.write(&name, status)
}

/// Only types of `customs` have rules, so nothing else can be made here, updated or deleted.
fn rules<'m>(manifest: &'m Manifest, event_type: &str) -> impl Iterator<Item = &'m CustomRule> {
    manifest.rbac.customs.iter().filter(move |rule| rule.event == event_type)
}

fn permit(manifest: &Manifest, actor: &Actor, event_type: &str, op: Op) -> Result<(), Refusal> {
    let effective = actor.effective(rules(manifest, event_type).map(|rule| (&rule.operator[..], rule.ops)));
    if effective.permits(op) { Ok(()) } else { Err(Refusal::Unauthorized) }
}

/// One of the rows that give the permission has no gate, or an open one.
fn pass_gate<V: View>(draft: &Draft<'_, V>, actor: &Actor, event_type: &str, op: Op) -> Result<(), Fault<V::Error>> {
    for rule in rules(draft.manifest, event_type) {
        if rule.ops.allows(op)
            && actor.matches_any(&rule.operator)
            && draft.passes(rule.alias.as_deref(), rule.gate.as_ref())?
        {
            return Ok(());
        }
    }
    Err(Refusal::GateClosed.into())
}
