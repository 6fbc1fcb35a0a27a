//! An enclave's rows as the kernel sees them.

use crate::rows::{first, fixed, int, receipt, text, uint};
use crate::runtime::{Fault, Runtime, Value};
use crate::tree::{Running, fault};
use crate::warm::Warm;
use core::cell::RefCell;
use kernel::view::{Referred, Slot, View};
use merkle::sparse;
use protocol::state::StateName;
use protocol::{CommitHash, EnclaveId, EventId, PublicKey, Receipt};

/// The rows of one enclave.
pub struct Rows<'a> {
    /// The host.
    pub rt: &'a dyn Runtime,
    /// Whose.
    pub enclave: &'a EnclaveId,
    /// What is remembered, maybe of this enclave.
    pub warm: Option<&'a RefCell<Option<(EnclaveId, Warm)>>>,
}

impl Rows<'_> {
    fn tree(&self) -> Running<'_> {
        Running { rt: self.rt, enclave: self.enclave, warm: self.warm }
    }
}

impl View for Rows<'_> {
    type Error = Fault;

    fn slot(&self, name: &StateName<'_>) -> Result<Slot, Fault> {
        let key = name.key();
        Ok(match sparse::leaf_at(&self.tree(), &key.path).map_err(fault)? {
            None => Slot::Absent,
            Some((held, value)) if held == key => Slot::Value(value),
            Some(_) => Slot::Taken,
        })
    }

    fn referred(&self, id: &EventId) -> Result<Option<Referred>, Fault> {
        const SQL: &str = "SELECT type, from_pub, seq, enclave FROM events WHERE id = ?1";
        let found = first(self.rt, SQL, &[Value::Blob(&id.0)], |row| {
            let referred = Referred { event_type: text(row, 0)?, from: PublicKey(fixed(row, 1)?), seq: uint(row, 2)? };
            Ok((referred, fixed::<32>(row, 3)?))
        })?;
        Ok(found.filter(|(_, enclave)| enclave == &self.enclave.0).map(|(referred, _)| referred))
    }

    fn type_count(&self, event_type: &str) -> Result<u64, Fault> {
        const SQL: &str = "SELECT type_seq FROM events WHERE enclave = ?1 AND type = ?2 ORDER BY seq DESC LIMIT 1";
        let tree = self.tree();
        if let Some(count) = tree.warm().and_then(|warm| warm.count(event_type)) {
            return Ok(count);
        }
        let params = [Value::Blob(&self.enclave.0), Value::Text(event_type)];
        Ok(first(self.rt, SQL, &params, |row| uint(row, 0))?.map_or(0, |last| last + 1))
    }

    fn stored(&self, hash: &CommitHash) -> Result<Option<Receipt>, Fault> {
        receipt(self.rt, hash)
    }
}

/// How many events of each type there are, by one index step a type.
pub fn counts(rt: &dyn Runtime, enclave: &EnclaveId) -> Result<alloc::vec::Vec<(alloc::string::String, u64)>, Fault> {
    const NEXT: &str = "SELECT type FROM events WHERE enclave = ?1 AND type > ?2 ORDER BY type LIMIT 1";
    let rows = Rows { rt, enclave, warm: None };
    let mut counts = alloc::vec::Vec::new();
    let mut last = alloc::string::String::new();
    while let Some(next) = first(rt, NEXT, &[Value::Blob(&enclave.0), Value::Text(&last)], |row| text(row, 0))? {
        counts.push((next.clone(), rows.type_count(&next)?));
        last = next;
    }
    Ok(counts)
}

/// The events of a bundle, in order.
pub fn ids(
    rt: &dyn Runtime,
    enclave: &EnclaveId,
    first_seq: u64,
    count: u64,
) -> Result<alloc::vec::Vec<EventId>, Fault> {
    const SQL: &str = "SELECT id FROM events WHERE enclave = ?1 AND seq >= ?2 AND seq < ?3 ORDER BY seq";
    let params = [Value::Blob(&enclave.0), int(first_seq), int(first_seq + count)];
    crate::rows::all(rt, SQL, &params, |row| fixed(row, 0).map(EventId))
}
