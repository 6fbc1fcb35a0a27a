//! A node that is killed while sixteen connections commit. Whatever was acknowledged is in the log afterwards, in the place that its receipt
//! says, under every signature and every root; and the node goes on.

use client::{Enclave, Identity, MemoryStore, Node, Store};
use conformance::encd::Encd;
use conformance::people::{json, key, now};
use conformance::wire::{Ask, Connection, ask};
use protocol::commit::Draft;
use protocol::json::{self as reader, MAX_DEPTH};
use protocol::schnorr::KeyPair;
use protocol::{Commit, EnclaveId, Json, PublicKey, Receipt};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 16;
const ENCLAVES: usize = 6;
/// Receipts after which the node is killed, in each round: soon, and in the middle of everything.
const ROUNDS: [usize; 4] = [1, 40, 150, 400];
/// Commits of one streamed request.
const LINES: u64 = 50;

/// Who writes, and what each connection was told.
struct Field {
    sequencer: PublicKey,
    owner: KeyPair,
    enclaves: Vec<EnclaveId>,
    store: Arc<dyn Store>,
    number: AtomicU64,
    received: AtomicUsize,
}

/// A receipt and the commit that it is for.
type Told = Vec<(Commit, Receipt)>;

impl Field {
    fn commit(&self) -> Commit {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let place = usize::try_from(number).expect("a small number") % ENCLAVES;
        let content = Json::object([("number", Json::from(number)), ("text", Json::from("x".repeat(200)))]);
        Draft::new(self.enclaves[place], "message", &content, now() + 60_000).sign(&self.owner).into_commit()
    }

    fn take(&self, told: &mut Told, commit: Commit, answer: &[u8]) {
        let value = reader::parse(answer, MAX_DEPTH).expect("an answer that came is whole");
        let receipt = Receipt::from_json(value).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(answer)));
        receipt.verify(&commit, &self.sequencer).expect("a receipt that came holds");
        told.push((commit, receipt));
        self.received.fetch_add(1, Ordering::SeqCst);
    }

    /// One commit after the other on one connection, until it breaks.
    fn write_singly(&self, address: &str) -> Told {
        let mut told = Told::new();
        let Ok(mut connection) = Connection::open(address) else { return told };
        loop {
            let commit = self.commit();
            match connection.ask(&Ask::post("/", commit.to_json().to_jcs())) {
                Ok(answer) => self.take(&mut told, commit, &answer.body),
                Err(_) => return told,
            }
        }
    }

    /// Many lines a request, until the connection breaks; what was streamed before that counts.
    fn write_lines(&self, address: &str) -> Told {
        let mut told = Told::new();
        let Ok(mut connection) = Connection::open(address) else { return told };
        loop {
            let commits: Vec<Commit> = (0..LINES).map(|_| self.commit()).collect();
            let body: Vec<String> = commits.iter().map(|commit| commit.to_json().to_jcs()).collect();
            let request = Ask::post_as("application/x-ndjson", "/commits", body.join("\n"));
            if connection.send(&request).is_err() {
                return told;
            }
            let (mut commits, mut partial) = (commits.into_iter(), Vec::new());
            let answer = connection.read_streamed(&mut |piece| {
                partial.extend_from_slice(piece);
                while let Some(end) = partial.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = partial.drain(..=end).collect();
                    let commit = commits.next().expect("no more answers than lines");
                    self.take(&mut told, commit, &line[..end]);
                }
            });
            if answer.is_err() {
                return told;
            }
        }
    }
}

