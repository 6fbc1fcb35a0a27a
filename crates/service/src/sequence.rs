//! A commit becomes an event: the kernel judges, the host signs, rows are written, all in the one transaction around the request.

use crate::cache::{Cache, State};
use crate::call::{CheckedCommit, Response, Verdict};
use crate::context::{Context, Stop};
use crate::push;
use crate::record::Record;
use crate::rows::{self, StoredEvent, int, node_state};
use crate::runtime::{Fault, Value};
use crate::tree;
use alloc::sync::Arc;
use alloc::vec::Vec;
use kernel::{
    Enclave, NodeKeys, Provisioned, ReferKind, RetentionChange, Transition, WriteValue, clock, expiry, genesis,
    sequence,
};
use merkle::Hash;
use merkle::sparse::{self, StateKey};
use protocol::code::Detail;
use protocol::state::{Bitmask, namespace};
use protocol::{Code, EnclaveId, Event, EventId, PublicKey, Rejection, Signature, VerifiedCommit};

/// Steps 2 and 5 to 14 for a commit whose steps 1, 3 and 4 are done.
pub fn commit(context: &Context, cache: &mut Cache, checked: &CheckedCommit) -> Result<Response, Fault> {
    let enclave = checked.commit().enclave;
    *context.warm.borrow_mut() = Some((enclave, cache.take_warm(&enclave)));
    let judged = judge(context, cache, checked);
    if let (Some((_, warm)), false) = (context.warm.take(), matches!(judged, Err(Stop::Fault(_)))) {
        cache.keep_warm(enclave, warm);
    }
    match judged {
        Ok(response) => Ok(response),
        Err(Stop::Fault(fault)) => Err(fault),
        Err(Stop::Refused(rejection)) => Ok(Response::refusal(&rejection, Some(&checked.commit().hash))),
    }
}

fn judge(context: &Context, cache: &mut Cache, checked: &CheckedCommit) -> Result<Response, Stop> {
    let said = checked.commit();
    let enclave = said.enclave;
    let state = cache.load(context.rt, &enclave)?;
    let t = clock(state.as_ref().map(|state| &state.record.head), context.now)?;
    expiry(t, said.exp)?;
    let verified = match &checked.verdict {
        Verdict::Verified(verified) => verified,
        Verdict::Refused(_, rejection) => return Err(rejection.clone().into()),
    };
    let event = match state {
        None => begin(context, cache, (verified, checked.node_key), t)?,
        Some(mut state) => {
            if context.settle(&mut state, t)? {
                cache.keep(enclave, state.clone());
            }
            let (mut state, transition) = next(context, state, (verified, checked.node_key), t)?;
            let event = apply(context, &mut state, verified.clone(), transition)?;
            cache.keep(enclave, state);
            event
        }
    };
    Ok(Response::text(200, event.receipt().to_jcs()))
}

/// Steps 5 to 8 for an enclave that exists.
fn next(
    context: &Context,
    state: State,
    (verified, node_key): (&VerifiedCommit, bool),
    t: u64,
) -> Result<(State, Transition), Stop> {
    let said = verified.commit();
    let enclave = said.enclave;
    let is_node_key = |key: &PublicKey| node_key && *key == said.from;
    let rows = context.rows(&enclave);
    let kernel = Enclave { manifest: &state.manifest, head: &state.record.head, is_node_key: &is_node_key };
    let transition = sequence(&kernel, &rows, verified, t)??;
    quota(context, &state.record, &transition)?;
    Ok((state, transition))
}

/// The first event of an enclave.
fn begin(
    context: &Context,
    cache: &mut Cache,
    (verified, node_key): (&VerifiedCommit, bool),
    t: u64,
) -> Result<Event, Stop> {
    let said = verified.commit();
    let provisioned = provision(context, &said.enclave)?;
    let sequencer = provisioned.as_ref().map_or(context.facts.sequencer, |(key, _)| *key);
    let is_node_key = |key: &PublicKey| node_key && *key == said.from;
    let keys = NodeKeys { sequencer: &sequencer, is_node_key: &is_node_key };
    let begun = genesis(verified, provisioned.as_ref().map(|(_, id)| id), &keys, t)?;
    let enclave = said.enclave;
    let mut state = unborn(Arc::new(begun.manifest), &begun.transition);
    quota(context, &state.record, &begun.transition)?;
    let event = apply(context, &mut state, verified.clone(), begun.transition)?;
    cache.keep(enclave, state);
    Ok(event)
}

