//! Random scripts on the templates and on manifests of random shape: every refusal changes nothing, every receipt is the one that a plain
//! account of the log expects, and all that was promised can be proved in the end.

use crate::oracle::{Name, Oracle, log_root};
use crate::world::{NODE, START, World, id, key, secret, template};
use proptest::prelude::*;
use protocol::commit::Draft;
use protocol::head::{Sth, VerifiedSth};
use protocol::proof::{BundleAnswer, InclusionAnswer, StateAnswer};
use protocol::state::Lifecycle;
use protocol::{Commit, EnclaveId, PublicKey, VerifiedCommit};
use serde_json::{Value, json};
use service::Call;
use service::call::{Action, CheckedCommit, Claim, Filter, InclusionOf, Restore, TakeUp};
use service::record::Record;
use service::runtime::Fault;

const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];
const TEMPLATES: [&str; 4] = ["personal", "dm", "group", "open"];

/// A template, or a manifest that uses every section, with bundles of random size.
fn manifest(shape: [u8; 4]) -> Value {
    let [of, size, timeout, gates] = shape.map(usize::from);
    let mut manifest: Value = match TEMPLATES.get(of % 7) {
        Some(name) => serde_json::from_str(&template(name).to_jcs()).expect("JSON"),
        None => serde_json::from_str(&crate::world::json(RICH).to_jcs()).expect("JSON"),
    };
    if of % 7 > 3 {
        for (place, row) in manifest["RBAC"]["moves"].as_array_mut().expect("moves").iter_mut().enumerate() {
            if row["gate"].is_object() && gates >> place & 1 == 1 {
                row["gate"]["open"] = json!(true);
            }
        }
    }
    manifest["bundle"] = json!({"size": 1 + size % 7, "timeout": 500 + timeout * 40});
    manifest
}

const RICH: &str = r#"{"enc_v":2,"sequencer":"SEQ","RBAC":{
    "states":["MEMBER","GUEST","BANNED"],"traits":["owner(0)","admin(1)","muted(2)","star(3)"],
    "readers":[{"type":"MEMBER","reads":"*","retention":"snapshot"},{"type":"GUEST","reads":["talk"]}],
    "moves":[{"event":"Move","from":"OUTSIDER","to":"GUEST","operator":"Self","ops":["C"],"alias":"door","gate":{"operator":["owner"]}},
             {"event":"Move","from":"GUEST","to":"MEMBER","operator":["Self","admin"],"ops":["C"],"alias":"hall","gate":{"operator":["admin"]}},
             {"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":["owner","admin"],"ops":["C"]},
             {"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":["Self","admin"],"ops":["C"]},
             {"event":"Move","from":"GUEST","to":"OUTSIDER","operator":["Self","admin"],"ops":["C"]},
             {"event":"Move","from":"MEMBER","to":"BANNED","operator":"admin","ops":["C"]},
             {"event":"Move","from":"BANNED","to":"OUTSIDER","operator":"owner","ops":["C"]}],
    "grants":[{"event":"Grant","operator":["owner"],"scope":["MEMBER","GUEST"],"trait":["admin","star"]},
              {"event":"Revoke","operator":["owner"],"scope":["MEMBER","GUEST","BANNED"],"trait":["admin","star"]},
              {"event":"Grant","operator":["admin"],"scope":["MEMBER","GUEST"],"trait":["muted"]},
              {"event":"Revoke","operator":["admin"],"scope":["MEMBER","GUEST","OUTSIDER"],"trait":["muted"]}],
    "transfers":[{"trait":"owner","operator":["owner"],"scope":["MEMBER"]},{"trait":"star","operator":["star"],"scope":["MEMBER","GUEST"]}],
    "slots":[{"event":"Shared","key":"topic","operator":["MEMBER"],"ops":["C","U","D"]},{"event":"Shared","key":"rules","operator":"owner","ops":["C","U"]},
             {"event":"Own","key":"profile","operator":"Self","ops":["C","U","D"]}],
    "lifecycle":[{"event":"Pause","operator":"owner","ops":["C"]},{"event":"Resume","operator":["owner","admin"],"ops":["C"]},
                 {"event":"Terminate","operator":"owner","ops":["C"]}],
    "customs":[{"event":"talk","operator":["MEMBER","GUEST"],"ops":["C"]},{"event":"talk","operator":"Sender","ops":["U","D"]},
               {"event":"talk","operator":"muted","ops":["_C"]},{"event":"talk","operator":"admin","ops":["D"]},
               {"event":"vote","operator":"Public","ops":["C"],"alias":"poll","gate":{"operator":["admin"]}}],
    "init":[{"identity":"@alice","state":"MEMBER","traits":["owner","admin"]},{"identity":"@bob","state":"MEMBER","traits":["star"]}]}}"#;

