//! The key store: the node's sequencer key, those provisioned for single enclaves, and the heads log's key.
//!
//! ```text
//! keys/node.key             secret scalar, hex; made at the first start
//! keys/heads.key            Ed25519 seed, hex; made at the first start
//! keys/<enclave id>.key     secret scalar provisioned for that enclave
//! ```
//!
//! Files are 0600. No function gives a secret away: callers name a key and get a signature. What a key may sign is one closed list
//! (`docs/protocol.md`, Signed messages).

use crate::folder::{create_durably, write_durably};
use crate::signer::Signer;
use crate::stop::{Exit, StartError};
use hkdf::Hkdf;
use protocol::ids::{hex, parse_hex};
use protocol::schnorr::{KeyPair, SchnorrError};
use protocol::{EnclaveId, PublicKey, Signature};
use sha2::Sha256;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tlog::checkpoint::{Checkpoint, Origin};
use tlog::note::{KeyName, Note};
use tlog::signer::NoteSigner;
use zeroize::Zeroizing;

/// What the key store does with keys; it never hands one out as bytes.
pub struct KeyStore {
    folder: PathBuf,
    node: Held,
    node_public: PublicKey,
    heads: NoteSigner,
    mac: Zeroizing<[u8; 32]>,
    provisioned: RwLock<Provisioned>,
}

#[derive(Default)]
struct Provisioned {
    by_enclave: HashMap<EnclaveId, (PublicKey, Held)>,
    /// How many enclaves each key was provisioned for.
    public: HashMap<PublicKey, usize>,
}

/// One private key, for each of its uses.
#[derive(Clone)]
struct Held {
    pair: Arc<KeyPair>,
    signer: Arc<Signer>,
}

impl Held {
    fn from_secret(secret: &[u8; 32]) -> Result<Held, SchnorrError> {
        let pair = Arc::new(KeyPair::from_secret(secret)?);
        Ok(Held { pair, signer: Arc::new(Signer::from_secret(secret)?) })
    }
}

/// What provisioning found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provision {
    /// The key is stored by this call.
    Stored,
    /// The same key was there.
    Same,
    /// Another key was there, and is still.
    Other,
}

impl KeyStore {
    /// Reads the keys of a folder, and makes those that a node cannot be without.
    pub fn open(folder: &Path, node_name: &str) -> Result<KeyStore, StartError> {
        let node_secret = read_or_make(&folder.join("node.key"))?;
        let heads_seed = read_or_make(&folder.join("heads.key"))?;
        let store = KeyStore::of_secrets(folder, node_name, &node_secret, &heads_seed)?;
        Ok(KeyStore { provisioned: RwLock::new(read_provisioned(folder)?), ..store })
    }

    /// Keys of nobody, in no folder: for work that signs nothing.
    pub fn ephemeral() -> Result<KeyStore, StartError> {
        KeyStore::of_secrets(Path::new(""), "nobody", &*random_secret()?, &*random_secret()?)
    }

