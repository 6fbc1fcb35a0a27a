//! Makes commits on both cores before a clock starts, and puts many of them into a node by `POST /commits`.

use crate::load::{self, Load, Order, Outcome, Pace};
use crate::node::Node;
use crate::people;
use crate::request::{self, Request};
use anyhow::ensure;
use protocol::{Commit, EnclaveId};
use std::ops::Range;
use std::time::Duration;

/// Lines of one request, unless a measurement says otherwise.
pub const LINES: u64 = 1000;
/// Connections that fill a node.
const CONNECTIONS: usize = 4;
/// Commits that are made before they are sent: they stand in memory meanwhile.
const AHEAD: u64 = 40_000;
/// Time without an end, for work that ends when it is done.
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(24 * 3600);

/// Makes something of every number, on both cores, in order.
pub fn make<T: Send>(numbers: Range<u64>, of: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let middle = numbers.start + (numbers.end - numbers.start) / 2;
    let half = |part: Range<u64>| part.map(&of).collect::<Vec<T>>();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| half(middle..numbers.end));
        let mut all = half(numbers.start..middle);
        all.extend(second.join().expect("making does not panic"));
        all
    })
}

/// Requests of `POST /commits` with `lines` commits each.
pub fn batches(numbers: Range<u64>, lines: u64, of: impl Fn(u64) -> Commit + Sync) -> Vec<Request> {
    let Range { start, end } = numbers;
    make(0..(end - start).div_ceil(lines), |batch| {
        let first = start + batch * lines;
        let commits: Vec<String> = (first..end.min(first + lines)).map(|n| people::body(&of(n))).collect();
        request::lines(&commits)
    })
}

/// Puts commits into the node as fast as it takes them; answers how many a second it took, the signing left out. Between requests
/// there is no order.
pub fn fill(node: &Node, count: u64, of: impl Fn(u64) -> Commit + Sync) -> anyhow::Result<f64> {
    let mut seconds = 0.0;
    for first in (0..count).step_by(usize::try_from(AHEAD)?) {
        let last = count.min(first + AHEAD);
        let outcome = send_all(node, &batches(first..last, LINES, &of))?;
        ensure!(outcome.done == last - first, "{} commits of {} were taken", outcome.done, last - first);
        seconds += outcome.elapsed.as_secs_f64();
    }
    Ok(count as f64 / seconds)
}

/// Sends each batch once.
pub fn send_all(node: &Node, batches: &[Request]) -> anyhow::Result<Outcome> {
    let load = Load {
        address: node.address(),
        connections: CONNECTIONS,
        requests: batches,
        order: Order::Once,
        pace: Pace::Closed,
        time: AS_LONG_AS_IT_TAKES,
        keep_every: 0,
        count: load::receipts,
    };
    load.run()
}

/// Makes enclaves with the authors as members; answers their ids.
pub fn enclaves(node: &Node, count: u64) -> anyhow::Result<Vec<EnclaveId>> {
    let authors = people::authors();
    let members: Vec<_> = authors.iter().map(|key| key.public()).collect();
    let manifest = people::manifest(&node.sequencer(), &members[0], &members);
    let exp = people::expiry();
    let commits = make(0..count, |number| people::create(&authors[0], &manifest, number, exp));
    let bodies: Vec<String> = commits.iter().map(people::body).collect();
    let requests: Vec<Request> = bodies.chunks(usize::try_from(LINES)?).map(request::lines).collect();
    let outcome = send_all(node, &requests)?;
    ensure!(outcome.done == count, "{} enclaves of {count} were made", outcome.done);
    Ok(commits.into_iter().map(|commit| commit.enclave).collect())
}

/// Closes the open bundle, as the owner, so that every event can be proved.
pub fn close_bundle(node: &Node, enclave: &EnclaveId) -> anyhow::Result<()> {
    let owner = people::key(0);
    let (from, session) = (owner.public(), people::session(&owner, &node.sequencer()));
    let members = format!(r#"{{"from":"{from}","session":"{session}"}}"#);
    node.ask(&request::post(&format!("/{enclave}/close-bundle"), &members)).map(drop)
}
