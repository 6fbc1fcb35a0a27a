//! One request to one witness, and what its answer means.

use crate::outbound::client::{Client, NoAnswer, Posted};
use bytes::Bytes;
use merkle::Hash;
use std::fmt;
use tlog::add_checkpoint::{AddCheckpoint, MAX_PROOF, parse_lines, parse_size};
use tlog::checkpoint::Checkpoint;
use tlog::note::{Note, SignatureLine};
use tlog::vkey::Vkey;

/// A checkpoint that witnesses see: signed by the log, by nobody else.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The note.
    pub note: Note,
    /// What it states.
    pub checkpoint: Checkpoint,
}

/// Asking one witness about one checkpoint.
pub struct Asking<'a> {
    /// Who sends.
    pub client: &'a Client,
    /// The witness's key.
    pub vkey: &'a Vkey,
    /// Its submission prefix.
    pub url: &'a str,
    /// The size that it is thought to have cosigned last.
    pub old: u64,
}

/// Why there is no cosignature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// Nobody answers.
    NoAnswer(NoAnswer),
    /// It answers with this status.
    Status(u16),
    /// It says that it has cosigned a larger tree: either it lies, or this log is an older copy of itself.
    Ahead(u64),
    /// It says one size and then another.
    Wavering,
    /// The lines that it gives do not verify.
    Invalid,
    /// The log could not prove that it continues what the witness knows.
    NoProof,
}

impl Shown {
    /// Reads a checkpoint of this node's own.
    pub fn parse(note: &[u8]) -> Option<Shown> {
        let note = Note::parse(note).ok()?;
        let checkpoint = Checkpoint::parse(note.text()).ok()?;
        Some(Shown { note, checkpoint })
    }

    /// The note with further lines below its own, as many as a note may have.
    pub fn with(&self, lines: impl IntoIterator<Item = SignatureLine>) -> Note {
        let mut note = self.note.clone();
        for line in lines {
            if let Err(error) = note.push(line) {
                tracing::warn!(%error, "a cosignature finds no room below the checkpoint");
            }
        }
        note
    }
}

impl Asking<'_> {
    /// Sends the checkpoint with a proof from the old size; answers the verified line, or nothing where the witness has told another size,
    /// which is now the old one.
    ///
    /// # Errors
    /// [`Unsigned`].
    pub async fn once(&mut self, shown: &Shown, proof: Vec<Hash>) -> Result<Option<SignatureLine>, Unsigned> {
        let (status, body) = self.send(shown, proof).await?;
        match status {
            200 => {
                let lines = parse_lines(&body).map_err(|_| Unsigned::Invalid)?;
                let own = |line: &SignatureLine| self.vkey.verify_cosignature(shown.note.text(), line).is_ok();
                lines.into_iter().find(own).map(Some).ok_or(Unsigned::Invalid)
            }
            409 => match parse_size(&body) {
                Some(size) if size > shown.checkpoint.size => Err(Unsigned::Ahead(size)),
                // From 0 to its size, once; or back, where the witness has lost what it knew.
                Some(size) if size > self.old || size == 0 && self.old > 0 => {
                    self.old = size;
                    Ok(None)
                }
                Some(_) => Err(Unsigned::Wavering),
                None => Err(Unsigned::Status(409)),
            },
            status => Err(Unsigned::Status(status)),
        }
    }

    /// The size that the witness has cosigned last: there is no other way to ask than to say that it was [`Asking::old`]. It is to be 0: a witness that has
    /// never seen the log then cosigns the checkpoint, and any other tells the size.
    ///
    /// # Errors
    /// [`Unsigned`].
    pub async fn known(&self, shown: &Shown) -> Result<u64, Unsigned> {
        match self.send(shown, Vec::new()).await? {
            (200, _) => Ok(shown.checkpoint.size),
            (409, body) => parse_size(&body).ok_or(Unsigned::Status(409)),
            (status, _) => Err(Unsigned::Status(status)),
        }
    }

    async fn send(&self, shown: &Shown, proof: Vec<Hash>) -> Result<(u16, Vec<u8>), Unsigned> {
        if proof.len() > MAX_PROOF {
            return Err(Unsigned::NoProof);
        }
        let request = AddCheckpoint { old_size: self.old, proof, note: shown.note.clone() };
        let url = format!("{}/add-checkpoint", self.url.trim_end_matches('/'));
        let posted = Posted { content_type: "text/plain; charset=utf-8", body: Bytes::from(request.to_string()) };
        self.client.send(&url, posted).await.map_err(Unsigned::NoAnswer)
    }
}

impl fmt::Display for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsigned::NoAnswer(why) => write!(f, "no answer ({why:?})"),
            Unsigned::Status(404) => f.write_str("it does not know this log (404)"),
            Unsigned::Status(403) => f.write_str("it does not know this log's key (403)"),
            Unsigned::Status(status) => write!(f, "status {status}"),
            Unsigned::Ahead(size) => {
                write!(
                    f,
                    "it says that it has seen a tree of {size}: if it has, this node stands on an older copy of its data"
                )
            }
            Unsigned::Wavering => f.write_str("it tells one size and then another"),
            Unsigned::Invalid => f.write_str("what it gives does not verify by its key"),
            Unsigned::NoProof => f.write_str("the log could not be proved to continue what it knows"),
        }
    }
}
