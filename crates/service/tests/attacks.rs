//! The attacks that the protocol's second edition stops, each as a node meets it (`docs/protocol.md`, Reasons). Those on roles are
//! the kernel's tests, those on proofs and files the protocol's; push, subscriptions and restore have files of their own here.

use crate::world::{Ask, NODE, START, World, id, json, key, secret, template};
use protocol::commit::Draft;
use protocol::head::Sth;
use protocol::schnorr::KeyPair;
use protocol::session::Session;
use protocol::state::StateName;
use protocol::{Commit, EnclaveId, Json};
use serde_json::Value;
use service::Call;
use service::call::{Action, CheckedCommit, Claim, Filter, InitWithPriv, Pull};
use tlog::tile::TilePath;

fn open() -> (World, EnclaveId) {
    let world = World::new();
    let enclave = world.begin(&template("open"));
    (world, enclave)
}

/// C1. A token that anyone can compute from a public key opens nothing.
#[test]
fn a_forged_session_is_nobodys() {
    const FORGED: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
        2902d82f3bae544fdf058f2ca773ec33f7ced1b41099b2517538fc94b1b9a1b465af8c90";
    let world = World::new();
    let victim = KeyPair::from_secret(&[0x33; 32]).expect("a scalar");
    let manifest = template("group").to_jcs().replace(&id("alice").hex(), &victim.public().hex());
    let draft = Draft::manifest(&victim, &json(&manifest), vec![], START + 60_000);
    let enclave = draft.enclave;
    world.commit(&draft.sign(&victim)).expect(200);
    let forged = Claim::Session { from: victim.public(), token: FORGED.to_owned() };
    let honest = Session::make(&victim, &world.facts.sequencer, 1_706_003_600);
    let encrypted = Claim::Session { from: victim.public(), token: honest.encrypted.hex() };
    let plain = Claim::Session { from: victim.public(), token: honest.plain.hex() };
    let actions: [fn() -> Action; 8] = [
        || Action::Query(Filter { limit: 1, ..Default::default() }),
        || Action::Pull(Pull { url: None, start_after: 0, limit: 1 }),
        || Action::CloseBundle,
        || Action::Snapshot,
        || Action::Push { url: Some("https://a.example/".to_owned()) },
        || Action::Push { url: None },
        || Action::State { items: vec![], batch: true, tree_size: None },
        || Action::InfoEnclave,
    ];
    for action in actions {
        let told =
            |claim: &Claim| world.call(&Call { enclave: Some(enclave), claim: claim.clone(), action: action() }).word();
        assert_eq!(told(&forged), "invalid_session");
        assert_eq!(told(&encrypted), "invalid_session", "the short form proves nothing in plain");
        assert_ne!(told(&plain), "invalid_session");
    }
    let mut elsewhere = world.session_at("alice", &secret(0x45).public());
    if let Claim::Session { from, .. } = &mut elsewhere {
        *from = id("alice");
    }
    let call = Call { enclave: Some(enclave), claim: elsewhere, action: Action::InfoEnclave };
    world.call(&call).refused("invalid_session");
}

