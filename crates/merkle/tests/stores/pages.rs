//! State pages in memory, kept as the bytes that a host would store.

use std::cell::Cell;
use std::collections::BTreeMap;

use merkle::Hash;
use merkle::sparse::{Error, Page, PageError, PageId, Pages, StateKey, Update, update};

#[derive(Default)]
pub struct MemoryPages {
    pub rows: BTreeMap<Vec<u8>, Vec<u8>>,
    pub reads: Cell<usize>,
}

impl Pages for MemoryPages {
    type Error = PageError;

    fn page(&self, id: &PageId) -> Result<Option<Page>, PageError> {
        self.reads.set(self.reads.get() + 1);
        self.rows.get(&id.encode()).map(|bytes| Page::decode(id, bytes)).transpose()
    }
}

impl MemoryPages {
    pub fn apply(&mut self, writes: &[(StateKey, Option<Hash>)]) -> Result<Update, Error<PageError>> {
        let done = update(self, writes)?;
        for (id, page) in &done.pages {
            let row = id.encode();
            match page {
                Some(page) => self.rows.insert(row, page.encode()),
                None => Some(self.rows.remove(&row).expect("only stored rows are removed")),
            };
        }
        Ok(done)
    }
}
