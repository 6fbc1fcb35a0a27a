//! Reads a request into a [`Call`]: every spelling of a path and every kind of body, once, before anything judges it.

use crate::call::{Action, Call, CheckedCommit, Claim, Filter, Pull, Response};
use crate::path::{Target, parse_target};
use crate::question::{header_claim, need_enclave, proof, query_enclave, question_by_path, restore, take_claim};
use crate::runtime::{Limits, RequestLine};
use crate::structure::{self, Body, Does, ENC_NODE, Route};
use alloc::string::String;
use alloc::vec::Vec;
use protocol::code::Detail;
use protocol::fields::{Fields, wrong};
use protocol::json::{self, MAX_COMMIT_DEPTH, MAX_DEPTH};
use protocol::transport::{OpenedRequest, SealedRequest};
use protocol::{Code, Commit, EnclaveId, Json, PublicKey, Rejection};

/// What resolving needs to know of the host.
pub struct Resolver<'a> {
    /// Limits on what is read.
    pub limits: &'a Limits,
    /// Whether a key is one of the node's sequencer keys.
    pub is_node_key: &'a dyn Fn(&PublicKey) -> bool,
}

/// What a request is.
#[derive(Debug)]
pub enum Resolved {
    /// A call for an enclave or the node.
    Call(Call),
    /// A key to be provisioned: the host judges, stores the secret, and then makes the call of its public half.
    Provision(Provision),
    /// An encrypted request, for the host to open.
    Envelope(SealedRequest),
    /// `POST /commits`: the host reads line by line.
    Lines,
    /// A WebSocket, at an enclave or at none.
    Upgrade(Option<EnclaveId>),
    /// A browser's question before the request.
    Preflight,
}

/// `init-with-priv`.
pub struct Provision {
    /// For which enclave.
    pub enclave: EnclaveId,
    /// The private key, hex-decoded. Wipe it.
    pub secret: [u8; 32],
    /// The only author whose Manifest is taken.
    pub owner: Option<PublicKey>,
}

impl core::fmt::Debug for Provision {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Provision({})", self.enclave)
    }
}

/// A request that was refused before anybody looked at an enclave.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub rejection: Rejection,
    /// The methods that the path has, when this one is not among them.
    pub allow: Option<&'static str>,
}

impl Refusal {
    /// The answer.
    pub fn response(&self) -> Response {
        let mut response = Response::error(&self.rejection);
        if let Some(allow) = self.allow {
            response.status = 405;
            response.headers.push(("Allow", String::from(allow)));
        }
        response
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Refusal { rejection, allow: None }
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Rejection::from(code).into()
    }
}

/// The most bytes that a host needs to read of the body; one more is `too_large`.
pub fn body_limit(limits: &Limits, line: &RequestLine) -> usize {
    match find(line) {
        Ok((_, route)) => match route.does {
            Does::Submit => limits.envelope_len.max(limits.commit_len).max(limits.body_len),
            Does::Restore => limits.restore_len,
            Does::Commits => limits.lines_len,
            _ => limits.body_len,
        },
        Err(_) => limits.body_len,
    }
}

/// Whether any origin may call the route from a browser.
pub fn cross_origin(line: &RequestLine) -> bool {
    let Ok(target) = parse_target(&line.path) else { return true };
    let guarded = |method: &str| match structure::find(&ENC_NODE, method, &target.rest) {
        Ok(route) => matches!(route.does, Does::Restore | Does::InitWithPriv),
        Err(_) => false,
    };
    !["GET", "POST"].into_iter().any(guarded)
}

