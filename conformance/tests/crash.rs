//! Crash rounds, few of each kind, as `conformance/README.md` tells; and that the rounds see what they are there to see: a node that does
//! not sync passes every `kill -9` and no power cut.

use conformance::encd::{UNSYNCED, binary};
use std::process::Command;

/// Runs the program; whether nothing was lost, and what it printed.
fn rounds(flags: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_crash")).args(flags).output().expect("the program runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), text)
}

fn nothing_is_lost(count: &str, flags: &[&str]) {
    let (code, text) = rounds(&[&["--rounds", count], flags].concat());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("nothing lost in {count} rounds")), "{text}");
}

#[test]
fn whatever_was_told_survives_a_kill() {
    nothing_is_lost("2", &["--only", "kill"]);
}

#[test]
fn whatever_was_told_survives_a_power_cut() {
    nothing_is_lost("2", &["--only", "power"]);
}

/// The first commits of a folder, and a node that crashes again soon after it has started on what a crash left.
#[test]
fn whatever_was_told_survives_an_early_end() {
    nothing_is_lost("8", &["--receipts", "3"]);
}

#[test]
fn a_node_that_does_not_sync_is_caught_by_a_power_cut() {
    let unsynced = binary(UNSYNCED);
    let unsynced = unsynced.to_str().expect("a path in UTF-8");
    // What the kernel writes by itself may save a round: a few are given.
    let (code, text) = rounds(&["--rounds", "4", "--only", "power", "--receipts", "200", "--encd", unsynced]);
    assert_eq!(code, Some(1), "no sync, and nothing lost: {text}");
    assert!(text.contains("FAILED") && text.contains("lost: the receipt of seq "), "{text}");
}
