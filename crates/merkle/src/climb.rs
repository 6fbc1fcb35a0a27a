//! The way from a leaf to the root of a tree whose last odd node is promoted (RFC 9162 section 2.1.3.2).
//!
//! Log and bundle have this shape and differ in the hash of an inner node only.

use crate::{Hash, ProofError};

/// The root that `path` (leaf to root) gives for the leaf `index` of `size`.
///
/// # Errors
/// [`ProofError::OutOfRange`] if `index >= size`, [`ProofError::WrongLength`] if the path has not exactly the length
/// that this leaf has in a tree of this size.
pub(crate) fn climb(
    node_hash: impl Fn(&Hash, &Hash) -> Hash,
    leaf: &Hash,
    (index, size): (u64, u64),
    path: &[Hash],
) -> Result<Hash, ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange);
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if at % 2 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            skip_promotions(&mut at, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last == 0 { Ok(hash) } else { Err(ProofError::WrongLength) }
}

/// Rises to the level where `at` is a right child: below it, a last node without sibling was only promoted.
pub(crate) fn skip_promotions(at: &mut u64, last: &mut u64) {
    while at.is_multiple_of(2) && *at != 0 {
        *at >>= 1;
        *last >>= 1;
    }
}
