//! The three Merkle trees of a node, as pure functions over hashes.
//!
//! - [`log`]: the append-only log over entries, RFC 9162 (its hashes are those of RFC 6962);
//! - [`bundle`]: the small tree over the event ids of one bundle;
//! - [`sparse`]: the state tree, a sparse tree of depth 168 kept in pages of sixteen slots.
//!
//! Nothing here reads a file, a clock or a random number: stored nodes and pages come in through the traits
//! [`log::Nodes`] and [`sparse::Pages`], and what must be stored goes out as a value.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bundle;
mod climb;
pub mod log;
pub mod sparse;

use core::fmt;

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// SHA-256 of the empty string: the root of an empty log, and the empty subtree `E` of the state tree at any height.
pub const EMPTY: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofError {
    /// The index is not below the size, the older size is above the newer, or the size is not one a tree can have.
    OutOfRange,
    /// The proof has fewer or more hashes than its shape asks for.
    WrongLength,
    /// The proof is about another key than the one asked for.
    WrongKey,
    /// A sibling that must be left out, because it is the empty subtree, is spelled out.
    ExplicitEmpty,
    /// The hashes lead to another root.
    WrongRoot,
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProofError::OutOfRange => "index or size out of range",
            ProofError::WrongLength => "proof has too few or too many hashes",
            ProofError::WrongKey => "proof is about another key",
            ProofError::ExplicitEmpty => "proof spells out an empty sibling",
            ProofError::WrongRoot => "proof leads to another root",
        })
    }
}

impl core::error::Error for ProofError {}
