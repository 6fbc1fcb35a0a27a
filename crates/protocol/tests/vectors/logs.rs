//! Whole logs: the chain of events, its bundles, snapshots.

use crate::signing::pair;
use crate::{Case, bytes, named, ours, text, uint};
use base64ct::{Base64, Encoding};
use protocol::cbor::sha256;
use protocol::event::Event;
use protocol::head::Sth;
use protocol::ids::{EnclaveId, hex};
use protocol::snapshot::{Snapshot, Writer};
use protocol::verify::{Chain, Cutter, Pin};
use serde_json::Value;
use std::collections::BTreeMap;

fn events_of(log: &Value) -> Vec<Event> {
    let events = log["expected"]["events"].as_array().expect("events");
    events.iter().map(|event| Event::from_json(ours(event)).expect("an event")).collect()
}

/// The counts in the log's entries.
fn counts_of(log: &Value) -> Vec<u64> {
    let entries = log["expected"]["entries"].as_array().expect("entries");
    entries.iter().map(|entry| u64::from_str_radix(&text(entry)[144..], 16).expect("a count")).collect()
}

fn follow(events: &[Event]) -> Result<Chain, protocol::verify::ChainError> {
    let first = events.first().expect("a Manifest");
    let mut chain = Chain::begin(first, &Pin::Bound(first.enclave))?;
    for event in &events[1..] {
        chain.push(event)?;
    }
    Ok(chain)
}

pub(crate) fn enclave(case: &Case<'_>) {
    let log = serde_json::json!({ "expected": case.expected });
    let (events, counts) = (events_of(&log), counts_of(&log));
    let enclave = EnclaveId(bytes(&case.expected["enclave"]));
    let mut chain = Chain::begin(&events[0], &Pin::Bound(enclave)).expect("the Manifest derives the id");
    let mut cutter = Cutter::new(chain.manifest().bundle, &counts).expect("the counts are within the manifest's size");
    let mut entries = Vec::new();
    for (event, state) in events.iter().zip(case.expected["state_root_after"].as_array().expect("roots")) {
        let hash = if event.position.seq == 0 { *chain.prev() } else { chain.push(event).expect("the event follows") };
        if let Some(closed) = cutter.push(event, &hash).expect("the bundles are cut by the rules") {
            entries.push(closed.entry(&bytes(state)));
        }
    }
    let open = cutter.finish().expect("every count is met");
    assert_eq!(open.len() as u64 + counts.iter().sum::<u64>(), events.len() as u64);
    let encoded: Vec<Value> = entries.iter().map(|entry| Value::from(hex(&entry.encode()))).collect();
    assert_eq!(&encoded, case.expected["entries"].as_array().expect("entries"));
    let sth = Sth::from_json(ours(&case.expected["sth"])).expect("an STH");
    let head = sth.verify_for(&enclave, &chain.sequencers().newest()).expect("it is the sequencer's");
    let leaves: Vec<_> = entries.iter().map(|entry| entry.leaf_hash()).collect();
    assert_eq!((head.sth().tree_size, head.sth().root_hash), (leaves.len() as u64, root(&leaves)));
}

/// The log's root by its definition.
fn root(leaves: &[merkle::Hash]) -> merkle::Hash {
    match leaves {
        [] => merkle::log::EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            merkle::log::node_hash(&root(left), &root(right))
        }
    }
}

pub(crate) fn chain_refused(case: &Case<'_>) {
    let log = named(case.file, text(&case.input["of"]));
    let by_id: BTreeMap<String, Event> = events_of(log).into_iter().map(|event| (event.id.hex(), event)).collect();
    let ids = case.input["ids"].as_array().expect("ids");
    let events: Vec<Event> = ids.iter().map(|id| by_id[text(id)].clone()).collect();
    assert_eq!(follow(&events).is_ok(), case.expected["valid"] == true);
}

