//! Shared, Own, the app's own events, Update and Delete: a row for every line of the table (`docs/protocol.md`, Events).

use crate::world::*;
use kernel::{ReferKind, Refers, Slot, View, WriteValue};
use protocol::cbor::sha256;
use protocol::code::Code;
use protocol::state::{DELETED, StateName};
use protocol::{EventId, Json};

const BOARD: &str = r#"{"enc_v":2,"sequencer":"SEQ","RBAC":{
  "states":["MEMBER","GUEST"],
  "traits":["owner(0)","admin(1)","muted(2)","frozen(3)"],
  "moves":[
    {"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":"admin","ops":["C"],"alias":"plain"},
    {"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":"Self","ops":["C"]}],
  "slots":[
    {"event":"Shared","key":"topic","operator":"admin","ops":["C","U","D"]},
    {"event":"Shared","key":"topic","operator":"frozen","ops":["_U"]},
    {"event":"Shared","key":"topic","operator":"MEMBER","ops":["U"]},
    {"event":"Shared","key":"once","operator":["MEMBER"],"ops":["C"]},
    {"event":"Own","key":"profile","operator":"MEMBER","ops":["C","U","D"]},
    {"event":"Own","key":"note","operator":"Self","ops":["C","U"]}],
  "customs":[
    {"event":"message","operator":["MEMBER","GUEST"],"ops":["C"]},
    {"event":"message","operator":"muted","ops":["_C","_U"]},
    {"event":"message","operator":"Sender","ops":["U","D"]},
    {"event":"message","operator":"admin","ops":["D"]},
    {"event":"wish","operator":"OUTSIDER","ops":["C"],"alias":"wishes","gate":{"operator":["admin"]}},
    {"event":"wish","operator":"Sender","ops":["U","D"],"alias":"edits","gate":{"operator":["admin"]}},
    {"event":"wish","operator":"admin","ops":["C","D"]},
    {"event":"notice","operator":"Public","ops":["C"]},
    {"event":"poll","operator":"Sender","ops":["U"]},
    {"event":"poll","operator":"frozen","ops":["_C"],"alias":"thaw","gate":{"operator":["admin"]}},
    {"event":"poll","operator":"MEMBER","ops":["C"]}],
  "init":[
    {"identity":"@alice","state":"MEMBER","traits":["owner","admin"]},
    {"identity":"@bob","state":"MEMBER","traits":[]},
    {"identity":"@carol","state":"GUEST","traits":[]},
    {"identity":"@dave","state":"MEMBER","traits":["muted","frozen"]}]}}"#;

fn board(script: &str) -> World {
    let mut world = World::new(BOARD);
    world.run(script);
    world
}

#[test]
fn a_slot_is_set_replaced_and_deleted_by_c_u_d() {
    board("alice Shared topic hello -> ok \n alice Shared topic bye -> ok \n alice Shared topic null -> ok");
    board("alice Shared topic null -> not_found");
    board("bob Shared topic hello -> unauthorized"); // empty: needs C
    board("alice Shared topic hello -> ok \n bob Shared topic bye -> ok \n bob Shared topic null -> unauthorized");
    board("bob Shared once hello -> ok \n bob Shared once bye -> unauthorized \n bob Shared once null -> unauthorized");
    board("bob Shared once null -> unauthorized"); // permission comes before emptiness
}

#[test]
fn a_deny_holds_for_its_slot_only() {
    board("alice Shared topic hello -> ok \n dave Shared topic bye -> unauthorized \n dave Shared once hi -> ok");
}

#[test]
fn who_matches_no_slot_learns_no_keys() {
    board("greta Shared ghost hi -> unauthorized \n greta Shared topic hi -> unauthorized");
    board("alice Shared ghost hi -> not_found \n alice Shared profile hi -> not_found"); // Own's key
    board("carol Shared topic hi -> unauthorized");
}

#[test]
fn own_is_per_identity() {
    let world = board("alice Own profile a -> ok \n bob Own profile b -> ok \n bob Own profile null -> ok");
    assert_eq!(world.slot(&StateName::Own(&id("alice"), "profile")), Ok(Slot::Value(sha256(b"\"a\""))));
    assert_eq!(world.slot(&StateName::Own(&id("bob"), "profile")), Ok(Slot::Absent));
    assert_eq!(world.slot(&StateName::Shared("profile")), Ok(Slot::Absent));
    board("greta Own profile hi -> unauthorized \n greta Own ghost hi -> not_found"); // `Self` is everyone
    board("greta Own note hi -> ok \n greta Own note bye -> ok \n greta Own note null -> unauthorized");
}

