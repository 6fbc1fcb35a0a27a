//! `cargo run --release -p bench`: single commits into a node and single-row inserts into PostgreSQL, alternating on the same machine.
//!
//! Every commit is signed before the clock starts and verified by the node; each answer is counted when its receipt has arrived. The
//! same run proves that acknowledged means synced: under strace it counts the node's syncs, and fails if there were more acknowledged
//! commits a sync than the largest batch that the node itself logged.

mod commits;
mod load;
mod node;
mod postgres;
mod report;

use anyhow::{Context, ensure};
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Commits a second beside PostgreSQL's single-row inserts.
#[derive(Parser, Debug)]
#[command(version, about)]
struct Flags {
    /// Rounds of each side; the medians are reported.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of a round.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Connections of the load client, and pgbench's clients.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Enclaves that the commits go to.
    #[arg(long, default_value_t = 1)]
    enclaves: usize,
    /// The node's binary; without it, `encd` beside this one.
    #[arg(long)]
    encd: Option<PathBuf>,
    /// Leaves PostgreSQL out.
    #[arg(long)]
    alone: bool,
    /// Commits signed for a round, at most: a round that runs out of them ends early.
    #[arg(long, default_value_t = 40_000)]
    per_second: u64,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let encd = match &flags.encd {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("encd"),
    };
    ensure!(encd.exists(), "{} is not there: cargo build --release -p encd -p bench", encd.display());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let time = Duration::from_secs(flags.seconds);
    let peer = if flags.alone { None } else { Some(postgres::Postgres::start().context("PostgreSQL")?) };
    let mut report = report::Report::begin(&flags.clients, &flags.enclaves, time);
    for round in 0..flags.rounds {
        if let Some(peer) = &peer {
            report.peer(peer.inserts(flags.clients, time)?);
        }
        let node = node::Node::start(&encd, node::Trace::Off)?;
        let work = commits::Work::sign(&node, flags.enclaves, flags.per_second * flags.seconds)?;
        let outcome = runtime.block_on(load::run(&node, work, flags.clients, time))?;
        report.ours(round, outcome, &node)?;
    }
    let proof = proof(&runtime, &encd, flags.clients)?;
    report.end(&proof);
    ensure!(proof.holds(), "more commits were acknowledged a sync than the largest batch: {proof:?}");
    Ok(())
}

/// What a short round under strace showed.
#[derive(Debug)]
pub struct Proof {
    acknowledged: u64,
    syncs: u64,
    largest_batch: u64,
}

impl Proof {
    fn holds(&self) -> bool {
        self.syncs > 0 && self.acknowledged.div_ceil(self.syncs) <= self.largest_batch
    }
}

fn proof(runtime: &tokio::runtime::Runtime, encd: &std::path::Path, clients: usize) -> anyhow::Result<Proof> {
    const SECONDS: u64 = 3;
    let node = node::Node::start(encd, node::Trace::Syncs)?;
    let before = node.syncs()?;
    let work = commits::Work::sign(&node, 1, 20_000 * SECONDS)?;
    let outcome = runtime.block_on(load::run(&node, work, clients, Duration::from_secs(SECONDS)))?;
    let largest_batch = node.metric("encd_sync_requests_max")?;
    Ok(Proof { acknowledged: outcome.acknowledged, syncs: node.syncs()? - before, largest_batch })
}
