//! Copies that are whole or absent: of a database that others may be writing to, of files, of folders.

use crate::folder::make_private;
use crate::stop::{Exit, StartError};
use rusqlite::Connection;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Copies a database as it is at one moment, whoever writes to it meanwhile, without the pages that it has freed. The copy is on the disk, for this user
/// only, when this returns; a copy that failed is not there.
pub fn copy_database(connection: &Connection, to: &Path) -> Result<(), StartError> {
    let failed = |error: &dyn std::fmt::Display| cannot_write(to, error);
    let folder = to.parent().expect("a database stands in a folder");
    make_private(folder).map_err(|error| failed(&error))?;
    let staged = to.with_extension("new");
    let copied = (|| {
        remove_if_there(&staged).map_err(|error| failed(&error))?;
        let path = staged.to_str().ok_or_else(|| failed(&"its name is no text"))?;
        connection.execute("VACUUM INTO ?1", [path]).map_err(|error| failed(&error))?;
        make_durable(&staged).map_err(|error| failed(&error))?;
        fs::rename(&staged, to).and_then(|()| File::open(folder)?.sync_all()).map_err(|error| failed(&error))
    })();
    if copied.is_err()
        && let Err(error) = remove_if_there(&staged)
    {
        tracing::warn!(%error, "what was copied of a database could not be removed");
    }
    copied
}

/// Copies a file, on the disk and for this user only when this returns; a file that is there is an error.
pub fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut copy = OpenOptions::new().create_new(true).write(true).mode(0o600).open(to)?;
    io::copy(&mut source, &mut copy)?;
    copy.sync_all()
}

/// Copies the files of a folder, none where it is not there, and no folders in it. Answers how many.
pub fn copy_files(from: &Path, to: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    make_private(to)?;
    let mut copied = 0;
    for entry in entries {
        let entry = entry?;
        // What is staged is not there yet.
        if entry.file_type()?.is_file() && entry.path().extension().is_none_or(|extension| extension != "new") {
            copy_file(&entry.path(), &to.join(entry.file_name()))?;
            copied += 1;
        }
    }
    File::open(to)?.sync_all()?;
    Ok(copied)
}

/// A folder that is put in its place whole, or removed.
#[derive(Debug)]
pub struct StagedFolder {
    staged: PathBuf,
    to: PathBuf,
    placed: bool,
}

impl StagedFolder {
    /// Begins one beside its place, where nothing but an empty folder may be.
    pub fn begin(to: &Path) -> Result<StagedFolder, StartError> {
        let occupied = fs::read_dir(to).map(|mut entries| entries.next().is_some()).unwrap_or_else(|_| to.exists());
        if occupied {
            let line = format!("{} is there already; name a place where nothing is", to.display());
            return Err(StartError::new(Exit::Occupied, line));
        }
        let name = to.file_name().ok_or_else(|| cannot_write(to, &"it has no name"))?;
        let mut staged_name = name.to_owned();
        staged_name.push(format!(".staged-{}", std::process::id()));
        let staged = to.with_file_name(staged_name);
        make_private(&staged).map_err(|error| cannot_write(&staged, &error))?;
        Ok(StagedFolder { staged, to: to.to_owned(), placed: false })
    }

    /// Where it is for the time being.
    pub fn path(&self) -> &Path {
        &self.staged
    }

    /// Puts it in its place.
    pub fn place(mut self) -> Result<(), StartError> {
        let parent = match self.to.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        let placed = File::open(&self.staged)
            .and_then(|folder| folder.sync_all())
            .and_then(|()| fs::rename(&self.staged, &self.to))
            .and_then(|()| File::open(parent)?.sync_all());
        placed.map_err(|error| cannot_write(&self.to, &error))?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        if !self.placed
            && let Err(error) = fs::remove_dir_all(&self.staged)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a staged folder could not be removed");
        }
    }
}

/// A file or folder that cannot be made.
pub fn cannot_write(path: &Path, error: &dyn std::fmt::Display) -> StartError {
    let line = format!("{} cannot be written ({error}); nothing is left of it", path.display());
    StartError::new(Exit::Occupied, line)
}

fn make_durable(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    File::open(path)?.sync_all()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
