//! Inclusion, bundle, state and consistency proofs, and tiles: what the log and the state tree prove.

use crate::cache::{Cache, State};
use crate::call::{Claim, InclusionOf, Response};
use crate::context::{Asker, Context, Stop};
use crate::rows::{StoredEvent, event_by_id};
use crate::runtime::Fault;
use crate::tree::{self, Closed, Log, StoredBundle};
use crate::view;
use alloc::string::String;
use alloc::vec::Vec;
use merkle::sparse::{self, StateKey};
use protocol::proof::{
    BundleAnswer, BundleProof, ConsistencyAnswer, EntryProof, InclusionAnswer, StateAnswer, StateProofs,
};
use protocol::{Code, EventHash, EventId};
use tlog::tile::{TileKind, TilePath};

/// An event that the asker may read at present; one it may not is `not_found`, as one that does not exist. What one keeps after leaving is
/// for Query and Pull only.
fn readable(context: &Context, state: &State, asker: &Asker, id: &EventId) -> Result<StoredEvent, Stop> {
    may_read_something(state, asker)?;
    let reader = asker.reader(state);
    let found = event_by_id(context.rt, &state.record.head.enclave, id)?;
    let found = found.filter(|stored| reader.may_read_now(&stored.as_type));
    Ok(found.ok_or(Code::NotFound)?)
}

fn may_read_something(state: &State, asker: &Asker) -> Result<(), Stop> {
    if asker.reader(state).anything() { Ok(()) } else { Err(Code::Unauthorized.into()) }
}

fn asker(context: &Context, state: &State, claim: &Claim) -> Result<Asker, Stop> {
    context.require_envelope(claim)?;
    context.asker(state, claim)
}

/// The closed bundle that holds an event.
fn bundle_with(log: &Log, seq: u64) -> Result<StoredBundle, Stop> {
    let bundle = log.bundle_of(seq)?.filter(|bundle| bundle.entry.index_of(seq).is_some());
    Ok(bundle.ok_or(Code::NotBundled)?)
}

fn membership(
    context: &Context,
    log: &Log,
    bundle: &StoredBundle,
    id: &EventId,
    seq: u64,
) -> Result<BundleProof, Fault> {
    let ids = view::ids(context.rt, log.enclave, bundle.entry.first_seq, bundle.entry.count)?;
    let leaves: Vec<merkle::Hash> = ids.iter().map(|id| id.0).collect();
    let bundle_index = bundle.entry.index_of(seq).ok_or(Fault::Storage)?;
    let place = usize::try_from(bundle_index).map_err(|_| Fault::Storage)?;
    if leaves.get(place) != Some(&id.0) {
        return Err(Fault::Storage);
    }
    let siblings = merkle::bundle::path(&leaves, place);
    Ok(BundleProof { event_id: *id, bundle_index, bundle_size: bundle.entry.count, siblings })
}

fn entry_proof(log: &Log, bundle: &StoredBundle, tree_size: u64) -> Result<EntryProof, Fault> {
    let audit_path = merkle::log::inclusion_path(log, bundle.index, tree_size).map_err(tree::log_fault)?;
    Ok(EntryProof { entry: bundle.entry, leaf_index: bundle.index, tree_size, audit_path })
}

/// `POST …/inclusion`.
pub fn inclusion(
    context: &Context,
    cache: &mut Cache,
    state: &mut State,
    claim: &Claim,
    (of, tree_size): (&InclusionOf, Option<u64>),
) -> Result<Response, Stop> {
    let asker = asker(context, state, claim)?;
    let enclave = state.record.head.enclave;
    let size = state.record.head.tree_size;
    let log = Log { rt: context.rt, enclave: &enclave };
    let (bundle, member) = match of {
        InclusionOf::Event(id) => {
            let stored = readable(context, state, &asker, id)?;
            let seq = stored.event.position.seq;
            let bundle = bundle_with(&log, seq)?;
            let member = membership(context, &log, &bundle, id, seq)?;
            (bundle, Some(member))
        }
        InclusionOf::Leaf(index) => {
            may_read_something(state, &asker)?;
            (log.bundle_at(*index)?.ok_or(Code::NotFound)?, None)
        }
    };
    let tree_size = tree_size.unwrap_or(size);
    if tree_size > size {
        return Err(Code::NotFound.into());
    }
    if bundle.index >= tree_size {
        return Err(Code::NotBundled.into());
    }
    let entry = entry_proof(&log, &bundle, tree_size)?;
    let sth = context.sth(cache, state)?;
    Ok(Response::json(200, &InclusionAnswer { entry, bundle: member, sth }.to_json()))
}