    fn of_secrets(
        folder: &Path,
        node_name: &str,
        node_secret: &[u8; 32],
        heads_seed: &[u8; 32],
    ) -> Result<KeyStore, StartError> {
        let node = Held::from_secret(node_secret).map_err(|_| malformed(&folder.join("node.key")))?;
        let heads_name = KeyName::parse(&format!("{node_name}/heads")).map_err(|_| {
            StartError::new(Exit::Config, "the node's name cannot name a log; give another with --name")
        })?;
        let heads = NoteSigner::from_seed(heads_name, heads_seed).map_err(|_| malformed(&folder.join("heads.key")))?;
        let mut mac = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, node_secret)
            .expand(b"encd/mac/v1", mac.as_mut())
            .expect("32 bytes are within what HKDF-SHA-256 gives");
        Ok(KeyStore {
            folder: folder.to_owned(),
            node_public: node.pair.public(),
            node,
            heads,
            mac,
            provisioned: RwLock::default(),
        })
    }

    /// The key that sequences enclaves made here.
    pub fn node(&self) -> PublicKey {
        self.node_public
    }

    /// The verifier key of the heads log.
    pub fn heads_vkey(&self) -> String {
        self.heads.vkey().to_string()
    }

    /// The origin of the heads log.
    pub fn heads_origin(&self) -> String {
        self.heads.vkey().name().to_string()
    }

    /// The checkpoint of the heads log at this size and root, signed. To be called inside the transaction that stores it.
    pub fn sign_heads(&self, size: u64, root: [u8; 32]) -> Note {
        let origin = Origin::parse(self.heads.vkey().name().as_str()).expect("a key name is one line");
        let text = Checkpoint::new(origin, size, root).to_string();
        let mut note = Note::new(&text).expect("a checkpoint is lines of text");
        note.push(self.heads.sign(&note)).expect("a first signature finds room");
        note
    }

    /// Whether this is a key of the store, whatever for.
    pub fn holds(&self, key: &PublicKey) -> bool {
        *key == self.node_public || self.read_provisioned().public.contains_key(key)
    }

    /// The key pair, if the store holds it and it may act for that enclave: to sign, and to open what is sealed for it.
    pub fn key_for(&self, key: &PublicKey, enclave: &EnclaveId) -> Option<Arc<KeyPair>> {
        self.held_for(key, enclave).map(|held| held.pair)
    }

    /// Signs a 32-byte hash for an enclave.
    pub fn sign(&self, key: &PublicKey, enclave: &EnclaveId, hash: &[u8; 32]) -> Option<Signature> {
        self.held_for(key, enclave).map(|held| held.signer.sign(hash))
    }

    /// Signs a note's text with the enclave's log key: public key and signature.
    pub fn sign_log(&self, key: &PublicKey, enclave: &EnclaveId, text: &str) -> Option<([u8; 32], [u8; 64])> {
        use ed25519_dalek::Signer;
        let log_key = protocol::head::log_key(&*self.key_for(key, enclave)?, enclave);
        Some((log_key.verifying_key().to_bytes(), log_key.sign(text.as_bytes()).to_bytes()))
    }

    /// A keyed hash that only this node makes; names keep uses apart.
    pub fn mac(&self, name: &str, bytes: &[u8]) -> [u8; 32] {
        let mut out = [0; 32];
        let len = (name.len() as u64).to_be_bytes();
        Hkdf::<Sha256>::from_prk(&*self.mac)
            .expect("32 bytes are a pseudorandom key of SHA-256")
            .expand_multi_info(&[&len, name.as_bytes(), bytes], &mut out)
            .expect("32 bytes are within what HKDF-SHA-256 gives");
        out
    }

    /// Takes in the key for one enclave. It is on the disk when this returns.
    pub fn provision(&self, enclave: &EnclaveId, secret: &[u8; 32]) -> io::Result<Provision> {
        let held = Held::from_secret(secret).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let public = held.pair.public();
        let mut provisioned = self.provisioned.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, _)) = provisioned.by_enclave.get(enclave) {
            return Ok(if *known == public { Provision::Same } else { Provision::Other });
        }
        let line = Zeroizing::new(format!("{}\n", &*Zeroizing::new(hex(secret))));
        create_durably(&self.file_of(enclave), line.as_bytes())?;
        provisioned.by_enclave.insert(*enclave, (public, held));
        *provisioned.public.entry(public).or_default() += 1;
        Ok(Provision::Stored)
    }

    /// Drops a key that [`KeyStore::provision`] stored for a request that was then refused.
    pub fn withdraw(&self, enclave: &EnclaveId) -> io::Result<()> {
        let mut provisioned = self.provisioned.write().unwrap_or_else(PoisonError::into_inner);
        let Some((public, _)) = provisioned.by_enclave.remove(enclave) else { return Ok(()) };
        if let Some(count) = provisioned.public.get_mut(&public) {
            *count -= 1;
            if *count == 0 {
                provisioned.public.remove(&public);
            }
        }
        fs::remove_file(self.file_of(enclave))
    }

    fn held_for(&self, key: &PublicKey, enclave: &EnclaveId) -> Option<Held> {
        if *key == self.node_public {
            return Some(self.node.clone());
        }
        let provisioned = self.read_provisioned();
        provisioned.by_enclave.get(enclave).filter(|(public, _)| public == key).map(|(_, held)| held.clone())
    }

    fn file_of(&self, enclave: &EnclaveId) -> PathBuf {
        self.folder.join(format!("{}.key", enclave.hex()))
    }

    fn read_provisioned(&self) -> std::sync::RwLockReadGuard<'_, Provisioned> {
        // Each change is complete before the next may panic: a poisoned lock still holds a whole map.
        self.provisioned.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_provisioned(folder: &Path) -> Result<Provisioned, StartError> {
    let mut provisioned = Provisioned::default();
    let unreadable = |error| unusable(folder, &error);
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let enclave = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".key"));
        let Some(enclave) = enclave.and_then(|text| EnclaveId::parse(text).ok()) else { continue };
        let held = Held::from_secret(&*read_secret(&path)?).map_err(|_| malformed(&path))?;
        let public = held.pair.public();
        *provisioned.public.entry(public).or_default() += 1;
        provisioned.by_enclave.insert(enclave, (public, held));
    }
    Ok(provisioned)
}

/// Reads a secret of 32 bytes, and makes it where there is none.
pub fn read_or_make(path: &Path) -> Result<Zeroizing<[u8; 32]>, StartError> {
    if path.try_exists().map_err(|error| unusable(path, &error))? {
        return read_secret(path);
    }
    let secret = random_secret()?;
    let line = Zeroizing::new(format!("{}\n", &*Zeroizing::new(hex(&*secret))));
    write_durably(path, line.as_bytes()).map_err(|error| unusable(path, &error))?;
    Ok(secret)
}

