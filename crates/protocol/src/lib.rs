//! The ENC protocol's formats (`docs/protocol.md`): what clients sign, what nodes sign, and how both are read.
//!
//! Everything here is a function of its arguments: bytes in, values or a closed error out. Nothing reads a clock, a file or a
//! random source. Text that arrives from outside is read by [`json`], once, before anything else looks at it.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "native"))]
extern crate std;

pub mod cbor;
pub mod cbor_decode;
pub mod code;
pub mod commit;
mod curve;
pub mod entry;
pub mod event;
pub mod evidence;
pub mod fields;
pub mod head;
pub mod ids;
pub mod json;
pub mod manifest;
pub mod manifest_lint;
mod manifest_parse;
mod manifest_rules;
mod manifest_values;
pub mod proof;
pub mod push;
pub mod schnorr;
pub mod session;
pub mod snapshot;
pub mod state;
pub mod transport;
pub mod verify;

pub use code::{Code, Rejection};
pub use commit::{Commit, VerifiedCommit};
pub use event::{Event, Receipt};
pub use ids::{CommitHash, ContentHash, EnclaveId, EventHash, EventId, PublicKey, Signature};
pub use json::Json;
pub use manifest::Manifest;

/// The largest integer that JSON numbers may carry: 2^53 − 1.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;
