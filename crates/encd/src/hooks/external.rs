//! A hook that is another program on this machine: it is asked over HTTP and answers by its status.
//!
//! Asked: `POST` of `{"action", "service", "size"}` and, where there are any, `enclave`, `from`, `type`. Answered: 2xx admits; 429 is
//! `rate_limited`; any other 4xx refuses, with the code of a body `{"error": code}` where that is a code of the protocol, else
//! `unauthorized`. Anything else is a failing hook.

use super::{Admitted, HooksConfig};
use crate::outbound::line::{Line, MAX_HEAD_LEN};
use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::Uri;
use protocol::{Code, Json, Rejection, json};
use service::call::Admission;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;

/// Connections kept open between questions.
const MAX_IDLE: usize = 16;
/// Bytes of an answer that are read; a code is shorter.
const MAX_ANSWER_LEN: usize = MAX_HEAD_LEN;

/// The program that is asked.
#[derive(Debug)]
pub struct External {
    address: SocketAddr,
    uri: Uri,
    timeout: Duration,
    fail_open: bool,
    idle: Mutex<Vec<Line>>,
}

/// A question was not answered in a way that means anything, or not in time.
struct Failing;

impl External {
    /// The hook that is configured, if one is.
    pub fn from_config(config: &HooksConfig) -> anyhow::Result<Option<External>> {
        let Some(url) = &config.http_url else { return Ok(None) };
        let uri: Uri = url.parse().context("hooks.http_url is no URL")?;
        let address = loopback_address(&uri).with_context(|| {
            format!("hooks.http_url must be http to a loopback address, as http://127.0.0.1:9000/admit, not {url}")
        })?;
        if config.http_timeout_ms == 0 {
            bail!("hooks.http_timeout_ms must be 1 at least");
        }
        let timeout = Duration::from_millis(config.http_timeout_ms);
        Ok(Some(External { address, uri, timeout, fail_open: config.http_fail_open, idle: Mutex::default() }))
    }

    /// Asks.
    pub async fn judge(&self, admitted: &Admitted<'_>) -> Result<(), Rejection> {
        let asked = self.ask(Bytes::from(question(admitted)));
        match tokio::time::timeout(self.timeout, asked).await.unwrap_or(Err(Failing)) {
            Ok(verdict) => verdict,
            Err(Failing) if self.fail_open => Ok(()),
            Err(Failing) => Err(Code::Overloaded.into()),
        }
    }

    async fn ask(&self, question: Bytes) -> Result<Result<(), Rejection>, Failing> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(mut line) = kept
            && let Ok(answer) = line.post(&self.uri, question.clone(), MAX_ANSWER_LEN).await
        {
            return self.settle(line, answer);
        }
        // None was kept, or it was closed in the meantime: asking twice does nothing twice.
        let stream = TcpStream::connect(self.address).await.map_err(|_| Failing)?;
        let mut line = Line::over(stream).await.map_err(|_| Failing)?;
        let answer = line.post(&self.uri, question, MAX_ANSWER_LEN).await.map_err(|_| Failing)?;
        self.settle(line, answer)
    }

    fn settle(&self, line: Line, (status, body): (u16, Vec<u8>)) -> Result<Result<(), Rejection>, Failing> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if line.is_open() && idle.len() < MAX_IDLE {
            idle.push(line);
        }
        drop(idle);
        match status {
            200..=299 => Ok(Ok(())),
            429 => Ok(Err(Code::RateLimited.into())),
            400..=499 => Ok(Err(code_in(&body).unwrap_or(Code::Unauthorized).into())),
            _ => Err(Failing),
        }
    }
}

fn question(admitted: &Admitted<'_>) -> String {
    let mut members = vec![
        ("action", Json::from(admitted.admission.name())),
        ("service", Json::from(admitted.service)),
        ("size", Json::from(admitted.len as u64)),
    ];
    if let Some(enclave) = admitted.enclave {
        members.push(("enclave", Json::from(enclave.hex())));
    }
    if let Some(from) = admitted.from {
        members.push(("from", Json::from(from.hex())));
    }
    match admitted.admission {
        Admission::Commit(event_type) => members.push(("type", Json::from(event_type.as_str()))),
        Admission::Create => members.push(("type", Json::from("Manifest"))),
        Admission::Query
        | Admission::Pull
        | Admission::Subscribe
        | Admission::Proof
        | Admission::Push
        | Admission::Snapshot
        | Admission::Restore
        | Admission::Init
        | Admission::CloseBundle
        | Admission::Info
        | Admission::Log => {}
    }
    Json::object(members).to_jcs()
}

fn code_in(body: &[u8]) -> Option<Code> {
    let answer = json::parse(body, json::MAX_DEPTH).ok()?;
    Code::parse(answer.member("error")?.as_text()?)
}

/// Where a URL leads, if that is this machine for certain: a name could be made to lead elsewhere.
fn loopback_address(uri: &Uri) -> Option<SocketAddr> {
    if uri.scheme_str() != Some("http") || uri.authority()?.as_str().contains('@') {
        return None;
    }
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let address = match host {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => host.parse().ok()?,
    };
    address.is_loopback().then(|| SocketAddr::new(address, uri.port_u16().unwrap_or(80)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_asked() {
        for (url, expected) in [
            ("http://127.0.0.1:9000/admit", Some("127.0.0.1:9000")),
            ("http://localhost/", Some("127.0.0.1:80")),
            ("http://[::1]:7/", Some("[::1]:7")),
            ("https://127.0.0.1/", None),
            ("http://192.0.2.1/", None),
            ("http://localhost.example/", None),
            ("http://user@127.0.0.1/", None),
            ("http://[::ffff:192.0.2.1]/", None),
            ("/admit", None),
        ] {
            let uri: Uri = url.parse().expect("a URL");
            assert_eq!(loopback_address(&uri), expected.map(|text| text.parse().expect("an address")), "{url}");
        }
    }
}
