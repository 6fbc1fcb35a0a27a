//! What the writer of an enclave remembers of its rows between commits: pages of the state tree and how many events of a type there
//! are. It saves a commit the statements that would read again what the one before wrote.
//!
//! Only the thread that writes an enclave has it, and it holds for one history of the rows: when work is rolled back, the cache
//! forgets it ([`crate::cache::Cache::forget`]).

use alloc::collections::BTreeMap;
use alloc::string::String;
use merkle::sparse::{Page, PageId};

/// Pages remembered of one enclave; past that all are forgotten. The top of a large tree, or all of a small one.
const MAX_PAGES: usize = 256;
/// Types whose count is remembered.
const MAX_TYPES: usize = 64;

/// Of one enclave.
#[derive(Clone, Debug, Default)]
pub struct Warm {
    pages: BTreeMap<PageId, Option<Page>>,
    counts: BTreeMap<String, u64>,
}

impl Warm {
    /// A page as it stands, if it is remembered; `Some(None)`: that there is none.
    pub fn page(&self, id: &PageId) -> Option<Option<Page>> {
        self.pages.get(id).cloned()
    }

    /// Remembers a page as it stands.
    pub fn note_page(&mut self, id: PageId, page: Option<Page>) {
        if self.pages.len() >= MAX_PAGES && !self.pages.contains_key(&id) {
            self.pages.clear();
        }
        self.pages.insert(id, page);
    }

    /// How many events of a type there are, if it is remembered.
    pub fn count(&self, event_type: &str) -> Option<u64> {
        self.counts.get(event_type).copied()
    }

    /// Remembers how many events of a type there are.
    pub fn note_count(&mut self, event_type: &str, count: u64) {
        if let Some(known) = self.counts.get_mut(event_type) {
            *known = count;
            return;
        }
        if self.counts.len() >= MAX_TYPES {
            self.counts.clear();
        }
        self.counts.insert(String::from(event_type), count);
    }

    /// What it counts for against the limit of all enclaves together: one, and one a page.
    pub(crate) fn weight(&self) -> usize {
        1 + self.pages.len()
    }
}
