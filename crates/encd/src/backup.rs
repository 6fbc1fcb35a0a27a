//! `encd backup`: a data folder as it was at one moment.
//!
//! A backup is a folder of the same form, so that it can be looked at with the same tools, with a list of what was put into it:
//!
//! ```text
//! data/shard-0.db …    each as of one moment, between two transactions
//! data/heads.db        the heads log; data/witnesses.db what witnesses have said
//! data/node.json       as in the data folder
//! data/taken-up/…      which Migrates were taken up
//! data/resumed/…       which logs were made live after a loss
//! keys/…               unless they were left out
//! backup.json          when, which version of the tables, and each file with its length and SHA-256
//! ```
//!
//! Or it is one file, or a stream, with the same in it (`archive`). The databases are copied first and what stands outside them after: each row
//! that rests on a key or a note then has it.

pub mod archive;
pub mod list;

use crate::clock::Clock;
use crate::config::StoreConfig;
use crate::copy::{StagedFolder, cannot_write, copy_database, files_in};
use crate::interrupt::Interrupt;
use crate::sqlite::open_reader;
use crate::stop::{Exit, StartError};
use crate::{store, upgrade};
use archive::Archive;
use list::{Counted, List, Row};
use rusqlite::Connection;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Folders of notes beside the databases.
pub const NOTES: &[&str] = &["taken-up", "resumed"];
/// Databases beside the shards.
pub const BESIDE: &[&str] = &["heads.db", "witnesses.db"];

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

/// Where a backup goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A folder, made by it.
    Folder(PathBuf),
    /// A tar archive.
    File(PathBuf),
    /// A tar archive on standard output.
    Output,
}

impl Target {
    /// What a path means: `-` is standard output, a name that ends in `.tar` a file, any other a folder.
    pub fn of(path: &Path) -> Target {
        if path == Path::new("-") {
            Target::Output
        } else if path.extension().is_some_and(|extension| extension == "tar") {
            Target::File(path.to_owned())
        } else {
            Target::Folder(path.to_owned())
        }
    }

    /// For messages.
    fn shown(&self) -> &Path {
        match self {
            Target::Folder(path) | Target::File(path) => path,
            Target::Output => Path::new("standard output"),
        }
    }
}

/// A backup that is being made.
struct Parcel<'a> {
    form: Form,
    target: &'a Target,
    list: List,
    store: &'a StoreConfig,
    interrupt: &'a Interrupt,
}

enum Form {
    Folder(StagedFolder),
    /// With a folder where one database at a time is copied to, because its length stands before it.
    Archive(Archive, StagedFolder),
}

/// Copies a data folder, in which a node may be working, to a place where nothing is. `progress` hears how many shards are done, of how many.
///
/// # Errors
/// With nothing left at the place.
pub fn back_up(
    folder: &Path,
    target: &Target,
    (store, with_keys): (&StoreConfig, bool),
    (interrupt, progress): (&Interrupt, &mut dyn FnMut(usize, usize)),
) -> Result<Copied, StartError> {
    let data = folder.join("data");
    let shards = store::shards_in(&data)?;
    let list = List { rows: Vec::with_capacity(shards), keys: with_keys };
    let mut parcel = Parcel { form: Form::begin(target)?, target, list, store, interrupt };
    let mut copied = Copied { shards, ..Copied::default() };
    for shard in 0..shards {
        progress(shard, shards);
        let from = store::shard_path(&data, shard);
        copied.bytes += parcel.database(&from, &format!("data/shard-{shard}.db"), true)?;
    }
    progress(shards, shards);
    for name in BESIDE {
        let from = data.join(name);
        if from.is_file() {
            parcel.database(&from, &format!("data/{name}"), false)?;
        }
    }
    parcel.file(&data.join("node.json"), "data/node.json")?;
    for notes in NOTES {
        parcel.files(&data.join(notes), &format!("data/{notes}"))?;
    }
    if with_keys {
        copied.keys = parcel.files(&folder.join("keys"), "keys")?;
    }
    parcel.finish()?;
    Ok(copied)
}

