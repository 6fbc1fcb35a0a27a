//! Snapshot and restore: the whole log as one keyless file, and back (`docs/protocol.md`, Snapshot and restore).

use crate::cache::{Cache, State};
use crate::call::{Claim, Outcome, Response, Restore, TakeUp};
use crate::context::{Context, Stop};
use crate::defects::{self, Defect};
use crate::rows::{self, event_columns, fixed, int};
use crate::runtime::{Fault, Value};
use crate::sequence::{mask_of, store, unborn};
use crate::tree::{Log, StoredBundle};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use kernel::{Enclave, NodeKeys, Provisioned, Transition, View, genesis, recovered, sequence};
use protocol::entry::{ENTRY_LEN, Entry};
use protocol::event::Content;
use protocol::snapshot::{Snapshot, Writer};
use protocol::state::{DELETED, Lifecycle, StateName};
use protocol::verify::{Chain, Cutter, Pin, Sequencers};
use protocol::{Code, EnclaveId, Event, Json, PublicKey, VerifiedCommit};

/// Events read from the store at a time.
const CHUNK: u64 = 256;

/// `GET …/snapshot`.
pub fn snapshot(context: &Context, cache: &mut Cache, state: &mut State, claim: &Claim) -> Result<Response, Stop> {
    const EVENTS: &str = event_columns!("WHERE enclave = ?1 AND seq >= ?2 AND seq < ?3 ORDER BY seq");
    const COUNTS: &str = "SELECT entry FROM bundles WHERE enclave = ?1 ORDER BY first_seq";
    context.owner(state, claim)?;
    let sth = context.sth(cache, state)?;
    let head = &state.record.head;
    let enclave = Value::Blob(&head.enclave.0);
    let (mut writer, mut body) = Writer::begin(&sth, head.next_seq).map_err(|_| Fault::Storage)?;
    let mut next = 0;
    while next < head.next_seq {
        let until = head.next_seq.min(next + CHUNK);
        for stored in rows::all(context.rt, EVENTS, &[enclave, int(next), int(until)], rows::event)? {
            body.extend(writer.event(&stored.event).map_err(|_| Fault::Storage)?);
        }
        next = until;
    }
    let counts = rows::all(context.rt, COUNTS, &[enclave], |row| {
        let bytes: [u8; ENTRY_LEN] = fixed(row, 0)?;
        Entry::decode(&bytes).map(|entry| entry.count).ok_or(Fault::Storage)
    })?;
    body.extend(writer.finish(&counts, &sth.sequencer).map_err(|_| Fault::Storage)?);
    let name = alloc::format!("attachment; filename=\"{}.enc\"", head.enclave.hex());
    Ok(Response {
        status: 200,
        headers: Vec::from([("Content-Disposition", name), ("Cache-Control", String::from("no-store"))]),
        content_type: "application/octet-stream",
        body,
    })
}

/// `POST …/restore`: the log is replayed by the pipeline, each event judged at its own time; all of it is taken in, or nothing.
pub fn restore(
    context: &Context,
    cache: &mut Cache,
    enclave: &EnclaveId,
    claim: &Claim,
    request: &Restore,
) -> Result<Outcome, Stop> {
    let restorer = match claim {
        Claim::Admin => None,
        Claim::Session { from, token } => {
            protocol::session::verify_plain(token, from, &context.facts.sequencer, context.now)?;
            Some(*from)
        }
        Claim::Stranger | Claim::Envelope { .. } => return Err(Code::Unauthorized.into()),
    };
    if cache.load(context.rt, enclave)?.is_some() {
        return Err(Code::EnclaveExists.into());
    }
    let snapshot = Snapshot::read(&request.snapshot).map_err(|_| Code::InvalidStructure)?;
    match replay(context, enclave, request, &snapshot).and_then(|mut state| {
        permit(context, &state, restorer.as_ref())?;
        take_up(context, &mut state, request.first)?;
        context.store(&state.record)?;
        Ok(state)
    }) {
        Ok(state) => {
            let head = &state.record.head;
            let answer = Json::object([
                ("ok", Json::Bool(true)),
                ("enclave_id", Json::from(enclave.hex())),
                ("last_seq", Json::from(head.last_seq())),
                ("tree_size", Json::from(head.tree_size)),
                ("live", Json::Bool(head.live)),
            ]);
            cache.keep(*enclave, state);
            Ok(Outcome::Done(Response::json(200, &answer)))
        }
        Err(Stop::Refused(rejection)) => Ok(Outcome::Undone(Response::error(&rejection))),
        Err(Stop::Fault(fault)) => Err(Stop::Fault(fault)),
    }
}

