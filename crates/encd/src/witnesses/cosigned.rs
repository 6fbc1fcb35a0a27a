//! Cosignatures on disk: the newest line of each witness for each log, and the checkpoint that each log publishes.

use super::WitnessesConfig;
use super::ask::Shown;
use crate::folder::Folder;
use crate::stop::{Exit, StartError};
use protocol::EnclaveId;
use protocol::head::checkpoint_origin;
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tlog::checkpoint::Checkpoint;
use tlog::note::{Note, SignatureLine};
use tlog::vkey::Vkey;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS cosignatures(
        origin TEXT NOT NULL, witness TEXT NOT NULL, size INTEGER NOT NULL, line TEXT NOT NULL,
        PRIMARY KEY (origin, witness)) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS published(origin TEXT PRIMARY KEY, note TEXT NOT NULL) STRICT, WITHOUT ROWID;";

/// What witnesses have signed, and what is shown of it.
pub struct Cosigned {
    connection: Mutex<Connection>,
    /// Origins of the logs that are witnessed; all others publish what they have.
    witnessed: BTreeSet<String>,
    fail_closed: bool,
}

impl Cosigned {
    /// Opens the file of a folder. `heads`: the origin of the heads log.
    pub fn open(folder: &Folder, config: &WitnessesConfig, heads: &str) -> Result<Cosigned, StartError> {
        let path = folder.data().join("witnesses.db");
        let connection = Connection::open(&path).and_then(|connection| {
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        });
        let connection = connection.map_err(|error| {
            StartError::new(Exit::Config, format!("{} cannot be used ({error}); check the disk", path.display()))
        })?;
        let mut witnessed = BTreeSet::new();
        if config.policy_file.is_some() {
            let ids = config.enclaves.iter().filter_map(|id| EnclaveId::parse(id).ok());
            witnessed.extend(ids.map(|id| checkpoint_origin(&id)));
            witnessed.extend(config.heads.then(|| heads.to_owned()));
        }
        Ok(Cosigned { connection: Mutex::new(connection), witnessed, fail_closed: config.fail_closed })
    }

    /// What stands for a log's newest checkpoint when it is asked for: itself where nobody is to cosign it, else the one that was published
    /// last; none where witnesses have to agree first and have not yet.
    pub fn published(&self, newest: &str) -> rusqlite::Result<Option<String>> {
        let origin = newest.split('\n').next().unwrap_or("");
        if !self.witnessed.contains(origin) {
            return Ok(Some(newest.to_owned()));
        }
        let note = self.row(origin)?;
        Ok(note.or_else(|| (!self.fail_closed).then(|| newest.to_owned())))
    }

    /// Lines that witnesses have given for a checkpoint of this size. Whether they are of its text, their keys say.
    pub fn lines(&self, shown: &Shown) -> Vec<SignatureLine> {
        const SQL: &str = "SELECT line FROM cosignatures WHERE origin = ?1 AND size = ?2";
        let lines = || -> rusqlite::Result<Vec<String>> {
            let connection = self.lock();
            let mut find = connection.prepare_cached(SQL)?;
            let rows = find.query_map((shown.checkpoint.origin.as_str(), size(shown)), |row| row.get(0))?;
            rows.collect()
        };
        let lines = lines().unwrap_or_else(|error| {
            tracing::error!(%error, "kept cosignatures cannot be read");
            Vec::new()
        });
        lines.iter().filter_map(|line| SignatureLine::parse(line).ok()).collect()
    }

    /// The size that a witness has cosigned last, as far as is known here; 0 if none.
    pub fn size_of(&self, shown: &Shown, witness: &Vkey) -> u64 {
        const SQL: &str = "SELECT size FROM cosignatures WHERE origin = ?1 AND witness = ?2 AND size <= ?3";
        let connection = self.lock();
        let known = connection.prepare_cached(SQL).and_then(|mut find| {
            let params = (shown.checkpoint.origin.as_str(), witness.to_string(), size(shown));
            find.query_row(params, |row| row.get::<_, i64>(0)).optional()
        });
        // A witness that is told a wrong size says the right one.
        known.ok().flatten().and_then(|size| u64::try_from(size).ok()).unwrap_or(0)
    }

    /// Keeps a verified line.
    pub fn keep(&self, shown: &Shown, witness: &Vkey, line: &SignatureLine) {
        const SQL: &str = "INSERT OR REPLACE INTO cosignatures(origin, witness, size, line) VALUES (?1, ?2, ?3, ?4)";
        let params = (shown.checkpoint.origin.as_str(), witness.to_string(), size(shown), line.to_string());
        if let Err(error) = self.lock().execute(SQL, params) {
            tracing::error!(%error, "a cosignature could not be kept; it is asked for again after a restart");
        }
    }

    /// Makes a checkpoint the one that its log publishes; never a smaller one than before, nor the same with fewer lines.
    pub fn publish(&self, shown: &Shown, note: &Note) {
        const SQL: &str = "INSERT OR REPLACE INTO published(origin, note) VALUES (?1, ?2)";
        let origin = shown.checkpoint.origin.as_str();
        if let Ok(Some(before)) = self.row(origin)
            && supersedes(&before, shown.checkpoint.size, note)
        {
            return;
        }
        if let Err(error) = self.lock().execute(SQL, (origin, note.to_string())) {
            tracing::error!(%error, "a cosigned checkpoint could not be published");
        }
    }

    fn row(&self, origin: &str) -> rusqlite::Result<Option<String>> {
        let connection = self.lock();
        let mut find = connection.prepare_cached("SELECT note FROM published WHERE origin = ?1")?;
        find.query_row([origin], |row| row.get(0)).optional()
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // Each statement is a transaction of its own: a panic leaves nothing half done.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a published note is of a larger tree, or of the same with as many lines.
fn supersedes(before: &str, size: u64, note: &Note) -> bool {
    let Ok(before) = Note::parse(before.as_bytes()) else { return false };
    let Ok(stated) = Checkpoint::parse(before.text()) else { return false };
    stated.size > size || stated.size == size && before.signatures().len() >= note.signatures().len()
}

fn size(shown: &Shown) -> i64 {
    i64::try_from(shown.checkpoint.size).unwrap_or(i64::MAX)
}
