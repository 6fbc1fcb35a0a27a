//! Every byte of every answer that carries a proof, changed once: the SDK gives an error each time, never a value.
//!
//! The answers are a real node's, recorded once through a proxy and played again from a tape. A bit of each byte is flipped; of a letter also
//! its case, for upper-case hex is an error as well.

use client::audit::audit_snapshot;
use client::{Enclave, Error, Filter, Identity, MemoryStore, Node, Pin};
use conformance::encd::Encd;
use conformance::endpoint::Endpoint;
use conformance::liar::{Exchange, Liar};
use conformance::people::{json, key, now};
use conformance::tape::Tape;
use protocol::commit::Draft;
use protocol::head::VerifiedSth;
use protocol::schnorr::KeyPair;
use protocol::state::StateName;
use protocol::{Commit, Json, Receipt};
use std::fmt::Debug;
use std::ops::Range;

/// What was recorded, and what a client knew when it asked.
struct Recorded {
    /// Of each question.
    exchanges: Vec<Vec<Exchange>>,
    pin: Pin,
    time: u64,
    said: Commit,
    receipt: Receipt,
    older: VerifiedSth,
    url: String,
    delivery: Vec<u8>,
    snapshot: Vec<u8>,
}

/// A question to the SDK and the route whose answer is altered. The value is only shown where there should be none.
type Question = fn(&Recorded, &Enclave) -> Result<String, Error>;

const OWNER: u8 = 1;
const NAMES: [StateName<'static>; 3] = [StateName::Shared("topic"), StateName::Lifecycle, StateName::Gate("door")];

fn shown<T: Debug>(value: Result<T, Error>) -> Result<String, Error> {
    value.map(|value| format!("{value:?}"))
}

/// What is asked, and the end of the target whose answer is altered.
const QUESTIONS: &[(&str, &str, Question)] = &[
    ("tree head", "GET …/sth", |_, enclave| shown(enclave.sth())),
    ("receipt", "POST /", |recorded, enclave| shown(enclave.send(&recorded.said))),
    ("inclusion", "POST …/inclusion", |recorded, enclave| shown(enclave.prove_event(&recorded.receipt))),
    ("bundle", "POST …/bundle", |recorded, enclave| shown(enclave.prove_bundle(&recorded.receipt))),
    ("its entry", "POST …/inclusion", |recorded, enclave| shown(enclave.prove_bundle(&recorded.receipt))),
    ("state", "POST …/state", |_, enclave| shown(enclave.prove_state(&NAMES[0]))),
    ("states", "POST …/state-batch", |_, enclave| shown(enclave.prove_states(&NAMES))),
    ("consistency", "GET …/consistency?from=1&to=3", |recorded, enclave| {
        let newer = enclave.sth()?;
        shown(enclave.prove_consistency(&recorded.older, &newer.sth))
    }),
    ("checkpoint", "GET …/checkpoint", |_, enclave| shown(enclave.checkpoint())),
    ("entries", "GET …/tile/entries/000.p/3", |_, enclave| {
        let head = enclave.sth()?;
        shown(enclave.entries(&head))
    }),
    ("close-bundle", "POST …/close-bundle", |_, enclave| shown(enclave.close_bundle())),
    ("Manifest", "GET …/info/manifest", |_, enclave| shown(enclave.manifest_again().map(|served| served.event))),
    ("Manifest at the first visit", "GET …/info/manifest", |_, enclave| {
        let opened = Enclave::open(&enclave.node(), enclave.id(), None, MemoryStore::shared())?;
        Ok(format!("{:?}", opened.pin()))
    }),
    ("events", "POST /", |_, enclave| shown(enclave.query(&first_notes()))),
    ("deliveries", "POST /", |recorded, enclave| shown(enclave.pull(Some(&recorded.url), 0, 1))),
];

/// A page that says that there is more.
fn first_notes() -> Filter {
    Filter { limit: Some(2), ..Filter::of_type("note") }
}

fn enclave_at(node: &Node, pin: &Pin) -> Enclave {
    let store = MemoryStore::shared();
    store.keep_pin(pin).expect("memory takes it");
    let owner = Identity::from_secret(&protocol::ids::hex(&[OWNER; 32])).expect("a key");
    Enclave::open(node, pin.enclave(), Some(owner), store).expect("it is pinned")
}

fn manifest(owner: &KeyPair, sequencer: &protocol::PublicKey) -> Json {
    let owner = owner.public();
    json(&format!(
        r#"{{"enc_v":2,"sequencer":"{sequencer}","bundle":{{"size":256,"timeout":3600000}},"RBAC":{{
            "states":["MEMBER"],"traits":["owner(0)"],"readers":[{{"type":"Public","reads":"*"}}],
            "moves":[{{"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":"Self","ops":["C"],
                      "alias":"door","gate":{{"operator":["owner"]}}}},
                     {{"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":"Self","ops":["C"]}}],
            "slots":[{{"event":"Shared","key":"topic","operator":"MEMBER","ops":["C","U","D"]}}],
            "customs":[{{"event":"note","operator":"MEMBER","ops":["C","D","P"]}}],
            "init":[{{"identity":"{owner}","state":"MEMBER","traits":["owner"]}}]}}}}"#
    ))
}

