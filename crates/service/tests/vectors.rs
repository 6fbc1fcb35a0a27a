//! The vectors of whole enclaves: every byte that a node makes of a script comes out as two other programs made it.

use crate::world::{Told, World, secret, vectors_file};
use protocol::commit::{Draft, parse_tags};
use protocol::schnorr::KeyPair;
use protocol::{EnclaveId, Event, Json, VerifiedCommit};
use serde_json::{Value, json};
use service::Call;
use service::call::{Action, Claim, InclusionOf, Restore, TakeUp};
use std::collections::BTreeMap;

const GIVEN: &str = "enc-vectors.json";
const GENERATED: &str = "generated.json";

fn group(file: &str, name: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(&vectors_file(file)).expect("JSON");
    all["groups"][name].as_array().unwrap_or_else(|| panic!("no group {name} in {file}")).clone()
}

fn read(value: &Value) -> Json {
    protocol::json::parse(value.to_string().as_bytes(), 64).expect("within the rules")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn pair(hex: &str) -> KeyPair {
    KeyPair::from_secret(&protocol::ids::parse_hex(hex).expect("hex")).expect("a scalar")
}

/// A script of the vectors, played on a node.
struct Play {
    keys: BTreeMap<String, KeyPair>,
    commits: Vec<VerifiedCommit>,
    times: Vec<u64>,
    enclave: EnclaveId,
    expected: Value,
}

impl Play {
    fn of(case: &Value) -> Play {
        let keys: BTreeMap<String, KeyPair> = case["input"]["keys"]
            .as_object()
            .expect("keys")
            .iter()
            .map(|(name, secret)| (name.clone(), pair(text(secret))))
            .collect();
        let expected = case["expected"].clone();
        let steps = case["input"]["script"].as_array().expect("a script");
        let events = expected["events"].as_array().expect("events");
        let enclave = EnclaveId::parse(text(&expected["enclave"])).expect("an id");
        let mut play = Play { keys, commits: Vec::new(), times: Vec::new(), enclave, expected: expected.clone() };
        for (step, event) in steps.iter().zip(events) {
            let commit = match step.get("content") {
                Some(_) => play.commit(step),
                None => play.commit_of(text(&step["from"]), event),
            };
            assert_eq!(commit.commit().hash.hex(), text(&event["hash"]));
            play.commits.push(commit);
            play.times.push(number(&step["at"]));
        }
        assert_eq!(play.commits.len(), events.len());
        play
    }

    /// The commit of a step that says all.
    fn commit(&self, step: &Value) -> VerifiedCommit {
        let key = &self.keys[text(&step["from"])];
        let exp = step.get("exp").map_or_else(|| number(&step["at"]) + 60_000, number);
        let tags = self.tags(step.get("tags"));
        let content = read(&step["content"]);
        if step["type"] == "Manifest" {
            let mut draft = Draft::manifest(key, &content, tags, exp);
            draft.enclave = self.enclave;
            return draft.sign(key);
        }
        Draft { tags, ..Draft::new(self.enclave, text(&step["type"]), &content, exp) }.sign(key)
    }

    /// The commit of an event as it is served at the end; what was deleted is known.
    fn commit_of(&self, from: &str, event: &Value) -> VerifiedCommit {
        let content = event
            .get("content")
            .map_or_else(|| Json::from(if event["type"] == "Update" { "hello" } else { "hi" }), read);
        let draft = Draft::new(self.enclave, text(&event["type"]), &content, number(&event["exp"]));
        Draft { tags: self.tags(event.get("tags")), ..draft }.sign(&self.keys[from])
    }

    fn tags(&self, tags: Option<&Value>) -> Vec<Vec<String>> {
        let events = &self.expected["events"];
        let filled = |word: &Value| match text(word).strip_prefix('$') {
            Some(place) => events[place.parse::<usize>().expect("a place")]["id"].clone(),
            None => word.clone(),
        };
        let rows = tags.and_then(Value::as_array).into_iter().flatten();
        let rows: Vec<Value> = rows.map(|row| row.as_array().expect("a tag").iter().map(filled).collect()).collect();
        parse_tags(read(&Value::from(rows))).expect("tags")
    }

    fn play(&self, world: &World, upto: usize, mut after: impl FnMut(usize, &Told)) {
        for (place, commit) in self.commits.iter().enumerate().take(upto) {
            world.now.set(self.times[place]);
            let told = world.commit(commit);
            told.expect(200);
            after(place, &told);
        }
    }

    fn snapshot(&self, world: &World) -> Vec<u8> {
        let call = Call { enclave: Some(self.enclave), claim: Claim::Admin, action: Action::Snapshot };
        world.call(&call).expect(200).body.clone()
    }
}

fn plays() -> Vec<(String, Play)> {
    let cases = [GIVEN, GENERATED].iter().flat_map(|file| group(file, "enclave"));
    let plays: Vec<_> = cases.map(|case| (text(&case["name"]).to_owned(), Play::of(&case))).collect();
    assert_eq!(plays.len(), 4);
    plays
}

fn play(name: &str) -> Play {
    plays().into_iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no enclave {name}")).1
}

fn entries(world: &World) -> Vec<String> {
    let mut statement = world.db.prepare("SELECT entry FROM bundles ORDER BY idx").expect("a statement");
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).expect("rows");
    rows.map(|row| protocol::ids::hex(&row.expect("an entry"))).collect()
}

