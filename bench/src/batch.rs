//! `POST /commits` beside PostgreSQL's single-row inserts.

use crate::commits::{self, MOST_SPREAD};
use crate::fill;
use crate::load::{self, Load, Order, Pace};
use crate::machine;
use crate::node::{Node, Trace};
use crate::people;
use crate::run::Run;
use crate::section::{Section, Standing};
use crate::statistics::{median, spread, whole};

/// The share of the peer's rate that is asked for.
const TARGET: f64 = 1.0;

/// How commits are put together.
pub struct Shape {
    /// Commits of one request.
    pub lines: u64,
    /// Connections, each with one request on its way.
    pub connections: usize,
    /// Commits signed for each second of a round.
    pub per_second: u64,
}

/// Measures one enclave's commits in requests of many.
pub fn measure(run: &Run, shape: &Shape) -> anyhow::Result<Standing> {
    let options = format!("--lines {} --connections {}", shape.lines, shape.connections);
    let mut section = Section::begin("batch", "Commits in lines", run, &options);
    let peer = commits::peer(run, &mut section)?;
    let (mut rows, mut peers, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=run.rounds {
        if let Some(peer) = &peer {
            let inserts = peer.inserts(run.clients, run.time)?;
            peers.push(inserts.rate);
            rows.push(vec![round.to_string(), "PostgreSQL".into(), whole(inserts.rate), "–".into(), machine::load()]);
        }
        let node = Node::start(&run.encd, Trace::Off, "")?;
        let enclave = fill::enclaves(&node, 1)?[0];
        let (authors, exp) = (people::authors(), people::expiry());
        let requests = fill::batches(0..run.commits(shape.per_second), shape.lines, |number| {
            people::message(&authors[number as usize % authors.len()], enclave, number, exp)
        });
        let before = node.cpu()?;
        let load = Load {
            address: node.address(),
            connections: shape.connections,
            requests: &requests,
            order: Order::Once,
            pace: Pace::Closed,
            time: run.time,
            keep_every: 0,
            count: load::receipts,
        };
        let outcome = load.run()?;
        run.check_time(&outcome, &mut section);
        let micros = (node.cpu()? - before).as_secs_f64() * 1e6 / outcome.done.max(1) as f64;
        ours.push(outcome.rate());
        eprintln!("round {round}: {}/s, {micros:.0} us", whole(outcome.rate()));
        rows.push(vec![
            round.to_string(),
            "encd".into(),
            whole(outcome.rate()),
            format!("{micros:.0}"),
            machine::load(),
        ]);
    }
    section.table(&["round", "side", "commits/s", "CPU us", "load average"], &rows);
    section.say(&format!("Median encd: {}/s, spread {:.0} %.", whole(median(&ours)), spread(&ours)));
    if !peers.is_empty() {
        section.say(&format!("Median PostgreSQL: {}/s, spread {:.0} %.", whole(median(&peers)), spread(&peers)));
        if spread(&peers) > MOST_SPREAD {
            section.void(&format!("the peer spreads by more than {MOST_SPREAD} %"));
        }
        let ratio = median(&ours) / median(&peers);
        section.judge("PostgreSQL's rate (aim 1.3 of it)", &format!("{ratio:.2}"), ratio >= TARGET);
    }
    section.end(run)
}
