//! Rust SDK of the ENC protocol: sign, submit, read, and verify everything (`docs/protocol.md`).
//!
//! A node is trusted for being there, never for what it says: every answer that carries a proof is checked before it is returned, and
//! what was once seen (the Manifest, the largest tree head, every receipt) is kept in a [`Store`] so that it cannot be taken back.
//!
//! ```no_run
#![doc = include_str!("../examples/commit_and_verify.rs")]
//! ```

#![forbid(unsafe_code)]

mod asking;
pub mod audit;
mod contradiction;
pub mod enclave;
pub mod error;
pub mod evidence;
pub mod filter;
pub mod folder;
pub mod heads;
pub mod heads_log;
pub mod identity;
pub mod info;
mod link;
pub mod migration;
pub mod moving;
pub mod names;
pub mod node;
pub mod pin;
mod place;
pub mod proof_file;
pub mod proofs;
pub mod push;
pub mod reading;
pub mod refusal;
pub mod replay;
pub mod restore;
pub mod store;
pub mod submit;
pub mod templates;
pub mod thread;
pub mod watch;

pub use enclave::Enclave;
pub use error::{Answer, Error, Falsehood};
pub use filter::Filter;
pub use folder::FolderStore;
pub use identity::Identity;
pub use migration::{Migration, Order};
pub use moving::Moving;
pub use names::Name;
pub use node::Node;
pub use pin::{Pin, Trust};
pub use refusal::Refusal;
pub use store::{MemoryStore, Store};
pub use submit::Committed;
pub use templates::Template;
