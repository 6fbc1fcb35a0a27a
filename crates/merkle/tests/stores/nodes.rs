//! Log nodes in memory; a node that was never completed is an error.

use std::cell::Cell;
use std::collections::HashMap;

use merkle::Hash;
use merkle::log::{NodeId, Nodes, append};

#[derive(Default)]
pub struct MemoryNodes {
    nodes: HashMap<NodeId, Hash>,
    pub reads: Cell<u32>,
}

impl Nodes for MemoryNodes {
    type Error = NodeId;

    fn node(&self, id: NodeId) -> Result<Hash, NodeId> {
        self.reads.set(self.reads.get() + 1);
        self.nodes.get(&id).copied().ok_or(id)
    }
}

impl MemoryNodes {
    pub fn of(leaves: &[Hash]) -> Self {
        let mut nodes = MemoryNodes::default();
        for (size, leaf) in (0..).zip(leaves) {
            let completed = append(&nodes, size, *leaf).expect("the nodes to the left are there");
            for (id, hash) in completed {
                assert!(nodes.nodes.insert(id, hash).is_none(), "{id:?} completed twice");
            }
        }
        nodes
    }
}
