//! The state tree and the log of an enclave as rows: read node by node, never whole.

use crate::rows::{first, fixed, int, optional_blob, uint};
use crate::runtime::{Fault, Runtime, Value};
use crate::warm::Warm;
use alloc::vec::Vec;
use core::cell::{RefCell, RefMut};
use merkle::Hash;
use merkle::log::{NodeId, Nodes};
use merkle::sparse::{self, Page, PageId, Pages, StateKey};
use protocol::EnclaveId;
use protocol::entry::{ENTRY_LEN, Entry};

/// The state tree as it runs.
pub struct Running<'a> {
    /// The host.
    pub rt: &'a dyn Runtime,
    /// Whose.
    pub enclave: &'a EnclaveId,
    /// What is remembered, maybe of this enclave.
    pub warm: Option<&'a RefCell<Option<(EnclaveId, Warm)>>>,
}

impl Running<'_> {
    /// What is remembered of this enclave.
    pub(crate) fn warm(&self) -> Option<RefMut<'_, Warm>> {
        let held = self.warm?.try_borrow_mut().ok()?;
        RefMut::filter_map(held, |held| held.as_mut().filter(|(id, _)| id == self.enclave).map(|(_, warm)| warm)).ok()
    }
}

/// The state tree as it was when the newest bundle closed.
pub struct Closed<'a> {
    /// The host.
    pub rt: &'a dyn Runtime,
    /// Whose.
    pub enclave: &'a EnclaveId,
    /// The index of the bundle that is open: what it changed is not seen.
    pub open: u64,
}

fn decode(id: &PageId, body: Option<Vec<u8>>) -> Result<Option<Page>, Fault> {
    body.map(|bytes| Page::decode(id, &bytes).map_err(|_| Fault::Storage)).transpose()
}

impl Pages for Running<'_> {
    type Error = Fault;

    fn page(&self, id: &PageId) -> Result<Option<Page>, Fault> {
        const SQL: &str = "SELECT body FROM state_pages WHERE enclave = ?1 AND page = ?2";
        if let Some(page) = self.warm().and_then(|warm| warm.page(id)) {
            return Ok(page);
        }
        let params = [Value::Blob(&self.enclave.0), Value::Blob(&id.encode())];
        let page = decode(id, first(self.rt, SQL, &params, |row| optional_blob(row, 0))?.flatten())?;
        if let Some(mut warm) = self.warm() {
            warm.note_page(*id, page.clone());
        }
        Ok(page)
    }
}

impl Pages for Closed<'_> {
    type Error = Fault;

    fn page(&self, id: &PageId) -> Result<Option<Page>, Fault> {
        const SQL: &str =
            "SELECT CASE WHEN since = ?3 THEN old ELSE body END FROM state_pages WHERE enclave = ?1 AND page = ?2";
        let params = [Value::Blob(&self.enclave.0), Value::Blob(&id.encode()), int(self.open)];
        decode(id, first(self.rt, SQL, &params, |row| optional_blob(row, 0))?.flatten())
    }
}

/// Applies writes to the running tree within bundle `open`; answers the new root. `None` when a key is taken by another raw key.
pub fn write(tree: &Running<'_>, open: u64, writes: &[(StateKey, Option<Hash>)]) -> Result<Option<Hash>, Fault> {
    const SQL: &str = "INSERT INTO state_pages (enclave, page, since, body, old) VALUES (?1, ?2, ?3, ?4, NULL) \
         ON CONFLICT (enclave, page) DO UPDATE SET old = CASE WHEN since = ?3 THEN old ELSE body END, body = ?4, since = ?3";
    let update = match sparse::update(tree, writes) {
        Ok(update) => update,
        Err(sparse::Error::Collision) => return Ok(None),
        Err(error) => return Err(fault(error)),
    };
    for (id, page) in &update.pages {
        let body = page.as_ref().map(Page::encode);
        let body = body.as_deref().map_or(Value::Null, Value::Blob);
        tree.rt.sql_exec(SQL, &[Value::Blob(&tree.enclave.0), Value::Blob(&id.encode()), int(open), body])?;
        if let Some(mut warm) = tree.warm() {
            warm.note_page(*id, page.clone());
        }
    }
    Ok(Some(update.root))
}

/// A tree that contradicts itself is a fault of the store.
pub fn fault(error: sparse::Error<Fault>) -> Fault {
    match error {
        sparse::Error::Pages(fault) => fault,
        sparse::Error::Collision | sparse::Error::Missing(_) => Fault::Storage,
    }
}

/// The log's complete nodes.
pub struct Log<'a> {
    /// The host.
    pub rt: &'a dyn Runtime,
    /// Whose.
    pub enclave: &'a EnclaveId,
}

