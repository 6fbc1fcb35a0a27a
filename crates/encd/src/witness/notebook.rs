//! What a witness has cosigned: the largest tree of each log. Checked and replaced in one transaction, durable before it is answered.

use crate::folder::Folder;
use crate::stop::{Exit, StartError};
use merkle::Hash;
use protocol::ids::hex;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use sha2::{Digest, Sha256};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tlog::note::Note;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS cosigned(
        origin TEXT PRIMARY KEY, path TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, root BLOB NOT NULL,
        note TEXT NOT NULL) STRICT, WITHOUT ROWID;";

/// The notebook.
pub struct Notebook {
    connection: Mutex<Connection>,
}

/// A tree of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Entries, below 2^63.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

/// What came of noting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noted<R> {
    /// It is durable.
    Yes,
    /// The judge said no; nothing has changed.
    Refused(R),
}

impl Notebook {
    /// Opens the notebook of a folder.
    pub fn open(folder: &Folder) -> Result<Notebook, StartError> {
        let path = folder.data().join("witness.db");
        let connection = Connection::open(&path).and_then(|connection| {
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        });
        let connection = connection.map_err(|error| {
            let line = format!("{} cannot be used ({error}); check the disk, or put a backup back", path.display());
            StartError::new(Exit::Config, line)
        })?;
        Ok(Notebook { connection: Mutex::new(connection) })
    }

    /// Lets `judge` see the tree cosigned last, and notes the new one if it agrees.
    pub fn note<R>(
        &self,
        origin: &str,
        tree: &Tree,
        note: &Note,
        judge: impl FnOnce(Option<Tree>) -> Result<(), R>,
    ) -> rusqlite::Result<Noted<R>> {
        const NOTE: &str =
            "INSERT OR REPLACE INTO cosigned(origin, path, size, root, note) VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known = transaction.query_row("SELECT size, root FROM cosigned WHERE origin = ?1", [origin], |row| {
            Ok(Tree { size: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(u64::MAX), root: row.get(1)? })
        });
        if let Err(refused) = judge(known.optional()?) {
            return Ok(Noted::Refused(refused));
        }
        let size = i64::try_from(tree.size).expect("a size that was judged is below 2^63");
        transaction.execute(NOTE, (origin, path_of(origin), size, &tree.root[..], note.to_string()))?;
        transaction.commit()?;
        Ok(Noted::Yes)
    }

    /// The newest cosigned checkpoint of the log whose origin has this SHA-256, in lower-case hex.
    pub fn note_of(&self, path: &str) -> rusqlite::Result<Option<String>> {
        let find = "SELECT note FROM cosigned WHERE path = ?1";
        self.lock().query_row(find, [path], |row| row.get(0)).optional()
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A transaction that a panic has left is rolled back when it is dropped.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn path_of(origin: &str) -> String {
    hex(&<[u8; 32]>::from(Sha256::digest(origin.as_bytes())))
}
