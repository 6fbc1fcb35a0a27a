//! Hashes, JSON, commits, events, receipts, ids, manifests, state keys and log entries.

use crate::signing::pair;
use crate::{Case, any_bytes, bytes, ours, tags, text, uint};
use protocol::cbor::{Encoder, sha256};
use protocol::code::Detail;
use protocol::commit::{self, Commit, Draft};
use protocol::entry::{Entry, state_commit};
use protocol::event::{Event, Position, Receipt};
use protocol::evidence::{Contradiction, Evidence, EvidenceKind};
use protocol::head::heads_entry;
use protocol::ids::{ContentHash, EnclaveId, EventHash, PublicKey, hex};
use protocol::json::{self, Json};
use protocol::manifest::{Manifest, StateNumber, TraitIndex};
use protocol::state::{Bitmask, GATE_OPEN, Lifecycle, StateName};
use serde_json::Value;

pub(crate) fn h(case: &Case<'_>) {
    let fields = case.input["fields"].as_array().expect("fields");
    let mut encoder = Encoder::hash_input(uint(&case.input["prefix"]), fields.len() as u64);
    for field in fields {
        encode(field, &mut encoder);
    }
    assert_eq!(hex(&encoder.hash()), text(&case.expected["hash"]));
    assert_eq!(hex(&encoder.finish()), text(&case.expected["cbor"]));
}

fn encode(field: &Value, encoder: &mut Encoder) {
    match field {
        Value::Number(_) => drop(encoder.uint(uint(field))),
        Value::String(text) => drop(encoder.text(text)),
        Value::Array(items) => {
            encoder.array(items.len() as u64);
            items.iter().for_each(|item| encode(item, encoder));
        }
        _ => drop(encoder.bytes(&any_bytes(&field["bytes"]))),
    }
}

fn hash_of(value: &Value) -> String {
    hex(&sha256(ours(value).to_jcs().as_bytes()))
}

pub(crate) fn content_hash(case: &Case<'_>) {
    assert_eq!(ours(&case.input["content"]).to_jcs(), text(&case.expected["rfc8785"]));
    assert_eq!(hash_of(&case.input["content"]), text(&case.expected["content_hash"]));
}

pub(crate) fn string_and_value_differ(case: &Case<'_>) {
    let (string, value) = (hash_of(&case.input["string"]), hash_of(&case.input["value"]));
    assert_eq!(string, text(&case.expected["string_hash"]));
    assert_eq!(value, text(&case.expected["value_hash"]));
    assert_eq!(string == value, case.expected["equal"] == true);
}

fn error_of(bytes: &[u8]) -> Option<&'static str> {
    let refused = json::parse(bytes, json::MAX_DEPTH).err()?;
    Some(protocol::Rejection::from(refused).code.as_str())
}

pub(crate) fn json_refused(case: &Case<'_>) {
    assert_eq!(error_of(text(&case.input["json"]).as_bytes()), case.expected["error"].as_str());
}

pub(crate) fn json_bytes_refused(case: &Case<'_>) {
    assert_eq!(error_of(&any_bytes(&case.input["hex"])), case.expected["error"].as_str());
}

pub(crate) fn json_accepted(case: &Case<'_>) {
    let read = json::parse(text(&case.input["json"]).as_bytes(), json::MAX_DEPTH).expect("it is within the rules");
    assert_eq!(read.to_jcs(), text(&case.expected["rfc8785"]));
}

pub(crate) fn commit_depth(case: &Case<'_>) {
    let zeros = |len| "0".repeat(len);
    let commit = format!(
        "{{\"hash\":\"{0}\",\"enclave\":\"{0}\",\"from\":\"{0}\",\"type\":\"a\",\"content\":{1},\"exp\":1,\"sig\":\"{2}\"}}",
        zeros(64),
        text(&case.input["content"]),
        zeros(128)
    );
    let error = Commit::parse(commit.as_bytes()).err().map(|rejection| rejection.code.as_str());
    assert_eq!(error, case.expected["error"].as_str());
    // The limit is the commit's own, however deep the text may be that it stands in.
    let value = json::parse(commit.as_bytes(), json::MAX_DEPTH).map_err(protocol::Rejection::from);
    let error = value.and_then(Commit::from_json).err().map(|rejection| rejection.code.as_str());
    assert_eq!(error, case.expected["error"].as_str());
}