impl Nodes for Log<'_> {
    type Error = Fault;

    fn node(&self, id: NodeId) -> Result<Hash, Fault> {
        const SQL: &str = "SELECT hash FROM log_nodes WHERE enclave = ?1 AND level = ?2 AND idx = ?3";
        let params = [Value::Blob(&self.enclave.0), int(u64::from(id.level)), int(id.index)];
        first(self.rt, SQL, &params, |row| fixed(row, 0))?.ok_or(Fault::Storage)
    }
}

/// A log that lacks a node is a fault of the store.
pub fn log_fault(error: merkle::log::Error<Fault>) -> Fault {
    match error {
        merkle::log::Error::Nodes(fault) => fault,
        merkle::log::Error::OutOfRange => Fault::Storage,
    }
}

/// A closed bundle as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBundle {
    /// Its place in the log.
    pub index: u64,
    /// The log entry.
    pub entry: Entry,
    /// Root of the state tree after its last event.
    pub state_hash: Hash,
    /// Hash of its last event.
    pub last_event_hash: Hash,
}

impl Log<'_> {
    /// Appends a closed bundle; answers the new root.
    pub fn append(&self, bundle: &StoredBundle) -> Result<Hash, Fault> {
        const NODE: &str = "INSERT INTO log_nodes (enclave, level, idx, hash) VALUES (?1, ?2, ?3, ?4)";
        const BUNDLE: &str = "INSERT INTO bundles (enclave, first_seq, idx, entry, state_hash, last_event_hash) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let enclave = Value::Blob(&self.enclave.0);
        for (id, hash) in merkle::log::append(self, bundle.index, bundle.entry.leaf_hash()).map_err(log_fault)? {
            self.rt.sql_exec(NODE, &[enclave, int(u64::from(id.level)), int(id.index), Value::Blob(&hash)])?;
        }
        let entry = bundle.entry.encode();
        let params = [
            enclave,
            int(bundle.entry.first_seq),
            int(bundle.index),
            Value::Blob(&entry),
            Value::Blob(&bundle.state_hash),
            Value::Blob(&bundle.last_event_hash),
        ];
        self.rt.sql_exec(BUNDLE, &params)?;
        merkle::log::root(self, bundle.index + 1).map_err(log_fault)
    }

    /// The closed bundle that holds `seq`, or the last one before it.
    pub fn bundle_of(&self, seq: u64) -> Result<Option<StoredBundle>, Fault> {
        const SQL: &str = "SELECT idx, entry, state_hash, last_event_hash FROM bundles WHERE enclave = ?1 AND first_seq <= ?2 \
             ORDER BY first_seq DESC LIMIT 1";
        first(self.rt, SQL, &[Value::Blob(&self.enclave.0), int(seq)], stored_bundle)
    }

    /// The closed bundle at an index.
    pub fn bundle_at(&self, index: u64) -> Result<Option<StoredBundle>, Fault> {
        const SQL: &str = "SELECT idx, entry, state_hash, last_event_hash FROM bundles WHERE enclave = ?1 AND idx = ?2";
        first(self.rt, SQL, &[Value::Blob(&self.enclave.0), int(index)], stored_bundle)
    }

    /// Entries from `first` on, at most `count`.
    pub fn entries(&self, first: u64, count: u64) -> Result<Vec<[u8; ENTRY_LEN]>, Fault> {
        const SQL: &str = "SELECT entry FROM bundles WHERE enclave = ?1 AND idx >= ?2 AND idx < ?3 ORDER BY idx";
        let params = [Value::Blob(&self.enclave.0), int(first), int(first + count)];
        crate::rows::all(self.rt, SQL, &params, |row| fixed(row, 0))
    }

    /// Complete nodes of a level from `first` on, at most `count`.
    pub fn level(&self, level: u8, first: u64, count: u64) -> Result<Vec<Hash>, Fault> {
        const SQL: &str =
            "SELECT hash FROM log_nodes WHERE enclave = ?1 AND level = ?2 AND idx >= ?3 AND idx < ?4 ORDER BY idx";
        let params = [Value::Blob(&self.enclave.0), int(u64::from(level)), int(first), int(first + count)];
        crate::rows::all(self.rt, SQL, &params, |row| fixed(row, 0))
    }
}

fn stored_bundle(row: &dyn crate::runtime::Row) -> Result<StoredBundle, Fault> {
    let entry = Entry::decode(&fixed(row, 1)?).ok_or(Fault::Storage)?;
    Ok(StoredBundle { index: uint(row, 0)?, entry, state_hash: fixed(row, 2)?, last_event_hash: fixed(row, 3)? })
}
