//! A node in the test's own process, where the test holds its clock. It is asked over HTTP like any other.

use crate::people;
use encd::clock::Clock;
use encd::config::Config;
use encd::server::{GRACE, Server};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::runtime::Runtime;

/// A running node. It is stopped in order when it goes out of scope.
pub struct Inside {
    runtime: Runtime,
    server: Option<Server>,
    ahead_ms: Arc<AtomicI64>,
}

impl Inside {
    /// Starts a node with its data in `folder`.
    pub fn start(folder: &Path) -> Inside {
        let mut config = Config { data: Some(folder.to_owned()), ..Config::default() };
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        (config.listen.public, config.listen.admin) = (vec![free], free);
        let ahead_ms = Arc::new(AtomicI64::new(0));
        let ahead = Arc::clone(&ahead_ms);
        let clock = Clock::new(move || people::now().saturating_add_signed(ahead.load(Ordering::SeqCst)));
        let runtime = Runtime::new().expect("a runtime");
        let server = runtime.block_on(Server::start(config, clock)).expect("the node starts");
        Inside { runtime, server: Some(server), ahead_ms }
    }

    /// Lets its clock run so many milliseconds ahead of the machine's.
    pub fn set_ahead(&self, ms: i64) {
        self.ahead_ms.store(ms, Ordering::SeqCst);
    }

    /// `127.0.0.1:…`.
    pub fn address(&self) -> String {
        self.server().public()[0].to_string()
    }

    /// The node.
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs until it is dropped")
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop(GRACE));
        }
    }
}
