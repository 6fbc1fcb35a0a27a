//! Faults while a node starts: in a folder that is not there yet, and in one that a killed node has left.

use crate::table::{CALLS, Left, UNUSABLE, has_write_ahead_log, names_the_trouble, next_place, report, started};
use conformance::launch::Launch;
use conformance::strace::{Fault, Trap, paths_of};
use conformance::told::{Field, Told};

/// Tries every call of every kind until there is none left; `row` answers whether the fault was met.
fn sweep(row: &dyn Fn(&Fault) -> bool) {
    for (calls, ways) in CALLS {
        for instead in *ways {
            let mut nth = 1;
            while row(&Fault { calls, instead: *instead, nth }) {
                nth = next_place(nth);
            }
        }
    }
}

/// Starts under a fault. The node either does not start and says why, or works; none where the fault was not met.
fn start_under(
    launch: &Launch,
    fault: &Fault,
    works: &dyn Fn(&str, protocol::PublicKey) -> Told,
) -> Option<(String, Told)> {
    let (under, trap) = fault.from_the_start(&Trap::record_of(&launch.data), &paths_of(&launch.data));
    match started(&Launch { under, ..launch.clone() }) {
        Err((code, said)) => {
            assert!(trap.has_struck(), "{fault}: it ends without a fault: {said}");
            assert_eq!(code, UNUSABLE, "{fault}: {said}");
            Some((format!("exit {code}: {}", names_the_trouble(&launch.data, &said)), Told::default()))
        }
        Ok(node) if trap.has_struck() => {
            assert!(has_write_ahead_log(&launch.data), "{fault}: it works without its write-ahead log");
            assert!(!trap.leaves_unsynced(), "{fault}: {:?} and nobody tries again", trap.struck());
            assert_eq!(node.readiness().text(), "ready\n", "{fault}");
            Some(("starts, and all works".to_owned(), works(&node.address, node.sequencer)))
        }
        Ok(_) => None,
    }
}

#[test]
fn in_a_new_folder() {
    sweep(&|fault| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let launch = Launch::of(&folder.path().join("node"), crate::table::CONFIG);
        let made = std::cell::RefCell::new(None);
        let came = start_under(&launch, fault, &|address, sequencer| {
            let field = Field::make(address, sequencer, 1);
            let told = field.write_singly(address, &|told| told.acknowledged.len() == 4);
            *made.borrow_mut() = Some(field);
            told
        });
        let Some((outcome, told)) = came else { return false };
        let node = launch.run();
        match made.into_inner() {
            Some(field) => {
                assert_eq!(node.sequencer, field.sequencer, "{fault}: the key that it had");
                field.check(&node.address, &told);
            }
            None => drop(Field::make(&node.address, node.sequencer, 1)),
        }
        report("start, new folder", fault, &outcome);
        true
    });
}

#[test]
fn in_a_folder_that_a_killed_node_left() {
    let left = Left::behind();
    sweep(&|fault| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let launch = left.copy(folder.path());
        let field = left.field.again();
        let came = start_under(&launch, fault, &|address, _| {
            field.write_singly(address, &|told| told.acknowledged.len() == 4)
        });
        let Some((outcome, told)) = came else { return false };
        drop(left.check(&launch.data, &field, &told));
        report("start after a kill", fault, &outcome);
        true
    });
}