/// Reads a request: its line, whether it asks for an upgrade, its whole body (none for [`Resolved::Lines`]).
pub fn resolve(resolver: &Resolver, line: &RequestLine, upgrade: bool, body: &[u8]) -> Result<Resolved, Refusal> {
    if line.method == "OPTIONS" {
        return preflight(line);
    }
    let (target, route) = find(line)?;
    if upgrade && route.does == Does::NodeInfo {
        return Ok(Resolved::Upgrade(query_enclave(target.enclave, &line.query)?));
    }
    match (route.does, target.enclave) {
        (Does::NodeInfo, Some(_)) => {
            return Err(Refusal { rejection: Code::InvalidRoute.into(), allow: Some("POST") });
        }
        // Each line names its enclave: a path that names one would say what nobody looks at.
        (Does::Commits, Some(_)) => return Err(Code::InvalidRoute.into()),
        _ => {}
    }
    check_media_type(&route, line, body)?;
    let limit = body_limit(resolver.limits, line);
    if body.len() > limit {
        return Err(Rejection::with(Code::TooLarge, Detail::Limit(limit as u64)).into());
    }
    match route.does {
        Does::Commits => Ok(Resolved::Lines),
        Does::Submit => resolver.submit(target.enclave, body),
        Does::InitWithPriv => provision(target.enclave, body),
        _ => resolver.call(&route, target, line, body).map(Resolved::Call),
    }
}

/// Reads one line of `POST /commits`; an error carries the line's hash where it had one.
pub fn resolve_line(resolver: &Resolver, line: &[u8]) -> Result<Call, (Option<protocol::CommitHash>, Rejection)> {
    if line.len() > resolver.limits.commit_len {
        return Err((None, Rejection::with(Code::TooLarge, Detail::Limit(resolver.limits.commit_len as u64))));
    }
    let value = json::parse(line, MAX_COMMIT_DEPTH).map_err(|error| (None, error.into()))?;
    let hash = value.member("hash").and_then(Json::as_text).and_then(|text| protocol::CommitHash::parse(text).ok());
    resolver.commit(None, value).map_err(|rejection| (hash, rejection))
}

/// Reads the inside of an envelope; the host has opened it and judged the session.
pub fn resolve_opened(
    resolver: &Resolver,
    outer: &SealedRequest,
    opened: OpenedRequest,
    now: u64,
) -> Result<Call, Rejection> {
    opened.check(outer, now)?;
    let at = Some(outer.enclave);
    let request = opened.request;
    if request.member("exp").is_some() {
        if depth(&request) > MAX_COMMIT_DEPTH {
            return Err(Code::InvalidStructure.into());
        }
        return resolver.commit(at, request);
    }
    let mut fields = Fields::of(request)?;
    // Repeated or not, they are those of the envelope.
    for name in ["from", "session"] {
        drop(fields.optional(name));
    }
    let mut call = match fields.optional("action") {
        None => resolver.question(at, fields)?,
        Some(action) => {
            let does = [Does::State, Does::StateBatch, Does::Inclusion, Does::Bundle]
                .into_iter()
                .find(|does| action.as_text() == Some(action_name(*does)))
                .ok_or_else(|| wrong("action"))?;
            proof(does, at, fields)?
        }
    };
    call.claim = Claim::Envelope { from: outer.from };
    Ok(call)
}

/// What a WebSocket frame says.
#[derive(Debug)]
pub enum Frame {
    /// A subscription, or its replacement.
    Subscribe {
        /// The client's name for it.
        sub_id: String,
        /// The Query.
        call: Call,
    },
    /// A commit.
    Commit(Call),
    /// The end of a subscription.
    Close {
        /// Which.
        sub_id: String,
    },
}

/// A frame that was refused, with what tells the client which it was.
#[derive(Debug)]
pub struct FrameError {
    /// The subscription, where it was named.
    pub sub_id: Option<String>,
    /// The commit, where its hash could be read.
    pub hash: Option<protocol::CommitHash>,
    /// Why.
    pub rejection: Rejection,
}

/// Bytes of a subscription's name.
pub const MAX_SUB_ID_LEN: usize = 64;

