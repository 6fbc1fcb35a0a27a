//! A [`Store`] on disk: a folder an enclave, files readable by their owner only, each replaced as a whole.

use crate::error::Error;
use crate::pin::Pin;
use crate::store::{Store, supersedes};
use protocol::head::Sth;
use protocol::json::{self, MAX_DEPTH};
use protocol::{EnclaveId, Json, Receipt};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Keeps `<root>/<enclave id>/pin.json`, `sth.json`, `receipts.ndjson`, `moves.json` and `evidence-<n>.json`. Several processes may share it.
pub struct FolderStore {
    root: PathBuf,
}

impl FolderStore {
    /// A store below `root`, which is made when something is first kept.
    pub fn new(root: impl Into<PathBuf>) -> FolderStore {
        FolderStore { root: root.into() }
    }

    /// The enclaves of which a pin is kept.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn enclaves(&self) -> Result<Vec<EnclaveId>, Error> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(failed(&self.root, cause)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|cause| failed(&self.root, cause))?;
            let id = entry.file_name().to_str().and_then(|name| EnclaveId::parse(name).ok());
            ids.extend(id.filter(|_| entry.path().join("pin.json").exists()));
        }
        ids.sort();
        Ok(ids)
    }

    /// Where what is kept of an enclave lies.
    pub fn folder(&self, enclave: &EnclaveId) -> PathBuf {
        self.root.join(enclave.hex())
    }

    fn path(&self, enclave: &EnclaveId, file: &str) -> PathBuf {
        self.folder(enclave).join(file)
    }

    fn read(&self, enclave: &EnclaveId, file: &str) -> Result<Option<(PathBuf, Json)>, Error> {
        let path = self.path(enclave, file);
        let Some(bytes) = read_file(&path)? else { return Ok(None) };
        match json::parse(&bytes, MAX_DEPTH) {
            Ok(value) => Ok(Some((path, value))),
            Err(_) => Err(Error::Damaged(path)),
        }
    }

    /// Addresses that the enclave has left, and where it went from each.
    fn moves(&self, enclave: &EnclaveId) -> Result<Vec<(String, String)>, Error> {
        let Some((path, value)) = self.read(enclave, "moves.json")? else { return Ok(Vec::new()) };
        let Json::Object(moves) = value else { return Err(Error::Damaged(path)) };
        let moves = moves.into_iter().map(|(from, to)| Some((from, to.as_text()?.to_owned())));
        moves.collect::<Option<_>>().ok_or(Error::Damaged(path))
    }

    /// Holds the enclave's folder while something in it is read and replaced; released when dropped.
    fn lock(&self, enclave: &EnclaveId) -> Result<File, Error> {
        let path = self.path(enclave, "lock");
        make_private_folder(path.parent().unwrap_or(&self.root))?;
        let file = private().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|cause| failed(&path, cause))?;
        file.lock().map_err(|cause| failed(&path, cause))?;
        Ok(file)
    }
}

impl Store for FolderStore {
    fn pin(&self, enclave: &EnclaveId) -> Result<Option<Pin>, Error> {
        let Some((path, value)) = self.read(enclave, "pin.json")? else { return Ok(None) };
        let pin = Pin::from_json(value).ok().filter(|pin| pin.enclave() == *enclave);
        pin.map(Some).ok_or(Error::Damaged(path))
    }

    fn keep_pin(&self, pin: &Pin) -> Result<(), Error> {
        let lock = self.lock(&pin.enclave())?;
        if self.pin(&pin.enclave())?.is_some_and(|kept| kept.migrates().len() > pin.migrates().len()) {
            return Ok(());
        }
        replace_file(&self.path(&pin.enclave(), "pin.json"), pin.to_json().to_jcs().as_bytes())?;
        drop(lock);
        Ok(())
    }

    fn sth(&self, enclave: &EnclaveId) -> Result<Option<Sth>, Error> {
        let Some((path, value)) = self.read(enclave, "sth.json")? else { return Ok(None) };
        let sth = Sth::from_json(value).ok().filter(|sth| sth.enclave == *enclave);
        sth.map(Some).ok_or(Error::Damaged(path))
    }

    fn keep_sth(&self, sth: &Sth) -> Result<(), Error> {
        let lock = self.lock(&sth.enclave)?;
        if supersedes(sth, self.sth(&sth.enclave)?.as_ref()) {
            replace_file(&self.path(&sth.enclave, "sth.json"), sth.to_json().to_jcs().as_bytes())?;
        }
        drop(lock);
        Ok(())
    }

