//! The enclaves that are written to, and the commits.

use crate::encd::Encd;
use crate::people::{json, key, now};
use crate::wire::{Ask, ask};
use client::{Enclave, Error, Identity, Node, Store};
use protocol::commit::Draft;
use protocol::schnorr::KeyPair;
use protocol::{Commit, EnclaveId, Json, PublicKey};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many enclaves there are, over both shards.
pub const ENCLAVES: usize = 6;
/// How long a commit may be sequenced.
const LIFE_MS: u64 = 120_000;

/// The enclaves of one node and their owner, who writes everything.
pub struct Field {
    /// The node's key.
    pub sequencer: PublicKey,
    /// Who writes.
    pub owner: KeyPair,
    /// The enclaves.
    pub enclaves: Vec<EnclaveId>,
    number: AtomicU64,
}

impl Field {
    /// Makes the enclaves on a node.
    pub fn make(node: &Encd) -> Field {
        let owner = key(1);
        let enclaves = (0..ENCLAVES).map(|place| make_enclave(node, &owner, place)).collect();
        Field { sequencer: node.sequencer, owner, enclaves, number: AtomicU64::new(0) }
    }

    /// The next commit, for the next enclave.
    pub fn commit(&self) -> Commit {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let place = usize::try_from(number).expect("a small number") % ENCLAVES;
        self.commit_to(self.enclaves[place], number)
    }

    /// A commit that nobody has made before, for one enclave.
    pub fn commit_to(&self, enclave: EnclaveId, number: u64) -> Commit {
        let content = Json::object([("number", Json::from(number)), ("text", Json::from("x".repeat(200)))]);
        Draft::new(enclave, "message", &content, now() + LIFE_MS).sign(&self.owner).into_commit()
    }

    /// The owner's handle on an enclave.
    ///
    /// # Errors
    /// What the SDK says.
    pub fn open(&self, node: &Encd, enclave: EnclaveId, store: &Arc<dyn Store>) -> Result<Enclave, Error> {
        let sdk = Node::connect(&format!("http://{}", node.address))?;
        Enclave::open(&sdk, enclave, Some(owner()), Arc::clone(store))
    }
}

fn owner() -> Identity {
    Identity::from_secret(&"01".repeat(32)).expect("a repeated small byte is a valid scalar")
}

/// Bundles of three, or of forty, so that roots and heads are made all the time and some bundles are open when the end comes.
fn make_enclave(node: &Encd, owner: &KeyPair, place: usize) -> EnclaveId {
    let size = if place.is_multiple_of(2) { 3 } else { 40 };
    let content = json(&format!(
        r#"{{"enc_v":2,"sequencer":"{}","bundle":{{"size":{size},"timeout":500}},"RBAC":{{
            "states":["MEMBER"],"traits":["owner(0)"],"readers":[{{"type":"Public","reads":"*"}}],
            "customs":[{{"event":"message","operator":"MEMBER","ops":["C","P"]}}],
            "init":[{{"identity":"{}","state":"MEMBER","traits":["owner"]}}]}}}}"#,
        node.sequencer,
        owner.public()
    ));
    let tags = vec![vec!["nonce".to_owned(), place.to_string()]];
    let commit = Draft::manifest(owner, &content, tags, now() + LIFE_MS).sign(owner).into_commit();
    let answer = ask(&node.address, &Ask::post("/", commit.to_json().to_jcs()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    commit.enclave
}
