//! A whole log, event by event, through the pipeline into the tables of an enclave that is not there yet: how a snapshot is restored, and
//! how what is stored is checked.

use crate::cache::State;
use crate::context::{Context, Stop};
use crate::defects::{self, Defect};
use crate::rows::{self, int};
use crate::runtime::{Fault, Value};
use crate::sequence::{store, unborn};
use crate::tree::{self, StoredBundle};
use alloc::sync::Arc;
use alloc::vec::Vec;
use kernel::{Enclave, NodeKeys, Provisioned, Transition, View, genesis, recovered, sequence};
use protocol::event::Content;
use protocol::head::Sth;
use protocol::state::{DELETED, Lifecycle, StateName};
use protocol::verify::{Chain, Cutter, Pin, Sequencers};
use protocol::{Code, EnclaveId, Event, PublicKey, VerifiedCommit};

/// A log as somebody has it.
pub(crate) struct Log<'a, E> {
    /// What is known of the enclave beforehand.
    pub pin: Pin,
    /// Its newest tree head.
    pub sth: &'a Sth,
    /// The key that signed it.
    pub seq_pub: PublicKey,
    /// Counts of the closed bundles.
    pub bundles: &'a [u64],
    /// Its events, the Manifest first.
    pub events: E,
}

/// Replays a log into the tables; `progress` hears how many events are done. The enclave is not live then, and its record not stored.
pub(crate) fn replay<E: Iterator<Item = Result<Event, Stop>>>(
    context: &Context,
    log: Log<'_, E>,
    progress: &mut dyn FnMut(u64),
) -> Result<State, Stop> {
    let wrong = Code::InvalidStructure;
    let mut events = log.events;
    let first = events.next().ok_or(wrong)??;
    let mut chain = Chain::begin(&first, &log.pin).map_err(|_| wrong)?;
    let mut state = begin(context, &first, matches!(log.pin, Pin::Unbound { .. }))?;
    let mut cutter = Cutter::new(state.manifest.bundle, log.bundles).map_err(|_| wrong)?;
    cut(context, &mut state, &mut cutter, &first)?;
    progress(1);
    let mut deleted = Vec::new();
    for event in events {
        let event = event?;
        chain.push(&event).map_err(|_| wrong)?;
        next(context, &mut state, &event, chain.sequencers())?;
        if matches!(event.content, Content::Deleted(_)) {
            deleted.push(event.position.seq);
        }
        cut(context, &mut state, &mut cutter, &event)?;
        progress(chain.next_seq());
    }
    cutter.finish().map_err(|_| wrong)?;
    let enclave = *chain.enclave();
    check_deleted(context, &enclave, &deleted)?;
    let record = &mut state.record;
    let (sth, head) = (log.sth, &mut record.head);
    let covered = log.bundles.iter().sum();
    let right = sth.enclave == enclave
        && sth.sequencer == log.seq_pub
        && (sth.tree_size, sth.root_hash) == (head.tree_size, head.root)
        && chain.sequencers().may_sign_head(&sth.sequencer, covered)
        && sth.verify().is_ok();
    if !right {
        return Err(wrong.into());
    }
    if sth.sequencer != head.sequencer {
        // The head is by the successor: the Migrate that ends the log was taken up already.
        head.take_up();
    }
    head.live = false;
    (record.sth_timestamp, record.sth_signature) = (sth.timestamp, sth.signature);
    Ok(state)
}

/// The Manifest of a restored log.
fn begin(context: &Context, event: &Event, unbound: bool) -> Result<State, Stop> {
    let verified = event.verified().map_err(|_| Code::InvalidStructure)?;
    let sequencer = event.position.sequencer;
    let is_node_key = |key: &PublicKey| *key == sequencer;
    let keys = NodeKeys { sequencer: &sequencer, is_node_key: &is_node_key };
    let provisioned = unbound.then_some(Provisioned { owner: None });
    let begun = genesis(&verified, provisioned.as_ref(), &keys, event.position.timestamp)?;
    let mut state = unborn(Arc::new(begun.manifest), &begun.transition);
    keep(context, &mut state, event, (verified, begun.transition))?;
    Ok(state)
}

/// The next event of a restored log, judged as it was when it was made.
fn next(context: &Context, state: &mut State, event: &Event, sequencers: &Sequencers) -> Result<(), Stop> {
    let verified = event.verified().map_err(|_| Code::InvalidStructure)?;
    let enclave = event.enclave;
    if state.record.head.lifecycle == Lifecycle::Migrated {
        state.record.head.take_up();
    }
    let is_node_key = |key: &PublicKey| sequencers.contains(key);
    let view = context.rows(&enclave);
    let kernel = Enclave { manifest: &state.manifest, head: &state.record.head, is_node_key: &is_node_key };
    let t = event.position.timestamp;
    let transition = match event.event_type.as_str() {
        "Recovered" => recovered(&kernel, &view, &verified, t)??,
        _ => sequence(&kernel, &view, &verified, t)??,
    };
    keep(context, state, event, (verified, transition))
}

fn keep(
    context: &Context,
    state: &mut State,
    event: &Event,
    (verified, transition): (VerifiedCommit, Transition),
) -> Result<(), Stop> {
    if transition.position != event.position {
        return Err(Code::InvalidStructure.into());
    }
    store(context, state, verified, &transition, event.seq_sig)?;
    if let Content::Deleted(_) = event.content {
        const ERASE: &str = "UPDATE events SET content = NULL WHERE id = ?1";
        context.rt.sql_exec(ERASE, &[Value::Blob(&event.id.0)])?;
    }
    if defects::is_on(Defect::IndexNotRebuilt) {
        context.rt.sql_exec(defects::UNINDEX, &[Value::Blob(&event.enclave.0), int(event.position.seq)])?;
    }
    Ok(())
}

/// Closes the bundle that ends with this event, where the snapshot says one does.
fn cut(context: &Context, state: &mut State, cutter: &mut Cutter, event: &Event) -> Result<(), Stop> {
    let closed = cutter.push(event, &state.record.head.prev).map_err(|_| Code::InvalidStructure)?;
    let Some(closed) = closed else { return Ok(()) };
    let head = &mut state.record.head;
    let bundle = StoredBundle {
        index: head.tree_size,
        entry: closed.entry(&state.record.state_root),
        state_hash: state.record.state_root,
        last_event_hash: closed.last_event.0,
    };
    head.root = tree::Log { rt: context.rt, enclave: &head.enclave }.append(&bundle)?;
    head.tree_size += 1;
    head.open = None;
    Ok(())
}

/// Content may be missing only where a Delete has taken it.
fn check_deleted(context: &Context, enclave: &EnclaveId, seqs: &[u64]) -> Result<(), Stop> {
    let view = context.rows(enclave);
    for seq in seqs {
        let stored = rows::event_at(context.rt, enclave, *seq)?.ok_or(Fault::Storage)?;
        let subject = stored.refers.unwrap_or(stored.event.id);
        if view.slot(&StateName::Event(&subject))?.value() != Some(DELETED) {
            return Err(Code::InvalidStructure.into());
        }
    }
    Ok(())
}
