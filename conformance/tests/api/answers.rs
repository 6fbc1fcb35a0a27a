//! The answer of each route: its members, no more and no fewer, and that what it proves holds. And who may have it.

use crate::world::{ADMIN_TOKEN, World, list, member, names, number, text};
use client::node::NodeInfo;
use conformance::people::{json, now};
use conformance::wire::Ask;
use protocol::entry::Entry;
use protocol::head::{BIP340_TYPE, Sth, VerifiedSth, checkpoint_message, checkpoint_origin};
use protocol::ids::hex;
use protocol::proof::{BundleAnswer, ConsistencyAnswer, InclusionAnswer, StateAnswer};
use protocol::schnorr::{self, KeyPair};
use protocol::state::StateName;
use protocol::{Code, Event, Json, Receipt, Signature};
use tlog::checkpoint::{Origin, verify_checkpoint};
use tlog::note::{KeyName, Note, key_id};
use tlog::vkey::Vkey;

/// A hall with two closed bundles, the second of three events, and two events in the open one.
struct Proved {
    world: World,
    receipts: Vec<Receipt>,
    older: VerifiedSth,
}

impl Proved {
    fn new() -> Proved {
        let world = World::new();
        let mut receipts = vec![world.say(&world.bob, "message", "1")];
        world.close();
        let older = sth(&world);
        receipts.push(world.say(&world.bob, "message", "2"));
        receipts.push(world.say(&world.alice, "secret", "3"));
        receipts.push(world.say(&world.alice, "Shared", r#"{"key":"topic","value":"trees"}"#));
        world.close();
        receipts.push(world.say(&world.bob, "message", "4"));
        receipts.push(world.say(&world.alice, "notice", "5"));
        Proved { world, receipts, older }
    }

    fn post(&self, action: &str, members: &str) -> Json {
        let world = &self.world;
        world.accepted(action, &Ask::post(&world.path(action), world.by(&world.bob, members)))
    }

    fn refused(&self, action: &str, members: &str, code: Code) {
        let world = &self.world;
        let ask = Ask::post(&world.path(action), world.by(&world.bob, members));
        world.refused(&format!("{action} {members}"), &ask, (code.status(), code), &[]);
    }
}

fn sth(world: &World) -> VerifiedSth {
    let sth = world.accepted("sth", &Ask::get(&world.path("sth")));
    assert_eq!(names(&sth), ["enclave", "root_hash", "sequencer", "signature", "timestamp", "tree_size"]);
    let sth = Sth::from_json(sth).expect("an STH");
    sth.verify_for(&world.enclave, &world.node.sequencer).expect("it is signed by the node's key for this enclave")
}

#[test]
fn node_info() {
    let world = World::new();
    let value = world.accepted("GET /", &Ask::get("/"));
    let expected = ["enc_v", "heads_vkey", "limits", "name", "sequencer", "services", "time", "version"];
    assert_eq!(names(&value), expected);
    let limits = member(&value, "limits").to_jcs();
    for limit in [
        r#""body_bytes":1048576"#,
        r#""commit_bytes":1048576"#,
        r#""envelope_bytes":2101248"#,
        r#""lines":10000"#,
        r#""lines_bytes":67108864"#,
        r#""page_bytes":4194304"#,
        r#""page_events":1000"#,
        r#""restore_bytes":67108864"#,
        r#""subscriptions_per_socket":64"#,
    ] {
        assert!(limits.contains(limit), "{limit} in {limits}");
    }
    let info = NodeInfo::from_json(value).expect("a client reads it");
    assert_eq!((info.enc_v, info.sequencer), (vec![2], world.node.sequencer));
    assert_eq!((info.name.as_str(), info.services.as_slice()), ("node.test", &["enc-node".to_owned()][..]));
    assert!(info.time.abs_diff(now()) < 60_000, "the clock is the machine's");
    let vkey = Vkey::parse(&info.heads_vkey).expect("a verifier key");
    assert_eq!(vkey.name().as_str(), "node.test/heads");
}

#[test]
fn log_routes() {
    let proved = Proved::new();
    let (world, older) = (&proved.world, &proved.older);
    let newer = sth(world);
    assert_eq!((older.sth().tree_size, newer.sth().tree_size), (1, 2));
    for (from, to, code) in [(0, 2, None), (1, 2, None), (2, 2, None), (1, 3, Some(Code::NotFound))] {
        let ask = Ask::get(&world.path(&format!("consistency?from={from}&to={to}")));
        match code {
            None => drop(world.accepted("consistency", &ask)),
            Some(code) => drop(world.refused("consistency", &ask, (code.status(), code), &[])),
        }
    }
    for (query, field) in [
        ("from=2&to=1", "from"),
        ("from=1", "to"),
        ("from=x&to=1", "from"),
        ("from=-1&to=1", "from"),
        ("from=%201&to=1", "from"),
    ] {
        let ask = Ask::get(&world.path(&format!("consistency?{query}")));
        let answer = world.ask(&ask);
        let said = answer.json();
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        if member(&said, "error").as_text() == Some("invalid_structure") && said.member("field").is_some() {
            assert_eq!(text(&said, "field"), field, "{query}");
        }
    }
    let value = world.accepted("consistency", &Ask::get(&world.path("consistency?from=1&to=2")));
    assert_eq!(names(&value), ["from", "path", "to"]);
    ConsistencyAnswer::from_json(value).expect("its shape").verify(older, &newer).expect("the log has only grown");
    tiles(world, &newer);
    checkpoint(world, &newer);
}

fn tiles(world: &World, head: &VerifiedSth) {
    let tile = |path: &str| world.ask(&Ask::get(&world.path(path)));
    let entries = tile("tile/entries/000.p/2");
    assert_eq!((entries.status, entries.header("content-type")), (200, Some("application/octet-stream")));
    assert_eq!(entries.header("cache-control"), Some("no-cache"), "a partial tile still grows");
    let rows = tlog::entry_bundle::decode(&entries.body, 2).expect("an entry bundle");
    let entries: Vec<Entry> =
        rows.iter().map(|row| Entry::decode((*row).try_into().expect("80 bytes")).expect("an entry")).collect();
    assert_eq!(entries.iter().map(|entry| (entry.first_seq, entry.count)).collect::<Vec<_>>(), [(0, 2), (2, 3)]);
    let leaves: Vec<u8> = entries.iter().flat_map(Entry::leaf_hash).collect();
    assert_eq!(tile("tile/0/000.p/2").body, leaves, "hash tiles hold the leaves");
    let node = [&[1][..], &leaves].concat();
    assert_eq!(protocol::cbor::sha256(&node), head.sth().root_hash);
    for absent in
        ["tile/0/000", "tile/0/000.p/3", "tile/0/001.p/1", "tile/1/000.p/1", "tile/entries/000", "tile/entries/000.p/3"]
    {
        world.refused(absent, &Ask::get(&world.path(absent)), (404, Code::NotFound), &[]);
    }
    for wrong in [
        "tile/0/0",
        "tile/x/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/02",
        "tile/0/x000/000",
        "tile/data/000",
        "tile/64/000",
    ] {
        world.refused(wrong, &Ask::get(&world.path(wrong)), (404, Code::InvalidRoute), &[]);
    }
}

fn checkpoint(world: &World, head: &VerifiedSth) {
    let answer = world.ask(&Ask::get(&world.path("checkpoint")));
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-cache")));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    let note = Note::parse(&answer.body).expect("a signed note");
    let info = world.accepted("info", &Ask::get(&world.path("info/enclave")));
    let origin = checkpoint_origin(&world.enclave);
    let vkey = Vkey::parse(text(&info, "log_vkey")).expect("the log's key");
    let checkpoint = verify_checkpoint(&note, &Origin::parse(&origin).expect("an origin"), &vkey);
    let checkpoint = checkpoint.expect("the Ed25519 line holds");
    assert_eq!((checkpoint.size, checkpoint.root), (head.sth().tree_size, head.sth().root_hash));
    let first = &note.signatures()[0];
    let name = KeyName::parse(&origin).expect("a key name");
    let blob = [&BIP340_TYPE[1..], &world.node.sequencer.0].concat();
    assert_eq!(
        (first.name(), first.id()),
        (&name, key_id(&name, BIP340_TYPE[0], &blob)),
        "the sequencer's line is first"
    );
    let signature = Signature::try_from(first.signature()).expect("64 bytes");
    schnorr::verify(&world.node.sequencer, &checkpoint_message(note.text()), &signature).expect("and holds");
    assert_eq!(note.signatures().len(), 2);
}

#[test]
fn inclusion_and_bundle() {
    let proved = Proved::new();
    let (world, receipts) = (&proved.world, &proved.receipts);
    let head = sth(world);
    let sequencer = world.node.sequencer;
    let of = |receipt: &Receipt| format!(r#""event_id":"{}""#, receipt.id);
    for (receipt, leaf) in [(&receipts[0], 0), (&receipts[1], 1), (&receipts[3], 1)] {
        let value = proved.post("inclusion", &of(receipt));
        assert_eq!(names(&value), ["audit_path", "bundle", "entry", "leaf_index", "sth", "tree_size"]);
        assert_eq!(names(member(&value, "entry")), ["count", "events_root", "first_seq", "state_commit"]);
        assert_eq!(names(member(&value, "bundle")), ["bundle_index", "bundle_size", "event_id", "siblings"]);
        let answer = InclusionAnswer::from_json(value).expect("its shape");
        answer.verify_event(receipt, &sequencer, &head).expect("the event is in the log");
        assert_eq!(answer.entry.leaf_index, leaf);
        let value = proved.post("bundle", &of(receipt));
        assert_eq!(names(&value), ["bundle_index", "bundle_size", "event_id", "events_root", "leaf_index", "siblings"]);
        let bundle = BundleAnswer::from_json(value).expect("its shape");
        bundle.verify(receipt, &sequencer, leaf, &answer.entry.entry).expect("the event is in the bundle");
    }
    let value = proved.post("inclusion", r#""leaf_index":1"#);
    assert_eq!(names(&value), ["audit_path", "entry", "leaf_index", "sth", "tree_size"], "an entry has no member");
    let answer = InclusionAnswer::from_json(value).expect("its shape");
    assert_eq!(answer.verify_entry(1, &head).expect("the entry is in the log").first_seq, 2);
    let value = proved.post("inclusion", &format!("{},\"tree_size\":1", of(&receipts[0])));
    assert_eq!(
        (number(&value, "tree_size"), number(member(&value, "sth"), "tree_size")),
        (1, 2),
        "the STH is the newest"
    );
    let answer = InclusionAnswer::from_json(value).expect("its shape");
    answer.verify_event(&receipts[0], &sequencer, &proved.older).expect("it holds under the older head");
    let absent = format!(r#""event_id":"{}""#, "ab".repeat(32));
    for (members, code) in [
        (of(&receipts[4]), Code::NotBundled),
        (format!("{},\"tree_size\":1", of(&receipts[1])), Code::NotBundled),
        (r#""leaf_index":1,"tree_size":1"#.into(), Code::NotBundled),
        (r#""leaf_index":2"#.into(), Code::NotFound),
        (r#""leaf_index":0,"tree_size":3"#.into(), Code::NotFound),
        (absent.clone(), Code::NotFound),
        // What bob may not read is as what is not there.
        (of(&receipts[2]), Code::NotFound),
    ] {
        proved.refused("inclusion", &members, code);
    }
    for (members, code) in
        [(of(&receipts[4]), Code::NotBundled), (absent, Code::NotFound), (of(&receipts[2]), Code::NotFound)]
    {
        proved.refused("bundle", &members, code);
    }
    let both = format!(r#"{},"leaf_index":0"#, of(&receipts[0]));
    for members in ["", &both, r#""leaf_index":-1"#, r#""event_id":1"#, r#""event_id":"ab""#] {
        let ask = Ask::post(&world.path("inclusion"), world.by(&world.bob, members));
        assert_eq!(text(&world.ask(&ask).json(), "error"), "invalid_structure", "{members}");
    }
}

#[test]
fn state_proofs() {
    let proved = Proved::new();
    let (world, head) = (&proved.world, sth(&proved.world));
    let [bob, alice, stranger] = [&world.bob, &world.alice, &world.stranger].map(KeyPair::public);
    let stated = [
        StateName::Identity(&bob),
        StateName::Identity(&alice),
        StateName::Identity(&stranger),
        StateName::Shared("topic"),
        StateName::Own(&bob, "card"),
        StateName::Gate("door"),
        StateName::Lifecycle,
        StateName::Event(&proved.receipts[0].id),
    ];
    let item = |name: &StateName<'_>| format!(r#""namespace":{},"key":"{}""#, name.namespace(), hex(&name.raw()));
    let mut singly = Vec::new();
    for name in &stated {
        let value = proved.post("state", &item(name));
        let expected =
            ["audit_path", "entry", "last_event_hash", "leaf_index", "proof", "state_hash", "sth", "tree_size"];
        assert_eq!(names(&value), expected);
        assert_eq!(names(member(&value, "proof")), ["b", "k", "s", "v"]);
        let proven = StateAnswer::from_json(value).expect("its shape").verify(&[*name], &head).expect("it holds");
        assert!(proven.newest);
        singly.push(proven.values[0]);
    }
    let items: Vec<String> = stated.iter().map(|name| format!("{{{}}}", item(name))).collect();
    let value = proved.post("state-batch", &format!(r#""items":[{}]"#, items.join(",")));
    assert_eq!(list(&value, "proofs").len(), stated.len());
    let proven = StateAnswer::from_json(value).expect("its shape").verify(&stated, &head).expect("they hold");
    assert_eq!(proven.values, singly);
    let held: Vec<bool> = singly.iter().map(Option::is_some).collect();
    assert_eq!(held, [true, true, false, true, false, false, false, false]);
    let many = vec![items[0].as_str(); 256].join(",");
    assert_eq!(list(&proved.post("state-batch", &format!(r#""items":[{many}]"#)), "proofs").len(), 256);
    let ask = Ask::post(&world.path("state-batch"), world.by(&world.bob, &format!(r#""items":[{many},{}]"#, items[0])));
    world.refused("257 keys", &ask, (400, Code::LimitExceeded), &[("limit", Json::from(256))]);
    let one = item(&StateName::Lifecycle);
    for (size, code) in [(0, Code::NotFound), (3, Code::NotFound)] {
        proved.refused("state", &format!("{one},\"tree_size\":{size}"), code);
    }
    assert_eq!(number(&proved.post("state", &format!("{one},\"tree_size\":2")), "tree_size"), 2);
    for members in [
        r#""namespace":4,"key":"00""#,
        r#""namespace":0,"key":"0""#,
        r#""namespace":0,"key":"AB""#,
        r#""namespace":0"#,
        r#""key":"00""#,
    ] {
        let ask = Ask::post(&world.path("state"), world.by(&world.bob, members));
        assert_eq!(text(&world.ask(&ask).json(), "error"), "invalid_structure", "{members}");
    }
    let fresh = World::new();
    let ask = Ask::post(&fresh.path("state"), fresh.by(&fresh.bob, &one));
    fresh.refused("no bundle is closed", &ask, (409, Code::NotBundled), &[]);
}

#[test]
fn information_on_an_enclave() {
    let proved = Proved::new();
    let world = &proved.world;
    let value = world.accepted("info/manifest", &Ask::get(&world.path("info/manifest")));
    assert_eq!(names(&value), ["bound", "enclave", "manifest", "sequencer"]);
    assert_eq!((text(&value, "enclave"), member(&value, "bound")), (world.enclave.hex().as_str(), &Json::Bool(true)));
    let manifest = Event::from_json(member(&value, "manifest").clone()).expect("an event");
    assert_eq!((manifest.position.seq, manifest.enclave), (0, world.enclave));
    manifest.verify().expect("it verifies");
    let public = ["bound", "enclave", "live", "log_vkey", "sequencer", "status", "tree_size"];
    let ask = Ask::get(&world.path("info/enclave"));
    for ask in [ask.clone(), ask.clone().header("X-Enc-From", &world.bob.public().hex())] {
        // Somebody without a session reads notices here, and so is told as much as any reader.
        assert!(names(&world.accepted("info/enclave", &ask)).contains(&"counts"));
    }
    let all = world.accepted("info/enclave", &world.signed(ask, &world.bob));
    let counts = r#"{"Manifest":1,"Shared":1,"message":3,"notice":1,"secret":1}"#;
    assert_eq!((member(&all, "counts").to_jcs().as_str(), number(&all, "last_seq")), (counts, 6));
    assert_eq!((number(&all, "open_events"), number(&all, "tree_size")), (2, 2));
    assert_eq!(member(&all, "gates").to_jcs(), r#"{"door":false}"#);
    assert_eq!((text(&all, "status"), member(&all, "live")), ("active", &Json::Bool(true)));
    // Where the public reads nothing, a stranger is told the public part only.
    let closed = json(&world.manifest("closed", "").content.replace(r#",{"reads":["notice"],"type":"Public"}"#, ""));
    let draft = protocol::commit::Draft::manifest(&world.alice, &closed, Vec::new(), now() + 60_000).sign(&world.alice);
    assert!(!closed.to_jcs().contains("Public"));
    world.submit(draft.commit());
    let ask = Ask::get(&format!("/{}/info/enclave", draft.commit().enclave));
    assert_eq!(names(&world.accepted("info/enclave", &ask)), public);
    assert_eq!(names(&world.accepted("info/enclave", &world.signed(ask.clone(), &world.stranger))), public);
    assert_ne!(names(&world.accepted("info/enclave", &world.signed(ask, &world.bob))), public);
}

/// Who may have what: by no session, by a session that opens no door, by the right one, by the operator's token.
#[test]
fn every_session_route_asks_who() {
    let proved = Proved::new();
    let world = &proved.world;
    // Here even a stranger reads something, so that an enclave where it reads nothing is needed.
    let closed = json(&world.manifest("closed", "").content.replace(r#",{"reads":["notice"],"type":"Public"}"#, ""));
    let draft = protocol::commit::Draft::manifest(&world.alice, &closed, Vec::new(), now() + 60_000).sign(&world.alice);
    let receipt = world.submit(draft.commit());
    let enclave = draft.commit().enclave;
    let event = format!(r#""event_id":"{}""#, receipt.id);
    let close = Ask::post(&format!("/{enclave}/close-bundle"), world.by(&world.alice, ""));
    world.accepted("close-bundle", &close);
    let rows: &[(&str, &str, Code)] = &[
        ("inclusion", &event, Code::Unauthorized),
        ("inclusion", r#""leaf_index":0"#, Code::Unauthorized),
        ("bundle", &event, Code::Unauthorized),
        ("state", r#""namespace":3,"key":"00""#, Code::Unauthorized),
        ("state-batch", r#""items":[]"#, Code::Unauthorized),
        ("close-bundle", "", Code::Unauthorized),
        ("push", r#""url":"http://127.0.0.1:1/""#, Code::Unauthorized),
        ("", r#""type":"Query""#, Code::Unauthorized),
        ("", r#""type":"Pull""#, Code::Unauthorized),
    ];
    for (action, members, code) in rows {
        let path = if action.is_empty() { format!("/{enclave}") } else { format!("/{enclave}/{action}") };
        let what = format!("{action} {members}");
        let refusal = (code.status(), *code);
        world.refused(&what, &Ask::post(&path, format!("{{{members}}}")), refusal, &[]);
        world.refused(&what, &Ask::post(&path, world.by(&world.stranger, members)), refusal, &[]);
        let comma = if members.is_empty() { "" } else { "," };
        let alone = format!(r#"{{"from":"{}"{comma}{members}}}"#, world.alice.public());
        world.refused(&format!("{what}: from alone"), &Ask::post(&path, alone), refusal, &[]);
        sessions(world, &path, members);
    }
    let snapshot = Ask::get(&format!("/{enclave}/snapshot"));
    for ask in [snapshot.clone(), world.signed(snapshot.clone(), &world.bob)] {
        world.refused("snapshot", &ask, (403, Code::Unauthorized), &[]);
    }
    assert_eq!(world.ask(&world.signed(snapshot.clone(), &world.alice)).status, 200);
    let close = Ask::of("POST", &format!("/{enclave}/close-bundle"));
    world.refused("close by a member", &world.signed(close.clone(), &world.bob), (403, Code::Unauthorized), &[]);
    for (token, status) in [(ADMIN_TOKEN, 200), ("another token of some length", 403), ("", 403)] {
        for ask in [&snapshot, &close] {
            let answer = world.ask(&ask.clone().header("Authorization", &format!("Bearer {token}")));
            assert_eq!(answer.status, status, "{} with {token:?}", ask.target);
        }
    }
}

/// Everything that is wrong with a session.
fn sessions(world: &World, path: &str, members: &str) {
    let alice = world.alice.public();
    let comma = if members.is_empty() { "" } else { "," };
    let ask =
        |from: &str, session: &str| Ask::post(path, format!(r#"{{{from}"session":"{session}"{comma}{members}}}"#));
    let from = format!(r#""from":"{alice}","#);
    let good = world.token(&world.alice);
    let made = |seconds: i64| {
        let expires = i64::try_from(now() / 1000).expect("a time before 2106") + seconds;
        let expires = u32::try_from(expires).expect("a time before 2106");
        protocol::session::Session::make(&world.alice, &world.node.sequencer, expires)
    };
    let other = protocol::session::Session::make(&world.alice, &world.bob.public(), made(0).plain.expires_secs() + 60);
    let mut flipped = good.clone().into_bytes();
    flipped[0] = if flipped[0] == b'0' { b'1' } else { b'0' };
    let flipped = String::from_utf8(flipped).expect("hex");
    let rows: [(&str, Ask, Code); 11] = [
        ("without from", ask("", &good), Code::InvalidSession),
        ("empty", ask(&from, ""), Code::InvalidSession),
        ("short", ask(&from, &good[2..]), Code::InvalidSession),
        ("upper case", ask(&from, &good.to_uppercase()), Code::InvalidSession),
        ("a bit", ask(&from, &flipped), Code::InvalidSession),
        ("somebody else's", ask(&from, &world.token(&world.bob)), Code::InvalidSession),
        ("for another node", ask(&from, &other.plain.hex()), Code::InvalidSession),
        ("the encrypted form", ask(&from, &made(60).encrypted.hex()), Code::InvalidSession),
        ("too far ahead", ask(&from, &made(7300).plain.hex()), Code::InvalidSession),
        ("over", ask(&from, &made(-62).plain.hex()), Code::SessionExpired),
        ("long over", ask(&from, &made(-86_400).plain.hex()), Code::SessionExpired),
    ];
    for (what, ask, code) in rows {
        let answer = world.ask(&ask);
        let said = answer.json();
        assert_eq!((answer.status, text(&said, "error")), (code.status(), code.as_str()), "{path} {members}: {what}");
    }
    for live in [made(7200), made(-55)] {
        let answer = world.ask(&ask(&from, &live.plain.hex()));
        assert_ne!(answer.status, 401, "{path} {members}: {}", answer.text());
    }
}
