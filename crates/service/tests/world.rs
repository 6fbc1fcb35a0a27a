//! A host in memory: SQLite, a clock that stands until it is set, keys, and everything that a service asked for, kept to be looked at.

// Named, so that another crate's tests may take this file in by its path.
#[path = "world/host.rs"]
mod host;
#[path = "world/talk.rs"]
mod talk;

pub use host::{Access, Host};
pub use talk::{Ask, Told};

use protocol::commit::Draft;
use protocol::schnorr::KeyPair;
use protocol::session::Session;
use protocol::{EnclaveId, Json, PublicKey, VerifiedCommit};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use service::cache::Cache;
use service::call::{Action, CheckedCommit, Claim, Outcome, Response, Topic};
use service::runtime::{Fault, Fetch, FetchId, Fetched, Limits, NodeFacts};
use service::tail::Tail;
use service::{Call, live, node};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// When every world begins.
pub const START: u64 = 1_706_000_000_000;
/// The node's key.
pub const NODE: u8 = 0x44;

/// Alice's secret is 32 times 1, bob's 32 times 2, and so on by the first letter.
pub fn key(name: &str) -> KeyPair {
    secret(name.as_bytes()[0] - b'a' + 1)
}

pub fn secret(byte: u8) -> KeyPair {
    KeyPair::from_secret(&[byte; 32]).expect("a scalar")
}