/// What a manifest names, to be drawn from.
struct Words {
    states: Vec<String>,
    traits: Vec<String>,
    aliases: Vec<String>,
    slots: Vec<(String, String)>,
    customs: Vec<String>,
}

impl Words {
    fn of(manifest: &Value) -> Words {
        let rbac = &manifest["RBAC"];
        let rows = |section: &str| rbac[section].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().expect("a name").to_owned();
        let mut states: Vec<String> = rows("states").iter().map(text).collect();
        states.push("OUTSIDER".to_owned());
        let mut traits: Vec<String> =
            rows("traits").iter().map(|name| text(name).split('(').next().expect("a name").to_owned()).collect();
        traits.push("nothing".to_owned());
        let gated = [rows("moves"), rows("customs")].concat();
        let mut aliases: Vec<String> =
            gated.iter().filter(|row| row["alias"].is_string()).map(|row| text(&row["alias"])).collect();
        aliases.push("nowhere".to_owned());
        let mut slots: Vec<_> = rows("slots").iter().map(|row| (text(&row["event"]), text(&row["key"]))).collect();
        slots.push(("Shared".to_owned(), "nothing".to_owned()));
        let mut customs: Vec<String> = rows("customs").iter().map(|row| text(&row["event"])).collect();
        customs.push("unheard".to_owned());
        Words { states, traits, aliases, slots, customs }
    }
}

/// One step of a script: numbers from which everything about it is drawn.
type Step = [u8; 6];

fn pick<T: Clone>(of: &[T], by: u8) -> T {
    of[usize::from(by) % of.len()].clone()
}

struct Run {
    world: World,
    enclave: EnclaveId,
    oracle: Oracle,
    words: Words,
    commits: Vec<VerifiedCommit>,
    accepted: usize,
}

impl Run {
    fn begin(manifest: &Value) -> Run {
        let world = World::new();
        let content = protocol::json::parse(manifest.to_string().as_bytes(), 64).expect("JSON");
        let commit = Draft::manifest(&key("alice"), &content, vec![], START + 60_000).sign(&key("alice"));
        let enclave = commit.commit().enclave;
        let (oracle, words) = (Oracle::new(manifest), Words::of(manifest));
        let mut run = Run { world, enclave, oracle, words, commits: Vec::new(), accepted: 0 };
        run.submit(&commit);
        assert_eq!(run.accepted, 1, "the manifest is valid");
        run
    }

