//! What the clients of a node were told of each commit, held against the log that it has later.

use crate::people::{json, now};
use crate::wire::{Ask, Connection, ask};
use client::{Enclave, Identity, MemoryStore, Node, Store};
use protocol::commit::Draft;
use protocol::json::{self as reader, MAX_DEPTH};
use protocol::schnorr::KeyPair;
use protocol::{Code, Commit, CommitHash, EnclaveId, Json, PublicKey, Receipt};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Commits of one streamed request.
const LINES: usize = 20;

/// Enclaves, and who writes to them.
pub struct Field {
    /// The node's key.
    pub sequencer: PublicKey,
    /// Enclaves with bundles of three, which close all the time.
    pub enclaves: Vec<EnclaveId>,
    secret: [u8; 32],
    store: Arc<dyn Store>,
    number: AtomicU64,
}

/// What came of commits.
#[derive(Default)]
pub struct Told {
    /// Receipts, which hold.
    pub acknowledged: Vec<Receipt>,
    /// Each refusal.
    pub refused: Vec<(CommitHash, Code)>,
    /// Commits without an answer. They may be in the log or not.
    pub unanswered: Vec<CommitHash>,
}

impl Told {
    /// Puts what others were told to it.
    pub fn join(&mut self, other: Told) {
        self.acknowledged.extend(other.acknowledged);
        self.refused.extend(other.refused);
        self.unanswered.extend(other.unanswered);
    }

    /// Whether there is a refusal, and each has this code.
    pub fn refused_as(&self, code: Code) -> bool {
        !self.refused.is_empty() && self.refused.iter().all(|(_, found)| *found == code)
    }

    /// `answer`: its body, and its status where it is not one of many lines.
    fn note(&mut self, field: &Field, commit: &Commit, answer: Option<(Option<u16>, &[u8])>) {
        let Some((status, body)) = answer else {
            self.unanswered.push(commit.hash);
            return;
        };
        let value = reader::parse(body, MAX_DEPTH).expect("an answer that came is whole");
        match value.member("error").and_then(Json::as_text) {
            Some(code) => {
                let code = Code::parse(code).expect("a code of the protocol");
                assert!(status.is_none_or(|status| status == code.status()), "{status:?} {code:?}");
                let hash = value.member("hash").and_then(Json::as_text);
                let named = hash.is_some_and(|hash| hash == commit.hash.hex());
                assert!(named || status.is_some(), "the refusal of a line names its commit");
                self.refused.push((commit.hash, code));
            }
            None => {
                let receipt = Receipt::from_json(value).expect("what is no refusal is a receipt");
                receipt.verify(commit, &field.sequencer).expect("a receipt that came holds");
                self.acknowledged.push(receipt);
            }
        }
    }
}

impl Field {
    /// Makes so many enclaves.
    ///
    /// # Panics
    /// Where the node refuses one.
    pub fn make(address: &str, sequencer: PublicKey, count: u64) -> Field {
        Field::make_with(address, sequencer, count, 3_600_000)
    }

