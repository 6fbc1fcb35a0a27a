//! Two nodes at addresses that stay, an enclave at the first, the people in it, and a person's command line.

use crate::gate::Gate;
use client::migration::{Migration, Order};
use client::{Enclave, FolderStore, Identity, MemoryStore, Node, Store};
use conformance::encd::{Encd, binary};
use conformance::people::json;
use protocol::ids::hex;
use protocol::{EnclaveId, Json, PublicKey};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use tempfile::TempDir;

/// A node that can be killed and comes back where it was.
pub struct Place {
    pub node: Encd,
    pub gate: Gate,
    folder: TempDir,
}

/// The owner's folder of keys and pins, and the program that uses it.
pub struct Owner {
    pub identity: Identity,
    home: TempDir,
}

const CONFIG: &str = "[outbound]\nallow_loopback = true\n[websocket]\nsockets_per_address = 1000\n";

impl Place {
    pub fn new() -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let node = Encd::start(folder.path(), CONFIG);
        let gate = Gate::before(&node.address);
        Place { node, gate, folder }
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        self.node.kill();
    }

    /// Starts it again.
    pub fn start(&mut self) {
        self.node = Encd::start(self.folder.path(), CONFIG);
        self.gate.lead_to(&self.node.address);
    }

    pub fn sdk(&self) -> Node {
        Node::at(&self.gate.url).expect("an address")
    }
}

/// A key of one byte, repeated.
pub fn person(byte: u8) -> Identity {
    Identity::from_secret(&hex(&[byte; 32])).expect("a key")
}

/// Members write and read; who watches is pushed messages. Bundles close by themselves within a second.
pub fn manifest(sequencer: &PublicKey) -> Json {
    let [owner, writer, watcher] = [1, 2, 3].map(|byte| person(byte).public());
    json(&format!(
        r#"{{"enc_v":2,"sequencer":"{sequencer}","bundle":{{"size":4,"timeout":1000}},"RBAC":{{
            "states":["MEMBER"],"traits":["owner(0)","watch(1)"],"readers":[{{"type":"MEMBER","reads":"*"}}],
            "moves":[{{"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":"owner","ops":["C"]}},
                     {{"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":["Self","owner"],"ops":["C"]}}],
            "customs":[{{"event":"message","operator":"MEMBER","ops":["C"]}},
                       {{"event":"message","operator":"watch","ops":["P"]}}],
            "init":[{{"identity":"{owner}","state":"MEMBER","traits":["owner"]}},
                    {{"identity":"{writer}","state":"MEMBER","traits":[]}},
                    {{"identity":"{watcher}","state":"MEMBER","traits":["watch"]}}]}}}}"#
    ))
}

impl Owner {
    pub fn new() -> Owner {
        let home = tempfile::tempdir().expect("a temporary folder");
        let keys = home.path().join("keys");
        client::folder::make_private_folder(&keys).expect("made");
        client::folder::replace_file(&keys.join("me.key"), hex(&[1; 32]).as_bytes()).expect("written");
        Owner { identity: person(1), home }
    }

    pub fn store(&self) -> Arc<dyn Store> {
        Arc::new(FolderStore::new(self.home.path().join("enclaves")))
    }

    pub fn folder(&self, enclave: &EnclaveId) -> PathBuf {
        FolderStore::new(self.home.path().join("enclaves")).folder(enclave)
    }

    /// Makes an enclave at a node, and uses it there.
    pub fn creates(&self, place: &Place, nonce: &str) -> Enclave {
        let tags = vec![vec!["nonce".to_owned(), nonce.to_owned()]];
        let holder = (self.identity.clone(), self.store());
        let created = Enclave::create(&place.sdk(), &manifest(&place.node.sequencer), tags, holder).expect("made");
        let id = created.enclave.id().hex();
        self.does(&["--node", &place.gate.url, "enclave", "use", &id]);
        created.enclave
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("enc"));
        command.args(arguments).env("ENC_HOME", self.home.path()).env_remove("XDG_CONFIG_HOME");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// Runs it, expects success, gives standard output.
    pub fn does(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// The move as the library makes it, one step at a time.
    pub fn migration(&self, id: EnclaveId, (from, to): (&Place, &Place)) -> Migration {
        let enclave = Enclave::open(&from.sdk(), id, Some(self.identity.clone()), self.store()).expect("it is pinned");
        let (restorer, folder) = (Some(self.identity.clone()), self.folder(&id));
        Migration::open(Order { enclave, to: to.sdk(), key: None, restorer, folder }).expect("both nodes answer")
    }

    /// What is noted of a move that is not finished.
    pub fn noted(&self, id: &EnclaveId) -> Option<String> {
        fs::read_to_string(self.folder(id).join("migrate.json")).ok()
    }
}

/// Somebody else's handle, at this node, with nothing kept from before.
pub fn visitor(place: &Place, id: EnclaveId, byte: u8) -> Enclave {
    Enclave::open(&place.sdk(), id, Some(person(byte)), MemoryStore::shared()).expect("it is there")
}

/// Status and `live` at a node.
pub fn standing(place: &Place, id: &EnclaveId) -> (String, bool, PublicKey) {
    let info = place.sdk().enclave_info(id).expect("it is known there");
    (info.status, info.live, info.sequencer)
}