/// C2. A signature says which content was signed: a text and the value that it spells are two contents.
#[test]
fn a_text_is_not_the_value_it_spells() {
    let (world, enclave) = open();
    for (signed, swapped) in [(r#""5""#, "5"), (r#""null""#, "null"), (r#""[]""#, "[]"), (r#""{}""#, "{}")] {
        let commit = world.sign(&enclave, "alice", "Message", &json(signed));
        let other = Commit { content: swapped.to_owned(), ..commit.commit().clone() };
        let checked = CheckedCommit::check(other, &|_| false);
        world.ask(&enclave, Action::Commit(checked)).refused("invalid_hash");
        world.commit(&commit).expect(200);
    }
    let world = World::new();
    let enclave = world.begin(&template("group"));
    let mut roots = std::collections::BTreeSet::new();
    for value in [r#""5""#, "5", r#""null""#, r#""5 ""#, "[5]"] {
        let said = format!(r#"{{"key":"topic","value":{value}}}"#);
        world.say(&enclave, "alice", "Shared", &said, &[]).expect(200);
        roots.insert(slot(&world, &enclave, &StateName::Shared("topic")));
    }
    assert_eq!(roots.len(), 5, "five values, five leaves");
}

/// A value of the state as it runs.
fn slot(world: &World, enclave: &EnclaveId, name: &StateName<'_>) -> Option<[u8; 32]> {
    use kernel::View;
    world.read(|host, _| service::view::Rows { rt: host, enclave, warm: None }.slot(name)).expect("a slot").value()
}

/// C4. What operates a node is not for everybody.
#[test]
fn operational_routes_are_guarded() {
    let (world, enclave) = open();
    let hex = enclave.hex();
    let before = world.dump();
    for name in ["mallory", "bob"] {
        let session = world.session(name);
        world.request(&Ask::get(&format!("/{hex}/snapshot")).claimed(&session)).refused("unauthorized");
        world.post_as(&enclave, name, "close-bundle", "").refused("unauthorized");
        let bare = Ask::new("POST", &format!("/{hex}/close-bundle")).claimed(&session);
        world.request(&bare).refused("unauthorized");
    }
    world.request(&Ask::get(&format!("/{hex}/snapshot"))).refused("unauthorized");
    world.request(&Ask::new("POST", &format!("/{hex}/close-bundle"))).refused("unauthorized");
    let file = Ask::new("POST", "/restore").typed("application/octet-stream").body(b"ENC1");
    let named = |ask: &Ask| {
        let mut ask = ask.clone();
        ask.line.query = format!("enclave={}", "ab".repeat(32));
        ask
    };
    world.request(&named(&file)).refused("unauthorized");
    assert_eq!(world.dump(), before);
    let bare = Ask::new("POST", &format!("/{hex}/close-bundle")).claimed(&world.session("alice"));
    let closed = world.request(&bare).expect(200).value();
    assert_eq!((&closed["ok"], &closed["sth"]["tree_size"]), (&true.into(), &1.into()));
    world.post_as(&enclave, "alice", "close-bundle", "").expect(200);
}

/// C5. Beyond its Migrate an enclave takes nothing here, and signs nothing.
#[test]
fn a_migrated_enclave_is_over_here() {
    let (world, enclave) = open();
    world.say(&enclave, "alice", "Message", "1", &[]).expect(200);
    let sth = Sth::from_json(world.ask(&enclave, Action::Sth).json()).expect("a head");
    let migrate = |new: &str, prev_seq: u64, root: &[u8; 32]| {
        format!(r#"{{"new_sequencer":"{new}","prev_seq":{prev_seq},"ct_root":"{}"}}"#, protocol::ids::hex(root))
    };
    let new = id("zoe").hex();
    let wrong = world.say(&enclave, "alice", "Migrate", &migrate(&new, 0, &sth.root_hash), &[]);
    assert_eq!(wrong.refused("bad_state").value()["prev_seq"], 1, "the owner learns what it would have to name");
    world.say(&enclave, "alice", "Migrate", &migrate(&new, 1, &[7; 32]), &[]).refused("bad_state");
    world.say(&enclave, "bob", "Migrate", &migrate(&new, 1, &sth.root_hash), &[]).refused("unauthorized");
    world
        .say(&enclave, "alice", "Migrate", &migrate(&world.facts.sequencer.hex(), 1, &sth.root_hash), &[])
        .refused("invalid_structure");
    world.say(&enclave, "alice", "Migrate", &migrate(&new, 1, &sth.root_hash), &[]).expect(200);
    let after = world.say(&enclave, "alice", "Message", "2", &[]);
    assert_eq!(after.refused("enclave_migrated").value()["new_sequencer"], new.as_str());
    assert_eq!(after.status, 410);
    let signed = world.signed.borrow().len();
    let last = world.ask(&enclave, Action::Sth).expect(200).value();
    assert_eq!(last["tree_size"], 1);
    world.pass(10_000_000).alarm(&enclave);
    assert_eq!(world.ask(&enclave, Action::Sth).value(), last, "no head beyond the Migrate");
    let close = Call { enclave: Some(enclave), claim: Claim::Admin, action: Action::CloseBundle };
    world.call(&close).expect(200);
    assert_eq!(world.signed.borrow().len(), signed);
    let info = world.ask(&enclave, Action::InfoEnclave).value();
    assert_eq!(info["status"], "migrated");
    world.query(&enclave, Some("alice"), "{}").expect(200);
}

/// C6. The Manifest names the sequencer, so another node sequences nothing of it; an id says whose it is.
#[test]
fn a_manifest_is_for_the_node_it_names() {
    let world = World::new();
    let commit = |manifest: &Json| Draft::manifest(&key("alice"), manifest, vec![], START + 60_000);
    let elsewhere = json(&template("open").to_jcs().replace(&world.facts.sequencer.hex(), &id("zoe").hex()));
    let told = world.commit(&commit(&elsewhere).sign(&key("alice")));
    assert_eq!(told.refused("invalid_manifest").value()["path"], "sequencer");
    // Somebody's enclave elsewhere, provisioned here with a key of ours: its Manifest is not taken.
    let shadowed = commit(&elsewhere).enclave;
    let key_here = world.hold(&[9; 32], Some(shadowed));
    provision(&world, &shadowed, key_here, None).expect(200);
    let told = world.commit(&commit(&elsewhere).sign(&key("alice")));
    assert_eq!(told.refused("invalid_manifest").value()["path"], "sequencer");
    // An id that is not the derived one is taken only where it was provisioned.
    let ours = template("open");
    let mut draft = commit(&ours);
    draft.enclave = EnclaveId([0xee; 32]);
    let told = world.commit(&draft.clone().sign(&key("alice")));
    assert_eq!(told.refused("invalid_manifest").value()["path"], "enclave");
    assert!(world.rows("SELECT * FROM events").is_empty());
    // The same rules twice are the same id: the second is told so, a nonce makes another.
    let first = world.begin(&ours);
    let mut again = commit(&ours);
    again.exp += 1;
    world.commit(&again.sign(&key("alice"))).refused("enclave_exists");
    assert_ne!(world.begin_with(&ours, &[&["nonce", "00"]]), first);
}

fn provision(
    world: &World,
    enclave: &EnclaveId,
    sequencer: protocol::PublicKey,
    owner: Option<protocol::PublicKey>,
) -> crate::world::Told {
    let action = Action::InitWithPriv(InitWithPriv { sequencer, owner });
    world.call(&Call { enclave: Some(*enclave), claim: Claim::Admin, action })
}

#[test]
fn provisioned_ids() {
    let world = World::new();
    let enclave = EnclaveId([0xee; 32]);
    let sequencer = world.hold(&[9; 32], Some(enclave));
    let answer = provision(&world, &enclave, sequencer, Some(id("alice")));
    let expected = serde_json::json!({"ok": true, "enclave_id": enclave.hex(), "sequencer_pubkey": sequencer.hex()});
    assert_eq!(answer.expect(200).value(), expected);
    assert_eq!(provision(&world, &enclave, sequencer, Some(id("alice"))), answer, "again the same");
    provision(&world, &enclave, id("zoe"), Some(id("alice"))).refused("enclave_exists");
    let manifest = json(&template("open").to_jcs().replace(&world.facts.sequencer.hex(), &sequencer.hex()));
    let by = |name: &str| {
        let mut draft = Draft::manifest(&key(name), &manifest, vec![], world.now.get() + 60_000);
        draft.enclave = enclave;
        world.commit(&draft.sign(&key(name)))
    };
    by("bob").refused("enclave_not_found");
    world.say(&enclave, "alice", "Message", "1", &[]).refused("enclave_not_found");
    world.ask(&enclave, Action::Sth).refused("enclave_not_found");
    by("alice").expect(200);
    assert_eq!(provision(&world, &enclave, sequencer, Some(id("alice"))), answer, "again the same");
    world.say(&enclave, "alice", "Message", "1", &[]).expect(200);
    let info = world.ask(&enclave, Action::InfoManifest).value();
    assert_eq!((&info["bound"], &info["sequencer"]), (&false.into(), &sequencer.hex().into()));
    // An id that is in use cannot be given another key.
    let used = world.begin(&template("open"));
    provision(&world, &used, sequencer, None).refused("enclave_exists");
}

/// H4. One clock for expiry and timestamp; a jump is not for ever.
#[test]
fn a_clock_that_jumps() {
    let (world, enclave) = open();
    world.pass(3_000_000).say(&enclave, "alice", "Message", "1", &[]).expect(200);
    let ahead = world.now.get();
    // 60 s back: sequenced at the last event's time, and judged by it.
    world.now.set(ahead - 60_000);
    let commit = |exp: u64| Draft::new(enclave, "Message", &Json::from(exp), exp).sign(&key("alice"));
    assert_eq!(world.commit(&commit(ahead - 60_000)).receipt().position.timestamp, ahead);
    let told = world.commit(&commit(ahead - 60_001));
    assert_eq!(told.refused("expired").value()["time"], ahead);
    world.commit(&commit(ahead + 3_600_000)).expect(200);
    world.commit(&commit(ahead + 3_600_001)).refused("exp_too_far");
    // Further back nothing is sequenced, and it heals by itself.
    let before = world.dump();
    world.now.set(ahead - 60_001);
    world.commit(&commit(ahead)).refused("clock_behind");
    world.commit(&commit(1)).refused("clock_behind");
    assert_eq!(world.dump(), before);
    world.now.set(ahead);
    world.commit(&commit(ahead)).expect(200);
}

/// H6. For one size the checkpoint and the head state one root, and both lines of the note hold.
#[test]
fn checkpoint_and_head_agree() {
    let (world, enclave) = open();
    for size in 0..5u64 {
        let sth = Sth::from_json(world.ask(&enclave, Action::Sth).json()).expect("a head");
        let told = world.ask(&enclave, Action::Checkpoint);
        assert_eq!((told.content_type, told.header("Cache-Control")), ("text/plain; charset=utf-8", Some("no-cache")));
        let note = tlog::note::Note::parse(&told.body).expect("a note");
        let vkey = world.ask(&enclave, Action::InfoEnclave).value()["log_vkey"].as_str().expect("a key").to_owned();
        let vkey = tlog::vkey::Vkey::parse(&vkey).expect("a key");
        let origin = tlog::checkpoint::Origin::parse(&format!("enc/{}", enclave.hex())).expect("an origin");
        let checkpoint = tlog::checkpoint::verify_checkpoint(&note, &origin, &vkey).expect("the second line holds");
        assert_eq!((checkpoint.size, checkpoint.root), (sth.tree_size, sth.root_hash));
        assert_eq!(sth.tree_size, size);
        let first = &note.signatures()[0];
        let message = protocol::head::checkpoint_message(note.text());
        let signature = protocol::Signature(first.signature().try_into().expect("64 bytes"));
        protocol::schnorr::verify(&sth.sequencer, &message, &signature).expect("the first line holds");
        assert_eq!(note.signatures().len(), 2);
        world.say(&enclave, "alice", "Message", "1", &[]).expect(200);
        world.pass(5000);
    }
    // Once for each size, whoever asks and whenever; one head less than a minute old is not signed again.
    let made = world.checkpoints.borrow().len();
    for _ in 0..3 {
        world.ask(&enclave, Action::Sth).expect(200);
        world.pass(100_000);
        world.ask(&enclave, Action::Checkpoint).expect(200);
    }
    assert!(world.checkpoints.borrow().len() <= made + 1);
    let sth = world.ask(&enclave, Action::Sth).body;
    let signed = world.signed.borrow().len();
    world.pass(60_000);
    assert_eq!(world.ask(&enclave, Action::Sth).body, sth);
    assert_eq!(world.signed.borrow().len(), signed);
    world.pass(1);
    let again = Sth::from_json(world.ask(&enclave, Action::Sth).json()).expect("a head");
    assert_eq!(again.timestamp, world.now.get());
    again.verify().expect("it holds");
}

/// H7. A sequencer's key authors nothing that comes from outside.
#[test]
fn a_sequencer_is_no_author() {
    let world = World::new();
    let node = secret(NODE);
    let manifest = json(&template("personal").to_jcs().replace(&id("alice").hex(), &node.public().hex()));
    let draft = Draft::manifest(&node, &manifest, vec![], START + 60_000);
    world.commit(&draft.sign(&node)).refused("unauthorized");
    let enclave = world.begin(&template("personal"));
    let by_node = |event_type: &str, content: &Json| {
        world.commit(&world.draft(&enclave, event_type, content, &[]).sign(&node)).word()
    };
    assert_eq!(by_node("notice", &Json::Null), "unauthorized", "even what anybody may");
    assert_eq!(by_node("Recovered", &json(r#"{"prev_seq":0}"#)), "unauthorized");
    assert_eq!(world.say(&enclave, "bob", "notice", "1", &[]).word(), "ok");
    assert_eq!(world.say(&enclave, "alice", "Recovered", r#"{"prev_seq":1}"#, &[]).word(), "unauthorized");
    // Another key that this node holds, for another enclave.
    let other = world.hold(&[9; 32], Some(EnclaveId([1; 32])));
    let pair = KeyPair::from_secret(&[9; 32]).expect("a scalar");
    assert_eq!(pair.public(), other);
    assert_eq!(world.commit(&world.draft(&enclave, "notice", &Json::Null, &[]).sign(&pair)).word(), "unauthorized");
}

/// H12. Types that reach where they should not.
#[test]
fn types_stay_in_their_place() {
    let world = World::new();
    let enclave = world.begin(&template("group"));
    let parts = |event_type: &str| format!(r#"{{"ops":[{{"type":"{event_type}","content":{{}}}}]}}"#);
    for event_type in ["AC_Bundle", "Migrate", "Terminate", "Manifest", "message", "Shared", "Pause", "Delete"] {
        assert_eq!(
            world.say(&enclave, "alice", "AC_Bundle", &parts(event_type), &[]).word(),
            "invalid_structure",
            "{event_type}"
        );
    }
    world.say(&enclave, "alice", "AC_Bundle", r#"{"ops":[]}"#, &[]).refused("invalid_structure");
    let grant = r#"{"type":"Gate","content":{"alias":"auto_join","open":true}}"#;
    let twice = format!(r#"{{"ops":[{grant},{grant}]}}"#);
    let before = world.dump();
    let told = world.say(&enclave, "alice", "AC_Bundle", &twice, &[]);
    assert_eq!(told.refused("bad_state").value()["index"], 1);
    assert_eq!(world.dump(), before, "all or nothing");
    let manifest = template("group").to_jcs().replace(r#""event":"notice""#, r#""event":"Migrate""#);
    let draft = Draft::manifest(&key("alice"), &json(&manifest), vec![], START + 60_000);
    world.commit(&draft.sign(&key("alice"))).refused("invalid_manifest");
    for name in ["Shared", "Gate", "Update", "Recovered", "Unknown"] {
        assert_ne!(world.say(&enclave, "alice", name, "{}", &[]).status, 200, "{name}");
    }
    // A Shared slot and an Own slot of spelled-out keys are two leaves.
    world.say(&enclave, "alice", "Own", r#"{"key":"profile","value":1}"#, &[]).expect(200);
    assert!(slot(&world, &enclave, &StateName::Shared("profile")).is_none());
    assert!(slot(&world, &enclave, &StateName::Own(&id("alice"), "profile")).is_some());
}

/// H15. What is public says nothing of who is a member.
#[test]
fn tiles_hide_the_state() {
    let world = World::new();
    let enclave = world.begin(&template("dm"));
    world.pass(5000);
    let action = Action::State { items: vec![], batch: true, tree_size: None };
    let state = world.ask_as(&enclave, "alice", action).expect(200).value();
    let told = world.ask(&enclave, Action::Tile(TilePath::parse("tile/entries/000.p/1").expect("a path")));
    let tile = protocol::ids::hex(&told.expect(200).body);
    assert_eq!(&tile[..4], "0050");
    for secret in ["state_hash", "last_event_hash"] {
        let hash = state[secret].as_str().expect("hex");
        assert!(!tile.contains(hash), "{secret} is not in the clear");
    }
    // Nor does a stranger learn more of a private enclave than the public part.
    let info = world.ask(&enclave, Action::InfoEnclave).value();
    let members: Vec<&str> = info.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members, ["bound", "enclave", "live", "log_vkey", "sequencer", "status", "tree_size"]);
    let whole: Value = world.ask_as(&enclave, "alice", Action::InfoEnclave).value();
    assert_eq!((&whole["last_seq"], &whole["open_events"]), (&0.into(), &0.into()));
    assert_eq!(whole["gates"], serde_json::json!({"invites": false}));
    assert_eq!(whole["counts"], serde_json::json!({"Manifest": 1}));
}

/// Tiles are those that the log fills, the full ones for ever.
#[test]
fn tiles() {
    let world = World::new();
    let mut manifest: Value = serde_json::from_str(&template("open").to_jcs()).expect("JSON");
    manifest["bundle"] = serde_json::json!({"size": 1});
    let enclave = world.begin(&json(&manifest.to_string()));
    for _ in 0..257 {
        world.say(&enclave, "alice", "Message", "1", &[]).expect(200);
    }
    let get = |path: &str| world.request(&Ask::get(&format!("/{}/{path}", enclave.hex())));
    for (path, len) in [
        ("tile/0/000", 8192),
        ("tile/0/001.p/2", 64),
        ("tile/entries/000", 256 * 82),
        ("tile/entries/001.p/2", 164),
        ("tile/1/000.p/1", 32),
    ] {
        let told = get(path);
        assert_eq!(told.expect(200).body.len(), len, "{path}");
        let full = !path.contains(".p/");
        assert_eq!(told.header("Cache-Control").map(|value| value.contains("immutable")), Some(full), "{path}");
    }
    for path in ["tile/0/001", "tile/0/001.p/3", "tile/0/002.p/1", "tile/1/000", "tile/2/000.p/1", "tile/entries/001"] {
        assert_eq!(get(path).word(), "not_found", "{path}");
    }
    for path in ["tile/0/0", "tile/0/000.p/0", "tile/0/000.p/256", "tile/64/000", "tile/x", "tile/0/x000/000/00"] {
        assert_eq!(get(path).word(), "invalid_route", "{path}");
    }
    let sth = Sth::from_json(world.ask(&enclave, Action::Sth).json()).expect("a head");
    assert_eq!(sth.tree_size, 258);
    for (from, to) in [(0, 0), (0, 258), (1, 258), (256, 257), (258, 258)] {
        let told = world.ask(&enclave, Action::Consistency { from, to });
        assert_eq!(told.expect(200).value()["from"], from);
    }
    assert_eq!(world.ask(&enclave, Action::Consistency { from: 0, to: 259 }).word(), "not_found");
    assert_eq!(world.ask(&enclave, Action::Consistency { from: 2, to: 1 }).word(), "invalid_structure");
}

/// Sizes of a proof's tree: the newest, an older one where it is allowed, none that is not there.
#[test]
fn tree_sizes() {
    let (world, enclave) = open();
    let early = world.say(&enclave, "alice", "Message", "1", &[]).event_id();
    let state = |size: Option<u64>| {
        let items = vec![(0, id("alice").0.to_vec())];
        world.ask_as(&enclave, "alice", Action::State { items, batch: false, tree_size: size })
    };
    let inclusion = |of: service::call::InclusionOf, tree_size: Option<u64>| {
        world.ask_as(&enclave, "alice", Action::Inclusion { of, tree_size })
    };
    use service::call::InclusionOf::{Event, Leaf};
    assert_eq!(state(None).word(), "not_bundled");
    assert_eq!(state(Some(0)).word(), "not_found");
    assert_eq!(state(Some(1)).word(), "not_found");
    assert_eq!(inclusion(Event(early), None).word(), "not_bundled");
    assert_eq!(inclusion(Leaf(0), None).word(), "not_found");
    assert_eq!(world.ask_as(&enclave, "alice", Action::Bundle { event_id: early }).word(), "not_bundled");
    world.pass(5000);
    let late = world.say(&enclave, "alice", "Message", "2", &[]).event_id();
    assert_eq!(inclusion(Event(late), None).word(), "not_bundled");
    world.pass(5000);
    assert_eq!(state(None).value()["leaf_index"], 1);
    assert_eq!(state(Some(2)).word(), "ok");
    assert_eq!(state(Some(3)).word(), "not_found");
    assert_eq!(inclusion(Event(early), Some(1)).value()["tree_size"], 1);
    assert_eq!(inclusion(Event(early), Some(1)).value()["sth"]["tree_size"], 2, "the head is always the newest");
    assert_eq!(inclusion(Event(late), Some(1)).word(), "not_bundled");
    assert_eq!(inclusion(Leaf(1), Some(1)).word(), "not_bundled");
    assert_eq!(inclusion(Leaf(2), None).word(), "not_found");
    assert_eq!(inclusion(Leaf(0), Some(0)).word(), "not_bundled");
    assert_eq!(inclusion(Event(protocol::EventId([1; 32])), None).word(), "not_found");
    for (name, word) in [("bob", "unauthorized"), ("alice", "ok")] {
        assert_eq!(world.ask_as(&enclave, name, Action::Inclusion { of: Leaf(0), tree_size: None }).word(), word);
        assert_eq!(world.ask_as(&enclave, name, Action::Inclusion { of: Event(early), tree_size: None }).word(), word);
        assert_eq!(world.ask_as(&enclave, name, Action::Bundle { event_id: early }).word(), word);
    }
}

/// A full enclave takes nobody in, but shuts out whom it has.
#[test]
fn quotas() {
    let mut world = World::new();
    (world.facts.limits.identities, world.facts.limits.keys) = (3, 1);
    let enclave = world.begin(&template("group"));
    let moved = |name: &str, to: &str| {
        let content = format!(r#"{{"target":"@{name}","to":"{to}"}}"#);
        world.say(&enclave, "alice", "Move", &content, &[])
    };
    moved("bob", "MEMBER").expect(200);
    moved("carol", "MEMBER").expect(200);
    let before = world.dump();
    assert_eq!(moved("dave", "MEMBER").refused("limit_exceeded").value()["limit"], 3);
    assert_eq!(world.dump(), before);
    moved("bob", "BLOCKED").expect(200);
    world.say(&enclave, "alice", "Grant", r#"{"target":"@carol","trait":"muted"}"#, &[]).expect(200);
    moved("bob", "OUTSIDER").expect(200);
    moved("dave", "MEMBER").expect(200);
    moved("bob", "MEMBER").refused("limit_exceeded");
    let set =
        |value: &str| world.say(&enclave, "alice", "Shared", &format!(r#"{{"key":"topic","value":{value}}}"#), &[]);
    set("1").expect(200);
    set("2").expect(200);
    world.say(&enclave, "dave", "Own", r#"{"key":"profile","value":1}"#, &[]).refused("limit_exceeded");
    set("null").expect(200);
    world.say(&enclave, "dave", "Own", r#"{"key":"profile","value":1}"#, &[]).expect(200);
    let mut small = World::new();
    small.facts.limits.identities = 0;
    let draft = Draft::manifest(&key("alice"), &template("open"), vec![], START + 60_000);
    small.commit(&draft.sign(&key("alice"))).refused("limit_exceeded");
    assert!(small.rows("SELECT * FROM events").is_empty());
}

/// A node that does not hold the key signs nothing, and what it began is undone.
#[test]
fn a_key_that_is_gone() {
    let (world, enclave) = open();
    world.keys.borrow_mut().clear();
    let before = world.dump();
    let commit = world.sign(&enclave, "alice", "Message", &Json::Null);
    let checked = CheckedCommit::check(commit.commit().clone(), &|_| false);
    let call = Call { enclave: Some(enclave), claim: Claim::Stranger, action: Action::Commit(checked) };
    assert_eq!(world.written(&call, false), Err(service::Fault::Key));
    assert_eq!(world.dump(), before);
    world.keys.borrow_mut().push((std::rc::Rc::new(secret(NODE)), None));
    world.commit(&commit).expect(200);
}
