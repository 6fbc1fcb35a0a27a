//! One store, copied; two histories by the same keys; two clients that each see nothing wrong until they compare.

use crate::person::{Person, every_byte_counts, one, read, settle, visit};
use conformance::encd::Encd;
use conformance::equivocator::{Equivocator, Lie};
use protocol::EnclaveId;
use protocol::evidence::{Contradiction, HeadStatement};
use std::path::Path;
use tempfile::TempDir;

/// Two people who knew an honest node, and what it has become.
struct Split {
    folder: TempDir,
    alice: Person,
    bob: Person,
    liar: Equivocator,
    enclave: EnclaveId,
}

impl Split {
    fn begin() -> Split {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut node = Encd::start(folder.path(), "");
        let [alice, bob] = ["alice", "bob"].map(|name| Person::new(folder.path(), name));
        let enclave = settle(&alice, &node);
        visit(&bob, &format!("http://{}", node.address), enclave);
        node.kill();
        let liar = Equivocator::start(&Lie::of(node.folder(), &folder.path().join("copies"), 2));
        Split { folder, alice, bob, liar, enclave }
    }

    fn left(&self) -> &str {
        &self.liar.urls[0]
    }

    fn right(&self) -> &str {
        &self.liar.urls[1]
    }
}

/// Whoever does not compare sees a node that is in order.
fn sees_nothing(person: &Person, url: &str) {
    for words in [&["query"][..], &["audit"], &["prove", "log"], &["evidence", "collect"]] {
        person.does(&[&["--node", url][..], words].concat());
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn two_clients_that_compare_see_it() {
    let split = Split::begin();
    let (alice, bob) = (&split.alice, &split.bob);
    alice.notes(split.left(), "left");
    bob.notes(split.right(), "right");
    sees_nothing(alice, split.left());
    sees_nothing(bob, split.right());
    let ours = alice.exports(split.left(), "ours.json");
    let theirs = bob.exports(split.right(), "theirs.json");
    let id = split.enclave.hex();
    drop(split.liar);
    // The nodes are gone. Carol has never met the enclave; Alice looks into Bob's folder.
    let carol = Person::new(split.folder.path(), "carol");
    let found = carol.collects(&[&id, "--offline", "--with", &ours, "--with", &theirs]);
    let kinds: Vec<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["two_events", "two_heads", "two_heads"]);
    let heads = [&found[1].1, &found[2].1].map(|path| read(path).contradiction);
    let alike = |contradiction: &Contradiction| match contradiction {
        Contradiction::TwoHeads(a, b) => (a.sth().is_some(), b.sth().is_some()),
        other => panic!("{other:?}"),
    };
    assert_eq!(heads.each_ref().map(alike), [(true, true), (false, false)]);
    for (_, path) in &found {
        let said = carol.does(&["evidence", "verify", text(path)]);
        assert!(said.contains("holds: sequencer ") && said.contains("not known here"), "{said}");
        let said = alice.does(&["evidence", "verify", text(path)]);
        assert!(said.contains("the key is the enclave's sequencer"), "{said}");
        every_byte_counts(path);
    }
    let again = alice.collects(&["--offline", "--with", text(&bob.home())]);
    assert_eq!(again.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["two_events", "two_heads"]);
    // What agrees proves nothing.
    alice.finds_nothing(&["--offline", "--with", &ours]);
    bob.finds_nothing(&["--offline"]);
}

#[test]
fn one_client_that_asks_both_sides_sees_it() {
    let split = Split::begin();
    let alice = &split.alice;
    alice.notes(split.left(), "left");
    for note in ["right", "more", "and more"] {
        split.bob.notes(split.right(), note);
    }
    let found = alice.collects(&["--node", split.left(), "--ask", split.right()]);
    let kinds: Vec<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "two_events").count(), 1, "{kinds:?}");
    // Alice holds a head of three entries, and the right log, of five, was another when it had three; her own note is not in it.
    for kind in ["rewritten", "left_out"] {
        let path = one(&found, kind);
        alice.does(&["evidence", "verify", text(path)]);
        every_byte_counts(path);
    }
    let Contradiction::LeftOut(receipt, inclusion) = read(one(&found, "left_out")).contradiction else { panic!() };
    assert_eq!((receipt.position.seq, inclusion.sth.tree_size), (2, 5));
}

#[test]
fn neighbours_do_not_fit() {
    let split = Split::begin();
    let carol = Person::new(split.folder.path(), "carol");
    visit(&carol, split.right(), split.enclave);
    // Carol's note is the right history's third, Bob's its fourth: Bob has no event at the place of Alice's.
    split.alice.notes(split.left(), "left");
    carol.notes(split.right(), "between");
    split.bob.notes(split.right(), "right");
    let found = split.alice.collects(&["--offline", "--with", text(&split.bob.home())]);
    let path = one(&found, "broken_chain");
    assert!(!found.iter().any(|(kind, _)| kind == "two_events"));
    every_byte_counts(path);
    let Contradiction::BrokenChain(earlier, later) = read(path).contradiction else { panic!() };
    assert_eq!((earlier.position.seq, later.position.seq), (2, 3));
}

/// A checkpoint by itself, as anybody may have fetched it, against a tree head that is kept.
#[test]
fn a_checkpoint_is_enough() {
    let split = Split::begin();
    split.alice.notes(split.left(), "left");
    split.alice.does(&["--node", split.left(), "query"]);
    split.bob.notes(split.right(), "right");
    let address = split.right().trim_start_matches("http://");
    let note = conformance::wire::ask(address, &conformance::wire::Ask::get(&format!("/{}/checkpoint", split.enclave)));
    let path = split.alice.path("note");
    std::fs::write(&path, &note.body).expect("the folder is writable");
    let found = split.alice.collects(&["--offline", "--with", text(&path)]);
    let Contradiction::TwoHeads(a, b) = read(one(&found, "two_heads")).contradiction else { panic!() };
    assert!(a.sth().is_some() && matches!(*b, HeadStatement::Checkpoint { .. }));
    // One that the sequencer has not signed is no statement.
    let changed = String::from_utf8(note.body).expect("text").replacen("\n3\n", "\n4\n", 1);
    std::fs::write(&path, changed).expect("the folder is writable");
    split.alice.ends(5, &["evidence", "collect", "--offline", "--with", text(&path)]);
}
