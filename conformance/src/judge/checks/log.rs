//! Bundles, tree heads, proofs of inclusion and consistency.

use super::{Check, check};
use crate::judge::room::Room;
use crate::judge::talk::{has_members, member, number};
use crate::judge::why::{Because, Why, equal, hold};
use crate::people::now;
use crate::wire::Ask;
use protocol::head::VerifiedSth;
use protocol::proof::{BundleAnswer, ConsistencyAnswer, InclusionAnswer};
use protocol::{Code, Receipt};
use std::time::{Duration, Instant};

const LOG: &str = "enc.md 5";
const ROUTE: &str = "enc.md 7";

/// Two closed bundles, the second of two messages and a secret, and a message in the open one.
struct Proved<'a> {
    room: Room<'a>,
    said: Vec<Receipt>,
    secret: Receipt,
    older: VerifiedSth,
    newer: VerifiedSth,
}

fn proved<'a>(f: &'a crate::judge::field::Field<'_>) -> Result<Proved<'a>, Why> {
    let room = f.hall()?;
    let mut said = vec![room.say(&room.people.bob, "message", "1")?];
    let older = room.close()?;
    said.push(room.say(&room.people.bob, "message", "2")?);
    let secret = room.say(&room.people.alice, "secret", "3")?;
    said.push(room.say(&room.people.bob, "message", "4")?);
    let newer = room.close()?;
    equal("the newest root is that of the closing", room.sth()?.sth().root_hash, newer.sth().root_hash)?;
    said.push(room.say(&room.people.bob, "message", "5")?);
    equal("tree sizes", (older.sth().tree_size, newer.sth().tree_size), (1, 2))?;
    Ok(Proved { room, said, secret, older, newer })
}

impl Proved<'_> {
    fn inclusion(&self, members: &str) -> Result<InclusionAnswer, Why> {
        let answer = self.room.post(&self.room.people.bob, "inclusion", members)?;
        InclusionAnswer::from_json(answer).because("its shape")
    }

    fn denied(&self, action: &str, members: &str, code: Code) -> Result<(), Why> {
        self.room.denied(&self.room.people.bob, action, members, code).map(drop)
    }
}

fn of(receipt: &Receipt) -> String {
    format!(r#""event_id":"{}""#, receipt.id)
}

/// Asks until the log has this size; a bundle that is due is closed by the question itself.
fn grows_to(room: &Room<'_>, size: u64) -> Result<VerifiedSth, Why> {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        let head = room.sth()?;
        if head.sth().tree_size >= size {
            return Ok(head);
        }
        hold(Instant::now() < patience, format!("a log of {size} entries within 20 s"))?;
    }
}

