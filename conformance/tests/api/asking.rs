//! Queries: every filter against what was said, pages in both directions, limits, and who reads what.

use crate::world::{World, list, text};
use conformance::people::{json, now};
use conformance::wire::Ask;
use protocol::commit::Draft;
use protocol::schnorr::KeyPair;
use protocol::{Code, Event, Json};

/// Twelve messages by two people under some tags, and what else makes a log.
struct Said {
    world: World,
    events: Vec<Event>,
}

impl Said {
    fn new() -> Said {
        let world = World::new();
        for place in 0..12 {
            let who = if place % 3 == 0 { &world.alice } else { &world.bob };
            let parity = if place % 2 == 0 { "even" } else { "odd" };
            let tags = vec![vec!["n".to_owned(), place.to_string(), "third".to_owned()], vec![parity.to_owned()]];
            let draft = Draft { tags, ..world.draft("message", &place.to_string()) };
            world.submit(&draft.sign(who).into_commit());
        }
        world.say(&world.alice, "notice", r#""for all""#);
        world.say(&world.alice, "secret", r#""for the owner""#);
        let mut said = Said { world, events: Vec::new() };
        said.events = said.ask(&said.world.alice, r#"{"limit":1000}"#);
        assert_eq!(said.events.len(), 15);
        said
    }

    fn page(&self, who: &KeyPair, filter: &str) -> Json {
        let body = self.world.asking(who, &format!(r#""type":"Query","filter":{filter}"#));
        self.world.accepted(filter, &Ask::post("/", body))
    }

    fn ask(&self, who: &KeyPair, filter: &str) -> Vec<Event> {
        events(&self.page(who, filter))
    }

    /// The places that alice gets for a filter.
    fn places(&self, filter: &str) -> Vec<u64> {
        self.ask(&self.world.alice, filter).iter().map(|event| event.position.seq).collect()
    }
}

fn events(page: &Json) -> Vec<Event> {
    assert_eq!(text(page, "type"), "Response");
    list(page, "events").iter().map(|event| Event::from_json(event.clone()).expect("an event")).collect()
}

#[test]
fn every_filter_takes_what_it_means() {
    let said = Said::new();
    let (alice, bob) = (said.world.alice.public(), said.world.bob.public());
    let at = |place: usize| &said.events[place];
    let times: Vec<u64> = said.events.iter().map(|event| event.position.timestamp).collect();
    let where_ = |takes: &dyn Fn(&Event) -> bool| -> Vec<u64> {
        said.events.iter().filter(|event| takes(event)).map(|event| event.position.seq).collect()
    };
    let tagged = |event: &Event, name: &str, value: Option<&str>| {
        event.tags.iter().any(|tag| tag[0] == name && value.is_none_or(|value| tag.get(1).is_some_and(|v| v == value)))
    };
    let rows: Vec<(String, Vec<u64>)> = vec![
        ("{}".into(), (0..15).collect()),
        (format!(r#"{{"id":"{}"}}"#, at(3).id), vec![3]),
        (format!(r#"{{"id":["{}","{}"]}}"#, at(3).id, at(5).id), vec![3, 5]),
        (format!(r#"{{"id":"{}"}}"#, "ab".repeat(32)), vec![]),
        (r#"{"id":[]}"#.into(), vec![]),
        (format!(r#"{{"hash":"{}"}}"#, at(4).hash), vec![4]),
        (format!(r#"{{"hash":["{}","{}"]}}"#, at(4).hash, at(0).hash), vec![0, 4]),
        (format!(r#"{{"from":"{bob}"}}"#), where_(&|event| event.from == bob)),
        (format!(r#"{{"from":["{bob}","{alice}"]}}"#), (0..15).collect()),
        (r#"{"type":"message"}"#.into(), where_(&|event| event.event_type == "message")),
        (r#"{"type":["notice","Manifest","none"]}"#.into(), vec![0, 13]),
        (r#"{"seq":7}"#.into(), vec![7]),
        (r#"{"seq":[7,2,99]}"#.into(), vec![2, 7]),
        (r#"{"seq":{"start_at":12}}"#.into(), vec![12, 13, 14]),
        (r#"{"seq":{"start_after":12}}"#.into(), vec![13, 14]),
        (r#"{"seq":{"end_before":2}}"#.into(), vec![0, 1]),
        (r#"{"seq":{"end_at":2}}"#.into(), vec![0, 1, 2]),
        (r#"{"seq":{"start_after":3,"end_before":6}}"#.into(), vec![4, 5]),
        (r#"{"seq":{"start_at":6,"end_at":5}}"#.into(), vec![]),
        (r#"{"seq":{"end_before":0}}"#.into(), vec![]),
        (format!(r#"{{"timestamp":{}}}"#, times[9]), where_(&|event| event.position.timestamp == times[9])),
        (
            format!(r#"{{"timestamp":{{"start_at":{}}}}}"#, times[9]),
            where_(&|event| event.position.timestamp >= times[9]),
        ),
        (
            format!(r#"{{"timestamp":{{"end_before":{}}}}}"#, times[9]),
            where_(&|event| event.position.timestamp < times[9]),
        ),
        (r#"{"tags":[["n","5"]]}"#.into(), where_(&|event| tagged(event, "n", Some("5")))),
        (r#"{"tags":[["n"]]}"#.into(), where_(&|event| tagged(event, "n", None))),
        (
            r#"{"tags":[["odd"],["n","4"]]}"#.into(),
            where_(&|event| tagged(event, "odd", None) || tagged(event, "n", Some("4"))),
        ),
        (r#"{"tags":[["n","third"]]}"#.into(), vec![]),
        (
            format!(r#"{{"type":"message","from":"{alice}","tags":[["even"]]}}"#),
            where_(&|event| event.event_type == "message" && event.from == alice && tagged(event, "even", None)),
        ),
        (r#"{"limit":2}"#.into(), vec![0, 1]),
        (r#"{"limit":2,"reverse":true}"#.into(), vec![14, 13]),
        (r#"{"reverse":true,"type":"message","seq":{"end_before":4}}"#.into(), vec![3, 2, 1]),
        (r#"{"reverse":false,"limit":1}"#.into(), vec![0]),
    ];
    for (filter, expected) in rows {
        assert_eq!(said.places(&filter), expected, "{filter}");
    }
    for event in &said.events {
        event.verify().expect("every event verifies");
    }
    let nothing = said.world.asking(&said.world.alice, r#""type":"Query""#);
    let page = said.world.accepted("no filter", &Ask::post("/", nothing));
    assert_eq!(events(&page).len(), 15, "the filter may be left out");
}

#[test]
fn filters_have_a_grammar_and_limits() {
    let said = Said::new();
    let world = &said.world;
    let many = |count: usize, item: &str| format!("[{}]", vec![item; count].join(","));
    let key = format!("\"{}\"", "ab".repeat(32));
    let limits: Vec<(String, u64)> = vec![
        (r#"{"limit":1001}"#.into(), 1000),
        (r#"{"limit":9007199254740991}"#.into(), 1000),
        (format!(r#"{{"id":{}}}"#, many(257, &key)), 256),
        (format!(r#"{{"from":{}}}"#, many(257, &key)), 256),
        (format!(r#"{{"type":{}}}"#, many(257, "\"x\"")), 256),
        (format!(r#"{{"seq":{}}}"#, many(257, "1")), 256),
        (format!(r#"{{"tags":{}}}"#, many(257, "[\"x\"]")), 256),
    ];
    for (filter, limit) in limits {
        let ask = Ask::post("/", world.asking(&world.bob, &format!(r#""type":"Query","filter":{filter}"#)));
        world.refused(
            &filter[..filter.len().min(60)],
            &ask,
            (400, Code::LimitExceeded),
            &[("limit", Json::from(limit))],
        );
    }
    for (filter, field) in [
        (r#"{"limit":0}"#, "limit"),
        (r#"{"limit":-1}"#, "limit"),
        (r#"{"limit":"1"}"#, "limit"),
        (r#"{"limit":null}"#, "limit"),
        (r#"{"id":"ab"}"#, "id"),
        (r#"{"id":1}"#, "id"),
        (r#"{"hash":["ab"]}"#, "hash"),
        (r#"{"from":null}"#, "from"),
        (r#"{"type":1}"#, "type"),
        (r#"{"seq":"1"}"#, "seq"),
        (r#"{"seq":-1}"#, "seq"),
        (r#"{"seq":{}}"#, "seq"),
        (r#"{"seq":{"start_at":1,"start_after":1}}"#, "seq"),
        (r#"{"seq":{"after":1}}"#, "seq"),
        (r#"{"seq":{"start_at":null}}"#, "seq"),
        (r#"{"timestamp":{"end_at":1,"end_before":2}}"#, "timestamp"),
        (r#"{"tags":["x"]}"#, "tags"),
        (r#"{"tags":[[]]}"#, "tags"),
        (r#"{"tags":[["a","b","c"]]}"#, "tags"),
        (r#"{"tags":[[1]]}"#, "tags"),
        (r#"{"reverse":1}"#, "reverse"),
    ] {
        let ask = Ask::post("/", world.asking(&world.bob, &format!(r#""type":"Query","filter":{filter}"#)));
        world.refused(filter, &ask, (400, Code::InvalidStructure), &[("field", Json::from(field))]);
    }
    for filter in ["[]", "1", "null", r#"{"more":1}"#] {
        let ask = Ask::post("/", world.asking(&world.bob, &format!(r#""type":"Query","filter":{filter}"#)));
        assert_eq!(text(&world.ask(&ask).json(), "error"), "invalid_structure", "{filter}");
    }
    let wide = format!(r#"{{"type":{},"limit":1000}}"#, many(256, "\"message\""));
    assert_eq!(said.places(&wide).len(), 12);
}

#[test]
fn pages_go_on_where_they_ended() {
    let said = Said::new();
    let all: Vec<u64> = (0..15).collect();
    for (limit, reverse) in [(1, false), (4, false), (15, false), (4, true), (1, true), (14, true)] {
        let (mut places, mut range, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let filter = format!(r#"{{"limit":{limit},"reverse":{reverse}{range}}}"#);
            let page = said.page(&said.world.alice, &filter);
            let found: Vec<u64> = events(&page).iter().map(|event| event.position.seq).collect();
            pages += 1;
            let last = found.last().copied();
            places.extend(found);
            let Some(next) = page.member("next").and_then(Json::as_uint) else { break };
            assert_eq!(Some(next), last, "next is the last of the page");
            let bound = if reverse { "end_before" } else { "start_after" };
            range = format!(r#","seq":{{"{bound}":{next}}}"#);
        }
        if reverse {
            places.reverse();
        }
        assert_eq!(places, all, "limit {limit}, reverse {reverse}");
        assert_eq!(pages, 15_usize.div_ceil(limit), "no page for nothing");
    }
    // More is said to remain only where the reader may read it: the last event is the owner's.
    let page = said.page(&said.world.bob, r#"{"limit":13,"type":["message","notice","secret"]}"#);
    assert_eq!((events(&page).len(), page.member("next")), (13, None));
}

#[test]
fn a_page_ends_at_four_mebibytes_with_one_event_at_least() {
    let world = World::new();
    let large = format!("\"{}\"", "x".repeat(900 << 10));
    for place in 0..6 {
        let draft = Draft { content: large.clone(), exp: now() + 60_000 + place, ..world.draft("message", "0") };
        world.submit(&draft.sign(&world.bob).into_commit());
    }
    let body = world.asking(&world.bob, r#""type":"Query","filter":{"type":"message"}"#);
    let answer = world.ask(&Ask::post("/", body));
    assert!(answer.body.len() < (4 << 20) + 4096, "{} bytes", answer.body.len());
    let page = answer.json();
    assert_eq!((events(&page).len(), page.member("next")), (4, Some(&Json::from(4))));
}

#[test]
fn everyone_reads_what_is_theirs() {
    let said = Said::new();
    let world = &said.world;
    let types = |events: Vec<Event>| {
        let mut types: Vec<String> = events.into_iter().map(|event| event.event_type).collect();
        types.sort();
        types.dedup();
        types
    };
    assert_eq!(types(said.ask(&world.alice, "{}")), ["Manifest", "message", "notice", "secret"]);
    assert_eq!(types(said.ask(&world.bob, "{}")), ["message", "notice"], "a member is also of the public");
    let stranger = format!(r#"{{"type":"Query","enclave":"{}"}}"#, world.enclave);
    let page = world.accepted("a stranger", &Ask::post("/", stranger));
    assert_eq!(types(events(&page)), ["notice"]);
    let hidden = said.ask(&world.bob, r#"{"type":"secret"}"#);
    assert!(hidden.is_empty(), "what may not be read is left out");
    let order = format!(r#"{{"target":"{}","to":"BLOCKED"}}"#, world.bob.public());
    world.say(&world.carol, "Move", &order);
    let blocked = world.asking(&world.bob, r#""type":"Query""#);
    let page = world.accepted("one who was blocked", &Ask::post("/", blocked));
    assert_eq!(types(events(&page)), ["notice"], "the public part is for everybody");
    deleted(world);
}

/// A deleted event keeps its place and its proofs, not its content.
fn deleted(world: &World) {
    let receipt = world.say(&world.carol, "message", r#"{"mine":true}"#);
    let refer = |event_type: &str| {
        let tags = vec![vec!["r".to_owned(), receipt.id.hex()]];
        world.submit(&Draft { tags, ..world.draft(event_type, r#""changed""#) }.sign(&world.carol).into_commit())
    };
    let update = refer("Update");
    refer("Delete");
    let ids = format!(r#"{{"id":["{}","{}"]}}"#, receipt.id, update.id);
    let body = world.asking(&world.carol, &format!(r#""type":"Query","filter":{ids}"#));
    let page = world.accepted("deleted", &Ask::post("/", body));
    assert_eq!(list(&page, "events").len(), 2);
    for event in list(&page, "events") {
        assert_eq!((event.member("content"), event.member("deleted")), (None, Some(&Json::Bool(true))));
        let event = Event::from_json(event.clone()).expect("an event");
        event.verify().expect("hash and signatures still hold");
    }
    let content_hash = protocol::ids::hex(&protocol::cbor::sha256(json(r#"{"mine":true}"#).to_jcs().as_bytes()));
    assert_eq!(text(&list(&page, "events")[0], "content_hash"), content_hash);
    let kept = world.tables.dump().values().flatten().any(|row| row.contains(r#"{"mine":true}"#));
    assert!(!kept, "the content is erased from the disk's rows");
}
