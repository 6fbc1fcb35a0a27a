//! Sessions: everything that can be wrong with one, and what holds of those that are right.

use super::{Check, Verdict, check};
use crate::judge::field::Field;
use crate::judge::room::Room;
use crate::judge::why::{Why, equal};
use crate::people::now;
use crate::wire::Ask;
use protocol::schnorr::KeyPair;
use protocol::session::Session;
use protocol::{Code, PublicKey};

const SECTION: &str = "enc.md 6";

/// A session that ends so many seconds from now.
fn made(who: &KeyPair, sequencer: &PublicKey, seconds: i64) -> Session {
    let expires =
        u32::try_from(now() / 1000).unwrap_or(u32::MAX).saturating_add_signed(i32::try_from(seconds).unwrap_or(0));
    Session::make(who, sequencer, expires)
}

/// The questions that carry a session: route and members.
const QUESTIONS: [(&str, &str); 6] = [
    ("", r#""type":"Query""#),
    ("inclusion", r#""leaf_index":0"#),
    ("state", r#""namespace":3,"key":"00""#),
    ("state-batch", r#""items":[{"namespace":3,"key":"00"}]"#),
    ("close-bundle", ""),
    ("push", r#""url":null"#),
];

/// Asks every question with this session of the owner's, in its body and, where there are headers, in those; each must be refused.
fn refused(f: &Field<'_>, code: Code, session: &dyn Fn(&Room<'_>) -> String) -> Verdict {
    let room = f.closed()?;
    room.close()?;
    let (from, token) = (room.people.alice.public(), session(&room));
    for (action, members) in QUESTIONS {
        let comma = if members.is_empty() { "" } else { "," };
        let body = format!(r#"{{"from":"{from}","session":"{token}"{comma}{members}}}"#);
        f.refuse(&Ask::post(&room.path(action), body), code)?;
    }
    for action in ["info/enclave", "snapshot"] {
        let ask = Ask::get(&room.path(action)).header("X-Enc-From", &from.hex()).header("X-Enc-Session", &token);
        f.refuse(&ask, code)?;
    }
    room.page(&room.people.alice, "{}").map(drop)
}

fn flipped(token: String) -> String {
    let first = if token.starts_with('0') { "1" } else { "0" };
    format!("{first}{}", &token[1..])
}

pub const CHECKS: &[Check] = &[
    check("session.plain", SECTION, "A plain session opens every route that asks who.", |f| {
        let room = f.closed()?;
        room.close()?;
        for (action, members) in &QUESTIONS[..5] {
            room.post(&room.people.alice, action, members)?;
        }
        room.get_by(&room.people.alice, "info/enclave").map(drop)
    }),
    check(
        "session.none",
        "enc.md 4.4",
        "Without a session one is of the public only: who may read nothing at all is unauthorized.",
        |f| {
            let room = f.closed()?;
            room.close()?;
            for (action, members) in &QUESTIONS[..5] {
                f.refuse(&Ask::post(&room.path(action), format!("{{{members}}}")), Code::Unauthorized)?;
            }
            room.page(&room.people.alice, "{}").map(drop)
        },
    ),
    check("session.stranger", "enc.md 4.4", "A session of somebody without a role opens nothing.", |f| {
        let room = f.closed()?;
        room.close()?;
        for (action, members) in &QUESTIONS[..5] {
            room.denied(&room.people.stranger, action, members, Code::Unauthorized)?;
        }
        room.page(&room.people.bob, "{}").map(drop)
    }),
    check("session.from-alone", SECTION, "from without a session has no effect.", |f| {
        let room = f.closed()?;
        room.close()?;
        for (action, members) in &QUESTIONS[..4] {
            let body = format!(r#"{{"from":"{}",{members}}}"#, room.people.alice.public());
            f.refuse(&Ask::post(&room.path(action), body), Code::Unauthorized)?;
        }
        room.page(&room.people.alice, "{}").map(drop)
    }),
    check("session.without-from", SECTION, "A session without from is invalid_session 401.", |f| {
        let room = f.closed()?;
        let token = room.session(&room.people.alice);
        let body = format!(r#"{{"type":"Query","enclave":"{}","session":"{token}"}}"#, room.enclave);
        f.refuse(&Ask::post("/", body), Code::InvalidSession)?;
        f.refuse(&Ask::get(&room.path("info/enclave")).header("X-Enc-Session", &token), Code::InvalidSession)?;
        room.page(&room.people.alice, "{}").map(drop)
    }),
    check("session.malformed", SECTION, "A token of another length or in upper case is invalid_session.", |f| {
        refused(f, Code::InvalidSession, &|room| room.session(&room.people.alice)[2..].to_owned())?;
        refused(f, Code::InvalidSession, &|room| format!("{}00", room.session(&room.people.alice)))?;
        refused(f, Code::InvalidSession, &|room| room.session(&room.people.alice).to_uppercase())
    }),
    check("session.altered", SECTION, "A token with one digit changed is invalid_session.", |f| {
        refused(f, Code::InvalidSession, &|room| flipped(room.session(&room.people.alice)))
    }),
    check("session.another-ones", SECTION, "Somebody else's token is invalid_session.", |f| {
        refused(f, Code::InvalidSession, &|room| room.session(&room.people.bob))
    }),
    check("session.another-nodes", SECTION, "A token for another sequencer is invalid_session.", |f| {
        refused(f, Code::InvalidSession, &|room| made(&room.people.alice, &room.people.bob.public(), 600).plain.hex())
    }),
    check(
        "session.encrypted-form",
        SECTION,
        "The encrypted form, which anyone can compute, is invalid_session in a plain request.",
        |f| refused(f, Code::InvalidSession, &|room| made(&room.people.alice, &room.sequencer, 600).encrypted.hex()),
    ),
    check("session.too-long", SECTION, "A token that ends more than 7260 s from now is invalid_session.", |f| {
        refused(f, Code::InvalidSession, &|room| made(&room.people.alice, &room.sequencer, 7320).plain.hex())
    }),
    check("session.over", SECTION, "A token that ended more than 60 s ago is session_expired 401.", |f| {
        refused(f, Code::SessionExpired, &|room| made(&room.people.alice, &room.sequencer, -65).plain.hex())
    }),
    check(
        "session.within-its-bounds",
        SECTION,
        "A token of two hours, and one that ended less than 60 s ago, are taken.",
        |f| {
            let room = f.closed()?;
            for seconds in [7150, -30] {
                let token = made(&room.people.alice, &room.sequencer, seconds).plain.hex();
                let (from, enclave) = (room.people.alice.public(), room.enclave);
                let body = format!(r#"{{"type":"Query","enclave":"{enclave}","from":"{from}","session":"{token}"}}"#);
                f.take(&Ask::post("/", body)).map_err(|why: Why| why.about(seconds))?;
            }
            Ok(())
        },
    ),
    check("session.not-in-a-query", SECTION, "A GET carries its session in headers, never in the query string.", |f| {
        let room = f.closed()?;
        let (from, token) = (room.people.alice.public(), room.session(&room.people.alice));
        let known = room.get_by(&room.people.alice, "info/enclave")?;
        let asked = f.ask(&Ask::get(&room.path(&format!("info/enclave?from={from}&session={token}"))))?;
        equal("the headers open it", known.member("last_seq").is_some(), true)?;
        equal("the query does not", asked.text().contains("last_seq"), false)
    }),
];
