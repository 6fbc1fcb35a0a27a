//! Who wants to hear that an enclave has changed. Only that: what has changed is in the log, where each reads on from its own place,
//! so nothing is buffered here however slow a listener is.

use protocol::EnclaveId;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The enclaves that somebody listens to. Cheap to clone.
#[derive(Clone, Default)]
pub struct Watches {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    by_enclave: Mutex<HashMap<EnclaveId, watch::Sender<()>>>,
    /// How many enclaves there are in the map, so that a writer needs no lock while nobody listens.
    len: AtomicUsize,
    gathers: AtomicBool,
    gathered: Mutex<BTreeSet<EnclaveId>>,
}

/// One listener. Its enclave is forgotten with the last.
pub struct Watch {
    inner: Arc<Inner>,
    enclave: EnclaveId,
    changed: Option<watch::Receiver<()>>,
}

impl Watches {
    /// Begins to listen: every change that is announced from here on is heard.
    pub fn listen(&self, enclave: &EnclaveId) -> Watch {
        let mut by_enclave = self.inner.by_enclave.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = by_enclave.entry(*enclave).or_insert_with(|| watch::channel(()).0);
        let changed = Some(sender.subscribe());
        self.inner.len.store(by_enclave.len(), Ordering::Release);
        Watch { inner: Arc::clone(&self.inner), enclave: *enclave, changed }
    }

    /// From here on every enclave that changes is remembered, for the one listener that wants to hear of all.
    pub fn gather(&self) {
        self.inner.gathers.store(true, Ordering::Release);
    }

    /// The enclaves that have changed since the last time this was asked.
    pub fn take_gathered(&self) -> BTreeSet<EnclaveId> {
        std::mem::take(&mut *self.inner.gathered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells the listeners of these enclaves.
    pub fn announce(&self, enclaves: &[EnclaveId]) {
        if self.inner.gathers.load(Ordering::Acquire) {
            self.inner.gathered.lock().unwrap_or_else(PoisonError::into_inner).extend(enclaves);
        }
        if self.inner.len.load(Ordering::Acquire) == 0 {
            return;
        }
        let by_enclave = self.inner.by_enclave.lock().unwrap_or_else(PoisonError::into_inner);
        for enclave in enclaves {
            if let Some(sender) = by_enclave.get(enclave) {
                sender.send_replace(());
            }
        }
    }

    /// Enclaves that somebody listens to.
    pub fn len(&self) -> usize {
        self.inner.len.load(Ordering::Acquire)
    }

    /// Nobody listens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Watch {
    /// Waits until the enclave has changed since the last time this returned.
    pub async fn changed(&mut self) {
        let Some(changed) = &mut self.changed else { return std::future::pending().await };
        if changed.changed().await.is_err() {
            // The sender lives in the map for as long as there is a listener.
            std::future::pending().await
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut by_enclave = self.inner.by_enclave.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.take());
        if by_enclave.get(&self.enclave).is_some_and(|sender| sender.receiver_count() == 0) {
            by_enclave.remove(&self.enclave);
        }
        self.inner.len.store(by_enclave.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: EnclaveId = EnclaveId([1; 32]);
    const TWO: EnclaveId = EnclaveId([2; 32]);

    async fn heard(watch: &mut Watch) -> bool {
        tokio::select! {
            biased;
            () = watch.changed() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn each_hears_of_its_own_enclave_once() {
        let watches = Watches::default();
        let (mut one, mut again, mut two) = (watches.listen(&ONE), watches.listen(&ONE), watches.listen(&TWO));
        watches.announce(&[ONE]);
        watches.announce(&[ONE]);
        assert!(heard(&mut one).await && !heard(&mut one).await);
        assert!(heard(&mut again).await);
        assert!(!heard(&mut two).await);
    }

    #[test]
    fn what_has_changed_is_gathered_once() {
        let watches = Watches::default();
        watches.announce(&[TWO]);
        watches.gather();
        watches.announce(&[ONE, ONE]);
        assert_eq!(watches.take_gathered(), BTreeSet::from([ONE]));
        assert!(watches.take_gathered().is_empty());
    }

    #[tokio::test]
    async fn nobody_is_remembered_who_has_left() {
        let watches = Watches::default();
        let (one, two) = (watches.listen(&ONE), watches.listen(&ONE));
        assert_eq!(watches.len(), 1);
        drop(one);
        assert_eq!(watches.len(), 1);
        drop(two);
        assert!(watches.is_empty());
    }
}