    /// Content and tags of a step.
    fn content(&self, step: &Step) -> (String, Value, Vec<Vec<String>>) {
        let [kind, _, a, b, c, _] = *step;
        let words = &self.words;
        let target = id(pick(&PEOPLE, a)).hex();
        let role = |kind: u8, a: u8, b: u8| {
            let target = id(pick(&PEOPLE, a)).hex();
            match kind % 5 {
                0 => ("Move", json!({"target": target, "to": pick(&words.states, b)})),
                1 => ("Grant", json!({"target": target, "trait": pick(&words.traits, b)})),
                2 => ("Revoke", json!({"target": target, "trait": pick(&words.traits, b)})),
                3 => ("Transfer", json!({"target": target, "trait": pick(&words.traits, b)})),
                _ => ("Gate", json!({"alias": pick(&words.aliases, b), "open": a.is_multiple_of(2)})),
            }
        };
        let plain = |kind: &str, content: Value| (kind.to_owned(), content, vec![]);
        match kind % 24 {
            0..=6 => (pick(&words.customs, a), json!([b, c]), vec![vec!["k".to_owned(), b.to_string()]]),
            7..=9 => plain("Move", json!({"target": target, "to": pick(&words.states, b)})),
            10..=13 => {
                let (kind, content) = role(kind, a, b);
                plain(kind, content)
            }
            14 | 15 => {
                let (event, slot) = pick(&words.slots, a);
                let value = if b % 3 == 0 { Value::Null } else { json!(b) };
                plain(&event, json!({"key": slot, "value": value}))
            }
            16..=18 => {
                let of = pick(&self.oracle.events, a).id.hex();
                let kind = if b % 2 == 0 { "Update" } else { "Delete" };
                (kind.to_owned(), json!(c), vec![vec!["r".to_owned(), of]])
            }
            19 => {
                let parts: Vec<Value> = (0..=c % 3)
                    .map(|n| {
                        let (kind, content) = role(a.wrapping_add(n), b.wrapping_mul(n + 1), c.wrapping_add(n));
                        json!({"type": kind, "content": content})
                    })
                    .collect();
                plain("AC_Bundle", json!({"ops": parts}))
            }
            20 => plain(["Pause", "Resume"][usize::from(a % 2)], json!({})),
            21 if a > 240 => plain("Terminate", json!({})),
            22 if a > 240 => {
                let root = protocol::ids::hex(&log_root(&self.oracle.entries));
                let seq = self.oracle.events.len() - 1;
                plain("Migrate", json!({"new_sequencer": id("zoe").hex(), "prev_seq": seq, "ct_root": root}))
            }
            _ => plain(&pick(&words.customs, b), json!(c)),
        }
    }

    fn step(&mut self, step: &Step) {
        let [kind, author, _, _, c, time] = *step;
        // A clock that was set back far is mended by the next step.
        let (now, last) = (self.world.now.get(), self.oracle.last_timestamp());
        let now = if last > now + 60_000 { last } else { now };
        self.world.now.set(match time % 16 {
            0 => now.saturating_sub(30_000),
            1 => now.saturating_sub(90_000),
            2 => now + 6_000,
            3 => now + 61_000,
            other => now + u64::from(other) * 70,
        });
        let author = if author < 128 { "alice" } else { pick(&PEOPLE, author) };
        let commit = match (kind, c % 8) {
            (23.., 0) => pick(&self.commits, c),
            _ => {
                let mut draft = self.draft(step);
                let author = if kind % 4 == 0 { author } else { self.somebody_who_may(&draft, author) };
                draft.exp = match (kind, c % 8) {
                    (200.., 1) => self.world.now.get().saturating_sub(60_001),
                    (200.., 2) => self.world.now.get() + 3_600_001,
                    (200.., 3) => self.world.now.get() + 3_600_000,
                    _ => draft.exp,
                };
                let signer = if kind > 200 && c % 8 == 4 { secret(NODE) } else { key(author) };
                draft.sign(&signer)
            }
        };
        if kind > 200 && c % 8 == 5 {
            self.spoiled(&commit, c);
        }
        if time % 5 == 0 {
            self.faulty(&commit, u64::from(c % 40) + 1);
        }
        self.submit(&commit);
        self.compare();
        match time % 11 {
            0 => self.world.forget_all(),
            1 => self.world.ring(),
            2 => self.state_proofs(),
            _ => {}
        }
    }

    fn draft(&self, step: &Step) -> Draft {
        let (event_type, content, tags) = self.content(step);
        let content = protocol::json::parse(content.to_string().as_bytes(), 64).expect("JSON");
        Draft { tags, ..self.world.draft(&self.enclave, &event_type, &content, &[]) }
    }

