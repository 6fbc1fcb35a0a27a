//! What every command starts from: the folder, the output, who acts, where.

use crate::cli::Common;
use crate::failure::Failure;
use crate::home::Home;
use crate::output::Output;
use client::{Enclave, Identity, Node};
use protocol::EnclaveId;
use std::path::Path;

/// The node that is asked when nothing says which.
pub const DEFAULT_NODE: &str = "http://127.0.0.1:8080";
/// The key that is used when nothing says which.
pub const DEFAULT_KEY: &str = "me";

/// A command's surroundings.
pub struct Context {
    /// Keys, pins, names.
    pub home: Home,
    /// Standard output.
    pub out: Output,
    common: Common,
}

impl Context {
    /// From the common options.
    pub fn new(common: Common) -> Result<Context, Failure> {
        Ok(Context { home: Home::open()?, out: Output::new(common.json), common })
    }

    /// The name of the key that acts.
    pub fn key_name(&self) -> &str {
        self.common.identity.as_deref().unwrap_or(DEFAULT_KEY)
    }

    /// Who acts.
    pub fn identity(&self) -> Result<Identity, Failure> {
        self.home.identity(self.key_name())
    }

    /// Who acts; nobody with `--stranger`.
    pub fn identity_or_stranger(&self) -> Result<Option<Identity>, Failure> {
        if self.common.stranger {
            return Ok(None);
        }
        self.identity().map(Some)
    }

    /// The node's address, for an enclave or for none.
    pub fn node_url(&self, enclave: Option<&EnclaveId>) -> String {
        let settings = &self.home.settings;
        let met = enclave.and_then(|id| settings.nodes.get(id)).or(settings.node.as_ref());
        self.common.node.as_ref().or(met).map_or(DEFAULT_NODE.into(), Clone::clone)
    }

    /// The node.
    pub fn node(&self, enclave: Option<&EnclaveId>) -> Result<Node, Failure> {
        self.node_at(&self.node_url(enclave))
    }

    /// A node at an address.
    pub fn node_at(&self, url: &str) -> Result<Node, Failure> {
        let node = Node::at(url)?;
        node.name_caller(concat!("enc/", env!("CARGO_PKG_VERSION")));
        match &self.common.token {
            Some(path) => Ok(node.with_bearer(&read_token(path)?)),
            None => Ok(node),
        }
    }

    /// Whether the node is asked with an operator's token.
    pub fn has_token(&self) -> bool {
        self.common.token.is_some()
    }

    /// The enclave's id.
    pub fn enclave_id(&self) -> Result<EnclaveId, Failure> {
        match &self.common.enclave {
            Some(text) => self.home.enclave_of(text),
            None => self.home.settings.enclave.ok_or_else(|| {
                let text = "no enclave is in use".into();
                Failure::Usage(
                    text,
                    "Make one (`enc enclave create`), choose one (`enc enclave use`), or say --enclave.",
                )
            }),
        }
    }

    /// The enclave that the command line names, if it does.
    pub fn named_enclave(&self) -> Result<Option<EnclaveId>, Failure> {
        self.common.enclave.as_ref().map(|text| self.home.enclave_of(text)).transpose()
    }

    /// `--enclave`, where it is said, must be the one that a file is about.
    pub fn check_named(&self, found: EnclaveId) -> Result<(), Failure> {
        match self.named_enclave()? {
            Some(expected) if expected != found => {
                Err(Failure::DoesNotHold(format!("the file is about enclave {found}, not {expected}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The enclave, as it is pinned here. The first visit pins it.
    pub fn enclave(&self) -> Result<Enclave, Failure> {
        let id = self.enclave_id()?;
        let node = self.node(Some(&id))?;
        let enclave = Enclave::open(&node, id, self.identity_or_stranger()?, self.home.store())?;
        let enclave = enclave.sealed(self.common.sealed);
        // Who names a node wants to hear that one.
        Ok(if self.common.node.is_some() { enclave.staying() } else { enclave })
    }

    /// The enclave, after its newest tree head was found to continue the one that was kept, and the newest receipt to be honoured.
    pub fn visit(&self) -> Result<Enclave, Failure> {
        let enclave = self.enclave()?;
        enclave.sth()?;
        enclave.check_newest_receipt()?;
        Ok(enclave)
    }
}

/// A token from a file, without the white space around it.
pub fn read_token(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|cause| Failure::File { path: path.into(), cause })?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::Content { path: path.into(), fault: "holds no token".into() });
    }
    Ok(token.into())
}
