//! One node's address and the connections to it.

use crate::error::{Answer, Error, Falsehood};
use crate::refusal::Refusal;
use protocol::Json;
use protocol::json::{self, MAX_DEPTH};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use ureq::http::{Method, Request};

/// How long a node may take over one answer. A push registration waits up to 10 s for the challenge.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a connection may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections are given up before a node or a proxy between would close them under a request.
const IDLE_AGE: Duration = Duration::from_secs(3);
/// Bytes of a JSON answer: a page of 4 MiB, or one event of a mebibyte, and what stands around it.
pub(crate) const MAX_JSON_LEN: u64 = 16 << 20;
/// Bytes of a snapshot.
pub(crate) const MAX_SNAPSHOT_LEN: u64 = 1 << 30;

/// Connections to one node. Clones share them.
#[derive(Clone)]
pub(crate) struct Link {
    agent: ureq::Agent,
    base: Arc<str>,
    bearer: Option<Arc<str>>,
    caller: Arc<Mutex<String>>,
}

/// A request to be sent.
pub(crate) struct Asked<'a> {
    pub method: Method,
    /// From `/`, with the query.
    pub path: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub content_type: Option<&'a str>,
    pub body: &'a [u8],
    pub max_answer: u64,
}

/// An answer as it came.
pub(crate) struct Reply {
    pub status: u16,
    pub retry_after_secs: Option<u64>,
    pub body: Vec<u8>,
}

impl Link {
    /// Takes an `http` or `https` URL; nothing is sent.
    pub fn new(url: &str) -> Result<Link, Error> {
        let base = url.trim_end_matches('/');
        let uri: ureq::http::Uri = base.parse().map_err(|_| Error::Address(url.into()))?;
        let host = uri.host().ok_or_else(|| Error::Address(url.into()))?;
        let scheme_is_known = matches!(uri.scheme_str(), Some("http" | "https"));
        if !scheme_is_known || uri.query().is_some() {
            return Err(Error::Address(url.into()));
        }
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(ANSWER_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .max_idle_age(IDLE_AGE)
            .user_agent("");
        if is_loopback(host) {
            config = config.proxy(None);
        }
        let caller = concat!("enc-client/", env!("CARGO_PKG_VERSION")).to_string();
        Ok(Link {
            agent: ureq::Agent::new_with_config(config.build()),
            base: base.into(),
            bearer: None,
            caller: Arc::new(Mutex::new(caller)),
        })
    }

    /// The address, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether nobody on the way reads along: TLS, or this machine.
    pub fn is_private(&self) -> bool {
        let uri: Option<ureq::http::Uri> = self.base.parse().ok();
        uri.is_some_and(|uri| uri.scheme_str() == Some("https") || uri.host().is_some_and(is_loopback))
    }

    /// The same connections, with a token in each request.
    pub fn with_bearer(self, token: &str) -> Link {
        Link { bearer: Some(token.into()), ..self }
    }

    /// What `User-Agent` says from here on.
    pub fn name_caller(&self, name: &str) {
        *self.caller.lock().unwrap_or_else(PoisonError::into_inner) = name.into();
    }

    pub fn caller(&self) -> String {
        self.caller.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Reply, Error> {
        let (method, content_type, body) = (Method::GET, None, &[][..]);
        self.send(&Asked { method, path, headers, content_type, body, max_answer: MAX_JSON_LEN })
    }

    pub fn post(&self, path: &str, body: &Json) -> Result<Reply, Error> {
        let (body, content_type) = (body.to_jcs(), Some("application/json"));
        let max_answer = MAX_JSON_LEN;
        self.send(&Asked { method: Method::POST, path, headers: &[], content_type, body: body.as_bytes(), max_answer })
    }

    pub fn send(&self, asked: &Asked<'_>) -> Result<Reply, Error> {
        let url = format!("{}{}", self.base, asked.path);
        let mut request = Request::builder().method(asked.method.clone()).uri(&url).header("User-Agent", self.caller());
        for (name, value) in asked.headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.bearer {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some(content_type) = asked.content_type {
            request = request.header("Content-Type", content_type);
        }
        let answer = if asked.method == Method::GET {
            self.agent.run(request.body(()).map_err(|_| Error::Address(url.clone()))?)
        } else {
            self.agent.run(request.body(asked.body).map_err(|_| Error::Address(url.clone()))?)
        };
        let mut answer = answer.map_err(|cause| unreachable(&url, &cause))?;
        let retry_after_secs = answer
            .headers()
            .get("Retry-After")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok());
        let body = answer
            .body_mut()
            .with_config()
            .limit(asked.max_answer)
            .read_to_vec()
            .map_err(|cause| Error::Unreachable { url, cause: cause.to_string(), sent: true })?;
        Ok(Reply { status: answer.status().as_u16(), retry_after_secs, body })
    }
}

impl Reply {
    /// The JSON of an answer with status 200; any other is a refusal.
    pub fn json(self, answer: Answer) -> Result<Json, Error> {
        if self.status != 200 {
            return Err(self.refusal()?.into());
        }
        json::parse(&self.body, MAX_DEPTH).map_err(|_| Falsehood::Shape(answer).into())
    }

    /// The bytes of an answer with status 200.
    pub fn bytes(self) -> Result<Vec<u8>, Error> {
        if self.status == 200 { Ok(self.body) } else { Err(self.refusal()?.into()) }
    }

    /// The answer as a refusal, whose status must be one that its code has.
    pub fn refusal(self) -> Result<Refusal, Error> {
        let shape = || Falsehood::Shape(Answer::Refusal);
        let value = json::parse(&self.body, MAX_DEPTH).map_err(|_| shape())?;
        let mut refusal = Refusal::from_json(value, self.status).map_err(|_| shape())?;
        refusal.retry_after_secs = self.retry_after_secs;
        Ok(refusal)
    }
}

/// Whether a URL's host is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Errors before the first byte went out are told apart: nothing can have come of those.
fn unreachable(url: &str, cause: &ureq::Error) -> Error {
    let sent = match cause {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::BadUri(_) | ureq::Error::Tls(_) => {
            false
        }
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => false,
        ureq::Error::Io(error) => error.kind() != std::io::ErrorKind::ConnectionRefused,
        _ => true,
    };
    Error::Unreachable { url: url.into(), cause: cause.to_string(), sent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_http_urls() {
        for url in ["http://127.0.0.1:8080", "https://node.example/", "http://[::1]:1/enc"] {
            assert!(Link::new(url).is_ok(), "{url}");
        }
        for url in ["", "127.0.0.1:8080", "ftp://host", "http://", "http://h/?q=1", "ws://host"] {
            assert!(matches!(Link::new(url), Err(Error::Address(_))), "{url}");
        }
    }

    #[test]
    fn a_node_that_is_not_there_was_sent_nothing() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", taken.local_addr().expect("it is bound"));
        drop(taken);
        let link = Link::new(&url).expect("an address");
        assert!(matches!(link.get("/", &[]), Err(Error::Unreachable { sent: false, .. })));
    }
}
