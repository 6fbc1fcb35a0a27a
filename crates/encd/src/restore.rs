//! `encd restore`: a backup where nothing is. No node writes to what was put back until its operator decides (`crate::resume`): a backup is an older
//! copy by definition.

use crate::backup::archive::unpack;
use crate::backup::list::{self, Counted, List, Row, damaged};
use crate::backup::{BESIDE, Copied, NOTES, cannot_read};
use crate::config::StoreConfig;
use crate::copy::{StagedFolder, cannot_write, files_in};
use crate::folder::write_durably;
use crate::interrupt::Interrupt;
use crate::sqlite::open_reader;
use crate::stop::{Exit, StartError};
use crate::witnesses::recall::expect_of_heads;
use crate::{store, takeup, upgrade};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Where a backup comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder that `encd backup` made, or a copy of one that no node worked in.
    Folder(PathBuf),
    /// An archive.
    File(PathBuf),
    /// An archive on standard input.
    Input,
}

impl Source {
    /// What a path means: `-` is standard input, a file an archive, anything else a folder.
    pub fn of(path: &Path) -> Source {
        if path == Path::new("-") {
            Source::Input
        } else if path.is_file() {
            Source::File(path.to_owned())
        } else {
            Source::Folder(path.to_owned())
        }
    }
}

/// Puts a backup where nothing is.
///
/// # Errors
/// With nothing left at the place: there is no backup, it is damaged, or a newer program has made it.
pub fn put_back(source: &Source, to: &Path, config: &StoreConfig, interrupt: &Interrupt) -> Result<Copied, StartError> {
    let staged = lay_out(source, to, interrupt)?;
    let failed = |error: io::Error| cannot_write(to, &error);
    let data = staged.path().join("data");
    let shards = store::shards_in(&data)?;
    let keys = files_in(&staged.path().join("keys")).map_err(failed)?.len();
    let mut copied = Copied { shards, bytes: 0, keys };
    for shard in 0..shards {
        let path = store::shard_path(&data, shard);
        let connection = open_reader(&path, config).map_err(|error| cannot_read(&path, &error))?;
        upgrade::refuse_newer(&connection, &path)?;
        copied.bytes += fs::metadata(&path).map_err(failed)?.len();
        store::mark_restored(&path).map_err(failed)?;
    }
    // The heads log has gone on since: what was put back of it is served and not extended, until its operator removes the mark.
    write_durably(&data.join("heads.mark"), format!("{}\n", u64::MAX).as_bytes()).map_err(failed)?;
    expect_of_heads(&data).map_err(failed)?;
    takeup::count_as_done(&data).map_err(failed)?;
    interrupt.check().map_err(failed)?;
    staged.place()?;
    Ok(copied)
}

/// A backup's files, as they were backed up, where nobody sees them yet.
///
/// # Errors
/// As [`put_back`].
pub fn lay_out(source: &Source, to: &Path, interrupt: &Interrupt) -> Result<StagedFolder, StartError> {
    let staged = match source {
        Source::Folder(backup) => {
            if !backup.join("data/node.json").is_file() {
                let line = format!("{} is no backup: it has no data/node.json", backup.display());
                return Err(StartError::new(Exit::NoInput, line));
            }
            let staged = StagedFolder::begin(to)?;
            from_folder(backup, &staged, interrupt)?;
            staged
        }
        Source::File(path) => {
            let file = File::open(path).map_err(|error| cannot_read(path, &error))?;
            let staged = StagedFolder::begin(to)?;
            unpack(interrupt.reading(file), path, &staged)?;
            staged
        }
        Source::Input => {
            let staged = StagedFolder::begin(to)?;
            unpack(interrupt.reading(io::stdin().lock()), Path::new("standard input"), &staged)?;
            staged
        }
    };
    let shown = match source {
        Source::Folder(path) | Source::File(path) => path,
        Source::Input => Path::new("standard input"),
    };
    let node = staged.path().join("data/node.json");
    if !node.is_file() {
        return Err(damaged(&shown.join("data/node.json")));
    }
    Ok(staged)
}

/// Copies a folder, and holds the copies against its list. A folder without a list was copied by hand: `encd check` says what it holds.
fn from_folder(backup: &Path, staged: &StagedFolder, interrupt: &Interrupt) -> Result<(), StartError> {
    let mut rows: Vec<Row> = Vec::new();
    let mut take = |from: &Path, name: String| -> Result<(), StartError> {
        let file = File::open(from).map_err(|error| cannot_read(from, &error))?;
        let mut counted = Counted::new(interrupt.reading(file));
        staged.put(&name, &mut counted).map_err(|error| cannot_write(&staged.path().join(&name), &error))?;
        rows.push(counted.row(name));
        Ok(())
    };
    let data = backup.join("data");
    let shards = store::shards_in(&data)?;
    let databases = (0..shards).map(|shard| (format!("shard-{shard}.db"), true));
    for (name, required) in databases.chain(BESIDE.iter().map(|name| ((*name).to_owned(), false))) {
        // A copied folder may have what its node had not yet moved into the database.
        for (ending, required) in [("", required), ("-wal", false)] {
            let name = format!("{name}{ending}");
            let from = data.join(&name);
            if required || from.is_file() {
                take(&from, format!("data/{name}"))?;
            }
        }
    }
    take(&data.join("node.json"), "data/node.json".into())?;
    for folder in NOTES.iter().map(|notes| format!("data/{notes}")).chain(["keys".to_owned()]) {
        let place = backup.join(&folder);
        for file in files_in(&place).map_err(|error| cannot_read(&place, &error))? {
            let own = file.file_name().and_then(|own| own.to_str());
            let own = own.ok_or_else(|| cannot_read(&file, &"its name is no text"))?;
            take(&file, format!("{folder}/{own}"))?;
        }
    }
    let path = backup.join(list::NAME);
    match fs::read(&path) {
        Ok(text) => List::parse(&text).ok_or_else(|| damaged(&path))?.verify(backup, &rows),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot_read(&path, &error)),
    }
}
