//! How long a commit takes at half of what the node can do, and alone.

use crate::commits;
use crate::fill;
use crate::load::{self, Load, Order, Outcome, Pace};
use crate::node::{Node, Trace};
use crate::request::Request;
use crate::run::Run;
use crate::section::{Section, Standing};
use crate::statistics::{median, whole};

/// Milliseconds for 99 of 100 commits at half of saturation.
const P99_MS: f64 = 25.0;
/// Commits signed for each second of the lone client; more than syncs fit into one.
const LONE_PER_SECOND: u64 = 5000;
/// Milliseconds for half of a lone client's commits.
const LONE_P50_MS: f64 = 2.0;

/// Measures saturation, the half of it, and a lone client, on one enclave.
pub fn measure(run: &Run, per_second: u64) -> anyhow::Result<Standing> {
    let mut section = Section::begin("latency", "Latency of a commit", run, "");
    let (mut rows, mut p99s, mut lone_p50s) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=run.rounds {
        let node = Node::start(&run.encd, Trace::Off, "")?;
        let ids = fill::enclaves(&node, 1)?;
        let count = run.commits(per_second);
        let full = post(&node, &commits::sign(&ids, 0..count), (run.clients, Pace::Closed), run)?;
        let rate = full.rate() / 2.0;
        let paced = count..count + run.commits(rate.ceil() as u64);
        let half = post(&node, &commits::sign(&ids, paced.clone()), (run.clients, Pace::PerSecond(rate)), run)?;
        let last = paced.end..paced.end + run.commits(LONE_PER_SECOND.min(per_second));
        let lone = post(&node, &commits::sign(&ids, last), (1, Pace::Closed), run)?;
        let of = |outcome: &Outcome| {
            let ms = |share| outcome.latencies.ms(share);
            format!("{:.2} / {:.2} / {:.2}", ms(0.5), ms(0.99), ms(1.0))
        };
        let sent = format!("{} ({} commits)", whole(rate), whole(half.latencies.len() as f64));
        rows.push(vec![round.to_string(), whole(full.rate()), of(&full), sent, of(&half), of(&lone)]);
        eprintln!("round {round}: half {} ms, lone {} ms", of(&half), of(&lone));
        p99s.push(half.latencies.ms(0.99));
        lone_p50s.push(lone.latencies.ms(0.5));
    }
    section.say(
        "p50 / p99 / most, in milliseconds. At half of the rate, commits are sent by a fixed schedule and a latency counts from the \
         scheduled time, so that a stall is charged with all that it kept waiting. The lone client has one connection and sends as \
         soon as it has its receipt.",
    );
    let head = ["round", "saturation, commits/s", "there", "half, commits/s", "there", "lone client"];
    section.table(&head, &rows);
    let (p99, lone) = (median(&p99s), median(&lone_p50s));
    section.judge(&format!("p99 below {P99_MS} ms at half of saturation"), &format!("{p99:.2} ms"), p99 < P99_MS);
    section.judge(
        &format!("p50 of a lone client below {LONE_P50_MS} ms"),
        &format!("{lone:.2} ms"),
        lone < LONE_P50_MS,
    );
    section.end(run)
}

fn post(node: &Node, requests: &[Request], (connections, pace): (usize, Pace), run: &Run) -> anyhow::Result<Outcome> {
    let (address, time, order) = (node.address(), run.time, Order::Once);
    Load { address, connections, requests, order, pace, time, keep_every: 0, count: load::one }.run()
}
