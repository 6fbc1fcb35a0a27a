//! The golden vectors and those of the second reading, as far as the rules are concerned.

use crate::world::*;
use kernel::*;
use protocol::code::Detail;
use protocol::commit::{Draft, parse_tags};
use protocol::schnorr::KeyPair;
use protocol::snapshot::Snapshot;
use protocol::state::{Bitmask, Lifecycle, StateName};
use protocol::{Event, Json, PublicKey, Rejection, VerifiedCommit};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// A group of each file, with how many cases the rules must find there.
fn groups(name: &str, golden: usize, generated: usize) -> Vec<Value> {
    let mut cases = vec![];
    for (file, count) in [("enc-vectors.json", golden), ("generated.json", generated)] {
        let found = group(file, name);
        assert!(found.len() >= count, "{name} of {file} has only {}", found.len());
        cases.extend(found);
    }
    cases
}

fn group(file: &'static str, name: &str) -> Vec<Value> {
    /// Parsed once: together they are two megabytes.
    static FILES: [OnceLock<Value>; 2] = [OnceLock::new(), OnceLock::new()];
    let all = FILES[usize::from(file == "generated.json")].get_or_init(|| {
        let path = format!("{}/../../vectors/{file}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).expect("the vectors")).expect("JSON")
    });
    all["groups"][name].as_array().unwrap_or_else(|| panic!("no group {name} in {file}")).clone()
}

fn read(value: &Value) -> Json {
    protocol::json::parse(value.to_string().as_bytes(), 64).expect("within the rules")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

/// The key pairs that the vectors speak of, by public key.
struct Keys(BTreeMap<String, [u8; 32]>);

impl Keys {
    fn known() -> Keys {
        let named = groups("key", 6, 10).into_iter().map(|case| text(&case["input"]["priv"]).to_owned());
        let acting = groups("enclave", 1, 3).into_iter().flat_map(|case| {
            let keys = case["input"]["keys"].as_object().expect("keys").clone();
            keys.into_iter().map(|(_, secret)| text(&secret).to_owned())
        });
        let simple = (1..=0x60u8).map(|byte| protocol::ids::hex(&[byte; 32]));
        let secrets = named.chain(acting).chain(simple).map(|hex| protocol::ids::parse_hex(&hex).expect("a secret"));
        let pairs =
            secrets.filter_map(|secret: [u8; 32]| Some((KeyPair::from_secret(&secret).ok()?.public().hex(), secret)));
        Keys(pairs.collect())
    }

    fn pair(&self, public: &str) -> KeyPair {
        let secret = self.0.get(public).unwrap_or_else(|| panic!("nobody can sign for {public}"));
        KeyPair::from_secret(secret).expect("a scalar")
    }
}

/// The manifest, signed by one of its `init`, then one event on its first state.
fn judge(keys: &Keys, case: &Value) -> (World, Result<(), Rejection>) {
    let input = &case["input"];
    let creator = keys.pair(text(&input["manifest"]["RBAC"]["init"][0]["identity"]));
    let mut world = World::begun(manifest_commit(&read(&input["manifest"]), &creator), START);
    let author = keys.pair(text(&input["author"]));
    let mut draft = Draft::new(world.enclave(), text(&input["type"]), &read(&input["content"]), START + 1000);
    draft.tags = input.get("tags").map_or(vec![], |tags| parse_tags(read(tags)).expect("tags"));
    let outcome = world.submit(&draft.sign(&author)).map(drop);
    (world, outcome)
}

fn expect_code(case: &Value, outcome: &Result<(), Rejection>) {
    let refused = outcome.as_ref().err();
    assert_eq!(refused.map(|refused| refused.code.as_str()), case["expected"]["error"].as_str(), "{}", case["name"]);
    if let Some(index) = case["expected"]["index"].as_u64() {
        assert_eq!(refused.map(|refused| &refused.detail), Some(&Detail::Index(index)), "{}", case["name"]);
    }
}

fn expect_masks(case: &Value, world: &World) {
    for (identity, mask) in case["expected"]["bitmasks"].as_object().into_iter().flatten() {
        let identity = PublicKey::parse(identity).expect("a key");
        assert_eq!(protocol::ids::hex(&world.mask(&identity).0), text(mask), "{}", case["name"]);
    }
}

#[test]
fn rank_and_step_8() {
    let keys = Keys::known();
    for case in groups("rank", 14, 40).iter().chain(&groups("step_8", 9, 40)) {
        let (world, outcome) = judge(&keys, case);
        expect_code(case, &outcome);
        expect_masks(case, &world);
    }
}

#[test]
fn manifest() {
    let keys = Keys::known();
    for case in groups("manifest", 13, 80) {
        let author = keys.pair(text(&case["input"]["from"]));
        let outcome = begin(&manifest_commit(&read(&case["input"]["manifest"]), &author), None, START);
        expect_code(&case, &outcome.clone().map(drop));
        let path = case["expected"]["path"].as_str();
        let detail = outcome.err().map(|refused| refused.detail);
        assert_eq!(detail, path.map(|path| Detail::Path(path.into())), "{}", case["name"]);
    }
}

/// A scripted enclave: what is said, and what must become of it.
struct Script {
    name: String,
    steps: Vec<Value>,
    keys: BTreeMap<String, KeyPair>,
    expected: Value,
}

impl Script {
    fn all() -> Vec<Script> {
        groups("enclave", 1, 3).into_iter().map(Script::of).collect()
    }

    fn of(case: Value) -> Script {
        let keys = case["input"]["keys"].as_object().expect("keys").iter().map(|(name, secret)| {
            let secret = protocol::ids::parse_hex(text(secret)).expect("a secret");
            (name.clone(), KeyPair::from_secret(&secret).expect("a scalar"))
        });
        let mut steps = case["input"]["script"].as_array().expect("a script").clone();
        // The golden script leaves out what its events show; two of those contents were deleted.
        let deleted = [Value::Null, Value::Null, "hi".into(), "hello".into()];
        for (seq, step) in steps.iter_mut().enumerate().filter(|(_, step)| step.get("content").is_none()) {
            let event = &case["expected"]["events"][seq];
            step["content"] = event.get("content").unwrap_or_else(|| &deleted[seq]).clone();
            step["tags"] = event["tags"].clone();
        }
        Script { name: text(&case["name"]).to_owned(), keys: keys.collect(), steps, expected: case["expected"].clone() }
    }

    /// The worlds after each step.
    fn run(&self) -> Vec<World> {
        let first = &self.steps[0];
        let author = &self.keys[text(&first["from"])];
        let at = number(&first["at"]);
        let tags = first.get("tags").map_or(vec![], |tags| parse_tags(read(tags)).expect("tags"));
        let exp = first.get("exp").map_or(at + 60_000, number);
        let mut world = World::begun(Draft::manifest(author, &read(&first["content"]), tags, exp).sign(author), at);
        let mut worlds = vec![world.clone()];
        for (seq, step) in self.steps.iter().enumerate().skip(1) {
            let commit = self.commit(&mut world, step);
            world.submit(&commit).unwrap_or_else(|refused| panic!("{} {seq}: {refused:?}", self.name));
            worlds.push(world.clone());
        }
        worlds
    }

    fn commit(&self, world: &mut World, step: &Value) -> VerifiedCommit {
        world.now = number(&step["at"]);
        let exp = step.get("exp").map_or(world.now + 60_000, number);
        let author = &self.keys[text(&step["from"])];
        let mut draft = Draft::new(world.enclave(), text(&step["type"]), &read(&step["content"]), exp);
        draft.tags = step.get("tags").map_or(vec![], |tags| parse_tags(read(tags)).expect("tags"));
        for word in draft.tags.iter_mut().flatten() {
            if let Some(seq) = word.strip_prefix('$').and_then(|seq| seq.parse::<usize>().ok()) {
                *word = world.events[seq].id.hex();
            }
        }
        if draft.event_type == "Manifest" && step.get("enclave").is_none() {
            draft = Draft::manifest(author, &read(&step["content"]), draft.tags, exp);
            draft.enclave = world.enclave();
        }
        draft.sign(author)
    }

    /// Ids, signatures and state root, byte by byte.
    fn check(&self, world: &World, seq: usize) {
        let (made, event) = (&world.events[seq], &self.expected["events"][seq]);
        assert_eq!(made.id.hex(), text(&event["id"]), "{} {seq}", self.name);
        assert_eq!(made.seq_sig.hex(), text(&event["seq_sig"]), "{} {seq}", self.name);
        assert_eq!(made.position.type_seq, number(&event["type_seq"]), "{} {seq}", self.name);
        assert_eq!(made.position.timestamp, number(&event["timestamp"]), "{} {seq}", self.name);
        let root = text(&self.expected["state_root_after"][seq]);
        assert_eq!(protocol::ids::hex(&world.state_root()), root, "{}: state after {seq}", self.name);
    }
}

#[test]
fn enclave() {
    for script in Script::all() {
        let worlds = script.run();
        worlds.iter().enumerate().for_each(|(seq, world)| script.check(world, seq));
        let world = worlds.last().expect("the last step");
        let entries: Vec<Value> =
            world.entries.iter().map(|entry| protocol::ids::hex(&entry.encode()).into()).collect();
        assert_eq!(Value::from(entries), script.expected["entries"], "{}", script.name);
        assert_eq!(world.enclave().hex(), text(&script.expected["enclave"]));
        let sth = &script.expected["sth"];
        assert_eq!(protocol::ids::hex(&world.head.root), text(&sth["root_hash"]), "{}", script.name);
        assert_eq!(world.head.tree_size, number(&sth["tree_size"]), "{}", script.name);
        assert_eq!(world.heads.last(), Some(&number(&sth["timestamp"])), "{}", script.name);
    }
}

#[test]
fn enclave_refused() {
    let scripts: Vec<_> = Script::all().into_iter().map(|script| (script.run(), script)).collect();
    let cases = group("generated.json", "enclave_refused");
    assert!(cases.len() >= 34);
    for case in &cases {
        let of = text(&case["input"]["of"]).strip_prefix("enclave/").expect("a script");
        let (worlds, script) = scripts.iter().find(|(_, script)| script.name == of).expect("a script of ours");
        let mut world = worlds[number(&case["input"]["after_seq"]) as usize].clone();
        let commit = script.commit(&mut world, &case["input"]["step"]);
        expect_code(case, &world.submit(&commit).map(drop));
    }
}

/// The events of a log are judged again, also where contents are gone; a Migrate that is taken up leaves its leaf until the next event.
#[test]
fn restore_after_migrate() {
    for case in groups("restore_after_migrate", 4, 6) {
        let bytes = base64(text(&case["input"]["snapshot_base64"]));
        let mut world = replay(&bytes).unwrap_or_else(|seq| panic!("{}: event {seq}", case["name"]));
        let secret = protocol::ids::parse_hex(text(&case["input"]["new_sequencer_priv"])).expect("a secret");
        let pair = KeyPair::from_secret(&secret).expect("a scalar");
        let root = |world: &World| protocol::ids::hex(&world.state_root());
        assert_eq!(
            (world.head.lifecycle, root(&world).as_str()),
            (Lifecycle::Migrated, text(&case["expected"]["state_root"]))
        );
        if case["expected"]["live"] == true {
            assert_eq!(world.head.migrated_to, Some(pair.public()));
            world.head.live = false;
            assert!(world.head.take_up());
            assert_eq!((world.head.live, world.head.lifecycle.as_str()), (true, text(&case["expected"]["status"])));
            assert_eq!(root(&world), text(&case["expected"]["state_root"]));
            world.sequencer = pair.into();
            world.now = world.head.last_timestamp;
            let creator = Keys::known().pair(&world.events[0].from.hex());
            let message = if world.manifest.rbac.customs.iter().any(|row| row.event == "message") {
                "message"
            } else {
                "Message"
            };
            let commit = Draft::new(world.enclave(), message, &Json::Null, world.now).sign(&creator);
            world.submit(&commit).expect("the owner's");
            let Ok(slot) = world.slot(&StateName::Lifecycle);
            assert_eq!(slot, Slot::Absent, "the first event after a Migrate removes the leaf");
        }
    }
}

/// Every snapshot that is valid holds a log that the rules admit, with the roots that its head signs.
#[test]
fn restore_bundles() {
    let mut valid = 0;
    for case in groups("restore_bundles", 2, 20).iter().filter(|case| case["expected"]["valid"] == true) {
        let bytes = base64(text(&case["input"]["snapshot_base64"]));
        let world = replay(&bytes).unwrap_or_else(|seq| panic!("{}: event {seq}", case["name"]));
        let snapshot = Snapshot::read(&bytes).expect("a snapshot");
        let counts: Vec<u64> = world.entries.iter().map(|entry| entry.count).collect();
        assert!(snapshot.bundles.starts_with(&counts), "{}: {counts:?}", case["name"]);
        if snapshot.bundles.len() == counts.len() {
            assert_eq!((world.head.tree_size, world.head.root), (snapshot.sth.tree_size, snapshot.sth.root_hash));
        }
        valid += 1;
    }
    assert!(valid >= 5, "{valid}");
}

/// Judges a snapshot's events one after another; the `seq` of the first that is refused.
fn replay(bytes: &[u8]) -> Result<World, u64> {
    let snapshot = Snapshot::read(bytes).expect("a snapshot");
    let mut events = snapshot.events().map(|event| event.expect("an event"));
    let first: Event = events.next().expect("the Manifest");
    let mut world = World::begun(first.verified().expect("a log that holds"), first.position.timestamp);
    for event in events {
        world.replay(&event).map_err(|_| event.position.seq)?;
    }
    Ok(world)
}

/// RFC 4648 with padding.
fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').map(digit).collect();
    let groups = digits.chunks(4).flat_map(|group| {
        let word =
            group.iter().enumerate().fold(0u32, |word, (place, digit)| word | u32::from(*digit) << (18 - 6 * place));
        word.to_be_bytes()[1..group.len()].to_vec()
    });
    groups.collect()
}

/// The last millisecond before `due` belongs to the old bundle, `due` itself does not.
#[test]
fn due() {
    let manifest =
        group("enc-vectors.json", "step_8")[0]["input"]["manifest"].to_string().replace("\"size\":2", "\"size\":3");
    for (after, entries) in [(4999, 0), (5000, 1)] {
        let mut world = World::new(&manifest);
        world.now = START + after;
        world.run("alice message -> ok");
        assert_eq!(world.entries.len(), entries, "{after}");
    }
}

#[test]
fn bitmask() {
    for case in groups("smt_bitmask", 1, 4) {
        let input = &case["input"];
        let place = |list: &str, name: &str| {
            let names = input[list].as_array().expect("names").iter().map(text);
            names.map(|declared| declared.split('(').next().expect("a name")).position(|declared| declared == name)
        };
        let mut mask = Bitmask::default();
        let state = place("states", text(&input["state"])).map_or(0, |place| place as u8 + 1);
        mask.set_state(protocol::manifest::StateNumber(state));
        for held in input["has"].as_array().expect("names") {
            let index = place("traits", text(held)).expect("declared") as u8;
            mask.set(protocol::manifest::TraitIndex(index), true);
        }
        let value = mask.value().map(|value| protocol::ids::hex(&value));
        assert_eq!(
            value.unwrap_or_else(|| "00".repeat(32)),
            case["expected"]["value"].as_str().unwrap_or_default(),
            "{}",
            case["name"]
        );
    }
}
