//! One enclave with very many members and keys: how long a commit takes that changes one of them.

use crate::fill;
use crate::load::{self, Load, Order, Outcome, Pace};
use crate::node::{End, Node, Trace};
use crate::people;
use crate::questions::scatter;
use crate::request::{self, Request};
use crate::run::Run;
use crate::section::{Section, Standing};
use crate::statistics::whole;
use protocol::commit::Draft;
use protocol::{Commit, EnclaveId, Json};
use std::time::Duration;

/// Milliseconds for 99 of 100 commits.
const P99_MS: f64 = 10.0;
/// Moves of one `AC_Bundle`, the most that it takes.
const MOVES: u64 = 64;
/// Numbers of the members' keys begin here, above the authors'.
const FIRST: u64 = 1 << 20;

/// Measures so many members with a value each, by so many commits before and after a start.
pub fn measure(run: &Run, members: u64, commits: u64) -> anyhow::Result<Standing> {
    let options = format!("--members {members} --commits {commits}");
    let mut section = Section::begin("members", "One enclave with many members", run, &options);
    let mut node = Node::start(&run.encd, Trace::Off, "")?;
    let enclave = fill::enclaves(&node, 1)?[0];
    let moved = fill::fill(&node, members.div_ceil(MOVES), |bundle| moves(enclave, bundle, members))?;
    let values = fill::fill(&node, members, |number| value(enclave, number))?;
    fill::close_bundle(&node, &enclave)?;
    section.say(&format!(
        "{0} members by `AC_Bundle`s of {MOVES} Moves ({1} bundles/s), and {0} Own values, one of each ({2}/s). Then {3} single commits on \
         one connection, each sent when the one before has its receipt: for a random member in turn Grant, Revoke, Move out, Move in. Then the \
         process is killed, the page cache dropped, the process started, and other {3} follow at once.",
        whole(members as f64),
        whole(moved),
        whole(values),
        whole(commits as f64)
    ));
    let filled = resident(&node)?;
    let warm = one_by_one(&node, &changes(enclave, 0..commits, members))?;
    let warm_memory = resident(&node)?;
    let requests = changes(enclave, commits..2 * commits, members);
    run.restart_cold(&mut node, End::Killed, &mut section)?;
    let started = resident(&node)?;
    let cold = one_by_one(&node, &requests)?;
    let row = |name: &str, outcome: &Outcome, [before, after]: [String; 2]| {
        let ms = |share| format!("{:.2}", outcome.latencies.ms(share));
        vec![name.to_owned(), whole(outcome.done as f64), ms(0.5), ms(0.99), ms(1.0), before, after]
    };
    let rows = [
        row("as filled", &warm, [filled, warm_memory]),
        row("right after a start", &cold, [started, resident(&node)?]),
    ];
    section.table(&["", "commits", "p50 ms", "p99 ms", "most ms", "resident MiB before", "after"], &rows);
    for (name, outcome) in [("as filled", &warm), ("right after a start", &cold)] {
        let p99 = outcome.latencies.ms(0.99);
        section.judge(&format!("{name}, p99 below {P99_MS} ms"), &format!("{p99:.2} ms"), p99 < P99_MS);
    }
    section.end(run)
}

fn resident(node: &Node) -> anyhow::Result<String> {
    let resident = node.resident()?;
    let mib = |bytes: u64| whole(bytes as f64 / f64::from(1 << 20));
    Ok(format!("{} ({} anonymous)", mib(resident.all), mib(resident.anonymous)))
}

fn content<const N: usize>(members: [(&str, &str); N]) -> Json {
    Json::object(members.map(|(name, value)| (name, Json::from(value))))
}

fn target(number: u64) -> String {
    people::key(FIRST + number).public().hex()
}

fn moves(enclave: EnclaveId, bundle: u64, members: u64) -> Commit {
    let numbers = bundle * MOVES..members.min((bundle + 1) * MOVES);
    let op = |number| {
        let of = content([("target", &target(number)), ("to", "MEMBER")]);
        Json::object([("type", Json::from("Move")), ("content", of)])
    };
    let ops = Json::object([("ops", Json::Array(numbers.map(op).collect()))]);
    Draft::new(enclave, "AC_Bundle", &ops, people::expiry()).sign(&people::key(0)).into_commit()
}

fn value(enclave: EnclaveId, number: u64) -> Commit {
    let of = content([("key", "profile"), ("value", &format!("profile of {number}"))]);
    Draft::new(enclave, "Own", &of, people::expiry()).sign(&people::key(FIRST + number)).into_commit()
}

/// Commits that change one member each, four on each of them.
fn changes(enclave: EnclaveId, numbers: std::ops::Range<u64>, members: u64) -> Vec<Request> {
    let owner = people::key(0);
    fill::make(numbers, |number| {
        let target = target(scatter(number / 4) % members);
        let (event_type, of) = match number % 4 {
            0 => ("Grant", [("target", target.as_str()), ("trait", "speaker")]),
            1 => ("Revoke", [("target", target.as_str()), ("trait", "speaker")]),
            2 => ("Move", [("target", target.as_str()), ("to", "OUTSIDER")]),
            _ => ("Move", [("target", target.as_str()), ("to", "MEMBER")]),
        };
        let commit = Draft::new(enclave, event_type, &content(of), people::expiry()).sign(&owner).into_commit();
        request::post("/", &people::body(&commit))
    })
}

fn one_by_one(node: &Node, requests: &[Request]) -> anyhow::Result<Outcome> {
    let load = Load {
        address: node.address(),
        connections: 1,
        requests,
        order: Order::Once,
        pace: Pace::Closed,
        time: Duration::from_secs(3600),
        keep_every: 0,
        count: load::one,
    };
    load.run()
}
