//! Requests that leave the node: what services have put into their outbox, sent once it is durable, each end handed back.
//!
//! A request waits in its lane, one at a time and in order. Whom a stranger has named is dialled with care: see `client`. Nothing is
//! kept here over a restart, and nothing has to be: the rows are in the shard, and what gets no end in time is asked for again.

pub mod address;
pub mod client;
pub mod line;
pub mod tls;

use crate::config::Config;
use crate::engine::EngineHandle;
use anyhow::bail;
use bytes::Bytes;
use client::Client;
use serde::{Deserialize, Serialize};
use service::runtime::{Fetch, FetchId, Fetched};
use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Longest time of one request (`docs/protocol.md`, Push).
const MAX_TIMEOUT_MS: u64 = 10_000;
/// Longest time for which a request waits and is under way: after 15 s its service takes it for lost and sends another.
const MAX_LIFE_MS: u64 = 14_000;
/// Requests that wait in one lane.
const MAX_IN_LANE: usize = 16;

/// Requests that leave the node.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutboundConfig {
    /// Endpoints on loopback are allowed, also over plain `http`.
    pub allow_loopback: bool,
    /// Lanes that have something under way.
    pub lanes: usize,
    /// Requests under way at once.
    pub concurrent: usize,
    /// KiB of bodies that wait or are under way.
    pub waiting_kib: usize,
    /// Milliseconds that a request waits for its turn.
    pub wait_ms: u64,
    /// Milliseconds for a whole request, from name to answer.
    pub timeout_ms: u64,
    /// Bytes of an answer that are read.
    pub answer_bytes: usize,
    /// A PEM file of roots that are believed instead of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roots_file: Option<PathBuf>,
}

impl Default for OutboundConfig {
    fn default() -> OutboundConfig {
        OutboundConfig {
            allow_loopback: false,
            lanes: 10_000,
            concurrent: 256,
            waiting_kib: 64 << 10,
            wait_ms: MAX_LIFE_MS - MAX_TIMEOUT_MS,
            timeout_ms: MAX_TIMEOUT_MS,
            answer_bytes: 64 << 10,
            roots_file: None,
        }
    }
}

impl OutboundConfig {
    /// Whether the values make sense.
    pub fn check(&self) -> anyhow::Result<()> {
        if !(1..=MAX_TIMEOUT_MS).contains(&self.timeout_ms) {
            bail!("outbound.timeout_ms must be within 1 and {MAX_TIMEOUT_MS}");
        }
        if self.wait_ms > MAX_LIFE_MS - self.timeout_ms {
            bail!("outbound.wait_ms and outbound.timeout_ms must be {MAX_LIFE_MS} at most together");
        }
        if self.lanes == 0 || self.concurrent == 0 || self.answer_bytes == 0 {
            bail!("outbound.lanes, outbound.concurrent and outbound.answer_bytes must be 1 at least");
        }
        if self.concurrent > Semaphore::MAX_PERMITS || self.waiting_kib > u32::MAX as usize {
            bail!("outbound.concurrent and outbound.waiting_kib must be below 2^32");
        }
        Ok(())
    }
}

/// Sends what the services ask for.
pub struct Outbound {
    lanes: Arc<Lanes>,
    /// Where the requests run; none outside a runtime, where none can.
    runtime: Option<Handle>,
}

struct Lanes {
    client: Client,
    report: Report,
    /// What waits behind the request that is under way in each lane.
    queues: Mutex<HashMap<String, VecDeque<Waiting>>>,
    max_lanes: usize,
    wait: Duration,
    concurrent: Semaphore,
    /// A permit for each KiB of a body.
    room: Arc<Semaphore>,
}

type Report = Box<dyn Fn(usize, FetchId, Fetched) + Send + Sync>;

struct Waiting {
    shard: usize,
    id: FetchId,
    url: String,
    body: Bytes,
    until: Instant,
    _room: tokio::sync::OwnedSemaphorePermit,
}

