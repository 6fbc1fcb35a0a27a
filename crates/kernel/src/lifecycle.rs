//! Whether an enclave takes an event at all (step 6), and Pause, Resume, Terminate.

use crate::draft::Draft;
use crate::head::Head;
use crate::operation::Kind;
use crate::refusal::{Fault, Refusal};
use crate::rights::Actor;
use crate::view::View;
use protocol::code::Detail;
use protocol::manifest::{LifecycleEvent, Op};
use protocol::state::Lifecycle;
use protocol::{Code, PublicKey, Rejection};

/// Step 6.
pub(crate) fn admit(head: &Head, kind: Kind) -> Result<(), Rejection> {
    match head.lifecycle {
        Lifecycle::Terminated => return Err(Code::EnclaveTerminated.into()),
        Lifecycle::Migrated => {
            let detail = head.migrated_to.map_or(Detail::None, Detail::NewSequencer);
            return Err(Rejection::with(Code::EnclaveMigrated, detail));
        }
        Lifecycle::Paused if !wakes(kind) => return Err(Code::EnclavePaused.into()),
        Lifecycle::Paused | Lifecycle::Active => {}
    }
    if head.live { Ok(()) } else { Err(Code::ReadOnly.into()) }
}

/// Judges a Pause, Resume or Terminate and carries it out.
pub(crate) fn judge<V: View>(
    draft: &mut Draft<'_, V>,
    author: &PublicKey,
    event: LifecycleEvent,
) -> Result<(), Fault<V::Error>> {
    let actor = Actor::new(Some(draft.mask(author)?));
    let rules = draft.manifest.rbac.lifecycle.iter().filter(|rule| rule.event == event);
    if !actor.effective(rules.map(|rule| (&rule.operator[..], rule.ops))).permits(Op::C) {
        return Err(Refusal::Unauthorized.into());
    }
    match event {
        LifecycleEvent::Pause => draft.turn(Lifecycle::Paused),
        LifecycleEvent::Resume if draft.lifecycle != Lifecycle::Paused => Err(Refusal::BadState.into()),
        LifecycleEvent::Resume => draft.turn(Lifecycle::Active),
        LifecycleEvent::Terminate => draft.turn(Lifecycle::Terminated),
    }
}

/// What a paused enclave still takes.
fn wakes(kind: Kind) -> bool {
    match kind {
        Kind::Lifecycle(LifecycleEvent::Resume | LifecycleEvent::Terminate) | Kind::Migrate => true,
        Kind::Lifecycle(LifecycleEvent::Pause)
        | Kind::Manifest
        | Kind::Role(_)
        | Kind::AcBundle
        | Kind::Slot(_)
        | Kind::Refer(_)
        | Kind::Recovered
        | Kind::Custom => false,
    }
}
