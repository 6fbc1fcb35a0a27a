//! The C2SP formats of a transparency log: what it serves, signs and is checked by. An entry is bytes here.
//!
//! - [`tile`]: paths of hash tiles and entry bundles (tlog-tiles);
//! - [`entry_bundle`]: the entries of one tile as one file (tlog-tiles);
//! - [`note`]: signed text (signed-note);
//! - [`vkey`]: the public keys that verify notes; [`signer`]: the secret ones that sign them;
//! - [`checkpoint`]: a tree head as a note (tlog-checkpoint);
//! - [`cosignature`]: what a witness says of one (tlog-cosignature); [`add_checkpoint`]: how it is asked (tlog-witness);
//! - [`policy`]: which witnesses must have (tlog-policy);
//! - [`proof`]: that an entry is in a log, as a file (tlog-proof).
//!
//! Texts are parsed strictly: for each value there is one text, the one that `format` (`Display`) writes.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod add_checkpoint;
mod base64;
pub mod checkpoint;
pub mod cosignature;
mod decimal;
pub mod entry_bundle;
pub mod note;
pub mod policy;
pub mod proof;
pub mod signer;
pub mod tile;
pub mod vkey;
