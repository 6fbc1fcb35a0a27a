//! A second, plain account of an enclave's log and state: everything is computed anew from the list of accepted events.

use protocol::cbor::sha256;
use protocol::state::{Lifecycle, StateName};
use protocol::{Event, EventId, PublicKey, Receipt, VerifiedCommit};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub type Hash = [u8; 32];

/// The empty subtree, and the root of an empty log.
fn empty() -> Hash {
    sha256(b"")
}

/// `H(prefix, fields…)` over byte strings, written out by hand.
fn hashed(prefix: u8, fields: &[&[u8]]) -> Hash {
    let mut cbor = vec![0x80 + 1 + fields.len() as u8];
    if prefix >= 24 {
        cbor.push(0x18);
    }
    cbor.push(prefix);
    for field in fields {
        match field.len() {
            len @ 0..=23 => cbor.push(0x40 + len as u8),
            len => cbor.extend([0x58, len as u8]),
        }
        cbor.extend(*field);
    }
    sha256(&cbor)
}

/// The root of a full-depth tree over these leaves, below `depth`.
pub fn state_root(leaves: &[(&[u8; 21], &Hash)], depth: usize) -> Hash {
    if leaves.is_empty() {
        return empty();
    }
    if depth == 168 {
        return hashed(0x20, &[leaves[0].0, leaves[0].1]);
    }
    let right = leaves.partition_point(|(key, _)| key[depth / 8] & (0x80 >> (depth % 8)) == 0);
    let (left, right) = (state_root(&leaves[..right], depth + 1), state_root(&leaves[right..], depth + 1));
    if left == empty() && right == empty() { empty() } else { hashed(0x21, &[&left, &right]) }
}

/// Pairs, level by level; a last odd one goes up as it is.
fn bundle_root(mut level: Vec<Hash>) -> Hash {
    while level.len() > 1 {
        let pair = |pair: &[Hash]| if pair.len() == 2 { hashed(0x01, &[&pair[0], &pair[1]]) } else { pair[0] };
        level = level.chunks(2).map(pair).collect();
    }
    level[0]
}

/// RFC 9162, by its recursive definition.
pub fn log_root(entries: &[[u8; 80]]) -> Hash {
    match entries {
        [] => empty(),
        [entry] => sha256(&[&[0], &entry[..]].concat()),
        _ => {
            let left = entries.len().next_power_of_two() / 2;
            let (left, right) = (log_root(&entries[..left]), log_root(&entries[left..]));
            sha256(&[&[1], &left[..], &right[..]].concat())
        }
    }
}

/// A name of the state, owned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    Identity(PublicKey),
    Event(EventId),
    Shared(String),
    Own(PublicKey, String),
    Gate(String),
    Lifecycle,
}

impl Name {
    pub fn borrowed(&self) -> StateName<'_> {
        match self {
            Name::Identity(key) => StateName::Identity(key),
            Name::Event(id) => StateName::Event(id),
            Name::Shared(key) => StateName::Shared(key),
            Name::Own(who, key) => StateName::Own(who, key),
            Name::Gate(alias) => StateName::Gate(alias),
            Name::Lifecycle => StateName::Lifecycle,
        }
    }

    /// The 21 bytes of its key.
    fn path(&self) -> [u8; 21] {
        let name = self.borrowed();
        let mut path = [name.namespace(); 21];
        path[1..].copy_from_slice(&sha256(&name.raw())[..20]);
        path
    }
}

/// A role: the State's name and the traits' names.
type Role = (String, BTreeSet<String>);

pub struct Oracle {
    manifest: Value,
    restrictive: BTreeSet<String>,
    roles: BTreeMap<PublicKey, Role>,
    size: usize,
    timeout: u64,
    pub state: BTreeMap<Name, Hash>,
    /// The state when the newest bundle closed.
    pub closed: BTreeMap<Name, Hash>,
    pub events: Vec<Event>,
    pub receipts: Vec<Receipt>,
    pub entries: Vec<[u8; 80]>,
    /// How many events are in closed bundles.
    pub bundled: usize,
    pub sth_timestamp: u64,
    pub lifecycle: Lifecycle,
}

