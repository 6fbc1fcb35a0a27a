//! The state tree: a sparse Merkle tree of depth 168 (enc.md section 5, "State tree").
//!
//! A leaf is `H(0x20, key, value)`, an inner node `H(0x21, left, right)`, and the empty subtree is `E` = SHA-256("") at
//! any height; a node with two empty children is empty.
//!
//! The tree is kept in pages of sixteen slots, four levels each. A subtree with exactly one leaf is that leaf, in a slot
//! of the first page from the root where it is alone; so a tree of n keys is about log16(n) + 2 pages deep, and equal
//! sets of leaves are equal sets of pages. What a slot holds carries its hash: the root is always at hand from the root
//! page alone, at the price of 15 hashes.

mod page;
mod proof;
mod update;

pub use page::{Page, PageError, PageId, Slot};
pub use proof::{Proof, prove, verify};
pub use update::{Update, update};

use core::fmt;

use sha2::{Digest, Sha256};

use crate::{EMPTY, Hash};

/// Levels between the root and a leaf, the bits of a path.
const DEPTH: usize = 168;

/// The way from the root to a leaf, the key of enc.md: namespace ‖ first 20 bytes of SHA-256 of the raw key, most
/// significant bit first, 0 = left.
pub type StatePath = [u8; 21];

/// A key of the state: its path, and the rest of the same digest.
///
/// The tree commits to the path only. The rest is stored beside it so that two raw keys with one path are noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey {
    /// namespace ‖ SHA-256(raw key)[0..20].
    pub path: StatePath,
    /// SHA-256(raw key)[20..32].
    pub rest: [u8; 12],
}

impl StateKey {
    /// The key of a raw key in a namespace (the table of enc.md section 5).
    pub fn new(namespace: u8, raw_key: &[u8]) -> Self {
        let digest: Hash = Sha256::digest(raw_key).into();
        let (mut path, mut rest) = ([namespace; 21], [0; 12]);
        path[1..].copy_from_slice(&digest[..20]);
        rest.copy_from_slice(&digest[20..]);
        StateKey { path, rest }
    }
}

/// Where the pages of a state tree are kept.
pub trait Pages {
    /// Why a page could not be read.
    type Error;

    /// The page at this place as [`update`] last returned it, or `None` if it has none there.
    ///
    /// # Errors
    /// Whatever the store says; it is passed on in [`Error::Pages`].
    fn page(&self, id: &PageId) -> Result<Option<Page>, Self::Error>;
}

/// Why the tree could not be read or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The path of this key is taken by another raw key (`bad_state`).
    Collision,
    /// The page is named by the one above it but not in the store: the store is damaged.
    Missing(PageId),
    /// The store failed.
    Pages(E),
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Collision => f.write_str("the state key is taken by another raw key"),
            Error::Missing(id) => write!(f, "page {id} is missing"),
            Error::Pages(error) => write!(f, "cannot read a page: {error}"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Error<E> {}

/// The value of a key, or `None` if it has none; also `None` if its path is taken by another raw key.
///
/// # Errors
/// [`Error::Missing`], [`Error::Pages`].
pub fn get<P: Pages>(pages: &P, key: &StateKey) -> Result<Option<Hash>, Error<P::Error>> {
    let held = leaf_at(pages, &key.path)?;
    Ok(held.and_then(|(held, value)| (held == *key).then_some(value)))
}

/// The leaf that stands at the path of a key: its own, or that of another raw key which has taken the path.
///
/// # Errors
/// [`Error::Missing`], [`Error::Pages`].
pub fn leaf_at<P: Pages>(pages: &P, path: &StatePath) -> Result<Option<(StateKey, Hash)>, Error<P::Error>> {
    let mut id = PageId::ROOT;
    loop {
        let page = load(pages, &id)?;
        let nibble = nibble(path, id.nibbles());
        match page.slot(nibble) {
            Slot::Empty => return Ok(None),
            Slot::Leaf { key: held, value, .. } => return Ok((held.path == *path).then_some((*held, *value))),
            Slot::Subtree(_) => id = id.child(nibble),
        }
    }
}

/// The root of the tree, `state_hash` of the protocol: one page read and 15 hashes. [`update`] returns it as well.
///
/// # Errors
/// [`Error::Pages`].
pub fn root<P: Pages>(pages: &P) -> Result<Hash, Error<P::Error>> {
    Ok(load(pages, &PageId::ROOT)?.hash())
}

/// A page that must be there; an absent root page is that of an empty tree.
fn load<P: Pages>(pages: &P, id: &PageId) -> Result<Page, Error<P::Error>> {
    match pages.page(id).map_err(Error::Pages)? {
        Some(page) => Ok(page),
        None if *id == PageId::ROOT => Ok(Page::EMPTY),
        None => Err(Error::Missing(*id)),
    }
}

/// Nibble `at` of a path, 0 the most significant.
fn nibble(path: &StatePath, at: usize) -> usize {
    let byte = path[at / 2];
    usize::from(if at.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
}

/// Whether the path turns right below depth `at`.
fn bit(path: &StatePath, at: usize) -> bool {
    path[at / 8] & (0x80 >> (at % 8)) != 0
}

/// The hash, at depth `depth`, of the subtree that holds this leaf and nothing else.
fn lone_leaf(path: &StatePath, value: &Hash, depth: usize) -> Hash {
    lift(path, leaf_hash(path, value), DEPTH, depth)
}

/// Carries the hash of a subtree without neighbours from depth `from` up to depth `to`.
fn lift(path: &StatePath, hash: Hash, from: usize, to: usize) -> Hash {
    (to..from).rev().fold(hash, |hash, at| parent(bit(path, at), &hash, &EMPTY))
}

/// The parent of a node and its sibling; `right` says that the node is the right child.
fn parent(right: bool, hash: &Hash, sibling: &Hash) -> Hash {
    if right { node_hash(sibling, hash) } else { node_hash(hash, sibling) }
}

/// `H(0x20, key, value)`.
fn leaf_hash(path: &StatePath, value: &Hash) -> Hash {
    let mut cbor = [0; 59];
    cbor[..4].copy_from_slice(&[0x83, 0x18, 0x20, 0x55]);
    cbor[4..25].copy_from_slice(path);
    cbor[25..27].copy_from_slice(&[0x58, 0x20]);
    cbor[27..].copy_from_slice(value);
    Sha256::digest(cbor).into()
}

/// `E` if both children are `E`, else `H(0x21, left, right)`.
fn node_hash(left: &Hash, right: &Hash) -> Hash {
    if *left == EMPTY && *right == EMPTY {
        return EMPTY;
    }
    let mut cbor = [0; 71];
    cbor[..5].copy_from_slice(&[0x83, 0x18, 0x21, 0x58, 0x20]);
    cbor[5..37].copy_from_slice(left);
    cbor[37..39].copy_from_slice(&[0x58, 0x20]);
    cbor[39..].copy_from_slice(right);
    Sha256::digest(cbor).into()
}
