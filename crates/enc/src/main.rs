//! `enc`: keys, enclaves, commits, queries and proofs from a terminal. See `enc --help`.

#![forbid(unsafe_code)]

mod audit;
mod cli;
mod commit;
mod context;
mod dry_run;
mod enclaves;
mod evidence;
mod evidence_words;
mod explain;
mod failure;
mod home;
mod keys;
mod launch;
mod manifest;
mod migrate;
mod node;
mod operate;
mod output;
mod paper;
mod prove;
mod query;
mod receiver;
mod remote_view;
mod show;
mod verify;
mod verify_heads;
mod watch;
mod workflow;

use clap::Parser;
use cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli::run(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
