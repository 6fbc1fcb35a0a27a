//! Many at once: ten thousand connections that say nothing, more than there is room for, and bodies that never end.

use crate::memory::is_bounded;
use crate::scene::{ADMIN_TOKEN, Scene, until};
use conformance::people::json;
use conformance::wire::{Answer, Ask, Connection, ask};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Connections that say nothing.
const IDLE: usize = 10_000;
/// Files that either side has open beside them at most.
const OTHERS: u64 = 200;
/// How long an answer may take while they are there.
const SOON: Duration = Duration::from_secs(5);
const MIB: usize = 1 << 20;
/// Nobody is cut off while a slow machine still sends.
const PATIENT: &str = "[listen]\nbody_timeout_ms = 600000\n";
/// What a node counts when nobody is connected.
pub const BASE: u64 = 0;

/// Lets this process, and the node that it starts, have so many files open.
fn allow_open_files(wanted: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return;
    }
    assert!(maximum.is_none_or(|maximum| maximum >= wanted), "this test needs {wanted} open files: raise `ulimit -n`");
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).expect("within the maximum");
}

fn connections(scene: &Scene) -> u64 {
    scene.metric("encd_connections")
}

/// A third says nothing at all, a third has begun a head, a third has been answered and stays.
#[test]
fn ten_thousand_idle_connections() {
    allow_open_files(IDLE as u64 + OTHERS);
    // Nobody is shut out while a slow machine still connects.
    let room = format!("[listen]\nmax_connections = {}\nheader_timeout_ms = 600000\n", IDLE + 100);
    let scene = Scene::configured(&room);
    let begins: [&[u8]; 3] = [b"", b"GET /sth HTT", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"];
    let mut idle = Vec::with_capacity(IDLE);
    while idle.len() < IDLE {
        // No more at once than wait in the kernel of any machine.
        for begin in begins.iter().cycle().take(100) {
            let mut stream = TcpStream::connect(&scene.node.address).expect("there is room");
            stream.write_all(begin).expect("the node takes bytes");
            idle.push(stream);
        }
        until("they are taken", || connections(&scene) >= idle.len() as u64);
    }
    let before = Instant::now();
    scene.say(&scene.bob, "message", r#""in the crowd""#);
    assert_eq!(ask(&scene.node.address, &Ask::get(&format!("/{}/sth", scene.enclave))).status, 200);
    assert!(before.elapsed() < SOON, "others wait: {:?}", before.elapsed());
    is_bounded("ten thousand idle connections", &scene.node);
    drop(idle);
    until("all are gone", || connections(&scene) == BASE);
}

/// More than there is room for wait until those that say nothing are shut out. The operator's door has room of its own.
#[test]
fn who_says_nothing_makes_room() {
    let scene = Scene::configured("[listen]\nmax_connections = 20\nheader_timeout_ms = 500\n");
    let idle: Vec<TcpStream> =
        (0..20).map(|_| TcpStream::connect(&scene.node.address).expect("there is room")).collect();
    until("it is full", || connections(&scene) == 20);
    assert_eq!(ask(&scene.node.admin, &Ask::get("/readyz")).status, 200, "the operator gets in");
    let before = Instant::now();
    scene.say(&scene.bob, "message", r#""behind the crowd""#);
    assert!(before.elapsed() < SOON, "{:?}", before.elapsed());
    assert_eq!(idle.len(), 20);
}

/// Strangers send the largest bodies that any route takes, all at once, and never end them. What does not fit into the memory that
/// such bodies have is told so. Other bodies have memory of their own, and the operator's are taken in any case.
#[test]
fn large_bodies_that_never_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let token = folder.path().join("token");
    std::fs::write(&token, ADMIN_TOKEN).expect("the folder is writable");
    let scene = Scene::configured(&format!("{PATIENT}[admin]\ntoken_file = \"{}\"\n", token.display()));
    let target = format!("/{}/restore", "ab".repeat(32));
    let said: Vec<(Connection, Option<Answer>)> = thread::scope(|scope| {
        let senders: Vec<_> = (0..10).map(|_| scope.spawn(|| send_most(&scene.node.address, &target))).collect();
        senders.into_iter().map(|sender| sender.join().expect("it does not panic")).collect()
    });
    is_bounded("large bodies", &scene.node);
    let refused: Vec<&Answer> = said.iter().filter_map(|(_, answer)| answer.as_ref()).collect();
    assert!(!refused.is_empty(), "some find no room");
    for answer in refused {
        assert_eq!((answer.status, answer.json().member("error")), (503, Some(&"overloaded".into())));
        assert!(answer.header("retry-after").is_some());
    }
    let large = scene.padded_query(MIB);
    assert_eq!(scene.post("/", &large).status, 200, "a body that is no snapshot");
    let snapshot = Ask::post_as("application/octet-stream", &target, vec![b'x'; 8 * MIB]);
    let by_operator = snapshot.clone().header("Authorization", &format!("Bearer {ADMIN_TOKEN}"));
    assert_eq!(ask(&scene.node.address, &by_operator).status, 400, "it is read, and is no snapshot");
    drop(said);
    until("there is room again", || ask(&scene.node.address, &snapshot).status != 503);
    is_bounded("large bodies", &scene.node);
}

/// Sends all of a large body but its last byte, unless it is told before that it will not be taken.
fn send_most(address: &str, target: &str) -> (Connection, Option<Answer>) {
    let mut connection = Connection::open(address).expect("there is room");
    let mut stream = connection.try_clone().expect("a second handle");
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a socket has timeouts");
    let head = Ask::post_as("application/octet-stream", target, "").header("Content-Length", &(64 * MIB).to_string());
    connection.send(&head).expect("the node reads heads");
    let piece = vec![b'x'; MIB];
    let whole = (0..63).all(|_| stream.write_all(&piece).is_ok());
    // Of those that were sent whole, only who was refused is answered: the others' last byte is missing.
    let answer = connection.read_answer();
    assert!(whole || answer.is_ok(), "who is cut off is told why: {answer:?}");
    (connection, answer.ok())
}

/// Lines that never end are bodies, too.
#[test]
fn long_lines_that_never_end() {
    let scene = Scene::configured(PATIENT);
    let line = vec![b'x'; MIB];
    let senders: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut connection = Connection::open(&scene.node.address).expect("there is room");
            let head = Ask::post_as("application/x-ndjson", "/commits", "").header("Content-Length", "2000000");
            connection.send(&head).expect("the node reads heads");
            let mut stream = connection.into_stream();
            stream.write_all(&line).expect("the node reads lines");
            stream
        })
        .collect();
    let lines = Ask::post_as("application/x-ndjson", "/commits", [&line[..], b"\n{}"].concat());
    until("there is no room for more", || {
        let answer = ask(&scene.node.address, &lines);
        let codes = answer.text().lines().map(|line| json(line).member("error").cloned()).collect::<Vec<_>>();
        codes == [Some("overloaded".into())]
    });
    scene.say(&scene.bob, "message", r#""small""#);
    is_bounded("long lines", &scene.node);
    assert_eq!(senders.len(), 300);
}