/// An enclave before its Manifest.
pub(crate) fn unborn(manifest: Arc<protocol::Manifest>, first: &Transition) -> State {
    let record = Record {
        head: first.head.clone(),
        state_root: merkle::EMPTY,
        identities: 0,
        keys: 0,
        endpoints: 0,
        sth_timestamp: 0,
        sth_signature: Signature([0; 64]),
        log_key: None,
    };
    State { manifest, record }
}

/// The key that an id was provisioned with, and for whom.
pub fn provision(context: &Context, enclave: &EnclaveId) -> Result<Option<(PublicKey, Provisioned)>, Fault> {
    let Some(bytes) = node_state(context.rt, enclave, "provisioned")? else { return Ok(None) };
    let (key, owner) = bytes.split_first_chunk::<32>().ok_or(Fault::Storage)?;
    let owner = if owner.is_empty() { None } else { Some(PublicKey::try_from(owner).map_err(|_| Fault::Storage)?) };
    Ok(Some((PublicKey(*key), Provisioned { owner })))
}

/// Identities and keys of one enclave are bounded by configuration. Where there is no room for more, values may still be replaced and
/// taken away: a full enclave can shut somebody out.
fn quota(context: &Context, record: &Record, transition: &Transition) -> Result<(), Stop> {
    let limits = &context.facts.limits;
    let tree = context.tree(&transition.head.enclave);
    for (space, held, limit) in
        [(namespace::RBAC, record.identities, limits.identities), (namespace::KV, record.keys, limits.keys)]
    {
        let sets = || transition.writes.iter().filter(|write| write.key.path[0] == space);
        let sets = || sets().filter(|write| write.value != WriteValue::Remove);
        if held + sets().count() as u64 <= limit {
            continue;
        }
        let mut added = 0;
        for write in sets() {
            added += u64::from(sparse::get(&tree, &write.key).map_err(tree::fault)?.is_none());
        }
        if added > 0 && held + added > limit {
            return Err(Rejection::with(Code::LimitExceeded, Detail::Limit(limit)).into());
        }
    }
    Ok(())
}

/// Steps 9 to 14: everything that an accepted commit leaves behind.
pub(crate) fn apply(
    context: &Context,
    state: &mut State,
    verified: VerifiedCommit,
    transition: Transition,
) -> Result<Event, Stop> {
    let enclave = transition.head.enclave;
    let signer = transition.position.sequencer;
    let seq_sig = context.rt.host_sign_seq(&signer, &enclave, transition.event_hash.as_bytes())?;
    let stored = store(context, state, verified, &transition, seq_sig)?;
    let timestamp = stored.event.position.timestamp;
    push::queue(context, state, &stored, &transition)?;
    if transition.close {
        context.close(state, timestamp)?;
    } else if stored.event.position.seq == 0 {
        context.sign_head(state, timestamp)?;
        context.sign_checkpoint(state)?;
    }
    let opens = state.record.head.open.is_some_and(|open| open.count == 1);
    if opens && let Some(due) = state.record.head.due(state.manifest.bundle) {
        context.rt.set_alarm(&enclave, due);
    }
    context.store(&state.record)?;
    Ok(stored.event)
}

/// Steps 9, 10 and 12 for an event whose signature is made: its rows, its effect on the state and on the rows of others. Also how a restored
/// log is taken in.
pub(crate) fn store(
    context: &Context,
    state: &mut State,
    verified: VerifiedCommit,
    transition: &Transition,
    seq_sig: Signature,
) -> Result<StoredEvent, Stop> {
    let content_hash = *verified.content_hash();
    let event = Event::assemble(verified.into_commit(), transition.position, seq_sig);
    write_state(context, state, transition, &event.id)?;
    let stored = place(context, transition, event)?;
    rows::insert_event(context.rt, &stored, &content_hash)?;
    if let Some(mut warm) = context.tree(&stored.event.enclave).warm() {
        warm.note_count(&stored.event.event_type, stored.event.position.type_seq + 1);
    }
    retain(context, transition)?;
    state.record.head = transition.head.clone();
    Ok(stored)
}

