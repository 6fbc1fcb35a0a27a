//! Subscriptions: history, EOSE, then what comes; nothing lost, nothing doubled, nothing to one who may not read it any more.

use crate::querying::{Library, Rights, library_with, meant, random_filter};
use crate::world::{Draw, World, id, template};
use protocol::{Code, EnclaveId, Event};
use serde_json::{Value, json};
use service::Call;
use service::call::{Action, Claim, Filter};
use service::live::Subscription;

pub fn query(world: &World, enclave: &EnclaveId, claim: Claim, filter: &Value) -> Call {
    let read = protocol::json::parse(filter.to_string().as_bytes(), 64).expect("JSON");
    let filter = Filter::parse(Some(read), &world.facts.limits).unwrap_or_else(|error| panic!("{error:?} {filter}"));
    Call { enclave: Some(*enclave), claim, action: Action::Query(filter) }
}

pub fn open(world: &World, enclave: &EnclaveId, name: &str, filter: Value) -> Subscription {
    let call = query(world, enclave, world.session(name), &filter);
    world.subscribe(&call).unwrap_or_else(|refused| panic!("{refused:?}"))
}

/// `3`, `EOSE` or `Closed reason` of each frame; an event must verify.
pub fn words(frames: &[Value]) -> Vec<String> {
    frames
        .iter()
        .map(|frame| {
            assert_eq!(frame["sub_id"], "s");
            match frame["type"].as_str().expect("a type") {
                "Event" => {
                    let event = protocol::json::parse(frame["event"].to_string().as_bytes(), 64).expect("JSON");
                    Event::from_json(event).expect("an event").verify().expect("it holds");
                    frame["event"]["seq"].to_string()
                }
                "EOSE" => "EOSE".to_owned(),
                "Closed" => format!("Closed {}", frame["reason"].as_str().expect("a reason")),
                other => panic!("{other}"),
            }
        })
        .collect()
}

fn said(world: &World, subscription: &mut Subscription) -> Vec<String> {
    let (frames, closed) = world.advance(subscription);
    let words = words(&frames);
    assert_eq!(words.last().and_then(|last| last.strip_prefix("Closed ")), closed);
    words
}

pub fn group() -> (World, EnclaveId) {
    let world = World::new();
    let enclave = world.begin(&template("group"));
    (world, enclave)
}