/// The state's root after the last event, as `state` would prove it: read from the record.
fn state_root(world: &World, enclave: &EnclaveId) -> String {
    let sql = "SELECT value FROM node_state WHERE enclave = ?1 AND key = 'record'";
    let bytes: Vec<u8> = world.db.query_row(sql, [enclave.0], |row| row.get(0)).expect("a record");
    protocol::ids::hex(&service::record::Record::decode(*enclave, &bytes).expect("a record").state_root)
}

#[test]
fn events_roots_entries_and_heads() {
    for (name, play) in plays() {
        let world = World::new();
        let roots = play.expected["state_root_after"].as_array().expect("roots");
        play.play(&world, usize::MAX, |place, _| {
            assert_eq!(state_root(&world, &play.enclave), text(&roots[place]), "{name} after event {place}");
        });
        assert_eq!(json!(entries(&world)), play.expected["entries"], "{name}");
        let sth = world.ask(&play.enclave, Action::Sth);
        assert_eq!(sth.expect(200).value(), play.expected["sth"], "{name}");
        assert_eq!(events(&world, &play), play.expected["events"], "{name}");
        let restarted = events(&world, &play);
        world.forget_all();
        assert_eq!(events(&world, &play), restarted, "{name}");
    }
}

/// All events, as the Manifest's author reads them who may read all of it.
fn events(world: &World, play: &Play) -> Value {
    let commit = play.commits[0].commit();
    let reader = play.keys.values().find(|key| key.public() == commit.from).expect("the author's key");
    let expires = u32::try_from(world.now.get() / 1000 + 60).expect("before 2106");
    let sequencer = secret(crate::world::NODE).public();
    let token = protocol::session::Session::make(reader, &sequencer, expires).plain.hex();
    let call = Call {
        enclave: Some(play.enclave),
        claim: Claim::Session { from: reader.public(), token },
        action: Action::Query(service::call::Filter { limit: 1000, ..Default::default() }),
    };
    let told = world.call(&call);
    // In "group" the author has left in the end: what it kept ends with its own Move.
    let mut all = told.expect(200).value()["events"].take();
    let read = all.as_array().expect("events").len();
    for event in &play.expected["events"].as_array().expect("events")[read..] {
        let id = text(&event["id"]);
        let stored = world.rows(&format!("SELECT seq FROM events WHERE id = x'{id}'"));
        assert_eq!(stored.len(), 1, "event {id} is stored");
        all.as_array_mut().expect("events").push(event.clone());
    }
    all
}

