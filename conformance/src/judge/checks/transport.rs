//! The encrypted transport.

use super::{Check, check};
use crate::judge::field::accepted;
use crate::judge::node::parse;
use crate::judge::room::Room;
use crate::judge::talk::{has_members, list, text};
use crate::judge::why::{Because, Why, equal, hold};
use crate::people::{json, now};
use crate::wire::{Answer, Ask};
use protocol::json::MAX_DEPTH;
use protocol::schnorr::KeyPair;
use protocol::session::Session;
use protocol::transport::{Nonce, OpenedRequest, SealedRequest, SealedResponse, TransportKeys};
use protocol::{Code, Json, Receipt};

const SECTION: &str = "enc.md 6";
const QUERY: &str = r#"{"type":"Query"}"#;

/// One side of a conversation: a session and its keys.
struct Sealed<'a> {
    room: &'a Room<'a>,
    who: &'a KeyPair,
    session: Session,
    keys: TransportKeys,
}

fn sealed<'a>(room: &'a Room<'_>, who: &'a KeyPair) -> Result<Sealed<'a>, Why> {
    let expires = u32::try_from(now() / 1000 + 600).because("a time before 2106")?;
    let session = Session::make(who, &room.sequencer, expires);
    let keys = TransportKeys::for_client(&session, &room.sequencer, &room.enclave).because("keys")?;
    Ok(Sealed { room, who, session, keys })
}

impl Sealed<'_> {
    fn seal(&self, place: u8, time: u64, request: &str) -> SealedRequest {
        let mut nonce = [place; 24];
        nonce[..8].copy_from_slice(&time.to_be_bytes());
        let plaintext = OpenedRequest { time, request: json(request) }.to_plaintext();
        self.keys.seal_query(&self.who.public(), &self.session.encrypted, Nonce(nonce), plaintext.as_bytes())
    }

    fn send(&self, request: &SealedRequest) -> Result<Answer, Why> {
        self.room.field.ask(&Ask::post("/", request.to_json().to_jcs()))
    }

    /// Opens the answer to a request; what was sealed.
    fn open(&self, request: &SealedRequest, answer: &Answer) -> Result<Json, Why> {
        let body = parse(answer)?;
        has_members("a sealed answer", &body, &["ciphertext", "nonce"])?;
        let response = SealedResponse::from_json(body).because("its shape")?;
        let opened = self.keys.open_response(&request.nonce, &response).because("the answer opens")?;
        protocol::json::parse(&opened, MAX_DEPTH).because("JSON inside")
    }

    /// A sealed request that must be answered with this status, sealed.
    fn told(&self, place: u8, time: u64, request: &str, status: u16) -> Result<Json, Why> {
        let request = self.seal(place, time, request);
        let answer = self.send(&request)?;
        equal(format!("status of {:.100}", answer.text()), answer.status, status)?;
        self.open(&request, &answer)
    }
}