/// A small life of an enclave: three closed bundles, a deleted note, a slot, a delivery.
fn record(node: &Encd) -> Recorded {
    let liar = Liar::before(&node.address, Box::new(|_| None));
    let time = now();
    let sdk = Node::at(&liar.url).expect("an address").with_clock(move || time);
    let owner = Identity::from_secret(&protocol::ids::hex(&[OWNER; 32])).expect("a key");
    let content = manifest(&key(OWNER), &node.sequencer);
    let created = Enclave::create(&sdk, &content, Vec::new(), (owner, MemoryStore::shared())).expect("it is made");
    let enclave = created.enclave;
    let endpoint = Endpoint::willing();
    enclave.register_push(Some(&endpoint.url)).expect("the endpoint is taken");
    let first = enclave.commit("note", &json(r#"{"text":"žluť"}"#)).expect("a note");
    let delivery = endpoint.delivery().to_jcs().into_bytes();
    let older = enclave.close_bundle().expect("a bundle").sth;
    enclave.commit("Shared", &json(r#"{"key":"topic","value":[1,null]}"#)).expect("a topic");
    let deleted = enclave.commit("note", &json("\"to be deleted\"")).expect("a note");
    let draft = enclave.draft("Delete", &Json::Null);
    let tags = vec![vec!["r".to_owned(), deleted.receipt.id.hex()]];
    enclave.submit(Draft { tags, ..draft }).expect("it is deleted");
    enclave.close_bundle().expect("a bundle");
    let said = enclave.draft("note", &json("\"the last\"")).sign(&key(OWNER)).into_commit();
    enclave.send(&said).expect("a note");
    enclave.close_bundle().expect("a bundle");
    let pin = enclave.pin();
    let snapshot = small_snapshot(&sdk, node);
    let mut recorded = Recorded {
        exchanges: Vec::new(),
        pin,
        time,
        receipt: first.receipt,
        said,
        older,
        url: endpoint.url.clone(),
        delivery,
        snapshot,
    };
    let sent: Vec<Exchange> = liar.heard().into_iter().filter(|exchange| submits(exchange, &recorded.said)).collect();
    for (what, _, question) in QUESTIONS {
        // The commit was sent before, and a second time would be another answer.
        if *what == "receipt" {
            recorded.exchanges.push(sent.clone());
            continue;
        }
        let before = liar.heard().len();
        question(&recorded, &enclave).unwrap_or_else(|error| panic!("{what}: {error}"));
        recorded.exchanges.push(liar.heard().split_off(before));
    }
    recorded
}

/// A whole log, as small as one with a deleted event, a closed and an open bundle can be: each lie about it is a replay.
fn small_snapshot(sdk: &Node, node: &Encd) -> Vec<u8> {
    let (owner, sequencer) = (key(OWNER).public(), node.sequencer);
    let content = json(&format!(
        r#"{{"enc_v":2,"sequencer":"{sequencer}","RBAC":{{"states":["OWNER"],
            "readers":[{{"type":"OWNER","reads":"*"}}],"customs":[{{"event":"n","operator":"OWNER","ops":["C","D"]}}],
            "init":[{{"identity":"{owner}","state":"OWNER","traits":[]}}]}}}}"#
    ));
    let owner = Identity::from_secret(&protocol::ids::hex(&[OWNER; 32])).expect("a key");
    let enclave =
        Enclave::create(sdk, &content, Vec::new(), (owner, MemoryStore::shared())).expect("it is made").enclave;
    let note = enclave.commit("n", &json("1")).expect("a note");
    let tags = vec![vec!["r".to_owned(), note.receipt.id.hex()]];
    enclave.submit(Draft { tags, ..enclave.draft("Delete", &Json::Null) }).expect("it is deleted");
    enclave.close_bundle().expect("a bundle");
    enclave.commit("n", &json("2")).expect("a note in the open bundle");
    enclave.snapshot().expect("a snapshot").0
}

fn submits(exchange: &Exchange, commit: &Commit) -> bool {
    exchange.ask.body == commit.to_json().to_jcs().into_bytes()
}

