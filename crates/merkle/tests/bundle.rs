//! The bundle tree against a recursive definition, and what its proofs do not prove.

use merkle::bundle::{MAX_SIZE, path, root, verify};
use merkle::{Hash, ProofError};
use sha2::{Digest, Sha256};

fn ids(count: usize) -> Vec<Hash> {
    (0..count).map(|at| Sha256::digest(at.to_string()).into()).collect()
}

/// The promoted last odd node of every level is a split at the largest power of two below the width.
fn naive_root(ids: &[Hash]) -> Hash {
    if let [id] = ids {
        return *id;
    }
    let (left, right) = ids.split_at(ids.len().next_power_of_two() / 2);
    let (left, right) = (naive_root(left), naive_root(right));
    Sha256::digest([&[0x83, 1, 0x58, 32], left.as_slice(), &[0x58, 32], &right].concat()).into()
}

#[test]
fn every_size_below_64_at_every_index() {
    for size in 1..64 {
        let ids = ids(size);
        let root = root(&ids);
        assert_eq!(root, naive_root(&ids), "size {size}");
        for index in 0..size {
            let siblings = path(&ids, index);
            let verdict = verify(&ids[index], index as u64, size as u64, &siblings, &root);
            assert_eq!(verdict, Ok(()), "{index} of {size}");
        }
    }
}

#[test]
fn the_largest_size() {
    let ids = ids(MAX_SIZE as usize);
    let root = root(&ids);
    let siblings = path(&ids, 4095);
    assert_eq!(siblings.len(), 12);
    assert_eq!(verify(&ids[4095], 4095, 4096, &siblings, &root), Ok(()));
    assert_eq!(verify(&ids[4095], 4095, 4097, &siblings, &root), Err(ProofError::OutOfRange));
}

/// For each sibling whether it is the left one; proofs of two places with the same turns are the same proof.
fn turns(index: u64, size: u64) -> Option<Vec<bool>> {
    let (mut at, mut width, mut turns) = (index, size, Vec::new());
    while width > 1 {
        if at % 2 == 1 || at + 1 < width {
            turns.push(at % 2 == 1);
        }
        at /= 2;
        width = width.div_ceil(2);
    }
    (index < size).then_some(turns)
}

#[test]
fn a_proof_holds_at_no_place_with_other_turns() {
    for size in 1..=20 {
        let ids = ids(size);
        let root = root(&ids);
        for index in 0..size {
            let siblings = path(&ids, index);
            let true_turns = turns(index as u64, size as u64);
            for other_size in 0..=24 {
                for other in 0..=24 {
                    let verdict = verify(&ids[index], other, other_size, &siblings, &root);
                    let expected = turns(other, other_size) == true_turns;
                    assert_eq!(verdict.is_ok(), expected, "{index} of {size} as {other} of {other_size}");
                }
            }
        }
    }
}

/// Index and size of a verifier come from the log entry: in a bundle of the true size only the true index is proved.
#[test]
fn a_proof_holds_at_one_index_of_the_true_size() {
    for size in 1..=40 {
        let ids = ids(size);
        let root = root(&ids);
        for index in 0..size {
            let siblings = path(&ids, index);
            let proved: Vec<u64> = (0..size as u64 + 2)
                .filter(|&other| verify(&ids[index], other, size as u64, &siblings, &root).is_ok())
                .collect();
            assert_eq!(proved, [index as u64]);
        }
    }
}

#[test]
fn altered_proofs_are_refused() {
    for size in 1..=20 {
        let ids = ids(size);
        let root = root(&ids);
        for index in 0..size {
            let siblings = path(&ids, index);
            let check = |siblings: &[Hash], error| {
                let verdict = verify(&ids[index], index as u64, size as u64, siblings, &root);
                assert_eq!(verdict, Err(error), "{index} of {size}");
            };
            for at in 0..siblings.len() {
                let mut altered = siblings.clone();
                altered[at][0] ^= 0x80;
                check(&altered, ProofError::WrongRoot);
                altered.remove(at);
                check(&altered, ProofError::WrongLength);
            }
            check(&[siblings, vec![[0; 32]]].concat(), ProofError::WrongLength);
            let other_root = verify(&ids[index], index as u64, size as u64, &path(&ids, index), &[0; 32]);
            assert_eq!(other_root, Err(ProofError::WrongRoot));
        }
    }
}
