//! How values cross between module and host: tagged values for SQL, JSON for the rest. Integers are little-endian.

use crate::Bytes;
use alloc::string::String;
use alloc::vec::Vec;
use protocol::json::{self, MAX_DEPTH};
use protocol::{Json, PublicKey};
use service::Response;
use service::runtime::{Headers, Limits, NodeFacts, RequestLine, Value};

/// Tags: 0 NULL; 1 integer, 8 bytes; 2 text and 3 blob, 4 bytes of length before their bytes.
pub fn values(values: &[Value<'_>]) -> Bytes {
    let mut out = Vec::new();
    for value in values {
        match value {
            Value::Null => out.push(0),
            Value::Int(number) => {
                out.push(1);
                out.extend_from_slice(&number.to_le_bytes());
            }
            Value::Text(text) => sized(&mut out, 2, text.as_bytes()),
            Value::Blob(bytes) => sized(&mut out, 3, bytes),
        }
    }
    out
}

fn sized(out: &mut Bytes, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Bytes being read.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// Four bytes.
    pub fn uint(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*number))
    }

    /// A tagged value.
    pub fn value(&mut self) -> Option<Value<'a>> {
        let (tag, rest) = self.0.split_first()?;
        self.0 = rest;
        match tag {
            0 => Some(Value::Null),
            1 => {
                let (number, rest) = self.0.split_first_chunk()?;
                self.0 = rest;
                Some(Value::Int(i64::from_le_bytes(*number)))
            }
            2 => core::str::from_utf8(self.sized()?).ok().map(Value::Text),
            3 => self.sized().map(Value::Blob),
            _ => None,
        }
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let len = self.uint()? as usize;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }
}

/// Status, then the length of a JSON object of headers, then that, then the body.
pub fn response(response: &Response) -> Bytes {
    let named = response.headers.iter().map(|(name, value)| (*name, Json::from(value.as_str())));
    let headers = Json::object(named.chain([("Content-Type", Json::from(response.content_type))])).to_jcs();
    let mut out = Vec::with_capacity(6 + headers.len() + response.body.len());
    out.extend_from_slice(&response.status.to_le_bytes());
    out.extend_from_slice(&(headers.len() as u32).to_le_bytes());
    out.extend_from_slice(headers.as_bytes());
    out.extend_from_slice(&response.body);
    out
}

/// `{"method","path","query","content_type"?,"from"?,"session"?}`; what is missing is empty.
pub fn request_line(bytes: &[u8]) -> RequestLine {
    let value = json::parse(bytes, MAX_DEPTH).unwrap_or(Json::Null);
    let text = |name: &str| value.member(name).and_then(Json::as_text).map(String::from);
    RequestLine {
        method: text("method").unwrap_or_default(),
        path: text("path").unwrap_or_default(),
        query: text("query").unwrap_or_default(),
        headers: Headers { content_type: text("content_type"), from: text("from"), session: text("session") },
    }
}

/// `{"name","version","sequencer","heads_vkey"}`; limits are the protocol's own.
pub fn facts(value: Json) -> Option<NodeFacts> {
    let text = |name: &str| value.member(name).and_then(Json::as_text).map(String::from);
    Some(NodeFacts {
        name: text("name")?,
        version: text("version")?,
        sequencer: PublicKey::parse(&text("sequencer")?).ok()?,
        heads_vkey: text("heads_vkey")?,
        services: Vec::from([service::structure::ENC_NODE.name]),
        limits: Limits::default(),
        require_encryption: false,
        push_loopback: false,
    })
}
