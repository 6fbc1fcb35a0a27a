//! Push: events and notices delivered to endpoints that asked for them, in order, judged again at each attempt (`docs/protocol.md`,
//! Push). What waits, what was handed out and what failed are rows; the host only posts.

use crate::cache::{Cache, State};
use crate::call::{Claim, Outcome, Pull, Response, Topic};
use crate::context::{Context, Stop};
use crate::query;
use crate::rows::{self, StoredEvent, blob, fixed, int, text, uint};
use crate::runtime::{Fault, Fetch, FetchId, Fetched, Row, Value};
use crate::sequence::mask_of;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use kernel::{Transition, may_push, may_push_anything};
use protocol::code::Detail;
use protocol::event::Content;
use protocol::fields::wrong;
use protocol::json::{self, MAX_DEPTH};
use protocol::manifest::Op;
use protocol::push::{Delivery, Notice, Payload, SignedDelivery};
use protocol::state::Bitmask;
use protocol::{Code, EnclaveId, Event, Json, PublicKey, Rejection, ids::hex};

/// Endpoints of one identity in an enclave.
pub const MAX_PER_IDENTITY: u64 = 4;
/// Endpoints of an enclave.
pub const MAX_PER_ENCLAVE: u64 = 1000;
/// Attempts after the first; then the events wait for a Pull.
pub const MAX_RETRIES: u64 = 10;
/// The first retry comes after this, the next after twice as long, in milliseconds.
const FIRST_RETRY_MS: u64 = 1000;
/// No retry waits longer.
const LAST_RETRY_MS: u64 = 300_000;
/// How long a challenge or an attempt may take before it counts as failed: more than the host's own limit of 10 s.
const ATTEMPT_MS: u64 = 15_000;
/// Events of one delivery.
const MAX_EVENTS: usize = 100;
/// Bytes of the events of one delivery.
const MAX_LEN: usize = 512 << 10;
/// Bytes of an endpoint's URL.
const MAX_URL_LEN: usize = 2048;
/// Deliveries that are kept for Pull after they have arrived.
const KEPT: u64 = 1000;

/// Where an endpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Its challenge is on its way.
    Challenged = 0,
    /// It is delivered to.
    Live = 1,
    /// It did not answer its challenge.
    Refused = 2,
    /// Too many attempts failed: only Pull is left.
    GivenUp = 3,
}

struct Endpoint {
    id: i64,
    enclave: EnclaveId,
    identity: PublicKey,
    url: String,
    standing: Standing,
    token: Vec<u8>,
    retries: u64,
    retry_at: u64,
}

const COLUMNS: &str =
    "SELECT id, enclave, identity, url, state, token, retries, retry_at FROM push_endpoints WHERE id = ?1";
const OF_ENCLAVE: &str = "SELECT id, enclave, identity, url, state, token, retries, retry_at FROM push_endpoints WHERE enclave = ?1 ORDER BY id";
const OF_IDENTITY: &str = "SELECT id, enclave, identity, url, state, token, retries, retry_at FROM push_endpoints \
     WHERE enclave = ?1 AND identity = ?2 ORDER BY id";

fn endpoint(row: &dyn Row) -> Result<Endpoint, Fault> {
    let Value::Int(id) = row.value(0) else { return Err(Fault::Storage) };
    let standing = match uint(row, 4)? {
        0 => Standing::Challenged,
        1 => Standing::Live,
        2 => Standing::Refused,
        3 => Standing::GivenUp,
        _ => return Err(Fault::Storage),
    };
    Ok(Endpoint {
        id,
        enclave: EnclaveId(fixed(row, 1)?),
        identity: PublicKey(fixed(row, 2)?),
        url: text(row, 3)?,
        standing,
        token: blob(row, 5)?,
        retries: uint(row, 6)?,
        retry_at: uint(row, 7)?,
    })
}

