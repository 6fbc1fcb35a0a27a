//! The WORM ledger's core (ledger.md): the grammar of entries, sequencing, journal, packs and blobs, retention, holds and disposal, checkpoints and
//! proofs, recovery, verification, export.
//!
//! It has no clock, no files and no key: [`store::Store`], [`index::Index`] and [`signer::Signer`] come in, and so does the time with each call.
//!
//! - [`entry`], [`entry_text`]: what is hashed into the tree; [`value`], [`time`]: what may stand in it;
//! - [`path`], [`store`], [`memory`]: the files; [`journal`]: what is acknowledged and not published;
//! - [`policy`], [`retention`], [`hold`], [`rejection`]: the rules; [`index`]: what they look up;
//! - [`ledger`]: one open ledger; [`append`], [`change`]: how it grows; [`publish`]: how that becomes a checkpoint; [`recover`]: how it is opened;
//! - [`reading`]: entries, payloads, paths in the tree; [`prove`]: proof files; [`statement`]: receipts and other notes of its key;

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod append;
pub mod change;
mod edge;
pub mod entry;
pub mod entry_text;
pub mod hold;
pub mod index;
pub mod journal;
pub mod ledger;
pub mod memory;
pub mod path;
pub mod policy;
mod policy_text;
pub mod prove;
pub mod publish;
pub mod reading;
pub mod recover;
pub mod rejection;
pub mod retention;
pub mod signer;
pub mod statement;
pub mod store;
pub mod time;
pub mod value;
pub mod verify;
