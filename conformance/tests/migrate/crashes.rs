//! Whatever is killed and whenever, the same command ends the move, and the same way: one node sequences the enclave, from one Migrate on.

use crate::scene::{Owner, Place, standing, visitor};
use client::migration::Stage;
use client::{Filter, Identity, MemoryStore};
use conformance::launch::wait_until;
use protocol::{EnclaveId, Json};
use std::time::{Duration, Instant};

const STAGES: [Stage; 5] = [Stage::Begun, Stage::Checked, Stage::Signed, Stage::Saved, Stage::TakenUp];

/// The end of every move.
fn is_over(owner: &Owner, id: EnclaveId, (old, new): (&Place, &Place), what: &str) {
    assert_eq!(standing(old, &id), ("migrated".to_owned(), true, old.node.sequencer), "{what}");
    assert!(standing(new, &id).1, "{what}");
    let told = owner.run(&["--enclave", &id.hex(), "commit", "message", "after"]);
    assert!(told.status.success(), "{what}: {}", String::from_utf8_lossy(&told.stderr));
    let refused = owner.run(&["--node", &old.gate.url, "--enclave", &id.hex(), "commit", "message", "late"]);
    assert_eq!(refused.status.code(), Some(3), "{what}: the old node takes nothing");
    let log = visitor(new, id, 2).query_all(&Filter::all()).expect("it is read at the new node");
    let migrates: Vec<u64> =
        log.iter().filter(|event| event.event_type == "Migrate").map(|event| event.position.seq).collect();
    assert_eq!(migrates, [2], "{what}: it was handed over once");
    for event in &log {
        let by = if event.position.seq <= 2 { &old.node } else { &new.node };
        assert_eq!(event.position.sequencer, by.sequencer, "{what}: event {}", event.position.seq);
    }
    assert_eq!(owner.noted(&id), None, "{what}: nothing is left to do");
    assert!(!owner.folder(&id).join("migrate.enc").exists(), "{what}: the log does not stay behind");
}

fn enclave(owner: &Owner, old: &Place, nonce: &str) -> EnclaveId {
    let enclave = owner.creates(old, nonce);
    enclave.commit("message", &Json::from("before")).expect("it is taken");
    enclave.id()
}

/// Between any two steps the owner's program ends, and both nodes are killed and come back.
#[test]
fn a_move_is_ended_by_the_same_command() {
    let (mut old, mut new) = (Place::new(), Place::new());
    let owner = Owner::new();
    for stage in STAGES {
        let id = enclave(&owner, &old, stage.name());
        let mut migration = owner.migration(id, (&old, &new));
        while migration.stage() != stage {
            migration.step().expect("nothing is in its way").expect("there is a next step");
        }
        drop(migration);
        old.kill();
        new.kill();
        let nobody = owner.run(&["--enclave", &id.hex(), "migrate", "--to", &new.gate.url]);
        assert_eq!(nobody.status.code(), Some(4), "{}: {nobody:?}", stage.name());
        old.start();
        new.start();
        let again: &[&str] = if stage == Stage::Begun { &["--to", &new.gate.url] } else { &["--resume"] };
        owner.does(&[&["--enclave", &id.hex(), "migrate"], again].concat());
        is_over(&owner, id, (&old, &new), stage.name());
    }
}

/// Once the log lies here the old node is not needed any more.
#[test]
fn the_old_node_may_go_when_the_log_is_saved() {
    let (mut old, new) = (Place::new(), Place::new());
    let owner = Owner::new();
    let id = enclave(&owner, &old, "gone");
    let reader = visitor(&old, id, 2);
    let mut migration = owner.migration(id, (&old, &new));
    while migration.stage() != Stage::Saved {
        migration.step().expect("nothing is in its way").expect("there is a next step");
    }
    reader.query_all(&Filter::all()).expect("who has seen the Migrate");
    old.kill();
    owner.does(&["migrate", "--resume"]);
    owner.does(&["commit", "message", "after"]);
    reader.commit("message", &Json::from("from who was there")).expect("goes on without the old node");
    old.start();
    is_over(&owner, id, (&old, &new), "gone");
}

