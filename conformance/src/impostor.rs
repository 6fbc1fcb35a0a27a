//! A node with a defect: a proxy before a real one that changes its answers and its frames, and that has the node's key, so that what it
//! forges is signed.

use crate::liar::Exchange;
use crate::wire::{Answer, Ask, Connection};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// What is answered in the place of the node's answer; none where that stands.
pub type Lie = Box<dyn Fn(&Exchange) -> Option<Answer> + Send + Sync>;
/// The text frames that are sent in the place of one of the node's.
pub type FrameLie = fn(&str) -> Vec<String>;

/// The proxy. It takes no more connections once this value is gone.
pub struct Impostor {
    /// `127.0.0.1:…`.
    pub address: String,
    stopping: Arc<AtomicBool>,
}

struct Lies {
    node: String,
    answer: Lie,
    /// None where an upgrade is answered like any other request.
    frame: Option<FrameLie>,
}

impl Impostor {
    /// Stands before the node at `host:port`.
    pub fn before(node: &str, answer: Lie, frame: FrameLie) -> Impostor {
        Impostor::start(Lies { node: node.to_owned(), answer, frame: Some(frame) })
    }

    /// The same, but that an upgrade and a body in chunks are answered like any other request.
    pub fn without_sockets(node: &str, answer: Lie) -> Impostor {
        Impostor::start(Lies { node: node.to_owned(), answer, frame: None })
    }

    fn start(lies: Lies) -> Impostor {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let stopping = Arc::new(AtomicBool::new(false));
        let (stop, lies) = (Arc::clone(&stopping), Arc::new(lies));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                let lies = Arc::clone(&lies);
                // A judge that breaks off has seen enough.
                thread::spawn(move || stream.and_then(|stream| pass_on(stream, &lies)));
            }
        });
        Impostor { address, stopping }
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // The thread waits for a connection: this one ends its wait.
        if let Err(error) = TcpStream::connect(&self.address) {
            eprintln!("the impostor was gone: {error}");
        }
    }
}

fn pass_on(mut stream: TcpStream, lies: &Lies) -> io::Result<()> {
    let mut unread = Vec::new();
    while !unread.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            read => unread.extend_from_slice(&chunk[..read]),
        }
    }
    let head = String::from_utf8_lossy(&unread).to_ascii_lowercase();
    if let Some(frame) = lies.frame {
        if head.contains("\r\nupgrade: websocket") {
            return splice(stream, &unread, &lies.node, Some(frame));
        }
        if head.contains("\r\ntransfer-encoding") {
            return splice(stream, &unread, &lies.node, None);
        }
    }
    let Some(mut ask) = Ask::read(&mut stream, &mut unread)? else { return Ok(()) };
    ask.headers.push(("Connection".into(), "close".into()));
    let answer = Connection::open(&lies.node)?.ask(&ask)?;
    let exchange = Exchange { ask, answer };
    let told = (lies.answer)(&exchange);
    told.as_ref().unwrap_or(&exchange.answer).write(&mut stream, "close")
}

/// Both directions at once; what the node sends on a socket goes through the lie.
fn splice(mut stream: TcpStream, begun: &[u8], node: &str, frame: Option<FrameLie>) -> io::Result<()> {
    let mut node = TcpStream::connect(node)?;
    node.write_all(begun)?;
    let (mut from, mut to) = (stream.try_clone()?, node.try_clone()?);
    let upward = thread::spawn(move || {
        let copied = io::copy(&mut from, &mut to);
        copied.and_then(|_| to.shutdown(Shutdown::Write))
    });
    let downward = match frame {
        Some(lie) => rewrite(&mut node, &mut stream, lie),
        None => io::copy(&mut node, &mut stream).map(drop),
    };
    // The judge may have left first, or the node: either ends both.
    let ended = stream.shutdown(Shutdown::Both);
    let joined = upward.join();
    downward.and(ended).and(joined.unwrap_or(Ok(())))
}

/// Passes the handshake on, and then frame by frame.
fn rewrite(node: &mut TcpStream, stream: &mut TcpStream, lie: FrameLie) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(exactly(node, 1)?);
    }
    stream.write_all(&head)?;
    if !head.starts_with(b"HTTP/1.1 101") {
        return io::copy(node, stream).map(drop);
    }
    loop {
        let [first, len] = <[u8; 2]>::try_from(exactly(node, 2)?).map_err(|_| io::ErrorKind::InvalidData)?;
        let len = match len & 0x7f {
            126 => exactly(node, 2)?,
            127 => exactly(node, 8)?,
            short => vec![short],
        };
        let len = len.into_iter().fold(0, |len, byte| len << 8 | usize::from(byte));
        let payload = exactly(node, len)?;
        match (first, String::from_utf8(payload)) {
            (0x81, Ok(text)) => lie(&text).iter().try_for_each(|text| send(stream, first, text.as_bytes()))?,
            (_, Ok(text)) => send(stream, first, text.as_bytes())?,
            (_, Err(other)) => send(stream, first, other.as_bytes())?,
        }
    }
}

fn exactly(stream: &mut TcpStream, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn send(stream: &mut TcpStream, first: u8, payload: &[u8]) -> io::Result<()> {
    let len = u64::try_from(payload.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&[&[first, 127][..], &len.to_be_bytes(), payload].concat())
}
