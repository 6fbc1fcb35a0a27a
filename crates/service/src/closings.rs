//! Which bundles have closed: what a host that keeps a log over all its enclaves reads on.

use crate::cache::Cache;
use crate::rows::{self, fixed, int};
use crate::runtime::{Fault, Runtime, Value};
use crate::tree::{self, Log};
use alloc::vec::Vec;
use merkle::Hash;
use protocol::EnclaveId;

/// The sizes and roots that an enclave's log had after each closing, from size `after + 1` on, at most `limit` of them; none where the
/// enclave is not known. Nothing is closed by asking.
pub fn since(
    rt: &dyn Runtime,
    cache: &mut Cache,
    enclave: &EnclaveId,
    after: u64,
    limit: u64,
) -> Result<Vec<(u64, Hash)>, Fault> {
    let Some(state) = cache.load(rt, enclave)? else { return Ok(Vec::new()) };
    let newest = state.record.head.tree_size;
    let log = Log { rt, enclave };
    (after + 1..=newest.min(after + limit))
        .map(|size| merkle::log::root(&log, size).map(|root| (size, root)).map_err(tree::log_fault))
        .collect()
}

/// Enclaves of this store in the order of their ids, behind one of them, at most `limit`.
pub fn enclaves(rt: &dyn Runtime, after: &[u8], limit: u64) -> Result<Vec<EnclaveId>, Fault> {
    const SQL: &str = "SELECT enclave FROM node_state WHERE enclave > ?1 AND key = 'record' ORDER BY enclave LIMIT ?2";
    rows::all(rt, SQL, &[Value::Blob(after), int(limit)], |row| fixed(row, 0).map(EnclaveId))
}
