//! Push from a running node to a receiver on loopback: challenged, delivered in order, verified by its receiver.

use crate::node::{Answer, Running, config, get, key, note, now, text};
use protocol::commit::Draft;
use protocol::push::{Payload, SignedDelivery};
use protocol::schnorr::KeyPair;
use protocol::session::Session;
use protocol::verify::Sequencers;
use protocol::{EnclaveId, Json, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// What an endpoint does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It answers challenges and takes whatever it is sent.
    Takes,
    /// It does not know what a challenge is.
    Forgets,
    /// It answers challenges and takes nothing.
    Fails,
}

/// An endpoint.
struct Endpoint {
    address: SocketAddr,
    deliveries: Receiver<Json>,
}

impl Endpoint {
    fn start(manner: Manner) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (taken, deliveries) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.expect("a connection"), manner, &taken);
            }
        });
        Endpoint { address, deliveries }
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }
}

fn serve(stream: TcpStream, manner: Manner, taken: &Sender<Json>) {
    let mut reader = BufReader::new(&stream);
    let mut len = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).expect("a head") <= 2 {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            len = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).expect("a whole body");
    let body = json::parse(&body, json::MAX_DEPTH).expect("JSON is posted");
    let answer = match body.member("token") {
        Some(token) if manner != Manner::Forgets => Json::object([("token", token.clone())]).to_jcs(),
        _ => "{}".to_owned(),
    };
    let mut status = "200 OK";
    if body.member("type") != Some(&text("Challenge")) {
        taken.send(body).expect("the test listens");
        status = if manner == Manner::Fails { "500 Internal Server Error" } else { status };
    }
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
    (&stream).write_all((head + &answer).as_bytes()).expect("the node reads");
}

/// An enclave in which `view` is pushed every note.
fn create(node: &Running, owner: &KeyPair, view: &KeyPair) -> EnclaveId {
    let list = |values: &[&str]| Json::Array(values.iter().map(|value| text(value)).collect());
    let custom = |operator: &str, op: &str| {
        Json::object([("event", text("note")), ("operator", text(operator)), ("ops", list(&[op]))])
    };
    let member = |identity: &KeyPair, role: &str| {
        Json::object([
            ("identity", text(&identity.public().hex())),
            ("state", text("MEMBER")),
            ("traits", list(&[role])),
        ])
    };
    let rbac = Json::object([
        ("states", list(&["MEMBER"])),
        ("traits", list(&["owner(0)", "view(1)"])),
        ("customs", Json::Array(vec![custom("owner", "C"), custom("view", "P")])),
        ("init", Json::Array(vec![member(owner, "owner"), member(view, "view")])),
    ]);
    let content = Json::object([
        ("enc_v", Json::from(2)),
        ("sequencer", text(&node.sequencer().hex())),
        ("bundle", Json::object([("size", Json::from(256)), ("timeout", Json::from(5_000))])),
        ("RBAC", rbac),
    ]);
    let manifest = Draft::manifest(owner, &content, Vec::new(), now() + 60_000).sign(owner);
    let answer = node.commit(&manifest);
    assert_eq!(answer.status, 200, "{}", answer.text());
    manifest.commit().enclave
}

fn register(node: &Running, enclave: &EnclaveId, view: &KeyPair, url: &str) -> Answer {
    let expires = u32::try_from(now() / 1000 + 600).expect("before 2106");
    let session = Session::make(view, &node.sequencer(), expires);
    let request = Json::object([
        ("from", text(&view.public().hex())),
        ("session", text(&session.plain.hex())),
        ("url", text(url)),
    ]);
    node.post(&format!("/enclaves/{}/push", enclave.hex()), &request)
}

fn pushing() -> Running {
    let mut config = config();
    config.outbound.allow_loopback = true;
    Running::start(config)
}

