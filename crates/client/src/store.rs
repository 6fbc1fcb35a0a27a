//! What a client keeps between visits, so that a node cannot take back what it once said.

use crate::error::Error;
use crate::pin::Pin;
use protocol::head::Sth;
use protocol::{EnclaveId, Json, Receipt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps pins, tree heads and receipts. What is kept was verified first.
pub trait Store: Send + Sync {
    /// The pin of an enclave.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Damaged`]; so for all methods.
    fn pin(&self, enclave: &EnclaveId) -> Result<Option<Pin>, Error>;
    /// Keeps a pin in place of the one before, unless that knows more Migrates.
    fn keep_pin(&self, pin: &Pin) -> Result<(), Error>;
    /// The largest tree head that was seen.
    fn sth(&self, enclave: &EnclaveId) -> Result<Option<Sth>, Error>;
    /// Keeps a tree head, unless one that is larger, or as large and newer, is kept already.
    fn keep_sth(&self, sth: &Sth) -> Result<(), Error>;
    /// All receipts, in the order in which they were kept.
    fn receipts(&self, enclave: &EnclaveId) -> Result<Vec<Receipt>, Error>;
    /// The receipt that was kept last.
    fn newest_receipt(&self, enclave: &EnclaveId) -> Result<Option<Receipt>, Error>;
    /// Keeps a receipt.
    fn keep_receipt(&self, receipt: &Receipt) -> Result<(), Error>;
    /// Keeps evidence that a sequencer has signed two histories, in the form that anyone verifies offline.
    fn keep_evidence(&self, enclave: &EnclaveId, evidence: &Json) -> Result<(), Error>;
    /// Where the enclave went from the node at this address.
    fn moved(&self, enclave: &EnclaveId, from: &str) -> Result<Option<String>, Error>;
    /// Keeps that the enclave went from one address to another, from which it has then not gone.
    fn keep_move(&self, enclave: &EnclaveId, from: &str, to: &str) -> Result<(), Error>;
}

/// Whether `new` is to be kept where `kept` is.
pub(crate) fn supersedes(new: &Sth, kept: Option<&Sth>) -> bool {
    kept.is_none_or(|kept| (new.tree_size, new.timestamp) > (kept.tree_size, kept.timestamp))
}

/// Keeps everything until the process ends.
#[derive(Default)]
pub struct MemoryStore {
    kept: Mutex<HashMap<EnclaveId, Kept>>,
}

#[derive(Default)]
struct Kept {
    pin: Option<Pin>,
    sth: Option<Sth>,
    receipts: Vec<Receipt>,
    evidence: Vec<Json>,
    moves: HashMap<String, String>,
}

impl MemoryStore {
    /// A new store, to be shared between handles.
    pub fn shared() -> Arc<dyn Store> {
        Arc::new(MemoryStore::default())
    }

    /// The evidence that was kept of an enclave.
    pub fn evidence(&self, enclave: &EnclaveId) -> Vec<Json> {
        self.lock().get(enclave).map_or(Vec::new(), |kept| kept.evidence.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EnclaveId, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn pin(&self, enclave: &EnclaveId) -> Result<Option<Pin>, Error> {
        Ok(self.lock().get(enclave).and_then(|kept| kept.pin.clone()))
    }

    fn keep_pin(&self, pin: &Pin) -> Result<(), Error> {
        let mut all = self.lock();
        let kept = all.entry(pin.enclave()).or_default();
        if kept.pin.as_ref().is_none_or(|kept| kept.migrates().len() <= pin.migrates().len()) {
            kept.pin = Some(pin.clone());
        }
        Ok(())
    }

    fn sth(&self, enclave: &EnclaveId) -> Result<Option<Sth>, Error> {
        Ok(self.lock().get(enclave).and_then(|kept| kept.sth))
    }

    fn keep_sth(&self, sth: &Sth) -> Result<(), Error> {
        let mut all = self.lock();
        let kept = all.entry(sth.enclave).or_default();
        if supersedes(sth, kept.sth.as_ref()) {
            kept.sth = Some(*sth);
        }
        Ok(())
    }

    fn receipts(&self, enclave: &EnclaveId) -> Result<Vec<Receipt>, Error> {
        Ok(self.lock().get(enclave).map_or(Vec::new(), |kept| kept.receipts.clone()))
    }

    fn newest_receipt(&self, enclave: &EnclaveId) -> Result<Option<Receipt>, Error> {
        Ok(self.lock().get(enclave).and_then(|kept| kept.receipts.last().copied()))
    }

    fn keep_receipt(&self, receipt: &Receipt) -> Result<(), Error> {
        self.lock().entry(receipt.enclave).or_default().receipts.push(*receipt);
        Ok(())
    }

    fn keep_evidence(&self, enclave: &EnclaveId, evidence: &Json) -> Result<(), Error> {
        self.lock().entry(*enclave).or_default().evidence.push(evidence.clone());
        Ok(())
    }

    fn moved(&self, enclave: &EnclaveId, from: &str) -> Result<Option<String>, Error> {
        Ok(self.lock().get(enclave).and_then(|kept| kept.moves.get(from).cloned()))
    }

    fn keep_move(&self, enclave: &EnclaveId, from: &str, to: &str) -> Result<(), Error> {
        let mut all = self.lock();
        let moves = &mut all.entry(*enclave).or_default().moves;
        moves.insert(from.into(), to.into());
        moves.remove(to);
        Ok(())
    }
}
