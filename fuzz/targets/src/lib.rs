//! What fuzzing runs: for each parser, for the pipeline, the envelope and restore a function of bytes that panics when a property does
//! not hold. `fuzz/README.md` says which property that is and how they are run.
//!
//! Nothing here knows libFuzzer: the same functions are run by `fuzz/` under a fuzzer and by `tests/replay.rs` with every change.

mod cbor;
mod commit;
mod config;
mod enclave;
mod envelope;
mod event;
mod evidence;
mod files;
mod head;
mod input;
mod json;
mod manifest;
mod manifest_text;
mod merkle_trees;
mod note;
mod parts;
mod pipeline;
mod proof;
mod push;
mod query;
mod request;
mod restore;
mod session;
mod snapshot;
mod socket;
mod stored;
mod tile;
mod transport;

#[path = "../../../crates/merkle/tests/stores/nodes.rs"]
#[allow(dead_code, missing_docs, reason = "the trees' tests use the rest")]
mod log_nodes;
#[path = "../../../crates/kernel/tests/naive.rs"]
#[allow(dead_code, missing_docs, reason = "the kernel's tests use the rest")]
mod naive;
#[path = "../../../crates/service/tests/world.rs"]
#[allow(dead_code, missing_docs, reason = "the services' tests use the rest")]
mod node;
#[path = "../../../crates/kernel/tests/scripts.rs"]
#[allow(dead_code, missing_docs, reason = "the kernel's tests use the rest")]
mod scripts;
#[path = "../../../crates/merkle/tests/stores/pages.rs"]
#[allow(dead_code, missing_docs, reason = "the trees' tests use the rest")]
mod state_pages;
#[path = "../../../crates/kernel/tests/world.rs"]
#[allow(dead_code, missing_docs, reason = "the kernel's tests use the rest")]
mod world;

pub(crate) use input::Input;

use protocol::json::{MAX_DEPTH, parse};
use protocol::schnorr::KeyPair;
use protocol::{Json, Rejection};
use std::fmt::Debug;

/// A function of bytes, and how many altered inputs the replay gives it.
pub struct Target {
    /// Also the name of its corpus and of its binary.
    pub name: &'static str,
    /// Panics when a property does not hold.
    pub run: fn(&[u8]),
    /// So many that all targets together stay below 20 s without optimisation.
    pub rounds: u32,
}

const fn target(name: &'static str, run: fn(&[u8]), rounds: u32) -> Target {
    Target { name, run, rounds }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("cbor", cbor::run, 3000),
    target("checkpoint", note::checkpoint, 3000),
    target("commit", commit::run, 1000),
    target("config", config::run, 300),
    target("entry_bundle", tile::entry_bundle, 3000),
    target("envelope", envelope::run, 40),
    target("event", event::event, 500),
    target("evidence", evidence::run, 300),
    target("files", files::run, 1000),
    target("head", head::run, 200),
    target("json", json::run, 3000),
    target("manifest", manifest::run, 1500),
    target("merkle_trees", merkle_trees::run, 15),
    target("note", note::note, 2000),
    target("page", stored::page, 2000),
    target("pipeline", pipeline::run, 6),
    target("proof", proof::run, 2000),
    target("push", push::run, 300),
    target("query", query::run, 1000),
    target("receipt", event::receipt, 1000),
    target("record", stored::record, 2000),
    target("request", request::run, 1000),
    target("restore", restore::run, 20),
    target("session", session::run, 100),
    target("snapshot", snapshot::run, 50),
    target("socket", socket::run, 60),
    target("tile", tile::path, 3000),
    target("transport", transport::run, 100),
    target("vkey", note::vkey, 1000),
];

/// Runs a target by its name.
///
/// # Panics
/// When a property of the target does not hold, or there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of that name");
    (target.run)(bytes);
}

/// The key whose secret is one byte 32 times.
fn key(byte: u8) -> &'static KeyPair {
    world::secret(byte)
}

/// A JSON object; the readers of formats are asked nothing else.
fn value(bytes: &[u8]) -> Option<Json> {
    parse(bytes, MAX_DEPTH).ok().filter(|value| matches!(value, Json::Object(_)))
}

/// Reads a value; what is read is written back as the very same members.
fn round_trip<T: Debug + PartialEq>(
    json: Json,
    read: impl Fn(Json) -> Result<T, Rejection>,
    write: impl Fn(&T) -> Json,
) -> Option<T> {
    let given = json.to_jcs();
    let value = read(json).ok()?;
    assert_eq!(write(&value).to_jcs(), given, "written otherwise than read");
    read_again(&value, read, write);
    Some(value)
}

/// What is written is read back as the same value.
fn read_again<T: Debug + PartialEq>(
    value: &T,
    read: impl Fn(Json) -> Result<T, Rejection>,
    write: impl Fn(&T) -> Json,
) {
    let written = write(value).to_jcs();
    let parsed = parse(written.as_bytes(), MAX_DEPTH).unwrap_or_else(|error| panic!("{error:?} in {written}"));
    assert_eq!(parsed.to_jcs(), written, "not canonical");
    assert_eq!(read(parsed).as_ref(), Ok(value));
}
