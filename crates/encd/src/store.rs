//! The shard files of a data folder: how many, where, with which tables, and how far each has come.
//!
//! An enclave always hashes to the same shard, so the count is fixed when the folder is made. Beside each database stands a mark, a
//! number that the database counts up with every transaction: a database that is behind its mark is an older copy put back, and
//! writing to it would sign a second history (`docs/protocol.md`, Fencing).

use crate::config::StoreConfig;
use crate::folder::{Folder, sync_folder, write_durably};
use crate::sqlite::{self, open_writer};
use crate::stop::{Exit, StartError};
use crate::syncer::Progress;
use crate::upgrade;
use protocol::{EnclaveId, Json, json};
use rusqlite::Connection;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Tables of the host itself, in every shard.
const HOST_SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS host_alarms(enclave BLOB PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS host_alarms_at ON host_alarms(at);
    CREATE TABLE IF NOT EXISTS host_mark(id INTEGER PRIMARY KEY CHECK (id = 0), transactions INTEGER NOT NULL) STRICT;
    INSERT INTO host_mark(id, transactions) VALUES (0, 0) ON CONFLICT(id) DO NOTHING;";

const MARK: &str = "SELECT transactions FROM host_mark WHERE id = 0";
const ADVANCE_MARK: &str = "UPDATE host_mark SET transactions = transactions + 1 WHERE id = 0";

/// One shard, as found at start.
#[derive(Debug)]
pub struct ShardFile {
    /// Its database.
    pub path: PathBuf,
    /// The connection that writes it.
    pub writer: Connection,
    /// Its write-ahead log, which has to be synced; none where nothing outlives the process.
    pub log: Option<PathBuf>,
    /// Its mark.
    pub mark: Mark,
    /// How far its transactions have come.
    pub progress: Arc<Progress>,
}

/// How far a shard has come, kept outside its database.
#[derive(Debug)]
pub struct Mark {
    path: PathBuf,
    /// The database is behind, or was put back from a backup: it is not to be written to.
    pub rolled_back: bool,
}

/// What stands in a mark's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// So many transactions were durable.
    Reached(u64),
    /// The database was put back from a backup, which is an older copy by definition.
    Restored,
}

/// The text of a mark whose database was put back.
const RESTORED: &str = "restored";

/// Which shard an enclave is in, of so many.
pub fn shard_of(enclave: &EnclaveId, shards: usize) -> usize {
    let mut first = [0; 8];
    first.copy_from_slice(&enclave.0[..8]);
    let place = u64::from_be_bytes(first) % shards as u64;
    usize::try_from(place).expect("a remainder is smaller than its divisor, which is a usize")
}

/// Opens every shard of a folder, making what is not there.
pub fn open(folder: &Folder, config: &StoreConfig) -> Result<Vec<ShardFile>, StartError> {
    let data = folder.data();
    let count = shard_count(&data, config.shards)?;
    let writers = (0..count).map(|shard| open_database(&data, config, shard));
    // Nothing is upgraded unless all of it can be read.
    let writers = writers.collect::<Result<Vec<_>, _>>()?;
    let shards = writers.into_iter().enumerate();
    let files = shards.map(|(shard, writer)| open_shard(folder, writer, shard)).collect::<Result<_, _>>()?;
    // SQLite syncs the folder of a log that it makes and does not look at what comes of that.
    sync_folder(&data).map_err(|error| {
        StartError::new(
            Exit::Config,
            format!("the folder {} cannot be synced ({error}); check the disk", data.display()),
        )
    })?;
    Ok(files)
}

/// How many shards there are in a folder where a node has worked.
pub fn shards_in(data: &Path) -> Result<usize, StartError> {
    shard_count(data, 0)
}

/// The database of a shard.
pub fn shard_path(data: &Path, shard: usize) -> PathBuf {
    data.join(format!("shard-{shard}.db"))
}

fn open_database(data: &Path, config: &StoreConfig, shard: usize) -> Result<Connection, StartError> {
    let path = shard_path(data, shard);
    let writer = open_writer(&path, config).map_err(|error| cannot_open(&path, &error))?;
    upgrade::refuse_newer(&writer, &path)?;
    Ok(writer)
}

