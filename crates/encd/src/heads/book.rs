//! The heads log on disk: entries, complete nodes, the newest checkpoint. One file beside the shards, written by one task.
//!
//! Beside it stands a mark, the size of the newest checkpoint: a file that is behind its mark is an older copy put back, and going on from
//! it would sign a second history. It is served, not written to.

use crate::folder::{Folder, write_durably};
use crate::keys::KeyStore;
use crate::stop::{Exit, StartError, file_failed};
use merkle::Hash;
use merkle::log::{NodeId, Nodes};
use protocol::EnclaveId;
use protocol::head::{HEADS_ENTRY_LEN, heads_entry};
use rusqlite::{Connection, ErrorCode, OptionalExtension};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tlog::note::Note;
use tlog::tile::{TileKind, TilePath};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS entries(
        idx INTEGER PRIMARY KEY, name BLOB NOT NULL, tree_size INTEGER NOT NULL, entry BLOB NOT NULL) STRICT;
    CREATE UNIQUE INDEX IF NOT EXISTS entries_name ON entries(name, tree_size);
    CREATE TABLE IF NOT EXISTS nodes(
        level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, idx)) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS head(
        id INTEGER PRIMARY KEY CHECK (id = 0), size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL) STRICT;";

/// The heads log.
pub struct Book {
    connection: Mutex<Connection>,
    mark: PathBuf,
    rolled_back: bool,
}

/// One closing of one enclave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Whose.
    pub enclave: EnclaveId,
    /// Closed bundles then.
    pub tree_size: u64,
    /// Root over them.
    pub root: Hash,
}

/// The newest signed head of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadsHead {
    /// Entries.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
    /// The signed checkpoint, without cosignatures.
    pub note: String,
}

/// Where an enclave's head stands, and that it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The enclave's log's size.
    pub tree_size: u64,
    /// Its root.
    pub root: Hash,
    /// Its place in the heads log.
    pub leaf_index: u64,
    /// Leaf to root.
    pub audit_path: Vec<Hash>,
}

/// What came of appending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is durable.
    Yes,
    /// Nothing has changed: the disk is full, or the log is an older copy.
    No,
}

impl Book {
    /// Opens the log of a folder, and makes it, with a checkpoint of nothing, where there is none.
    pub fn open(folder: &Folder, keys: &KeyStore) -> Result<Book, StartError> {
        let path = folder.data().join("heads.db");
        let mark = path.with_extension("mark");
        let unusable = |error: &dyn std::fmt::Display| {
            let line = format!(
                "the heads log {} cannot be used ({error}); check the disk, or put a backup back",
                path.display()
            );
            StartError::new(Exit::Config, line)
        };
        let connection = Connection::open(&path).map_err(|error| unusable(&error))?;
        connection.execute_batch(SCHEMA).map_err(|error| unusable(&error))?;
        let marked = read_mark(&mark).map_err(|error| unusable(&error))?;
        let size = newest(&connection).map_err(|error| unusable(&error))?.map_or(0, |head| head.size);
        let rolled_back = marked.is_some_and(|marked| marked > size);
        if rolled_back {
            tracing::error!(
                "the heads log is older than its mark: it is served, not written to; put the newest copy back, or, to go on from this one for good, remove the mark file and start again"
            );
        }
        let book = Book { connection: Mutex::new(connection), mark, rolled_back };
        if newest(&book.lock()).map_err(|error| unusable(&error))?.is_none() && !rolled_back {
            book.write(&[], keys).map_err(|error| unusable(&error))?;
        }
        Ok(book)
    }

    /// The largest size of an enclave's log that stands in this one; 0 if none, `None` if it cannot be told.
    pub fn known(&self, enclave: &EnclaveId) -> Option<u64> {
        const SQL: &str = "SELECT max(tree_size) FROM entries WHERE name = ?1";
        let name = name_of(enclave);
        let known = self.lock().prepare_cached(SQL).and_then(|mut known| {
            known.query_row([&name[..]], |row| row.get::<_, Option<i64>>(0)).map(|size| size.map_or(0, unsigned))
        });
        known.inspect_err(|error| tracing::error!(%error, "the heads log cannot be read")).ok()
    }

