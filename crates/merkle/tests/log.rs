//! The log against the recursive definition of RFC 9162, its published values, and an independent implementation.

#[path = "stores/nodes.rs"]
mod nodes;

use merkle::log::{
    EMPTY_ROOT, Error, MAX_SIZE, append, consistency_path, inclusion_path, leaf_hash, node_hash, root,
    verify_consistency, verify_inclusion,
};
use merkle::{Hash, ProofError};
use nodes::MemoryNodes;
use sha2::{Digest, Sha256};

const EXHAUSTIVE: u64 = 66;

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect()
}

/// MTH of RFC 9162 section 2.1.1, over leaf hashes.
fn tree_hash(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        more => {
            let (left, right) = more.split_at(split(more.len()));
            Sha256::digest([&[1], tree_hash(left).as_slice(), &tree_hash(right)].concat()).into()
        }
    }
}

/// PATH of RFC 9162 section 2.1.3.1.
fn naive_path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = if index < left.len() {
        (naive_path(index, left), tree_hash(right))
    } else {
        (naive_path(index - left.len(), right), tree_hash(left))
    };
    path.push(sibling);
    path
}

/// SUBPROOF of RFC 9162 section 2.1.4.1.
fn naive_subproof(from: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if from == leaves.len() {
        return if whole { Vec::new() } else { vec![tree_hash(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = if from <= left.len() {
        (naive_subproof(from, left, whole), tree_hash(right))
    } else {
        (naive_subproof(from - left.len(), right, false), tree_hash(left))
    };
    path.push(sibling);
    path
}

fn split(width: usize) -> usize {
    width.next_power_of_two() / 2
}

fn hash(hex: &str) -> Hash {
    let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex")).collect();
    bytes.try_into().expect("32 bytes")
}

/// The log of the certificate transparency reference implementation that all others are tested with.
fn published_leaves() -> Vec<Hash> {
    let entries: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    entries.map(leaf_hash).to_vec()
}

#[test]
fn published_roots_and_paths() {
    let nodes = MemoryNodes::of(&published_leaves());
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    for (size, expected) in (0..).zip(roots) {
        assert_eq!(root(&nodes, size), Ok(hash(expected)), "size {size}");
    }
    let of_leaf_0 = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ];
    assert_eq!(inclusion_path(&nodes, 0, 8), Ok(of_leaf_0.map(hash).to_vec()));
    let from_6 = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(consistency_path(&nodes, 6, 8), Ok(from_6.map(hash).to_vec()));
}

#[test]
fn every_size_to_256_has_the_defined_root() {
    let leaves = leaves(256);
    let nodes = MemoryNodes::of(&leaves);
    for size in 0..=256 {
        assert_eq!(root(&nodes, size as u64), Ok(tree_hash(&leaves[..size])), "size {size}");
    }
}

#[test]
fn an_append_returns_the_complete_subtrees_it_ends() {
    let leaves = leaves(256);
    let nodes = MemoryNodes::of(&leaves);
    for size in 0..255 {
        let completed = append(&nodes, size, leaves[size as usize]).expect("nodes are there");
        assert_eq!(completed.len(), 1 + size.trailing_ones() as usize, "size {size}");
        for (level, (id, hash)) in completed.iter().enumerate() {
            let (start, end) = (id.index << level, (id.index + 1) << level);
            assert_eq!((usize::from(id.level), end), (level, size + 1));
            assert_eq!(*hash, tree_hash(&leaves[start as usize..end as usize]));
        }
    }
}

#[test]
fn every_inclusion_path_is_the_defined_one_and_verifies() {
    let leaves = leaves(EXHAUSTIVE);
    let nodes = MemoryNodes::of(&leaves);
    for size in 0..=EXHAUSTIVE {
        let root = root(&nodes, size).expect("nodes are there");
        for index in 0..size {
            let path = inclusion_path(&nodes, index, size).expect("nodes are there");
            assert_eq!(path, naive_path(index as usize, &leaves[..size as usize]));
            assert_eq!(verify_inclusion(&leaves[index as usize], index, size, &path, &root), Ok(()));
        }
        assert_eq!(inclusion_path(&nodes, size, size), Err(Error::OutOfRange));
    }
}

#[test]
fn an_inclusion_path_verifies_nothing_else() {
    let leaves = leaves(20);
    let nodes = MemoryNodes::of(&leaves);
    for size in 1..=20 {
        let root = root(&nodes, size).expect("nodes are there");
        for index in 0..size {
            let path = inclusion_path(&nodes, index, size).expect("nodes are there");
            let leaf = &leaves[index as usize];
            // With the right root and another index or size, unless the path has the same turns there.
            for other_size in 0..=40 {
                for other in 0..=40 {
                    let result = verify_inclusion(leaf, other, other_size, &path, &root);
                    let accepted = result.is_ok();
                    let same_turns = turns(other, other_size) == turns(index, size) && other < other_size;
                    assert_eq!(accepted, same_turns, "{index} of {size} as {other} of {other_size}");
                    if other >= other_size {
                        assert_eq!(result, Err(ProofError::OutOfRange));
                    }
                }
            }
            refuse_altered(&path, |path| verify_inclusion(leaf, index, size, path, &root));
            assert_eq!(verify_inclusion(leaf, index, size, &path, &[7; 32]), Err(ProofError::WrongRoot));
        }
    }
}

/// For each hash of the path, whether it is the left one: all that a path can tell about index and size.
fn turns(index: u64, size: u64) -> Vec<bool> {
    let (mut at, mut width, mut turns) = (index, size, Vec::new());
    while width > 1 {
        let left = (width as usize).next_power_of_two() as u64 / 2;
        turns.push(at >= left);
        (at, width) = if at < left { (at, left) } else { (at - left, width - left) };
    }
    turns
}

#[test]
fn every_consistency_path_is_the_defined_one_and_verifies() {
    let leaves = leaves(EXHAUSTIVE);
    let nodes = MemoryNodes::of(&leaves);
    let roots: Vec<Hash> = (0..=EXHAUSTIVE).map(|size| root(&nodes, size).expect("nodes are there")).collect();
    for to in 0..=EXHAUSTIVE {
        for from in 0..=to {
            let path = consistency_path(&nodes, from, to).expect("nodes are there");
            let (older, newer) = (&roots[from as usize], &roots[to as usize]);
            if from > 0 {
                assert_eq!(path, naive_subproof(from as usize, &leaves[..to as usize], true));
            }
            assert_eq!(verify_consistency(from, to, &path, older, newer), Ok(()), "{from} to {to}");
            refuse_altered(&path, |path| verify_consistency(from, to, path, older, newer));
            if from != 0 || to == 0 {
                let wrong_newer = verify_consistency(from, to, &path, older, &[7; 32]);
                assert_eq!(wrong_newer, Err(ProofError::WrongRoot), "{from} to {to}");
            }
            let wrong_older = verify_consistency(from, to, &path, &[7; 32], newer);
            assert_eq!(wrong_older, Err(ProofError::WrongRoot), "{from} to {to}");
        }
        assert_eq!(consistency_path(&nodes, to + 1, to), Err(Error::OutOfRange));
        let shrunk = verify_consistency(to + 1, to, &[], &roots[0], &roots[to as usize]);
        assert_eq!(shrunk, Err(ProofError::OutOfRange));
    }
}

#[test]
fn a_rewritten_log_is_not_consistent() {
    let honest = leaves(24);
    let nodes = MemoryNodes::of(&honest);
    for from in 1..=23 {
        let older = tree_hash(&honest[..from]);
        for changed in 0..from {
            let mut rewritten = honest.clone();
            rewritten[changed] = [9; 32];
            let fork = MemoryNodes::of(&rewritten);
            let newer = tree_hash(&rewritten);
            for store in [&nodes, &fork] {
                let path = consistency_path(store, from as u64, 24).expect("nodes are there");
                let result = verify_consistency(from as u64, 24, &path, &older, &newer);
                assert_eq!(result, Err(ProofError::WrongRoot), "leaf {changed} of {from}");
            }
        }
    }
}

/// Every proof that differs in one hash, or in length, is refused; the length by its own error.
fn refuse_altered(path: &[Hash], verify: impl Fn(&[Hash]) -> Result<(), ProofError>) {
    for at in 0..path.len() {
        let mut altered = path.to_vec();
        altered[at][31] ^= 1;
        assert_eq!(verify(&altered), Err(ProofError::WrongRoot));
        let mut cut = path.to_vec();
        cut.remove(at);
        assert_eq!(verify(&cut), Err(ProofError::WrongLength));
    }
    for at in 0..=path.len() {
        let mut longer = path.to_vec();
        longer.insert(at, EMPTY_ROOT);
        assert_eq!(verify(&longer), Err(ProofError::WrongLength));
    }
}

#[test]
fn reads_are_few() {
    let size = 100_003;
    let nodes = MemoryNodes::of(&leaves(size));
    let check = |reads: u32, ask: &dyn Fn()| {
        nodes.reads.set(0);
        ask();
        assert!(nodes.reads.get() <= reads, "{} reads, {reads} allowed", nodes.reads.get());
    };
    check(17, &|| assert!(root(&nodes, size).is_ok()));
    check(17, &|| assert!(append(&nodes, size - 1, [0; 32]).is_ok()));
    for at in [0, 1, 65_535, 65_536, 99_999, size - 1] {
        check(34, &|| assert!(inclusion_path(&nodes, at, size).is_ok()));
        check(34, &|| assert!(consistency_path(&nodes, at, size).is_ok()));
    }
}

#[test]
fn sizes_beyond_the_largest_are_refused() {
    let nodes = MemoryNodes::default();
    assert_eq!(root(&nodes, MAX_SIZE + 1), Err(Error::OutOfRange));
    assert_eq!(append(&nodes, MAX_SIZE, [0; 32]), Err(Error::OutOfRange));
    assert_eq!(inclusion_path(&nodes, 0, MAX_SIZE + 1), Err(Error::OutOfRange));
    assert_eq!(consistency_path(&nodes, 1, u64::MAX), Err(Error::OutOfRange));
    assert!(matches!(root(&nodes, MAX_SIZE), Err(Error::Nodes(id)) if id.level == 63 && id.index == 0));
    assert_eq!(
        verify_inclusion(&[0; 32], u64::MAX - 1, u64::MAX, &[[0; 32]; 63], &[0; 32]),
        Err(ProofError::WrongRoot)
    );
}

/// The same log in the storage layout of another implementation.
struct Oracle(Vec<tlog_tiles::Hash>);

impl tlog_tiles::HashReader for Oracle {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|&at| self.0[at as usize]).collect())
    }
}

