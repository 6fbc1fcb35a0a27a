//! `encd backup` and `encd restore`: a data folder as it was at one moment, and back.
//!
//! A backup is a folder of the same form, so that it can be looked at with the same tools, with a list of what was put into it:
//!
//! ```text
//! backup.json          when, which version of the tables, and each database with its length and SHA-256
//! data/node.json       as in the data folder
//! data/shard-0.db …    each as of one moment, between two transactions
//! data/heads.db        the heads log; data/witnesses.db what witnesses have said
//! data/taken-up/…      which Migrates were taken up
//! data/resumed/…       which logs were made live after a loss
//! keys/…               unless they were left out
//! ```
//!
//! The databases are copied first and what stands outside them after: each row that rests on a key or a note then has it.

use crate::clock::Clock;
use crate::config::StoreConfig;
use crate::copy::{StagedFolder, cannot_write, copy_database, copy_file, copy_files};
use crate::folder::{make_private, write_durably};
use crate::sqlite::open_reader;
use crate::stop::{Exit, StartError};
use crate::{store, upgrade};
use protocol::ids::hex;
use protocol::{Json, json};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Folders of notes beside the databases.
const NOTES: &[&str] = &["taken-up", "resumed"];
/// Databases beside the shards.
const BESIDE: &[&str] = &["heads.db", "witnesses.db"];
/// The list of what is in a backup.
const LIST: &str = "backup.json";

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Databases.
    pub shards: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Key files.
    pub keys: usize,
}

