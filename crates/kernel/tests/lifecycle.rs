//! Pause, Resume, Terminate, Migrate, Recovered and step 6.

use crate::world::*;
use kernel::*;
use protocol::code::{Code, Detail};
use protocol::commit::Draft;
use protocol::schnorr::KeyPair;
use protocol::state::{Lifecycle, StateName};
use protocol::{EventHash, Json, PublicKey, Rejection};

const SHIP: &str = r#"{"enc_v":2,"sequencer":"SEQ","bundle":{"size":8,"timeout":60000},"RBAC":{
  "states":["MEMBER"],
  "traits":["owner(0)","mate(1)","drunk(2)"],
  "moves":[
    {"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":"owner","ops":["C"]},
    {"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":"Self","ops":["C"]}],
  "grants":[{"event":"Grant","operator":["owner"],"scope":["MEMBER"],"trait":["mate","drunk"]}],
  "lifecycle":[
    {"event":"Pause","operator":["owner","mate"],"ops":["C"]},
    {"event":"Pause","operator":"drunk","ops":["_C"]},
    {"event":"Resume","operator":"mate","ops":["C"]},
    {"event":"Terminate","operator":"owner","ops":["C"]}],
  "customs":[{"event":"message","operator":"MEMBER","ops":["C"]}],
  "init":[
    {"identity":"@alice","state":"MEMBER","traits":["owner"]},
    {"identity":"@bob","state":"MEMBER","traits":["mate"]},
    {"identity":"@carol","state":"MEMBER","traits":["mate","drunk"]}]}}"#;

fn ship(script: &str) -> World {
    let mut world = World::new(SHIP);
    world.run(script);
    world
}

fn leaf(world: &World) -> Option<u8> {
    let Ok(slot) = world.slot(&StateName::Lifecycle);
    slot.value().map(|value| {
        assert_eq!(value[..31], [0; 31]);
        value[31]
    })
}

#[test]
fn lifecycle_rules_say_who() {
    ship("alice Pause -> ok");
    ship("bob Pause -> ok \n bob Resume -> ok");
    ship("carol Pause -> unauthorized"); // a mate, but drunk
    ship("greta Pause -> unauthorized \n bob Terminate -> unauthorized");
    ship("bob Pause -> ok \n alice Resume -> unauthorized \n carol Resume -> ok");
    ship("bob Resume -> bad_state \n alice Resume -> unauthorized");
}

#[test]
fn paused_takes_resume_terminate_and_migrate_only() {
    let mut world = ship("alice Pause -> ok");
    assert_eq!(leaf(&world), Some(1));
    world.run(
        "alice message -> enclave_paused \n alice Move greta MEMBER -> enclave_paused \n greta Move greta MEMBER -> enclave_paused
         alice Pause -> enclave_paused \n alice AC_Bundle Grant bob drunk -> enclave_paused \n alice Shared k v -> enclave_paused
         alice Update m -> enclave_paused \n alice Manifest -> enclave_paused \n bob Resume -> ok \n alice message -> ok",
    );
    assert_eq!((leaf(&world), world.head.lifecycle), (None, Lifecycle::Active));
    let world = ship("alice Pause -> ok \n alice Terminate -> ok");
    assert_eq!(leaf(&world), Some(2));
    let world = ship("alice Pause -> ok \n alice Migrate carol -> ok");
    assert_eq!(leaf(&world), Some(3));
}

#[test]
fn terminated_takes_nothing() {
    let mut world = ship("alice message -> ok \n alice Terminate -> ok");
    assert_eq!((leaf(&world), world.head.open, world.head.tree_size), (Some(2), None, 1), "its bundle is closed");
    for event in ["Resume", "Terminate", "message", "Pause", "Migrate carol", "Manifest", "Recovered"] {
        assert_eq!(world.say(&format!("alice {event}")), "enclave_terminated");
    }
}

#[test]
fn migrated_takes_nothing_and_says_where_it_is() {
    let mut world = ship("alice message -> ok \n alice Migrate carol -> ok");
    assert_eq!((leaf(&world), world.head.open, world.head.tree_size), (Some(3), None, 1), "its bundle is closed");
    let commit = world.sign("alice", "message", &Json::Null, &[]);
    let refusal = world.submit(&commit).expect_err("it is elsewhere");
    assert_eq!(refusal, Rejection::with(Code::EnclaveMigrated, Detail::NewSequencer(id("carol"))));
    for event in ["Resume", "Terminate", "Migrate bob", "Manifest"] {
        assert_eq!(world.say(&format!("alice {event}")), "enclave_migrated");
    }
}

