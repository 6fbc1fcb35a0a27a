//! An enclave in memory, driven by a script: the smallest host there can be.
//!
//! A line of a script is `[label:] author Type words… -> answer`, where the answer is `ok` or a code (with `@index` for a part of an
//! AC_Bundle); or `= identity STATE traits…`, what that identity is; or `gate alias open|closed`. `#` begins a remark.

use kernel::*;
use merkle::Hash;
use merkle::sparse::{Page, PageId, Pages, StateKey, StatePath};
use protocol::code::Detail;
use protocol::commit::Draft;
use protocol::entry::Entry;
use protocol::manifest::{StateNumber, TraitIndex};
use protocol::schnorr::KeyPair;
use protocol::state::{Bitmask, GATE_OPEN, StateName, namespace};
use protocol::{CommitHash, EnclaveId, Event, EventId, Json, Manifest, PublicKey, Receipt, Rejection, VerifiedCommit};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::OnceLock;

/// When every world begins.
pub const START: u64 = 1_706_000_000_000;
/// The node's key.
pub const NODE: u8 = 0x44;

/// Alice's secret is 32 times 1, bob's 32 times 2, and so on by the first letter.
pub fn key(name: &str) -> &'static KeyPair {
    secret(name.as_bytes()[0] - b'a' + 1)
}

/// The key whose secret is one byte 32 times. Each is made once: half of a test's time would go into that.
pub fn secret(byte: u8) -> &'static KeyPair {
    static KEYS: [OnceLock<KeyPair>; 256] = [const { OnceLock::new() }; 256];
    KEYS[usize::from(byte)].get_or_init(|| KeyPair::from_secret(&[byte; 32]).expect("a scalar"))
}

pub fn id(name: &str) -> PublicKey {
    static IDS: [OnceLock<PublicKey>; 26] = [const { OnceLock::new() }; 26];
    *IDS[usize::from(name.as_bytes()[0] - b'a')].get_or_init(|| key(name).public())
}

/// JSON in which `@alice` stands for alice's key and `SEQ` for the node's.
pub fn json(text: &str) -> Json {
    let mut text = text.replace("SEQ", &secret(NODE).public().hex());
    while let Some(at) = text.find('@') {
        let end = text[at + 1..].find('"').expect("a name in quotes") + at + 1;
        let name = text[at + 1..end].to_owned();
        text.replace_range(at..end, &id(&name).hex());
    }
    protocol::json::parse(text.as_bytes(), 64).unwrap_or_else(|error| panic!("{error:?} in {text}"))
}

#[derive(Clone)]
pub struct World {
    pub manifest: Manifest,
    pub head: Head,
    pub state: BTreeMap<StatePath, (StateKey, Hash)>,
    pub events: Vec<Event>,
    pub entries: Vec<Entry>,
    /// Timestamps of the tree heads.
    pub heads: Vec<u64>,
    pub retained: BTreeMap<PublicKey, Vec<Retained>>,
    pub now: u64,
    /// Who signs the next event.
    pub sequencer: Rc<KeyPair>,
    /// The effects of the last event.
    pub last: Transition,
    labels: BTreeMap<String, EventId>,
    count: u64,
}

impl View for World {
    type Error = Infallible;

    fn slot(&self, name: &StateName<'_>) -> Result<Slot, Infallible> {
        let key = name.key();
        Ok(match self.state.get(&key.path) {
            None => Slot::Absent,
            Some((held, value)) if *held == key => Slot::Value(*value),
            Some(_) => Slot::Taken,
        })
    }

    fn referred(&self, id: &EventId) -> Result<Option<Referred>, Infallible> {
        let event = self.events.iter().find(|event| event.id == *id);
        Ok(event.map(|event| Referred {
            event_type: event.event_type.clone(),
            from: event.from,
            seq: event.position.seq,
        }))
    }

    fn type_count(&self, event_type: &str) -> Result<u64, Infallible> {
        Ok(self.events.iter().filter(|event| event.event_type == event_type).count() as u64)
    }

    fn stored(&self, hash: &CommitHash) -> Result<Option<Receipt>, Infallible> {
        Ok(self.events.iter().find(|event| event.hash == *hash).map(Event::receipt))
    }
}

