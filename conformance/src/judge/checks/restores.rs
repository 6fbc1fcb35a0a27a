//! Restore and fencing. The judge is the other node here: it sequences a log of its own and brings its snapshot.

use super::{Check, check};
use crate::hall::{CALM, hall};
use crate::judge::field::{Field, People, submitting};
use crate::judge::talk::{has_members, member, number, text};
use crate::judge::why::{Because, Why, equal, hold};
use crate::people::{json, now, token};
use crate::wire::Ask;
use client::replay::Replay;
use protocol::commit::Draft;
use protocol::event::{NO_PREV, Position};
use protocol::head::Sth;
use protocol::schnorr::KeyPair;
use protocol::snapshot::Writer;
use protocol::verify::Pin;
use protocol::{Code, EnclaveId, Event, Json, PublicKey, Receipt};

const RESTORE: &str = "enc.md 8.2";
const FENCING: &str = "enc.md 8.3";

/// A log that another node has sequenced: a Manifest and, where it was signed over, a Migrate; one closed bundle.
struct Foreign {
    people: People,
    enclave: EnclaveId,
    sth: Sth,
    events: Vec<Event>,
    snapshot: Vec<u8>,
}

fn foreign(f: &Field<'_>, next: Option<PublicKey>) -> Result<Foreign, Why> {
    let people = f.people();
    let sequencer = KeyPair::from_secret(&f.bytes("another node")).because("a key")?;
    let content = hall(&sequencer.public(), CALM, [&people.alice, &people.bob, &people.carol, &people.dave]);
    let manifest =
        Draft::manifest(&people.alice, &content, f.nonce(), now() + 60_000).sign(&people.alice).into_commit();
    let enclave = manifest.enclave;
    let mut at = Position { seq: 0, type_seq: 0, timestamp: now(), prev: NO_PREV, sequencer: sequencer.public() };
    let mut events = vec![Event::sequence(manifest, at, &sequencer)];
    if let Some(next) = next {
        let order =
            format!(r#"{{"new_sequencer":"{next}","prev_seq":0,"ct_root":"{}"}}"#, protocol::ids::hex(&merkle::EMPTY));
        let order = Draft::new(enclave, "Migrate", &json(&order), now() + 60_000).sign(&people.alice).into_commit();
        (at.seq, at.prev) = (1, events[0].event_hash());
        events.push(Event::sequence(order, at, &sequencer));
    }
    let counts = [events.len() as u64];
    let mut replay = Replay::begin(&events[0], &Pin::Bound(enclave), &counts).because("a log of the judge's own")?;
    events[1..].iter().try_for_each(|event| replay.push(event)).because("a log of the judge's own")?;
    let root = replay.finish().because("a log of the judge's own")?.root;
    let sth = Sth::sign(&sequencer, enclave, at.timestamp, 1, root);
    let (mut writer, mut snapshot) = Writer::begin(&sth, counts[0]).because("a snapshot")?;
    for event in &events {
        snapshot.extend(writer.event(event).because("a snapshot")?);
    }
    snapshot.extend(writer.finish(&counts, &sequencer.public()).because("a snapshot")?);
    Ok(Foreign { people, enclave, sth, events, snapshot })
}

impl Foreign {
    /// The snapshot, or another in its place, without saying who asks.
    fn asking(&self, query: &str, bytes: &[u8]) -> Ask {
        Ask::post_as("application/octet-stream", &format!("/enclaves/{}/restore{query}", self.enclave), bytes)
    }

    /// The same by somebody, for the node's own key.
    fn by(&self, f: &Field<'_>, who: &KeyPair, ask: Ask) -> Result<Ask, Why> {
        Ok(ask.header("X-Enc-From", &who.public().hex()).header("X-Enc-Session", &f.session(who)?))
    }

    /// Restored by the owner.
    fn restored(&self, f: &Field<'_>, query: &str) -> Result<Json, Why> {
        f.take(&self.by(f, &self.people.alice, self.asking(query, &self.snapshot))?)
    }

    fn message(&self) -> protocol::Commit {
        Draft::new(self.enclave, "message", &json("1"), now() + 60_000).sign(&self.people.bob).into_commit()
    }
}

pub const CHECKS: &[Check] = &[
    check(
        "restore.reads-only",
        FENCING,
        "A log of another sequencer is restored read-only: live false, commits read_only.",
        |f| {
            let log = foreign(f, None)?;
            f.refuse(&submitting(&log.message()), Code::EnclaveNotFound)?;
            let answer = log.restored(f, "")?;
            has_members("the answer", &answer, &["enclave_id", "last_seq", "live", "ok", "tree_size"])?;
            equal("live", member(&answer, "live")?, &Json::Bool(false))?;
            equal("last_seq and tree_size", (number(&answer, "last_seq")?, number(&answer, "tree_size")?), (0, 1))?;
            f.refuse(&submitting(&log.message()), Code::ReadOnly).map(drop)
        },
    ),
    check(
        "restore.keeps-the-head",
        RESTORE,
        "A read-only log keeps the snapshot's STH, and shows its Manifest.",
        |f| {
            let log = foreign(f, None)?;
            log.restored(f, "")?;
            let sth = f.take(&Ask::get(&format!("/enclaves/{}/sth", log.enclave)))?;
            equal("the STH", sth.to_jcs(), log.sth.to_json().to_jcs())?;
            let info = f.take(&Ask::get(&format!("/enclaves/{}/info/manifest", log.enclave)))?;
            equal("the Manifest", member(&info, "manifest")?.to_jcs(), log.events[0].to_json().to_jcs())
        },
    ),
    check(
        "restore.is-the-owners",
        RESTORE,
        "Restore is the operator's or an owner's: others, and nobody, are unauthorized.",
        |f| {
            let log = foreign(f, None)?;
            let ask = log.asking("", &log.snapshot);
            let bob = log.by(f, &log.people.bob, ask.clone())?;
            let stranger = log.by(f, &log.people.stranger, ask.clone())?;
            for ask in [ask, bob, stranger] {
                f.refuse(&ask, Code::Unauthorized)?;
            }
            log.restored(f, "").map(drop)
        },
    ),
    check(
        "restore.session-for-this-node",
        RESTORE,
        "The owner's session is for the node's own key: one for the log's is invalid_session.",
        |f| {
            let log = foreign(f, None)?;
            let alice = &log.people.alice;
            let session = token(alice, &log.sth.sequencer, now());
            let ask = log.asking("", &log.snapshot).header("X-Enc-From", &alice.public().hex());
            f.refuse(&ask.header("X-Enc-Session", &session), Code::InvalidSession)?;
            log.restored(f, "").map(drop)
        },
    ),
    check(
        "restore.altered",
        RESTORE,
        "A snapshot with a byte changed, missing or added is refused whole, and leaves nothing.",
        |f| {
            let log = foreign(f, None)?;
            let mut broken = vec![
                log.snapshot[1..].to_vec(),
                log.snapshot[..log.snapshot.len() - 1].to_vec(),
                [&log.snapshot[..], &[0]].concat(),
            ];
            for part in 1..12 {
                let mut bytes = log.snapshot.clone();
                bytes[log.snapshot.len() * part / 12] ^= 1;
                broken.push(bytes);
            }
            for bytes in &broken {
                let answer = f.ask(&log.by(f, &log.people.alice, log.asking("", bytes))?)?;
                hold(answer.status / 100 == 4, format!("a refusal, not {} {:.100}", answer.status, answer.text()))?;
            }
            f.refuse(&Ask::get(&format!("/enclaves/{}/sth", log.enclave)), Code::EnclaveNotFound)?;
            log.restored(f, "").map(drop)
        },
    ),
    check("restore.twice", RESTORE, "A restored id exists: restored again it is enclave_exists.", |f| {
        let log = foreign(f, None)?;
        log.restored(f, "")?;
        f.refuse(&log.by(f, &log.people.alice, log.asking("", &log.snapshot))?, Code::EnclaveExists).map(drop)
    }),
    check(
        "migrate.taken-up",
        FENCING,
        "A log that ends in a Migrate to this node's key goes on here, where first=true is said.",
        |f| {
            let log = foreign(f, Some(f.sequencer()?))?;
            let answer = log.restored(f, "?first=true")?;
            equal("live", member(&answer, "live")?, &Json::Bool(true))?;
            let commit = log.message();
            let receipt = Receipt::from_json(f.take(&submitting(&commit))?).because("a receipt")?;
            receipt.verify(&commit, &f.sequencer()?).because("it is signed by the new key")?;
            equal("it goes on", (receipt.position.seq, receipt.position.prev), (2, log.events[1].event_hash()))?;
            let info = f.take(&Ask::get(&format!("/enclaves/{}/info/enclave", log.enclave)))?;
            equal("status", text(&info, "status")?, "active")
        },
    ),
    check(
        "migrate.head-is-signed-anew",
        FENCING,
        "The first STH of the new sequencer covers the tree that it took over.",
        |f| {
            let log = foreign(f, Some(f.sequencer()?))?;
            log.restored(f, "?first=true")?;
            let sth =
                Sth::from_json(f.take(&Ask::get(&format!("/enclaves/{}/sth", log.enclave)))?).because("an STH")?;
            let head = sth.verify_for(&log.enclave, &f.sequencer()?).because("it is signed by the new key")?;
            equal("size and root", (head.sth().tree_size, head.sth().root_hash), (1, log.sth.root_hash))
        },
    ),
    check("migrate.not-first", FENCING, "Without first=true a log that ends in a Migrate is read-only.", |f| {
        let log = foreign(f, Some(f.sequencer()?))?;
        equal("live", member(&log.restored(f, "")?, "live")?, &Json::Bool(false))?;
        let answer = f.ask(&submitting(&log.message()))?;
        let said = crate::judge::node::parse(&answer)?;
        hold(["read_only", "enclave_migrated"].contains(&text(&said, "error")?), answer.text())
    }),
    check(
        "migrate.to-another",
        FENCING,
        "A Migrate to a key that the node does not hold makes nothing live here.",
        |f| {
            let log = foreign(f, Some(f.key("a third node").public()))?;
            equal("live", member(&log.restored(f, "?first=true")?, "live")?, &Json::Bool(false))?;
            let answer = f.ask(&submitting(&log.message()))?;
            hold(answer.status / 100 == 4, answer.text())
        },
    ),
];