#[test]
fn what_is_not_live_is_read_only() {
    let mut world = ship("alice message -> ok");
    world.head.live = false;
    world.run("alice message -> read_only \n alice Terminate -> read_only \n alice Manifest -> read_only");
    world.head.lifecycle = Lifecycle::Paused;
    world.run("alice message -> enclave_paused \n bob Resume -> read_only");
}

fn migrate(
    world: &mut World,
    author: &str,
    change: impl FnOnce(&mut Vec<(&'static str, Json)>),
) -> Result<(), Rejection> {
    let mut members = vec![
        ("new_sequencer", Json::from(id("dave").hex())),
        ("prev_seq", Json::from(world.head.last_seq())),
        ("ct_root", Json::from(protocol::ids::hex(&world.head.root))),
    ];
    change(&mut members);
    let commit = world.sign(author, "Migrate", &Json::object(members), &[]);
    world.submit(&commit).map(drop)
}

fn set(name: &'static str, value: Json) -> impl FnOnce(&mut Vec<(&'static str, Json)>) {
    move |members| {
        members.retain(|(member, _)| *member != name);
        members.push((name, value));
    }
}

#[test]
fn migrate_names_the_whole_past() {
    let mut world = ship("alice message -> ok");
    world.close(world.now);
    world.run("alice message -> ok");
    let before = world.clone();
    let current = Detail::Head { prev_seq: 2, ct_root: world.head.root, prev: world.head.prev };
    let stale = Rejection::with(Code::BadState, current);
    let root = Json::from("00".repeat(32));
    let first = Json::from(world.events[0].event_hash().hex());
    assert_eq!(migrate(&mut world, "alice", set("prev_seq", Json::from(1))), Err(stale.clone()));
    assert_eq!(migrate(&mut world, "alice", set("prev_seq", Json::from(3))), Err(stale.clone()));
    assert_eq!(migrate(&mut world, "alice", set("ct_root", root)), Err(stale.clone()));
    assert_eq!(migrate(&mut world, "alice", set("prev", first)), Err(stale));
    assert_eq!(world.head, before.head);
    let prev = Json::from(world.head.prev.hex());
    assert_eq!(migrate(&mut world, "alice", set("prev", prev)), Ok(()));
    assert_eq!((world.head.lifecycle, world.head.migrated_to), (Lifecycle::Migrated, Some(id("dave"))));
    assert_eq!(
        world.entries.last().map(|entry| (entry.first_seq, entry.count)),
        Some((2, 2)),
        "it closes the open bundle"
    );
}

#[test]
fn migrate_is_the_owners() {
    for author in ["bob", "greta"] {
        let refusal = migrate(&mut ship(""), author, |_| {}).expect_err("no owner");
        assert_eq!(refusal.code, Code::Unauthorized);
    }
    // Where no trait `owner` is declared, State OWNER; where one is, that State is nothing.
    let declared = |traits: &str| {
        format!(
            r#"{{"enc_v":2,"sequencer":"SEQ","RBAC":{{"states":["OWNER"],"traits":[{traits}],
                "init":[{{"identity":"@alice","state":"OWNER","traits":[]}}]}}}}"#
        )
    };
    assert_eq!(migrate(&mut World::new(&declared("")), "alice", |_| {}), Ok(()));
    let refusal = migrate(&mut World::new(&declared("\"owner(0)\"")), "alice", |_| {}).expect_err("no holder");
    assert_eq!(refusal.code, Code::Unauthorized);
}

