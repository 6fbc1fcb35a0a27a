//! What a log sends to a witness and what comes back (C2SP tlog-witness, `add-checkpoint`).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::note::{MAX_NOTE_LEN, Note, NoteError, SignatureLine};
use crate::{base64, decimal};

/// The most hashes of a consistency proof.
pub const MAX_PROOF: usize = 63;
/// The longest request, in bytes: the proof's lines, the first line, the note.
pub const MAX_LEN: usize = MAX_NOTE_LEN + MAX_PROOF * 45 + 32;
/// Content type of the answer that says which size the witness knows.
pub const SIZE_TYPE: &str = "text/x.tlog.size";

/// A request to cosign a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the witness is thought to have cosigned last; 0 if none.
    pub old_size: u64,
    /// That the tree of the checkpoint begins with that of the old size.
    pub proof: Vec<[u8; 32]>,
    /// The checkpoint; nothing about it is verified.
    pub note: Note,
}

impl AddCheckpoint {
    /// Reads a request.
    ///
    /// # Errors
    /// Any [`AddCheckpointError`].
    pub fn parse(bytes: &[u8]) -> Result<AddCheckpoint, AddCheckpointError> {
        if bytes.len() > MAX_LEN {
            return Err(AddCheckpointError::TooLong);
        }
        let text = core::str::from_utf8(bytes).map_err(|_| AddCheckpointError::Form)?;
        let (head, note) = text.split_once("\n\n").ok_or(AddCheckpointError::Form)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(AddCheckpointError::OldSize)?;
        let old_size = decimal::parse(old).ok_or(AddCheckpointError::OldSize)?;
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() == MAX_PROOF {
                return Err(AddCheckpointError::Proof);
            }
            proof.push(base64::decode_array(line).ok_or(AddCheckpointError::Proof)?);
        }
        let note = Note::parse(note.as_bytes()).map_err(AddCheckpointError::Note)?;
        Ok(AddCheckpoint { old_size, proof, note })
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", base64::encode(hash)))?;
        write!(f, "\n{}", self.note)
    }
}

/// The size in the answer of a witness that knows another one than it was told.
pub fn parse_size(body: &[u8]) -> Option<u64> {
    decimal::parse(core::str::from_utf8(body).ok()?.strip_suffix('\n')?)
}

/// That answer.
pub fn format_size(size: u64) -> String {
    alloc::format!("{size}\n")
}

/// The lines in the answer of a witness that has cosigned; nothing about them is verified.
///
/// # Errors
/// [`NoteError`] for what is no signature line, or no line at all.
pub fn parse_lines(body: &[u8]) -> Result<Vec<SignatureLine>, NoteError> {
    let text = core::str::from_utf8(body).map_err(|_| NoteError::Text)?;
    text.strip_suffix('\n').ok_or(NoteError::SignatureLine)?.split('\n').map(SignatureLine::parse).collect()
}

/// Why bytes are not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddCheckpointError {
    /// Longer than [`MAX_LEN`].
    TooLong,
    /// Not text, or without a blank line.
    Form,
    /// The first line is not `old` and a size.
    OldSize,
    /// A line is not the base64 of 32 bytes, or there are more than [`MAX_PROOF`].
    Proof,
    /// What follows the blank line is no note.
    Note(NoteError),
}

impl fmt::Display for AddCheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddCheckpointError::TooLong => "request is too long",
            AddCheckpointError::Form => "request has no blank line",
            AddCheckpointError::OldSize => "request does not begin with the old size",
            AddCheckpointError::Proof => "request has a malformed proof",
            AddCheckpointError::Note(error) => return error.fmt(f),
        })
    }
}

impl core::error::Error for AddCheckpointError {}
