//! The writer thread of a shard: it drains its queue into one batch, runs the batch in one transaction, commits it, and hands
//! what is to be told of it to `syncer.rs`, which tells it when it is on the disk. While that happens the next batch runs, so the batch is as large as the load asks for and nobody waits
//! when there is none.

use crate::alarms;
use crate::config::Config;
use crate::engine::{Job, Queued, Reply, Shared, hash_of};
use crate::sqlite::{self, Access, Effects, SqlRuntime, fault_of};
use crate::stop::{Exit, StartError, storage_failed};
use crate::store::{self, ShardFile};
use crate::syncer::{self, Progress, Syncer, Told};
use crate::trouble::Trouble;
use protocol::Code;
use rusqlite::{Connection, ErrorCode};
use service::cache::Cache;
use service::call::{Outcome, Response, Topic};
use service::defects::{self, Defect};
use service::node;
use service::runtime::Fault;
use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

/// Transactions that may be committed and not durable; past that the writer waits for the disk.
const UNSYNCED: usize = 4;
/// The least time between two syncs of a busy shard. A sync costs the CPU as much as several commits, so a writer that is kept busy takes
/// more into each: that is worth a fifth of the rate and lowers the latency of all but the luckiest. One that is not, never waits.
const PACE: Duration = Duration::from_micros(1000);
/// Requests in a batch that make a shard busy.
const BUSY: usize = 8;
/// When an alarm whose work failed is tried again, in milliseconds.
const ALARM_RETRY_MS: u64 = 60_000;

/// How often what is due looks whether a full disk has room again.
const FULL_RETRY: Duration = Duration::from_secs(1);

/// What one transaction holds at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    requests: usize,
    units: usize,
    cached_enclaves: usize,
}

/// What writes a shard. A node gives it a thread ([`start`]); the simulated world turns it by hand.
pub struct Writer {
    shard: usize,
    connection: Connection,
    cache: Cache,
    shared: Arc<Shared>,
    queue: Receiver<Queued>,
    room: Arc<Semaphore>,
    limits: Limits,
    effects: RefCell<Effects>,
    parked: HashMap<Topic, Vec<oneshot::Sender<()>>>,
    next_alarm: Option<u64>,
    rolled_back: bool,
    /// Transactions that have written, as the mark counts them.
    reached: u64,
    changes_before: u64,
    progress: Arc<Progress>,
    synced: SyncSender<Told>,
    /// Of a busy shard: when the next sync may begin.
    paced_until: Option<Instant>,
}

/// What has come of one job of a batch.
enum Ran {
    Call(Result<Outcome, Fault>),
    Alarm,
    Fetched(Vec<Topic>),
}

/// Whether each job of a batch can be undone by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// No savepoints: the first fault undoes the batch, which then runs again with them.
    Batch,
    /// A savepoint a job.
    Job,
}

/// A job of an unguarded batch failed.
struct Undone;

impl Limits {
    /// As configured.
    pub fn of(config: &Config) -> Limits {
        Limits {
            requests: config.engine.batch_requests,
            units: config.engine.batch_kib,
            cached_enclaves: config.store.cached_enclaves,
        }
    }
}

/// Starts the thread. It ends after [`Job::Stop`], having done everything that came before.
pub fn start(
    shard: usize,
    file: ShardFile,
    queue: Receiver<Queued>,
    room: Arc<Semaphore>,
    shared: Arc<Shared>,
    limits: Limits,
) -> Result<JoinHandle<()>, StartError> {
    let unstarted = |error: std::io::Error| {
        StartError::new(Exit::Config, format!("no thread can be started ({error}); raise the limit of threads"))
    };
    let (writer, syncer) = Writer::open(shard, file, (queue, room), shared, limits)?;
    let syncing =
        thread::Builder::new().name(format!("sync-{shard}")).spawn(move || syncer.work()).map_err(unstarted)?;
    thread::Builder::new().name(format!("write-{shard}")).spawn(move || writer.work(syncing)).map_err(unstarted)
}