    /// Appends closings, signs the checkpoint over all, and makes both durable before anybody sees them.
    pub fn append(&self, closings: &[Closing], keys: &KeyStore) -> Appended {
        if self.rolled_back {
            return Appended::No;
        }
        match self.write(closings, keys) {
            Ok(size) => {
                if let Err(error) = write_durably(&self.mark, format!("{size}\n").as_bytes()) {
                    tracing::error!(%error, "the mark of the heads log could not be written");
                }
                Appended::Yes
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                tracing::error!("the disk is full: the heads log is not extended");
                Appended::No
            }
            Err(error) => file_failed("heads.db", &error),
        }
    }

    /// Whether it is an older copy, which is not extended.
    pub fn is_rolled_back(&self) -> bool {
        self.rolled_back
    }

    /// Makes it one, for good: somebody has seen a larger log.
    pub fn fence(&mut self) -> io::Result<()> {
        write_durably(&self.mark, format!("{}\n", u64::MAX).as_bytes())?;
        self.rolled_back = true;
        Ok(())
    }

    /// The newest head.
    pub fn head(&self) -> rusqlite::Result<Option<HeadsHead>> {
        newest(&self.lock())
    }

    /// The path from an older size to a newer one; none where the log is not that large.
    pub fn consistency(&self, from: u64, to: u64) -> rusqlite::Result<Option<Vec<Hash>>> {
        let connection = self.lock();
        if newest(&connection)?.is_none_or(|head| to > head.size) || from > to {
            return Ok(None);
        }
        merkle::log::consistency_path(&Stored(&connection), from, to).map(Some).map_err(nodes_error)
    }

    /// A tile of the log, if it fills it.
    pub fn tile(&self, path: &TilePath) -> rusqlite::Result<Option<Vec<u8>>> {
        let connection = self.lock();
        if newest(&connection)?.is_none_or(|head| !path.is_filled_by(head.size)) {
            return Ok(None);
        }
        let first = path.index() * u64::from(tlog::tile::FULL_WIDTH);
        let (level, range) = match path.kind() {
            TileKind::Entries => (None, (signed(first), i64::from(path.width()))),
            TileKind::Hashes(level) => (Some(i64::from(level) * 8), (signed(first), i64::from(path.width()))),
        };
        let mut rows: Vec<Vec<u8>> = Vec::new();
        let mut take = |row: &rusqlite::Row<'_>| row.get(0).map(|bytes| rows.push(bytes));
        match level {
            None => connection
                .prepare_cached("SELECT entry FROM entries WHERE idx >= ?1 AND idx < ?1 + ?2 ORDER BY idx")?
                .query_map(range, &mut take)?
                .collect::<rusqlite::Result<()>>()?,
            Some(level) => connection
                .prepare_cached("SELECT hash FROM nodes WHERE level = ?3 AND idx >= ?1 AND idx < ?1 + ?2 ORDER BY idx")?
                .query_map((range.0, range.1, level), &mut take)?
                .collect::<rusqlite::Result<()>>()?,
        }
        let body = match path.kind() {
            TileKind::Entries => tlog::entry_bundle::encode(&rows).expect("an entry of 72 bytes is short enough"),
            TileKind::Hashes(_) => rows.concat(),
        };
        Ok(Some(body))
    }

