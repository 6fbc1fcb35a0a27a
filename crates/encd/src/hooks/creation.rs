//! Who may make enclaves here.

use super::Admitted;
use super::bucket::{Allowance, Buckets, HOUR};
use super::rates::counted;
use super::token::Token;
use anyhow::{Context, bail};
use protocol::code::Detail;
use protocol::{Code, PublicKey, Rejection};
use serde::{Deserialize, Serialize};
use service::call::Admission;
use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;

/// Making enclaves. Holds on every listener that is not loopback; on loopback anybody may, unless it is configured otherwise or a
/// proxy stands before it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CreateConfig {
    /// Who may.
    pub policy: CreatePolicy,
    /// `allow-list`: keys that may, 64 hex digits each.
    pub creators: Vec<String>,
    /// `token`: a file whose first line is the bearer token of those who may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// `open`: Manifests of one key in an hour; 0: no limit.
    pub per_creator_per_hour: u64,
    /// `open`: Manifests from one address in an hour; 0: no limit.
    pub per_address_per_hour: u64,
    /// The policy holds on loopback listeners too.
    pub loopback: bool,
}

/// Who may make enclaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CreatePolicy {
    /// The operator only.
    Closed,
    /// Listed keys.
    AllowList,
    /// Whoever shows the token.
    Token,
    /// Everybody, so many an hour.
    Open,
}

impl Default for CreateConfig {
    fn default() -> CreateConfig {
        CreateConfig {
            policy: CreatePolicy::Closed,
            creators: Vec::new(),
            token_file: None,
            per_creator_per_hour: 10,
            per_address_per_hour: 10,
            loopback: false,
        }
    }
}

/// The policy, ready to judge.
#[derive(Debug)]
pub struct Creation {
    rule: Rule,
    spare_loopback: bool,
}

#[derive(Debug)]
enum Rule {
    Closed,
    AllowList(HashSet<PublicKey>),
    Token(Token),
    Open { creators: Buckets<PublicKey>, addresses: Buckets<IpAddr> },
}

impl Creation {
    /// As configured. `behind_proxy`: what comes in on loopback comes from anywhere; `remembered`: keys and addresses told apart.
    pub fn new(config: &CreateConfig, behind_proxy: bool, remembered: usize) -> anyhow::Result<Creation> {
        let rule = match config.policy {
            CreatePolicy::Closed => Rule::Closed,
            CreatePolicy::AllowList => Rule::AllowList(listed(&config.creators)?),
            CreatePolicy::Token => match &config.token_file {
                Some(path) => Rule::Token(Token::read(path).context("create.token_file")?),
                None => bail!("create.policy = \"token\" needs create.token_file"),
            },
            CreatePolicy::Open => {
                let hourly = |rate| Allowance { rate, period: HOUR, burst: rate };
                Rule::Open {
                    creators: Buckets::new(hourly(config.per_creator_per_hour), remembered),
                    addresses: Buckets::new(hourly(config.per_address_per_hour), remembered),
                }
            }
        };
        Ok(Creation { rule, spare_loopback: !config.loopback && !behind_proxy })
    }

    /// Whether a Manifest, or a whole enclave to be restored, is taken. Only attempts that may be taken count; a key's only once its
    /// signature holds.
    pub fn judge(&self, admitted: &Admitted<'_>, now: u64) -> Result<(), Rejection> {
        if !creates(admitted.admission) || self.spare_loopback && admitted.listener_loopback {
            return Ok(());
        }
        let admits = match &self.rule {
            Rule::Closed => false,
            // A key that is only claimed may pass: the signature is judged right after, and without it nothing is made.
            Rule::AllowList(creators) => admitted.from.is_some_and(|from| creators.contains(from)),
            Rule::Token(token) => admitted.bearer.is_some_and(|shown| token.is(shown)),
            Rule::Open { creators, addresses } => {
                take(addresses, counted(admitted.address), now)?;
                if let Some(from) = admitted.from.filter(|_| admitted.verified) {
                    take(creators, *from, now)?;
                }
                true
            }
        };
        if admits { Ok(()) } else { Err(Code::Unauthorized.into()) }
    }
}

fn take<K: std::hash::Hash + Eq>(buckets: &Buckets<K>, key: K, now: u64) -> Result<(), Rejection> {
    if buckets.take(key, 1, now) {
        return Ok(());
    }
    Err(Rejection::with(Code::LimitExceeded, Detail::Limit(buckets.allowance().rate)))
}

fn listed(keys: &[String]) -> anyhow::Result<HashSet<PublicKey>> {
    let parse = |(place, key): (usize, &String)| {
        PublicKey::parse(key)
            .map_err(|_| anyhow::anyhow!("create.creators[{place}] is not a key of 64 lower-case hex digits"))
    };
    keys.iter().enumerate().map(parse).collect()
}

/// Provisioning a key is the operator's alone and makes nothing yet, so it is not judged here.
fn creates(admission: &Admission) -> bool {
    match admission {
        Admission::Create | Admission::Restore => true,
        Admission::Commit(_)
        | Admission::Query
        | Admission::Pull
        | Admission::Subscribe
        | Admission::Proof
        | Admission::Push
        | Admission::Snapshot
        | Admission::Init
        | Admission::CloseBundle
        | Admission::Info
        | Admission::Log => false,
    }
}
