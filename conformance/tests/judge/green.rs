//! Every check on our own node.

use crate::scene::{Scene, judged, lines, subject};
use conformance::encd::Encd;
use conformance::judge::{Need, Outcome, select};

#[test]
fn our_node_passes_every_check() {
    let scene = Scene::new();
    let mut all = select(&[]).expect("no name, no unknown name");
    all.retain(|check| check.needs != Need::Loopback);
    let reports = judged(&subject(&scene.node.address), &all);
    let passed = |outcome: &Outcome| matches!(outcome, Outcome::Passed);
    let others = reports.iter().filter(|report| !passed(&report.outcome));
    assert_eq!(lines(others), "", "each check is made, and green");
    assert_eq!(reports.len(), all.len());
}

/// The loopback rule holds where no token is configured only.
#[test]
fn a_node_without_a_token_passes_the_loopback_rule() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = Encd::start(folder.path(), "");
    let mut local = select(&[]).expect("no name, no unknown name");
    local.retain(|check| check.needs == Need::Loopback);
    assert!(!local.is_empty());
    let reports = judged(&subject(&node.address), &local);
    assert_eq!(lines(reports.iter().filter(|report| report.outcome != Outcome::Passed)), "");
}
