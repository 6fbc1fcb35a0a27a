//! What is printed: each round, the medians, their ratio, the machine.

use crate::Proof;
use crate::load::Outcome;
use crate::node::Node;
use crate::postgres::Inserts;
use std::fs;
use std::time::Duration;

/// A run as it goes on.
pub struct Report {
    ours: Vec<f64>,
    peers: Vec<f64>,
}

impl Report {
    /// Prints what is run and on what.
    pub fn begin(clients: &usize, enclaves: &usize, time: Duration) -> Report {
        println!("{clients} clients, {enclaves} enclaves, rounds of {} s", time.as_secs());
        println!("machine: {}", machine());
        println!("load average before: {}", load());
        Report { ours: Vec::new(), peers: Vec::new() }
    }

    /// A round of the peer.
    pub fn peer(&mut self, inserts: Inserts) {
        println!("postgresql  {:>8.0}/s  mean {:>6.2} ms  load {}", inserts.rate, ms(inserts.latency), load());
        self.peers.push(inserts.rate);
    }

    /// A round of the node.
    pub fn ours(&mut self, round: usize, outcome: Outcome, node: &Node) -> anyhow::Result<()> {
        let cpu = node.cpu()?.as_secs_f64() * 1e6 / outcome.acknowledged.max(1) as f64;
        println!(
            "encd        {:>8.0}/s  p50 {:>6.2} ms  p99 {:>6.2} ms  {cpu:.0} us CPU a commit  largest batch {}  load {}  (round {})",
            outcome.rate(),
            ms(outcome.percentile(0.5)),
            ms(outcome.percentile(0.99)),
            node.metric("encd_sync_requests_max")?,
            load(),
            round + 1,
        );
        self.ours.push(outcome.rate());
        Ok(())
    }

    /// The medians and what strace saw.
    pub fn end(&self, proof: &Proof) {
        let (ours, peers) = (median(&self.ours), median(&self.peers));
        println!("median: encd {ours:.0}/s, spread {:.0} %", spread(&self.ours));
        if !self.peers.is_empty() {
            println!("median: postgresql {peers:.0}/s, spread {:.0} %", spread(&self.peers));
            println!("ratio: {:.2}", ours / peers);
            if spread(&self.peers) > 15.0 {
                println!("VOID: the peer spreads by more than 15 %");
            }
        }
        println!("syncs under strace: {proof:?}: {}", if proof.holds() { "holds" } else { "DOES NOT HOLD" });
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn median(rates: &[f64]) -> f64 {
    let mut sorted = rates.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// From the least to the most, in percent of the median.
fn spread(rates: &[f64]) -> f64 {
    let most = rates.iter().copied().fold(f64::MIN, f64::max);
    let least = rates.iter().copied().fold(f64::MAX, f64::min);
    (most - least) / median(rates) * 100.0
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown").to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} × {model}, Linux {}", kernel.trim())
}
