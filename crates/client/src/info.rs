//! `info/enclave`: how an enclave stands at a node.

use crate::enclave::Enclave;
use crate::error::{Answer, Error, Falsehood};
use crate::node::Node;
use protocol::fields::Fields;
use protocol::{EnclaveId, Json, PublicKey};

/// `info/enclave`: the node's word, but for what the pin says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnclaveInfo {
    /// The key that sequences now.
    pub sequencer: PublicKey,
    /// Verifier key of the log's checkpoints, once there is one.
    pub log_vkey: Option<String>,
    /// Whether the id is the Manifest's own.
    pub bound: bool,
    /// Whether this node sequences it.
    pub live: bool,
    /// `active`, `paused`, `terminated` or `migrated`.
    pub status: String,
    /// Closed bundles.
    pub tree_size: u64,
    /// What only readers are told.
    pub inside: Option<EnclaveInside>,
}

/// The part of `info/enclave` for those who may read something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnclaveInside {
    /// The last event's place.
    pub last_seq: u64,
    /// Events in no closed bundle yet.
    pub open_events: u64,
    /// Gates by alias.
    pub gates: Vec<(String, bool)>,
    /// Events by type.
    pub counts: Vec<(String, u64)>,
}

impl Enclave {
    /// Asks for the status.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::False`], what the network says.
    pub fn info(&self) -> Result<EnclaveInfo, Error> {
        self.go_on_if_known()?;
        let info = self.at_home(|| {
            let headers = self.session_headers()?;
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            ask(&self.node(), &self.id(), &headers)
        })?;
        if info.bound != self.lock_pin().bound() {
            return Err(Falsehood::Shape(Answer::Enclave).into());
        }
        Ok(info)
    }
}

impl Node {
    /// How an enclave stands here, as everybody is told: the node's word.
    ///
    /// # Errors
    /// [`Error::Refused`] with `enclave_not_found` where the node does not know it; [`Error::False`] for another shape.
    pub fn enclave_info(&self, enclave: &EnclaveId) -> Result<EnclaveInfo, Error> {
        ask(self, enclave, &[])
    }
}

fn ask(node: &Node, enclave: &EnclaveId, headers: &[(&str, &str)]) -> Result<EnclaveInfo, Error> {
    let value = node.link.get(&format!("/enclaves/{enclave}/info/enclave"), headers)?.json(Answer::Enclave)?;
    let (id, info) = parse_info(value).map_err(|_| Falsehood::Shape(Answer::Enclave))?;
    if id == *enclave { Ok(info) } else { Err(Falsehood::OtherEnclave(id).into()) }
}

fn parse_info(value: Json) -> Result<(EnclaveId, EnclaveInfo), protocol::Rejection> {
    let mut fields = Fields::of(value)?;
    let id = EnclaveId(fields.hex("enclave")?);
    let flag = |value: Json| match value {
        Json::Bool(flag) => Ok(flag),
        _ => Err(protocol::fields::wrong("info")),
    };
    let text = |value: Json| match value {
        Json::Text(text) => Ok(text),
        _ => Err(protocol::fields::wrong("log_vkey")),
    };
    let inside = match fields.optional("last_seq") {
        None => None,
        Some(last_seq) => Some(EnclaveInside {
            last_seq: last_seq.as_uint().ok_or(protocol::fields::wrong("last_seq"))?,
            open_events: fields.uint("open_events")?,
            gates: members(fields.required("gates")?)?
                .into_iter()
                .map(|(alias, open)| Ok((alias, flag(open)?)))
                .collect::<Result<_, protocol::Rejection>>()?,
            counts: members(fields.required("counts")?)?
                .into_iter()
                .map(|(name, count)| Ok((name, count.as_uint().ok_or(protocol::fields::wrong("counts"))?)))
                .collect::<Result<_, protocol::Rejection>>()?,
        }),
    };
    let info = EnclaveInfo {
        sequencer: PublicKey(fields.hex("sequencer")?),
        log_vkey: fields.optional("log_vkey").map(text).transpose()?,
        bound: flag(fields.required("bound")?)?,
        live: flag(fields.required("live")?)?,
        status: fields.text("status")?,
        tree_size: fields.uint("tree_size")?,
        inside,
    };
    fields.finish()?;
    Ok((id, info))
}

fn members(value: Json) -> Result<Vec<(String, Json)>, protocol::Rejection> {
    match value {
        Json::Object(members) => Ok(members),
        _ => Err(protocol::fields::wrong("info")),
    }
}
