//! A move that is botched: the enclave lives on at its new node, and the old one, put back from before the Migrate, goes on signing.

use crate::person::{Person, every_byte_counts, one, read, settle, visit};
use conformance::encd::Encd;
use conformance::equivocator::{Equivocator, Lie};
use conformance::people::json;
use protocol::Json;
use protocol::evidence::Contradiction;
use tempfile::TempDir;

/// Moves Alice's enclave to another node as its operator would, after a copy of the old node's folder was laid aside.
fn move_away(alice: &Person, url: &str, new: &Encd) {
    let shown = json(alice.does(&["--json", "--node", url, "--stranger", "prove", "log"]).trim());
    let root = shown.member("newer").and_then(|sth| sth.member("root_hash")).and_then(Json::as_text);
    let (sequencer, root) = (new.sequencer, root.expect("a tree head has one"));
    let order = format!(r#"{{"new_sequencer":"{sequencer}","prev_seq":1,"ct_root":"{root}"}}"#);
    // The old node takes sessions for its own key, and whoever follows the Migrate makes them for the new one.
    let behind = Person::twin(alice, "behind");
    alice.does(&["--node", url, "commit", "Migrate", &order]);
    let archive = alice.path("hall.enc").display().to_string();
    behind.does(&["--node", url, "snapshot", &archive]);
    let said = alice.does(&["--node", &format!("http://{}", new.address), "restore", "--first", &archive]);
    assert!(said.contains("live"), "{said}");
}

#[test]
fn both_nodes_live_after_a_botched_move() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let elsewhere: TempDir = tempfile::tempdir().expect("a temporary folder");
    let [alice, bob] = ["alice", "bob"].map(|name| Person::new(folder.path(), name));
    let mut old = Encd::start(folder.path(), "");
    let new = Encd::start(elsewhere.path(), "");
    let enclave = settle(&alice, &old);
    visit(&bob, &format!("http://{}", old.address), enclave);
    old.kill();
    // Copies are made of this; it stays as it was before the Migrate.
    let before = Equivocator::start(&Lie::of(old.folder(), &folder.path().join("before"), 1));
    drop(before);
    let mut old = Encd::start(folder.path(), "");
    move_away(&alice, &format!("http://{}", old.address), &new);
    let there = format!("http://{}", new.address);
    alice.notes(&there, "at the new node");
    old.kill();
    let botched =
        Equivocator::start(&Lie::of(&folder.path().join("before/history-0"), &folder.path().join("copies"), 1));
    let here = botched.urls[0].as_str();
    // Bob has heard of no move. What he is told, he may believe: the old key signs it.
    for note in ["in place of the Migrate", "beyond it"] {
        bob.notes(here, note);
    }
    bob.does(&["--node", here, "query"]);
    alice.does(&["--node", &there, "query"]);
    let theirs = bob.exports(here, "theirs.json");
    let asked = alice.collects(&["--node", &there, "--ask", here]);
    drop(botched);
    let told = alice.collects(&["--offline", "--with", &theirs]);
    for found in [&asked, &told] {
        let Contradiction::AfterMigrate(migrate, later) = read(one(found, "after_migrate")).contradiction else {
            panic!()
        };
        assert_eq!((migrate.position.seq, later.position.seq), (2, 3));
        let Contradiction::TwoEvents(..) = read(one(found, "two_events")).contradiction else { panic!() };
        for (_, path) in found {
            let key = read(path).sequencer;
            assert_eq!(key, old.sequencer, "the new node's key has contradicted nothing");
        }
    }
    every_byte_counts(one(&told, "after_migrate"));
    // The new node alone is in order.
    alice.finds_nothing(&["--node", &there]);
}
