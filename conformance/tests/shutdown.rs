//! A node that is asked to stop while everybody writes, some hang, and some never finish: whatever it has committed is answered, and it is
//! gone within ten seconds, in order.

use client::{MemoryStore, Store};
use conformance::crash::field::Field;
use conformance::crash::journal::Journal;
use conformance::crash::load::{Load, Resume};
use conformance::crash::survivor::Survivor;
use conformance::encd::Encd;
use conformance::endpoint::Endpoint;
use conformance::people::token;
use conformance::socket::Socket;
use conformance::wire::{Ask, Connection};
use rustix::process::Signal;
use std::io::Write;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const CONFIG: &str = "[outbound]\nallow_loopback = true\n";
/// Receipts before the signal.
const ENOUGH: usize = 300;
/// How long a stop may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A node under load, and the client's journal.
struct Scene {
    folder: tempfile::TempDir,
    node: Encd,
    field: Arc<Field>,
    journal: Arc<Journal>,
    store: Arc<dyn Store>,
}

impl Scene {
    fn new() -> Scene {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let node = Encd::start(folder.path(), CONFIG);
        let field = Arc::new(Field::make(&node));
        let journal = Arc::new(Journal::create(&folder.path().join("journal")).expect("a file"));
        Scene { folder, node, field, journal, store: MemoryStore::shared() }
    }

    fn load(&self) -> Load {
        let load = Load::begin(&self.node.address, &self.field, &self.journal, Resume::new());
        assert!(load.reaches(ENOUGH), "{}", self.node.log());
        load
    }

    /// Asks it to stop; how long that took.
    fn stop(&mut self, signal: Signal) -> Duration {
        let asked = Instant::now();
        self.node.signal(signal);
        let code = self.node.wait(LIMIT * 3).expect("it ends");
        assert_eq!(code, Some(0), "in order: {}", self.node.log());
        asked.elapsed()
    }

    /// That the log holds what was told, and nothing that nobody was told of.
    fn judge(mut self) {
        self.node = Encd::start(self.folder.path(), CONFIG);
        let survivor = Survivor { node: &self.node, field: &self.field, store: &self.store };
        let seen = || self.journal.read().expect("the client's disk is well");
        survivor.all_answered(seen()).unwrap_or_else(|failure| panic!("{failure}"));
        let checked = survivor.check(seen()).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(checked.receipts >= ENOUGH as u64);
    }
}

#[test]
fn under_load_whatever_is_committed_is_answered() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut scene = Scene::new();
        let load = scene.load();
        let took = scene.stop(signal);
        assert_eq!(load.end(), None);
        assert!(took < LIMIT, "{signal:?} took {took:?}");
        scene.judge();
    }
}

#[test]
fn those_who_hang_do_not_hold_it_up() {
    let mut scene = Scene::new();
    let address = scene.node.address.clone();
    let (hanging, release) = hanging_endpoints(&scene);
    let mut idle = Connection::open(&address).expect("connected");
    assert_eq!(idle.ask(&Ask::get("/")).expect("answered").status, 200);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"a";
    let stalled: Vec<Connection> = [head, &head[..30]].iter().map(|sent| half_sent(&address, sent)).collect();
    let mut listening = Socket::open(&address, &format!("/{}", scene.field.enclaves[0])).expect("a socket");
    listening.send(r#"{"type":"Query","sub_id":"quiet","filter":{"type":"nothing"}}"#);
    listening.frame();
    let endless = endless_lines(&scene);
    let load = scene.load();
    let took = scene.stop(Signal::TERM);
    assert_eq!(load.end(), None);
    assert!(endless.join().expect("its answers were whole") > 0, "the endless request was answered meanwhile");
    assert!(listening.ends(), "a socket is closed");
    drop((release, idle, stalled));
    assert!(took < LIMIT, "it took {took:?}: {}", scene.node.log());
    hanging.into_iter().for_each(drop);
    scene.judge();
}

/// Endpoints that take a request and never answer until they are released: one a delivery, one its challenge.
fn hanging_endpoints(scene: &Scene) -> (Vec<Endpoint>, Sender<()>) {
    let (release, released) = channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let hang = |released: &Arc<Mutex<std::sync::mpsc::Receiver<()>>>| {
        let released = Arc::clone(released);
        move || released.lock().expect("nobody panics with it").recv().is_ok()
    };
    let (first, second) = (hang(&released), hang(&released));
    let delivered = Endpoint::start(Box::new(move |_| (if first() { 200 } else { 503 }, "{}".into())));
    let challenged = Endpoint::start_raw(Box::new(move |_| (if second() { 200 } else { 503 }, "{}".into())));
    let enclave = scene.field.enclaves[0];
    let handle = scene.field.open(&scene.node, enclave, &scene.store).expect("it is there");
    handle.register_push(Some(&delivered.url)).expect("the challenge was answered");
    let now = conformance::people::now();
    let (from, session) = (scene.field.owner.public(), token(&scene.field.owner, &scene.node.sequencer, now));
    let body = format!(r#"{{"from":"{from}","session":"{session}","url":"{}"}}"#, challenged.url);
    let mut waiting = Connection::open(&scene.node.address).expect("connected");
    waiting.send(&Ask::post(&format!("/enclaves/{enclave}/push"), body)).expect("sent");
    // Its answer comes when the node stops, or never; the connection stays open until then.
    thread::spawn(move || drop(waiting.read_answer()));
    (vec![delivered, challenged], release)
}

fn half_sent(address: &str, sent: &str) -> Connection {
    let connection = Connection::open(address).expect("connected");
    connection.try_clone().expect("a second handle").write_all(sent.as_bytes()).expect("sent");
    connection
}

/// One request whose lines never end; each receipt is kept. How many came.
fn endless_lines(scene: &Scene) -> JoinHandle<usize> {
    let (field, journal) = (Arc::clone(&scene.field), Arc::clone(&scene.journal));
    let mut connection = Connection::open(&scene.node.address).expect("connected");
    let mut writing = connection.try_clone().expect("a second handle");
    let ask = Ask::post_as("application/x-ndjson", "/commits", "").header("Transfer-Encoding", "chunked");
    connection.send(&ask).expect("sent");
    let (sent, commits) = channel();
    thread::spawn(move || {
        loop {
            let commit = field.commit();
            let line = format!("{}\n", commit.to_json().to_jcs());
            let kept = sent.send(commit).is_ok();
            if !kept || writing.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        let (mut partial, mut count) = (Vec::new(), 0);
        let ended = connection.read_streamed(&mut |piece| {
            partial.extend_from_slice(piece);
            while let Some(end) = partial.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = partial.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line[..end]).into_owned();
                if text.contains(r#""type":"Receipt""#) {
                    journal.receipt(&commits.recv().expect("no more answers than lines"), &text);
                    count += 1;
                }
            }
        });
        assert!(ended.is_ok(), "an answer that is cut short says so: {ended:?}");
        count
    })
}
