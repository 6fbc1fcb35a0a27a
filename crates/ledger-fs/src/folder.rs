//! A ledger's folder: files that are written once.
//!
//! A write-once file is written under `tmp/`, synced, made read-only, and linked to its place, which fails if anything is there; then the folder
//! is synced. A file that is replaced is written and synced the same way and renamed. Packs and journals are appended to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ledger::path::ObjectPath;
use ledger::store::{Files, Folder, Store, StoreError, StoreFault};

/// What begins the names of files that are being written.
const UNFINISHED: &str = "new-";
/// What is not the core's business: the lock, the derived index, the audit ledger.
const OTHERS: [&str; 4] = ["lock", "index", "audit", "anchors"];

/// A ledger's folder, to be read.
#[derive(Clone, Debug)]
pub struct FolderFiles {
    root: PathBuf,
}

/// A ledger's folder, to be written by this process alone.
#[derive(Debug)]
pub struct FolderStore {
    files: FolderFiles,
    /// Held for as long as this lives; the system lets go of it with the process.
    _lock: File,
    /// Packs and journals that were written to.
    appended: BTreeMap<ObjectPath, File>,
    /// Folders whose names are known to be durable.
    folders: BTreeSet<PathBuf>,
    next: u64,
}

/// Why a folder could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process writes to it.
    Locked(PathBuf),
    /// A file or folder cannot be used.
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OpenError::Locked(path) => write!(f, "{}: another process has it open", path.display()),
            OpenError::Io(path, cause) => write!(f, "{}: {cause}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

impl FolderFiles {
    /// The folder at this path.
    pub fn new(root: impl Into<PathBuf>) -> FolderFiles {
        FolderFiles { root: root.into() }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a file is.
    pub fn path(&self, path: &ObjectPath) -> PathBuf {
        self.root.join(path.to_string())
    }

    /// What lies in it and has no place in a ledger, by path below the root.
    ///
    /// # Errors
    /// What the system says.
    pub fn strangers(&self) -> io::Result<Vec<String>> {
        Ok(self.walk("")?.into_iter().filter(|name| ObjectPath::parse(name).is_none()).collect())
    }

    /// All files below a folder of the ledger, in order.
    fn walk(&self, below: &str) -> io::Result<Vec<String>> {
        let (mut names, mut folders) = (Vec::new(), vec![below.to_owned()]);
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(self.root.join(&folder)) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if folder.is_empty() && OTHERS.contains(&name.as_str()) {
                    continue;
                }
                let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                if entry.file_type()?.is_dir() { folders.push(name) } else { names.push(name) }
            }
        }
        names.sort();
        Ok(names)
    }
}

fn failed(path: &ObjectPath) -> impl Fn(io::Error) -> StoreError + '_ {
    |error| {
        let fault = match error.kind() {
            ErrorKind::NotFound => StoreFault::Missing,
            ErrorKind::AlreadyExists => StoreFault::Exists,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreFault::Full,
            // Whatever else the system says keeps its number.
            _ => StoreFault::Failed,
        };
        StoreError { path: path.clone(), fault, code: error.raw_os_error() }
    }
}

fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Files for FolderFiles {
    fn read(&self, path: &ObjectPath) -> Result<Option<Vec<u8>>, StoreError> {
        if_there(fs::read(self.path(path))).map_err(failed(path))
    }

    fn read_range(&self, path: &ObjectPath, offset: u64, len: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let read = || {
            let Some(mut file) = if_there(File::open(self.path(path)))? else { return Ok(None) };
            if file.metadata()?.len() < offset.saturating_add(len) {
                return Ok(None);
            }
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::new();
            file.take(len).read_to_end(&mut bytes)?;
            Ok((bytes.len() as u64 == len).then_some(bytes))
        };
        read().map_err(failed(path))
    }

    fn len(&self, path: &ObjectPath) -> Result<Option<u64>, StoreError> {
        if_there(fs::metadata(self.path(path))).map(|there| there.map(|file| file.len())).map_err(failed(path))
    }

    fn list(&self, folder: Folder) -> Result<Vec<ObjectPath>, StoreError> {
        let below = match folder {
            Folder::All => "",
            Folder::Journal => "journal",
            Folder::Keys => "keys",
            Folder::Staged => "tmp",
        };
        let names = self.walk(below).map_err(failed(&ObjectPath::Checkpoint))?;
        let mut paths: Vec<ObjectPath> = names.iter().filter_map(|name| ObjectPath::parse(name)).collect();
        paths.retain(|path| folder.holds(path));
        paths.sort();
        Ok(paths)
    }
}

