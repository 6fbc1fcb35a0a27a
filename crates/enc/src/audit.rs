//! `audit`.

use crate::context::Context;
use crate::failure::Failure;
use crate::output::Progress;
use protocol::Json;
use protocol::ids::hex;

/// Runs it: replays the whole log by the rules and compares it with what the node has signed.
pub fn run(context: &Context) -> Result<(), Failure> {
    let enclave = context.enclave()?;
    let progress = Progress::of("events");
    let audited = enclave.audit(&mut |done, total| progress.at(done, total));
    progress.end();
    let audited = audited?;
    let replayed = &audited.replayed;
    let out = context.out;
    out.line(format!("enclave    {}", enclave.id()))?;
    out.line(format!("events     {} replayed in {} bundles", replayed.events, audited.tree_size))?;
    out.line(format!("log root   {} as signed", hex(&replayed.root)))?;
    out.line(format!("state root {} as committed", hex(&replayed.state_root)))?;
    out.line(format!("receipts   {} kept here, all in the log", audited.receipts))?;
    out.line("holds")?;
    out.json(&Json::object([
        ("enclave", Json::from(enclave.id().hex())),
        ("events", Json::from(replayed.events)),
        ("ok", Json::Bool(true)),
        ("receipts", Json::from(audited.receipts)),
        ("root_hash", Json::from(hex(&replayed.root))),
        ("state_hash", Json::from(hex(&replayed.state_root))),
        ("tree_size", Json::from(audited.tree_size)),
    ]))
}
