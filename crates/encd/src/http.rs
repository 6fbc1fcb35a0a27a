//! One HTTP request: read, resolved, judged, answered.

use crate::admin::{bearer, client_address};
use crate::body::{self, Room, Unreadable};
use crate::host::{Asked, Host, Peer};
use crate::listener::Alive;
use crate::{envelope, hooks, lines, provision, takeup, websocket};
use axum::body::Body;
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, UPGRADE};
use axum::http::{HeaderMap, Method, Request, Response as HttpResponse, StatusCode, Version};
use bytes::Bytes;
use hyper::body::Incoming;
use protocol::code::Detail;
use protocol::{Code, EnclaveId, Rejection};
use service::call::{Action, Claim, Response, TakeUp};
use service::path::parse_target;
use service::resolve::{Resolved, body_limit, cross_origin, resolve};
use service::runtime::{Headers, RequestLine};
use service::structure::{Does, ENC_NODE, find};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PLAIN: &str = "text/plain; charset=utf-8";
/// What Prometheus calls its text.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The services' listener.
    Public {
        /// It takes connections from this machine only.
        loopback: bool,
    },
    /// The operator's listener.
    Admin,
}

/// The connection that a request came on.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Where it came in.
    pub door: Door,
    /// Its other end.
    pub socket: SocketAddr,
    /// Held by whatever goes on after the request, so that a stop waits for it.
    pub alive: Alive,
}

/// The request broke off; there is nobody to answer.
#[derive(Debug)]
pub struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the request broke off")
    }
}

impl std::error::Error for Broken {}

/// Answers a request.
pub async fn answer(
    host: Arc<Host>,
    arrival: Arrival,
    request: Request<Incoming>,
) -> Result<HttpResponse<Body>, Broken> {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return answer_unlogged(host, arrival, request).await;
    }
    // The route and not the path, in which stand keys and ids.
    let (method, route) = (method_name(request.method()), route_name(&request));
    let arrived = Instant::now();
    let answered = answer_unlogged(host, arrival, request).await;
    let status = answered.as_ref().map_or(0, |response| response.status().as_u16());
    let micros = u64::try_from(arrived.elapsed().as_micros()).unwrap_or(u64::MAX);
    tracing::debug!(method, route, status, micros, "request");
    answered
}

/// A method that somebody made up is theirs.
fn method_name(method: &Method) -> &'static str {
    let known = [("GET", Method::GET), ("HEAD", Method::HEAD), ("POST", Method::POST), ("OPTIONS", Method::OPTIONS)];
    known.iter().find(|(_, known)| known == method).map_or("other", |(name, _)| name)
}

/// A name of what is asked for that holds nothing of the request itself.
fn route_name(request: &Request<Incoming>) -> String {
    let path = request.uri().path();
    if ["/healthz", "/openapi.json", "/readyz", "/metrics"].contains(&path) {
        return path.to_owned();
    }
    let line = request_line(request);
    does(&line).map_or_else(|| "none".to_owned(), |does| format!("{does:?}"))
}

async fn answer_unlogged(
    host: Arc<Host>,
    arrival: Arrival,
    request: Request<Incoming>,
) -> Result<HttpResponse<Body>, Broken> {
    if let Some(response) = operate(&host, arrival.door, &request) {
        return Ok(response);
    }
    let upgrade = asks_for_websocket(request.headers());
    let line = request_line(&request);
    let peer = peer(&host, arrival, request.headers());
    let open_to_all = cross_origin(&line);
    let mut response = match host.chain.arriving(peer.address) {
        Ok(()) if !names_its_host(&request) => {
            http_response(unread(&host, &peer, Response::error(&Code::InvalidStructure.into())))
        }
        Ok(()) => serve(&host, &peer, (&line, upgrade), request).await?,
        Err(rejection) => http_response(unread(&host, &peer, hooks::refusal(&rejection, None))),
    };
    if open_to_all {
        let any = HeaderValue::from_static("*");
        response.headers_mut().insert(HeaderName::from_static("access-control-allow-origin"), any);
        let exposed = HeaderValue::from_static("Retry-After, Allow");
        response.headers_mut().insert(HeaderName::from_static("access-control-expose-headers"), exposed);
    }
    Ok(response)
}

