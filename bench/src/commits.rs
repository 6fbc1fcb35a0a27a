//! One POST a commit, durable, beside PostgreSQL's single-row inserts; and that acknowledged means synced.

use crate::fill;
use crate::load::{self, Load, Order, Outcome, Pace};
use crate::machine;
use crate::node::{Node, Trace};
use crate::people;
use crate::postgres::Postgres;
use crate::request::{self, Request};
use crate::run::Run;
use crate::section::{Section, Standing};
use crate::signatures::Cost;
use crate::statistics::{median, spread, whole};
use anyhow::Context;
use protocol::EnclaveId;
use std::time::Duration;

/// The share of the peer's rate that is asked for.
const TARGET: f64 = 0.7;
/// How much CPU a commit may take, in signatures checked and made.
const CPU_TARGET: f64 = 1.5;
/// The peer's spread, in percent, beyond which a run says nothing.
pub const MOST_SPREAD: f64 = 15.0;

/// One side of the comparison.
struct Side {
    enclaves: u64,
    rates: Vec<f64>,
    cpu: Vec<f64>,
}

/// Measures commits to each number of enclaves, `per_second` signed for each second of a round.
pub fn measure(run: &Run, enclaves: &[u64], per_second: u64) -> anyhow::Result<Standing> {
    let sizes: Vec<String> = enclaves.iter().map(|count| format!("--enclaves {count}")).collect();
    let mut section = Section::begin("commits", "Single commits", run, &sizes.join(" "));
    let peer = peer(run, &mut section)?;
    let cost = Cost::measure(run.signature_time())?;
    let mut sides: Vec<Side> =
        enclaves.iter().map(|count| Side { enclaves: *count, rates: Vec::new(), cpu: Vec::new() }).collect();
    let (mut rows, mut peers) = (Vec::new(), Vec::new());
    for round in 1..=run.rounds {
        if let Some(peer) = &peer {
            let inserts = peer.inserts(run.clients, run.time)?;
            let latency = format!("mean {:.2}", inserts.latency.as_secs_f64() * 1000.0);
            rows.push(row(round, "PostgreSQL", [whole(inserts.rate), latency, "–".into(), "–".into()]));
            peers.push(inserts.rate);
        }
        for side in &mut sides {
            let node = Node::start(&run.encd, Trace::Off, "")?;
            let requests = sign(&fill::enclaves(&node, side.enclaves)?, 0..run.commits(per_second));
            let before = node.cpu()?;
            let outcome = post(&node, &requests, run.time, run)?;
            run.check_time(&outcome, &mut section);
            let micros = (node.cpu()? - before).as_secs_f64() * 1e6 / outcome.done.max(1) as f64;
            let latency = format!("p50 {:.2}, p99 {:.2}", outcome.latencies.ms(0.5), outcome.latencies.ms(0.99));
            let batch = node.metric("encd_sync_requests_max")?.to_string();
            let name = format!("encd, enclaves: {}", side.enclaves);
            rows.push(row(round, &name, [whole(outcome.rate()), latency, format!("{micros:.0}"), batch]));
            side.rates.push(outcome.rate());
            side.cpu.push(micros);
        }
    }
    section.table(&["round", "side", "commits/s", "latency ms", "CPU us", "largest batch", "load average"], &rows);
    let (verify, sign) = (cost.verify.as_secs_f64() * 1e6, cost.sign.as_secs_f64() * 1e6);
    section.say(&format!("One signature checked by libsecp256k1, its key read: {verify:.1} us; one made by the node's key store: {sign:.1} us."));
    judge(&mut section, &sides, &peers, &cost);
    if !run.alone {
        prove_syncs(run, per_second, &mut section)?;
    }
    section.end(run)
}

fn row(round: usize, side: &str, [rate, latency, cpu, batch]: [String; 4]) -> Vec<String> {
    eprintln!("round {round}: {side}: {rate}/s, {latency} ms, {cpu} us");
    vec![round.to_string(), side.into(), rate, latency, cpu, batch, machine::load()]
}