/// `POST …/push`.
pub fn register(
    context: &Context,
    cache: &mut Cache,
    mut state: State,
    claim: &Claim,
    (url, resumed): (Option<&str>, bool),
) -> Result<Outcome, Stop> {
    let asker = context.asker(&state, claim)?;
    let (identity, mask) = asker.identity.ok_or(Code::Unauthorized)?;
    let enclave = state.record.head.enclave;
    let params = [Value::Blob(&enclave.0), Value::Blob(&identity.0)];
    let known = rows::all(context.rt, OF_IDENTITY, &params, endpoint)?;
    let Some(url) = url else {
        for endpoint in &known {
            remove(context, &mut state, endpoint)?;
        }
        context.store(&state.record)?;
        cache.keep(enclave, state);
        return Ok(Outcome::Done(ok()));
    };
    if !may_push_anything(&state.manifest, mask) {
        return Err(Code::Unauthorized.into());
    }
    check_url(url, context.facts.push_loopback)?;
    let mine = known.iter().find(|endpoint| endpoint.url == url);
    match mine.map(|endpoint| (endpoint, endpoint.standing)) {
        Some((_, Standing::Live)) => Ok(Outcome::Done(ok())),
        Some((endpoint, Standing::Challenged)) if resumed && context.now < endpoint.retry_at => {
            Ok(Outcome::Parked { topic: Topic::Challenge(enclave, endpoint.id), deadline: endpoint.retry_at })
        }
        Some((endpoint, Standing::Challenged | Standing::Refused)) if resumed => {
            remove(context, &mut state, endpoint)?;
            context.store(&state.record)?;
            cache.keep(enclave, state);
            // The answer is an error and its change stays: the endpoint is forgotten.
            Ok(Outcome::Done(Response::error(&Code::BadState.into())))
        }
        _ if resumed => Err(Code::BadState.into()),
        _ => challenge(context, &state, (identity, url), known.len() as u64),
    }
}

/// Asks an endpoint whether it wants to be one.
fn challenge(context: &Context, state: &State, (identity, url): (PublicKey, &str), mine: u64) -> Result<Outcome, Stop> {
    const COUNT: &str = "SELECT COUNT(*) FROM push_endpoints WHERE enclave = ?1";
    const INSERT: &str = "INSERT INTO push_endpoints (enclave, identity, url, state, token, retries, retry_at) \
         VALUES (?1, ?2, ?3, 0, ?4, 0, ?5) ON CONFLICT (enclave, identity, url) \
         DO UPDATE SET state = 0, token = excluded.token, retries = 0, retry_at = excluded.retry_at RETURNING id";
    let enclave = state.record.head.enclave;
    let held = rows::first(context.rt, COUNT, &[Value::Blob(&enclave.0)], |row| uint(row, 0))?.unwrap_or(0);
    for (count, limit) in [(mine, MAX_PER_IDENTITY), (held, MAX_PER_ENCLAVE)] {
        if count >= limit {
            return Err(Rejection::with(Code::LimitExceeded, Detail::Limit(limit)).into());
        }
    }
    let mut token = [0; 32];
    context.rt.host_random(&mut token);
    let deadline = context.now + ATTEMPT_MS;
    let params =
        [Value::Blob(&enclave.0), Value::Blob(&identity.0), Value::Text(url), Value::Blob(&token), int(deadline)];
    let id = rows::first(context.rt, INSERT, &params, |row| match row.value(0) {
        Value::Int(id) => Ok(id),
        Value::Null | Value::Text(_) | Value::Blob(_) => Err(Fault::Storage),
    })?
    .ok_or(Fault::Storage)?;
    let body = Json::object([("type", Json::from("Challenge")), ("token", Json::from(hex(&token)))]).to_jcs();
    context.rt.fetch(Fetch { id: FetchId::Challenge(id), lane: lane(&enclave, id), url: String::from(url), body });
    Ok(Outcome::Parked { topic: Topic::Challenge(enclave, id), deadline })
}

fn lane(enclave: &EnclaveId, id: i64) -> String {
    format!("push/{}/{id}", enclave.hex())
}

fn ok() -> Response {
    Response::json(200, &Json::object([("ok", Json::Bool(true))]))
}

fn check_url(url: &str, loopback: bool) -> Result<(), Rejection> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://").filter(|_| loopback));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or("");
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    if host.is_empty() || host.contains('@') || !plain || url.len() > MAX_URL_LEN {
        return Err(wrong("url"));
    }
    Ok(())
}