/// `POST …/bundle`.
pub fn bundle(context: &Context, state: &State, claim: &Claim, id: &EventId) -> Result<Response, Stop> {
    let asker = asker(context, state, claim)?;
    let stored = readable(context, state, &asker, id)?;
    let seq = stored.event.position.seq;
    let log = Log { rt: context.rt, enclave: &state.record.head.enclave };
    let bundle = bundle_with(&log, seq)?;
    let proof = membership(context, &log, &bundle, id, seq)?;
    let answer = BundleAnswer { proof, events_root: bundle.entry.events_root, leaf_index: bundle.index };
    Ok(Response::json(200, &answer.to_json()))
}

/// What is asked of the state.
pub struct StateQuestion<'a> {
    /// Namespace and raw key of each.
    pub items: &'a [(u8, Vec<u8>)],
    /// Answer `proofs`.
    pub batch: bool,
    /// The tree that is wanted.
    pub tree_size: Option<u64>,
}

/// `POST …/state` and `…/state-batch`: the state after the newest closed bundle, the only one that is kept.
pub fn state(
    context: &Context,
    cache: &mut Cache,
    state: &mut State,
    claim: &Claim,
    question: &StateQuestion,
) -> Result<Response, Stop> {
    let asker = asker(context, state, claim)?;
    may_read_something(state, &asker)?;
    let head = &state.record.head;
    let (enclave, size) = (head.enclave, head.tree_size);
    if question.tree_size.is_some_and(|wanted| wanted == 0 || wanted != size) {
        return Err(Code::NotFound.into());
    }
    let log = Log { rt: context.rt, enclave: &enclave };
    let newest = size.checked_sub(1).ok_or(Code::NotBundled)?;
    let bundle = log.bundle_at(newest)?.ok_or(Fault::Storage)?;
    let closed = Closed { rt: context.rt, enclave: &enclave, open: size };
    let mut proofs = Vec::with_capacity(question.items.len());
    for (namespace, raw) in question.items {
        proofs.push(sparse::prove(&closed, &StateKey::new(*namespace, raw)).map_err(tree::fault)?);
    }
    let proofs = match (question.batch, proofs.pop()) {
        (false, Some(proof)) => StateProofs::One(proof),
        (_, last) => {
            proofs.extend(last);
            StateProofs::Batch(proofs)
        }
    };
    let entry = entry_proof(&log, &bundle, size)?;
    let sth = context.sth(cache, state)?;
    let last_event_hash = EventHash(bundle.last_event_hash);
    let answer = StateAnswer { proofs, state_hash: bundle.state_hash, last_event_hash, entry, sth };
    Ok(Response::json(200, &answer.to_json()))
}

/// `GET …/consistency`.
pub fn consistency(context: &Context, state: &State, from: u64, to: u64) -> Result<Response, Stop> {
    let head = &state.record.head;
    if from > to {
        return Err(protocol::fields::wrong("from").into());
    }
    if to > head.tree_size {
        return Err(Code::NotFound.into());
    }
    let log = Log { rt: context.rt, enclave: &head.enclave };
    let path =
        if from == 0 { Vec::new() } else { merkle::log::consistency_path(&log, from, to).map_err(tree::log_fault)? };
    Ok(Response::json(200, &ConsistencyAnswer { from, to, path }.to_json()))
}

/// `GET …/tile/…`.
pub fn tile(context: &Context, state: &State, path: &TilePath) -> Result<Response, Stop> {
    let head = &state.record.head;
    if !path.is_filled_by(head.tree_size) {
        return Err(Code::NotFound.into());
    }
    let log = Log { rt: context.rt, enclave: &head.enclave };
    let (first, width) = (path.index() * u64::from(tlog::tile::FULL_WIDTH), u64::from(path.width()));
    let body = match path.kind() {
        TileKind::Entries => {
            let entries = log.entries(first, width)?;
            tlog::entry_bundle::encode(&entries).map_err(|_| Fault::Storage)?
        }
        TileKind::Hashes(level) => log.level(level * 8, first, width)?.concat(),
    };
    let cache_control = if path.width() == tlog::tile::FULL_WIDTH { IMMUTABLE } else { "no-cache" };
    Ok(Response {
        status: 200,
        headers: Vec::from([("Cache-Control", String::from(cache_control))]),
        content_type: "application/octet-stream",
        body,
    })
}

/// Full tiles never change.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
