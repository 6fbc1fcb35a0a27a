//! The enclave that a workflow works in, and those who act in it.

use super::checks::{Fault, demand, demand_refusal, wrong};
use client::node::NodeInfo;
use client::{Committed, Enclave, Error, Identity, MemoryStore, Node, Store, Template};
use protocol::commit::Draft;
use protocol::ids::hex;
use protocol::state::Bitmask;
use protocol::{Code, EnclaveId, Json, PublicKey, Receipt};
use std::sync::Arc;

/// The place. A check that needs the enclave makes sure of it, so that an earlier one that failed does not stop it.
pub struct Place {
    pub node: Node,
    pub owner: Identity,
    template: Template,
    store: Arc<dyn Store>,
    nonce: String,
    id: Option<EnclaveId>,
    sequencer: Option<PublicKey>,
    enclave: Option<Enclave>,
    described: Option<NodeInfo>,
}

impl Place {
    /// At a node, with a new owner.
    pub fn new(node: &Node, template: Template) -> Result<Place, Error> {
        let (owner, _) = Identity::generate()?;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|_| Error::Random)?;
        Ok(Place {
            node: node.clone(),
            owner,
            template,
            store: MemoryStore::shared(),
            nonce: hex(&nonce),
            id: None,
            sequencer: None,
            enclave: None,
            described: None,
        })
    }

    /// Asks what the node is; but for its clock it must say the same each time.
    pub fn describe(&mut self) -> Result<NodeInfo, Fault> {
        let info = self.node.info()?;
        let plain = NodeInfo { time: 0, ..info.clone() };
        match &self.described {
            Some(before) => demand(*before == plain, "GET / says something else than before")?,
            None => self.described = Some(plain),
        }
        Ok(info)
    }

    /// Forgets how the node has described itself: the description was found wanting.
    pub fn forget_description(&mut self) {
        self.described = None;
    }

    /// Makes the enclave. Its id is computed here, before anything is sent.
    pub fn create(&mut self) -> Result<Receipt, Fault> {
        let sequencer = self.describe()?.sequencer;
        let content = self.template.manifest(&sequencer, &self.owner.public());
        let tags = vec![vec!["nonce".to_string(), self.nonce.clone()]];
        self.id = Some(Draft::manifest(self.owner.key(), &content, tags.clone(), 0).enclave);
        self.sequencer = Some(sequencer);
        let holder = (self.owner.clone(), Arc::clone(&self.store));
        let created = Enclave::create(&self.node, &content, tags, holder)?;
        self.enclave = Some(created.enclave);
        Ok(created.receipt)
    }

    /// The owner's handle.
    pub fn owner(&mut self) -> Result<&Enclave, Fault> {
        if self.enclave.is_none() {
            self.reopen()?;
        }
        self.enclave.as_ref().ok_or_else(|| wrong("there is no enclave"))
    }

    /// Somebody's handle; a stranger's without an identity.
    pub fn of(&mut self, who: Option<&Identity>) -> Result<Enclave, Fault> {
        let who = who.cloned();
        Ok(self.owner()?.for_identity(who))
    }

    /// The key that the Manifest was written for.
    pub fn sequencer(&mut self) -> Result<PublicKey, Fault> {
        self.owner()?;
        self.sequencer.ok_or_else(|| wrong("there is no enclave"))
    }

    /// The enclave was made although the answer did not hold, or it was not: then it is made anew.
    fn reopen(&mut self) -> Result<(), Fault> {
        if let Some(id) = self.id {
            let opened = Enclave::open(&self.node, id, Some(self.owner.clone()), Arc::clone(&self.store));
            match opened {
                Ok(enclave) => {
                    self.enclave = Some(enclave);
                    return Ok(());
                }
                Err(error) if error.code() == Some(Code::EnclaveNotFound) => self.forget_description(),
                Err(error) => return Err(error.into()),
            }
        }
        self.create().map(drop)
    }
}

/// A new identity.
pub fn somebody() -> Result<Identity, Error> {
    Ok(Identity::generate()?.0)
}

/// Commits as somebody, by a fresh commit whose receipt verifies.
pub fn commit(enclave: &Enclave, event_type: &str, content: &Json) -> Result<Committed, Fault> {
    let committed = enclave.commit(event_type, content)?;
    demand(!committed.duplicate, "a fresh commit was called a duplicate")?;
    Ok(committed)
}

/// That a commit by somebody is refused.
pub fn refused(enclave: &Enclave, who: &Identity, said: (&str, &Json), code: Code) -> Result<(), Fault> {
    let commit = enclave.draft(said.0, said.1).sign(who.key()).into_commit();
    demand_refusal(enclave.node().submit_unverified(&commit), code, Some(&commit.hash))
}

/// `{name: value, …}` of texts.
pub fn texts<const N: usize>(members: [(&str, &str); N]) -> Json {
    Json::object(members.map(|(name, value)| (name, Json::from(value))))
}

/// The content of a Move.
pub fn move_to(target: &Identity, state: &str) -> Json {
    texts([("target", &target.public().hex()), ("to", state)])
}

/// The content of a Grant or a Revoke.
pub fn with_trait(target: &Identity, name: &str) -> Json {
    texts([("target", &target.public().hex()), ("trait", name)])
}

/// The bitmask of a State and traits by name.
pub fn mask(enclave: &Enclave, state: &str, traits: &[&str]) -> Result<Bitmask, Fault> {
    let pin = enclave.pin();
    let mut mask = Bitmask::default();
    let number = pin.manifest().state_named(state).ok_or_else(|| wrong(format!("no State {state}")))?;
    mask.set_state(number);
    for name in traits {
        let index = pin.manifest().trait_named(name).ok_or_else(|| wrong(format!("no trait {name}")))?;
        mask.set(index, true);
    }
    Ok(mask)
}
