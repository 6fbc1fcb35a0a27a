//! What stands between the network's tasks and the shards' threads: queues in, answers out.
//!
//! Writes wait in one bounded queue a shard for its writer thread; reads run on reader threads with connections of their own and
//! never wait for a writer. An answer leaves only when what it says is durable.

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::reader::{Readers, Unread};
use crate::sqlite::Capabilities;
use crate::store::{self, ShardFile};
use crate::syncer::Progress;
use crate::trouble::{Standing, Trouble};
use crate::watch::Watches;
use crate::writer::{self, Limits};
use crate::{config::Config, stop::StartError};
use protocol::{Code, CommitHash, EnclaveId, Rejection};
use service::cache::Cache;
use service::call::{Action, Outcome, Response};
use service::runtime::{Fault, FetchId, Fetched, NodeFacts, Runtime};
use service::{Call, node};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

/// KiB that the smallest request counts in a queue: what it takes in memory with all that hangs on it.
const LEAST_WEIGHT: usize = 4;

/// The engine, as tasks see it. Cheap to clone.
#[derive(Clone)]
pub struct EngineHandle {
    shared: Arc<Shared>,
}

/// What every thread of the engine sees.
pub struct Shared {
    /// What is the same for every request.
    pub facts: NodeFacts,
    /// Keys and clock.
    pub capabilities: Capabilities,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Who hears of changes.
    pub watches: Watches,
    /// Who sends what leaves the node; set before the first writer runs.
    pub outbound: OnceLock<Outbound>,
    shards: Vec<Shard>,
    standings: Vec<Standing>,
    queue_units: usize,
    stopping: AtomicBool,
}

struct Shard {
    queue: mpsc::Sender<Queued>,
    /// One permit a KiB that may wait.
    room: Arc<Semaphore>,
    readers: Readers,
    progress: Arc<Progress>,
    rolled_back: bool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What waits in a writer's queue.
pub struct Queued {
    /// The work.
    pub job: Job,
    /// Permits to give back when it is taken out.
    pub weight: u32,
    /// When it came into the queue.
    pub since: Instant,
}

/// Work for a writer.
pub enum Job {
    /// A call, answered when it is durable.
    Call {
        /// What is asked.
        call: Box<Call>,
        /// It was parked and runs again.
        resumed: bool,
        /// Who waits for the answer.
        reply: oneshot::Sender<Reply>,
    },
    /// An alarm that has come due.
    Alarm(EnclaveId),
    /// The end of an outbound request.
    Fetched(FetchId, Fetched),
    /// Nothing comes after this.
    Stop,
}

/// How a writer answers.
pub enum Reply {
    /// It is done.
    Done(Response),
    /// It waits for what the receiver hears, or for the deadline, and is then to be sent in again.
    Parked {
        /// The call.
        call: Box<Call>,
        /// Fires when the topic is notified.
        wake: oneshot::Receiver<()>,
        /// Milliseconds since the epoch.
        deadline: u64,
    },
    /// The host could not do it; nothing has changed.
    Failed(Fault),
}

/// An answer that is on its way.
pub struct Pending {
    reply: oneshot::Receiver<Reply>,
    /// Of the commit, for a refusal by the host.
    hash: Option<CommitHash>,
}

/// What waits in the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// KiB before the writers.
    pub queue_kib: usize,
    /// Reads before the readers.
    pub reads_waiting: usize,
    /// Lanes with an outbound request under way.
    pub outbound_lanes: usize,
}

impl Shared {
    /// How a shard stands.
    pub fn standing(&self, shard: usize) -> &Standing {
        &self.standings[shard]
    }

    /// For the writer of one shard that is turned by hand, with no queue before it and nobody for what leaves the node.
    pub fn alone(facts: NodeFacts, capabilities: Capabilities) -> Shared {
        Shared {
            facts,
            capabilities,
            metrics: Arc::default(),
            watches: Watches::default(),
            outbound: OnceLock::new(),
            shards: Vec::new(),
            standings: vec![Standing::default()],
            queue_units: 0,
            stopping: AtomicBool::new(false),
        }
    }
}