#[test]
fn another_implementation_agrees() {
    let count = 140;
    let ours = MemoryNodes::of(&leaves(count));
    let mut theirs = Oracle(Vec::new());
    for index in 0..count {
        let added = tlog_tiles::stored_hashes(index, &index.to_be_bytes(), &theirs).expect("their nodes are there");
        theirs.0.extend(added);
    }
    let plain = |path: Vec<tlog_tiles::Hash>| path.into_iter().map(|hash| hash.0).collect::<Vec<Hash>>();
    for size in 1..=count {
        let their_root = tlog_tiles::tree_hash(size, &theirs).expect("their nodes are there");
        assert_eq!(root(&ours, size), Ok(their_root.0));
        for at in (0..size).step_by(3) {
            let path = tlog_tiles::prove_record(size, at, &theirs).expect("their nodes are there");
            assert_eq!(inclusion_path(&ours, at, size), Ok(plain(path)), "{at} of {size}");
            let path = tlog_tiles::prove_tree(size, at + 1, &theirs).expect("their nodes are there");
            assert_eq!(consistency_path(&ours, at + 1, size), Ok(plain(path)), "{} to {size}", at + 1);
        }
    }
    assert_eq!(
        node_hash(&[1; 32], &[2; 32]),
        tlog_tiles::node_hash(tlog_tiles::Hash([1; 32]), tlog_tiles::Hash([2; 32])).0
    );
}