/// Alarms, reads by readers and restarts change no byte of what is made.
#[test]
fn what_happens_in_between_changes_nothing() {
    for (name, play) in plays() {
        let calm = World::new();
        play.play(&calm, usize::MAX, |_, _| {});
        let busy = World::new();
        play.play(&busy, usize::MAX, |place, told| {
            assert_eq!(told.receipt().position.seq, place as u64);
            let next = play.times.get(place + 1).copied().unwrap_or_else(|| busy.now.get());
            let due = busy.alarms.borrow().get(&play.enclave).copied();
            if let Some(due) = due.filter(|due| *due <= next) {
                busy.now.set(due);
                busy.ring();
            }
            busy.ask(&play.enclave, Action::InfoEnclave).expect(200);
            busy.ask(&play.enclave, Action::Checkpoint).expect(200);
            if place % 3 == 0 {
                busy.forget_all();
            }
        });
        busy.now.set(calm.now.get());
        assert_eq!(*busy.checkpoints.borrow(), *calm.checkpoints.borrow(), "{name}");
        assert_eq!(play.snapshot(&busy), play.snapshot(&calm), "{name}");
        assert_eq!(busy.dump(), calm.dump(), "{name}");
    }
}

#[test]
fn receipts_heads_checkpoints_and_proofs() {
    for case in group(GENERATED, "enclave_proofs") {
        let name = text(&case["name"]);
        let (play, expected) = (play(name), &case["expected"]);
        let world = World::new();
        let mut receipts = Vec::new();
        let mut proven = 0;
        let asked = case["input"]["state"].as_array().expect("keys");
        play.play(&world, usize::MAX, |_, told| {
            receipts.push(told.value());
            // The state after a bundle is served until the next one closes.
            let size = tree_size(&world, &play.enclave);
            for (row, key) in asked.iter().enumerate().filter(|(_, key)| number(&key["leaf_index"]) + 1 == size) {
                proven += check_state(&world, &play, key, &expected["state"][row], size);
            }
        });
        assert!(proven >= asked.len() / 3, "{name}: states after some bundle at least have been asked for");
        assert_eq!(Value::from(receipts), expected["receipts"], "{name}");
        assert_eq!(json!(*world.checkpoints.borrow()), expected["checkpoints"], "{name}");
        let signed = world.signed.borrow();
        for sth in expected["sths"].as_array().expect("heads") {
            assert!(signed.iter().any(|(_, signature)| signature == text(&sth["signature"])), "{name}: {sth}");
        }
        drop(signed);
        check_inclusion(&world, &play, expected);
        for path in expected["consistency"].as_array().expect("paths") {
            let (from, to) = (number(&path["from"]), number(&path["to"]));
            let told = world.ask(&play.enclave, Action::Consistency { from, to });
            assert_eq!(told.expect(200).value(), *path, "{name}");
        }
    }
}

fn tree_size(world: &World, enclave: &EnclaveId) -> u64 {
    number(&world.ask(enclave, Action::Sth).expect(200).value()["tree_size"])
}

/// Asks in the author's name while it may read.
fn as_author(world: &World, play: &Play, action: Action) -> Told {
    let from = play.commits[0].commit().from;
    world.call(&Call { enclave: Some(play.enclave), claim: Claim::Envelope { from }, action })
}

fn check_state(world: &World, play: &Play, key: &Value, expected: &Value, size: u64) -> usize {
    let raw = protocol::ids::decode_hex(text(&key["key"])).expect("hex");
    let namespace = u8::try_from(number(&key["namespace"])).expect("a namespace");
    let action = Action::State { items: vec![(namespace, raw)], batch: false, tree_size: None };
    let told = as_author(world, play, action);
    if told.status == 403 {
        return 0;
    }
    let told = told.expect(200).value();
    let newest = number(&expected["tree_size"]) == size;
    for member in ["proof", "state_hash", "last_event_hash", "entry", "leaf_index"] {
        assert_eq!(told[member], expected[member], "{member} of {key}");
    }
    for member in ["audit_path", "tree_size"].iter().filter(|_| newest) {
        assert_eq!(told[*member], expected[*member], "{member} of {key}");
    }
    1
}

