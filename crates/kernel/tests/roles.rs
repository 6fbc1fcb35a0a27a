//! Rank, Move, Grant, Revoke, Transfer, Gate, AC_Bundle: a row for every line of the tables (`docs/protocol.md`, Rank, Events).

use crate::world::*;
use protocol::Rejection;
use protocol::code::{Code, Detail};

const CLUB: &str = r#"{"enc_v":2,"sequencer":"SEQ","RBAC":{
  "states":["MEMBER","GUEST","BLOCKED"],
  "traits":["owner(0)","admin(1)","mod(2)","muted(3)","vip(4)"],
  "readers":[{"type":"MEMBER","reads":"*"}],
  "moves":[
    {"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":"admin","ops":["C"]},
    {"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":"Self","ops":["C"],"alias":"door","gate":{"operator":["admin"]}},
    {"event":"Move","from":"OUTSIDER","to":"GUEST","operator":"Self","ops":["C"],"alias":"hall","gate":{"operator":["owner"],"open":true}},
    {"event":"Move","from":"GUEST","to":"MEMBER","operator":"mod","ops":["C"]},
    {"event":"Move","from":"MEMBER","to":"GUEST","operator":["Self","mod"],"ops":["C"]},
    {"event":"Move","from":"MEMBER","to":"GUEST","operator":"muted","ops":["_C"]},
    {"event":"Move","from":"GUEST","to":"OUTSIDER","operator":["Self","mod"],"ops":["C"]},
    {"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":["Self","admin"],"ops":["C"]},
    {"event":"Move","from":"MEMBER","to":"BLOCKED","operator":["mod","vip"],"ops":["C"]},
    {"event":"Move","from":"BLOCKED","to":"OUTSIDER","operator":"admin","ops":["C"]}],
  "grants":[
    {"event":"Grant","operator":["owner"],"scope":["MEMBER"],"trait":["admin"]},
    {"event":"Revoke","operator":["owner","admin"],"scope":["MEMBER"],"trait":["admin"]},
    {"event":"Grant","operator":["owner","admin","mod"],"scope":["MEMBER"],"trait":["mod"]},
    {"event":"Revoke","operator":["admin"],"scope":["MEMBER"],"trait":["mod"]},
    {"event":"Grant","operator":["admin","mod"],"scope":["MEMBER","GUEST"],"trait":["muted","vip"]},
    {"event":"Revoke","operator":["admin","mod"],"scope":["MEMBER"],"trait":["muted"]}],
  "transfers":[
    {"trait":"owner","operator":["owner","admin"],"scope":["MEMBER"]},
    {"trait":"vip","operator":["vip"],"scope":["MEMBER","GUEST"]}],
  "customs":[
    {"event":"message","operator":"MEMBER","ops":["C"]},
    {"event":"message","operator":"muted","ops":["_C"]}],
  "init":[
    {"identity":"@alice","state":"MEMBER","traits":["owner"]},
    {"identity":"@bob","state":"MEMBER","traits":["admin"]},
    {"identity":"@carol","state":"MEMBER","traits":["mod"]},
    {"identity":"@dave","state":"MEMBER","traits":[]},
    {"identity":"@erin","state":"MEMBER","traits":["muted","vip"]},
    {"identity":"@frank","state":"MEMBER","traits":["admin"]}]}}"#;

/// No trait `owner`: State OWNER is what is protected, and rank 0.
const HOUSE: &str = r#"{"enc_v":2,"sequencer":"SEQ","RBAC":{
  "states":["OWNER","MEMBER"],
  "traits":["steward(0)","cook(1)"],
  "moves":[
    {"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":["OWNER","steward","MEMBER"],"ops":["C"]},
    {"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":["Self","OWNER","MEMBER"],"ops":["C"]},
    {"event":"Move","from":"MEMBER","to":"OWNER","operator":["OWNER"],"ops":["C"]},
    {"event":"Move","from":"OWNER","to":"MEMBER","operator":["Self","OWNER","steward"],"ops":["C"]}],
  "grants":[
    {"event":"Grant","operator":["OWNER"],"scope":["OWNER","MEMBER"],"trait":["cook","steward"]}],
  "init":[
    {"identity":"@alice","state":"OWNER","traits":[]},
    {"identity":"@bob","state":"MEMBER","traits":["steward"]},
    {"identity":"@carol","state":"MEMBER","traits":[]}]}}"#;

