//! The clock, expiry, dedup, the order of the steps, and the Manifest.

use crate::world::*;
use kernel::*;
use protocol::code::{Code, Detail};
use protocol::commit::Draft;
use protocol::event::within_window;
use protocol::schnorr::KeyPair;
use protocol::state::StateName;
use protocol::{Json, PublicKey, Rejection, VerifiedCommit};

fn open() -> World {
    World::template("open")
}

#[test]
fn the_clock_never_goes_back() {
    let mut head = open().head;
    head.last_timestamp = 1_000_000;
    let check = |now, expected| assert_eq!(clock(Some(&head), now).map_err(|refused| refused.code), expected, "{now}");
    check(1_000_001, Ok(1_000_001));
    check(1_000_000, Ok(1_000_000));
    check(999_999, Ok(1_000_000));
    check(940_000, Ok(1_000_000));
    check(939_999, Err(Code::ClockBehind));
    check(0, Err(Code::ClockBehind));
    assert_eq!(clock(Some(&head), 5), Err(Rejection::with(Code::ClockBehind, Detail::Time(5))));
    assert_eq!(clock(None, 5), Ok(5));
}

#[test]
fn expiry_has_its_window() {
    let t = 10_000_000;
    let check = |exp, expected: Result<(), Code>| {
        assert_eq!(expiry(t, exp).map_err(|refused| refused.code), expected, "{exp}");
        assert_eq!(expiry(t, exp).is_ok(), within_window(exp, t), "what is accepted is what replay accepts");
    };
    check(t - 60_001, Err(Code::Expired));
    check(t - 60_000, Ok(()));
    check(t, Ok(()));
    check(t + 3_600_000, Ok(()));
    check(t + 3_600_001, Err(Code::ExpTooFar));
    check(0, Err(Code::Expired));
    assert_eq!(expiry(t, 0), Err(Rejection::with(Code::Expired, Detail::Time(t))));
    assert_eq!(expiry(0, 0), Ok(()));
}

#[test]
fn each_event_continues_the_chain() {
    let mut world = open();
    world.now += 1000;
    world.run("alice Message -> ok \n alice Move bob MEMBER -> ok \n bob Message -> ok");
    let places: Vec<_> = world.events.iter().map(|event| (event.position.seq, event.position.type_seq)).collect();
    assert_eq!(places, [(0, 0), (1, 0), (2, 0), (3, 1)]);
    for pair in world.events.windows(2) {
        assert_eq!(pair[1].position.prev, pair[0].event_hash());
        assert!(pair[1].position.timestamp >= pair[0].position.timestamp);
        assert_eq!(pair[1].verify(), Ok(pair[1].event_hash()));
    }
    assert_eq!((world.head.next_seq, world.head.prev), (4, world.events[3].event_hash()));
    assert_eq!(world.head.last_timestamp, START + 1000);
}

#[test]
fn a_stored_commit_is_answered_with_its_receipt_for_ever() {
    let mut world = open();
    let commit = world.sign("alice", "Message", &Json::Null, &[]);
    let event = world.submit(&commit).expect("the first time");
    let duplicate = Rejection::with(Code::Duplicate, Detail::Receipt(Box::new(event.receipt())));
    assert_eq!(world.submit(&commit), Err(duplicate.clone()));
    world.run("alice Move bob MEMBER -> ok");
    assert_eq!(world.submit(&commit), Err(duplicate.clone()), "also when it is not the last");
    let mut terminated = world.clone();
    terminated.head.lifecycle = protocol::state::Lifecycle::Terminated;
    assert_eq!(terminated.submit(&commit), Err(duplicate), "before lifecycle");
}

#[test]
fn another_signature_gets_no_receipt() {
    let mut world = open();
    let commit = world.sign("alice", "Message", &Json::Null, &[]);
    world.submit(&commit).expect("the first time");
    world.events[1].sig.0[0] ^= 1;
    assert_eq!(world.submit(&commit), Err(Rejection::new(Code::Duplicate)));
}

#[test]
fn a_refused_commit_may_come_again() {
    let mut world = open();
    let commit = world.sign("bob", "Message", &Json::Null, &[]);
    assert_eq!(world.submit(&commit).expect_err("a stranger").code, Code::Unauthorized);
    world.run("alice Move bob MEMBER -> ok");
    world.submit(&commit).expect("a member");
}

