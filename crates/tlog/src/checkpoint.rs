//! The head of a log as the text of a note (C2SP tlog-checkpoint): origin, size and root, a line each.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::note::Note;
use crate::vkey::{SignatureError, Vkey};
use crate::{base64, decimal};

/// Which log a checkpoint is of: one line, not empty, without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

impl Origin {
    /// Reads an origin.
    ///
    /// # Errors
    /// [`CheckpointError::Origin`].
    pub fn parse(text: &str) -> Result<Origin, CheckpointError> {
        if is_line(text) { Ok(Origin(text.to_owned())) } else { Err(CheckpointError::Origin) }
    }

    /// The origin as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The head of a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// Which log.
    pub origin: Origin,
    /// How many entries.
    pub size: u64,
    /// The root over them.
    pub root: [u8; 32],
    extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extension lines, the only kind to be made here: cosignatures need not cover them.
    pub fn new(origin: Origin, size: u64, root: [u8; 32]) -> Checkpoint {
        Checkpoint { origin, size, root, extensions: Vec::new() }
    }

    /// The lines behind the root, not empty, of no meaning here.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// Reads the text of a note.
    ///
    /// # Errors
    /// Any [`CheckpointError`] but those about signature and log.
    pub fn parse(text: &str) -> Result<Checkpoint, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Form)?.split('\n');
        let mut line = || lines.next().ok_or(CheckpointError::Form);
        let (origin, size, root) = (line()?, line()?, line()?);
        let origin = Origin::parse(origin)?;
        let size = decimal::parse(size).ok_or(CheckpointError::Size)?;
        let root = base64::decode_array(root).ok_or(CheckpointError::Root)?;
        let extensions: Vec<String> = lines.map(ToOwned::to_owned).collect();
        if extensions.iter().all(|line| is_line(line)) {
            Ok(Checkpoint { origin, size, root, extensions })
        } else {
            Err(CheckpointError::Extension)
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, base64::encode(&self.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// The checkpoint in a note, if it is one of the log `origin` and signed by `log_key` (Ed25519).
///
/// # Errors
/// Any [`CheckpointError`].
pub fn verify_checkpoint(note: &Note, origin: &Origin, log_key: &Vkey) -> Result<Checkpoint, CheckpointError> {
    log_key.verify_note(note).map_err(CheckpointError::Signature)?;
    let checkpoint = Checkpoint::parse(note.text())?;
    if checkpoint.origin == *origin { Ok(checkpoint) } else { Err(CheckpointError::OtherLog) }
}

/// Why a note is not the checkpoint of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointError {
    /// Less than three lines, or the last without a newline.
    Form,
    /// The first line is empty or has a control character in it.
    Origin,
    /// The second line is not a decimal number below 2^64 without sign and leading zeros.
    Size,
    /// The third line is not the base64 of 32 bytes.
    Root,
    /// A line behind the root is empty or has a control character in it.
    Extension,
    /// It is not signed by the key of the log.
    Signature(SignatureError),
    /// It is of another log.
    OtherLog,
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CheckpointError::Form => "checkpoint has less than three lines",
            CheckpointError::Origin => "checkpoint has a malformed origin",
            CheckpointError::Size => "checkpoint has a malformed size",
            CheckpointError::Root => "checkpoint has a malformed root",
            CheckpointError::Extension => "checkpoint has a malformed extension line",
            CheckpointError::Signature(error) => return error.fmt(f),
            CheckpointError::OtherLog => "checkpoint is of another log",
        })
    }
}

impl core::error::Error for CheckpointError {}

fn is_line(text: &str) -> bool {
    !text.is_empty() && !text.bytes().any(|byte| byte < b' ')
}