fn club(script: &str) {
    World::new(CLUB).run(script);
}

fn house(script: &str) {
    World::new(HOUSE).run(script);
}

#[test]
fn acting_on_another_needs_a_higher_rank_than_the_targets() {
    club("bob Move carol OUTSIDER -> ok \n = carol OUTSIDER"); // 1 over 2
    club("bob Move frank OUTSIDER -> rank_too_low"); // 1 over 1
    club("bob Move alice OUTSIDER -> rank_too_low"); // 1 over 0
    club("carol Move dave GUEST -> ok"); // 2 over none
    club("carol Move bob GUEST -> rank_too_low"); // 2 over 1
    club("carol Move erin BLOCKED -> ok"); // over a vip
    club("erin Move dave BLOCKED -> ok"); // 4 over none
    club("erin Move carol BLOCKED -> rank_too_low"); // 4 over 2
}

#[test]
fn without_rank_one_acts_on_those_without_rank_only() {
    house("carol Move dave MEMBER -> ok \n carol Move dave OUTSIDER -> ok");
    house("carol Move bob OUTSIDER -> rank_too_low");
}

#[test]
fn state_owner_is_rank_0() {
    house("alice Move carol OUTSIDER -> ok");
    house("alice Grant carol cook -> ok");
    house("alice Grant carol steward -> rank_too_low"); // 0 over 0
    house("bob Move alice MEMBER -> rank_too_low"); // a steward of rank 0 over an owner
    house("alice Move carol OWNER -> ok \n alice Move carol MEMBER -> rank_too_low");
}

#[test]
fn a_restrictive_trait_gives_no_rank() {
    // Erin is muted(3) and vip(4): her rank is 4. Without vip she has none.
    club("erin Grant dave vip -> unauthorized");
    club("erin Revoke erin vip -> ok \n carol Move erin BLOCKED -> ok \n = erin BLOCKED muted");
    club("dave Move erin BLOCKED -> unauthorized");
    club("carol Grant dave muted -> ok \n carol Revoke dave muted -> ok \n = dave MEMBER");
    // Muted gives dave no rank above erin's; muted and vip, erin has that of vip.
    club("bob Grant dave muted -> ok \n erin Move dave BLOCKED -> ok \n bob Grant carol vip -> ok");
    // A muted mod is still a mod: what is taken counts nothing against its own rank.
    club("bob Grant carol muted -> ok \n carol Grant dave muted -> ok \n = carol MEMBER mod muted");
}

#[test]
fn a_trait_is_granted_and_revoked_from_above_it() {
    club("bob Grant dave mod -> ok \n = dave MEMBER mod");
    club("carol Grant dave mod -> rank_too_low"); // its own rank
    club("alice Grant dave admin -> ok \n = dave MEMBER admin");
    club("bob Revoke frank admin -> rank_too_low");
    club("alice Revoke frank admin -> ok \n = frank MEMBER");
    club("bob Revoke carol mod -> ok \n = carol MEMBER");
    club("bob Grant alice vip -> rank_too_low"); // below the trait is not enough: the target stands higher
    club("dave Grant frank mod -> unauthorized");
    club("alice Grant dave muted -> unauthorized"); // rank alone is no permission
}

#[test]
fn granting_to_oneself_looks_at_the_traits_rank() {
    club("alice Grant alice admin -> ok \n = alice MEMBER owner admin");
    club("carol Grant carol muted -> ok");
    club("carol Grant carol mod -> rank_too_low");
}

#[test]
fn oneself_is_moved_by_rules_for_self_only() {
    club("dave Move dave OUTSIDER -> ok \n = dave OUTSIDER");
    club("bob Move bob OUTSIDER -> ok \n = bob OUTSIDER");
    club("carol Move carol BLOCKED -> rank_too_low"); // a mod may do it to others
    club("dave Move dave BLOCKED -> unauthorized");
    club("carol Move dave GUEST -> ok \n dave Move dave MEMBER -> bad_state"); // GUEST → MEMBER is the mods'; the door is for outsiders
}

#[test]
fn ones_own_trait_is_dropped_without_rule_or_scope() {
    club("erin Revoke erin vip -> ok \n = erin MEMBER muted");
    club("bob Revoke bob admin -> ok \n = bob MEMBER");
    club("dave Revoke dave vip -> bad_state"); // not held
    club("bob Move erin OUTSIDER -> ok \n erin Revoke erin vip -> bad_state"); // cleared already
    club("erin Move erin OUTSIDER -> ok \n = erin OUTSIDER muted");
}