pub fn id(name: &str) -> PublicKey {
    key(name).public()
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

/// A file of the vectors' folder.
pub fn vectors_file(name: &str) -> String {
    let path = format!("{}/../../vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A template's Manifest, alice its creator.
pub fn template(name: &str) -> Json {
    json(&vectors_file(&format!("templates/{name}.json")).replace("\"ME\"", "\"@alice\""))
}

/// A statement that ran, and with how many parameters at most.
pub type Statements = BTreeMap<&'static str, usize>;

/// A host of one shard.
pub struct World {
    pub db: Connection,
    writer: RefCell<Cache>,
    reader: RefCell<Cache>,
    pub facts: NodeFacts,
    pub now: Cell<u64>,
    /// Sequencer keys, and for which enclave only, where they are provisioned.
    pub keys: RefCell<Vec<(Rc<KeyPair>, Option<EnclaveId>)>>,
    pub alarms: RefCell<BTreeMap<EnclaveId, u64>>,
    pub fetches: RefCell<Vec<Fetch>>,
    pub statements: RefCell<Statements>,
    /// Every message that a sequencer key has signed, with its signature in hex.
    pub signed: RefCell<Vec<([u8; 32], String)>>,
    /// Every checkpoint that was stored.
    pub checkpoints: RefCell<Vec<String>>,
    pub random: Cell<u64>,
    /// Fail the statement after so many more; never when 0.
    pub fail_after: Cell<u64>,
    commits: Cell<u64>,
}

impl Default for World {
    fn default() -> Self {
        World::new()
    }
}

impl World {
    pub fn new() -> World {
        World::remembering(8)
    }

    /// A host that remembers so many enclaves, and as many again for a while.
    pub fn remembering(capacity: usize) -> World {
        let db = Connection::open_in_memory().expect("memory");
        db.set_prepared_statement_cache_capacity(256);
        for statement in node::schema() {
            db.execute_batch(statement).unwrap_or_else(|error| panic!("{error} in {statement}"));
        }
        let node = secret(NODE);
        let facts = NodeFacts {
            name: "node.example".to_owned(),
            version: "1.2.3".to_owned(),
            sequencer: node.public(),
            heads_vkey: "node.example/heads+00000000+AA==".to_owned(),
            services: vec!["enc-node"],
            limits: Limits::default(),
            require_encryption: false,
            push_loopback: false,
        };
        World {
            db,
            writer: RefCell::new(Cache::writer(capacity)),
            reader: RefCell::new(Cache::reader(capacity)),
            facts,
            now: Cell::new(START),
            keys: RefCell::new(vec![(Rc::new(node), None)]),
            alarms: RefCell::default(),
            fetches: RefCell::default(),
            statements: RefCell::default(),
            signed: RefCell::default(),
            checkpoints: RefCell::default(),
            random: Cell::new(0),
            fail_after: Cell::new(0),
            commits: Cell::new(0),
        }
    }

    /// An enclave of a manifest whose creator is alice.
    pub fn begin(&self, manifest: &Json) -> EnclaveId {
        self.begin_with(manifest, &[])
    }

    pub fn begin_with(&self, manifest: &Json, tags: &[&[&str]]) -> EnclaveId {
        let draft = Draft::manifest(&key("alice"), manifest, owned(tags), self.now.get() + 60_000);
        let enclave = draft.enclave;
        self.commit(&draft.sign(&key("alice"))).expect(200);
        enclave
    }

    /// A commit that no other call makes again.
    pub fn draft(&self, enclave: &EnclaveId, event_type: &str, content: &Json, tags: &[&[&str]]) -> Draft {
        let count = self.commits.get();
        self.commits.set(count + 1);
        let mut draft = Draft::new(*enclave, event_type, content, self.now.get() + 60_000 + count % 1000);
        draft.tags = owned(tags);
        draft
    }

    pub fn sign(&self, enclave: &EnclaveId, author: &str, event_type: &str, content: &Json) -> VerifiedCommit {
        self.draft(enclave, event_type, content, &[]).sign(&key(author))
    }

    /// Draws up, signs and submits.
    pub fn say(&self, enclave: &EnclaveId, author: &str, event_type: &str, content: &str, tags: &[&[&str]]) -> Told {
        self.commit(&self.draft(enclave, event_type, &json(content), tags).sign(&key(author)))
    }

    pub fn commit(&self, commit: &VerifiedCommit) -> Told {
        let checked = CheckedCommit::check(commit.commit().clone(), &|key| self.is_node_key(key));
        let enclave = Some(commit.commit().enclave);
        self.call(&Call { enclave, claim: Claim::Stranger, action: Action::Commit(checked) })
    }

    pub fn is_node_key(&self, key: &PublicKey) -> bool {
        self.keys.borrow().iter().any(|(held, _)| held.public() == *key)
    }

    /// Holds another sequencer key, for one enclave or for all.
    pub fn hold(&self, secret: &[u8; 32], enclave: Option<EnclaveId>) -> PublicKey {
        let pair = KeyPair::from_secret(secret).expect("a scalar");
        let public = pair.public();
        self.keys.borrow_mut().push((Rc::new(pair), enclave));
        public
    }

    /// Asks about an enclave, as a stranger.
    pub fn ask(&self, enclave: &EnclaveId, action: Action) -> Told {
        self.call(&Call { enclave: Some(*enclave), claim: Claim::Stranger, action })
    }

    /// Asks with a session.
    pub fn ask_as(&self, enclave: &EnclaveId, name: &str, action: Action) -> Told {
        self.call(&Call { enclave: Some(*enclave), claim: self.session(name), action })
    }

    /// A session of an hour at the node's key.
    pub fn session(&self, name: &str) -> Claim {
        self.session_at(name, &self.facts.sequencer)
    }

    pub fn session_at(&self, name: &str, sequencer: &PublicKey) -> Claim {
        let expires = u32::try_from(self.now.get() / 1000 + 3600).expect("before 2106");
        let session = Session::make(&key(name), sequencer, expires);
        Claim::Session { from: id(name), token: session.plain.hex() }
    }

    /// Answers a call as a host does: on a reader if it only reads, on the writer where it must write.
    pub fn call(&self, call: &Call) -> Told {
        match self.outcome(call, false) {
            Outcome::Done(response) | Outcome::Undone(response) => Told::from(response),
            Outcome::Parked { topic, .. } => panic!("parked on {topic:?}"),
        }
    }

    pub fn outcome(&self, call: &Call, resumed: bool) -> Outcome {
        if !call.writes() {
            match self.read(|host, cache| node::run(host, cache, &self.facts, call, resumed)) {
                Err(Fault::ReadOnly) => {}
                outcome => return outcome.unwrap_or_else(|fault| panic!("{fault:?} at {call:?}")),
            }
        }
        self.written(call, resumed).unwrap_or_else(|fault| panic!("{fault:?} at {call:?}"))
    }

    /// Runs a call on the writer, in a savepoint.
    pub fn written(&self, call: &Call, resumed: bool) -> Result<Outcome, Fault> {
        let outcome = self.write(|host, cache| match node::run(host, cache, &self.facts, call, resumed) {
            Ok(Outcome::Undone(response)) => (false, Ok(Outcome::Undone(response))),
            outcome => (outcome.is_ok(), outcome),
        });
        if !matches!(outcome, Ok(Outcome::Done(_) | Outcome::Parked { .. })) {
            call.enclave.iter().for_each(|enclave| self.writer.borrow_mut().forget(enclave));
        }
        outcome
    }

    /// Work on the connection that cannot write.
    pub fn read<T>(&self, work: impl FnOnce(&Host, &mut Cache) -> Result<T, Fault>) -> Result<T, Fault> {
        self.db.execute_batch("PRAGMA query_only = 1").expect("a pragma");
        let outcome = work(&Host { world: self, access: Access::Read, request: None }, &mut self.reader.borrow_mut());
        self.db.execute_batch("PRAGMA query_only = 0").expect("a pragma");
        outcome
    }

    /// Work on the writer; what it wrote goes when it says so.
    fn write<T>(&self, work: impl FnOnce(&Host, &mut Cache) -> (bool, T)) -> T {
        let (fetches, alarms) = (self.fetches.borrow().len(), self.alarms.borrow().clone());
        self.db.execute_batch("SAVEPOINT job").expect("a savepoint");
        let (stays, outcome) =
            work(&Host { world: self, access: Access::Write, request: None }, &mut self.writer.borrow_mut());
        if !stays {
            self.db.execute_batch("ROLLBACK TO job").expect("a savepoint");
            self.fetches.borrow_mut().truncate(fetches);
            *self.alarms.borrow_mut() = alarms;
        }
        self.db.execute_batch("RELEASE job").expect("a savepoint");
        outcome
    }

    /// A whole request on a host that leaves all of it to the service.
    pub fn handled(&self, ask: &Ask) -> Told {
        self.db.execute_batch("SAVEPOINT request").expect("a savepoint");
        let host = Host { world: self, access: Access::Write, request: Some((ask, RefCell::default())) };
        let outcome = service::handle(&host, &mut self.writer.borrow_mut(), &self.facts);
        if outcome.is_err() {
            self.db.execute_batch("ROLLBACK TO request").expect("a savepoint");
            self.writer.borrow_mut().clear();
        }
        self.db.execute_batch("RELEASE request").expect("a savepoint");
        let mut responses = host.request.expect("the request").1.take();
        assert_eq!(responses.len(), 1, "one answer");
        Told::from(responses.remove(0))
    }

    fn written_or_fault<T>(&self, work: impl FnOnce(&Host, &mut Cache) -> Result<T, Fault>) -> Result<T, Fault> {
        let outcome = self.write(|host, cache| {
            let outcome = work(host, cache);
            (outcome.is_ok(), outcome)
        });
        if outcome.is_err() {
            self.writer.borrow_mut().clear();
        }
        outcome
    }

    /// Does what `set_alarm` was for, as far as its time has come.
    pub fn ring(&self) {
        loop {
            let now = self.now.get();
            let due = self.alarms.borrow().iter().find(|(_, at)| **at <= now).map(|(enclave, _)| *enclave);
            let Some(enclave) = due else { break };
            self.alarms.borrow_mut().remove(&enclave);
            self.alarm(&enclave);
            let at = self.alarms.borrow().get(&enclave).copied();
            assert!(at.is_none_or(|at| at > now), "an alarm that never ends");
        }
    }

    pub fn alarm(&self, enclave: &EnclaveId) {
        let rung = self.written_or_fault(|host, cache| node::alarm(host, cache, &self.facts, enclave));
        rung.unwrap_or_else(|fault| panic!("{fault:?} at an alarm"));
    }

    /// An outbound request has ended.
    pub fn fetched(&self, id: FetchId, result: Fetched) -> Vec<Topic> {
        let told = self.written_or_fault(|host, cache| node::fetched(host, cache, &self.facts, id, &result));
        told.unwrap_or_else(|fault| panic!("{fault:?} at an answer"))
    }

    /// Opens a subscription as a host does.
    pub fn subscribe(&self, call: &Call) -> Result<live::Subscription, protocol::Rejection> {
        self.settled(call.enclave.as_ref(), |host, cache| live::open(host, cache, &self.facts, call))
    }

    /// One turn of a subscription.
    pub fn turn(&self, subscription: &mut live::Subscription) -> live::Advance {
        let enclave = *subscription.enclave();
        self.settled(Some(&enclave), |host, cache| live::advance(host, cache, &self.facts, subscription, "s"))
    }

    /// All that a subscription has to say at present.
    pub fn advance(&self, subscription: &mut live::Subscription) -> (Vec<serde_json::Value>, Option<&'static str>) {
        let mut frames = Vec::new();
        loop {
            let turn = self.turn(subscription);
            frames.extend(turn.frames.iter().map(|frame| serde_json::from_str(frame).expect("JSON")));
            if turn.closed.is_some() || !turn.more {
                return (frames, turn.closed);
            }
        }
    }

    /// The end of an enclave, read on from an earlier one.
    pub fn tail(&self, enclave: &EnclaveId, before: Option<&Tail>) -> Option<Tail> {
        self.settled(Some(enclave), |host, cache| Tail::read(host, cache, &self.facts, enclave, before))
    }

    /// One turn of a subscription on a tail, if the tail serves it.
    pub fn shared(&self, subscription: &mut live::Subscription, tail: &Tail) -> Option<live::Advance> {
        live::share(tail, &self.facts, self.now.get(), subscription, "s")
    }

    /// Reads; where something is due first, the STH is asked for on the writer, and then it is read again.
    fn settled<T>(
        &self,
        enclave: Option<&EnclaveId>,
        mut work: impl FnMut(&Host, &mut Cache) -> Result<T, Fault>,
    ) -> T {
        match self.read(&mut work) {
            Err(Fault::ReadOnly) => {
                self.call(&Call { enclave: enclave.copied(), claim: Claim::Stranger, action: Action::Sth }).expect(200);
                self.read(&mut work).unwrap_or_else(|fault| panic!("{fault:?}"))
            }
            outcome => outcome.unwrap_or_else(|fault| panic!("{fault:?}")),
        }
    }

    /// Does something and puts every row back.
    pub fn rehearse<T>(&self, work: impl FnOnce() -> T) -> T {
        self.db.execute_batch("SAVEPOINT rehearsal").expect("a savepoint");
        let outcome = work();
        self.db.execute_batch("ROLLBACK TO rehearsal; RELEASE rehearsal").expect("a savepoint");
        self.forget_all();
        outcome
    }

    /// Runs a call on the writer that may meet a fault, and puts every row back if it does not.
    pub fn rehearse_if_done(&self, call: &Call) -> Result<Outcome, Fault> {
        let fetches = self.fetches.borrow().len();
        let outcome = self.rehearse(|| self.written(call, false));
        self.fetches.borrow_mut().truncate(fetches);
        outcome
    }

    /// A host that has just started remembers nothing.
    pub fn forget_all(&self) {
        self.writer.borrow_mut().clear();
        self.reader.borrow_mut().clear();
    }

    /// Every row of every table, as text, table by table.
    pub fn dump(&self) -> BTreeMap<String, BTreeSet<String>> {
        let tables = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
        let mut statement = self.db.prepare_cached(tables).expect("a statement");
        let names = statement.query_map([], |row| row.get::<_, String>(0)).expect("names");
        let names: Vec<String> = names.map(|name| name.expect("a name")).collect();
        names.into_iter().map(|name| (name.clone(), self.rows(&format!("SELECT * FROM {name}")))).collect()
    }

    /// The rows that a statement answers.
    pub fn rows(&self, sql: &str) -> BTreeSet<String> {
        let mut statement = self.db.prepare(sql).expect("a statement");
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let values: Vec<String> = (0..columns).map(|at| cell(row.get_ref(at).expect("a column"))).collect();
            Ok(values.join("|"))
        });
        rows.expect("rows").map(|row| row.expect("a row")).collect()
    }

    pub fn at(&self, after_start: u64) -> &World {
        self.now.set(START + after_start);
        self
    }

    pub fn pass(&self, time: u64) -> &World {
        self.now.set(self.now.get() + time);
        self
    }
}

fn cell(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => panic!("no number of ours: {number}"),
        ValueRef::Text(text) => format!("'{}'", String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => protocol::ids::hex(bytes),
    }
}

fn owned(tags: &[&[&str]]) -> Vec<Vec<String>> {
    tags.iter().map(|tag| tag.iter().map(|&text| text.to_owned()).collect()).collect()
}

/// The response of an outcome that is one.
pub fn done(outcome: Outcome) -> Response {
    match outcome {
        Outcome::Done(response) | Outcome::Undone(response) => response,
        Outcome::Parked { topic, .. } => panic!("parked on {topic:?}"),
    }
}

/// Numbers that look random and are the same each time (SplitMix64).
pub struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Draw {
        Draw(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
