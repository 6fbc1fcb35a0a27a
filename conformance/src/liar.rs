//! A proxy that stands between a client and a node, sees every answer, and changes what it is told to.

use crate::wire::{Answer, Ask, ask};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// One request and what the node said to it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The request.
    pub ask: Ask,
    /// The node's answer, before any lie.
    pub answer: Answer,
}

/// Sees an exchange and may give another body in the place of the answer's.
pub type Lie = Box<dyn FnMut(&Exchange) -> Option<Vec<u8>> + Send>;

/// The proxy. It ends with this value.
pub struct Liar {
    /// Where a client finds it.
    pub url: String,
    heard: Arc<Mutex<Vec<Exchange>>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Exchange {
    /// A header of the request.
    pub fn header(&self, wanted: &str) -> &str {
        let found = self.ask.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map_or("", |(_, value)| value)
    }
}

impl Liar {
    /// Stands before the node at `host:port`.
    pub fn before(node: &str, lie: Lie) -> Liar {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (heard, stopping) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (kept, stop) = (Arc::clone(&heard), Arc::clone(&stopping));
        let (node, mut lie) = (node.to_owned(), lie);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                // A client that breaks off has its reasons; the next one is served.
                if let Err(error) = stream.and_then(|stream| pass_on(stream, &node, &mut lie, &kept)) {
                    eprintln!("at the proxy: {error}");
                }
            }
        });
        Liar { url, heard, stopping, thread: Some(thread) }
    }

    /// Everything that passed, in order.
    pub fn heard(&self) -> Vec<Exchange> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // The thread waits for a connection: this one ends its wait.
        if TcpStream::connect(self.url.trim_start_matches("http://")).is_ok()
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the proxy did not end in order");
        }
    }
}

fn pass_on(mut stream: TcpStream, node: &str, lie: &mut Lie, heard: &Mutex<Vec<Exchange>>) -> io::Result<()> {
    let Some(asked) = Ask::read(&mut stream, &mut Vec::new())? else { return Ok(()) };
    let answer = ask(node, &asked);
    let exchange = Exchange { ask: asked, answer };
    let told = lie(&exchange).unwrap_or_else(|| exchange.answer.body.clone());
    let answer = Answer { body: told, ..exchange.answer.clone() };
    heard.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
    // One request a connection: whoever kept one open would hold up all others.
    answer.write(&mut stream, "close")
}
