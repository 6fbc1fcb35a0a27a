//! Query against a filter that looks at every event: what is meant, what may be read, and page after page.

use crate::world::{Draw, World, id, json};
use protocol::schnorr::KeyPair;
use protocol::snapshot::Snapshot;
use protocol::{EnclaveId, Event};
use serde_json::{Value, json};
use service::Call;
use service::call::{Action, Claim, Filter};

const MANIFEST: &str = r#"{"enc_v":2,"sequencer":"SEQ","bundle":{"size":7,"timeout":5000},"RBAC":{
    "states":["MEMBER","GUEST"],"traits":["owner(0)","shy(1)","ear(2)"],
    "readers":[{"type":"MEMBER","reads":"*","retention":"snapshot"},{"type":"GUEST","reads":["talk","Shared"]},
               {"type":"Public","reads":["public"]}],
    "moves":[{"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":"owner","ops":["C"]},
             {"event":"Move","from":"OUTSIDER","to":"GUEST","operator":"owner","ops":["C"]},
             {"event":"Move","from":"GUEST","to":"OUTSIDER","operator":"Self","ops":["C"]},
             {"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":["Self","owner"],"ops":["C"]}],
    "grants":[{"event":"Grant","operator":["owner"],"scope":["MEMBER","GUEST"],"trait":["shy","ear"]}],
    "slots":[{"event":"Shared","key":"topic","operator":"MEMBER","ops":["C","U","D"]}],
    "customs":[{"event":"talk","operator":"MEMBER","ops":["C","U","D"]},{"event":"public","operator":"MEMBER","ops":["C","U","D"]},
               {"event":"whisper","operator":"MEMBER","ops":["C","U","D"]},{"event":"whisper","operator":"ear","ops":["R"]},
               {"event":"whisper","operator":"shy","ops":["_R"]}],
    "init":[{"identity":"@alice","state":"MEMBER","traits":["owner"]}]}}"#;

/// Who reads, and what by the manifest's words: everything, these types, or up to a place.
#[derive(Clone, Copy, Debug)]
pub enum Rights {
    Everything,
    AllBut(&'static str),
    Only(&'static [&'static str]),
    UpTo(u64, &'static [&'static str]),
}