/// Reads a WebSocket frame on a socket opened at an enclave, or at none.
pub fn resolve_frame(resolver: &Resolver, at: Option<EnclaveId>, frame: &[u8]) -> Result<Frame, FrameError> {
    let nameless = |rejection: Rejection| FrameError { sub_id: None, hash: None, rejection };
    if frame.len() > resolver.limits.commit_len {
        let limit = Detail::Limit(resolver.limits.commit_len as u64);
        return Err(nameless(Rejection::with(Code::TooLarge, limit)));
    }
    let value = json::parse(frame, MAX_DEPTH).map_err(|error| nameless(error.into()))?;
    if value.member("exp").is_some() {
        let hash = value.member("hash").and_then(Json::as_text);
        let hash = hash.and_then(|text| protocol::CommitHash::parse(text).ok());
        let call = if depth(&value) > MAX_COMMIT_DEPTH {
            Err(Code::InvalidStructure.into())
        } else {
            resolver.commit(at, value)
        };
        return call.map(Frame::Commit).map_err(|rejection| FrameError { sub_id: None, hash, rejection });
    }
    let mut fields = Fields::of(value).map_err(nameless)?;
    let sub_id = fields.text("sub_id").map_err(nameless)?;
    if sub_id.is_empty() || sub_id.len() > MAX_SUB_ID_LEN {
        return Err(nameless(wrong("sub_id")));
    }
    if fields.member("type").and_then(Json::as_text) == Some("Close") {
        drop(fields.optional("type"));
        fields.finish().map_err(nameless)?;
        return Ok(Frame::Close { sub_id });
    }
    let named = |rejection: Rejection| FrameError { sub_id: Some(sub_id.clone()), hash: None, rejection };
    let call = resolver.question(at, fields).map_err(named)?;
    match call.action {
        Action::Query(_) => Ok(Frame::Subscribe { sub_id, call }),
        _ => Err(named(wrong("type"))),
    }
}

fn action_name(does: Does) -> &'static str {
    structure::routes(&ENC_NODE).into_iter().find(|route| route.does == does).map_or("", |route| route.path)
}

fn find(line: &RequestLine) -> Result<(Target, Route), Refusal> {
    let target = parse_target(&line.path)?;
    match structure::find(&ENC_NODE, &line.method, &target.rest) {
        Ok(route) => Ok((target, route)),
        Err(allow) => Err(Refusal { rejection: Code::InvalidRoute.into(), allow }),
    }
}

fn preflight(line: &RequestLine) -> Result<Resolved, Refusal> {
    let target = parse_target(&line.path)?;
    let known = ["GET", "POST"].iter().any(|method| structure::find(&ENC_NODE, method, &target.rest).is_ok());
    if known && cross_origin(line) { Ok(Resolved::Preflight) } else { Err(Code::InvalidRoute.into()) }
}

fn check_media_type(route: &Route, line: &RequestLine, body: &[u8]) -> Result<(), Refusal> {
    let Some(wanted) = route.body.media_type() else { return Ok(()) };
    if route.body == Body::OptionalJson && body.is_empty() {
        return Ok(());
    }
    let given = line.headers.content_type.as_deref().unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(wanted) { Ok(()) } else { Err(Code::UnsupportedMediaType.into()) }
}

