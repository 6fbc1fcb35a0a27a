//! The C2SP formats of a transparency log: what it serves, signs and is checked by. An entry is bytes here.
//!
//! - [`tile`]: paths of hash tiles and entry bundles (tlog-tiles);
//! - [`entry_bundle`]: the entries of one tile as one file (tlog-tiles);
//! - [`note`]: signed text (signed-note);
//! - [`vkey`]: the public keys that verify notes; [`signer`]: the secret ones that sign them;
//! - [`checkpoint`]: a tree head as a note (tlog-checkpoint).
//!
//! Texts are parsed strictly: for each value there is one text, the one that `format` (`Display`) writes.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod base64;
pub mod checkpoint;
mod decimal;
pub mod entry_bundle;
pub mod note;
pub mod signer;
pub mod tile;
pub mod vkey;
