//! Snapshot and restore: the whole log from one node to another, where it is served and not written.

use crate::world::{ADMIN_TOKEN, CALM, World, any_number, check_refusal, member, number, text};
use client::audit::audit_snapshot;
use conformance::people::{key, now, token};
use conformance::tables::difference;
use conformance::wire::{Answer, Ask};
use protocol::commit::Draft;
use protocol::snapshot::Snapshot;
use protocol::{Code, EnclaveId, Json};

fn snapshot(world: &World) -> Vec<u8> {
    let answer = world.ask(&world.signed(Ask::get(&world.path("snapshot")), &world.alice));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/octet-stream")));
    answer.body
}

fn restore(target: &str, bytes: &[u8]) -> Ask {
    let ask = Ask::post_as("application/octet-stream", target, bytes);
    ask.header("Authorization", &format!("Bearer {ADMIN_TOKEN}"))
}

/// A hall with a bit of everything in it: a closed bundle, an open one, a deleted message, an update.
fn lived() -> World {
    let world = World::new();
    let first = world.say(&world.bob, "message", r#""kept""#);
    let second = world.say(&world.bob, "message", r#""to be deleted""#);
    let refer = |event_type: &str, id: protocol::EventId| {
        let tags = vec![vec!["r".to_owned(), id.hex()]];
        world.submit(&Draft { tags, ..world.draft(event_type, r#""changed""#) }.sign(&world.bob).into_commit());
    };
    refer("Update", first.id);
    refer("Delete", second.id);
    world.close();
    world.say(&world.alice, "Shared", r#"{"key":"topic","value":[1,{"a":null}]}"#);
    world.say(&world.carol, "Grant", &format!(r#"{{"target":"{}","trait":"muted"}}"#, world.dave.public()));
    world
}

#[test]
fn a_log_moves_to_another_node_and_is_read_there() {
    let (here, mut there) = (lived(), World::new());
    let bytes = snapshot(&here);
    assert_eq!(snapshot(&here), bytes, "the same log, the same bytes");
    let (enclave, audited) = audit_snapshot(&bytes, None).expect("it replays");
    assert_eq!((enclave, audited.replayed.events, audited.tree_size), (here.enclave, 7, 1));
    assert!(!bytes.windows(13).any(|window| window == b"to be deleted"), "deleted content is in no copy");
    let answer = there.accepted("restore", &restore(&here.path("restore"), &bytes));
    let expected = format!(r#"{{"enclave_id":"{}","last_seq":6,"live":false,"ok":true,"tree_size":1}}"#, here.enclave);
    assert_eq!(answer.to_jcs(), expected);
    there.enclave = here.enclave;
    for path in
        ["sth", "checkpoint", "info/manifest", "tile/entries/000.p/1", "tile/0/000.p/1", "consistency?from=0&to=1"]
    {
        let ask = Ask::get(&here.path(path));
        // A checkpoint needs keys that this node has not.
        if path != "checkpoint" {
            assert_eq!(here.ask(&ask).text(), there.ask(&ask).text(), "{path}");
        }
    }
    let alice = |ask: Ask| {
        let session = token(&here.alice, &here.node.sequencer, now());
        ask.header("X-Enc-From", &here.alice.public().hex()).header("X-Enc-Session", &session)
    };
    let copied = there.ask(&alice(Ask::get(&here.path("snapshot"))));
    assert_eq!((copied.status, copied.body == bytes), (200, true), "a copy of the copy is the same");
    let query = here.asking(&here.alice, r#""type":"Query","filter":{"limit":1000}"#);
    let query = Ask::post("/", query);
    assert_eq!(here.ask(&query).text(), there.ask(&query).text());
    let info = there.accepted("info", &alice(Ask::get(&here.path("info/enclave"))));
    assert_eq!((member(&info, "live"), number(&info, "last_seq")), (&Json::Bool(false), 6));
    read_only(&here, &there);
    let again = restore(&here.path("restore"), &bytes);
    let before = there.tables.dump();
    check_refusal("again", &there.ask(&again), (409, Code::EnclaveExists), &[]);
    assert_eq!(difference(&before, &there.tables.dump()), "");
}

/// Whatever would write is refused, on every route that writes.
fn read_only(here: &World, there: &World) {
    let before = there.tables.dump();
    for (who, event_type, content) in [
        (&here.bob, "message", "1"),
        (&here.alice, "Pause", "{}"),
        (&here.alice, "Terminate", "{}"),
        (&here.stranger, "message", "1"),
    ] {
        let commit = here.commit(who, event_type, content);
        check_refusal(event_type, &there.ask(&World::submitting(&commit)), (403, Code::ReadOnly), &[]);
    }
    let close = Ask::post(&here.path("close-bundle"), here.by(&here.alice, ""));
    check_refusal("close-bundle", &there.ask(&close), (403, Code::ReadOnly), &[]);
    assert_eq!(difference(&before, &there.tables.dump()), "");
}

#[test]
fn restoring_is_the_operators_or_an_owners() {
    let (here, there) = (lived(), World::new());
    let bytes = snapshot(&here);
    let ask = Ask::post_as("application/octet-stream", &here.path("restore"), bytes.clone());
    let by = |who, sequencer| {
        let session = token(who, sequencer, now());
        ask.clone().header("X-Enc-From", &who.public().hex()).header("X-Enc-Session", &session)
    };
    let refused = |what: &str, ask: &Ask, code: Code| {
        there.refused(what, ask, (code.status(), code), &[]);
    };
    refused("nobody", &ask, Code::Unauthorized);
    refused("another token", &ask.clone().header("Authorization", "Bearer something quite else"), Code::Unauthorized);
    refused("a member", &by(&here.bob, &there.node.sequencer), Code::Unauthorized);
    refused("a stranger", &by(&here.stranger, &there.node.sequencer), Code::Unauthorized);
    refused("the owner, by a session for the other node", &by(&here.alice, &here.node.sequencer), Code::InvalidSession);
    there.accepted("the owner", &by(&here.alice, &there.node.sequencer));
}

#[test]
fn what_is_no_log_leaves_nothing() {
    let (here, there) = (lived(), World::new());
    let bytes = snapshot(&here);
    let path = here.path("restore");
    let structure = |what: &str, bytes: &[u8]| {
        let answer = there.refused_any(what, &restore(&path, bytes));
        assert_eq!(text(&answer.json(), "error"), "invalid_structure", "{what}");
    };
    structure("nothing", b"");
    structure("the magic alone", b"ENC1");
    structure("a byte short", &bytes[..bytes.len() - 1]);
    structure("a byte long", &[&bytes[..], &[0]].concat());
    // A byte here and there over the whole file; the client's side tries every one.
    for place in (0..bytes.len()).step_by(bytes.len() / 40) {
        let mut altered = bytes.clone();
        altered[place] ^= 1;
        let answer = there.refused_any(&format!("byte {place}"), &restore(&path, &altered));
        assert_eq!(answer.status / 100, 4, "byte {place}: {}", answer.text());
    }
    let elsewhere = format!("/{}/restore", EnclaveId([7; 32]));
    structure_at(&there, &elsewhere, &bytes);
    let wrong_name = there.ask(&restore(&format!("{path}?first=maybe"), &bytes));
    assert_eq!(text(&wrong_name.json(), "field"), "first");
    there.accepted("as it was", &restore(&path, &bytes));
}

fn structure_at(world: &World, target: &str, bytes: &[u8]) {
    let answer = world.refused_any(target, &restore(target, bytes));
    assert_eq!(answer.status / 100, 4, "{target}: {}", answer.text());
}

impl World {
    /// A request that must be refused, with whichever code, and change nothing.
    fn refused_any(&self, what: &str, ask: &Ask) -> Answer {
        let before = self.tables.dump();
        let answer = self.ask(ask);
        assert!(answer.status >= 400, "{what}: {}", answer.text());
        assert_eq!(difference(&before, &self.tables.dump()), "", "{what}");
        answer
    }
}

#[test]
fn an_unbound_id_is_restored_for_who_knows_its_manifest_and_key() {
    let (here, there) = (World::configured(""), World::new());
    let id = EnclaveId([0xab; 32]);
    let body = format!(r#"{{"enclave_id":"{id}","sequencer_priv":"{}"}}"#, "33".repeat(32));
    here.accepted("init-with-priv", &Ask::post(&format!("/{id}/init-with-priv"), body));
    let sequencer = key(0x33).public();
    let content = crate::world::hall(&sequencer, CALM, [&here.alice, &here.bob, &here.carol, &here.dave]);
    let draft = Draft { enclave: id, ..Draft::manifest(&here.alice, &content, Vec::new(), now() + 60_000) };
    let manifest = draft.sign(&here.alice).into_commit();
    assert_eq!(here.ask(&World::submitting(&manifest)).status, 200);
    let session = token(&here.alice, &sequencer, now());
    let get = Ask::get(&format!("/{id}/snapshot")).header("X-Enc-From", &here.alice.public().hex());
    let bytes = here.ask(&get.header("X-Enc-Session", &session)).body;
    assert_eq!(Snapshot::read(&bytes).expect("a snapshot").seq_pub, sequencer);
    let path = format!("/{id}/restore");
    let other = "ab".repeat(32);
    for query in [
        String::new(),
        format!("?manifest={}", manifest.hash),
        format!("?sequencer={sequencer}"),
        format!("?manifest={other}&sequencer={sequencer}"),
        format!("?manifest={}&sequencer={other}", manifest.hash),
        format!("?manifest={}&sequencer=xyz", manifest.hash),
    ] {
        structure_at(&there, &format!("{path}{query}"), &bytes);
    }
    let named = format!("{path}?manifest={}&sequencer={sequencer}", manifest.hash);
    let answer = there.accepted("restore", &restore(&named, &bytes));
    assert_eq!(member(&answer, "live"), &Json::Bool(false));
    let info = there.accepted("info", &Ask::get(&format!("/{id}/info/enclave")));
    assert_eq!(member(&info, "bound"), &Json::Bool(false));
}

/// A restored log of the node's own key is not written on either: it may have gone on elsewhere.
#[test]
fn the_nodes_own_log_comes_back_read_only() {
    let mut world = lived();
    let bytes = snapshot(&world);
    let enclave = world.enclave;
    world.restart(|folder| {
        for shard in 0..2 {
            for name in ["db", "db-wal", "db-shm", "mark"] {
                let path = folder.join(format!("data/shard-{shard}.{name}"));
                if path.exists() {
                    std::fs::remove_file(path).expect("it is ours");
                }
            }
        }
    });
    assert_eq!(world.ask(&Ask::get(&world.path("sth"))).status, 404, "the disk was lost");
    let answer = world.accepted("restore", &restore(&format!("/{enclave}/restore"), &bytes));
    assert_eq!(member(&answer, "live"), &Json::Bool(false));
    let commit = world.commit(&world.bob, "message", "1");
    world.refused_commit("after a loss", &commit, Code::ReadOnly, &[]);
    let old = Draft { exp: 1, ..world.draft("message", "2") }.sign(&world.bob).into_commit();
    world.refused_commit("expiry goes before", &old, Code::Expired, &[("time", any_number())]);
}