    /// Who of the people would be admitted with this, from the given one on; that one if nobody would.
    fn somebody_who_may(&self, draft: &Draft, first: &'static str) -> &'static str {
        let place = PEOPLE.iter().position(|name| *name == first).expect("one of them");
        let mut others = PEOPLE.iter().cycle().skip(place).take(PEOPLE.len());
        let may = |name: &&&'static str| {
            let call = self.call(draft.clone().sign(&key(name)).into_commit());
            let outcome = self.world.rehearse_if_done(&call).expect("no fault");
            crate::world::Told::from(crate::world::done(outcome)).status == 200
        };
        others.find(may).copied().unwrap_or(first)
    }

    fn call(&self, commit: Commit) -> Call {
        let checked = CheckedCommit::check(commit, &|key| self.world.is_node_key(key));
        Call { enclave: Some(self.enclave), claim: Claim::Stranger, action: Action::Commit(checked) }
    }

    /// A commit whose hash or signature does not hold is refused, and nobody learns more.
    fn spoiled(&mut self, commit: &VerifiedCommit, how: u8) {
        let mut spoiled: Commit = commit.commit().clone();
        let code = match how % 3 {
            0 => {
                spoiled.hash.0[5] ^= 1;
                "invalid_hash"
            }
            1 => {
                spoiled.sig.0[40] ^= 1;
                "invalid_signature"
            }
            _ => {
                spoiled.tags.push(vec!["more".to_owned()]);
                "invalid_hash"
            }
        };
        let before = self.world.dump();
        let word = self.world.call(&self.call(spoiled)).word();
        assert!([code, "clock_behind", "expired", "exp_too_far"].contains(&word.as_str()), "{word}");
        assert_eq!(self.world.dump(), before);
    }

    /// A store that fails on the way leaves nothing behind.
    fn faulty(&mut self, commit: &VerifiedCommit, after: u64) {
        let (before, alarms) = (self.world.dump(), self.world.alarms.borrow().clone());
        let call = self.call(commit.commit().clone());
        self.world.fail_after.set(after);
        let outcome = self.world.rehearse_if_done(&call);
        self.world.fail_after.set(0);
        if let Err(fault) = outcome {
            assert_eq!(fault, Fault::Storage);
        }
        assert_eq!(self.world.dump(), before);
        *self.world.alarms.borrow_mut() = alarms;
    }

    fn submit(&mut self, commit: &VerifiedCommit) {
        let (world, oracle) = (&self.world, &mut self.oracle);
        let now = world.now.get();
        let behind = oracle.last_timestamp() > now + 60_000;
        let t = now.max(oracle.last_timestamp());
        let exp = commit.commit().exp;
        let in_time = !behind && exp + 60_000 >= t && exp <= t + 3_600_000;
        // What a bundle that is due becomes first, whatever comes of the commit.
        let settles = in_time && oracle.due().is_some_and(|due| due <= t) && !oracle.events.is_empty();
        let expected = if settles {
            oracle.settle(t);
            world.rehearse(|| {
                world.now.set(t);
                world.alarm(&self.enclave);
                world.now.set(now);
                world.dump()
            })
        } else {
            world.dump()
        };
        let told = world.commit(commit);
        match told.code() {
            None => {
                assert!(in_time);
                oracle.accept(commit, &told.receipt(), t, &world.facts.sequencer);
                self.accepted += 1;
                self.commits.push(commit.clone());
            }
            Some(code) => {
                let clock = ["clock_behind", "expired", "exp_too_far"].contains(&code.as_str());
                assert_eq!(clock, !in_time, "{code}");
                assert_eq!(behind, code == "clock_behind");
                assert_eq!(world.dump(), expected, "{code} changes nothing");
                let again = self.commits.iter().position(|known| known.commit().hash == commit.commit().hash);
                assert_eq!(code == "duplicate", again.is_some() && !clock, "{code}");
                if code == "duplicate" {
                    let receipt = oracle.receipts[again.expect("it was accepted")];
                    assert_eq!(told.json().member("receipt"), Some(&receipt.to_json()));
                }
            }
        }
    }

