//! Every measurement at its smallest, against a node as it was built: so that none of them breaks unseen. How fast anything was is not
//! looked at.

use std::path::Path;
use std::process::{Command, Output};

const NAMES: [&str; 8] = ["commits", "batch", "latency", "reads", "subscribers", "memory", "members", "events"];

fn bench(arguments: &[&str], out: &Path) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_bench"));
    let encd = program.with_file_name("encd");
    assert!(encd.is_file(), "{} is not there; build it first: cargo build -p encd", encd.display());
    Command::new(program).args(arguments).arg("--quick").arg("--out").arg(out).output().expect("the program runs")
}

#[test]
fn every_measurement_gives_its_section() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("results");
    let output = bench(&["all", "--alone"], &out);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let results = std::fs::read_to_string(folder.path().join("RESULTS.md")).expect("RESULTS.md is made");
    for name in NAMES {
        let section = std::fs::read_to_string(out.join(format!("{name}.md"))).expect(name);
        assert!(results.contains(&section), "{name} stands in RESULTS.md as it is");
        for part in [&format!("bench {name}"), "cores, ", "Load average: ", "| "] {
            assert!(section.contains(part), "{name} has {part:?}: {section}");
        }
        assert!(!section.contains("VOID") && !section.contains("missed"), "a smoke run judges nothing: {section}");
    }
    let subscribers = std::fs::read_to_string(out.join("subscribers.md")).expect("written");
    assert!(subscribers.contains("Measured: all, once"), "each event reached each subscriber once: {subscribers}");
}

/// With PostgreSQL, strace and the right to use them the peer is measured; without, the program says what is missing.
#[test]
fn the_peer_is_measured_or_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("results");
    let output = bench(&["commits", "--enclaves", "1"], &out);
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        let section = std::fs::read_to_string(out.join("commits.md")).expect("written");
        for part in ["of PostgreSQL's rate", "| 1 | PostgreSQL | ", "under strace"] {
            assert!(section.contains(part), "{part:?}: {section}");
        }
    } else {
        assert!(said.contains("apt-get install ") || said.contains("be root"), "{said}");
    }
}
