//! Writes: first the leaves are moved in the pages they touch, then each touched page is hashed once, deepest first.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;

use super::{Error, Page, PageId, Pages, Slot, StateKey, lift, lone_leaf, nibble};
use crate::{EMPTY, Hash};

/// What a set of writes does to the stored tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The rows to write, or with `None` to remove, in rising order of their ids. Empty if no write changes a value.
    pub pages: Vec<(PageId, Option<Page>)>,
    /// The root after the writes.
    pub root: Hash,
}

/// Applies writes in their order: `Some` sets a value, `None` removes the key (of an absent key: nothing happens).
///
/// Reads and returns only the pages on the ways to the keys. The store is not changed: the caller writes
/// [`Update::pages`], all or none of them.
///
/// # Errors
/// [`Error::Collision`] if a write, of either kind, names a key whose path is taken by another raw key;
/// [`Error::Missing`], [`Error::Pages`].
pub fn update<P: Pages>(pages: &P, writes: &[(StateKey, Option<Hash>)]) -> Result<Update, Error<P::Error>> {
    let mut overlay = Overlay { pages, drafts: BTreeMap::new() };
    for (key, value) in writes {
        overlay.write(key, value.as_ref())?;
    }
    overlay.finish()
}

/// A page while writes are applied: not yet in canonical form, and some hashes are due.
struct Draft {
    page: Page,
    /// The store has a row for it.
    stored: bool,
    changed: bool,
    /// Bit 1 << nibble: the leaf in this slot has no valid hash yet.
    unhashed: u16,
}

impl Draft {
    fn empty() -> Draft {
        Draft { page: Page::EMPTY, stored: false, changed: false, unhashed: 0 }
    }

    fn place(&mut self, nibble: usize, key: StateKey, value: Hash) {
        self.page.slots[nibble] = Slot::Leaf { key, value, hash: EMPTY };
        self.unhashed |= 1 << nibble;
        self.changed = true;
    }

    fn set(&mut self, nibble: usize, slot: Slot) {
        self.page.slots[nibble] = slot;
        self.unhashed &= !(1 << nibble);
        self.changed = true;
    }

    /// Makes the hashes that are due, once all writes are known.
    fn hash_leaves(&mut self, depth: usize) {
        for (nibble, slot) in self.page.slots.iter_mut().enumerate() {
            if let Slot::Leaf { key, value, hash } = slot
                && self.unhashed & (1 << nibble) != 0
            {
                *hash = lone_leaf(&key.path, value, depth);
            }
        }
        self.unhashed = 0;
    }

    /// The only leaf below this page, if there is just one.
    fn lone(&self) -> Option<&Slot> {
        let mut used = self.page.slots.iter().filter(|slot| !matches!(slot, Slot::Empty));
        let first = used.next().filter(|slot| matches!(slot, Slot::Leaf { .. }))?;
        used.next().is_none().then_some(first)
    }

    /// What the slot above this page holds for it.
    fn as_slot(&self, depth: usize) -> Slot {
        if self.page == Page::EMPTY {
            return Slot::Empty;
        }
        match self.lone() {
            Some(Slot::Leaf { key, value, hash }) => {
                Slot::Leaf { key: *key, value: *value, hash: lift(&key.path, *hash, depth, depth - 4) }
            }
            Some(Slot::Empty | Slot::Subtree(_)) | None => Slot::Subtree(self.page.hash()),
        }
    }
}

/// The pages that writes have touched, over the stored ones.
struct Overlay<'a, P: Pages> {
    pages: &'a P,
    drafts: BTreeMap<PageId, Draft>,
}

impl<P: Pages> Overlay<'_, P> {
    fn draft(&mut self, id: PageId) -> Result<&mut Draft, Error<P::Error>> {
        Ok(match self.drafts.entry(id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(match self.pages.page(&id).map_err(Error::Pages)? {
                Some(page) => Draft { page, stored: true, changed: false, unhashed: 0 },
                None if id == PageId::ROOT => Draft::empty(),
                None => return Err(Error::Missing(id)),
            }),
        })
    }

    fn write(&mut self, key: &StateKey, value: Option<&Hash>) -> Result<(), Error<P::Error>> {
        let mut id = PageId::ROOT;
        loop {
            let nibble = nibble(&key.path, id.nibbles());
            let draft = self.draft(id)?;
            match (draft.page.slot(nibble), value) {
                (Slot::Subtree(_), _) => id = id.child(nibble),
                (Slot::Empty, Some(value)) => {
                    draft.place(nibble, *key, *value);
                    return Ok(());
                }
                (Slot::Leaf { key: held, value: old, .. }, _) if held.path == key.path => {
                    if held.rest != key.rest {
                        return Err(Error::Collision);
                    }
                    match value {
                        Some(value) if value == old => {}
                        Some(value) => draft.place(nibble, *key, *value),
                        None => draft.set(nibble, Slot::Empty),
                    }
                    return Ok(());
                }
                (Slot::Empty | Slot::Leaf { .. }, None) => return Ok(()),
                (Slot::Leaf { key: held, value: old, .. }, Some(_)) => {
                    let (held, old) = (*held, *old);
                    draft.set(nibble, Slot::Subtree(EMPTY));
                    id = id.child(nibble);
                    self.push_down(id, held, old);
                }
            }
        }
    }

    /// Begins the page `id` with the leaf that was alone in the slot above it.
    fn push_down(&mut self, id: PageId, key: StateKey, value: Hash) {
        let mut draft = Draft::empty();
        draft.place(nibble(&key.path, id.nibbles()), key, value);
        self.drafts.insert(id, draft);
    }

    /// Hashes the changed pages and brings them into canonical form.
    fn finish(mut self) -> Result<Update, Error<P::Error>> {
        let mut root = self.draft(PageId::ROOT)?.page.hash();
        let mut pages = Vec::new();
        // A page is longer in its id than the one above it, so it comes first here.
        while let Some((id, mut draft)) = self.drafts.pop_last() {
            if !draft.changed {
                continue;
            }
            let depth = id.slot_depth();
            draft.hash_leaves(depth);
            let keeps_row = if let Some((above, nibble)) = id.parent() {
                let slot = draft.as_slot(depth);
                let keeps_row = matches!(slot, Slot::Subtree(_));
                self.draft(above)?.set(nibble, slot);
                keeps_row
            } else {
                root = draft.page.hash();
                draft.page != Page::EMPTY
            };
            if keeps_row || draft.stored {
                pages.push((id, keeps_row.then_some(draft.page)));
            }
        }
        pages.reverse();
        Ok(Update { pages, root })
    }
}
