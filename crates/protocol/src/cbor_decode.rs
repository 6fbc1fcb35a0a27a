//! Reads deterministic CBOR (RFC 8949 section 4.2.1) as far as it is the image of JSON: the one encoding that a value has, nothing else.

use crate::MAX_INTEGER;
use crate::json::Json;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// Why bytes are not the deterministic CBOR of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CborError {
    /// They end inside a value.
    Truncated,
    /// Bytes follow the value.
    Trailing,
    /// A head is not in its shortest form, or of indefinite length.
    Head,
    /// A value that JSON does not have, or another one than was asked for.
    Kind,
    /// A number beyond ±(2^53 − 1).
    Number,
    /// Text that is not UTF-8 or holds U+0000.
    Text,
    /// Names of a map out of order, or one twice.
    Names,
    /// Nested too deeply.
    Depth,
}

/// Reads values one after another.
pub struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    max_depth: usize,
}

const UINT: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;

impl<'a> Decoder<'a> {
    /// A reader of values that nest at most `max_depth` deep.
    pub fn new(bytes: &'a [u8], max_depth: usize) -> Decoder<'a> {
        Decoder { bytes, at: 0, max_depth }
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// An unsigned integer within 2^53 − 1.
    pub fn uint(&mut self) -> Result<u64, CborError> {
        let number = self.expect(UINT)?;
        if number <= MAX_INTEGER { Ok(number) } else { Err(CborError::Number) }
    }

    /// A byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], CborError> {
        let len = self.expect(BYTES)?;
        self.take(len)
    }

    /// A text.
    pub fn text(&mut self) -> Result<&'a str, CborError> {
        let len = self.expect(TEXT)?;
        let text = core::str::from_utf8(self.take(len)?).map_err(|_| CborError::Text)?;
        if text.contains('\0') { Err(CborError::Text) } else { Ok(text) }
    }

    /// The head of an array; its items follow.
    pub fn array(&mut self) -> Result<u64, CborError> {
        self.expect(ARRAY)
    }

    /// The head of a map; its pairs follow.
    pub fn map(&mut self) -> Result<u64, CborError> {
        self.expect(MAP)
    }

    /// One JSON value.
    pub fn value(&mut self) -> Result<Json, CborError> {
        self.nested(self.max_depth)
    }

    /// Passes over one JSON value, as strictly as [`Decoder::value`].
    pub fn skip(&mut self) -> Result<(), CborError> {
        self.value().map(drop)
    }

    /// Nothing may follow.
    pub fn end(&self) -> Result<(), CborError> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(CborError::Trailing) }
    }

    fn nested(&mut self, depth: usize) -> Result<Json, CborError> {
        let first = *self.bytes.get(self.at).ok_or(CborError::Truncated)?;
        match first {
            0xf4..=0xf6 => {
                self.at += 1;
                Ok(match first {
                    0xf4 => Json::Bool(false),
                    0xf5 => Json::Bool(true),
                    _ => Json::Null,
                })
            }
            _ => match first >> 5 {
                UINT => self.uint().map(|number| Json::Integer(number as i64)),
                NEGATIVE => match self.expect(NEGATIVE)? {
                    number if number < MAX_INTEGER => Ok(Json::Integer(-1 - number as i64)),
                    _ => Err(CborError::Number),
                },
                TEXT => self.text().map(|text| Json::Text(text.to_owned())),
                ARRAY => self.items(depth),
                MAP => self.members(depth),
                _ => Err(CborError::Kind),
            },
        }
    }

    fn items(&mut self, depth: usize) -> Result<Json, CborError> {
        let depth = depth.checked_sub(1).ok_or(CborError::Depth)?;
        let mut items = Vec::new();
        // The count is the writer's claim: nothing is reserved by it.
        for _ in 0..self.array()? {
            items.push(self.nested(depth)?);
        }
        Ok(Json::Array(items))
    }

    fn members(&mut self, depth: usize) -> Result<Json, CborError> {
        let depth = depth.checked_sub(1).ok_or(CborError::Depth)?;
        let mut members: Vec<(String, Json)> = Vec::new();
        let mut previous: Option<&[u8]> = None;
        for _ in 0..self.map()? {
            let start = self.at;
            let name = self.text()?;
            let encoded = &self.bytes[start..self.at];
            if previous.is_some_and(|previous| previous >= encoded) {
                return Err(CborError::Names);
            }
            previous = Some(encoded);
            members.push((name.to_owned(), self.nested(depth)?));
        }
        Ok(Json::object(members))
    }

    fn expect(&mut self, major: u8) -> Result<u64, CborError> {
        let first = *self.bytes.get(self.at).ok_or(CborError::Truncated)?;
        if first >> 5 != major {
            return Err(CborError::Kind);
        }
        self.at += 1;
        let (len, least) = match first & 31 {
            short @ 0..=23 => return Ok(u64::from(short)),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return Err(CborError::Head),
        };
        let number = self.take(len)?.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        if number < least { Err(CborError::Head) } else { Ok(number) }
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], CborError> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(len).ok().and_then(|len| rest.get(..len)).ok_or(CborError::Truncated)?;
        self.at += taken.len();
        Ok(taken)
    }
}