/// The program, or the new node, is killed at some moment of its work; rerun until it is through.
#[test]
fn a_move_may_be_killed_at_any_moment() {
    const ROUNDS: u64 = 6;
    let (old, mut new) = (Place::new(), Place::new());
    let owner = Owner::new();
    for round in 0..ROUNDS {
        let id = enclave(&owner, &old, &format!("moment-{round}"));
        let (hex, url) = (id.hex(), new.gate.url.clone());
        let arguments = ["--enclave", &hex, "migrate", "--to", &url];
        // From before the first step to behind the last, by what a move takes here.
        let mut program = owner.command(&arguments).spawn().expect("the program runs");
        let begun = Instant::now();
        let moment = Duration::from_millis(25 * round);
        assert!(wait_until(moment + Duration::from_secs(1), || begun.elapsed() >= moment));
        if round % 2 == 0 {
            new.kill();
            new.start();
        } else {
            program.kill().expect("it is ours");
        }
        let ended = program.wait().expect("it is ours");
        let again = owner.run(&arguments);
        let text = String::from_utf8_lossy(&again.stderr);
        let through = again.status.success() || text.contains("already");
        assert!(through, "round {round}, {moment:?}, after {ended}: {text}");
        is_over(&owner, id, (&old, &new), &format!("round {round}"));
    }
}

/// What a node was taking up when it was killed is taken up still if its database knows nothing of it, and never again if that does.
#[test]
fn a_node_that_was_killed_while_it_took_up_knows_whether_it_did() {
    let (old, mut new) = (Place::new(), Place::new());
    let owner = Owner::new();
    for (name, reached) in [("before", Stage::Saved), ("after", Stage::TakenUp)] {
        let id = enclave(&owner, &old, name);
        let mut migration = owner.migration(id, (&old, &new));
        while migration.stage() != reached {
            migration.step().expect("nothing is in its way").expect("there is a next step");
        }
        let pin = visitor(&old, id, 2);
        let migrates = pin.query_all(&Filter::of_type("Migrate")).expect("it is read");
        let notes = new.node.folder().join("data").join("taken-up");
        let done = notes.join(migrates[0].hash.hex());
        let begun = done.with_extension("begun");
        new.kill();
        // As a kill leaves it between the note and the database, or between the database and the end of the note.
        std::fs::create_dir_all(&notes).expect("writable");
        std::fs::write(&begun, format!("{}\n", id.hex())).expect("writable");
        if done.exists() {
            std::fs::remove_file(&done).expect("writable");
        }
        new.start();
        assert!(!begun.exists(), "{name}: it is settled");
        assert_eq!(done.exists(), reached == Stage::TakenUp, "{name}: by what the database knows");
        owner.does(&["--enclave", &id.hex(), "migrate", "--resume"]);
        is_over(&owner, id, (&old, &new), name);
        assert!(done.exists(), "{name}: it is noted");
    }
}

/// Somebody who was there before a move and kept nothing needs the Migrate, and who may read nothing is not led anywhere.
#[test]
fn who_may_not_read_is_told_no_more_than_that_it_has_gone() {
    let (old, new) = (Place::new(), Place::new());
    let owner = Owner::new();
    let id = enclave(&owner, &old, "stranger");
    owner.does(&["migrate", "--to", &new.gate.url]);
    let (stranger, _) = Identity::generate().expect("random bytes");
    let handle = client::Enclave::open(&old.sdk(), id, Some(stranger), MemoryStore::shared()).expect("public");
    let refused = handle.commit("message", &Json::from("x")).expect_err("it is nobody here");
    assert_eq!(refused.code(), Some(protocol::Code::EnclaveMigrated));
    assert_eq!(handle.node().url(), old.gate.url);
}
