//! Who may read, keep reading, and be told (`docs/protocol.md`, Reading).

use crate::world::*;
use kernel::*;
use protocol::manifest::{Op, StateNumber};

const LIBRARY: &str = r#"{"enc_v":2,"sequencer":"SEQ","RBAC":{
  "states":["MEMBER","GUEST"],
  "traits":["owner(0)","editor(1)","banned(2)"],
  "readers":[
    {"type":"MEMBER","reads":"*","retention":"snapshot"},
    {"type":"GUEST","reads":["page","Update"]},
    {"type":"editor","reads":["draft"],"retention":"snapshot"},
    {"type":"Public","reads":["notice"]},
    {"type":"OUTSIDER","reads":["flyer"]}],
  "moves":[
    {"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":["Self","owner"],"ops":["C"]},
    {"event":"Move","from":"MEMBER","to":"GUEST","operator":["Self","owner"],"ops":["C"]},
    {"event":"Move","from":"GUEST","to":"MEMBER","operator":["Self","owner"],"ops":["C"]},
    {"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":["Self","owner"],"ops":["C"]},
    {"event":"Move","from":"GUEST","to":"OUTSIDER","operator":["Self","owner"],"ops":["C"]}],
  "grants":[
    {"event":"Grant","operator":["owner"],"scope":["MEMBER","GUEST","OUTSIDER"],"trait":["editor","banned"]},
    {"event":"Revoke","operator":["owner"],"scope":["MEMBER","GUEST","OUTSIDER"],"trait":["editor","banned"]}],
  "slots":[
    {"event":"Shared","key":"rules","operator":"MEMBER","ops":["C","U"]},
    {"event":"Shared","key":"rules","operator":"GUEST","ops":["P","N"]},
    {"event":"Shared","key":"vault","operator":"owner","ops":["C","P"]},
    {"event":"Own","key":"card","operator":"MEMBER","ops":["C"]},
    {"event":"Own","key":"card","operator":"banned","ops":["_R"]}],
  "customs":[
    {"event":"page","operator":"MEMBER","ops":["C"]},
    {"event":"page","operator":"Sender","ops":["U","D"]},
    {"event":"page","operator":"banned","ops":["_R"]},
    {"event":"page","operator":"editor","ops":["P"]},
    {"event":"page","operator":"banned","ops":["_P"]},
    {"event":"page","operator":"Public","ops":["N"]},
    {"event":"minutes","operator":"MEMBER","ops":["_R"]},
    {"event":"minutes","operator":"editor","ops":["C","R"]},
    {"event":"draft","operator":"editor","ops":["C"]},
    {"event":"notice","operator":"owner","ops":["C"]}],
  "init":[
    {"identity":"@alice","state":"MEMBER","traits":["owner"]},
    {"identity":"@bob","state":"MEMBER","traits":[]},
    {"identity":"@carol","state":"GUEST","traits":["editor"]},
    {"identity":"@dave","state":"MEMBER","traits":["banned"]}]}}"#;

fn library(script: &str) -> World {
    let mut world = World::new(LIBRARY);
    world.run(script);
    world
}

/// The types of which an identity reads everything (`type`), or up to a `seq` (`type<=seq`); `*` is all others.
fn reads(world: &World, name: Option<&str>) -> String {
    let identity = name.map(id);
    let reader = world.reader(identity.as_ref());
    let readable = reader.readable_types();
    let types = ["Own", "Shared", "draft", "flyer", "minutes", "notice", "page"];
    for (event_type, reach) in &readable.named {
        assert!(types.contains(event_type) && *reach != readable.others, "{event_type}");
    }
    let rows = types.map(|event_type| {
        let named = readable.named.iter().find(|(name, _)| *name == event_type);
        let reach = named.map_or(readable.others, |(_, reach)| *reach);
        assert_eq!(reach, reader.reach(event_type), "{event_type}");
        assert_eq!(reader.at_present().holds(event_type), reader.may_read_now(event_type), "{event_type}");
        (event_type, reach)
    });
    let said = rows.into_iter().chain([("*", readable.others)]).filter_map(|(event_type, reach)| match reach {
        Reach::Nothing => None,
        Reach::UpTo(seq) => Some(format!("{event_type}<={seq}")),
        Reach::Everything => Some(event_type.to_owned()),
    });
    said.collect::<Vec<_>>().join(" ")
}

fn check(script: &str, name: &str, expected: &str) {
    assert_eq!(reads(&library(script), Some(name)), expected, "{name} after {script}");
}

