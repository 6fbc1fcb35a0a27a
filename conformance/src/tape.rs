//! Answers that were recorded, played again over real HTTP, one of them altered.

use crate::liar::Exchange;
use crate::wire::{Answer, Ask};
use std::collections::HashMap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A route of the tape: method, a space, target.
pub type Route = String;

/// What is played: answers by route, and those that stand in their place for now.
#[derive(Default)]
struct Reel {
    recorded: HashMap<Route, Answer>,
    altered: Option<(Route, Vec<u8>)>,
}

/// The server. It ends with this value.
pub struct Tape {
    /// Where a client finds it.
    pub url: String,
    reel: Arc<Mutex<Reel>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The route of a request.
pub fn route(ask: &Ask) -> Route {
    format!("{} {}", ask.method, ask.target)
}

impl Tape {
    /// Plays what was recorded: of each route the last answer.
    pub fn play(recorded: &[Exchange]) -> Tape {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let recorded = recorded.iter().map(|exchange| (route(&exchange.ask), exchange.answer.clone())).collect();
        let reel = Arc::new(Mutex::new(Reel { recorded, altered: None }));
        let stopping = Arc::new(AtomicBool::new(false));
        let (played, stop) = (Arc::clone(&reel), Arc::clone(&stopping));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                let played = Arc::clone(&played);
                std::thread::spawn(move || {
                    if let Err(error) = stream.and_then(|stream| serve(stream, &played)) {
                        eprintln!("at the tape: {error}");
                    }
                });
            }
        });
        Tape { url, reel, stopping, thread: Some(thread) }
    }

    /// The answer of a route, as it was recorded.
    pub fn recorded(&self, route: &str) -> Option<Answer> {
        self.reel.lock().unwrap_or_else(PoisonError::into_inner).recorded.get(route).cloned()
    }

    /// Plays another body in the place of a route's.
    pub fn alter(&self, route: &str, body: Vec<u8>) {
        self.reel.lock().unwrap_or_else(PoisonError::into_inner).altered = Some((route.to_owned(), body));
    }

    /// Plays everything as it was recorded.
    pub fn restore(&self) {
        self.reel.lock().unwrap_or_else(PoisonError::into_inner).altered = None;
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // The thread waits for a connection: this one ends its wait.
        if TcpStream::connect(self.url.trim_start_matches("http://")).is_ok()
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the tape did not end in order");
        }
    }
}

fn serve(mut stream: TcpStream, reel: &Mutex<Reel>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut unread = Vec::new();
    while let Some(ask) = Ask::read(&mut stream, &mut unread)? {
        let answer = reel.lock().unwrap_or_else(PoisonError::into_inner).answer(&route(&ask));
        answer.write(&mut stream, "keep-alive")?;
    }
    Ok(())
}

impl Reel {
    fn answer(&self, route: &str) -> Answer {
        let Some(recorded) = self.recorded.get(route) else {
            let code = protocol::Code::InvalidRoute;
            let body = protocol::Rejection::from(code).to_json(None).to_jcs().into_bytes();
            return Answer { status: code.status(), headers: Vec::new(), body };
        };
        match &self.altered {
            Some((altered, body)) if altered == route => Answer { body: body.clone(), ..recorded.clone() },
            Some(_) | None => recorded.clone(),
        }
    }
}