/// What the node says of a commit for an id it does not hold.
pub fn begin(commit: &VerifiedCommit, provisioned: Option<&Provisioned>, t: u64) -> Result<Genesis, Rejection> {
    let node = secret(NODE).public();
    kernel::genesis(commit, provisioned, &NodeKeys { sequencer: &node, is_node_key: &|key| *key == node }, t)
}

/// A Manifest commit by `author`.
pub fn manifest_commit(content: &Json, author: &KeyPair) -> VerifiedCommit {
    Draft::manifest(author, content, vec![], START + 60_000).sign(author)
}

impl World {
    /// The enclave of a manifest whose creator is alice.
    pub fn new(manifest: &str) -> World {
        World::of(&json(manifest))
    }

    pub fn of(manifest: &Json) -> World {
        World::begun(manifest_commit(manifest, key("alice")), START)
    }

    /// The enclave that a Manifest begins at a time.
    pub fn begun(commit: VerifiedCommit, at: u64) -> World {
        let genesis = begin(&commit, None, at).unwrap_or_else(|refused| panic!("{refused:?}"));
        let mut world = World {
            manifest: genesis.manifest,
            head: genesis.transition.head.clone(),
            state: BTreeMap::new(),
            events: vec![],
            entries: vec![],
            heads: vec![at],
            retained: BTreeMap::new(),
            now: at,
            sequencer: Rc::new(KeyPair::from_secret(&[NODE; 32]).expect("a scalar")),
            last: genesis.transition.clone(),
            labels: BTreeMap::new(),
            count: 0,
        };
        world.apply(commit, genesis.transition);
        world
    }

