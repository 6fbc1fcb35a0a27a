//! JSON as the protocol reads and writes it: one strict lexer over the received bytes, one canonical writer (RFC 8785).
//!
//! Numbers are integers within ±(2^53 − 1); texts hold no U+0000 and no lone surrogate; no object names a member twice, however it
//! is spelled. So every value that [`parse`] returns has exactly one canonical form.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// Nesting allowed in any text; `[]` counts 1.
pub const MAX_DEPTH: usize = 64;
/// Nesting allowed in a commit, so that what wraps a commit stays within [`MAX_DEPTH`].
pub const MAX_COMMIT_DEPTH: usize = 56;

/// A JSON value with its members in canonical order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer within ±(2^53 − 1).
    Integer(i64),
    /// Text.
    Text(String),
    /// An array.
    Array(Vec<Json>),
    /// An object, members in order of their names' UTF-16 code units.
    Object(Vec<(String, Json)>),
    /// A value that stands in its canonical form already (content as it is stored).
    Canonical(String),
}

/// Why a text was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// Not RFC 8259 JSON in UTF-8 (`invalid_json`).
    Invalid,
    /// JSON that breaks a rule of the protocol (`invalid_structure`).
    Structure,
}

impl Json {
    /// An object of the given members, put in canonical order. The names must differ.
    pub fn object<K: Into<String>>(members: impl IntoIterator<Item = (K, Json)>) -> Json {
        let mut members: Vec<(String, Json)> = members.into_iter().map(|(k, v)| (k.into(), v)).collect();
        members.sort_by(|a, b| compare_names(&a.0, &b.0));
        debug_assert!(members.windows(2).all(|pair| pair[0].0 != pair[1].0));
        Json::Object(members)
    }