/// For each bundled event the answer of the route, without its `sth`; asked by one who may still read.
fn check_inclusion(world: &World, play: &Play, expected: &Value) {
    let reader = play.keys.values().find(|key| {
        let call = Call {
            enclave: Some(play.enclave),
            claim: Claim::Envelope { from: key.public() },
            action: Action::Inclusion { of: InclusionOf::Leaf(0), tree_size: None },
        };
        world.call(&call).status == 200
    });
    let from = reader.expect("somebody may read").public();
    for answer in expected["inclusion"].as_array().expect("answers") {
        let id = protocol::EventId::parse(text(&answer["bundle"]["event_id"])).expect("an id");
        let claim = Claim::Envelope { from };
        let action = Action::Inclusion { of: InclusionOf::Event(id), tree_size: None };
        let mut told = world.call(&Call { enclave: Some(play.enclave), claim, action }).expect(200).value();
        assert!(told.as_object_mut().expect("an object").remove("sth").is_some());
        assert_eq!(told, *answer);
    }
}

#[test]
fn refused_on_the_log_as_it_stood() {
    let cases = group(GENERATED, "enclave_refused");
    assert_eq!(cases.len(), 34);
    let play = play("group");
    let world = World::new();
    let judged = |after: usize| {
        for case in cases.iter().filter(|case| number(&case["input"]["after_seq"]) as usize == after) {
            let step = &case["input"]["step"];
            let then = world.now.replace(number(&step["at"]));
            let told = world.rehearse(|| world.commit(&play.commit(step)));
            world.now.set(then);
            assert_eq!(told.code().as_deref(), case["expected"]["error"].as_str(), "{}", case["name"]);
        }
    };
    play.play(&world, usize::MAX, |place, _| judged(place));
}

#[test]
fn snapshots() {
    let cases = [GIVEN, GENERATED].iter().flat_map(|file| group(file, "snapshot"));
    let mut checked = 0;
    for case in cases {
        let play = play(text(&case["name"]));
        let world = World::new();
        play.play(&world, usize::MAX, |_, _| {});
        let snapshot = play.snapshot(&world);
        assert_eq!(snapshot.len() as u64, number(&case["expected"]["length"]));
        assert_eq!(protocol::ids::hex(&protocol::cbor::sha256(&snapshot)), text(&case["expected"]["sha256"]));
        assert_eq!(snapshot, base64(text(&case["expected"]["base64"])));
        checked += 1;
    }
    assert_eq!(checked, 4);
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("no base64: {byte}"),
    };
    let mut out = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0u32, |bits, byte| bits << 6 | u32::from(digit(*byte))) << (6 * (4 - four.len()));
        out.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    out
}

fn restore(world: &World, snapshot: &[u8], first: TakeUp) -> Told {
    let enclave = protocol::snapshot::Snapshot::read(snapshot).map_or(EnclaveId([7; 32]), |read| read.sth.enclave);
    let restore = Restore { snapshot: snapshot.to_vec(), manifest: None, sequencer: None, first };
    world.call(&Call { enclave: Some(enclave), claim: Claim::Admin, action: Action::Restore(restore) })
}

