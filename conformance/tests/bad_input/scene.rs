//! The node that the table is run against: one enclave with people in it, another with a key of its own, and the names of all that a
//! row may speak of.

use crate::forgery;
use conformance::encd::Encd;
use conformance::people::{json, key, now, token};
use conformance::tables::Tables;
use conformance::wire::{self, Answer, Ask};
use protocol::commit::Draft;
use protocol::schnorr::KeyPair;
use protocol::session::Session;
use protocol::transport::{Nonce, TransportKeys};
use protocol::{Commit, EnclaveId, Json, PublicKey, Receipt, Signature};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The operator's token, where a node has one.
pub const ADMIN_TOKEN: &str = "a token that only the operator knows";
/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The byte of the key that the other enclave is sequenced by.
const OTHER_KEY: u8 = 0x66;

/// A node and what is on it.
pub struct Scene {
    pub node: Encd,
    pub tables: Tables,
    pub enclave: EnclaveId,
    pub alice: KeyPair,
    pub bob: KeyPair,
    pub stranger: KeyPair,
    other: EnclaveId,
    /// An event of bob's in a closed bundle, one of alice's that bob may not read, one of bob's in the open bundle.
    events: [Receipt; 3],
    /// A commit that was never sent, and the one of `events[0]`.
    fresh: Commit,
    stored: Commit,
    _folder: TempDir,
}

impl Scene {
    /// A node as it is without any configuration, with the enclaves.
    pub fn new() -> Scene {
        Scene::configured("")
    }

