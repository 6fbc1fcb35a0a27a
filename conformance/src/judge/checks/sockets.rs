//! WebSockets: history, its end, what happens, and every end of a subscription.

use super::{Check, Verdict, check};
use crate::judge::field::Field;
use crate::judge::talk::{Talk, member, number, subscription, text};
use crate::judge::why::{Because, Why, equal, hold};
use crate::people::now;
use protocol::commit::Draft;
use protocol::session::Session;
use protocol::{Code, Receipt};

const SECTION: &str = "enc.md 7";

/// That a subscription with these members is refused with the code, and that the socket lives on.
fn refused(f: &Field<'_>, reason: &str, members: &str) -> Verdict {
    let room = f.hall()?;
    let mut talk = Talk::open(f.node, "/")?;
    talk.send(&format!(r#"{{"type":"Query","sub_id":"x","enclave":"{}"{members}}}"#, room.enclave))?;
    talk.closed("x", reason)?;
    talk.send(&subscription(&room, &room.people.bob, "y", "{}"))?;
    talk.eose("y")
}

/// That each frame is answered by an Error with the code, and that the socket lives on.
fn bad_frames(f: &Field<'_>, code: &str, frames: &[&str]) -> Verdict {
    let room = f.hall()?;
    let mut talk = Talk::open(f.node, "/")?;
    for frame in frames {
        talk.send(frame)?;
        talk.error(code).map_err(|why: Why| why.about(format!("{frame:.60}")))?;
    }
    talk.send(&subscription(&room, &room.people.bob, "y", "{}"))?;
    talk.eose("y")
}

/// A session that ends so many seconds from now.
fn session(room: &crate::judge::room::Room<'_>, seconds: i64) -> Result<String, Why> {
    let expires = i64::try_from(now() / 1000).because("a time")? + seconds;
    let expires = u32::try_from(expires).because("a time before 2106")?;
    let token = Session::make(&room.people.bob, &room.sequencer, expires).plain.hex();
    Ok(format!(r#","from":"{}","session":"{token}""#, room.people.bob.public()))
}

pub const CHECKS: &[Check] = &[
    check("socket.history", SECTION, "A subscription gets what there is, by rising seq, then EOSE.", |f| {
        let room = f.hall()?;
        let said = [room.say(&room.people.bob, "message", "1")?, room.say(&room.people.bob, "message", "2")?];
        let mut talk = Talk::subscribed(&room, &room.people.bob, "{}")?;
        for receipt in &said {
            equal("the next event", talk.event("s")?.id, receipt.id)?;
        }
        talk.eose("s")
    }),
    check(
        "socket.live",
        SECTION,
        "After EOSE come the events as they are sequenced, none lost and none doubled.",
        |f| {
            let room = f.hall()?;
            room.say(&room.people.bob, "message", "0")?;
            let mut talk = Talk::subscribed(&room, &room.people.bob, "{}")?;
            let mut got = vec![talk.event("s")?.position.seq];
            talk.eose("s")?;
            for place in 1..8 {
                room.say(&room.people.bob, "message", &place.to_string())?;
            }
            while got.len() < 8 {
                got.push(talk.event("s")?.position.seq);
            }
            equal("places", got, (1..9).collect())?;
            room.say(&room.people.bob, "message", "8")?;
            equal("then the next", talk.event("s")?.position.seq, 9)
        },
    ),
    check("socket.nothing-unreadable", "enc.md 4.4", "A subscription gets only what its reader may read.", |f| {
        let room = f.hall()?;
        let mut talk = Talk::subscribed(&room, &room.people.bob, "{}")?;
        talk.eose("s")?;
        room.say(&room.people.alice, "secret", "1")?;
        let said = room.say(&room.people.bob, "message", "2")?;
        equal("the secret is left out", talk.event("s")?.id, said.id)
    }),
    check("socket.filter", SECTION, "A filter holds for history and for what comes.", |f| {
        let room = f.hall()?;
        room.say(&room.people.alice, "notice", "1")?;
        let mut talk = Talk::subscribed(&room, &room.people.bob, r#"{"type":"message"}"#)?;
        talk.eose("s")?;
        room.say(&room.people.alice, "notice", "2")?;
        let said = room.say(&room.people.bob, "message", "3")?;
        equal("only the message", talk.event("s")?.id, said.id)
    }),
    check("socket.limit-cuts-history", SECTION, "limit cuts history only.", |f| {
        let room = f.hall()?;
        let said: Vec<Receipt> =
            (0..4).map(|n| room.say(&room.people.bob, "message", &n.to_string())).collect::<Result<_, _>>()?;
        let mut talk = Talk::subscribed(&room, &room.people.bob, r#"{"limit":2,"reverse":true}"#)?;
        equal("the newest first", (talk.event("s")?.id, talk.event("s")?.id), (said[3].id, said[2].id))?;
        talk.eose("s")?;
        for place in 0..3 {
            let next = room.say(&room.people.bob, "message", &format!("\"{place}\""))?;
            equal("live", talk.event("s")?.id, next.id)?;
        }
        Ok(())
    }),
    check(
        "socket.at-an-enclave",
        SECTION,
        "On a socket opened at an enclave, by any spelling, the enclave may be left out.",
        |f| {
            let room = f.hall()?;
            let said = room.say(&room.people.bob, "message", "1")?;
            for path in [room.path(""), format!("/enclave/{}", room.enclave), format!("/{}", room.enclave)] {
                let mut talk = Talk::open(f.node, &path)?;
                talk.send(&room.by(&room.people.bob, r#""type":"Query","sub_id":"x""#))?;
                equal(path, talk.event("x")?.id, said.id)?;
                talk.eose("x")?;
            }
            Ok(())
        },
    ),
    check("socket.at-no-enclave", SECTION, "On any other socket a Query without an enclave is refused.", |f| {
        let room = f.hall()?;
        let mut talk = Talk::open(f.node, "/")?;
        talk.send(&room.by(&room.people.bob, r#""type":"Query","sub_id":"x""#))?;
        talk.closed("x", "invalid_structure")
    }),
    check("socket.elsewhere", SECTION, "A path and a frame that name different enclaves are refused.", |f| {
        let (room, other) = (f.hall()?, f.hall()?);
        let mut talk = Talk::open(f.node, &room.path(""))?;
        talk.send(&subscription(&other, &other.people.bob, "x", "{}"))?;
        talk.closed("x", "invalid_structure")
    }),
    check(
        "socket.no-such-path",
        SECTION,
        "An upgrade at an unknown path or at an id in upper case opens no socket.",
        |f| {
            let room = f.hall()?;
            equal("an unknown path", Talk::try_open(f.node, "/nowhere")?.err(), Some(404))?;
            let upper = format!("/enclaves/{}", room.enclave.hex().to_uppercase());
            equal("upper case", Talk::try_open(f.node, &upper)?.err(), Some(400))?;
            Talk::open(f.node, &room.path("")).map(drop)
        },
    ),
    check("socket.commit", SECTION, "A commit on a socket is answered by its receipt.", |f| {
        let room = f.hall()?;
        let mut talk = Talk::open(f.node, "/")?;
        let commit = room.commit(&room.people.bob, "message", "1");
        talk.send(&commit.to_json().to_jcs())?;
        let receipt = Receipt::from_json(talk.frame()?).because("a receipt")?;
        receipt.verify(&commit, &room.sequencer).because("it holds")?;
        equal("its place", receipt.position.seq, 1)
    }),
    check(
        "socket.refused-commit",
        SECTION,
        "A refused commit is answered by Error with its hash, code and sentence, and changes nothing.",
        |f| {
            let room = f.hall()?;
            let mut talk = Talk::open(f.node, "/")?;
            let old = Draft { exp: 1, ..room.draft("message", "1") }.sign(&room.people.bob).into_commit();
            let altered = protocol::Commit { content: "2".into(), ..room.commit(&room.people.bob, "message", "1") };
            for (commit, code) in [
                (room.commit(&room.people.stranger, "message", "1"), Code::Unauthorized),
                (altered, Code::InvalidHash),
                (old, Code::Expired),
            ] {
                talk.send(&commit.to_json().to_jcs())?;
                let frame = talk.error(code.as_str())?;
                equal("hash", text(&frame, "hash")?, commit.hash.hex().as_str())?;
                room.stands()?;
            }
            Ok(())
        },
    ),
    check(
        "socket.close",
        SECTION,
        "Close ends a subscription with Closed closed, and nothing of it comes any more.",
        |f| {
            let room = f.hall()?;
            let mut talk = Talk::subscribed(&room, &room.people.bob, "{}")?;
            talk.eose("s")?;
            talk.send(r#"{"type":"Close","sub_id":"s"}"#)?;
            talk.closed("s", "closed")?;
            room.say(&room.people.bob, "message", "1")?;
            talk.send(&subscription(&room, &room.people.bob, "later", r#"{"type":"notice"}"#))?;
            talk.eose("later")
        },
    ),
    check("socket.replaced", SECTION, "A sub_id that is used again replaces the subscription.", |f| {
        let room = f.hall()?;
        let mut talk = Talk::subscribed(&room, &room.people.bob, r#"{"type":"message"}"#)?;
        talk.eose("s")?;
        talk.send(&subscription(&room, &room.people.bob, "s", r#"{"type":"notice"}"#))?;
        talk.eose("s")?;
        room.say(&room.people.bob, "message", "1")?;
        let notice = room.say(&room.people.alice, "notice", "2")?;
        equal("only by the later filter", talk.event("s")?.id, notice.id)
    }),
    check("socket.64-subscriptions", SECTION, "The 65th subscription of a socket is limit_exceeded.", |f| {
        let room = f.hall()?;
        let limit = f.node.limit("subscriptions_per_socket", 64);
        let mut talk = Talk::open(f.node, "/")?;
        for place in 0..limit {
            talk.send(&subscription(&room, &room.people.bob, &place.to_string(), r#"{"type":"none"}"#))?;
        }
        for _ in 0..limit {
            equal("the end of its history", text(&talk.frame()?, "type")?, "EOSE")?;
        }
        talk.send(&subscription(&room, &room.people.bob, "more", "{}"))?;
        talk.closed("more", "limit_exceeded")?;
        talk.send(r#"{"type":"Close","sub_id":"0"}"#)?;
        talk.closed("0", "closed")?;
        talk.send(&subscription(&room, &room.people.bob, "in its place", "{}"))?;
        talk.eose("in its place")
    }),
    check("socket.refused-query", SECTION, "A Query that is refused ends with Closed and its code.", |f| {
        refused(f, "invalid_structure", r#","filter":{"limit":0}"#)?;
        refused(f, "limit_exceeded", r#","filter":{"limit":1001}"#)?;
        refused(f, "invalid_structure", r#","more":1"#)?;
        refused(f, "invalid_session", r#","session":"ab""#)
    }),
    check(
        "socket.enclave-not-found",
        SECTION,
        "A Query for an enclave that is not here ends with enclave_not_found.",
        |f| {
            f.hall()?;
            let mut talk = Talk::open(f.node, "/")?;
            let nowhere = protocol::ids::hex(&f.bytes("nowhere"));
            talk.send(&format!(r#"{{"type":"Query","sub_id":"x","enclave":"{nowhere}"}}"#))?;
            talk.closed("x", "enclave_not_found")
        },
    ),
    check("socket.session-over", SECTION, "A Query with a session that is over ends with session_expired.", |f| {
        let room = f.hall()?;
        let mut talk = Talk::open(f.node, "/")?;
        talk.send(&format!(r#"{{"type":"Query","sub_id":"x","enclave":"{}"{}}}"#, room.enclave, session(&room, -65)?))?;
        talk.closed("x", "session_expired")
    }),
    check("socket.session-ends", SECTION, "A subscription ends 60 s after its session's expires.", |f| {
        let room = f.hall()?;
        let mut talk = Talk::open(f.node, "/")?;
        let began = now();
        talk.send(&format!(r#"{{"type":"Query","sub_id":"x","enclave":"{}"{}}}"#, room.enclave, session(&room, -56)?))?;
        talk.eose("x")?;
        talk.closed("x", "session_expired")?;
        let lived = now() - began;
        hold((2_000..20_000).contains(&lived), format!("four seconds were left of it, it lived {lived} ms"))
    }),
    check(
        "socket.right-is-lost",
        "enc.md 4.4",
        "The event that removes a reader is not sent to it: its subscription ends with unauthorized.",
        |f| {
            let room = f.closed()?;
            let mut talk = Talk::subscribed(&room, &room.people.bob, "{}")?;
            talk.eose("s")?;
            room.say(&room.people.carol, "Move", &room.to(&room.people.bob, "BLOCKED"))?;
            talk.closed("s", "unauthorized")
        },
    ),
    check("socket.move-is-shown-to-others", "enc.md 4.4", "The same event is sent to those who stay.", |f| {
        let room = f.closed()?;
        let mut talk = Talk::subscribed(&room, &room.people.dave, "{}")?;
        talk.eose("s")?;
        let moved = room.say(&room.people.carol, "Move", &room.to(&room.people.bob, "BLOCKED"))?;
        equal("the Move", talk.event("s")?.id, moved.id)
    }),
    check("socket.no-right", "enc.md 4.4", "Who may read nothing is told unauthorized.", |f| {
        let room = f.closed()?;
        let mut talk = Talk::subscribed(&room, &room.people.stranger, "{}")?;
        talk.closed("s", "unauthorized")
    }),
    check("socket.bad-json", SECTION, "A frame that is no JSON is Error invalid_json, and the socket lives.", |f| {
        bad_frames(f, "invalid_json", &["{", "", "{}{}", "{'a':1}"])
    }),
    check(
        "socket.bad-shape",
        SECTION,
        "A frame of no known shape is Error invalid_structure, and the socket lives.",
        |f| {
            bad_frames(
                f,
                "invalid_structure",
                &[
                    "[]",
                    "{}",
                    r#"{"type":"Close"}"#,
                    r#"{"type":"Query"}"#,
                    r#"{"type":"Query","sub_id":1}"#,
                    r#"{"exp":1}"#,
                    r#"{"a":1,"a":1}"#,
                ],
            )
        },
    ),
    check("socket.two-readers", SECTION, "Two subscriptions of one socket are told apart by sub_id.", |f| {
        let room = f.hall()?;
        let mut talk = Talk::subscribed(&room, &room.people.bob, "{}")?;
        talk.eose("s")?;
        talk.send(&subscription(&room, &room.people.alice, "t", "{}"))?;
        talk.event("t")?;
        talk.eose("t")?;
        let said = room.say(&room.people.bob, "message", "1")?;
        let frames = [talk.frame()?, talk.frame()?];
        let mut names = [text(&frames[0], "sub_id")?, text(&frames[1], "sub_id")?];
        names.sort_unstable();
        equal("one each", names, ["s", "t"])?;
        for frame in &frames {
            equal("its place", number(member(frame, "event")?, "seq")?, said.position.seq)?;
        }
        Ok(())
    }),
];
