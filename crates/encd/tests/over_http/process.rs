//! The binary as a process: what it says at start, what it leaves when it is stopped or killed.

use crate::node::{Answer, get, key, manifest, note, post, text, try_post};
use protocol::{EnclaveId, Json, PublicKey};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

pub struct Process {
    child: Child,
    pub url: String,
    banner: String,
    out: BufReader<std::process::ChildStdout>,
}

/// A folder of this test's own, removed in the end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let place = MADE.fetch_add(1, Ordering::Relaxed);
        Scratch(std::env::temp_dir().join(format!("encd-test-{name}-{}-{place}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} is left behind: {error}", self.0.display());
        }
    }
}

pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_encd"));
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"]).arg(folder);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn start(command: &mut Command) -> Process {
    let mut child = command.spawn().expect("the binary runs");
    let mut out = BufReader::new(child.stdout.take().expect("its output is ours"));
    let mut banner = String::new();
    while !banner.contains("next") {
        let len = out.read_line(&mut banner).expect("the banner is text");
        assert!(len > 0, "it ended before it said where it is: {banner}");
    }
    let url = banner.split_whitespace().find(|word| word.starts_with("http://")).expect("a URL").to_owned();
    Process { child, url, banner, out }
}

impl Process {
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the process is there");
    }

    pub fn end(mut self) -> i32 {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("the output is text");
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }

    /// Stops it in order.
    pub fn stop(self) {
        self.signal(rustix::process::Signal::TERM);
        assert_eq!(self.end(), 0);
    }

    pub fn sequencer(&self) -> PublicKey {
        let info = get(&self.url).json();
        PublicKey::parse(info.member("sequencer").and_then(Json::as_text).expect("a key")).expect("hex")
    }

    pub fn create(&self, nonce: &str) -> EnclaveId {
        let manifest = manifest(&key(0x33), &self.sequencer(), nonce, 5_000);
        assert_eq!(commit(&self.url, &manifest).expect("answered").status, 200);
        manifest.commit().enclave
    }
}

pub fn commit(url: &str, commit: &protocol::VerifiedCommit) -> Option<Answer> {
    try_post(url, JSON, commit.commit().to_json().to_jcs().as_bytes()).ok()
}

/// Commits from several threads until the node does not answer any more; answers the receipts.
pub fn commit_until_gone(url: &str, enclave: EnclaveId, enough: impl Fn(usize) + Sync) -> Vec<(u64, String)> {
    let count = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let committers: Vec<_> = (0..4)
            .map(|thread| {
                let (count, enough) = (&count, &enough);
                scope.spawn(move || {
                    let mut receipts = Vec::new();
                    for n in 0.. {
                        let said = note(&key(0x33), enclave, &format!("{thread} {n}"));
                        let Some(answer) = commit(url, &said) else { break };
                        if answer.status != 200 {
                            assert_eq!(answer.code(), "overloaded", "only a node that stops refuses these");
                            break;
                        }
                        let receipt = answer.json();
                        let seq = receipt.member("seq").and_then(Json::as_uint).expect("a place");
                        let id = receipt.member("id").and_then(Json::as_text).expect("an id").to_owned();
                        receipts.push((seq, id));
                        enough(count.fetch_add(1, Ordering::Relaxed) + 1);
                    }
                    receipts
                })
            })
            .collect();
        committers.into_iter().flat_map(|thread| thread.join().expect("no thread panics")).collect()
    })
}

/// The ids of all events, in order.
pub fn ids(url: &str, enclave: EnclaveId) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    loop {
        let mut filter = vec![("limit", Json::from(1000))];
        if let Some(last) = ids.len().checked_sub(1) {
            filter.push(("seq", Json::object([("start_after", Json::from(last as u64))])));
        }
        let query = Json::object([
            ("type", text("Query")),
            ("enclave", text(&enclave.hex())),
            ("filter", Json::object(filter)),
        ]);
        let answer = post(url, JSON, query.to_jcs().as_bytes()).json();
        let Some(Json::Array(events)) = answer.member("events") else { panic!("no events: {}", answer.to_jcs()) };
        ids.extend(events.iter().map(|event| event.member("id").and_then(Json::as_text).expect("an id").to_owned()));
        if answer.member("next").is_none() {
            return ids;
        }
    }
}