fn remove(context: &Context, state: &mut State, endpoint: &Endpoint) -> Result<(), Fault> {
    const ENDPOINT: &str = "DELETE FROM push_endpoints WHERE id = ?1";
    const PENDING: &str = "DELETE FROM push_pending WHERE queue_key = ?1";
    context.rt.sql_exec(PENDING, &[Value::Int(endpoint.id)])?;
    context.rt.sql_exec(ENDPOINT, &[Value::Int(endpoint.id)])?;
    if matches!(endpoint.standing, Standing::Live | Standing::GivenUp) {
        state.record.endpoints = state.record.endpoints.saturating_sub(1);
    }
    Ok(())
}

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
            if oldest(context, &endpoint)?.is_some() || pending(context, &endpoint)? {
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
        let (id, lane) = (FetchId::Delivery(endpoint.id), lane(&endpoint.enclave, endpoint.id));
        context.rt.fetch(Fetch { id, lane, url: endpoint.url.clone(), body });
        return Ok(Some(until));
    }
}

/// A delivery under its number: which events, and whether whole.
struct Numbered {
    push_seq: u64,
    mode: Op,
    seqs: Vec<u64>,
}

fn by_endpoint(endpoint: &Endpoint) -> [Value<'_>; 3] {
    [Value::Blob(&endpoint.enclave.0), Value::Blob(&endpoint.identity.0), Value::Text(&endpoint.url)]
}

fn numbered(row: &dyn Row) -> Result<Numbered, Fault> {
    let payload = text(row, 1)?;
    let (mode, seqs) = payload.split_at_checked(1).ok_or(Fault::Storage)?;
    let mode = if mode == "P" { Op::P } else { Op::N };
    let seqs = seqs.split(',').filter(|seq| !seq.is_empty()).map(|seq| seq.parse().map_err(|_| Fault::Storage));
    Ok(Numbered { push_seq: uint(row, 0)?, mode, seqs: seqs.collect::<Result<_, _>>()? })
}

/// The oldest delivery that has a number and has not arrived.
fn oldest(context: &Context, endpoint: &Endpoint) -> Result<Option<Numbered>, Fault> {
    const SQL: &str = "SELECT push_seq, payload FROM push_delivered WHERE enclave = ?1 AND identity = ?2 AND url = ?3 \
         AND delivered_at = 0 ORDER BY push_seq LIMIT 1";
    rows::first(context.rt, SQL, &by_endpoint(endpoint), numbered)
}

fn pending(context: &Context, endpoint: &Endpoint) -> Result<bool, Fault> {
    const SQL: &str = "SELECT 1 FROM push_pending WHERE queue_key = ?1 LIMIT 1";
    Ok(rows::first(context.rt, SQL, &[Value::Int(endpoint.id)], |_| Ok(()))?.is_some())
}

fn next(context: &Context, state: &State, endpoint: &Endpoint, mask: Bitmask) -> Result<Option<Numbered>, Fault> {
    match oldest(context, endpoint)? {
        Some(row) => Ok(Some(row)),
        None => number(context, state, endpoint, mask),
    }
}

