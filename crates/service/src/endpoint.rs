//! Push endpoints: who registered which, and where each stands (`docs/protocol.md`, Push).

use crate::cache::{Cache, State};
use crate::call::{Claim, Outcome, Response, Topic};
use crate::context::{Context, Stop};
use crate::rows::{self, blob, fixed, int, text, uint};
use crate::runtime::{Fault, Fetch, FetchId, Row, Value};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use kernel::may_push_anything;
use protocol::code::Detail;
use protocol::fields::wrong;
use protocol::json::{self, MAX_DEPTH};
use protocol::state::Lifecycle;
use protocol::{Code, EnclaveId, Json, PublicKey, Rejection, ids::hex};

/// Endpoints of one identity in an enclave.
pub const MAX_PER_IDENTITY: u64 = 4;
/// Endpoints of an enclave.
pub const MAX_PER_ENCLAVE: u64 = 1000;
/// How long a challenge or an attempt may take before it counts as failed: more than the host's own limit of 10 s.
pub(crate) const ATTEMPT_MS: u64 = 15_000;
/// Bytes of an endpoint's URL.
const MAX_URL_LEN: usize = 2048;

/// Where an endpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its challenge is on its way.
    Challenged = 0,
    /// It is delivered to.
    Live = 1,
    /// It did not answer its challenge.
    Refused = 2,
    /// Too many attempts failed: only Pull is left.
    GivenUp = 3,
}

pub(crate) struct Endpoint {
    pub(crate) id: i64,
    pub(crate) enclave: EnclaveId,
    pub(crate) identity: PublicKey,
    pub(crate) url: String,
    pub(crate) standing: Standing,
    pub(crate) token: Vec<u8>,
    pub(crate) retries: u64,
    pub(crate) retry_at: u64,
}

pub(crate) const OF_CHALLENGE: &str =
    "SELECT id, enclave, identity, url, state, token, retries, retry_at FROM push_endpoints WHERE id = ?1";
pub(crate) const OF_DELIVERY: &str = "SELECT e.id, e.enclave, e.identity, e.url, e.state, e.token, e.retries, e.retry_at, d.push_seq \
     FROM push_delivered d JOIN push_endpoints e ON e.enclave = d.enclave AND e.identity = d.identity AND e.url = d.url \
     WHERE d.id = ?1 AND d.delivered_at = 0";
pub(crate) const OF_ENCLAVE: &str = "SELECT id, enclave, identity, url, state, token, retries, retry_at FROM push_endpoints WHERE enclave = ?1 ORDER BY id";
pub(crate) const OF_IDENTITY: &str = "SELECT id, enclave, identity, url, state, token, retries, retry_at FROM push_endpoints \
     WHERE enclave = ?1 AND identity = ?2 ORDER BY id";

pub(crate) fn endpoint(row: &dyn Row) -> Result<Endpoint, Fault> {
    let standing = match uint(row, 4)? {
        0 => Standing::Challenged,
        1 => Standing::Live,
        2 => Standing::Refused,
        3 => Standing::GivenUp,
        _ => return Err(Fault::Storage),
    };
    Ok(Endpoint {
        id: row_id(row)?,
        enclave: EnclaveId(fixed(row, 1)?),
        identity: PublicKey(fixed(row, 2)?),
        url: text(row, 3)?,
        standing,
        token: blob(row, 5)?,
        retries: uint(row, 6)?,
        retry_at: uint(row, 7)?,
    })
}

/// The id of a row, in the first column.
pub(crate) fn row_id(row: &dyn Row) -> Result<i64, Fault> {
    match row.value(0) {
        Value::Int(id) => Ok(id),
        Value::Null | Value::Text(_) | Value::Blob(_) => Err(Fault::Storage),
    }
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
    // An error is answered and the change stays: what did not answer its challenge is forgotten.
    let mut held = Vec::with_capacity(known.len());
    for endpoint in known {
        match endpoint.standing {
            Standing::Challenged if context.now >= endpoint.retry_at => remove(context, &mut state, &endpoint)?,
            Standing::Refused => remove(context, &mut state, &endpoint)?,
            Standing::Challenged | Standing::Live | Standing::GivenUp => held.push(endpoint),
        }
    }
    let mine = held.iter().find(|endpoint| endpoint.url == url);
    match mine.map(|endpoint| (endpoint, endpoint.standing)) {
        Some((_, Standing::Live)) => Ok(Outcome::Done(ok())),
        Some((endpoint, Standing::GivenUp)) => revive(context, endpoint),
        Some((endpoint, Standing::Challenged)) => {
            Ok(Outcome::Parked { topic: Topic::Challenge(enclave, endpoint.id), deadline: endpoint.retry_at })
        }
        Some((_, Standing::Refused)) | None if resumed => Ok(Outcome::Done(Response::error(&Code::BadState.into()))),
        // Nothing is pushed from here any more but what waits already.
        Some((_, Standing::Refused)) | None if state.record.head.lifecycle == Lifecycle::Migrated => {
            let to = state.record.head.migrated_to.map_or(Detail::None, Detail::NewSequencer);
            Err(Rejection::with(Code::EnclaveMigrated, to).into())
        }
        Some((_, Standing::Refused)) | None => challenge(context, &state, (identity, url), held.len() as u64),
    }
}

