//! Proof answers and push deliveries.

use crate::signing::pair;
use crate::{Case, any_bytes, bytes, named, ours, text, uint};
use protocol::entry::Entry;
use protocol::event::{Event, Receipt};
use protocol::head::{Sth, VerifiedSth};
use protocol::ids::{EnclaveId, PublicKey};
use protocol::json::Json;
use protocol::proof::{BundleProof, ConsistencyAnswer, InclusionAnswer, StateAnswer, state_proof_from_json};
use protocol::push::SignedDelivery;
use protocol::state::StateName;
use protocol::verify::Sequencers;
use serde_json::Value;

pub(crate) fn state_proof(case: &Case<'_>) {
    let (value, root) = match case.input.get("proof") {
        Some(proof) => (proof, &case.input["root"]),
        None => (&case.expected["proof"], &case.expected["root"]),
    };
    let asked = case.input.get("key").map_or_else(|| bytes(&value["k"]), bytes);
    let valid = state_proof_from_json(ours(value))
        .is_ok_and(|proof| merkle::sparse::verify(&proof, &asked, &bytes(root)).is_ok());
    assert_eq!(valid, case.expected["valid"] == true);
}

pub(crate) fn bundle_proof(case: &Case<'_>) {
    let entry = Entry {
        events_root: bytes(&case.input["events_root"]),
        state_commit: [0; 32],
        first_seq: 1000,
        count: uint(&case.input["count_of_the_entry"]),
    };
    let seq = 1000 + uint(&case.input["index_from_the_entry"]);
    let valid =
        BundleProof::from_json(ours(&case.input["proof"])).is_ok_and(|proof| proof.verify_id(seq, &entry).is_ok());
    assert_eq!(valid, case.expected["valid"] == true);
}

pub(crate) fn enclave_proofs(case: &Case<'_>) {
    let log = named(case.file, text(&case.input["of"]));
    let events = log["expected"]["events"].as_array().expect("events");
    let events: Vec<Event> = events.iter().map(|event| Event::from_json(ours(event)).expect("an event")).collect();
    let sequencer = events[0].position.sequencer;
    let enclave = events[0].enclave;
    let rows = |name: &str| case.expected[name].as_array().expect("rows");

    let receipts: Vec<Receipt> =
        rows("receipts").iter().map(|row| Receipt::from_json(ours(row)).expect("a receipt")).collect();
    assert_eq!(receipts, events.iter().map(Event::receipt).collect::<Vec<_>>());
    let heads: Vec<VerifiedSth> = rows("sths")
        .iter()
        .map(|row| Sth::from_json(ours(row)).expect("an STH").verify_for(&enclave, &sequencer).expect("it holds"))
        .collect();
    let newest = heads.last().expect("a head");
    let with_sth = |row: &Value| {
        let mut row = row.clone();
        let members = row.as_object_mut().expect("an answer");
        members.insert("sth".into(), serde_json::from_str(&newest.sth().to_json().to_jcs()).expect("JSON"));
        row
    };

    for (row, receipt) in rows("inclusion").iter().zip(&receipts) {
        let row = with_sth(row);
        let answer = InclusionAnswer::from_json(ours(&row)).expect("an answer");
        assert_eq!(answer.to_json().to_jcs(), ours(&row).to_jcs());
        answer.verify_event(receipt, &sequencer, newest).expect("the event is in the log");
        check_lies(&answer, receipt, &sequencer, newest);
    }
    let asked = case.input["state"].as_array().expect("keys");
    assert_eq!(rows("state").len(), asked.len());
    for (row, key) in rows("state").iter().zip(asked) {
        let row = with_sth(row);
        let answer = StateAnswer::from_json(ours(&row)).expect("an answer");
        assert_eq!(answer.to_json().to_jcs(), ours(&row).to_jcs());
        let raw = any_bytes(&key["key"]);
        let proven =
            with_name(uint(&key["namespace"]), &raw, |name| answer.verify(&[name], newest)).expect("it is proved");
        assert_eq!(proven.leaf_index, uint(&key["leaf_index"]));
        assert_eq!(proven.newest, proven.leaf_index + 1 == newest.sth().tree_size);
        let other = PublicKey([0x55; 32]);
        assert!(answer.verify(&[StateName::Identity(&other)], newest).is_err());
        assert!(answer.verify(&[], newest).is_err());
        let forged = StateAnswer { state_hash: [1; 32], ..answer.clone() };
        assert!(with_name(uint(&key["namespace"]), &raw, |name| forged.verify(&[name], newest)).is_err());
    }
    for row in rows("consistency") {
        let answer = ConsistencyAnswer::from_json(ours(row)).expect("an answer");
        assert_eq!(answer.to_json().to_jcs(), ours(row).to_jcs());
        let older = heads.iter().find(|head| head.sth().tree_size == answer.from).expect("a head of that size");
        answer.verify(older, newest).expect("the log has grown");
        assert!(
            heads.iter().filter(|head| head.sth() != older.sth()).all(|other| answer.verify(other, newest).is_err())
        );
    }
}

