//! Many subscriptions of one enclave beside each other: each hears everything once, in order, however fast it takes it.

use crate::node::{Running, config, key, note};
use crate::websocket::Socket;

#[test]
fn every_one_of_many_hears_everything_once_and_in_order() {
    const SUBSCRIBERS: usize = 200;
    const EVENTS: usize = 60;
    let node = Running::start(config());
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    let mut subscribers: Vec<Socket> = (0..SUBSCRIBERS)
        .map(|_| {
            let mut socket = Socket::open(&node, "/");
            socket.subscribe("s", Some(enclave));
            socket.expect(&["s -", "s EOSE"]);
            socket
        })
        .collect();
    let mut writer = Socket::open(&node, "/");
    for n in 0..EVENTS {
        writer.commit(&note(&owner, enclave, &n.to_string()));
    }
    // Subscriptions that are opened meanwhile miss nothing between their history and what comes.
    let mut late = Socket::open(&node, "/");
    late.subscribe("s", Some(enclave));
    late.expect(&["s -"]);
    for n in 0..EVENTS {
        for socket in &mut subscribers {
            assert_eq!(socket.short(), format!("s {n}"));
        }
    }
    let mut heard = (0..=EVENTS).map(|_| late.short()).collect::<Vec<_>>();
    heard.retain(|frame| frame != "s EOSE");
    assert_eq!(heard, (0..EVENTS).map(|n| format!("s {n}")).collect::<Vec<_>>());
    assert_eq!(node.commit(&note(&owner, enclave, "last")).status, 200);
    for socket in subscribers.iter_mut().chain([&mut late]) {
        assert_eq!(socket.short(), "s last", "nothing is doubled");
    }
}

/// One that takes nothing for a while is served from the log when it goes on, past what the others share by then.
#[test]
fn a_slow_one_beside_fast_ones_reads_on_from_its_place() {
    const EVENTS: usize = 500;
    let node = Running::start(config());
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    let [mut slow, mut fast, mut other] = ["slow", "fast", "other"].map(|sub_id| {
        let mut socket = Socket::open(&node, "/");
        socket.subscribe(sub_id, Some(enclave));
        socket.expect(&[&format!("{sub_id} -"), &format!("{sub_id} EOSE")]);
        socket
    });
    // Together more than the buffers of both ends of a loopback connection hold.
    let padding = "x".repeat(20_000);
    let mut writer = Socket::open(&node, "/");
    for n in 0..EVENTS {
        writer.commit(&note(&owner, enclave, &format!("{n} {padding}")));
        assert_eq!(writer.short(), format!("Receipt {}", n + 1));
        assert!(fast.short().starts_with(&format!("fast {n} ")) && other.short().starts_with(&format!("other {n} ")));
    }
    for n in 0..EVENTS {
        assert!(slow.short().starts_with(&format!("slow {n} ")));
    }
    assert_eq!(node.commit(&note(&owner, enclave, "last")).status, 200);
    for (socket, sub_id) in [(&mut slow, "slow"), (&mut fast, "fast"), (&mut other, "other")] {
        assert_eq!(socket.short(), format!("{sub_id} last"), "nothing is doubled");
    }
}

/// Subscriptions of one socket have their frames in one stream, each in its own order.
#[test]
fn subscriptions_of_one_socket_hear_each_their_own() {
    let node = Running::start(config());
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    let mut socket = Socket::open(&node, "/");
    for place in 0..20 {
        socket.subscribe(&place.to_string(), Some(enclave));
        socket.expect(&[&format!("{place} -"), &format!("{place} EOSE")]);
    }
    let mut writer = Socket::open(&node, "/");
    for n in 0..30 {
        writer.commit(&note(&owner, enclave, &n.to_string()));
    }
    let mut heard = vec![Vec::new(); 20];
    for _ in 0..20 * 30 {
        let frame = socket.short();
        let (sub_id, content) = frame.split_once(' ').expect("a name and a content");
        heard[sub_id.parse::<usize>().expect("a name")].push(content.parse::<u64>().expect("a number"));
    }
    for events in heard {
        assert_eq!(events, (0..30).collect::<Vec<u64>>());
    }
}