impl Oracle {
    /// Before the Manifest.
    pub fn new(manifest: &Value) -> Oracle {
        let rbac = &manifest["RBAC"];
        let mut restrictive = BTreeSet::new();
        for section in ["customs", "slots", "moves", "lifecycle"] {
            for row in rbac[section].as_array().into_iter().flatten() {
                let denies =
                    row["ops"].as_array().expect("ops").iter().any(|op| op.as_str().expect("an op").starts_with('_'));
                let columns = match &row["operator"] {
                    Value::Array(columns) => columns.clone(),
                    one => vec![one.clone()],
                };
                restrictive.extend(
                    columns.iter().filter(|_| denies).map(|column| column.as_str().expect("a column").to_owned()),
                );
            }
        }
        Oracle {
            manifest: manifest.clone(),
            restrictive,
            roles: BTreeMap::new(),
            size: manifest["bundle"]["size"].as_u64().unwrap_or(256) as usize,
            timeout: manifest["bundle"]["timeout"].as_u64().unwrap_or(5000),
            state: BTreeMap::new(),
            closed: BTreeMap::new(),
            events: Vec::new(),
            receipts: Vec::new(),
            entries: Vec::new(),
            bundled: 0,
            sth_timestamp: 0,
            lifecycle: Lifecycle::Active,
        }
    }

    pub fn last_timestamp(&self) -> u64 {
        self.events.last().map_or(0, |event| event.position.timestamp)
    }

    /// When the open bundle is due.
    pub fn due(&self) -> Option<u64> {
        self.events.get(self.bundled).map(|event| event.position.timestamp + self.timeout)
    }

    /// Closes what is due at `t`.
    pub fn settle(&mut self, t: u64) {
        if let Some(due) = self.due().filter(|due| *due <= t) {
            self.close(due);
        }
    }

    pub fn close(&mut self, at: u64) {
        let ids = self.events[self.bundled..].iter().map(|event| event.id.0).collect();
        let last = self.events.last().expect("an open bundle").event_hash();
        let mut entry = [0; 80];
        entry[..32].copy_from_slice(&bundle_root(ids));
        entry[32..64].copy_from_slice(&hashed(0x22, &[&last.0, &self.root()]));
        entry[64..72].copy_from_slice(&(self.bundled as u64).to_be_bytes());
        entry[72..].copy_from_slice(&((self.events.len() - self.bundled) as u64).to_be_bytes());
        self.entries.push(entry);
        self.bundled = self.events.len();
        self.closed = self.state.clone();
        self.sth_timestamp = self.sth_timestamp.max(at);
    }

    /// The root of the state.
    pub fn root(&self) -> Hash {
        let leaves: BTreeMap<[u8; 21], Hash> = self.state.iter().map(|(name, value)| (name.path(), *value)).collect();
        state_root(&leaves.iter().collect::<Vec<_>>(), 0)
    }

    /// Takes in an accepted commit: its receipt must be the one that follows.
    pub fn accept(&mut self, commit: &VerifiedCommit, receipt: &Receipt, t: u64, sequencer: &PublicKey) {
        let said = commit.commit().clone();
        let position = &receipt.position;
        assert_eq!(position.seq, self.events.len() as u64);
        assert_eq!(position.timestamp, t);
        let same = self.events.iter().filter(|event| event.event_type == said.event_type).count();
        assert_eq!(position.type_seq, same as u64);
        assert_eq!(position.prev.0, self.events.last().map_or([0; 32], |event| event.event_hash().0));
        receipt.verify(&said, sequencer).expect("a receipt holds");
        let event = Event::assemble(said, *position, receipt.seq_sig);
        let content: Value = match &event.content {
            protocol::event::Content::Present(text) => serde_json::from_str(text).expect("JSON"),
            protocol::event::Content::Deleted(_) => unreachable!("it has just been said"),
        };
        self.apply(&event, &content);
        self.events.push(event);
        self.receipts.push(*receipt);
        let ends = matches!(self.lifecycle, Lifecycle::Terminated | Lifecycle::Migrated);
        if ends || self.events.len() - self.bundled >= self.size {
            self.close(t);
        } else if position.seq == 0 {
            self.sth_timestamp = t;
        }
    }

