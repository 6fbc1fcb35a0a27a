//! Proof files: that an entry stands at its place in the log of a checkpoint (C2SP tlog-proof).

use core::fmt;

use merkle::log::{leaf_hash, verify_inclusion};
use tlog::checkpoint::{Checkpoint, CheckpointError, Origin, verify_checkpoint};
use tlog::note::Note;
use tlog::proof::Proof;
use tlog::vkey::Vkey;

use crate::entry::Entry;
use crate::entry_text::{self, EntryError};
use crate::index::Index;
use crate::ledger::{Damage, Failure, Fault, Ledger};
use crate::path::ObjectPath;
use crate::rejection::Rejection;
use crate::signer::Signer;
use crate::store::Store;

impl<S: Store, I: Index, K: Signer> Ledger<S, I, K> {
    /// The proof of an entry against the checkpoint of a size, or the newest.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] beyond the end, [`Rejection::NotPublished`] where no checkpoint covers it yet, [`Rejection::NoCheckpoint`] for a size
    /// that has none; [`Fault`]s.
    pub fn prove(&self, index: u64, size: Option<u64>) -> Result<Proof, Failure> {
        if index >= self.size() {
            return Err(Rejection::NotFound.into());
        }
        let size = size.unwrap_or(self.published());
        let note = self.note_of(size)?;
        let path = self.view().inclusion_path(index, size)?;
        Ok(Proof { extra: None, index, path, note })
    }

    /// The checkpoint of a size.
    ///
    /// # Errors
    /// [`Rejection::NoCheckpoint`]; [`Fault`]s.
    pub fn note_of(&self, size: u64) -> Result<Note, Failure> {
        if size == self.published()
            && let Some(note) = self.checkpoint()
        {
            return Ok(note.clone());
        }
        let path = ObjectPath::CheckpointAt(size);
        let bytes = self.store().read(&path)?.ok_or(Rejection::NoCheckpoint)?;
        Ok(Note::parse(&bytes).map_err(|_| Fault::Damaged { path, damage: Damage::Form })?)
    }
}

/// Why a proof does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProofFault {
    /// The checkpoint is not the ledger's.
    Checkpoint(CheckpointError),
    /// The path does not lead from the entry to the root.
    Path(merkle::ProofError),
    /// The bytes are no entry.
    Entry(EntryError),
    /// The entry says another place.
    Place,
}

impl fmt::Display for ProofFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProofFault::Checkpoint(error) => error.fmt(f),
            ProofFault::Path(error) => error.fmt(f),
            ProofFault::Entry(error) => error.fmt(f),
            ProofFault::Place => f.write_str("the entry says another place"),
        }
    }
}

impl core::error::Error for ProofFault {}

/// Checks offline that these bytes are an entry of the ledger of this key; gives the entry, and the checkpoint that covers it.
///
/// # Errors
/// [`ProofFault`].
pub fn verify_proof(proof: &Proof, entry: &[u8], vkey: &Vkey) -> Result<(Entry, Checkpoint), ProofFault> {
    let origin = Origin::parse(vkey.name().as_str()).map_err(ProofFault::Checkpoint)?;
    let checkpoint = verify_checkpoint(&proof.note, &origin, vkey).map_err(ProofFault::Checkpoint)?;
    let leaf = leaf_hash(entry);
    verify_inclusion(&leaf, proof.index, checkpoint.size, &proof.path, &checkpoint.root).map_err(ProofFault::Path)?;
    let entry = entry_text::parse(entry).map_err(ProofFault::Entry)?;
    if entry.index == proof.index { Ok((entry, checkpoint)) } else { Err(ProofFault::Place) }
}
