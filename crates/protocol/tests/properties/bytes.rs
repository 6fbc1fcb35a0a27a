//! Whatever arrives, readers answer; and what they accept, they write again as it was.

use proptest::prelude::*;
use protocol::commit::{Commit, Draft};
use protocol::event::{Event, Position, Receipt};
use protocol::evidence::Evidence;
use protocol::head::Sth;
use protocol::ids::{EnclaveId, EventHash, EventId, PublicKey, Signature};
use protocol::json::{self, Json};
use protocol::manifest::Manifest;
use protocol::proof::{BundleAnswer, ConsistencyAnswer, HeadsAnswer, InclusionAnswer, StateAnswer};
use protocol::push::SignedDelivery;
use protocol::schnorr::KeyPair;
use protocol::snapshot::{Snapshot, Writer};
use protocol::transport::{SealedRequest, SealedResponse};
use std::sync::LazyLock;

fn key() -> KeyPair {
    KeyPair::from_secret(&[7; 32]).expect("a private key")
}

fn commit() -> Commit {
    let content = json::parse("{\"text\":\"hé\",\"n\":[1,-2,null,true]}".as_bytes(), json::MAX_DEPTH).expect("JSON");
    let mut draft = Draft::new(EnclaveId([1; 32]), "message", &content, 1_800_000_000_000);
    draft.tags = vec![vec!["r".into(), "ab".repeat(32)], vec!["k".into()]];
    draft.sign(&key()).into_commit()
}

fn event() -> Event {
    let position = Position {
        seq: 0,
        type_seq: 0,
        timestamp: 1_800_000_000_000,
        prev: EventHash([0; 32]),
        sequencer: key().public(),
    };
    Event::sequence(commit(), position, &key())
}

fn snapshot() -> Vec<u8> {
    let sth = Sth::sign(&key(), EnclaveId([1; 32]), 1_800_000_000_000, 0, merkle::EMPTY);
    let (mut writer, mut file) = Writer::begin(&sth, 2).expect("an image");
    file.extend(writer.event(&event()).expect("an image"));
    file.extend(writer.event(&event()).expect("an image"));
    file.extend(writer.finish(&[1], &key().public()).expect("two events"));
    file
}

static COMMIT: LazyLock<String> = LazyLock::new(|| commit().to_json().to_jcs());
static SNAPSHOT: LazyLock<Vec<u8>> = LazyLock::new(snapshot);

/// Some bytes set, some removed, some put in.
fn mutation() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0u8..3, any::<u8>()), 1..5)
}

fn mutated(original: &[u8], changes: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for (place, kind, byte) in changes {
        let at = place.index(bytes.len());
        match kind {
            0 => bytes[at] = *byte,
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, *byte),
        }
    }
    bytes
}

/// The file that a snapshot's parts make.
fn written(snapshot: &Snapshot<'_>, events: &[Event]) -> Vec<u8> {
    let (mut writer, mut file) = Writer::begin(&snapshot.sth, snapshot.event_count()).expect("an image");
    for event in events {
        file.extend(writer.event(event).expect("an image"));
    }
    file.extend(writer.finish(&snapshot.bundles, &snapshot.seq_pub).expect("the counts are met"));
    file
}

proptest! {
    #[test]
    fn mutated_commits_are_read_or_refused(changes in mutation()) {
        let bytes = mutated(COMMIT.as_bytes(), &changes);
        if let Ok(read) = Commit::parse(&bytes) {
            prop_assert_eq!(Commit::parse(read.to_json().to_jcs().as_bytes()), Ok(read.clone()));
            // Whatever was changed was under the hash, the signature, or not there at all.
            let same = read == commit();
            prop_assert_eq!(read.verify().is_ok(), same);
        }
    }

    #[test]
    fn mutated_snapshots_are_read_or_refused(changes in mutation()) {
        let bytes = mutated(&SNAPSHOT, &changes);
        if let Ok(read) = Snapshot::read(&bytes)
            && let Ok(events) = read.events().collect::<Result<Vec<_>, _>>()
            && read.bundles.iter().sum::<u64>() <= read.event_count()
        {
            prop_assert_eq!(written(&read, &events), bytes, "there is one encoding");
        }
    }

    #[test]
    fn any_bytes_are_no_snapshot(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        prop_assert!(Snapshot::read(&bytes).is_err());
        prop_assert!(Snapshot::read(&[b"ENC1", &bytes[..]].concat()).is_err());
    }
}