#[test]
fn a_slot_holds_the_hash_of_any_value() {
    let mut world = board("");
    for value in ["\"null\"", "0", "{\"b\":1,\"a\":2}", "false", "[]", "{}"] {
        let content = json(&format!("{{\"key\":\"topic\",\"value\":{value}}}"));
        let commit = world.sign("alice", "Shared", &content, &[]);
        world.submit(&commit).expect("set or replaced");
        let canonical = json(value).to_jcs();
        assert_eq!(world.slot(&StateName::Shared("topic")), Ok(Slot::Value(sha256(canonical.as_bytes()))));
    }
}

#[test]
fn a_slots_content_has_its_shape() {
    let mut world = board("");
    for content in [
        "{}",
        "{\"key\":\"topic\"}",
        "{\"value\":1}",
        "{\"key\":1,\"value\":1}",
        "{\"key\":\"topic\",\"value\":1,\"x\":1}",
    ] {
        let commit = world.sign("alice", "Shared", &json(content), &[]);
        assert_eq!(world.submit(&commit).expect_err(content).code, Code::InvalidStructure, "{content}");
    }
}

#[test]
fn a_taken_slot_is_absent_when_read_and_bad_state_when_written() {
    let mut world = board("");
    let key = StateName::Shared("topic").key();
    let mut other = key;
    other.rest[3] ^= 1;
    world.state.insert(key.path, (other, [7; 32]));
    world.run("alice Shared topic hi -> bad_state \n alice Shared topic null -> not_found \n bob Shared topic hi -> unauthorized");
}

#[test]
fn customs_say_who_creates() {
    board("bob message -> ok \n carol message -> ok \n greta message -> unauthorized");
    board("dave message -> unauthorized"); // deny wins
    board("greta notice -> ok \n alice notice -> ok"); // Public is anyone
    board("bob ghost -> unauthorized \n alice ghost -> unauthorized");
    board("alice message -> ok \n greta poll -> unauthorized"); // nobody is the sender of what does not exist
}

#[test]
fn a_gate_on_a_row_holds_for_that_row() {
    board("greta wish -> gate_closed \n alice wish -> ok"); // the admin's row has no gate
    board("alice Gate wishes open -> ok \n greta wish -> ok \n bob wish -> unauthorized");
    board(
        "alice Gate wishes open -> ok \n greta wish -> ok \n alice Gate wishes closed -> ok \n greta wish -> gate_closed",
    );
}

#[test]
fn a_gate_holds_for_update_and_delete() {
    let wished = "alice Gate wishes open -> ok \n w: greta wish -> ok \n";
    board(&format!("{wished} greta Update w -> gate_closed \n greta Delete w -> gate_closed \n alice Delete w -> ok"));
    board(&format!("{wished} alice Gate edits open -> ok \n greta Update w -> ok \n greta Delete w -> ok"));
    // What is deleted is so whether or not the gate is open.
    board(&format!("{wished} alice Delete w -> ok \n greta Delete w -> bad_state"));
}

#[test]
fn a_closed_gate_does_not_lift_a_deny() {
    board("dave poll -> unauthorized \n bob poll -> ok \n alice Gate thaw open -> ok \n dave poll -> unauthorized");
}

#[test]
fn an_alias_without_gate_is_nobodys_to_turn() {
    board(
        "alice Gate plain open -> unauthorized \n greta Move greta MEMBER -> unauthorized \n alice Move greta MEMBER -> ok",
    );
}

#[test]
fn update_and_delete_need_u_and_d_on_what_they_refer_to() {
    board("m: bob message -> ok \n bob Update m -> ok \n bob Update m -> ok \n bob Delete m -> ok");
    board("m: bob message -> ok \n carol Update m -> unauthorized \n carol Delete m -> unauthorized");
    board("m: bob message -> ok \n alice Update m -> unauthorized \n alice Delete m -> ok");
    board("n: greta notice -> ok \n greta Update n -> unauthorized \n alice Delete n -> unauthorized");
    board("m: bob message -> ok \n bob Move bob OUTSIDER -> ok \n bob Update m -> ok"); // the sender stays the sender
}

