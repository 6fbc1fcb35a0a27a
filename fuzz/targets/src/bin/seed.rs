//! Writes the seeds of every corpus: inputs that mean something, from the vectors and by hand, under names that say what they are.
//!
//! `cargo run -p fuzz-targets --bin seed` from anywhere; what fuzzing has found beside them stays.

use fuzz_targets::TARGETS;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Seeds of a target; what fuzzing adds to them is kept to as many again.
const MAX_SEEDS: usize = 20;

/// Files by target and name.
type Seeds = BTreeMap<&'static str, BTreeMap<String, Vec<u8>>>;

fn main() -> io::Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut seeds = Seeds::new();
    for file in ["enc-vectors.json", "generated.json"] {
        let text = fs::read_to_string(root.join("vectors").join(file))?;
        let vectors: Value = serde_json::from_str(&text)?;
        from_vectors(&vectors["groups"], &mut seeds);
    }
    for name in ["personal", "dm", "group", "open"] {
        let text = fs::read_to_string(root.join(format!("vectors/templates/{name}.json")))?;
        let key = "1b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f";
        add(&mut seeds, "manifest", name, text.replace("\"ME\"", &format!("\"{key}\"")).replace("SEQ", key).as_bytes());
    }
    add(&mut seeds, "config", "sample", &fs::read(root.join("crates/encd/encd.toml"))?);
    by_hand(&mut seeds);
    for target in TARGETS {
        write(&root.join("fuzz/corpus").join(target.name), seeds.remove(target.name).unwrap_or_default())?;
    }
    assert!(seeds.is_empty(), "seeds of no target: {:?}", seeds.keys());
    Ok(())
}

fn add(seeds: &mut Seeds, target: &'static str, name: &str, bytes: &[u8]) {
    let files = seeds.entry(target).or_default();
    if files.len() < MAX_SEEDS && !files.values().any(|known| known == bytes) {
        files.insert(format!("seed-{name}"), bytes.to_vec());
    }
}

fn write(folder: &Path, files: BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("seed-")) {
            fs::remove_file(path)?;
        }
    }
    files.into_iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
}

/// Which group, which member of a case, and the target whose input it is.
const JSON_MEMBERS: &[(&str, &str, &str)] = &[
    ("event", "/expected/receipt", "receipt"),
    ("receipt", "/input/receipt", "receipt"),
    ("deleted_event", "/input/event", "event"),
    ("event_window", "/input/event", "event"),
    ("enclave", "/expected/events/0", "event"),
    ("enclave", "/expected/events/3", "event"),
    ("enclave", "/input/manifest", "manifest"),
    ("manifest", "/input/manifest", "manifest"),
    ("sth", "/expected/sth", "head"),
    ("push_receiver", "/input/body", "push"),
    ("bundle", "/expected/proof", "proof"),
    ("smt_proof", "/expected/proof", "proof"),
    ("enclave_proofs", "/expected/inclusion/0", "proof"),
    ("enclave_proofs", "/expected/state/0", "proof"),
    ("enclave_proofs", "/expected/consistency/0", "proof"),
    ("enclave_proofs", "/expected/sths/0", "head"),
];