/// The peer, unless the run goes without; the section says what it is.
pub fn peer(run: &Run, section: &mut Section) -> anyhow::Result<Option<Postgres>> {
    if run.alone {
        section.say("Without PostgreSQL and strace (`--alone`).");
        return Ok(None);
    }
    let peer = Postgres::start().context("PostgreSQL")?;
    section.say(&format!(
        "Peer: PostgreSQL {}, `synchronous_commit=on`, `fsync=on`; pgbench -c {} -j 2 -M prepared over TCP, `insert.sql` into \
         `table.sql`, emptied and checkpointed before each round.",
        peer.version()?,
        run.clients
    ));
    Ok(Some(peer))
}

/// Commits of these numbers, each as a POST of its own.
pub fn sign(ids: &[EnclaveId], numbers: std::ops::Range<u64>) -> Vec<Request> {
    let (authors, exp) = (people::authors(), people::expiry());
    fill::make(numbers, |number| {
        let enclave = ids[number as usize % ids.len()];
        let author = &authors[number as usize % authors.len()];
        request::post("/", &people::body(&people::message(author, enclave, number, exp)))
    })
}

fn post(node: &Node, requests: &[Request], time: Duration, run: &Run) -> anyhow::Result<Outcome> {
    let load = Load {
        address: node.address(),
        connections: run.clients,
        requests,
        order: Order::Once,
        pace: Pace::Closed,
        time,
        keep_every: 0,
        count: load::one,
    };
    load.run()
}

fn judge(section: &mut Section, sides: &[Side], peers: &[f64], cost: &Cost) {
    if !peers.is_empty() {
        let text = format!("Median PostgreSQL: {}/s, spread {:.0} %.", whole(median(peers)), spread(peers));
        section.say(&text);
        if spread(peers) > MOST_SPREAD {
            section.void(&format!("the peer spreads by more than {MOST_SPREAD} %"));
        }
    }
    for side in sides {
        let (rate, cpu, count) = (median(&side.rates), median(&side.cpu), side.enclaves);
        section.say(&format!(
            "Median encd, enclaves: {count}: {}/s, spread {:.0} %.",
            whole(rate),
            spread(&side.rates)
        ));
        if !peers.is_empty() {
            let ratio = rate / median(peers);
            let target = format!("enclaves: {count}, {TARGET} of PostgreSQL's rate (aim 0.85)");
            section.judge(&target, &format!("{ratio:.2}"), ratio >= TARGET);
        }
        let share = cpu / (cost.sum().as_secs_f64() * 1e6);
        let target =
            format!("enclaves: {count}, CPU of a commit at most {CPU_TARGET} times one signature checked and one made");
        section.judge(&target, &format!("{cpu:.0} us, {share:.2} times"), share <= CPU_TARGET);
    }
}

/// Under strace: there were never more commits acknowledged a sync than the largest batch that the node itself counted.
fn prove_syncs(run: &Run, per_second: u64, section: &mut Section) -> anyhow::Result<()> {
    let time = run.time.min(Duration::from_secs(3));
    let node = Node::start(&run.encd, Trace::Syncs, "")?;
    let requests = sign(&fill::enclaves(&node, 1)?, 0..run.commits(per_second));
    let before = node.syncs()?;
    let done = post(&node, &requests, time, run)?.done;
    let (syncs, largest) = (node.syncs()? - before, node.metric("encd_sync_requests_max")?);
    let holds = syncs > 0 && done.div_ceil(syncs) <= largest;
    let measured = format!("{} commits, {} syncs, largest batch {largest}", whole(done as f64), whole(syncs as f64));
    section.judge("under strace, no more commits acknowledged a sync than the largest batch", &measured, holds);
    anyhow::ensure!(holds, "commits were acknowledged that no sync had covered: {measured}");
    Ok(())
}
