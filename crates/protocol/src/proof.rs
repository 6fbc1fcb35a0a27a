//! The answers by which a node proves something, and what a client must do before it believes one (`docs/protocol.md`, State and log,
//! Node API, threat model).
//!
//! Indices and sizes are computed here from what is signed: the tree's size from the STH, an event's place from its `seq` and the
//! entry, a state key from the name asked for. What an answer says of them must agree and is never used.

mod event;
mod heads;
mod state;

pub use event::{BundleAnswer, BundleProof, InclusionAnswer};
pub use heads::{ConsistencyAnswer, HeadsAnswer};
pub use state::{ProvenState, StateAnswer, StateProofs, state_proof_from_json, state_proof_to_json};

use crate::code::Rejection;
use crate::entry::Entry;
use crate::fields::{Fields, wrong};
use crate::head::VerifiedSth;
use crate::ids::{hex, parse_hex};
use crate::json::Json;
use alloc::vec::Vec;
use merkle::Hash;

/// Why an answer proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// A hash path does not lead from the leaf to the root.
    Path(merkle::ProofError),
    /// The answer is about a tree of another size than the head.
    TreeSize,
    /// The entry does not cover the event's `seq`, or the answer numbers it otherwise.
    Index,
    /// The answer is about another event, enclave or key.
    OtherSubject,
    /// The proof of the event inside its bundle is missing.
    NoBundle,
    /// The receipt is not the sequencer's.
    Receipt,
    /// The entry does not commit to this state.
    StateCommit,
}

impl From<merkle::ProofError> for ProofError {
    fn from(error: merkle::ProofError) -> Self {
        ProofError::Path(error)
    }
}

/// Where an entry stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryProof {
    /// The entry.
    pub entry: Entry,
    /// Its place.
    pub leaf_index: u64,
    /// The size of the tree that the path is for, as the node says.
    pub tree_size: u64,
    /// Leaf to root.
    pub audit_path: Vec<Hash>,
}

impl EntryProof {
    /// Checks that the entry stands at `leaf_index` of the log with this head.
    pub fn verify(&self, head: &VerifiedSth) -> Result<&Entry, ProofError> {
        let sth = head.sth();
        if self.tree_size != sth.tree_size {
            return Err(ProofError::TreeSize);
        }
        let leaf = self.entry.leaf_hash();
        merkle::log::verify_inclusion(&leaf, self.leaf_index, sth.tree_size, &self.audit_path, &sth.root_hash)?;
        Ok(&self.entry)
    }

    fn take(fields: &mut Fields) -> Result<EntryProof, Rejection> {
        Ok(EntryProof {
            entry: Entry::from_json(fields.required("entry")?)?,
            leaf_index: fields.uint("leaf_index")?,
            tree_size: fields.uint("tree_size")?,
            audit_path: hashes(fields, "audit_path")?,
        })
    }

    fn members(&self) -> Vec<(&'static str, Json)> {
        alloc::vec![
            ("entry", self.entry.to_json()),
            ("leaf_index", Json::from(self.leaf_index)),
            ("tree_size", Json::from(self.tree_size)),
            ("audit_path", hashes_to_json(&self.audit_path)),
        ]
    }
}

pub(crate) fn hashes(fields: &mut Fields, name: &'static str) -> Result<Vec<Hash>, Rejection> {
    let Json::Array(items) = fields.required(name)? else { return Err(wrong(name)) };
    let hash = |item: &Json| item.as_text().and_then(|text| parse_hex(text).ok()).ok_or(wrong(name));
    items.iter().map(hash).collect()
}

pub(crate) fn hashes_to_json(hashes: &[Hash]) -> Json {
    Json::Array(hashes.iter().map(|hash| Json::from(hex(hash))).collect())
}
