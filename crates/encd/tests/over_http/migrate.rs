//! An enclave moves from one node to another over real HTTP, once.

use crate::node::{Answer, Running, config, key, note, now, post, text};
use protocol::commit::Draft;
use protocol::{EnclaveId, Json};

const TOKEN: &str = "a token of some length";

fn node(name: &str) -> Running {
    let file = std::env::temp_dir().join(format!("encd-migrate-{name}-{}", std::process::id()));
    std::fs::write(&file, TOKEN).expect("written");
    let mut config = config();
    config.admin.token_file = Some(file.clone());
    let node = Running::start(config);
    std::fs::remove_file(&file).expect("removed");
    node
}

fn operate(node: &Running, path: &str, media_type: &str, body: &[u8]) -> Answer {
    let bearer = format!("Bearer {TOKEN}");
    post(&node.url(path), &[("content-type", media_type), ("authorization", &bearer)], body)
}

fn snapshot(node: &Running, enclave: EnclaveId) -> Vec<u8> {
    let request = ureq::get(node.url(&format!("/{}/snapshot", enclave.hex())));
    let mut answer = request.header("authorization", format!("Bearer {TOKEN}")).call().expect("a snapshot");
    answer.body_mut().read_to_vec().expect("whole")
}

fn restore(node: &Running, enclave: EnclaveId, query: &str, snapshot: &[u8]) -> Json {
    let path = format!("/enclaves/{}/restore{query}", enclave.hex());
    operate(node, &path, "application/octet-stream", snapshot).json()
}

fn live(answer: &Json) -> bool {
    assert_eq!(answer.member("ok"), Some(&Json::Bool(true)), "{}", answer.to_jcs());
    answer.member("live") == Some(&Json::Bool(true))
}

/// An enclave with a note, moved away from `old` to `new`; answers the snapshot that ends in the Migrate.
fn moved(old: &Running, new: &Running) -> (EnclaveId, Vec<u8>) {
    let owner = key(0x33);
    let enclave = old.create(&owner, "a");
    assert_eq!(old.commit(&note(&owner, enclave, "before")).status, 200);
    let closed = operate(old, &format!("/{}/close-bundle", enclave.hex()), "application/json", b"{}").json();
    let root = closed.member("sth").and_then(|sth| sth.member("root_hash")).cloned().expect("a root");
    let content =
        Json::object([("new_sequencer", text(&new.sequencer().hex())), ("prev_seq", Json::from(1)), ("ct_root", root)]);
    let migrate = Draft::new(enclave, "Migrate", &content, now() + 60_000).sign(&owner);
    let answer = old.commit(&migrate);
    assert_eq!(answer.status, 200, "{}", answer.text());
    (enclave, snapshot(old, enclave))
}

/// The snapshot with a wrong STH, which is found after every event was replayed into the tables.
fn with_another_signature(snapshot: &[u8]) -> Vec<u8> {
    let mut broken = snapshot.to_vec();
    let name = broken.windows(9).position(|window| window == b"signature").expect("an STH has one");
    // The name, two bytes of length, then the digits.
    let digit = &mut broken[name + 9 + 2];
    *digit = if *digit == b'0' { b'1' } else { b'0' };
    broken
}

#[test]
fn a_migrate_is_taken_up_once() {
    let (old, new) = (node("old"), node("new"));
    let (enclave, snapshot) = moved(&old, &new);
    assert_eq!(old.commit(&note(&key(0x33), enclave, "late")).code(), "enclave_migrated");
    for broken in [snapshot[..snapshot.len() - 1].to_vec(), with_another_signature(&snapshot)] {
        assert!(restore(&new, enclave, "?first=true", &broken).member("error").is_some());
    }
    assert!(live(&restore(&new, enclave, "?first=true", &snapshot)), "what was refused has taken nothing up");
    let after = new.commit(&note(&key(0x33), enclave, "after"));
    assert_eq!(after.json().member("seq").and_then(Json::as_uint), Some(3), "{}", after.text());
    let again = restore(&new, enclave, "?first=true", &snapshot);
    assert_eq!(again.member("error"), Some(&text("enclave_exists")));
}

#[test]
fn what_nobody_asserts_or_what_was_noted_is_read_only() {
    let (old, new) = (node("old-2"), node("new-2"));
    let (enclave, snapshot) = moved(&old, &new);
    let migrates = new.server().folder().join("data").join("taken-up");
    assert!(!live(&restore(&new, enclave, "", &snapshot)));
    assert!(!migrates.exists(), "without the assertion nothing is noted");
    assert_eq!(new.commit(&note(&key(0x33), enclave, "x")).code(), "enclave_migrated");
    let (old, new) = (node("old-3"), node("new-3"));
    let (enclave, snapshot) = moved(&old, &new);
    let hash = Hash::of_last(&old, enclave);
    let migrates = new.server().folder().join("data").join("taken-up");
    std::fs::create_dir_all(&migrates).expect("made");
    std::fs::write(migrates.join(hash.0), "noted in another life\n").expect("written");
    assert!(!live(&restore(&new, enclave, "?first=true", &snapshot)), "it was taken up before");
}

struct Hash(String);

impl Hash {
    fn of_last(node: &Running, enclave: EnclaveId) -> Hash {
        let filter = Json::object([("reverse", Json::Bool(true)), ("limit", Json::from(1))]);
        let query = Json::object([("type", text("Query")), ("enclave", text(&enclave.hex())), ("filter", filter)]);
        let answer = node.post("/", &query).json();
        let Some(Json::Array(events)) = answer.member("events") else { panic!("{}", answer.to_jcs()) };
        Hash(events[0].member("hash").and_then(Json::as_text).expect("a hash").to_owned())
    }
}