/// Step 10.
fn write_state(context: &Context, state: &mut State, transition: &Transition, id: &EventId) -> Result<(), Stop> {
    if transition.writes.is_empty() {
        return Ok(());
    }
    let enclave = transition.head.enclave;
    let tree = context.tree(&enclave);
    let mut writes: Vec<(StateKey, Option<Hash>)> = Vec::with_capacity(transition.writes.len());
    for write in &transition.writes {
        let value = match write.value {
            WriteValue::Remove => None,
            WriteValue::Set(value) => Some(value),
            WriteValue::ThisEvent => Some(id.0),
        };
        let held = sparse::get(&tree, &write.key).map_err(tree::fault)?.is_some();
        let count = match write.key.path[0] {
            namespace::RBAC => Some(&mut state.record.identities),
            namespace::KV => Some(&mut state.record.keys),
            _ => None,
        };
        if let Some(count) = count {
            *count = (*count + u64::from(value.is_some())).saturating_sub(u64::from(held));
        }
        writes.push((write.key, value));
    }
    // A key that another raw key has taken is refused by the kernel, which has looked.
    state.record.state_root = tree::write(&tree, state.record.head.tree_size, &writes)?.ok_or(Code::BadState)?;
    Ok(())
}

/// What an event refers to, and what a Delete does to the rows of others.
fn place(context: &Context, transition: &Transition, event: Event) -> Result<StoredEvent, Fault> {
    const ERASE: &str = "UPDATE events SET content = NULL WHERE id = ?1";
    const ERASE_UPDATES: &str =
        "UPDATE events SET content = NULL WHERE enclave = ?1 AND refers = ?2 AND type = 'Update'";
    let Some(refers) = &transition.refers else {
        return Ok(StoredEvent { as_type: event.event_type.clone(), refers: None, event });
    };
    if refers.kind == ReferKind::Delete {
        context.rt.sql_exec(ERASE, &[Value::Blob(&refers.event.0)])?;
        context.rt.sql_exec(ERASE_UPDATES, &[Value::Blob(&event.enclave.0), Value::Blob(&refers.event.0)])?;
    }
    let referred = rows::event_by_id(context.rt, &event.enclave, &refers.event)?.ok_or(Fault::Storage)?;
    Ok(StoredEvent { as_type: referred.as_type, refers: Some(refers.event), event })
}

fn retain(context: &Context, transition: &Transition) -> Result<(), Fault> {
    const KEEP: &str = "INSERT INTO left_rules (enclave, identity, rule, state, seq) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (enclave, identity, rule) DO UPDATE SET state = excluded.state, seq = excluded.seq";
    const FORGET: &str = "DELETE FROM left_rules WHERE enclave = ?1 AND identity = ?2";
    let enclave = Value::Blob(&transition.head.enclave.0);
    for change in &transition.retention {
        match change {
            RetentionChange::Forget { identity } => {
                context.rt.sql_exec(FORGET, &[enclave, Value::Blob(&identity.0)])?;
            }
            RetentionChange::Left { identity, state, rules } => {
                for rule in rules {
                    let params = [
                        enclave,
                        Value::Blob(&identity.0),
                        int(*rule as u64),
                        int(u64::from(state.0)),
                        int(transition.position.seq),
                    ];
                    context.rt.sql_exec(KEEP, &params)?;
                }
            }
        }
    }
    Ok(())
}

/// The bitmask of an identity in the running state.
pub(crate) fn mask_of(context: &Context, enclave: &EnclaveId, identity: &PublicKey) -> Result<Bitmask, Fault> {
    use kernel::View;
    let slot = context.rows(enclave).slot(&protocol::state::StateName::Identity(identity))?;
    Ok(Bitmask::from_value(slot.value()))
}
