//! The one thread that writes, for as many as append: whatever waits when it is free is one write, and one sync serves all.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ledger::append::{Append, Appended};
use ledger::index::Index;
use ledger::ledger::{Fault, Ledger, MAX_BATCH};
use ledger::rejection::Rejection;
use ledger::signer::Signer;
use ledger::store::Store;
use ledger::time::{Date, Timestamp};

/// How many requests wait at most.
const QUEUE: usize = 4 * MAX_BATCH;

type Answer = Result<Appended, AppendError>;
type Call<S, I, K> = Box<dyn FnOnce(&mut Ledger<S, I, K>, Timestamp) + Send>;

enum Job<S, I, K> {
    Append(Box<Append>, SyncSender<Answer>),
    Call(Call<S, I, K>),
}

/// Why a record was not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// A rule refuses it.
    Rejected(Rejection),
    /// It could not be written.
    Fault(Fault),
    /// Too many wait already.
    Overloaded,
    /// The sequencer has ended.
    Ended,
}

impl std::fmt::Display for AppendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AppendError::Rejected(rejection) => rejection.fmt(f),
            AppendError::Fault(fault) => fault.fmt(f),
            AppendError::Overloaded => f.write_str("overloaded: too many wait"),
            AppendError::Ended => f.write_str("the ledger is closed"),
        }
    }
}

impl std::error::Error for AppendError {}

/// What everybody appends through; cheap to clone.
pub struct Appender<S, I, K> {
    jobs: SyncSender<Job<S, I, K>>,
}

impl<S, I, K> Clone for Appender<S, I, K> {
    fn clone(&self) -> Self {
        Appender { jobs: self.jobs.clone() }
    }
}

/// The thread. It ends when the last [`Appender`] is gone, and gives the ledger back.
pub struct Sequencer<S, I, K> {
    thread: JoinHandle<Ledger<S, I, K>>,
}

/// The host's time, to the millisecond.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(millis).unwrap_or(Date::LAST.end())
}

/// Starts the thread. `publish_interval`: a checkpoint is made at most so often, when the log grew.
///
/// # Errors
/// What the system says where there can be no more threads.
pub fn start<S, I, K>(
    ledger: Ledger<S, I, K>,
    publish_interval: Duration,
) -> std::io::Result<(Appender<S, I, K>, Sequencer<S, I, K>)>
where
    S: Store + Send + 'static,
    I: Index + Send + 'static,
    K: Signer + Send + 'static,
{
    let (jobs, queue) = sync_channel(QUEUE);
    let work = move || work(ledger, &queue, publish_interval);
    let thread = thread::Builder::new().name("ledger".to_owned()).spawn(work)?;
    Ok((Appender { jobs }, Sequencer { thread }))
}

impl<S, I, K> Sequencer<S, I, K> {
    /// Waits for the end of the thread. All that was taken is durable, and published where that was possible.
    ///
    /// # Panics
    /// If the thread has.
    pub fn join(self) -> Ledger<S, I, K> {
        self.thread.join().expect("the sequencer does not panic")
    }
}

impl<S, I, K> Appender<S, I, K> {
    /// Appends a record; returns when it is durable, together with all that waited beside it.
    ///
    /// # Errors
    /// [`AppendError`]. After [`AppendError::Ended`] it may stand in the ledger: the same again tells.
    pub fn append(&self, append: Append) -> Answer {
        let (answer, answered) = sync_channel(1);
        match self.jobs.try_send(Job::Append(Box::new(append), answer)) {
            Ok(()) => answered.recv().unwrap_or(Err(AppendError::Ended)),
            Err(TrySendError::Full(_)) => Err(AppendError::Overloaded),
            Err(TrySendError::Disconnected(_)) => Err(AppendError::Ended),
        }
    }

    /// Runs something with the ledger, after all that was asked before; `None` if the sequencer has ended.
    pub fn with<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Ledger<S, I, K>, Timestamp) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = sync_channel(1);
        let call: Call<S, I, K> = Box::new(move |ledger, now| {
            // Whoever asked may have gone.
            answer.send(call(ledger, now)).unwrap_or_default();
        });
        self.jobs.send(Job::Call(call)).ok()?;
        answered.recv().ok()
    }
}

fn work<S: Store, I: Index, K: Signer>(
    mut ledger: Ledger<S, I, K>,
    queue: &Receiver<Job<S, I, K>>,
    publish_interval: Duration,
) -> Ledger<S, I, K> {
    let mut published = Instant::now();
    let mut waiting = Vec::new();
    loop {
        let grew = ledger.size() > ledger.published();
        let first = match grew {
            true => queue.recv_timeout(publish_interval.saturating_sub(published.elapsed())),
            false => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let ended = matches!(first, Err(RecvTimeoutError::Disconnected));
        for job in first.into_iter().chain(queue.try_iter().take(MAX_BATCH - 1)) {
            match job {
                Job::Append(append, answer) => waiting.push((*append, answer)),
                Job::Call(call) => {
                    append_all(&mut ledger, &mut waiting);
                    call(&mut ledger, now());
                }
            }
        }
        append_all(&mut ledger, &mut waiting);
        let due = ended || published.elapsed() >= publish_interval;
        if due && ledger.size() > ledger.published() {
            // What cannot be published stays acknowledged, and is tried again.
            published = Instant::now();
            let failed = ledger.publish().is_err();
            if failed && ended {
                return ledger;
            }
        }
        if ended {
            return ledger;
        }
    }
}

/// One write for all that wait; then each is told.
fn append_all<S: Store, I: Index, K: Signer>(
    ledger: &mut Ledger<S, I, K>,
    waiting: &mut Vec<(Append, SyncSender<Answer>)>,
) {
    if waiting.is_empty() {
        return;
    }
    let (appends, answers): (Vec<Append>, Vec<SyncSender<Answer>>) = waiting.drain(..).unzip();
    let told: Vec<Answer> = match ledger.append(now(), appends) {
        Ok(told) => told.into_iter().map(|answer| answer.map_err(AppendError::Rejected)).collect(),
        Err(fault) => answers.iter().map(|_| Err(AppendError::Fault(fault.clone()))).collect(),
    };
    for (answer, told) in answers.into_iter().zip(told) {
        // Whoever asked may have gone.
        answer.send(told).unwrap_or_default();
    }
}
