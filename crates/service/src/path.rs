//! Paths and query strings: three spellings of one target.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use protocol::fields::{Fields, wrong};
use protocol::{Code, EnclaveId, Json, Rejection};

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The enclave, unless it is left to the body.
    pub enclave: Option<EnclaveId>,
    /// The path below it.
    pub rest: String,
}

/// Reads `/enclaves/:id/<action>`, `/enclave/:id/<action>`, `/:id/<action>` or `/<action>`.
pub fn parse_target(path: &str) -> Result<Target, Rejection> {
    let path = path.strip_prefix('/').ok_or(Code::InvalidRoute)?;
    let (head, rest) = path.split_once('/').unwrap_or((path, ""));
    if head == "enclaves" || head == "enclave" {
        let (id, rest) = rest.split_once('/').unwrap_or((rest, ""));
        if id.is_empty() {
            return Err(Code::InvalidRoute.into());
        }
        let id = EnclaveId::parse(id).map_err(|_| wrong("enclave"))?;
        return Ok(Target { enclave: Some(id), rest: rest.to_string() });
    }
    match EnclaveId::parse(head) {
        Ok(id) => Ok(Target { enclave: Some(id), rest: rest.to_string() }),
        // Upper-case hex must not address anything: on some hosts it would be another object.
        Err(_) if head.len() == 64 && head.bytes().all(|b| b.is_ascii_hexdigit()) => Err(wrong("enclave")),
        Err(_) => Ok(Target { enclave: None, rest: path.to_string() }),
    }
}

/// Reads `a=b&c=d` as an object of texts; a name given twice is refused.
pub fn parse_query(query: &str) -> Result<Fields, Rejection> {
    let mut members: Vec<(String, Json)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(Code::InvalidStructure)?;
        let (name, value) = (percent_decode(name)?, percent_decode(value)?);
        if members.iter().any(|(known, _)| *known == name) {
            return Err(Code::InvalidStructure.into());
        }
        members.push((name, Json::Text(value)));
    }
    Fields::of(Json::Object(members))
}

fn percent_decode(text: &str) -> Result<String, Rejection> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| core::str::from_utf8(digits).ok());
        let decoded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(decoded.ok_or(Code::InvalidStructure)?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| Code::InvalidStructure.into())
}