impl EngineHandle {
    /// Starts the reader threads, and the writer threads once there is somebody for what they send out.
    pub fn start(
        config: &Config,
        files: Vec<ShardFile>,
        facts: NodeFacts,
        capabilities: Capabilities,
        metrics: Arc<Metrics>,
    ) -> Result<EngineHandle, StartError> {
        let mut shards = Vec::with_capacity(files.len());
        let mut writers = Vec::with_capacity(files.len());
        let queue_units = config.engine.queue_kib.max(LEAST_WEIGHT);
        for (place, file) in files.into_iter().enumerate() {
            let (queue, jobs) = mpsc::channel();
            let rolled_back = file.mark.rolled_back;
            let readers = Readers::start(place, (&file.path, rolled_back), config, &facts, &capabilities)?;
            let room = Arc::new(Semaphore::new(queue_units));
            let progress = Arc::clone(&file.progress);
            shards.push(Shard { queue, room, readers, progress, rolled_back, thread: Mutex::new(None) });
            writers.push((file, jobs));
        }
        let watches = Watches::default();
        let shared = Shared {
            facts,
            capabilities,
            metrics,
            watches,
            outbound: OnceLock::new(),
            standings: shards.iter().map(|_| Standing::default()).collect(),
            shards,
            queue_units,
            stopping: AtomicBool::new(false),
        };
        let handle = EngineHandle { shared: Arc::new(shared) };
        if handle.shared.outbound.set(Outbound::start(config, handle.clone())).is_err() {
            unreachable!("the cell was made three lines above and is set here only");
        }
        let limits = Limits::of(config);
        for (place, (file, jobs)) in writers.into_iter().enumerate() {
            let shard = &handle.shared.shards[place];
            let thread = writer::start(place, file, jobs, Arc::clone(&shard.room), Arc::clone(&handle.shared), limits)?;
            *shard.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        }
        Ok(handle)
    }

    /// What is the same for every request.
    pub fn facts(&self) -> &NodeFacts {
        &self.shared.facts
    }

    /// Who hears of changes.
    pub fn watches(&self) -> &Watches {
        &self.shared.watches
    }

