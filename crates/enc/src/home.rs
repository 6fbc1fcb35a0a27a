//! The configuration folder: keys, what is kept of enclaves, and names for both.

use crate::failure::Failure;
use client::folder::{FolderStore, make_private_folder, replace_file};
use client::{Identity, Store};
use protocol::fields::Fields;
use protocol::json::{self, MAX_DEPTH};
use protocol::{EnclaveId, Json, PublicKey, Rejection};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `$ENC_HOME`, else `$XDG_CONFIG_HOME/enc`, else `~/.config/enc`.
pub struct Home {
    root: PathBuf,
    /// Names and choices.
    pub settings: Settings,
}

/// `settings.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The node that is asked when nothing else says which.
    pub node: Option<String>,
    /// The enclave in use.
    pub enclave: Option<EnclaveId>,
    /// Names of enclaves.
    pub names: BTreeMap<String, EnclaveId>,
    /// Where each enclave was met.
    pub nodes: BTreeMap<EnclaveId, String>,
}

impl Home {
    /// Opens the folder; one that is not there has empty settings.
    pub fn open() -> Result<Home, Failure> {
        let root = folder().ok_or_else(|| {
            Failure::Usage("there is no home folder".into(), "Set ENC_HOME to a folder for keys and pins.")
        })?;
        let path = root.join("settings.json");
        let settings = match fs::read(&path) {
            Ok(bytes) => {
                let value = json::parse(&bytes, MAX_DEPTH).map_err(Rejection::from);
                let settings = value.and_then(Settings::from_json);
                settings.map_err(|_| Failure::Content { path, fault: "is no settings file of this program".into() })?
            }
            Err(cause) if cause.kind() == ErrorKind::NotFound => Settings::default(),
            Err(cause) => return Err(Failure::File { path, cause }),
        };
        Ok(Home { root, settings })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes the settings.
    pub fn save(&self) -> Result<(), Failure> {
        let text = self.settings.to_json().to_jcs();
        Ok(replace_file(&self.root.join("settings.json"), text.as_bytes())?)
    }

    /// What is kept of enclaves.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.folder_store())
    }

    /// The same, as the folder that it is.
    pub fn folder_store(&self) -> FolderStore {
        FolderStore::new(self.root.join("enclaves"))
    }

    /// The identity of that name.
    pub fn identity(&self, name: &str) -> Result<Identity, Failure> {
        let path = self.key_path(name)?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => zeroize::Zeroizing::new(text),
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                let text = format!("there is no key called {name:?}");
                return Err(Failure::Usage(
                    text,
                    "Make it: `enc keygen NAME` (`enc init` makes the first, called me).",
                ));
            }
            Err(cause) => return Err(Failure::File { path, cause }),
        };
        check_private(&path)?;
        let identity = Identity::from_secret(text.trim_end());
        identity.ok_or(Failure::Content { path, fault: "holds no secret key (64 lower-case hex digits)".into() })
    }

    /// Makes a key of that name, unless there is one; true if it was made.
    pub fn make_key(&self, name: &str) -> Result<(Identity, bool), Failure> {
        let path = self.key_path(name)?;
        if path.exists() {
            return Ok((self.identity(name)?, false));
        }
        let (identity, secret) = Identity::generate()?;
        make_private_folder(&self.root)?;
        replace_file(&path, format!("{}\n", *secret).as_bytes())?;
        Ok((identity, true))
    }

    /// All keys by name.
    pub fn keys(&self) -> Result<Vec<(String, PublicKey)>, Failure> {
        let folder = self.root.join("keys");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(Failure::File { path: folder, cause }),
        };
        let mut keys = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|cause| Failure::File { path: folder.clone(), cause })?;
            let name = entry.file_name().to_str().and_then(|file| file.strip_suffix(".key")).map(String::from);
            if let Some(name) = name {
                let public = self.identity(&name)?.public();
                keys.push((name, public));
            }
        }
        keys.sort();
        Ok(keys)
    }

    /// An identity by its key in hex or by the name of a key here.
    pub fn public_of(&self, text: &str) -> Option<PublicKey> {
        PublicKey::parse(text).ok().or_else(|| self.identity(text).ok().map(|identity| identity.public()))
    }

    /// An enclave by its id in hex or by the name that it was given here.
    pub fn enclave_of(&self, text: &str) -> Result<EnclaveId, Failure> {
        let known = EnclaveId::parse(text).ok().or_else(|| self.settings.names.get(text).copied());
        known.ok_or_else(|| {
            let fault = format!("there is no enclave called {text:?}");
            Failure::Usage(fault, "See `enc enclave list`, or give the id: 64 lower-case hex digits.")
        })
    }

    fn key_path(&self, name: &str) -> Result<PathBuf, Failure> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            let fault = format!("{name:?} is no name for a key");
            return Err(Failure::Usage(fault, "Use letters, digits, - and _, at most 64."));
        }
        Ok(self.root.join("keys").join(format!("{name}.key")))
    }
}

impl Settings {
    fn to_json(&self) -> Json {
        let names = self.names.iter().map(|(name, id)| (name.clone(), Json::from(id.hex())));
        let nodes = self.nodes.iter().map(|(id, node)| (id.hex(), Json::from(node.as_str())));
        let mut members = vec![("names", Json::object(names)), ("nodes", Json::object(nodes))];
        members.extend(self.node.as_ref().map(|node| ("node", Json::from(node.as_str()))));
        members.extend(self.enclave.map(|id| ("enclave", Json::from(id.hex()))));
        Json::object(members)
    }

    fn from_json(value: Json) -> Result<Settings, Rejection> {
        let wrong = protocol::fields::wrong;
        let mut fields = Fields::of(value)?;
        let id = |value: &Json| value.as_text().and_then(|text| EnclaveId::parse(text).ok());
        let text = |value: &Json| value.as_text().map(String::from);
        let Json::Object(names) = fields.required("names")? else { return Err(wrong("names")) };
        let Json::Object(nodes) = fields.required("nodes")? else { return Err(wrong("nodes")) };
        let names = names.into_iter().map(|(name, value)| Some((name, id(&value)?)));
        let nodes = nodes.into_iter().map(|(key, value)| Some((EnclaveId::parse(&key).ok()?, text(&value)?)));
        let settings = Settings {
            names: names.collect::<Option<_>>().ok_or(wrong("names"))?,
            nodes: nodes.collect::<Option<_>>().ok_or(wrong("nodes"))?,
            node: fields.optional("node").map(|value| text(&value).ok_or(wrong("node"))).transpose()?,
            enclave: fields.optional("enclave").map(|value| id(&value).ok_or(wrong("enclave"))).transpose()?,
        };
        fields.finish()?;
        Ok(settings)
    }
}

fn folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("ENC_HOME")
        .or_else(|| set("XDG_CONFIG_HOME").map(|folder| folder.join("enc")))
        .or_else(|| set("HOME").map(|folder| folder.join(".config").join("enc")))
}

/// A key that others may read is as good as theirs.
#[cfg(unix)]
fn check_private(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::metadata(path).map_err(|cause| Failure::File { path: path.into(), cause })?;
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    let fault = format!("may be read by others; run: chmod 600 {}", path.display());
    Err(Failure::Content { path: path.into(), fault })
}

#[cfg(not(unix))]
fn check_private(_path: &Path) -> Result<(), Failure> {
    Ok(())
}
