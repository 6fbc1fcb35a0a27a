//! Attacks on an earlier edition of the protocol, each refused by name.

use crate::world::*;
use kernel::*;
use protocol::Json;
use protocol::code::Code;
use protocol::commit::Draft;
use protocol::event::within_window;
use protocol::state::StateName;

fn group() -> World {
    let mut world = World::template("group");
    world.run("alice Move bob MEMBER -> ok \n alice Grant bob admin -> ok \n alice Move carol MEMBER -> ok");
    world
}

#[test]
fn a_dm_owner_without_trait_is_not_locked_out() {
    World::template("dm").run(
        "alice Move bob FRIEND -> ok \n bob message -> ok \n alice Move bob BLOCKED -> ok \n bob message -> unauthorized
         alice Gate invites open -> ok \n carol invite -> ok \n alice Gate invites closed -> ok \n carol invite -> gate_closed",
    );
}

#[test]
fn a_personal_owner_grants_and_revokes_dataview() {
    World::template("personal").run(
        "alice Grant bob dataview -> ok \n = bob OUTSIDER dataview \n alice Revoke bob dataview -> ok \n = bob OUTSIDER
         alice Shared profile me -> ok \n alice public -> ok \n bob public -> unauthorized \n bob notice -> ok",
    );
}

#[test]
fn a_blocked_admin_is_no_admin() {
    let mut world = group();
    world.run("alice Grant carol admin -> ok");
    // Only one of higher rank moves an admin: the owner, who is an admin too.
    world.run(
        "alice Move bob BLOCKED -> ok \n = bob BLOCKED \n bob Move carol OUTSIDER -> unauthorized
         bob Move bob OUTSIDER -> bad_state \n bob Grant carol muted -> unauthorized",
    );
}

#[test]
fn a_muted_admin_does_not_free_himself() {
    group().run("alice Grant bob muted -> ok \n bob Revoke bob muted -> rank_too_low \n bob message -> unauthorized");
}

#[test]
fn a_muted_member_does_not_come_back_unmuted() {
    group().run(
        "bob Grant carol muted -> ok \n carol Move carol OUTSIDER -> ok \n = carol OUTSIDER muted
         alice Gate auto_join open -> ok \n carol Move carol MEMBER -> ok \n = carol MEMBER muted
         carol message -> unauthorized \n bob Move carol OUTSIDER -> ok \n bob Move carol MEMBER -> ok \n carol message -> unauthorized",
    );
}

#[test]
fn muted_raises_nobody() {
    group().run("bob Grant carol muted -> ok \n bob Move carol BLOCKED -> ok \n = carol BLOCKED muted");
}

#[test]
fn a_muted_member_does_not_hand_muted_on() {
    // No manifest may list it; what no rule lists nobody transfers.
    group().run("bob Grant carol muted -> ok \n carol Transfer bob muted -> unauthorized \n bob Transfer carol muted -> unauthorized");
}

#[test]
fn nobody_transfers_what_it_does_not_hold() {
    let mut world = group();
    world.manifest.rbac.transfers[0].operator.extend(world.manifest.rbac.grants[0].operator.clone());
    world.run("bob Transfer carol owner -> bad_state \n = carol MEMBER \n = alice MEMBER owner admin");
}

#[test]
fn nobody_mints_peers() {
    let mut world = group();
    let admins = world.manifest.rbac.grants[0].operator.clone();
    world.manifest.rbac.grants[2].operator.extend(admins); // admins may grant `admin`
    world.run("bob Grant carol admin -> rank_too_low \n alice Grant carol admin -> ok \n bob Revoke carol admin -> unauthorized");
}

#[test]
fn admins_of_one_rank_leave_each_other_alone() {
    group().run("alice Grant carol admin -> ok \n bob Move carol OUTSIDER -> rank_too_low \n carol Grant bob muted -> rank_too_low");
}

#[test]
fn an_admin_does_not_move_the_owner_out() {
    group().run("bob Move alice OUTSIDER -> rank_too_low \n bob Move alice BLOCKED -> rank_too_low");
}

