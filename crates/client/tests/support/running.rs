//! A real node in this process, in memory, on a free port.

use encd::clock::Clock;
use encd::config::Config;
use encd::server::{GRACE, Server};
use protocol::schnorr::KeyPair;
use tokio::runtime::Runtime;

pub struct Running {
    runtime: Runtime,
    server: Option<Server>,
    pub url: String,
}

impl Running {
    pub fn start() -> Running {
        Running::with(|_| {})
    }

    pub fn with(configure: impl FnOnce(&mut Config)) -> Running {
        let mut config = Config::default();
        let free = "127.0.0.1:0".parse().expect("an address");
        config.memory = true;
        config.listen.public = vec![free];
        config.listen.admin = free;
        config.outbound.allow_loopback = true;
        configure(&mut config);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
        let server = runtime.block_on(Server::start(config, Clock::system())).map_err(|error| error.to_string());
        let server = server.expect("the node starts");
        let url = format!("http://{}", server.public()[0]);
        Running { runtime, server: Some(server), url }
    }
}

impl Running {
    /// The node's own secret key, as it lies in its folder: for tests that need to lie in its name.
    #[allow(dead_code, reason = "shared by tests, not all of which lie")]
    pub fn node_key(&self) -> KeyPair {
        let folder = self.server.as_ref().expect("it runs").folder();
        let text = std::fs::read_to_string(folder.join("keys").join("node.key")).expect("the key file");
        KeyPair::from_secret(&protocol::ids::parse_hex(text.trim()).expect("hex")).expect("a key")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop(GRACE));
        }
    }
}