fn random_secret() -> Result<Zeroizing<[u8; 32]>, StartError> {
    let mut secret = Zeroizing::new([0; 32]);
    loop {
        getrandom::fill(secret.as_mut())
            .map_err(|error| StartError::new(Exit::Config, format!("the system gives no random bytes ({error})")))?;
        // All but 2^-128 of the draws are scalars of the curve; a seed may be any.
        if KeyPair::from_secret(&secret).is_ok() {
            break;
        }
    }
    Ok(secret)
}

fn read_secret(path: &Path) -> Result<Zeroizing<[u8; 32]>, StartError> {
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|error| unusable(path, &error))?);
    parse_hex(text.trim_end()).map(Zeroizing::new).map_err(|_| malformed(path))
}

fn unusable(path: &Path, error: &io::Error) -> StartError {
    StartError::new(
        Exit::Config,
        format!(
            "the key file {} cannot be used ({error}); check the disk, and make it readable for this user only",
            path.display()
        ),
    )
}

fn malformed(path: &Path) -> StartError {
    StartError::new(
        Exit::Config,
        format!("the key file {} is damaged: it must hold 64 hex digits; put it back from a backup", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::folder::Folder;
    use std::os::unix::fs::PermissionsExt;

    const ENCLAVE: EnclaveId = EnclaveId([0xee; 32]);
    const OTHER: EnclaveId = EnclaveId([0xdd; 32]);

    fn folder() -> Folder {
        Folder::open(&Config { memory: true, ..Config::default() }).expect("a temporary folder")
    }

    fn open(folder: &Folder) -> KeyStore {
        KeyStore::open(&folder.keys(), "localhost").expect("a key store")
    }

    #[test]
    fn keys_outlive_the_process_and_are_private() {
        let folder = folder();
        let first = open(&folder);
        let again = open(&folder);
        assert_eq!(first.node(), again.node());
        assert_eq!(first.heads_vkey(), again.heads_vkey());
        assert_eq!(first.mac("cursor", b"x"), again.mac("cursor", b"x"));
        for name in ["node.key", "heads.key"] {
            let mode = fs::metadata(folder.keys().join(name)).expect("the file is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_provisioned_key_signs_for_its_enclave_only() {
        let folder = folder();
        let store = open(&folder);
        let public = KeyPair::from_secret(&[0x44; 32]).expect("a key").public();
        assert!(!store.holds(&public));
        assert_eq!(store.provision(&ENCLAVE, &[0x44; 32]).expect("stored"), Provision::Stored);
        for store in [store, open(&folder)] {
            assert!(store.holds(&public));
            assert!(store.sign(&public, &ENCLAVE, &[1; 32]).is_some());
            assert!(store.sign(&public, &OTHER, &[1; 32]).is_none());
            assert!(store.sign(&store.node(), &OTHER, &[1; 32]).is_some());
            assert_eq!(store.provision(&ENCLAVE, &[0x44; 32]).expect("answered"), Provision::Same);
            assert_eq!(store.provision(&ENCLAVE, &[0x45; 32]).expect("answered"), Provision::Other);
        }
    }

    #[test]
    fn a_withdrawn_key_is_gone() {
        let folder = folder();
        let store = open(&folder);
        let public = KeyPair::from_secret(&[0x44; 32]).expect("a key").public();
        store.provision(&ENCLAVE, &[0x44; 32]).expect("stored");
        store.withdraw(&ENCLAVE).expect("withdrawn");
        for store in [store, open(&folder)] {
            assert!(!store.holds(&public));
            assert!(store.sign(&public, &ENCLAVE, &[1; 32]).is_none());
        }
    }

    #[test]
    fn names_keep_macs_apart() {
        let store = open(&folder());
        let macs = [store.mac("a", b"bc"), store.mac("ab", b"c"), store.mac("", b"abc"), store.mac("a", b"b")];
        for (place, mac) in macs.iter().enumerate() {
            assert!(!macs[place + 1..].contains(mac));
        }
    }

    #[test]
    fn damaged_files_are_named() {
        let folder = folder();
        drop(open(&folder));
        for (name, text) in [("node.key", "zz"), ("node.key", &"0".repeat(64)), ("heads.key", "")] {
            let path = folder.keys().join(name);
            let kept = fs::read(&path).expect("the file is there");
            fs::write(&path, text).expect("written");
            let refused = KeyStore::open(&folder.keys(), "localhost").err().expect("a damaged key is refused");
            assert_eq!(refused.exit, Exit::Config);
            assert!(refused.line.contains(name), "{}", refused.line);
            fs::write(&path, kept).expect("put back");
        }
    }
}
