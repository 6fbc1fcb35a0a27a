//! `node`: what a node says of itself.

use crate::context::Context;
use crate::failure::Failure;
use crate::show::utc;
use protocol::Json;
use protocol::ids::hex;

/// Runs it.
pub fn run(context: &Context) -> Result<(), Failure> {
    let node = context.node(None)?;
    let info = node.info()?;
    let out = context.out;
    out.line(format!("address    {}", node.url()))?;
    out.line(format!("name       {}", info.name))?;
    out.line(format!("version    {}", info.version))?;
    if let Some(kernel) = info.kernel {
        out.line(format!("kernel     {}", hex(&kernel)))?;
    }
    out.line(format!("sequencer  {}", info.sequencer))?;
    out.line(format!("heads      {}", info.heads_vkey))?;
    out.line(format!("services   {}", info.services.join(", ")))?;
    out.line(format!("clock      {} UTC, {} ms from this one", utc(info.time), info.time.abs_diff(node.now())))?;
    for (name, limit) in &info.limits {
        out.line(format!("limit      {name} {limit}"))?;
    }
    out.json(&Json::object([
        ("heads_vkey", Json::from(info.heads_vkey)),
        ("limits", Json::object(info.limits.into_iter().map(|(name, limit)| (name, Json::from(limit))))),
        ("name", Json::from(info.name)),
        ("sequencer", Json::from(info.sequencer.hex())),
        ("services", Json::Array(info.services.into_iter().map(Json::from).collect())),
        ("time", Json::from(info.time)),
        ("url", Json::from(node.url())),
        ("version", Json::from(info.version)),
    ]))
}
