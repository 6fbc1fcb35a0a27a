//! A key comes in and its file cannot be written: the request is refused, and neither the node nor its next start knows of the key.

use crate::table::{CONFIG, report};
use conformance::launch::Launch;
use conformance::strace::{Fault, Instead, Trap};
use conformance::wire::{Answer, Ask, ask};
use protocol::Code;

const ENCLAVE: &str = "abababababababababababababababababababababababababababababababab";

fn provision(address: &str, secret: &str) -> Answer {
    let body = format!(r#"{{"enclave_id":"{ENCLAVE}","sequencer_priv":"{secret}"}}"#);
    ask(address, &Ask::post(&format!("/{ENCLAVE}/init-with-priv"), body))
}

#[test]
fn a_key_that_is_refused_is_nowhere() {
    let (eio, full) = (Instead::Error("EIO"), Instead::Error("ENOSPC"));
    let (file, folder) = (format!("keys/{ENCLAVE}.new"), "keys".to_owned());
    let rows = [
        ("openat", &file, eio, Code::Internal),
        ("openat", &file, full, Code::Overloaded),
        ("write", &file, eio, Code::Internal),
        ("write", &file, full, Code::Overloaded),
        ("write", &file, Instead::Short, Code::Internal),
        ("fsync,fdatasync", &file, eio, Code::Internal),
        ("rename", &file, eio, Code::Internal),
        ("rename", &file, full, Code::Overloaded),
        ("openat", &folder, eio, Code::Internal),
        ("fsync,fdatasync", &folder, eio, Code::Internal),
    ];
    for (calls, path, instead, code) in rows {
        let fault = Fault { calls, instead, nth: 1 };
        let place = tempfile::tempdir().expect("a temporary folder");
        let launch = Launch::of(&place.path().join("node"), CONFIG);
        let node = launch.run();
        let trap = fault.into_running(&node, &Trap::record_of(&launch.data), &[launch.data.join(path)]);
        let answer = provision(&node.address, &"44".repeat(32));
        assert!(trap.has_struck(), "{fault}: the fault was not met");
        drop(trap);
        assert_eq!(answer.status, code.status(), "{fault}: {}", answer.text());
        assert!(answer.text().contains(code.as_str()), "{fault}: {}", answer.text());
        drop(node);
        let node = launch.run();
        let other = provision(&node.address, &"45".repeat(32));
        assert_eq!(other.status, 200, "{fault}: the refused key is still there: {}", other.text());
        report("a key comes in", &fault, &format!("{} {}, nothing is left of it", code.status(), code.as_str()));
    }
}