/// Bundles of three, so that roots and heads are made all the time.
fn make_enclave(address: &str, sequencer: &PublicKey, owner: &KeyPair, nonce: usize) -> EnclaveId {
    let content = json(&format!(
        r#"{{"enc_v":2,"sequencer":"{sequencer}","bundle":{{"size":3,"timeout":500}},"RBAC":{{
            "states":["MEMBER"],"traits":["owner(0)"],"readers":[{{"type":"Public","reads":"*"}}],
            "customs":[{{"event":"message","operator":"MEMBER","ops":["C"]}}],
            "init":[{{"identity":"{}","state":"MEMBER","traits":["owner"]}}]}}}}"#,
        owner.public()
    ));
    let tags = vec![vec!["nonce".to_owned(), nonce.to_string()]];
    let commit = Draft::manifest(owner, &content, tags, now() + 60_000).sign(owner).into_commit();
    let answer = ask(address, &Ask::post("/", commit.to_json().to_jcs()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    commit.enclave
}

/// Sixteen connections write; the node is killed once so many receipts have come.
fn write_until_killed(node: &mut Encd, field: &Field, enough: usize) -> Told {
    field.received.store(0, Ordering::SeqCst);
    let address = node.address.clone();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..CONNECTIONS)
            .map(|place| {
                let address = address.as_str();
                scope.spawn(move || match place % 2 {
                    0 => field.write_singly(address),
                    _ => field.write_lines(address),
                })
            })
            .collect();
        while field.received.load(Ordering::SeqCst) < enough {
            assert!(writers.iter().any(|writer| !writer.is_finished()), "the node answers");
            std::thread::yield_now();
        }
        node.kill();
        writers.into_iter().flat_map(|writer| writer.join().expect("every receipt that came held")).collect()
    })
}

/// Every receipt's event is in the log that the node has now, and everything about that log holds.
fn check(node: &Encd, field: &Field, told: &Told) {
    let sdk = Node::connect(&format!("http://{}", node.address)).expect("the node answers");
    let owner = Identity::from_secret(&"01".repeat(32)).expect("a key");
    let mut by_enclave: BTreeMap<EnclaveId, Vec<&Receipt>> = BTreeMap::new();
    for (_, receipt) in told {
        by_enclave.entry(receipt.enclave).or_default().push(receipt);
    }
    for id in &field.enclaves {
        // The store remembers the heads of earlier rounds: the log must continue each of them.
        let enclave = Enclave::open(&sdk, *id, Some(owner.clone()), Arc::clone(&field.store)).expect("it is there");
        enclave.close_bundle().expect("the node writes on, and its heads continue those of before");
        let mut events = Vec::new();
        for page in enclave.log(None) {
            events.extend(page.expect("the chain is whole and every event verifies"));
        }
        let receipts = by_enclave.get(id).map_or(&[][..], Vec::as_slice);
        for receipt in receipts {
            let place = usize::try_from(receipt.position.seq).expect("a small number");
            let event = events.get(place).unwrap_or_else(|| panic!("acknowledged and lost: seq {place}"));
            assert_eq!(event.receipt(), **receipt, "acknowledged, and something else stands there");
        }
        // Inclusion under the signed head, for a few of each: the snapshot's replay recomputes all of them.
        for receipt in receipts.iter().step_by(receipts.len().max(4) / 4) {
            enclave.prove_event(receipt).expect("it is included");
        }
        let (_, audited) = enclave.snapshot().expect("the whole log replays to the signed root");
        assert_eq!(audited.replayed.events, events.len() as u64);
        enclave.checkpoint().expect("the checkpoint states the same root");
    }
}

fn restart(folder: &Path) -> Encd {
    Encd::start(folder, "")
}

#[test]
fn whatever_was_acknowledged_survives() {
    let began = Instant::now();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut node = restart(folder.path());
    let owner = key(1);
    let enclaves = (0..ENCLAVES).map(|nonce| make_enclave(&node.address, &node.sequencer, &owner, nonce)).collect();
    let field = Field {
        sequencer: node.sequencer,
        owner,
        enclaves,
        store: MemoryStore::shared(),
        number: AtomicU64::new(0),
        received: AtomicUsize::new(0),
    };
    let mut told = Told::new();
    for enough in ROUNDS {
        let new = write_until_killed(&mut node, &field, enough);
        assert!(new.len() >= enough, "the receipts that were counted are kept");
        told.extend(new);
        node = restart(folder.path());
        assert_eq!(node.sequencer, field.sequencer, "it has its key");
        check(&node, &field, &told);
    }
    still_answers_duplicates(&node, &told);
    assert!(began.elapsed() < Duration::from_secs(120), "the rounds are short: {:?}", began.elapsed());
}

/// Whoever sends a commit again that it has a receipt for is given the same receipt, as long as it has not expired.
fn still_answers_duplicates(node: &Encd, told: &Told) {
    for (commit, receipt) in told.iter().rev().take(20) {
        let answer = ask(&node.address, &Ask::post("/", commit.to_json().to_jcs()));
        let value = answer.json();
        assert_eq!(value.member("receipt"), Some(&receipt.to_json()), "{}", answer.text());
    }
}