#[test]
fn a_deny_takes_the_senders_update() {
    let mut world = board("m: bob message -> ok");
    world.put("bob", "MEMBER", &["muted"]);
    world.run("bob Update m -> unauthorized \n bob Delete m -> ok");
}

#[test]
fn what_is_deleted_stays_so() {
    board("m: bob message -> ok \n bob Delete m -> ok \n bob Update m -> bad_state \n bob Delete m -> bad_state");
    board("m: bob message -> ok \n alice Delete m -> ok \n carol Update m -> unauthorized");
}

#[test]
fn only_app_events_are_referred_to() {
    board("bob Update ghost -> not_found \n bob Delete ghost -> not_found \n greta Delete ghost -> not_found");
    board(
        "m: bob message -> ok \n u: bob Update m -> ok \n bob Update u -> unauthorized \n bob Delete u -> unauthorized",
    );
    board("m: bob message -> ok \n d: bob Delete m -> ok \n bob Delete d -> unauthorized");
    board("s: alice Shared topic hi -> ok \n alice Delete s -> unauthorized");
    board("v: alice Move greta MEMBER -> ok \n alice Delete v -> unauthorized");
    let mut world = board("");
    let manifest = world.events[0].id.hex();
    let commit = world.sign("alice", "Delete", &Json::Null, &[["r", &manifest]]);
    assert_eq!(world.submit(&commit).expect_err("of a Manifest").code, Code::Unauthorized);
}

#[test]
fn exactly_one_tag_begins_with_r() {
    let mut world = board("m: bob message -> ok");
    let target = world.events[1].id.hex();
    let upper = target.to_uppercase();
    let refused: [&[[&str; 2]]; 5] =
        [&[], &[["r", &target], ["r", &target]], &[["r", "short"]], &[["r", &upper]], &[["rr", &target]]];
    for tags in refused {
        let commit = world.sign("bob", "Update", &Json::Null, tags);
        assert_eq!(world.submit(&commit).expect_err("a bad reference").code, Code::InvalidStructure, "{tags:?}");
    }
    for tag in [vec!["r"], vec!["r", &target, "more"]] {
        let mut draft = protocol::commit::Draft::new(world.enclave(), "Update", &Json::Null, world.now + 60_000);
        draft.tags = vec![tag.into_iter().map(str::to_owned).collect()];
        let commit = draft.sign(key("bob"));
        assert_eq!(world.submit(&commit).expect_err("a bad reference").code, Code::InvalidStructure);
    }
    let commit = world.sign("bob", "Update", &Json::Null, &[["k", "r"], ["r", &target], ["rr", "v"]]);
    world.submit(&commit).expect("one reference");
}

#[test]
fn status_is_the_latest_update_or_zeros() {
    let mut world = board("m: bob message -> ok \n bob Update m -> ok");
    let message = world.events[1].id;
    let refers = |kind| Some(Refers { event: message, kind });
    assert_eq!(world.last.refers, refers(ReferKind::Update));
    assert_eq!(world.last.writes.iter().map(|write| write.value).collect::<Vec<_>>(), [WriteValue::ThisEvent]);
    assert_eq!(world.slot(&StateName::Event(&message)), Ok(Slot::Value(world.events[2].id.0)));
    world.run("bob Update m -> ok");
    assert_eq!(world.slot(&StateName::Event(&message)), Ok(Slot::Value(world.events[3].id.0)));
    world.run("bob Delete m -> ok");
    assert_eq!(world.last.refers, refers(ReferKind::Delete));
    assert_eq!(world.slot(&StateName::Event(&message)), Ok(Slot::Value(DELETED)));
    world.run("bob message -> ok");
    assert_eq!((world.last.refers, world.last.writes.len()), (None, 0), "an app event leaves the state as it is");
}

#[test]
fn a_taken_status_is_bad_state() {
    let mut world = board("m: bob message -> ok");
    let key = StateName::Event(&EventId(world.events[1].id.0)).key();
    let mut other = key;
    other.rest[11] ^= 1;
    world.state.insert(key.path, (other, [7; 32]));
    world.run("bob Update m -> bad_state \n bob Delete m -> bad_state \n carol Update m -> unauthorized");
}
