//! `init-with-priv`: who may, what comes of it, and ids that prove nothing of who made them.

use crate::world::{ADMIN_TOKEN, CALM, World, check_refusal, hall, member, text};
use client::{Enclave, Error, MemoryStore, Node, Trust};
use conformance::people::{json, key, now};
use conformance::wire::{Answer, Ask};
use protocol::commit::Draft;
use protocol::ids::hex;
use protocol::{Code, Commit, EnclaveId, Json, Receipt};

/// The private key of the protocol's anchor vector, and its public half.
const ANCHOR: (&str, &str) = (
    "3333333333333333333333333333333333333333333333333333333333333333",
    "3c72addb4fdf09af94f0c94d7fe92a386a7e70cf8a1d85916386bb2535c7b1b1",
);

fn order(enclave: &EnclaveId, secret: &str, more: &str) -> Ask {
    let body = format!(r#"{{"enclave_id":"{enclave}","sequencer_priv":"{secret}"{more}}}"#);
    Ask::post(&format!("/enclaves/{enclave}/init-with-priv"), body)
}

fn local(ask: Ask) -> Ask {
    ask.header("Host", "localhost:8080")
}

fn provisioned(world: &World, ask: &Ask) -> Json {
    let answer = world.accepted("init-with-priv", ask);
    assert_eq!(answer.member("ok"), Some(&Json::Bool(true)));
    answer
}

#[test]
fn the_anchor_key() {
    let world = World::configured("");
    let id = EnclaveId([0xab; 32]);
    for path in [format!("/enclaves/{id}"), format!("/enclave/{id}"), format!("/{id}"), String::new()] {
        let ask = order(&id, ANCHOR.0, "");
        let answer = provisioned(&world, &Ask { target: format!("{path}/init-with-priv"), ..ask });
        let expected = format!(r#"{{"enclave_id":"{id}","ok":true,"sequencer_pubkey":"{}"}}"#, ANCHOR.1);
        assert_eq!(answer.to_jcs(), expected, "{path}: the same answer each time");
    }
    let file = world.node.folder().join(format!("keys/{id}.key"));
    assert_eq!(std::fs::read_to_string(file).expect("the key is on the disk").trim(), ANCHOR.0);
    world.refused("another key", &order(&id, &"44".repeat(32), ""), (409, Code::EnclaveExists), &[]);
    let owner = format!(r#","owner":"{}""#, world.alice.public());
    world.refused("the same key for somebody", &order(&id, ANCHOR.0, &owner), (409, Code::EnclaveExists), &[]);
    let again = order(&id, ANCHOR.0, "");
    provisioned(&world, &again);
}

#[test]
fn without_a_token_only_this_machine_and_nobody_behind_it() {
    let world = World::configured("");
    let taken = |place: u8, ask: &dyn Fn(Ask) -> Ask| {
        let id = EnclaveId([place; 32]);
        (world.ask(&ask(order(&id, ANCHOR.0, ""))), world.node.folder().join(format!("keys/{id}.key")))
    };
    let hosts = ["localhost", "127.0.0.1", "[::1]", "localhost:1", "127.0.0.1:65535", "[::1]:8080"];
    for (place, host) in (0..).zip(hosts) {
        let (answer, file) = taken(place, &|ask| ask.header("Host", host));
        assert_eq!(answer.status, 200, "{host}: {}", answer.text());
        assert!(file.is_file());
    }
    let refused = |place: u8, what: &str, ask: &dyn Fn(Ask) -> Ask| {
        let before = world.tables.dump();
        let (answer, file) = taken(place, ask);
        check_refusal(what, &answer, (403, Code::Unauthorized), &[]);
        assert!(!file.exists(), "{what}: a refused key is not kept");
        assert_eq!(before, world.tables.dump(), "{what}");
    };
    for host in [
        "node.example",
        "localhost.example",
        "127.0.0.1.example",
        "0.0.0.0",
        "127.0.0.2",
        "[::2]",
        "evil@localhost",
        "",
    ] {
        refused(20, host, &|ask| ask.header("Host", host));
    }
    for (name, value) in [
        ("Origin", "http://localhost:8080"),
        ("Origin", "null"),
        ("Forwarded", "for=127.0.0.1"),
        ("Via", "1.1 proxy"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Host", "localhost"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Anything", ""),
        // A token where none is configured opens nothing, and takes nothing away either; these are about what it comes with.
        ("x-forwarded-for", "203.0.113.7"),
    ] {
        refused(20, name, &|ask| local(ask).header(name, value));
    }
    let id = EnclaveId([20; 32]);
    let typed = Ask::post_as("text/plain", &format!("/{id}/init-with-priv"), order(&id, ANCHOR.0, "").body);
    world.refused("a page can send text without asking", &local(typed), (415, Code::UnsupportedMediaType), &[]);
}

#[test]
fn with_a_token_only_the_token() {
    let world = World::new();
    let id = EnclaveId([0xab; 32]);
    let by = |token: &str| order(&id, ANCHOR.0, "").header("Authorization", token);
    let good = format!("Bearer {ADMIN_TOKEN}");
    let short = &good[..good.len() - 1];
    for ask in [
        order(&id, ANCHOR.0, ""),
        local(order(&id, ANCHOR.0, "")),
        by(short),
        by(&format!("{good}x")),
        by(ADMIN_TOKEN),
        by(&format!("Basic {ADMIN_TOKEN}")),
        by("Bearer"),
        by(""),
    ] {
        world.refused("without the token", &ask, (403, Code::Unauthorized), &[]);
        assert!(!world.node.folder().join(format!("keys/{id}.key")).exists());
    }
    // With it, whatever stands between.
    provisioned(&world, &by(&good).header("Host", "node.example").header("X-Forwarded-For", "203.0.113.7"));
}

#[test]
fn a_public_url_or_a_proxy_closes_it() {
    for config in ["[listen]\npublic_url = \"https://node.example\"\n", "[listen]\ntrusted_proxies = [\"192.0.2.1\"]\n"]
    {
        let world = World::configured(config);
        let ask = local(order(&EnclaveId([0xab; 32]), ANCHOR.0, ""));
        world.refused(config, &ask, (403, Code::Unauthorized), &[]);
    }
}

#[test]
fn keys_that_are_none() {
    let world = World::configured("");
    let id = EnclaveId([0xab; 32]);
    let order_of_the_curve = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    for secret in
        ["00".repeat(32), order_of_the_curve.into(), "ff".repeat(32), "33".repeat(31), "33".repeat(33), "XY".into()]
    {
        let refusal = (400, Code::InvalidStructure);
        world.refused(&secret, &order(&id, &secret, ""), refusal, &[("field", Json::from("sequencer_priv"))]);
    }
    let bad_owner = order(&id, ANCHOR.0, r#","owner":"ab""#);
    world.refused("owner", &bad_owner, (400, Code::InvalidStructure), &[("field", Json::from("owner"))]);
    assert!(!world.node.folder().join(format!("keys/{id}.key")).exists());
}

/// A Manifest for an id that is not its own hash.
fn unbound(world: &World, id: EnclaveId, author: u8) -> Commit {
    let sequencer = key(0x33).public();
    let author = key(author);
    let content = hall(&sequencer, CALM, [&author, &key(12), &key(13), &key(14)]);
    let draft = Draft { enclave: id, ..Draft::manifest(&author, &content, Vec::new(), now() + 60_000) };
    assert_eq!(hex(&sequencer.0), ANCHOR.1);
    let commit = draft.sign(&author).into_commit();
    assert_ne!(world.node.sequencer, sequencer);
    commit
}

fn submit(world: &World, commit: &Commit) -> Answer {
    world.ask(&World::submitting(commit))
}

#[test]
fn an_id_given_beforehand_is_unbound_and_says_so() {
    let world = World::configured("");
    let id = EnclaveId([0xab; 32]);
    let manifest = unbound(&world, id, 11);
    world.refused_commit("before it is given", &manifest, Code::InvalidManifest, &[("path", Json::from("enclave"))]);
    provisioned(&world, &order(&id, ANCHOR.0, ""));
    let sth = Ask::get(&format!("/{id}/sth"));
    world.refused("it has a key, and nothing else", &sth, (404, Code::EnclaveNotFound), &[]);
    let answer = submit(&world, &manifest);
    let receipt = Receipt::from_json(answer.json()).expect("a receipt");
    receipt.verify(&manifest, &key(0x33).public()).expect("signed by the key that was given");
    for path in ["info/manifest", "info/enclave"] {
        let info = world.accepted(path, &Ask::get(&format!("/{id}/{path}")));
        assert_eq!((member(&info, "bound"), text(&info, "sequencer")), (&Json::Bool(false), ANCHOR.1), "{path}");
    }
    world.refused_commit("somebody else's Manifest", &unbound(&world, id, 15), Code::EnclaveExists, &[]);
    let said = Draft::new(id, "message", &json("1"), now() + 60_000).sign(&key(12)).into_commit();
    assert_eq!(text(&submit(&world, &said).json(), "sequencer"), ANCHOR.1);
    refused_by_the_sdk(&world, id, &manifest);
    // A session for it is made for its own key, not for the node's.
    let query = |sequencer: &protocol::PublicKey| {
        let session = conformance::people::token(&key(12), sequencer, now());
        let from = key(12).public();
        Ask::post("/", format!(r#"{{"type":"Query","enclave":"{id}","from":"{from}","session":"{session}"}}"#))
    };
    world.refused("for the node", &query(&world.node.sequencer), (401, Code::InvalidSession), &[]);
    world.accepted("for the enclave", &query(&key(0x33).public()));
}

/// A client takes an id that proves nothing only from somebody who named Manifest and key.
fn refused_by_the_sdk(world: &World, id: EnclaveId, manifest: &Commit) {
    let node = Node::connect(&format!("http://{}", world.node.address)).expect("it answers");
    let opened = Enclave::open(&node, id, None, MemoryStore::shared());
    assert!(matches!(opened, Err(Error::Unbound(unbound)) if unbound == id));
    let open = |trust: Trust| Enclave::open_trusted(&node, id, &trust, (None, MemoryStore::shared()));
    let trust = Trust { manifest: manifest.hash, sequencer: key(0x33).public() };
    let enclave = open(trust).unwrap_or_else(|error| panic!("{error}"));
    assert!(!enclave.pin().bound());
    enclave.sth().expect("and what it says is checked as ever");
    assert!(open(Trust { manifest: protocol::CommitHash([1; 32]), ..trust }).is_err());
    assert!(open(Trust { sequencer: world.node.sequencer, ..trust }).is_err());
}

#[test]
fn only_the_owner_that_was_named_makes_it() {
    let world = World::configured("");
    let id = EnclaveId([0xcd; 32]);
    let owner = format!(r#","owner":"{}""#, key(11).public());
    provisioned(&world, &order(&id, ANCHOR.0, &owner));
    world.refused_commit("somebody else", &unbound(&world, id, 15), Code::EnclaveNotFound, &[]);
    let message = Draft::new(id, "message", &json("1"), now() + 60_000).sign(&key(11)).into_commit();
    world.refused_commit("no Manifest", &message, Code::EnclaveNotFound, &[]);
    assert_eq!(submit(&world, &unbound(&world, id, 11)).status, 200);
}

/// A bound id may be given a key of its own, too; then only a Manifest that names that key is taken.
#[test]
fn a_bound_id_with_a_key_of_its_own() {
    let world = World::configured("");
    let own = key(0x33).public();
    let content = |sequencer| hall(sequencer, CALM, [&world.alice, &world.bob, &world.carol, &world.dave]);
    let make = |sequencer| Draft::manifest(&world.alice, &content(sequencer), Vec::new(), now() + 60_000);
    let manifest = make(&own).sign(&world.alice).into_commit();
    let sequencer = [("path", Json::from("sequencer"))];
    world.refused_commit("a key that is not the node's", &manifest, Code::InvalidManifest, &sequencer);
    provisioned(&world, &order(&manifest.enclave, ANCHOR.0, ""));
    assert_eq!(submit(&world, &manifest).status, 200);
    let info = world.accepted("info", &Ask::get(&format!("/{}/info/enclave", manifest.enclave)));
    assert_eq!((member(&info, "bound"), text(&info, "sequencer")), (&Json::Bool(true), ANCHOR.1));
    // The other way round: an enclave of the node's key cannot be given another afterwards.
    world.submit(&make(&world.node.sequencer).sign(&world.alice).into_commit());
}

/// An enclave's own sequencer is no author, nor is the node.
#[test]
fn sequencers_do_not_write() {
    let world = World::configured("").with_hall();
    let id = EnclaveId([0xab; 32]);
    provisioned(&world, &order(&id, ANCHOR.0, ""));
    let order = format!(r#"{{"target":"{}","to":"MEMBER"}}"#, ANCHOR.1);
    world.say(&world.alice, "Move", &order);
    let commit = world.commit(&key(0x33), "message", "1");
    world.refused_commit("a member that is a sequencer here", &commit, Code::Unauthorized, &[]);
}
