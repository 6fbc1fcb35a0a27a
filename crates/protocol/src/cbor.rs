//! `H(p, f…)`: SHA-256 over the deterministic CBOR of `[p, f…]` (RFC 8949 section 4.2.1), and that encoding for snapshots.

use alloc::string::String;
use alloc::vec::Vec;
use sha2::{Digest, Sha256};

/// Domain prefixes, one registry, each used once.
pub mod prefix {
    /// Bundle-tree node.
    pub const BUNDLE_NODE: u64 = 0x01;
    /// Commit.
    pub const COMMIT: u64 = 0x10;
    /// Event.
    pub const EVENT: u64 = 0x11;
    /// Enclave id.
    pub const ENCLAVE: u64 = 0x12;
    /// State-tree leaf.
    pub const STATE_LEAF: u64 = 0x20;
    /// State-tree node.
    pub const STATE_NODE: u64 = 0x21;
    /// State commitment in a log entry.
    pub const STATE_COMMIT: u64 = 0x22;
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 over the pieces one after another.
pub fn sha256_of(pieces: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.finalize().into()
}

/// Writes deterministic CBOR.
#[derive(Default)]
pub struct Encoder(Vec<u8>);

impl Encoder {
    /// An empty text.
    pub fn new() -> Encoder {
        Encoder(Vec::with_capacity(256))
    }

    /// Begins `[prefix, …]` with `fields` further fields.
    pub fn hash_input(prefix: u64, fields: u64) -> Encoder {
        let mut encoder = Encoder::new();
        encoder.array(fields + 1).uint(prefix);
        encoder
    }

    /// An unsigned integer.
    pub fn uint(&mut self, value: u64) -> &mut Encoder {
        self.head(0, value)
    }

    /// A negative integer `-1 - value`.
    pub fn negative(&mut self, value: u64) -> &mut Encoder {
        self.head(1, value)
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Encoder {
        self.head(2, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// A text string.
    pub fn text(&mut self, value: &str) -> &mut Encoder {
        self.head(3, value.len() as u64);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    /// The head of an array of `len` items, which follow.
    pub fn array(&mut self, len: u64) -> &mut Encoder {
        self.head(4, len)
    }

    /// The head of a map of `len` pairs, which follow in deterministic order.
    pub fn map(&mut self, len: u64) -> &mut Encoder {
        self.head(5, len)
    }

    /// `false`, `true` or `null`: simple values 20, 21, 22.
    pub fn simple(&mut self, value: u8) -> &mut Encoder {
        self.0.push(0xe0 | value);
        self
    }

    /// Tags: an array of arrays of text.
    pub fn tags(&mut self, tags: &[Vec<String>]) -> &mut Encoder {
        self.array(tags.len() as u64);
        for tag in tags {
            self.array(tag.len() as u64);
            for text in tag {
                self.text(text);
            }
        }
        self
    }

    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    /// SHA-256 of the bytes.
    pub fn hash(&self) -> [u8; 32] {
        sha256(&self.0)
    }

    fn head(&mut self, major: u8, value: u64) -> &mut Encoder {
        let major = major << 5;
        match value {
            0..=23 => self.0.push(major | value as u8),
            24..=0xff => self.0.extend_from_slice(&[major | 24, value as u8]),
            0x100..=0xffff => {
                self.0.push(major | 25);
                self.0.extend_from_slice(&(value as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                self.0.push(major | 26);
                self.0.extend_from_slice(&(value as u32).to_be_bytes());
            }
            _ => {
                self.0.push(major | 27);
                self.0.extend_from_slice(&value.to_be_bytes());
            }
        }
        self
    }
}
