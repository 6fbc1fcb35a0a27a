//! What the core wants of a disk.

use alloc::vec::Vec;
use core::fmt;

use crate::path::ObjectPath;

/// The files of one ledger, to be read, also beside the one that writes.
pub trait Files {
    /// A whole file, `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn read(&self, path: &ObjectPath) -> Result<Option<Vec<u8>>, StoreError>;

    /// `len` bytes from `offset` on; `None` if there is no such file or it ends before.
    ///
    /// # Errors
    /// [`StoreError`].
    fn read_range(&self, path: &ObjectPath, offset: u64, len: u64) -> Result<Option<Vec<u8>>, StoreError>;

    /// How long a file is, `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn len(&self, path: &ObjectPath) -> Result<Option<u64>, StoreError>;

    /// All files of a folder and those below, in the order of their paths.
    ///
    /// # Errors
    /// [`StoreError`].
    fn list(&self, folder: Folder) -> Result<Vec<ObjectPath>, StoreError>;
}

/// The files of one ledger, to be written. Exactly one does that at a time.
///
/// A call that returns an error may have happened in part. After an error in [`Store::sync`], what was to be synced may be lost.
pub trait Store: Files {
    /// Makes files that never change. Each appears whole or not at all, and all are durable on return. One that is there with the same
    /// bytes is left as it is.
    ///
    /// # Errors
    /// [`StoreFault::Exists`] where there is one with other bytes: it stays.
    fn create(&mut self, objects: &[(ObjectPath, &[u8])]) -> Result<(), StoreError>;

    /// Makes a staged file appear under its own path as well; durable on return. One that is there with the same bytes is left as it is.
    ///
    /// # Errors
    /// [`StoreFault::Exists`] where there is one with other bytes.
    fn link(&mut self, staged: &ObjectPath, path: &ObjectPath) -> Result<(), StoreError>;

    /// Puts a file in the place of another or of none; whole or not at all, durable on return.
    ///
    /// # Errors
    /// [`StoreError`]; refused for what is write-once, but for a pack (disposal).
    fn replace(&mut self, path: &ObjectPath, bytes: &[u8]) -> Result<(), StoreError>;

    /// Adds bytes to a pack or a journal of exactly this length, made if the length is 0. Not durable before [`Store::sync`].
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreFault::Exists`] if it has another length or is sealed.
    fn append(&mut self, path: &ObjectPath, len: u64, bytes: &[u8]) -> Result<(), StoreError>;

    /// Makes what was appended durable, and the file's name too.
    ///
    /// # Errors
    /// [`StoreError`].
    fn sync(&mut self, path: &ObjectPath) -> Result<(), StoreError>;

    /// Cuts a pack or a journal back to this length; to nothing: it goes. Durable on return.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreFault::Exists`] if it is sealed and longer.
    fn cut(&mut self, path: &ObjectPath, len: u64) -> Result<(), StoreError>;

    /// Closes a pack for good: it can only be replaced from here on.
    ///
    /// # Errors
    /// [`StoreError`].
    fn seal(&mut self, path: &ObjectPath) -> Result<(), StoreError>;

    /// Takes a file away, if it is there; durable on return. For blobs that are disposed of and for what is not write-once.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remove(&mut self, path: &ObjectPath) -> Result<(), StoreError>;
}

/// The folders that are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    /// Every file there is.
    All,
    /// `journal/`.
    Journal,
    /// `keys/`.
    Keys,
    /// `tmp/`.
    Staged,
}

impl Folder {
    /// Whether a file lies in it.
    pub fn holds(self, path: &ObjectPath) -> bool {
        match self {
            Folder::All => true,
            Folder::Journal => matches!(path, ObjectPath::Journal(_)),
            Folder::Keys => matches!(path, ObjectPath::Key(_)),
            Folder::Staged => matches!(path, ObjectPath::Staged(..)),
        }
    }
}

/// Why a file could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// Which file.
    pub path: ObjectPath,
    /// What went wrong.
    pub fault: StoreFault,
    /// The operating system's number for it, where there is one.
    pub code: Option<i32>,
}

/// What can go wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// It is there, and is not what it should be: nothing was overwritten.
    Exists,
    /// It is not there.
    Missing,
    /// The disk is full.
    Full,
    /// Anything else.
    Failed,
}

impl StoreError {
    /// An error without a number.
    pub fn new(path: &ObjectPath, fault: StoreFault) -> StoreError {
        StoreError { path: path.clone(), fault, code: None }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            StoreFault::Exists => "is there already with other bytes",
            StoreFault::Missing => "is not there",
            StoreFault::Full => "does not fit on the disk",
            StoreFault::Failed => "cannot be read or written",
        };
        write!(f, "{} {what}", self.path)?;
        self.code.map_or(Ok(()), |code| write!(f, " (error {code})"))
    }
}

impl core::error::Error for StoreError {}
