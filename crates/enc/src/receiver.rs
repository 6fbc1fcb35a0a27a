//! A push endpoint on this machine: answers challenges, hands over deliveries.

use protocol::Json;
use protocol::json::{self, MAX_DEPTH};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver as Inbox, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes of a request: a delivery is at most half a mebibyte of events.
const MAX_REQUEST_LEN: usize = 2 << 20;
/// How long a peer may take between two bytes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Listens on a free port of loopback until it is dropped.
pub struct Receiver {
    url: String,
    inbox: Inbox<Vec<u8>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Begins to listen.
    pub fn start() -> io::Result<Receiver> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let url = format!("http://{}/push", listener.local_addr()?);
        let (sender, inbox) = channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = std::thread::spawn(move || serve(&listener, &stop, &sender));
        Ok(Receiver { url, inbox, stopping, thread: Some(thread) })
    }

    /// The endpoint's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The body of the next delivery, if one comes in time.
    pub fn delivery(&self, wait: Duration) -> Option<Vec<u8>> {
        self.inbox.recv_timeout(wait).ok()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        let address = self.url.trim_start_matches("http://").trim_end_matches("/push");
        // The thread waits for a connection: this one ends its wait.
        if TcpStream::connect(address).is_ok()
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("enc: the push endpoint did not end in order");
        }
    }
}

fn serve(listener: &TcpListener, stopping: &AtomicBool, sender: &Sender<Vec<u8>>) {
    for stream in listener.incoming() {
        if stopping.load(Ordering::Acquire) {
            return;
        }
        // A peer that breaks off is its own fault; the node tries again.
        if let Ok(stream) = stream
            && let Err(error) = answer(stream, sender)
        {
            eprintln!("enc: at the push endpoint: {error}");
        }
    }
}

fn answer(mut stream: TcpStream, sender: &Sender<Vec<u8>>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let body = read_body(&mut stream)?;
    let reply = match challenge(&body) {
        Some(token) => Json::object([("token", Json::from(token))]),
        None => {
            if sender.send(body).is_err() {
                return Err(io::Error::other("nobody waits for deliveries"));
            }
            Json::object([("ok", Json::Bool(true))])
        }
    }
    .to_jcs();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{reply}", reply.len())?;
    stream.flush()?;
    stream.shutdown(Shutdown::Write)
}

/// The token of a challenge.
fn challenge(body: &[u8]) -> Option<String> {
    let value = json::parse(body, MAX_DEPTH).ok()?;
    let is_challenge = value.member("type").and_then(Json::as_text) == Some("Challenge");
    value.member("token").and_then(Json::as_text).filter(|_| is_challenge).map(String::from)
}

/// Reads a request with a `Content-Length`.
fn read_body(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "no request that an endpoint takes");
    let mut bytes = Vec::new();
    let (start, length) = loop {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        if let Ok(httparse::Status::Complete(start)) = request.parse(&bytes) {
            let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
            let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok());
            break (start, length.filter(|length| *length <= MAX_REQUEST_LEN).ok_or_else(broken)?);
        }
        read_more(stream, &mut bytes)?;
    };
    while bytes.len() < start + length {
        read_more(stream, &mut bytes)?;
    }
    Ok(bytes[start..start + length].to_vec())
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 8192];
    let read = stream.read(&mut chunk)?;
    if read == 0 || bytes.len() + read > MAX_REQUEST_LEN + 8192 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    bytes.extend_from_slice(&chunk[..read]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(url: &str, body: &str) -> String {
        let address = url.trim_start_matches("http://").trim_end_matches("/push");
        let mut stream = TcpStream::connect(address).expect("it listens");
        let request = format!("POST /push HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    #[test]
    fn challenges_are_answered_and_deliveries_handed_over() {
        let receiver = Receiver::start().expect("a free port");
        let answer = post(receiver.url(), r#"{"type":"Challenge","token":"abc"}"#);
        assert!(answer.ends_with(r#"{"token":"abc"}"#), "{answer}");
        let answer = post(receiver.url(), r#"{"push_seq":1}"#);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(receiver.delivery(PATIENCE).as_deref(), Some(&br#"{"push_seq":1}"#[..]));
    }
}
