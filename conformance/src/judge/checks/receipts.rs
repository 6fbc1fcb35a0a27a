//! Receipts and events: what the sequencer promises.

use super::{Check, check};
use crate::judge::field::submitting;
use crate::judge::talk::{has_members, list, member, text};
use crate::judge::why::{Because, equal, hold};
use protocol::event::{NO_PREV, event_id};
use protocol::{Event, Receipt, schnorr};

const SECTION: &str = "enc.md 2";

const RECEIPT: [&str; 12] =
    ["alg", "enclave", "hash", "id", "prev", "seq", "seq_sig", "sequencer", "sig", "timestamp", "type", "type_seq"];
const EVENT: [&str; 16] = [
    "alg",
    "content",
    "enclave",
    "exp",
    "from",
    "hash",
    "id",
    "prev",
    "seq",
    "seq_sig",
    "sequencer",
    "sig",
    "tags",
    "timestamp",
    "type",
    "type_seq",
];

pub const CHECKS: &[Check] = &[
    check("receipt.members", SECTION, "A receipt has exactly the listed members, alg among them.", |f| {
        let room = f.hall()?;
        let answer = f.take(&submitting(&room.commit(&room.people.bob, "message", "1")))?;
        has_members("a receipt", &answer, &RECEIPT)?;
        equal("type and alg", (text(&answer, "type")?, text(&answer, "alg")?), ("Receipt", "schnorr"))
    }),
    check("receipt.names-its-commit", SECTION, "hash, sig and enclave are the commit's own.", |f| {
        let room = f.hall()?;
        let commit = room.commit(&room.people.bob, "message", "1");
        let receipt = Receipt::from_json(f.take(&submitting(&commit))?).because("a receipt")?;
        equal("its commit", (receipt.hash, receipt.sig, receipt.enclave), (commit.hash, commit.sig, commit.enclave))
    }),
    check("receipt.signature", SECTION, "seq_sig is the sequencer's over the event hash.", |f| {
        let room = f.hall()?;
        let receipt = Receipt::from_json(f.take(&submitting(&room.commit(&room.people.bob, "message", "1")))?);
        let receipt = receipt.because("a receipt")?;
        equal("sequencer", receipt.position.sequencer, f.sequencer()?)?;
        schnorr::verify(&f.sequencer()?, receipt.event_hash().as_bytes(), &receipt.seq_sig).because("seq_sig")
    }),
    check(
        "receipt.signature-is-deterministic",
        "enc.md 1",
        "A sequencer signs with 32 zero bytes of randomness: an event is served with the seq_sig of its receipt.",
        |f| {
            let room = f.hall()?;
            let receipt = room.say(&room.people.bob, "message", "1")?;
            let events = room.query(&room.people.bob, &format!(r#"{{"id":"{}"}}"#, receipt.id))?;
            equal("events", events.len(), 1)?;
            equal("the receipt of the event", events[0].receipt(), receipt)
        },
    ),
    check("receipt.id", SECTION, "id is SHA-256 of seq_sig.", |f| {
        let room = f.hall()?;
        let receipt = Receipt::from_json(f.take(&submitting(&room.commit(&room.people.bob, "message", "1")))?);
        let receipt = receipt.because("a receipt")?;
        equal("id", receipt.id, event_id(&receipt.seq_sig))
    }),
    check("receipt.prev", SECTION, "prev is the event hash of seq - 1, and zeros for the Manifest.", |f| {
        let room = f.hall()?;
        equal("prev of the Manifest", room.first.position.prev, NO_PREV)?;
        let mut last = room.first;
        for place in 0..3 {
            let next = room.say(&room.people.bob, "message", &place.to_string())?;
            equal("prev", next.position.prev, last.event_hash())?;
            last = next;
        }
        Ok(())
    }),
    check("receipt.seq", SECTION, "seq counts all events from 0, a refused commit takes none.", |f| {
        let room = f.hall()?;
        for place in 1..4 {
            let receipt = room.say(&room.people.bob, "message", &place.to_string())?;
            equal("seq", receipt.position.seq, place)?;
            room.refuses(&room.people.stranger, "message", "1", protocol::Code::Unauthorized)?;
        }
        Ok(())
    }),
    check("receipt.type-seq", SECTION, "type_seq counts the events of a type from 0.", |f| {
        let room = f.hall()?;
        let (alice, bob) = (&room.people.alice, &room.people.bob);
        let mut places = Vec::new();
        for (who, event_type) in
            [(bob, "message"), (alice, "notice"), (bob, "message"), (alice, "notice"), (alice, "secret")]
        {
            places.push(room.say(who, event_type, &places.len().to_string())?.position.type_seq);
        }
        equal("type_seq", places, vec![0, 0, 1, 1, 0])
    }),
    check("receipt.timestamp", SECTION, "timestamp is the sequencer's clock and never runs backwards.", |f| {
        let room = f.hall()?;
        let mut last = room.first.position.timestamp;
        for place in 0..4 {
            let timestamp = room.say(&room.people.bob, "message", &place.to_string())?.position.timestamp;
            hold(timestamp >= last, format!("{timestamp} follows {last}"))?;
            last = timestamp;
        }
        Ok(())
    }),
    check("event.members", SECTION, "An event is the commit with alg and tags, and its place; nothing else.", |f| {
        let room = f.hall()?;
        room.say(&room.people.bob, "message", r#"{"a":1}"#)?;
        let page = room.page(&room.people.bob, r#"{"type":"message"}"#)?;
        let events = list(&page, "events")?;
        equal("events", events.len(), 1)?;
        has_members("an event", &events[0], &EVENT)?;
        equal("tags", member(&events[0], "tags")?.to_jcs().as_str(), "[]")
    }),
    check(
        "event.manifest",
        SECTION,
        "The Manifest is event 0, and the id is the hash of its author, content and tags.",
        |f| {
            let room = f.hall()?;
            let info = room.get("info/manifest")?;
            let event = Event::from_json(member(&info, "manifest")?.clone()).because("an event")?;
            event.verify().because("the Manifest verifies")?;
            let id = protocol::commit::enclave_id(&event.from, &event.content_hash(), &event.tags);
            equal("the id", id, room.enclave)?;
            equal("its place", (event.position.seq, event.position.type_seq), (0, 0))
        },
    ),
    check("event.follows-the-receipts", SECTION, "What was acknowledged is in the log at its place, in order.", |f| {
        let room = f.hall()?;
        let mut ids = vec![room.first.id];
        for place in 0..5 {
            ids.push(room.say(&room.people.bob, "message", &place.to_string())?.id);
        }
        let events = room.query(&room.people.alice, "{}")?;
        equal("ids", events.iter().map(|event| event.id).collect::<Vec<_>>(), ids)
    }),
];
