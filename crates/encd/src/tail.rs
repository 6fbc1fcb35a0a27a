//! What the subscriptions of one enclave share: a task that reads on when the enclave has changed, once for all of them.
//!
//! Each tail that it reads replaces the one before; a subscription that is behind it reads for itself, so nothing is buffered for the slow.

use crate::engine::EngineHandle;
use crate::host::refusal_code;
use crate::reader::Unread;
use crate::watch::Watch;
use protocol::{Code, EnclaveId};
use service::cache::Cache;
use service::call::{Action, Claim};
use service::runtime::{Fault, NodeFacts};
use service::tail::Tail;
use service::{Call, Runtime};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long what comes is gathered after a read, so that it goes out together. What comes later than that goes out at once.
pub const GATHER: Duration = Duration::from_millis(20);
/// How long a tail keeps its events when nothing follows.
const IDLE: Duration = Duration::from_secs(1);
/// Reads of subscriptions that wait for readers at once; the rest of their queue is left to requests.
const READS: usize = 256;

/// The enclaves that somebody has subscribed to. Cheap to clone.
#[derive(Clone)]
pub struct Tails {
    inner: Arc<Inner>,
}

struct Inner {
    engine: EngineHandle,
    reads: Semaphore,
    by_enclave: Mutex<HashMap<EnclaveId, Followed>>,
}

/// An enclave whose end is followed.
struct Followed {
    listeners: usize,
    tail: watch::Receiver<Option<Arc<Tail>>>,
    task: AbortHandle,
}

/// One subscription's hold on the tail of its enclave. With the last the enclave is followed no more.
pub struct Listener {
    inner: Arc<Inner>,
    enclave: EnclaveId,
    tail: watch::Receiver<Option<Arc<Tail>>>,
}

impl Tails {
    /// Nothing is followed yet.
    pub fn new(engine: EngineHandle) -> Tails {
        let inner = Inner { engine, reads: Semaphore::new(READS), by_enclave: Mutex::default() };
        Tails { inner: Arc::new(inner) }
    }

    /// Begins to listen: every event that becomes durable from here on is either in a tail that [`Listener::changed`] tells of, or before it.
    pub fn listen(&self, enclave: &EnclaveId) -> Listener {
        let mut by_enclave = self.inner.by_enclave.lock().unwrap_or_else(PoisonError::into_inner);
        let followed = by_enclave.entry(*enclave).or_insert_with(|| {
            let (sender, tail) = watch::channel(None);
            let watch = self.inner.engine.watches().listen(enclave);
            let task = tokio::spawn(follow(Arc::clone(&self.inner), *enclave, watch, sender)).abort_handle();
            Followed { listeners: 0, tail, task }
        });
        followed.listeners += 1;
        Listener { inner: Arc::clone(&self.inner), enclave: *enclave, tail: followed.tail.clone() }
    }

    /// Reads for one subscription, when its turn comes.
    ///
    /// # Errors
    /// Where the readers have stopped, or the read fails.
    pub async fn read<T, F>(&self, enclave: &EnclaveId, work: F) -> Result<T, Unread>
    where
        T: Send + 'static,
        F: Fn(&dyn Runtime, &mut Cache, &NodeFacts) -> Result<T, Fault> + Clone + Send + 'static,
    {
        self.inner.read(enclave, work).await
    }
}

impl Listener {
    /// The newest tail, if one could be read; [`Listener::changed`] waits for a newer one.
    pub fn tail(&mut self) -> Option<Arc<Tail>> {
        self.tail.borrow_and_update().clone()
    }

    /// Waits until something was read after what [`Listener::tail`] gave last.
    pub async fn changed(&mut self) {
        if self.tail.changed().await.is_err() {
            // The task that sends is aborted with the last listener only.
            std::future::pending().await
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut by_enclave = self.inner.by_enclave.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(followed) = by_enclave.get_mut(&self.enclave) {
            followed.listeners -= 1;
            if followed.listeners == 0 {
                followed.task.abort();
                by_enclave.remove(&self.enclave);
            }
        }
    }
}

impl Inner {
    /// Reads; where a due bundle has to be closed first, has the writer do that, by asking it for the STH.
    async fn read<T, F>(&self, enclave: &EnclaveId, work: F) -> Result<T, Unread>
    where
        T: Send + 'static,
        F: Fn(&dyn Runtime, &mut Cache, &NodeFacts) -> Result<T, Fault> + Clone + Send + 'static,
    {
        let _turn = self.reads.acquire().await.expect("it is never closed");
        loop {
            match self.engine.on_reader(Some(enclave), work.clone()).await {
                // On a node that gets little time the next bundle may be due before the read comes to its turn: each time round
                // waits for the writer, which has closed one bundle then.
                Err(Unread::Fault(Fault::ReadOnly)) => {
                    let ask = Call { enclave: Some(*enclave), claim: Claim::Stranger, action: Action::Sth };
                    let response = self.engine.call(ask, 0).await;
                    match refusal_code(&response) {
                        None => tracing::trace!("a due bundle was closed for subscriptions"),
                        Some(Code::Overloaded) => return Err(Unread::Busy),
                        Some(_) => return Err(Unread::Fault(Fault::ReadOnly)),
                    }
                }
                other => return other,
            }
        }
    }
}

/// Reads on whenever the enclave has changed, [`GATHER`] after the last time at the soonest.
async fn follow(inner: Arc<Inner>, enclave: EnclaveId, mut watch: Watch, tail: watch::Sender<Option<Arc<Tail>>>) {
    loop {
        let before = tail.borrow().clone();
        let read =
            inner.read(&enclave, move |rt, cache, facts| Tail::read(rt, cache, facts, &enclave, before.as_deref()));
        match read.await {
            Ok(after) => {
                let whole = after.as_ref().is_none_or(Tail::is_whole);
                tail.send_replace(after.map(Arc::new));
                if !whole {
                    continue;
                }
            }
            // There is no room among the reads: what has changed is read in the next round.
            Err(Unread::Busy) => {
                sleep(GATHER).await;
                continue;
            }
            // Each subscription finds out for itself, and tells it.
            Err(Unread::Fault(fault)) => {
                tracing::debug!(?fault, "the end of an enclave could not be read");
                tail.send_replace(None);
            }
        }
        let next = Instant::now() + GATHER;
        changed(&mut watch, &tail).await;
        sleep_until(next).await;
    }
}

/// Waits for a change; a tail that nothing follows gives up its events meanwhile.
async fn changed(watch: &mut Watch, tail: &watch::Sender<Option<Arc<Tail>>>) {
    if timeout(IDLE, watch.changed()).await.is_ok() {
        return;
    }
    tail.send_if_modified(|tail| {
        *tail = tail.take().map(|tail| Arc::new(tail.emptied()));
        // Who has not seen them yet reads them for itself; nobody needs to be woken for that.
        false
    });
    watch.changed().await;
}