pub(crate) fn snapshot(case: &Case<'_>) {
    let log = named(case.file, text(&case.input["of"]));
    let (events, counts) = (events_of(log), counts_of(log));
    let sth = Sth::from_json(ours(&log["expected"]["sth"])).expect("an STH");
    let (mut writer, mut file) = Writer::begin(&sth, events.len() as u64).expect("an STH has an image");
    for event in &events {
        file.extend(writer.event(event).expect("an event has an image"));
    }
    file.extend(writer.finish(&counts, &sth.sequencer).expect("the counts are met"));
    assert_eq!(file.len() as u64, uint(&case.expected["length"]));
    assert_eq!(hex(&sha256(&file)), text(&case.expected["sha256"]));
    assert_eq!(Base64::encode_string(&file), text(&case.expected["base64"]));

    let read = Snapshot::read(&file).expect("what is written is read");
    assert_eq!((read.sth, &read.bundles, read.seq_pub), (sth, &counts, sth.sequencer));
    assert_eq!(read.manifest, events[0]);
    assert_eq!(read.event_count(), events.len() as u64);
    let again: Vec<Event> = read.events().collect::<Result<_, _>>().expect("events");
    assert_eq!(again, events);
}

/// All that can be checked of a snapshot without the rules of roles; the events that the bundles cover.
fn check(file: &[u8]) -> Result<Chain, String> {
    let snapshot = Snapshot::read(file).map_err(|error| format!("{error:?}"))?;
    let pin = Pin::Bound(snapshot.manifest.enclave);
    let mut chain = Chain::begin(&snapshot.manifest, &pin).map_err(|error| format!("{error:?}"))?;
    let mut cutter = Cutter::new(chain.manifest().bundle, &snapshot.bundles).map_err(|error| format!("{error:?}"))?;
    for event in snapshot.events() {
        let event = event.map_err(|error| format!("{error:?}"))?;
        let hash = match event.position.seq {
            0 => *chain.prev(),
            _ => chain.push(&event).map_err(|error| format!("{error:?}"))?,
        };
        cutter.push(&event, &hash).map_err(|error| format!("{error:?}"))?;
    }
    cutter.finish().map_err(|error| format!("{error:?}"))?;
    chain.check_erased().map_err(|error| format!("{error:?}"))?;
    snapshot.sth.verify_for(chain.enclave(), &snapshot.seq_pub).map_err(|error| format!("{error:?}"))?;
    let covered = snapshot.bundles.iter().sum();
    if !chain.sequencers().may_sign_head(&snapshot.seq_pub, covered) {
        return Err("the head is by no sequencer".into());
    }
    if snapshot.sth.tree_size != snapshot.bundles.len() as u64 {
        return Err("the head is of another size".into());
    }
    Ok(chain)
}

fn file_of(case: &Case<'_>) -> Vec<u8> {
    Base64::decode_vec(text(&case.input["snapshot_base64"])).expect("base64")
}

pub(crate) fn restore_after_migrate(case: &Case<'_>) {
    let chain = check(&file_of(case)).expect("the log is followed");
    let new_key = pair(&case.input["new_sequencer_priv"]).public();
    let migrated_to_it = chain.sequencers().newest() == new_key;
    // The last event is the Migrate; whether the node goes on from it is the node's own record and key store.
    assert!(case.expected["live"] == false || migrated_to_it);
    assert_eq!(chain.sequencers().at(chain.next_seq()), chain.sequencers().newest());
    assert_ne!(chain.sequencers().at(chain.next_seq() - 1), chain.sequencers().newest());
}

/// Refused only by one who replays the rules: the state's root is under the log's.
const BY_REPLAY: &[&str] = &["tree_head_of_another_root"];

pub(crate) fn restore_bundles(case: &Case<'_>) {
    let outcome = check(&file_of(case)).map(drop);
    let expected = case.expected["valid"] == true || BY_REPLAY.contains(&case.name);
    assert_eq!(outcome.is_ok(), expected, "{outcome:?}");
}
