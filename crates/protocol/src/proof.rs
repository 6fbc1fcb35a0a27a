//! The answers by which a node proves something, and what a client must do before it believes one (`docs/protocol.md`, State and log,
//! Node API, threat model).
//!
//! Indices and sizes are computed here from what is signed: the tree's size from the STH, an event's place from its `seq` and the
//! entry, a state key from the name asked for. What an answer says of them must agree and is never used.

use crate::code::Rejection;
use crate::entry::{Entry, state_commit};
use crate::event::Receipt;
use crate::fields::{Fields, wrong};
use crate::head::{Sth, VerifiedSth, heads_entry};
use crate::ids::{EnclaveId, EventHash, EventId, PublicKey, hex, parse_hex};
use crate::json::Json;
use crate::state::StateName;
use alloc::string::String;
use alloc::vec::Vec;
use merkle::Hash;
use merkle::sparse::Proof as StateProof;

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

/// That an event is in its bundle: `{"event_id","bundle_index","bundle_size","siblings"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleProof {
    /// The event.
    pub event_id: EventId,
    /// Its place, as the node says.
    pub bundle_index: u64,
    /// The bundle's events, as the node says.
    pub bundle_size: u64,
    /// Leaf to root.
    pub siblings: Vec<Hash>,
}

/// The answer of `…/bundle`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleAnswer {
    /// The proof.
    pub proof: BundleProof,
    /// The root that it leads to.
    pub events_root: Hash,
    /// The entry that holds it.
    pub leaf_index: u64,
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

/// The answer of `…/inclusion`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionAnswer {
    /// The entry in the log.
    pub entry: EntryProof,
    /// The event in the entry's bundle, when an event was asked for.
    pub bundle: Option<BundleProof>,
    /// The newest head.
    pub sth: Sth,
}

/// The answer of `…/state` and `…/state-batch`: the state after bundle `leaf_index`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateAnswer {
    /// One proof for each key asked for.
    pub proofs: StateProofs,
    /// Root of the state tree.
    pub state_hash: Hash,
    /// The bundle's last event.
    pub last_event_hash: EventHash,
    /// The bundle's entry in the log.
    pub entry: EntryProof,
    /// The newest head.
    pub sth: Sth,
}

/// `proof` or `proofs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateProofs {
    /// Of `…/state`.
    One(StateProof),
    /// Of `…/state-batch`, in the order asked.
    Batch(Vec<StateProof>),
}

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

/// A state that the log commits to: what [`StateAnswer::verify`] gives. A value that is `None` is proved absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenState {
    /// The values, in the order of the names.
    pub values: Vec<Option<Hash>>,
    /// The state after this bundle.
    pub leaf_index: u64,
    /// Whether no closed bundle follows; that the head itself is fresh is for the caller's clock.
    pub newest: bool,
}

impl BundleProof {
    /// Checks that the event of this receipt is in the bundle of `entry`, at the place that its `seq` gives it. The receipt must be by
    /// `sequencer`, which the caller has from the Manifest and the Migrates: ids alone prove nothing.
    pub fn verify(&self, receipt: &Receipt, sequencer: &PublicKey, entry: &Entry) -> Result<(), ProofError> {
        if receipt.position.sequencer != *sequencer || receipt.verify_signature().is_err() {
            return Err(ProofError::Receipt);
        }
        if self.event_id != receipt.id {
            return Err(ProofError::OtherSubject);
        }
        self.verify_at(receipt.position.seq, entry)
    }

    /// Checks that `event_id` is what the bundle of `entry` holds at `seq`.
    pub(crate) fn verify_at(&self, seq: u64, entry: &Entry) -> Result<(), ProofError> {
        let index = entry.index_of(seq).ok_or(ProofError::Index)?;
        if self.bundle_index != index || self.bundle_size != entry.count {
            return Err(ProofError::Index);
        }
        Ok(merkle::bundle::verify(&self.event_id.0, index, entry.count, &self.siblings, &entry.events_root)?)
    }

    /// Reads a proof; nothing is verified.
    pub fn from_json(value: Json) -> Result<BundleProof, Rejection> {
        let mut fields = Fields::of(value)?;
        let proof = BundleProof::take(&mut fields)?;
        fields.finish()?;
        Ok(proof)
    }

