//! The thread that makes a shard's transactions durable and then lets everybody hear of them.
//!
//! The writer commits without waiting for the disk and begins the next transaction; this thread syncs the write-ahead log, once for all that
//! was committed in the meantime, and only then sends answers, announcements and outbound requests, in the order of the transactions. So the CPU
//! judges commits while the disk writes.
//!
//! SQLite commits with `synchronous=NORMAL`: it syncs the log itself before it moves pages into the database, and after a power cut it takes the log up to the
//! first frame that is not whole. What a sync of the log has covered is therefore there again, whole, and nothing after a gap is.
//!
//! A reader sees what is committed, which may not be durable yet. [`Progress::settled`] is where its answer waits.

use crate::engine::{Reply, Shared};
use crate::stop::storage_failed;
use crate::store::Mark;
use crate::trouble::Trouble;
use protocol::EnclaveId;
use service::defects::{self, Defect};
use service::runtime::Fetch;
use std::fs::File;
use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// How often the mark outside the database follows.
const MARK_INTERVAL: Duration = Duration::from_secs(1);

/// How far a shard has come: what is committed, and what of it is durable.
#[derive(Debug)]
pub struct Progress {
    /// The number of the newest transaction that readers may see.
    begun: AtomicU64,
    durable: watch::Sender<u64>,
}

/// What a transaction leaves to be told once it is durable.
#[derive(Default)]
pub struct Told {
    /// Its number, from [`Progress::begin`].
    pub number: u64,
    /// Jobs in it.
    pub requests: usize,
    /// Where the shard's mark stands with it, if it wrote anything.
    pub wrote: Option<u64>,
    /// When its COMMIT ended, if it wrote anything.
    pub committed: Option<Instant>,
    /// Answers.
    pub replies: Vec<(oneshot::Sender<Reply>, Reply)>,
    /// Enclaves that have changed.
    pub changed: Vec<EnclaveId>,
    /// Parked calls to run again.
    pub wakes: Vec<oneshot::Sender<()>>,
    /// Requests to be sent.
    pub fetches: Vec<Fetch>,
}

/// What makes a log durable as it is when called.
pub type SyncLog = Box<dyn FnMut() -> io::Result<()> + Send>;

/// The thread's own things.
pub struct Syncer {
    /// Which shard.
    pub shard: usize,
    /// Makes the write-ahead log durable; none where nothing has to outlive the process.
    pub sync_log: Option<SyncLog>,
    /// The shard's mark.
    pub mark: Mark,
    /// What every thread of the engine sees.
    pub shared: Arc<Shared>,
    /// How far it has come.
    pub progress: Arc<Progress>,
    /// What the writer has committed.
    pub queue: Receiver<Told>,
}

/// Makes the log in this file durable.
pub fn sync_file(path: PathBuf) -> SyncLog {
    let mut file: Option<File> = None;
    Box::new(move || match &file {
        Some(file) => file.sync_data(),
        // SQLite has made it by now, and keeps it for as long as a connection is open.
        None => File::open(&path).and_then(|opened| file.insert(opened).sync_data()),
    })
}

impl Default for Progress {
    fn default() -> Self {
        Progress { begun: AtomicU64::new(0), durable: watch::channel(0).0 }
    }
}

impl Progress {
    /// The next transaction's number. To be taken before its COMMIT: whoever sees the transaction then waits for it.
    pub fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Waits until all that a read which has just ended may have seen is durable.
    pub async fn settled(&self) {
        let seen = self.begun.load(Ordering::Acquire);
        if *self.durable.borrow() >= seen {
            return;
        }
        let mut durable = self.durable.subscribe();
        // The sender lives in `self`.
        let settled = durable.wait_for(|durable| *durable >= seen).await.is_ok();
        tracing::trace!(settled, "a read was of what is durable");
    }
}

