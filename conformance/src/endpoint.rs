//! A push endpoint on this machine. It answers as a test tells it to, and hands over all that it got.

use crate::wire::{Answer, Ask};
use protocol::Json;
use protocol::json::{self, MAX_DEPTH};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a delivery may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Status and body for a request, which is JSON.
pub type Reply = Box<dyn FnMut(&Json) -> (u16, String) + Send>;

/// A listening endpoint; it ends with this value.
pub struct Endpoint {
    /// Where it is, as it is registered.
    pub url: String,
    deliveries: Receiver<Json>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    replies: Arc<Mutex<Reply>>,
}

impl Endpoint {
    /// An endpoint that answers challenges and takes what comes.
    pub fn willing() -> Endpoint {
        Endpoint::start(Box::new(|_| (200, "{}".into())))
    }

    /// An endpoint whose answer to each delivery `reply` gives. Challenges are answered.
    pub fn start(reply: Reply) -> Endpoint {
        Endpoint::start_raw(challenged(reply))
    }

    /// The same at another address of this machine.
    ///
    /// # Errors
    /// Where nothing can listen there.
    pub fn start_at(host: &str, reply: Reply) -> io::Result<Endpoint> {
        Endpoint::listen(host, challenged(reply))
    }

    /// An endpoint whose answer to everything `reply` gives.
    pub fn start_raw(reply: Reply) -> Endpoint {
        Endpoint::listen("127.0.0.1", reply).expect("a free port")
    }

    fn listen(host: &str, reply: Reply) -> io::Result<Endpoint> {
        let listener = TcpListener::bind((host, 0))?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let (sender, deliveries) = channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let replies = Arc::new(Mutex::new(reply));
        let (stop, answers) = (Arc::clone(&stopping), Arc::clone(&replies));
        let thread = std::thread::spawn(move || serve(&listener, &stop, &answers, &sender));
        Ok(Endpoint { url, deliveries, stopping, thread: Some(thread), replies })
    }

    /// From here on it answers otherwise.
    pub fn answer_with(&self, reply: Reply) {
        *self.replies.lock().unwrap_or_else(PoisonError::into_inner) = reply;
    }

    /// The next request that was no challenge.
    ///
    /// # Panics
    /// Where none comes.
    pub fn delivery(&self) -> Json {
        self.try_delivery().expect("a delivery comes")
    }

    /// The next request that was no challenge; none where none comes for half a minute.
    pub fn try_delivery(&self) -> Option<Json> {
        self.deliveries.recv_timeout(PATIENCE).ok()
    }

    /// What has come so far and was not taken.
    pub fn pending(&self) -> Vec<Json> {
        self.deliveries.try_iter().collect()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        let address = self.url.trim_start_matches("http://").trim_end_matches("/hook");
        // The thread waits for a connection: this one ends its wait.
        if TcpStream::connect(address).is_ok()
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the endpoint did not end in order");
        }
    }
}

/// A reply that answers challenges by itself.
fn challenged(mut reply: Reply) -> Reply {
    Box::new(move |body| match token(body) {
        Some(token) => (200, format!(r#"{{"token":"{token}"}}"#)),
        None => reply(body),
    })
}

fn token(body: &Json) -> Option<&str> {
    let is_challenge = body.member("type").and_then(Json::as_text) == Some("Challenge");
    body.member("token").and_then(Json::as_text).filter(|_| is_challenge)
}

fn serve(listener: &TcpListener, stop: &AtomicBool, replies: &Mutex<Reply>, sender: &Sender<Json>) {
    for stream in listener.incoming() {
        if stop.load(Ordering::Acquire) {
            return;
        }
        // Who breaks off comes again.
        if let Err(error) = stream.and_then(|stream| answer(stream, replies, sender)) {
            eprintln!("at the endpoint: {error}");
        }
    }
}

fn answer(mut stream: TcpStream, replies: &Mutex<Reply>, sender: &Sender<Json>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let ask = Ask::read(&mut stream, &mut Vec::new())?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let body = json::parse(&ask.body, MAX_DEPTH);
    let body = body.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a node posts JSON"))?;
    let (status, text) = replies.lock().unwrap_or_else(PoisonError::into_inner)(&body);
    if token(&body).is_none() && sender.send(body).is_err() {
        return Err(io::Error::other("nobody waits for deliveries"));
    }
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    Answer { status, headers, body: text.into_bytes() }.write(&mut stream, "close")
}
