//! The golden vectors of the protocol: groups `ed25519`, `checkpoint`, `tile_path` and `tile`.

use merkle::Hash;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tlog::checkpoint::{Checkpoint, Origin, verify_checkpoint};
use tlog::entry_bundle;
use tlog::note::{KeyName, Note, key_id};
use tlog::signer::NoteSigner;
use tlog::tile::{TileKind, TilePath};
use tlog::vkey::Vkey;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/enc-vectors.json");

/// The type of the sequencer's own signature on a checkpoint (enc.md section 5).
const BIP340_TYPE: u8 = 0xff;
const BIP340_NAME: &[u8] = b"enc/bip340/v1";

fn vectors() -> Value {
    let text = std::fs::read_to_string(FILE).expect("the vectors are in the tree");
    serde_json::from_str(&text).expect("the vectors are JSON")
}

/// The cases of a group as (name, input, expected); a group has at least `least` of them.
fn group(name: &str, least: usize) -> Vec<(String, Value, Value)> {
    let file = vectors();
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

fn bytes(value: &Value) -> Vec<u8> {
    let hex = value.as_str().expect("a string").as_bytes();
    hex.chunks(2).map(|pair| u8::from_str_radix(core::str::from_utf8(pair).expect("hex"), 16).expect("hex")).collect()
}

fn array(value: &Value) -> Hash {
    bytes(value).try_into().expect("32 bytes")
}

#[test]
fn log_keys() {
    for (name, input, expected) in group("ed25519", 3) {
        let key_name = KeyName::parse(&format!("enc/{}", text_of(&input["enclave"]))).expect("a name");
        let signer = NoteSigner::from_seed(key_name, &array(&expected["seed"])).expect("no seed is weak");
        let text = text_of(&expected["log_vkey"]);
        assert_eq!(signer.vkey().to_string(), text, "{name}");
        assert_eq!(Vkey::parse(&text).as_ref(), Ok(signer.vkey()), "{name}");
    }
}

#[test]
fn checkpoints() {
    let keys = vectors();
    let sequencer = &keys["groups"]["key"][0];
    for (name, input, expected) in group("checkpoint", 3) {
        let origin = format!("enc/{}", text_of(&input["enclave"]));
        let parsed = Origin::parse(&origin).expect("an origin");
        let checkpoint = Checkpoint::new(parsed.clone(), number(&input["tree_size"]), array(&input["root_hash"]));
        assert_eq!(checkpoint.to_string(), text_of(&expected["text"]), "{name}");
        let file = text_of(&expected["note"]);
        let note = Note::parse(file.as_bytes()).expect("a note");
        assert_eq!(note.to_string(), file, "{name}");
        let log_key = Vkey::parse(&text_of(&expected["log_vkey"])).expect("a key");
        assert_eq!(verify_checkpoint(&note, &parsed, &log_key), Ok(checkpoint), "{name}");

        let [by_sequencer, by_log] = note.signatures() else { panic!("{name}: two signatures") };
        assert_eq!(by_log.id(), log_key.id(), "{name}");
        assert_eq!(sequencer["input"]["priv"], input["priv"], "{name}");
        let long_key = [BIP340_NAME, &bytes(&sequencer["expected"]["id_pub"])].concat();
        let id = key_id(&KeyName::parse(&origin).expect("a name"), BIP340_TYPE, &long_key);
        assert_eq!((id, id.to_string()), (by_sequencer.id(), text_of(&expected["key_id"])), "{name}");
    }
}

#[test]
fn tile_paths() {
    for (name, input, expected) in group("tile_path", 6) {
        let path = format!("tile/0/{}", text_of(&expected["path"]));
        let tile = TilePath::parse(&path).expect("a path");
        assert_eq!((tile.index(), tile.to_string()), (number(&input["index"]), path), "{name}");
    }
}

/// SHA-256 of "vector <i>", the filler of the vectors.
fn filler(index: u64) -> Hash {
    Sha256::digest(format!("vector {index}")).into()
}

/// Entry `at` of the log of the vectors.
fn entry(at: u64) -> Vec<u8> {
    let (event, state) = (filler(2 * at + 1), filler(2 * at + 2));
    let commitment = Sha256::digest([&[0x83, 0x18, 0x22, 0x58, 0x20], &event[..], &[0x58, 0x20], &state].concat());
    let numbers = [(3 * at).to_be_bytes(), 3u64.to_be_bytes()].concat();
    [&filler(2 * at)[..], &commitment, &numbers].concat()
}

/// The root over 256^level leaf hashes.
fn full_subtree(mut hashes: Vec<Hash>) -> Hash {
    while hashes.len() > 1 {
        hashes = hashes.chunks(2).map(|pair| merkle::log::node_hash(&pair[0], &pair[1])).collect();
    }
    hashes[0]
}

#[test]
fn tiles() {
    for (name, input, expected) in group("tile", 4) {
        let entries: Vec<Vec<u8>> = (0..number(&input["count"])).map(entry).collect();
        let path = TilePath::parse(&text_of(&input["path"])).expect("a path");
        assert_eq!(TilePath::in_log(path.kind(), path.index(), entries.len() as u64), Some(path), "{name}");
        let slots = path.index() as usize * 256..path.index() as usize * 256 + usize::from(path.width());
        let file = match path.kind() {
            TileKind::Entries => {
                let file = entry_bundle::encode(&entries[slots.clone()]).expect("short entries");
                let decoded = entry_bundle::decode(&file, path.width()).expect("it was just encoded");
                assert_eq!(decoded, entries[slots], "{name}");
                file
            }
            TileKind::Hashes(level) => {
                let below = 256usize.pow(u32::from(level));
                let leaves: Vec<Hash> = entries.iter().map(|entry| merkle::log::leaf_hash(entry)).collect();
                slots.flat_map(|slot| full_subtree(leaves[slot * below..(slot + 1) * below].to_vec())).collect()
            }
        };
        if expected["hex"].is_null() {
            assert_eq!(file.len() as u64, number(&expected["bytes"]), "{name}");
            assert_eq!(Hash::from(Sha256::digest(&file)), array(&expected["sha256"]), "{name}");
        } else {
            assert_eq!(file, bytes(&expected["hex"]), "{name}");
        }
    }
}
