//! Push: events and notices delivered to endpoints that asked for them, in order, judged again at each attempt (`docs/protocol.md`,
//! Push). What waits, what was handed out and what failed are rows; the host only posts.

use crate::cache::State;
use crate::call::{Claim, Pull, Response, Topic};
use crate::context::{Context, Stop};
use crate::defects::{self, Defect};
use crate::endpoint::{
    ATTEMPT_MS, Endpoint, OF_ENCLAVE, OF_IDENTITY, Standing, addressee, by_endpoint, endpoint, lane, remove, repeats,
    row_id, stand,
};
use crate::query;
use crate::rows::{self, StoredEvent, int, text, uint};
use crate::runtime::{Fault, Fetch, FetchId, Fetched, Row, Value};
use crate::sequence::mask_of;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use kernel::{Transition, may_push, may_push_anything};
use protocol::event::Content;
use protocol::json::{self, MAX_DEPTH};
use protocol::manifest::Op;
use protocol::push::{Delivery, Notice, Payload, SignedDelivery};
use protocol::state::Bitmask;
use protocol::{Code, Event, Json};

/// Attempts after the first; then the events wait for a Pull.
pub const MAX_RETRIES: u64 = 10;
/// The first retry comes after this, the next after twice as long, in milliseconds.
const FIRST_RETRY_MS: u64 = 1000;
/// No retry waits longer.
const LAST_RETRY_MS: u64 = 300_000;
/// Events of one delivery.
const MAX_EVENTS: usize = 100;
/// Bytes of the events of one delivery.
const MAX_LEN: usize = 512 << 10;
/// Deliveries that are kept for Pull after they have arrived.
const KEPT: u64 = 1000;

/// Step 14: queues an event for every endpoint whose identity may have it, judged on the state right after the event.
pub fn queue(context: &Context, state: &State, stored: &StoredEvent, transition: &Transition) -> Result<(), Fault> {
    const INSERT: &str = "INSERT INTO push_pending (enclave, queue_key, event_seq) VALUES (?1, ?2, ?3)";
    if state.record.endpoints == 0 || transition.refers.is_some() {
        return Ok(());
    }
    let enclave = &stored.event.enclave;
    let mut queued = false;
    for endpoint in rows::all(context.rt, OF_ENCLAVE, &[Value::Blob(&enclave.0)], endpoint)? {
        let delivered = matches!(endpoint.standing, Standing::Live | Standing::GivenUp);
        if delivered && mode(state, mask_of(context, enclave, &endpoint.identity)?, &stored.event).is_some() {
            context.rt.sql_exec(
                INSERT,
                &[Value::Blob(&enclave.0), Value::Int(endpoint.id), int(stored.event.position.seq)],
            )?;
            queued = true;
        }
    }
    if queued {
        context.rt.set_alarm(enclave, context.now);
    }
    Ok(())
}

/// P, N or neither; P wins.
fn mode(state: &State, mask: Bitmask, event: &Event) -> Option<Op> {
    let key = match (&event.content, event.event_type.as_str()) {
        (Content::Present(content), "Shared" | "Own") => {
            let value = json::parse(content.as_bytes(), MAX_DEPTH).ok();
            value.and_then(|value| value.member("key").and_then(Json::as_text).map(String::from))
        }
        _ => None,
    };
    [Op::P, Op::N].into_iter().find(|op| may_push(&state.manifest, mask, &event.event_type, key.as_deref(), *op))
}

/// Makes what is due go out; answers when to be woken next.
pub fn deliver(context: &Context, state: &mut State) -> Result<Option<u64>, Fault> {
    if state.record.endpoints == 0 {
        return Ok(None);
    }
    let enclave = state.record.head.enclave;
    let mut wake: Option<u64> = None;
    for endpoint in rows::all(context.rt, OF_ENCLAVE, &[Value::Blob(&enclave.0)], endpoint)? {
        if endpoint.standing != Standing::Live {
            continue;
        }
        if endpoint.retry_at > context.now {
            // Whatever delays an endpoint is about its oldest delivery.
            if oldest(context, &endpoint)?.is_some() {
                wake = Some(wake.map_or(endpoint.retry_at, |at| at.min(endpoint.retry_at)));
            }
            continue;
        }
        if let Some(at) = attempt(context, state, &endpoint)? {
            wake = Some(wake.map_or(at, |wake| wake.min(at)));
        }
    }
    Ok(wake)
}

