//! An enclave that moves to another node: the old one is done with it, the new one takes it up once, and a client follows.

use crate::world::{ADMIN_TOKEN, World, member, number, text};
use client::{Enclave, Error, Falsehood, Filter, Identity, MemoryStore, Node};
use conformance::people::{json, now};
use conformance::wire::Ask;
use protocol::commit::Draft;
use protocol::ids::hex;
use protocol::{Code, Json};
use std::sync::Arc;

fn sdk(world: &World) -> Node {
    Node::connect(&format!("http://{}", world.node.address)).expect("it answers")
}

/// Signs the hall over to another node's key; the snapshot that ends in the Migrate.
fn sign_over(old: &World, new: &World) -> Vec<u8> {
    let sth = old.accepted("sth", &Ask::get(&old.path("sth")));
    let info = old.accepted("info", &old.signed(Ask::get(&old.path("info/enclave")), &old.alice));
    let order = format!(
        r#"{{"new_sequencer":"{}","prev_seq":{},"ct_root":"{}"}}"#,
        new.node.sequencer,
        number(&info, "last_seq"),
        text(&sth, "root_hash")
    );
    old.say(&old.alice, "Migrate", &order);
    let answer = old.ask(&old.signed(Ask::get(&old.path("snapshot")), &old.alice));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.body
}

fn restored(world: &World, old: &World, query: &str, bytes: &[u8]) -> Json {
    let ask = Ask::post_as("application/octet-stream", &format!("{}{query}", old.path("restore")), bytes);
    world.accepted("restore", &ask.header("Authorization", &format!("Bearer {ADMIN_TOKEN}")))
}

#[test]
fn a_client_follows_its_enclave() {
    let (old, mut new) = (World::new(), World::new());
    let store = MemoryStore::shared();
    let alice = Identity::from_secret(&hex(&[1; 32])).expect("a key");
    let before = Enclave::open(&sdk(&old), old.enclave, Some(alice.clone()), Arc::clone(&store)).expect("it is there");
    let first = before.commit("message", &Json::from("here")).expect("a message");
    before.close_bundle().expect("a bundle");
    let bytes = sign_over(&old, &new);
    let moved = [("new_sequencer", Json::from(new.node.sequencer.hex()))];
    old.refused_commit("the old node is done", &old.commit(&old.bob, "message", "1"), Code::EnclaveMigrated, &moved);
    let info = old.accepted("info", &Ask::get(&old.path("info/enclave")));
    assert_eq!((text(&info, "status"), number(&info, "tree_size")), ("migrated", 2));
    let answer = restored(&new, &old, "?first=true", &bytes);
    assert_eq!((member(&answer, "live"), number(&answer, "last_seq")), (&Json::Bool(true), 2));
    new.enclave = old.enclave;
    // The same store: the new node must continue what the old one has signed.
    // A session is for a key that was verified, so the Migrate is read where it was made.
    assert_eq!(before.query_all(&Filter::of_type("Migrate")).expect("the old node still tells").len(), 1);
    let after = Enclave::open(&sdk(&new), old.enclave, Some(alice), Arc::clone(&store)).expect("it is pinned");
    let head = after.sth().expect("signed by the new key, over the tree that was taken over");
    assert_eq!((head.tree_size(), after.sequencer()), (2, new.node.sequencer));
    let second = after.commit("message", &Json::from("there")).expect("it goes on");
    assert_eq!((second.receipt.position.seq, second.receipt.position.sequencer), (3, new.node.sequencer));
    after.close_bundle().expect("a bundle");
    for receipt in [&first.receipt, &second.receipt] {
        after.prove_event(receipt).expect("both are in the log");
    }
    after.checkpoint().expect("by the new log key");
    assert_eq!(after.query_all(&Filter::all()).expect("every event verifies").len(), 4);
    assert_eq!(after.audit(&mut |_, _| {}).expect("the whole log replays").replayed.events, 4);
    let info = new.accepted("info", &Ask::get(&new.path("info/enclave")));
    assert_eq!((text(&info, "status"), member(&info, "live")), ("active", &Json::Bool(true)));
    // Who has been here is not led back to the smaller tree there.
    let back = before.sth();
    assert!(matches!(back, Err(Error::False(Falsehood::SmallerTree { kept: 3, shown: 2 }))), "{back:?}");
}

#[test]
fn nobody_takes_up_what_nobody_asserts_or_what_is_not_its_own() {
    let (old, new, other) = (World::new(), World::new(), World::new());
    let bytes = sign_over(&old, &new);
    for (world, query) in [(&new, ""), (&other, "?first=true")] {
        let answer = restored(world, &old, query, &bytes);
        assert_eq!(member(&answer, "live"), &Json::Bool(false), "{query}");
        let commit = Draft::new(old.enclave, "message", &json("1"), now() + 60_000).sign(&old.bob).into_commit();
        let answer = world.ask(&World::submitting(&commit));
        let code = text(&answer.json(), "error").to_owned();
        assert!(["enclave_migrated", "read_only"].contains(&code.as_str()), "{code}");
    }
}

/// The same Migrate again, after the node's databases were lost: what it has signed since is not known here.
#[test]
fn a_migrate_is_taken_up_once() {
    let (old, mut new) = (World::new(), World::new());
    let bytes = sign_over(&old, &new);
    assert_eq!(member(&restored(&new, &old, "?first=true", &bytes), "live"), &Json::Bool(true));
    new.restart(|folder| {
        for shard in 0..2 {
            for name in ["db", "db-wal", "db-shm", "mark"] {
                let path = folder.join(format!("data/shard-{shard}.{name}"));
                if path.exists() {
                    std::fs::remove_file(path).expect("it is ours");
                }
            }
        }
    });
    assert_eq!(member(&restored(&new, &old, "?first=true", &bytes), "live"), &Json::Bool(false));
}
