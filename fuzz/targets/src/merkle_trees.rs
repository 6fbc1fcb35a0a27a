//! The three trees: what is proved holds, what is proved and altered does not, and a state tree that grew is the one built at once.

use crate::Input;
use crate::log_nodes::MemoryNodes;
use crate::state_pages::MemoryPages;
use merkle::sparse::{StateKey, get, prove, root, verify};
use merkle::{Hash, bundle, log};
use std::collections::BTreeMap;

/// A size, a place and what to alter; then writes of the state tree.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let size = 1 + input.below(300);
    let (index, older) = (input.below(size), input.below(size + 1));
    let alter = (input.below(size + 1), input.byte());
    bundle_tree(&leaves(size), index, alter);
    log_tree(&leaves(size), (index as u64, older as u64), alter);
    state_tree(&mut input);
}

fn leaves(size: usize) -> Vec<Hash> {
    (0..size as u64).map(|place| log::leaf_hash(&place.to_be_bytes())).collect()
}

/// Changes one bit of one hash, where there is one.
fn altered(path: &[Hash], (place, bit): (usize, u8)) -> Option<Vec<Hash>> {
    let mut path = path.to_vec();
    let at = place.checked_rem(path.len())?;
    path[at][usize::from(bit >> 3)] ^= 1 << (bit & 7);
    Some(path)
}

fn bundle_tree(ids: &[Hash], index: usize, alter: (usize, u8)) {
    let (root, path) = (bundle::root(ids), bundle::path(ids, index));
    let (place, size) = (index as u64, ids.len() as u64);
    assert_eq!(bundle::verify(&ids[index], place, size, &path, &root), Ok(()));
    if let Some(path) = altered(&path, alter) {
        assert!(bundle::verify(&ids[index], place, size, &path, &root).is_err());
    }
    let other = (index + 1) % ids.len();
    assert!(other == index || bundle::verify(&ids[index], other as u64, size, &path, &root).is_err());
}

fn log_tree(leaves: &[Hash], (index, older): (u64, u64), alter: (usize, u8)) {
    let (nodes, size) = (MemoryNodes::of(leaves), leaves.len() as u64);
    let root = log::root(&nodes, size).expect("all nodes are there");
    let path = log::inclusion_path(&nodes, index, size).expect("all nodes are there");
    let leaf = &leaves[index as usize];
    assert_eq!(log::verify_inclusion(leaf, index, size, &path, &root), Ok(()));
    let old_root = log::root(&nodes, older).expect("all nodes are there");
    let proof = log::consistency_path(&nodes, older, size).expect("all nodes are there");
    assert_eq!(log::verify_consistency(older, size, &proof, &old_root, &root), Ok(()));
    if let Some(path) = altered(&path, alter) {
        assert!(log::verify_inclusion(leaf, index, size, &path, &root).is_err());
    }
    if let Some(proof) = altered(&proof, alter) {
        assert!(log::verify_consistency(older, size, &proof, &old_root, &root).is_err());
    }
    if older < size && older > 0 {
        assert!(log::verify_consistency(older, size, &proof, &root, &root).is_err());
    }
}

/// Writes in batches, a byte for the key (so that keys come again), one for the value, zero to remove.
fn state_tree(input: &mut Input) {
    let (mut pages, mut model) = (MemoryPages::default(), BTreeMap::new());
    let mut newest = root(&pages).expect("an empty tree");
    while !input.is_empty() {
        let mut batch = BTreeMap::new();
        for _ in 0..1 + input.below(6) {
            let (key, value) = (input.byte(), input.byte());
            batch.insert(key, (value != 0).then_some([value; 32]));
        }
        let writes: Vec<_> = batch.iter().map(|(byte, value)| (key(*byte), *value)).collect();
        newest = pages.apply(&writes).expect("no two keys of one path").root;
        for (byte, value) in batch {
            match value {
                Some(value) => drop(model.insert(byte, value)),
                None => drop(model.remove(&byte)),
            }
        }
    }
    assert_eq!(root(&pages), Ok(newest));
    let mut at_once = MemoryPages::default();
    let writes: Vec<_> = model.iter().map(|(byte, value)| (key(*byte), Some(*value))).collect();
    assert_eq!(at_once.apply(&writes).expect("no two keys of one path").root, newest);
    assert_eq!(at_once.rows, pages.rows, "pages do not depend on the way that led to them");
    for byte in model.keys().copied().take(4).chain([0, 255]) {
        let (key, value) = (key(byte), model.get(&byte).copied());
        assert_eq!(get(&pages, &key), Ok(value));
        let proof = prove(&pages, &key).expect("no other key has its path");
        assert_eq!((proof.value, verify(&proof, &key.path, &newest)), (value, Ok(())));
        let mut lie = proof.clone();
        lie.value = if value.is_some() { None } else { Some([1; 32]) };
        assert!(verify(&lie, &key.path, &newest).is_err(), "a value that is not there");
    }
}

fn key(byte: u8) -> StateKey {
    StateKey::new(byte % 4, &[byte])
}
