//! What idle enclaves cost in memory, and how long a node with many of them takes from its start to its first proof.

use crate::fill;
use crate::load::{self, Load, Order, Outcome, Pace};
use crate::node::{End, Node, Resident, Trace};
use crate::people;
use crate::questions::Reader;
use crate::request::{self, Request};
use crate::run::Run;
use crate::section::{Section, Standing};
use crate::statistics::whole;
use anyhow::ensure;
use protocol::{EnclaveId, Json};
use std::time::Duration;

/// Bytes that an idle enclave may take.
const TARGET: f64 = 4096.0;
/// How long a start may take until a proof has been verified.
const FIRST_PROOF: Duration = Duration::from_secs(3);
/// All enclaves must have been read within this time before memory is looked at.
const RECENT: Duration = Duration::from_secs(60);

/// Measures so many enclaves with so many events over them.
pub fn measure(run: &Run, enclaves: u64, events: u64) -> anyhow::Result<Standing> {
    let options = format!("--enclaves {enclaves} --events {events}");
    let mut section = Section::begin("memory", "Many enclaves", run, &options);
    let mut node = Node::start(&run.encd, Trace::Off, "")?;
    let idle = idle(&node, enclaves, &mut section)?;
    starts(run, &mut node, (&idle, events), &mut section)?;
    section.end(run)
}

/// Memory with one enclave and with all of them; answers their ids.
fn idle(node: &Node, count: u64, section: &mut Section) -> anyhow::Result<Vec<EnclaveId>> {
    let owner = people::key(0);
    let manifest = people::manifest(&node.sequencer(), &owner.public(), &[]);
    let first = people::create(&owner, &manifest, u64::MAX, people::expiry());
    fill::send_all(node, &[request::lines(&[people::body(&first)])])?;
    let lone = first.enclave;
    fill::fill(node, count, |number| people::message(&owner, lone, number, people::expiry()))?;
    read_each(node, &(0..count).map(|_| lone).collect::<Vec<_>>())?;
    let before = node.resident()?;
    let rate = fill::fill(node, count, |number| people::create(&owner, &manifest, number, people::expiry()))?;
    let ids = fill::make(0..count, |number| people::draft(&owner, &manifest, number, 0).enclave);
    let read = read_each(node, &ids)?;
    let after = node.resident()?;
    let kib = |bytes: u64| whole(bytes as f64 / 1024.0);
    let row = |name: &str, resident: Resident| {
        vec![name.to_owned(), kib(resident.all), kib(resident.anonymous), kib(resident.files)]
    };
    section.say(&format!(
        "First one enclave, with {0} commits by `POST /commits` and {0} reads of its STH. Then, in the same process, {0} further enclaves \
         by `POST /commits` ({1}/s), and one read of each one's STH, within {2:.1} s. Memory is `VmRSS`, `RssAnon` and `RssFile` (pages of \
         the mapped database files) of the process.",
        whole(count as f64),
        whole(rate),
        read.elapsed.as_secs_f64()
    ));
    let rows = [row("1", before), row(&whole(count as f64 + 1.0), after)];
    section.table(&["enclaves", "resident KiB", "anonymous KiB", "of files KiB"], &rows);
    if read.elapsed > RECENT {
        section.void("reading each enclave took more than a minute");
    }
    let each = |after: u64, before: u64| (after as f64 - before as f64) / count as f64;
    let (all, anonymous) = (each(after.all, before.all), each(after.anonymous, before.anonymous));
    let measured = format!("{all:.0} bytes, of them {anonymous:.0} anonymous");
    section.judge("an idle enclave takes less than 4 KiB (aim 2)", &measured, all < TARGET);
    Ok(ids)
}

fn read_each(node: &Node, ids: &[EnclaveId]) -> anyhow::Result<Outcome> {
    let requests: Vec<Request> = ids.iter().map(|id| request::get(id, "sth")).collect();
    let load = Load {
        address: node.address(),
        connections: 64,
        requests: &requests,
        order: Order::Once,
        pace: Pace::Closed,
        time: Duration::from_secs(3600),
        keep_every: 0,
        count: load::one,
    };
    let outcome = load.run()?;
    ensure!(outcome.done == ids.len() as u64, "not every enclave was read");
    Ok(outcome)
}

/// Fills the enclaves and starts the node again with nothing in the page cache.
fn starts(run: &Run, node: &mut Node, (ids, events): (&[EnclaveId], u64), section: &mut Section) -> anyhow::Result<()> {
    let owner = people::key(0);
    // All events of an enclave come together: they make one bundle.
    let of = |number: u64| ids[(number as usize * ids.len()) / events as usize];
    fill::fill(node, events, |number| people::message(&owner, of(number), number, people::expiry()))?;
    // Reading each closes what is due; the bundles of the last seconds stay open, as in a node that is used.
    read_each(node, ids)?;
    let asked = ids[ids.len() / 2];
    fill::close_bundle(node, &asked)?;
    let held = node.ask_json(&people::info(&asked, &owner, &node.sequencer()))?;
    let last = held.member("last_seq").and_then(Json::as_uint).unwrap_or(0);
    let reader = Reader::learn(node, asked, &owner, last + 1)?;
    let (mut rows, mut slowest) = (Vec::new(), Duration::ZERO);
    for round in 1..=run.rounds {
        for (end, name) in [(End::Asked, "SIGTERM"), (End::Killed, "SIGKILL")] {
            let executed = run.restart_cold(node, end, section)?;
            let ready = executed.elapsed();
            reader.first_proof(node)?;
            let proved = executed.elapsed();
            slowest = slowest.max(proved);
            let ms = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1000.0);
            let memory = whole(node.resident()?.all as f64 / 1024.0);
            rows.push(vec![round.to_string(), name.into(), ms(ready), ms(proved), memory]);
        }
    }
    section.say(&format!(
        "{} events over these enclaves by `POST /commits`. The process is ended, the page cache dropped (`sync`, then 3 into \
         `/proc/sys/vm/drop_caches`), the process started again; the time runs from its execution until an inclusion proof of an event known \
         from before has been verified.",
        whole(events as f64)
    ));
    section.table(&["round", "ended by", "banner after ms", "proof verified after ms", "resident KiB then"], &rows);
    let measured = format!("{:.0} ms at most", slowest.as_secs_f64() * 1000.0);
    section.judge("first proof in less than 3 s", &measured, slowest < FIRST_PROOF);
    Ok(())
}
