//! A store in memory, which can lose what was not synced.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::path::ObjectPath;
use crate::store::{Files, Folder, Store, StoreError, StoreFault};

/// A [`Store`] in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStore {
    files: BTreeMap<ObjectPath, Vec<u8>>,
    sealed: BTreeSet<ObjectPath>,
    /// How much of an appended file outlives a power cut.
    durable: BTreeMap<ObjectPath, usize>,
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// All files in the order of their paths.
    pub fn files(&self) -> &BTreeMap<ObjectPath, Vec<u8>> {
        &self.files
    }

    /// Changes a file from outside, as rot or an intruder would; `None` takes it away.
    pub fn tamper(&mut self, path: &ObjectPath, bytes: Option<Vec<u8>>) {
        match bytes {
            Some(bytes) => drop(self.files.insert(path.clone(), bytes)),
            None => drop(self.files.remove(path)),
        }
    }

    /// What is there after the power was cut: of appended files only what was synced.
    pub fn after_power_cut(mut self) -> MemoryStore {
        for (path, len) in core::mem::take(&mut self.durable) {
            if let Some(file) = self.files.get_mut(&path) {
                file.truncate(len);
                if len == 0 {
                    self.files.remove(&path);
                }
            }
        }
        self
    }

    fn make(&mut self, path: &ObjectPath, bytes: &[u8]) -> Result<(), StoreError> {
        match self.files.get(path) {
            Some(there) if there == bytes => Ok(()),
            Some(_) => Err(StoreError::new(path, StoreFault::Exists)),
            None => {
                self.files.insert(path.clone(), bytes.to_vec());
                Ok(())
            }
        }
    }
}

impl Files for MemoryStore {
    fn read(&self, path: &ObjectPath) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.files.get(path).cloned())
    }

    fn read_range(&self, path: &ObjectPath, offset: u64, len: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let range = usize::try_from(offset).ok().zip(usize::try_from(offset.saturating_add(len)).ok());
        Ok(range.and_then(|(from, to)| self.files.get(path)?.get(from..to)).map(<[u8]>::to_vec))
    }

    fn len(&self, path: &ObjectPath) -> Result<Option<u64>, StoreError> {
        Ok(self.files.get(path).map(|bytes| bytes.len() as u64))
    }

    fn list(&self, folder: Folder) -> Result<Vec<ObjectPath>, StoreError> {
        Ok(self.files.keys().filter(|path| folder.holds(path)).cloned().collect())
    }
}

impl Store for MemoryStore {
    fn create(&mut self, objects: &[(ObjectPath, &[u8])]) -> Result<(), StoreError> {
        objects.iter().try_for_each(|(path, bytes)| self.make(path, bytes))
    }

    fn link(&mut self, staged: &ObjectPath, path: &ObjectPath) -> Result<(), StoreError> {
        let bytes = self.files.get(staged).cloned().ok_or(StoreError::new(staged, StoreFault::Missing))?;
        self.make(path, &bytes)
    }

    fn replace(&mut self, path: &ObjectPath, bytes: &[u8]) -> Result<(), StoreError> {
        let replaceable = !path.is_write_once() || matches!(path, ObjectPath::Pack(_));
        if !replaceable {
            return Err(StoreError::new(path, StoreFault::Exists));
        }
        self.durable.remove(path);
        self.files.insert(path.clone(), bytes.to_vec());
        Ok(())
    }

    fn append(&mut self, path: &ObjectPath, len: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let there = self.files.get(path).map_or(0, Vec::len);
        if there as u64 != len || self.sealed.contains(path) {
            return Err(StoreError::new(path, StoreFault::Exists));
        }
        self.durable.entry(path.clone()).or_insert(there);
        self.files.entry(path.clone()).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, path: &ObjectPath) -> Result<(), StoreError> {
        self.durable.remove(path);
        Ok(())
    }

    fn cut(&mut self, path: &ObjectPath, len: u64) -> Result<(), StoreError> {
        let Some(file) = self.files.get_mut(path) else { return Ok(()) };
        if self.sealed.contains(path) && file.len() as u64 > len {
            return Err(StoreError::new(path, StoreFault::Exists));
        }
        // A file in memory is shorter than the address space.
        file.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        self.durable.remove(path);
        if len == 0 {
            self.files.remove(path);
        }
        Ok(())
    }

    fn seal(&mut self, path: &ObjectPath) -> Result<(), StoreError> {
        self.sealed.insert(path.clone());
        Ok(())
    }

    fn remove(&mut self, path: &ObjectPath) -> Result<(), StoreError> {
        self.files.remove(path);
        self.durable.remove(path);
        Ok(())
    }
}