async fn serve(
    host: &Arc<Host>,
    peer: &Peer,
    (line, upgrade): (&RequestLine, bool),
    request: Request<Incoming>,
) -> Result<HttpResponse<Body>, Broken> {
    if let Some(response) = host.heads.answer(line).await {
        return Ok(http_response(response));
    }
    // What has no body, or a body that is streamed, is told by the head alone.
    if upgrade || is_streamed(line) {
        let resolved = host.resolving(|resolver| resolve(resolver, line, upgrade, b""));
        return Ok(match resolved {
            Ok(Resolved::Upgrade(enclave)) => upgraded(host, peer, enclave, request).await,
            Ok(Resolved::Lines) => lines::answer(host, peer, request.into_body()),
            Ok(_) => http_response(Response::error(&Code::InvalidRoute.into())),
            Err(refusal) => http_response(unread(host, peer, refusal.response())),
        });
    }
    let limit = body_limit(&host.engine.facts().limits, line);
    let time = Duration::from_millis(host.config.listen.body_timeout_ms);
    let (parts, incoming) = request.into_parts();
    let (body, _held) = match body::read(incoming, limit, time, room(host, peer, line)).await {
        Ok(body) => body,
        Err(Unreadable::Broken) => return Err(Broken),
        Err(Unreadable::TooLarge) => {
            let rejection = Rejection::with(Code::TooLarge, Detail::Limit(limit as u64));
            return Ok(cut_off(host, peer, &rejection));
        }
        Err(Unreadable::NoRoom) => return Ok(cut_off(host, peer, &Code::Overloaded.into())),
    };
    let len = body.len();
    let response = match host.resolving(|resolver| resolve(resolver, line, upgrade, &body)) {
        Err(refusal) => unread(host, peer, refusal.response()),
        Ok(Resolved::Call(mut call)) => {
            claim_as_operator(host, peer, &mut call);
            match &call.action {
                Action::Restore(request) if request.first == TakeUp::Asserted => {
                    takeup::answer(host, peer, call, len).await
                }
                Action::Checkpoint => host.heads.publish(host.answer(peer, call, len).await),
                _ => host.answer(peer, call, len).await,
            }
        }
        Ok(Resolved::Envelope(sealed)) => envelope::answer(host, peer, &sealed, len).await,
        Ok(Resolved::Provision(request)) => provision::answer(host, peer, &parts.headers, request).await,
        Ok(Resolved::Preflight) => return Ok(preflight()),
        Ok(Resolved::Lines | Resolved::Upgrade(_)) => Response::error(&Code::InvalidRoute.into()),
    };
    Ok(http_response(response))
}

/// The answer to a request whose body is not read to its end.
fn cut_off(host: &Host, peer: &Peer, rejection: &Rejection) -> HttpResponse<Body> {
    let mut response = http_response(unread(host, peer, Response::error(rejection)));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The host's own routes.
fn operate(host: &Host, door: Door, request: &Request<Incoming>) -> Option<HttpResponse<Body>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return None;
    }
    match (request.uri().path(), door) {
        ("/healthz", _) => Some(text(StatusCode::OK, PLAIN, "ok\n")),
        ("/openapi.json", _) => {
            let mut response = text(StatusCode::OK, service::call::JSON, host.openapi.clone());
            let any = HeaderValue::from_static("*");
            response.headers_mut().insert(HeaderName::from_static("access-control-allow-origin"), any);
            Some(response)
        }
        ("/readyz", Door::Admin) => Some(match host.unready() {
            None => text(StatusCode::OK, PLAIN, "ready\n"),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("{why}\n")),
        }),
        ("/metrics", Door::Admin) => Some(text(StatusCode::OK, EXPOSITION, host.measured())),
        _ => None,
    }
}