#[test]
fn a_restrictive_trait_is_never_revoked_by_its_holder() {
    club("erin Revoke erin muted -> unauthorized"); // no operator column matches
    club("bob Grant carol muted -> ok \n carol Revoke carol muted -> rank_too_low");
    club("carol Revoke erin muted -> ok \n = erin MEMBER vip");
}

#[test]
fn being_moved_by_another_and_leaving_clear_all_but_restrictions() {
    club("bob Move erin OUTSIDER -> ok \n = erin OUTSIDER muted");
    club("carol Move erin BLOCKED -> ok \n = erin BLOCKED muted");
    club("erin Move erin OUTSIDER -> ok \n = erin OUTSIDER muted \n bob Move erin MEMBER -> ok \n = erin MEMBER muted");
    club("carol Move carol GUEST -> ok \n = carol GUEST mod"); // one's own Move elsewhere keeps them
    club("carol Move carol GUEST -> ok \n bob Grant carol vip -> ok \n = carol GUEST mod vip");
}

#[test]
fn an_admission_clears_too() {
    let mut world = World::new(CLUB);
    world.put("greta", "OUTSIDER", &["vip", "muted"]);
    world.run("bob Move greta MEMBER -> ok \n = greta MEMBER muted");
}

#[test]
fn the_last_owner_stays() {
    club("alice Move alice OUTSIDER -> bad_state \n = alice MEMBER owner");
    club("alice Revoke alice owner -> bad_state");
    club("alice Transfer dave owner -> ok \n alice Move alice OUTSIDER -> ok \n = dave MEMBER owner");
    club("alice Move alice GUEST -> ok \n = alice GUEST owner"); // keeps it
    let mut two = World::new(CLUB);
    two.put("dave", "MEMBER", &["owner"]);
    two.run(
        "alice Revoke alice owner -> ok \n dave Revoke dave owner -> bad_state \n dave Move dave OUTSIDER -> bad_state",
    );
    house("alice Move alice MEMBER -> bad_state");
    house("alice Move carol OWNER -> ok \n alice Move alice MEMBER -> ok \n carol Move carol MEMBER -> bad_state");
}

#[test]
fn a_new_owner_counts_and_a_transfer_does_not() {
    house("alice Move carol OWNER -> ok \n carol Move carol MEMBER -> ok \n alice Move alice MEMBER -> bad_state");
    let mut world = World::new(CLUB);
    world.run("alice Transfer dave owner -> ok");
    assert_eq!(world.head.owners, 1);
    world.run("dave Transfer carol owner -> ok \n carol Move carol OUTSIDER -> bad_state");
}

#[test]
fn move_answers_with_the_rule_that_got_furthest() {
    club("greta Move greta MEMBER -> gate_closed"); // Self, from OUTSIDER: only the gate is missing
    club("bob Gate door open -> ok \n greta Move greta MEMBER -> ok");
    club("dave Move dave MEMBER -> bad_state"); // Self, from another State
    club("greta Move dave OUTSIDER -> unauthorized");
    club("dave Move erin OUTSIDER -> unauthorized");
    club("bob Move greta BLOCKED -> unauthorized"); // MEMBER → BLOCKED is the mods'
    club("carol Move greta BLOCKED -> bad_state");
    club("bob Move dave ATTIC -> unauthorized"); // no such State
    club("bob Move dave OUTSIDER -> ok \n bob Move dave OUTSIDER -> bad_state");
    club("greta Move greta GUEST -> ok"); // the hall starts open
    club("alice Gate hall closed -> ok \n greta Move greta GUEST -> gate_closed");
}

#[test]
fn one_open_way_is_enough() {
    // The door is closed for greta, but an admin admits her, whatever the gate says.
    club("bob Move greta MEMBER -> ok");
    // Bob is an admin: of the two rules to MEMBER one is for Self and closed, the other his.
    club("bob Move bob OUTSIDER -> ok \n bob Move bob MEMBER -> gate_closed");
}

