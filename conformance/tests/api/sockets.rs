//! WebSockets: history, the end of history, what happens then; commits on a socket; every way in which a subscription ends.

use crate::world::{CALM, World, member, number, text};
use conformance::people::{json, now};
use conformance::socket::Socket;
use conformance::wire::{Ask, Connection, ask};
use protocol::commit::Draft;
use protocol::schnorr::KeyPair;
use protocol::session::Session;
use protocol::{Code, Event, Receipt};
use rustix::process::Signal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn open(world: &World) -> Socket {
    Socket::open(&world.node.address, "/").expect("the node opens sockets")
}

/// A subscription's frame, by somebody.
fn subscribe(world: &World, who: &KeyPair, sub_id: &str, filter: &str) -> String {
    let members = format!(r#""type":"Query","sub_id":"{sub_id}","enclave":"{}","filter":{filter}"#, world.enclave);
    world.by(who, &members)
}

/// The event in the next frame, which must be of this subscription.
fn event(socket: &mut Socket, sub_id: &str) -> Event {
    let frame = socket.frame();
    assert_eq!((text(&frame, "type"), text(&frame, "sub_id")), ("Event", sub_id), "{}", frame.to_jcs());
    let event = Event::from_json(member(&frame, "event").clone()).expect("an event");
    event.verify().expect("it verifies");
    event
}

fn expect(socket: &mut Socket, frame: &str) {
    assert_eq!(socket.frame().to_jcs(), json(frame).to_jcs());
}

fn eose(socket: &mut Socket, sub_id: &str) {
    expect(socket, &format!(r#"{{"type":"EOSE","sub_id":"{sub_id}"}}"#));
}

fn closed(socket: &mut Socket, sub_id: &str, reason: &str) {
    expect(socket, &format!(r#"{{"type":"Closed","sub_id":"{sub_id}","reason":"{reason}"}}"#));
}

#[test]
fn history_then_its_end_then_what_happens() {
    let world = World::new();
    let first: Vec<_> = (0..3).map(|place| world.say(&world.bob, "message", &place.to_string())).collect();
    let mut socket = open(&world);
    socket.send(&subscribe(&world, &world.bob, "a", "{}"));
    for receipt in &first {
        assert_eq!(event(&mut socket, "a").id, receipt.id);
    }
    eose(&mut socket, "a");
    // 13: broadcast, once each, in order, and only what bob may read.
    world.say(&world.alice, "secret", "1");
    let live: Vec<_> = (3..9).map(|place| world.say(&world.bob, "message", &place.to_string())).collect();
    for receipt in &live {
        assert_eq!(event(&mut socket, "a").id, receipt.id);
    }
    assert!(socket.is_silent(), "nothing is doubled");
    // The limit cuts history only; a filter holds for both.
    socket.send(&subscribe(&world, &world.bob, "b", r#"{"type":"message","limit":2,"reverse":true}"#));
    assert_eq!([event(&mut socket, "b").id, event(&mut socket, "b").id], [live[5].id, live[4].id]);
    eose(&mut socket, "b");
    let last = [world.say(&world.bob, "message", "9"), world.say(&world.bob, "message", "10")];
    let mut seen: Vec<_> = (0..4)
        .map(|_| socket.frame())
        .map(|frame| (text(&frame, "sub_id").to_owned(), number(member(&frame, "event"), "seq")))
        .collect();
    seen.sort();
    let expected: Vec<_> =
        ["a", "b"].iter().flat_map(|sub_id| last.iter().map(|r| (sub_id.to_string(), r.position.seq))).collect();
    assert_eq!(seen, expected);
    socket.send(r#"{"type":"Close","sub_id":"a"}"#);
    closed(&mut socket, "a", "closed");
    world.say(&world.bob, "message", "11");
    event(&mut socket, "b");
    socket.send(r#"{"type":"Close","sub_id":"never"}"#);
    assert!(socket.is_silent(), "what is not there needs no closing");
}

#[test]
fn a_socket_stands_at_an_enclave_or_at_none() {
    let world = World::new();
    let receipt = world.say(&world.bob, "message", "1");
    let id = world.enclave;
    let nameless = world.by(&world.bob, r#""type":"Query","sub_id":"x""#);
    for path in [format!("/enclaves/{id}"), format!("/enclave/{id}"), format!("/{id}"), format!("/?enclave={id}")] {
        let mut socket = Socket::open(&world.node.address, &path).expect("each spelling opens");
        socket.send(&nameless);
        assert_eq!(event(&mut socket, "x").id, receipt.id, "{path}");
        eose(&mut socket, "x");
        let elsewhere = format!(r#"{{"type":"Query","sub_id":"y","enclave":"{}"}}"#, "ab".repeat(32));
        socket.send(&elsewhere);
        closed(&mut socket, "y", "invalid_structure");
    }
    let mut socket = open(&world);
    socket.send(&nameless);
    closed(&mut socket, "x", "invalid_structure");
    for (path, status) in
        [(format!("/{}", id.hex().to_uppercase()), 400), ("/nowhere".into(), 404), ("/sth".into(), 400)]
    {
        assert_eq!(Socket::open(&world.node.address, &path).err(), Some(status), "{path}");
    }
    let upgrade = Ask::get("/").header("Upgrade", "websocket").header("Connection", "Upgrade");
    let answer = Connection::open(&world.node.address).and_then(|mut connection| connection.ask(&upgrade));
    assert_eq!(answer.expect("an answer").status, 400, "a handshake without a key is none");
}

#[test]
fn commits_on_a_socket_get_receipts() {
    let world = World::new();
    let mut socket = open(&world);
    let commits: Vec<_> = (0..20).map(|place| world.commit(&world.bob, "message", &place.to_string())).collect();
    for commit in &commits {
        socket.send(&commit.to_json().to_jcs());
    }
    let mut receipts: Vec<Receipt> = (0..20).map(|_| Receipt::from_json(socket.frame()).expect("a receipt")).collect();
    receipts.sort_by_key(|receipt| receipt.position.seq);
    for (place, (commit, receipt)) in commits.iter().zip(&receipts).enumerate() {
        receipt.verify(commit, &world.node.sequencer).expect("each is its own commit's");
        assert_eq!(receipt.position.seq, 1 + place as u64, "frames are queued in their order");
    }
    let refusals = [
        (world.commit(&world.stranger, "message", "1"), "unauthorized"),
        (protocol::Commit { content: "5".into(), ..commits[0].clone() }, "invalid_hash"),
        (Draft { exp: 1, ..world.draft("message", "1") }.sign(&world.bob).into_commit(), "expired"),
        (commits[0].clone(), "duplicate"),
    ];
    for (commit, code) in refusals {
        let before = world.tables.dump();
        socket.send(&commit.to_json().to_jcs());
        let frame = socket.frame();
        assert_eq!((text(&frame, "type"), text(&frame, "error")), ("Error", code));
        assert_eq!(text(&frame, "hash"), commit.hash.hex());
        assert_eq!(text(&frame, "message"), Code::parse(code).expect("a code").message());
        assert_eq!(before, world.tables.dump());
    }
}

#[test]
fn bad_frames_are_told_what_is_wrong_and_the_socket_lives() {
    let world = World::new();
    let mut socket = open(&world);
    let query = |members: &str| format!(r#"{{"type":"Query","enclave":"{}",{members}}}"#, world.enclave);
    let long = "x".repeat(65);
    let errors: Vec<(String, &str)> = vec![
        ("{".into(), "invalid_json"),
        ("".into(), "invalid_json"),
        ("[]".into(), "invalid_structure"),
        ("{}".into(), "invalid_structure"),
        (r#"{"type":"Close"}"#.into(), "invalid_structure"),
        (r#"{"type":"Query"}"#.into(), "invalid_structure"),
        (r#"{"sub_id":""}"#.into(), "invalid_structure"),
        (r#"{"sub_id":1}"#.into(), "invalid_structure"),
        (query(&format!(r#""sub_id":"{long}""#)), "invalid_structure"),
        (r#"{"exp":1}"#.into(), "invalid_structure"),
        (format!("{{\"exp\":1,\"content\":{}1{}}}", "[".repeat(60), "]".repeat(60)), "invalid_structure"),
        (format!("\"{}\"", "x".repeat(1 << 20)), "too_large"),
    ];
    for (frame, code) in errors {
        socket.send(&frame);
        let answer = socket.frame();
        assert_eq!((text(&answer, "type"), text(&answer, "error")), ("Error", code), "{:.60}", frame);
    }
    socket.send_bytes(b"{}");
    assert_eq!(text(&socket.frame(), "error"), "invalid_json", "binary frames hold no JSON");
    let ends: Vec<(String, &str)> = vec![
        (query(r#""sub_id":"x","more":1"#), "invalid_structure"),
        (query(r#""sub_id":"x","filter":{"limit":0}"#), "invalid_structure"),
        (query(r#""sub_id":"x","filter":{"limit":1001}"#), "limit_exceeded"),
        (query(r#""sub_id":"x","session":"ab""#), "invalid_session"),
        (r#"{"type":"Query","sub_id":"x","enclave":"XY"}"#.into(), "invalid_structure"),
        (format!(r#"{{"type":"Query","sub_id":"x","enclave":"{}"}}"#, "ab".repeat(32)), "enclave_not_found"),
        (format!(r#"{{"type":"Pull","sub_id":"x","enclave":"{}"}}"#, world.enclave), "invalid_structure"),
        (r#"{"type":"Other","sub_id":"x"}"#.into(), "invalid_structure"),
        (over(&world, -62), "session_expired"),
    ];
    for (frame, reason) in ends {
        socket.send(&frame);
        closed(&mut socket, "x", reason);
    }
    socket.send(&subscribe(&world, &world.bob, "x", "{}"));
    eose(&mut socket, "x");
}

/// A subscription by bob with a session of so many seconds.
fn over(world: &World, seconds: i64) -> String {
    let expires = i64::try_from(now() / 1000).expect("a time before 2106") + seconds;
    let expires = u32::try_from(expires).expect("a time before 2106");
    let session = Session::make(&world.bob, &world.node.sequencer, expires).plain.hex();
    let (enclave, from) = (world.enclave, world.bob.public());
    format!(r#"{{"type":"Query","sub_id":"x","enclave":"{enclave}","from":"{from}","session":"{session}"}}"#)
}

#[test]
fn a_subscription_ends_with_the_right_to_read() {
    let world = World::new();
    // Where the public reads nothing, whoever is blocked reads nothing at all.
    let content = json(&world.manifest("closed", CALM).content.replace(r#",{"reads":["notice"],"type":"Public"}"#, ""));
    let manifest = Draft::manifest(&world.alice, &content, Vec::new(), now() + 60_000).sign(&world.alice).into_commit();
    world.submit(&manifest);
    let enclave = manifest.enclave;
    let commit = |who: &KeyPair, event_type: &str, content: &str| {
        world.submit(&Draft::new(enclave, event_type, &json(content), now() + 60_000).sign(who).into_commit())
    };
    let mut socket = open(&world);
    let query = |who: &KeyPair, sub_id: &str| {
        world.by(who, &format!(r#""type":"Query","sub_id":"{sub_id}","enclave":"{enclave}""#))
    };
    socket.send(&query(&world.stranger, "stranger"));
    closed(&mut socket, "stranger", "unauthorized");
    for sub_id in ["bob", "carol"] {
        let who = if sub_id == "bob" { &world.bob } else { &world.carol };
        socket.send(&query(who, sub_id));
        eose(&mut socket, sub_id);
    }
    let moved = commit(&world.carol, "Move", &format!(r#"{{"target":"{}","to":"BLOCKED"}}"#, world.bob.public()));
    let mut frames = [socket.frame(), socket.frame()];
    frames.sort_by_key(|frame| text(frame, "sub_id").to_owned());
    assert_eq!(
        frames[0].to_jcs(),
        r#"{"reason":"unauthorized","sub_id":"bob","type":"Closed"}"#,
        "not even this event"
    );
    assert_eq!(number(member(&frames[1], "event"), "seq"), moved.position.seq, "carol sees it");
}

/// Sixty seconds after its session's `expires` a subscription ends by itself: this one's is a second away.
#[test]
fn a_subscription_ends_with_its_session() {
    let world = World::new();
    let mut socket = open(&world);
    let asked = now();
    socket.send(&over(&world, -58));
    eose(&mut socket, "x");
    closed(&mut socket, "x", "session_expired");
    let lived = now() - asked;
    assert!((500..10_000).contains(&lived), "two seconds were left of it, it lived {lived} ms");
}

#[test]
fn subscriptions_are_limited_and_replaced_by_name() {
    let world = World::new();
    let receipt = world.say(&world.bob, "message", "1");
    let mut socket = open(&world);
    for place in 0..64 {
        socket.send(&subscribe(&world, &world.bob, &place.to_string(), r#"{"type":"none"}"#));
    }
    let mut ended: Vec<String> =
        (0..64).map(|_| socket.frame()).map(|frame| text(&frame, "sub_id").to_owned()).collect();
    ended.sort_by_key(|sub_id| sub_id.parse::<u64>().expect("a number"));
    assert_eq!(ended, (0..64).map(|place| place.to_string()).collect::<Vec<_>>());
    socket.send(&subscribe(&world, &world.bob, "one too many", "{}"));
    closed(&mut socket, "one too many", "limit_exceeded");
    // A name that is taken is replaced, and is no further one.
    socket.send(&subscribe(&world, &world.bob, "7", "{}"));
    assert_eq!(event(&mut socket, "7").id, receipt.id);
    eose(&mut socket, "7");
    socket.send(r#"{"type":"Close","sub_id":"8"}"#);
    closed(&mut socket, "8", "closed");
    socket.send(&subscribe(&world, &world.bob, "one in its place", r#"{"type":"none"}"#));
    eose(&mut socket, "one in its place");
}

#[test]
fn sockets_are_limited_by_address() {
    let world = World::configured("[websocket]\nsockets_per_address = 3\n").with_hall();
    let held: Vec<Socket> = (0..3).map(|_| open(&world)).collect();
    assert_eq!(Socket::open(&world.node.address, "/").err(), Some(400));
    assert_eq!(held.len(), 3);
}

#[test]
fn subscriptions_are_limited_by_identity() {
    let world = World::configured("[websocket]\nsubscriptions_per_identity = 2\n").with_hall();
    let mut sockets = [open(&world), open(&world)];
    for (place, socket) in sockets.iter_mut().enumerate() {
        socket.send(&subscribe(&world, &world.bob, &place.to_string(), "{}"));
        eose(socket, &place.to_string());
    }
    sockets[0].send(&subscribe(&world, &world.bob, "third", "{}"));
    closed(&mut sockets[0], "third", "limit_exceeded");
    sockets[0].send(&subscribe(&world, &world.carol, "hers", "{}"));
    eose(&mut sockets[0], "hers");
    sockets[1].send(r#"{"type":"Close","sub_id":"1"}"#);
    closed(&mut sockets[1], "1", "closed");
}

/// A node that gets little time finds a bundle due at each of its steps. It is slow then, and gives no reader up.
#[test]
fn a_node_that_is_held_up_ends_no_subscription() {
    const ENOUGH: u64 = 30;
    let mut world = World::new();
    world.enclave = world.create("hurry", r#""bundle":{"size":256,"timeout":100},"#);
    let mut socket = open(&world);
    socket.send(&subscribe(&world, &world.bob, "a", r#"{"type":"message"}"#));
    eose(&mut socket, "a");
    let asks = (0..ENOUGH).map(|n| World::submitting(&world.commit(&world.bob, "message", &n.to_string())));
    let (asks, node, done) = (asks.collect::<Vec<_>>(), &world.node, &AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(move || asks.iter().for_each(|one| assert_eq!(ask(&node.address, one).status, 200)));
        scope.spawn(move || {
            for step in (0..4).cycle() {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                node.freeze().expect("it stops where it stands");
                // The time that passes is the point: longer than a bundle stays open.
                std::thread::sleep(Duration::from_millis(110));
                node.signal(Signal::CONT);
                std::thread::sleep(Duration::from_micros(500 + step * 400));
            }
        });
        let is_event = |frame: &protocol::Json| text(frame, "type") == "Event";
        let broken = (0..ENOUGH).find(|_| !socket.next_frame().as_ref().is_some_and(is_event));
        done.store(true, Ordering::Relaxed);
        assert_eq!(broken, None, "each message comes as an event");
    });
}
