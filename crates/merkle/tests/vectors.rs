//! The golden vectors of the protocol: groups `smt_*`, `bundle*` and `log_*`.

#[path = "stores/nodes.rs"]
mod nodes;
#[path = "stores/pages.rs"]
mod pages;

use merkle::sparse::{Proof, StateKey, prove};
use merkle::{Hash, ProofError, bundle, log, sparse};
use nodes::MemoryNodes;
use pages::MemoryPages;
use serde_json::Value;
use sha2::{Digest, Sha256};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/enc-vectors.json");

/// The cases of a group as (name, input, expected); a group has at least `least` of them.
fn group(name: &str, least: usize) -> Vec<(String, Value, Value)> {
    let text = std::fs::read_to_string(FILE).expect("the vectors are in the tree");
    let file: Value = serde_json::from_str(&text).expect("the vectors are JSON");
    let cases = file["groups"][name].as_array().expect("the group exists");
    assert!(cases.len() >= least, "{name} has only {} cases", cases.len());
    cases.iter().map(|case| (text_of(&case["name"]), case["input"].clone(), case["expected"].clone())).collect()
}

fn text_of(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    unhex(value.as_str().expect("a string")).try_into().expect("the right length")
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(core::str::from_utf8(pair).expect("hex"), 16).expect("hex")).collect()
}

fn hashes(value: &Value) -> Vec<Hash> {
    value.as_array().expect("a list").iter().map(bytes).collect()
}

/// SHA-256 of "vector <i>", the filler of the vectors.
fn filler(index: u64) -> Hash {
    Sha256::digest(format!("vector {index}")).into()
}

/// A tree of the leaves of a case; the vectors give paths, not raw keys.
fn state(leaves: &Value) -> MemoryPages {
    let writes: Vec<(StateKey, Option<Hash>)> =
        leaves.as_object().expect("leaves").iter().map(|(key, value)| (state_key(key), Some(bytes(value)))).collect();
    let mut pages = MemoryPages::default();
    pages.apply(&writes).expect("an empty store takes any leaves");
    pages
}

fn state_key(hex: &str) -> StateKey {
    StateKey { path: unhex(hex).try_into().expect("21 bytes"), rest: [0; 12] }
}

fn proof_of(value: &Value) -> Proof {
    Proof {
        key: bytes(&value["k"]),
        value: (!value["v"].is_null()).then(|| bytes(&value["v"])),
        bitmap: bytes(&value["b"]),
        siblings: hashes(&value["s"]),
    }
}

#[test]
fn state_keys() {
    for (name, input, expected) in group("smt_key", 7) {
        let namespace = number(&input["namespace"]) as u8;
        let key = StateKey::new(namespace, &unhex(&text_of(&input["raw"])));
        assert_eq!(key.path, bytes(&expected["key"]), "{name}");
    }
}

/// A leaf has no name in the API: it is the sibling in the proof of the key that differs in the last bit.
#[test]
fn state_leaves() {
    let mut cases = group("smt_leaf", 1);
    cases.extend(group("smt_enclave_value", 4));
    for (name, input, expected) in cases {
        let key = state_key(&text_of(&input["key"]));
        let value = if input["value"].is_null() { &expected["value"] } else { &input["value"] };
        let leaf = if expected["leaf"].is_null() { &expected["hash"] } else { &expected["leaf"] };
        let mut pages = MemoryPages::default();
        pages.apply(&[(key, Some(bytes(value)))]).expect("an empty store takes any leaf");
        let mut neighbour = key;
        neighbour.path[20] ^= 1;
        let proof = prove(&pages, &neighbour).expect("pages are there");
        assert_eq!(proof.siblings, [bytes(leaf)], "{name}");
    }
}

#[test]
fn state_roots() {
    for (name, input, expected) in group("smt_root", 7) {
        let root = sparse::root(&state(&input["leaves"])).expect("pages are there");
        assert_eq!(root, bytes(&expected["root"]), "{name}");
    }
}

#[test]
fn state_proofs() {
    let (mut made, mut refused) = (0, 0);
    for (name, input, expected) in group("smt_proof", 14) {
        let judge =
            |proof: &Value, key: &Value, root: &Value| sparse::verify(&proof_of(proof), &bytes(key), &bytes(root));
        if let Value::String(key) = &input["key"] {
            let proof = prove(&state(&input["leaves"]), &state_key(key)).expect("pages are there");
            assert_eq!(proof, proof_of(&expected["proof"]), "{name}");
            let verdict = judge(&expected["proof"], &input["key"], &expected["root"]);
            assert_eq!(verdict, Ok(()), "{name}");
            made += 1;
        } else {
            assert_eq!(expected["valid"], false, "{name}");
            let verdict = judge(&input["proof"], &input["proof"]["k"], &input["root"]);
            assert!(verdict.is_err(), "{name}");
            refused += 1;
        }
    }
    assert!(made >= 6 && refused >= 8);
}