/// What a node could change in a true answer.
fn check_lies(answer: &InclusionAnswer, receipt: &Receipt, sequencer: &PublicKey, head: &VerifiedSth) {
    let mut lies = vec![answer.clone(); 8];
    lies[0].entry.tree_size += 1;
    lies[1].entry.leaf_index ^= 1;
    lies[2].entry.entry.first_seq += 1;
    lies[3].entry.entry.count += 1;
    lies[4].bundle = None;
    lies[5].bundle.as_mut().expect("a bundle proof").bundle_size += 1;
    lies[6].bundle.as_mut().expect("a bundle proof").event_id.0[0] ^= 1;
    lies[7].bundle.as_mut().expect("a bundle proof").bundle_index ^= 1;
    for lie in lies {
        assert!(lie.verify_event(receipt, sequencer, head).is_err(), "{lie:?}");
    }
    assert!(answer.verify_event(receipt, &PublicKey([1; 32]), head).is_err());
    let mut unsigned = *receipt;
    unsigned.position.seq += 1;
    assert!(answer.verify_event(&unsigned, sequencer, head).is_err());
}

fn with_name<T>(namespace: u64, raw: &[u8], use_name: impl FnOnce(StateName<'_>) -> T) -> T {
    let utf8 = |bytes| core::str::from_utf8(bytes).expect("a name");
    match namespace {
        0 => use_name(StateName::Identity(&PublicKey(raw.try_into().expect("a key")))),
        1 => use_name(StateName::Event(&protocol::EventId(raw.try_into().expect("an id")))),
        2 if raw[0] == 0 => use_name(StateName::Shared(utf8(&raw[1..]))),
        2 => use_name(StateName::Own(&PublicKey(raw[1..33].try_into().expect("a key")), utf8(&raw[33..]))),
        3 if raw == b"lifecycle" => use_name(StateName::Lifecycle),
        3 => use_name(StateName::Gate(utf8(raw.strip_prefix(b"gate:").expect("a gate")))),
        other => panic!("{other}"),
    }
}

/// The body with a signature, whatever the case has.
fn delivery(body: &Value, sig: Option<&Value>) -> Result<SignedDelivery, protocol::Rejection> {
    let mut body = body.clone();
    if let Some(sig) = sig {
        body.as_object_mut().expect("a body").insert("sig".into(), sig.clone());
    }
    SignedDelivery::from_json(ours(&body))
}

pub(crate) fn push(case: &Case<'_>) {
    let read = delivery(&case.input["body"], Some(&case.expected["sig"])).expect("a delivery");
    let key = pair(&case.input["priv"]);
    assert_eq!(protocol::ids::hex(&read.delivery.message(&key.public())), text(&case.expected["message"]));
    let signed = read.delivery.clone().sign(&key);
    assert_eq!(signed, read);
    let mut without_sig = signed.to_json();
    if let Json::Object(members) = &mut without_sig {
        members.retain(|(name, _)| name != "sig");
    }
    let mut body = ours(&case.input["body"]);
    if let Json::Object(members) = &mut body {
        members.retain(|(name, _)| name != "sig");
    }
    assert_eq!(without_sig.to_jcs(), body.to_jcs());
}

pub(crate) fn push_receiver(case: &Case<'_>) {
    let body = &case.input["body"];
    let enclave = EnclaveId(bytes(&body["enclave"]));
    let sequencers = Sequencers::new(PublicKey(bytes(&case.input["seq_pub_of_the_manifest"])));
    let (own_url, now) = (text(&case.input["own_url"]), uint(&case.input["now"]));
    let outcome = delivery(body, None).map(|read| read.verify(&enclave, &sequencers, own_url, now).map(drop));
    assert_eq!(matches!(outcome, Ok(Ok(()))), case.expected["valid"] == true, "{outcome:?}");
}