/// A kind's name, one of the kind, and how it is read and written again.
type Shape = (&'static str, Json, fn(Json) -> Option<Json>);

/// One of each kind that is read.
fn shapes() -> Vec<Shape> {
    let log = |text: &str| json::parse(text.as_bytes(), json::MAX_DEPTH).expect("JSON");
    let hash = "ab".repeat(32);
    let entry = format!("{{\"events_root\":\"{hash}\",\"state_commit\":\"{hash}\",\"first_seq\":3,\"count\":2}}");
    let sth = Sth::sign(&key(), EnclaveId([1; 32]), 5, 6, [7; 32]).to_json().to_jcs();
    let at = format!("\"entry\":{entry},\"leaf_index\":1,\"tree_size\":6,\"audit_path\":[\"{hash}\"]");
    let member = format!("\"event_id\":\"{hash}\",\"bundle_index\":1,\"bundle_size\":2,\"siblings\":[\"{hash}\"]");
    let proof =
        format!("{{\"k\":\"{}\",\"v\":null,\"b\":\"{}\",\"s\":[\"{hash}\"]}}", "00".repeat(21), "80".repeat(21));
    let state = format!("\"state_hash\":\"{hash}\",\"last_event_hash\":\"{hash}\",{at},\"sth\":{sth}");
    let delivery = protocol::push::Delivery {
        push_seq: 1,
        enclave: EnclaveId([1; 32]),
        to: "https://example.com/".into(),
        time: 3,
        payload: protocol::push::Payload::Events(vec![event()]),
    };
    let notice = protocol::push::Notice { id: EventId([2; 32]), seq: 9, event_type: "m".into() };
    let notify =
        protocol::push::Delivery { payload: protocol::push::Payload::Notify(vec![notice]), ..delivery.clone() };
    let receipt = event().receipt();
    let evidence = Evidence {
        enclave: receipt.enclave,
        sequencer: receipt.position.sequencer,
        contradiction: protocol::evidence::Contradiction::TwoEvents(Box::new(receipt), Box::new(receipt)),
    };
    macro_rules! shape {
        ($name:literal, $json:expr, $read:ty) => {
            ($name, $json, |value| <$read>::from_json(value).ok().map(|read| read.to_json()))
        };
    }
    vec![
        shape!("commit", commit().to_json(), Commit),
        shape!("event", event().to_json(), Event),
        shape!("receipt", receipt.to_json(), Receipt),
        shape!("sth", log(&sth), Sth),
        shape!("inclusion", log(&format!("{{{at},\"bundle\":{{{member}}},\"sth\":{sth}}}")), InclusionAnswer),
        shape!("bundle", log(&format!("{{{member},\"events_root\":\"{hash}\",\"leaf_index\":1}}")), BundleAnswer),
        shape!("state", log(&format!("{{\"proof\":{proof},{state}}}")), StateAnswer),
        shape!("state-batch", log(&format!("{{\"proofs\":[{proof},{proof}],{state}}}")), StateAnswer),
        shape!("consistency", log(&format!("{{\"from\":1,\"to\":6,\"path\":[\"{hash}\"]}}")), ConsistencyAnswer),
        shape!(
            "heads",
            log(&format!(
                "{{\"enclave\":\"{hash}\",\"tree_size\":6,\"root_hash\":\"{hash}\",\"leaf_index\":0,\"heads_size\":1,\
                 \"audit_path\":[],\"checkpoint\":\"note\"}}"
            )),
            HeadsAnswer
        ),
        shape!("events", delivery.sign(&key()).to_json(), SignedDelivery),
        shape!("notify", notify.sign(&key()).to_json(), SignedDelivery),
        shape!("evidence", evidence.to_json(), Evidence),
        shape!(
            "sealed request",
            log(&format!(
                "{{\"enclave\":\"{hash}\",\"from\":\"{hash}\",\"session\":\"x\",\"nonce\":\"{}\",\"ciphertext\":\"00ff\"}}",
                "00".repeat(24)
            )),
            SealedRequest
        ),
        shape!(
            "sealed response",
            log(&format!("{{\"nonce\":\"{}\",\"ciphertext\":\"\"}}", "00".repeat(24))),
            SealedResponse
        ),
    ]
}

/// Members that may be left out.
const OPTIONAL: [(&str, &str); 2] = [("commit", "tags"), ("inclusion", "bundle")];

#[test]
fn shapes_are_read_exactly() {
    for (name, value, read) in shapes() {
        // Canonical parts of a value are read as values.
        let value = json::parse(value.to_jcs().as_bytes(), json::MAX_DEPTH).expect("JSON");
        let Json::Object(members) = &value else { panic!("{name} is an object") };
        assert_eq!(read(value.clone()).map(|again| again.to_jcs()), Some(value.to_jcs()), "{name}");
        for place in 0..members.len() {
            let mut fewer = members.clone();
            let (missing, _) = fewer.remove(place);
            let accepted = read(Json::object(fewer)).is_some();
            assert_eq!(accepted, OPTIONAL.contains(&(name, &missing)), "{name} without {missing}");
            let mut other = members.clone();
            other[place].1 = Json::Array(vec![Json::Null]);
            let content = missing == "content";
            assert_eq!(read(Json::object(other)).is_some(), content, "{name} with another {missing}");
        }
        let mut more = members.clone();
        more.push(("zzz".into(), Json::Null));
        assert_eq!(read(Json::object(more)), None, "{name} with more");
        assert_eq!(read(Json::Array(vec![value])), None, "{name} in a list");
    }
}

#[test]
fn upper_case_hex_is_refused() {
    let upper = COMMIT.replace(&commit().hash.hex(), &commit().hash.hex().to_uppercase());
    assert!(Commit::parse(upper.as_bytes()).is_err());
    assert!(PublicKey::parse(&"AB".repeat(32)).is_err());
    assert!(Signature::parse(&"ab".repeat(63)).is_err());
}

proptest! {
    #[test]
    fn no_json_is_too_odd_for_a_manifest(changes in mutation()) {
        let path = format!("{}/../../vectors/templates/group.json", env!("CARGO_MANIFEST_DIR"));
        let template = std::fs::read_to_string(path).expect("the template is there");
        let key = key().public().hex();
        let filled = template.replace("SEQ", &key).replace("ME\"", &format!("{key}\""));
        if let Ok(value) = json::parse(&mutated(filled.as_bytes(), &changes), json::MAX_DEPTH)
            && let Ok(manifest) = Manifest::parse(&value)
        {
            manifest.lint();
        }
    }
}

#[test]
fn a_receipt_is_written_at_once_as_it_is_written_by_members() {
    let mut receipt = event().receipt();
    for number in [0, 1, 9, 10, protocol::MAX_INTEGER] {
        (receipt.position.seq, receipt.position.type_seq, receipt.position.timestamp) = (number, number / 2, number);
        assert_eq!(receipt.to_jcs(), receipt.to_json().to_jcs());
    }
}