#[test]
fn bundles() {
    for (name, input, expected) in group("bundle", 7) {
        let ids: Vec<Hash> = (0..number(&input["count"])).map(filler).collect();
        let index = number(&input["index"]);
        assert_eq!(bundle::root(&ids), bytes(&expected["events_root"]), "{name}");
        let siblings = bundle::path(&ids, index as usize);
        assert_eq!(siblings, hashes(&expected["proof"]["siblings"]), "{name}");
        assert_eq!(ids[index as usize], bytes(&expected["proof"]["event_id"]), "{name}");
    }
}

/// Index and size come from the entry. A proof that claims others is refused by whoever reads the claim, before any
/// hash is made: some of them would lead to the root.
#[test]
fn bundle_proofs() {
    for (name, input, expected) in group("bundle_proof", 7) {
        let (index, size) = (number(&input["index_from_the_entry"]), number(&input["count_of_the_entry"]));
        let proof = &input["proof"];
        let claim_holds = number(&proof["bundle_index"]) == index && number(&proof["bundle_size"]) == size;
        let verdict = bundle::verify(
            &bytes(&proof["event_id"]),
            index,
            size,
            &hashes(&proof["siblings"]),
            &bytes(&input["events_root"]),
        );
        assert_eq!(claim_holds && verdict.is_ok(), expected["valid"] == true, "{name}");
    }
}

/// Leaf hashes of the log of the vectors. The entries hold a hash that is not of this crate (prefix 0x22), so it is
/// written out here.
fn log_leaves(count: u64) -> Vec<Hash> {
    let commitment = |last_event: Hash, state: Hash| {
        let cbor = [&[0x83, 0x18, 0x22, 0x58, 0x20], last_event.as_slice(), &[0x58, 0x20], &state];
        Sha256::digest(cbor.concat())
    };
    (0..count)
        .map(|at| {
            let state_commit = commitment(filler(2 * at + 1), filler(2 * at + 2));
            let numbers = [(3 * at).to_be_bytes(), 3u64.to_be_bytes()].concat();
            log::leaf_hash(&[filler(2 * at).as_slice(), &state_commit, &numbers].concat())
        })
        .collect()
}

#[test]
fn log_entries() {
    let leaves = log_leaves(300);
    for (name, input, expected) in group("log_entry", 3) {
        let leaf = log::leaf_hash(&unhex(&text_of(&expected["entry"])));
        assert_eq!(leaf, bytes(&expected["leaf"]), "{name}");
        assert_eq!(leaf, leaves[number(&input["first_seq"]) as usize / 3], "{name}");
    }
}

#[test]
fn log_roots() {
    let nodes = MemoryNodes::of(&log_leaves(300));
    for (name, input, expected) in group("log_root", 7) {
        assert_eq!(log::root(&nodes, number(&input["count"])), Ok(bytes(&expected["root"])), "{name}");
    }
}

#[test]
fn log_inclusion() {
    let leaves = log_leaves(300);
    let nodes = MemoryNodes::of(&leaves);
    for (name, input, expected) in group("log_inclusion", 5) {
        let (index, size) = (number(&input["index"]), number(&input["tree_size"]));
        let path = hashes(&expected["audit_path"]);
        assert_eq!(log::inclusion_path(&nodes, index, size), Ok(path.clone()), "{name}");
        let root = log::root(&nodes, size).expect("nodes are there");
        let verdict = log::verify_inclusion(&leaves[index as usize], index, size, &path, &root);
        assert_eq!(verdict, Ok(()), "{name}");
    }
    for (name, input, expected) in group("log_inclusion_refused", 4) {
        let verdict = log::verify_inclusion(
            &bytes(&input["leaf"]),
            number(&input["index"]),
            number(&input["tree_size"]),
            &hashes(&input["audit_path"]),
            &bytes(&input["root"]),
        );
        assert_eq!(verdict.is_ok(), expected["valid"] == true, "{name}");
        assert_ne!(verdict, Err(ProofError::OutOfRange), "{name}");
    }
}

#[test]
fn log_consistency() {
    let nodes = MemoryNodes::of(&log_leaves(300));
    for (name, input, expected) in group("log_consistency", 7) {
        let (from, to) = (number(&input["from"]), number(&input["to"]));
        let path = hashes(&expected["path"]);
        assert_eq!(log::consistency_path(&nodes, from, to), Ok(path.clone()), "{name}");
        let root = |size| log::root(&nodes, size).expect("nodes are there");
        let verdict = log::verify_consistency(from, to, &path, &root(from), &root(to));
        assert_eq!(verdict, Ok(()), "{name}");
    }
}
