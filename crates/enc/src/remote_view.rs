//! The state of an enclave as the kernel wants to see it, read from a node by proofs.

use client::{Enclave, Error, Filter};
use kernel::{Referred, Slot, View, WriteValue};
use merkle::sparse::StatePath;
use protocol::state::StateName;
use protocol::{Code, CommitHash, EventId, Receipt};
use std::cell::Cell;
use std::collections::HashMap;

/// Reads each name by a state proof, as of the newest closed bundle; before the first one, as the Manifest begins.
pub struct RemoteView<'a> {
    enclave: &'a Enclave,
    first_state: HashMap<StatePath, [u8; 32]>,
    /// The bundle after which the state was read; none for the Manifest's own.
    pub as_of: Cell<Option<u64>>,
    /// The state may not be read by this identity: what is judged is the Manifest's own.
    pub hidden: Cell<bool>,
}

impl<'a> RemoteView<'a> {
    /// The view of an enclave.
    pub fn new(enclave: &'a Enclave) -> RemoteView<'a> {
        let pin = enclave.pin();
        let event = pin.event();
        let sequencer = event.position.sequencer;
        let keys = kernel::NodeKeys { sequencer: &sequencer, is_node_key: &|key| *key == sequencer };
        let provisioned = (!pin.bound()).then_some(kernel::Provisioned { owner: None });
        let begun = event.verified().ok().and_then(|verified| {
            kernel::genesis(&verified, provisioned.as_ref(), &keys, event.position.timestamp).ok()
        });
        let writes = begun.map_or(Vec::new(), |begun| begun.transition.writes);
        let first_state = writes.into_iter().filter_map(|write| match write.value {
            WriteValue::Set(value) => Some((write.key.path, value)),
            WriteValue::Remove | WriteValue::ThisEvent => None,
        });
        RemoteView { enclave, first_state: first_state.collect(), as_of: Cell::new(None), hidden: Cell::new(false) }
    }
}

impl View for RemoteView<'_> {
    type Error = Error;

    fn slot(&self, name: &StateName<'_>) -> Result<Slot, Error> {
        let value = match self.enclave.prove_state(name) {
            Ok(proven) => {
                self.as_of.set(Some(proven.leaf_index));
                proven.values[0]
            }
            Err(error) if matches!(error.code(), Some(Code::NotBundled | Code::Unauthorized)) => {
                self.hidden.set(self.hidden.get() || error.code() == Some(Code::Unauthorized));
                self.first_state.get(&name.key().path).copied()
            }
            Err(error) => return Err(error),
        };
        Ok(value.map_or(Slot::Absent, Slot::Value))
    }

    fn referred(&self, id: &EventId) -> Result<Option<Referred>, Error> {
        let event = self.enclave.event(*id)?;
        Ok(event.map(|event| Referred { event_type: event.event_type, from: event.from, seq: event.position.seq }))
    }

    /// Only the next `type_seq` depends on it, which no refusal does.
    fn type_count(&self, _event_type: &str) -> Result<u64, Error> {
        Ok(0)
    }

    fn stored(&self, hash: &CommitHash) -> Result<Option<Receipt>, Error> {
        match self.enclave.query(&Filter::by_hash(*hash)) {
            Ok(page) => Ok(page.events.first().map(|event| event.receipt())),
            // One who may not read cannot see whether it is stored.
            Err(error) if error.code() == Some(Code::Unauthorized) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
