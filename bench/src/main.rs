//! `cargo run --profile dist -p bench -- <measurement>`: what the node does, beside its targets and its peer, on one machine in one run.
//!
//! Each measurement starts nodes of its own, prints a section of Markdown, and says whether its targets are met. What each compares, and
//! with how many threads and connections, stands in `bench/README.md`.

mod answer;
mod batch;
mod commits;
mod events;
mod fill;
mod latency;
mod load;
mod machine;
mod members;
mod memory;
mod node;
mod people;
mod postgres;
mod questions;
mod reads;
mod request;
mod run;
mod section;
mod signatures;
mod socket;
mod statistics;
mod subscribers;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand};
use run::Run;
use section::Standing;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Measures a node against its targets, and beside PostgreSQL.
///
/// Exit codes: 0 all targets met, 1 an error, 3 void, 4 a target missed. A smoke run (--quick) judges nothing.
#[derive(Parser, Debug)]
#[command(version)]
struct Flags {
    #[command(subcommand)]
    measurement: Measurement,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct Common {
    /// Rounds of each side; the medians count [default: 5, quick 1]
    #[arg(long, global = true)]
    rounds: Option<usize>,
    /// Seconds of a round [default: 20, quick 0.2]
    #[arg(long, global = true)]
    seconds: Option<f64>,
    /// Connections of the load client, and pgbench's clients [default: 64, quick 16]
    #[arg(long, global = true)]
    clients: Option<usize>,
    /// The node's binary; without it, `encd` beside this one
    #[arg(long, global = true, value_name = "FILE")]
    encd: Option<PathBuf>,
    /// Leave out what needs PostgreSQL or strace
    #[arg(long, global = true)]
    alone: bool,
    /// Small sizes and short rounds: that the programs work, not how fast the node is
    #[arg(long, global = true)]
    quick: bool,
    /// Write the section into this folder, and RESULTS.md beside the folder
    #[arg(long, global = true, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum Measurement {
    /// One POST a commit, durable, beside single-row inserts
    Commits {
        /// Enclaves that the commits go to in turn; may be given several times [default: 1 and 1000]
        #[arg(long)]
        enclaves: Vec<u64>,
        /// Commits signed for each second of a round, more than the node takes [default: 20000, quick 3000]
        #[arg(long)]
        per_second: Option<u64>,
    },
    /// POST /commits beside single-row inserts
    Batch {
        /// Commits of one request [default: 1000, quick 100]
        #[arg(long)]
        lines: Option<u64>,
        /// Connections, each with one request on its way
        #[arg(long, default_value_t = 4)]
        connections: usize,
        /// Commits signed for each second of a round, more than the node takes [default: 40000, quick 3000]
        #[arg(long)]
        per_second: Option<u64>,
    },
    /// A commit's latency at half of saturation, and of a lone client
    Latency {
        /// Commits signed for each second of a round, more than the node takes [default: 20000, quick 3000]
        #[arg(long)]
        per_second: Option<u64>,
    },
    /// STH, proofs, queries
    Reads {
        /// Events of the enclave [default: 10000, quick 600]
        #[arg(long)]
        events: Option<u64>,
    },
    /// WebSocket subscribers of one enclave
    Subscribers {
        /// Sockets [default: 1000, quick 20]
        #[arg(long)]
        subscribers: Option<u64>,
        /// Events a second [default: 200, quick 50]
        #[arg(long)]
        rate: Option<u64>,
    },
    /// Idle enclaves, and a cold start with many of them
    Memory {
        /// Enclaves [default: 100000, quick 300]
        #[arg(long)]
        enclaves: Option<u64>,
        /// Events over them [default: 1000000, quick 900]
        #[arg(long)]
        events: Option<u64>,
    },
    /// One enclave with many members and keys
    Members {
        /// Members, with a key each [default: 1000000, quick 300]
        #[arg(long)]
        members: Option<u64>,
        /// Commits before and after a start [default: 4000, quick 40]
        #[arg(long)]
        commits: Option<u64>,
    },
    /// One enclave with many events beside one with few
    Events {
        /// Events of the large one [default: 10000000, quick 1200]
        #[arg(long)]
        size: Option<u64>,
        /// Events of the small one [default: 10000, quick 600]
        #[arg(long)]
        small: Option<u64>,
    },
    /// All of them, one after another
    All,
    /// RESULTS.md from the sections of --out
    Report,
}

fn main() -> ExitCode {
    match measured(Flags::parse()) {
        Ok(Standing::Met) => ExitCode::SUCCESS,
        Ok(Standing::Void) => ExitCode::from(3),
        Ok(Standing::Missed) => ExitCode::from(4),
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measured(flags: Flags) -> anyhow::Result<Standing> {
    let run = run_of(flags.common)?;
    match flags.measurement {
        Measurement::Report => {
            let folder = run.out.context("say where the sections are: --out bench/results")?;
            section::assemble(&folder)?;
            Ok(Standing::Met)
        }
        Measurement::All => {
            let mut worst = Standing::Met;
            for measurement in everything() {
                worst = worst.max(measure(&run, measurement)?);
            }
            Ok(worst)
        }
        one => measure(&run, one),
    }
}

fn run_of(common: Common) -> anyhow::Result<Run> {
    let encd = match common.encd {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("encd"),
    };
    ensure!(encd.exists(), "{} is not there: cargo build --profile dist -p encd -p bench", encd.display());
    let (rounds, seconds) = if common.quick { (1, 0.2) } else { (5, 20.0) };
    let time = Duration::try_from_secs_f64(common.seconds.unwrap_or(seconds)).context("--seconds")?;
    let rounds = common.rounds.unwrap_or(rounds);
    ensure!(rounds > 0 && !time.is_zero(), "without a round nothing is measured");
    let clients = common.clients.unwrap_or(if common.quick { 16 } else { 64 });
    Ok(Run { encd, rounds, time, clients, alone: common.alone, quick: common.quick, out: common.out })
}

fn everything() -> [Measurement; 8] {
    [
        Measurement::Commits { enclaves: Vec::new(), per_second: None },
        Measurement::Batch { lines: None, connections: 4, per_second: None },
        Measurement::Latency { per_second: None },
        Measurement::Reads { events: None },
        Measurement::Subscribers { subscribers: None, rate: None },
        Measurement::Memory { enclaves: None, events: None },
        Measurement::Members { members: None, commits: None },
        Measurement::Events { size: None, small: None },
    ]
}

fn measure(run: &Run, measurement: Measurement) -> anyhow::Result<Standing> {
    match measurement {
        Measurement::Commits { enclaves, per_second } => {
            let many = run.size(None, 1000, 20);
            let enclaves = if enclaves.is_empty() { vec![1, many] } else { enclaves };
            commits::measure(run, &enclaves, run.size(per_second, 20_000, 3000))
        }
        Measurement::Batch { lines, connections, per_second } => {
            let (lines, per_second) = (run.size(lines, 1000, 100), run.size(per_second, 40_000, 3000));
            batch::measure(run, &batch::Shape { lines, connections, per_second })
        }
        Measurement::Latency { per_second } => latency::measure(run, run.size(per_second, 20_000, 3000)),
        Measurement::Reads { events } => reads::measure(run, run.size(events, 10_000, 600)),
        Measurement::Subscribers { subscribers, rate } => {
            subscribers::measure(run, run.size(subscribers, 1000, 20), run.size(rate, 200, 50))
        }
        Measurement::Memory { enclaves, events } => {
            memory::measure(run, run.size(enclaves, 100_000, 300), run.size(events, 1_000_000, 900))
        }
        Measurement::Members { members, commits } => {
            members::measure(run, run.size(members, 1_000_000, 300), run.size(commits, 4000, 40))
        }
        Measurement::Events { size, small } => {
            events::measure(run, run.size(small, 10_000, 600), run.size(size, 10_000_000, 1200))
        }
        Measurement::All | Measurement::Report => Ok(Standing::Met),
    }
}