impl Resolver<'_> {
    /// `POST /`: a commit, a Query, a Pull or an envelope, by the members it has.
    fn submit(&self, at: Option<EnclaveId>, body: &[u8]) -> Result<Resolved, Refusal> {
        let too_large = |limit: usize| Refusal::from(Rejection::with(Code::TooLarge, Detail::Limit(limit as u64)));
        let value = json::parse(body, MAX_DEPTH).map_err(Rejection::from)?;
        if value.member("exp").is_some() {
            if body.len() > self.limits.commit_len {
                return Err(too_large(self.limits.commit_len));
            }
            if depth(&value) > MAX_COMMIT_DEPTH {
                return Err(Code::InvalidStructure.into());
            }
            return Ok(Resolved::Call(self.commit(at, value)?));
        }
        if value.member("ciphertext").is_some() {
            return Ok(Resolved::Envelope(envelope(at, value)?));
        }
        let fields = Fields::of(value)?;
        if body.len() > self.limits.body_len {
            return Err(too_large(self.limits.body_len));
        }
        Ok(Resolved::Call(self.question(at, fields)?))
    }

    pub(crate) fn commit(&self, at: Option<EnclaveId>, value: Json) -> Result<Call, Rejection> {
        let commit = Commit::from_json(value)?;
        if at.is_some_and(|at| at != commit.enclave) {
            return Err(wrong("enclave"));
        }
        let enclave = Some(commit.enclave);
        let checked = CheckedCommit::check(commit, self.is_node_key);
        Ok(Call { enclave, claim: Claim::Stranger, action: Action::Commit(checked) })
    }

    /// A Query or a Pull.
    pub(crate) fn question(&self, at: Option<EnclaveId>, mut fields: Fields) -> Result<Call, Rejection> {
        let kind = fields.text("type")?;
        let enclave = Some(need_enclave(at, &mut fields)?);
        let claim = take_claim(&mut fields)?;
        let action = match kind.as_str() {
            "Query" => Action::Query(Filter::parse(fields.optional("filter"), self.limits)?),
            "Pull" => Action::Pull(Pull::parse(&mut fields, self.limits)?),
            _ => return Err(wrong("type")),
        };
        fields.finish()?;
        Ok(Call { enclave, claim, action })
    }

    fn call(&self, route: &Route, target: Target, line: &RequestLine, body: &[u8]) -> Result<Call, Refusal> {
        match route.body {
            Body::Empty => Ok(question_by_path(route.does, target, line)?),
            Body::Octets => Ok(restore(target, line, body)?),
            Body::Json | Body::OptionalJson | Body::Lines => {
                let value = if body.is_empty() && route.body == Body::OptionalJson {
                    Json::Object(Vec::new())
                } else {
                    json::parse(body, MAX_DEPTH).map_err(Rejection::from)?
                };
                let mut call = proof(route.does, target.enclave, Fields::of(value)?)?;
                if route.body == Body::OptionalJson && call.claim == Claim::Stranger {
                    call.claim = header_claim(line)?;
                }
                Ok(call)
            }
        }
    }
}

fn envelope(at: Option<EnclaveId>, value: Json) -> Result<SealedRequest, Rejection> {
    let Json::Object(mut members) = value else { return Err(Code::InvalidStructure.into()) };
    // The path may name the enclave in the body's stead.
    if let (Some(at), false) = (at, members.iter().any(|(name, _)| name == "enclave")) {
        members.push((String::from("enclave"), Json::from(at.hex())));
    }
    let sealed = SealedRequest::from_json(Json::Object(members))?;
    if at.is_some_and(|at| at != sealed.enclave) {
        return Err(wrong("enclave"));
    }
    Ok(sealed)
}

fn provision(at: Option<EnclaveId>, body: &[u8]) -> Result<Resolved, Refusal> {
    let mut fields = Fields::of(json::parse(body, MAX_DEPTH).map_err(Rejection::from)?)?;
    let enclave = EnclaveId(fields.hex("enclave_id")?);
    let secret = fields.hex("sequencer_priv")?;
    let owner = fields
        .optional("owner")
        .map(|value| value.as_text().and_then(|text| PublicKey::parse(text).ok()).ok_or_else(|| wrong("owner")));
    let owner = owner.transpose()?;
    fields.finish()?;
    if at.is_some_and(|at| at != enclave) {
        return Err(wrong("enclave_id").into());
    }
    Ok(Resolved::Provision(Provision { enclave, secret, owner }))
}

fn depth(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(members) => 1 + members.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
        Json::Null | Json::Bool(_) | Json::Integer(_) | Json::Text(_) | Json::Canonical(_) => 0,
    }
}