#[test]
fn readers_and_r_give_and_denies_take() {
    check("", "bob", "Own Shared draft flyer notice page *"); // no minutes: `_R` on MEMBER
    check("", "carol", "draft minutes notice page"); // R in customs; GUEST is not denied the minutes
    check("", "dave", "Shared draft flyer notice *"); // banned: no pages, and no Own, whatever the key
    check("", "greta", "flyer notice");
    check("alice Grant greta editor -> ok", "greta", "draft flyer minutes notice");
}

#[test]
fn without_a_session_only_public_matches() {
    let world = library("");
    assert_eq!(reads(&world, None), "notice", "not even OUTSIDER");
    assert!(world.reader(None).anything() && world.reader(None).anything_retained());
    let retained = [Retained { rule: 0, state: StateNumber(1), seq: 9 }];
    assert!(!Reader::new(&world.manifest, None, &retained).may_read("page", 1));
}

#[test]
fn update_and_delete_have_no_permission_of_their_own() {
    let world = library("");
    for event_type in ["Update", "Delete"] {
        for name in ["alice", "carol"] {
            let identity = id(name);
            let reader = world.reader(Some(&identity));
            assert!(!reader.may_read(event_type, 0), "{name} {event_type}");
            assert!(!reader.at_present().holds(event_type), "{name} {event_type}");
        }
    }
    let only_update = LIBRARY.replace("[\"notice\"]", "[\"Update\",\"Delete\"]");
    assert!(!World::new(&only_update).reader(None).anything(), "naming them is reading nothing");
}

#[test]
fn reading_nothing_is_told_apart() {
    let silent = LIBRARY.replace("[\"flyer\"]", "[\"page\"]").replace("\"type\":\"Public\"", "\"type\":\"owner\"");
    let mut world = World::new(&silent);
    assert!(!world.reader(None).anything() && !world.reader(None).anything_retained());
    assert!(world.reader(Some(&id("greta"))).anything());
    world.put("greta", "OUTSIDER", &["banned"]);
    let greta = world.reader(Some(&id("greta")));
    assert!(!greta.anything() && !greta.anything_retained(), "what the deny leaves is nothing");
}

#[test]
fn who_leaves_by_its_own_move_keeps_what_was() {
    check(
        "bob page -> ok \n bob Move bob OUTSIDER -> ok",
        "bob",
        "Own<=2 Shared<=2 draft<=2 flyer notice page<=2 *<=2",
    );
    let world = library("bob page -> ok \n bob Move bob OUTSIDER -> ok \n alice page -> ok");
    let bob = world.reader(Some(&id("bob")));
    let rows = [("page", 1, true), ("page", 2, true), ("page", 3, false), ("flyer", 3, true), ("minutes", 1, false)];
    for (event_type, seq, expected) in rows {
        assert_eq!(bob.may_read(event_type, seq), expected, "{event_type} {seq}");
    }
    assert!(!bob.may_read_now("page") && bob.may_read_now("flyer"));
}

#[test]
fn retention_is_no_present_right() {
    let silent = LIBRARY.replace("[\"flyer\"]", "[\"Update\"]").replace("[\"notice\"]", "[\"Update\"]");
    let mut world = World::new(&silent);
    world.run("bob Move bob OUTSIDER -> ok");
    let bob = world.reader(Some(&id("bob")));
    assert!(!bob.anything() && bob.anything_retained(), "Query and Pull, but no state, proofs, push or subscription");
}

#[test]
fn the_last_own_move_counts() {
    let script =
        "bob Move bob OUTSIDER -> ok \n alice page -> ok \n bob Move bob MEMBER -> ok \n bob Move bob GUEST -> ok";
    check(script, "bob", "Own<=4 Shared<=4 draft<=4 flyer<=4 notice page *<=4");
    // A Move that leaves nothing changes nothing.
    check(
        &format!("{script} \n bob Move bob OUTSIDER -> ok"),
        "bob",
        "Own<=4 Shared<=4 draft<=4 flyer notice page<=4 *<=4",
    );
}

#[test]
fn joining_gives_the_past() {
    check("alice page -> ok \n greta Move greta MEMBER -> ok", "greta", "Own Shared draft flyer notice page *");
    check("bob Move bob OUTSIDER -> ok \n bob Move bob MEMBER -> ok", "bob", "Own Shared draft flyer notice page *");
}

#[test]
fn one_moved_by_another_keeps_nothing() {
    check("alice Move bob OUTSIDER -> ok", "bob", "flyer notice");
    check("bob Move bob GUEST -> ok \n alice Move bob OUTSIDER -> ok", "bob", "flyer notice"); // also what it had kept
    check(
        "bob Move bob OUTSIDER -> ok \n alice Move bob MEMBER -> ok \n alice Move bob GUEST -> ok",
        "bob",
        "notice page",
    );
}

