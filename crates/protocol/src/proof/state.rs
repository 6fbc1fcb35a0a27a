//! That keys of the state have values, or none.

use super::{EntryProof, ProofError, hashes, hashes_to_json};
use crate::code::Rejection;
use crate::entry::state_commit;
use crate::fields::{Fields, wrong};
use crate::head::{Sth, VerifiedSth};
use crate::ids::{EventHash, hex, parse_hex};
use crate::json::Json;
use crate::state::StateName;
use alloc::vec::Vec;
use merkle::Hash;
use merkle::sparse::Proof as StateProof;

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
