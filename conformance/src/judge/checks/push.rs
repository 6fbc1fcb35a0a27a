//! Push and Pull: an endpoint of the judge's own, on the machine it stands on.

use super::{Check, check};
use crate::endpoint::Endpoint;
use crate::judge::Need;
use crate::judge::field::Field;
use crate::judge::room::Room;
use crate::judge::talk::{list, text};
use crate::judge::why::{Because, Why, equal, hold};
use crate::people::now;
use crate::wire::Ask;
use protocol::push::{Delivery, Payload, SignedDelivery};
use protocol::schnorr::KeyPair;
use protocol::verify::Sequencers;
use protocol::{Code, Json};

const SECTION: &str = "enc.md 8.4";

fn endpoint(f: &Field<'_>, statuses: &'static [u16]) -> Result<Endpoint, Why> {
    let host = f.node.push_host.as_deref().because("a host for endpoints")?;
    let mut statuses = statuses.iter();
    let reply = Box::new(move |_: &Json| (statuses.next().copied().unwrap_or(200), "{}".to_owned()));
    Endpoint::start_at(host, reply).because("an endpoint of the judge's own")
}

fn register(room: &Room<'_>, who: &KeyPair, endpoint: &Endpoint) -> Result<(), Why> {
    let answer = room.post(who, "push", &format!(r#""url":"{}""#, endpoint.url))?;
    equal("push", answer.to_jcs().as_str(), r#"{"ok":true}"#)
}

/// A delivery as a receiver believes it.
fn verified(room: &Room<'_>, body: &Json, url: &str) -> Result<Delivery, Why> {
    let signed = SignedDelivery::from_json(body.clone()).because("a delivery's shape")?;
    let sequencers = Sequencers::new(room.sequencer);
    let delivery = signed.verify(&room.enclave, &sequencers, url, now()).because("a delivery holds")?;
    Ok(delivery.clone())
}

fn next(room: &Room<'_>, endpoint: &Endpoint) -> Result<Delivery, Why> {
    verified(room, &endpoint.try_delivery().because("a delivery")?, &endpoint.url)
}

fn places(delivery: &Delivery) -> Vec<u64> {
    match &delivery.payload {
        Payload::Events(events) => events.iter().map(|event| event.position.seq).collect(),
        Payload::Notify(notices) => notices.iter().map(|notice| notice.seq).collect(),
    }
}

fn pull(room: &Room<'_>, who: &KeyPair, members: &str) -> Result<Vec<Json>, Why> {
    let answer = room.field.take(&Ask::post("/", room.asking(who, &format!(r#""type":"Pull"{members}"#))))?;
    equal("type", text(&answer, "type")?, "Response")?;
    Ok(list(&answer, "deliveries")?.to_vec())
}

pub const CHECKS: &[Check] = &[
    check(
        "push.delivers",
        SECTION,
        "From registration on an event is delivered whole to who holds P, signed, for the endpoint, counted from 1.",
        |f| {
            let (room, endpoint) = (f.hall()?, endpoint(f, &[])?);
            room.say(&room.people.bob, "message", r#""before""#)?;
            register(&room, &room.people.dave, &endpoint)?;
            let said = room.say(&room.people.bob, "message", r#""after""#)?;
            let delivery = next(&room, &endpoint)?;
            equal("push_seq and places", (delivery.push_seq, places(&delivery)), (1, vec![said.position.seq]))?;
            hold(matches!(delivery.payload, Payload::Events(_)), "P sends whole events")
        },
    )
    .with(Need::Endpoint),
    check(
        "push.in-order",
        SECTION,
        "Deliveries come in order, numbered without a gap, and hold only what the receiver may have.",
        |f| {
            let (room, endpoint) = (f.hall()?, endpoint(f, &[])?);
            register(&room, &room.people.dave, &endpoint)?;
            let mut wanted = Vec::new();
            for place in 0..8 {
                wanted.push(room.say(&room.people.bob, "message", &place.to_string())?.position.seq);
                room.say(&room.people.alice, "secret", &place.to_string())?;
            }
            let (mut got, mut push_seq) = (Vec::new(), 0);
            while got.len() < wanted.len() {
                let delivery = next(&room, &endpoint)?;
                equal("push_seq", delivery.push_seq, push_seq + 1)?;
                push_seq = delivery.push_seq;
                got.extend(places(&delivery));
            }
            equal("places", got, wanted)
        },
    )
    .with(Need::Endpoint),
    check("push.notices", SECTION, "N sends {id, seq, type} and no content.", |f| {
        let (room, endpoint) = (f.hall()?, endpoint(f, &[])?);
        room.say(&room.people.alice, "Grant", &room.gets(&room.people.bob, "bell"))?;
        register(&room, &room.people.bob, &endpoint)?;
        let said = room.say(&room.people.carol, "message", r#""hush""#)?;
        let body = endpoint.try_delivery().because("a delivery")?;
        let delivery = verified(&room, &body, &endpoint.url)?;
        let Payload::Notify(notices) = &delivery.payload else { return Err(Why::new("N sends notices")) };
        equal("the notice", (notices[0].id, notices[0].seq), (said.id, said.position.seq))?;
        hold(!body.to_jcs().contains("hush"), "a notice holds no content")
    })
    .with(Need::Endpoint),
    check(
        "push.is-tried-again",
        SECTION,
        "What an endpoint did not take is tried again after a second, with a new time, the next one waiting behind it.",
        |f| {
            let (room, endpoint) = (f.hall()?, endpoint(f, &[500])?);
            register(&room, &room.people.dave, &endpoint)?;
            let first = room.say(&room.people.bob, "message", "1")?;
            let failed = next(&room, &endpoint)?;
            let second = room.say(&room.people.bob, "message", "2")?;
            let again = next(&room, &endpoint)?;
            equal("the same again", (again.push_seq, places(&again)), (failed.push_seq, vec![first.position.seq]))?;
            hold(again.time >= failed.time + 900, format!("{} a second after {}", again.time, failed.time))?;
            equal("then the next", places(&next(&room, &endpoint)?), vec![second.position.seq])
        },
    )
    .with(Need::Endpoint),
    check("push.challenge", SECTION, "An endpoint that does not answer its challenge is not used: bad_state.", |f| {
        let room = f.hall()?;
        let gone = endpoint(f, &[])?.url.clone();
        room.denied(&room.people.dave, "push", &format!(r#""url":"{gone}""#), Code::BadState)?;
        let willing = endpoint(f, &[])?;
        register(&room, &room.people.dave, &willing)
    })
    .with(Need::Endpoint),
    check("push.four-endpoints", SECTION, "The fifth endpoint of an identity is limit_exceeded.", |f| {
        let room = f.hall()?;
        let endpoints = (0..5).map(|_| endpoint(f, &[])).collect::<Result<Vec<_>, _>>()?;
        for endpoint in &endpoints[..4] {
            register(&room, &room.people.dave, endpoint)?;
        }
        room.denied(&room.people.dave, "push", &format!(r#""url":"{}""#, endpoints[4].url), Code::LimitExceeded)?;
        register(&room, &room.people.dave, &endpoints[3])
    })
    .with(Need::Endpoint),
    check("push.pull", SECTION, "Pull gives the deliveries again, signed anew, from any push_seq on.", |f| {
        let (room, endpoint) = (f.hall()?, endpoint(f, &[])?);
        register(&room, &room.people.dave, &endpoint)?;
        let mut last = 0;
        for place in 0..3 {
            room.say(&room.people.bob, "message", &place.to_string())?;
            last = next(&room, &endpoint)?.push_seq;
        }
        let all = pull(&room, &room.people.dave, "")?;
        equal("deliveries", all.len() as u64, last)?;
        for (place, body) in (1..).zip(&all) {
            equal("push_seq", verified(&room, body, &endpoint.url)?.push_seq, place)?;
        }
        let url = &endpoint.url;
        let rest = pull(
            &room,
            &room.people.dave,
            &format!(r#","url":"{url}","push_seq":{{"start_after":{}}},"limit":1"#, last - 1),
        )?;
        equal("the last alone", rest.len(), 1)
    })
    .with(Need::Endpoint),
    check("push.right-is-lost", SECTION, "Who holds neither P nor N any more gets nothing, and may not Pull.", |f| {
        let (room, endpoint) = (f.hall()?, endpoint(f, &[])?);
        register(&room, &room.people.dave, &endpoint)?;
        room.say(&room.people.bob, "message", "1")?;
        next(&room, &endpoint)?;
        room.say(&room.people.alice, "Revoke", &room.gets(&room.people.dave, "feed"))?;
        room.say(&room.people.bob, "message", "2")?;
        f.refuse(&Ask::post("/", room.asking(&room.people.dave, r#""type":"Pull""#)), Code::Unauthorized)?;
        room.denied(&room.people.dave, "push", &format!(r#""url":"{}""#, endpoint.url), Code::Unauthorized)?;
        hold(endpoint.pending().is_empty(), "nothing more was delivered")
    })
    .with(Need::Endpoint),
    check("push.no-right", SECTION, "Who holds neither P nor N registers nothing: unauthorized.", |f| {
        let room = f.hall()?;
        for who in [&room.people.bob, &room.people.stranger] {
            room.denied(who, "push", r#""url":"https://endpoint.example/""#, Code::Unauthorized)?;
        }
        room.post(&room.people.dave, "push", r#""url":null"#).map(drop)
    }),
    check("push.unregisters", SECTION, "url null is always taken from who may push, and answered {ok:true}.", |f| {
        let room = f.hall()?;
        let answer = room.post(&room.people.dave, "push", r#""url":null"#)?;
        equal("the answer", answer.to_jcs().as_str(), r#"{"ok":true}"#)?;
        equal("deliveries", pull(&room, &room.people.dave, "")?.len(), 0)
    }),
    check("push.urls", SECTION, "A url that is none, or of another scheme, is invalid_structure.", |f| {
        let room = f.hall()?;
        for url in ["ftp://127.0.0.1/", "https://", "https://user@endpoint.example/", "", "endpoint.example"] {
            room.denied(&room.people.dave, "push", &format!(r#""url":"{url}""#), Code::InvalidStructure)?;
        }
        room.post(&room.people.dave, "push", r#""url":null"#).map(drop)
    }),
    check("pull.grammar", "enc.md 7", "Pull takes the listed members only.", |f| {
        let room = f.hall()?;
        let dave = &room.people.dave;
        for members in [r#","limit":0"#, r#","push_seq":{}"#, r#","push_seq":{"start_at":1}"#, r#","filter":{}"#] {
            let ask = Ask::post("/", room.asking(dave, &format!(r#""type":"Pull"{members}"#)));
            f.refuse(&ask, Code::InvalidStructure).map_err(|why| why.about(members))?;
        }
        equal("nothing yet", pull(&room, dave, "")?.len(), 0)
    }),
];
