//! The key of a ledger in a file outside its folder, and beside it the head that it has signed last.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ledger::signer::{SignFault, SignedHead, Signer, check_head};
use ledger::value::Digest;
use tlog::note::{KeyName, Note, SignatureLine};
use tlog::signer::NoteSigner;
use tlog::vkey::Vkey;
use zeroize::Zeroizing;

use crate::folder::{make_folders, sync_folder};

/// A key, and what it has signed.
pub struct KeyFile {
    signer: NoteSigner,
    head_path: PathBuf,
    signed: Option<SignedHead>,
}

/// Why a key file could not be made or read.
#[derive(Debug)]
pub enum KeyError {
    /// The system says so.
    Io(PathBuf, io::Error),
    /// It holds something else.
    Content(PathBuf),
    /// There is no record of what the key has signed: without it an older copy of the folder would not be noticed.
    NoHead(PathBuf),
    /// No random bytes.
    Random,
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KeyError::Io(path, cause) => write!(f, "{}: {cause}", path.display()),
            KeyError::Content(path) => write!(f, "{} is malformed", path.display()),
            KeyError::NoHead(path) => write!(f, "{} is missing: it says what the key has signed", path.display()),
            KeyError::Random => f.write_str("the system gives no random bytes"),
        }
    }
}

impl std::error::Error for KeyError {}

impl KeyFile {
    /// Makes a key of this name (the ledger's origin). A file that is there is never overwritten.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn create(path: &Path, name: &KeyName) -> Result<KeyFile, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|_| KeyError::Random)?;
        let text = Zeroizing::new(format!("{name}\n{}\n", Digest(*seed)));
        let io = |cause| KeyError::Io(path.to_owned(), cause);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        make_folders(folder).map_err(io)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| sync_folder(folder))
            .map_err(io)?;
        // Second: of a key that is there already, what it has signed must stay.
        replace(&head_path(path), b"none\n").map_err(io)?;
        KeyFile::open(path)
    }

    /// Reads a key, and what it has signed.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open(path: &Path) -> Result<KeyFile, KeyError> {
        let text = fs::read_to_string(path).map_err(|cause| KeyError::Io(path.to_owned(), cause))?;
        let text = Zeroizing::new(text);
        let malformed = || KeyError::Content(path.to_owned());
        let (name, seed) = text.strip_suffix('\n').and_then(|text| text.split_once('\n')).ok_or_else(malformed)?;
        let name = KeyName::parse(name).map_err(|_| malformed())?;
        let seed = Zeroizing::new(Digest::parse(seed).ok_or_else(malformed)?.0);
        let signer = NoteSigner::from_seed(name, &seed).map_err(|_| malformed())?;
        let head_path = head_path(path);
        let signed = match fs::read_to_string(&head_path) {
            Ok(text) if text == "none\n" => None,
            Ok(text) => Some(parse_head(&text).ok_or_else(|| KeyError::Content(head_path.clone()))?),
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(KeyError::NoHead(head_path)),
            Err(error) => return Err(KeyError::Io(head_path, error)),
        };
        Ok(KeyFile { signer, head_path, signed })
    }
}

fn head_path(path: &Path) -> PathBuf {
    path.with_added_extension("head")
}

fn parse_head(text: &str) -> Option<SignedHead> {
    let (size, root) = text.strip_suffix('\n')?.split_once(' ')?;
    let head = SignedHead { size: size.parse().ok()?, root: Digest::parse(root)?.0 };
    (format_head(head) == text).then_some(head)
}

fn format_head(head: SignedHead) -> String {
    format!("{} {}\n", head.size, Digest(head.root))
}

/// Puts a file in the place of another, durably.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_added_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_folder(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

impl Signer for KeyFile {
    fn vkey(&self) -> &Vkey {
        self.signer.vkey()
    }

    fn signed(&self) -> Option<SignedHead> {
        self.signed
    }

    fn sign_head(&mut self, head: SignedHead, note: &Note) -> Result<SignatureLine, SignFault> {
        check_head(self.signed, head)?;
        if self.signed != Some(head) {
            let unrecorded = |error: io::Error| SignFault::Unrecorded(error.raw_os_error().unwrap_or(0));
            replace(&self.head_path, format_head(head).as_bytes()).map_err(unrecorded)?;
            self.signed = Some(head);
        }
        Ok(self.signer.sign(note))
    }

    fn sign_statement(&self, note: &Note) -> SignatureLine {
        self.signer.sign(note)
    }
}
