//! Proofs and queries: how many a second.

use crate::fill;
use crate::load::{self, Load, Order, Outcome, Pace};
use crate::machine;
use crate::node::{Node, Trace};
use crate::people;
use crate::questions::{By, Kind, Reader};
use crate::run::Run;
use crate::section::{Section, Standing};
use crate::statistics::{median, spread, whole};

/// One in so many answers is checked, as a client would.
const CHECKED: u64 = 1000;
/// Each kind and the rate that is asked for.
const KINDS: [(Kind, f64); 5] = [
    (Kind::Sth, 10_000.0),
    (Kind::State, 10_000.0),
    (Kind::Inclusion, 10_000.0),
    (Kind::Consistency, 10_000.0),
    (Kind::Query(By::Seq), 1_500.0),
];

/// Measures each kind on one enclave with so many events.
pub fn measure(run: &Run, events: u64) -> anyhow::Result<Standing> {
    let mut section = Section::begin("reads", "Proofs and queries", run, &format!("--events {events}"));
    let node = Node::start(&run.encd, Trace::Off, "")?;
    let enclave = fill::enclaves(&node, 1)?[0];
    let (authors, exp) = (people::authors(), people::expiry());
    let author = |number: u64| &authors[number as usize % authors.len()];
    fill::fill(&node, events, |number| people::message(author(number), enclave, number, exp))?;
    fill::close_bundle(&node, &enclave)?;
    let reader = Reader::learn(&node, enclave, &authors[1], events)?;
    let mut rates = vec![Vec::new(); KINDS.len()];
    let mut rows = Vec::new();
    for round in 1..=run.rounds {
        for ((kind, _), rates) in KINDS.iter().zip(&mut rates) {
            let before = node.cpu()?;
            let (outcome, checked) = ask(&node, &reader, *kind, run)?;
            let micros = (node.cpu()? - before).as_secs_f64() * 1e6 / outcome.done.max(1) as f64;
            rates.push(outcome.rate());
            eprintln!("round {round}: {}: {}/s, {micros:.0} us", kind.name(), whole(outcome.rate()));
            rows.push(vec![
                round.to_string(),
                kind.name().into(),
                whole(outcome.rate()),
                format!("p50 {:.2}, p99 {:.2}", outcome.latencies.ms(0.5), outcome.latencies.ms(0.99)),
                format!("{micros:.0}"),
                checked.to_string(),
                machine::load(),
            ]);
        }
    }
    section.say(&format!(
        "One enclave, {} events. Every request names its session; up to 1,024 different requests of a kind are sent in turn. One answer \
         in {CHECKED} was verified after its round.",
        whole(events as f64)
    ));
    section.table(&["round", "what", "answers/s", "latency ms", "CPU us", "verified", "load average"], &rows);
    for ((kind, target), rates) in KINDS.iter().zip(&rates) {
        let measured = format!("{}/s, spread {:.0} %", whole(median(rates)), spread(rates));
        section.judge(&format!("{}: {}/s", kind.name(), whole(*target)), &measured, median(rates) >= *target);
    }
    section.end(run)
}

/// A round of one kind; answers also how many of its answers were verified.
pub fn ask(node: &Node, reader: &Reader, kind: Kind, run: &Run) -> anyhow::Result<(Outcome, usize)> {
    let requests = reader.requests(kind);
    let load = Load {
        address: node.address(),
        connections: run.clients,
        requests: &requests,
        order: Order::Around,
        pace: Pace::Closed,
        time: run.time,
        keep_every: CHECKED,
        count: load::one,
    };
    let outcome = load.run()?;
    for (number, body) in &outcome.kept {
        reader.check(node, kind, *number, body)?;
    }
    let checked = outcome.kept.len();
    Ok((outcome, checked))
}
