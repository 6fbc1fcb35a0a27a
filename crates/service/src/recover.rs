//! After a loss: a log of this node's own key, put back from an older copy, is fenced, and made live again when the operator says so
//! (`docs/protocol.md`, Fencing).

use crate::cache::Cache;
use crate::context::{Context, Stop};
use crate::rows;
use crate::runtime::{Fault, NodeFacts, Runtime, Value};
use crate::sequence::apply;
use kernel::{Enclave, clock, recovered};
use protocol::commit::{CLOCK_SKEW_MS, Draft};
use protocol::{Code, EnclaveId, Event, Json, PublicKey};

/// Every enclave that a store holds.
pub fn enclaves(rt: &dyn Runtime) -> Result<alloc::vec::Vec<EnclaveId>, Fault> {
    const SQL: &str = "SELECT enclave FROM node_state WHERE key = 'record' ORDER BY enclave";
    rows::all(rt, SQL, &[], |row| rows::fixed(row, 0).map(EnclaveId))
}

/// Makes an enclave read-only: nothing is signed for it any more. Answers whether it was live.
pub fn fence(rt: &dyn Runtime, cache: &mut Cache, facts: &NodeFacts, enclave: &EnclaveId) -> Result<bool, Fault> {
    let context = Context::new(rt, facts);
    let Some(mut state) = cache.load(rt, enclave)? else { return Ok(false) };
    let live = core::mem::replace(&mut state.record.head.live, false);
    if live {
        context.store(&state.record)?;
        cache.keep(*enclave, state);
    }
    Ok(live)
}

/// Makes a read-only log whose sequencer's key is held here live again: appends `Recovered`, and signs the tree anew. Whether anybody knows more
/// of the log is the caller's to have asked.
///
/// # Errors
/// `enclave_not_found`; `bad_state` for a log that is live; `enclave_terminated`, `enclave_migrated`, `enclave_paused`; `clock_behind`.
/// [`Fault::Key`] where the key is not held: the caller rolls back whatever was written, as after any error.
pub fn resume(rt: &dyn Runtime, cache: &mut Cache, facts: &NodeFacts, enclave: &EnclaveId) -> Result<Event, Stop> {
    let context = Context::new(rt, facts);
    let mut state = cache.load(rt, enclave)?.ok_or(Code::EnclaveNotFound)?;
    if state.record.head.live {
        return Err(Code::BadState.into());
    }
    state.record.head.live = true;
    let t = clock(Some(&state.record.head), context.now)?;
    context.settle(&mut state, t)?;
    let head = &state.record.head;
    let content = Json::object([("prev_seq", Json::from(head.last_seq()))]);
    let draft = Draft::new(*enclave, "Recovered", &content, t.saturating_add(CLOCK_SKEW_MS));
    let signed = draft.signed_by(head.sequencer, |hash| rt.host_sign_seq(&head.sequencer, enclave, hash))?;
    let nobody = |_: &PublicKey| false;
    let kernel = Enclave { manifest: &state.manifest, head, is_node_key: &nobody };
    let transition = recovered(&kernel, &context.rows(enclave), &signed, t)??;
    let event = apply(&context, &mut state, signed, transition)?;
    if state.record.head.open.is_some() {
        // The log key is stated again, and the tree as it is; a closing has done both.
        let at = t.max(state.record.sth_timestamp);
        context.sign_head(&mut state, at)?;
        context.sign_checkpoint(&mut state)?;
        context.store(&state.record)?;
    }
    cache.keep(*enclave, state);
    Ok(event)
}

/// Removes what no answer needs any more of an enclave's state pages: those that are gone, and how others were before bundles that have
/// closed since. Answers how many rows it touched.
pub fn sweep(rt: &dyn Runtime, enclave: &EnclaveId) -> Result<u64, Fault> {
    const GONE: &str = "DELETE FROM state_pages WHERE enclave = ?1 AND body IS NULL AND since < \
         coalesce((SELECT max(idx) + 1 FROM bundles WHERE enclave = ?1), 0)";
    const PAST: &str = "UPDATE state_pages SET old = NULL WHERE enclave = ?1 AND old IS NOT NULL AND since < \
         coalesce((SELECT max(idx) + 1 FROM bundles WHERE enclave = ?1), 0)";
    let id = [Value::Blob(&enclave.0)];
    Ok(rt.sql_exec(GONE, &id)? + rt.sql_exec(PAST, &id)?)
}