pub(crate) fn commit(case: &Case<'_>) {
    let input = case.input;
    let draft = Draft {
        enclave: EnclaveId(bytes(&input["enclave"])),
        event_type: text(&input["type"]).to_owned(),
        content: ours(&input["content"]).to_jcs(),
        exp: uint(&input["exp"]),
        tags: tags(&input["tags"]),
    };
    let signed = draft.sign(&pair(&input["priv"]));
    assert_eq!(signed.content_hash().hex(), text(&case.expected["content_hash"]));
    let commit = signed.commit();
    assert_eq!(commit.from.hex(), text(&input["from"]));
    assert_eq!(commit.hash.hex(), text(&case.expected["hash"]));
    assert_eq!(commit.sig.hex(), text(&case.expected["sig"]));

    // The wire form of the case itself, with `alg` and `tags` as it has them, is the same commit.
    let mut wire = input.clone();
    let members = wire.as_object_mut().expect("an object");
    members.remove("priv");
    members.insert("hash".into(), case.expected["hash"].clone());
    members.insert("sig".into(), case.expected["sig"].clone());
    let read = Commit::parse(wire.to_string().as_bytes()).expect("a commit");
    assert_eq!(&read, commit);
    assert_eq!(read.verify().as_ref(), Ok(&signed));
    let again = Commit::parse(commit.to_json().to_jcs().as_bytes()).expect("a commit");
    assert_eq!(&again, commit);
}

pub(crate) fn event(case: &Case<'_>) {
    let input = case.input;
    let key = pair(&input["sequencer_priv"]);
    let position = Position {
        seq: uint(&input["seq"]),
        type_seq: uint(&input["type_seq"]),
        timestamp: uint(&input["timestamp"]),
        prev: EventHash(bytes(&input["prev"])),
        sequencer: key.public(),
    };
    let commit = Commit::from_json(ours(&input["commit"])).expect("a commit");
    let event = Event::sequence(commit, position, &key);
    assert_eq!(event.event_hash().hex(), text(&case.expected["event_hash"]));
    assert_eq!(event.seq_sig.hex(), text(&case.expected["seq_sig"]));
    assert_eq!(event.id.hex(), text(&case.expected["id"]));
    assert_eq!(event.receipt().to_json(), ours(&case.expected["receipt"]));
    assert_eq!(Event::from_json(ours_again(&event.to_json())), Ok(event));
}

fn ours_again(value: &Json) -> Json {
    json::parse(value.to_jcs().as_bytes(), json::MAX_DEPTH).expect("what is written is read")
}

pub(crate) fn receipt(case: &Case<'_>) {
    let pinned = PublicKey(bytes(&case.input["sequencer"]));
    let valid = Receipt::from_json(ours(&case.input["receipt"]))
        .is_ok_and(|receipt| receipt.position.sequencer == pinned && receipt.verify_signature().is_ok());
    assert_eq!(valid, case.expected["valid"] == true);
}

pub(crate) fn equivocation(case: &Case<'_>) {
    let read = |name: &str| Receipt::from_json(ours(&case.input[name])).expect("a receipt");
    let (a, b) = (read("a"), read("b"));
    let evidence = Evidence {
        enclave: a.enclave,
        sequencer: a.position.sequencer,
        contradiction: Contradiction::TwoEvents(Box::new(a), Box::new(b)),
    };
    let proven = Evidence::from_json(evidence.to_json()).expect("what is written is read").verify();
    assert_eq!(proven.is_ok(), case.expected["evidence"] == true, "{proven:?}");
    if let Ok(proven) = proven {
        assert_eq!(proven.kind, EvidenceKind::TwoEvents { seq: a.position.seq });
        assert_eq!(proven.sequencer, a.position.sequencer);
    }
}

pub(crate) fn served_event(case: &Case<'_>) {
    let pinned = PublicKey(bytes(&case.input["sequencer"]));
    let mut served = case.input["event"].clone();
    // The golden file leaves out tags that a node serves as the empty list.
    served.as_object_mut().expect("an event").entry("tags").or_insert(Value::Array(Vec::new()));
    let event = Event::from_json(ours(&served)).expect("an event");
    assert_eq!(event.to_json().to_jcs(), ours(&served).to_jcs());
    let valid = event.position.sequencer == pinned && event.verify().is_ok();
    assert_eq!(valid, case.expected["valid"] == true);
}

pub(crate) fn enclave_id(case: &Case<'_>) {
    let content_hash = ContentHash(sha256(ours(&case.input["content"]).to_jcs().as_bytes()));
    let id = commit::enclave_id(&PublicKey(bytes(&case.input["from"])), &content_hash, &tags(&case.input["tags"]));
    assert_eq!(id.hex(), text(&case.expected["enclave_id"]));
}

pub(crate) fn template(case: &Case<'_>) {
    let filled = case.input["template"]
        .to_string()
        .replace("\"SEQ\"", &case.input["sequencer"].to_string())
        .replace("\"ME\"", &case.input["from"].to_string());
    let content = json::parse(filled.as_bytes(), json::MAX_DEPTH).expect("the template is JSON");
    let content_hash = ContentHash(sha256(content.to_jcs().as_bytes()));
    assert_eq!(content_hash.hex(), text(&case.expected["content_hash"]));
    let from = PublicKey(bytes(&case.input["from"]));
    let id = commit::enclave_id(&from, &content_hash, &tags(&case.input["tags"]));
    assert_eq!(id.hex(), text(&case.expected["enclave_id"]));
    assert!(Manifest::parse_for(&content, &from).is_ok());
}