    fn apply(&mut self, event: &Event, content: &Value) {
        match event.event_type.as_str() {
            "Manifest" => self.begin(),
            "AC_Bundle" => {
                for part in content["ops"].as_array().expect("parts") {
                    self.role_event(event, part["type"].as_str().expect("a type"), &part["content"]);
                }
            }
            "Move" | "Grant" | "Revoke" | "Transfer" | "Gate" => {
                self.role_event(event, &event.event_type.clone(), content)
            }
            kind @ ("Shared" | "Own") => {
                let key = content["key"].as_str().expect("a key").to_owned();
                let name = if kind == "Own" { Name::Own(event.from, key) } else { Name::Shared(key) };
                match &content["value"] {
                    Value::Null => drop(self.state.remove(&name)),
                    value => drop(self.state.insert(name, sha256(canonical(value).as_bytes()))),
                }
            }
            kind @ ("Update" | "Delete") => {
                let of = protocol::event::reference(&event.tags).expect("a reference");
                self.state.insert(Name::Event(of), if kind == "Update" { event.id.0 } else { [0; 32] });
            }
            "Pause" => self.turn(Lifecycle::Paused),
            "Resume" => self.turn(Lifecycle::Active),
            "Terminate" => self.turn(Lifecycle::Terminated),
            "Migrate" => self.turn(Lifecycle::Migrated),
            _ => {}
        }
    }

    fn begin(&mut self) {
        let rbac = self.manifest["RBAC"].clone();
        for row in rbac["init"].as_array().expect("init") {
            let who = PublicKey::parse(row["identity"].as_str().expect("hex")).expect("a key");
            let traits =
                row["traits"].as_array().into_iter().flatten().map(|held| held.as_str().expect("a trait").to_owned());
            self.put(who, (row["state"].as_str().expect("a State").to_owned(), traits.collect()));
        }
        for section in ["moves", "customs"] {
            for row in rbac[section].as_array().into_iter().flatten() {
                if row["gate"]["open"] == true {
                    self.state.insert(Name::Gate(row["alias"].as_str().expect("an alias").to_owned()), [1; 32]);
                }
            }
        }
    }

    fn role(&self, who: &PublicKey) -> Role {
        self.roles.get(who).cloned().unwrap_or_else(|| ("OUTSIDER".to_owned(), BTreeSet::new()))
    }

    fn put(&mut self, who: PublicKey, role: Role) {
        let rbac = &self.manifest["RBAC"];
        let place = |list: &Value, is: &dyn Fn(&str) -> bool| {
            list.as_array().into_iter().flatten().position(|name| is(name.as_str().expect("a name")))
        };
        let mut mask = [0u8; 32];
        mask[31] = place(&rbac["states"], &|name| name == role.0).map_or(0, |at| at as u8 + 1);
        for held in &role.1 {
            let is = |name: &str| name.split('(').next() == Some(held);
            let bit = 8 + place(&rbac["traits"], &is).expect("declared");
            mask[31 - bit / 8] |= 1 << (bit % 8);
        }
        match mask == [0; 32] {
            true => drop(self.state.remove(&Name::Identity(who))),
            false => drop(self.state.insert(Name::Identity(who), mask)),
        }
        self.roles.insert(who, role);
    }

    fn role_event(&mut self, event: &Event, kind: &str, content: &Value) {
        if kind == "Gate" {
            let name = Name::Gate(content["alias"].as_str().expect("an alias").to_owned());
            match content["open"] == true {
                true => drop(self.state.insert(name, [1; 32])),
                false => drop(self.state.remove(&name)),
            }
            return;
        }
        let target = PublicKey::parse(content["target"].as_str().expect("hex")).expect("a key");
        let (mut state, mut traits) = self.role(&target);
        let named = || content["trait"].as_str().expect("a trait").to_owned();
        match kind {
            "Move" => {
                state = content["to"].as_str().expect("a State").to_owned();
                if target != event.from || state == "OUTSIDER" {
                    traits.retain(|held| self.restrictive.contains(held));
                }
            }
            "Grant" => assert!(traits.insert(named())),
            "Revoke" => assert!(traits.remove(&named())),
            _ => {
                let (own, mut held) = self.role(&event.from);
                assert!(held.remove(&named()) && traits.insert(named()));
                self.put(event.from, (own, held));
            }
        }
        self.put(target, (state, traits));
    }

    fn turn(&mut self, lifecycle: Lifecycle) {
        self.lifecycle = lifecycle;
        let number = match lifecycle {
            Lifecycle::Active => 0,
            Lifecycle::Paused => 1,
            Lifecycle::Terminated => 2,
            Lifecycle::Migrated => 3,
        };
        let mut value = [0; 32];
        value[31] = number;
        self.state.insert(Name::Lifecycle, value);
        if number == 0 {
            self.state.remove(&Name::Lifecycle);
        }
    }
}

/// The canonical form of a value that a test wrote.
fn canonical(value: &Value) -> String {
    protocol::json::parse(value.to_string().as_bytes(), 64).expect("JSON").to_jcs()
}