pub struct Library {
    pub world: World,
    pub enclave: EnclaveId,
    /// All events.
    pub events: Vec<Event>,
    /// As they are served.
    values: Vec<Value>,
    pub readers: Vec<(Option<&'static str>, Rights)>,
}

pub fn library() -> Library {
    library_in(World::new())
}

fn library_in(world: World) -> Library {
    library_with(world, &mut |_, _, _| {})
}

/// The hook is called after each commit, with what stands in it.
pub fn library_with(world: World, hook: &mut dyn FnMut(&World, EnclaveId, &str)) -> Library {
    let hook = std::cell::RefCell::new(hook);
    let enclave = world.begin(&json(MANIFEST));
    let say = |author: &str, event_type: &str, content: &str, tags: &[&[&str]]| {
        let receipt = world.say(&enclave, author, event_type, content, tags).receipt();
        (hook.borrow_mut())(&world, enclave, event_type);
        receipt
    };
    let admit =
        |name: &str, state: &str| say("alice", "Move", &format!(r#"{{"target":"@{name}","to":"{state}"}}"#), &[]);
    for (name, state) in [
        ("bob", "MEMBER"),
        ("sue", "MEMBER"),
        ("lee", "MEMBER"),
        ("kim", "MEMBER"),
        ("gina", "GUEST"),
        ("earl", "GUEST"),
    ] {
        admit(name, state);
    }
    say("alice", "Grant", r#"{"target":"@sue","trait":"shy"}"#, &[]);
    say("alice", "Grant", r#"{"target":"@earl","trait":"ear"}"#, &[]);
    let mut draw = Draw::new(7);
    let mut made: Vec<(String, &str)> = Vec::new();
    let mut left = 0;
    for round in 0..60u64 {
        world.pass(draw.below(1500));
        let author = ["alice", "bob", "sue"][draw.below(3) as usize];
        let event_type = ["talk", "public", "whisper"][draw.below(3) as usize];
        let content = round.to_string();
        let value = ["u", "v", ""][draw.below(3) as usize];
        let shapes: [&[&[&str]]; 4] =
            [&[], &[&["k", value]], &[&["k"], &["l", value, "more"]], &[&["k", value], &["k", value], &["m"]]];
        let tags = shapes[draw.below(4) as usize];
        let receipt = say(author, event_type, &content, tags);
        made.push((receipt.id.hex(), event_type));
        match draw.below(6) {
            0 => {
                let of = &made[draw.below(made.len() as u64) as usize].0;
                world.say(&enclave, author, "Update", &format!("{round}"), &[&["r", of], &["k", "u"]]);
                (hook.borrow_mut())(&world, enclave, "Update");
            }
            1 => {
                let of = &made[draw.below(made.len() as u64) as usize].0;
                world.say(&enclave, author, "Delete", &format!("{round}"), &[&["r", of]]);
                (hook.borrow_mut())(&world, enclave, "Delete");
            }
            2 => drop(say("bob", "Shared", &format!(r#"{{"key":"topic","value":{round}}}"#), &[])),
            _ => {}
        }
        if round == 30 {
            left = say("lee", "Move", r#"{"target":"@lee","to":"OUTSIDER"}"#, &[]).position.seq;
            say("alice", "Move", r#"{"target":"@kim","to":"OUTSIDER"}"#, &[]);
        }
    }
    let call = Call { enclave: Some(enclave), claim: Claim::Admin, action: Action::Snapshot };
    let snapshot = world.call(&call).expect(200).body.clone();
    let read = Snapshot::read(&snapshot).expect("a snapshot");
    let events: Vec<Event> = read.events().map(|event| event.expect("an event")).collect();
    assert!(events.iter().any(|event| matches!(event.content, protocol::event::Content::Deleted(_))));
    let values = events.iter().map(|event| serde_json::from_str(&event.to_json().to_jcs()).expect("JSON")).collect();
    let readers = vec![
        (Some("alice"), Rights::Everything),
        (Some("sue"), Rights::AllBut("whisper")),
        (Some("gina"), Rights::Only(&["talk", "Shared", "public"])),
        (Some("earl"), Rights::Only(&["talk", "Shared", "public", "whisper"])),
        (Some("lee"), Rights::UpTo(left, &["public"])),
        (Some("kim"), Rights::Only(&["public"])),
        (Some("xena"), Rights::Only(&["public"])),
        (None, Rights::Only(&["public"])),
    ];
    Library { world, enclave, events, values, readers }
}

impl Library {
    /// The type by which reading an event is judged.
    pub fn as_type<'a>(&'a self, event: &'a Event) -> &'a str {
        if !matches!(event.event_type.as_str(), "Update" | "Delete") {
            return &event.event_type;
        }
        let refers = protocol::event::reference(&event.tags).expect("a reference");
        &self.events.iter().find(|other| other.id == refers).expect("the event it refers to").event_type
    }

    pub fn may(&self, rights: Rights, event: &Event) -> bool {
        let as_type = self.as_type(event);
        match rights {
            Rights::Everything => true,
            Rights::AllBut(other) => as_type != other,
            Rights::Only(types) => types.contains(&as_type),
            Rights::UpTo(seq, types) => event.position.seq <= seq || types.contains(&as_type),
        }
    }

    /// What a filter means, by looking at every event.
    fn naive(&self, rights: Rights, filter: &Value) -> Vec<Value> {
        let may = self.events.iter().zip(&self.values).filter(|(event, _)| self.may(rights, event));
        let mut found: Vec<Value> = may.map(|(_, value)| value).filter(|value| meant(value, filter)).cloned().collect();
        if filter["reverse"] == true {
            found.reverse();
        }
        found
    }

    fn page(&self, name: Option<&str>, filter: &Value) -> Value {
        let read = protocol::json::parse(filter.to_string().as_bytes(), 64).expect("JSON");
        let parsed =
            Filter::parse(Some(read), &self.world.facts.limits).unwrap_or_else(|error| panic!("{error:?} {filter}"));
        let claim = name.map_or(Claim::Stranger, |name| Claim::Envelope { from: id(name) });
        self.world.call(&Call { enclave: Some(self.enclave), claim, action: Action::Query(parsed) }).expect(200).value()
    }

    /// All pages, one after the other.
    fn pages(&self, name: Option<&str>, filter: &Value) -> Vec<Value> {
        let limit = filter["limit"].as_u64().unwrap_or(100);
        let reverse = filter["reverse"] == true;
        let (mut filter, mut all) = (filter.clone(), Vec::new());
        loop {
            let mut page = self.page(name, &filter);
            assert_eq!(page["type"], "Response");
            let events = page["events"].take();
            let events = events.as_array().expect("events");
            assert!(events.len() as u64 <= limit);
            all.extend(events.iter().cloned());
            let Some(next) = page.get("next") else { return all };
            assert_eq!(*next, events.last().expect("a page that is not the last has events")["seq"]);
            filter["seq"] = onward(&filter["seq"], next, reverse);
        }
    }
}

#[track_caller]
fn same(found: &[Value], expected: &[Value], of: &str) {
    let seqs = |events: &[Value]| events.iter().map(|event| event["seq"].as_u64().expect("seq")).collect::<Vec<_>>();
    assert_eq!(seqs(found), seqs(expected), "{of}");
    assert!(found == expected, "the same events, byte for byte: {of}");
}

/// The filter's `seq` with the pages before left out.
fn onward(seq: &Value, next: &Value, reverse: bool) -> Value {
    let after = if reverse { "end_before" } else { "start_after" };
    let (same_end, other) = if reverse {
        (["end_at", "end_before"], ["start_at", "start_after"])
    } else {
        (["start_at", "start_after"], ["end_at", "end_before"])
    };
    match seq {
        Value::Object(range) => {
            let mut range = range.clone();
            same_end.iter().for_each(|name| drop(range.remove(*name)));
            assert!(range.keys().all(|name| other.contains(&name.as_str())));
            range.insert(after.to_owned(), next.clone());
            Value::Object(range)
        }
        Value::Null => json!({ after: next }),
        any => {
            let any = any.as_array().cloned().unwrap_or_else(|| vec![any.clone()]);
            let ahead = |seq: &Value| if reverse { seq.as_u64() < next.as_u64() } else { seq.as_u64() > next.as_u64() };
            Value::Array(any.into_iter().filter(ahead).collect())
        }
    }
}

/// Whether an event is meant, by the words of the protocol.
pub fn meant(event: &Value, filter: &Value) -> bool {
    let among = |name: &str| match &filter[name] {
        Value::Null => true,
        Value::Array(any) => any.contains(&event[name]),
        one => *one == event[name],
    };
    let within = |name: &str| match &filter[name] {
        Value::Object(range) => range.iter().all(|(end, bound)| {
            let (value, bound) = (event[name].as_u64().expect("a number"), bound.as_u64().expect("a number"));
            match end.as_str() {
                "start_after" => value > bound,
                "start_at" => value >= bound,
                "end_before" => value < bound,
                "end_at" => value <= bound,
                other => panic!("{other}"),
            }
        }),
        _ => among(name),
    };
    let tagged = match filter["tags"].as_array() {
        None => true,
        Some(any) => any.iter().any(|wanted| {
            let wanted = wanted.as_array().expect("a tag");
            let has = |tag: &Value| tag.as_array().expect("a tag").starts_with(wanted);
            event["tags"].as_array().expect("tags").iter().any(has)
        }),
    };
    ["id", "hash", "from", "type"].into_iter().all(among) && within("seq") && within("timestamp") && tagged
}

/// A filter of random parts, often about events that there are.
pub fn random_filter(draw: &mut Draw, events: &[Event]) -> Value {
    let count = events.len() as u64;
    let mut filter = json!({});
    let pick = |draw: &mut Draw, of: &dyn Fn(&Event) -> Value| of(&events[draw.below(count) as usize]);
    let any_of = |draw: &mut Draw, of: &dyn Fn(&Event) -> Value| {
        if draw.below(2) == 0 {
            return pick(draw, of);
        }
        let many = draw.below(4);
        Value::Array((0..many).map(|_| pick(draw, of)).collect())
    };
    let range = |draw: &mut Draw, of: &dyn Fn(&Event) -> Value| {
        let mut range = json!({});
        let shape = draw.below(3);
        if shape != 1 {
            range[if draw.below(2) == 0 { "start_after" } else { "start_at" }] = pick(draw, of);
        }
        if shape != 0 {
            range[if draw.below(2) == 0 { "end_before" } else { "end_at" }] = pick(draw, of);
        }
        range
    };
    let strange = |draw: &mut Draw| draw.below(12) == 0;
    if draw.below(8) == 0 {
        filter["id"] =
            if strange(draw) { json!("ab".repeat(32)) } else { any_of(draw, &|event| json!(event.id.hex())) };
    }
    if draw.below(8) == 0 {
        filter["hash"] = any_of(draw, &|event| json!(event.hash.hex()));
    }
    if draw.below(4) == 0 {
        filter["from"] = any_of(draw, &|event| json!(event.from.hex()));
    }
    if draw.below(3) == 0 {
        filter["type"] = if strange(draw) { json!("nothing") } else { any_of(draw, &|event| json!(event.event_type)) };
    }
    let seq: &dyn Fn(&Event) -> Value = &|event| json!(event.position.seq);
    match draw.below(4) {
        0 => filter["seq"] = any_of(draw, seq),
        1 => filter["seq"] = range(draw, seq),
        _ => {}
    }
    let time: &dyn Fn(&Event) -> Value = &|event| json!(event.position.timestamp);
    match draw.below(5) {
        0 => filter["timestamp"] = any_of(draw, time),
        1 => filter["timestamp"] = range(draw, time),
        _ => {}
    }
    if draw.below(4) == 0 {
        let tags = [
            json!(["k"]),
            json!(["k", "u"]),
            json!(["k", ""]),
            json!(["l", "v"]),
            json!(["m"]),
            json!(["r"]),
            json!(["", ""]),
        ];
        let many = draw.below(3) + 1;
        filter["tags"] = (0..many).map(|_| tags[draw.below(7) as usize].clone()).collect();
    }
    if draw.below(2) == 0 {
        filter["reverse"] = json!(draw.below(2) == 0);
    }
    if draw.below(3) != 0 {
        filter["limit"] = json!([1, 2, 7, 64, 65, 1000][draw.below(6) as usize]);
    }
    filter
}

#[test]
fn every_filter_against_all_events() {
    let library = library();
    let mut draw = Draw::new(1);
    let mut sizes = [0usize; 3];
    for _ in 0..700 {
        let (name, rights) = library.readers[draw.below(library.readers.len() as u64) as usize];
        let filter = random_filter(&mut draw, &library.events);
        let (expected, found) = (library.naive(rights, &filter), library.pages(name, &filter));
        same(&found, &expected, &format!("{name:?} {filter}"));
        sizes[expected.len().min(2)] += 1;
    }
    assert!(sizes.iter().all(|count| *count > 30), "empty, single and longer answers: {sizes:?}");
}

/// Each reader sees exactly what it may, in both directions, whatever the size of a page.
#[test]
fn readers_see_what_they_may() {
    let library = library();
    for (name, rights) in &library.readers {
        for reverse in [false, true] {
            for limit in [3, 64, 65, 1000] {
                let filter = json!({"reverse": reverse, "limit": limit});
                same(&library.pages(*name, &filter), &library.naive(*rights, &filter), &format!("{name:?} {filter}"));
            }
        }
    }
}

/// A page ends at its bytes too, and holds at least one event.
#[test]
fn pages_end_at_their_bytes() {
    let mut world = World::new();
    world.facts.limits.page_len = 8000;
    let library = library_in(world);
    let filter = json!({"limit": 1000});
    let page = library.page(Some("alice"), &filter);
    let first = page["events"].as_array().expect("events").len();
    assert!((2..9).contains(&first), "{first}");
    same(&library.pages(Some("alice"), &filter), &library.naive(Rights::Everything, &filter), "alice");
    let mut world = World::new();
    world.facts.limits.page_len = 1;
    let library = library_in(world);
    let page = library.page(Some("alice"), &json!({}));
    assert_eq!(page["events"].as_array().expect("events").len(), 1);
    let reverse = json!({"reverse": true, "type": ["talk", "Update"]});
    let rights = Rights::Only(&["talk", "Shared", "public"]);
    same(&library.pages(Some("gina"), &reverse), &library.naive(rights, &reverse), "gina");
}

/// Nothing at all to read is `unauthorized`; something, but not this, is an empty answer.
#[test]
fn forbidden_is_not_empty() {
    let world = World::new();
    let enclave = world.begin(&crate::world::template("open"));
    for name in [None, Some("bob")] {
        world.query(&enclave, name, "{}").refused("unauthorized");
    }
    world.say(&enclave, "alice", "Move", r#"{"target":"@bob","to":"MEMBER"}"#, &[]).expect(200);
    let told = world.query(&enclave, Some("bob"), r#"{"type":"nothing"}"#);
    assert_eq!(told.expect(200).value(), json!({"events": [], "type": "Response"}));
    world.say(&enclave, "bob", "Move", r#"{"target":"@bob","to":"OUTSIDER"}"#, &[]).expect(200);
    world.query(&enclave, Some("bob"), "{}").refused("unauthorized");
}

/// Leaving by one's own Move keeps what was there; being moved keeps nothing, also for one who had left before.
#[test]
fn retention() {
    let world = World::new();
    let enclave = world.begin(&crate::world::template("group"));
    let seqs = |name: &str| -> Result<Vec<u64>, String> {
        let told = world.query(&enclave, Some(name), r#"{"limit":1000}"#);
        if let Some(code) = told.code() {
            return Err(code);
        }
        Ok(told.value()["events"]
            .as_array()
            .expect("events")
            .iter()
            .map(|event| event["seq"].as_u64().expect("seq"))
            .collect())
    };
    let moved = |author: &str, name: &str, to: &str| {
        let content = format!(r#"{{"target":"@{name}","to":"{to}"}}"#);
        world.say(&enclave, author, "Move", &content, &[]).receipt().position.seq
    };
    let none = Err("unauthorized".to_owned());
    moved("alice", "bob", "MEMBER");
    moved("alice", "eve", "MEMBER");
    let message = world.say(&enclave, "bob", "message", "1", &[]).event_id().hex();
    let left = moved("bob", "bob", "OUTSIDER");
    assert_eq!(left, 4);
    world.say(&enclave, "alice", "message", "2", &[]).expect(200);
    world.say(&enclave, "alice", "Delete", "null", &[&["r", &message]]).expect(200);
    assert_eq!(seqs("bob"), Ok((0..=left).collect()), "up to its own Move, and nothing that came later");
    let kept = world.query(&enclave, Some("bob"), &format!(r#"{{"id":"{message}"}}"#)).value();
    assert_eq!(kept["events"][0]["deleted"], true, "as it is served now");
    world.post_as(&enclave, "bob", "bundle", &format!(r#""event_id":"{message}""#)).refused("unauthorized");
    world.post_as(&enclave, "bob", "inclusion", &format!(r#""event_id":"{message}""#)).refused("unauthorized");
    world.post_as(&enclave, "bob", "state", r#""namespace":0,"key":"""#).refused("unauthorized");
    let subscribed = Call {
        enclave: Some(enclave),
        claim: world.session("bob"),
        action: Action::Query(Filter { limit: 9, ..Default::default() }),
    };
    assert_eq!(world.subscribe(&subscribed).err().map(|refused| refused.code), Some(protocol::Code::Unauthorized));
    // Joining again gives the past; leaving again moves the end.
    moved("alice", "bob", "MEMBER");
    assert_eq!(seqs("bob"), Ok((0..=7).collect()));
    assert_eq!(moved("bob", "bob", "OUTSIDER"), 8);
    assert_eq!(seqs("bob"), Ok((0..=8).collect()));
    // Moved by another, even after having left: nothing stays.
    moved("alice", "bob", "BLOCKED");
    assert_eq!(seqs("bob"), none);
    moved("alice", "eve", "OUTSIDER");
    assert_eq!(seqs("eve"), none);
}

/// A deleted event and every Update of it go without content, whoever asks and however.
#[test]
fn deleted_events() {
    let world = World::new();
    let enclave = world.begin(&crate::world::template("group"));
    let first = world.say(&enclave, "alice", "message", r#""secret one""#, &[&["k", "v"]]).event_id().hex();
    let update = world.say(&enclave, "alice", "Update", r#""secret two""#, &[&["r", &first]]).event_id().hex();
    let other = world.say(&enclave, "alice", "message", r#""stays""#, &[]).event_id().hex();
    world.say(&enclave, "alice", "Delete", r#""why""#, &[&["r", &first]]).expect(200);
    for (filter, ids) in [
        ("{}".to_owned(), vec![&first, &update]),
        (r#"{"tags":[["k","v"]]}"#.to_owned(), vec![&first]),
        (format!(r#"{{"id":["{first}","{update}"]}}"#), vec![&first, &update]),
        (format!(r#"{{"tags":[["r","{first}"]],"reverse":true}}"#), vec![&update]),
    ] {
        let told = world.query(&enclave, Some("alice"), &filter);
        let text = String::from_utf8(told.body.clone()).expect("text");
        assert!(!text.contains("secret"), "{text}");
        for event in told.value()["events"].as_array().expect("events") {
            let deleted = ids.iter().any(|id| event["id"] == id.as_str());
            assert_eq!(event.get("content").is_none(), deleted, "{event}");
            assert_eq!(event.get("deleted").is_some(), deleted);
            let read = protocol::json::parse(event.to_string().as_bytes(), 64).expect("JSON");
            Event::from_json(read).expect("an event").verify().expect("hash and signatures still hold");
        }
    }
    assert!(
        world.query(&enclave, Some("alice"), &format!(r#"{{"id":"{other}"}}"#)).value()["events"][0]["content"]
            == "stays"
    );
    let stored = world.rows("SELECT content FROM events WHERE content LIKE '%secret%'");
    assert!(stored.is_empty(), "erased, not only hidden");
}

/// Another enclave's events are not found by their ids, on the same shard.
#[test]
fn ids_of_other_enclaves_are_unknown() {
    let world = World::new();
    let (mine, other) = (
        world.begin(&crate::world::template("open")),
        world.begin_with(&crate::world::template("open"), &[&["nonce", "1"]]),
    );
    let receipt = world.say(&other, "alice", "Message", "1", &[]).receipt();
    for filter in [format!(r#"{{"id":"{}"}}"#, receipt.id.hex()), format!(r#"{{"hash":"{}"}}"#, receipt.hash.hex())] {
        assert_eq!(world.query(&mine, Some("alice"), &filter).value()["events"], json!([]));
        assert_eq!(world.query(&other, Some("alice"), &filter).value()["events"].as_array().expect("events").len(), 1);
    }
    world.pass(5000);
    let asked = format!(r#""event_id":"{}""#, receipt.id.hex());
    world.post_as(&mine, "alice", "inclusion", &asked).refused("not_found");
    world.post_as(&other, "alice", "inclusion", &asked).expect(200);
    let refers = world.say(&mine, "alice", "Update", "1", &[&["r", &receipt.id.hex()]]);
    assert_ne!(refers.status, 200);
}

/// Who asks by which right: sessions of this node's key, and sealed requests where plain ones are refused.
#[test]
fn sessions() {
    let world = World::new();
    let enclave = world.begin(&crate::world::template("open"));
    let ask = |claim: Claim| {
        world.call(&Call {
            enclave: Some(enclave),
            claim,
            action: Action::Query(Filter { limit: 1, ..Default::default() }),
        })
    };
    ask(world.session("alice")).expect(200);
    ask(world.session_at("alice", &id("bob"))).refused("invalid_session");
    ask(Claim::Session { from: id("alice"), token: "xy".to_owned() }).refused("invalid_session");
    let Claim::Session { token, .. } = world.session("bob") else { panic!("a session") };
    ask(Claim::Session { from: id("alice"), token }).refused("invalid_session");
    let session = world.session("alice");
    world.pass(3_660_000);
    ask(session.clone()).expect(200);
    world.pass(1);
    ask(session).refused("session_expired");
    let key = KeyPair::from_secret(&[1; 32]).expect("a scalar");
    let made = protocol::session::Session::make(
        &key,
        &world.facts.sequencer,
        u32::try_from(world.now.get() / 1000 + 60).expect("secs"),
    );
    ask(Claim::Session { from: key.public(), token: made.encrypted.hex() }).refused("invalid_session");
    let mut sealed = World::new();
    sealed.facts.require_encryption = true;
    let enclave = sealed.begin(&crate::world::template("open"));
    let ask = |claim: Claim, action: Action| sealed.call(&Call { enclave: Some(enclave), claim, action }).word();
    let query = || Action::Query(Filter { limit: 1, ..Default::default() });
    assert_eq!(ask(sealed.session("alice"), query()), "unauthorized");
    assert_eq!(ask(Claim::Stranger, query()), "unauthorized");
    assert_eq!(ask(Claim::Envelope { from: id("alice") }, query()), "ok");
    sealed.pass(5000);
    let state = || Action::State { items: vec![], batch: true, tree_size: None };
    assert_eq!(ask(sealed.session("alice"), state()), "unauthorized");
    assert_eq!(ask(Claim::Envelope { from: id("alice") }, state()), "ok");
    sealed.say(&enclave, "alice", "Message", "1", &[]).expect(200);
}

/// All that a Query does, once, for those who look at the statements.
pub fn everything(world: &World) {
    let enclave = world.begin_with(&json(MANIFEST), &[&["nonce", "query"]]);
    let receipt = world.say(&enclave, "alice", "talk", "1", &[&["k", "v"]]).receipt();
    world.say(&enclave, "alice", "Move", r#"{"target":"@gina","to":"GUEST"}"#, &[]).expect(200);
    for reverse in [false, true] {
        for part in [
            json!({}),
            json!({"id": receipt.id.hex()}),
            json!({"hash": receipt.hash.hex()}),
            json!({"from": id("alice").hex()}),
            json!({"type": "talk"}),
            json!({"tags": [["k"]]}),
            json!({"tags": [["k", "v"]]}),
            json!({"seq": [1]}),
            json!({"timestamp": {"start_at": 1}}),
        ] {
            let mut filter = part;
            filter["reverse"] = json!(reverse);
            for name in [Some("alice"), Some("gina")] {
                world.query(&enclave, name, &filter.to_string()).expect(200);
            }
        }
    }
}
