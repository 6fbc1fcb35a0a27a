//! The heads log: one log a node, an entry for each closing of each enclave, whatever happens to the node in between.

use crate::world::{fill, make_enclave, text_of};
use client::heads_log::HeadsTrust;
use client::{Enclave, Error, Falsehood, MemoryStore, Node};
use conformance::encd::Encd;
use conformance::golang;
use conformance::wire::{Ask, ask};
use conformance::witness::wait_for;
use protocol::EnclaveId;
use std::path::Path;
use tlog::checkpoint::Checkpoint;
use tlog::note::Note;
use tlog::vkey::Vkey;

/// The size of the published heads log.
pub fn heads_size(node: &Encd) -> u64 {
    let answer = ask(&node.address, &Ask::get("/heads/checkpoint"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let note = Note::parse(&answer.body).expect("a note");
    Checkpoint::parse(note.text()).expect("a checkpoint").size
}

/// The heads log by Go, once it has so many entries.
fn audit(node: &Encd, size: u64, save: Option<&Path>) {
    wait_for(|| (heads_size(node) >= size).then_some(()));
    let (url, vkey) = (format!("http://{}/heads", node.address), text_of(node, "/", "heads_vkey"));
    let save = save.map(|folder| folder.to_str().expect("a plain path"));
    let args: Vec<&str> =
        [if save.is_some() { "save" } else { "audit" }, &url, &vkey].into_iter().chain(save).collect();
    let said = golang::run(&args).unwrap_or_else(|error| panic!("Go does not take the heads log: {error}"));
    assert_eq!(said.split(' ').next(), Some(size.to_string().as_str()), "one entry a closing");
}

fn open(node: &Encd, enclave: EnclaveId) -> Enclave {
    let at = Node::at(&format!("http://{}", node.address)).expect("an address");
    Enclave::open(&at, enclave, None, MemoryStore::shared()).expect("the Manifest verifies")
}

/// That the newest head of the enclave stands in the log.
fn proves(node: &Encd, enclave: EnclaveId, tree_size: u64) {
    let log = Vkey::parse(&text_of(node, "/", "heads_vkey")).expect("a key");
    let proven = open(node, enclave).prove_heads(HeadsTrust { log: &log, policy: None });
    assert_eq!(proven.unwrap_or_else(|error| panic!("{error}")).tree_size, tree_size);
}

#[test]
fn every_closing_of_every_enclave_is_an_entry_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut node = Encd::start(folder.path(), "");
    audit(&node, 0, None);
    let none = make_enclave(&node, 5, "none");
    let [one, two, three] = ["one", "two", "three"].map(|nonce| make_enclave(&node, 1, nonce));
    fill(&node, one, 150);
    fill(&node, two, 149);
    let sizes = [(one, 151), (two, 150), (three, 1)];
    audit(&node, 302, None);
    sizes.iter().for_each(|(enclave, size)| proves(&node, *enclave, *size));
    let absent = ask(&node.address, &Ask::get(&format!("/heads/proof?enclave={none}")));
    assert_eq!(absent.status, 404, "a log of no entries is not there: {}", absent.text());
    let older = ask(&node.address, &Ask::get(&format!("/heads/proof?enclave={one}&tree_size=7"))).json();
    assert_eq!(older.member("tree_size").and_then(protocol::Json::as_uint), Some(7));
    // Killed before the log has followed, it follows when it is started again.
    fill(&node, three, 20);
    node.kill();
    drop(node);
    let node = Encd::start(folder.path(), "");
    audit(&node, 322, Some(&folder.path().join("saved")));
    proves(&node, three, 21);
    let saved = folder.path().join("saved");
    let vkey = text_of(&node, "/", "heads_vkey");
    let flipped = golang::run(&["flips", saved.to_str().expect("a plain path"), &vkey]);
    let flipped: u64 = flipped.unwrap_or_else(|error| panic!("{error}")).trim_end().parse().expect("a count");
    assert!(flipped > 30_000, "{flipped} bytes were altered");
}

#[test]
fn a_log_of_another_key_proves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = Encd::start(folder.path(), "");
    let enclave = make_enclave(&node, 1, "one");
    audit(&node, 1, None);
    let made = golang::run(&["key", "node.test/heads"]).expect("a key can be made");
    let other = Vkey::parse(made.lines().nth(1).expect("the second line is public")).expect("a key");
    let proven = open(&node, enclave).prove_heads(HeadsTrust { log: &other, policy: None });
    assert!(matches!(proven, Err(Error::False(Falsehood::Proof(_)))), "{proven:?}");
}

#[test]
fn an_older_copy_is_served_and_not_written_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut node = Encd::start(folder.path(), "");
    let enclave = make_enclave(&node, 1, "one");
    audit(&node, 1, None);
    node.kill();
    let mark = node.folder().join("data/heads.mark");
    wait_for(|| mark.is_file().then_some(()));
    drop(node);
    std::fs::write(&mark, "9\n").expect("the folder is writable");
    let node = Encd::start(folder.path(), "");
    assert!(node.log().contains("the heads log is older than its mark"), "{}", node.log());
    fill(&node, enclave, 1);
    wait_for(|| node.log().contains("closings are not in the heads log yet").then_some(()));
    assert_eq!(heads_size(&node), 1);
    proves(&node, enclave, 1);
}