/// Gives the next run of waiting events of one mode a number.
fn number(context: &Context, state: &State, endpoint: &Endpoint, mask: Bitmask) -> Result<Option<Numbered>, Fault> {
    const WAITING: &str = "SELECT event_seq FROM push_pending WHERE queue_key = ?1 ORDER BY event_seq LIMIT ?2";
    const TAKEN: &str = "DELETE FROM push_pending WHERE queue_key = ?1 AND event_seq <= ?2";
    const SEQ: &str = "INSERT INTO push_seq (enclave, identity, url, seq) VALUES (?1, ?2, ?3, 1) \
         ON CONFLICT (enclave, identity, url) DO UPDATE SET seq = seq + 1 RETURNING seq";
    const INSERT: &str = "INSERT INTO push_delivered (enclave, identity, url, push_seq, payload, delivered_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, 0)";
    let queue = Value::Int(endpoint.id);
    let waiting = rows::all(context.rt, WAITING, &[queue, int(MAX_EVENTS as u64)], |row| uint(row, 0))?;
    let (mut run, mut seqs, mut left, mut taken) = (None, Vec::new(), MAX_LEN, None);
    for seq in waiting {
        let stored = rows::event_at(context.rt, &endpoint.enclave, seq)?.ok_or(Fault::Storage)?;
        let len = query::len(&stored.event);
        let fits = seqs.is_empty() || len <= left;
        match mode(state, mask, &stored.event) {
            Some(op) if fits && run.is_none_or(|run| run == op) => {
                run = Some(op);
                left = left.saturating_sub(len);
                seqs.push(seq);
            }
            Some(_) => break,
            None => {}
        }
        taken = Some(seq);
    }
    let Some(last) = taken else { return Ok(None) };
    context.rt.sql_exec(TAKEN, &[queue, int(last)])?;
    let Some(mode) = run else { return Ok(None) };
    let place = by_endpoint(endpoint);
    let push_seq = rows::first(context.rt, SEQ, &place, |row| uint(row, 0))?.ok_or(Fault::Storage)?;
    let mut payload = String::from(if mode == Op::P { "P" } else { "N" });
    for (index, seq) in seqs.iter().enumerate() {
        payload.push_str(&format!("{}{seq}", if index == 0 { "" } else { "," }));
    }
    context.rt.sql_exec(INSERT, &[place[0], place[1], place[2], int(push_seq), Value::Text(&payload)])?;
    Ok(Some(Numbered { push_seq, mode, seqs }))
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

/// The endpoint's row, when an answer of it comes back.
pub fn enclave_of(context: &Context, id: FetchId) -> Result<Option<EnclaveId>, Fault> {
    let (FetchId::Challenge(id) | FetchId::Delivery(id)) = id;
    Ok(rows::first(context.rt, COLUMNS, &[Value::Int(id)], endpoint)?.map(|endpoint| endpoint.enclave))
}

/// An outbound request has ended; answers the topics that wait for it.
pub fn fetched(context: &Context, state: &mut State, id: FetchId, result: &Fetched) -> Result<Vec<Topic>, Fault> {
    const STATE: &str = "UPDATE push_endpoints SET state = ?2, retries = ?3, retry_at = ?4 WHERE id = ?1";
    let (FetchId::Challenge(row) | FetchId::Delivery(row)) = id;
    let Some(endpoint) = rows::first(context.rt, COLUMNS, &[Value::Int(row)], endpoint)? else { return Ok(Vec::new()) };
    let set = |standing: Standing, retries: u64, at: u64| {
        context.rt.sql_exec(STATE, &[Value::Int(row), int(standing as u64), int(retries), int(at)]).map(|_| ())
    };
    match (id, endpoint.standing) {
        (FetchId::Challenge(_), Standing::Challenged) => {
            let answered = matches!(result, Fetched::Answer(200, body) if repeats(body, &endpoint.token));
            if answered {
                set(Standing::Live, 0, 0)?;
                state.record.endpoints += 1;
                context.store(&state.record)?;
            } else {
                set(Standing::Refused, 0, endpoint.retry_at)?;
            }
            Ok(Vec::from([Topic::Challenge(endpoint.enclave, row)]))
        }
        (FetchId::Delivery(_), Standing::Live) => {
            match result {
                Fetched::Answer(200..=299, _) => {
                    if let Some(oldest) = oldest(context, &endpoint)? {
                        finish(context, &endpoint, oldest.push_seq)?;
                    }
                    set(Standing::Live, 0, 0)?;
                    context.rt.set_alarm(&endpoint.enclave, context.now);
                }
                Fetched::Answer(410, _) => {
                    remove(context, state, &endpoint)?;
                    context.store(&state.record)?;
                }
                Fetched::Answer(..) | Fetched::Failed if endpoint.retries >= MAX_RETRIES => {
                    set(Standing::GivenUp, endpoint.retries, 0)?;
                }
                Fetched::Answer(..) | Fetched::Failed => {
                    let wait = (FIRST_RETRY_MS << endpoint.retries.min(10)).min(LAST_RETRY_MS);
                    set(Standing::Live, endpoint.retries + 1, context.now + wait)?;
                    context.rt.set_alarm(&endpoint.enclave, context.now + wait);
                }
            }
            Ok(Vec::new())
        }
        // The endpoint has changed while the request was on its way.
        (FetchId::Challenge(_) | FetchId::Delivery(_), _) => Ok(Vec::new()),
    }
}

/// Whether an answer is `{"token"}` with the token that was sent.
fn repeats(body: &[u8], token: &[u8]) -> bool {
    let value = json::parse(body, MAX_DEPTH).ok();
    value.is_some_and(|value| value.member("token").and_then(Json::as_text) == Some(&hex(token)))
}

/// Answers a Pull: what was handed out and what waits, each signed anew.
pub fn pull(context: &Context, state: &State, claim: &Claim, pull: &Pull) -> Result<Response, Stop> {
    const SQL: &str = "SELECT push_seq, payload FROM push_delivered WHERE enclave = ?1 AND identity = ?2 AND url = ?3 \
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
