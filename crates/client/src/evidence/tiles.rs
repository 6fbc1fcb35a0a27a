//! The nodes of a log's tree, read from the public hash tiles as they are needed.

use crate::enclave::Enclave;
use crate::error::{Answer, Error, Falsehood};
use merkle::Hash;
use merkle::log::{NodeId, Nodes, node_hash};
use std::cell::RefCell;
use std::collections::HashMap;
use tlog::tile::{FULL_WIDTH, TileKind, TilePath};

/// Levels of the tree in one tile.
const TILE_HEIGHT: u8 = 8;

/// Nodes of the log of one size.
pub(super) struct TileNodes<'a> {
    enclave: &'a Enclave,
    size: u64,
    tiles: RefCell<HashMap<(u8, u64), Vec<Hash>>>,
}

impl<'a> TileNodes<'a> {
    /// Of the log that the node serves, at this size.
    pub fn of(enclave: &'a Enclave, size: u64) -> TileNodes<'a> {
        TileNodes { enclave, size, tiles: RefCell::default() }
    }

    fn load(&self, level: u8, index: u64) -> Result<Vec<Hash>, Error> {
        let path = TilePath::in_log(TileKind::Hashes(level), index, self.size).ok_or(no_tile())?;
        let bytes = self.enclave.node().link.get(&self.enclave.path(&path.to_string()), &[])?.bytes()?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        if hashes.len() == usize::from(path.width()) && rest.is_empty() { Ok(hashes.to_vec()) } else { Err(no_tile()) }
    }
}

impl Nodes for TileNodes<'_> {
    type Error = Error;

    fn node(&self, id: NodeId) -> Result<Hash, Error> {
        let (level, above) = (id.level / TILE_HEIGHT, id.level % TILE_HEIGHT);
        let first = id.index << above;
        let place = (level, first / u64::from(FULL_WIDTH));
        if !self.tiles.borrow().contains_key(&place) {
            let loaded = self.load(place.0, place.1)?;
            self.tiles.borrow_mut().insert(place, loaded);
        }
        let tiles = self.tiles.borrow();
        // A tile is 256 wide and a node covers at most 128 of its hashes, so it never leaves it.
        let start = usize::try_from(first % u64::from(FULL_WIDTH)).map_err(|_| no_tile())?;
        let covered = tiles[&place].get(start..start + (1 << above)).ok_or(no_tile())?;
        Ok(subtree(covered))
    }
}

/// The root over a power of two of neighbours.
fn subtree(hashes: &[Hash]) -> Hash {
    match hashes {
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            node_hash(&subtree(left), &subtree(right))
        }
    }
}

fn no_tile() -> Error {
    Falsehood::Proof(Answer::Consistency).into()
}
