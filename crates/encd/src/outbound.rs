//! Requests that leave the node.

use crate::config::Config;
use crate::engine::EngineHandle;
use service::runtime::{Fetch, Fetched};

/// Sends what the services ask for. It reaches nobody: every request ends as failed, and deliveries wait for Pull.
pub struct Outbound {
    engine: EngineHandle,
}

impl Outbound {
    /// Begins to take requests.
    pub fn start(_config: &Config, engine: EngineHandle) -> Outbound {
        Outbound { engine }
    }

    /// Takes a request of a shard; its end goes back to the shard's writer.
    pub fn submit(&self, shard: usize, fetch: Fetch) {
        self.engine.fetched(shard, fetch.id, Fetched::Failed);
    }
}
