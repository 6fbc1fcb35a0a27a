//! A whole move, with somebody who writes on, somebody who waits at a socket, and an endpoint that could not take its deliveries in time.

use crate::scene::{Owner, Place, person, standing, visitor};
use client::push::delivered_seqs;
use client::watch::Seen;
use client::{Enclave, Error, Filter};
use conformance::endpoint::Endpoint;
use conformance::launch::wait_until;
use protocol::{Code, Event, Json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes numbers, each until it is taken, as long as it may.
fn writes(enclave: &Enclave, stop: &AtomicBool, written: &AtomicU64) -> Vec<protocol::Receipt> {
    let mut receipts = Vec::new();
    let begun = Instant::now();
    while !stop.load(Ordering::Acquire) {
        let number = receipts.len() as u64;
        let commit = enclave.draft("message", &Json::from(number)).sign(person(2).key()).into_commit();
        let receipt = loop {
            assert!(begun.elapsed() < PATIENCE, "message {number} is taken");
            match enclave.send(&commit) {
                Ok(committed) => break committed.receipt,
                // Handed over, and not yet to be had at the other node.
                Err(Error::Moving(_) | Error::Unreachable { .. }) => {
                    std::thread::park_timeout(Duration::from_millis(5))
                }
                Err(other) => panic!("message {number}: {other}"),
            }
        };
        receipts.push(receipt);
        written.store(receipts.len() as u64, Ordering::Release);
    }
    receipts
}

/// Reads on until a message says that it is the last.
fn reads(enclave: &Enclave) -> (Vec<Event>, Vec<String>) {
    let (mut events, mut moves) = (Vec::new(), Vec::new());
    let mut watch = enclave.watch(&Filter::all());
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "the last message comes; {} came", events.len());
        match watch.next().expect("all that comes holds") {
            Seen::Event(event) => {
                let last = client::reading::content_of(&event) == Some(Json::from("last"));
                events.push(*event);
                if last {
                    return (events, moves);
                }
            }
            Seen::Moved(url) => moves.push(url),
            Seen::CaughtUp | Seen::Dropped(..) => {}
            Seen::Ended(reason) => panic!("it ended: {reason}"),
        }
    }
}

/// Takes deliveries until all these places have come, each once.
fn delivered(enclave: &Enclave, endpoint: &Endpoint, wanted: &[u64]) {
    let mut came: BTreeMap<u64, u64> = BTreeMap::new();
    while came.len() < wanted.len() {
        let body = endpoint.delivery().to_jcs();
        let delivery = enclave.verify_delivery(body.as_bytes(), &endpoint.url).expect("a delivery that holds");
        for seq in delivered_seqs(&delivery) {
            came.insert(seq, delivery.push_seq);
        }
    }
    assert_eq!(came.keys().copied().collect::<Vec<_>>(), wanted);
    let numbers: Vec<u64> = came.into_values().collect();
    assert!(numbers.is_sorted(), "in order: {numbers:?}");
}

