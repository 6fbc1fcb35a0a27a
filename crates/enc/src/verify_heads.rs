//! `verify --heads`: that the enclave's head stands in its node's heads log, under a checkpoint that witnesses have cosigned.

use crate::context::Context;
use crate::failure::Failure;
use crate::show::utc;
use clap::Args;
use client::heads_log::HeadsTrust;
use protocol::Json;
use std::path::{Path, PathBuf};
use tlog::policy::Policy;
use tlog::vkey::Vkey;

/// What is believed about a heads log.
#[derive(Args)]
pub struct Heads {
    /// Prove that the enclave's head stands in the node's heads log
    #[arg(long)]
    heads: bool,
    /// A C2SP tlog-policy file: the heads log's key, the witnesses, and how many must have cosigned
    #[arg(long, value_name = "FILE", requires = "heads")]
    policy: Option<PathBuf>,
    /// The heads log's key, from somebody trusted [default: the policy's log of that node, else what the node says]
    #[arg(long, value_name = "VKEY", requires = "heads")]
    heads_vkey: Option<String>,
}

/// Runs it.
pub fn run(asked: &Heads, context: &Context) -> Result<(), Failure> {
    let policy = asked.policy.as_deref().map(read_policy).transpose()?;
    let enclave = context.enclave()?;
    let said = enclave.node().info()?.heads_vkey;
    let log = log_key(asked, policy.as_ref(), &said)?;
    let proven = enclave.prove_heads(HeadsTrust { log: &log, policy: policy.as_ref() })?;
    let out = context.out;
    out.line(format!("enclave    {}", enclave.id()))?;
    out.line(format!("heads log  {log}"))?;
    for (name, time_secs) in &proven.witnesses {
        out.line(format!("witness    {name}, at {} UTC", utc(time_secs.saturating_mul(1000))))?;
    }
    let (tree_size, place, size) = (proven.tree_size, proven.leaf_index, proven.heads_size);
    out.line(format!("holds: the head of {tree_size} entries is entry {place} of a heads log of {size}"))?;
    if proven.head.tree_size() > tree_size {
        out.line(format!("       and the newest head, of {}, continues it", proven.head.tree_size()))?;
    }
    if policy.is_none() {
        out.line("       by the node's own word: a policy (--policy) says which witnesses must have seen it")?;
    }
    out.json(&Json::object([
        ("enclave", Json::from(enclave.id().hex())),
        ("ok", Json::Bool(true)),
        ("tree_size", Json::from(tree_size)),
        ("heads_size", Json::from(size)),
        ("witnesses", Json::Array(proven.witnesses.iter().map(|(name, _)| Json::from(name.as_str())).collect())),
    ]))
}

/// The key that the checkpoint must be signed by. A node that names another than the policy or the command line has is not believed.
fn log_key(asked: &Heads, policy: Option<&Policy>, said: &str) -> Result<Vkey, Failure> {
    if let Some(text) = &asked.heads_vkey {
        let advice = "It looks like node.example/heads+1a2b3c4d+AbCd…";
        return Vkey::parse(text).map_err(|error| Failure::Usage(error.to_string(), advice));
    }
    let vkey = Vkey::parse(said).map_err(|error| Failure::DoesNotHold(format!("the node's heads_vkey: {error}")))?;
    let logs = policy.map_or(&[][..], Policy::logs);
    if logs.is_empty() || logs.iter().any(|log| log.vkey == vkey) {
        return Ok(vkey);
    }
    Err(Failure::DoesNotHold(format!("the policy does not list the heads log that the node names: {vkey}")))
}

fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let text = std::fs::read_to_string(path).map_err(|cause| Failure::File { path: path.into(), cause })?;
    Policy::parse(&text).map_err(|error| Failure::Content { path: path.into(), fault: error.to_string() })
}