/// The admin token stands in for a session where the operator may act.
fn claim_as_operator(host: &Host, peer: &Peer, call: &mut service::Call) {
    let admits_operator = matches!(call.action, Action::Snapshot | Action::CloseBundle | Action::Restore(_));
    if admits_operator && host.admin.is_token(peer.bearer.as_deref()) {
        call.claim = Claim::Admin;
    }
}

async fn upgraded(
    host: &Arc<Host>,
    peer: &Peer,
    enclave: Option<EnclaveId>,
    request: Request<Incoming>,
) -> HttpResponse<Body> {
    let (mut parts, _) = request.into_parts();
    websocket::upgrade(host, peer, enclave, &mut parts).await
}

/// Counts the answer to a request that could not be read.
fn unread(host: &Host, peer: &Peer, response: Response) -> Response {
    host.chain.unread(peer.address);
    host.count(&Asked::unread(None, 0), &response);
    response
}

fn request_line(request: &Request<Incoming>) -> RequestLine {
    let header = |name: &str| {
        let value = request.headers().get(name)?;
        // What is no text is malformed, not absent: it stays, and is refused as what it is.
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    RequestLine {
        method: request.method().as_str().to_owned(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or("").to_owned(),
        headers: Headers {
            content_type: header("content-type"),
            from: header("x-enc-from"),
            session: header("x-enc-session"),
        },
    }
}

fn peer(host: &Host, arrival: Arrival, headers: &HeaderMap) -> Peer {
    let Arrival { door, socket, alive } = arrival;
    Peer {
        socket,
        address: client_address(socket.ip(), headers, &host.config.listen.trusted_proxies),
        listener_loopback: match door {
            Door::Public { loopback } => loopback,
            Door::Admin => host.config.listen.admin.ip().is_loopback(),
        },
        bearer: bearer(headers).map(str::to_owned),
        alive,
    }
}

/// Whether it says once whom it is for, as RFC 9112 (3.2) demands: of two `Host`s a proxy before the node may have believed the other.
fn names_its_host(request: &Request<Incoming>) -> bool {
    match request.headers().get_all(HOST).iter().count() {
        0 => request.version() < Version::HTTP_11,
        count => count == 1,
    }
}

fn is_streamed(line: &RequestLine) -> bool {
    does(line) == Some(Does::Commits)
}

fn does(line: &RequestLine) -> Option<Does> {
    let target = parse_target(&line.path).ok()?;
    find(&ENC_NODE, &line.method, &target.rest).ok().map(|route| route.does)
}

/// Whose memory a body is counted to. Snapshots are large and may come slowly: strangers who send them take no other body's place, nor
/// the operator's, whose own are not counted.
fn room<'a>(host: &'a Host, peer: &Peer, line: &RequestLine) -> Option<&'a Room> {
    match does(line) {
        Some(Does::Restore) if host.admin.is_token(peer.bearer.as_deref()) => None,
        Some(Does::Restore) => Some(&host.snapshots),
        Some(_) | None => Some(&host.bodies),
    }
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn preflight() -> HttpResponse<Body> {
    let mut response = HttpResponse::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    for (name, value) in [
        ("access-control-allow-methods", "GET, POST, OPTIONS"),
        ("access-control-allow-headers", "X-Enc-From, X-Enc-Session, Content-Type"),
        ("access-control-max-age", "86400"),
    ] {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// A service's answer as HTTP.
pub fn http_response(answer: Response) -> HttpResponse<Body> {
    let mut response = text(
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        answer.content_type,
        answer.body,
    );
    for (name, value) in answer.headers {
        let name = if name == "Allow" { Ok(ALLOW) } else { HeaderName::from_bytes(name.as_bytes()) };
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> HttpResponse<Body> {
    let mut response = HttpResponse::new(Body::from(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