#[test]
fn the_first_failing_step_answers() {
    let mut world = open();
    let stored = world.sign("alice", "Message", &Json::Null, &[]);
    world.submit(&stored).expect("the first time");
    let malformed = world.sign("greta", "Move", &Json::Null, &[]);
    let answer = |world: &mut World, commit: &VerifiedCommit| world.submit(commit).expect_err("refused").code;
    assert_eq!(answer(&mut world, &malformed), Code::InvalidStructure); // before permission
    world.head.live = false;
    assert_eq!(answer(&mut world, &malformed), Code::ReadOnly); // 6 before 7
    assert_eq!(answer(&mut world, &stored), Code::Duplicate); // 5 before 6
    world.now += 4_000_000;
    assert_eq!(answer(&mut world, &stored), Code::Expired); // 2 before 5
    world.head.last_timestamp = world.now + 60_001;
    assert_eq!(answer(&mut world, &stored), Code::ClockBehind); // the clock before expiry
}

#[test]
fn a_node_key_is_no_author() {
    let mut world = open();
    let node = secret(NODE);
    let mut role = protocol::state::Bitmask::default();
    role.set_state(protocol::manifest::StateNumber(1));
    let key = StateName::Identity(&node.public()).key();
    world.state.insert(key.path, (key, role.0)); // a member by mistake
    let commit = |event_type: &str| Draft::new(world.enclave(), event_type, &Json::Null, START).sign(node);
    let (message, node_entry, manifest) = (commit("Message"), commit("Reg_Node"), commit("Manifest"));
    for commit in [&message, &manifest] {
        assert_eq!(world.submit(commit).expect_err("a node key").code, Code::Unauthorized);
    }
    let registry = r#"{"enc_v":2,"sequencer":"SEQ","RBAC":{"states":["MEMBER"],
        "customs":[{"event":"Reg_Node","operator":"Public","ops":["C"]},{"event":"Message","operator":"Public","ops":["C"]}],
        "init":[{"identity":"@alice","state":"MEMBER","traits":[]}]}}"#;
    assert_eq!(world.submit(&node_entry).expect_err("no rule for it here").code, Code::Unauthorized);
    let mut registry = World::new(registry);
    let commit = |event_type: &str| Draft::new(registry.enclave(), event_type, &Json::Null, START).sign(node);
    let (message, node_entry) = (commit("Message"), commit("Reg_Node"));
    registry.submit(&node_entry).expect("a node's entry");
    assert_eq!(registry.submit(&message).expect_err("a node key").code, Code::Unauthorized);
}

const SMALL: &str = r#"{"enc_v":2,"sequencer":"SEQ","bundle":{"size":1},"RBAC":{
  "states":["MEMBER","OWNER"],"traits":["owner(0)","muted(1)"],
  "moves":[{"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":"Self","ops":["C"],"alias":"shut","gate":{"operator":["owner"]}},
           {"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":"Self","ops":["C"],"alias":"way","gate":{"operator":["owner"],"open":true}}],
  "customs":[{"event":"wish","operator":"Public","ops":["C"],"alias":"wishes","gate":{"operator":["owner"],"open":true}},
             {"event":"wish","operator":"muted","ops":["_C"]}],
  "init":[{"identity":"@alice","state":"MEMBER","traits":["owner","muted"]},
          {"identity":"@bob","state":"OUTSIDER","traits":["owner"]},
          {"identity":"@carol","state":"OUTSIDER","traits":[]},
          {"identity":"@dave","state":"OWNER","traits":[]}]}}"#;

#[test]
fn a_manifest_makes_the_first_state() {
    let genesis = begin(&manifest_commit(&json(SMALL), key("alice")), None, START).expect("a good one");
    let transition = genesis.transition;
    let mut world = World::new(SMALL);
    world.run("= alice MEMBER owner muted \n = bob OUTSIDER owner \n = carol OUTSIDER \n = dave OWNER");
    world.run("gate shut closed \n gate way open \n gate wishes open");
    assert_eq!(transition.writes.len(), 5, "three identities, two gates; an outsider without traits has no leaf");
    assert!(transition.writes.windows(2).all(|pair| pair[0].key.path < pair[1].key.path));
    assert_eq!(transition.head.owners, 2, "of the trait, not of the State");
    assert!(transition.close, "full with one event");
    assert_eq!((world.head.tree_size, world.head.open), (1, None));
    assert!(transition.head.bound && transition.head.live);
    assert_eq!((transition.position.seq, transition.head.next_seq, transition.head.tree_size), (0, 1, 0));
    assert_eq!(transition.position.prev, protocol::event::NO_PREV);
}