impl Writer {
    /// Takes a shard up where its database stands, with what makes its transactions durable. `queue`: what there is to do, and the permits
    /// to give back for it.
    pub fn open(
        shard: usize,
        file: ShardFile,
        (queue, room): (Receiver<Queued>, Arc<Semaphore>),
        shared: Arc<Shared>,
        limits: Limits,
    ) -> Result<(Writer, Syncer), StartError> {
        let unreadable = |error: rusqlite::Error| {
            StartError::new(Exit::Config, format!("shard {shard} cannot be read ({error}); check the disk"))
        };
        let (synced, committed) = mpsc::sync_channel(UNSYNCED);
        let mut writer = Writer {
            shard,
            cache: Cache::writer(limits.cached_enclaves),
            shared: Arc::clone(&shared),
            queue,
            room,
            limits,
            effects: RefCell::new(Effects::default()),
            parked: HashMap::new(),
            next_alarm: None,
            changes_before: 0,
            rolled_back: file.mark.rolled_back,
            reached: store::transactions(&file.writer).map_err(unreadable)?,
            progress: Arc::clone(&file.progress),
            synced,
            paced_until: None,
            connection: file.writer,
        };
        writer.next_alarm = alarms::next(&writer.connection).map_err(unreadable)?;
        let progress = Arc::clone(&writer.progress);
        let sync_log = file.log.filter(|_| !cfg!(feature = "unsafe-no-sync")).map(syncer::sync_file);
        Ok((writer, Syncer { shard, sync_log, mark: file.mark, shared, progress, queue: committed }))
    }

    /// One turn without waiting: what is queued and what is due, within the limits of one batch, is committed and handed to the
    /// [`Syncer`], which must have its turn before four more are.
    pub fn turn(&mut self) {
        let mut batch = Vec::with_capacity(self.limits.requests);
        let first = self.queue.try_recv().ok();
        self.fill(first, &mut batch);
        self.take_due_alarms(&mut batch);
        if !batch.is_empty() {
            self.run(&mut batch);
        }
    }