#[test]
fn a_deny_on_a_move_holds_for_its_from_and_to() {
    club("erin Move erin GUEST -> bad_state"); // muted: only the way in from OUTSIDER is left
    club("erin Move erin OUTSIDER -> ok"); // another `to`
    club("dave Move dave GUEST -> ok");
    club("bob Grant carol muted -> ok \n carol Move dave GUEST -> unauthorized"); // the author's column counts
    club("carol Move erin GUEST -> ok"); // not the target's
}

#[test]
fn grant_and_revoke() {
    club("bob Grant dave muted -> ok \n bob Grant dave muted -> bad_state"); // held
    club("bob Revoke dave muted -> bad_state"); // absent
    club("bob Grant greta muted -> bad_state"); // out of scope
    club("carol Move dave GUEST -> ok \n bob Grant dave muted -> ok \n bob Revoke dave muted -> bad_state"); // another scope
    club("bob Grant dave ghost -> unauthorized"); // undeclared
    club("alice Grant dave owner -> unauthorized"); // no rule lists it
    club("alice Revoke bob owner -> unauthorized");
}

#[test]
fn transfer() {
    club("alice Transfer dave owner -> ok \n = alice MEMBER \n = dave MEMBER owner");
    club("bob Transfer dave owner -> bad_state"); // does not hold it
    club("dave Transfer erin owner -> unauthorized");
    club("alice Transfer greta owner -> bad_state"); // out of scope
    club("alice Transfer alice owner -> rank_too_low"); // oneself stands no lower than the trait
    club("erin Transfer dave vip -> ok \n = dave MEMBER vip");
    club("erin Transfer carol vip -> rank_too_low"); // mod(2) is above vip(4)
    club("bob Grant dave vip -> ok \n erin Transfer dave vip -> rank_too_low"); // held there already
    club("erin Transfer dave muted -> unauthorized");
    club("alice Transfer frank owner -> ok \n = frank MEMBER owner admin \n = alice MEMBER");
}

#[test]
fn gate() {
    club("bob Gate door open -> ok \n gate door open \n bob Gate door closed -> ok \n gate door closed");
    club("gate door closed \n gate hall open"); // as the manifest says
    club("bob Gate door closed -> bad_state");
    club("alice Gate hall open -> bad_state");
    club("bob Gate hall closed -> unauthorized"); // a gate operator, but not of this one
    club("bob Gate ghost open -> not_found");
    club("dave Gate ghost open -> unauthorized");
    club("dave Gate door open -> unauthorized");
}

#[test]
fn a_bundle_is_all_or_nothing_on_the_running_state() {
    club(
        "bob AC_Bundle Move greta MEMBER ; Grant greta vip ; Gate door open -> ok \n = greta MEMBER vip \n gate door open",
    );
    club("bob AC_Bundle Move greta MEMBER ; Grant greta admin -> unauthorized@1 \n = greta OUTSIDER");
    club(
        "alice AC_Bundle Grant dave admin ; Transfer dave owner ; Gate hall closed -> unauthorized@2 \n = dave MEMBER",
    );
    club("alice AC_Bundle Gate hall closed ; Transfer dave owner ; Move alice OUTSIDER -> ok \n = alice OUTSIDER");
    club("alice AC_Bundle Move alice OUTSIDER ; Transfer dave owner -> bad_state@0");
    club("bob AC_Bundle Grant dave mod ; Revoke dave mod -> ok \n = dave MEMBER");
    club("bob AC_Bundle Gate door open ; Gate door open -> bad_state@1 \n gate door closed");
    club("dave AC_Bundle Grant dave mod -> unauthorized@0");
    club("bob AC_Bundle Grant alice mod -> rank_too_low@0");
    club("bob AC_Bundle Revoke bob admin ; Grant dave mod -> unauthorized@1 \n = bob MEMBER admin");
    club("bob AC_Bundle Move bob OUTSIDER ; Move bob GUEST ; Move bob MEMBER -> bad_state@2");
    club("alice AC_Bundle Gate ghost open -> not_found@0");
}

/// A bundle's net effect is one write a key.
#[test]
fn a_bundle_writes_each_key_once() {
    let mut world = World::new(CLUB);
    world.run("bob AC_Bundle Move greta MEMBER ; Grant greta vip ; Grant greta mod ; Gate door open -> ok");
    assert_eq!(world.last.writes.len(), 2);
}

fn answer(event_type: &str, content: &str) -> Result<(), Rejection> {
    let mut world = World::new(CLUB);
    let commit = world.sign("bob", event_type, &json(content), &[]);
    world.submit(&commit).map(drop)
}