/// Delivers again to an endpoint that was given up. It has answered its challenge before; what waits for it still does.
fn revive(context: &Context, endpoint: &Endpoint) -> Result<Outcome, Stop> {
    const REVIVE: &str = "UPDATE push_endpoints SET state = 1, retries = 0, retry_at = 0 WHERE id = ?1";
    context.rt.sql_exec(REVIVE, &[Value::Int(endpoint.id)])?;
    context.rt.set_alarm(&endpoint.enclave, context.now);
    Ok(Outcome::Done(ok()))
}

/// Asks an endpoint whether it wants to be one.
fn challenge(context: &Context, state: &State, (identity, url): (PublicKey, &str), mine: u64) -> Result<Outcome, Stop> {
    const COUNT: &str = "SELECT COUNT(*) FROM push_endpoints WHERE enclave = ?1";
    const INSERT: &str = "INSERT INTO push_endpoints (enclave, identity, url, state, token, retries, retry_at) \
         VALUES (?1, ?2, ?3, 0, ?4, 0, ?5) RETURNING id";
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
    let id = rows::first(context.rt, INSERT, &params, row_id)?.ok_or(Fault::Storage)?;
    let body = Json::object([("type", Json::from("Challenge")), ("token", Json::from(hex(&token)))]).to_jcs();
    context.rt.fetch(Fetch { id: FetchId::Challenge(id), lane: lane(&enclave, id), url: String::from(url), body });
    Ok(Outcome::Parked { topic: Topic::Challenge(enclave, id), deadline })
}

pub(crate) fn lane(enclave: &EnclaveId, id: i64) -> String {
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

/// Forgets an endpoint and all that waits for it: one that registers again gets what comes from then on.
pub(crate) fn remove(context: &Context, state: &mut State, endpoint: &Endpoint) -> Result<(), Fault> {
    const ENDPOINT: &str = "DELETE FROM push_endpoints WHERE id = ?1";
    const PENDING: &str = "DELETE FROM push_pending WHERE queue_key = ?1";
    const DELIVERED: &str = "DELETE FROM push_delivered WHERE enclave = ?1 AND identity = ?2 AND url = ?3";
    context.rt.sql_exec(PENDING, &[Value::Int(endpoint.id)])?;
    context.rt.sql_exec(DELIVERED, &by_endpoint(endpoint))?;
    context.rt.sql_exec(ENDPOINT, &[Value::Int(endpoint.id)])?;
    if matches!(endpoint.standing, Standing::Live | Standing::GivenUp) {
        state.record.endpoints = state.record.endpoints.saturating_sub(1);
    }
    Ok(())
}

pub(crate) fn stand(
    context: &Context,
    endpoint: &Endpoint,
    standing: Standing,
    (retries, at): (u64, u64),
) -> Result<(), Fault> {
    const STATE: &str = "UPDATE push_endpoints SET state = ?2, retries = ?3, retry_at = ?4 WHERE id = ?1";
    let params = [Value::Int(endpoint.id), int(standing as u64), int(retries), int(at)];
    context.rt.sql_exec(STATE, &params).map(|_| ())
}

pub(crate) fn by_endpoint(endpoint: &Endpoint) -> [Value<'_>; 3] {
    [Value::Blob(&endpoint.enclave.0), Value::Blob(&endpoint.identity.0), Value::Text(&endpoint.url)]
}

/// The enclave that an outbound request was for; none when nobody waits for its answer any more.
pub fn enclave_of(context: &Context, id: FetchId) -> Result<Option<EnclaveId>, Fault> {
    Ok(addressee(context, id)?.map(|(endpoint, _)| endpoint.enclave))
}

/// The endpoint that an outbound request went to and, of a delivery, its `push_seq`.
pub(crate) fn addressee(context: &Context, id: FetchId) -> Result<Option<(Endpoint, u64)>, Fault> {
    match id {
        FetchId::Challenge(row) => {
            rows::first(context.rt, OF_CHALLENGE, &[Value::Int(row)], |row| Ok((endpoint(row)?, 0)))
        }
        FetchId::Delivery(row) => {
            rows::first(context.rt, OF_DELIVERY, &[Value::Int(row)], |row| Ok((endpoint(row)?, uint(row, 8)?)))
        }
    }
}

/// Whether an answer is `{"token"}` with the token that was sent.
pub(crate) fn repeats(body: &[u8], token: &[u8]) -> bool {
    let value = json::parse(body, MAX_DEPTH).ok();
    value.is_some_and(|value| value.member("token").and_then(Json::as_text) == Some(&hex(token)))
}