pub fn refused(mut command: Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.output().expect("the binary runs");
    (status.code().unwrap_or(-1), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn what_was_acknowledged_before_a_kill_is_in_the_log() {
    let scratch = Scratch::new("kill");
    let node = start(&mut command(&scratch.0));
    let enclave = node.create("a");
    let receipts = commit_until_gone(&node.url, enclave, |count| {
        if count == 200 {
            node.signal(rustix::process::Signal::KILL);
        }
    });
    assert!(receipts.len() >= 200);
    node.end();
    let again = start(&mut command(&scratch.0));
    let ids = ids(&again.url, enclave);
    for (seq, id) in &receipts {
        assert_eq!(ids.get(usize::try_from(*seq).expect("small")), Some(id), "the receipt of {seq} is kept");
    }
    let next = commit(&again.url, &note(&key(0x33), enclave, "after")).expect("answered");
    assert_eq!(next.json().member("seq").and_then(Json::as_uint), Some(ids.len() as u64));
    again.signal(rustix::process::Signal::TERM);
    assert_eq!(again.end(), 0);
}

#[test]
fn a_stop_answers_all_that_was_taken() {
    let scratch = Scratch::new("stop");
    let node = start(&mut command(&scratch.0));
    let enclave = node.create("a");
    let receipts = commit_until_gone(&node.url, enclave, |count| {
        if count == 100 {
            node.signal(rustix::process::Signal::TERM);
        }
    });
    assert_eq!(node.end(), 0);
    let again = start(&mut command(&scratch.0));
    let kept = ids(&again.url, enclave);
    assert_eq!(kept.len(), receipts.len() + 1, "each event but the Manifest has a receipt, and each receipt its event");
    again.signal(rustix::process::Signal::INT);
    assert_eq!(again.end(), 0);
}

#[test]
fn after_a_failed_write_it_stops_and_has_promised_nothing() {
    let scratch = Scratch::new("full");
    // A limit on the size of files: a write beyond it fails as one on a broken disk does.
    let mut limited = Command::new("bash");
    let script = "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\"";
    limited.args(["-c", script, env!("CARGO_BIN_EXE_encd"), "--listen", "127.0.0.1:0", "--admin-listen"]);
    limited.args(["127.0.0.1:0", "--data"]).arg(&scratch.0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let node = start(&mut limited);
    let enclave = node.create("a");
    let large = "x".repeat(100_000);
    let mut receipts = Vec::new();
    for n in 0..1_000 {
        let said = note(&key(0x33), enclave, &format!("{n}{large}"));
        match commit(&node.url, &said) {
            Some(answer) if answer.status == 200 => receipts.push(said.commit().hash),
            Some(_) | None => break,
        }
    }
    assert!((1..1_000).contains(&receipts.len()));
    assert_eq!(node.end(), 74);
    let again = start(&mut command(&scratch.0));
    for hash in &receipts {
        let filter = Json::object([("hash", text(&hash.hex()))]);
        let query = Json::object([("type", text("Query")), ("enclave", text(&enclave.hex())), ("filter", filter)]);
        let answer = post(&again.url, JSON, query.to_jcs().as_bytes()).json();
        assert!(matches!(answer.member("events"), Some(Json::Array(events)) if events.len() == 1));
    }
    again.signal(rustix::process::Signal::TERM);
    assert_eq!(again.end(), 0);
}

#[test]
fn a_second_process_is_told_what_to_do() {
    let scratch = Scratch::new("second");
    let node = start(&mut command(&scratch.0));
    let (code, line) = refused(command(&scratch.0));
    assert_eq!(code, 75, "{line}");
    assert!(line.contains("another encd") && line.contains("--data"), "{line}");
    node.signal(rustix::process::Signal::TERM);
    assert_eq!(node.end(), 0);
    let after = start(&mut command(&scratch.0));
    after.signal(rustix::process::Signal::TERM);
    assert_eq!(after.end(), 0);
}

#[test]
fn what_cannot_start_says_why() {
    let scratch = Scratch::new("wrong");
    std::fs::create_dir_all(&scratch.0).expect("made");
    let (code, line) = refused(command(Path::new("/proc/encd")));
    assert_eq!(code, 78, "{line}");
    assert!(line.contains("--data"), "{line}");
    let file = scratch.0.join("encd.toml");
    std::fs::write(&file, "[listn]\n").expect("written");
    let mut wrong = command(&scratch.0);
    wrong.arg("--config").arg(&file);
    let (code, line) = refused(wrong);
    assert_eq!(code, 78, "{line}");
    assert!(line.contains("listn"), "{line}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut busy = Command::new(env!("CARGO_BIN_EXE_encd"));
    busy.args(["--memory", "--admin-listen", "127.0.0.1:0", "--listen"]);
    busy.arg(taken.local_addr().expect("bound").to_string()).stderr(Stdio::piped());
    let (code, line) = refused(busy);
    assert_eq!(code, 69, "{line}");
    assert!(line.contains("--listen"), "{line}");
}

#[test]
fn the_log_names_routes_and_nothing_that_was_asked_for() {
    let scratch = Scratch::new("log");
    std::fs::create_dir_all(&scratch.0).expect("writable");
    let config = scratch.0.join("encd.toml");
    std::fs::write(&config, "log = \"debug\"\nlog_format = \"json\"\n").expect("writable");
    let mut node = start(command(&scratch.0).arg("--config").arg(&config));
    let enclave = node.create("a");
    assert_eq!(get(&format!("{}/enclaves/{}/sth?mark=secret-mark", node.url, enclave.hex())).status, 400);
    assert_eq!(get(&format!("{}/secret-mark/x", node.url)).status, 404);
    node.signal(rustix::process::Signal::HUP);
    assert_eq!(get(&format!("{}/healthz", node.url)).status, 200, "SIGHUP ends nothing");
    let mut err = node.child.stderr.take().expect("its output is ours");
    node.signal(rustix::process::Signal::TERM);
    assert_eq!(node.end(), 0);
    let mut log = String::new();
    err.read_to_string(&mut log).expect("the log is text");
    let mut statuses = Vec::new();
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a JSON text a line");
        if line["message"] == "request" {
            statuses.push(line["status"].as_u64().expect("a number"));
            assert!(line["route"].is_string() && line["method"].is_string() && line["micros"].is_u64(), "{line}");
        }
    }
    // The node's key, the Manifest, the tree head, the route that is none, and the health.
    assert_eq!(statuses, [200, 200, 400, 404, 200], "{log}");
    for secret in ["secret-mark", &enclave.hex(), &key(0x33).public().hex()] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[test]
fn in_memory_nothing_is_left() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_encd"));
    command.args(["--memory", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    let node = start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    node.create("a");
    let folder =
        node.banner.lines().find(|line| line.contains("data ")).and_then(|line| line.split_whitespace().nth(1));
    let folder = PathBuf::from(folder.expect("the banner names the folder"));
    assert!(folder.join("data").is_dir());
    assert!(!node.banner.contains('\x1b'), "colours are for terminals");
    node.signal(rustix::process::Signal::TERM);
    assert_eq!(node.end(), 0);
    assert!(!folder.exists());
}

#[test]
fn an_older_copy_of_a_database_is_served_but_not_written_to() {
    let scratch = Scratch::new("older");
    let node = start(&mut command(&scratch.0));
    let enclave = node.create("a");
    node.signal(rustix::process::Signal::TERM);
    assert_eq!(node.end(), 0);
    let copy = Scratch::new("copy");
    std::fs::create_dir_all(&copy.0).expect("made");
    let shards: Vec<PathBuf> = (0..2).map(|shard| PathBuf::from(format!("shard-{shard}.db"))).collect();
    for shard in &shards {
        std::fs::copy(scratch.0.join("data").join(shard), copy.0.join(shard)).expect("copied");
    }
    let node = start(&mut command(&scratch.0));
    assert_eq!(commit(&node.url, &note(&key(0x33), enclave, "later")).expect("answered").status, 200);
    node.signal(rustix::process::Signal::TERM);
    assert_eq!(node.end(), 0);
    for shard in &shards {
        std::fs::copy(copy.0.join(shard), scratch.0.join("data").join(shard)).expect("put back");
    }
    let node = start(&mut command(&scratch.0));
    let refused = commit(&node.url, &note(&key(0x33), enclave, "second history")).expect("answered");
    assert_eq!((refused.status, refused.code().as_str()), (503, "rolled_back"));
    assert_eq!(ids(&node.url, enclave).len(), 1);
    node.signal(rustix::process::Signal::TERM);
    assert_eq!(node.end(), 0);
}