/// The byte with a bit flipped, and a letter also in its other case.
fn altered(byte: u8) -> impl Iterator<Item = u8> {
    let other_case = byte.is_ascii_alphabetic().then_some(byte ^ 0x20);
    [byte ^ 1].into_iter().chain(other_case)
}

/// Changes every byte of a body in turn; how often, and where a value came all the same. What lies in `word` is the node's word, which
/// nothing proves and nothing is done by: a value may come, if it is the honest one.
fn believed(
    (body, word): (&[u8], Range<usize>),
    honest: &str,
    mut ask: impl FnMut(Vec<u8>) -> Result<String, Error>,
) -> (usize, Vec<String>) {
    let (mut asked, mut faults) = (0, Vec::new());
    for (place, byte) in body.iter().enumerate() {
        for other in altered(*byte) {
            let mut body = body.to_vec();
            body[place] = other;
            let around = &body[place.saturating_sub(30)..body.len().min(place + 30)];
            let around = String::from_utf8_lossy(around).into_owned();
            asked += 1;
            match ask(body) {
                Ok(value) if value != honest || !word.contains(&place) => {
                    faults.push(format!("byte {place}, {around}: {value:.200}"));
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
    (asked, faults)
}

/// Where the node's word stands in an answer: the present sequencer, which the chain of Migrates shows, beside the Manifest.
fn word_in(target: &str, body: &[u8]) -> Range<usize> {
    const NAME: &[u8] = b"\"sequencer\":\"";
    if !target.ends_with("/info/manifest") {
        return 0..0;
    }
    let start = body.windows(NAME.len()).rposition(|window| window == NAME).expect("the member is there") + NAME.len();
    start..start + 64
}

/// Alters each byte of one question's answer; what it was altered to is never believed.
fn interrogate(recorded: &Recorded, place: usize) -> Vec<String> {
    let (what, target, question) = QUESTIONS[place];
    let (tape, time) = (Tape::play(&recorded.exchanges[place]), recorded.time);
    let node = Node::at(&tape.url).expect("an address").with_clock(move || time);
    let ask = || question(recorded, &enclave_at(&node, &recorded.pin));
    let honest = ask().unwrap_or_else(|error| panic!("{what}: as it was recorded it is believed: {error}"));
    let target = target.replace('…', &format!("/enclaves/{}", recorded.pin.enclave()));
    let body = tape.recorded(&target).unwrap_or_else(|| panic!("{what}: {target} is on the tape")).body;
    let (asked, faults) = believed((&body, word_in(&target, &body)), &honest, |body| {
        tape.alter(&target, body);
        ask()
    });
    tape.restore();
    assert_eq!(ask().ok(), Some(honest), "{what}: nothing of the lies has stuck");
    println!("{what}: {asked} lies about {} bytes, {} believed", body.len(), faults.len());
    faults.into_iter().map(|fault| format!("{what}: {fault}")).collect()
}

#[test]
fn no_changed_byte_is_believed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = Encd::start(folder.path(), "[outbound]\nallow_loopback = true\n");
    let recorded = record(&node);
    let faults: Vec<String> = std::thread::scope(|scope| {
        let parts: Vec<_> = (0..3)
            .map(|part| {
                let (recorded, mine) = (&recorded, (part..QUESTIONS.len()).step_by(3));
                scope.spawn(move || mine.flat_map(|place| interrogate(recorded, place)).collect::<Vec<_>>())
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().expect("no part panics")).collect()
    });
    assert!(faults.is_empty(), "{} lies were believed\n{}", faults.len(), faults.join("\n"));
}

/// What comes without a question: a delivery at the endpoint, a snapshot from wherever.
#[test]
fn no_changed_byte_of_a_delivery_or_a_snapshot_is_believed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = Encd::start(folder.path(), "[outbound]\nallow_loopback = true\n");
    let recorded = record(&node);
    let time = recorded.time;
    let nowhere = Node::at("http://127.0.0.1:1").expect("an address").with_clock(move || time);
    let enclave = enclave_at(&nowhere, &recorded.pin);
    let delivery = |body: Vec<u8>| shown(enclave.verify_delivery(&body, &recorded.url));
    let honest = delivery(recorded.delivery.clone()).expect("as it came it is believed");
    let (_, mut faults) = believed((&recorded.delivery, 0..0), &honest, delivery);
    let snapshot = |bytes: Vec<u8>| shown(audit_snapshot(&bytes, None));
    let honest = snapshot(recorded.snapshot.clone()).expect("as it came it is believed");
    let (asked, more) = believed((&recorded.snapshot, 0..0), &honest, snapshot);
    assert!(asked > recorded.snapshot.len());
    faults.extend(more);
    assert!(faults.is_empty(), "{} lies were believed\n{}", faults.len(), faults.join("\n"));
}
