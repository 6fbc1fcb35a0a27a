//! Every error code of the protocol, each reached over HTTP: a code that nothing gives is a promise that nobody keeps. The match over
//! all codes has no other arm, so that a new code does not compile until it is reached here.

use crate::world::{CALM, World, any_number, check_refusal, hall};
use conformance::encd::Encd;
use conformance::inside::Inside;
use conformance::people::{json, key, now};
use conformance::tables::{Tables, difference};
use conformance::wire::{self, Ask};
use protocol::commit::Draft;
use protocol::ids::hex;
use protocol::session::Session;
use protocol::{Code, Commit, EnclaveId, Json};

/// What most codes need.
struct Lab {
    world: World,
    paused: EnclaveId,
    terminated: EnclaveId,
    migrated: EnclaveId,
}

#[test]
fn every_code_is_given_by_a_node() {
    let lab = Lab::new();
    for code in Code::ALL {
        lab.provoke(*code);
    }
}

impl Lab {
    fn new() -> Lab {
        let world = World::new();
        let make = |nonce: &str, event_type: &str, content: &str| {
            let enclave = world.create(nonce, CALM);
            world.submit(&elsewhere(&world, enclave, event_type, content));
            enclave
        };
        let paused = make("paused", "Pause", "{}");
        let terminated = make("terminated", "Terminate", "{}");
        let empty = hex(&merkle_empty());
        let migrate = format!(r#"{{"new_sequencer":"{}","prev_seq":0,"ct_root":"{empty}"}}"#, key(0x77).public());
        let migrated = make("migrated", "Migrate", &migrate);
        Lab { paused, terminated, migrated, world }
    }

    /// Makes a node give the code, with everything that the answer must say.
    fn provoke(&self, code: Code) {
        let world = &self.world;
        let what = code.as_str();
        let refused = |ask: &Ask, extra: &[(&str, Json)]| {
            world.refused(what, ask, (code.status(), code), extra);
        };
        let refused_commit = |commit: &Commit, extra: &[(&str, Json)]| {
            world.refused_commit(what, commit, code, extra);
        };
        let until = |exp: u64| {
            let draft = Draft { exp, ..world.draft("message", "1") };
            draft.sign(&world.bob).into_commit()
        };
        let message = world.commit(&world.bob, "message", r#""hello""#);
        match code {
            Code::InvalidJson => refused(&Ask::post("/", "{"), &[]),
            Code::InvalidRoute => refused(&Ask::get("/nowhere"), &[]),
            Code::InvalidStructure => refused(&Ask::post("/", "{}"), &[("field", Json::from("type"))]),
            Code::InvalidHash => refused_commit(&Commit { content: "2".into(), ..message }, &[]),
            Code::InvalidSignature => refused_commit(&Commit { sig: until(1).sig, ..message }, &[]),
            Code::Expired => refused_commit(&until(now() - 61_000), &[("time", any_number())]),
            Code::ExpTooFar => refused_commit(&until(now() + 3_660_000), &[("time", any_number())]),
            Code::Duplicate => {
                let receipt = world.submit(&message);
                refused_commit(&message, &[("receipt", receipt.to_json())]);
            }
            Code::Unauthorized => refused_commit(&world.commit(&world.stranger, "message", "1"), &[]),
            Code::InvalidSession => refused(&self.query_with("ab"), &[]),
            Code::SessionExpired => refused(&self.query_with(&self.session_until(now() / 1000 - 61)), &[]),
            Code::EnclaveNotFound => refused(&Ask::get(&format!("/{}/sth", "ab".repeat(32))), &[]),
            Code::EnclaveExists => refused(&self.provision(&world.enclave), &[]),
            Code::EnclavePaused => refused_commit(&elsewhere(world, self.paused, "message", "1"), &[]),
            Code::EnclaveTerminated => refused_commit(&elsewhere(world, self.terminated, "message", "1"), &[]),
            Code::EnclaveMigrated => {
                let moved = [("new_sequencer", Json::from(key(0x77).public().hex()))];
                refused_commit(&elsewhere(world, self.migrated, "message", "1"), &moved);
            }
            Code::ReadOnly => self.read_only(),
            Code::InvalidManifest => {
                let content = hall(&key(9).public(), CALM, [&world.alice, &world.bob, &world.carol, &world.dave]);
                let commit = Draft::manifest(&world.alice, &content, Vec::new(), now() + 60_000).sign(&world.alice);
                refused_commit(commit.commit(), &[("path", Json::from("sequencer"))]);
            }
            Code::RankTooLow => {
                let order = format!(r#"{{"target":"{}","to":"BLOCKED"}}"#, world.alice.public());
                refused_commit(&world.commit(&world.carol, "Move", &order), &[]);
            }
            Code::GateClosed => {
                let order = format!(r#"{{"target":"{}","to":"MEMBER"}}"#, world.stranger.public());
                refused_commit(&world.commit(&world.stranger, "Move", &order), &[]);
            }
            Code::BadState => refused_commit(&world.commit(&world.alice, "Resume", "{}"), &[]),
            Code::NotFound => refused_commit(&world.commit(&world.alice, "Shared", r#"{"key":"none","value":1}"#), &[]),
            Code::NotBundled => {
                let receipt = world.say(&world.bob, "message", "3");
                let body = world.by(&world.bob, &format!(r#""event_id":"{}""#, receipt.id));
                refused(&Ask::post(&world.path("inclusion"), body), &[]);
            }
            Code::TooLarge => {
                let body = format!("\"{}\"", "x".repeat(1 << 20));
                refused(&Ask::post(&world.path("state"), body), &[("limit", Json::from(1 << 20))]);
            }
            Code::UnsupportedMediaType => refused(&Ask::post_as("text/plain", "/", "{}"), &[]),
            Code::LimitExceeded => {
                let body = world.asking(&world.bob, r#""type":"Query","filter":{"limit":1001}"#);
                refused(&Ask::post("/", body), &[("limit", Json::from(1000))]);
            }
            Code::RateLimited => rate_limited(),
            Code::Overloaded => overloaded(),
            Code::ClockBehind => clock_behind(),
            Code::RolledBack => rolled_back(),
            Code::Internal => internal(),
        }
    }

    fn query_with(&self, session: &str) -> Ask {
        let (enclave, from) = (self.world.enclave, self.world.bob.public());
        let body = format!(r#"{{"type":"Query","enclave":"{enclave}","from":"{from}","session":"{session}"}}"#);
        Ask::post("/", body)
    }

    fn session_until(&self, expires_secs: u64) -> String {
        let expires_secs = u32::try_from(expires_secs).expect("a time before 2106");
        Session::make(&self.world.bob, &self.world.node.sequencer, expires_secs).plain.hex()
    }

    fn provision(&self, enclave: &EnclaveId) -> Ask {
        let body = format!(r#"{{"enclave_id":"{enclave}","sequencer_priv":"{}"}}"#, "44".repeat(32));
        let ask = Ask::post(&format!("/enclaves/{enclave}/init-with-priv"), body);
        ask.header("Authorization", &format!("Bearer {}", crate::world::ADMIN_TOKEN))
    }

    /// A copy of the hall on another node is served there, not written.
    fn read_only(&self) {
        let here = &self.world;
        let snapshot = here.ask(&here.signed(Ask::get(&here.path("snapshot")), &here.alice));
        assert_eq!(snapshot.status, 200, "{}", snapshot.text());
        let mut there = World::new();
        let operator = format!("Bearer {}", crate::world::ADMIN_TOKEN);
        let restore = Ask::post_as("application/octet-stream", &here.path("restore"), snapshot.body);
        let answer = there.accepted("restore", &restore.header("Authorization", &operator));
        assert_eq!(answer.member("live"), Some(&Json::Bool(false)));
        there.enclave = here.enclave;
        let commit = here.commit(&here.bob, "message", r#""to the copy""#);
        // Its sessions are for the sequencer that it was copied from, which this node is not: its head is read without one.
        let sth = there.ask(&Ask::get(&here.path("sth")));
        let before = there.tables.dump();
        let refusal = there.ask(&World::submitting(&commit));
        check_refusal("read_only", &refusal, (403, Code::ReadOnly), &[]);
        assert_eq!(difference(&before, &there.tables.dump()), "");
        assert_eq!(sth, there.ask(&Ask::get(&here.path("sth"))));
    }
}

/// A commit by alice in one of the other enclaves.
fn elsewhere(world: &World, enclave: EnclaveId, event_type: &str, content: &str) -> Commit {
    Draft::new(enclave, event_type, &json(content), now() + 60_000).sign(&world.alice).into_commit()
}

/// The root of a log without entries: SHA-256 of nothing.
fn merkle_empty() -> [u8; 32] {
    protocol::cbor::sha256(b"")
}

/// Five requests at once from this machine, one a second after that.
fn rate_limited() {
    let world = World::configured("[rates]\nloopback = true\naddress_per_second = 1\naddress_burst = 5\n");
    let before = world.tables.dump();
    let limited = (0..50).map(|_| world.ask(&Ask::get("/"))).find(|answer| answer.status != 200);
    let limited = limited.expect("fifty requests do not take ten seconds");
    check_refusal("rate_limited", &limited, (429, Code::RateLimited), &[]);
    assert_eq!(difference(&before, &world.tables.dump()), "");
}

/// A disk that has not the room that the operator wants left: no new enclaves.
fn overloaded() {
    let world = World::configured("[disk]\ncreate_free_mib = 1000000000\n");
    world.refused_commit("overloaded", &world.manifest("full", CALM), Code::Overloaded, &[]);
}

/// A clock that was ahead when the last event was made, and was set back.
fn clock_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = Inside::start(folder.path());
    let sequencer = node.server().host().keys.node();
    let (alice, bob) = (key(1), key(2));
    let content = hall(&sequencer, CALM, [&alice, &bob, &key(3), &key(4)]);
    node.set_ahead(120_000);
    let manifest = Draft::manifest(&alice, &content, Vec::new(), now() + 120_000).sign(&alice).into_commit();
    assert_eq!(wire::ask(&node.address(), &World::submitting(&manifest)).status, 200);
    node.set_ahead(0);
    // Its expiry lies in the past, too: the clock goes first.
    let commit = Draft::new(manifest.enclave, "message", &json("1"), 1).sign(&bob).into_commit();
    let tables = Tables::open(folder.path());
    let before = tables.dump();
    let answer = wire::ask(&node.address(), &World::submitting(&commit));
    check_refusal("clock_behind", &answer, (503, Code::ClockBehind), &[("time", any_number())]);
    assert_eq!(difference(&before, &tables.dump()), "");
}

/// A database that is behind the mark that is kept beside it.
fn rolled_back() {
    let mut world = World::configured("").with_hall();
    world.restart(|folder| {
        for shard in 0..2 {
            std::fs::write(folder.join(format!("data/shard-{shard}.mark")), "1000000\n").expect("the mark is writable");
        }
    });
    let commit = world.commit(&world.bob, "message", "1");
    world.refused_commit("rolled_back", &commit, Code::RolledBack, &[]);
    let reads = world.asking(&world.bob, r#""type":"Query""#);
    assert_eq!(world.ask(&Ask::post("/", reads)).status, 200, "reads go on");
}

/// A node whose key file for an enclave was taken away: it cannot sign, and says no more than that.
fn internal() {
    let mut world = World::configured("");
    let sequencer = key(0x66);
    let content = hall(&sequencer.public(), CALM, [&world.alice, &world.bob, &world.carol, &world.dave]);
    let manifest = Draft::manifest(&world.alice, &content, Vec::new(), now() + 60_000).sign(&world.alice).into_commit();
    let enclave = manifest.enclave;
    let body = format!(r#"{{"enclave_id":"{enclave}","sequencer_priv":"{}"}}"#, "66".repeat(32));
    world.accepted("init-with-priv", &Ask::post(&format!("/{enclave}/init-with-priv"), body));
    world.submit(&manifest);
    world.restart(|folder| {
        std::fs::remove_file(folder.join(format!("keys/{enclave}.key"))).expect("the key lies where it is said to");
    });
    let commit = Draft::new(enclave, "message", &json("1"), now() + 60_000).sign(&world.bob).into_commit();
    world.refused_commit("internal", &commit, Code::Internal, &[]);
}

/// A node says what it is and nothing of its keys: no secret that this test gave it stands in its log.
#[test]
fn a_provisioned_secret_is_in_no_log_and_no_answer() {
    let world = World::configured("");
    let secret = "66".repeat(32);
    let enclave = "ab".repeat(32);
    let body = format!(r#"{{"enclave_id":"{enclave}","sequencer_priv":"{secret}"}}"#);
    let answer = world.ask(&Ask::post(&format!("/{enclave}/init-with-priv"), body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let node: &Encd = &world.node;
    assert!(!answer.text().contains(&secret) && !node.log().contains(&secret));
}
