//! Reader threads of a shard: each has a connection that cannot write and sees one state of the database for as long as a job runs.

use crate::config::Config;
use crate::sqlite::{self, Access, Capabilities, Effects, SqlRuntime};
use crate::stop::{Exit, StartError};
use rusqlite::Connection;
use service::cache::Cache;
use service::runtime::{Fault, NodeFacts, Runtime};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use tokio::sync::oneshot;

/// Reads of a shard that may wait; with the page limit of an answer it bounds what they hold.
const QUEUE: usize = 4096;

/// Why a read has not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Too many reads wait, or the readers have stopped.
    Busy,
    /// It failed.
    Fault(Fault),
}

/// The readers of one shard.
pub struct Readers {
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<Waiting>,
    filled: Condvar,
}

#[derive(Default)]
struct Waiting {
    work: VecDeque<Work>,
    stopped: bool,
}

type Work = Box<dyn FnOnce(&mut Reader) + Send>;

/// One thread's own things.
struct Reader {
    connection: Connection,
    cache: Cache,
    facts: NodeFacts,
    capabilities: Capabilities,
}

impl Readers {
    /// Opens the connections and starts the threads.
    pub fn start(
        shard: usize,
        (path, rolled_back): (&Path, bool),
        config: &Config,
        facts: &NodeFacts,
        capabilities: &Capabilities,
    ) -> Result<Readers, StartError> {
        let queue = Arc::new(Queue::default());
        let mut threads = Vec::with_capacity(config.store.readers);
        for place in 0..config.store.readers {
            let connection = sqlite::open_reader(path, &config.store).map_err(|error| {
                StartError::new(Exit::Config, format!("{} cannot be read ({error}); check the disk", path.display()))
            })?;
            let cache = Cache::reader(config.store.cached_enclaves);
            // Otherwise a read that finds a bundle due would wait for a writer that may not close it.
            let cache = if rolled_back { cache.fenced() } else { cache };
            let reader = Reader { connection, cache, facts: facts.clone(), capabilities: capabilities.clone() };
            let queue = Arc::clone(&queue);
            let thread =
                thread::Builder::new().name(format!("read-{shard}-{place}")).spawn(move || reader.work(&queue));
            threads.push(thread.map_err(|error| {
                StartError::new(Exit::Config, format!("no thread can be started ({error}); raise the limit of threads"))
            })?);
        }
        Ok(Readers { queue, threads: Mutex::new(threads) })
    }

    /// Runs something on one state of the shard.
    pub async fn run<T, F>(&self, work: F) -> Result<T, Unread>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Runtime, &mut Cache, &NodeFacts) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.push(Box::new(move |reader| {
            if reply.send(reader.run(work)).is_err() {
                tracing::trace!("nobody waits for a read any more");
            }
        }))?;
        // Whatever was queued is run, so only a panic leaves it without an answer.
        answer.await.unwrap_or(Err(Fault::Storage)).map_err(Unread::Fault)
    }

    /// Reads that wait.
    pub fn waiting(&self) -> usize {
        self.queue.state.lock().unwrap_or_else(PoisonError::into_inner).work.len()
    }

    /// Ends the threads once the queue is worked off.
    pub fn stop(&self) {
        self.queue.state.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.queue.filled.notify_all();
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a reader has panicked");
            }
        }
    }

    fn push(&self, work: Work) -> Result<(), Unread> {
        let mut waiting = self.queue.state.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.stopped || waiting.work.len() >= QUEUE {
            return Err(Unread::Busy);
        }
        waiting.work.push_back(work);
        drop(waiting);
        self.queue.filled.notify_one();
        Ok(())
    }
}

impl Queue {
    /// The next work, or none at the end.
    fn take(&self) -> Option<Work> {
        let mut waiting = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(work) = waiting.work.pop_front() {
                return Some(work);
            }
            if waiting.stopped {
                return None;
            }
            waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Reader {
    fn work(mut self, queue: &Queue) {
        while let Some(work) = queue.take() {
            // One bad read must not cost the node a thread: its asker hears `internal`, the next read finds everything as it was.
            if catch_unwind(AssertUnwindSafe(|| work(&mut self))).is_err() {
                tracing::error!("a read has panicked");
                self.cache.clear();
                if !self.connection.is_autocommit()
                    && let Err(error) = sqlite::execute(&self.connection, "ROLLBACK")
                {
                    tracing::error!(%error, "a reader cannot go on");
                    return;
                }
            }
        }
    }

    /// One job in one read transaction.
    fn run<T>(
        &mut self,
        work: impl FnOnce(&dyn Runtime, &mut Cache, &NodeFacts) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let effects = RefCell::new(Effects::default());
        let begun = sqlite::execute(&self.connection, "BEGIN");
        begun.map_err(|error| sqlite::fault_of(&error))?;
        let rt = SqlRuntime::new(&self.connection, &self.capabilities, Access::Read, &effects);
        let result = work(&rt, &mut self.cache, &self.facts);
        let result = rt.settle(result);
        match sqlite::execute(&self.connection, "COMMIT") {
            Ok(()) => result,
            Err(error) => Err(sqlite::fault_of(&error)),
        }
    }
}