fn from_vectors(groups: &Value, seeds: &mut Seeds) {
    let cases = |group: &str| groups[group].as_array().cloned().unwrap_or_default();
    for (group, member, target) in JSON_MEMBERS {
        let all = cases(group);
        // Three from all over a group: its cases stand by kind.
        for case in all.iter().step_by((all.len() / 3).max(1)).take(3) {
            if let Some(value) = case.pointer(member) {
                add(seeds, target, &name(group, member, case), value.to_string().as_bytes());
            }
        }
    }
    for (group, member, target) in [
        ("json_accepted", "/input/json", "json"),
        ("json_refused", "/input/json", "json"),
        ("H", "/expected/cbor", "cbor"),
    ] {
        let all = cases(group);
        for case in all.iter().step_by((all.len() / 6).max(1)).take(6) {
            let text = case.pointer(member).and_then(Value::as_str).unwrap_or_default();
            let bytes = if target == "cbor" { unhex(text) } else { text.as_bytes().to_vec() };
            add(seeds, target, &name(group, "", case), &bytes);
        }
    }
    for (group, member, target) in [
        ("checkpoint", "/expected/note", "note"),
        ("checkpoint", "/expected/text", "checkpoint"),
        ("checkpoint", "/expected/log_vkey", "vkey"),
        ("tile", "/input/path", "tile"),
        ("session", "/expected/token_plain", "session"),
        ("session", "/expected/token_encrypted", "session"),
        ("transport", "/input/query", "transport"),
    ] {
        for case in cases(group).iter().take(3) {
            let text = case.pointer(member).and_then(Value::as_str).unwrap_or_default();
            add(seeds, target, &name(group, member, case), text.as_bytes());
        }
    }
    for group in ["equivocation", "sth_equivocation"] {
        for case in cases(group).iter().take(4) {
            if let Some(evidence) = case.pointer("/expected/evidence").filter(|evidence| evidence.is_object()) {
                add(seeds, "evidence", &name(group, "", case), evidence.to_string().as_bytes());
            }
        }
    }
    contradictions(groups, seeds);
    commits(groups, seeds);
    snapshots(groups, seeds);
}

fn name(group: &str, member: &str, case: &Value) -> String {
    let last = member.rsplit('/').find(|part| part.parse::<u8>().is_err()).unwrap_or_default();
    format!("{group}-{last}-{}", case["name"].as_str().unwrap_or("unnamed")).replace("--", "-")
}

fn unhex(text: &str) -> Vec<u8> {
    protocol::ids::decode_hex(text).unwrap_or_default()
}

/// Evidence files about the vectors' pairs of statements.
fn contradictions(groups: &Value, seeds: &mut Seeds) {
    for (group, kind) in [("equivocation", "two_events"), ("sth_equivocation", "two_heads")] {
        for case in groups[group].as_array().into_iter().flatten().take(3) {
            let (a, b) = (&case["input"]["a"], &case["input"]["b"]);
            let wrap = |side: &Value| if kind == "two_heads" { serde_json::json!({"sth": side}) } else { side.clone() };
            let file = serde_json::json!({"enc_evidence": 1, "enclave": a["enclave"], "sequencer": a["sequencer"],
                "kind": kind, "a": wrap(a), "b": wrap(b)});
            add(seeds, "evidence", &name(group, kind, case), file.to_string().as_bytes());
        }
    }
}

/// A commit's members stand apart in its case.
fn commits(groups: &Value, seeds: &mut Seeds) {
    for case in groups["commit"].as_array().into_iter().flatten().take(8) {
        let mut commit = case["input"].clone();
        let Some(members) = commit.as_object_mut() else { continue };
        members.remove("priv");
        for member in ["hash", "sig"] {
            members.insert(member.to_owned(), case["expected"][member].clone());
        }
        add(seeds, "commit", &name("commit", "", case), commit.to_string().as_bytes());
    }
}

fn snapshots(groups: &Value, seeds: &mut Seeds) {
    let files = [("snapshot", "/expected/base64", 3), ("restore_after_migrate", "/input/snapshot_base64", 1)];
    for (group, member, most) in files.into_iter().chain([("restore_bundles", "/input/snapshot_base64", 4)]) {
        for case in groups[group].as_array().into_iter().flatten().take(most) {
            let text = case.pointer(member).and_then(Value::as_str).unwrap_or_default();
            let file = unbase64(text);
            for target in ["snapshot", "restore"] {
                add(seeds, target, &name(group, "", case), &file);
                if let Some(file) = beyond_counting(&file).filter(|_| group == "snapshot" && file.len() < 30_000) {
                    add(seeds, target, "beyond-counting", &file);
                }
            }
        }
    }
}

/// Counts that no sum of 64 bits holds.
fn beyond_counting(file: &[u8]) -> Option<Vec<u8>> {
    let place = file.windows(8).position(|name| name == b"\x67bundles")? + 8;
    let count = usize::from(file[place] & 0x1f);
    let largest = [&[0x1b][..], &protocol::MAX_INTEGER.to_be_bytes()].concat();
    let counts = [&[0x99, 0x08, 0x01][..], &largest.repeat(2049)].concat();
    Some([&file[..place], &counts, &file[place + 1 + count..]].concat())
}