    /// The same with further lines of configuration.
    pub fn configured(config: &str) -> Scene {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let node = Encd::start(folder.path(), config);
        let tables = Tables::open(node.folder());
        let [alice, bob, stranger] = [1, 2, 5].map(key);
        let manifest = manifest(&node.sequencer, [&alice, &bob], "one");
        let other = manifest_elsewhere(&node, [&alice, &bob]);
        take(&node, &manifest);
        take(&node, &other);
        let enclave = manifest.enclave;
        let commit = |who: &KeyPair, event_type: &str, content: &str| {
            Draft::new(enclave, event_type, &json(content), now() + 600_000).sign(who).into_commit()
        };
        let stored = commit(&bob, "message", r#""stored""#);
        let first = [take(&node, &stored), take(&node, &commit(&alice, "secret", "1"))];
        let fresh = Draft::new(enclave, "message", &json(r#""fresh""#), now() + 600_000);
        let fresh = Draft { tags: vec![vec!["k".into(), "v".into()]], ..fresh }.sign(&bob).into_commit();
        let [said, hidden] = first;
        let mut scene = Scene {
            tables,
            enclave,
            other: other.enclave,
            events: [said, hidden, said],
            fresh,
            stored,
            alice,
            bob,
            stranger,
            node,
            _folder: folder,
        };
        let close = scene.post(&format!("/{enclave}/close-bundle"), &scene.by(&scene.alice));
        assert_eq!(close.status, 200, "{}", close.text());
        scene.events[2] = take(&scene.node, &scene.commit(&scene.bob, "message", r#""open""#));
        scene
    }

    /// A commit in the enclave.
    pub fn commit(&self, who: &KeyPair, event_type: &str, content: &str) -> Commit {
        Draft::new(self.enclave, event_type, &json(content), now() + 600_000).sign(who).into_commit()
    }

    /// A commit that must be taken.
    pub fn say(&self, who: &KeyPair, event_type: &str, content: &str) -> Receipt {
        take(&self.node, &self.commit(who, event_type, content))
    }

    /// `{from, session}` of somebody.
    pub fn by(&self, who: &KeyPair) -> String {
        format!("{{{}}}", self.members(who))
    }

    /// A POST of JSON.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        wire::ask(&self.node.address, &Ask::post(path, body))
    }

    /// Sizes, roots and the last places of both enclaves, as their owner is told. Their signatures may be made anew.
    pub fn heads(&self) -> Vec<String> {
        let session = |key: &PublicKey| token(&self.alice, key, now());
        let enclaves = [(self.enclave, self.node.sequencer), (self.other, key(OTHER_KEY).public())];
        let told = enclaves.iter().flat_map(|(enclave, sequencer)| {
            let info = Ask::get(&format!("/{enclave}/info/enclave"))
                .header("X-Enc-From", &self.alice.public().hex())
                .header("X-Enc-Session", &session(sequencer));
            let sth = wire::ask(&self.node.address, &Ask::get(&format!("/{enclave}/sth"))).json();
            let info = wire::ask(&self.node.address, &info).json();
            let text = |value: &Json, name: &str| value.member(name).expect("an owner is told").to_jcs();
            [text(&sth, "tree_size"), text(&sth, "root_hash"), text(&info, "last_seq"), text(&info, "open_events")]
        });
        told.collect()
    }

    /// That the rows were refused for what is wrong in them: what they were made of is taken.
    pub fn what_the_rows_are_made_of_is_taken(&self) {
        take(&self.node, &self.fresh);
        for name in ["bob", "alice"] {
            let members = self.value(name).expect("a name");
            let query = format!(r#"{{"type":"Query","enclave":"{}",{members}}}"#, self.enclave);
            assert_eq!(self.post("/", &query).status, 200, "{name}'s session");
        }
        let sealed = self.sealed(now(), self.enclave);
        let answer = self.post("/", &sealed);
        assert!(answer.status == 200 && answer.json().member("ciphertext").is_some(), "{}", answer.text());
    }

    /// A Query of bob's that is spelled with so many spaces.
    pub fn padded_query(&self, spaces: usize) -> String {
        let members = self.members(&self.bob);
        let query = format!(r#"{{"type":"Query","enclave":"{}",{members}}}"#, self.enclave);
        format!("{query}{}", " ".repeat(spaces.saturating_sub(query.len())))
    }

    /// A number that the node counts.
    pub fn metric(&self, name: &str) -> u64 {
        let text = wire::ask(&self.node.admin, &Ask::get("/metrics")).text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} is counted: {text}"))
    }

    fn members(&self, who: &KeyPair) -> String {
        format!(r#""from":"{}","session":"{}""#, who.public(), token(who, &self.node.sequencer, now()))
    }

    /// What a name in the table stands for.
    pub fn value(&self, name: &str) -> Option<String> {
        if let Some(member) = name.strip_prefix("fresh without ") {
            return Some(without(&self.fresh, member));
        }
        let [said, hidden, open] = &self.events;
        Some(match name {
            "id" => self.enclave.hex(),
            "ID" => self.enclave.hex().to_uppercase(),
            "other" => self.other.hex(),
            "nowhere" => "ab".repeat(32),
            "alice" => self.members(&self.alice),
            "bob" => self.members(&self.bob),
            "stranger" => self.members(&self.stranger),
            "alice-key" => self.alice.public().hex(),
            "bob-key" => self.bob.public().hex(),
            "said" => said.id.hex(),
            "hidden" => hidden.id.hex(),
            "open" => open.id.hex(),
            "fresh" => text(&self.fresh),
            "stored" => text(&self.stored),
            "101 headers" => "A: b\r\n".repeat(101),
            "eof" => "<eof>".into(),
            _ => self.session(name).or_else(|| self.forged(name))?,
        })
    }

    /// Sessions, most of which are none.
    fn session(&self, name: &str) -> Option<String> {
        let here = &self.node.sequencer;
        let until = |seconds: i64| {
            let expires = (now() / 1000).saturating_add_signed(seconds);
            Session::make(&self.bob, here, u32::try_from(expires).expect("a time before 2106"))
        };
        let good = token(&self.bob, here, now());
        Some(match name {
            "bob-token" => good,
            "bob-token-over" => until(-62).plain.hex(),
            "bob-token-far" => until(7300).plain.hex(),
            "bob-token-sealed" => until(3600).encrypted.hex(),
            "bob-token-flipped" => format!("{}{}", if good.starts_with('0') { '1' } else { '0' }, &good[1..]),
            "bob-token-extended" => format!("{}{:08x}", &good[..128], now() / 1000 + 7000),
            "bob-token-upper" => good.to_uppercase(),
            "bob-token-elsewhere" => token(&self.bob, &key(OTHER_KEY).public(), now()),
            "alice-token" => token(&self.alice, here, now()),
            "alice-token-forged" => forgery::session(&self.alice.public(), here, soon()),
            "sealed" => self.sealed(now(), self.enclave),
            "sealed-old" => self.sealed(now() - 120_000, self.enclave),
            "sealed-elsewhere" => self.sealed(now(), self.other),
            _ => return None,
        })
    }

    /// Commits that are not what they say.
    fn forged(&self, name: &str) -> Option<String> {
        let fresh = self.fresh.clone();
        let draft = || Draft::new(self.enclave, "message", &json("1"), now() + 60_000);
        let signed = |draft: Draft, who: &KeyPair| text(draft.sign(who).commit());
        let block = |key: &PublicKey| format!(r#"{{"target":"{key}","to":"BLOCKED"}}"#);
        let tagged = |id: String| Draft { tags: vec![vec!["r".into(), id]], ..draft() };
        Some(match name {
            "fresh-content" => text(&Commit { content: "2".into(), ..fresh }),
            "fresh-type" => text(&Commit { event_type: "secret".into(), ..fresh }),
            "fresh-exp" => text(&Commit { exp: fresh.exp + 1, ..fresh }),
            "fresh-elsewhere" => text(&Commit { enclave: self.other, ..fresh }),
            "fresh-as-alice" => text(&Commit { from: self.alice.public(), ..fresh }),
            "fresh-signed-by-alice" => text(&Commit { sig: self.alice.sign(fresh.hash.as_bytes()), ..fresh }),
            "fresh-signature-of-another" => text(&Commit { sig: self.stored.sig, ..fresh }),
            "fresh-unsigned" => text(&Commit { sig: Signature([0; 64]), ..fresh }),
            "fresh-type-number" => text(&Commit { content: "\"1\"".into(), ..draft().sign(&self.bob).into_commit() }),
            "late" => signed(Draft { exp: now() - 120_000, ..draft() }, &self.bob),
            "early" => signed(Draft { exp: now() + 3_700_000, ..draft() }, &self.bob),
            "by-stranger" => signed(draft(), &self.stranger),
            "secret-by-bob" => signed(Draft { event_type: "secret".into(), ..draft() }, &self.bob),
            "recovered" => text(&self.commit(&self.alice, "Recovered", r#"{"prev_seq":3}"#)),
            "node-as-author" => signed(draft(), &key(OTHER_KEY)),
            "move-of-nobody" => text(&self.commit(&self.alice, "Move", &block(&self.stranger.public()))),
            "move-by-bob" => text(&self.commit(&self.bob, "Move", &block(&self.alice.public()))),
            "move-of-no-key" => text(&self.commit(&self.alice, "Move", &block(&PublicKey([0xff; 32])))),
            "migrate-wrong" => text(&self.commit(&self.alice, "Migrate", &migrate(&key(9).public()))),
            "migrate-by-bob" => text(&self.commit(&self.bob, "Migrate", &migrate(&key(9).public()))),
            "update-of-nothing" => signed(Draft { event_type: "Update".into(), ..tagged("ab".repeat(32)) }, &self.bob),
            "delete-of-alices" => {
                signed(Draft { event_type: "Delete".into(), ..tagged(self.events[1].id.hex()) }, &self.bob)
            }
            "manifest-for-another-key" => text(&manifest(&key(9).public(), [&self.alice, &self.bob], "two")),
            _ => return None,
        })
    }

    /// A Query of bob's in an envelope made for one enclave and put on another where they differ.
    fn sealed(&self, time: u64, put_on: EnclaveId) -> String {
        let session = Session::make(&self.bob, &self.node.sequencer, soon());
        let keys = TransportKeys::for_client(&session, &self.node.sequencer, &self.enclave).expect("a key");
        let plaintext = format!(r#"{{"time":{time},"request":{{"type":"Query"}}}}"#);
        let sealed = keys.seal_query(&self.bob.public(), &session.encrypted, Nonce([7; 24]), plaintext.as_bytes());
        format!(
            r#"{{"enclave":"{put_on}","from":"{}","session":"{}","nonce":"{}","ciphertext":"{}"}}"#,
            sealed.from,
            sealed.session,
            protocol::ids::hex(&sealed.nonce.0),
            protocol::ids::hex(&sealed.ciphertext)
        )
    }
}

/// Waits until something is so.
///
/// # Panics
/// Where it never is.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
    }
}

/// In an hour, in seconds.
fn soon() -> u32 {
    u32::try_from(now() / 1000 + 3600).expect("a time before 2106")
}

fn text(commit: &Commit) -> String {
    commit.to_json().to_jcs()
}

/// A commit's members but for one, open for a row to go on with.
fn without(commit: &Commit, member: &str) -> String {
    let Json::Object(members) = commit.to_json() else { panic!("a commit is an object") };
    assert!(members.iter().any(|(name, _)| name == member) || member == "nothing", "{member} is no member");
    let kept = members.iter().filter(|(name, _)| name != member);
    let texts: Vec<String> = kept.map(|(name, value)| format!("\"{name}\":{}", value.to_jcs())).collect();
    format!("{{{}", texts.join(","))
}

fn migrate(new: &PublicKey) -> String {
    format!(r#"{{"new_sequencer":"{new}","prev_seq":0,"ct_root":"{}"}}"#, "ab".repeat(32))
}

/// Submits a commit, which must be taken.
fn take(node: &Encd, commit: &Commit) -> Receipt {
    let answer = wire::ask(&node.address, &Ask::post("/", text(commit)));
    assert_eq!(answer.status, 200, "{} is taken: {}", commit.event_type, answer.text());
    Receipt::from_json(answer.json()).expect("a receipt")
}

/// A Manifest by alice: she owns it, bob is a member and gets pushes.
fn manifest(sequencer: &PublicKey, [alice, bob]: [&KeyPair; 2], nonce: &str) -> Commit {
    let (owner, member) = (alice.public(), bob.public());
    let content = json(&format!(
        r#"{{"enc_v":2,"sequencer":"{sequencer}","bundle":{{"size":256,"timeout":3600000}},"RBAC":{{
            "states":["MEMBER","BLOCKED"],"traits":["owner(0)","feed(3)"],
            "readers":[{{"type":"owner","reads":"*"}},{{"type":"MEMBER","reads":["message"]}}],
            "moves":[{{"event":"Move","from":"MEMBER","to":"BLOCKED","operator":"owner","ops":["C"]}},
                     {{"event":"Move","from":"BLOCKED","to":"OUTSIDER","operator":"owner","ops":["C"]}}],
            "customs":[{{"event":"message","operator":"MEMBER","ops":["C"]}},
                       {{"event":"message","operator":"Sender","ops":["U","D"]}},
                       {{"event":"message","operator":"feed","ops":["P"]}},
                       {{"event":"secret","operator":"owner","ops":["C"]}}],
            "init":[{{"identity":"{owner}","state":"MEMBER","traits":["owner"]}},
                    {{"identity":"{member}","state":"MEMBER","traits":["feed"]}}]}}}}"#
    ));
    let tags = vec![vec!["nonce".to_owned(), nonce.to_owned()]];
    Draft::manifest(alice, &content, tags, now() + 600_000).sign(alice).into_commit()
}

/// The Manifest of an enclave whose key the operator has given to the node.
fn manifest_elsewhere(node: &Encd, people: [&KeyPair; 2]) -> Commit {
    let manifest = manifest(&key(OTHER_KEY).public(), people, "other");
    let secret = format!("{OTHER_KEY:02x}").repeat(32);
    let body = format!(r#"{{"enclave_id":"{}","sequencer_priv":"{secret}"}}"#, manifest.enclave);
    let path = format!("/{}/init-with-priv", manifest.enclave);
    let ask = Ask::post(&path, body).header("Authorization", &format!("Bearer {ADMIN_TOKEN}"));
    let answer = wire::ask(&node.address, &ask);
    assert_eq!(answer.status, 200, "{}", answer.text());
    manifest
}
