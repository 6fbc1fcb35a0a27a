//! The append-only log: the Merkle tree of RFC 9162 section 2.1 with SHA-256.
//!
//! Only the roots of complete subtrees are stored ([`NodeId`]); everything else follows from O(log n) of them.
//! Indices are 0-based, a size counts leaves.

use alloc::vec::Vec;
use core::fmt;

use sha2::{Digest, Sha256};

use crate::climb::{climb, skip_promotions};
use crate::{EMPTY, Hash, ProofError};

/// The root of a log of size 0: SHA-256 of the empty string.
pub const EMPTY_ROOT: Hash = EMPTY;

/// No log grows beyond this size, so that the level of every node stays below 64.
pub const MAX_SIZE: u64 = 1 << 63;

/// The place of a complete subtree: the one over the leaves `index << level` up to `(index + 1) << level`.
///
/// Slot `i` of the C2SP hash tile `n` of level `l` is the node of level `8 * l` and index `256 * n + i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// Height above the leaves, 0..=63.
    pub level: u8,
    /// How many subtrees of this level lie to the left.
    pub index: u64,
}

/// Where the hashes of complete subtrees are kept.
pub trait Nodes {
    /// Why a node could not be read.
    type Error;

    /// The root of a complete subtree. Only nodes are asked for that [`append`] has returned before.
    ///
    /// # Errors
    /// Whatever the store says; it is passed on in [`Error::Nodes`].
    fn node(&self, id: NodeId) -> Result<Hash, Self::Error>;
}

/// Why a log could not be extended or a path not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The index is not below the size, the older size is above the newer, or the size is at [`MAX_SIZE`].
    OutOfRange,
    /// The store failed.
    Nodes(E),
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::OutOfRange => f.write_str("index or size out of range"),
            Error::Nodes(error) => write!(f, "cannot read a node: {error}"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Error<E> {}

/// The hash of an entry: SHA-256 of `0x00 ‖ entry`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new_with_prefix([0x00]).chain_update(entry).finalize().into()
}

/// The hash of an inner node: SHA-256 of `0x01 ‖ left ‖ right`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [0x01; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    Sha256::digest(bytes).into()
}

/// The nodes that a leaf appended to a log of `size` leaves completes, its own (level 0) first.
///
/// # Errors
/// [`Error::OutOfRange`] at [`MAX_SIZE`], [`Error::Nodes`] if the store fails.
pub fn append<N: Nodes>(nodes: &N, size: u64, leaf_hash: Hash) -> Result<Vec<(NodeId, Hash)>, Error<N::Error>> {
    if size >= MAX_SIZE {
        return Err(Error::OutOfRange);
    }
    let mut hash = leaf_hash;
    let mut completed = Vec::from([(NodeId { level: 0, index: size }, hash)]);
    for level in 0..size.trailing_ones() as u8 {
        let left = nodes.node(NodeId { level, index: (size >> level) - 1 }).map_err(Error::Nodes)?;
        hash = node_hash(&left, &hash);
        completed.push((NodeId { level: level + 1, index: size >> (level + 1) }, hash));
    }
    Ok(completed)
}

/// The root of the log when it had `size` leaves.
///
/// # Errors
/// [`Error::OutOfRange`] above [`MAX_SIZE`], [`Error::Nodes`] if the store fails.
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Hash, Error<N::Error>> {
    match size {
        0 => Ok(EMPTY_ROOT),
        1..=MAX_SIZE => range_root(nodes, 0, size).map_err(Error::Nodes),
        _ => Err(Error::OutOfRange),
    }
}

