//! A proof that an entry is in a log, as a file (C2SP tlog-proof): its place, the audit path, and a checkpoint, to be checked offline.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::note::{Note, NoteError};
use crate::{base64, decimal};

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// The most hashes of an audit path.
pub const MAX_PATH: usize = 63;

/// A proof. Nothing about it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Something that the log adds and nothing vouches for.
    pub extra: Option<Vec<u8>>,
    /// The entry's place.
    pub index: u64,
    /// The audit path, leaf to root.
    pub path: Vec<[u8; 32]>,
    /// The checkpoint, with its cosignatures.
    pub note: Note,
}

/// Why bytes are not a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// Not text, another first line, or no blank line.
    Form,
    /// `extra` is not base64.
    Extra,
    /// There is no `index` with a number.
    Index,
    /// A line is not the base64 of 32 bytes, or there are more than [`MAX_PATH`].
    Path,
    /// What follows the blank line is no note.
    Note(NoteError),
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProofError::Form => "not the text of a proof",
            ProofError::Extra => "proof has a malformed extra line",
            ProofError::Index => "proof has no index",
            ProofError::Path => "proof has a malformed path",
            ProofError::Note(error) => return error.fmt(f),
        })
    }
}

impl core::error::Error for ProofError {}

impl Proof {
    /// Reads a proof.
    ///
    /// # Errors
    /// Any [`ProofError`].
    pub fn parse(bytes: &[u8]) -> Result<Proof, ProofError> {
        let text = core::str::from_utf8(bytes).map_err(|_| ProofError::Form)?;
        let (head, note) = text.split_once("\n\n").ok_or(ProofError::Form)?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(ProofError::Form);
        }
        let extra = match lines.next_if(|line| line.starts_with("extra ")) {
            Some(line) => Some(base64::decode(&line["extra ".len()..]).ok_or(ProofError::Extra)?),
            None => None,
        };
        let index = lines.next().and_then(|line| decimal::parse(line.strip_prefix("index ")?));
        let index = index.ok_or(ProofError::Index)?;
        let path: Option<Vec<[u8; 32]>> = lines.map(base64::decode_array).collect();
        let path = path.filter(|path| path.len() <= MAX_PATH).ok_or(ProofError::Path)?;
        let note = Note::parse(note.as_bytes()).map_err(ProofError::Note)?;
        Ok(Proof { extra, index, path, note })
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            let extra: String = base64::encode(extra);
            writeln!(f, "extra {extra}")?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", base64::encode(hash)))?;
        write!(f, "\n{}", self.note)
    }
}