impl Outbound {
    /// Begins to take requests; their ends go back to the writers of their shards.
    pub fn start(config: &Config, engine: EngineHandle) -> Outbound {
        let metrics = engine.metrics();
        let report = move |shard, id, fetched| {
            metrics.fetched(&fetched);
            metrics.undelivered().ended(shard, id, &fetched);
            engine.fetched(shard, id, fetched);
        };
        Outbound::reporting(&config.outbound, Client::new(&config.outbound), report)
    }

    /// Begins to take requests for this client, with this to hear of their ends.
    pub fn reporting(
        config: &OutboundConfig,
        client: Client,
        report: impl Fn(usize, FetchId, Fetched) + Send + Sync + 'static,
    ) -> Outbound {
        let lanes = Lanes {
            client,
            report: Box::new(report),
            queues: Mutex::default(),
            max_lanes: config.lanes,
            wait: Duration::from_millis(config.wait_ms),
            concurrent: Semaphore::new(config.concurrent),
            room: Arc::new(Semaphore::new(config.waiting_kib)),
        };
        Outbound { lanes: Arc::new(lanes), runtime: Handle::try_current().ok() }
    }

    /// Takes a request of a shard. Never waits; what finds no room ends as failed, and its service tries again later.
    pub fn submit(&self, shard: usize, fetch: Fetch) {
        let Some(runtime) = &self.runtime else {
            (self.lanes.report)(shard, fetch.id, Fetched::Failed);
            return;
        };
        let lanes = Arc::clone(&self.lanes);
        match self.lanes.place(shard, fetch) {
            Place::First(lane, waiting) => {
                runtime.spawn(async move { lanes.work_off(lane, waiting).await });
            }
            Place::Behind => {}
            Place::None(id) => (lanes.report)(shard, id, Fetched::Failed),
        }
    }

    /// Lanes that have something under way.
    pub fn busy_lanes(&self) -> usize {
        self.lanes.queues.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Where a request came to stand.
enum Place {
    /// Alone in its lane: it can go.
    First(String, Waiting),
    /// Behind another.
    Behind,
    /// Nowhere.
    None(FetchId),
}

impl Lanes {
    fn place(&self, shard: usize, fetch: Fetch) -> Place {
        let units = u32::try_from(fetch.body.len() >> 10).unwrap_or(u32::MAX).saturating_add(1);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(units) else { return Place::None(fetch.id) };
        let waiting = Waiting {
            shard,
            id: fetch.id,
            url: fetch.url,
            body: Bytes::from(fetch.body),
            until: Instant::now() + self.wait,
            _room: room,
        };
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let lanes = queues.len();
        match queues.entry(fetch.lane) {
            Entry::Occupied(mut lane) if lane.get().len() < MAX_IN_LANE => {
                lane.get_mut().push_back(waiting);
                Place::Behind
            }
            Entry::Vacant(lane) if lanes < self.max_lanes => {
                let name = lane.key().clone();
                lane.insert(VecDeque::new());
                Place::First(name, waiting)
            }
            Entry::Occupied(_) | Entry::Vacant(_) => Place::None(waiting.id),
        }
    }

    /// Sends what is in a lane, one after the other, until there is nothing more.
    async fn work_off(&self, lane: String, first: Waiting) {
        let mut next = Some(first);
        while let Some(waiting) = next {
            let fetched = self.send(&waiting).await;
            (self.report)(waiting.shard, waiting.id, fetched);
            let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            next = queues.get_mut(&lane).and_then(VecDeque::pop_front);
            if next.is_none() {
                queues.remove(&lane);
            }
        }
    }

    async fn send(&self, waiting: &Waiting) -> Fetched {
        let turn = tokio::time::timeout_at(waiting.until, self.concurrent.acquire()).await;
        // A turn that is free at once is had even after the time to wait for it.
        let (Ok(Ok(_turn)), true) = (turn, Instant::now() < waiting.until) else {
            tracing::debug!("an outbound request has waited too long for its turn");
            return Fetched::Failed;
        };
        match self.client.post(&waiting.url, waiting.body.clone()).await {
            Ok((status, body)) => Fetched::Answer(status, body),
            Err(reason) => {
                tracing::debug!(?reason, "an outbound request got no answer");
                Fetched::Failed
            }
        }
    }
}