fn open_shard(folder: &Folder, writer: Connection, shard: usize) -> Result<ShardFile, StartError> {
    let path = shard_path(&folder.data(), shard);
    let mark_path = path.with_extension("mark");
    let unusable = |error: rusqlite::Error| cannot_open(&path, &error);
    if folder.is_temporary() {
        // Nothing of it outlives the process, so nothing has to reach a disk.
        writer.execute_batch("PRAGMA synchronous = OFF;").map_err(unusable)?;
    }
    upgrade::upgrade(&writer, &path)?;
    writer.execute_batch(HOST_SCHEMA).map_err(unusable)?;
    for statement in service::node::schema() {
        writer.execute_batch(statement).map_err(unusable)?;
    }
    let reached = transactions(&writer).map_err(unusable)?;
    let marked = read_mark(&mark_path)?;
    let rolled_back = marked.is_some_and(|marked| marked.is_ahead_of(reached));
    if rolled_back {
        tracing::error!(
            shard,
            "the database is an older copy: it is served, not written to; put the newest one back, or, where that is lost, see `encd resume-after-loss --help`"
        );
    }
    let log = (!folder.is_temporary()).then(|| path.with_extension("db-wal"));
    let mark = Mark { path: mark_path, rolled_back };
    Ok(ShardFile { path, writer, log, mark, progress: Arc::default() })
}

/// Transactions that a shard has seen.
pub fn transactions(connection: &Connection) -> rusqlite::Result<u64> {
    let count: i64 = connection.prepare_cached(MARK)?.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Counts the running transaction.
pub fn advance_mark(connection: &Connection) -> rusqlite::Result<()> {
    sqlite::execute(connection, ADVANCE_MARK)
}

impl Marked {
    /// Whether a database that has come so far is an older copy.
    pub fn is_ahead_of(self, reached: u64) -> bool {
        match self {
            Marked::Reached(marked) => marked > reached,
            Marked::Restored => true,
        }
    }
}

/// Marks a database as put back from a backup: no node writes to it until its operator decides.
pub fn mark_restored(database: &Path) -> io::Result<()> {
    write_durably(&database.with_extension("mark"), format!("{RESTORED}\n").as_bytes())
}

impl Mark {
    /// Marks the database as an older copy, as if it had been put back: somebody has seen more of what is in it.
    pub fn fence(&mut self) -> io::Result<()> {
        write_durably(&self.path, format!("{RESTORED}\n").as_bytes())?;
        self.rolled_back = true;
        Ok(())
    }

    /// States outside the database how far it has come.
    pub fn write(&self, transactions: u64) -> io::Result<()> {
        write_durably(&self.path, format!("{transactions}\n").as_bytes())
    }
}

/// What stands outside the database of how far it has come.
pub fn read_mark(path: &Path) -> Result<Option<Marked>, StartError> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim_end() == RESTORED => Ok(Some(Marked::Restored)),
        Ok(text) => match text.trim_end().parse() {
            Ok(mark) => Ok(Some(Marked::Reached(mark))),
            Err(_) => Err(damaged(path)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(_) => Err(damaged(path)),
    }
}

/// What stands in `node.json`; it is made with the configured count.
fn shard_count(data: &Path, configured: usize) -> Result<usize, StartError> {
    let path = data.join("node.json");
    match fs::read(&path) {
        Ok(text) => {
            let value = json::parse(&text, json::MAX_DEPTH).map_err(|_| damaged(&path))?;
            let count = value.member("shards").and_then(Json::as_uint).and_then(|count| usize::try_from(count).ok());
            count.filter(|count| *count > 0).ok_or_else(|| damaged(&path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = Json::object([("shards", Json::from(configured as u64))]).to_jcs();
            write_durably(&path, text.as_bytes()).map_err(|error| {
                StartError::new(Exit::Config, format!("{} cannot be written ({error}); check the disk", path.display()))
            })?;
            Ok(configured)
        }
        Err(_) => Err(damaged(&path)),
    }
}

fn cannot_open(path: &Path, error: &rusqlite::Error) -> StartError {
    StartError::new(
        Exit::Config,
        format!("the database {} cannot be opened ({error}); check the disk, or put a backup back", path.display()),
    )
}

fn damaged(path: &Path) -> StartError {
    StartError::new(
        Exit::Config,
        format!("the file {} is damaged or cannot be read; put it back from a backup", path.display()),
    )
}
