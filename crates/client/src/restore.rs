//! Giving a log to a node.

use crate::asking::SESSION_SECS;
use crate::error::{Answer, Error, Falsehood};
use crate::identity::Identity;
use crate::link::{Asked, MAX_JSON_LEN};
use crate::node::Node;
use crate::pin::Trust;
use protocol::fields::{Fields, wrong};
use protocol::session::Session;
use protocol::{EnclaveId, Json, Rejection};
use ureq::http::Method;

/// What to restore, and by which right.
pub struct RestoreOrder<'a> {
    /// The enclave of the snapshot.
    pub enclave: EnclaveId,
    /// The `.enc` bytes.
    pub snapshot: &'a [u8],
    /// What is trusted of an unbound id.
    pub trust: Option<Trust>,
    /// The caller asserts that this Migrate is taken up for the first time.
    pub first: bool,
    /// An owner of the enclave, unless the node is asked with its admin token ([`Node::with_bearer`]).
    pub identity: Option<Identity>,
}

/// What the node says it has restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The last event.
    pub last_seq: u64,
    /// Closed bundles.
    pub tree_size: u64,
    /// Whether the node sequences it from here on.
    pub live: bool,
}

impl Node {
    /// Restores a snapshot, which the caller has replayed.
    ///
    /// # Errors
    /// [`Error::Refused`]; [`Error::False`] for an answer of another shape or enclave.
    pub fn restore(&self, order: &RestoreOrder<'_>) -> Result<Restored, Error> {
        let mut query = Vec::new();
        if order.first {
            query.push("first=true".to_string());
        }
        if let Some(trust) = &order.trust {
            query.extend([format!("manifest={}", trust.manifest), format!("sequencer={}", trust.sequencer)]);
        }
        let mut path = format!("/enclaves/{}/restore", order.enclave);
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        let mut headers: Vec<(&str, String)> = Vec::new();
        if let Some(identity) = &order.identity {
            // The session is for the node's own key: the enclave may have had another sequencer until now.
            let sequencer = self.info()?.sequencer;
            let expires_secs = u32::try_from(self.now() / 1000 + SESSION_SECS).unwrap_or(u32::MAX);
            let session = Session::make(identity.key(), &sequencer, expires_secs);
            headers.extend([("X-Enc-From", identity.public().hex()), ("X-Enc-Session", session.plain.hex())]);
        }
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (method, content_type) = (Method::POST, Some("application/octet-stream"));
        let (body, max_answer) = (order.snapshot, MAX_JSON_LEN);
        let asked = Asked { method, path: &path, headers: &headers, content_type, body, max_answer };
        let value = self.link.send(&asked)?.json(Answer::Done)?;
        let (enclave, restored) = parse_restored(value).map_err(|_| Falsehood::Shape(Answer::Done))?;
        if enclave == order.enclave { Ok(restored) } else { Err(Falsehood::OtherEnclave(enclave).into()) }
    }
}

fn parse_restored(value: Json) -> Result<(EnclaveId, Restored), Rejection> {
    let mut fields = Fields::of(value)?;
    if fields.required("ok")? != Json::Bool(true) {
        return Err(wrong("ok"));
    }
    let live = match fields.required("live")? {
        Json::Bool(live) => live,
        _ => return Err(wrong("live")),
    };
    let enclave = EnclaveId(fields.hex("enclave_id")?);
    let restored = Restored { last_seq: fields.uint("last_seq")?, tree_size: fields.uint("tree_size")?, live };
    fields.finish()?;
    Ok((enclave, restored))
}
