//! The heads log: one log over all enclaves of the node, an entry for each closing of each (`docs/protocol.md`, Heads log).
//!
//! Nothing waits for it. The writers commit closings; a task reads them from the enclaves' own logs, once a second at most, and appends
//! what it does not have. So a crash in between costs nothing: at the next start every enclave is looked at once.

pub mod answer;
pub mod book;

use crate::engine::EngineHandle;
use crate::keys::KeyStore;
use crate::stop::Stopping;
use book::{Appended, Book, Closing};
use protocol::EnclaveId;
use service::closings;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Least time between two checkpoints.
const INTERVAL: Duration = Duration::from_secs(1);
/// Entries that are appended at once.
const BATCH: usize = 4096;
/// Closings of one enclave that are read at once.
const CLOSINGS: u64 = 1024;
/// Enclaves that are looked up at once after a start.
const PAGE: u64 = 1000;

/// What is still to be looked at.
#[derive(Default)]
struct Following {
    /// Enclaves that may have closings that are not in the log.
    changed: BTreeSet<EnclaveId>,
    /// After a start: the shard and the last id of it that was looked at.
    place: (usize, Vec<u8>),
}

/// Follows the node's enclaves until it stops.
pub async fn follow(engine: EngineHandle, book: Arc<Book>, keys: Arc<KeyStore>, mut stopping: Stopping) {
    engine.watches().gather();
    let mut following = Following::default();
    loop {
        let next = tokio::time::Instant::now() + INTERVAL;
        following.look_around(&engine).await;
        following.changed.append(&mut engine.watches().take_gathered());
        let batch = following.read(&engine, &book).await;
        if !batch.is_empty() {
            let (book, keys) = (Arc::clone(&book), Arc::clone(&keys));
            let appended = tokio::task::spawn_blocking(move || book.append(&batch, &keys)).await;
            match appended {
                Ok(Appended::Yes) => {}
                // What was not taken is looked at again with the next change of its enclave, and at the next start.
                Ok(Appended::No) => tracing::warn!("closings are not in the heads log yet"),
                Err(error) => tracing::error!(%error, "the heads log could not be extended"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = stopping.asked() => return,
        }
    }
}

impl Following {
    /// After a start: the next enclaves of all that there are.
    async fn look_around(&mut self, engine: &EngineHandle) {
        while self.place.0 < engine.shard_count() && self.changed.len() < BATCH {
            let (shard, after) = self.place.clone();
            let found = engine.on_shard(shard, move |rt, _, _| closings::enclaves(rt, &after, PAGE)).await;
            let Ok(found) = found else { return };
            self.place = match found.last() {
                Some(last) => (shard, last.0.to_vec()),
                None => (shard + 1, Vec::new()),
            };
            self.changed.extend(found);
        }
    }

    /// Closings that the log does not have. An enclave that could not be read, or has more of them, stays among the changed.
    async fn read(&mut self, engine: &EngineHandle, book: &Book) -> Vec<Closing> {
        let mut batch = Vec::new();
        for enclave in std::mem::take(&mut self.changed) {
            let known = if batch.len() < BATCH { book.known(&enclave) } else { None };
            let Some(known) = known else {
                self.changed.insert(enclave);
                continue;
            };
            let read = move |rt: &dyn service::Runtime, cache: &mut service::cache::Cache, _: &_| {
                closings::since(rt, cache, &enclave, known, CLOSINGS)
            };
            match engine.on_reader(Some(&enclave), read).await {
                Ok(found) => {
                    if found.len() as u64 == CLOSINGS {
                        self.changed.insert(enclave);
                    }
                    batch.extend(found.into_iter().map(|(tree_size, root)| Closing { enclave, tree_size, root }));
                }
                Err(unread) => {
                    tracing::debug!(?unread, "closings of an enclave could not be read; they are asked for again");
                    self.changed.insert(enclave);
                }
            }
        }
        batch
    }
}