/// One attempt at an endpoint's next delivery; answers when it counts as lost.
fn attempt(context: &Context, state: &mut State, endpoint: &Endpoint) -> Result<Option<u64>, Fault> {
    const LEASE: &str = "UPDATE push_endpoints SET retry_at = ?2 WHERE id = ?1";
    let mask = mask_of(context, &endpoint.enclave, &endpoint.identity)?;
    if !may_push_anything(&state.manifest, mask) {
        remove(context, state, endpoint)?;
        return Ok(None);
    }
    loop {
        let Some(row) = next(context, state, endpoint, mask)? else { return Ok(None) };
        let Some(signed) = sign(context, state, endpoint, (&row, mask))? else {
            // Nothing of it may be delivered any more.
            finish(context, endpoint, row.push_seq)?;
            continue;
        };
        let until = context.now + ATTEMPT_MS;
        context.rt.sql_exec(LEASE, &[Value::Int(endpoint.id), int(until)])?;
        let body = signed.to_json().to_jcs();
        let (id, lane) = (FetchId::Delivery(row.id), lane(&endpoint.enclave, endpoint.id));
        context.rt.fetch(Fetch { id, lane, url: endpoint.url.clone(), body });
        if defects::is_on(Defect::LostOutboxRow) {
            finish(context, endpoint, row.push_seq)?;
        }
        return Ok(Some(until));
    }
}

/// A delivery under its number: which events, and whether whole.
struct Numbered {
    id: i64,
    push_seq: u64,
    mode: Op,
    seqs: Vec<u64>,
}

fn numbered(row: &dyn Row) -> Result<Numbered, Fault> {
    let payload = text(row, 2)?;
    let (mode, seqs) = payload.split_at_checked(1).ok_or(Fault::Storage)?;
    let mode = if mode == "P" { Op::P } else { Op::N };
    let seqs = seqs.split(',').filter(|seq| !seq.is_empty()).map(|seq| seq.parse().map_err(|_| Fault::Storage));
    Ok(Numbered { id: row_id(row)?, push_seq: uint(row, 1)?, mode, seqs: seqs.collect::<Result<_, _>>()? })
}

/// The oldest delivery that has a number and has not arrived.
fn oldest(context: &Context, endpoint: &Endpoint) -> Result<Option<Numbered>, Fault> {
    const SQL: &str = "SELECT id, push_seq, payload FROM push_delivered WHERE enclave = ?1 AND identity = ?2 AND url = ?3 \
         AND delivered_at = 0 ORDER BY push_seq LIMIT 1";
    rows::first(context.rt, SQL, &by_endpoint(endpoint), numbered)
}

fn next(context: &Context, state: &State, endpoint: &Endpoint, mask: Bitmask) -> Result<Option<Numbered>, Fault> {
    match oldest(context, endpoint)? {
        Some(row) => Ok(Some(row)),
        None => number(context, state, endpoint, mask),
    }
}

/// Gives the next run of waiting events of one mode a number.
fn number(context: &Context, state: &State, endpoint: &Endpoint, mask: Bitmask) -> Result<Option<Numbered>, Fault> {
    const SEQ: &str = "INSERT INTO push_seq (enclave, identity, url, seq) VALUES (?1, ?2, ?3, 1) \
         ON CONFLICT (enclave, identity, url) DO UPDATE SET seq = seq + 1 RETURNING seq";
    const INSERT: &str = "INSERT INTO push_delivered (enclave, identity, url, push_seq, payload, delivered_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, 0) RETURNING id";
    let Some((mode, seqs)) = take_run(context, state, endpoint, mask)? else { return Ok(None) };
    let place = by_endpoint(endpoint);
    let push_seq = rows::first(context.rt, SEQ, &place, |row| uint(row, 0))?.ok_or(Fault::Storage)?;
    let mut payload = String::from(if mode == Op::P { "P" } else { "N" });
    for (index, seq) in seqs.iter().enumerate() {
        payload.push_str(&format!("{}{seq}", if index == 0 { "" } else { "," }));
    }
    let params = [place[0], place[1], place[2], int(push_seq), Value::Text(&payload)];
    let id = rows::first(context.rt, INSERT, &params, row_id)?.ok_or(Fault::Storage)?;
    Ok(Some(Numbered { id, push_seq, mode, seqs }))
}