impl Form {
    fn begin(target: &Target) -> Result<Form, StartError> {
        let now = Clock::system().now();
        let beside = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(".database");
            StagedFolder::begin(Path::new(&name))
        };
        match target {
            Target::Folder(path) => StagedFolder::begin(path).map(Form::Folder),
            Target::File(path) => Ok(Form::Archive(Archive::to_file(path, now)?, beside(path)?)),
            Target::Output => {
                let folder = beside(&std::env::temp_dir().join("encd-backup"))?;
                Ok(Form::Archive(Archive::to_output(now), folder))
            }
        }
    }
}

impl Parcel<'_> {
    /// A database as of one moment. Answers how long it is.
    fn database(&mut self, from: &Path, name: &str, is_shard: bool) -> Result<u64, StartError> {
        let unreadable = |error: rusqlite::Error| cannot_read(from, &error);
        let mut connection = open_reader(from, self.store).map_err(unreadable)?;
        if is_shard {
            upgrade::refuse_newer(&connection, from)?;
        }
        self.interrupt.watch(&mut connection).map_err(unreadable)?;
        connection.execute_batch("PRAGMA query_only = 0;").map_err(unreadable)?;
        let copy = match &self.form {
            Form::Folder(folder) => folder.path().join(name),
            Form::Archive(_, folder) => folder.path().join("one.db"),
        };
        copy_database(&connection, &copy)?;
        let reached = |copy: Connection| store::transactions(&copy);
        let reached = is_shard.then(|| open_reader(&copy, self.store).and_then(reached)).transpose();
        let transactions = reached.map_err(unreadable)?;
        let row = match &self.form {
            Form::Folder(_) => digest(&copy, name, self.interrupt).map_err(|error| self.failed(&error))?,
            Form::Archive(..) => {
                let row = self.put(&copy, name)?;
                fs::remove_file(&copy).map_err(|error| self.failed(&error))?;
                row
            }
        };
        let bytes = row.bytes;
        self.list.rows.push(Row { transactions, ..row });
        Ok(bytes)
    }

    fn file(&mut self, from: &Path, name: &str) -> Result<(), StartError> {
        let row = self.put(from, name)?;
        self.list.rows.push(row);
        Ok(())
    }

    /// The files of a folder. Answers how many.
    fn files(&mut self, from: &Path, name: &str) -> Result<usize, StartError> {
        let files = files_in(from).map_err(|error| cannot_read(from, &error))?;
        for file in &files {
            let own = file.file_name().and_then(|own| own.to_str());
            let own = own.ok_or_else(|| cannot_read(file, &"its name is no text"))?;
            self.file(file, &format!("{name}/{own}"))?;
        }
        Ok(files.len())
    }

    fn put(&mut self, from: &Path, name: &str) -> Result<Row, StartError> {
        let open = || File::open(from).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (len, file) = open().map_err(|error| cannot_read(from, &error))?;
        let mut counted = Counted::new(self.interrupt.reading(file));
        let put = match &mut self.form {
            Form::Folder(folder) => folder.put(name, &mut counted),
            Form::Archive(archive, _) => archive.append(name, &mut counted, len),
        };
        put.map_err(|error| self.failed(&error))?;
        Ok(counted.row(name))
    }

    fn finish(self) -> Result<(), StartError> {
        let failed = |error: io::Error| cannot_write(self.target.shown(), &error);
        let list = self.list.to_text();
        self.interrupt.check().map_err(failed)?;
        match self.form {
            Form::Folder(folder) => {
                folder.put(list::NAME, &mut list.as_bytes()).map_err(failed)?;
                folder.place()
            }
            Form::Archive(archive, _) => archive.finish(&list).map_err(failed),
        }
    }

    fn failed(&self, error: &io::Error) -> StartError {
        cannot_write(self.target.shown(), error)
    }
}

fn digest(path: &Path, name: &str, interrupt: &Interrupt) -> io::Result<Row> {
    let mut counted = Counted::new(interrupt.reading(File::open(path)?));
    io::copy(&mut counted, &mut io::sink())?;
    Ok(counted.row(name))
}

/// Something that is to be copied cannot be.
pub fn cannot_read(path: &Path, error: &dyn std::fmt::Display) -> StartError {
    StartError::new(Exit::NoInput, format!("{} cannot be read ({error})", path.display()))
}
