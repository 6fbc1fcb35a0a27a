//! Admission hooks: policy, not protocol (`docs/protocol.md`, Admission hooks).
//!
//! They judge what was resolved, (service, enclave, action), once for each commit line, frame and call, on every listener and
//! whatever the spelling of its path was. In this order, and the first refusal stands:
//!
//! 1. the rate of the address; public actions (`info`, `log`) are judged by nothing else
//! 2. actions that need the admin token
//! 3. who may make enclaves, but for the operator
//! 4. the rate of the key, where its signature or session holds
//! 5. the quotas of the enclave
//! 6. a program on this machine, asked over HTTP
//!
//! Hooks change no byte of what they admit. A hook that fails refuses.

pub mod actions;
pub mod bucket;
pub mod creation;
pub mod external;
pub mod quotas;
pub mod rates;
pub mod token;

use crate::config::Config;
use actions::Actions;
use anyhow::{Context, bail};
use creation::Creation;
use external::External;
use protocol::{Code, CommitHash, EnclaveId, PublicKey, Rejection};
use quotas::Quotas;
use rates::Rates;
use serde::{Deserialize, Serialize};
use service::Response;
use service::call::Admission;
use std::net::IpAddr;
use std::time::Instant;
use token::Token;

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

/// Hooks that stand by themselves.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HooksConfig {
    /// Actions that need the admin token: `create`, `commit:<type>`, `commit:*`, `query`, …
    pub admin_actions: Vec<String>,
    /// A program on this machine that is asked about every action that is not public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_url: Option<String>,
    /// Milliseconds that it may take to answer.
    pub http_timeout_ms: u64,
    /// Whether what it does not answer is admitted.
    pub http_fail_open: bool,
}

impl Default for HooksConfig {
    fn default() -> HooksConfig {
        HooksConfig { admin_actions: Vec::new(), http_url: None, http_timeout_ms: 200, http_fail_open: false }
    }
}

/// The hooks, in order.
#[derive(Debug)]
pub struct Chain {
    started: Instant,
    rates: Rates,
    admin: Option<Token>,
    admin_actions: Actions,
    creation: Creation,
    quotas: Quotas,
    external: Option<External>,
}

impl Chain {
    /// The chain that is configured.
    pub fn from_config(config: &Config) -> anyhow::Result<Chain> {
        let behind_proxy = config.listen.public_url.is_some() || !config.listen.trusted_proxies.is_empty();
        let admin_actions = Actions::named(&config.hooks.admin_actions).context("hooks.admin_actions")?;
        if !admin_actions.is_empty() && config.admin.token_file.is_none() {
            bail!("hooks.admin_actions needs admin.token_file");
        }
        let admin = config.admin.token_file.as_deref().map(Token::read).transpose().context("admin.token_file")?;
        let remembered = config.rates.remembered;
        Ok(Chain {
            started: Instant::now(),
            rates: Rates::new(&config.rates, behind_proxy),
            admin,
            admin_actions,
            creation: Creation::new(&config.create, behind_proxy, remembered)?,
            quotas: Quotas::new(&config.quotas, remembered),
            external: External::from_config(&config.hooks)?,
        })
    }

    /// Whether anything of an address is taken at present: to be asked before its request is read and its signature checked, which
    /// costs more than the refusal. Counts nothing.
    pub fn arriving(&self, address: IpAddr) -> Result<(), Rejection> {
        self.rates.arriving(address, self.now())
    }

    /// Counts a request, line or frame of an address that could not be read, so that nothing was there to be judged.
    pub fn unread(&self, address: IpAddr) {
        self.rates.unread(address, self.now());
    }

    /// The first refusal, if a hook refuses. To be called once for each call, commit line and frame.
    pub async fn judge(&self, admitted: &Admitted<'_>) -> Result<(), Rejection> {
        self.judge_at(admitted, self.now())?;
        match &self.external {
            Some(external) if !is_public(admitted.admission) => external.judge(admitted).await,
            Some(_) | None => Ok(()),
        }
    }

    /// Counts a commit that got its receipt in the quotas of its enclave. `len`: bytes of the commit as received.
    pub fn sequenced(&self, enclave: &EnclaveId, len: usize) {
        self.quotas.sequenced(enclave, len, self.now());
    }

    /// All but the hook that has to be waited for. `now`: nanoseconds of any clock that does not go back.
    pub fn judge_at(&self, admitted: &Admitted<'_>, now: u64) -> Result<(), Rejection> {
        self.rates.address(admitted, now)?;
        if is_public(admitted.admission) {
            return Ok(());
        }
        if !self.is_operator(admitted) {
            if self.admin_actions.include(admitted.admission) {
                return Err(Code::Unauthorized.into());
            }
            self.creation.judge(admitted, now)?;
        }
        self.rates.key(admitted, now)?;
        self.quotas.judge(admitted, now)
    }

    fn is_operator(&self, admitted: &Admitted<'_>) -> bool {
        let (Some(admin), Some(shown)) = (&self.admin, admitted.bearer) else { return false };
        admin.is(shown)
    }

    /// Nanoseconds since the chain was made: enough for five centuries.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A hook's refusal as an answer: `unauthorized` is 401 here, and whoever is limited is told when to come again.
pub fn refusal(rejection: &Rejection, hash: Option<&CommitHash>) -> Response {
    let mut response = Response::refusal(rejection, hash);
    if rejection.code == Code::Unauthorized {
        response.status = 401;
    }
    let told = response.headers.iter().any(|(name, _)| *name == "Retry-After");
    if rejection.code == Code::RateLimited && !told {
        // Rates are refilled by the second.
        response.headers.push(("Retry-After", String::from("1")));
    }
    response
}

/// What a node tells everybody: of itself, and of its logs.
fn is_public(admission: &Admission) -> bool {
    match admission {
        Admission::Info | Admission::Log => true,
        Admission::Commit(_)
        | Admission::Create
        | Admission::Query
        | Admission::Pull
        | Admission::Subscribe
        | Admission::Proof
        | Admission::Push
        | Admission::Snapshot
        | Admission::Restore
        | Admission::Init
        | Admission::CloseBundle => false,
    }
}
