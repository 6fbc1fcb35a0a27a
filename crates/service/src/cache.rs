//! What a thread of the host remembers of enclaves between requests: bounded, and never needed for an answer to be right.

use crate::defects::{self, Defect};
use crate::record::Record;
use crate::rows::{self, node_state};
use crate::runtime::{Fault, Runtime};
use crate::warm::Warm;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use protocol::event::Content;
use protocol::json::{self, MAX_DEPTH};
use protocol::{EnclaveId, Manifest};

/// Pages and enclaves whose rows a writer remembers: about 16 MiB.
const WARM_WEIGHT: usize = 16_384;

/// An enclave as the next request finds it.
#[derive(Clone, Debug)]
pub struct State {
    /// Its rules.
    pub manifest: Arc<Manifest>,
    /// Where it stands.
    pub record: Record,
}

/// Two generations: when the young one is full it becomes the old one, and what nobody asks for any more goes with the next turn.
pub struct Cache {
    capacity: usize,
    keeps_records: bool,
    fenced: bool,
    young: BTreeMap<EnclaveId, State>,
    old: BTreeMap<EnclaveId, State>,
    warm: BTreeMap<EnclaveId, Warm>,
    warm_weight: usize,
}

impl Cache {
    /// For the one thread that writes an enclave: manifests and records.
    pub fn writer(capacity: usize) -> Cache {
        Cache {
            capacity,
            keeps_records: true,
            fenced: false,
            young: BTreeMap::new(),
            old: BTreeMap::new(),
            warm: BTreeMap::new(),
            warm_weight: 0,
        }
    }

    /// For a thread that only reads: manifests, which never change. Records are read each time.
    pub fn reader(capacity: usize) -> Cache {
        Cache { keeps_records: false, ..Cache::writer(capacity) }
    }

    /// For a store that is not to be written to: no enclave in it is live, so nothing of it falls due.
    pub fn fenced(self) -> Cache {
        Cache { fenced: true, ..self }
    }

    /// Forgets one enclave, after its work was rolled back.
    pub fn forget(&mut self, enclave: &EnclaveId) {
        if defects::is_on(Defect::StalePrev) {
            return;
        }
        self.young.remove(enclave);
        self.old.remove(enclave);
        self.take_warm(enclave);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        if defects::is_on(Defect::StalePrev) {
            return;
        }
        self.young.clear();
        self.old.clear();
        self.warm.clear();
        self.warm_weight = 0;
    }

    /// The enclave, if this node holds it.
    pub fn load(&mut self, rt: &dyn Runtime, enclave: &EnclaveId) -> Result<Option<State>, Fault> {
        let known = self.young.get(enclave).or_else(|| self.old.get(enclave)).cloned();
        if self.keeps_records && known.is_some() {
            return Ok(known);
        }
        let Some(bytes) = node_state(rt, enclave, "record")? else { return Ok(None) };
        let mut record = Record::decode(*enclave, &bytes).ok_or(Fault::Storage)?;
        record.head.live &= !self.fenced;
        let manifest = match known {
            Some(state) => state.manifest,
            None => Arc::new(read_manifest(rt, enclave)?),
        };
        let state = State { manifest, record };
        self.keep(*enclave, state.clone());
        Ok(Some(state))
    }

    /// Takes out what is remembered of an enclave's rows. Who takes it puts it back with [`Cache::keep_warm`] when the rows are as it says.
    pub fn take_warm(&mut self, enclave: &EnclaveId) -> Warm {
        let warm = self.warm.remove(enclave).unwrap_or_default();
        self.warm_weight = self.warm_weight.saturating_sub(warm.weight());
        warm
    }

    /// Remembers an enclave's rows.
    pub fn keep_warm(&mut self, enclave: EnclaveId, warm: Warm) {
        if self.warm_weight + warm.weight() > WARM_WEIGHT {
            self.warm.clear();
            self.warm_weight = 0;
        }
        self.warm_weight += warm.weight();
        self.warm.insert(enclave, warm);
    }

    /// Remembers an enclave as it is now.
    pub fn keep(&mut self, enclave: EnclaveId, state: State) {
        if self.young.len() >= self.capacity && !self.young.contains_key(&enclave) {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.insert(enclave, state);
    }
}

fn read_manifest(rt: &dyn Runtime, enclave: &EnclaveId) -> Result<Manifest, Fault> {
    let stored = rows::event_at(rt, enclave, 0)?.ok_or(Fault::Storage)?;
    let Content::Present(content) = stored.event.content else { return Err(Fault::Storage) };
    let content = json::parse(content.as_bytes(), MAX_DEPTH).map_err(|_| Fault::Storage)?;
    Manifest::parse(&content).map_err(|_| Fault::Storage)
}
