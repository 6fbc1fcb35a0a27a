//! `encd check`, `encd gc`, `encd doctor`, and databases of other versions.

use crate::backup::encd;
use crate::first_version::copied;
use crate::process::{Scratch, command, refused, start};
use encd::check;
use encd::config::Config;
use encd::interrupt::Interrupt;
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn check(folder: &Path) -> check::Report {
    check::run(folder, &Config::default(), &Interrupt::default(), &mut |_| ()).expect("the store can be read")
}

/// The shard that holds the enclave with most events.
fn largest(folder: &Path) -> Connection {
    Connection::open(folder.join("data/shard-1.db")).expect("a database")
}

#[test]
fn whatever_is_altered_is_found() {
    let whole = Scratch::new("whole");
    copied(&whole.0);
    let report = check(&whole.0);
    assert!(report.holds(), "{:?}", report.faults);
    assert_eq!((report.enclaves, report.live), (5, 5));
    let rows: &[(&str, &str)] = &[
        ("UPDATE events SET content = '1' WHERE seq = 2", "events: does not hold at 2"),
        ("UPDATE events SET timestamp = timestamp + 1 WHERE seq = 3", "events: does not hold at 3"),
        ("UPDATE events SET seq_sig = zeroblob(64) WHERE seq = 2", "events: does not hold at 2"),
        ("UPDATE events SET as_type = 'x' WHERE seq = 2", "events: does not hold at 2"),
        ("DELETE FROM events WHERE seq = 6", "events: does not hold at 6"),
        ("DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)", "node_state"),
        ("DELETE FROM event_tags WHERE seq = 2", "event_tags: does not hold"),
        ("UPDATE event_tags SET value = 'other' WHERE seq = 2", "event_tags: does not hold at 2"),
        ("UPDATE bundles SET state_hash = zeroblob(32) WHERE idx = 0", "bundles: does not hold at 0"),
        ("DELETE FROM bundles WHERE idx = 1", "events"),
        ("UPDATE log_nodes SET hash = zeroblob(32) WHERE level = 0 AND idx = 1", "log_nodes: does not hold at 0"),
        ("DELETE FROM log_nodes WHERE level = 1", "log_nodes: does not hold"),
        ("UPDATE state_pages SET body = CAST(body || x'00' AS BLOB)", "state_pages: does not hold"),
        (
            "UPDATE node_state SET value = CAST(value || x'00' AS BLOB) WHERE key = 'record'",
            "node_state: does not hold",
        ),
        (
            "UPDATE node_state SET value = CAST(value || x'0a' AS BLOB) WHERE key = 'checkpoint'",
            "checkpoint: does not hold",
        ),
        ("DELETE FROM node_state WHERE key = 'record'", "rows of no enclave"),
        ("INSERT INTO left_rules SELECT DISTINCT enclave, zeroblob(32), 0, 1, 1 FROM events", "left_rules"),
        ("DELETE FROM host_alarms", "host_alarms"),
        ("DROP INDEX events_type", "events_type: is not as it is made"),
    ];
    for (sql, what) in rows {
        let scratch = Scratch::new("altered");
        copied(&scratch.0);
        largest(&scratch.0).execute_batch(sql).expect("altered");
        let report = check(&scratch.0);
        let found = report.faults.iter().any(|found| found.what.contains(what));
        assert!(found, "{sql}: {:?}", report.faults);
    }
}

#[test]
fn a_damaged_file_and_the_exit_code() {
    let scratch = Scratch::new("page");
    copied(&scratch.0);
    assert_eq!(encd(&["check"], &scratch.0).code, 0);
    largest(&scratch.0).execute_batch("UPDATE log_nodes SET hash = zeroblob(32)").expect("altered");
    let found = encd(&["check"], &scratch.0);
    assert_eq!(found.code, 65, "{}", found.out);
    assert!(found.out.contains("log_nodes") && found.err.contains("does not hold"), "{}{}", found.out, found.err);
    assert_eq!(encd(&["check"], Path::new("/proc/encd")).code, 66);
}

#[test]
fn sweeping_takes_nothing_that_counts() {
    let scratch = Scratch::new("sweep");
    copied(&scratch.0);
    fs::write(scratch.0.join("data/node.new"), "half").expect("written");
    let before = check(&scratch.0);
    let swept = encd(&["gc"], &scratch.0).well();
    let number = |name: &str| swept.member(name).and_then(protocol::Json::as_uint).expect("a number");
    assert!(number("rows") > 0 && number("files") == 1 && number("copies") == 0, "{}", swept.to_jcs());
    assert!(scratch.0.join("data/before-1/shard-0.db").is_file(), "the first start has upgraded it");
    let after = check(&scratch.0);
    assert!(after.holds(), "{:?}", after.faults);
    assert_eq!((before.events, before.bundles), (after.events, after.bundles));
    assert_eq!(encd(&["gc", "--copies"], &scratch.0).number("copies"), 1);
    assert!(!scratch.0.join("data/before-1").exists());
    let node = start(&mut command(&scratch.0));
    assert_eq!(encd(&["gc"], &scratch.0).code, 75, "a node works there");
    node.stop();
}

#[test]
fn the_doctor_names_what_is_ill() {
    let scratch = Scratch::new("doctor");
    copied(&scratch.0);
    let well = encd(&["doctor"], &scratch.0);
    assert_eq!(well.code, 0, "{}", well.out);
    let key = scratch.0.join("keys/node.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("opened up");
    let ill = encd(&["doctor"], &scratch.0);
    assert_eq!(ill.code, 65);
    assert!(ill.out.contains("chmod go="), "{}", ill.out);
    fs::remove_file(key).expect("removed");
    assert!(encd(&["doctor"], &scratch.0).out.contains("node.key"));
}

#[test]
fn what_a_newer_program_wrote_is_refused_and_left_alone() {
    let scratch = Scratch::new("newer");
    copied(&scratch.0);
    // The second database is newer: the first is not upgraded on the way to it.
    largest(&scratch.0).pragma_update(None, "user_version", 99).expect("its version");
    let (code, line) = refused(command(&scratch.0));
    assert_eq!(code, 76, "{line}");
    assert!(line.contains("newer encd"), "{line}");
    let first = Connection::open(scratch.0.join("data/shard-0.db")).expect("a database");
    let version: i64 = first.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("its version");
    assert_eq!(version, 0);
    let to = Scratch::new("newer-copy");
    fs::create_dir_all(&to.0).expect("made");
    for arguments in [&["check"][..], &["gc"], &["backup", to.0.to_str().expect("text")]] {
        assert_eq!(encd(arguments, &scratch.0).code, 76, "{arguments:?}");
    }
    assert_eq!(encd(&["restore", scratch.0.to_str().expect("text")], &to.0).code, 76);
}
