//! The fourteen steps of the pipeline, in their order: what each refuses, that of two faults the earlier step's is answered, and what the
//! steps after the judgement leave behind.

use crate::world::{CALM, World, any_number, list, member, number, text};
use conformance::people::{json, key, now, sign_otherwise};
use conformance::wire::Ask;
use protocol::commit::Draft;
use protocol::event::event_id;
use protocol::schnorr::KeyPair;
use protocol::state::StateName;
use protocol::{Code, Commit, EnclaveId, Event, Json, Signature};

/// A commit's members with one replaced, added or, by null, taken out.
fn with(commit: &Commit, name: &str, value: Option<&str>) -> String {
    let Json::Object(members) = commit.to_json() else { panic!("a commit is an object") };
    let mut texts: Vec<String> = members
        .iter()
        .filter(|(known, _)| known != name)
        .map(|(known, value)| format!("\"{known}\":{}", value.to_jcs()))
        .collect();
    texts.extend(value.map(|value| format!("\"{name}\":{value}")));
    format!("{{{}}}", texts.join(","))
}

#[test]
fn step_1_structure() {
    let world = World::new();
    let commit = world.commit(&world.bob, "message", "1");
    let hex = |len: usize| format!("\"{}\"", "ab".repeat(len));
    let long = |len: usize| format!("\"{}\"", "x".repeat(len));
    let upper = format!("\"{}\"", commit.hash.hex().to_uppercase());
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let tags = |count: usize, text: &str| format!("[{}]", vec![format!("[\"{text}\"]"); count].join(","));
    let rows: Vec<(&str, Option<String>)> = vec![
        ("hash", None),
        ("hash", Some(hex(31))),
        ("hash", Some(hex(33))),
        ("hash", Some(upper)),
        ("hash", Some("1".into())),
        ("hash", Some("null".into())),
        ("enclave", None),
        ("enclave", Some(hex(20))),
        ("from", None),
        ("from", Some("\"\"".into())),
        ("type", None),
        ("type", Some("\"\"".into())),
        ("type", Some(long(65))),
        ("type", Some("\"a b\"".into())),
        ("type", Some("\"ž\"".into())),
        ("type", Some("[]".into())),
        ("content", None),
        ("exp", Some("-1".into())),
        ("exp", Some("\"1\"".into())),
        ("exp", Some("null".into())),
        ("tags", Some("{}".into())),
        ("tags", Some("[[]]".into())),
        ("tags", Some("[1]".into())),
        ("tags", Some("[[1]]".into())),
        ("tags", Some(tags(257, "x"))),
        ("tags", Some(format!("[[{}]]", vec!["\"x\""; 17].join(",")))),
        ("tags", Some(format!("[[{}]]", long(1025)))),
        ("tags", Some(tags(17, &"x".repeat(1000)))),
        ("alg", Some("\"ed25519\"".into())),
        ("alg", Some("\"\"".into())),
        ("alg", Some("null".into())),
        ("sig", None),
        ("sig", Some(hex(32))),
    ];
    for (name, value) in rows {
        let body = with(&commit, name, value.as_deref());
        let what = format!("{name} = {value:.40?}");
        world.refused(&what, &Ask::post("/", body), (400, Code::InvalidStructure), &[("field", Json::from(name))]);
    }
    let nested = Ask::post("/", with(&commit, "content", Some(&deep(56))));
    world.refused("a commit nested too deep", &nested, (400, Code::InvalidStructure), &[]);
    let bare: &[(&str, &str)] = &[
        ("content", "1.5"),
        ("content", "-0"),
        ("content", "1e3"),
        ("content", "9007199254740992"),
        ("content", r#""\ud800""#),
        ("content", r#""\u0000""#),
        ("content", r#"{"a":1,"a":2}"#),
        ("content", r#"{"a":1,"\u0061":2}"#),
        ("exp", "1.0"),
    ];
    for (name, value) in bare {
        let ask = Ask::post("/", with(&commit, name, Some(value)));
        world.refused(value, &ask, (400, Code::InvalidStructure), &[]);
    }
    let unknown = Ask::post("/", with(&commit, "seq", Some("1")));
    world.refused("an unknown member", &unknown, (400, Code::InvalidStructure), &[]);
    for good in [deep(55), "null".into(), "-9007199254740991".into(), "\"\\u007f \u{10ffff}\"".into()] {
        let draft = Draft { content: json(&good).to_jcs(), ..world.draft("message", "0") };
        world.submit(&draft.sign(&world.bob).into_commit());
    }
    let absent = with(&world.commit(&world.bob, "message", "2"), "tags", None);
    assert_eq!(world.ask(&Ask::post("/", absent)).status, 200, "tags may be left out");
    let named = with(&world.commit(&world.bob, "message", "3"), "alg", Some("\"schnorr\""));
    assert_eq!(world.ask(&Ask::post("/", named)).status, 200, "alg may be named");
}

#[test]
fn step_2_expiry() {
    let world = World::new();
    let until = |exp: u64| Draft { exp, ..world.draft("message", "1") }.sign(&world.bob).into_commit();
    let time = [("time", any_number())];
    world.refused_commit("a day ago", &until(now() - 86_400_000), Code::Expired, &time);
    world.refused_commit("just over a minute ago", &until(now() - 60_500), Code::Expired, &time);
    world.refused_commit("never", &until(0), Code::Expired, &time);
    world.refused_commit("in over an hour", &until(now() + 3_605_000), Code::ExpTooFar, &time);
    world.refused_commit("at the end of time", &until(protocol::MAX_INTEGER), Code::ExpTooFar, &time);
    for exp in [now() - 50_000, now(), now() + 3_590_000] {
        world.submit(&until(exp));
    }
}

#[test]
fn steps_3_and_4_hash_and_signature() {
    let world = World::new();
    let good = world.commit(&world.bob, "message", "1");
    let rows: Vec<(&str, Commit)> = vec![
        ("content", Commit { content: "2".into(), ..good.clone() }),
        ("type", Commit { event_type: "notice".into(), ..good.clone() }),
        ("exp", Commit { exp: good.exp + 1, ..good.clone() }),
        ("tags", Commit { tags: vec![vec!["x".into()]], ..good.clone() }),
        ("from", Commit { from: world.alice.public(), ..good.clone() }),
        ("enclave", Commit { enclave: EnclaveId([7; 32]), ..good.clone() }),
    ];
    for (what, commit) in rows {
        world.refused_commit(what, &commit, Code::InvalidHash, &[]);
    }
    let mut flipped = good.clone();
    flipped.sig.0[63] ^= 1;
    let foreign = Commit { sig: key(9).sign(good.hash.as_bytes()), ..good.clone() };
    let zero = Commit { sig: Signature([0; 64]), ..good.clone() };
    for (what, commit) in [("a bit", flipped), ("another key", foreign), ("nothing", zero)] {
        world.refused_commit(what, &commit, Code::InvalidSignature, &[]);
    }
    // 5 is no x coordinate of a point: nobody has that key, so nobody can have signed.
    let mut nobody = [0; 32];
    nobody[31] = 5;
    let fields = protocol::commit::HashedFields {
        enclave: &good.enclave,
        from: &protocol::PublicKey(nobody),
        event_type: &good.event_type,
        content_hash: &protocol::ContentHash(protocol::cbor::sha256(good.content.as_bytes())),
        exp: good.exp,
        tags: &good.tags,
    };
    let impossible = Commit { from: protocol::PublicKey(nobody), hash: fields.commit_hash(), ..good.clone() };
    world.refused_commit("a key that is no point", &impossible, Code::InvalidSignature, &[]);
    world.submit(&good);
}

/// Of two faults, the earlier step's is answered.
#[test]
fn the_first_fault_is_the_answer() {
    let world = World::new();
    let nowhere = EnclaveId([7; 32]);
    let said = world.commit(&world.bob, "message", r#""said""#);
    world.submit(&said);
    let old = |draft: Draft| Draft { exp: 1, ..draft };
    let signed = |draft: Draft| draft.sign(&world.bob).into_commit();
    let broken_hash = |commit: Commit| Commit { content: "0".into(), ..commit };
    let broken_sig = |commit: Commit| Commit { sig: said.sig, ..commit };
    let message = || world.draft("message", "1");
    let away = || Draft { enclave: nowhere, ..message() };
    let time = [("time", any_number())];
    let old_and_structure = with(&signed(old(message())), "type", Some("\"\""));
    let field = [("field", Json::from("type"))];
    world.refused("1 before 2", &Ask::post("/", old_and_structure), (400, Code::InvalidStructure), &field);
    world.refused_commit("2 before 3", &broken_hash(signed(old(message()))), Code::Expired, &time);
    world.refused_commit("2 before 4", &broken_sig(signed(old(message()))), Code::Expired, &time);
    world.refused_commit("2 before the enclave", &signed(old(away())), Code::Expired, &time);
    world.refused_commit("3 before 4", &broken_sig(broken_hash(signed(message()))), Code::InvalidHash, &[]);
    world.refused_commit("4 before the enclave", &broken_sig(signed(away())), Code::InvalidSignature, &[]);
    world.refused_commit("the enclave before 7", &signed(away()), Code::EnclaveNotFound, &[]);
    let terminated = world.create("over", CALM);
    let there = |who: &KeyPair, event_type: &str, content: &str| {
        Draft::new(terminated, event_type, &json(content), now() + 60_000).sign(who).into_commit()
    };
    let first = there(&world.bob, "message", "1");
    let receipt = world.submit(&first);
    world.submit(&there(&world.alice, "Terminate", "{}"));
    world.refused_commit("5 before 6", &first, Code::Duplicate, &[("receipt", receipt.to_json())]);
    world.refused_commit("6 before 7", &there(&world.stranger, "message", "2"), Code::EnclaveTerminated, &[]);
    world.refused_commit("6 before 8", &there(&world.alice, "Resume", "{}"), Code::EnclaveTerminated, &[]);
    let unknown = format!(r#"{{"target":"{}","to":"NOBODY"}}"#, world.alice.public());
    world.refused_commit("7 before 8", &world.commit(&world.stranger, "Move", &unknown), Code::Unauthorized, &[]);
}

#[test]
fn step_5_dedup() {
    let world = World::new();
    let commit = world.commit(&world.bob, "message", "1");
    let receipt = world.submit(&commit);
    for _ in 0..2 {
        world.refused_commit("again", &commit, Code::Duplicate, &[("receipt", receipt.to_json())]);
    }
    // Another valid signature of the same commit tells whoever has it nothing about the stored one.
    let other = Commit { sig: sign_otherwise(2, commit.hash.as_bytes()), ..commit.clone() };
    assert_ne!(other.sig, commit.sig);
    world.refused_commit("by another signature", &other, Code::Duplicate, &[]);
    // The same Manifest under another expiry is another commit, for an enclave that exists.
    let content = json(&world.manifest("hall", CALM).content);
    let tags = vec![vec!["nonce".to_owned(), "hall".to_owned()]];
    let again = Draft::manifest(&world.alice, &content, tags, now() + 30_000).sign(&world.alice).into_commit();
    assert_eq!(again.enclave, world.enclave);
    world.refused_commit("a second Manifest", &again, Code::EnclaveExists, &[]);
}

#[test]
fn step_6_lifecycle() {
    let world = World::new();
    let enclave = world.create("life", CALM);
    let commit = |who: &KeyPair, event_type: &str, content: &str| {
        Draft::new(enclave, event_type, &json(content), now() + 60_000).sign(who).into_commit()
    };
    let status = |expected: &str| {
        let info = world.accepted("info", &Ask::get(&format!("/{enclave}/info/enclave")));
        assert_eq!(text(&info, "status"), expected);
    };
    status("active");
    world.refused_commit("not paused", &commit(&world.alice, "Resume", "{}"), Code::BadState, &[]);
    world.submit(&commit(&world.alice, "Pause", "{}"));
    status("paused");
    for (event_type, content) in [("message", "1"), ("Pause", "{}"), ("Gate", r#"{"alias":"door","open":true}"#)] {
        world.refused_commit(event_type, &commit(&world.alice, event_type, content), Code::EnclavePaused, &[]);
    }
    world.submit(&commit(&world.alice, "Resume", "{}"));
    status("active");
    world.submit(&commit(&world.bob, "message", "2"));
    world.submit(&commit(&world.alice, "Pause", "{}"));
    world.submit(&commit(&world.alice, "Terminate", "{}"));
    status("terminated");
    for event_type in ["message", "Resume", "Terminate", "Migrate"] {
        world.refused_commit(event_type, &commit(&world.alice, event_type, "{}"), Code::EnclaveTerminated, &[]);
    }
    let sth = world.accepted("sth", &Ask::get(&format!("/{enclave}/sth")));
    assert_eq!(number(&sth, "tree_size"), 1, "Terminate closes the bundle");
    migrated(&world);
}

fn migrated(world: &World) {
    let enclave = world.create("elsewhere", CALM);
    let next = key(0x77).public();
    let commit =
        |content: &str| Draft::new(enclave, "Migrate", &json(content), now() + 60_000).sign(&world.alice).into_commit();
    let order = |seq: u64, root: &str| format!(r#"{{"new_sequencer":"{next}","prev_seq":{seq},"ct_root":"{root}"}}"#);
    let empty = protocol::ids::hex(&protocol::cbor::sha256(b""));
    let refused = world.ask(&World::submitting(&commit(&order(9, &empty))));
    let said = refused.json();
    assert_eq!((refused.status, text(&said, "error")), (409, "bad_state"));
    assert_eq!((number(&said, "prev_seq"), text(&said, "ct_root")), (0, empty.as_str()), "the present head is told");
    assert_eq!(text(&said, "prev").len(), 64);
    world.submit(&commit(&order(0, &empty)));
    let info = world.accepted("info", &Ask::get(&format!("/{enclave}/info/enclave")));
    assert_eq!((text(&info, "status"), number(&info, "tree_size")), ("migrated", 1));
    let moved = [("new_sequencer", Json::from(next.hex()))];
    world.refused_commit("after a Migrate", &commit("{}"), Code::EnclaveMigrated, &moved);
}

#[test]
fn steps_7_and_8_roles() {
    let world = World::new();
    let to = |who: &KeyPair, state: &str| format!(r#"{{"target":"{}","to":"{state}"}}"#, who.public());
    let gets = |who: &KeyPair, name: &str| format!(r#"{{"target":"{}","trait":"{name}"}}"#, who.public());
    let (alice, bob, carol, stranger) = (&world.alice, &world.bob, &world.carol, &world.stranger);
    let rows: Vec<(&str, &KeyPair, &str, String, Code)> = vec![
        ("a stranger writes", stranger, "message", "1".into(), Code::Unauthorized),
        ("a member writes what the owner may", bob, "notice", "1".into(), Code::Unauthorized),
        ("a type that nobody declared", alice, "unheard-of", "1".into(), Code::Unauthorized),
        ("a member ends it", bob, "Terminate", "{}".into(), Code::Unauthorized),
        ("a member moves", bob, "Move", to(stranger, "MEMBER"), Code::Unauthorized),
        ("a member grants", bob, "Grant", gets(bob, "admin"), Code::Unauthorized),
        ("a member opens the gate", bob, "Gate", r#"{"alias":"door","open":true}"#.into(), Code::Unauthorized),
        ("the node's own type", alice, "Recovered", r#"{"prev_seq":0}"#.into(), Code::Unauthorized),
        ("the gate is closed", stranger, "Move", to(stranger, "MEMBER"), Code::GateClosed),
        ("an admin moves the owner", carol, "Move", to(alice, "BLOCKED"), Code::RankTooLow),
        ("an admin mutes the owner", carol, "Grant", gets(alice, "muted"), Code::RankTooLow),
        ("the gate is closed already", alice, "Gate", r#"{"alias":"door","open":false}"#.into(), Code::BadState),
        ("a trait that is held", alice, "Grant", gets(carol, "admin"), Code::BadState),
        ("a trait that is not held", alice, "Revoke", gets(bob, "admin"), Code::BadState),
        ("no such slot", alice, "Shared", r#"{"key":"none","value":1}"#.into(), Code::NotFound),
        ("an empty slot deleted", alice, "Shared", r#"{"key":"topic","value":null}"#.into(), Code::NotFound),
        ("no such gate", alice, "Gate", r#"{"alias":"none","open":true}"#.into(), Code::NotFound),
        ("a slot that is the owner's", bob, "Shared", r#"{"key":"topic","value":1}"#.into(), Code::Unauthorized),
    ];
    for (what, who, event_type, content, code) in &rows {
        world.refused_commit(what, &world.commit(who, event_type, content), *code, &[]);
    }
    let malformed = [("Move", "{}"), ("Grant", r#"{"target":"00","trait":"admin"}"#), ("Pause", "[]"), ("Gate", "1")];
    for (event_type, content) in malformed {
        let answer = world.ask(&World::submitting(&world.commit(alice, event_type, content)));
        assert_eq!(text(&answer.json(), "error"), "invalid_structure", "{event_type} {content}");
    }
    let ops = format!(
        r#"{{"ops":[{{"type":"Gate","content":{{"alias":"door","open":true}}}},{{"type":"Move","content":{}}}]}}"#,
        to(carol, "NOBODY")
    );
    let answer = world.ask(&World::submitting(&world.commit(alice, "AC_Bundle", &ops)));
    assert_eq!(answer.json().member("index"), Some(&Json::from(1)), "{}", answer.text());
    let refers = |who: &KeyPair, event_type: &str, id: String| {
        let tags = vec![vec!["r".to_owned(), id]];
        Draft { tags, ..world.draft(event_type, "1") }.sign(who).into_commit()
    };
    let said = world.say(bob, "message", "1");
    let id = said.id.hex();
    world.refused_commit("not the author", &refers(alice, "Update", id.clone()), Code::Unauthorized, &[]);
    world.refused_commit("no such event", &refers(bob, "Update", "ab".repeat(32)), Code::NotFound, &[]);
    world.submit(&refers(bob, "Update", id.clone()));
    world.submit(&refers(bob, "Delete", id.clone()));
    world.refused_commit("deleted already", &refers(bob, "Delete", id.clone()), Code::BadState, &[]);
    world.refused_commit("deleted before", &refers(bob, "Update", id), Code::BadState, &[]);
    // The node's own key signs nothing as an author.
    world.say(alice, "Gate", r#"{"alias":"door","open":true}"#);
    world.say(stranger, "Move", &to(stranger, "MEMBER"));
    world.say(carol, "Grant", &gets(stranger, "muted"));
    world.refused_commit("muted", &world.commit(stranger, "message", "1"), Code::Unauthorized, &[]);
}

#[test]
fn a_manifest_is_judged_whole() {
    let world = World::new();
    let good = world.manifest("other", CALM);
    let make = |content: &Json| {
        Draft::manifest(&world.alice, content, Vec::new(), now() + 60_000).sign(&world.alice).into_commit()
    };
    let content = json(&good.content);
    let replaced = |from: &str, to: &str| json(&content.to_jcs().replacen(from, to, 1));
    let rows: &[(&str, &str, &str)] = &[
        (r#""enc_v":2"#, r#""enc_v":3"#, "enc_v"),
        (r#""enc_v":2"#, r#""enc_v":2,"more":1"#, ""),
        (r#""states":["MEMBER","BLOCKED"]"#, r#""states":["MEMBER","member"]"#, "RBAC.states[1]"),
        (r#""size":256"#, r#""size":4097"#, "bundle.size"),
        (r#""timeout":3600000"#, r#""timeout":99"#, "bundle.timeout"),
        (r#""from":"BLOCKED""#, r#""from":"NOWHERE""#, "RBAC.moves[3].from"),
        (r#""event":"secret""#, r#""event":"Move""#, "RBAC.customs[5].event"),
    ];
    for (from, to, path) in rows {
        assert!(content.to_jcs().contains(from), "{from} is in the Manifest");
        let extra = [("path", Json::from(*path))];
        world.refused_commit(to, &make(&replaced(from, to)), Code::InvalidManifest, &extra);
    }
    let stolen =
        Draft { enclave: EnclaveId([9; 32]), ..Draft::manifest(&world.alice, &content, Vec::new(), now() + 60_000) };
    let stolen = stolen.sign(&world.alice).into_commit();
    world.refused_commit(
        "an id that is not its own",
        &stolen,
        Code::InvalidManifest,
        &[("path", Json::from("enclave"))],
    );
    world.submit(&good);
}

/// Steps 9 to 12: what an accepted commit is given, and what stands in the log and in the state afterwards.
#[test]
fn steps_9_to_12_leave_their_marks() {
    let world = World::new();
    let before = world.tables.dump();
    let first = world.say(&world.bob, "message", "1");
    let other = world.say(&world.alice, "Shared", r#"{"key":"topic","value":{"a":[1]}}"#);
    let second = world.say(&world.bob, "message", "2");
    let places = [&first, &other, &second].map(|receipt| (receipt.position.seq, receipt.position.type_seq));
    assert_eq!(places, [(1, 0), (2, 0), (3, 1)], "9: seq counts all, type_seq each type");
    assert_eq!(other.position.prev, first.event_hash(), "9: prev is the event before");
    assert_eq!(second.position.prev, other.event_hash());
    assert_eq!(first.id, event_id(&first.seq_sig), "9: the id is the signature's");
    assert!(first.position.timestamp.abs_diff(now()) < 60_000, "9: the time is now");
    // 12: the rows were there when the receipt came.
    assert_ne!(before, world.tables.dump());
    let info = || world.accepted("info", &world.signed(Ask::get(&world.path("info/enclave")), &world.alice));
    assert_eq!(
        (number(&info(), "open_events"), number(&info(), "tree_size")),
        (4, 0),
        "11: they are in the open bundle"
    );
    world.close();
    assert_eq!((number(&info(), "open_events"), number(&info(), "tree_size")), (0, 1), "11: it is an entry now");
    let key = protocol::ids::hex(&StateName::Shared("topic").raw());
    let body = world.by(&world.bob, &format!(r#""namespace":2,"key":"{key}""#));
    let proof = world.accepted("state", &Ask::post(&world.path("state"), body));
    let value = protocol::ids::hex(&protocol::cbor::sha256(br#"{"a":[1]}"#));
    assert_eq!(text(member(&proof, "proof"), "v"), value, "10: the slot holds what was set");
    let body = world.asking(&world.bob, r#""type":"Query","filter":{"type":"message"}"#);
    let page = world.accepted("query", &Ask::post("/", body));
    let events: Vec<Event> =
        list(&page, "events").iter().map(|event| Event::from_json(event.clone()).expect("an event")).collect();
    assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), [first.id, second.id]);
    assert!(events.iter().all(|event| event.verify().is_ok()));
    // A full bundle closes by itself.
    let enclave = world.create("pairs", r#""bundle":{"size":2,"timeout":3600000},"#);
    for number in 0..4 {
        let content = Json::from(number);
        world.submit(&Draft::new(enclave, "message", &content, now() + 60_000).sign(&world.bob).into_commit());
    }
    let sth = world.accepted("sth", &Ask::get(&format!("/{enclave}/sth")));
    assert_eq!(number(&sth, "tree_size"), 2, "11: five events in bundles of two");
}