    fn receipts(&self, enclave: &EnclaveId) -> Result<Vec<Receipt>, Error> {
        let path = self.path(enclave, "receipts.ndjson");
        let Some(bytes) = read_file(&path)? else { return Ok(Vec::new()) };
        let lines = bytes[..whole_lines(&bytes)].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(parse_receipt).collect::<Option<Vec<_>>>().ok_or(Error::Damaged(path))
    }

    fn newest_receipt(&self, enclave: &EnclaveId) -> Result<Option<Receipt>, Error> {
        let path = self.path(enclave, "receipts.ndjson");
        let end = match File::open(&path).and_then(|mut file| read_end(&mut file)) {
            Ok((end, _)) => end,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(failed(&path, cause)),
        };
        let lines = &end[..whole_lines(&end)];
        let Some(line) = lines.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()) else { return Ok(None) };
        parse_receipt(line).map(Some).ok_or(Error::Damaged(path))
    }

    fn keep_receipt(&self, receipt: &Receipt) -> Result<(), Error> {
        let lock = self.lock(&receipt.enclave)?;
        let path = self.path(&receipt.enclave, "receipts.ndjson");
        let mut line = receipt.to_json().to_jcs();
        line.push('\n');
        append(&path, line.as_bytes()).map_err(|cause| failed(&path, cause))?;
        drop(lock);
        Ok(())
    }

    fn keep_evidence(&self, enclave: &EnclaveId, evidence: &Json) -> Result<(), Error> {
        let lock = self.lock(enclave)?;
        let free = (0..).map(|number: u32| self.path(enclave, &format!("evidence-{number}.json")));
        let path = free.into_iter().find(|path| !path.exists()).expect("numbers do not run out");
        replace_file(&path, evidence.to_jcs().as_bytes())?;
        drop(lock);
        Ok(())
    }

    fn moved(&self, enclave: &EnclaveId, from: &str) -> Result<Option<String>, Error> {
        Ok(self.moves(enclave)?.into_iter().find_map(|(known, to)| (known == from).then_some(to)))
    }

    fn keep_move(&self, enclave: &EnclaveId, from: &str, to: &str) -> Result<(), Error> {
        let lock = self.lock(enclave)?;
        let mut moves = self.moves(enclave)?;
        moves.retain(|(known, _)| known != from && known != to);
        moves.push((from.into(), to.into()));
        let moves = moves.into_iter().map(|(from, to)| (from, Json::from(to)));
        replace_file(&self.path(enclave, "moves.json"), Json::object(moves).to_jcs().as_bytes())?;
        drop(lock);
        Ok(())
    }
}

/// Writes a file so that either the old or the new one is there whatever happens, readable by its owner only.
///
/// # Errors
/// [`Error::Store`].
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_private_folder(folder)?;
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let written = private().write(true).create(true).truncate(true).open(&new).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|cause| failed(&new, cause))?;
    fs::rename(&new, path).map_err(|cause| failed(path, cause))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|cause| failed(folder, cause))
}

/// Makes a folder that only its owner may enter; one that is there is left as it is.
///
/// # Errors
/// [`Error::Store`].
pub fn make_private_folder(folder: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|cause| failed(folder, cause))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Appends a line, after cutting off what a crash left of an earlier one.
fn append(path: &Path, line: &[u8]) -> std::io::Result<()> {
    let mut file = private().read(true).append(true).create(true).open(path)?;
    let (end, len) = read_end(&mut file)?;
    let torn = end.len() - whole_lines(&end);
    if torn > 0 {
        file.set_len(len - torn as u64)?;
    }
    file.write_all(line)?;
    file.sync_all()
}

/// The end of a file, long enough for two receipts, and the file's length.
fn read_end(file: &mut File) -> std::io::Result<(Vec<u8>, u64)> {
    const TWO_RECEIPTS: u64 = 4096;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(TWO_RECEIPTS)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    Ok((end, len))
}

/// Bytes up to and with the last line feed: a line without its end was cut off by a crash before the receipt was reported as kept.
fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

fn parse_receipt(line: &[u8]) -> Option<Receipt> {
    json::parse(line, MAX_DEPTH).ok().and_then(|value| Receipt::from_json(value).ok())
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(failed(path, cause)),
    }
}

fn failed(path: &Path, cause: std::io::Error) -> Error {
    Error::Store { path: path.into(), cause }
}