pub const CHECKS: &[Check] = &[
    check("sth.members", LOG, "An STH has the listed members and is signed by the sequencer.", |f| {
        let room = f.hall()?;
        let listed = ["enclave", "root_hash", "sequencer", "signature", "timestamp", "tree_size"];
        has_members("an STH", &room.get("sth")?, &listed)?;
        room.sth().map(drop)
    }),
    check("sth.of-nothing", LOG, "The Manifest makes an STH of size 0, whose root is SHA-256 of nothing.", |f| {
        let head = f.hall()?.sth()?;
        equal("size and root", (head.sth().tree_size, head.sth().root_hash), (0, merkle::EMPTY))
    }),
    check("sth.time", LOG, "An STH's time is that of the closing, and never less than the one before.", |f| {
        let proved = proved(f)?;
        let (older, newer) = (proved.older.sth().timestamp, proved.newer.sth().timestamp);
        hold(newer >= older, format!("{newer} follows {older}"))?;
        hold(newer.abs_diff(now()) < 60_000, "it is of now, within a minute")?;
        hold(proved.newer.sth().timestamp >= proved.said[2].position.timestamp, "not before the bundle's last event")
    }),
    check("bundle.size", LOG, "A bundle closes when it has bundle.size events.", |f| {
        let room = f.hall_with(r#""bundle":{"size":2,"timeout":3600000},"#)?;
        for (place, closed) in (0..4).zip([0, 1, 1, 2]) {
            equal("closed bundles", room.sth()?.sth().tree_size, closed)?;
            room.say(&room.people.bob, "message", &place.to_string())?;
        }
        equal("closed bundles", room.sth()?.sth().tree_size, 2)?;
        equal("open events", number(&room.info(Some(&room.people.alice))?, "open_events")?, 1)
    }),
    check(
        "bundle.time",
        LOG,
        "A bundle closes when bundle.timeout has passed since its first event, as of then.",
        |f| {
            let room = f.hall_with(r#""bundle":{"size":256,"timeout":300},"#)?;
            let due = room.first.position.timestamp + 300;
            let head = grows_to(&room, 1)?;
            equal("the STH is of the time when it was due", head.sth().timestamp, due)?;
            let said = room.say(&room.people.bob, "message", "1")?;
            hold(said.position.timestamp >= due, "a later event is in a later bundle")?;
            grows_to(&room, 2).map(drop)
        },
    ),
    check("bundle.close", ROUTE, "close-bundle closes the open bundle and answers {ok, sth}.", |f| {
        let room = f.hall()?;
        let answer = room.post(&room.people.alice, "close-bundle", "")?;
        has_members("the answer", &answer, &["ok", "sth"])?;
        equal("tree_size", number(member(&answer, "sth")?, "tree_size")?, 1)?;
        equal("the newest head", room.sth()?.sth().tree_size, 1)
    }),
    check("bundle.close-is-the-owners", ROUTE, "close-bundle is for the owner: others are unauthorized.", |f| {
        let room = f.hall()?;
        for who in [&room.people.bob, &room.people.carol, &room.people.stranger] {
            room.denied(who, "close-bundle", "", Code::Unauthorized)?;
        }
        equal("nothing is closed", room.sth()?.sth().tree_size, 0)?;
        room.close().map(drop)
    }),
    check(
        "bundle.close-by-headers",
        ROUTE,
        "close-bundle takes the session in the two headers, without a body.",
        |f| {
            let room = f.hall()?;
            let ask = room.signed(Ask::of("POST", &room.path("close-bundle")), &room.people.alice);
            f.take(&ask)?;
            equal("the newest head", room.sth()?.sth().tree_size, 1)
        },
    ),
    check(
        "inclusion.event",
        ROUTE,
        "An event of a closed bundle is proved by its entry and its place in the bundle.",
        |f| {
            let proved = proved(f)?;
            for (receipt, leaf) in [(&proved.said[0], 0), (&proved.said[1], 1), (&proved.said[2], 1)] {
                let answer = proved.inclusion(&of(receipt))?;
                equal("leaf_index", answer.entry.leaf_index, leaf)?;
                answer
                    .verify_event(receipt, &proved.room.sequencer, &proved.newer)
                    .because("the event is in the log")?;
            }
            Ok(())
        },
    ),
    check(
        "inclusion.members",
        ROUTE,
        "The answer of inclusion has the listed members, bundle only where an event was asked for.",
        |f| {
            let proved = proved(f)?;
            let bob = &proved.room.people.bob;
            let event = proved.room.post(bob, "inclusion", &of(&proved.said[0]))?;
            has_members("of an event", &event, &["audit_path", "bundle", "entry", "leaf_index", "sth", "tree_size"])?;
            has_members(
                "the bundle",
                member(&event, "bundle")?,
                &["bundle_index", "bundle_size", "event_id", "siblings"],
            )?;
            let entry = proved.room.post(bob, "inclusion", r#""leaf_index":0"#)?;
            has_members("of an entry", &entry, &["audit_path", "entry", "leaf_index", "sth", "tree_size"])
        },
    ),
    check("inclusion.entry", ROUTE, "An entry is proved by its leaf_index.", |f| {
        let proved = proved(f)?;
        let answer = proved.inclusion(r#""leaf_index":1"#)?;
        let entry = answer.verify_entry(1, &proved.newer).because("the entry is in the log")?;
        equal("first_seq and count", (entry.first_seq, entry.count), (2, 3))
    }),
    check(
        "inclusion.older-tree",
        ROUTE,
        "A proof for an older tree_size leads to that head; the STH in the answer is the newest.",
        |f| {
            let proved = proved(f)?;
            let answer = proved.inclusion(&format!(r#"{},"tree_size":1"#, of(&proved.said[0])))?;
            equal("sizes", (answer.entry.tree_size, answer.sth.tree_size), (1, 2))?;
            answer.verify_event(&proved.said[0], &proved.room.sequencer, &proved.older).because("it holds").map(drop)
        },
    ),
    check(
        "inclusion.not-bundled",
        ROUTE,
        "What is in no closed bundle, or beyond tree_size, is not_bundled 409.",
        |f| {
            let proved = proved(f)?;
            proved.denied("inclusion", &of(&proved.said[3]), Code::NotBundled)?;
            proved.denied("bundle", &of(&proved.said[3]), Code::NotBundled)?;
            proved.denied("inclusion", &format!(r#"{},"tree_size":1"#, of(&proved.said[1])), Code::NotBundled)?;
            proved.denied("inclusion", r#""leaf_index":1,"tree_size":1"#, Code::NotBundled)
        },
    ),
    check("inclusion.beyond-the-log", ROUTE, "A leaf_index beyond the log is not_found.", |f| {
        let proved = proved(f)?;
        proved.inclusion(r#""leaf_index":1"#)?;
        proved.denied("inclusion", r#""leaf_index":2"#, Code::NotFound)
    }),
    check(
        "inclusion.unreadable",
        "enc.md 4.4",
        "An event that one may not read is not_found, as one that does not exist.",
        |f| {
            let proved = proved(f)?;
            let absent = format!(r#""event_id":"{}""#, "ab".repeat(32));
            for action in ["inclusion", "bundle"] {
                proved.denied(action, &of(&proved.secret), Code::NotFound)?;
                proved.denied(action, &absent, Code::NotFound)?;
                proved.room.post(&proved.room.people.alice, action, &of(&proved.secret))?;
            }
            Ok(())
        },
    ),
    check("inclusion.grammar", ROUTE, "inclusion takes event_id or leaf_index, one of them.", |f| {
        let proved = proved(f)?;
        let both = format!(r#"{},"leaf_index":0"#, of(&proved.said[0]));
        for members in
            ["", both.as_str(), r#""leaf_index":-1"#, r#""leaf_index":"0""#, r#""event_id":1"#, r#""event_id":"ab""#]
        {
            proved.denied("inclusion", members, Code::InvalidStructure)?;
        }
        proved.inclusion(&of(&proved.said[0])).map(drop)
    }),
    check("membership.event", ROUTE, "bundle proves an event's place in its bundle.", |f| {
        let proved = proved(f)?;
        let (bob, receipt) = (&proved.room.people.bob, &proved.said[2]);
        let value = proved.room.post(bob, "bundle", &of(receipt))?;
        let listed = ["bundle_index", "bundle_size", "event_id", "events_root", "leaf_index", "siblings"];
        has_members("the answer", &value, &listed)?;
        let entry = proved.inclusion(r#""leaf_index":1"#)?;
        let entry = entry.verify_entry(1, &proved.newer).because("the entry")?;
        let answer = BundleAnswer::from_json(value).because("its shape")?;
        answer.verify(receipt, &proved.room.sequencer, 1, entry).because("the event is in the bundle")
    }),
    check(
        "consistency.path",
        ROUTE,
        "A log has only grown: {from, to, path} leads from the older root to the newer.",
        |f| {
            let proved = proved(f)?;
            let value = proved.room.get("consistency?from=1&to=2")?;
            has_members("the answer", &value, &["from", "path", "to"])?;
            let answer = ConsistencyAnswer::from_json(value).because("its shape")?;
            answer.verify(&proved.older, &proved.newer).because("the newer log begins with the older")
        },
    ),
    check("consistency.many", LOG, "Consistency holds between the heads of every two sizes of a log.", |f| {
        let room = f.hall()?;
        let mut heads = vec![room.sth()?];
        for place in 0..6 {
            room.say(&room.people.bob, "message", &place.to_string())?;
            heads.push(room.close()?);
        }
        for (from, older) in heads.iter().enumerate() {
            for (to, newer) in heads.iter().enumerate().skip(from) {
                let value = room.get(&format!("consistency?from={from}&to={to}"))?;
                let answer = ConsistencyAnswer::from_json(value).because("its shape")?;
                answer.verify(older, newer).because(format!("from {from} to {to}"))?;
            }
        }
        Ok(())
    }),
    check(
        "consistency.beyond-the-log",
        ROUTE,
        "A size beyond the log is not_found; sizes that run backwards or are none are invalid_structure.",
        |f| {
            let proved = proved(f)?;
            let path = |query: &str| Ask::get(&proved.room.path(&format!("consistency?{query}")));
            f.take(&path("from=2&to=2"))?;
            f.refuse(&path("from=1&to=3"), Code::NotFound)?;
            for query in ["from=2&to=1", "from=1", "from=x&to=1", "from=-1&to=1"] {
                f.refuse(&path(query), Code::InvalidStructure)?;
            }
            Ok(())
        },
    ),
];
