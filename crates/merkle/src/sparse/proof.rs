//! Proofs that a key of the state has a value or none (enc.md section 5).

use alloc::vec::Vec;

use super::{DEPTH, Error, PageId, Pages, Slot, StateKey, StatePath, bit, leaf_hash, load, lone_leaf, nibble, parent};
use crate::{EMPTY, Hash, ProofError};

/// The siblings on the way to a key, those that are `E` left out. On the wire: `k`, `v`, `b`, `s`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The path of the key, `k`.
    pub key: StatePath,
    /// Its value, `v`; `None` proves absence.
    pub value: Option<Hash>,
    /// Bit i (0 is the most significant bit of byte 0) is 1 iff the sibling at depth i + 1 is not `E`, `b`.
    pub bitmap: [u8; 21],
    /// Those siblings, root first, `s`.
    pub siblings: Vec<Hash>,
}

impl Proof {
    fn push(&mut self, depth: usize, sibling: Hash) {
        if sibling != EMPTY {
            self.bitmap[(depth - 1) / 8] |= 0x80 >> ((depth - 1) % 8);
            self.siblings.push(sibling);
        }
    }
}

/// The proof of the value of a key, or of its absence.
///
/// # Errors
/// [`Error::Collision`] if the path is taken by another raw key: neither value nor absence of this one can be proved.
/// [`Error::Missing`], [`Error::Pages`].
pub fn prove<P: Pages>(pages: &P, key: &StateKey) -> Result<Proof, Error<P::Error>> {
    let mut proof = Proof { key: key.path, value: None, bitmap: [0; 21], siblings: Vec::new() };
    let mut id = PageId::ROOT;
    loop {
        let page = load(pages, &id)?;
        let nibble = nibble(&key.path, id.nibbles());
        let heap = page.levels();
        for level in 1..=4 {
            let node = (16 + nibble) >> (4 - level);
            proof.push(4 * id.nibbles() + level, heap[node ^ 1]);
        }
        match page.slot(nibble) {
            Slot::Subtree(_) => id = id.child(nibble),
            Slot::Empty => return Ok(proof),
            Slot::Leaf { key: held, value, .. } if held.path == key.path => {
                if held.rest != key.rest {
                    return Err(Error::Collision);
                }
                proof.value = Some(*value);
                return Ok(proof);
            }
            Slot::Leaf { key: held, value, .. } => {
                let fork = 1 + common_bits(&key.path, &held.path);
                proof.push(fork, lone_leaf(&held.path, value, fork));
                return Ok(proof);
            }
        }
    }
}

/// Checks that a state tree with this root holds what the proof says about the key with the path `expected_path`, which
/// the verifier has computed itself.
///
/// # Errors
/// [`ProofError::WrongKey`], [`ProofError::WrongLength`] unless there are as many siblings as ones in the bitmap,
/// [`ProofError::ExplicitEmpty`], [`ProofError::WrongRoot`].
pub fn verify(proof: &Proof, expected_path: &StatePath, root: &Hash) -> Result<(), ProofError> {
    if proof.key != *expected_path {
        return Err(ProofError::WrongKey);
    }
    let ones: usize = proof.bitmap.iter().map(|byte| byte.count_ones() as usize).sum();
    if ones != proof.siblings.len() {
        return Err(ProofError::WrongLength);
    }
    if proof.siblings.contains(&EMPTY) {
        return Err(ProofError::ExplicitEmpty);
    }
    let mut siblings = proof.siblings.iter().rev();
    let start = proof.value.map_or(EMPTY, |value| leaf_hash(&proof.key, &value));
    let top = (0..DEPTH).rev().try_fold(start, |hash, at| {
        let sibling = if bit(&proof.bitmap, at) { siblings.next()? } else { &EMPTY };
        Some(parent(bit(&proof.key, at), &hash, sibling))
    });
    if top == Some(*root) { Ok(()) } else { Err(ProofError::WrongRoot) }
}

/// How many leading bits two different paths share.
fn common_bits(a: &StatePath, b: &StatePath) -> usize {
    (0..DEPTH).take_while(|&at| bit(a, at) == bit(b, at)).count()
}
