//! Makes checks, several at once, and keeps their order.

use super::field::Field;
use super::node::Subject;
use super::report::{Outcome, Report};
use super::why::Why;
use super::{Check, Need};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Makes these checks on a node, `jobs` at a time; the reports stand in the order of the checks.
pub fn judge(node: &Subject, checks: &[&'static Check], jobs: usize) -> Vec<Report> {
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(Vec::with_capacity(checks.len()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, checks.len().max(1)) {
            scope.spawn(|| {
                while let Some((place, check)) = take(&next, checks) {
                    let report = one(node, check);
                    reports.lock().unwrap_or_else(PoisonError::into_inner).push((place, report));
                }
            });
        }
    });
    let mut reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    reports.sort_by_key(|(place, _)| *place);
    reports.into_iter().map(|(_, report)| report).collect()
}

fn take(next: &AtomicUsize, checks: &[&'static Check]) -> Option<(usize, &'static Check)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    checks.get(place).map(|check| (place, *check))
}

fn one(node: &Subject, check: &'static Check) -> Report {
    let began = Instant::now();
    let has = match check.needs {
        Need::Nothing => true,
        Need::Token => node.token.is_some(),
        Need::Loopback => node.is_local,
        Need::Endpoint => node.push_host.is_some(),
    };
    if !has {
        return Report { check, outcome: Outcome::NotApplicable(check.needs.missing()), took: began.elapsed() };
    }
    // A node may send what no check foresees: that is a red check, not the end of the others.
    let found = catch_unwind(AssertUnwindSafe(|| (check.run)(&Field::new(node, check.name))));
    let outcome = match found {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(why)) => Outcome::Failed(why),
        Err(_) => Outcome::Failed(Why::new("the check could not go on with what the node sent")),
    };
    Report { check, outcome, took: began.elapsed() }
}
