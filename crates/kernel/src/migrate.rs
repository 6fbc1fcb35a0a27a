//! Migrate: the owner hands the enclave to another sequencer.

use crate::draft::Draft;
use crate::head::Head;
use crate::operation::MigrateOrder;
use crate::refusal::{Fault, Refusal};
use crate::rights::is_owner;
use crate::view::View;
use protocol::code::Detail;
use protocol::fields::wrong;
use protocol::state::Lifecycle;
use protocol::{Code, PublicKey, Rejection};

/// Judges a Migrate and carries it out. It names the whole history that it ends: the last `seq`, the root over the closed
/// bundles and, if the owner wants, the last event's hash, which also covers the open bundle.
pub(crate) fn judge<V: View>(
    draft: &mut Draft<'_, V>,
    head: &Head,
    author: &PublicKey,
    order: &MigrateOrder,
) -> Result<(), Fault<V::Error>> {
    if order.new_sequencer == head.sequencer {
        return Err(wrong("new_sequencer").into());
    }
    if !is_owner(draft.manifest, &draft.mask(author)?) {
        return Err(Refusal::Unauthorized.into());
    }
    let same_past = order.prev.is_none_or(|prev| prev == head.prev);
    if order.prev_seq != head.last_seq() || order.ct_root != head.root || !same_past {
        let current = Detail::Head { prev_seq: head.last_seq(), ct_root: head.root, prev: head.prev };
        return Err(Rejection::with(Code::BadState, current).into());
    }
    draft.migrated_to = Some(order.new_sequencer);
    draft.turn(Lifecycle::Migrated)
}
