//! Every group of `vectors/enc-vectors.json` and `vectors/generated.json` that concerns the formats, case by case.
//!
//! A group of either file that stands neither in [`GROUPS`] nor in [`ELSEWHERE`] fails, so no group is left out unnoticed; so does
//! a group of the golden file with another number of cases than is written here.

mod answers;
mod formats;
mod logs;
mod signing;

use protocol::json::{self, Json};
use serde_json::Value;

/// A case with the file that it stands in.
pub(crate) struct Case<'a> {
    pub(crate) name: &'a str,
    pub(crate) file: &'a Value,
    pub(crate) input: &'a Value,
    pub(crate) expected: &'a Value,
}

type Check = fn(&Case<'_>);

/// (group, cases in the golden file, check)
const GROUPS: &[(&str, usize, Check)] = &[
    ("key", 6, signing::key),
    ("signature", 8, signing::signature),
    ("ed25519", 3, signing::log_key),
    ("H", 20, formats::h),
    ("content_hash", 16, formats::content_hash),
    ("content_string_and_value_differ", 6, formats::string_and_value_differ),
    ("json_refused", 23, formats::json_refused),
    ("json_bytes_refused", 0, formats::json_bytes_refused),
    ("json_accepted", 6, formats::json_accepted),
    ("commit_depth", 2, formats::commit_depth),
    ("commit", 8, formats::commit),
    ("event", 5, formats::event),
    ("receipt", 10, formats::receipt),
    ("equivocation", 6, formats::equivocation),
    ("deleted_event", 2, formats::served_event),
    ("event_window", 2, formats::served_event),
    ("enclave_id", 4, formats::enclave_id),
    ("template", 0, formats::template),
    ("manifest", 13, formats::manifest),
    ("session", 7, signing::session),
    ("session_check", 16, signing::session_check),
    ("transport", 4, signing::transport),
    ("smt_key", 7, formats::state_key),
    ("smt_enclave_value", 4, formats::enclave_value),
    ("smt_bitmask", 1, formats::bitmask),
    ("smt_proof", 14, answers::state_proof),
    ("bundle_proof", 7, answers::bundle_proof),
    ("log_entry", 3, formats::log_entry),
    ("sth", 3, signing::sth),
    ("checkpoint", 3, signing::checkpoint),
    ("sth_equivocation", 2, signing::sth_equivocation),
    ("heads", 2, formats::heads),
    ("enclave", 1, logs::enclave),
    ("enclave_proofs", 0, answers::enclave_proofs),
    ("chain_refused", 3, logs::chain_refused),
    ("snapshot", 1, logs::snapshot),
    ("restore_after_migrate", 4, logs::restore_after_migrate),
    ("restore_bundles", 2, logs::restore_bundles),
    ("push", 2, answers::push),
    ("push_receiver", 5, answers::push_receiver),
];

/// Groups that other tests run: the trees' in `merkle`, the tiles' in `tlog`, the rules' in `kernel`, the cipher's beside it.
const ELSEWHERE: &[&str] = &[
    "smt_leaf",
    "smt_root",
    "bundle",
    "log_root",
    "log_inclusion",
    "log_inclusion_refused",
    "log_consistency",
    "log_consistency_refused",
    "tile_path",
    "tile",
    "tile_refused",
    "rank",
    "step_8",
    "enclave_refused",
    "transport_refused",
];

fn load(name: &str) -> Value {
    let path = format!("{}/../../vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the vectors are there");
    serde_json::from_str(&text).expect("the vectors are JSON")
}

fn run(file: &Value) -> Vec<(&'static str, usize)> {
    let groups = file["groups"].as_object().expect("groups");
    for name in groups.keys() {
        let known = GROUPS.iter().any(|(group, ..)| group == name) || ELSEWHERE.contains(&name.as_str());
        assert!(known, "nobody runs the group {name}");
    }
    let mut counts = Vec::new();
    for (group, _, check) in GROUPS {
        let cases = groups.get(*group).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for case in cases {
            let name = case["name"].as_str().expect("a name");
            let outcome = std::panic::catch_unwind(|| {
                check(&Case { name, file, input: &case["input"], expected: &case["expected"] });
            });
            assert!(outcome.is_ok(), "{group}/{name}");
        }
        counts.push((*group, cases.len()));
    }
    counts
}

#[test]
fn golden() {
    let counts = run(&load("enc-vectors.json"));
    let expected: Vec<_> = GROUPS.iter().map(|(group, count, _)| (*group, *count)).collect();
    assert_eq!(counts, expected);
}

#[test]
fn generated() {
    let counts = run(&load("generated.json"));
    for (group, count) in counts {
        assert!(count > 0, "the group {group} has no case");
    }
}

/// The value as this project reads it.
pub(crate) fn ours(value: &Value) -> Json {
    json::parse(value.to_string().as_bytes(), json::MAX_DEPTH).expect("a vector is JSON within the rules")
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

pub(crate) fn uint(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

pub(crate) fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    protocol::ids::parse_hex(text(value)).expect("hex of the right length")
}

pub(crate) fn any_bytes(value: &Value) -> Vec<u8> {
    let text = text(value);
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex")).collect()
}

pub(crate) fn tags(value: &Value) -> Vec<Vec<String>> {
    let empty = Vec::new();
    let rows = value.as_array().unwrap_or(&empty);
    let row = |row: &Value| row.as_array().expect("a tag").iter().map(|item| text(item).to_owned()).collect();
    rows.iter().map(row).collect()
}

/// The case of another group that `of` names.
pub(crate) fn named<'a>(file: &'a Value, of: &str) -> &'a Value {
    let (group, name) = of.split_once('/').expect("group/name");
    let cases = file["groups"][group].as_array().expect("the group is there");
    cases.iter().find(|case| case["name"] == name).expect("the case is there")
}