pub(crate) fn manifest(case: &Case<'_>) {
    let from = PublicKey(bytes(&case.input["from"]));
    let refused = Manifest::parse_for(&ours(&case.input["manifest"]), &from).err();
    assert_eq!(refused.as_ref().map(|rejection| rejection.code.as_str()), case.expected["error"].as_str());
    if let Some(rejection) = refused {
        assert_eq!(rejection.detail, Detail::Path(text(&case.expected["path"]).to_owned()));
    }
}

pub(crate) fn state_key(case: &Case<'_>) {
    let raw = any_bytes(&case.input["raw"]);
    let member = |name: &str| case.input.get(name).map(text);
    let identity = case.input.get("identity").map(|value| PublicKey(bytes(value)));
    let (public, event);
    let name = match (uint(&case.input["namespace"]), member("slot"), &identity) {
        (0, ..) => {
            public = PublicKey(raw.as_slice().try_into().expect("a key"));
            StateName::Identity(&public)
        }
        (1, ..) => {
            event = protocol::EventId(raw.as_slice().try_into().expect("an id"));
            StateName::Event(&event)
        }
        (2, Some(slot), Some(identity)) => StateName::Own(identity, slot),
        (2, Some(slot), None) => StateName::Shared(slot),
        (3, ..) => member("alias").map_or(StateName::Lifecycle, StateName::Gate),
        other => panic!("{other:?}"),
    };
    assert_eq!(name.raw(), raw);
    assert_eq!(hex(&name.key().path), text(&case.expected["key"]));
}

pub(crate) fn enclave_value(case: &Case<'_>) {
    let value: [u8; 32] = bytes(&case.expected["value"]);
    let lifecycle_key = hex(&StateName::Lifecycle.key().path);
    if text(&case.input["key"]) == lifecycle_key {
        let lifecycle = Lifecycle::from_value(Some(&value)).expect("a lifecycle");
        assert_eq!(lifecycle.value(), Some(value));
    } else {
        assert_eq!(value, GATE_OPEN);
    }
}

pub(crate) fn bitmask(case: &Case<'_>) {
    let place = |list: &str, name: &str| {
        let rows = case.input[list].as_array().expect("a list");
        rows.iter().position(|row| text(row).split('(').next() == Some(name))
    };
    let mut mask = Bitmask::default();
    if let Some(place) = place("states", text(&case.input["state"])) {
        mask.set_state(StateNumber(place as u8 + 1));
    }
    for held in case.input["has"].as_array().expect("traits") {
        mask.set(TraitIndex(place("traits", text(held)).expect("it is declared") as u8), true);
    }
    assert_eq!(hex(&mask.0), text(&case.expected["value"]));
}

pub(crate) fn log_entry(case: &Case<'_>) {
    let input = case.input;
    let commit = state_commit(&EventHash(bytes(&input["last_event_hash"])), &bytes(&input["state_hash"]));
    assert_eq!(hex(&commit), text(&case.expected["state_commit"]));
    let entry = Entry {
        events_root: bytes(&input["events_root"]),
        state_commit: commit,
        first_seq: uint(&input["first_seq"]),
        count: uint(&input["count"]),
    };
    let encoded = entry.encode();
    assert_eq!(hex(&encoded), text(&case.expected["entry"]));
    assert_eq!(hex(&entry.leaf_hash()), text(&case.expected["leaf"]));
    assert_eq!(Entry::decode(&encoded), Some(entry));
    assert_eq!(entry.index_of(entry.first_seq), Some(0));
    assert_eq!(entry.index_of(entry.first_seq + entry.count - 1), Some(entry.count - 1));
    assert_eq!(entry.index_of(entry.first_seq + entry.count), None);
    assert_eq!(entry.first_seq.checked_sub(1).and_then(|before| entry.index_of(before)), None);
    assert_eq!(Entry::from_json(ours_again(&entry.to_json())), Ok(entry));
}

pub(crate) fn heads(case: &Case<'_>) {
    let input = case.input;
    if input.get("entries").is_some() {
        // An entry bundle: tiles are not of this crate.
        return;
    }
    let enclave = EnclaveId(bytes(&input["enclave"]));
    let entry = heads_entry(&enclave, uint(&input["tree_size"]), &bytes(&input["root_hash"]));
    assert_eq!(hex(&entry), text(&case.expected["entry"]));
    assert_eq!(hex(&merkle::log::leaf_hash(&entry)), text(&case.expected["leaf"]));
}