    /// The same, with bundles that close after so many milliseconds.
    ///
    /// # Panics
    /// Where the node refuses one.
    pub fn make_with(address: &str, sequencer: PublicKey, count: u64, timeout_ms: u64) -> Field {
        let secret = [1; 32];
        let owner = KeyPair::from_secret(&secret).expect("a repeated small byte is a valid scalar");
        let make = |nonce: u64| {
            let content = json(&format!(
                r#"{{"enc_v":2,"sequencer":"{sequencer}","bundle":{{"size":3,"timeout":{timeout_ms}}},"RBAC":{{
                    "states":["MEMBER"],"traits":["owner(0)"],"readers":[{{"type":"Public","reads":"*"}}],
                    "customs":[{{"event":"message","operator":"MEMBER","ops":["C"]}}],
                    "init":[{{"identity":"{}","state":"MEMBER","traits":["owner"]}}]}}}}"#,
                owner.public()
            ));
            let tags = vec![vec!["nonce".to_owned(), nonce.to_string()]];
            let commit = Draft::manifest(&owner, &content, tags, now() + 60_000).sign(&owner).into_commit();
            let answer = ask(address, &Ask::post("/", commit.to_json().to_jcs()));
            assert_eq!(answer.status, 200, "{}", answer.text());
            commit.enclave
        };
        let enclaves = (0..count).map(make).collect();
        Field { sequencer, enclaves, secret, store: MemoryStore::shared(), number: AtomicU64::new(0) }
    }

    /// The same enclaves on a copy of the node's data.
    pub fn again(&self) -> Field {
        Field {
            enclaves: self.enclaves.clone(),
            store: MemoryStore::shared(),
            number: AtomicU64::new(0),
            sequencer: self.sequencer,
            secret: self.secret,
        }
    }

    /// A commit that no other is like, to one enclave after the other.
    pub fn commit(&self) -> Commit {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let place = usize::try_from(number).expect("a small number") % self.enclaves.len();
        self.commit_to(self.enclaves[place], number, now() + 60_000)
    }

    /// A commit with this number that expires then.
    pub fn commit_to(&self, enclave: EnclaveId, number: u64, exp: u64) -> Commit {
        self.sign(enclave, number, 200, exp)
    }

    /// A commit of half a megabyte, which takes as many pages of the write-ahead log as hundreds of small ones.
    pub fn large_commit(&self) -> Commit {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        self.sign(self.enclaves[0], number, 500_000, now() + 60_000)
    }

    fn sign(&self, enclave: EnclaveId, number: u64, len: usize, exp: u64) -> Commit {
        let owner = KeyPair::from_secret(&self.secret).expect("a repeated small byte is a valid scalar");
        let content = Json::object([("number", Json::from(number)), ("text", Json::from("x".repeat(len)))]);
        Draft::new(enclave, "message", &content, exp).sign(&owner).into_commit()
    }

    /// One commit on a connection of its own.
    pub fn post(&self, address: &str, commit: &Commit) -> Told {
        let mut told = Told::default();
        let answer = Connection::open(address)
            .and_then(|mut connection| connection.ask(&Ask::post("/", commit.to_json().to_jcs())));
        let answer = answer.ok();
        told.note(self, commit, answer.as_ref().map(|answer| (Some(answer.status), &answer.body[..])));
        told
    }

    /// One commit after the other on one connection, until it breaks or `enough` says so.
    pub fn write_singly(&self, address: &str, enough: &dyn Fn(&Told) -> bool) -> Told {
        let mut told = Told::default();
        let Ok(mut connection) = Connection::open(address) else { return told };
        while !enough(&told) {
            let commit = self.commit();
            let answer = connection.ask(&Ask::post("/", commit.to_json().to_jcs())).ok();
            told.note(self, &commit, answer.as_ref().map(|answer| (Some(answer.status), &answer.body[..])));
            if answer.is_none() {
                return told;
            }
        }
        told
    }

    /// Many lines a request, until the connection breaks or `enough` says so. What was streamed before that counts.
    pub fn write_lines(&self, address: &str, enough: &dyn Fn(&Told) -> bool) -> Told {
        let mut told = Told::default();
        let Ok(mut connection) = Connection::open(address) else { return told };
        while !enough(&told) {
            let commits: Vec<Commit> = (0..LINES).map(|_| self.commit()).collect();
            let body: Vec<String> = commits.iter().map(|commit| commit.to_json().to_jcs()).collect();
            let sent = connection.send(&Ask::post_as("application/x-ndjson", "/commits", body.join("\n")));
            let (mut commits, mut partial) = (commits.iter(), Vec::new());
            let answered = sent.and_then(|()| {
                connection.read_streamed(&mut |piece| {
                    partial.extend_from_slice(piece);
                    while let Some(end) = partial.iter().position(|byte| *byte == b'\n') {
                        let line: Vec<u8> = partial.drain(..=end).collect();
                        let commit = commits.next().expect("no more answers than lines");
                        told.note(self, commit, Some((None, &line[..end])));
                    }
                })
            });
            commits.for_each(|commit| told.note(self, commit, None));
            if answered.is_err() {
                return told;
            }
        }
        told
    }

    /// So many connections write, singly and in lines, each until it breaks or `enough` says so of what it was told.
    pub fn write(&self, address: &str, connections: usize, enough: impl Fn(&Told) -> bool + Sync) -> Told {
        let enough = &enough;
        std::thread::scope(|scope| {
            let start = |place: usize| {
                scope.spawn(move || match place % 2 {
                    0 => self.write_singly(address, enough),
                    _ => self.write_lines(address, enough),
                })
            };
            let writers: Vec<_> = (0..connections).map(start).collect();
            let mut all = Told::default();
            for writer in writers {
                all.join(writer.join().expect("every answer that came held"));
            }
            all
        })
    }

    /// Holds what was told against the log that the node has: whatever was acknowledged stands where its receipt says, nothing that was
    /// refused stands anywhere, and the whole log replays to its signed root, which continues every head seen before.
    ///
    /// # Panics
    /// Where it does not.
    pub fn check(&self, address: &str, told: &Told) {
        self.check_ahead(address, told, 0);
    }

    /// The same where the clocks of node and reader run so many milliseconds ahead of this machine's.
    ///
    /// # Panics
    /// As [`Field::check`].
    pub fn check_ahead(&self, address: &str, told: &Told, ahead_ms: i64) {
        let sdk = Node::at(&format!("http://{address}")).expect("an address");
        let sdk = sdk.with_clock(move || now().saturating_add_signed(ahead_ms));
        let secret: String = self.secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let owner = Identity::from_secret(&secret).expect("a key");
        let refused: HashSet<CommitHash> = told.refused.iter().map(|(hash, _)| *hash).collect();
        for id in &self.enclaves {
            let enclave = Enclave::open(&sdk, *id, Some(owner.clone()), Arc::clone(&self.store)).expect("it is there");
            enclave.close_bundle().expect("the node writes on, and its heads continue those of before");
            let mut events = Vec::new();
            for page in enclave.log(None) {
                events.extend(page.expect("the chain is whole and every event verifies"));
            }
            for receipt in told.acknowledged.iter().filter(|receipt| receipt.enclave == *id) {
                let place = usize::try_from(receipt.position.seq).expect("a small number");
                let event = events.get(place).unwrap_or_else(|| panic!("acknowledged and lost: seq {place}"));
                assert_eq!(event.receipt(), *receipt, "acknowledged, and something else stands there");
            }
            for pair in events.windows(2) {
                assert!(pair[0].position.timestamp <= pair[1].position.timestamp, "time runs backwards in an enclave");
            }
            if let Some(event) = events.iter().find(|event| refused.contains(&event.hash)) {
                panic!("refused and in the log all the same: seq {}", event.position.seq);
            }
            let (_, audited) = enclave.snapshot().expect("the whole log replays to the signed root");
            assert_eq!(audited.replayed.events, events.len() as u64);
        }
    }
}
