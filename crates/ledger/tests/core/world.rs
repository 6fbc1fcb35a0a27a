//! What the tests stand on: a ledger in memory, and a store that ends after so many writes.

use ledger::append::{Append, Content};
use ledger::entry::Author;
use ledger::index::MemoryIndex;
use ledger::ledger::{Fault, Ledger};
use ledger::memory::MemoryStore;
use ledger::path::ObjectPath;
use ledger::policy::Policy;
use ledger::retention::Retention;
use ledger::signer::{MemorySigner, SignedHead};
use ledger::store::{Files, Folder, Store, StoreError, StoreFault};
use ledger::time::Timestamp;
use ledger::value::{Actor, RecordId};
use std::cell::Cell;
use tlog::note::KeyName;
use tlog::signer::NoteSigner;

/// 2026-01-01T00:00:00Z.
pub const T0: u64 = 1_767_225_600_000;
pub const ORIGIN: &str = "example.org/ledger/test";

pub type World<S> = Ledger<S, MemoryIndex, MemorySigner>;

pub fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(T0 + millis).expect("before the year 10000")
}

pub fn signer(signed: Option<SignedHead>) -> MemorySigner {
    let name = KeyName::parse(ORIGIN).expect("a name");
    MemorySigner::new(NoteSigner::from_seed(name, &[7; 32]).expect("a key"), signed)
}

/// A small `pack_max`, so that small payloads are large ones.
pub fn policy() -> Policy {
    Policy { pack_max: 100, ..Policy::default() }
}

pub fn init() -> World<MemoryStore> {
    Ledger::init(MemoryStore::new(), MemoryIndex::default(), signer(None), (&policy(), at(0))).expect("it is made")
}

pub fn author(actor: &str) -> Author {
    Author { actor: Actor::parse(actor).expect("an id"), on_behalf_of: None }
}

pub fn append(id: &str, bytes: &[u8]) -> Append {
    Append {
        record_id: RecordId::parse(id).expect("an id"),
        author: author("alice"),
        media_type: None,
        content: Content::Bytes(bytes.to_vec()),
        digest: None,
        retention: Retention::default(),
    }
}

/// A payload that follows from its number: of lengths from none to a little beyond `pack_max`.
pub fn payload(number: u64) -> Vec<u8> {
    (0..number * 37 % 103).map(|at| (number + at) as u8).collect()
}

/// Records with these numbers.
pub fn records(numbers: std::ops::Range<u64>) -> Vec<Append> {
    numbers.map(|number| append(&format!("r{number}"), &payload(number))).collect()
}

/// A store that does so many more writes and then none; reading goes on. A `create` of several files is as many writes.
pub struct Ending<S> {
    pub inner: S,
    pub left: Cell<u64>,
}

impl<S: Store> Ending<S> {
    fn step(&self, path: &ObjectPath) -> Result<(), StoreError> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(StoreError::new(path, StoreFault::Failed)),
        }
    }
}

impl<S: Store> Files for Ending<S> {
    fn read(&self, path: &ObjectPath) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.read(path)
    }

    fn read_range(&self, path: &ObjectPath, offset: u64, len: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.read_range(path, offset, len)
    }

    fn len(&self, path: &ObjectPath) -> Result<Option<u64>, StoreError> {
        self.inner.len(path)
    }

    fn list(&self, folder: Folder) -> Result<Vec<ObjectPath>, StoreError> {
        self.inner.list(folder)
    }
}

impl<S: Store> Store for Ending<S> {
    fn create(&mut self, objects: &[(ObjectPath, &[u8])]) -> Result<(), StoreError> {
        objects.iter().try_for_each(|object| {
            self.step(&object.0)?;
            self.inner.create(std::slice::from_ref(object))
        })
    }

    fn link(&mut self, staged: &ObjectPath, path: &ObjectPath) -> Result<(), StoreError> {
        self.step(path)?;
        self.inner.link(staged, path)
    }

    fn replace(&mut self, path: &ObjectPath, bytes: &[u8]) -> Result<(), StoreError> {
        self.step(path)?;
        self.inner.replace(path, bytes)
    }

    fn append(&mut self, path: &ObjectPath, len: u64, bytes: &[u8]) -> Result<(), StoreError> {
        match self.step(path) {
            Ok(()) => self.inner.append(path, len, bytes),
            // The last write before the end may be torn.
            Err(error) => {
                let torn = &bytes[..bytes.len() / 2];
                if self.inner.len(path)?.unwrap_or(0) == len && !torn.is_empty() {
                    self.inner.append(path, len, torn)?;
                }
                Err(error)
            }
        }
    }

    fn sync(&mut self, path: &ObjectPath) -> Result<(), StoreError> {
        self.step(path)?;
        self.inner.sync(path)
    }

    fn cut(&mut self, path: &ObjectPath, len: u64) -> Result<(), StoreError> {
        self.step(path)?;
        self.inner.cut(path, len)
    }

    fn seal(&mut self, path: &ObjectPath) -> Result<(), StoreError> {
        self.step(path)?;
        self.inner.seal(path)
    }

    fn remove(&mut self, path: &ObjectPath) -> Result<(), StoreError> {
        self.step(path)?;
        self.inner.remove(path)
    }
}

/// The ledger opened again on what is left.
pub fn reopen(store: MemoryStore, signed: Option<SignedHead>) -> Result<World<MemoryStore>, Fault> {
    Ledger::open(store, MemoryIndex::default(), signer(signed))
}