    /// The proof as served.
    pub fn to_json(&self) -> Json {
        Json::object(self.members())
    }

    fn take(fields: &mut Fields) -> Result<BundleProof, Rejection> {
        Ok(BundleProof {
            event_id: EventId(fields.hex("event_id")?),
            bundle_index: fields.uint("bundle_index")?,
            bundle_size: fields.uint("bundle_size")?,
            siblings: hashes(fields, "siblings")?,
        })
    }

    fn members(&self) -> Vec<(&'static str, Json)> {
        alloc::vec![
            ("event_id", Json::from(self.event_id.hex())),
            ("bundle_index", Json::from(self.bundle_index)),
            ("bundle_size", Json::from(self.bundle_size)),
            ("siblings", hashes_to_json(&self.siblings)),
        ]
    }
}

impl BundleAnswer {
    /// Checks the answer against an entry that the caller has proved to be entry `leaf_index` of the log.
    pub fn verify(
        &self,
        receipt: &Receipt,
        sequencer: &PublicKey,
        leaf_index: u64,
        entry: &Entry,
    ) -> Result<(), ProofError> {
        if self.leaf_index != leaf_index || self.events_root != entry.events_root {
            return Err(ProofError::OtherSubject);
        }
        self.proof.verify(receipt, sequencer, entry)
    }

    /// Reads an answer; nothing is verified.
    pub fn from_json(value: Json) -> Result<BundleAnswer, Rejection> {
        let mut fields = Fields::of(value)?;
        let answer = BundleAnswer {
            proof: BundleProof::take(&mut fields)?,
            events_root: fields.hex("events_root")?,
            leaf_index: fields.uint("leaf_index")?,
        };
        fields.finish()?;
        Ok(answer)
    }

    /// The answer as served.
    pub fn to_json(&self) -> Json {
        let mut members = self.proof.members();
        members.push(("events_root", Json::from(hex(&self.events_root))));
        members.push(("leaf_index", Json::from(self.leaf_index)));
        Json::object(members)
    }
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

impl InclusionAnswer {
    /// Checks that the event of this receipt, by `sequencer`, is in the log with this head: the answer's own, or, for an older
    /// `tree_size`, one that the caller has kept.
    pub fn verify_event(&self, receipt: &Receipt, sequencer: &PublicKey, head: &VerifiedSth) -> Result<(), ProofError> {
        self.check_subject(head)?;
        if receipt.enclave != head.sth().enclave {
            return Err(ProofError::OtherSubject);
        }
        let entry = self.entry.verify(head)?;
        self.bundle.as_ref().ok_or(ProofError::NoBundle)?.verify(receipt, sequencer, entry)
    }

    /// Checks that the answer shows entry `leaf_index` of the log with this head.
    pub fn verify_entry(&self, leaf_index: u64, head: &VerifiedSth) -> Result<&Entry, ProofError> {
        self.check_subject(head)?;
        if self.entry.leaf_index != leaf_index {
            return Err(ProofError::Index);
        }
        self.entry.verify(head)
    }

    fn check_subject(&self, head: &VerifiedSth) -> Result<(), ProofError> {
        if self.sth.enclave == head.sth().enclave { Ok(()) } else { Err(ProofError::OtherSubject) }
    }

    /// Reads an answer; nothing is verified.
    pub fn from_json(value: Json) -> Result<InclusionAnswer, Rejection> {
        let mut fields = Fields::of(value)?;
        let answer = InclusionAnswer {
            entry: EntryProof::take(&mut fields)?,
            bundle: fields.optional("bundle").map(BundleProof::from_json).transpose()?,
            sth: Sth::from_json(fields.required("sth")?)?,
        };
        fields.finish()?;
        Ok(answer)
    }