/// The audit path of leaf `index` in the log of `size` leaves, leaf to root (RFC 9162 section 2.1.3.1).
///
/// # Errors
/// [`Error::OutOfRange`] if `index >= size`, [`Error::Nodes`] if the store fails.
pub fn inclusion_path<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Vec<Hash>, Error<N::Error>> {
    if index >= size || size > MAX_SIZE {
        return Err(Error::OutOfRange);
    }
    let (mut start, mut end, mut path) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + left_width(end - start);
        let (sibling_start, sibling_end) = if index < middle { (middle, end) } else { (start, middle) };
        path.push(range_root(nodes, sibling_start, sibling_end).map_err(Error::Nodes)?);
        if index < middle {
            end = middle;
        } else {
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The consistency path from the log of `from` leaves to the one of `to` (RFC 9162 section 2.1.4.1).
///
/// Empty for `from == 0` and for `from == to`.
///
/// # Errors
/// [`Error::OutOfRange`] if `from > to`, [`Error::Nodes`] if the store fails.
pub fn consistency_path<N: Nodes>(nodes: &N, from: u64, to: u64) -> Result<Vec<Hash>, Error<N::Error>> {
    if from > to || to > MAX_SIZE {
        return Err(Error::OutOfRange);
    }
    if from == 0 {
        return Ok(Vec::new());
    }
    let (mut start, mut end, mut path) = (0, to, Vec::new());
    while from < end {
        let middle = start + left_width(end - start);
        if from <= middle {
            path.push(range_root(nodes, middle, end).map_err(Error::Nodes)?);
            end = middle;
        } else {
            path.push(range_root(nodes, start, middle).map_err(Error::Nodes)?);
            start = middle;
        }
    }
    // A subtree that starts at 0 is the older tree itself, whose root the verifier has.
    if start > 0 {
        path.push(range_root(nodes, start, end).map_err(Error::Nodes)?);
    }
    path.reverse();
    Ok(path)
}

/// Checks that the leaf with this hash is leaf `index` of the log with this size and root.
///
/// # Errors
/// [`ProofError::OutOfRange`], [`ProofError::WrongLength`] for a missing or surplus hash, [`ProofError::WrongRoot`].
pub fn verify_inclusion(leaf_hash: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if climb(node_hash, leaf_hash, (index, size), path)? == *root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

/// Checks that the log of `to` leaves begins with the log of `from` leaves (RFC 9162 section 2.1.4.2).
///
/// From size 0 the path must be empty and the root that of an empty log: nothing else is to be proved.
///
/// # Errors
/// [`ProofError::OutOfRange`] if `from > to`, [`ProofError::WrongLength`] for a missing or surplus hash,
/// [`ProofError::WrongRoot`].
pub fn verify_consistency(
    from: u64,
    to: u64,
    path: &[Hash],
    from_root: &Hash,
    to_root: &Hash,
) -> Result<(), ProofError> {
    if from > to {
        return Err(ProofError::OutOfRange);
    }
    if from == 0 || from == to {
        return verify_trivial(from, to, path, from_root, to_root);
    }
    let (mut at, mut last) = (from - 1, to - 1);
    while at % 2 == 1 {
        at >>= 1;
        last >>= 1;
    }
    // An older tree that is one complete subtree is where the path starts, and is not repeated in it.
    let (seed, rest) =
        if from.is_power_of_two() { (from_root, path) } else { path.split_first().ok_or(ProofError::WrongLength)? };
    let (mut older, mut newer) = (*seed, *seed);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if at % 2 == 1 || at == last {
            older = node_hash(sibling, &older);
            newer = node_hash(sibling, &newer);
            skip_promotions(&mut at, &mut last);
        } else {
            newer = node_hash(&newer, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::WrongLength);
    }
    if older == *from_root && newer == *to_root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

fn verify_trivial(from: u64, to: u64, path: &[Hash], from_root: &Hash, to_root: &Hash) -> Result<(), ProofError> {
    if !path.is_empty() {
        return Err(ProofError::WrongLength);
    }
    let older_holds = from != 0 || *from_root == EMPTY_ROOT;
    let newer_holds = from != to || from_root == to_root;
    if older_holds && newer_holds { Ok(()) } else { Err(ProofError::WrongRoot) }
}

/// The root over the leaves `start..end`, a range that the recursive definition of the tree makes: `start` is a
/// multiple of the smallest power of two that is not below the width.
fn range_root<N: Nodes>(nodes: &N, start: u64, end: u64) -> Result<Hash, N::Error> {
    let mut rest = end - start;
    let mut hash = None;
    while rest > 0 {
        // The complete subtrees of the range, the rightmost and smallest first.
        let level = rest.trailing_zeros() as u8;
        rest &= rest - 1;
        let left = nodes.node(NodeId { level, index: (start + rest) >> level })?;
        hash = Some(hash.map_or(left, |right| node_hash(&left, &right)));
    }
    Ok(hash.unwrap_or(EMPTY_ROOT))
}

/// The width of the left child of a tree of `width` >= 2 leaves: the largest power of two below it.
fn left_width(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}
