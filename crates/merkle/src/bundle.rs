//! The tree over the event ids of one bundle (enc.md section 5, "Bundle").
//!
//! Leaves are the raw ids in order; an inner node is `H(0x01, left, right)`; a last odd node is promoted. Ids and inner
//! nodes are not told apart by a prefix, so a verifier takes index and size from the log entry, never from the proof.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::climb::climb;
use crate::{Hash, ProofError};

/// The largest number of events in one bundle: what the `count` of a log entry may say at most (enc.md section 5).
pub const MAX_SIZE: u64 = 4096;

/// The root over the ids of a bundle, `events_root` of its log entry.
///
/// # Panics
/// If `ids` is empty: a bundle has at least one event.
pub fn root(ids: &[Hash]) -> Hash {
    assert!(!ids.is_empty(), "a bundle has at least one event");
    let mut level = ids.to_vec();
    while level.len() > 1 {
        level = parents(&level);
    }
    level[0]
}

/// The siblings of the id at `index`, leaf to root.
///
/// # Panics
/// If `index` is not below the number of ids.
pub fn path(ids: &[Hash], index: usize) -> Vec<Hash> {
    assert!(index < ids.len(), "the event is one of the bundle");
    let (mut level, mut at, mut siblings) = (ids.to_vec(), index, Vec::new());
    while level.len() > 1 {
        siblings.extend(level.get(at ^ 1));
        level = parents(&level);
        at /= 2;
    }
    siblings
}

/// Checks that `id` is event `index` of the bundle of `size` events with this root.
///
/// `index` is `seq − first_seq` and `size` the `count` of the log entry.
///
/// # Errors
/// Any [`ProofError`] but those about keys; sizes outside 1..=4096 are [`ProofError::OutOfRange`].
pub fn verify(id: &Hash, index: u64, size: u64, siblings: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if size > MAX_SIZE {
        return Err(ProofError::OutOfRange);
    }
    if climb(node_hash, id, (index, size), siblings)? == *root { Ok(()) } else { Err(ProofError::WrongRoot) }
}

fn parents(level: &[Hash]) -> Vec<Hash> {
    level
        .chunks(2)
        .map(|pair| match pair {
            [left, right] => node_hash(left, right),
            odd => odd[0],
        })
        .collect()
}

/// `H(0x01, left, right)`: SHA-256 over the CBOR array of the three.
fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut cbor = [0; 70];
    cbor[..4].copy_from_slice(&[0x83, 0x01, 0x58, 0x20]);
    cbor[4..36].copy_from_slice(left);
    cbor[36..38].copy_from_slice(&[0x58, 0x20]);
    cbor[38..].copy_from_slice(right);
    Sha256::digest(cbor).into()
}
