//! `encd backup`, `encd restore`, `encd resume-after-loss`: what a copy of a running node holds, and what a node may do with one.

use crate::node::{key, note};
use crate::process::{Process, Scratch, command, commit, ids, start};
use protocol::{EnclaveId, Json, json};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a command has said.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn json(&self) -> Json {
        json::parse(self.out.trim_end().as_bytes(), json::MAX_DEPTH)
            .unwrap_or_else(|_| panic!("{}{}", self.out, self.err))
    }

    pub fn well(self) -> Json {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.json()
    }

    pub fn number(&self, name: &str) -> u64 {
        self.json().member(name).and_then(Json::as_uint).expect("a number")
    }
}

/// Runs one of the operator's commands on a folder.
pub fn encd(arguments: &[&str], folder: &Path) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_encd"));
    let output = command.args(arguments).arg("--json").arg("--data").arg(folder).output().expect("the binary runs");
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn said(node: &Process, enclave: EnclaveId, words: &str) -> (u16, String) {
    let answer = commit(&node.url, &note(&key(0x33), enclave, words)).expect("answered");
    (answer.status, answer.code())
}

/// A backup taken while four writers commit; answers the ids that were acknowledged before it began.
fn backed_up_under_load(node: &Process, enclave: EnclaveId, folder: &Path, to: &Path) -> Vec<String> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let done = &done;
            scope.spawn(move || {
                for n in 0.. {
                    assert_eq!(said(node, enclave, &format!("{thread} {n}")).0, 200);
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        let mut before = Vec::new();
        while before.len() < 50 {
            before = ids(&node.url, enclave);
        }
        let copied = encd(&["backup", to.to_str().expect("text")], folder);
        done.store(true, Ordering::Relaxed);
        assert_eq!(copied.well().member("keys").and_then(Json::as_uint), Some(2));
        before
    })
}

#[test]
fn a_backup_of_a_running_node_holds_and_goes_on_only_when_its_operator_says_so() {
    let (scratch, kept, again) = (Scratch::new("running"), Scratch::new("kept"), Scratch::new("again"));
    let node = start(&mut command(&scratch.0));
    let enclave = node.create("a");
    let other = node.create("b");
    let before = backed_up_under_load(&node, enclave, &scratch.0, &kept.0);
    node.stop();
    let checked = encd(&["check"], &kept.0);
    assert_eq!((checked.code, checked.number("enclaves"), checked.number("live")), (0, 2, 2), "{}", checked.out);
    assert!(checked.number("events") >= before.len() as u64);
    encd(&["restore", kept.0.to_str().expect("text")], &again.0).well();
    let restored = start(&mut command(&again.0));
    let held = ids(&restored.url, enclave);
    assert_eq!(held[..before.len()], before);
    assert_eq!(said(&restored, enclave, "x"), (503, "rolled_back".into()));
    let running = encd(&["resume-after-loss", &enclave.hex()], &again.0);
    assert_eq!(running.code, 75, "a node works there: {}", running.err);
    restored.stop();
    let resumed = encd(&["resume-after-loss", &enclave.hex()], &again.0).well();
    let Some(Json::Array(rows)) = resumed.member("enclaves") else { panic!("{}", resumed.to_jcs()) };
    assert_eq!(rows[0].member("seq").and_then(Json::as_uint), Some(held.len() as u64));
    let resumed = start(&mut command(&again.0));
    assert_eq!(said(&resumed, enclave, "after").0, 200);
    assert_eq!(ids(&resumed.url, enclave).len(), held.len() + 2, "Recovered, and what came after it");
    // Nobody has decided on this one: where its shard is the other's it is read-only by itself, else its whole shard still waits.
    let refused = said(&resumed, other, "x");
    assert!([(403, "read_only".into()), (503, "rolled_back".into())].contains(&refused), "{refused:?}");
    resumed.stop();
    let once = encd(&["resume-after-loss", &enclave.hex()], &again.0);
    assert_eq!(once.code, 77);
    assert!(once.err.contains("live already"), "{}", once.err);
    assert_eq!(encd(&["check"], &again.0).number("events"), held.len() as u64 + 3);
}

#[test]
fn the_same_loss_is_gone_on_from_once() {
    let (scratch, kept) = (Scratch::new("twice"), Scratch::new("yesterday"));
    let node = start(&mut command(&scratch.0));
    let enclave = node.create("a");
    node.stop();
    encd(&["backup", kept.0.to_str().expect("text")], &scratch.0).well();
    let node = start(&mut command(&scratch.0));
    assert_eq!(said(&node, enclave, "later").0, 200);
    node.stop();
    let put_back = || {
        for shard in 0..2 {
            let name = format!("data/shard-{shard}.db");
            std::fs::copy(kept.0.join(&name), scratch.0.join(&name)).expect("yesterday's");
            for beside in ["-wal", "-shm"] {
                let path = scratch.0.join(format!("{name}{beside}"));
                assert!(!path.exists() || std::fs::remove_file(path).is_ok());
            }
        }
    };
    put_back();
    let node = start(&mut command(&scratch.0));
    assert_eq!(said(&node, enclave, "x"), (503, "rolled_back".into()));
    node.stop();
    encd(&["resume-after-loss", &enclave.hex()], &scratch.0).well();
    let node = start(&mut command(&scratch.0));
    assert_eq!(said(&node, enclave, "another history").0, 200);
    node.stop();
    put_back();
    let twice = encd(&["resume-after-loss", &enclave.hex()], &scratch.0);
    assert_eq!(twice.code, 77);
    assert!(twice.err.contains("before"), "{}", twice.err);
    let node = start(&mut command(&scratch.0));
    assert_ne!(said(&node, enclave, "a third").0, 200);
    node.stop();
}

#[test]
fn without_keys_there_are_none_and_nothing_is_written_over() {
    let (scratch, kept, again) = (Scratch::new("keyless"), Scratch::new("keyless-copy"), Scratch::new("keyless-back"));
    let node = start(&mut command(&scratch.0));
    node.create("a");
    node.stop();
    let to = kept.0.to_str().expect("text").to_owned();
    encd(&["backup", "--without-keys", &to], &scratch.0).well();
    assert!(!kept.0.join("keys").exists());
    assert_eq!(encd(&["check"], &kept.0).code, 0, "a log is checked without keys");
    assert_eq!(encd(&["backup", &to], &scratch.0).code, 73, "a backup is there already");
    assert_eq!(encd(&["restore", &to], &scratch.0).code, 73, "a node's folder is there already");
    assert_eq!(encd(&["backup", &to], &again.0).code, 66, "there is no folder");
    assert_eq!(encd(&["restore", "/proc/nothing"], &again.0).code, 66, "there is no backup");
    let database = kept.0.join("data/shard-1.db");
    let mut bytes = std::fs::read(&database).expect("a database");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&database, bytes).expect("written");
    assert_eq!(encd(&["restore", &to], &again.0).code, 65, "a backup that is not as it was taken is not put back");
    assert!(!again.0.exists(), "nothing is left of what failed");
    std::fs::create_dir_all(&again.0).expect("for the end of the test");
}
