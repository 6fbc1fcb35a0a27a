//! That a log goes on from what it was, and that the node shows everyone the same head of it.

use super::{ProofError, hashes, hashes_to_json};
use crate::code::Rejection;
use crate::fields::Fields;
use crate::head::{VerifiedSth, heads_entry};
use crate::ids::{EnclaveId, hex};
use crate::json::Json;
use alloc::string::String;
use alloc::vec::Vec;
use merkle::Hash;

/// The answer of `…/consistency`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyAnswer {
    /// The older size.
    pub from: u64,
    /// The newer size.
    pub to: u64,
    /// The proof.
    pub path: Vec<Hash>,
}

/// The answer of `/heads/proof`. The checkpoint is a note; whoever reads notes takes size and root from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadsAnswer {
    /// Whose head.
    pub enclave: EnclaveId,
    /// Its log's size.
    pub tree_size: u64,
    /// Its log's root.
    pub root_hash: Hash,
    /// Where the head stands in the heads log.
    pub leaf_index: u64,
    /// The size of the heads log, as the node says.
    pub heads_size: u64,
    /// Leaf to root.
    pub audit_path: Vec<Hash>,
    /// The signed note of the heads log.
    pub checkpoint: String,
}

impl ConsistencyAnswer {
    /// Checks that the log of the newer head begins with that of the older one, which the caller has kept.
    pub fn verify(&self, older: &VerifiedSth, newer: &VerifiedSth) -> Result<(), ProofError> {
        let (older, newer) = (older.sth(), newer.sth());
        if older.enclave != newer.enclave {
            return Err(ProofError::OtherSubject);
        }
        if self.from != older.tree_size || self.to != newer.tree_size {
            return Err(ProofError::TreeSize);
        }
        let roots = (&older.root_hash, &newer.root_hash);
        Ok(merkle::log::verify_consistency(older.tree_size, newer.tree_size, &self.path, roots.0, roots.1)?)
    }

    /// Reads an answer; nothing is verified.
    pub fn from_json(value: Json) -> Result<ConsistencyAnswer, Rejection> {
        let mut fields = Fields::of(value)?;
        let answer = ConsistencyAnswer {
            from: fields.uint("from")?,
            to: fields.uint("to")?,
            path: hashes(&mut fields, "path")?,
        };
        fields.finish()?;
        Ok(answer)
    }

    /// The answer as served.
    pub fn to_json(&self) -> Json {
        Json::object([
            ("from", Json::from(self.from)),
            ("to", Json::from(self.to)),
            ("path", hashes_to_json(&self.path)),
        ])
    }
}

impl HeadsAnswer {
    /// Checks that the enclave's head stands in the heads log of this size and root, which the caller has from a verified checkpoint.
    pub fn verify(&self, enclave: &EnclaveId, heads_size: u64, heads_root: &Hash) -> Result<(), ProofError> {
        if self.enclave != *enclave {
            return Err(ProofError::OtherSubject);
        }
        if self.heads_size != heads_size {
            return Err(ProofError::TreeSize);
        }
        let leaf = merkle::log::leaf_hash(&heads_entry(enclave, self.tree_size, &self.root_hash));
        Ok(merkle::log::verify_inclusion(&leaf, self.leaf_index, heads_size, &self.audit_path, heads_root)?)
    }

    /// Reads an answer; nothing is verified.
    pub fn from_json(value: Json) -> Result<HeadsAnswer, Rejection> {
        let mut fields = Fields::of(value)?;
        let answer = HeadsAnswer {
            enclave: EnclaveId(fields.hex("enclave")?),
            tree_size: fields.uint("tree_size")?,
            root_hash: fields.hex("root_hash")?,
            leaf_index: fields.uint("leaf_index")?,
            heads_size: fields.uint("heads_size")?,
            audit_path: hashes(&mut fields, "audit_path")?,
            checkpoint: fields.text("checkpoint")?,
        };
        fields.finish()?;
        Ok(answer)
    }

    /// The answer as served.
    pub fn to_json(&self) -> Json {
        Json::object([
            ("enclave", Json::from(self.enclave.hex())),
            ("tree_size", Json::from(self.tree_size)),
            ("root_hash", Json::from(hex(&self.root_hash))),
            ("leaf_index", Json::from(self.leaf_index)),
            ("heads_size", Json::from(self.heads_size)),
            ("audit_path", hashes_to_json(&self.audit_path)),
            ("checkpoint", Json::from(self.checkpoint.as_str())),
        ])
    }
}
