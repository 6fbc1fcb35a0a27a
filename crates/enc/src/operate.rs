//! `session`, `push`, `snapshot`, `restore`.

use crate::context::{Context, read_token};
use crate::failure::Failure;
use crate::verify::parse_trust;
use clap::Args;
use client::audit::audit_snapshot;
use client::folder::replace_file;
use client::restore::RestoreOrder;
use protocol::Json;
use std::path::PathBuf;

/// Print a session token for other tools.
#[derive(Args)]
#[command(after_help = "\
Whoever holds the token reads as you at this enclave's node until it ends: an hour from now.

Example: curl -H \"X-Enc-From: KEY\" -H \"X-Enc-Session: TOKEN\" NODE/enclaves/ID/info/enclave")]
pub struct Session {}

/// Close the open bundle, so that what is in it can be proved at once.
#[derive(Args)]
#[command(
    after_help = "For owners. A bundle closes by itself after the manifest's timeout: 5 s unless it says otherwise."
)]
pub struct CloseBundle {}

/// Register or remove a push endpoint.
#[derive(Args)]
#[command(
    after_help = "The node posts {\"type\":\"Challenge\",\"token\"} first and expects {\"token\"} with status 200."
)]
pub struct Push {
    /// The endpoint
    #[arg(value_name = "URL", required_unless_present = "off")]
    url: Option<String>,
    /// Remove all endpoints of this identity
    #[arg(long, conflicts_with = "url")]
    off: bool,
}

/// Save the whole log as a .enc file.
#[derive(Args)]
#[command(after_help = "The file is replayed before it is written. It holds all content in clear, and no key.")]
pub struct Snapshot {
    /// Where to
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Give a .enc file to a node.
#[derive(Args)]
#[command(after_help = "\
Needs the node's admin token, or to act as an owner of the enclave where the node lets you create.
A log is read-only there unless it ends in a Migrate to that node's key and --first is said.")]
pub struct Restore {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// This Migrate is taken up for the first time (only you can know)
    #[arg(long)]
    first: bool,
    /// A file with the node's admin token
    #[arg(long, value_name = "FILE")]
    admin_token: Option<PathBuf>,
    /// For an unbound id: hash of the Manifest's commit, from somebody trusted
    #[arg(long, value_name = "HASH", requires = "sequencer")]
    manifest: Option<String>,
    /// For an unbound id: the first sequencer's key, from somebody trusted
    #[arg(long, value_name = "KEY", requires = "manifest")]
    sequencer: Option<String>,
}

/// Runs `session`.
pub fn session(_: &Session, context: &Context) -> Result<(), Failure> {
    let enclave = context.enclave()?;
    let (from, token, expires) = enclave.session_token()?;
    context.out.line(format!("X-Enc-From: {from}"))?;
    context.out.line(format!("X-Enc-Session: {token}"))?;
    context.out.json(&Json::object([
        ("expires", Json::from(expires)),
        ("from", Json::from(from.hex())),
        ("session", Json::from(token)),
    ]))
}

/// Runs `close-bundle`.
pub fn close_bundle(_: &CloseBundle, context: &Context) -> Result<(), Failure> {
    let head = context.enclave()?.close_bundle()?;
    context.out.both(format!("a log of {} entries", head.tree_size()), &head.sth.sth().to_json())
}

/// Runs `push`.
pub fn push(push: &Push, context: &Context) -> Result<(), Failure> {
    context.enclave()?.register_push(push.url.as_deref())?;
    let text = push.url.as_ref().map_or("removed".into(), |url| format!("{url} is delivered to from here on"));
    context.out.both(text, &Json::object([("ok", Json::Bool(true))]))
}

/// Runs `snapshot`.
pub fn snapshot(snapshot: &Snapshot, context: &Context) -> Result<(), Failure> {
    let (bytes, audited) = context.enclave()?.snapshot()?;
    replace_file(&snapshot.file, &bytes)?;
    let (events, tree_size) = (audited.replayed.events, audited.tree_size);
    let text =
        format!("{}: {} bytes, {events} events in {tree_size} bundles, replayed", snapshot.file.display(), bytes.len());
    let members = [("events", Json::from(events)), ("ok", Json::Bool(true)), ("tree_size", Json::from(tree_size))];
    context.out.both(text, &Json::object(members))
}

/// Runs `restore`.
pub fn restore(restore: &Restore, context: &Context) -> Result<(), Failure> {
    let read = |path: &PathBuf| std::fs::read(path).map_err(|cause| Failure::File { path: path.clone(), cause });
    let bytes = read(&restore.file)?;
    let trust = parse_trust(restore.manifest.as_deref(), restore.sequencer.as_deref())?;
    // What does not replay here is not sent anywhere.
    let (enclave, audited) = audit_snapshot(&bytes, trust.as_ref())?;
    let mut node = context.node(None)?;
    let mut identity = None;
    match &restore.admin_token {
        Some(path) => node = node.with_bearer(&read_token(path)?),
        None if context.has_token() => {}
        None => identity = context.identity_or_stranger()?,
    }
    let order = RestoreOrder { enclave, snapshot: &bytes, trust, first: restore.first, identity };
    let restored = node.restore(&order)?;
    if restored.last_seq + 1 != audited.replayed.events || restored.tree_size != audited.tree_size {
        return Err(Failure::DoesNotHold("the node says it has restored another log".into()));
    }
    let live = if restored.live { "live" } else { "read-only" };
    let text = format!("{enclave} restored to seq {}, {live}", restored.last_seq);
    let members =
        [("enclave", Json::from(enclave.hex())), ("live", Json::Bool(restored.live)), ("ok", Json::Bool(true))];
    context.out.both(text, &Json::object(members))
}