    /// A world of the template of that name, alice its creator.
    pub fn template(name: &str) -> World {
        let path = format!("{}/../../vectors/templates/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("a template");
        World::new(&text.replace("\"ME\"", "\"@alice\""))
    }

    pub fn enclave(&self) -> EnclaveId {
        self.head.enclave
    }

    /// A commit of this enclave that no other call makes again.
    pub fn sign(&mut self, author: &str, event_type: &str, content: &Json, tags: &[[&str; 2]]) -> VerifiedCommit {
        self.count += 1;
        let mut draft = Draft::new(self.enclave(), event_type, content, self.now + 60_000 + self.count % 1000);
        draft.tags = tags.iter().map(|tag| tag.map(str::to_owned).to_vec()).collect();
        draft.sign(key(author))
    }

    /// Judges without storing.
    pub fn judge(&mut self, commit: &VerifiedCommit) -> Result<Transition, Rejection> {
        let t = clock(Some(&self.head), self.now)?;
        self.close_due(t);
        expiry(t, commit.commit().exp)?;
        let node = self.sequencer_key();
        let enclave = Enclave { manifest: &self.manifest, head: &self.head, is_node_key: &|key| *key == node };
        let Ok(outcome) = sequence(&enclave, self, commit, t);
        outcome
    }

    pub fn submit(&mut self, commit: &VerifiedCommit) -> Result<Event, Rejection> {
        let transition = self.judge(commit)?;
        Ok(self.apply(commit.clone(), transition))
    }

    /// Judges an event of a log again, as restore and audit do; a Migrate before it is taken up by its sequencer.
    pub fn replay(&mut self, event: &Event) -> Result<(), Rejection> {
        if self.head.migrated_to == Some(event.position.sequencer) {
            self.head.take_up();
        }
        let commit = event.verified().expect("a log that holds");
        let t = event.position.timestamp;
        assert_eq!(clock(Some(&self.head), t), Ok(t));
        self.close_due(t);
        expiry(t, event.exp)?;
        let sequencer = self.head.sequencer;
        let enclave = Enclave { manifest: &self.manifest, head: &self.head, is_node_key: &|key| *key == sequencer };
        let Ok(outcome) = match event.event_type.as_str() {
            "Recovered" => recovered(&enclave, self, &commit, t),
            _ => sequence(&enclave, self, &commit, t),
        };
        let transition = outcome?;
        assert_eq!(transition.position, event.position);
        self.store(event.clone(), transition);
        Ok(())
    }

    pub fn sequencer_key(&self) -> PublicKey {
        self.sequencer.public()
    }

    /// Signs and stores what a commit has become.
    pub fn apply(&mut self, commit: VerifiedCommit, transition: Transition) -> Event {
        let event = Event::sequence(commit.into_commit(), transition.position, &self.sequencer);
        self.store(event.clone(), transition);
        event
    }

    /// Stores what an event does; closes its bundle when it ends with it.
    fn store(&mut self, event: Event, transition: Transition) {
        assert_eq!(event.event_hash(), transition.event_hash);
        // Who goes by `Bearing` misses nothing.
        let bearing = Bearing::of(&event.event_type);
        let on_rights = transition.writes.iter().any(|write| write.key.path[0] == namespace::RBAC);
        assert!(!on_rights || bearing == Bearing::Rights, "{}", event.event_type);
        let erases = transition.refers.as_ref().is_some_and(|refers| refers.kind == ReferKind::Delete);
        assert_eq!(erases, bearing == Bearing::Contents, "{}", event.event_type);
        for write in &transition.writes {
            match write.value {
                WriteValue::Remove => self.state.remove(&write.key.path),
                WriteValue::Set(value) => self.state.insert(write.key.path, (write.key, value)),
                WriteValue::ThisEvent => self.state.insert(write.key.path, (write.key, event.id.0)),
            };
        }
        for change in &transition.retention {
            match change {
                RetentionChange::Forget { identity } => drop(self.retained.remove(identity)),
                RetentionChange::Left { identity, state, rules } => {
                    let kept = self.retained.entry(*identity).or_default();
                    kept.retain(|row| !rules.contains(&row.rule));
                    kept.extend(rules.iter().map(|rule| Retained {
                        rule: *rule,
                        state: *state,
                        seq: event.position.seq,
                    }));
                }
            }
        }
        self.head = transition.head.clone();
        let at = event.position.timestamp;
        self.events.push(event);
        if transition.close {
            self.close(at);
        }
        self.last = transition;
    }

    /// Closes a bundle whose time is up at `t`.
    pub fn close_due(&mut self, t: u64) {
        if let Some(due) = self.head.due(self.manifest.bundle).filter(|due| t >= *due) {
            self.close(due);
        }
    }

    pub fn close(&mut self, at: u64) {
        let open = self.head.open.expect("an open bundle");
        let ids: Vec<EventId> = self.events[open.first_seq as usize..].iter().map(|event| event.id).collect();
        let (root, previous) = (self.state_root(), *self.heads.last().expect("the head of size 0"));
        let closing = close(&mut self.head, &ids, &root, at, previous);
        self.entries.push(closing.entry);
        self.heads.push(closing.timestamp);
        self.head.tree_size += 1;
        self.head.root = log_root(&self.entries);
    }

    pub fn state_root(&self) -> Hash {
        struct Nothing;
        impl Pages for Nothing {
            type Error = Infallible;
            fn page(&self, _: &PageId) -> Result<Option<Page>, Infallible> {
                Ok(None)
            }
        }
        let writes: Vec<_> = self.state.values().map(|(key, value)| (*key, Some(*value))).collect();
        merkle::sparse::update(&Nothing, &writes).expect("no two raw keys of one path").root
    }

    pub fn mask(&self, identity: &PublicKey) -> Bitmask {
        let Ok(slot) = self.slot(&StateName::Identity(identity));
        Bitmask::from_value(slot.value())
    }

    pub fn reader(&self, identity: Option<&PublicKey>) -> Reader<'_> {
        let retained = identity.and_then(|identity| self.retained.get(identity)).map_or(&[][..], |kept| &kept[..]);
        Reader::new(&self.manifest, identity.map(|identity| self.mask(identity)), retained)
    }

    /// `STATE trait trait`, traits in the manifest's order.
    pub fn role(&self, identity: &PublicKey) -> String {
        let mask = self.mask(identity);
        let mut role = self.manifest.state_name(mask.state()).expect("a declared State").to_owned();
        for (place, held) in self.manifest.rbac.traits.iter().enumerate() {
            if mask.has(TraitIndex(place as u8)) {
                role = format!("{role} {}", held.name);
            }
        }
        role
    }

    pub fn is_open(&self, alias: &str) -> bool {
        let Ok(slot) = self.slot(&StateName::Gate(alias));
        slot.value() == Some(GATE_OPEN)
    }