/// Takes the next run out of the queue; what may not be delivered any more is dropped on the way.
fn take_run(
    context: &Context,
    state: &State,
    endpoint: &Endpoint,
    mask: Bitmask,
) -> Result<Option<(Op, Vec<u64>)>, Fault> {
    const WAITING: &str = "SELECT event_seq FROM push_pending WHERE queue_key = ?1 ORDER BY event_seq LIMIT ?2";
    const TAKEN: &str = "DELETE FROM push_pending WHERE queue_key = ?1 AND event_seq <= ?2";
    let queue = Value::Int(endpoint.id);
    loop {
        let waiting = rows::all(context.rt, WAITING, &[queue, int(MAX_EVENTS as u64)], |row| uint(row, 0))?;
        let (mut run, mut left, mut taken) = (None::<(Op, Vec<u64>)>, MAX_LEN, None);
        for seq in waiting {
            let stored = rows::event_at(context.rt, &endpoint.enclave, seq)?.ok_or(Fault::Storage)?;
            if let Some(op) = mode(state, mask, &stored.event) {
                let len = query::len(&stored.event);
                let (of, seqs) = run.get_or_insert_with(|| (op, Vec::new()));
                if *of != op || (!seqs.is_empty() && len > left) {
                    break;
                }
                left = left.saturating_sub(len);
                seqs.push(seq);
            }
            taken = Some(seq);
        }
        let Some(last) = taken else { return Ok(None) };
        context.rt.sql_exec(TAKEN, &[queue, int(last)])?;
        if run.is_some() {
            return Ok(run);
        }
    }
}

/// The delivery with what may still go out of it, signed with the time of now.
fn sign(
    context: &Context,
    state: &State,
    endpoint: &Endpoint,
    (row, mask): (&Numbered, Bitmask),
) -> Result<Option<SignedDelivery>, Fault> {
    let mut events = Vec::with_capacity(row.seqs.len());
    for seq in &row.seqs {
        let stored = rows::event_at(context.rt, &endpoint.enclave, *seq)?.ok_or(Fault::Storage)?;
        let may = mode(state, mask, &stored.event);
        if may == Some(Op::P) || may == Some(row.mode) {
            events.push(stored.event);
        }
    }
    if events.is_empty() {
        return Ok(None);
    }
    let payload = match row.mode {
        Op::P => Payload::Events(events),
        _ => {
            let notice = |event: Event| Notice { id: event.id, seq: event.position.seq, event_type: event.event_type };
            Payload::Notify(events.into_iter().map(notice).collect())
        }
    };
    let (enclave, to) = (endpoint.enclave, endpoint.url.clone());
    let delivery = Delivery { push_seq: row.push_seq, enclave, to, time: context.now, payload };
    let seq_pub = state.record.head.sequencer;
    let sig = context.rt.host_sign_seq(&seq_pub, &enclave, &delivery.message(&seq_pub))?;
    Ok(Some(SignedDelivery { delivery, seq_pub, sig }))
}

/// A delivery has arrived, or nothing of it is left.
fn finish(context: &Context, endpoint: &Endpoint, push_seq: u64) -> Result<(), Fault> {
    const DONE: &str = "UPDATE push_delivered SET delivered_at = ?5 WHERE enclave = ?1 AND identity = ?2 AND url = ?3 AND push_seq = ?4";
    const PRUNE: &str = "DELETE FROM push_delivered WHERE enclave = ?1 AND identity = ?2 AND url = ?3 AND push_seq <= ?4 AND delivered_at > 0";
    let place = by_endpoint(endpoint);
    context.rt.sql_exec(DONE, &[place[0], place[1], place[2], int(push_seq), int(context.now.max(1))])?;
    context.rt.sql_exec(PRUNE, &[place[0], place[1], place[2], int(push_seq.saturating_sub(KEPT))])?;
    Ok(())
}