impl Syncer {
    /// Works until the writer has gone and everything it left is durable and told.
    pub fn work(mut self) {
        let mut unmarked: Option<(Instant, u64)> = None;
        let mut taken = Vec::new();
        loop {
            let ended = self.take(&mut taken, unmarked.map(|(due, _)| due));
            if let Some(reached) = self.settle(&mut taken) {
                let due = unmarked.map_or_else(|| Instant::now() + MARK_INTERVAL, |(due, _)| due);
                unmarked = Some((due, reached));
            }
            if let Some((due, reached)) = unmarked
                && (ended || due <= Instant::now())
            {
                unmarked = self.follow_with_mark(reached);
            }
            if ended {
                return;
            }
        }
    }

    /// One turn without waiting: all that is committed becomes durable and is told, and the mark follows. Answers the requests that are to
    /// be sent, where [`Shared::outbound`] is empty.
    pub fn turn(&mut self) -> Vec<Fetch> {
        let mut taken: Vec<Told> = self.queue.try_iter().collect();
        let unsent = match self.shared.outbound.get() {
            Some(_) => Vec::new(),
            None => taken.iter_mut().flat_map(|told| mem::take(&mut told.fetches)).collect(),
        };
        if let Some(reached) = self.settle(&mut taken)
            && self.follow_with_mark(reached).is_some()
        {
            tracing::debug!("the mark is tried again with the next transaction");
        }
        unsent
    }

    /// Makes what was committed durable and lets everybody hear of it. Answers where the mark stands with it, if anything was written.
    fn settle(&mut self, taken: &mut Vec<Told>) -> Option<u64> {
        let reached = taken.iter().filter_map(|told| told.wrote).max();
        if defects::is_on(Defect::AckBeforeSync) {
            self.tell(taken);
        }
        if reached.is_some() {
            self.sync();
        }
        self.tell(taken);
        reached
    }

    /// Waits for a transaction, then takes all there are. Answers whether that was the end.
    fn take(&self, taken: &mut Vec<Told>, due: Option<Instant>) -> bool {
        let first = match due {
            None => self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => self.queue.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        match first {
            Ok(told) => taken.push(told),
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => return true,
        }
        taken.extend(self.queue.try_iter());
        false
    }

    fn sync(&mut self) {
        let Some(sync_log) = &mut self.sync_log else { return };
        let begun = Instant::now();
        let synced = sync_log();
        self.shared.metrics.fsync(begun.elapsed());
        if let Err(error) = synced {
            storage_failed(self.shard, &error);
        }
    }

    fn tell(&self, taken: &mut Vec<Told>) {
        let Some(newest) = taken.last().map(|told| told.number) else { return };
        self.shared.metrics.synced(taken.iter().map(|told| told.requests).sum());
        self.progress.durable.send_replace(newest);
        let mut changed = Vec::new();
        for told in taken.drain(..) {
            if let Some(committed) = told.committed {
                self.shared.metrics.durable(committed.elapsed());
            }
            for (reply, answer) in told.replies {
                if reply.send(answer).is_err() {
                    tracing::trace!("nobody waits for an answer any more");
                }
            }
            changed.extend(told.changed);
            for wake in told.wakes {
                if wake.send(()).is_err() {
                    tracing::trace!("a parked call has passed its deadline");
                }
            }
            if let Some(outbound) = self.shared.outbound.get() {
                for fetch in told.fetches {
                    self.shared.metrics.undelivered().sent(self.shard, fetch.id);
                    outbound.submit(self.shard, fetch);
                }
            }
        }
        changed.sort_unstable();
        changed.dedup();
        self.shared.watches.announce(&changed);
    }

    /// Writes the mark; where that fails, answers when it is to be tried again.
    fn follow_with_mark(&mut self, reached: u64) -> Option<(Instant, u64)> {
        let standing = self.shared.standing(self.shard);
        match self.mark.write(reached) {
            Ok(()) => {
                standing.note(None);
                None
            }
            Err(error) => {
                tracing::error!(shard = self.shard, %error, "the mark outside the database could not be written; it is tried again");
                standing.note(Some(Trouble::of_mark(&error)));
                Some((Instant::now() + MARK_INTERVAL, reached))
            }
        }
    }
}