/// One deny on `owner` would make it restrictive: without rank, moved out by an admin.
#[test]
fn no_deny_takes_the_owners_rank() {
    let path = format!("{}/../../vectors/templates/group.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("a template").replace("\"ME\"", "\"@alice\"");
    for denied in ["owner", "admin"] {
        let deny = format!(r#""customs":[{{"event":"message","operator":"{denied}","ops":["_D"]}},"#);
        let manifest = json(&text.replacen("\"customs\": [", &deny, 1));
        let refusal = begin(&manifest_commit(&manifest, key("alice")), None, START).expect_err(denied);
        assert_eq!(refusal.code, Code::InvalidManifest);
    }
}

#[test]
fn the_last_owner_does_not_orphan_the_enclave() {
    group().run("alice Move alice OUTSIDER -> bad_state \n alice Revoke alice owner -> bad_state \n alice Transfer bob owner -> ok \n alice Move alice OUTSIDER -> ok");
}

/// What is accepted after the clock stepped back must still pass every replay.
#[test]
fn a_clock_that_steps_back_makes_no_log_that_fails_replay() {
    let mut world = World::template("open");
    world.now += 50_000;
    world.run("alice Message -> ok");
    world.now -= 30_000;
    // Good by the node's clock, past by the log's: the log's decides.
    let late = Draft::new(world.enclave(), "Message", &Json::Null, world.now - 50_000).sign(key("alice"));
    assert_eq!(world.submit(&late).expect_err("expired for every verifier").code, Code::Expired);
    world.run("alice Message -> ok");
    assert!(world.events.iter().all(|event| within_window(event.exp, event.position.timestamp)));
    assert_eq!(world.events[2].position.timestamp, world.events[1].position.timestamp);
}

#[test]
fn a_clock_that_jumped_ahead_stops_the_enclave_and_poisons_nothing() {
    let mut world = World::template("open");
    world.now += 3_600_000;
    world.run("alice Message -> ok");
    world.now = START + 60_000;
    let before = world.clone();
    let commit = world.sign("alice", "Message", &Json::Null, &[]);
    assert_eq!(world.submit(&commit).expect_err("an hour ahead").code, Code::ClockBehind);
    assert_eq!(world.head, before.head);
}

#[test]
fn the_kicked_and_the_blocked_keep_no_snapshot() {
    let mut world = group();
    world.run("carol message -> ok \n bob Move carol BLOCKED -> ok");
    assert!(!world.reader(Some(&id("carol"))).anything_retained());
    // Left first, then blocked: lost as well.
    let mut world = group();
    world.run("carol Move carol OUTSIDER -> ok");
    assert!(world.reader(Some(&id("carol"))).may_read("message", 1));
    world.run("bob Move carol BLOCKED -> ok");
    assert!(!world.reader(Some(&id("carol"))).anything_retained());
}

#[test]
fn a_banned_reader_of_everything_does_not_read_updates() {
    let text = r#"{"enc_v":2,"sequencer":"SEQ","RBAC":{"states":["MEMBER"],"traits":["banned(1)"],
        "readers":[{"type":"MEMBER","reads":"*"}],
        "customs":[{"event":"message","operator":"MEMBER","ops":["C","U"]},{"event":"message","operator":"banned","ops":["_R"]}],
        "init":[{"identity":"@alice","state":"MEMBER","traits":[]},{"identity":"@bob","state":"MEMBER","traits":["banned"]}]}}"#;
    let mut world = World::new(text);
    world.run("m: alice message -> ok \n alice Update m -> ok");
    let Ok(Some(referred)) = world.referred(&world.events[1].id) else { panic!("the message") };
    let bob = id("bob");
    let reader = world.reader(Some(&bob));
    assert!(!reader.may_read(&referred.event_type, 2), "an Update is read as what it refers to");
    assert!(!reader.may_read("Update", 2));
    assert!(reader.may_read("Manifest", 0));
}

#[test]
fn a_bundle_reaches_no_further_than_roles() {
    let mut world = group();
    for event_type in ["AC_Bundle", "Migrate", "Terminate", "Manifest", "Pause", "Shared", "message"] {
        let part = Json::object([("type", Json::from(event_type)), ("content", json("{}"))]);
        let content = Json::object([("ops", Json::Array(vec![part]))]);
        let commit = world.sign("alice", "AC_Bundle", &content, &[]);
        assert_eq!(world.submit(&commit).expect_err(event_type).code, Code::InvalidStructure, "{event_type}");
    }
}

#[test]
fn customs_do_not_redefine_the_protocol() {
    for event_type in protocol::manifest::PROTOCOL_TYPES {
        let manifest = json(&format!(
            r#"{{"enc_v":2,"sequencer":"SEQ","RBAC":{{"states":["MEMBER"],
                "customs":[{{"event":"{event_type}","operator":"Public","ops":["C"]}}],
                "init":[{{"identity":"@alice","state":"MEMBER","traits":[]}}]}}}}"#
        ));
        let refusal = begin(&manifest_commit(&manifest, key("alice")), None, START).expect_err(event_type);
        assert_eq!(refusal.code, Code::InvalidManifest, "{event_type}");
    }
}

#[test]
fn what_comes_from_the_wire_under_a_protocol_name_is_refused() {
    let mut world = group();
    for event_type in ["Receipt", "Query", "Pull", "Event", "EOSE", "Close", "Closed", "Error", "Recovered"] {
        assert_eq!(world.say(&format!("alice {event_type}")), "unauthorized", "{event_type}");
    }
}

#[test]
fn delete_reaches_no_role_and_no_other_delete() {
    let mut world = group();
    world.run("m: alice message -> ok \n d: alice Delete m -> ok \n v: alice Move dave MEMBER -> ok");
    world.run("alice Delete d -> unauthorized \n alice Delete v -> unauthorized \n alice Update v -> unauthorized");
}

#[test]
fn a_shared_key_is_no_own_key() {
    // The first edition put both under one text: `profile\0<key>`.
    let (alice, slot) = (id("alice"), "profile");
    let own = StateName::Own(&alice, slot);
    let shared = [slot.as_bytes(), &[0], &alice.0].concat();
    assert_ne!(own.raw(), shared);
    assert_eq!((own.raw()[0], StateName::Shared(slot).raw()[0]), (1, 0));
}

#[test]
fn rules_for_one_slot_give_nothing_on_another() {
    let mut world = group();
    world.run("carol Own profile me -> ok \n carol Shared topic mine -> unauthorized \n bob Shared topic ours -> ok \n carol Shared topic mine -> unauthorized");
}

#[test]
fn the_old_sequencer_signs_nothing_after_a_migrate() {
    let mut world = group();
    world.run("alice Migrate dave -> ok");
    for event in ["message", "Resume", "Terminate", "Migrate erin", "Recovered"] {
        assert_eq!(world.say(&format!("alice {event}")), "enclave_migrated");
    }
}
