//! The grammar of the command line.

use crate::context::Context;
use crate::failure::{EXIT_CODES, Failure};
use crate::output::Output;
use crate::{
    audit, commit, enclaves, evidence, explain, keys, manifest, migrate, node, operate, paper, prove, query, show,
    verify, watch, workflow,
};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  enc init                                  make a key
  enc enclave create --template open        make an enclave on the node at http://127.0.0.1:8080
  enc commit Message '\"hello\"'              commit; the receipt is checked
  enc query --type Message                  read; every event is verified
  enc prove event ID > proof.json           ask for a proof
  enc verify event proof.json               check it, offline
  enc verify --heads --policy witnesses     check that witnesses have seen the enclave's head
  enc --as alice commit Message hello       act as somebody else
  enc workflow personal                     see the whole protocol work, in 16 checks";

/// Works with verifiable shared data: signs, submits, reads, and believes nothing that does not verify.
#[derive(Parser)]
#[command(name = "enc", version, after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}\n\nKeys, pins, tree heads and receipts are kept in $ENC_HOME, else $XDG_CONFIG_HOME/enc, else ~/.config/enc."))]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args)]
pub struct Common {
    /// Act as the key of this name [default: me]
    #[arg(long = "as", value_name = "NAME", global = true)]
    pub identity: Option<String>,
    /// Ask without an identity
    #[arg(long, global = true, conflicts_with = "identity")]
    pub stranger: bool,
    /// The node's address [default: the enclave's, else http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", global = true)]
    pub node: Option<String>,
    /// The enclave, by id or name [default: the one in use]
    #[arg(long, value_name = "ID|NAME", global = true)]
    pub enclave: Option<String>,
    /// Hide commits, queries and proofs from the path to the node (encrypted transport)
    #[arg(long, global = true)]
    pub sealed: bool,
    /// A file with a token that the node's operator has given you
    #[arg(long, value_name = "FILE", global = true)]
    pub token: Option<PathBuf>,
    /// One JSON text a line instead of words
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Make the configuration folder and a first key
    Init(keys::Init),
    /// Make a key
    Keygen(keys::Keygen),
    /// List the keys here
    Keys,
    /// Show what a node says of itself
    Node,
    /// Make, list, show and choose enclaves
    #[command(subcommand)]
    Enclave(enclaves::Command),
    /// Check a manifest before it is signed
    #[command(subcommand)]
    Manifest(manifest::Command),
    /// Sign content and commit it
    Commit(commit::Commit),
    /// Read events
    Query(query::Query),
    /// Read events and go on reading as they happen
    Watch(watch::Watch),
    /// Ask for a proof and write it as a file
    #[command(subcommand)]
    Prove(prove::Command),
    /// Check a file offline, or that witnesses have seen the enclave's head
    Verify(verify::Verify),
    /// Compare what you, others and nodes hold, and check what is found
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// Replay the whole log and compare it with what the node has signed
    Audit,
    /// Print a session token for other tools
    Session(operate::Session),
    /// Close the open bundle, so that what is in it can be proved at once
    CloseBundle(operate::CloseBundle),
    /// Register or remove a push endpoint
    Push(operate::Push),
    /// Save the whole log as a .enc file
    Snapshot(operate::Snapshot),
    /// Give a .enc file to a node
    Restore(operate::Restore),
    /// Move an enclave to another node
    Migrate(migrate::Migrate),
    /// Say what an error code means and what to do
    Explain(explain::Explain),
    /// Print what completes this command line in a shell
    Completions(paper::Completions),
    /// Print the manual page, or write one for each command into a folder
    Manual(paper::Manual),
    /// Run a workflow of numbered checks against a node
    Workflow(workflow::Workflow),
}

/// Does what was asked.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let out = Output::new(cli.common.json);
    let done = match cli.command {
        Command::Workflow(workflow) => return workflow::run(&workflow, out),
        Command::Explain(explain) => explain::run(&explain, out).map(|()| ExitCode::SUCCESS),
        Command::Completions(completions) => paper::completions(&completions, out).map(|()| ExitCode::SUCCESS),
        Command::Manual(manual) => paper::manual(&manual, out).map(|()| ExitCode::SUCCESS),
        command => Context::new(cli.common).and_then(|context| run_with(command, context)),
    };
    match done {
        Err(failure) if out.is_json() => Ok(failure.report_json(&out)),
        done => done,
    }
}

fn run_with(command: Command, mut context: Context) -> Result<ExitCode, Failure> {
    match command {
        Command::Init(init) => keys::init(&init, &mut context)?,
        Command::Keygen(keygen) => keys::keygen(&keygen, &context)?,
        Command::Keys => keys::list(&context)?,
        Command::Node => node::run(&context)?,
        Command::Enclave(command) => enclaves::run(command, &mut context)?,
        Command::Manifest(command) => return manifest::run(&command, &context),
        Command::Commit(command) => return commit::run(&command, &context),
        Command::Query(query) => query::run(&query, &context)?,
        Command::Watch(watch) => watch::run(&watch, &context)?,
        Command::Prove(command) => prove::run(&command, &context)?,
        Command::Verify(verify) => verify::run(&verify, &context)?,
        Command::Evidence(command) => return evidence::run(&command, &context),
        Command::Audit => audit::run(&context)?,
        Command::Session(session) => operate::session(&session, &context)?,
        Command::CloseBundle(close) => operate::close_bundle(&close, &context)?,
        Command::Push(push) => operate::push(&push, &context)?,
        Command::Snapshot(snapshot) => operate::snapshot(&snapshot, &context)?,
        Command::Restore(restore) => operate::restore(&restore, &context)?,
        Command::Migrate(migrate) => migrate::run(&migrate, &mut context)?,
        Command::Explain(explain) => explain::run(&explain, context.out)?,
        Command::Completions(completions) => paper::completions(&completions, context.out)?,
        Command::Manual(manual) => paper::manual(&manual, context.out)?,
        Command::Workflow(workflow) => return workflow::run(&workflow, context.out),
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows an event; kept here for the commands that print some.
pub fn show_event(out: Output, event: &protocol::Event) -> Result<(), Failure> {
    out.both(show::event_line(event), &event.to_json())
}