/// The operator, or an owner of what was restored.
fn permit(context: &Context, state: &State, restorer: Option<&PublicKey>) -> Result<(), Stop> {
    let Some(restorer) = restorer else { return Ok(()) };
    let mask = mask_of(context, &state.record.head.enclave, restorer)?;
    if kernel::is_owner(&state.manifest, &mask) { Ok(()) } else { Err(Code::Unauthorized.into()) }
}

fn replay(context: &Context, enclave: &EnclaveId, request: &Restore, snapshot: &Snapshot) -> Result<State, Stop> {
    let pin = match (request.manifest, request.sequencer) {
        (Some(manifest), Some(sequencer)) => {
            Pin::Unbound { enclave: *enclave, manifest: protocol::CommitHash(manifest), sequencer }
        }
        _ => Pin::Bound(*enclave),
    };
    let wrong = Code::InvalidStructure;
    let mut events = snapshot.events();
    let first = events.next().ok_or(wrong)?.map_err(|_| wrong)?;
    let mut chain = Chain::begin(&first, &pin).map_err(|_| wrong)?;
    let mut state = begin(context, &first, matches!(pin, Pin::Unbound { .. }))?;
    let mut cutter = Cutter::new(state.manifest.bundle, &snapshot.bundles).map_err(|_| wrong)?;
    cut(context, &mut state, &mut cutter, &first)?;
    let mut deleted = Vec::new();
    for event in events {
        let event = event.map_err(|_| wrong)?;
        chain.push(&event).map_err(|_| wrong)?;
        next(context, &mut state, &event, chain.sequencers())?;
        if matches!(event.content, Content::Deleted(_)) {
            deleted.push(event.position.seq);
        }
        cut(context, &mut state, &mut cutter, &event)?;
    }
    cutter.finish().map_err(|_| wrong)?;
    check_deleted(context, enclave, &deleted)?;
    let record = &mut state.record;
    let (sth, head) = (&snapshot.sth, &mut record.head);
    let covered = snapshot.bundles.iter().sum();
    let right = sth.enclave == *enclave
        && sth.sequencer == snapshot.seq_pub
        && (sth.tree_size, sth.root_hash) == (head.tree_size, head.root)
        && chain.sequencers().may_sign_head(&sth.sequencer, covered)
        && sth.verify().is_ok();
    if !right {
        return Err(wrong.into());
    }
    head.live = false;
    (record.sth_timestamp, record.sth_signature) = (sth.timestamp, sth.signature);
    Ok(state)
}

/// Fencing: only a Migrate that is taken up for the first time, to a key that is held here, makes a restored log live. Its first tree head
/// is signed at once, over the tree it took over. Any other log is served as it came.
fn take_up(context: &Context, state: &mut State, first: TakeUp) -> Result<(), Fault> {
    let mut live = state.clone();
    if first != TakeUp::Noted || !live.record.head.take_up() {
        return Ok(());
    }
    let at = context.now.max(state.record.sth_timestamp);
    match context.sign_head(&mut live, at).and_then(|()| context.sign_checkpoint(&mut live)) {
        Ok(()) => *state = live,
        // The key is held elsewhere.
        Err(Fault::Key) => {}
        Err(fault) => return Err(fault),
    }
    Ok(())
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
    head.root = Log { rt: context.rt, enclave: &head.enclave }.append(&bundle)?;
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