    fn work(mut self, syncing: JoinHandle<()>) {
        let mut batch = Vec::with_capacity(self.limits.requests);
        loop {
            let last = self.gather(&mut batch);
            self.take_due_alarms(&mut batch);
            if !batch.is_empty() {
                self.run(&mut batch);
            }
            if last {
                break;
            }
        }
        drop(self.synced);
        if syncing.join().is_err() {
            tracing::error!(shard = self.shard, "the syncing thread has panicked");
        }
        if let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);") {
            tracing::warn!(shard = self.shard, %error, "the last checkpoint failed; the next start makes up for it");
        }
    }

    /// Waits for something to do, then takes all there is within the limits. Answers whether the end was asked for.
    fn gather(&mut self, batch: &mut Vec<Job>) -> bool {
        let first = match self.idle_time() {
            None => self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(time) => self.queue.recv_timeout(time),
        };
        let next = match first {
            Ok(queued) => queued,
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => return true,
        };
        if let Some(until) = self.paced_until.take() {
            thread::sleep(until.saturating_duration_since(Instant::now()));
        }
        self.fill(Some(next), batch)
    }

    /// Takes `next` and all that is queued behind it, within the limits. Answers whether the end was asked for.
    fn fill(&mut self, mut next: Option<Queued>, batch: &mut Vec<Job>) -> bool {
        let mut units = 0;
        let mut last = false;
        let taken = Instant::now();
        while let Some(Queued { job, weight, since }) = next {
            units += weight as usize;
            self.shared.metrics.queued(taken.saturating_duration_since(since));
            if let Job::Stop = job {
                last = true;
                break;
            }
            batch.push(job);
            if batch.len() >= self.limits.requests || units >= self.limits.units {
                break;
            }
            next = self.queue.try_recv().ok();
        }
        self.room.add_permits(units);
        last
    }

    /// How long to wait for the queue; none: for as long as it takes.
    fn idle_time(&self) -> Option<Duration> {
        let now = self.shared.capabilities.clock.now();
        let alarm = self.next_alarm.map(|at| Duration::from_millis(at.saturating_sub(now)));
        if self.is_full() { alarm.map(|wait| wait.max(FULL_RETRY)) } else { alarm }
    }

    fn take_due_alarms(&mut self, batch: &mut Vec<Job>) {
        let now = self.shared.capabilities.clock.now();
        if self.rolled_back || self.is_full() || self.next_alarm.is_none_or(|at| at > now) {
            return;
        }
        if let Some(at) = self.next_alarm {
            self.shared.metrics.begun_late(Duration::from_millis(now - at));
        }
        match alarms::due(&self.connection, now) {
            Ok(due) => batch.extend(due.into_iter().map(Job::Alarm)),
            Err(error) => tracing::error!(shard = self.shard, %error, "alarms cannot be read"),
        }
    }

    /// Runs a batch to its durable end and answers it.
    fn run(&mut self, batch: &mut Vec<Job>) {
        if self.rolled_back {
            refuse(batch, Code::RolledBack);
            return;
        }
        let started = Instant::now();
        let alarms = batch.iter().any(|job| matches!(job, Job::Alarm(_)));
        let first = if batch.len() == 1 { Guard::Job } else { Guard::Batch };
        match self.attempt(batch, first).or_else(|Undone| self.attempt(batch, Guard::Job)) {
            Ok(ran) => self.commit(batch, ran, started),
            // The disk was so full that the savepoints went with the transaction.
            Err(Undone) => {
                let number = self.progress.begin();
                self.refuse_for_room(batch, number);
            }
        }
        if alarms {
            self.next_alarm = alarms::next(&self.connection).unwrap_or_else(|error| {
                tracing::error!(shard = self.shard, %error, "alarms cannot be read");
                Some(self.shared.capabilities.clock.now() + ALARM_RETRY_MS)
            });
        }
    }

    /// Begins a transaction and runs the jobs in it.
    fn attempt(&mut self, batch: &[Job], guard: Guard) -> Result<Vec<Ran>, Undone> {
        *self.effects.borrow_mut() = Effects::default();
        self.require("BEGIN IMMEDIATE");
        self.changes_before = self.connection.total_changes();
        let mut ran = Vec::with_capacity(batch.len());
        for job in batch {
            match self.run_guarded(job, guard) {
                Ok(done) => ran.push(done),
                Err(Undone) => {
                    self.undo_all();
                    return Err(Undone);
                }
            }
        }
        Ok(ran)
    }

    fn run_guarded(&mut self, job: &Job, guard: Guard) -> Result<Ran, Undone> {
        let fetches = self.effects.borrow().fetches.len();
        if guard == Guard::Job {
            self.require("SAVEPOINT job");
        }
        // A job that panics is undone like one that fails: what it left half done is rolled back or forgotten.
        let result = catch_unwind(AssertUnwindSafe(|| self.run_job(job))).unwrap_or_else(|_| {
            tracing::error!(shard = self.shard, "a request has panicked");
            self.cache.clear();
            Err(Fault::Storage)
        });
        let stays = !matches!(result, Err(_) | Ok(Ran::Call(Ok(Outcome::Undone(_)))));
        if !stays && (guard == Guard::Batch || self.connection.is_autocommit()) {
            return Err(Undone);
        }
        if !stays && !defects::is_on(Defect::SavepointKept) {
            self.require("ROLLBACK TO job");
            self.effects.borrow_mut().fetches.truncate(fetches);
        }
        if guard == Guard::Job {
            self.require("RELEASE job");
        }
        match result {
            Ok(ran) if stays => Ok(ran),
            Ok(ran) => {
                self.forget(job);
                Ok(ran)
            }
            Err(fault) => Ok(self.failed(job, fault)),
        }
    }

    fn run_job(&mut self, job: &Job) -> Result<Ran, Fault> {
        let rt = SqlRuntime::new(&self.connection, &self.shared.capabilities, Access::Write, &self.effects);
        let (cache, facts) = (&mut self.cache, &self.shared.facts);
        let result = match job {
            Job::Call { call, resumed, .. } => node::run(&rt, cache, facts, call, *resumed).map(|o| Ran::Call(Ok(o))),
            Job::Alarm(enclave) => match alarms::clear(&self.connection, enclave) {
                Ok(()) => node::alarm(&rt, cache, facts, enclave).map(|()| Ran::Alarm),
                Err(error) => Err(fault_of(&error)),
            },
            Job::Fetched(id, fetched) => node::fetched(&rt, cache, facts, *id, fetched).map(Ran::Fetched),
            Job::Stop => unreachable!("the end is taken out where the batch is gathered"),
        };
        rt.settle(result)
    }

    /// What is remembered of the enclave of a job that was undone is no longer so.
    fn forget(&mut self, job: &Job) {
        match job {
            Job::Call { call, .. } => call.enclave.iter().for_each(|enclave| self.cache.forget(enclave)),
            Job::Alarm(enclave) => self.cache.forget(enclave),
            Job::Fetched(..) | Job::Stop => self.cache.clear(),
        }
    }

    /// What is left of a job that was undone by a fault; an alarm is put off.
    fn failed(&mut self, job: &Job, fault: Fault) -> Ran {
        self.forget(job);
        match job {
            Job::Call { .. } => Ran::Call(Err(fault)),
            Job::Alarm(enclave) => {
                let at = self.shared.capabilities.clock.now() + ALARM_RETRY_MS;
                tracing::error!(shard = self.shard, ?fault, "what was due could not be done; it is tried again");
                if let Err(error) = alarms::postpone(&self.connection, enclave, at) {
                    tracing::error!(shard = self.shard, %error, "an alarm could not be put off");
                }
                Ran::Alarm
            }
            Job::Fetched(..) => {
                tracing::error!(shard = self.shard, ?fault, "the end of an outbound request could not be stored");
                Ran::Fetched(Vec::new())
            }
            Job::Stop => unreachable!("the end is taken out where the batch is gathered"),
        }
    }

    /// Commits the batch and hands on what is to be told of it when it is durable.
    fn commit(&mut self, batch: &mut Vec<Job>, ran: Vec<Ran>, started: Instant) {
        let number = self.progress.begin();
        let wrote = self.connection.total_changes() != self.changes_before;
        let written = self.connection.prepare_cached("COMMIT").and_then(|mut commit| {
            if wrote {
                store::advance_mark(&self.connection)?;
            }
            commit.raw_execute()
        });
        if let Err(error) = written {
            if error.sqlite_error_code() != Some(ErrorCode::DiskFull) {
                storage_failed(self.shard, &error);
            }
            tracing::error!(shard = self.shard, "the disk is full");
            self.undo_all();
            self.refuse_for_room(batch, number);
            return;
        }
        self.reached += u64::from(wrote);
        self.shared.metrics.transaction(batch.len(), started.elapsed());
        self.paced_until = (batch.len() >= BUSY).then(|| started + PACE);
        let (wrote, committed) = (wrote.then_some(self.reached), wrote.then(Instant::now));
        let told = Told { number, wrote, committed, ..self.gather_told(batch, ran) };
        self.hand_on(told);
    }

    /// The disk is full. The mark is written again until there is room for it, which ends the trouble; what is due waits for that.
    fn refuse_for_room(&mut self, batch: &mut Vec<Job>, number: u64) {
        self.shared.standing(self.shard).note(Some(Trouble::DiskFull));
        refuse(batch, Code::Overloaded);
        self.hand_on(Told { number, wrote: Some(self.reached), ..Told::default() });
    }

    fn is_full(&self) -> bool {
        self.shared.standing(self.shard).trouble() == Some(Trouble::DiskFull)
    }

    fn gather_told(&mut self, batch: &mut Vec<Job>, ran: Vec<Ran>) -> Told {
        let mut told = Told { requests: batch.len(), ..Told::default() };
        for (job, ran) in batch.drain(..).zip(ran) {
            match (job, ran) {
                (Job::Call { call, reply, .. }, Ran::Call(result)) => {
                    told.changed.extend(call.enclave);
                    told.replies.push((reply, self.reply_of(call, result)));
                }
                (Job::Alarm(enclave), Ran::Alarm) => told.changed.push(enclave),
                (Job::Fetched(..), Ran::Fetched(found)) => {
                    told.wakes.extend(found.iter().flat_map(|topic| self.parked.remove(topic).unwrap_or_default()));
                }
                (Job::Call { .. } | Job::Alarm(_) | Job::Fetched(..) | Job::Stop, _) => {
                    unreachable!("each job has what came of it at the same place")
                }
            }
        }
        let effects = self.effects.take();
        if let Some(at) = effects.alarm {
            self.next_alarm = Some(self.next_alarm.map_or(at, |earlier| earlier.min(at)));
        }
        told.fetches = effects.fetches;
        told
    }

    fn hand_on(&self, told: Told) {
        if self.synced.send(told).is_err() {
            storage_failed(self.shard, &"the syncing thread has gone");
        }
    }

    fn reply_of(&mut self, call: Box<service::Call>, result: Result<Outcome, Fault>) -> Reply {
        match result {
            Ok(Outcome::Done(response) | Outcome::Undone(response)) => Reply::Done(response),
            Ok(Outcome::Parked { topic, deadline }) => {
                let (waker, wake) = oneshot::channel();
                self.park(topic, waker);
                Reply::Parked { call, wake, deadline }
            }
            Err(fault) => Reply::Failed(fault),
        }
    }

    fn park(&mut self, topic: Topic, waker: oneshot::Sender<()>) {
        // Those who have given up are swept out before the map grows.
        if self.parked.len() == self.parked.capacity() {
            self.parked.retain(|_, wakers| {
                wakers.retain(|waker| !waker.is_closed());
                !wakers.is_empty()
            });
        }
        self.parked.entry(topic).or_default().push(waker);
    }

    fn undo_all(&mut self) {
        if !self.connection.is_autocommit() {
            self.require("ROLLBACK");
        }
        self.cache.clear();
        *self.effects.borrow_mut() = Effects::default();
    }

    /// Runs a statement that opens, closes or undoes a transaction. If even that fails, nobody knows what the connection holds.
    fn require(&self, sql: &'static str) {
        if let Err(error) = sqlite::execute(&self.connection, sql) {
            storage_failed(self.shard, &error);
        }
    }
}

/// Answers every call of a batch with one code.
fn refuse(batch: &mut Vec<Job>, code: Code) {
    for job in batch.drain(..) {
        if let Job::Call { call, reply, .. } = job
            && reply.send(Reply::Done(Response::refusal(&code.into(), hash_of(&call).as_ref()))).is_err()
        {
            tracing::trace!("nobody waits for an answer any more");
        }
    }
}
