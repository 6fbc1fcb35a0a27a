//! A witness that has cosigned one history refuses the other, and the cosigned checkpoint is one half of the evidence.

use crate::person::{Person, one, read, settle, visit};
use conformance::encd::Encd;
use conformance::equivocator::{Equivocator, Lie};
use conformance::wire::{Ask, ask};
use conformance::witness::{Witness, wait_for};
use protocol::evidence::{Contradiction, HeadStatement};
use protocol::{EnclaveId, Json};
use tlog::note::Note;
use tlog::vkey::Vkey;

/// The published checkpoint if the witness has signed it for this size.
fn cosigned(url: &str, enclave: EnclaveId, vkey: &Vkey, size: u64) -> Option<Note> {
    let answer = ask(url.trim_start_matches("http://"), &Ask::get(&format!("/{enclave}/checkpoint")));
    let note = Note::parse(&answer.body).ok()?;
    let signed = note.signatures().iter().any(|line| vkey.verify_cosignature(note.text(), line).is_ok());
    let of_size = note.text().lines().nth(1) == Some(&size.to_string());
    (signed && of_size).then_some(note)
}

#[test]
fn a_witness_takes_one_history_only() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [alice, bob] = ["alice", "bob"].map(|name| Person::new(folder.path(), name));
    let mut node = Encd::start(folder.path(), "");
    let enclave = settle(&alice, &node);
    visit(&bob, &format!("http://{}", node.address), enclave);
    let info = ask(&node.address, &Ask::get(&format!("/{enclave}/info/enclave"))).json();
    let log_vkey = info.member("log_vkey").and_then(Json::as_text).expect("a log key").to_owned();
    node.kill();
    let logs = folder.path().join("logs");
    std::fs::write(&logs, format!("log {log_vkey}\n")).expect("the folder is writable");
    let witness = Witness::encd(&folder.path().join("witness"), "witness.example/one", &logs, 0);
    let vkey = Vkey::parse(&witness.vkey).expect("a key");
    let policy = folder.path().join("policy");
    let text = format!("log {log_vkey}\nwitness w {} {}\nquorum w\n", witness.vkey, witness.url);
    std::fs::write(&policy, text).expect("the folder is writable");
    let config = folder.path().join("liar.toml");
    let lines = format!("[witnesses]\npolicy_file = {:?}\nenclaves = [\"{enclave}\"]\n", policy.display().to_string());
    std::fs::write(&config, lines).expect("the folder is writable");
    let copies = folder.path().join("copies");
    let lie = Lie { config: Some(&config), ..Lie::of(node.folder(), &copies, 2) };
    let liar = Equivocator::start(&lie);
    let [left, right] = [&liar.urls[0], &liar.urls[1]];
    alice.notes(left, "left");
    let note = wait_for(|| cosigned(left, enclave, &vkey, 3));
    assert!(!liar.said().contains("status 422"), "{}", liar.said());
    bob.notes(right, "right");
    bob.notes(right, "and more");
    // The witness knows three entries that the right log never had: no proof leads there from it, and the operator reads it in the log.
    wait_for(|| liar.said().contains("status 422").then_some(()));
    assert!(cosigned(right, enclave, &vkey, 4).is_none());
    let path = alice.path("cosigned");
    std::fs::write(&path, note.to_string()).expect("the folder is writable");
    let carol = Person::new(folder.path(), "carol");
    visit(&carol, right, enclave);
    let found = carol.collects(&["--node", right, "--with", path.to_str().expect("a plain path")]);
    let Contradiction::Rewritten(rewriting) = read(one(&found, "rewritten")).contradiction else { panic!() };
    let HeadStatement::Checkpoint { text, .. } = &rewriting.older else { panic!("{rewriting:?}") };
    let line = note.signatures().iter().find(|line| vkey.verify_cosignature(text, line).is_ok());
    assert!(line.is_some(), "the evidence has the very text that the witness has cosigned");
}
