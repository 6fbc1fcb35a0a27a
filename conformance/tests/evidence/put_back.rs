//! Yesterday's data is put back: the database alone, and with the marks that would have told the node.

use crate::person::{Person, copy_folder, every_byte_counts, one, read, settle};
use conformance::encd::Encd;
use conformance::equivocator::{Equivocator, Lie};
use protocol::evidence::Contradiction;
use std::path::Path;
use std::time::Duration;

/// Copies the databases of a data folder that nobody works in.
fn copy_databases(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder is writable");
    for shard in 0..2 {
        for end in ["", "-wal", "-shm"] {
            let name = format!("shard-{shard}.db{end}");
            let old = to.join(&name);
            assert!(!old.exists() || std::fs::remove_file(&old).is_ok());
            if from.join(&name).exists() {
                std::fs::copy(from.join(&name), old).expect("copied");
            }
        }
    }
}

/// Stops a node in order: all that it has is then in its databases, and the marks have followed.
fn stop(node: &mut Encd) {
    node.signal(rustix::process::Signal::TERM);
    assert_eq!(node.wait(Duration::from_secs(30)).expect("it stops"), Some(0));
}

#[test]
fn the_database_alone_is_fenced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let alice = Person::new(folder.path(), "alice");
    let mut node = Encd::start(folder.path(), "");
    settle(&alice, &node);
    stop(&mut node);
    let data = node.folder().join("data");
    let yesterday = folder.path().join("yesterday");
    copy_databases(&data, &yesterday);
    let mut node = Encd::start(folder.path(), "");
    let url = format!("http://{}", node.address);
    alice.notes(&url, "today");
    alice.does(&["--node", &url, "query"]);
    stop(&mut node);
    copy_databases(&yesterday, &data);
    let node = Encd::start(folder.path(), "");
    let url = format!("http://{}", node.address);
    let said = alice.ends(3, &["--node", &url, "commit", "note", "again"]);
    assert!(said.contains("rolled_back"), "{said}");
    // Nothing was signed against what Alice holds: it is a loss, not a lie.
    let said = alice.ends(1, &["--node", &url, "query"]);
    assert!(said.contains("the log had 3 entries and is shown with 2"), "{said}");
    alice.finds_nothing(&["--node", &url]);
}

#[test]
fn who_remembers_is_not_deceived() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let alice = Person::new(folder.path(), "alice");
    let mut node = Encd::start(folder.path(), "");
    settle(&alice, &node);
    node.kill();
    let yesterday = folder.path().join("yesterday");
    copy_folder(node.folder(), &yesterday);
    let mut node = Encd::start(folder.path(), "");
    let url = format!("http://{}", node.address);
    for note in ["today", "lunch", "evening"] {
        alice.notes(&url, note);
    }
    alice.does(&["--node", &url, "query"]);
    node.kill();
    // The mark is yesterday's too, and the clock says that Alice's receipts are long due.
    let copies = folder.path().join("copies");
    let lie = Lie { ahead_ms: 120_000, ..Lie::of(&yesterday, &copies, 1) };
    let liar = Equivocator::start(&lie);
    let url = liar.urls[0].as_str();
    let said = alice.ends(1, &["--node", url, "query"]);
    assert!(said.contains("does not hold"), "{said}");
    let found = alice.collects(&["--node", url]);
    for kind in ["shrunk", "overdue"] {
        every_byte_counts(one(&found, kind));
    }
    let Contradiction::Shrunk(larger, smaller) = read(one(&found, "shrunk")).contradiction else { panic!() };
    assert_eq!((larger.tree_size, smaller.tree_size), (5, 2));
    let Contradiction::Overdue(receipt, ..) = read(one(&found, "overdue")).contradiction else { panic!() };
    assert_eq!(receipt.position.seq, 2, "the first that it does not have");
}
