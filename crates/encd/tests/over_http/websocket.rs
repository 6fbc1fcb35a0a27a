//! A WebSocket against a real node: history, then live, commits, and every way a subscription ends.

use crate::node::{Running, config, key, note, text};
use protocol::{EnclaveId, Json, VerifiedCommit, json};
use std::net::TcpStream;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket, connect};

/// A client's end of a socket.
pub struct Socket(WebSocket<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub fn open(node: &Running, path: &str) -> Socket {
        let url = node.url(path).replacen("http", "ws", 1);
        let (socket, _) = connect(url).expect("the node takes the upgrade");
        Socket(socket)
    }

    fn say(&mut self, frame: &Json) {
        self.0.send(Message::text(frame.to_jcs())).expect("sent");
    }

    pub fn commit(&mut self, commit: &VerifiedCommit) {
        self.say(&commit.commit().to_json());
    }

    pub fn subscribe(&mut self, sub_id: &str, enclave: Option<EnclaveId>) {
        let mut members = vec![("type", text("Query")), ("sub_id", text(sub_id)), ("filter", Json::object(NONE))];
        members.extend(enclave.map(|enclave| ("enclave", text(&enclave.hex()))));
        self.say(&Json::object(members));
    }

    /// The next frame that is not a ping.
    fn hear(&mut self) -> Json {
        loop {
            match self.0.read().expect("a frame comes") {
                Message::Text(text) => {
                    let frame = json::parse(text.as_bytes(), json::MAX_DEPTH).expect("a frame is JSON");
                    assert_eq!(frame.to_jcs().as_bytes(), text.as_bytes(), "canonical");
                    return frame;
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next frame in short: its type and what tells it apart.
    pub fn short(&mut self) -> String {
        let frame = self.hear();
        let member = |name: &str| frame.member(name).and_then(Json::as_text).unwrap_or("").to_owned();
        let event = frame.member("event");
        match member("type").as_str() {
            "Event" => {
                let content = event.and_then(|event| event.member("content")).and_then(Json::as_text).unwrap_or("-");
                format!("{} {content}", member("sub_id"))
            }
            "EOSE" => format!("{} EOSE", member("sub_id")),
            "Closed" => format!("{} Closed {}", member("sub_id"), member("reason")),
            "Receipt" => format!("Receipt {}", frame.member("seq").and_then(Json::as_uint).expect("a place")),
            "Error" => format!("Error {} {}", member("error"), if member("hash").is_empty() { "-" } else { "hash" }),
            other => panic!("{other}"),
        }
    }

    pub fn expect(&mut self, frames: &[&str]) {
        for frame in frames {
            assert_eq!(self.short(), *frame);
        }
    }
}

const NONE: [(&str, Json); 0] = [];

#[test]
fn history_then_live_and_commits_on_the_same_socket() {
    let node = Running::start(config());
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    assert_eq!(node.commit(&note(&owner, enclave, "before")).status, 200);
    let mut reader = Socket::open(&node, "/");
    reader.subscribe("s", Some(enclave));
    reader.expect(&["s -", "s before", "s EOSE"]);
    let mut writer = Socket::open(&node, "/");
    writer.commit(&note(&owner, enclave, "one"));
    writer.expect(&["Receipt 2"]);
    assert_eq!(node.commit(&note(&owner, enclave, "two")).status, 200);
    reader.expect(&["s one", "s two"]);
}

#[test]
fn commits_of_a_socket_are_sequenced_in_the_order_of_their_frames() {
    let node = Running::start(config());
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    let mut reader = Socket::open(&node, &format!("/?enclave={}", enclave.hex()));
    reader.subscribe("s", None);
    reader.expect(&["s -", "s EOSE"]);
    let mut writer = Socket::open(&node, "/");
    for n in 0..300 {
        writer.commit(&note(&owner, enclave, &n.to_string()));
    }
    let mut places: Vec<String> = (0..300).map(|_| writer.short()).collect();
    places.sort_by_key(|place| place.trim_start_matches("Receipt ").parse::<u64>().expect("a receipt"));
    assert_eq!(places, (1..=300).map(|n| format!("Receipt {n}")).collect::<Vec<_>>());
    for n in 0..300 {
        assert_eq!(reader.short(), format!("s {n}"));
    }
}

#[test]
fn subscriptions_end_as_they_are_asked_to() {
    let node = Running::start(config());
    let owner = key(0x33);
    let (enclave, other) = (node.create(&owner, "a"), node.create(&owner, "b"));
    let mut socket = Socket::open(&node, "/");
    socket.subscribe("s", Some(enclave));
    socket.expect(&["s -", "s EOSE"]);
    socket.subscribe("s", Some(other));
    socket.expect(&["s -", "s EOSE"]);
    assert_eq!(node.commit(&note(&owner, enclave, "to the one that was replaced")).status, 200);
    assert_eq!(node.commit(&note(&owner, other, "to its successor")).status, 200);
    socket.expect(&["s to its successor"]);
    let close = Json::object([("type", text("Close")), ("sub_id", text("s"))]);
    socket.say(&close);
    socket.expect(&["s Closed closed"]);
    assert_eq!(node.commit(&note(&owner, other, "unheard")).status, 200);
    socket.say(&close);
    socket.commit(&note(&owner, other, "still open for commits"));
    socket.expect(&["Receipt 3"]);
}

#[test]
fn what_is_refused_is_told_on_the_socket() {
    let mut small = config();
    small.limits.subscriptions_per_socket = 2;
    let node = Running::start(small);
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    let mut socket = Socket::open(&node, "/");
    socket.0.send(Message::text("{")).expect("sent");
    socket.expect(&["Error invalid_json -"]);
    socket.0.send(Message::binary(b"{}".to_vec())).expect("sent");
    socket.expect(&["Error invalid_json -"]);
    socket.commit(&note(&key(0x44), enclave, "x"));
    socket.expect(&["Error unauthorized hash"]);
    socket.subscribe("nobody", Some(EnclaveId([9; 32])));
    socket.expect(&["nobody Closed enclave_not_found"]);
    let mut forged = vec![("type", text("Query")), ("sub_id", text("f")), ("enclave", text(&enclave.hex()))];
    forged.extend([("from", text(&owner.public().hex())), ("session", text(&"ab".repeat(68)))]);
    socket.say(&Json::object(forged));
    socket.expect(&["f Closed invalid_session"]);
    for sub_id in ["a", "b"] {
        socket.subscribe(sub_id, Some(enclave));
        assert_eq!([socket.short(), socket.short()], [format!("{sub_id} -"), format!("{sub_id} EOSE")]);
    }
    socket.subscribe("c", Some(enclave));
    socket.expect(&["c Closed limit_exceeded"]);
}

#[test]
fn sockets_of_an_address_are_limited_and_given_back() {
    let mut small = config();
    small.websocket.sockets_per_address = 1;
    let node = Running::start(small);
    let first = Socket::open(&node, "/");
    let url = node.url("/").replacen("http", "ws", 1);
    assert!(connect(&url).is_err(), "the second is one too many");
    drop(first);
    let host = node.server().host();
    node.runtime().block_on(async {
        while host.sockets.sum() > 0 {
            tokio::task::yield_now().await;
        }
    });
    assert!(connect(&url).is_ok());
}

#[test]
fn who_takes_nothing_is_cut_off_and_holds_up_nobody() {
    let mut impatient = config();
    impatient.websocket.slow_ms = 50;
    let node = Running::start(impatient);
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    let large = "x".repeat(500_000);
    let mut slow = Socket::open(&node, "/");
    slow.subscribe("s", Some(enclave));
    slow.expect(&["s -", "s EOSE"]);
    let mut quick = Socket::open(&node, "/");
    quick.subscribe("q", Some(enclave));
    quick.expect(&["q -", "q EOSE"]);
    // Far more than the buffers of both ends of a loopback connection hold.
    for n in 0..40 {
        assert_eq!(node.commit(&note(&owner, enclave, &format!("{n}{large}"))).status, 200);
        assert!(quick.short().starts_with(&format!("q {n}x")));
    }
    let host = node.server().host();
    node.runtime().block_on(async {
        while host.sockets.sum() > 1 {
            tokio::task::yield_now().await;
        }
    });
    assert!(node.server().host().metrics.render().contains("encd_slow_consumers_total 1"));
}

#[test]
fn a_stop_says_goodbye() {
    let mut node = Running::start(config());
    let mut socket = Socket::open(&node, "/");
    node.stop();
    match socket.0.read() {
        Ok(Message::Close(Some(frame))) => assert_eq!(u16::from(frame.code), 1001),
        other => panic!("{other:?}"),
    }
}