    /// The member of that name, if this is an object that has it.
    pub fn member(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one and not negative.
    pub fn as_uint(&self) -> Option<u64> {
        match self {
            Json::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// How deep it nests: 0 for a value that holds none, 1 for `[]`. A canonical text counts as it stands, unread.
    pub fn depth(&self) -> usize {
        match self {
            Json::Null | Json::Bool(_) | Json::Integer(_) | Json::Text(_) | Json::Canonical(_) => 0,
            Json::Array(items) => 1 + items.iter().map(Json::depth).max().unwrap_or_default(),
            Json::Object(members) => 1 + members.iter().map(|(_, value)| value.depth()).max().unwrap_or_default(),
        }
    }

    /// The canonical form (RFC 8785).
    pub fn to_jcs(&self) -> String {
        let mut out = String::new();
        self.write_jcs(&mut out);
        out
    }

    /// Appends the canonical form.
    pub fn write_jcs(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(true) => out.push_str("true"),
            Json::Bool(false) => out.push_str("false"),
            Json::Integer(number) => write_integer(*number, out),
            Json::Text(text) => write_text(text, out),
            Json::Canonical(text) => out.push_str(text),
            Json::Array(items) => {
                out.push('[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    item.write_jcs(out);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (place, (name, value)) in members.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    value.write_jcs(out);
                }
                out.push('}');
            }
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Json {
        Json::Text(text)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Json {
        Json::Bool(value)
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Json {
        debug_assert!(number <= crate::MAX_INTEGER);
        Json::Integer(number as i64)
    }
}

impl From<Vec<Json>> for Json {
    fn from(items: Vec<Json>) -> Json {
        Json::Array(items)
    }
}

/// Reads one JSON text whose nesting is at most `max_depth`.
pub fn parse(text: &[u8], max_depth: usize) -> Result<Json, JsonError> {
    let text = core::str::from_utf8(text).map_err(|_| JsonError::Invalid)?;
    let mut lexer = Lexer { text, at: 0, fault: false };
    lexer.skip_space();
    let value = lexer.value(max_depth)?;
    lexer.skip_space();
    if lexer.at != text.len() {
        return Err(JsonError::Invalid);
    }
    // A text that is not JSON at all is told so, even when it also breaks a rule earlier on.
    if lexer.fault { Err(JsonError::Structure) } else { Ok(value) }
}

/// The order of RFC 8785: by UTF-16 code units.
pub fn compare_names(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() {
        return a.as_bytes().cmp(b.as_bytes());
    }
    a.encode_utf16().cmp(b.encode_utf16())
}

fn write_integer(number: i64, out: &mut String) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push('-');
    }
    out.extend(digits[at..].iter().map(|digit| *digit as char));
}

/// Appends a JSON string with the escapes of RFC 8785.
pub fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            8 => "\\b",
            9 => "\\t",
            10 => "\\n",
            12 => "\\f",
            13 => "\\r",
            0..=31 => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        plain = at + 1;
        if escape.is_empty() {
            out.push_str("\\u00");
            out.push_str(&crate::ids::hex(&[byte]));
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// Reads the grammar of RFC 8259; what breaks only a rule of the protocol sets `fault` and the reading goes on, so that text
/// which is no JSON is always called so.
struct Lexer<'a> {
    text: &'a str,
    at: usize,
    fault: bool,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(JsonError::Invalid);
        }
        self.at += 1;
        Ok(())
    }

    fn literal(&mut self, word: &str, value: Json) -> Result<Json, JsonError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(JsonError::Invalid);
        }
        self.at += word.len();
        Ok(value)
    }

    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::Text),
            Some(b't') => self.literal("true", Json::Bool(true)),
            Some(b'f') => self.literal("false", Json::Bool(false)),
            Some(b'n') => self.literal("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(JsonError::Invalid),
        }
    }

    /// Deeper nesting is refused at once: nothing may recurse without bound.
    fn enter(depth: usize) -> Result<usize, JsonError> {
        depth.checked_sub(1).ok_or(JsonError::Structure)
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        let depth = Self::enter(depth)?;
        self.take(b'[')?;
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            self.skip_space();
            items.push(self.value(depth)?);
            self.skip_space();
            if self.peek() == Some(b',') {
                self.at += 1;
                continue;
            }
            self.take(b']')?;
            return Ok(Json::Array(items));
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        let depth = Self::enter(depth)?;
        self.take(b'{')?;
        let mut members: Vec<(String, Json)> = Vec::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            self.skip_space();
            self.take(b':')?;
            self.skip_space();
            members.push((name, self.value(depth)?));
            self.skip_space();
            if self.peek() == Some(b',') {
                self.at += 1;
                continue;
            }
            self.take(b'}')?;
            break;
        }
        members.sort_by(|a, b| compare_names(&a.0, &b.0));
        if members.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            self.fault = true;
        }
        Ok(Json::Object(members))
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let integer = self.at;
        self.digits()?;
        if self.text.as_bytes()[integer] == b'0' && self.at > integer + 1 {
            return Err(JsonError::Invalid);
        }
        let integral = self.at;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        let token = &self.text[start..self.at];
        let number = if self.at == integral && token != "-0" { token.parse::<i64>().ok() } else { None };
        match number.filter(|number| number.unsigned_abs() <= crate::MAX_INTEGER) {
            Some(number) => Ok(Json::Integer(number)),
            None => {
                self.fault = true;
                Ok(Json::Null)
            }
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(JsonError::Invalid) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.take(b'"')?;
        let mut out = String::new();
        loop {
            let plain = self.at;
            while self.peek().is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            out.push_str(&self.text[plain..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    let escaped = self.escape()?;
                    out.push(escaped);
                }
                _ => return Err(JsonError::Invalid),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let byte = self.peek().ok_or(JsonError::Invalid)?;
        self.at += 1;
        match byte {
            b'"' => Ok('"'),
            b'\\' => Ok('\\'),
            b'/' => Ok('/'),
            b'b' => Ok('\u{8}'),
            b'f' => Ok('\u{c}'),
            b'n' => Ok('\n'),
            b'r' => Ok('\r'),
            b't' => Ok('\t'),
            b'u' => self.unicode(),
            _ => Err(JsonError::Invalid),
        }
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.four_hex()?;
        let code = match first {
            0xd800..=0xdbff if self.text.as_bytes()[self.at..].starts_with(b"\\u") => {
                let rewind = self.at;
                self.at += 2;
                let second = self.four_hex()?;
                if (0xdc00..=0xdfff).contains(&second) {
                    0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    self.at = rewind;
                    0
                }
            }
            code => code,
        };
        // U+0000 and lone surrogates are JSON, and refused.
        match char::from_u32(code).filter(|c| *c != '\0') {
            Some(c) => Ok(c),
            None => {
                self.fault = true;
                Ok('\u{fffd}')
            }
        }
    }

    fn four_hex(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).ok_or(JsonError::Invalid)?;
        let mut code = 0;
        for digit in digits {
            code = code << 4 | (*digit as char).to_digit(16).ok_or(JsonError::Invalid)?;
        }
        self.at += 4;
        Ok(code)
    }
}
