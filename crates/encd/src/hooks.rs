//! Admission hooks: policy, not protocol (`docs/protocol.md`, Admission hooks).

use crate::config::Config;
use protocol::{EnclaveId, PublicKey, Rejection};
use service::call::Admission;
use std::net::IpAddr;

/// A request as the chain judges it: resolved, before anything is done for it.
#[derive(Clone, Copy, Debug)]
pub struct Admitted<'a> {
    /// Which service.
    pub service: &'static str,
    /// Which enclave; none for what concerns the node.
    pub enclave: Option<&'a EnclaveId>,
    /// What is asked.
    pub admission: &'a Admission,
    /// Who says to be asking.
    pub from: Option<&'a PublicKey>,
    /// That it is so: the commit's signature or the session of `from` holds.
    pub verified: bool,
    /// From where, as the host resolved it.
    pub address: IpAddr,
    /// Bytes of the request.
    pub len: usize,
    /// It came in on a loopback listener.
    pub listener_loopback: bool,
    /// The bearer token that came with it.
    pub bearer: Option<&'a str>,
}

/// The hooks, in order.
#[derive(Debug, Default)]
pub struct Chain;

impl Chain {
    /// The chain that is configured: none can be, so it admits everything.
    pub fn from_config(_config: &Config) -> anyhow::Result<Chain> {
        Ok(Chain)
    }

    /// The first refusal, if a hook refuses.
    pub async fn judge(&self, _admitted: &Admitted<'_>) -> Result<(), Rejection> {
        Ok(())
    }
}
