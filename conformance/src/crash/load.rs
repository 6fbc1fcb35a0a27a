//! Who writes: sixteen connections, singly, in lines and over WebSockets, which also subscribe; all that they hear is kept.

use crate::crash::field::{ENCLAVES, Field};
use crate::crash::journal::Journal;
use crate::socket::Socket;
use crate::wire::{Answer, Ask, Connection};
use protocol::json::{self, MAX_DEPTH};
use protocol::{Code, Commit, CommitHash, Json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Connections that send one commit after the other, and ask for a tree head now and then.
const SINGLE: usize = 8;
/// Connections that stream lines.
const LINES: usize = 4;
/// WebSockets that commit, each subscribed to an enclave of its own.
const SOCKETS: usize = 4;
/// Connections that write.
pub const CONNECTIONS: usize = SINGLE + LINES + SOCKETS;
/// Commits of one streamed request.
const LINES_AT_ONCE: usize = 50;
/// Commits of one WebSocket that wait for their receipts.
const IN_FLIGHT: usize = 8;
/// Commits of one such connection from one tree head to the next.
const HEAD_EVERY: usize = 3;
/// Events of history that a subscription asks for, the most that a node gives: what it had not yet heard when the node was ended.
const HISTORY: u64 = 1000;
/// How long a node may take to give so many receipts.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often it is looked whether there is still anybody who could get one.
const LOOK: Duration = Duration::from_millis(200);

/// Load under way. It goes on until the node is gone.
pub struct Load {
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

/// Where each subscription goes on: the last place that it has seen.
pub type Resume = HashMap<String, u64>;

struct Shared {
    address: String,
    field: Arc<Field>,
    journal: Arc<Journal>,
    resume: Resume,
    unexpected: Mutex<Option<String>>,
}

impl Load {
    /// Begins to write to a node.
    pub fn begin(address: &str, field: &Arc<Field>, journal: &Arc<Journal>, resume: Resume) -> Load {
        let (address, unexpected) = (address.to_owned(), Mutex::new(None));
        let (field, journal) = (Arc::clone(field), Arc::clone(journal));
        let shared = Arc::new(Shared { address, field, journal, resume, unexpected });
        let threads = (0..CONNECTIONS).map(|place| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || match place {
                ..SINGLE => shared.write_singly(place),
                place if place < SINGLE + LINES => shared.write_lines(),
                place => shared.write_on_socket(place - SINGLE - LINES),
            })
        });
        Load { threads: threads.collect(), shared }
    }

    /// Waits until the journal holds so many receipts; false where the node gives none any more.
    pub fn reaches(&self, receipts: usize) -> bool {
        let until = Instant::now() + PATIENCE;
        while !self.shared.journal.wait_for(receipts, LOOK) {
            if Instant::now() > until || self.threads.iter().all(JoinHandle::is_finished) {
                return false;
            }
        }
        true
    }

    /// Waits until every connection has ended, which each does when the node is gone; the first answer, if any, that was neither a
    /// receipt nor the refusal of a node that has too much to do.
    pub fn end(self) -> Option<String> {
        for thread in self.threads {
            thread.join().expect("whatever came was whole");
        }
        self.shared.unexpected.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Shared {
    /// Keeps what came for a commit.
    fn take(&self, commit: &Commit, answer: &[u8]) {
        let value = json::parse(answer, MAX_DEPTH).expect("an answer that came is whole");
        match value.member("error").and_then(Json::as_text) {
            None => self.journal.receipt(commit, &String::from_utf8_lossy(answer)),
            Some(code) => self.refused(code, answer),
        }
    }

    fn refused(&self, code: &str, answer: &[u8]) {
        if code != Code::Overloaded.as_str() {
            let mut first = self.unexpected.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| String::from_utf8_lossy(answer).into_owned());
        }
    }

    fn write_singly(&self, place: usize) {
        let Ok(mut connection) = Connection::open(&self.address) else { return };
        let enclave = self.field.enclaves[place % ENCLAVES];
        for count in 1.. {
            let commit = self.field.commit();
            let Ok(answer) = connection.ask(&Ask::post("/", commit.to_json().to_jcs())) else { return };
            self.take(&commit, &answer.body);
            if closes(&answer) {
                return;
            }
            if count % HEAD_EVERY == 0 {
                let Ok(answer) = connection.ask(&Ask::get(&format!("/enclaves/{enclave}/sth"))) else { return };
                match answer.status {
                    200 => self.journal.head(&answer.text()),
                    _ => {
                        self.refused(answer.json().member("error").and_then(Json::as_text).unwrap_or(""), &answer.body)
                    }
                }
            }
        }
    }

    fn write_lines(&self) {
        let Ok(mut connection) = Connection::open(&self.address) else { return };
        loop {
            let commits: Vec<Commit> = (0..LINES_AT_ONCE).map(|_| self.field.commit()).collect();
            let body: Vec<String> = commits.iter().map(|commit| commit.to_json().to_jcs()).collect();
            if connection.send(&Ask::post_as("application/x-ndjson", "/commits", body.join("\n"))).is_err() {
                return;
            }
            let (mut commits, mut partial) = (commits.into_iter(), Vec::new());
            let answer = connection.read_streamed(&mut |piece| {
                partial.extend_from_slice(piece);
                while let Some(end) = partial.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = partial.drain(..=end).collect();
                    let commit = commits.next().expect("no more answers than lines");
                    self.take(&commit, &line[..end]);
                }
            });
            match answer {
                Ok(answer) if !closes(&answer) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn write_on_socket(&self, place: usize) {
        let Ok(mut socket) = Socket::open(&self.address, "/") else { return };
        let (enclave, name) = (self.field.enclaves[place], format!("s{place}"));
        let from = self.resume.get(&name).map_or(String::new(), |last| format!(r#","seq":{{"start_after":{last}}}"#));
        let filter = format!(r#"{{"limit":{HISTORY}{from}}}"#);
        let query = format!(r#"{{"type":"Query","sub_id":"{name}","enclave":"{enclave}","filter":{filter}}}"#);
        if !socket.try_send(&query) {
            return;
        }
        let mut waiting: HashMap<CommitHash, Commit> = HashMap::new();
        loop {
            while waiting.len() < IN_FLIGHT {
                let commit = self.field.commit();
                let text = commit.to_json().to_jcs();
                waiting.insert(commit.hash, commit);
                // What a node that closes has still to say is read to its end.
                if !socket.try_send(&text) {
                    break;
                }
            }
            let Some(frame) = socket.next_frame() else { return };
            self.hear(&name, &frame, &mut waiting);
        }
    }

    fn hear(&self, name: &str, frame: &Json, waiting: &mut HashMap<CommitHash, Commit>) {
        let text = |member| frame.member(member).and_then(Json::as_text).unwrap_or("");
        let hash = CommitHash::parse(text("hash")).ok();
        match text("type") {
            "Receipt" => {
                let commit =
                    hash.and_then(|hash| waiting.remove(&hash)).expect("a receipt is for a commit that was sent");
                self.journal.receipt(&commit, &frame.to_jcs());
            }
            "Event" => self.journal.event(name, frame.member("event").expect("an Event has one")),
            "EOSE" => {}
            "Error" => {
                hash.and_then(|hash| waiting.remove(&hash));
                self.refused(text("error"), frame.to_jcs().as_bytes());
            }
            // A subscription of a node that stops or has too much to do ends so.
            "Closed" => self.refused(text("reason"), frame.to_jcs().as_bytes()),
            other => panic!("no frame is a {other}"),
        }
    }
}

fn closes(answer: &Answer) -> bool {
    answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
}
