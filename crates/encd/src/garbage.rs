//! `encd gc`: makes a stopped node's folder as small as what it holds.

use crate::check::store_failed;
use crate::clock::Clock;
use crate::config::Config;
use crate::folder::Folder;
use crate::keys::KeyStore;
use crate::sqlite::{Access, Capabilities, Effects, SqlRuntime};
use crate::stop::{Exit, StartError};
use crate::{store, upgrade};
use rusqlite::Connection;
use service::recover;
use service::runtime::Fault;
use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rows of state pages that no answer needed.
    pub rows: u64,
    /// Files that were never put in their place.
    pub files: usize,
    /// Copies of databases from before an upgrade.
    pub copies: usize,
    /// Bytes of the data folder before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
}

/// Sweeps the folder of a node that does not run; `copies`: also what was kept from before upgrades.
pub fn run(config: &Config, copies: bool, progress: &mut dyn FnMut(usize, usize)) -> Result<Swept, StartError> {
    Folder::locate(config)?;
    let folder = Folder::open(config)?;
    let data = folder.data();
    let failed =
        |error: io::Error| StartError::new(Exit::Config, format!("{} cannot be swept ({error})", data.display()));
    let mut swept = Swept { bytes_before: size(&data).map_err(failed)?, ..Swept::default() };
    let capabilities = Capabilities { keys: Arc::new(KeyStore::ephemeral()?), clock: Clock::system() };
    let files = store::open(&folder, &config.store)?;
    let shards = files.len();
    for (shard, file) in files.into_iter().enumerate() {
        progress(shard, shards);
        // An older copy that was put back is evidence of what was lost: it stays as it is until it is decided on.
        if !file.mark.rolled_back {
            swept.rows += sweep(&file.writer, &capabilities)?;
        }
    }
    progress(shards, shards);
    for folder in [data.clone(), folder.keys(), data.join("taken-up"), data.join("resumed")] {
        swept.files += remove_staged(&folder).map_err(failed)?;
    }
    if copies {
        for version in 1..=upgrade::VERSION {
            let kept = data.join(format!("before-{version}"));
            if kept.is_dir() {
                fs::remove_dir_all(&kept).map_err(failed)?;
                swept.copies += 1;
            }
        }
    }
    swept.bytes_after = size(&data).map_err(failed)?;
    Ok(swept)
}

fn sweep(writer: &Connection, capabilities: &Capabilities) -> Result<u64, StartError> {
    let failed = |error: rusqlite::Error| {
        let line = format!("a database could not be swept ({error}); it is as it was, look at the disk");
        StartError::new(Exit::Storage, line)
    };
    let effects = RefCell::new(Effects::default());
    let rt = SqlRuntime::new(writer, capabilities, Access::Write, &effects);
    writer.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    let rows = recover::enclaves(&rt).and_then(|enclaves| {
        enclaves.iter().try_fold(0, |rows, enclave| Ok::<u64, Fault>(rows + recover::sweep(&rt, enclave)?))
    });
    let rows = rows.map_err(store_failed)?;
    writer.execute_batch("COMMIT; VACUUM; PRAGMA wal_checkpoint(TRUNCATE);").map_err(failed)?;
    Ok(rows)
}

/// Removes what a crash has left of files that were to be put in their place.
fn remove_staged(folder: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut removed = 0;
    for entry in entries {
        let path: PathBuf = entry?.path();
        if path.is_file() && path.extension().is_some_and(|extension| extension == "new") {
            fs::remove_file(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Bytes of a folder's files, and of those in its folders.
fn size(folder: &Path) -> io::Result<u64> {
    fs::read_dir(folder)?.try_fold(0, |sum, entry| {
        let entry = entry?;
        let held = if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
        Ok(sum + held)
    })
}
