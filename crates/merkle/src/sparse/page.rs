//! Pages: four levels of the state tree as one stored row.

use alloc::vec::Vec;
use core::fmt;

use super::{StateKey, StatePath, nibble, node_hash};
use crate::{EMPTY, Hash};

/// The longest prefix of a page: the slots below it are leaves.
const MAX_LEN: usize = 41;

/// The first byte of an encoded page.
const FORMAT: u8 = 1;

/// The place of a page: the first 0..=41 nibbles of the paths below it.
///
/// Ordered by length, then by prefix; [`PageId::encode`] keeps this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId {
    len: u8,
    /// The nibbles, the high half of a byte first, zeros behind them.
    prefix: StatePath,
}

impl PageId {
    /// The page of the root.
    pub const ROOT: PageId = PageId { len: 0, prefix: [0; 21] };

    /// How many nibbles the prefix has.
    pub fn nibbles(&self) -> usize {
        usize::from(self.len)
    }

    /// The length in one byte, then the nibbles two to a byte: 1 to 22 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::from([self.len]);
        bytes.extend_from_slice(&self.prefix[..self.nibbles().div_ceil(2)]);
        bytes
    }

    /// The place that [`PageId::encode`] wrote.
    ///
    /// # Errors
    /// [`PageError`] for any other bytes.
    pub fn decode(bytes: &[u8]) -> Result<PageId, PageError> {
        let (&len, packed) = bytes.split_first().ok_or(PageError::Length)?;
        let nibbles = usize::from(len);
        if nibbles > MAX_LEN || packed.len() != nibbles.div_ceil(2) {
            return Err(PageError::Length);
        }
        let mut prefix = [0; 21];
        prefix[..packed.len()].copy_from_slice(packed);
        if nibbles % 2 == 1 && nibble(&prefix, nibbles) != 0 {
            return Err(PageError::Place);
        }
        Ok(PageId { len, prefix })
    }

    /// The depth of the slots of this page, in bits.
    pub(super) fn slot_depth(&self) -> usize {
        4 * (self.nibbles() + 1)
    }

    /// The page below slot `nibble`.
    pub(super) fn child(&self, nibble: usize) -> PageId {
        debug_assert!(self.nibbles() < MAX_LEN, "two paths differ at their last nibble at the latest");
        let mut prefix = self.prefix;
        let shift = if self.len.is_multiple_of(2) { 4 } else { 0 };
        prefix[self.nibbles() / 2] |= (nibble as u8) << shift;
        PageId { len: self.len + 1, prefix }
    }

    /// The page above and the slot this one hangs from; `None` for the root.
    pub(super) fn parent(&self) -> Option<(PageId, usize)> {
        let len = self.len.checked_sub(1)?;
        let slot = nibble(&self.prefix, usize::from(len));
        let mut prefix = self.prefix;
        prefix[usize::from(len) / 2] &= if len.is_multiple_of(2) { 0 } else { 0xf0 };
        Some((PageId { len, prefix }, slot))
    }

    /// Whether the path runs through slot `slot` of this page.
    fn holds(&self, path: &StatePath, slot: usize) -> bool {
        (0..self.nibbles()).all(|at| nibble(path, at) == nibble(&self.prefix, at))
            && nibble(path, self.nibbles()) == slot
    }
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        (0..self.nibbles()).try_for_each(|at| write!(f, "{:x}", nibble(&self.prefix, at)))
    }
}

/// One of the sixteen subtrees below a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// No leaf.
    Empty,
    /// Exactly one leaf.
    Leaf {
        /// Its key.
        key: StateKey,
        /// Its value.
        value: Hash,
        /// The hash of the subtree at the depth of the slot, kept because it takes up to 164 hashes to make.
        hash: Hash,
    },
    /// Two leaves or more, in the page below; the hash of the subtree at the depth of the slot.
    Subtree(Hash),
}

impl Slot {
    /// The hash of the subtree.
    pub fn hash(&self) -> &Hash {
        match self {
            Slot::Empty => &EMPTY,
            Slot::Leaf { hash, .. } | Slot::Subtree(hash) => hash,
        }
    }
}

