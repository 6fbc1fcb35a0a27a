//! What is noted of a move, so that whoever is interrupted goes on.

use super::Stage;
use crate::error::Error;
use crate::folder::replace_file;
use protocol::fields::{Fields, wrong};
use protocol::json::{self, MAX_DEPTH};
use protocol::{Json, PublicKey, Rejection};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A move as it is noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// The node that hands the enclave over.
    pub from: String,
    /// The node that takes it up.
    pub to: String,
    /// That node's key.
    pub key: PublicKey,
    /// What was done last.
    pub stage: Stage,
}

impl Journal {
    /// The move that is noted in a folder.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Damaged`].
    pub fn read(folder: &Path) -> Result<Option<Journal>, Error> {
        let path = place(folder);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(Error::Store { path, cause }),
        };
        let value = json::parse(&bytes, MAX_DEPTH).map_err(Rejection::from);
        value.and_then(Journal::from_json).map(Some).map_err(|_| Error::Damaged(path))
    }

    pub(super) fn note(&self, folder: &Path) -> Result<(), Error> {
        replace_file(&place(folder), self.to_json().to_jcs().as_bytes())
    }

    /// Forgets the move and its snapshot.
    pub(super) fn forget(folder: &Path) -> Result<(), Error> {
        // The note goes last: as long as it is there, there is something to go on with.
        for path in [snapshot(folder), place(folder)] {
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(cause) if cause.kind() == ErrorKind::NotFound => {}
                Err(cause) => return Err(Error::Store { path, cause }),
            }
        }
        Ok(())
    }

    fn to_json(&self) -> Json {
        Json::object([
            ("from", Json::from(self.from.as_str())),
            ("key", Json::from(self.key.hex())),
            ("stage", Json::from(self.stage.name())),
            ("to", Json::from(self.to.as_str())),
        ])
    }

    fn from_json(value: Json) -> Result<Journal, Rejection> {
        let mut fields = Fields::of(value)?;
        let stage = fields.text("stage")?;
        let journal = Journal {
            from: fields.text("from")?,
            to: fields.text("to")?,
            key: PublicKey(fields.hex("key")?),
            stage: Stage::named(&stage).ok_or(wrong("stage"))?,
        };
        fields.finish()?;
        Ok(journal)
    }
}

/// Where the log lies that is given to the new node.
pub(super) fn snapshot(folder: &Path) -> PathBuf {
    folder.join("migrate.enc")
}

fn place(folder: &Path) -> PathBuf {
    folder.join("migrate.json")
}