#[test]
fn an_enclave_moves_under_load() {
    let (old, new) = (Place::new(), Place::new());
    let owner = Owner::new();
    let id = owner.creates(&old, "whole").id();
    let [writer, reader, watcher] = [2, 2, 3].map(|byte| visitor(&old, id, byte));
    let able = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&able);
    let status = move || if asked.load(Ordering::Acquire) { 200 } else { 503 };
    let endpoint = Endpoint::start(Box::new(move |_| (status(), "{}".into())));
    watcher.register_push(Some(&endpoint.url)).expect("it answers its challenge");
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let (receipts, (events, moves)) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| reads(&reader));
        let writing = scope.spawn(|| writes(&writer, &stop, &written));
        assert!(wait_until(PATIENCE, || written.load(Ordering::Acquire) >= 5), "somebody writes");
        let told = owner.does(&["--json", "migrate", "--to", &new.gate.url]);
        let stages: Vec<&str> = told.lines().filter_map(|line| line.split(r#""stage":""#).nth(1)).collect();
        let stages: Vec<&str> = stages.iter().filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(stages, ["checked", "signed", "saved", "taken_up", "verified"], "{told}");
        let before = written.load(Ordering::Acquire);
        assert!(wait_until(PATIENCE, || written.load(Ordering::Acquire) >= before + 5), "and writes on");
        stop.store(true, Ordering::Release);
        let receipts = writing.join().expect("it writes to the end");
        owner.does(&["commit", "message", "last"]);
        (receipts, reading.join().expect("it reads to the end"))
    });
    assert_eq!(moves, [new.gate.url.clone()], "who waits goes on once");
    let seqs: Vec<u64> = events.iter().map(|event| event.position.seq).collect();
    assert_eq!(seqs, (0..events.len() as u64).collect::<Vec<_>>(), "nothing is missing and nothing comes twice");
    let migrate = events.iter().find(|event| event.event_type == "Migrate").expect("it was handed over");
    let migrated_at = migrate.position.seq;
    for receipt in &receipts {
        let by = if receipt.position.seq < migrated_at { &old } else { &new };
        assert_eq!(receipt.position.sequencer, by.node.sequencer, "{}", receipt.position.seq);
        let places = events.iter().filter(|event| event.hash == receipt.hash);
        assert_eq!(places.map(|event| event.position).collect::<Vec<_>>(), [receipt.position], "each is in one place");
    }
    let sides = receipts.iter().map(|receipt| receipt.position.seq > migrated_at);
    assert!(sides.clone().any(|later| later) && sides.clone().any(|later| !later), "some on either side");
    // Nobody is sent anything of what the old node had queued but by the old node, and all of it.
    assert!(!endpoint.pending().is_empty(), "it was tried in vain");
    able.store(true, Ordering::Release);
    let queued = receipts.iter().map(|receipt| receipt.position.seq).filter(|seq| *seq < migrated_at);
    delivered(&watcher, &endpoint, &queued.collect::<Vec<_>>());
    again_at_the_new_node(&watcher, &writer, &endpoint);
    settled(&old, &new, &writer);
}

/// An endpoint does not move: its owner registers it where the enclave is.
fn again_at_the_new_node(watcher: &Enclave, writer: &Enclave, endpoint: &Endpoint) {
    watcher.go_on().expect("it is to be had");
    watcher.register_push(Some(&endpoint.url)).expect("it answers its challenge");
    let next = writer.commit("message", &Json::from("pushed")).expect("it is taken").receipt.position.seq;
    delivered(watcher, endpoint, &[next]);
}

/// One node sequences it and the other says which.
fn settled(old: &Place, new: &Place, writer: &Enclave) {
    let id = writer.id();
    assert_eq!(standing(old, &id), ("migrated".to_owned(), true, old.node.sequencer));
    assert_eq!(standing(new, &id), ("active".to_owned(), true, new.node.sequencer));
    let stays = visitor(old, id, 2).staying();
    match stays.commit("message", &Json::from("late")) {
        Err(Error::Refused(refusal)) => {
            assert_eq!(refusal.code, Code::EnclaveMigrated);
            assert_eq!(refusal.detail.new_sequencer, Some(new.node.sequencer));
        }
        other => panic!("the old node is done: {other:?}"),
    }
    let late = visitor(old, id, 3);
    assert!(late.query_all(&Filter::of_type("Migrate")).expect("it still tells").len() == 1);
    late.commit("message", &Json::from("by who came late")).expect("and leads on");
    assert_eq!(late.node().url(), new.gate.url);
    writer.audit(&mut |_, _| {}).expect("the whole log replays at the new node");
    // Who has never been at the old node finds the Migrate by asking for nothing but it.
    let fresh = visitor(new, id, 3);
    fresh.query_all(&Filter::all()).expect("the chain of keys leads there");
    assert_eq!(fresh.sequencer(), new.node.sequencer);
}