impl FolderStore {
    /// Opens a folder, made if it is not there, and takes away what was being written when a process ended.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Locked`] while another has it open.
    pub fn open(root: impl Into<PathBuf>) -> Result<FolderStore, OpenError> {
        let root = root.into();
        let at = |path: &Path| {
            let path = path.to_owned();
            move |cause| OpenError::Io(path, cause)
        };
        make_folders(&root.join("tmp")).map_err(at(&root))?;
        let above = root.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_folder(above).and_then(|()| sync_folder(&root)).map_err(at(&root))?;
        let path = root.join("lock");
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(at(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked(root)),
            Err(TryLockError::Error(cause)) => return Err(OpenError::Io(path, cause)),
        }
        let files = FolderFiles { root };
        for name in files.walk("tmp").map_err(at(&files.root))? {
            if name.starts_with(&format!("tmp/{UNFINISHED}")) {
                fs::remove_file(files.root.join(&name)).map_err(at(&files.root.join(&name)))?;
            }
        }
        Ok(FolderStore { files, _lock: lock, appended: BTreeMap::new(), folders: BTreeSet::new(), next: 0 })
    }

    /// The same folder, to be read beside this.
    pub fn files(&self) -> FolderFiles {
        self.files.clone()
    }

    /// Writes and syncs a file under a name of its own in `tmp/`.
    fn write_new(&mut self, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
        self.next += 1;
        let path = self.files.root.join("tmp").join(format!("{UNFINISHED}{}", self.next));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        Ok(path)
    }

    /// The folder of a file, there and durable: one that a process made that was then killed may have no durable name yet.
    fn folder_of(&mut self, path: &ObjectPath) -> io::Result<PathBuf> {
        let target = self.files.path(path);
        let folder = target.parent().expect("a file lies in a folder");
        if !self.folders.contains(folder) {
            make_folders(folder)?;
            let below_root = |at: &&Path| at.starts_with(&self.files.root);
            folder.ancestors().skip(1).take_while(below_root).try_for_each(sync_folder)?;
            self.folders.insert(folder.to_owned());
        }
        Ok(folder.to_owned())
    }

    /// Links a synced file to its place; one with the same bytes may be there.
    fn place(&mut self, from: &Path, path: &ObjectPath) -> io::Result<()> {
        self.folder_of(path)?;
        let target = self.files.path(path);
        match fs::hard_link(from, &target) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && is_equal(from, &target)? => Ok(()),
            result => result,
        }
    }

    /// An appended file, open for writing; made if it is not there.
    fn writable(&mut self, path: &ObjectPath) -> io::Result<&mut File> {
        if !self.appended.contains_key(path) {
            let folder = self.folder_of(path)?;
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(self.files.path(path))?;
            sync_folder(&folder)?;
            self.appended.insert(path.clone(), file);
        }
        Ok(self.appended.get_mut(path).expect("it was just put there"))
    }

    fn create_all(&mut self, objects: &[(ObjectPath, &[u8])]) -> Result<BTreeSet<PathBuf>, StoreError> {
        let mut folders = BTreeSet::new();
        for (path, bytes) in objects {
            folders.insert(self.folder_of(path).map_err(failed(path))?);
            // One that is there is compared at once: a start does again what an earlier one did.
            if self.files.read(path)?.is_some_and(|there| there == *bytes) {
                continue;
            }
            let new = self.write_new(bytes, 0o444).map_err(failed(path))?;
            self.place(&new, path).map_err(failed(path))?;
            fs::remove_file(&new).map_err(failed(path))?;
        }
        Ok(folders)
    }
}

impl Files for FolderStore {
    fn read(&self, path: &ObjectPath) -> Result<Option<Vec<u8>>, StoreError> {
        self.files.read(path)
    }

    fn read_range(&self, path: &ObjectPath, offset: u64, len: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.files.read_range(path, offset, len)
    }

