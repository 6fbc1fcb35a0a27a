//! What a node tells of itself and of an enclave.

use crate::cache::State;
use crate::call::{Claim, Response};
use crate::checkpoint::log_vkey;
use crate::context::{Context, Stop};
use crate::rows::{self, node_state};
use crate::runtime::Fault;
use crate::view;
use alloc::string::String;
use alloc::vec::Vec;
use kernel::View;
use protocol::Json;
use protocol::state::{GATE_OPEN, StateName};

/// `GET /`.
pub fn node(context: &Context) -> Response {
    let facts = context.facts;
    let answer = Json::object([
        ("name", Json::from(facts.name.as_str())),
        ("version", Json::from(facts.version.as_str())),
        ("enc_v", Json::Array(Vec::from([Json::from(2)]))),
        ("sequencer", Json::from(facts.sequencer.hex())),
        ("heads_vkey", Json::from(facts.heads_vkey.as_str())),
        ("services", Json::Array(facts.services.iter().map(|service| Json::from(*service)).collect())),
        ("limits", facts.limits.to_json()),
        ("time", Json::from(context.now)),
    ]);
    Response::json(200, &answer)
}

/// `GET …/info/manifest`.
pub fn manifest(context: &Context, state: &State) -> Result<Response, Stop> {
    let head = &state.record.head;
    let stored = rows::event_at(context.rt, &head.enclave, 0)?.ok_or(Fault::Storage)?;
    let answer = Json::object([
        ("enclave", Json::from(head.enclave.hex())),
        ("sequencer", Json::from(head.sequencer.hex())),
        ("bound", Json::Bool(head.bound)),
        ("manifest", stored.event.to_json()),
    ]);
    Ok(Response::json(200, &answer))
}

/// `GET …/info/enclave`: a public part, and the rest for those who may read.
pub fn enclave(context: &Context, state: &State, claim: &Claim) -> Result<Response, Stop> {
    let record = &state.record;
    let head = &record.head;
    let mut members = Vec::from([
        ("enclave", Json::from(head.enclave.hex())),
        ("sequencer", Json::from(head.sequencer.hex())),
        ("bound", Json::Bool(head.bound)),
        ("live", Json::Bool(head.live)),
        ("status", Json::from(head.lifecycle.as_str())),
        ("tree_size", Json::from(head.tree_size)),
    ]);
    if let Some(key) = &record.log_key {
        members.push(("log_vkey", Json::from(log_vkey(&head.enclave, key)?)));
    }
    let asker = context.asker(state, claim)?;
    if asker.reader(state).anything() || *claim == Claim::Admin {
        members.push(("last_seq", Json::from(head.last_seq())));
        members.push(("open_events", Json::from(head.open.map_or(0, |open| open.count))));
        members.push(("gates", gates(context, state)?));
        let counts = view::counts(context.rt, &head.enclave)?;
        members.push(("counts", Json::object(counts.into_iter().map(|(name, count)| (name, Json::from(count))))));
    }
    Ok(Response::json(200, &Json::object(members)))
}

fn gates(context: &Context, state: &State) -> Result<Json, Fault> {
    let rbac = &state.manifest.rbac;
    let moves = rbac.moves.iter().map(|rule| (&rule.alias, &rule.gate));
    let customs = rbac.customs.iter().map(|rule| (&rule.alias, &rule.gate));
    let rows = context.rows(&state.record.head.enclave);
    let mut gates: Vec<(String, Json)> = Vec::new();
    for (alias, gate) in moves.chain(customs) {
        let (Some(alias), Some(_)) = (alias, gate) else { continue };
        let open = rows.slot(&StateName::Gate(alias))?.value() == Some(GATE_OPEN);
        gates.push((alias.clone(), Json::Bool(open)));
    }
    Ok(Json::object(gates))
}

/// `GET …/checkpoint`.
pub fn checkpoint(context: &Context, state: &State) -> Result<Response, Stop> {
    let note = node_state(context.rt, &state.record.head.enclave, "checkpoint")?.ok_or(protocol::Code::NotFound)?;
    Ok(Response {
        status: 200,
        headers: Vec::from([("Cache-Control", String::from("no-cache"))]),
        content_type: "text/plain; charset=utf-8",
        body: note,
    })
}
