//! The golden vectors, as far as the rules are concerned.

use crate::world::*;
use kernel::*;
use protocol::code::Detail;
use protocol::commit::Draft;
use protocol::state::{Bitmask, Lifecycle, StateName};
use protocol::{Json, PublicKey, Rejection};
use serde_json::Value;

fn group(name: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/enc-vectors.json");
    let text = std::fs::read_to_string(path).expect("the vectors");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    all["groups"][name].as_array().unwrap_or_else(|| panic!("no group {name}")).clone()
}

fn read(value: &Value) -> Json {
    protocol::json::parse(value.to_string().as_bytes(), 64).expect("within the rules")
}

/// The secret of a public key of the vectors: one byte 32 times.
fn secret_of(public: &str) -> u8 {
    [1, 2, 3, 7, 10, 11, 0x33].into_iter().find(|byte| secret(*byte).public().hex() == public).expect("a key of ours")
}

/// The manifest, then one event, on its first state.
fn judge(case: &Value) -> (World, Result<(), Rejection>) {
    let input = &case["input"];
    let mut world = World::of(&read(&input["manifest"]));
    let author = secret(secret_of(input["author"].as_str().expect("a key")));
    let event_type = input["type"].as_str().expect("a type");
    let commit = Draft::new(world.enclave(), event_type, &read(&input["content"]), START + 1000).sign(&author);
    let outcome = world.submit(&commit).map(drop);
    (world, outcome)
}

fn expect_code(case: &Value, outcome: &Result<(), Rejection>) {
    let code = outcome.as_ref().err().map(|refused| refused.code.as_str());
    assert_eq!(code, case["expected"]["error"].as_str(), "{}", case["name"]);
}

#[test]
fn rank() {
    let cases = group("rank");
    assert_eq!(cases.len(), 14);
    for case in &cases {
        let (world, outcome) = judge(case);
        expect_code(case, &outcome);
        let masks = case["expected"]["bitmasks"].as_object();
        assert_eq!(masks.is_some(), outcome.is_ok());
        for (identity, mask) in masks.into_iter().flatten() {
            let identity = PublicKey::parse(identity).expect("a key");
            assert_eq!(protocol::ids::hex(&world.mask(&identity).0), mask.as_str().expect("hex"), "{}", case["name"]);
        }
    }
}

#[test]
fn step_8() {
    let cases = group("step_8");
    assert_eq!(cases.len(), 9);
    for case in &cases {
        let (_, outcome) = judge(case);
        expect_code(case, &outcome);
    }
}

#[test]
fn manifest() {
    let cases = group("manifest");
    assert_eq!(cases.len(), 13);
    for case in &cases {
        let author = secret(secret_of(case["input"]["from"].as_str().expect("a key")));
        let outcome = begin(&manifest_commit(&read(&case["input"]["manifest"]), &author), None, START);
        expect_code(case, &outcome.clone().map(drop));
        let path = case["expected"]["path"].as_str();
        let detail = outcome.err().map(|refused| refused.detail);
        assert_eq!(detail, path.map(|path| Detail::Path(path.into())), "{}", case["name"]);
    }
}

/// Every byte of seven events, from the script, the keys and the two contents that were deleted.
#[test]
fn enclave() {
    let case = &group("enclave")[0];
    let expected = &case["expected"];
    let events = expected["events"].as_array().expect("events");
    let mut world = World::of(&read(&case["input"]["manifest"]));
    for (seq, event) in events.iter().enumerate() {
        if seq > 0 {
            let deleted = [Json::Null, Json::Null, Json::from("hi"), Json::from("hello")];
            let content = event.get("content").map_or_else(|| deleted[seq].clone(), read);
            let author = secret(secret_of(event["from"].as_str().expect("a key")));
            let event_type = event["type"].as_str().expect("a type");
            let exp = event["exp"].as_u64().expect("a time");
            let mut draft = Draft::new(world.enclave(), event_type, &content, exp);
            draft.tags = protocol::commit::parse_tags(read(&event["tags"])).expect("tags");
            world.now = event["timestamp"].as_u64().expect("a time");
            world.submit(&draft.sign(&author)).unwrap_or_else(|refused| panic!("{seq}: {refused:?}"));
        }
        let made = &world.events[seq];
        assert_eq!(made.id.hex(), event["id"].as_str().expect("an id"), "event {seq}");
        assert_eq!(made.seq_sig.hex(), event["seq_sig"].as_str().expect("a signature"));
        assert_eq!(made.position.type_seq, event["type_seq"].as_u64().expect("a number"));
        let root = expected["state_root_after"][seq].as_str().expect("a root");
        assert_eq!(protocol::ids::hex(&world.state_root()), root, "state after event {seq}");
    }
    let entries: Vec<Value> = world.entries.iter().map(|entry| protocol::ids::hex(&entry.encode()).into()).collect();
    assert_eq!(Value::from(entries), expected["entries"]);
    assert_eq!(world.enclave().hex(), expected["enclave"].as_str().expect("an id"));
    assert_eq!(protocol::ids::hex(&world.head.root), expected["sth"]["root_hash"].as_str().expect("a root"));
    assert_eq!(world.head.tree_size, expected["sth"]["tree_size"].as_u64().expect("a size"));
    assert_eq!(world.heads.last(), expected["sth"]["timestamp"].as_u64().as_ref());
}

/// What the rules have to say of a log that is taken up after a Migrate: Active again, and the leaf stays until the next event.
#[test]
fn restore_after_migrate() {
    let cases = group("restore_after_migrate");
    let first = cases.iter().find(|case| case["name"] == "first").expect("the case that is taken up");
    let manifest = &group("step_8")[0]["input"]["manifest"];
    let mut world = World::of(&read(manifest));
    world.run("alice Migrate carol -> ok");
    let root = |world: &World| protocol::ids::hex(&world.state_root());
    assert_eq!(root(&world), first["expected"]["state_root"].as_str().expect("a root"));
    assert_eq!(world.head.lifecycle.as_str(), "migrated");
    world.head.live = false;
    assert!(world.head.take_up());
    assert_eq!((world.head.lifecycle.as_str(), world.head.live), ("active", true));
    assert_eq!(first["expected"]["status"], "active");
    assert_eq!(root(&world), first["expected"]["state_root"].as_str().expect("a root"));
    world.sequencer = 3;
    world.run("alice message -> ok");
    let Ok(slot) = world.slot(&StateName::Lifecycle);
    assert_eq!(slot, Slot::Absent, "the first event after a Migrate removes the leaf");
    assert_eq!(world.head.lifecycle, Lifecycle::Active);
}

/// The last millisecond before `due` belongs to the old bundle, `due` itself does not.
#[test]
fn restore_bundles() {
    let manifest = &group("step_8")[0]["input"]["manifest"].to_string().replace("\"size\":2", "\"size\":3");
    for (case, after, entries) in [("before_due", 4999, 0), ("at_due_in_the_old_bundle", 5000, 1)] {
        assert!(group("restore_bundles").iter().any(|row| row["name"] == case));
        let mut world = World::new(manifest);
        world.now = START + after;
        world.run("alice message -> ok");
        assert_eq!(world.entries.len(), entries, "{case}");
    }
}

#[test]
fn bitmask() {
    let case = &group("smt_bitmask")[0];
    let mut mask = Bitmask::default();
    mask.set_state(protocol::manifest::StateNumber(2));
    for place in [0, 3] {
        mask.set(protocol::manifest::TraitIndex(place), true);
    }
    assert_eq!(protocol::ids::hex(&mask.0), case["expected"]["value"].as_str().expect("hex"));
}