/// An outbound request has ended; answers the topics that wait for it.
pub fn fetched(context: &Context, state: &mut State, id: FetchId, result: &Fetched) -> Result<Vec<Topic>, Fault> {
    let Some((endpoint, push_seq)) = addressee(context, id)? else { return Ok(Vec::new()) };
    match (id, endpoint.standing) {
        (FetchId::Challenge(row), Standing::Challenged) => {
            if matches!(result, Fetched::Answer(200, body) if repeats(body, &endpoint.token)) {
                stand(context, &endpoint, Standing::Live, (0, 0))?;
                state.record.endpoints += 1;
                context.store(&state.record)?;
            } else {
                stand(context, &endpoint, Standing::Refused, (0, endpoint.retry_at))?;
            }
            Ok(Vec::from([Topic::Challenge(endpoint.enclave, row)]))
        }
        (FetchId::Delivery(_), Standing::Live) => {
            delivered(context, state, (&endpoint, push_seq), result)?;
            Ok(Vec::new())
        }
        // The endpoint has changed while the request was on its way.
        (FetchId::Challenge(_) | FetchId::Delivery(_), _) => Ok(Vec::new()),
    }
}

/// An attempt has ended.
fn delivered(
    context: &Context,
    state: &mut State,
    (endpoint, push_seq): (&Endpoint, u64),
    result: &Fetched,
) -> Result<(), Fault> {
    match result {
        Fetched::Answer(200..=299, _) => {
            finish(context, endpoint, push_seq)?;
            stand(context, endpoint, Standing::Live, (0, 0))?;
            context.rt.set_alarm(&endpoint.enclave, context.now);
        }
        Fetched::Answer(410, _) => {
            remove(context, state, endpoint)?;
            context.store(&state.record)?;
        }
        Fetched::Answer(..) | Fetched::Failed if endpoint.retries >= MAX_RETRIES => {
            stand(context, endpoint, Standing::GivenUp, (endpoint.retries, 0))?;
        }
        Fetched::Answer(..) | Fetched::Failed => {
            let wait = (FIRST_RETRY_MS << endpoint.retries.min(10)).min(LAST_RETRY_MS);
            stand(context, endpoint, Standing::Live, (endpoint.retries + 1, context.now + wait))?;
            context.rt.set_alarm(&endpoint.enclave, context.now + wait);
        }
    }
    Ok(())
}

/// Answers a Pull: what was handed out and what waits, each signed anew.
pub fn pull(context: &Context, state: &State, claim: &Claim, pull: &Pull) -> Result<Response, Stop> {
    const SQL: &str = "SELECT id, push_seq, payload FROM push_delivered WHERE enclave = ?1 AND identity = ?2 AND url = ?3 \
         AND push_seq > ?4 ORDER BY push_seq LIMIT ?5";
    context.require_envelope(claim)?;
    let (identity, mask) = context.asker(state, claim)?.identity.ok_or(Code::Unauthorized)?;
    if !may_push_anything(&state.manifest, mask) {
        return Err(Code::Unauthorized.into());
    }
    let enclave = &state.record.head.enclave;
    let params = [Value::Blob(&enclave.0), Value::Blob(&identity.0)];
    let mut endpoints = rows::all(context.rt, OF_IDENTITY, &params, endpoint)?;
    endpoints.retain(|endpoint| pull.url.as_ref().is_none_or(|url| *url == endpoint.url));
    if pull.url.is_some() && endpoints.is_empty() {
        return Err(Code::NotFound.into());
    }
    let (mut deliveries, mut left) = (Vec::new(), context.facts.limits.page_len);
    for endpoint in &endpoints {
        while number(context, state, endpoint, mask)?.is_some() {}
        let place = by_endpoint(endpoint);
        let limit = pull.limit.saturating_sub(deliveries.len() as u64);
        let params = [place[0], place[1], place[2], int(pull.start_after), int(limit)];
        for row in rows::all(context.rt, SQL, &params, numbered)? {
            let Some(signed) = sign(context, state, endpoint, (&row, mask))? else { continue };
            let text = signed.to_json().to_jcs();
            if !deliveries.is_empty() && text.len() > left {
                break;
            }
            left = left.saturating_sub(text.len());
            deliveries.push(Json::Canonical(text));
        }
    }
    let answer = [("type", Json::from("Response")), ("deliveries", Json::Array(deliveries))];
    Ok(Response::json(200, &Json::object(answer)))
}
