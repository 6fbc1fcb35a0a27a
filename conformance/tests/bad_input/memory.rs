//! How much memory a node has had at most.

use conformance::encd::Encd;
use std::fs;

/// KiB that a node may have had resident at any time in these tests. By default bodies have 128 MiB together, and up to twice that while
/// their buffers grow; ten thousand connections have about 300 MiB, a hundred frames of 1 MiB about 120 (`docs/limits.md`, Memory). The
/// tests do one of these to a node, and 40 MiB are its code, its threads and its pages.
pub const MOST_KIB: u64 = 512 << 10;

/// The most that was resident of a node until now, in KiB.
///
/// # Panics
/// Where it has ended, which nothing here may make it do.
pub fn peak_kib(node: &Encd) -> u64 {
    let path = format!("/proc/{}/status", node.process());
    let status = fs::read_to_string(path).expect("the node lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says how much it was at most");
    line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
}

/// That a node stayed within its memory.
pub fn is_bounded(what: &str, node: &Encd) {
    let peak = peak_kib(node);
    println!("{what}: {} MiB at most", peak >> 10);
    assert!(peak < MOST_KIB, "{what}: {peak} KiB were resident, {MOST_KIB} are the most");
}
