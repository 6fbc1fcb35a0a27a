//! What subscriptions of one enclave share: each sends by it, byte for byte, what it would have sent by itself.

use crate::querying::library_with;
use crate::subscribing::{group, handed_over, message, moved, open, query, random_live_filter, words};
use crate::world::{Draw, World};
use protocol::EnclaveId;
use serde_json::{Value, json};
use service::call::Claim;
use service::live::Subscription;
use service::tail::{MOST_EVENTS, MOST_LEN, Tail};

/// Frames, whether it has ended, and how many of the frames came from the tail.
type Said = (Vec<String>, Option<&'static str>, usize);

/// All that a subscription has to say, by a tail as far as that serves it.
fn by_tail(world: &World, subscription: &mut Subscription, tail: &Tail) -> Said {
    let (mut frames, mut shared) = (Vec::new(), 0);
    loop {
        let turn = match world.shared(subscription, tail) {
            Some(turn) => {
                shared += turn.frames.len();
                turn
            }
            None => world.turn(subscription),
        };
        frames.extend(turn.frames);
        if turn.closed.is_some() || !turn.more {
            return (frames, turn.closed, shared);
        }
    }
}

/// The same by its own reads only.
fn alone(world: &World, subscription: &mut Subscription) -> (Vec<String>, Option<&'static str>) {
    let mut frames = Vec::new();
    loop {
        let turn = world.turn(subscription);
        frames.extend(turn.frames);
        if turn.closed.is_some() || !turn.more {
            return (frames, turn.closed);
        }
    }
}

/// What a subscription says by the tail alone, in words; `itself` where it has to read.
fn said(world: &World, subscription: &mut Subscription, tail: &Tail) -> Vec<String> {
    match world.shared(subscription, tail) {
        None => vec!["itself".to_owned()],
        Some(turn) => {
            let frames: Vec<Value> =
                turn.frames.iter().map(|frame| serde_json::from_str(frame).expect("JSON")).collect();
            words(&frames)
        }
    }
}

fn after(world: &World, enclave: &EnclaveId, before: &Tail) -> Tail {
    world.tail(enclave, Some(before)).expect("the enclave is here")
}

/// A group with bob in it, a subscription by each name past its history, and a tail.
fn followed(names: &[&str]) -> (World, EnclaveId, Vec<Subscription>, Tail) {
    let (world, enclave) = group();
    moved(&world, &enclave, "alice", "bob", "MEMBER");
    let tail = world.tail(&enclave, None).expect("the enclave is here");
    let mut subscriptions: Vec<Subscription> =
        names.iter().map(|name| open(&world, &enclave, name, json!({}))).collect();
    for subscription in &mut subscriptions {
        let (_, closed) = alone(&world, subscription);
        assert_eq!(closed, None);
    }
    (world, enclave, subscriptions, tail)
}

struct Pair {
    alone: Subscription,
    sharing: Subscription,
    /// Looks whenever the tail has grown; others sometimes, and fall behind.
    keen: bool,
    ended: bool,
}

/// Random filters, readers who leave on the way, deletes, updates: after each gathering both of a pair have said the same.
#[test]
fn with_a_tail_and_without_the_same_is_sent() {
    let (mut sent, mut shared) = (0, 0);
    for seed in 1..6 {
        let mut draw = Draw::new(seed);
        let (mut pairs, mut tail): (Vec<Pair>, Option<Tail>) = (Vec::new(), None);
        let mut count = 0;
        let names = [Some("alice"), Some("sue"), Some("gina"), Some("lee"), Some("kim"), Some("xena"), None];
        library_with(World::new(), &mut |world, enclave, _| {
            count += 1;
            if count > 9 && draw.below(2) == 0 {
                let name = names[draw.below(7) as usize];
                // A filter mostly leaves little; without one there is more to share.
                let filter = match draw.below(2) {
                    0 => json!({}),
                    _ => random_live_filter(&mut draw, world, &enclave),
                };
                let claim = name.map_or(Claim::Stranger, |name| world.session(name));
                let opened = world.subscribe(&query(world, &enclave, claim, &filter)).expect("public is readable");
                let keen = draw.below(3) > 0;
                pairs.push(Pair { alone: opened.clone(), sharing: opened, keen, ended: false });
            }
            if draw.below(4) == 0 {
                return;
            }
            let next = world.tail(&enclave, tail.as_ref()).expect("the enclave is here");
            assert!(next.is_whole());
            tail = Some(if draw.below(9) == 0 { next.emptied() } else { next });
            let tail = tail.as_ref().expect("it was read");
            for pair in pairs.iter_mut().filter(|pair| !pair.ended && (pair.keen || draw.below(5) == 0)) {
                let (frames, closed, by) = by_tail(world, &mut pair.sharing, tail);
                sent += frames.len();
                shared += by;
                pair.ended = closed.is_some();
                assert_eq!((frames, closed), alone(world, &mut pair.alone));
            }
        });
    }
    assert!(sent > 1000 && shared > 150, "{sent} frames, {shared} by a tail");
}

/// What comes together is judged on what it leaves behind.
#[test]
fn rights_that_change_are_asked_for_again() {
    let (world, enclave, mut heard, tail) = followed(&["alice", "bob"]);
    message(&world, &enclave, "alice");
    moved(&world, &enclave, "alice", "bob", "BLOCKED");
    message(&world, &enclave, "alice");
    let tail = after(&world, &enclave, &tail);
    for subscription in &mut heard {
        assert_eq!(said(&world, subscription, &tail), ["itself"]);
    }
    let [(alice, going_on), (bob, closed)] = [0, 1].map(|place| alone(&world, &mut heard[place]));
    assert_eq!((alice.len(), going_on, bob.len(), closed), (3, None, 1, Some("unauthorized")));
    // Alice knows her rights again, and goes on with the others.
    message(&world, &enclave, "alice");
    let tail = after(&world, &enclave, &tail);
    assert_eq!(said(&world, &mut heard[0], &tail), ["5"]);
}

/// Every type of event that changes a bitmask is one after which rights are asked for again, and those of no other are.
#[test]
fn what_changes_rights() {
    let rows: [(&str, &str, bool); 4] = [
        ("Move", r#"{"target":"@carol","to":"MEMBER"}"#, true),
        ("Grant", r#"{"target":"@bob","trait":"admin"}"#, true),
        ("Revoke", r#"{"target":"@bob","trait":"admin"}"#, true),
        ("message", "1", false),
    ];
    let (world, enclave, mut heard, mut tail) = followed(&["bob"]);
    for (event_type, content, changes) in rows {
        world.say(&enclave, "alice", event_type, content, &[]).expect(200);
        tail = after(&world, &enclave, &tail);
        assert_eq!(said(&world, &mut heard[0], &tail) == ["itself"], changes, "{event_type}");
        alone(&world, &mut heard[0]);
    }
}

/// Content that is erased is in no tail that was read after the Delete.
#[test]
fn what_is_deleted_is_shared_no_more() {
    let (world, enclave, mut heard, tail) = followed(&["alice", "bob"]);
    let first = message(&world, &enclave, "alice");
    let held = after(&world, &enclave, &tail);
    assert_eq!(said(&world, &mut heard[0], &held), ["2"]);
    // Bob is a little behind when the event is deleted.
    world.say(&enclave, "alice", "Delete", "null", &[&["r", &first]]).expect(200);
    let held = after(&world, &enclave, &held);
    assert_eq!(said(&world, &mut heard[0], &held), ["3"]);
    assert_eq!(said(&world, &mut heard[1], &held), ["itself"]);
    let (frames, _) = alone(&world, &mut heard[1]);
    assert!(frames.len() == 2 && frames[0].contains(r#""deleted":true"#) && !frames[0].contains(r#""content":"#));
    // Both in one read: the event is there as the Delete has left it.
    let (world, enclave, mut heard, tail) = followed(&["bob"]);
    let first = message(&world, &enclave, "alice");
    world.say(&enclave, "alice", "Delete", "null", &[&["r", &first]]).expect(200);
    let turn = world.shared(&mut heard[0], &after(&world, &enclave, &tail)).expect("the tail serves it");
    assert!(turn.frames.len() == 2 && turn.frames[0].contains(r#""deleted":true"#));
}

#[test]
fn each_by_its_own_rights_and_filter() {
    let mut checked = false;
    library_with(World::new(), &mut |world, enclave, _| {
        if checked || world.rows("SELECT seq FROM events").len() < 12 {
            return;
        }
        checked = true;
        let tail = world.tail(&enclave, None).expect("the enclave is here");
        let mut heard: Vec<Subscription> = [
            ("alice", json!({})),
            ("sue", json!({})),
            ("gina", json!({})),
            ("alice", json!({"tags": [["k", "v"]]})),
            ("alice", json!({"type": ["public", "none"], "limit": 1})),
        ]
        .into_iter()
        .map(|(name, filter)| open(world, &enclave, name, filter))
        .collect();
        heard.iter_mut().for_each(|subscription| drop(alone(world, subscription)));
        let seqs: Vec<String> = [("talk", &[][..]), ("whisper", &[]), ("public", &[&["k", "v"][..]]), ("public", &[])]
            .into_iter()
            .map(|(event_type, tags)| world.say(&enclave, "alice", event_type, "1", tags).receipt().position.seq)
            .map(|seq| seq.to_string())
            .collect();
        let tail = world.tail(&enclave, Some(&tail)).expect("the enclave is here");
        // Sue may not read whispers, gina neither; a limit is for history.
        let expected: [&[usize]; 5] = [&[0, 1, 2, 3], &[0, 2, 3], &[0, 2, 3], &[2], &[2, 3]];
        for (subscription, expected) in heard.iter_mut().zip(expected) {
            let expected: Vec<&String> = expected.iter().map(|place| &seqs[*place]).collect();
            assert_eq!(said(world, subscription, &tail).iter().collect::<Vec<_>>(), expected);
        }
    });
    assert!(checked);
}

/// A tail holds so much and no more; who is behind it reads for itself, and comes up with it.
#[test]
fn a_tail_is_bounded() {
    let (world, enclave, mut heard, mut tail) = followed(&["alice", "bob"]);
    for place in 0..MOST_EVENTS + 10 {
        message(&world, &enclave, "alice");
        if place % 50 == 0 {
            tail = after(&world, &enclave, &tail);
            let (frames, _, shared) = by_tail(&world, &mut heard[0], &tail);
            assert!(shared > 0 && shared == frames.len());
        }
    }
    tail = after(&world, &enclave, &tail);
    assert!(tail.is_whole());
    assert_eq!(said(&world, &mut heard[1], &tail), ["itself"], "the first of them is held no more");
    let (frames, _, shared) = by_tail(&world, &mut heard[1], &tail);
    assert_eq!((frames.len(), shared > 0), (MOST_EVENTS + 10, true));
    // More at once than is held: read a part at a time, and nothing between the parts is lost.
    for _ in 0..2 * MOST_EVENTS + 1 {
        message(&world, &enclave, "alice");
    }
    let mut parts = Vec::new();
    for whole in [false, false, true] {
        tail = after(&world, &enclave, &tail);
        assert_eq!(tail.is_whole(), whole);
        let (frames, _, _) = by_tail(&world, &mut heard[0], &tail);
        parts.push(frames.len());
    }
    assert_eq!(parts.iter().sum::<usize>(), 10 + 2 * MOST_EVENTS + 6);
    // Bytes count as well, but one event is always held.
    let content = format!("\"{}\"", "x".repeat(MOST_LEN * 2 / 5));
    for count in 1..5 {
        world.say(&enclave, "alice", "message", &content, &[]).expect(200);
        tail = after(&world, &enclave, &tail);
        assert_eq!(said(&world, &mut heard[0], &tail).len(), 1, "{count}");
    }
    assert!(!tail.is_empty() && tail.emptied().is_empty());
    assert_eq!(said(&world, &mut heard[0], &tail.emptied()), [""; 0], "who is up to date needs no events");
    assert_eq!(said(&world, &mut heard[1], &tail), ["itself"]);
}

/// Turns by a tail end where turns end.
#[test]
fn turns_by_a_tail() {
    let (mut world, enclave, mut heard, tail) = followed(&["alice"]);
    for _ in 0..150 {
        message(&world, &enclave, "alice");
    }
    let tail = after(&world, &enclave, &tail);
    let turns: Vec<(usize, bool)> = (0..2)
        .map(|_| world.shared(&mut heard[0], &tail).expect("the tail serves it"))
        .map(|turn| (turn.frames.len(), turn.more))
        .collect();
    assert_eq!(turns, [(100, true), (50, false)]);
    world.facts.limits.page_len = 1;
    for _ in 0..2 {
        message(&world, &enclave, "alice");
    }
    let tail = after(&world, &enclave, &tail);
    let turn = world.shared(&mut heard[0], &tail).expect("the tail serves it");
    assert_eq!((turn.frames.len(), turn.more), (1, true));
    assert_eq!(said(&world, &mut heard[0], &tail), ["153"]);
}

#[test]
fn a_session_ends_on_a_tail_too() {
    let (world, enclave, mut heard, tail) = followed(&["bob"]);
    world.now.set(heard[0].ends_at());
    message(&world, &enclave, "alice");
    let tail = after(&world, &enclave, &tail);
    assert_eq!(said(&world, &mut heard[0], &tail), ["2"]);
    world.now.set(heard[0].ends_at() + 1);
    assert_eq!(said(&world, &mut heard[0], &tail), ["Closed session_expired"]);
    assert!(world.tail(&EnclaveId([1; 32]), None).is_none(), "what is not here has no end");
}

/// The end of a log is no place to wait at: a tail leaves it to each subscription to find that out.
#[test]
fn a_tail_does_not_outlive_its_log() {
    let (world, enclave) = group();
    moved(&world, &enclave, "alice", "bob", "MEMBER");
    let tail = world.tail(&enclave, None).expect("the enclave is here");
    let mut shared = open(&world, &enclave, "bob", json!({}));
    let mut single = open(&world, &enclave, "bob", json!({}));
    assert_eq!(by_tail(&world, &mut shared, &tail).0, alone(&world, &mut single).0);
    message(&world, &enclave, "alice");
    handed_over(&world, &enclave);
    let tail = after(&world, &enclave, &tail);
    let (frames, closed, _) = by_tail(&world, &mut shared, &tail);
    assert_eq!((frames.len(), closed), (3, Some("enclave_migrated")));
    assert_eq!((frames, closed), alone(&world, &mut single));
}
