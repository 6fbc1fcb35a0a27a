//! Copies that are whole or absent: of a database that others may be writing to, of files, of folders.

use crate::folder::{make_private, sync_folder};
use crate::stop::{Exit, StartError};
use rusqlite::Connection;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
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

/// The files of a folder by name, none where it is not there, and no folders in it.
pub fn files_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        // What is staged is not there yet.
        if entry.file_type()?.is_file() && entry.path().extension().is_none_or(|extension| extension != "new") {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
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
            return Err(is_there(to));
        }
        let staged = staged_name(to)?;
        make_private(&staged).map_err(|error| cannot_write(&staged, &error))?;
        Ok(StagedFolder { staged, to: to.to_owned(), placed: false })
    }

    /// Where it is for the time being.
    pub fn path(&self) -> &Path {
        &self.staged
    }

    /// Writes all that is read into a file below it, on the disk and for this user only, with the folders above it. A file that is there is an error.
    pub fn put(&self, name: &str, from: &mut dyn Read) -> io::Result<()> {
        let path = self.staged.join(name);
        make_private(path.parent().expect("it lies in the staged folder"))?;
        let mut copy = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        io::copy(from, &mut copy)?;
        copy.sync_all()
    }

    /// Puts it in its place.
    pub fn place(mut self) -> Result<(), StartError> {
        let placed = sync_folders(&self.staged)
            .and_then(|()| fs::rename(&self.staged, &self.to))
            .and_then(|()| sync_folder(&folder_of(&self.to)));
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

/// A file that is put in its place whole, for this user only, or removed.
#[derive(Debug)]
pub struct StagedFile {
    file: File,
    staged: PathBuf,
    to: PathBuf,
    placed: bool,
}

impl StagedFile {
    /// Begins one beside its place, where nothing may be.
    pub fn begin(to: &Path) -> Result<StagedFile, StartError> {
        if to.symlink_metadata().is_ok() {
            return Err(is_there(to));
        }
        let staged = staged_name(to)?;
        let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&staged);
        let file = file.map_err(|error| cannot_write(&staged, &error))?;
        Ok(StagedFile { file, staged, to: to.to_owned(), placed: false })
    }

    /// Puts it in its place, on the disk; what has come there meanwhile is not written over.
    pub fn place(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        match renameat_with(CWD, &self.staged, CWD, &self.to, RenameFlags::NOREPLACE) {
            // A file system without such a rename may have links, which replace nothing either.
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::hard_link(&self.staged, &self.to)?;
                fs::remove_file(&self.staged)?;
            }
            renamed => renamed?,
        }
        self.placed = true;
        sync_folder(&folder_of(&self.to))
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.placed
            && let Err(error) = remove_if_there(&self.staged)
        {
            tracing::warn!(%error, "a staged file could not be removed");
        }
    }
}

/// Makes the names in a folder, and in those below it, durable.
fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(folder)
}

/// Where something stands before it is in its place.
fn staged_name(to: &Path) -> Result<PathBuf, StartError> {
    let mut name = to.file_name().ok_or_else(|| cannot_write(to, &"it has no name"))?.to_owned();
    name.push(format!(".staged-{}", std::process::id()));
    Ok(to.with_file_name(name))
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

fn is_there(to: &Path) -> StartError {
    StartError::new(Exit::Occupied, format!("{} is there already; name a place where nothing is", to.display()))
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