#[test]
fn events_arrive_in_order_and_hold() {
    let node = pushing();
    let (owner, view) = (key(0x33), key(0x44));
    let enclave = create(&node, &owner, &view);
    let endpoint = Endpoint::start(Manner::Takes);
    let answer = register(&node, &enclave, &view, &endpoint.url());
    assert_eq!((answer.status, answer.text().as_str()), (200, "{\"ok\":true}"));
    for n in 0..20 {
        assert_eq!(node.commit(&note(&owner, enclave, &n.to_string())).status, 200);
    }
    let (mut said, mut push_seq) = (Vec::new(), 0);
    while said.len() < 20 {
        let delivery = endpoint.deliveries.recv().expect("the endpoint runs");
        let signed = SignedDelivery::from_json(delivery).expect("a delivery");
        let sequencers = Sequencers::new(node.sequencer());
        let delivery = signed.verify(&enclave, &sequencers, &endpoint.url(), now()).expect("it holds");
        push_seq += 1;
        assert_eq!(delivery.push_seq, push_seq);
        let Payload::Events(events) = &delivery.payload else { panic!("P is whole events: {delivery:?}") };
        said.extend(events.iter().map(|event| event.position.seq));
    }
    assert_eq!(said, (1..=20).collect::<Vec<u64>>());
    let metrics = &node.server().host().metrics;
    let shown = metrics.render();
    assert!(shown.contains("encd_outbound_total{end=\"failed\"} 0"), "{shown}");
}

#[test]
fn an_endpoint_that_does_not_answer_its_challenge_is_none() {
    let node = pushing();
    let (owner, view) = (key(0x33), key(0x44));
    let enclave = create(&node, &owner, &view);
    let endpoint = Endpoint::start(Manner::Forgets);
    let answer = register(&node, &enclave, &view, &endpoint.url());
    assert_eq!((answer.status, answer.code().as_str()), (409, "bad_state"));
    let gone = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound");
    let answer = register(&node, &enclave, &view, &format!("http://{gone}/"));
    assert_eq!((answer.status, answer.code().as_str()), (409, "bad_state"));
}

#[test]
fn without_the_flag_nothing_inside_is_reached() {
    let node = Running::start(config());
    let (owner, view) = (key(0x33), key(0x44));
    let enclave = create(&node, &owner, &view);
    let endpoint = Endpoint::start(Manner::Takes);
    assert_eq!(register(&node, &enclave, &view, &endpoint.url()).code(), "invalid_structure");
    let secure = endpoint.url().replacen("http", "https", 1);
    for url in [secure.as_str(), "https://localhost:1/", "https://10.0.0.1/", "https://[::1]/"] {
        let answer = register(&node, &enclave, &view, url);
        assert_eq!((answer.status, answer.code().as_str()), (409, "bad_state"), "{url}");
    }
    assert!(endpoint.deliveries.try_recv().is_err());
}

/// A sample of the node's metrics.
fn sample(node: &Running, name: &str) -> f64 {
    let text = get(&format!("http://{}/metrics", node.server().admin())).text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name}")).parse().expect("a number")
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_waits_for_an_endpoint_and_for_a_bundle_is_measured() {
    let node = pushing();
    let (owner, view) = (key(0x33), key(0x44));
    assert_eq!(sample(&node, "encd_bundle_oldest_seconds"), 0.0);
    let enclave = create(&node, &owner, &view);
    let endpoint = Endpoint::start(Manner::Fails);
    assert_eq!(register(&node, &enclave, &view, &endpoint.url()).status, 200);
    assert_eq!((sample(&node, "encd_push_waiting"), sample(&node, "encd_push_oldest_seconds")), (0.0, 0.0));
    for n in 0..3 {
        assert_eq!(node.commit(&note(&owner, enclave, &n.to_string())).status, 200);
    }
    endpoint.deliveries.recv().expect("it is tried");
    until("it waits", || sample(&node, "encd_push_waiting") == 1.0);
    until("it grows old", || sample(&node, "encd_push_oldest_seconds") > 0.5);
    until("a bundle is open", || {
        assert_eq!(node.commit(&note(&owner, enclave, "again")).status, 200);
        sample(&node, "encd_bundle_oldest_seconds") > 0.0
    });
    until("the bundle closes", || sample(&node, "encd_bundle_oldest_seconds") == 0.0);
    for stage in ["admit", "queue", "transaction", "durable", "commit"] {
        assert!(sample(&node, &format!("encd_{stage}_seconds_count")) >= 3.0, "{stage}");
    }
}

#[test]
fn connections_are_those_that_there_are() {
    let node = pushing();
    assert_eq!(sample(&node, "encd_connections"), 0.0, "the operator's own is none of them");
    let open: Vec<_> = (0..3).map(|_| TcpStream::connect(node.server().public()[0]).expect("taken")).collect();
    until("each counts", || sample(&node, "encd_connections") == 3.0);
    drop(open);
    until("none is left", || sample(&node, "encd_connections") == 0.0);
}
