//! That an event is in the log.

use super::{EntryProof, ProofError, hashes, hashes_to_json};
use crate::code::Rejection;
use crate::entry::Entry;
use crate::event::Receipt;
use crate::fields::Fields;
use crate::head::{Sth, VerifiedSth};
use crate::ids::{EventId, PublicKey, hex};
use crate::json::Json;
use alloc::vec::Vec;
use merkle::Hash;

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
        self.verify_id(receipt.position.seq, entry)
    }

    /// Checks that `event_id` is what the bundle of `entry` holds at `seq`; that an event has this id is not said by it.
    pub fn verify_id(&self, seq: u64, entry: &Entry) -> Result<(), ProofError> {
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