    /// Counters.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.shared.metrics)
    }

    /// Time.
    pub fn clock(&self) -> Clock {
        self.shared.capabilities.clock.clone()
    }

    /// What waits at present.
    pub fn load(&self) -> Load {
        let shards = &self.shared.shards;
        Load {
            queue_kib: shards.iter().map(|shard| self.shared.queue_units - shard.room.available_permits()).sum(),
            reads_waiting: shards.iter().map(|shard| shard.readers.waiting()).sum(),
            outbound_lanes: self.shared.outbound.get().map_or(0, Outbound::busy_lanes),
        }
    }

    /// Whether a shard's database is older than its mark: it is not written to.
    pub fn is_rolled_back(&self) -> bool {
        self.shared.shards.iter().any(|shard| shard.rolled_back)
    }

    /// What is wrong with a shard; the worst, if there is more.
    pub fn trouble(&self) -> Option<Trouble> {
        self.shared.standings.iter().filter_map(Standing::trouble).max()
    }

    /// How many shards there are.
    pub fn shard_count(&self) -> usize {
        self.shared.shards.len()
    }

    /// Answers a call, wherever it has to run. `len`: bytes of the request.
    pub async fn call(&self, call: Call, len: usize) -> Response {
        let hash = hash_of(&call);
        let call = match call.writes() {
            true => call,
            false => match self.read(call).await {
                Ok(response) => return response,
                Err(call) => *call,
            },
        };
        match self.submit(call, false, len) {
            Ok(pending) => self.finish(pending, len).await,
            Err(rejection) => Response::refusal(&rejection, hash.as_ref()),
        }
    }

    /// Puts a call into its writer's queue, or says `overloaded` at once.
    pub fn submit(&self, call: Call, resumed: bool, len: usize) -> Result<Pending, Rejection> {
        let (shard, weight) = (self.shard(call.enclave.as_ref()), self.weight(len));
        let permit = shard.room.try_acquire_many(weight).map_err(|_| Rejection::new(Code::Overloaded))?;
        permit.forget();
        self.send(shard, call, resumed, weight)
    }

    /// Puts a call into its writer's queue as soon as there is room.
    pub async fn submit_when_free(&self, call: Call, len: usize) -> Result<Pending, Rejection> {
        let (shard, weight) = (self.shard(call.enclave.as_ref()), self.weight(len));
        let permit = shard.room.acquire_many(weight).await.map_err(|_| Rejection::new(Code::Overloaded))?;
        permit.forget();
        self.send(shard, call, false, weight)
    }

    /// Waits for an answer, sending the call in again as often as it is parked.
    pub async fn finish(&self, mut pending: Pending, len: usize) -> Response {
        loop {
            let hash = pending.hash;
            match pending.reply.await {
                Ok(Reply::Done(response)) => return response,
                Ok(Reply::Failed(fault)) => return Response::refusal(&rejection_of(fault), hash.as_ref()),
                Ok(Reply::Parked { call, wake, deadline }) => {
                    let left = deadline.saturating_sub(self.shared.capabilities.clock.now());
                    // Notified, past the deadline, or forgotten by the writer: each is a reason to run again.
                    let woken = tokio::time::timeout(Duration::from_millis(left), wake).await;
                    tracing::trace!(notified = woken.is_ok(), "a parked call runs again");
                    match self.submit(*call, true, len) {
                        Ok(again) => pending = again,
                        Err(rejection) => return Response::error(&rejection),
                    }
                }
                // The writer has stopped with the call in its queue: it has not run.
                Err(_) => return Response::refusal(&Code::Overloaded.into(), hash.as_ref()),
            }
        }
    }

    /// Runs something on a reader of an enclave's shard; it is answered when all that it can have seen is durable.
    pub async fn on_reader<T, F>(&self, enclave: Option<&EnclaveId>, work: F) -> Result<T, Unread>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Runtime, &mut Cache, &NodeFacts) -> Result<T, Fault> + Send + 'static,
    {
        let place = enclave.map_or(0, |enclave| store::shard_of(enclave, self.shared.shards.len()));
        self.on_shard(place, work).await
    }

    /// The same on a shard by its place, from 0; there are [`EngineHandle::shard_count`].
    pub async fn on_shard<T, F>(&self, place: usize, work: F) -> Result<T, Unread>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Runtime, &mut Cache, &NodeFacts) -> Result<T, Fault> + Send + 'static,
    {
        let shard = &self.shared.shards[place];
        let found = shard.readers.run(work).await;
        shard.progress.settled().await;
        found
    }

    /// The end of an outbound request, for the writer of that shard. Never refused: there are no more of them than lanes.
    pub fn fetched(&self, shard: usize, id: FetchId, fetched: Fetched) {
        let Some(shard) = self.shared.shards.get(shard) else { return };
        if shard.queue.send(Queued { job: Job::Fetched(id, fetched), weight: 0, since: Instant::now() }).is_err() {
            tracing::debug!(
                "an outbound answer came after the writer had stopped; it is asked for again at the next start"
            );
        }
    }

    /// Takes nothing more, lets the writers finish what they have, and waits for them.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        for shard in &self.shared.shards {
            if shard.queue.send(Queued { job: Job::Stop, weight: 0, since: Instant::now() }).is_err() {
                tracing::debug!("a writer had stopped before");
            }
        }
        for shard in &self.shared.shards {
            let thread = shard.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("a writer has panicked");
            }
            shard.readers.stop();
        }
    }

    /// Runs a call on a reader; one that has to write comes back.
    async fn read(&self, call: Call) -> Result<Response, Box<Call>> {
        let (kept, enclave) = (call.clone(), call.enclave);
        let ran = self.on_reader(enclave.as_ref(), move |rt, cache, facts| node::run(rt, cache, facts, &call, false));
        match ran.await {
            Ok(Outcome::Done(response) | Outcome::Undone(response)) => Ok(response),
            Ok(Outcome::Parked { .. }) | Err(Unread::Fault(Fault::ReadOnly)) => Err(Box::new(kept)),
            Err(unread) => Ok(Response::error(&unread.rejection())),
        }
    }

    fn send(&self, shard: &Shard, call: Call, resumed: bool, weight: u32) -> Result<Pending, Rejection> {
        let (reply, answer) = oneshot::channel();
        let hash = hash_of(&call);
        let stopping = self.shared.stopping.load(Ordering::Acquire);
        if stopping
            || shard
                .queue
                .send(Queued { job: Job::Call { call: Box::new(call), resumed, reply }, weight, since: Instant::now() })
                .is_err()
        {
            return Err(Code::Overloaded.into());
        }
        Ok(Pending { reply: answer, hash })
    }

    fn shard(&self, enclave: Option<&EnclaveId>) -> &Shard {
        let place = enclave.map_or(0, |enclave| store::shard_of(enclave, self.shared.shards.len()));
        &self.shared.shards[place]
    }

    /// What a request counts in the queue; one that is larger than the queue takes all of it.
    fn weight(&self, len: usize) -> u32 {
        let units = (len >> 10).max(LEAST_WEIGHT).min(self.shared.queue_units);
        u32::try_from(units).unwrap_or(u32::MAX)
    }
}

impl Unread {
    /// How it is told to who asked.
    pub fn rejection(self) -> Rejection {
        match self {
            Unread::Busy => Code::Overloaded.into(),
            Unread::Fault(fault) => rejection_of(fault),
        }
    }
}

/// The hash of a call's commit, which its refusal carries.
pub fn hash_of(call: &Call) -> Option<CommitHash> {
    match &call.action {
        Action::Commit(checked) => Some(checked.commit().hash),
        _ => None,
    }
}

/// How a fault of the host is told to who asked.
pub fn rejection_of(fault: Fault) -> Rejection {
    match fault {
        Fault::Full => Code::Overloaded.into(),
        Fault::ReadOnly | Fault::Storage | Fault::Key => Code::Internal.into(),
    }
}