    /// The newest head of an enclave in the heads log of this size, or the one of the size that is asked for.
    pub fn standing(&self, enclave: &EnclaveId, of: Option<u64>, size: u64) -> rusqlite::Result<Option<Standing>> {
        const SQL: &str = "SELECT idx, tree_size, entry FROM entries
            WHERE name = ?1 AND idx < ?2 AND (?3 IS NULL OR tree_size = ?3) ORDER BY tree_size DESC LIMIT 1";
        let connection = self.lock();
        let name = name_of(enclave);
        let found = connection
            .prepare_cached(SQL)?
            .query_row((&name[..], signed(size), of.map(signed)), |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, [u8; HEADS_ENTRY_LEN]>(2)?))
            })
            .optional()?;
        let Some((leaf_index, tree_size, entry)) = found else { return Ok(None) };
        let (leaf_index, tree_size) = (unsigned(leaf_index), unsigned(tree_size));
        let audit_path = merkle::log::inclusion_path(&Stored(&connection), leaf_index, size).map_err(nodes_error)?;
        let root = entry.last_chunk().copied().expect("the last 32 of 72 bytes");
        Ok(Some(Standing { tree_size, root, leaf_index, audit_path }))
    }

    fn write(&self, closings: &[Closing], keys: &KeyStore) -> rusqlite::Result<u64> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let mut size = newest(&transaction)?.map_or(0, |head| head.size);
        for closing in closings {
            let entry = heads_entry(&closing.enclave, closing.tree_size, &closing.root);
            let completed = merkle::log::append(&Stored(&transaction), size, merkle::log::leaf_hash(&entry));
            for (id, hash) in completed.map_err(nodes_error)? {
                transaction.prepare_cached("INSERT INTO nodes(level, idx, hash) VALUES (?1, ?2, ?3)")?.execute((
                    i64::from(id.level),
                    signed(id.index),
                    &hash[..],
                ))?;
            }
            transaction
                .prepare_cached("INSERT INTO entries(idx, name, tree_size, entry) VALUES (?1, ?2, ?3, ?4)")?
                .execute((signed(size), &name_of(&closing.enclave)[..], signed(closing.tree_size), &entry[..]))?;
            size += 1;
        }
        let root = merkle::log::root(&Stored(&transaction), size).map_err(nodes_error)?;
        let note: Note = keys.sign_heads(size, root);
        transaction
            .prepare_cached("INSERT OR REPLACE INTO head(id, size, root, note) VALUES (0, ?1, ?2, ?3)")?
            .execute((signed(size), &root[..], note.to_string()))?;
        transaction.commit()?;
        Ok(size)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A transaction that a panic has left is rolled back when it is dropped.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log's complete nodes.
struct Stored<'a>(&'a Connection);

impl Nodes for Stored<'_> {
    type Error = rusqlite::Error;

    fn node(&self, id: NodeId) -> rusqlite::Result<Hash> {
        let mut find = self.0.prepare_cached("SELECT hash FROM nodes WHERE level = ?1 AND idx = ?2")?;
        find.query_row((i64::from(id.level), signed(id.index)), |row| row.get(0))
    }
}

fn newest(connection: &Connection) -> rusqlite::Result<Option<HeadsHead>> {
    let mut find = connection.prepare_cached("SELECT size, root, note FROM head WHERE id = 0")?;
    let head =
        find.query_row([], |row| Ok(HeadsHead { size: unsigned(row.get(0)?), root: row.get(1)?, note: row.get(2)? }));
    head.optional()
}

/// What stands in an entry for an enclave's id.
fn name_of(enclave: &EnclaveId) -> Hash {
    let entry = heads_entry(enclave, 0, &[0; 32]);
    entry.first_chunk().copied().expect("the first 32 of 72 bytes")
}

fn nodes_error(error: merkle::log::Error<rusqlite::Error>) -> rusqlite::Error {
    match error {
        merkle::log::Error::Nodes(error) => error,
        merkle::log::Error::OutOfRange => rusqlite::Error::QueryReturnedNoRows,
    }
}

fn read_mark(path: &std::path::Path) -> io::Result<Option<u64>> {
    match fs::read_to_string(path) {
        Ok(text) => text.trim_end().parse().map(Some).map_err(|_| io::ErrorKind::InvalidData.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
