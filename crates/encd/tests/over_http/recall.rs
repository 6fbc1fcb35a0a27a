//! A whole folder is put back by hand, marks and all: a witness knows better, and so does a node that has a copy.

use crate::backup::encd;
use crate::node::{get, key, manifest, note};
use crate::process::{Process, Scratch, command, commit, start};
use protocol::{EnclaveId, Json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BOUND: Duration = Duration::from_secs(30);

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// `encd witness`, killed in the end.
struct Witness {
    child: Child,
    url: String,
    vkey: String,
}

impl Witness {
    fn start(folder: &Path, logs: &Path, address: &str) -> Witness {
        let mut command = Command::new(env!("CARGO_BIN_EXE_encd"));
        command.args(["witness", "--name", "witness.test", "--listen", address, "--data"]).arg(folder);
        command.arg("--logs").arg(logs).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary runs");
        let mut lines = BufReader::new(child.stdout.take().expect("its output is ours")).lines().map_while(Result::ok);
        let [url, vkey] = ["listen", "vkey"].map(|wanted| {
            let found = lines.by_ref().find_map(|line| Some(line.trim().strip_prefix(wanted)?.trim().to_owned()));
            found.expect("it says where it is and its key")
        });
        Witness { child, url, vkey }
    }

    fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.kill();
    }
}

fn member(url: &str, name: &str) -> String {
    let answer = get(url).json();
    answer.member(name).and_then(Json::as_text).unwrap_or_else(|| panic!("{url} has no {name}")).to_owned()
}

/// The size of the enclave's log, as its checkpoint says.
fn size(url: &str, enclave: EnclaveId) -> u64 {
    let note = get(&format!("{url}/enclaves/{}/checkpoint", enclave.hex())).text();
    note.lines().nth(1).and_then(|line| line.parse().ok()).unwrap_or(0)
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < BOUND, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn said(node: &Process, enclave: EnclaveId) -> (u16, String) {
    let answer = commit(&node.url, &note(&key(0x33), enclave, "x")).expect("answered");
    (answer.status, answer.code())
}

/// Commits until the log has one more entry.
fn grow(node: &Process, enclave: EnclaveId) {
    let before = size(&node.url, enclave);
    assert_eq!(said(node, enclave).0, 200);
    until("a bundle closes", || size(&node.url, enclave) > before);
}

fn copy_folder(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success());
}

/// A folder that is an older copy of itself, the newest one, and a witness that has seen it.
struct Scene {
    scratch: Scratch,
    folder: PathBuf,
    newest: PathBuf,
    config: PathBuf,
    logs: PathBuf,
    witness: Witness,
    enclave: EnclaveId,
}

impl Scene {
    /// `by_heads`: the witness sees the heads log, else the enclave's own.
    fn build(name: &str, by_heads: bool) -> Scene {
        let scratch = Scratch::new(name);
        fs::create_dir_all(&scratch.0).expect("made");
        let place = |name: &str| scratch.0.join(name);
        let (folder, older, newest) = (place("node"), place("older"), place("newest"));
        let node = start(&mut command(&folder));
        let first = manifest(&key(0x33), &node.sequencer(), "recall", 1_000);
        assert_eq!(commit(&node.url, &first).expect("answered").status, 200);
        let enclave = first.commit().enclave;
        grow(&node, enclave);
        until("its head is in the heads log", || {
            get(&format!("{}/heads/proof?enclave={}", node.url, enclave.hex())).status == 200
        });
        let log = match by_heads {
            true => member(&node.url, "heads_vkey"),
            false => member(&format!("{}/enclaves/{}/info/enclave", node.url, enclave.hex()), "log_vkey"),
        };
        node.stop();
        copy_folder(&folder, &older);
        let (logs, policy, config) = (place("logs"), place("policy"), place("encd.toml"));
        fs::write(&logs, format!("log {log}\n")).expect("written");
        let witness = Witness::start(&place("witness"), &logs, "127.0.0.1:0");
        let asked = format!("log {log}\nwitness w {} {}\nquorum w\n", witness.vkey, witness.url);
        fs::write(&policy, asked).expect("written");
        let enclaves = if by_heads { String::new() } else { format!("\"{}\"", enclave.hex()) };
        let text = format!("[witnesses]\npolicy_file = {policy:?}\nheads = {by_heads}\nenclaves = [{enclaves}]\n");
        fs::write(&config, text).expect("written");
        let scene = Scene { folder, newest, config, logs, witness, enclave, scratch };
        let node = scene.start();
        grow(&node, enclave);
        until("the witness has it", || scene.has_cosigned(&node, by_heads));
        node.stop();
        fs::rename(&scene.folder, &scene.newest).expect("moved");
        fs::rename(older, &scene.folder).expect("moved");
        scene
    }

