//! Snapshot and restore: the whole log as one keyless file, and back (`docs/protocol.md`, Snapshot and restore).

use crate::cache::{Cache, State};
use crate::call::{Claim, Outcome, Response, Restore, TakeUp};
use crate::context::{Context, Stop};
use crate::replay::{Log, replay};
use crate::rows::{self, EVENTS_AT_ONCE, fixed};
use crate::runtime::{Fault, Runtime, Value};
use crate::sequence::mask_of;
use alloc::string::String;
use alloc::vec::Vec;
use protocol::entry::{ENTRY_LEN, Entry};
use protocol::snapshot::{Snapshot, Writer};
use protocol::verify::Pin;
use protocol::{Code, EnclaveId, Json, PublicKey};

/// `GET …/snapshot`.
pub fn snapshot(context: &Context, cache: &mut Cache, state: &mut State, claim: &Claim) -> Result<Response, Stop> {
    context.owner(state, claim)?;
    let sth = context.sth(cache, state)?;
    let head = &state.record.head;
    let (mut writer, mut body) = Writer::begin(&sth, head.next_seq).map_err(|_| Fault::Storage)?;
    let mut next = 0;
    while next < head.next_seq {
        let until = head.next_seq.min(next + EVENTS_AT_ONCE);
        for stored in rows::events(context.rt, &head.enclave, next, until)? {
            body.extend(writer.event(&stored.event).map_err(|_| Fault::Storage)?);
        }
        next = until;
    }
    let counts = counts(context.rt, &head.enclave)?;
    body.extend(writer.finish(&counts, &sth.sequencer).map_err(|_| Fault::Storage)?);
    let name = alloc::format!("attachment; filename=\"{}.enc\"", head.enclave.hex());
    Ok(Response {
        status: 200,
        headers: Vec::from([("Content-Disposition", name), ("Cache-Control", String::from("no-store"))]),
        content_type: "application/octet-stream",
        body,
    })
}

/// Counts of the closed bundles, in order.
pub(crate) fn counts(rt: &dyn Runtime, enclave: &EnclaveId) -> Result<Vec<u64>, Fault> {
    const COUNTS: &str = "SELECT entry FROM bundles WHERE enclave = ?1 ORDER BY first_seq";
    rows::all(rt, COUNTS, &[Value::Blob(&enclave.0)], |row| {
        let bytes: [u8; ENTRY_LEN] = fixed(row, 0)?;
        Entry::decode(&bytes).map(|entry| entry.count).ok_or(Fault::Storage)
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
    let log = Log {
        pin: pin(enclave, request),
        sth: &snapshot.sth,
        seq_pub: snapshot.seq_pub,
        bundles: &snapshot.bundles,
        events: snapshot.events().map(|event| event.map_err(|_| Stop::from(Code::InvalidStructure))),
    };
    match replay(context, log, &mut |_| ()).and_then(|mut state| {
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

/// What the restorer knows of the enclave.
fn pin(enclave: &EnclaveId, request: &Restore) -> Pin {
    match (request.manifest, request.sequencer) {
        (Some(manifest), Some(sequencer)) => {
            Pin::Unbound { enclave: *enclave, manifest: protocol::CommitHash(manifest), sequencer }
        }
        _ => Pin::Bound(*enclave),
    }
}

/// The operator, or an owner of what was restored.
fn permit(context: &Context, state: &State, restorer: Option<&PublicKey>) -> Result<(), Stop> {
    let Some(restorer) = restorer else { return Ok(()) };
    let mask = mask_of(context, &state.record.head.enclave, restorer)?;
    if kernel::is_owner(&state.manifest, &mask) { Ok(()) } else { Err(Code::Unauthorized.into()) }
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
