//! Push: challenged, delivered in order, signed anew at each attempt, given up and pulled; and for nobody who may not have it.

use crate::world::{World, list, member, number, text};
use conformance::endpoint::Endpoint;
use conformance::people::now;
use conformance::wire::{Answer, Ask};
use protocol::commit::Draft;
use protocol::push::{Delivery, Payload, SignedDelivery};
use protocol::schnorr::KeyPair;
use protocol::verify::Sequencers;
use protocol::{Code, Json};

fn register(world: &World, who: &KeyPair, url: &str) -> Answer {
    world.ask(&registering(world, who, &format!("\"{url}\"")))
}

fn registering(world: &World, who: &KeyPair, url: &str) -> Ask {
    Ask::post(&world.path("push"), world.by(who, &format!(r#""url":{url}"#)))
}

fn registered(world: &World, who: &KeyPair, endpoint: &Endpoint) {
    let answer = register(world, who, &endpoint.url);
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"ok":true}"#));
}

/// A delivery as a receiver believes it: by the key that the Manifest names, for its own endpoint, of now.
fn verified(world: &World, body: &Json, url: &str) -> (Delivery, SignedDelivery) {
    let signed = SignedDelivery::from_json(body.clone()).expect("its shape");
    let sequencers = Sequencers::new(world.node.sequencer);
    let delivery = signed.verify(&world.enclave, &sequencers, url, now()).expect("it holds").clone();
    (delivery, signed)
}

fn pull(world: &World, who: &KeyPair, members: &str) -> Vec<Json> {
    let body = world.asking(who, &format!(r#""type":"Pull"{members}"#));
    let answer = world.accepted("Pull", &Ask::post("/", body));
    assert_eq!(text(&answer, "type"), "Response");
    list(&answer, "deliveries").to_vec()
}

fn places(delivery: &Delivery) -> Vec<u64> {
    match &delivery.payload {
        Payload::Events(events) => events.iter().map(|event| event.position.seq).collect(),
        Payload::Notify(notices) => notices.iter().map(|notice| notice.seq).collect(),
    }
}

#[test]
fn what_is_committed_is_delivered_and_can_be_pulled() {
    let world = World::new();
    let endpoint = Endpoint::willing();
    world.say(&world.bob, "message", r#""before""#);
    registered(&world, &world.dave, &endpoint);
    // Registered again: nothing changes, nothing is asked.
    registered(&world, &world.dave, &endpoint);
    let first = world.say(&world.bob, "message", r#""one""#);
    let (delivery, signed) = verified(&world, &endpoint.delivery(), &endpoint.url);
    assert_eq!((delivery.push_seq, places(&delivery)), (1, vec![first.position.seq]), "from registration on");
    assert_eq!(signed.to_json().member("from_seq"), Some(&Json::from(first.position.seq)));
    let Payload::Events(events) = &delivery.payload else { panic!("P sends whole events") };
    assert_eq!(
        (events[0].id, events[0].content_hash()),
        (first.id, protocol::ContentHash(protocol::cbor::sha256(b"\"one\"")))
    );
    let mut expected = Vec::new();
    for place in 0..20 {
        expected.push(world.say(&world.bob, "message", &place.to_string()).position.seq);
        // Neither the owner's secrets nor notices are among what dave gets, nor what refers to a message.
        world.say(&world.alice, "secret", &place.to_string());
    }
    let tags = vec![vec!["r".to_owned(), first.id.hex()]];
    world.submit(&Draft { tags, ..world.draft("Update", "1") }.sign(&world.bob).into_commit());
    expected.push(world.say(&world.bob, "message", r#""last""#).position.seq);
    let (mut got, mut push_seq) = (Vec::new(), 1);
    while got.len() < expected.len() {
        let (delivery, _) = verified(&world, &endpoint.delivery(), &endpoint.url);
        assert_eq!(delivery.push_seq, push_seq + 1, "numbered without a gap");
        push_seq = delivery.push_seq;
        got.extend(places(&delivery));
    }
    assert_eq!(got, expected, "in order, none twice, none left out");
    pulled(&world, &endpoint.url, push_seq);
    let answer = world.ask(&registering(&world, &world.dave, "null"));
    assert_eq!(answer.text(), r#"{"ok":true}"#);
    world.say(&world.bob, "message", r#""after""#);
    assert!(pull(&world, &world.dave, "").is_empty(), "there is no endpoint any more");
}

/// Pull gives again what was delivered, signed anew.
fn pulled(world: &World, url: &str, last: u64) {
    let all = pull(world, &world.dave, "");
    assert_eq!(all.len() as u64, last);
    for (place, body) in (1..).zip(&all) {
        assert_eq!(verified(world, body, url).0.push_seq, place);
    }
    let named = format!(r#","url":"{url}","push_seq":{{"start_after":{}}},"limit":1"#, last - 1);
    assert_eq!(number(&pull(world, &world.dave, &named)[0], "push_seq"), last);
    for (members, code) in [
        (r#","url":"http://127.0.0.1:1/""#, Code::NotFound),
        (r#","limit":0"#, Code::InvalidStructure),
        (r#","push_seq":{}"#, Code::InvalidStructure),
        (r#","push_seq":{"start_at":1}"#, Code::InvalidStructure),
        (r#","filter":{}"#, Code::InvalidStructure),
    ] {
        let ask = Ask::post("/", world.asking(&world.dave, &format!(r#""type":"Pull"{members}"#)));
        let answer = world.ask(&ask);
        assert_eq!((answer.status, text(&answer.json(), "error")), (code.status(), code.as_str()), "{members}");
    }
}

#[test]
fn notices_say_that_and_whole_events_win() {
    let world = World::new();
    let endpoint = Endpoint::willing();
    world.say(&world.alice, "Grant", &format!(r#"{{"target":"{}","trait":"bell"}}"#, world.bob.public()));
    registered(&world, &world.bob, &endpoint);
    let said = world.say(&world.carol, "message", r#""hush""#);
    let body = endpoint.delivery();
    let (delivery, _) = verified(&world, &body, &endpoint.url);
    let Payload::Notify(notices) = &delivery.payload else { panic!("N sends notices") };
    assert_eq!((notices[0].id, notices[0].event_type.as_str()), (said.id, "message"));
    assert!(!body.to_jcs().contains("hush"), "a notice holds no content");
    world.say(&world.alice, "Grant", &format!(r#"{{"target":"{}","trait":"feed"}}"#, world.bob.public()));
    world.say(&world.carol, "message", r#""aloud""#);
    let (delivery, _) = verified(&world, &endpoint.delivery(), &endpoint.url);
    assert!(matches!(delivery.payload, Payload::Events(_)), "P wins over N");
}

#[test]
fn an_endpoint_must_answer_its_challenge() {
    let world = World::new();
    let replies: [(u16, &str); 7] =
        [(200, "{}"), (200, r#"{"token":"00"}"#), (200, "no json"), (204, ""), (404, "{}"), (500, ""), (302, "")];
    let before = world.tables.dump();
    for (status, body) in replies {
        let endpoint = Endpoint::start_raw(Box::new(move |_| (status, body.into())));
        let answer = register(&world, &world.dave, &endpoint.url);
        assert_eq!((answer.status, text(&answer.json(), "error")), (409, "bad_state"), "{status} {body}");
    }
    // Right token, wrong status.
    let endpoint =
        Endpoint::start_raw(Box::new(|challenge| (201, format!(r#"{{"token":"{}"}}"#, text(challenge, "token")))));
    let answer = register(&world, &world.dave, &endpoint.url);
    assert_eq!(text(&answer.json(), "error"), "bad_state");
    let gone = Endpoint::willing().url.clone();
    assert_eq!(text(&register(&world, &world.dave, &gone).json(), "error"), "bad_state", "nobody is there");
    let left: Vec<_> = world
        .tables
        .dump()
        .into_iter()
        .filter(|(name, _)| name.ends_with("push_endpoints"))
        .flat_map(|(_, rows)| rows)
        .collect();
    assert!(left.is_empty(), "an endpoint that was refused is forgotten: {left:?}");
    assert_eq!(before.len(), world.tables.dump().len());
    for url in ["ftp://127.0.0.1/", "http://", "http://user@127.0.0.1/", "http://127.0.0.1 /", "", "127.0.0.1:1"] {
        let ask = registering(&world, &world.dave, &format!("\"{url}\""));
        world.refused(url, &ask, (400, Code::InvalidStructure), &[("field", Json::from("url"))]);
    }
    let bob = registering(&world, &world.bob, &format!("\"{}\"", Endpoint::willing().url));
    world.refused("neither P nor N", &bob, (403, Code::Unauthorized), &[]);
}

#[test]
fn by_default_nothing_private_is_dialled() {
    let world = World::configured("").with_hall();
    let endpoint = Endpoint::willing();
    let ask = registering(&world, &world.dave, &format!("\"{}\"", endpoint.url));
    world.refused("http", &ask, (400, Code::InvalidStructure), &[("field", Json::from("url"))]);
    for host in [
        "127.0.0.1",
        "localhost",
        "10.0.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[fd00::1]",
    ] {
        let port = endpoint.url.rsplit(':').next().expect("a port").trim_end_matches("/hook");
        let answer = register(&world, &world.dave, &format!("https://{host}:{port}/"));
        assert_eq!(text(&answer.json(), "error"), "bad_state", "{host}");
    }
    assert!(endpoint.pending().is_empty());
}

#[test]
fn what_fails_is_tried_again_with_a_new_time() {
    let world = World::new();
    let mut left = 1;
    let endpoint = Endpoint::start(Box::new(move |_| {
        left -= 1;
        (if left >= 0 { 500 } else { 200 }, "{}".into())
    }));
    registered(&world, &world.dave, &endpoint);
    let first = world.say(&world.bob, "message", "1");
    let (failed, failed_signed) = verified(&world, &endpoint.delivery(), &endpoint.url);
    let second = world.say(&world.bob, "message", "2");
    let (again, signed) = verified(&world, &endpoint.delivery(), &endpoint.url);
    assert_eq!(
        (again.push_seq, places(&again)),
        (failed.push_seq, vec![first.position.seq]),
        "one waits behind another"
    );
    assert!(again.time >= failed.time + 1000, "a second later: {} after {}", again.time, failed.time);
    assert_ne!(signed.sig, failed_signed.sig);
    let (next, _) = verified(&world, &endpoint.delivery(), &endpoint.url);
    assert_eq!((next.push_seq, places(&next)), (2, vec![second.position.seq]));
    // 410: the endpoint wants no more.
    endpoint.answer_with(Box::new(|_| (410, String::new())));
    world.say(&world.bob, "message", "3");
    endpoint.delivery();
    let named = world.asking(&world.dave, &format!(r#""type":"Pull","url":"{}""#, endpoint.url));
    let gone = |answer: &Answer| answer.status == 404;
    assert!((0..500).any(|_| gone(&world.ask(&Ask::post("/", named.clone())))), "410 removes the endpoint");
}

#[test]
fn who_may_no_longer_have_it_gets_no_more() {
    let world = World::new();
    let endpoint = Endpoint::willing();
    registered(&world, &world.dave, &endpoint);
    world.say(&world.bob, "message", "1");
    endpoint.delivery();
    world.say(&world.alice, "Revoke", &format!(r#"{{"target":"{}","trait":"feed"}}"#, world.dave.public()));
    world.say(&world.bob, "message", "2");
    let ask = Ask::post("/", world.asking(&world.dave, r#""type":"Pull""#));
    world.refused("Pull without P or N", &ask, (403, Code::Unauthorized), &[]);
    world.refused(
        "nor may it register",
        &registering(&world, &world.dave, "\"http://127.0.0.1:1/\""),
        (403, Code::Unauthorized),
        &[],
    );
    // A later message to somebody else's endpoint shows that deliveries go on, and that dave's were skipped.
    let other = Endpoint::willing();
    world.say(&world.alice, "Grant", &format!(r#"{{"target":"{}","trait":"feed"}}"#, world.bob.public()));
    registered(&world, &world.bob, &other);
    let last = world.say(&world.carol, "message", "3");
    assert_eq!(places(&verified(&world, &other.delivery(), &other.url).0), [last.position.seq]);
    assert!(endpoint.pending().is_empty());
}

#[test]
fn four_endpoints_are_enough_for_one() {
    let world = World::new();
    let endpoints: Vec<Endpoint> = (0..5).map(|_| Endpoint::willing()).collect();
    for endpoint in &endpoints[..4] {
        registered(&world, &world.dave, endpoint);
    }
    let fifth = registering(&world, &world.dave, &format!("\"{}\"", endpoints[4].url));
    world.refused("the fifth", &fifth, (400, Code::LimitExceeded), &[("limit", Json::from(4))]);
    registered(&world, &world.dave, &endpoints[3]);
    let said = world.say(&world.bob, "message", "1");
    for endpoint in &endpoints[..4] {
        let body = endpoint.delivery();
        let (delivery, _) = verified(&world, &body, &endpoint.url);
        assert_eq!((delivery.push_seq, places(&delivery)), (1, vec![said.position.seq]), "each counts for itself");
        assert_eq!(text(&body, "to"), endpoint.url);
        let elsewhere = &endpoints[4].url;
        let signed = SignedDelivery::from_json(body.clone()).expect("its shape");
        let sequencers = Sequencers::new(world.node.sequencer);
        assert!(
            signed.verify(&world.enclave, &sequencers, elsewhere, now()).is_err(),
            "one's delivery is not another's"
        );
        assert_eq!(member(&body, "enclave"), &Json::from(world.enclave.hex()));
    }
}