    fn start(&self) -> Process {
        start(command(&self.folder).arg("--config").arg(&self.config))
    }

    /// Whether what the node publishes is of both bundles and bears the witness's line.
    fn has_cosigned(&self, node: &Process, by_heads: bool) -> bool {
        let path =
            if by_heads { "heads/checkpoint".into() } else { format!("enclaves/{}/checkpoint", self.enclave.hex()) };
        let note = get(&format!("{}/{path}", node.url)).text();
        note.lines().nth(1) == Some("2") && note.contains("\u{2014} witness.test ")
    }

    fn resume(&self, further: &[&str]) -> (i32, String) {
        let id = self.enclave.hex();
        let arguments = [&["resume-after-loss", &id, "--config", text(&self.config)], further].concat();
        let said = encd(&arguments, &self.folder);
        (said.code, said.err)
    }
}

#[test]
fn a_witness_of_the_log_knows_that_the_folder_is_an_older_copy() {
    let mut scene = Scene::build("recall-log", false);
    let enclave = scene.enclave;
    let node = scene.start();
    assert_eq!(said(&node, enclave), (503, "rolled_back".into()));
    node.stop();
    let (code, why) = scene.resume(&[]);
    assert!(code == 77 && why.contains("the witness w has seen a tree of 2, and this copy has 1"), "{code} {why}");
    scene.witness.kill();
    let (code, why) = scene.resume(&[]);
    assert!(code == 77 && why.contains("the witness w does not say"), "{code} {why}");
    assert_eq!(scene.resume(&["--without-asking"]).0, 0);
    // What the operator has decided stands, whatever the witness remembers.
    let address = scene.witness.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    scene.witness = Witness::start(&scene.scratch.0.join("witness"), &scene.logs, &address);
    let node = scene.start();
    assert_eq!(said(&node, enclave).0, 200);
    node.stop();
}

#[test]
fn a_witness_of_the_heads_log_knows_it_too() {
    let scene = Scene::build("recall-heads", true);
    let node = scene.start();
    assert_eq!(said(&node, scene.enclave), (503, "rolled_back".into()));
    node.stop();
    let (code, why) = scene.resume(&[]);
    assert_eq!(code, 0, "of this enclave no witness knows anything: {why}");
    let node = scene.start();
    assert_eq!(said(&node, scene.enclave).0, 200);
    node.stop();
}

#[test]
fn a_mirror_that_has_more_objects() {
    let scene = Scene::build("recall-mirror", true);
    let mirror = start(&mut command(&scene.newest));
    let node = scene.start();
    assert_eq!(said(&node, scene.enclave), (503, "rolled_back".into()));
    node.stop();
    let (code, why) = scene.resume(&["--mirror", &mirror.url]);
    assert!(code == 77 && why.contains("has seen a tree of 2"), "{code} {why}");
    mirror.stop();
    let (code, why) = scene.resume(&["--mirror", "http://127.0.0.1:1"]);
    assert!(code == 77 && why.contains("does not answer"), "{code} {why}");
    assert_eq!(scene.resume(&[]).0, 0);
}