    /// Gives an identity a role that no rule is asked for.
    pub fn put(&mut self, identity: &str, state: &str, traits: &[&str]) {
        let mut mask = Bitmask::default();
        mask.set_state(self.manifest.state_named(state).expect("declared"));
        for held in traits {
            mask.set(self.manifest.trait_named(held).expect("declared"), true);
        }
        let identity = id(identity);
        let (before, after) = (self.mask(&identity), mask);
        self.head.owners += u64::from(is_owner(&self.manifest, &after));
        self.head.owners -= u64::from(is_owner(&self.manifest, &before));
        let key = StateName::Identity(&identity).key();
        self.state.insert(key.path, (key, mask.0));
        assert!(mask.state() != StateNumber(0) || !traits.is_empty(), "an outsider without traits has no leaf");
    }

    /// Runs a script; every answer must be the one that stands behind the arrow.
    pub fn run(&mut self, script: &str) -> &mut World {
        for line in script.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if let Some(expected) = line.strip_prefix("= ") {
                let (name, role) = expected.split_once(' ').expect("a name and a role");
                assert_eq!(self.role(&id(name)), role, "{name} after {script}");
            } else if let Some(expected) = line.strip_prefix("gate ") {
                let (alias, open) = expected.split_once(' ').expect("an alias and how it stands");
                assert_eq!(self.is_open(alias), open == "open", "{line} after {script}");
            } else if !line.is_empty() {
                let (said, expected) = line.split_once(" -> ").unwrap_or_else(|| panic!("no answer in {line:?}"));
                assert_eq!(self.say(said), expected.trim(), "{line}\nin {script}");
            }
        }
        self
    }

    /// One event, `[label:] author Type words…`, and its answer.
    pub fn say(&mut self, said: &str) -> String {
        let (label, said) = said.split_once(": ").map_or((None, said), |(label, rest)| (Some(label.trim()), rest));
        let mut words = said.split_whitespace();
        let (author, event_type) = (words.next().expect("an author"), words.next().expect("a type"));
        let rest: Vec<&str> = words.collect();
        let mut content = self.content(event_type, &rest);
        if event_type == "AC_Bundle" {
            content = self.bundle(&rest);
        }
        let target = rest.first().and_then(|label| self.labels.get(*label)).map_or("00".repeat(32), EventId::hex);
        let reference = [["r", target.as_str()]];
        let refers = matches!(event_type, "Update" | "Delete");
        let commit = self.sign(author, event_type, &content, if refers { &reference } else { &[] });
        match self.submit(&commit) {
            Ok(event) => {
                if let Some(label) = label {
                    self.labels.insert(label.to_owned(), event.id);
                }
                "ok".to_owned()
            }
            Err(Rejection { code, detail: Detail::Index(index) }) => format!("{}@{index}", code.as_str()),
            Err(Rejection { code, .. }) => code.as_str().to_owned(),
        }
    }

    fn content(&self, event_type: &str, words: &[&str]) -> Json {
        let text = |at: usize| Json::from(words[at]);
        let who = |at: usize| Json::from(id(words[at]).hex());
        match event_type {
            "Move" => Json::object([("target", who(0)), ("to", text(1))]),
            "Grant" | "Revoke" | "Transfer" => Json::object([("target", who(0)), ("trait", text(1))]),
            "Gate" => Json::object([("alias", text(0)), ("open", Json::Bool(words[1] == "open"))]),
            "Shared" | "Own" => {
                Json::object([("key", text(0)), ("value", if words[1] == "null" { Json::Null } else { text(1) })])
            }
            "Migrate" => Json::object([
                ("new_sequencer", who(0)),
                ("prev_seq", Json::from(self.head.last_seq())),
                ("ct_root", Json::from(protocol::ids::hex(&self.head.root))),
            ]),
            _ => Json::object::<&str>([]),
        }
    }

    /// `Move bob MEMBER ; Grant bob admin`.
    fn bundle(&self, words: &[&str]) -> Json {
        let parts = words
            .split(|word| *word == ";")
            .map(|part| Json::object([("type", Json::from(part[0])), ("content", self.content(part[0], &part[1..]))]));
        Json::object([("ops", Json::Array(parts.collect()))])
    }
}

/// RFC 9162 by its recursive definition.
pub fn log_root(entries: &[Entry]) -> Hash {
    match entries {
        [] => merkle::log::EMPTY_ROOT,
        [entry] => entry.leaf_hash(),
        _ => {
            let left = entries.len().next_power_of_two() / 2;
            merkle::log::node_hash(&log_root(&entries[..left]), &log_root(&entries[left..]))
        }
    }
}
