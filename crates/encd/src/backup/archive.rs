//! A backup as one file: a tar archive of what would be in its folder, the list last, so that it can be written and read as a stream.

use super::list::{self, Counted, List, Row, damaged};
use crate::copy::{StagedFile, StagedFolder, cannot_write};
use crate::stop::StartError;
use std::collections::HashSet;
use std::io::{self, BufWriter, Read, StdoutLock, Write};
use std::path::Path;
use tar::{Builder, Entry, EntryType, Header};

/// Longest list: some hundred thousand files.
const MAX_LIST: u64 = 64 << 20;
/// Folders that a backup may have, each after the one that it is in.
const FOLDERS: [&str; 4] = ["data", "data/taken-up", "data/resumed", "keys"];
/// Bytes that are written at once.
const BUFFER: usize = 1 << 18;

/// An archive that is being written.
pub struct Archive {
    tar: Builder<Way>,
    folders: HashSet<&'static str>,
    taken_at: u64,
}

/// Where the bytes go.
enum Way {
    File(BufWriter<StagedFile>),
    Output(BufWriter<StdoutLock<'static>>),
}

impl Archive {
    /// Into a file that is in its place when the archive is whole. `taken_at_ms` is the time of all that is in it.
    ///
    /// # Errors
    /// Something is at the place, or nothing can be made there.
    pub fn to_file(to: &Path, taken_at_ms: u64) -> Result<Archive, StartError> {
        Ok(Archive::begin(Way::File(BufWriter::with_capacity(BUFFER, StagedFile::begin(to)?)), taken_at_ms))
    }

    /// To standard output.
    pub fn to_output(taken_at_ms: u64) -> Archive {
        Archive::begin(Way::Output(BufWriter::with_capacity(BUFFER, io::stdout().lock())), taken_at_ms)
    }

    fn begin(way: Way, taken_at_ms: u64) -> Archive {
        Archive { tar: Builder::new(way), folders: HashSet::new(), taken_at: taken_at_ms / 1000 }
    }

    /// Appends a file of so many bytes, with the folders above it.
    ///
    /// # Errors
    /// Also where there is less to be read: its length stands before it.
    pub fn append(&mut self, name: &str, from: &mut dyn Read, len: u64) -> io::Result<()> {
        for folder in FOLDERS {
            if Path::new(name).starts_with(folder) && self.folders.insert(folder) {
                let mut header = self.header(EntryType::Directory, 0o700, 0);
                self.tar.append_data(&mut header, folder, io::empty())?;
            }
        }
        let mut header = self.header(EntryType::Regular, 0o600, len);
        let mut limited = from.take(len);
        self.tar.append_data(&mut header, name, &mut limited)?;
        match limited.limit() {
            0 => Ok(()),
            _ => Err(io::Error::other(format!("{name} has become shorter meanwhile"))),
        }
    }

    /// Ends it with its list; a file is on the disk and in its place when this returns.
    pub fn finish(mut self, list: &str) -> io::Result<()> {
        self.append(list::NAME, &mut list.as_bytes(), list.len() as u64)?;
        match self.tar.into_inner()? {
            Way::File(file) => file.into_inner().map_err(io::IntoInnerError::into_error)?.place(),
            Way::Output(mut output) => output.flush(),
        }
    }

    fn header(&self, kind: EntryType, mode: u32, len: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(self.taken_at);
        header.set_size(len);
        header
    }
}

impl Write for Way {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Way::File(file) => file.write(bytes),
            Way::Output(output) => output.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Way::File(file) => file.flush(),
            Way::Output(output) => output.flush(),
        }
    }
}

/// Puts what is in an archive into a folder that nobody sees yet. All of it is as the archive's list says, and nothing else is in it, when this
/// returns.
///
/// # Errors
/// It ends before its list, is no such archive, or something in it is not as it was: [`crate::stop::Exit::Damaged`]. No room:
/// [`crate::stop::Exit::Occupied`].
pub fn unpack(from: impl Read, shown: &Path, into: &StagedFolder) -> Result<(), StartError> {
    let mut archive = tar::Archive::new(from);
    let (mut rows, mut listed): (Vec<Row>, Option<List>) = (Vec::new(), None);
    for entry in archive.entries().map_err(|_| damaged(shown))? {
        let entry = entry.map_err(|_| damaged(shown))?;
        let name = std::str::from_utf8(&entry.path_bytes()).map_err(|_| damaged(shown))?.to_owned();
        match entry.header().entry_type() {
            EntryType::Directory if FOLDERS.contains(&name.trim_end_matches('/')) => {}
            EntryType::Regular if listed.is_some() => return Err(damaged(&shown.join(name))),
            EntryType::Regular if name == list::NAME => listed = Some(read_list(entry).ok_or_else(|| damaged(shown))?),
            EntryType::Regular if is_known(&name) => rows.push(unpack_one(entry, name, shown, into)?),
            _ => return Err(damaged(&shown.join(name))),
        }
    }
    let list = listed.ok_or_else(|| damaged(shown))?;
    list.verify(shown, &rows)?;
    // Each that is listed is there once, so that as many are no others.
    if list.rows.len() == rows.len() { Ok(()) } else { Err(damaged(shown)) }
}

fn unpack_one(entry: Entry<'_, impl Read>, name: String, shown: &Path, into: &StagedFolder) -> Result<Row, StartError> {
    let len = entry.size();
    let mut counted = Counted::new(entry);
    into.put(&name, &mut counted).map_err(|error| cannot_write(&into.path().join(&name), &error))?;
    let row = counted.row(name);
    if row.bytes == len { Ok(row) } else { Err(damaged(&shown.join(row.file))) }
}

fn read_list(entry: Entry<'_, impl Read>) -> Option<List> {
    let mut text = Vec::new();
    entry.take(MAX_LIST).read_to_end(&mut text).ok()?;
    List::parse(&text)
}

/// Whether a file of this name may be in a backup: a plain name in one of its folders.
fn is_known(name: &str) -> bool {
    let Some((folder, own)) = name.rsplit_once('/') else { return false };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    FOLDERS.contains(&folder) && !own.is_empty() && !own.starts_with('.') && own.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_backup_has_is_unpacked() {
        for name in ["data/shard-0.db", "data/node.json", "data/resumed/00ff", "keys/node.key"] {
            assert!(is_known(name), "{name}");
        }
        for name in [
            "",
            "/",
            "keys/",
            "node.key",
            "/etc/passwd",
            "../x",
            "keys/../../x",
            "keys/..",
            "keys/.",
            "/keys/x",
            "keys//x",
            "./keys/x",
            "data/shard 0.db",
            "data/other/x",
            "data/taken-up/x/y",
        ] {
            assert!(!is_known(name), "{name}");
        }
    }
}