#[test]
fn restore_bundles() {
    let cases: Vec<Value> = [GIVEN, GENERATED].iter().flat_map(|file| group(file, "restore_bundles")).collect();
    assert_eq!(cases.len(), 30);
    for case in &cases {
        let world = World::new();
        world.now.set(1_800_000_000_000);
        let before = world.dump();
        let snapshot = base64(text(&case["input"]["snapshot_base64"]));
        let told = restore(&world, &snapshot, TakeUp::No);
        assert_eq!(told.status == 200, case["expected"]["valid"] == true, "{}: {}", case["name"], told.word());
        if told.status == 200 {
            let enclave = EnclaveId::parse(text(&told.value()["enclave_id"])).expect("an id");
            let call = Call { enclave: Some(enclave), claim: Claim::Admin, action: Action::Snapshot };
            assert_eq!(world.call(&call).expect(200).body, snapshot, "{}", case["name"]);
        } else {
            assert_eq!(world.dump(), before, "{}", case["name"]);
        }
    }
}

#[test]
fn restore_after_migrate() {
    let cases: Vec<Value> = [GIVEN, GENERATED].iter().flat_map(|file| group(file, "restore_after_migrate")).collect();
    assert_eq!(cases.len(), 10);
    for case in &cases {
        let (input, expected) = (&case["input"], &case["expected"]);
        let world = World::new();
        world.now.set(1_800_000_000_000);
        if input["key_held"] == true {
            world.hold(&protocol::ids::parse_hex(text(&input["new_sequencer_priv"])).expect("hex"), None);
        }
        // What was asserted counts when the host has noted it, which it does once.
        let first = match (input["first"] == true, input["taken_up_before"] == true) {
            (true, false) => TakeUp::Noted,
            (true, true) => TakeUp::Asserted,
            (false, _) => TakeUp::No,
        };
        let snapshot = base64(text(&input["snapshot_base64"]));
        let told = restore(&world, &snapshot, first);
        assert_eq!(told.expect(200).value()["live"], expected["live"], "{}", case["name"]);
        let enclave = EnclaveId::parse(text(&told.value()["enclave_id"])).expect("an id");
        let info = world.ask(&enclave, Action::InfoEnclave).expect(200).value();
        assert_eq!(info["status"], expected["status"], "{}", case["name"]);
        assert_eq!(info["live"], expected["live"], "{}", case["name"]);
        assert_eq!(state_root(&world, &enclave), text(&expected["state_root"]), "{}", case["name"]);
        if expected["live"] == true {
            let sth = protocol::head::Sth::from_json(world.ask(&enclave, Action::Sth).json()).expect("a head");
            assert_eq!(sth.timestamp, world.now.get(), "a head is signed at once");
            assert_eq!(sth.sequencer.hex(), text(&info["sequencer"]));
            assert!(sth.verify().is_ok());
        }
    }
}

#[test]
fn chains_refused() {
    for file in [GIVEN, GENERATED] {
        for case in group(file, "chain_refused") {
            let of = text(&case["input"]["of"]).strip_prefix("enclave/").expect("a case of enclave");
            let play = play(of);
            let world = World::new();
            play.play(&world, usize::MAX, |_, _| {});
            let image = play.snapshot(&world);
            let read = protocol::snapshot::Snapshot::read(&image).expect("a snapshot");
            let all: Vec<Event> = read.events().map(|event| event.expect("an event")).collect();
            let order = case["input"]["ids"].as_array().expect("ids");
            let picked = order.iter().map(|id| {
                all.iter().find(|event| event.id.hex() == text(id)).unwrap_or_else(|| panic!("no event {id}"))
            });
            let picked: Vec<&Event> = picked.collect();
            let (mut writer, mut bytes) =
                protocol::snapshot::Writer::begin(&read.sth, picked.len() as u64).expect("a beginning");
            for event in &picked {
                bytes.extend(writer.event(event).expect("an event"));
            }
            let mut counts = read.bundles.clone();
            while counts.iter().sum::<u64>() > picked.len() as u64 {
                counts.pop();
            }
            bytes.extend(writer.finish(&counts, &read.seq_pub).expect("an end"));
            let fresh = World::new();
            fresh.now.set(1_800_000_000_000);
            let before = fresh.dump();
            restore(&fresh, &bytes, TakeUp::No).refused("invalid_structure");
            assert_eq!(fresh.dump(), before);
        }
    }
}
