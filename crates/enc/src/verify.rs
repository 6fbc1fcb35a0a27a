//! `verify`: checks files offline, where nothing is asked of any node; with `--heads`, an enclave's head in its node's heads log.

use crate::context::Context;
use crate::evidence;
use crate::failure::Failure;
use crate::show::{event_line, state_words, utc};
use crate::verify_heads::{self, Heads};
use clap::{Args, Subcommand};
use client::audit::audit_snapshot;
use client::proof_file::{Proof, Proved, verify_file};
use client::{Error, Trust};
use protocol::ids::hex;
use protocol::{CommitHash, EnclaveId, Json, PublicKey};
use std::path::{Path, PathBuf};

/// Check a file offline, or that witnesses have seen the enclave's head.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Verify {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    heads: Heads,
}

/// Check a file offline.
#[derive(Subcommand)]
pub enum Command {
    /// A proof that an event is in the log
    Event(File),
    /// A proof that an event is in its bundle
    Bundle(File),
    /// A proof of state values
    State(File),
    /// A proof that one log continues another
    Log(File),
    /// A .enc file: every signature, every rule, every root
    Snapshot(OfSnapshot),
    /// Evidence that a sequencer has contradicted itself
    Evidence(File),
}

/// The file.
#[derive(Args)]
#[command(
    after_help = "--enclave says which enclave the file must be about; without it compare the id that is printed."
)]
pub struct File {
    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// A `.enc` file.
#[derive(Args)]
pub struct OfSnapshot {
    #[command(flatten)]
    file: File,
    /// For an unbound id: hash of the Manifest's commit, from somebody trusted
    #[arg(long, value_name = "HASH", requires = "sequencer")]
    manifest: Option<String>,
    /// For an unbound id: the first sequencer's key, from somebody trusted
    #[arg(long, value_name = "KEY", requires = "manifest")]
    sequencer: Option<String>,
}

/// Runs it.
pub fn run(verify: &Verify, context: &Context) -> Result<(), Failure> {
    let Some(command) = &verify.command else { return verify_heads::run(&verify.heads, context) };
    match command {
        Command::Event(file) => proof(file, context, |proof| matches!(proof, Proof::Event(..))),
        Command::Bundle(file) => proof(file, context, |proof| matches!(proof, Proof::Bundle(..))),
        Command::State(file) => proof(file, context, |proof| matches!(proof, Proof::State(..))),
        Command::Log(file) => proof(file, context, |proof| matches!(proof, Proof::Log(..))),
        Command::Snapshot(of) => snapshot(of, context),
        Command::Evidence(file) => evidence::verify_file(&file.file, context),
    }
}

/// Trust that a caller states by two flags.
pub fn parse_trust(manifest: Option<&str>, sequencer: Option<&str>) -> Result<Option<Trust>, Failure> {
    let (Some(manifest), Some(sequencer)) = (manifest, sequencer) else { return Ok(None) };
    let wrong = || Failure::Usage("this is no hash and key".into(), "Both are 64 lower-case hex digits.");
    let manifest = CommitHash::parse(manifest).map_err(|_| wrong())?;
    let sequencer = PublicKey::parse(sequencer).map_err(|_| wrong())?;
    Ok(Some(Trust { manifest, sequencer }))
}

fn proof(file: &File, context: &Context, is_asked: impl Fn(&Proof) -> bool) -> Result<(), Failure> {
    let bytes = read(&file.file)?;
    let (proof, proved) = verify_file(&bytes).map_err(|error| in_file(&file.file, error))?;
    if !is_asked(&proof.proof) {
        return Err(Failure::DoesNotHold("the file proves something, but of another kind than was asked".into()));
    }
    context.check_named(proof.pin.enclave())?;
    let out = context.out;
    let bound = if proof.pin.bound() { "" } else { "  UNBOUND: nothing proves who made it" };
    out.line(format!("enclave    {}{bound}", proof.pin.enclave()))?;
    match proved {
        Proved::Event { event, leaf_index, tree_size } => {
            out.line(event_line(&event))?;
            out.line(format!("holds: in entry {leaf_index} of a log of {tree_size}"))?;
        }
        Proved::State { values, leaf_index, tree_size, signed_ms } => {
            for (name, value) in &values {
                out.line(format!("{name}: {}", state_words(proof.pin.manifest(), name, *value)))?;
            }
            let newest = if leaf_index + 1 == tree_size { "the newest then" } else { "not the newest then" };
            out.line(format!("holds: after bundle {leaf_index}, {newest}; head of {} UTC", utc(signed_ms)))?;
        }
        Proved::Log { older, newer } => {
            out.line(format!("holds: a log of {newer} entries begins with one of {older}"))?
        }
    }
    out.json(&holds(proof.pin.enclave()))
}

fn snapshot(of: &OfSnapshot, context: &Context) -> Result<(), Failure> {
    let bytes = read(&of.file.file)?;
    let trust = parse_trust(of.manifest.as_deref(), of.sequencer.as_deref())?;
    let (enclave, audited) = audit_snapshot(&bytes, trust.as_ref()).map_err(|error| in_file(&of.file.file, error))?;
    context.check_named(enclave)?;
    let replayed = &audited.replayed;
    let out = context.out;
    out.line(format!("enclave    {enclave}"))?;
    out.line(format!("events     {} ({} in the open bundle)", replayed.events, replayed.open_events))?;
    out.line(format!("log root   {} over {} entries", hex(&replayed.root), audited.tree_size))?;
    out.line("holds: every signature, every rule, every root")?;
    out.json(&holds(enclave))
}

fn holds(enclave: EnclaveId) -> Json {
    Json::object([("enclave", Json::from(enclave.hex())), ("ok", Json::Bool(true))])
}

fn in_file(path: &Path, error: Error) -> Failure {
    match error {
        Error::Request(_) => Failure::DoesNotHold(format!("{} is no proof file", path.display())),
        Error::False(falsehood) => Failure::DoesNotHold(format!("{}: {falsehood}", path.display())),
        other => Failure::Client(other),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    bytes.map_err(|cause| Failure::File { path: path.into(), cause })
}
