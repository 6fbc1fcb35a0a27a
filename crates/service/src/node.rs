//! A node's calls: each to what answers it, inside the host's transaction.

use crate::cache::{Cache, State};
use crate::call::{Action, Call, Claim, InitWithPriv, Outcome, Response, Topic};
use crate::context::{Context, Stop};
use crate::proofs::StateQuestion;
use crate::rows::{node_state, set_node_state};
use crate::runtime::{Fault, FetchId, Fetched, NodeFacts, Runtime};
use crate::structure::{ENC_NODE, ddl};
use crate::{archive, endpoint, info, proofs, push, query, sequence};
use alloc::vec::Vec;
use protocol::{Code, EnclaveId, Json, PublicKey};

/// The statements that make the tables; each may be run again.
pub fn schema() -> Vec<&'static str> {
    ddl(&ENC_NODE)
}

/// Answers a call. On a connection that only reads, [`Fault::ReadOnly`] says that the same call must run where writing is possible.
pub fn run(
    rt: &dyn Runtime,
    cache: &mut Cache,
    facts: &NodeFacts,
    call: &Call,
    resumed: bool,
) -> Result<Outcome, Fault> {
    let context = Context::new(rt, facts);
    match answer(&context, cache, call, resumed) {
        Ok(outcome) => Ok(outcome),
        Err(Stop::Refused(rejection)) => Ok(Outcome::Done(Response::error(&rejection))),
        Err(Stop::Fault(fault)) => Err(fault),
    }
}

fn answer(context: &Context, cache: &mut Cache, call: &Call, resumed: bool) -> Result<Outcome, Stop> {
    let claim = &call.claim;
    match &call.action {
        Action::NodeInfo => return Ok(Outcome::Done(info::node(context))),
        Action::Commit(checked) => return Ok(Outcome::Done(sequence::commit(context, cache, checked)?)),
        Action::Restore(request) => {
            let enclave = call.enclave.as_ref().ok_or(Code::InvalidStructure)?;
            return archive::restore(context, cache, enclave, claim, request);
        }
        Action::InitWithPriv(request) => {
            let enclave = call.enclave.as_ref().ok_or(Code::InvalidStructure)?;
            return Ok(Outcome::Done(provision(context, cache, enclave, request)?));
        }
        _ => {}
    }
    let mut state = context.enclave(cache, call.enclave.as_ref())?;
    let response = match &call.action {
        Action::NodeInfo | Action::Commit(_) | Action::Restore(_) | Action::InitWithPriv(_) => info::node(context),
        Action::Sth => Response::json(200, &context.sth(cache, &mut state)?.to_json()),
        Action::Checkpoint => info::checkpoint(context, &state)?,
        Action::Tile(path) => proofs::tile(context, &state, path)?,
        Action::Consistency { from, to } => proofs::consistency(context, &state, *from, *to)?,
        Action::Inclusion { of, tree_size } => proofs::inclusion(context, cache, &mut state, claim, (of, *tree_size))?,
        Action::Bundle { event_id } => proofs::bundle(context, &state, claim, event_id)?,
        Action::State { items, batch, tree_size } => {
            let question = StateQuestion { items, batch: *batch, tree_size: *tree_size };
            proofs::state(context, cache, &mut state, claim, &question)?
        }
        Action::InfoManifest => info::manifest(context, &state)?,
        Action::InfoEnclave => info::enclave(context, &state, claim)?,
        Action::CloseBundle => close(context, cache, &mut state, claim)?,
        Action::Push { url } => return endpoint::register(context, cache, state, claim, (url.as_deref(), resumed)),
        Action::Snapshot => archive::snapshot(context, cache, &mut state, claim)?,
        Action::Query(filter) => {
            context.require_envelope(claim)?;
            let asker = context.asker(&state, claim)?;
            Response::json(200, &query::answer(context, &state, &asker, filter)?)
        }
        Action::Pull(pull) => push::pull(context, &state, claim, pull)?,
    };
    Ok(Outcome::Done(response))
}

/// `POST …/close-bundle`.
fn close(context: &Context, cache: &mut Cache, state: &mut State, claim: &Claim) -> Result<Response, Stop> {
    context.owner(state, claim)?;
    if !state.record.head.live {
        return Err(Code::ReadOnly.into());
    }
    if state.record.head.open.is_some() {
        context.close(state, context.now.max(state.record.head.last_timestamp))?;
        context.store(&state.record)?;
        cache.keep(state.record.head.enclave, state.clone());
    }
    let sth = context.sth(cache, state)?;
    Ok(Response::json(200, &Json::object([("ok", Json::Bool(true)), ("sth", sth.to_json())])))
}

/// `POST …/init-with-priv`: notes which key an id was given; the host holds the key already.
fn provision(
    context: &Context,
    cache: &mut Cache,
    enclave: &EnclaveId,
    request: &InitWithPriv,
) -> Result<Response, Stop> {
    let mut row = Vec::from(request.sequencer.0);
    row.extend(request.owner.iter().flat_map(|owner| owner.0));
    match node_state(context.rt, enclave, "provisioned")? {
        Some(known) if known[..] == row[..] => {}
        Some(_) => return Err(Code::EnclaveExists.into()),
        None if cache.load(context.rt, enclave)?.is_some() => return Err(Code::EnclaveExists.into()),
        None => set_node_state(context.rt, enclave, "provisioned", &row)?,
    }
    let answer = Json::object([
        ("ok", Json::Bool(true)),
        ("enclave_id", Json::from(enclave.hex())),
        ("sequencer_pubkey", Json::from(request.sequencer.hex())),
    ]);
    Ok(Response::json(200, &answer))
}

/// What is due by itself: a bundle whose time is up, deliveries. The host calls it when the time of `set_alarm` has come.
pub fn alarm(rt: &dyn Runtime, cache: &mut Cache, facts: &NodeFacts, enclave: &EnclaveId) -> Result<(), Fault> {
    let context = Context::new(rt, facts);
    let Some(mut state) = cache.load(rt, enclave)? else { return Ok(()) };
    context.settle(&mut state, context.now)?;
    let wake = push::deliver(&context, &mut state)?;
    let due = state.record.head.due(state.manifest.bundle).filter(|_| state.record.head.live);
    if let Some(at) = wake.into_iter().chain(due).min() {
        rt.set_alarm(enclave, at);
    }
    context.store(&state.record)?;
    cache.keep(*enclave, state);
    Ok(())
}

/// An outbound request has ended; answers the topics that wait for it.
pub fn fetched(
    rt: &dyn Runtime,
    cache: &mut Cache,
    facts: &NodeFacts,
    id: FetchId,
    result: &Fetched,
) -> Result<Vec<Topic>, Fault> {
    let context = Context::new(rt, facts);
    let Some(enclave) = endpoint::enclave_of(&context, id)? else { return Ok(Vec::new()) };
    let Some(mut state) = cache.load(rt, &enclave)? else { return Ok(Vec::new()) };
    let topics = push::fetched(&context, &mut state, id, result)?;
    cache.keep(enclave, state);
    Ok(topics)
}

/// The key that an envelope for the enclave is sealed to.
pub fn sequencer(rt: &dyn Runtime, cache: &mut Cache, enclave: &EnclaveId) -> Result<Option<PublicKey>, Fault> {
    Ok(cache.load(rt, enclave)?.map(|state| state.record.head.sequencer))
}