pub fn moved(world: &World, enclave: &EnclaveId, author: &str, name: &str, to: &str) {
    let content = format!(r#"{{"target":"@{name}","to":"{to}"}}"#);
    world.say(enclave, author, "Move", &content, &[]).expect(200);
}

pub fn message(world: &World, enclave: &EnclaveId, author: &str) -> String {
    world.say(enclave, author, "message", "1", &[]).event_id().hex()
}

#[test]
fn history_then_live() {
    let (world, enclave) = group();
    moved(&world, &enclave, "alice", "bob", "MEMBER");
    let mut all = open(&world, &enclave, "bob", json!({}));
    message(&world, &enclave, "alice");
    assert_eq!(said(&world, &mut all), ["0", "1", "EOSE", "2"]);
    assert_eq!(said(&world, &mut all), [""; 0]);
    for _ in 0..3 {
        message(&world, &enclave, "bob");
    }
    assert_eq!(said(&world, &mut all), ["3", "4", "5"]);
    let mut none = open(&world, &enclave, "bob", json!({"type": "nothing"}));
    assert_eq!(said(&world, &mut none), ["EOSE"], "history ends also where there is none");
    let mut newest = open(&world, &enclave, "bob", json!({"reverse": true, "limit": 2}));
    message(&world, &enclave, "bob");
    assert_eq!(said(&world, &mut newest), ["5", "4", "EOSE", "6"], "a limit cuts history only, live goes upwards");
    for _ in 0..3 {
        message(&world, &enclave, "bob");
    }
    assert_eq!(said(&world, &mut newest), ["7", "8", "9"]);
    let mut later = open(&world, &enclave, "bob", json!({"seq": {"start_at": 9, "end_at": 11}}));
    for _ in 0..3 {
        message(&world, &enclave, "bob");
    }
    assert_eq!(said(&world, &mut later), ["9", "EOSE", "10", "11"]);
}

/// The owner hands the enclave to zoe's node.
pub fn handed_over(world: &World, enclave: &EnclaveId) {
    let sth = world.ask(enclave, Action::Sth).value();
    let record = world.say(enclave, "alice", "Migrate", &migrate(0, sth["root_hash"].as_str().expect("a root")), &[]);
    let now = record.refused("bad_state").value();
    let (seq, root) = (now["prev_seq"].as_u64().expect("a place"), now["ct_root"].as_str().expect("a root"));
    world.say(enclave, "alice", "Migrate", &migrate(seq, root), &[]).expect(200);
}

fn migrate(prev_seq: u64, root: &str) -> String {
    format!(r#"{{"new_sequencer":"{}","prev_seq":{prev_seq},"ct_root":"{root}"}}"#, id("zoe").hex())
}

/// Whoever waits is sent all there is, and then told that it goes on elsewhere: those who see the Migrate, and those who asked for something else.
#[test]
fn a_subscription_ends_with_its_log() {
    let (world, enclave) = group();
    moved(&world, &enclave, "alice", "bob", "MEMBER");
    let mut all = open(&world, &enclave, "bob", json!({}));
    let mut messages = open(&world, &enclave, "bob", json!({"type": "message"}));
    assert_eq!(said(&world, &mut all), ["0", "1", "EOSE"]);
    assert_eq!(said(&world, &mut messages), ["EOSE"]);
    let mut unread = open(&world, &enclave, "bob", json!({"seq": {"start_at": 1}}));
    message(&world, &enclave, "alice");
    handed_over(&world, &enclave);
    assert_eq!(said(&world, &mut all), ["2", "3", "Closed enclave_migrated"]);
    assert_eq!(said(&world, &mut messages), ["2", "Closed enclave_migrated"]);
    assert_eq!(said(&world, &mut unread), ["1", "EOSE", "2", "3", "Closed enclave_migrated"]);
    let mut late = open(&world, &enclave, "bob", json!({"limit": 1, "reverse": true}));
    assert_eq!(said(&world, &mut late), ["3", "EOSE", "Closed enclave_migrated"]);
}

/// The event that removes a reader is not sent to it, however the events came in.
#[test]
fn a_removed_reader_hears_nothing_of_it() {
    for together in [false, true] {
        let (world, enclave) = group();
        moved(&world, &enclave, "alice", "bob", "MEMBER");
        let mut bob = open(&world, &enclave, "bob", json!({}));
        assert_eq!(said(&world, &mut bob), ["0", "1", "EOSE"]);
        message(&world, &enclave, "alice");
        if !together {
            assert_eq!(said(&world, &mut bob), ["2"]);
        }
        moved(&world, &enclave, "alice", "bob", "BLOCKED");
        message(&world, &enclave, "alice");
        assert_eq!(said(&world, &mut bob), ["Closed unauthorized"]);
    }
    // Its own Move ends it as well: what one keeps is for Query.
    let (world, enclave) = group();
    moved(&world, &enclave, "alice", "bob", "MEMBER");
    let mut bob = open(&world, &enclave, "bob", json!({}));
    moved(&world, &enclave, "bob", "bob", "OUTSIDER");
    assert_eq!(said(&world, &mut bob), ["Closed unauthorized"]);
    let call = query(&world, &enclave, world.session("bob"), &json!({}));
    assert_eq!(world.subscribe(&call).err().map(|refused| refused.code), Some(Code::Unauthorized));
    world.call(&call).expect(200);
}

#[test]
fn a_session_ends() {
    let (world, enclave) = group();
    let mut alice = open(&world, &enclave, "alice", json!({}));
    assert_eq!(said(&world, &mut alice), ["0", "EOSE"]);
    let end = alice.ends_at();
    assert_eq!(end, world.now.get() + 3_600_000 + 60_000);
    world.now.set(end);
    message(&world, &enclave, "alice");
    assert_eq!(said(&world, &mut alice), ["1"]);
    world.now.set(end + 1);
    message(&world, &enclave, "alice");
    assert_eq!(said(&world, &mut alice), ["Closed session_expired"]);
}

#[test]
fn refused_at_once() {
    let (world, enclave) = group();
    let refused = |world: &World, enclave: &EnclaveId, claim: Claim| {
        world.subscribe(&query(world, enclave, claim, &json!({}))).err().map(|refused| refused.code)
    };
    assert_eq!(refused(&world, &enclave, Claim::Stranger), Some(Code::Unauthorized));
    assert_eq!(refused(&world, &enclave, world.session("bob")), Some(Code::Unauthorized));
    assert_eq!(refused(&world, &enclave, world.session_at("alice", &id("bob"))), Some(Code::InvalidSession));
    assert_eq!(refused(&world, &EnclaveId([1; 32]), world.session("alice")), Some(Code::EnclaveNotFound));
    assert_eq!(refused(&world, &enclave, world.session("alice")), None);
    let mut sealed = World::new();
    sealed.facts.require_encryption = true;
    let enclave = sealed.begin(&template("group"));
    assert_eq!(refused(&sealed, &enclave, sealed.session("alice")), Some(Code::Unauthorized));
}

/// History of more than a turn, while more comes in between the turns.
#[test]
fn turns() {
    let (world, enclave) = group();
    let ids: Vec<String> = (0..250).map(|_| message(&world, &enclave, "alice")).collect();
    for (filter, expected) in [
        (json!({"limit": 1000}), (0..=250).collect::<Vec<u64>>()),
        (json!({"limit": 230}), (0..230).collect()),
        (json!({"limit": 230, "reverse": true}), (21..=250).rev().collect()),
        (json!({"limit": 1000, "reverse": true}), (0..=250).rev().collect()),
        (json!({"limit": 100}), (0..100).collect()),
    ] {
        let mut subscription = open(&world, &enclave, "alice", filter.clone());
        let first = world.rows("SELECT max(seq) FROM events").into_iter().next().expect("a row");
        let (mut seqs, mut turns, mut eose) = (Vec::new(), 0, None);
        loop {
            let turn = world.turn(&mut subscription);
            assert!(turn.frames.len() <= 101 && turn.closed.is_none());
            for word in
                words(&turn.frames.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect::<Vec<_>>())
            {
                match word.as_str() {
                    "EOSE" => eose = Some(seqs.len()),
                    seq => seqs.push(seq.parse::<u64>().expect("a number")),
                }
            }
            if !turn.more {
                break;
            }
            turns += 1;
            message(&world, &enclave, "alice");
        }
        assert!(turns >= expected.len() / 101);
        let first: u64 = first.parse().expect("a number");
        let history = eose.expect("history ends");
        let before: Vec<u64> = seqs[..history].iter().copied().filter(|seq| *seq <= 250).collect();
        let shown: Vec<u64> = expected.iter().copied().filter(|seq| before.contains(seq)).collect();
        assert_eq!(before, shown, "{filter}");
        assert_eq!(history, (first as usize + 1).min(filter["limit"].as_u64().expect("a limit") as usize));
        let live: Vec<u64> = (first + 1..=first + turns as u64).collect();
        assert_eq!(seqs[history..], live, "{filter}");
    }
    // What was deleted after the subscription was opened goes without content.
    let mut subscription = open(&world, &enclave, "alice", json!({"limit": 1000}));
    world.turn(&mut subscription);
    world.say(&enclave, "alice", "Delete", "null", &[&["r", &ids[200]]]).expect(200);
    let (frames, _) = world.advance(&mut subscription);
    let sent = frames.iter().find(|frame| frame["event"]["id"] == ids[200].as_str()).expect("the event is sent");
    assert_eq!(sent["event"]["deleted"], true);
}

/// A turn ends at the bytes of a page too.
#[test]
fn turns_end_at_their_bytes() {
    let mut world = World::new();
    world.facts.limits.page_len = 1;
    let enclave = world.begin(&template("group"));
    for _ in 0..5 {
        message(&world, &enclave, "alice");
    }
    let mut alice = open(&world, &enclave, "alice", json!({}));
    assert_eq!(world.turn(&mut alice).frames.len(), 1);
    assert_eq!(said(&world, &mut alice), ["1", "2", "3", "4", "5", "EOSE"]);
    for _ in 0..3 {
        message(&world, &enclave, "alice");
    }
    let turn = world.turn(&mut alice);
    assert_eq!((turn.frames.len(), turn.more), (1, true));
    assert_eq!(said(&world, &mut alice), ["7", "8"]);
}

/// A bundle that comes due is closed before anything is sent, on a host whose readers cannot write.
#[test]
fn what_is_due_is_closed_first() {
    let (world, enclave) = group();
    world.pass(5000);
    let mut alice = open(&world, &enclave, "alice", json!({}));
    assert_eq!(world.rows("SELECT idx FROM bundles").len(), 1);
    message(&world, &enclave, "alice");
    world.pass(5000);
    assert_eq!(said(&world, &mut alice), ["0", "EOSE", "1"]);
    assert_eq!(world.rows("SELECT idx FROM bundles").len(), 2);
}

struct Listener {
    name: Option<&'static str>,
    filter: Value,
    opened: u64,
    subscription: Subscription,
    words: Vec<String>,
    /// Hears of every event by itself; others of some at a time.
    keen: bool,
}

/// Many subscriptions beside a library that grows, each against all events.
#[test]
fn against_all_events() {
    let mut draw = Draw::new(3);
    let (mut listeners, mut count): (Vec<Listener>, u64) = (Vec::new(), 0);
    let names = [Some("alice"), Some("sue"), Some("gina"), Some("lee"), Some("kim"), Some("xena"), None];
    let library: Library = library_with(World::new(), &mut |world, enclave, _| {
        count = world.rows("SELECT seq FROM events").len() as u64;
        if count > 9 && draw.below(2) == 0 {
            let name = names[draw.below(7) as usize];
            let mut filter = random_live_filter(&mut draw, world, &enclave);
            if draw.below(2) == 0 {
                filter["limit"] = json!(draw.below(20) + 1);
            }
            let claim = name.map_or(Claim::Stranger, |name| world.session(name));
            let subscription = world.subscribe(&query(world, &enclave, claim, &filter)).expect("public is readable");
            let keen = matches!(name, Some("lee" | "kim")) || draw.below(2) == 0;
            listeners.push(Listener { name, filter, opened: count, subscription, words: vec![], keen });
        }
        for listener in &mut listeners {
            if listener.keen || draw.below(5) == 0 {
                let words = said(world, &mut listener.subscription);
                listener.words.extend(words);
            }
        }
    });
    assert!(listeners.len() > 30);
    for listener in &mut listeners {
        let words = said(&library.world, &mut listener.subscription);
        listener.words.extend(words);
        let rights = library.readers.iter().find(|(name, _)| *name == listener.name).expect("a reader").1;
        assert_eq!(listener.words, expected(&library, listener, rights), "{:?} {}", listener.name, listener.filter);
    }
}

pub fn random_live_filter(draw: &mut Draw, world: &World, enclave: &EnclaveId) -> Value {
    let call = Call { enclave: Some(*enclave), claim: Claim::Admin, action: Action::Snapshot };
    let file = world.call(&call).expect(200).body.clone();
    let read = protocol::snapshot::Snapshot::read(&file).expect("a snapshot");
    let events: Vec<Event> = read.events().map(|event| event.expect("an event")).collect();
    random_filter(draw, &events)
}

/// What a listener must have heard: history as it could be read when it was asked, EOSE, then each event as it came.
fn expected(library: &Library, listener: &Listener, rights: Rights) -> Vec<String> {
    // Those who leave on the way read by one rule before and by another after.
    let left = library.readers.iter().find_map(|(_, rights)| match rights {
        Rights::UpTo(seq, _) => Some(*seq),
        _ => None,
    });
    let left = left.expect("lee has left");
    let end = match listener.name {
        Some("lee") => left,
        Some("kim") => left + 1,
        _ => u64::MAX,
    };
    let may = |event: &Event, seq: u64| match listener.name {
        Some("lee" | "kim") if seq < end => true,
        Some("lee" | "kim") => library.as_type(event) == "public",
        _ => library.may(rights, event),
    };
    let value = |event: &Event| -> Value { serde_json::from_str(&event.to_json().to_jcs()).expect("JSON") };
    let wanted = |event: &&Event| meant(&value(event), &listener.filter);
    let at = listener.opened;
    let seqs = |event: &Event| event.position.seq.to_string();
    // History is sent at the first turn, which for these is the moment of opening.
    let before = library.events.iter().filter(|event| event.position.seq < at && may(event, at.saturating_sub(1)));
    let mut history: Vec<String> = before.filter(wanted).map(seqs).collect();
    if listener.filter["reverse"] == true {
        history.reverse();
    }
    history.truncate(listener.filter["limit"].as_u64().unwrap_or(100) as usize);
    let live = library.events.iter().filter(|event| event.position.seq >= at && may(event, event.position.seq));
    history.push("EOSE".to_owned());
    history.extend(live.filter(wanted).map(seqs));
    history
}

/// Frames that answer what is no subscription.
#[test]
fn other_frames() {
    let rejection = protocol::Rejection::new(Code::Overloaded);
    let told: Value = serde_json::from_str(&service::live::error_frame(&rejection, None)).expect("JSON");
    assert_eq!((&told["type"], &told["error"]), (&json!("Error"), &json!("overloaded")));
    assert!(told["message"].is_string() && told.get("hash").is_none());
    let hash = protocol::CommitHash([7; 32]);
    let told: Value = serde_json::from_str(&service::live::error_frame(&rejection, Some(&hash))).expect("JSON");
    assert_eq!(told["hash"], hash.hex());
    assert_eq!(service::live::closed_frame("a\"b", "closed"), r#"{"reason":"closed","sub_id":"a\"b","type":"Closed"}"#);
}