    /// The answer as served.
    pub fn to_json(&self) -> Json {
        let mut members = self.entry.members();
        members.push(("sth", self.sth.to_json()));
        if let Some(bundle) = &self.bundle {
            members.push(("bundle", bundle.to_json()));
        }
        Json::object(members)
    }
}

impl StateAnswer {
    /// Checks the proofs for these names, in this order, in the log with this head: the answer's own, or, for an older `tree_size`,
    /// one that the caller has kept.
    pub fn verify(&self, names: &[StateName<'_>], head: &VerifiedSth) -> Result<ProvenState, ProofError> {
        if self.sth.enclave != head.sth().enclave {
            return Err(ProofError::OtherSubject);
        }
        let entry = self.entry.verify(head)?;
        if entry.state_commit != state_commit(&self.last_event_hash, &self.state_hash) {
            return Err(ProofError::StateCommit);
        }
        let proofs = self.proofs.as_slice();
        if proofs.len() != names.len() {
            return Err(ProofError::OtherSubject);
        }
        let mut values = Vec::with_capacity(names.len());
        for (proof, name) in proofs.iter().zip(names) {
            merkle::sparse::verify(proof, &name.key().path, &self.state_hash)?;
            values.push(proof.value);
        }
        let leaf_index = self.entry.leaf_index;
        Ok(ProvenState { values, leaf_index, newest: leaf_index + 1 == head.sth().tree_size })
    }

    /// Reads an answer; nothing is verified.
    pub fn from_json(value: Json) -> Result<StateAnswer, Rejection> {
        let mut fields = Fields::of(value)?;
        let proofs = match (fields.optional("proof"), fields.optional("proofs")) {
            (Some(proof), None) => StateProofs::One(state_proof_from_json(proof)?),
            (None, Some(Json::Array(proofs))) => {
                StateProofs::Batch(proofs.into_iter().map(state_proof_from_json).collect::<Result<_, _>>()?)
            }
            _ => return Err(wrong("proof")),
        };
        let answer = StateAnswer {
            proofs,
            state_hash: fields.hex("state_hash")?,
            last_event_hash: EventHash(fields.hex("last_event_hash")?),
            entry: EntryProof::take(&mut fields)?,
            sth: Sth::from_json(fields.required("sth")?)?,
        };
        fields.finish()?;
        Ok(answer)
    }

    /// The answer as served.
    pub fn to_json(&self) -> Json {
        let mut members = self.entry.members();
        members.push(match &self.proofs {
            StateProofs::One(proof) => ("proof", state_proof_to_json(proof)),
            StateProofs::Batch(proofs) => ("proofs", Json::Array(proofs.iter().map(state_proof_to_json).collect())),
        });
        members.push(("state_hash", Json::from(hex(&self.state_hash))));
        members.push(("last_event_hash", Json::from(self.last_event_hash.hex())));
        members.push(("sth", self.sth.to_json()));
        Json::object(members)
    }
}

impl StateProofs {
    fn as_slice(&self) -> &[StateProof] {
        match self {
            StateProofs::One(proof) => core::slice::from_ref(proof),
            StateProofs::Batch(proofs) => proofs,
        }
    }
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

/// Reads `{"k","v","b","s"}`; nothing is verified.
pub fn state_proof_from_json(value: Json) -> Result<StateProof, Rejection> {
    let mut fields = Fields::of(value)?;
    let proof = StateProof {
        key: fields.hex("k")?,
        value: match fields.required("v")? {
            Json::Null => None,
            value => Some(value.as_text().and_then(|text| parse_hex(text).ok()).ok_or(wrong("v"))?),
        },
        bitmap: fields.hex("b")?,
        siblings: hashes(&mut fields, "s")?,
    };
    fields.finish()?;
    Ok(proof)
}

/// The proof as served.
pub fn state_proof_to_json(proof: &StateProof) -> Json {
    Json::object([
        ("k", Json::from(hex(&proof.key))),
        ("v", proof.value.map_or(Json::Null, |value| Json::from(hex(&value)))),
        ("b", Json::from(hex(&proof.bitmap))),
        ("s", hashes_to_json(&proof.siblings)),
    ])
}

fn hashes(fields: &mut Fields, name: &'static str) -> Result<Vec<Hash>, Rejection> {
    let Json::Array(items) = fields.required(name)? else { return Err(wrong(name)) };
    let hash = |item: &Json| item.as_text().and_then(|text| parse_hex(text).ok()).ok_or(wrong(name));
    items.iter().map(hash).collect()
}

fn hashes_to_json(hashes: &[Hash]) -> Json {
    Json::Array(hashes.iter().map(|hash| Json::from(hex(hash))).collect())
}