fn unbound(author: &KeyPair, manifest: &Json) -> VerifiedCommit {
    let enclave = protocol::EnclaveId([0xee; 32]);
    Draft::new(enclave, "Manifest", manifest, START + 1000).sign(author)
}

fn path(outcome: Result<Genesis, Rejection>) -> String {
    match outcome {
        Err(Rejection { code: Code::InvalidManifest, detail: Detail::Path(path) }) => path,
        Err(Rejection { code, .. }) => code.as_str().to_owned(),
        Ok(genesis) => format!("ok, bound: {}", genesis.transition.head.bound),
    }
}

#[test]
fn a_manifest_is_judged_in_order() {
    let (alice, bob, node) = (key("alice"), key("bob"), secret(NODE));
    let good = json(SMALL);
    let elsewhere = json(&SMALL.replace("SEQ", &id("carol").hex()));
    let bad = json(&SMALL.replace("\"enc_v\":2", "\"enc_v\":1").replace("SEQ", &id("carol").hex()));
    let (anyone, owned) = (Provisioned { owner: None }, Provisioned { owner: Some(id("alice")) });
    let check = |commit: VerifiedCommit, provisioned: Option<&Provisioned>, expected: &str| {
        assert_eq!(path(begin(&commit, provisioned, START)), expected);
    };
    check(manifest_commit(&good, alice), None, "ok, bound: true");
    check(manifest_commit(&good, alice), Some(&owned), "ok, bound: true");
    check(unbound(alice, &good), Some(&owned), "ok, bound: false");
    check(unbound(alice, &good), Some(&anyone), "ok, bound: false");
    check(unbound(alice, &good), None, "enclave");
    check(unbound(alice, &bad), None, "enclave");
    check(manifest_commit(&bad, alice), None, "enc_v");
    check(manifest_commit(&elsewhere, alice), None, "sequencer");
    check(unbound(bob, &bad), Some(&owned), "enclave_not_found");
    check(unbound(bob, &good), Some(&anyone), "ok, bound: false");
    check(manifest_commit(&good, key("greta")), None, "RBAC.init");
    check(manifest_commit(&good, node), None, "unauthorized");
    let message = Draft::new(protocol::EnclaveId([1; 32]), "Message", &Json::Null, START).sign(alice);
    check(message, None, "enclave_not_found");
}

#[test]
fn a_second_manifest_finds_the_enclave_there() {
    let mut world = World::new(SMALL);
    let content = json(SMALL);
    let again = Draft::manifest(key("alice"), &content, vec![], START + 50_000).sign(key("alice"));
    assert_eq!(world.submit(&again).expect_err("another hash").code, Code::EnclaveExists);
    let first = manifest_commit(&content, key("alice"));
    assert_eq!(world.submit(&first).expect_err("the same").code, Code::Duplicate);
    let foreign = Draft::new(world.enclave(), "Manifest", &content, START + 50_000).sign(key("bob"));
    let refusal = Rejection::with(Code::InvalidManifest, Detail::Path("enclave".into()));
    assert_eq!(world.submit(&foreign), Err(refusal));
    world.head.bound = false;
    assert_eq!(world.submit(&foreign).expect_err("of a provisioned id").code, Code::EnclaveExists);
}

#[test]
fn on_replay_the_chain_of_sequencers_counts() {
    // What another node's key may sign here, it may not where it is this enclave's sequencer.
    let mut world = open();
    world.run("alice Move bob MEMBER -> ok");
    let commit = world.sign("bob", "Message", &Json::Null, &[]);
    let judge = |keys: &[PublicKey]| {
        let keys = keys.to_vec();
        let enclave = Enclave { manifest: &world.manifest, head: &world.head, is_node_key: &|key| keys.contains(key) };
        let Ok(outcome) = sequence(&enclave, &world, &commit, START);
        outcome.map(drop).map_err(|refused| refused.code)
    };
    assert_eq!(judge(&[secret(NODE).public()]), Ok(()));
    assert_eq!(judge(&[secret(NODE).public(), id("bob")]), Err(Code::Unauthorized));
}