    fn record(&self) -> Record {
        let sql = "SELECT value FROM node_state WHERE enclave = ?1 AND key = 'record'";
        let bytes: Vec<u8> = self.world.db.query_row(sql, [self.enclave.0], |row| row.get(0)).expect("a record");
        let record = Record::decode(self.enclave, &bytes).expect("a record");
        assert_eq!(record.encode(), bytes);
        record
    }

    /// The rows say what the plain account says.
    fn compare(&self) {
        let (record, oracle) = (self.record(), &self.oracle);
        let head = &record.head;
        assert_eq!(head.next_seq, oracle.events.len() as u64);
        assert_eq!(record.state_root, oracle.root());
        assert_eq!((head.tree_size, head.root), (oracle.entries.len() as u64, log_root(&oracle.entries)));
        assert_eq!(record.sth_timestamp, oracle.sth_timestamp);
        assert_eq!(head.open.map_or(0, |open| open.count), (oracle.events.len() - oracle.bundled) as u64);
        assert_eq!(head.lifecycle, oracle.lifecycle);
        let identities = oracle.state.keys().filter(|name| matches!(name, Name::Identity(_))).count() as u64;
        let keys = oracle.state.keys().filter(|name| matches!(name, Name::Shared(_) | Name::Own(..))).count() as u64;
        assert_eq!((record.identities, record.keys), (identities, keys), "leaves are counted");
    }

    /// Asks for the newest head; one that is older than a minute is signed again.
    fn sth(&mut self) -> VerifiedSth {
        let now = self.world.now.get();
        self.oracle.settle(now);
        if now > self.oracle.sth_timestamp + 60_000 && self.oracle.lifecycle != Lifecycle::Migrated {
            self.oracle.sth_timestamp = now;
        }
        let sth = Sth::from_json(self.world.ask(&self.enclave, Action::Sth).expect(200).json()).expect("a head");
        assert_eq!(sth.timestamp, self.oracle.sth_timestamp);
        assert_eq!((sth.tree_size, sth.root_hash), (self.oracle.entries.len() as u64, log_root(&self.oracle.entries)));
        sth.verify_for(&self.enclave, &self.world.facts.sequencer).expect("it is signed")
    }

    /// Somebody who may read.
    fn reader(&self) -> Option<PublicKey> {
        PEOPLE.iter().map(|name| id(name)).find(|from| {
            let action = Action::State { items: vec![], batch: true, tree_size: None };
            let claim = Claim::Envelope { from: *from };
            self.world.call(&Call { enclave: Some(self.enclave), claim, action }).word() != "unauthorized"
        })
    }

    fn ask(&self, from: PublicKey, action: Action) -> crate::world::Told {
        self.world.call(&Call { enclave: Some(self.enclave), claim: Claim::Envelope { from }, action })
    }

    /// Proofs of every name that was ever written, and of some that were not, for the state that closed last.
    fn state_proofs(&mut self) {
        let head = self.sth();
        let Some(from) = self.reader() else { return };
        let mut names: Vec<Name> = self.oracle.state.keys().chain(self.oracle.closed.keys()).cloned().collect();
        names.extend([Name::Lifecycle, Name::Identity(id("nobody")), Name::Gate("nowhere".to_owned())]);
        names.extend(self.oracle.events.iter().take(5).map(|event| Name::Event(event.id)));
        names.sort();
        names.dedup();
        let items = names.iter().map(|name| (name.borrowed().namespace(), name.borrowed().raw())).collect();
        let told = self.ask(from, Action::State { items, batch: true, tree_size: None });
        if self.oracle.entries.is_empty() {
            told.refused("not_bundled");
            return;
        }
        let answer = StateAnswer::from_json(told.expect(200).json()).expect("an answer");
        let borrowed: Vec<_> = names.iter().map(Name::borrowed).collect();
        let proven = answer.verify(&borrowed, &head).expect("it holds");
        assert!(proven.newest);
        let expected: Vec<_> = names.iter().map(|name| self.oracle.closed.get(name).copied()).collect();
        assert_eq!(proven.values, expected);
    }