#[test]
fn migrate_has_its_shape() {
    let refused: [(&'static str, Json); 7] = [
        ("new_sequencer", Json::from(secret(NODE).public().hex())),
        ("new_sequencer", Json::from("00".repeat(31) + "05")),
        ("new_sequencer", Json::Null),
        ("prev_seq", Json::from("0")),
        ("ct_root", Json::from("00")),
        ("prev", Json::Null),
        ("more", Json::Null),
    ];
    for (name, value) in refused {
        let refusal = migrate(&mut ship(""), "alice", set(name, value)).expect_err(name);
        assert_eq!(refusal.code, Code::InvalidStructure, "{name}");
    }
}

#[test]
fn after_a_migrate_the_next_event_removes_the_leaf() {
    for (next, leaf_after) in [("alice message", None), ("alice Pause", Some(1)), ("alice Terminate", Some(2))] {
        let mut world = ship("alice Migrate dave -> ok");
        assert!(world.head.take_up());
        world.sequencer = KeyPair::from_secret(&[4; 32]).expect("a scalar").into();
        assert_eq!((leaf(&world), world.head.lifecycle, world.head.live), (Some(3), Lifecycle::Active, true));
        assert_eq!(world.head.sequencer, id("dave"));
        let seq = world.head.next_seq;
        assert_eq!(world.say(next), "ok");
        assert_eq!((leaf(&world), world.events[seq as usize].position.sequencer), (leaf_after, id("dave")));
        assert!(!world.head.clone().take_up(), "once");
    }
}

#[test]
fn a_second_migrate_may_follow_at_once() {
    let mut world = ship("alice Migrate dave -> ok");
    assert!(world.head.take_up());
    world.sequencer = KeyPair::from_secret(&[4; 32]).expect("a scalar").into();
    world.run("alice Migrate erin -> ok");
    assert_eq!((leaf(&world), world.head.migrated_to), (Some(3), Some(id("erin"))));
}

#[test]
fn only_a_migrate_is_taken_up() {
    for script in ["", "alice Pause -> ok", "alice Terminate -> ok"] {
        let mut world = ship(script);
        let before = world.head.clone();
        assert!(!world.head.take_up());
        assert_eq!(world.head, before);
    }
}

/// What the node makes, and what replay meets again.
fn recover(world: &World, author: &KeyPair, change: impl FnOnce(&mut Draft)) -> Result<Transition, Rejection> {
    let content = Json::object([("prev_seq", Json::from(world.head.last_seq()))]);
    let mut draft = Draft::new(world.enclave(), "Recovered", &content, START + 60_000);
    change(&mut draft);
    let node = world.sequencer_key();
    let enclave =
        Enclave { manifest: &world.manifest, head: &world.head, is_node_key: &|key: &PublicKey| *key == node };
    let Ok(outcome) = recovered(&enclave, world, &draft.sign(author), START);
    outcome
}

#[test]
fn recovered_is_the_nodes_own() {
    let world = ship("alice message -> ok");
    let transition = recover(&world, secret(NODE), |_| {}).expect("the node itself");
    assert_eq!((transition.position.seq, transition.writes.len(), transition.close), (2, 0, false));
    let code = |outcome: Result<Transition, Rejection>| outcome.expect_err("refused").code;
    assert_eq!(code(recover(&world, key("alice"), |_| {})), Code::Unauthorized);
    assert_eq!(code(recover(&world, secret(NODE), |draft| draft.exp += 1)), Code::InvalidStructure);
    assert_eq!(
        code(recover(&world, secret(NODE), |draft| draft.tags = vec![vec!["t".into()]])),
        Code::InvalidStructure
    );
    assert_eq!(code(recover(&world, secret(NODE), |draft| draft.content = "{}".into())), Code::InvalidStructure);
    assert_eq!(code(recover(&world, secret(NODE), |draft| draft.content = "{\"prev_seq\":0}".into())), Code::BadState);
    assert_eq!(code(recover(&world, secret(NODE), |draft| draft.event_type = "message".into())), Code::Unauthorized);
    let terminated = ship("alice Terminate -> ok");
    assert_eq!(code(recover(&terminated, secret(NODE), |_| {})), Code::EnclaveTerminated);
    let paused = ship("alice Pause -> ok");
    assert_eq!(code(recover(&paused, secret(NODE), |_| {})), Code::EnclavePaused);
}

#[test]
fn recovered_from_the_wire_is_unauthorized() {
    let mut world = ship("alice Recovered -> unauthorized");
    let content = Json::object([("prev_seq", Json::from(0))]);
    let commit = Draft::new(world.enclave(), "Recovered", &content, world.now + 60_000).sign(secret(NODE));
    assert_eq!(world.submit(&commit).expect_err("from the wire").code, Code::Unauthorized);
}

#[test]
fn recovered_is_stored_once() {
    let mut world = ship("");
    let transition = recover(&world, secret(NODE), |_| {}).expect("the node itself");
    let content = Json::object([("prev_seq", Json::from(0))]);
    let commit = Draft::new(world.enclave(), "Recovered", &content, START + 60_000).sign(secret(NODE));
    let event = world.apply(commit, transition);
    assert_eq!(event.position.prev, EventHash(world.events[0].event_hash().0));
    let enclave = Enclave { manifest: &world.manifest, head: &world.head, is_node_key: &|_| true };
    let again = Draft::new(world.enclave(), "Recovered", &content, START + 60_000).sign(secret(NODE));
    let Ok(outcome) = recovered(&enclave, &world, &again, START);
    assert_eq!(outcome.expect_err("stored").code, Code::Duplicate);
}