    fn len(&self, path: &ObjectPath) -> Result<Option<u64>, StoreError> {
        self.files.len(path)
    }

    fn list(&self, folder: Folder) -> Result<Vec<ObjectPath>, StoreError> {
        self.files.list(folder)
    }
}

impl Store for FolderStore {
    fn create(&mut self, objects: &[(ObjectPath, &[u8])]) -> Result<(), StoreError> {
        let Some((first, _)) = objects.first() else { return Ok(()) };
        let folders = self.create_all(objects)?;
        folders.iter().try_for_each(|folder| sync_folder(folder)).map_err(failed(first))
    }

    fn link(&mut self, staged: &ObjectPath, path: &ObjectPath) -> Result<(), StoreError> {
        self.place(&self.files.path(staged), path).map_err(failed(path))?;
        self.folder_of(path).and_then(|folder| sync_folder(&folder)).map_err(failed(path))
    }

    fn replace(&mut self, path: &ObjectPath, bytes: &[u8]) -> Result<(), StoreError> {
        if path.is_write_once() && !matches!(path, ObjectPath::Pack(_)) {
            return Err(StoreError::new(path, StoreFault::Exists));
        }
        self.appended.remove(path);
        let folder = self.folder_of(path).map_err(failed(path))?;
        let new = self.write_new(bytes, 0o600).map_err(failed(path))?;
        fs::rename(new, self.files.path(path)).map_err(failed(path))?;
        sync_folder(&folder).map_err(failed(path))
    }

    fn append(&mut self, path: &ObjectPath, len: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let file = self.writable(path).map_err(failed(path))?;
        let found = file.metadata().map_err(failed(path))?;
        if found.len() != len || is_sealed(&found) {
            return Err(StoreError::new(path, StoreFault::Exists));
        }
        file.write_all(bytes).map_err(failed(path))
    }

    fn sync(&mut self, path: &ObjectPath) -> Result<(), StoreError> {
        self.writable(path).and_then(|file| file.sync_data()).map_err(failed(path))
    }

    fn cut(&mut self, path: &ObjectPath, len: u64) -> Result<(), StoreError> {
        let Some(found) = if_there(fs::metadata(self.files.path(path))).map_err(failed(path))? else { return Ok(()) };
        if is_sealed(&found) && found.len() > len {
            return Err(StoreError::new(path, StoreFault::Exists));
        }
        if len == 0 {
            return self.remove(path);
        }
        let file = self.writable(path).map_err(failed(path))?;
        file.set_len(len).and_then(|()| file.sync_all()).map_err(failed(path))
    }

    fn seal(&mut self, path: &ObjectPath) -> Result<(), StoreError> {
        self.appended.remove(path);
        let target = self.files.path(path);
        let seal = || {
            let file = File::open(&target)?;
            if is_sealed(&file.metadata()?) {
                return Ok(());
            }
            file.set_permissions(Permissions::from_mode(0o444))?;
            file.sync_all()
        };
        seal().map_err(failed(path))
    }

    fn remove(&mut self, path: &ObjectPath) -> Result<(), StoreError> {
        self.appended.remove(path);
        let target = self.files.path(path);
        match if_there(fs::remove_file(&target)).map_err(failed(path))? {
            Some(()) => sync_folder(target.parent().expect("a file lies in a folder")).map_err(failed(path)),
            None => Ok(()),
        }
    }
}

/// Whether a file's mode lets nobody write: the superuser's calls succeed all the same, so it is asked.
fn is_sealed(found: &fs::Metadata) -> bool {
    found.mode() & 0o222 == 0
}

fn is_equal(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (io::BufReader::new(File::open(one)?), io::BufReader::new(File::open(other)?));
    if one.get_ref().metadata()?.len() != other.get_ref().metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = ([0; 8192], [0; 8192]);
    loop {
        let len = one.read(&mut left)?;
        if len == 0 {
            return Ok(true);
        }
        other.read_exact(&mut right[..len])?;
        if left[..len] != right[..len] {
            return Ok(false);
        }
    }
}

/// Makes a folder and those above it, 0700 each, and syncs the folders that got a new name.
pub(crate) fn make_folders(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_folders(above)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        result => result.and_then(|()| sync_folder(above)),
    }
}

pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
