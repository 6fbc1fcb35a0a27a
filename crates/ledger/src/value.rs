//! What may stand behind a name in an entry: values, ids, digests.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use sha2::{Digest as _, Sha256};

/// The longest value, in bytes.
pub const MAX_VALUE_LEN: usize = 1024;
/// The longest id, in bytes.
pub const MAX_ID_LEN: usize = 255;

/// A text that fits into one line of an entry: 1 to [`MAX_VALUE_LEN`] bytes without control characters and line separators, with no space
/// at either end (ledger.md 2). What does not fit is refused, never repaired.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(String);

impl Value {
    /// Reads a value; `None` for what does not fit.
    pub fn parse(text: &str) -> Option<Value> {
        let sized = (1..=MAX_VALUE_LEN).contains(&text.len());
        let spaced = text.starts_with(' ') || text.ends_with(' ');
        (sized && !spaced && !text.contains(is_forbidden)).then(|| Value(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_forbidden(c: char) -> bool {
    matches!(c, '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}')
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_id(text: &str) -> bool {
    (1..=MAX_ID_LEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        ///
        /// 1 to [`MAX_ID_LEN`] visible ASCII characters, compared byte for byte.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Reads an id; `None` for what is none.
            pub fn parse(text: &str) -> Option<$name> {
                is_id(text).then(|| $name(text.to_owned()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// Names a record; the key of its idempotency.
    RecordId,
    /// Who did something: a token's name, or the person it acted for.
    Actor,
    /// Names a legal case.
    Case,
    /// Names a retention class.
    ClassName,
    /// What an audit entry is about, what was done, or by which request or peer.
    Mark,
}

/// A SHA-256 digest, as text 64 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// Reads a digest; `None` for anything but its one text.
    pub fn parse(text: &str) -> Option<Digest> {
        let hex = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex(pair[0])? << 4 | hex(pair[1])?;
        }
        Some(Digest(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A number without sign and leading zeros.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    let shortest = text == "0" || !text.starts_with('0');
    // The parser of the standard library takes a leading plus and leading zeros.
    if shortest && text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_refused_not_repaired() {
        let long = "x".repeat(MAX_VALUE_LEN);
        for good in ["a", "a b", "ä: b", "日本", long.as_str()] {
            assert_eq!(Value::parse(good).expect("a value").as_str(), good);
        }
        let longer = "x".repeat(MAX_VALUE_LEN + 1);
        for bad in ["", " a", "a ", "a\nb", "a\0", "\u{7f}", "a\u{85}b", "\u{2028}", "x\u{2029}", longer.as_str()] {
            assert_eq!(Value::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn ids_are_visible_ascii() {
        let long = "x".repeat(MAX_ID_LEN);
        for good in ["a", "A:b/c~!", long.as_str()] {
            assert_eq!(RecordId::parse(good).expect("an id").as_str(), good);
        }
        let longer = "x".repeat(MAX_ID_LEN + 1);
        for bad in ["", "a b", "ä", "a\n", "\u{7f}", longer.as_str()] {
            assert_eq!(RecordId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_digest_has_one_text() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::parse(text), Some(Digest::of(b"")));
        assert_eq!(alloc::format!("{}", Digest::of(b"")), text);
        for bad in [&text[1..], &text.to_uppercase(), &text.replace('e', "g"), ""] {
            assert_eq!(Digest::parse(bad), None);
        }
    }

    #[test]
    fn a_number_has_one_text() {
        assert_eq!((parse_number("0"), parse_number("18446744073709551615")), (Some(0), Some(u64::MAX)));
        for bad in ["", "+1", "01", "-0", "1 ", "18446744073709551616", "0x1"] {
            assert_eq!(parse_number(bad), None, "{bad}");
        }
    }
}