/// Why bytes are not a page, or not one that belongs at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageError {
    /// The first byte names no known format.
    Format,
    /// There are fewer or more bytes than the slots ask for.
    Length,
    /// A slot is named as a subtree and as empty at once, or is a subtree at the depth of the leaves.
    Slots,
    /// The page holds less than two leaves: it has no row of its own then (the root page: less than one).
    Sparse,
    /// A leaf does not belong into its slot, or a page id has bits behind its prefix.
    Place,
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PageError::Format => "unknown page format",
            PageError::Length => "page has too few or too many bytes",
            PageError::Slots => "page contradicts itself about its slots",
            PageError::Sparse => "page holds too few leaves for a row of its own",
            PageError::Place => "page holds what belongs elsewhere",
        })
    }
}

impl core::error::Error for PageError {}

/// Sixteen slots: the node of the tree at the place of the page, and the four levels below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub(super) slots: [Slot; 16],
}

impl Page {
    pub(super) const EMPTY: Page = Page { slots: [const { Slot::Empty }; 16] };

    /// The slot of a nibble.
    ///
    /// # Panics
    /// If `nibble > 15`.
    pub fn slot(&self, nibble: usize) -> &Slot {
        &self.slots[nibble]
    }

    /// The hash of the node at the place of the page; of the root page: the root. Up to 15 hashes.
    pub fn hash(&self) -> Hash {
        self.levels()[1]
    }

    /// The nodes of the page as a heap: 1 is the top, the children of i are 2i and 2i + 1, the slots are 16..32.
    pub(super) fn levels(&self) -> [Hash; 32] {
        let mut heap = [EMPTY; 32];
        for (nibble, slot) in self.slots.iter().enumerate() {
            heap[16 + nibble] = *slot.hash();
        }
        for at in (1..16).rev() {
            heap[at] = node_hash(&heap[2 * at], &heap[2 * at + 1]);
        }
        heap
    }

    /// The page as bytes: the format (1 byte), which slots are not empty and which of them are subtrees (16 bits each,
    /// big-endian, the bit 1 << nibble), then those slots in rising order: a subtree as its hash, a leaf as path, rest,
    /// value and hash (97 bytes).
    pub fn encode(&self) -> Vec<u8> {
        let (mut used, mut subtrees, mut body) = (0u16, 0u16, Vec::new());
        for (nibble, slot) in self.slots.iter().enumerate() {
            match slot {
                Slot::Empty => continue,
                Slot::Leaf { key, value, hash } => {
                    body.extend_from_slice(&key.path);
                    body.extend_from_slice(&key.rest);
                    body.extend_from_slice(value);
                    body.extend_from_slice(hash);
                }
                Slot::Subtree(hash) => {
                    subtrees |= 1 << nibble;
                    body.extend_from_slice(hash);
                }
            }
            used |= 1 << nibble;
        }
        let mut bytes = Vec::with_capacity(5 + body.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(&used.to_be_bytes());
        bytes.extend_from_slice(&subtrees.to_be_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// The page that [`Page::encode`] wrote for the place `id`. The hashes in it are believed, not recomputed.
    ///
    /// # Errors
    /// [`PageError`] for any bytes that [`super::update`] can not have left at this place.
    pub fn decode(id: &PageId, bytes: &[u8]) -> Result<Page, PageError> {
        let (head, mut body) = bytes.split_first_chunk::<5>().ok_or(PageError::Length)?;
        let [format, used @ .., _, _] = head;
        let (used, subtrees) = (u16::from_be_bytes(*used), u16::from_be_bytes([head[3], head[4]]));
        if *format != FORMAT {
            return Err(PageError::Format);
        }
        if subtrees & !used != 0 || (id.nibbles() == MAX_LEN && subtrees != 0) {
            return Err(PageError::Slots);
        }
        let too_few = if *id == PageId::ROOT { used == 0 } else { used.count_ones() < 2 };
        if too_few && subtrees == 0 {
            return Err(PageError::Sparse);
        }
        let mut page = Page::EMPTY;
        for (nibble, slot) in page.slots.iter_mut().enumerate() {
            if subtrees & (1 << nibble) != 0 {
                *slot = Slot::Subtree(take(&mut body)?);
            } else if used & (1 << nibble) != 0 {
                let key = StateKey { path: take(&mut body)?, rest: take(&mut body)? };
                if !id.holds(&key.path, nibble) {
                    return Err(PageError::Place);
                }
                *slot = Slot::Leaf { key, value: take(&mut body)?, hash: take(&mut body)? };
            }
        }
        if body.is_empty() { Ok(page) } else { Err(PageError::Length) }
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], PageError> {
    let (head, tail) = bytes.split_first_chunk().ok_or(PageError::Length)?;
    *bytes = tail;
    Ok(*head)
}
