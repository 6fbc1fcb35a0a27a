//! Witnesses: Torchwood's cosigns our logs, ours cosigns other people's, two nodes witness each other, and clients ask for a quorum.

use crate::heads::heads_size;
use crate::world::{fill, make_enclave, text_of};
use conformance::encd::{Encd, binary};
use conformance::golang;
use conformance::wire::{Ask, ask};
use conformance::witness::{Witness, wait_for};
use protocol::EnclaveId;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A policy file that asks for all of these witnesses, for these logs.
fn write_policy(path: &Path, logs: &[&str], witnesses: &[&Witness]) {
    let mut text: String = logs.iter().map(|log| format!("log {log}\n")).collect();
    let mut names = String::new();
    for (place, witness) in witnesses.iter().enumerate() {
        text.push_str(&format!("witness w{place} {} {}\n", witness.vkey, witness.url));
        names.push_str(&format!(" w{place}"));
    }
    text.push_str(&format!("group g all{names}\nquorum g\n"));
    std::fs::write(path, text).expect("the folder is writable");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Waits until Torchwood takes a log's checkpoint under a policy; its size.
fn cosigned(policy: &Path, url: &str) -> u64 {
    let mut refused = String::new();
    let look = || match golang::run(&["cosigned", text(policy), url]) {
        Ok(said) => said.split(' ').next().and_then(|size| size.parse().ok()),
        Err(error) => {
            // Shown if the wait is in vain.
            if error != refused {
                eprintln!("{error}");
            }
            refused = error;
            None
        }
    };
    wait_for(look)
}

/// `enc verify --heads` by a policy: what it said, well or not.
fn verify_heads(node: &Encd, enclave: EnclaveId, home: &Path, policy: &Path) -> Result<String, String> {
    let output = Command::new(binary("enc"))
        .args(["verify", "--heads", "--policy", text(policy), "--stranger"])
        .args(["--node", &format!("http://{}", node.address), "--enclave", &enclave.hex()])
        .env("ENC_HOME", home)
        .output()
        .expect("the binary runs here");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn litewitness_cosigns_an_enclave_and_the_heads_log() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut node = Encd::start(folder.path(), "");
    let enclave = make_enclave(&node, 1, "witnessed");
    fill(&node, enclave, 4);
    let heads = text_of(&node, "/", "heads_vkey");
    let own = text_of(&node, &format!("/{enclave}/info/enclave"), "log_vkey");
    node.kill();
    drop(node);
    let witness = Witness::lite(folder.path(), "witness.example/lite");
    let policy = folder.path().join("policy");
    write_policy(&policy, &[&heads, &own], &[&witness]);
    let config = format!("[witnesses]\npolicy_file = {:?}\nenclaves = [\"{enclave}\"]\n", text(&policy));
    let node = Encd::start(folder.path(), &config);
    // Nobody has told the witness of the logs: it refuses, the node goes on without it, and asks again.
    wait_for(|| node.log().contains("does not know this log (404)").then_some(()));
    assert!(verify_heads(&node, enclave, &folder.path().join("home"), &policy).is_err());
    witness.add_log("node.test/heads", &heads);
    witness.add_log(&format!("enc/{enclave}"), &own);
    // Torchwood wants every log of a policy to have signed: it gets one for each.
    let judged = [("heads", &heads), (enclave.hex().as_str(), &own)].map(|(path, vkey)| {
        let policy = folder.path().join(path);
        write_policy(&policy, &[vkey], &[&witness]);
        (policy, format!("http://{}/{path}", node.address))
    });
    for (policy, url) in &judged {
        assert_eq!(cosigned(policy, url), 5, "{url}");
    }
    fill(&node, enclave, 300);
    for (policy, url) in &judged {
        wait_for(|| (cosigned(policy, url) == 305).then_some(()));
    }
    let said = verify_heads(&node, enclave, &folder.path().join("home"), &policy);
    let said = said.unwrap_or_else(|error| panic!("{error}"));
    assert!(said.contains("the head of 305 entries") && said.contains("witness    w0"), "{said}");
}

#[test]
fn ours_answers_as_the_specification_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keys = ["log.example", "log.example", "tessera.example/log"].map(|name| {
        let made = golang::run(&["key", name]).expect("a key can be made");
        let (skey, vkey) = made.trim_end().split_once('\n').expect("two lines");
        (skey.to_owned(), vkey.to_owned())
    });
    let logs = folder.path().join("logs");
    std::fs::write(&logs, format!("log {}\n", keys[0].1)).expect("the folder is writable");
    let mut witness = Witness::encd(&folder.path().join("witness"), "witness.example/ours", &logs, 0);
    let table = golang::run(&["table", &witness.url, &witness.vkey, &keys[0].0, &keys[1].0]);
    let rows: u64 = table.unwrap_or_else(|error| panic!("{error}")).trim_end().parse().expect("a count");
    assert_eq!(rows, 25);
    // The list of logs is read again when it changes.
    std::fs::write(&logs, format!("log {}\nlog {}\n", keys[0].1, keys[2].1)).expect("the folder is writable");
    let policy = folder.path().join("policy");
    write_policy(&policy, &[&keys[2].1], &[&witness]);
    let sizes = golang::run(&["tessera", text(&policy), &keys[2].0]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(sizes, "1\n102\n303\n");
    // What it has cosigned outlives it: from a table that begins at nothing again, the first size is a conflict.
    let port = witness.port();
    witness.kill();
    let again = Witness::encd(&folder.path().join("witness"), "witness.example/ours", &logs, port);
    assert_eq!(again.vkey, witness.vkey);
    let refused = golang::run(&["table", &again.url, &again.vkey, &keys[0].0, &keys[1].0]).expect_err("it remembers");
    assert!(refused.contains("an old size that it has not cosigned: text/x.tlog.size \"300\\n\""), "{refused}");
}

/// A node and a witness under one roof.
struct House {
    folder: PathBuf,
    node: Option<Encd>,
    witness: Witness,
    enclave: EnclaveId,
    heads: String,
}

impl House {
    fn build(folder: &Path, name: &str) -> House {
        let folder = folder.join(name);
        std::fs::create_dir(&folder).expect("the folder is writable");
        let node = Encd::start(&folder, "");
        let enclave = make_enclave(&node, 1, name);
        let heads = text_of(&node, "/", "heads_vkey");
        std::fs::write(folder.join("logs"), "").expect("the folder is writable");
        let witness = Witness::encd(&folder.join("witness"), &format!("witness.{name}"), &folder.join("logs"), 0);
        House { folder, node: Some(node), witness, enclave, heads }
    }

    /// Starts the node again, which publishes nothing that the other house's witness has not cosigned.
    fn open(&mut self, policy: &Path) -> &Encd {
        drop(self.node.take());
        let config = format!("[witnesses]\npolicy_file = {:?}\nfail_closed = true\n", text(policy));
        self.node.insert(Encd::start(&self.folder, &config))
    }
}

#[test]
fn two_nodes_witness_each_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [mut left, mut right] = ["left.test", "right.test"].map(|name| House::build(folder.path(), name));
    let policies = [folder.path().join("left.policy"), folder.path().join("right.policy")];
    write_policy(&policies[0], &[&left.heads], &[&right.witness]);
    write_policy(&policies[1], &[&right.heads], &[&left.witness]);
    let node = left.open(&policies[0]);
    let unknown = ask(&node.address, &Ask::get("/heads/checkpoint"));
    assert_eq!(unknown.status, 404, "nothing is published without the quorum: {}", unknown.text());
    std::fs::write(right.folder.join("logs"), format!("log {}\n", left.heads)).expect("the folder is writable");
    std::fs::write(left.folder.join("logs"), format!("log {}\n", right.heads)).expect("the folder is writable");
    right.open(&policies[1]);
    for (house, policy) in [(&left, &policies[0]), (&right, &policies[1])] {
        let node = house.node.as_ref().expect("it is open");
        assert_eq!(cosigned(policy, &format!("http://{}/heads", node.address)), 1);
        let said = verify_heads(node, house.enclave, &house.folder.join("home"), policy);
        assert!(said.as_ref().is_ok_and(|said| said.contains("the head of 1 entries")), "{said:?}");
    }
    let swapped =
        verify_heads(left.node.as_ref().expect("open"), left.enclave, &left.folder.join("home"), &policies[1]);
    assert!(swapped.is_err(), "a policy for another log is not met: {swapped:?}");
    // Without its witness the left log stays where it was; what it owes is asked for again after it was killed, too.
    let port = right.witness.port();
    right.witness.kill();
    let node = left.node.as_mut().expect("it is open");
    fill(node, left.enclave, 10);
    wait_for(|| node.log().contains("no answer (Connection)").then_some(()));
    assert_eq!(heads_size(node), 1);
    node.kill();
    let enclave = left.enclave;
    let node = left.open(&policies[0]);
    right.witness =
        Witness::encd(&right.folder.join("witness"), "witness.right.test", &right.folder.join("logs"), port);
    wait_for(|| (heads_size(node) == 11).then_some(()));
    let said = verify_heads(node, enclave, &folder.path().join("home"), &policies[0]);
    assert!(said.as_ref().is_ok_and(|said| said.contains("the head of 11 entries")), "{said:?}");
}