/// Copies a data folder, in which a node may be working, to a place where nothing is. `progress` hears how many shards are done, of how many.
///
/// # Errors
/// With nothing left at the place.
pub fn back_up(
    folder: &Path,
    to: &Path,
    (config, with_keys): (&StoreConfig, bool),
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Copied, StartError> {
    let data = folder.join("data");
    let shards = store::shards_in(&data)?;
    let staged = StagedFolder::begin(to)?;
    let failed = |error: io::Error| cannot_write(to, &error);
    let inner = staged.path().join("data");
    make_private(&inner).map_err(failed)?;
    let mut copied = Copied { shards, ..Copied::default() };
    let mut rows = Vec::with_capacity(shards);
    for shard in 0..shards {
        progress(shard, shards);
        let (from, copy) = (store::shard_path(&data, shard), store::shard_path(&inner, shard));
        let unreadable = |error: rusqlite::Error| cannot_read(&from, &error);
        let connection = open_reader(&from, config).map_err(unreadable)?;
        upgrade::refuse_newer(&connection, &from)?;
        connection.execute_batch("PRAGMA query_only = 0;").map_err(unreadable)?;
        copy_database(&connection, &copy)?;
        let reached = open_reader(&copy, config).and_then(|copy| store::transactions(&copy)).map_err(unreadable)?;
        let bytes = fs::metadata(&copy).map_err(failed)?.len();
        copied.bytes += bytes;
        rows.push(Json::object([
            ("bytes", Json::from(bytes)),
            ("file", Json::from(format!("data/shard-{shard}.db"))),
            ("sha256", Json::from(digest(&copy).map_err(failed)?)),
            ("transactions", Json::from(reached)),
        ]));
    }
    progress(shards, shards);
    for name in BESIDE {
        let from = data.join(name);
        if from.is_file() {
            let connection = open_reader(&from, config).map_err(|error| cannot_read(&from, &error))?;
            connection.execute_batch("PRAGMA query_only = 0;").map_err(|error| cannot_read(&from, &error))?;
            copy_database(&connection, &inner.join(name))?;
        }
    }
    copy_file(&data.join("node.json"), &inner.join("node.json")).map_err(failed)?;
    for notes in NOTES {
        copy_files(&data.join(notes), &inner.join(notes)).map_err(failed)?;
    }
    if with_keys {
        copied.keys = copy_files(&folder.join("keys"), &staged.path().join("keys")).map_err(failed)?;
    }
    let list = Json::object([
        ("keys", Json::Bool(with_keys)),
        ("program", Json::from(env!("CARGO_PKG_VERSION"))),
        ("shards", Json::Array(rows)),
        ("taken_at", Json::from(Clock::system().now())),
        ("version", Json::from(upgrade::VERSION as u64)),
    ]);
    write_durably(&staged.path().join(LIST), format!("{}\n", list.to_jcs()).as_bytes()).map_err(failed)?;
    File::open(&inner).and_then(|folder| folder.sync_all()).map_err(failed)?;
    staged.place()?;
    Ok(copied)
}

/// Puts a backup, or a copy of a folder that no node worked in, where nothing is. No node writes to what was put back until its operator decides
/// (`crate::resume`): a backup is an older copy by definition.
///
/// # Errors
/// With nothing left at the place: there is no backup, it is damaged, or a newer program has made it.
pub fn put_back(backup: &Path, to: &Path, config: &StoreConfig) -> Result<Copied, StartError> {
    let data = backup.join("data");
    if !data.join("node.json").is_file() {
        let line = format!("{} is no backup: it has no data/node.json", backup.display());
        return Err(StartError::new(Exit::NoInput, line));
    }
    let shards = store::shards_in(&data)?;
    check_list(backup, shards)?;
    let staged = StagedFolder::begin(to)?;
    let failed = |error: io::Error| cannot_write(to, &error);
    let inner = staged.path().join("data");
    make_private(&inner).map_err(failed)?;
    let mut copied = Copied { shards, ..Copied::default() };
    for shard in 0..shards {
        let (from, copy) = (store::shard_path(&data, shard), store::shard_path(&inner, shard));
        copy_file(&from, &copy).map_err(|error| cannot_read(&from, &error))?;
        // A copied folder may have what its node had not yet moved into the database.
        let log = from.with_extension("db-wal");
        if log.is_file() {
            copy_file(&log, &copy.with_extension("db-wal")).map_err(failed)?;
        }
        let connection = open_reader(&copy, config).map_err(|error| cannot_read(&from, &error))?;
        upgrade::refuse_newer(&connection, &from)?;
        copied.bytes += fs::metadata(&copy).map_err(failed)?.len();
        store::mark_restored(&copy).map_err(failed)?;
    }
    for name in BESIDE {
        for ending in ["", "-wal"] {
            let from = data.join(format!("{name}{ending}"));
            if from.is_file() {
                copy_file(&from, &inner.join(format!("{name}{ending}"))).map_err(failed)?;
            }
        }
    }
    // The heads log has gone on since: what was put back of it is served and not extended, until its operator removes the mark.
    write_durably(&inner.join("heads.mark"), format!("{}\n", u64::MAX).as_bytes()).map_err(failed)?;
    copy_file(&data.join("node.json"), &inner.join("node.json")).map_err(failed)?;
    for notes in NOTES {
        copy_files(&data.join(notes), &inner.join(notes)).map_err(failed)?;
    }
    copied.keys = copy_files(&backup.join("keys"), &staged.path().join("keys")).map_err(failed)?;
    File::open(&inner).and_then(|folder| folder.sync_all()).map_err(failed)?;
    staged.place()?;
    Ok(copied)
}

/// Each database is the one that was backed up. A folder without a list was copied by hand: `encd check` says what it holds.
fn check_list(backup: &Path, shards: usize) -> Result<(), StartError> {
    let path = backup.join(LIST);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot_read(&path, &error)),
    };
    let damaged = |what: &Path| {
        let line = format!("{} is not as it was backed up: use another backup", what.display());
        StartError::new(Exit::Damaged, line)
    };
    let list = json::parse(&text, json::MAX_DEPTH).map_err(|_| damaged(&path))?;
    let Some(Json::Array(rows)) = list.member("shards") else { return Err(damaged(&path)) };
    if rows.len() != shards {
        return Err(damaged(&path));
    }
    for (shard, row) in rows.iter().enumerate() {
        let database = store::shard_path(&backup.join("data"), shard);
        let found = digest(&database).map_err(|_| damaged(&database))?;
        if row.member("sha256").and_then(Json::as_text) != Some(&found) {
            return Err(damaged(&database));
        }
    }
    Ok(())
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hasher, mut chunk) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&hasher.finalize())),
            len => hasher.update(&chunk[..len]),
        }
    }
}

fn cannot_read(path: &Path, error: &dyn std::fmt::Display) -> StartError {
    StartError::new(Exit::NoInput, format!("{} cannot be read ({error})", path.display()))
}
