//! Snapshots: who may take one, what restore takes in, and that it takes in nothing else.

use crate::world::{Ask, World, id, json, key, secret, template};
use protocol::commit::Draft;
use protocol::head::Sth;
use protocol::snapshot::{Snapshot, Writer};
use protocol::{CommitHash, EnclaveId, Event, Json, PublicKey};
use service::Call;
use service::call::{Action, Claim, InitWithPriv, Restore, TakeUp};

/// A log with something of everything: a deleted event, tags, retention, a slot, closed bundles and an open one.
fn scenario() -> (World, EnclaveId, Vec<u8>) {
    let world = World::new();
    let mut manifest: serde_json::Value = serde_json::from_str(&template("group").to_jcs()).expect("JSON");
    manifest["bundle"] = serde_json::json!({"size": 4, "timeout": 5000});
    let enclave = world.begin(&json(&manifest.to_string()));
    let say = |author: &str, event_type: &str, content: &str, tags: &[&[&str]]| {
        world.pass(700).say(&enclave, author, event_type, content, tags).receipt().id.hex()
    };
    say("alice", "Move", r#"{"target":"@bob","to":"MEMBER"}"#, &[]);
    let message = say("bob", "message", r#"{"n":-5,"t":"é\u0001","l":[true,false,null]}"#, &[&["k", "v"], &["k"]]);
    say("bob", "Update", r#""again""#, &[&["r", &message]]);
    say("bob", "Own", r#"{"key":"profile","value":"Bob"}"#, &[]);
    say("bob", "Delete", "null", &[&["r", &message]]);
    say("bob", "Move", r#"{"target":"@bob","to":"OUTSIDER"}"#, &[]);
    world.pass(6000);
    say("alice", "message", r#""stays open""#, &[]);
    let file = snapshot(&world, &enclave);
    (world, enclave, file)
}

fn snapshot(world: &World, enclave: &EnclaveId) -> Vec<u8> {
    let call = Call { enclave: Some(*enclave), claim: Claim::Admin, action: Action::Snapshot };
    world.call(&call).expect(200).body.clone()
}

fn restore(world: &World, enclave: &EnclaveId, claim: Claim, file: &[u8]) -> crate::world::Told {
    let restore = Restore { snapshot: file.to_vec(), manifest: None, sequencer: None, first: TakeUp::No };
    world.call(&Call { enclave: Some(*enclave), claim, action: Action::Restore(restore) })
}

/// A node at another time that holds nothing.
fn elsewhere() -> World {
    let world = World::new();
    world.pass(86_400_000);
    world
}

#[test]
fn the_same_bytes() {
    let (world, enclave, file) = scenario();
    let other = elsewhere();
    let told = restore(&other, &enclave, Claim::Admin, &file);
    let answer =
        serde_json::json!({"ok": true, "enclave_id": enclave.hex(), "last_seq": 7, "tree_size": 2, "live": false});
    assert_eq!(told.expect(200).value(), answer);
    assert_eq!(snapshot(&other, &enclave), file);
    for table in ["events", "event_tags", "bundles", "log_nodes", "left_rules", "state_pages"] {
        assert_eq!(other.dump()[table], world.dump()[table], "{table}");
    }
    // Served read-only, as it came: nothing is signed for it, nothing is closed.
    assert_eq!(other.say(&enclave, "alice", "message", "1", &[]).word(), "read_only");
    assert_eq!(other.ask(&enclave, Action::CloseBundle).word(), "unauthorized");
    let close = Call { enclave: Some(enclave), claim: Claim::Admin, action: Action::CloseBundle };
    assert_eq!(other.call(&close).word(), "read_only");
    other.alarm(&enclave);
    assert!(other.signed.borrow().is_empty());
    let sth = other.ask(&enclave, Action::Sth).expect(200).value();
    assert_eq!(
        sth,
        world
            .rehearse(|| serde_json::from_str::<serde_json::Value>(
                &Snapshot::read(&file).expect("a file").sth.to_json().to_jcs()
            ))
            .expect("JSON")
    );
    // Retention was replayed: bob reads what he kept.
    let told = other.query(&enclave, Some("bob"), "{}");
    assert_eq!(told.expect(200).value()["events"].as_array().expect("events").len(), 7);
    let info = other.ask(&enclave, Action::InfoEnclave).expect(200).value();
    assert_eq!((&info["live"], &info["bound"], &info["status"]), (&false.into(), &true.into(), &"active".into()));
    // An id that is held is not restored over.
    let before = other.dump();
    restore(&other, &enclave, Claim::Admin, &file).refused("enclave_exists");
    assert_eq!(other.dump(), before);
}

#[test]
fn who_may_take_one() {
    let (world, enclave, file) = scenario();
    let take = |claim: Claim| world.call(&Call { enclave: Some(enclave), claim, action: Action::Snapshot });
    take(Claim::Stranger).refused("unauthorized");
    take(world.session("bob")).refused("unauthorized");
    take(world.session_at("alice", &id("bob"))).refused("invalid_session");
    let told = take(world.session("alice"));
    assert_eq!(told.expect(200).body, file);
    assert_eq!(told.content_type, "application/octet-stream");
    assert_eq!(told.header("Content-Disposition"), Some(&*format!("attachment; filename=\"{}.enc\"", enclave.hex())));
    let ask = Ask::get(&format!("/{}/snapshot", enclave.hex()));
    assert_eq!(world.request(&ask.clone().claimed(&world.session("alice"))).body, file);
    assert_eq!(world.request(&ask.clone().admin()).body, file);
    world.request(&ask).refused("unauthorized");
}

#[test]
fn who_may_restore() {
    let (_, enclave, file) = scenario();
    for (claim, word) in [
        (Claim::Stranger, "unauthorized"),
        (Claim::Envelope { from: id("alice") }, "unauthorized"),
        (elsewhere().session("bob"), "unauthorized"),
        (elsewhere().session_at("alice", &id("zoe")), "invalid_session"),
        (elsewhere().session("alice"), "ok"),
        (Claim::Admin, "ok"),
    ] {
        let other = elsewhere();
        let before = other.dump();
        assert_eq!(restore(&other, &enclave, claim, &file).word(), word);
        if word != "ok" {
            assert_eq!(other.dump(), before, "{word}");
            restore(&other, &enclave, Claim::Admin, &file).expect(200);
        }
    }
}

/// Whatever byte of a file is changed, it is refused, and no row is left.
#[test]
fn every_byte_counts() {
    let (_, enclave, file) = scenario();
    let other = elsewhere();
    let before = other.dump();
    let step = (file.len() / 400).max(1);
    let mut tried = 0;
    for place in (0..file.len()).step_by(step).chain(0..8).chain(file.len() - 8..file.len()) {
        for flip in [1u8, 0x80] {
            let mut altered = file.clone();
            altered[place] ^= flip;
            let told = restore(&other, &enclave, Claim::Admin, &altered);
            assert_ne!(told.status, 200, "byte {place}");
            tried += 1;
        }
    }
    for len in (0..file.len()).step_by(step * 4) {
        assert_ne!(restore(&other, &enclave, Claim::Admin, &file[..len]).status, 200, "{len} bytes");
    }
    assert_eq!(other.dump(), before);
    assert!(tried > 700);
    restore(&other, &enclave, Claim::Admin, &file).expect(200);
}

/// The parts of a file, to be put together otherwise.
struct Parts {
    sth: Sth,
    events: Vec<Event>,
    bundles: Vec<u64>,
    seq_pub: PublicKey,
}

impl Parts {
    fn of(file: &[u8]) -> Parts {
        let read = Snapshot::read(file).expect("a file");
        let events = read.events().map(|event| event.expect("an event")).collect();
        Parts { sth: read.sth, events, bundles: read.bundles.clone(), seq_pub: read.seq_pub }
    }

    fn file(&self) -> Vec<u8> {
        let (mut writer, mut file) = Writer::begin(&self.sth, self.events.len() as u64).expect("a beginning");
        for event in &self.events {
            file.extend(writer.event(event).expect("an event"));
        }
        file.extend(writer.finish(&self.bundles, &self.seq_pub).expect("an end"));
        file
    }
}

/// What a node that lies, or a thief of its key, may have put together.
#[test]
fn forged_files() {
    let (world, enclave, file) = scenario();
    let node = secret(crate::world::NODE);
    let sign_again = |event: &mut Event| {
        *event = Event::sequence(
            protocol::Commit {
                hash: event.hash,
                enclave: event.enclave,
                from: event.from,
                event_type: event.event_type.clone(),
                content: match &event.content {
                    protocol::event::Content::Present(text) => text.clone(),
                    protocol::event::Content::Deleted(_) => String::new(),
                },
                exp: event.exp,
                tags: event.tags.clone(),
                sig: event.sig,
            },
            event.position,
            &secret(crate::world::NODE),
        );
    };
    type Forge<'a> = Box<dyn Fn(&mut Parts) + 'a>;
    let forgeries: Vec<(&str, Forge)> = vec![
        (
            "another time",
            Box::new(|parts| {
                let last = parts.events.last_mut().expect("an event");
                last.position.timestamp += 1_000_000;
                sign_again(last);
            }),
        ),
        (
            "an earlier time",
            Box::new(|parts| {
                let last = parts.events.last_mut().expect("an event");
                last.position.timestamp -= 1_000_000;
                sign_again(last);
            }),
        ),
        (
            "another place among its type",
            Box::new(|parts| {
                let last = parts.events.last_mut().expect("an event");
                last.position.type_seq += 1;
                sign_again(last);
            }),
        ),
        (
            "a gap",
            Box::new(|parts| {
                let last = parts.events.last_mut().expect("an event");
                last.position.seq += 1;
                sign_again(last);
            }),
        ),
        (
            "no history",
            Box::new(|parts| {
                let last = parts.events.last_mut().expect("an event");
                last.position.prev = protocol::event::NO_PREV;
                sign_again(last);
            }),
        ),
        (
            "an event that no rule allows",
            Box::new(|parts| {
                let before = parts.events.last().expect("an event");
                let commit = Draft::new(enclave, "message", &Json::Null, before.exp).sign(&key("mallory"));
                let position = protocol::event::Position {
                    seq: before.position.seq + 1,
                    type_seq: 2,
                    prev: before.event_hash(),
                    ..before.position
                };
                parts.events.push(Event::sequence(commit.into_commit(), position, &node));
            }),
        ),
        (
            "an event twice",
            Box::new(|parts| {
                let mut again = parts.events.last().expect("an event").clone();
                again.position.prev = again.event_hash();
                again.position.seq += 1;
                again.position.type_seq += 1;
                sign_again(&mut again);
                parts.events.push(again);
            }),
        ),
        (
            "content taken from what nobody deleted",
            Box::new(|parts| {
                let last = parts.events.last_mut().expect("an event");
                last.content = protocol::event::Content::Deleted(last.content_hash());
            }),
        ),
        (
            "a Manifest without content",
            Box::new(|parts| {
                let first = &mut parts.events[0];
                first.content = protocol::event::Content::Deleted(first.content_hash());
            }),
        ),
        ("an open event in a bundle", Box::new(|parts| parts.bundles.push(1))),
        ("other bundles", Box::new(|parts| parts.bundles = vec![3, 4])),
        ("a bundle more than its size", Box::new(|parts| parts.bundles = vec![7])),
        ("bundles beyond all numbers", Box::new(|parts| parts.bundles = vec![4, 3])),
        (
            "a head of a smaller tree",
            Box::new(|parts| {
                parts.sth = Sth::sign(&node, enclave, parts.sth.timestamp, 0, merkle::EMPTY);
            }),
        ),
        (
            "a head of another enclave",
            Box::new(|parts| {
                parts.sth =
                    Sth::sign(&node, EnclaveId([9; 32]), parts.sth.timestamp, parts.sth.tree_size, parts.sth.root_hash);
            }),
        ),
        (
            "a head by somebody",
            Box::new(|parts| {
                parts.sth =
                    Sth::sign(&key("mallory"), enclave, parts.sth.timestamp, parts.sth.tree_size, parts.sth.root_hash);
                parts.seq_pub = id("mallory");
            }),
        ),
        ("another key beside the head", Box::new(|parts| parts.seq_pub = id("mallory"))),
        ("no events but the Manifest", Box::new(|parts| parts.events.truncate(1))),
    ];
    assert_eq!(Parts::of(&file).file(), file);
    drop(world);
    for (name, forge) in forgeries {
        let mut parts = Parts::of(&file);
        forge(&mut parts);
        let Ok(forged) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| parts.file())) else { continue };
        if forged == file {
            assert_eq!(name, "bundles beyond all numbers", "the forgery is none");
            continue;
        }
        let other = elsewhere();
        let before = other.dump();
        assert_ne!(restore(&other, &enclave, Claim::Admin, &forged).status, 200, "{name}");
        assert_eq!(other.dump(), before, "{name}");
    }
}

/// Another id in the path than the file's.
#[test]
fn restored_under_its_own_id_only() {
    let (_, _, file) = scenario();
    let other = elsewhere();
    let before = other.dump();
    restore(&other, &EnclaveId([9; 32]), Claim::Admin, &file).refused("invalid_structure");
    assert_eq!(other.dump(), before);
}

/// Nothing proves who made an id that was provisioned: it is restored only by one who pins Manifest and sequencer.
#[test]
fn unbound_ids_are_pinned() {
    let world = World::new();
    let enclave = EnclaveId([0xee; 32]);
    let sequencer = world.hold(&[9; 32], Some(enclave));
    let init = Action::InitWithPriv(InitWithPriv { sequencer, owner: Some(id("alice")) });
    world.call(&Call { enclave: Some(enclave), claim: Claim::Admin, action: init }).expect(200);
    let manifest = json(&template("open").to_jcs().replace(&world.facts.sequencer.hex(), &sequencer.hex()));
    let mut draft = Draft::manifest(&key("alice"), &manifest, vec![], world.now.get() + 60_000);
    draft.enclave = enclave;
    let commit = draft.sign(&key("alice"));
    let hash = world.commit(&commit).receipt().hash;
    let info = world.ask(&enclave, Action::InfoEnclave).expect(200).value();
    assert_eq!((&info["bound"], &info["sequencer"]), (&false.into(), &sequencer.hex().into()));
    world.say(&enclave, "alice", "Message", "1", &[]).expect(200);
    world.pass(6000);
    let file = snapshot(&world, &enclave);
    let pinned = |manifest: Option<CommitHash>, sequencer: Option<PublicKey>| {
        let other = elsewhere();
        let before = other.dump();
        let restore =
            Restore { snapshot: file.clone(), manifest: manifest.map(|hash| hash.0), sequencer, first: TakeUp::No };
        let told = other.call(&Call { enclave: Some(enclave), claim: Claim::Admin, action: Action::Restore(restore) });
        if told.status == 200 {
            assert_eq!(snapshot(&other, &enclave), file);
            assert_eq!(other.ask(&enclave, Action::InfoEnclave).value()["bound"], false);
        } else {
            assert_eq!(other.dump(), before);
        }
        told.word()
    };
    assert_eq!(pinned(None, None), "invalid_structure");
    assert_eq!(pinned(Some(hash), None), "invalid_structure");
    assert_eq!(pinned(None, Some(sequencer)), "invalid_structure");
    assert_eq!(pinned(Some(CommitHash([1; 32])), Some(sequencer)), "invalid_structure");
    assert_eq!(pinned(Some(hash), Some(id("bob"))), "invalid_structure");
    assert_eq!(pinned(Some(hash), Some(sequencer)), "ok");
}

/// A host fails at any statement of a restore: nothing is left, and the next attempt goes through.
#[test]
fn a_store_that_fails() {
    let (_, enclave, file) = scenario();
    let other = elsewhere();
    let before = other.dump();
    let restore = Restore { snapshot: file, manifest: None, sequencer: None, first: TakeUp::No };
    let call = Call { enclave: Some(enclave), claim: Claim::Admin, action: Action::Restore(restore) };
    for after in (1..).step_by(7) {
        other.fail_after.set(after);
        let outcome = other.written(&call, false);
        let left = other.fail_after.replace(0);
        if left > 0 {
            outcome.expect("there were fewer statements");
            break;
        }
        assert!(outcome.is_err());
        assert_eq!(other.dump(), before, "after {after} statements");
    }
    assert_ne!(other.dump(), before);
}

/// A log that its owner moved: taken up once, it goes on under the new key, and all of it can be followed to the end.
#[test]
fn handed_over() {
    let (old, enclave) = (World::new(), World::new().begin(&template("group")));
    assert_eq!(old.begin(&template("group")), enclave);
    old.say(&enclave, "alice", "Move", r#"{"target":"@bob","to":"MEMBER"}"#, &[]).expect(200);
    old.pass(6000).say(&enclave, "bob", "message", "1", &[]).expect(200);
    let sth = Sth::from_json(old.ask(&enclave, Action::Sth).json()).expect("a head");
    let new = World::new();
    let successor = new.hold(&[9; 32], None);
    let root = protocol::ids::hex(&sth.root_hash);
    let migrate = format!(r#"{{"new_sequencer":"{}","prev_seq":2,"ct_root":"{root}"}}"#, successor.hex());
    old.say(&enclave, "alice", "Migrate", &migrate, &[]).expect(200);
    let file = snapshot(&old, &enclave);
    let take_up = |world: &World, file: &[u8], first: TakeUp| {
        let restore = Restore { snapshot: file.to_vec(), manifest: None, sequencer: None, first };
        world.call(&Call { enclave: Some(enclave), claim: Claim::Admin, action: Action::Restore(restore) }).value()["live"]
            == true
    };
    new.now.set(old.now.get() + 10_000);
    for (first, held) in [(TakeUp::No, true), (TakeUp::Asserted, true), (TakeUp::Noted, false)] {
        let other = elsewhere();
        if held {
            other.hold(&[9; 32], None);
        }
        assert!(!take_up(&other, &file, first), "{first:?}");
        assert!(other.signed.borrow().is_empty());
        assert_eq!(other.say(&enclave, "bob", "message", "2", &[]).word(), "enclave_migrated");
    }
    assert!(take_up(&new, &file, TakeUp::Noted));
    let first = Sth::from_json(new.ask(&enclave, Action::Sth).json()).expect("a head");
    assert_eq!((first.sequencer, first.tree_size, first.timestamp), (successor, 2, new.now.get()));
    first.verify().expect("signed at once");
    let info = new.ask(&enclave, Action::InfoEnclave).value();
    assert_eq!(
        (&info["status"], &info["live"], &info["sequencer"]),
        (&"active".into(), &true.into(), &successor.hex().into())
    );
    assert_ne!(
        info["log_vkey"],
        old.ask(&enclave, Action::InfoEnclave).value()["log_vkey"],
        "the log key changes with it"
    );
    // A file that says it was taken up, by a head of the successor over no event of its own: served as that, and not taken up again.
    let taken = snapshot(&new, &enclave);
    let other = elsewhere();
    other.hold(&[9; 32], None);
    other.now.set(new.now.get());
    assert!(!take_up(&other, &taken, TakeUp::Noted));
    let served = Sth::from_json(other.ask(&enclave, Action::Sth).json()).expect("a head");
    assert_eq!((&served, served.verify()), (&first, Ok(())));
    assert_eq!(other.say(&enclave, "bob", "message", "2", &[]).word(), "read_only");
    let receipt = new.say(&enclave, "bob", "message", "2", &[]).receipt();
    assert_eq!((receipt.position.seq, receipt.position.sequencer), (4, successor));
    new.pass(6000).say(&enclave, "bob", "message", "3", &[]).expect(200);
    new.pass(6000);
    // Sessions are for the new key.
    let filter = || Action::Query(service::call::Filter { limit: 9, ..Default::default() });
    let ask = |claim: Claim| new.call(&Call { enclave: Some(enclave), claim, action: filter() }).word();
    assert_eq!(ask(new.session("bob")), "invalid_session");
    assert_eq!(ask(new.session_at("bob", &successor)), "ok");
    let whole = snapshot(&new, &enclave);
    for world in [elsewhere(), elsewhere()] {
        restore(&world, &enclave, Claim::Admin, &whole).expect(200);
        assert_eq!(snapshot(&world, &enclave), whole);
        assert_eq!(world.say(&enclave, "bob", "message", "4", &[]).word(), "read_only");
    }
    // The Migrate is no longer its last event: nothing makes this log live elsewhere.
    let other = elsewhere();
    other.hold(&[9; 32], None);
    assert!(!take_up(&other, &whole, TakeUp::Noted));
}
