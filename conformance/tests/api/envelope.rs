//! The encrypted transport: a client made of foreign cryptography understands the node, and a node that requires it takes nothing else.

use crate::world::{World, list, number, text};
use client::{Enclave, Error, Filter, Identity, MemoryStore, Node};
use conformance::people::json;
use conformance::wire::Ask;
use protocol::state::StateName;
use protocol::{Code, Json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The Python with the foreign packages.
fn python() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows where it lies");
    let target = own.ancestors().nth(3).expect("a test lies in target/<profile>/deps");
    let path = target.join("venv/bin/python");
    assert!(
        path.is_file(),
        "{} is not there; `cargo xtask test` makes it, or: python3 -m venv '{1}' && '{1}/bin/python' -m pip install -r conformance/transport/requirements.txt",
        path.display(),
        target.join("venv").display()
    );
    path
}

/// Runs the foreign client as somebody; its standard output, or what it complains of.
fn foreign(world: &World, secret: &str, more: &[&str]) -> Result<String, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("transport/client.py");
    let output = Command::new(python())
        .arg(script)
        .args(["--url", &format!("http://{}/", world.node.address)])
        .args(["--enclave", &world.enclave.hex(), "--seq-pub", &world.node.sequencer.hex(), "--priv", secret])
        .args(more)
        .stdin(Stdio::null())
        .output()
        .expect("Python runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn a_foreign_library_opens_the_answers() {
    let world = World::new();
    let said = world.say(&world.bob, "message", r#""žluť 🐎""#);
    world.say(&world.alice, "secret", "1");
    let answer = foreign(&world, &"02".repeat(32), &["--probe"]).expect("it is understood");
    let page = json(answer.trim_end());
    assert_eq!(text(&page, "type"), "Response");
    let events = list(&page, "events");
    assert_eq!((events.len(), text(&events[0], "id")), (1, said.id.hex().as_str()), "bob reads what bob may");
    let filter = format!(r#"{{"id":"{}"}}"#, said.id);
    let one = json(foreign(&world, &"01".repeat(32), &["--filter", &filter]).expect("it is understood").trim_end());
    assert_eq!(number(&list(&one, "events")[0], "seq"), 1);
    let refused = foreign(&world, &"02".repeat(32), &["--filter", r#"{"limit":0}"#]).expect_err("it is refused");
    assert!(refused.contains("invalid_structure") && !refused.contains("in the clear"), "sealed, too: {refused}");
}

#[test]
fn a_node_that_requires_it_takes_no_plain_question() {
    let world = World::configured("[encryption]\nrequire = true\n").with_hall();
    let said = world.say(&world.bob, "message", "1");
    let close = Ask::post(&world.path("close-bundle"), world.by(&world.alice, ""));
    assert_eq!(world.ask(&close).status, 200, "what is no Query, Pull or proof goes on in plain");
    for (action, members) in [
        ("", r#""type":"Query""#),
        ("", r#""type":"Pull""#),
        ("inclusion", r#""leaf_index":0"#),
        ("state", r#""namespace":3,"key":"00""#),
        ("state-batch", r#""items":[]"#),
    ] {
        let path = format!("/{}/{action}", world.enclave);
        let ask = Ask::post(path.trim_end_matches('/'), world.by(&world.alice, members));
        world.refused(&format!("{action} {members}"), &ask, (403, Code::Unauthorized), &[]);
    }
    foreign(&world, &"02".repeat(32), &[]).expect("sealed it is answered");
    let node = Node::connect(&format!("http://{}", world.node.address)).expect("it answers");
    let bob = Identity::from_secret(&"02".repeat(32)).expect("a key");
    let enclave = Enclave::open(&node, world.enclave, Some(bob), MemoryStore::shared()).expect("its Manifest holds");
    let plain = enclave.query(&Filter::all());
    assert!(matches!(plain, Err(Error::Refused(refusal)) if refusal.code == Code::Unauthorized));
    let sealed = enclave.sealed(true);
    assert_eq!(sealed.query(&Filter::all()).expect("sealed").events.len(), 1);
    sealed.prove_event(&said).expect("proofs are asked for in envelopes as well");
    sealed.prove_bundle(&said).expect("bundle");
    let bob = world.bob.public();
    let proven = sealed.prove_states(&[StateName::Identity(&bob), StateName::Lifecycle]).expect("state-batch");
    assert_eq!(proven.values.len(), 2);
    let committed = sealed.commit("message", &Json::from("in an envelope")).expect("and commits");
    assert_eq!(committed.receipt.position.seq, 2);
    let pulled = sealed.pull(None, 0, 10);
    assert!(
        matches!(pulled, Err(Error::Refused(refusal)) if refusal.code == Code::Unauthorized),
        "bob has neither P nor N"
    );
}