fn unbase64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0u32, 0);
    for digit in text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte)) {
        (held, bits) = (held << 6 | digit as u32, bits + 6);
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    bytes
}

/// Inputs that no vector has.
const TEXTS: &[(&str, &str, &str)] = &[
    ("config", "small", "name = \"a\"\n[limits]\ncommit_bytes = 5\n[store]\nshards = 1\n"),
    ("query", "all", "{}"),
    ("query", "pages", r#"{"limit":2,"reverse":true}"#),
    ("query", "types", r#"{"type":["note","vote","Delete"],"from":["{bob}","{alice}"]}"#),
    ("query", "range", r#"{"seq":{"start_after":2,"end_before":9},"limit":3}"#),
    ("query", "times", r#"{"timestamp":{"start_at":1706000002100},"tags":[["k","v"],["r"]]}"#),
    ("query", "ids", r#"{"id":"{event}","hash":["{hash}"]}"#),
    ("query", "nothing", r#"{"seq":{"end_before":0},"type":[]}"#),
    ("request", "node", "GET /\n\n"),
    ("request", "sth", "GET /enclaves/{E}/sth\n\n"),
    ("request", "checkpoint", "GET /{E}/checkpoint\n\n"),
    ("request", "consistency", "GET /{E}/consistency?from=1&to=3\n\n"),
    ("request", "tile", "GET /enclave/{E}/tile/0/000.p/3\n\n"),
    ("request", "entries", "GET /tile/entries/000.p/2?enclave=%7BE}\n\n"),
    ("request", "info", "GET /{E}/info/enclave\nX-Enc-From: {alice}\nX-Enc-Session: {alice.session}\n\n"),
    ("request", "manifest", "GET /{E}/info/manifest\n\n"),
    ("request", "snapshot", "GET /{E}/snapshot\nX-Enc-From: {alice}\nX-Enc-Session: {alice.session}\n\n"),
    ("request", "commit", "POST /\nContent-Type: application/json\n\n{note}"),
    ("request", "vote", "POST /{E}\nContent-Type: application/json; charset=utf-8\n\n{vote}"),
    ("request", "begin", "POST /\nContent-Type: application/json\n\n{manifest}"),
    (
        "request",
        "query",
        "POST /{E}/\nContent-Type: application/json\n\n{\"type\":\"Query\",\"from\":\"{bob}\",\"session\":\"{bob.session}\",\"filter\":{\"limit\":3}}",
    ),
    (
        "request",
        "inclusion",
        "POST /{E}/inclusion\nContent-Type: application/json\n\n{\"event_id\":\"{event}\",\"tree_size\":2}",
    ),
    ("request", "bundle", "POST /{E}/bundle\nContent-Type: application/json\n\n{\"event_id\":\"{event}\"}"),
    ("request", "state", "POST /{E}/state\nContent-Type: application/json\n\n{\"namespace\":0,\"key\":\"{bob}\"}"),
    (
        "request",
        "state-batch",
        "POST /{E}/state-batch\nContent-Type: application/json\n\n{\"items\":[{\"namespace\":1,\"key\":\"{event}\"},{\"namespace\":3,\"key\":\"00\"}]}",
    ),
    (
        "request",
        "close",
        "POST /{E}/close-bundle\nContent-Type: application/json\nX-Enc-From: {alice}\nX-Enc-Session: {alice.session}\n\n",
    ),
    (
        "request",
        "push",
        "POST /{E}/push\nContent-Type: application/json\n\n{\"url\":\"https://example.com/in\",\"from\":\"{alice}\",\"session\":\"{alice.session}\"}",
    ),
    ("socket", "subscribe", "{\"type\":\"Query\",\"sub_id\":\"a\",\"enclave\":\"{E}\",\"filter\":{\"type\":\"note\"}}"),
    (
        "socket",
        "live",
        "{\"type\":\"Query\",\"sub_id\":\"b\",\"from\":\"{bob}\",\"session\":\"{bob.session}\",\"filter\":{\"limit\":1}}\n{note}",
    ),
    ("socket", "commits", "{note}\n{vote}\n{stored}\n{manifest}\n{pause}\n{note}"),
    ("socket", "close", "{\"type\":\"Close\",\"sub_id\":\"a\"}"),
    ("socket", "bad", "{\"exp\":1}\n[]\n{\"hash\":\"{hash}\",\"exp\":0}\n{\"sub_id\":\"\"}"),
    ("envelope", "query", r#"{"request":{"filter":{"limit":3},"type":"Query"},"time":1706000010000}"#),
    ("envelope", "pull", r#"{"request":{"limit":3,"type":"Pull","url":null},"time":1706000010000}"#),
    ("envelope", "commit", r#"{"request":{pause},"time":1706000010000}"#),
    ("envelope", "state", r#"{"request":{"action":"state","key":"{alice}","namespace":0},"time":1706000010000}"#),
    ("envelope", "inclusion", r#"{"request":{"action":"inclusion","event_id":"{event}"},"time":1706000010000}"#),
    ("envelope", "late", r#"{"request":{},"time":1}"#),
    ("files", "lifecycle", "lifecycle"),
    ("files", "gate", "gate:applications"),
    ("files", "own", "own:1b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f:profile"),
    ("files", "refusal", r#"{"error":"too_large","message":"The request is larger than the limit.","limit":5}"#),
    (
        "files",
        "node",
        r#"{"enc_v":[2],"heads_vkey":"","limits":{"a":1},"name":"n","sequencer":"1b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f","services":["s"],"time":1,"version":"v"}"#,
    ),
    ("json", "escapes", "{\"\\u00e9\":\"\\ud83d\\ude00\\n\",\"e\u{301}\":-0.5e-3,\"a\":[1,-9007199254740991,true]}"),
    ("cbor", "as_json", r#"{"aa":[-1,24,256,65536,4294967296],"b":{"":null},"c":"é"}"#),
    ("tile", "high", "tile/63/x001/x234/067.p/255"),
    (
        "head",
        "entry",
        r#"{"count":3,"events_root":"1b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f","first_seq":0,"state_commit":"1b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f"}"#,
    ),
];

fn by_hand(seeds: &mut Seeds) {
    for (target, name, text) in TEXTS {
        add(seeds, target, name, text.as_bytes());
    }
    add(seeds, "entry_bundle", "two", &[1, 0, 3, b'a', b'b', b'c', 0, 0]);
    add(seeds, "tile", "in_log", &[&[0u8][..], &1u64.to_be_bytes(), &300u64.to_be_bytes()].concat());
    let page = [&[0u8, 1][..], &[0, 3], &[0, 2], &[0; 21], &[1; 12], &[2; 32], &[3; 32], &[4; 32]].concat();
    add(seeds, "page", "root", &page);
    let record = [&[1u8, 3, 0][..], &[9; 32], &[0; 32], &[8; 64], &[0, 0], &[7; 32], &[0; 32], &[6; 64], &[0]].concat();
    add(seeds, "record", "young", &record);
    for (name, first) in [("ones", 1u8), ("rising", 0)] {
        let bytes: Vec<u8> = (0..200u8).map(|place| if first == 1 { 1 } else { place }).collect();
        for target in ["transport", "session", "merkle_trees", "head"] {
            add(seeds, target, name, &bytes);
        }
    }
    for (name, flags) in [("as_it_is", 0u8), ("linked", 1), ("linked_and_signed", 3), ("a_bit", 4), ("cut", 8)] {
        for kind in [0u8, 3, 6, 7, 10, 12] {
            let edits = [&[flags, 0, u8::from(kind > 0), 0, kind, 0, 3, 0, 5][..], &[0, 40, 3]].concat();
            add(seeds, "restore", &format!("{name}-{kind}"), &edits);
        }
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for case in 0..8 {
        let script: Vec<u8> = (0..1500)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as u8
            })
            .collect();
        add(seeds, "pipeline", &format!("script-{case}"), &script);
    }
}
