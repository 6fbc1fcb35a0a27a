//! Checkpoints and tiles of an enclave, re-hashed from its entries by `golang.org/x/mod/sumdb`, at the sizes where tiles begin and end.

use crate::world::{fill, log_url, make_enclave, text_of};
use client::{Enclave, MemoryStore, Node};
use conformance::encd::Encd;
use conformance::golang;
use conformance::wire::{Ask, ask};
use protocol::EnclaveId;
use std::path::Path;
use std::process::{Command, Stdio};

/// The sizes at which tiles begin and end.
const SIZES: [u64; 5] = [1, 2, 255, 256, 257];
/// A log with a third level of tiles; by default a smaller one is made, which takes seconds.
const WHOLE: u64 = 65_536 + 256 + 1;
const PART: u64 = 2 * 256 + 44;
/// Says that the large log is wanted.
const WHOLE_VARIABLE: &str = "ENC_WHOLE_LOG";

/// The log of an enclave by Go; answers its size.
fn audit(node: &Encd, enclave: EnclaveId, save: Option<&Path>) -> u64 {
    let vkey = text_of(node, &format!("/{enclave}/info/enclave"), "log_vkey");
    let (url, save) = (log_url(node, enclave), save.map(|folder| folder.to_str().expect("a plain path")));
    let args: Vec<&str> =
        [if save.is_some() { "save" } else { "audit" }, &url, &vkey].into_iter().chain(save).collect();
    let said = golang::run(&args).unwrap_or_else(|error| panic!("Go does not take the log: {error}"));
    said.split(' ').next().and_then(|size| size.parse().ok()).expect("it says the size")
}

/// The same checkpoint by the SDK, which checks both its lines and compares it with the tree head.
fn by_client(node: &Encd, enclave: EnclaveId) -> u64 {
    let at = Node::at(&format!("http://{}", node.address));
    let opened = at.and_then(|at| Enclave::open(&at, enclave, None, MemoryStore::shared()));
    let checkpoint = opened.and_then(|opened| opened.checkpoint());
    checkpoint.unwrap_or_else(|error| panic!("the client does not take the checkpoint: {error}")).tree_size
}

/// The whole note by the second reading of the protocol, which makes it again from the key: both signatures are deterministic.
fn by_second_reading(node: &Encd, enclave: EnclaveId) {
    const SCRIPT: &str = "import sys; from gen import protocol; import base64; note = sys.stdin.read(); lines = note.split('\\n'); \
         made = protocol.checkpoint(sys.argv[1], sys.argv[2], int(lines[1]), base64.b64decode(lines[2]).hex())[1]; \
         sys.exit(0 if made == note else 'the note would be ' + made)";
    let secret = std::fs::read_to_string(node.folder().join("keys/node.key")).expect("the node keeps its key");
    let note = ask(&node.address, &Ask::get(&format!("/{enclave}/checkpoint"))).body;
    let mut child = Command::new("python3")
        .args(["-c", SCRIPT, secret.trim_end(), &enclave.hex()])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors"))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let mut input = child.stdin.take().expect("its input is a pipe");
    std::io::Write::write_all(&mut input, &note).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_log_holds_at_every_edge() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = Encd::start(folder.path(), "");
    let empty = make_enclave(&node, 2, "empty");
    assert_eq!((audit(&node, empty, None), by_client(&node, empty)), (0, 0));
    by_second_reading(&node, empty);
    let enclave = make_enclave(&node, 1, "edges");
    let mut size = 1;
    for wanted in SIZES {
        fill(&node, enclave, wanted - size);
        size = wanted;
        assert_eq!((audit(&node, enclave, None), by_client(&node, enclave)), (size, size));
        by_second_reading(&node, enclave);
    }
    let last = if std::env::var_os(WHOLE_VARIABLE).is_some() { WHOLE } else { PART };
    fill(&node, enclave, last - size);
    assert_eq!((audit(&node, enclave, None), by_client(&node, enclave)), (last, last));
    by_second_reading(&node, enclave);
}

#[test]
fn no_byte_of_any_file_can_be_another() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = Encd::start(folder.path(), "");
    for (bundle, more, least) in [(2, 0, 200), (1, 2, 600), (1, 256, 29_000)] {
        let enclave = make_enclave(&node, bundle, &more.to_string());
        fill(&node, enclave, more);
        let saved = folder.path().join(format!("saved-{bundle}-{more}"));
        let size = audit(&node, enclave, Some(&saved));
        let vkey = text_of(&node, &format!("/{enclave}/info/enclave"), "log_vkey");
        let said = golang::run(&["flips", saved.to_str().expect("a plain path"), &vkey]);
        let altered: u64 = said.unwrap_or_else(|error| panic!("{error}")).trim_end().parse().expect("a count");
        assert!(altered >= least, "{altered} bytes of a log of {size} were altered");
    }
}
