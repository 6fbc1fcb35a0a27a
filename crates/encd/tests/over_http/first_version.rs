//! A store of the first version that landed (`tests/fixtures/first`): upgraded under load, restored, and every receipt that it gave still
//! verifies.

use crate::backup::encd;
use crate::node::{get, key, now, text};
use crate::process::{Process, Scratch, command, commit, start};
use protocol::commit::Draft;
use protocol::snapshot::Snapshot;
use protocol::{EnclaveId, Event, Json, Receipt, json};
use rusqlite::Connection;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const TOKEN: &str = "a token of this test";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/first")
}

/// The fixture where a node may work on it. What the sources' file system says of modes is not kept.
pub fn copied(to: &Path) {
    for folder in ["", "data", "keys"] {
        let made = to.join(folder);
        fs::create_dir_all(&made).expect("made");
        fs::set_permissions(&made, fs::Permissions::from_mode(0o700)).expect("private");
    }
    for folder in ["data", "keys"] {
        for entry in fs::read_dir(fixture().join(folder)).expect("the fixture") {
            let from = entry.expect("a file").path();
            let copy = to.join(folder).join(from.file_name().expect("its name"));
            fs::copy(&from, &copy).expect("copied");
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).expect("private");
        }
    }
}

fn receipts() -> Vec<Receipt> {
    let text = fs::read_to_string(fixture().join("receipts.ndjson")).expect("the receipts");
    let parse = |line: &str| json::parse(line.as_bytes(), json::MAX_DEPTH).expect("JSON");
    text.lines().map(|line| Receipt::from_json(parse(line)).expect("a receipt")).collect()
}

fn with_token(folder: &Path) -> Process {
    let token = folder.join("token");
    fs::write(&token, TOKEN).expect("written");
    let config = folder.join("encd.toml");
    fs::write(&config, format!("[admin]\ntoken_file = \"{}\"\n", token.display())).expect("written");
    start(command(folder).arg("--config").arg(&config))
}

/// Every event of an enclave, from its snapshot.
fn log(node: &Process, enclave: EnclaveId) -> Vec<Event> {
    let answer = ureq::get(format!("{}/enclaves/{}/snapshot", node.url, enclave.hex()))
        .header("authorization", format!("Bearer {TOKEN}"))
        .call();
    let bytes = answer.expect("the operator may").body_mut().read_to_vec().expect("it arrives whole");
    let snapshot = Snapshot::read(&bytes).expect("a snapshot");
    snapshot.events().map(|event| event.expect("an event")).collect()
}

/// Each receipt is that of an event which stands in its log at its place, and whose signature holds.
fn all_receipts_verify(node: &Process) {
    let mut logs: HashMap<EnclaveId, Vec<Event>> = HashMap::new();
    let receipts = receipts();
    assert_eq!(receipts.len(), 38);
    for receipt in receipts {
        let events = logs.entry(receipt.enclave).or_insert_with(|| log(node, receipt.enclave));
        let event = &events[usize::try_from(receipt.position.seq).expect("small")];
        assert_eq!(event.receipt(), receipt);
        assert_eq!(receipt.verify_signature(), event.verify());
        assert!(event.verify().is_ok());
    }
    assert_eq!(logs.len(), 5);
}

/// The enclave of the template "open", which the owner writes `Message` in.
fn plain(node: &Process) -> EnclaveId {
    let enclaves = receipts().into_iter().map(|receipt| receipt.enclave);
    let named = |enclave: &EnclaveId| {
        let events = log(node, *enclave);
        events.len() >= 9 && events[1].event_type == "Message"
    };
    enclaves.into_iter().find(named).expect("it is in the fixture")
}

/// Commits from several threads; answers how many were taken.
fn load(node: &Process, enclave: EnclaveId) -> u64 {
    std::thread::scope(|scope| {
        let committers: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn(move || {
                    for n in 0..25 {
                        let said = Draft::new(enclave, "Message", &text(&format!("{thread} {n}")), now() + 60_000);
                        let answer = commit(&node.url, &said.sign(&key(0x33))).expect("answered");
                        assert_eq!(answer.status, 200, "{}", answer.text());
                    }
                    25
                })
            })
            .collect();
        committers.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    })
}

fn version(path: &Path) -> i64 {
    let connection = Connection::open(path).expect("a database");
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("its version")
}

#[test]
fn upgraded_under_load() {
    let scratch = Scratch::new("first");
    copied(&scratch.0);
    let before = encd(&["check"], &scratch.0).number("events");
    let node = with_token(&scratch.0);
    let enclave = plain(&node);
    let taken = load(&node, enclave);
    all_receipts_verify(&node);
    let info = get(&format!("{}/enclaves/{}/info/enclave", node.url, enclave.hex())).json();
    assert_eq!(info.member("live"), Some(&Json::Bool(true)));
    node.stop();
    for shard in 0..2 {
        let name = format!("shard-{shard}.db");
        let data = scratch.0.join("data");
        assert_eq!((version(&data.join(&name)), version(&data.join("before-1").join(&name))), (1, 0));
    }
    let after = encd(&["check"], &scratch.0);
    assert_eq!((after.code, after.number("events")), (0, before + taken), "{}", after.out);
}

#[test]
fn restored_and_gone_on_from() {
    let (kept, scratch) = (Scratch::new("first-copy"), Scratch::new("first-back"));
    copied(&kept.0);
    gone_on_from(&kept.0, &scratch);
}

#[test]
fn restored_from_one_file_and_gone_on_from() {
    let (kept, scratch) = (Scratch::new("first-copied"), Scratch::new("first-file-back"));
    copied(&kept.0);
    let file = kept.0.join("first.tar");
    encd(&["backup", file.to_str().expect("text")], &kept.0).well();
    gone_on_from(&file, &scratch);
}

/// A copy is put back, serves, and goes on when its operator says so.
fn gone_on_from(copy: &Path, scratch: &Scratch) {
    encd(&["restore", copy.to_str().expect("text")], &scratch.0).well();
    let node = with_token(&scratch.0);
    all_receipts_verify(&node);
    let enclave = plain(&node);
    let said = || Draft::new(enclave, "Message", &text("x"), now() + 60_000).sign(&key(0x33));
    assert_eq!(commit(&node.url, &said()).expect("answered").code(), "rolled_back");
    node.stop();
    let decided = encd(&["resume-after-loss", "--all"], &scratch.0).well();
    let Some(Json::Array(rows)) = decided.member("enclaves") else { panic!("{}", decided.to_jcs()) };
    let resumed = rows.iter().filter(|row| row.member("seq").is_some()).count();
    assert_eq!((rows.len(), resumed), (5, 3), "one was terminated, one is paused: {}", decided.to_jcs());
    let node = with_token(&scratch.0);
    load(&node, enclave);
    all_receipts_verify(&node);
    let events = log(&node, enclave);
    let recovered = events.iter().position(|event| event.event_type == "Recovered");
    assert_eq!(recovered, Some(9), "after what the first version had");
    node.stop();
    let checked = encd(&["check"], &scratch.0);
    assert_eq!((checked.code, checked.number("live")), (0, 3), "{}", checked.out);
}
