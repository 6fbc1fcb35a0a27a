//! An address that stays, before a node that comes back on another port after it was killed.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// The address. It passes on bytes as they come; it ends with this value.
pub struct Gate {
    /// As a client finds it.
    pub url: String,
    address: String,
    behind: Arc<Mutex<String>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Gate {
    /// Before the node at `host:port`.
    pub fn before(node: &str) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let (behind, stopping) = (Arc::new(Mutex::new(node.to_owned())), Arc::new(AtomicBool::new(false)));
        let (node, stop) = (Arc::clone(&behind), Arc::clone(&stopping));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                let node = node.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // Where nobody is, the connection ends: a client sees a node that is down.
                if let Err(error) = stream.and_then(|stream| pass_on(stream, &node)) {
                    eprintln!("at the gate: {error}");
                }
            }
        });
        Gate { url: format!("http://{address}"), address, behind, stopping, thread: Some(thread) }
    }

    /// The node is there from now on.
    pub fn lead_to(&self, node: &str) {
        *self.behind.lock().unwrap_or_else(PoisonError::into_inner) = node.to_owned();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // The thread waits for a connection: this one ends its wait.
        if TcpStream::connect(&self.address).is_ok()
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the gate did not end in order");
        }
    }
}

fn pass_on(client: TcpStream, node: &str) -> io::Result<()> {
    let node = TcpStream::connect(node)?;
    for (from, to) in [(client.try_clone()?, node.try_clone()?), (node, client)] {
        std::thread::spawn(move || copy(&from, &to));
    }
    Ok(())
}

/// Until either side has ended; then both have.
fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    let copied = io::copy(&mut from, &mut to);
    for side in [from, to] {
        if let Err(error) = side.shutdown(Shutdown::Both)
            && error.kind() != io::ErrorKind::NotConnected
        {
            eprintln!("at the gate, after {copied:?}: {error}");
        }
    }
}