#[test]
fn losing_a_trait_by_leaving_is_leaving() {
    let script = "alice Move carol MEMBER -> ok \n alice Grant carol editor -> ok \n carol Move carol OUTSIDER -> ok";
    check(script, "carol", "Own<=3 Shared<=3 draft<=3 flyer notice page<=3 *<=3");
    check("carol Move carol OUTSIDER -> ok", "carol", "draft<=1 flyer notice");
    check("carol Move carol MEMBER -> ok \n = carol MEMBER editor", "carol", "Own Shared draft flyer notice page *");
    check("alice Revoke carol editor -> ok", "carol", "notice page"); // taken by another, and no Move
    check("carol Revoke carol editor -> ok", "carol", "notice page"); // dropped, but not by a Move
}

#[test]
fn leaving_shows_nobody_what_it_could_not_read() {
    // A member is denied the minutes; as an outsider it no longer matches that deny.
    check("bob Move bob OUTSIDER -> ok", "bob", "Own<=1 Shared<=1 draft<=1 flyer notice page<=1 *<=1");
    // A restrictive trait stays, and so does what it takes.
    check("dave Move dave OUTSIDER -> ok", "dave", "Shared<=1 draft<=1 flyer notice *<=1");
    check("bob Move bob OUTSIDER -> ok \n alice Grant bob banned -> ok", "bob", "Shared<=1 draft<=1 flyer notice *<=1");
}

#[test]
fn what_is_kept_is_told_by_rule() {
    let mut world = library("bob Move bob OUTSIDER -> ok");
    let left = |name: &str, state, rules: &[usize]| RetentionChange::Left {
        identity: id(name),
        state: StateNumber(state),
        rules: rules.to_vec(),
    };
    assert_eq!(world.last.retention, [left("bob", 1, &[0])]);
    world.run("carol Move carol OUTSIDER -> ok");
    assert_eq!(world.last.retention, [left("carol", 2, &[2])]);
    world.run("carol Move carol MEMBER -> ok");
    assert_eq!(world.last.retention, []);
    world.run("alice Grant carol editor -> ok \n carol Move carol GUEST -> ok \n = carol GUEST editor");
    assert_eq!(world.last.retention, [left("carol", 1, &[0])], "still an editor");
    world.run("alice AC_Bundle Move bob MEMBER ; Move carol OUTSIDER -> ok");
    assert_eq!(world.last.retention, ["bob", "carol"].map(|name| RetentionChange::Forget { identity: id(name) }));
}

#[test]
fn push_and_notify() {
    let world = library("");
    let check = |name: &str, event_type: &str, key: Option<&str>, expected: (bool, bool)| {
        let may = |op| may_push(&world.manifest, world.mask(&id(name)), event_type, key, op);
        assert_eq!((may(Op::P), may(Op::N)), expected, "{name} {event_type} {key:?}");
    };
    check("carol", "page", None, (true, true));
    check("greta", "page", None, (false, true));
    check("dave", "page", None, (false, true));
    check("carol", "Shared", Some("rules"), (true, true));
    check("carol", "Shared", Some("vault"), (false, false));
    check("carol", "Shared", None, (false, false));
    check("carol", "Own", Some("rules"), (false, false));
    check("alice", "Shared", Some("vault"), (true, false));
    check("alice", "draft", None, (false, false));
    check("carol", "Update", None, (false, false));
    check("carol", "Delete", None, (false, false));
    check("carol", "Move", None, (false, false));
    assert!(may_push_anything(&world.manifest, world.mask(&id("greta"))));
}

#[test]
fn a_deny_takes_push() {
    let mut world = library("");
    world.put("carol", "GUEST", &["editor", "banned"]);
    let mask = world.mask(&id("carol"));
    assert!(
        !may_push(&world.manifest, mask, "page", None, Op::P) && may_push(&world.manifest, mask, "page", None, Op::N)
    );
}

#[test]
fn nobody_is_pushed_what_no_rule_gives() {
    let quiet = LIBRARY.replace("{\"event\":\"page\",\"operator\":\"Public\",\"ops\":[\"N\"]},", "");
    let world = World::new(&quiet);
    let anything = |name: &str| may_push_anything(&world.manifest, world.mask(&id(name)));
    assert_eq!(["alice", "bob", "carol", "greta"].map(anything), [true, false, true, false]);
}

#[test]
fn owners() {
    let world = library("");
    assert_eq!(["alice", "bob"].map(|name| is_owner(&world.manifest, &world.mask(&id(name)))), [true, false]);
    let world = World::template("dm");
    assert_eq!(["alice", "bob"].map(|name| is_owner(&world.manifest, &world.mask(&id(name)))), [true, false]);
    assert_eq!(world.head.owners, 1);
}