pub const CHECKS: &[Check] = &[
    check("sealed.query", SECTION, "A sealed Query is answered sealed, for its reader.", |f| {
        let room = f.closed()?;
        let said = room.say(&room.people.bob, "message", "1")?;
        let page = sealed(&room, &room.people.bob)?.told(1, now(), QUERY, 200)?;
        let events = room.events(&page)?;
        equal("events", events.iter().map(|event| event.id).collect::<Vec<_>>(), vec![said.id])
    }),
    check("sealed.every-parity", SECTION, "Sessions of either parity of s·G are understood.", |f| {
        let room = f.closed()?;
        for place in 0..6 {
            let expires = u32::try_from(now() / 1000).because("a time")? + 600 + place;
            let session = Session::make(&room.people.bob, &room.sequencer, expires);
            let keys = TransportKeys::for_client(&session, &room.sequencer, &room.enclave).because("keys")?;
            let side = Sealed { room: &room, who: &room.people.bob, session, keys };
            side.told(2, now(), QUERY, 200)?;
        }
        Ok(())
    }),
    check("sealed.commit", SECTION, "A sealed commit is sequenced, its receipt sealed.", |f| {
        let room = f.hall()?;
        let commit = room.commit(&room.people.bob, "message", "1");
        let answer = sealed(&room, &room.people.bob)?.told(3, now(), &commit.to_json().to_jcs(), 200)?;
        let receipt = Receipt::from_json(answer).because("a receipt")?;
        receipt.verify(&commit, &room.sequencer).because("it holds").map(drop)
    }),
    check("sealed.proof", SECTION, "Proof requests are sealed as {action, …}.", |f| {
        let room = f.closed()?;
        room.close()?;
        let side = sealed(&room, &room.people.bob)?;
        for (place, request) in
            [(4, r#"{"action":"state","namespace":3,"key":"00"}"#), (5, r#"{"action":"inclusion","leaf_index":0}"#)]
        {
            hold(side.told(place, now(), request, 200)?.member("audit_path").is_some(), "a proof")?;
        }
        Ok(())
    }),
    check("sealed.refusal", SECTION, "A refusal is sealed too, under its own status.", |f| {
        let room = f.closed()?;
        let body = sealed(&room, &room.people.stranger)?.told(6, now(), QUERY, 403)?;
        equal("error", text(&body, "error")?, "unauthorized")?;
        let page = sealed(&room, &room.people.bob)?.told(6, now(), QUERY, 200)?;
        list(&page, "events").map(drop)
    }),
    check("sealed.time", SECTION, "A request whose time is more than 60 s away is expired, sealed.", |f| {
        let room = f.closed()?;
        let side = sealed(&room, &room.people.bob)?;
        for time in [now() - 65_000, now() + 75_000] {
            equal("error", text(&side.told(7, time, QUERY, 400)?, "error")?, "expired")?;
        }
        side.told(8, now() - 30_000, QUERY, 200).map(drop)
    }),
    check(
        "sealed.inside-and-outside",
        SECTION,
        "What is repeated inside must be what stands outside, the author of a commit too.",
        |f| {
            let room = f.hall()?;
            let side = sealed(&room, &room.people.bob)?;
            let other = format!(r#"{{"type":"Query","from":"{}"}}"#, room.people.alice.public());
            equal("another from", text(&side.told(9, now(), &other, 400)?, "error")?, "invalid_structure")?;
            let foreign = room.commit(&room.people.carol, "message", "1").to_json().to_jcs();
            equal("another author", text(&side.told(10, now(), &foreign, 400)?, "error")?, "invalid_structure")?;
            let same =
                format!(r#"{{"type":"Query","from":"{}","enclave":"{}"}}"#, room.people.bob.public(), room.enclave);
            side.told(11, now(), &same, 200).map(drop)
        },
    ),
    check("sealed.altered", SECTION, "A ciphertext that does not open is invalid_session, in the clear.", |f| {
        let room = f.closed()?;
        let side = sealed(&room, &room.people.bob)?;
        let good = side.seal(12, now(), QUERY);
        let mut altered = good.clone();
        altered.ciphertext[0] ^= 1;
        f.refuse(&Ask::post("/", altered.to_json().to_jcs()), Code::InvalidSession)?;
        let renamed = SealedRequest { from: room.people.alice.public(), ..good.clone() };
        f.refuse(&Ask::post("/", renamed.to_json().to_jcs()), Code::InvalidSession)?;
        side.open(&good, &side.send(&good)?).map(drop)
    }),
    check("sealed.plain-form", SECTION, "The plain form of a token is invalid_session in a sealed request.", |f| {
        let room = f.closed()?;
        let side = sealed(&room, &room.people.bob)?;
        let good = side.seal(13, now(), QUERY);
        let plain = SealedRequest { session: side.session.plain.hex(), ..good.clone() };
        f.refuse(&Ask::post("/", plain.to_json().to_jcs()), Code::InvalidSession)?;
        side.open(&good, &side.send(&good)?).map(drop)
    }),
    check(
        "sealed.answers-are-for-their-request",
        SECTION,
        "An answer opens for the nonce of its own request only, and has a new nonce.",
        |f| {
            let room = f.closed()?;
            let side = sealed(&room, &room.people.bob)?;
            let (first, second) = (side.seal(14, now(), QUERY), side.seal(15, now(), QUERY));
            let (one, two) = (side.send(&first)?, side.send(&second)?);
            side.open(&first, &one)?;
            side.open(&second, &two)?;
            hold(side.open(&second, &one).is_err(), "the first answer opens for no other request")?;
            let nonce = |answer: &Answer| Ok::<_, Why>(text(&accepted(answer)?, "nonce")?.to_owned());
            hold(nonce(&one)? != nonce(&two)?, "each answer has a nonce of its own")
        },
    ),
];
