//! Slow peers and half-closed connections: a byte now and then, silence in the middle, an end where none should be, answers that nobody
//! takes. Each ends in a bounded time, and others do not notice.

use crate::crowds::BASE;
use crate::memory::is_bounded;
use crate::scene::{Scene, until};
use conformance::wire::{Ask, Connection, ask};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// Between two bytes.
const PACE: Duration = Duration::from_millis(20);
/// How long the slowest of these may last.
const AT_LAST: Duration = Duration::from_secs(10);
const HURRIED: &str = "[listen]\nheader_timeout_ms = 400\nbody_timeout_ms = 400\nwrite_timeout_ms = 400\n\
     [limits]\nbody_bytes = 65536\nenvelope_bytes = 65536\ncommit_bytes = 65536\n";

/// Sends what comes, a byte at a time, until the node ends the connection; how long that took.
fn drip(stream: &mut TcpStream, bytes: impl Iterator<Item = u8>) -> Duration {
    let begun = Instant::now();
    stream.set_read_timeout(Some(PACE)).expect("a socket has timeouts");
    let mut bytes = bytes;
    while begun.elapsed() < AT_LAST {
        if let Some(byte) = bytes.next()
            && stream.write_all(&[byte]).is_err()
        {
            return begun.elapsed();
        }
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return begun.elapsed(),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(_) => return begun.elapsed(),
        }
    }
    panic!("the node still listens after {AT_LAST:?}");
}

#[test]
fn a_byte_now_and_then() {
    let scene = Scene::configured(HURRIED);
    let open = || TcpStream::connect(&scene.node.address).expect("there is room");
    let endless = |text: &'static str| text.bytes().chain(std::iter::repeat(b'a'));
    // What is sent at once, what is then dripped, and how long it is borne at least: 400 ms, and a second for each 64 KB of a body.
    type Dripped<'a> = Box<dyn Iterator<Item = u8> + 'a>;
    let state = format!("POST /{}/state HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n", scene.enclave);
    let rows: Vec<(String, Dripped<'_>, u64)> = vec![
        (String::new(), Box::new(std::iter::empty()), 400),
        (String::new(), Box::new(endless("GET / HTTP/1.1\r\nHost: a\r\nX: ")), 400),
        ("GET / HTTP/1.1\r\n".into(), Box::new(std::iter::empty()), 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".into(), Box::new(std::iter::empty()), 400),
        (format!("{state}Content-Length: 60000\r\n\r\n"), Box::new(std::iter::empty()), 1400),
        (format!("{state}Content-Length: 60000\r\n\r\n"), Box::new(endless("")), 1400),
        (format!("{state}Transfer-Encoding: chunked\r\n\r\n"), Box::new(endless("ffff\r\n")), 1400),
        (format!("{state}Transfer-Encoding: chunked\r\n\r\n"), Box::new(endless("1;")), 1400),
        (
            "POST /commits HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\nContent-Length: 9\r\n\r\n{"
                .into(),
            Box::new(std::iter::empty()),
            400,
        ),
    ];
    std::thread::scope(|scope| {
        for (at_once, dripped, least_ms) in rows {
            let bytes: Vec<u8> = dripped.take(2000).collect();
            scope.spawn(move || {
                let mut stream = open();
                stream.write_all(at_once.as_bytes()).expect("the node listens");
                let lasted = drip(&mut stream, bytes.into_iter());
                assert!(lasted >= Duration::from_millis(least_ms), "{at_once}: cut off after {lasted:?}");
            });
        }
    });
    scene.say(&scene.bob, "message", r#""at my own pace""#);
    is_bounded("slow peers", &scene.node);
}

/// Whoever closes its half after a commit either gets its answer or finds the commit as it left it: in the log once, or not at all.
#[test]
fn half_closed_connections() {
    let scene = Scene::new();
    for (place, how) in (0..).zip([Shutdown::Write, Shutdown::Both, Shutdown::Read, Shutdown::Write]) {
        let commit = scene.commit(&scene.bob, "message", &format!("{place}"));
        let ask_it = Ask::post("/", commit.to_json().to_jcs());
        let mut connection = Connection::open(&scene.node.address).expect("there is room");
        connection.send(&ask_it).expect("the node reads");
        connection.try_clone().and_then(|stream| stream.shutdown(how)).expect("it can be closed");
        let answer = connection.read_answer().ok().map(|answer| answer.status);
        let again = ask(&scene.node.address, &ask_it).status;
        match answer {
            Some(200) => assert_eq!(again, 409, "it was taken"),
            Some(status) => panic!("a good commit is answered {status}"),
            None => assert!([200, 409].contains(&again), "it can be sent again: {again}"),
        }
        assert_eq!(ask(&scene.node.address, &ask_it).status, 409, "it is there once");
    }
    until("none is left", || scene.metric("encd_connections") == BASE);
    is_bounded("half-closed connections", &scene.node);
}

/// Who asks for a lot and takes nothing is cut off, and what it was not sent is not kept for it.
#[test]
fn answers_that_nobody_takes() {
    let scene = Scene::configured("[listen]\nwrite_timeout_ms = 400\n");
    for place in 0..5 {
        scene.say(&scene.bob, "message", &format!("\"{place}{}\"", "x".repeat(800 << 10)));
    }
    let query = Ask::post("/", scene.padded_query(0));
    let greedy: Vec<Connection> = (0..8)
        .map(|_| {
            let mut connection = Connection::open(&scene.node.address).expect("there is room");
            for _ in 0..8 {
                connection.send(&query).expect("the node reads heads");
            }
            connection
        })
        .collect();
    until("they are connected", || scene.metric("encd_connections") > BASE);
    until("they are cut off", || scene.metric("encd_connections") == BASE);
    assert_eq!(greedy.len(), 8);
    scene.say(&scene.bob, "message", r#""and others are served""#);
    is_bounded("answers that nobody takes", &scene.node);
}