fn refused(event_type: &str, content: &str) -> Option<Code> {
    answer(event_type, content).err().map(|refused| refused.code)
}

#[test]
fn contents_have_their_shape() {
    let not_a_point = "00".repeat(31) + "05";
    let shape = |event_type, content: &str| {
        assert_eq!(refused(event_type, content), Some(Code::InvalidStructure), "{event_type} {content}");
    };
    for event_type in ["Move", "Grant", "Transfer", "Gate", "AC_Bundle", "Shared", "Pause", "Migrate"] {
        shape(event_type, "null");
        shape(event_type, "[]");
        shape(event_type, r#"{"strange":1}"#);
    }
    shape("Move", &format!(r#"{{"target":"{not_a_point}","to":"MEMBER"}}"#));
    shape("Grant", &format!(r#"{{"target":"{not_a_point}","trait":"mod"}}"#));
    shape("Move", r#"{"target":"@dave"}"#);
    shape("Move", r#"{"target":"@dave","to":1}"#);
    shape("Grant", r#"{"target":"@dave","trait":"mod","extra":1}"#);
    shape("Gate", r#"{"alias":"door","open":1}"#);
    shape("Gate", r#"{"alias":"door","open":true,"extra":1}"#);
    assert_eq!(refused("Move", r#"{"target":"@dave","to":"OUTSIDER","reason":"rude"}"#), None);
    assert_eq!(refused("Grant", r#"{"target":"@dave","trait":"mod"}"#), None);
}

#[test]
fn a_bundle_has_its_shape() {
    let part = r#"{"type":"Grant","content":{"target":"@dave","trait":"mod"}}"#;
    let of = |parts: &[&str]| format!(r#"{{"ops":[{}]}}"#, parts.join(","));
    let shape = |content: &str| assert_eq!(refused("AC_Bundle", content), Some(Code::InvalidStructure), "{content}");
    shape(&of(&[]));
    shape(&of(&[part; 65]));
    shape(&of(&[r#"{"type":"Grant"}"#]));
    shape(&of(&[r#"{"type":"Grant","content":{},"extra":1}"#]));
    for event_type in ["AC_Bundle", "Migrate", "Terminate", "Manifest", "Shared", "message", "Recovered", "Update"] {
        shape(&of(&[&format!(r#"{{"type":"{event_type}","content":{{}}}}"#)]));
    }
    assert_eq!(refused("AC_Bundle", &of(&[part])), None);
    // Sixty-four parts are allowed; the second one finds the trait held.
    let refusal = answer("AC_Bundle", &of(&[part; 64])).expect_err("granted twice");
    assert_eq!((refusal.code, refusal.detail), (Code::BadState, Detail::Index(1)));
    // A part's content is read when its turn comes.
    let twice = of(&[part, part, r#"{"type":"Move","content":5}"#]);
    assert_eq!(answer("AC_Bundle", &twice).expect_err("granted twice").detail, Detail::Index(1));
    let broken = of(&[part, r#"{"type":"Move","content":5}"#]);
    let refusal = answer("AC_Bundle", &broken).expect_err("a Move of nobody");
    assert_eq!((refusal.code, refusal.detail), (Code::InvalidStructure, Detail::Index(1)));
}

/// Whoever asks for a key that another raw key has taken changes nothing.
#[test]
fn a_taken_key_is_bad_state() {
    let mut world = World::new(CLUB);
    let greta = protocol::state::StateName::Identity(&id("greta")).key();
    let mut other = greta;
    other.rest[0] ^= 1;
    world.state.insert(greta.path, (other, [7; 32]));
    let before = world.state_root();
    world.run("bob Move greta MEMBER -> bad_state \n bob Grant greta vip -> bad_state \n = greta OUTSIDER");
    world.run("bob AC_Bundle Move greta MEMBER ; Grant greta vip -> bad_state@0");
    assert_eq!(world.state_root(), before);
    let door = protocol::state::StateName::Gate("door").key();
    let mut other = door;
    other.rest[0] ^= 1;
    world.state.insert(door.path, (other, [1; 32]));
    world.run("gate door closed \n bob Gate door open -> bad_state \n bob Gate door closed -> bad_state");
    world.run("henry Move henry MEMBER -> gate_closed");
}