    /// Everything that was promised is proved.
    fn finish(&mut self) {
        self.world.pass(7_200_000);
        let head = self.sth();
        assert_eq!(self.oracle.bundled, self.oracle.events.len(), "nothing stays open");
        self.state_proofs();
        self.compare();
        if let Some(from) = self.reader() {
            self.inclusion(from, &head);
        }
        self.restored();
    }

    fn inclusion(&self, from: PublicKey, head: &VerifiedSth) {
        let told = self.ask(from, Action::Query(Filter { limit: 1000, ..Default::default() }));
        let value = told.expect(200).value();
        let readable: Vec<&str> = value["events"]
            .as_array()
            .expect("events")
            .iter()
            .map(|event| event["id"].as_str().expect("an id"))
            .collect();
        let sequencer = &self.world.facts.sequencer;
        for receipt in &self.oracle.receipts {
            let told = self.ask(from, Action::Inclusion { of: InclusionOf::Event(receipt.id), tree_size: None });
            if !readable.contains(&receipt.id.hex().as_str()) {
                told.refused("not_found");
                continue;
            }
            let answer = InclusionAnswer::from_json(told.expect(200).json()).expect("an answer");
            answer.verify_event(receipt, sequencer, head).expect("the event is in the log");
            let entry = *answer.verify_entry(answer.entry.leaf_index, head).expect("the entry is in the log");
            assert_eq!(entry.encode(), self.oracle.entries[answer.entry.leaf_index as usize]);
            let told = self.ask(from, Action::Bundle { event_id: receipt.id });
            let answer2 = BundleAnswer::from_json(told.expect(200).json()).expect("an answer");
            answer2.verify(receipt, sequencer, answer.entry.leaf_index, &entry).expect("the event is in its bundle");
        }
    }

    /// The log as a file, taken in elsewhere, is the same log.
    fn restored(&self) {
        let snapshot = |world: &World| {
            let call = Call { enclave: Some(self.enclave), claim: Claim::Admin, action: Action::Snapshot };
            world.call(&call).expect(200).body.clone()
        };
        let file = snapshot(&self.world);
        let other = World::new();
        other.now.set(self.world.now.get());
        let restore = Restore { snapshot: file.clone(), manifest: None, sequencer: None, first: TakeUp::No };
        let call = Call { enclave: Some(self.enclave), claim: Claim::Admin, action: Action::Restore(restore) };
        other.call(&call).expect(200);
        assert_eq!(snapshot(&other), file);
        let (ours, theirs) = (self.world.dump(), other.dump());
        for table in ["events", "event_tags", "bundles", "log_nodes", "left_rules", "state_pages"] {
            assert_eq!(ours[table], theirs[table], "{table}");
        }
    }
}

/// Plays a script; answers how many of its commits were accepted.
fn play(shape: [u8; 4], steps: &[Step]) -> usize {
    let mut run = Run::begin(&manifest(shape));
    for step in steps {
        run.step(step);
    }
    run.finish();
    run.accepted
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scripts(shape: [u8; 4], steps in prop::collection::vec(any::<Step>(), 0..48)) {
        play(shape, &steps);
    }
}

/// The same with numbers that are the same each time: every manifest, and scripts of which enough is accepted.
#[test]
fn scripts_get_somewhere() {
    for of in 0..7 {
        let mut accepted = 0;
        for seed in 0..2 {
            let mut draw = crate::world::Draw::new(seed * 100 + u64::from(of));
            let steps: Vec<Step> = (0..36).map(|_| std::array::from_fn(|_| draw.below(256) as u8)).collect();
            accepted += play([of, 3 + of, of * 20, 0xff], &steps);
        }
        assert!(accepted > 9, "manifest {of}: {accepted} of 74 accepted");
    }
}
