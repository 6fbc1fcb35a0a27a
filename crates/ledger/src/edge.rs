//! The right edge of the tree: of each level the tile that is not full, and of the entries the bundle that is not.

use alloc::vec::Vec;
use core::convert::Infallible;

use merkle::Hash;
use merkle::log::{self, NodeId, Nodes, leaf_hash, node_hash};
use tlog::entry_bundle;
use tlog::tile::{FULL_WIDTH, TileKind, TilePath};

/// A tile or bundle with its bytes.
pub(crate) type TileFile = (TilePath, Vec<u8>);

const FULL: usize = FULL_WIDTH as usize;

/// All that is needed to add entries and to know the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
    bundle: Vec<u8>,
}

impl Edge {
    /// The edge of a log of `size` entries from its partial tiles and its partial bundle; `None` where one does not have its width.
    pub(crate) fn new(size: u64, levels: Vec<Vec<Hash>>, bundle: Vec<u8>) -> Option<Edge> {
        let width = |level: usize| TileKind::Hashes(level as u8).slots(size) % u64::from(FULL_WIDTH);
        let fits = levels.iter().enumerate().all(|(level, hashes)| hashes.len() as u64 == width(level));
        let open = u16::try_from(width(0)).is_ok_and(|count| entry_bundle::decode(&bundle, count).is_ok());
        (fits && open).then_some(Edge { size, levels, bundle })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Adds an entry of at most 65,535 bytes; gives the tiles and the bundle that it fills.
    pub(crate) fn push(&mut self, entry: &[u8]) -> Vec<TileFile> {
        let mut full = Vec::new();
        self.bundle.extend_from_slice(&entry_bundle::encode([entry]).expect("an entry fits into a bundle"));
        self.size += 1;
        if self.size.is_multiple_of(u64::from(FULL_WIDTH)) {
            full.push((self.path(TileKind::Entries), core::mem::take(&mut self.bundle)));
        }
        let (mut hash, mut level) = (leaf_hash(entry), 0);
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(hash);
            if self.levels[level].len() < FULL {
                return full;
            }
            let hashes = core::mem::take(&mut self.levels[level]);
            full.push((self.path(TileKind::Hashes(level as u8)), hashes.concat()));
            hash = subtree(&hashes);
            level += 1;
        }
    }

    /// The newest tile of a kind in a log of this size, which is full if it has just been filled.
    fn path(&self, kind: TileKind) -> TilePath {
        let last = kind.slots(self.size).saturating_sub(1) / u64::from(FULL_WIDTH);
        TilePath::in_log(kind, last, self.size).expect("the last slot is filled")
    }

    /// The partial tiles and the partial bundle of this size.
    pub(crate) fn partials(&self) -> Vec<TileFile> {
        let open = |hashes: &&Vec<Hash>| !hashes.is_empty();
        let levels = self.levels.iter().enumerate().filter(|(_, hashes)| open(hashes));
        let mut files: Vec<TileFile> =
            levels.map(|(level, hashes)| (self.path(TileKind::Hashes(level as u8)), hashes.concat())).collect();
        if !self.bundle.is_empty() {
            files.push((self.path(TileKind::Entries), self.bundle.clone()));
        }
        files
    }

    /// The paths of [`Edge::partials`].
    pub(crate) fn partial_paths(&self) -> impl Iterator<Item = TilePath> {
        let levels = self.levels.iter().enumerate().filter(|(_, hashes)| !hashes.is_empty());
        let levels = levels.map(|(level, _)| self.path(TileKind::Hashes(level as u8)));
        levels.chain((!self.bundle.is_empty()).then(|| self.path(TileKind::Entries)))
    }

    pub(crate) fn root(&self) -> Hash {
        match log::root(self, self.size) {
            Ok(root) => root,
            Err(log::Error::OutOfRange) => unreachable!("no log grows to 2^63 entries"),
            Err(log::Error::Nodes(never)) => match never {},
        }
    }
}

/// The root over hashes whose count is a power of two.
pub(crate) fn subtree(hashes: &[Hash]) -> Hash {
    match hashes {
        [hash] => *hash,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(&subtree(left), &subtree(right))
        }
    }
}

/// Of one tile: which slots make up a node, in the tile that has them.
pub(crate) fn slots_of(id: NodeId) -> (u8, u64, core::ops::Range<usize>) {
    let (level, height) = (id.level / 8, id.level % 8);
    let first = id.index << height;
    let within = (first % u64::from(FULL_WIDTH)) as usize;
    (level, first / u64::from(FULL_WIDTH), within..within + (1 << height))
}

/// Only the nodes that the root of this size is made of.
impl Nodes for Edge {
    type Error = Infallible;

    fn node(&self, id: NodeId) -> Result<Hash, Infallible> {
        let (level, _, slots) = slots_of(id);
        Ok(subtree(&self.levels[usize::from(level)][slots]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    /// Every hash from the definition of RFC 9162.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves.len() {
            0 => log::EMPTY_ROOT,
            1 => leaves[0],
            len => {
                let (left, right) = leaves.split_at(1 << (len - 1).ilog2());
                node_hash(&naive(left), &naive(right))
            }
        }
    }

    #[test]
    fn root_and_tiles_at_every_size() {
        let (mut edge, mut leaves, mut files) = (Edge::default(), Vec::new(), BTreeMap::new());
        for size in 1..=70_000_u64 {
            let entry = size.to_be_bytes();
            files.extend(edge.push(&entry));
            leaves.push(leaf_hash(&entry));
            if size <= 300 || size.is_power_of_two() || size % 9973 == 0 || size == 70_000 {
                assert_eq!((edge.size(), edge.root()), (size, naive(&leaves)), "{size}");
            }
        }
        files.extend(edge.partials());
        for (level, width) in [(0, 1_usize), (1, 256), (2, 65_536)] {
            let mut hashes: Vec<Hash> = leaves.chunks_exact(width).map(naive).collect();
            for (number, tile) in hashes.chunks_mut(FULL).enumerate() {
                let path = TilePath::in_log(TileKind::Hashes(level), number as u64, 70_000).expect("filled");
                assert_eq!(files.remove(&path), Some(tile.concat()), "{path}");
            }
        }
        let bundles: Vec<Vec<u8>> = files.into_values().collect();
        assert_eq!(bundles.concat().len(), 70_000 * 10);
        let levels = edge.levels.clone();
        assert_eq!(Edge::new(70_000, levels.clone(), edge.bundle.clone()), Some(edge.clone()));
        assert_eq!(Edge::new(70_001, levels, edge.bundle.clone()), None);
    }
}
