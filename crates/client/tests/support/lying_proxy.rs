//! A proxy that passes on what a node answers, but for what it is told to change.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// An answer as it passed.
#[derive(Clone, Debug)]
pub struct Passed {
    pub agent: String,
    pub line: String,
    pub body: Vec<u8>,
}

/// What becomes of an answer's body, by its number and the answer itself. `None` cuts the connection.
pub type Lie = Box<dyn FnMut(usize, &Passed) -> Option<Vec<u8>> + Send>;

pub struct LyingProxy {
    pub url: String,
    passed: Arc<Mutex<Vec<Passed>>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LyingProxy {
    pub fn start(node: &str, mut lie: Lie) -> LyingProxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (passed, stopping) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, stop) = (Arc::clone(&passed), Arc::clone(&stopping));
        let node = node.trim_start_matches("http://").to_string();
        // One connection at a time: answers have numbers.
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                if let Ok(stream) = stream {
                    pass_on(stream, &node, &mut lie, &log);
                }
            }
        });
        LyingProxy { url, passed, stopping, thread: Some(thread) }
    }

    pub fn passed(&self) -> Vec<Passed> {
        self.passed.lock().expect("no thread panicked").clone()
    }
}

impl Drop for LyingProxy {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        let address = self.url.trim_start_matches("http://");
        drop(TcpStream::connect(address));
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the proxy ends in order");
        }
    }
}

fn pass_on(mut client: TcpStream, node: &str, lie: &mut Lie, log: &Mutex<Vec<Passed>>) {
    let Some((head, body)) = read_message(&mut client) else { return };
    let mut upstream = TcpStream::connect(node).expect("the node listens");
    let (line, headers) = head.split_once("\r\n").expect("a request has a line");
    let agent = header(headers, "user-agent").unwrap_or_default();
    let kept: String = headers
        .split("\r\n")
        .filter(|row| !row.is_empty() && !row.to_ascii_lowercase().starts_with("connection:"))
        .map(|row| format!("{row}\r\n"))
        .collect();
    write!(upstream, "{line}\r\n{kept}Connection: close\r\n\r\n").expect("the node reads");
    upstream.write_all(&body).expect("the node reads");
    let Some((head, body)) = read_message(&mut upstream) else { return };
    let status = head.split("\r\n").next().expect("an answer has a line");
    let content_type = header(&head, "content-type").unwrap_or_default();
    let number = log.lock().expect("no thread panicked").len();
    let answer = Passed { agent, line: line.into(), body };
    let changed = lie(number, &answer);
    log.lock().expect("no thread panicked").push(answer);
    let Some(body) = changed else { return };
    let length = body.len();
    let written = write!(
        client,
        "{status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    // A client that does not want its answer any more is no concern of the proxy's.
    if written.and_then(|()| client.write_all(&body)).is_err() {
        eprintln!("the client has left");
    }
}

fn header(headers: &str, name: &str) -> Option<String> {
    headers.split("\r\n").find_map(|row| {
        let (key, value) = row.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_string())
    })
}

/// Head without its blank line, and body by `Content-Length`.
fn read_message(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let length: usize = header(&head, "content-length").map_or(Some(0), |text| text.parse().ok())?;
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(read) => body.extend_from_slice(&chunk[..read]),
        }
    }
    Some((head, body))
}
