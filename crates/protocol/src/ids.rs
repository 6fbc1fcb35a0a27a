//! Fixed-size names: 32-byte ids and hashes, 64-byte signatures, written as lower-case hex.

use alloc::string::String;
use core::fmt;

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// What stands in [`NIBBLES`] for a byte that is no lower-case hex digit.
const NO_DIGIT: u8 = 0x80;
/// The value of each lower-case hex digit.
const NIBBLES: [u8; 256] = {
    let mut nibbles = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        nibbles[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    nibbles
};

/// The text is not lower-case hex of the right length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HexError;

/// Lower-case hex of any bytes.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = alloc::vec![0; bytes.len() * 2];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    String::from_utf8(text).expect("hex digits are ASCII")
}

/// Writes lower-case hex behind a text.
pub fn push_hex(text: &mut String, bytes: &[u8]) {
    for chunk in bytes.chunks(32) {
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(chunk) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        text.push_str(core::str::from_utf8(&digits[..chunk.len() * 2]).expect("hex digits are ASCII"));
    }
}

/// Reads exactly `N` bytes of lower-case hex; upper case is refused (`docs/protocol.md`, primitives).
pub fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return Err(HexError);
    }
    let mut bytes = [0; N];
    let mut seen = 0;
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
        seen |= high | low;
        *byte = high << 4 | low & 15;
    }
    // One look at the end instead of two a byte: a request has a thousand digits.
    if seen & NO_DIGIT == 0 { Ok(bytes) } else { Err(HexError) }
}

/// Reads lower-case hex of any length.
pub fn decode_hex(text: &str) -> Result<alloc::vec::Vec<u8>, HexError> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return Err(HexError);
    }
    let nibble = |digit: u8| match NIBBLES[usize::from(digit)] {
        NO_DIGIT => Err(HexError),
        value => Ok(value),
    };
    digits.chunks_exact(2).map(|pair| Ok((nibble(pair[0])? << 4) | nibble(pair[1])?)).collect()
}

macro_rules! fixed_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Reads lower-case hex of exactly this length.
            pub fn parse(text: &str) -> Result<Self, HexError> {
                parse_hex(text).map(Self)
            }

            /// Lower-case hex.
            pub fn hex(&self) -> String {
                hex(&self.0)
            }

            /// The raw bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = HexError;

            fn try_from(bytes: &[u8]) -> Result<Self, HexError> {
                bytes.try_into().map(Self).map_err(|_| HexError)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.hex())
            }
        }
    };
}

fixed_bytes!(
    /// An enclave: `H(0x12, from, "Manifest", content_hash, tags)` of its Manifest commit, or, unbound, any 32 bytes.
    EnclaveId,
    32
);
fixed_bytes!(
    /// A commit: `H(0x10, …)`, what its author signs.
    CommitHash,
    32
);
fixed_bytes!(
    /// A sequenced event: `H(0x11, …)`, what the sequencer signs and the next event's `prev`.
    EventHash,
    32
);
fixed_bytes!(
    /// SHA-256 of an event's `seq_sig`.
    EventId,
    32
);
fixed_bytes!(
    /// SHA-256 of the JCS form of an event's content.
    ContentHash,
    32
);
fixed_bytes!(
    /// An x-only secp256k1 public key as received; whether it is a point is found where it is used.
    PublicKey,
    32
);
fixed_bytes!(
    /// A BIP-340 signature.
    Signature,
    64
);
