//! A node's "no", read.

use core::fmt;
use protocol::fields::Fields;
use protocol::{Code, Json, MAX_INTEGER, PublicKey, Receipt, Rejection};

/// A refusal as it came: stable code, status, and what differs from case to case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// HTTP status; 0 on a socket and in a sealed answer.
    pub status: u16,
    /// The node's sentence.
    pub message: String,
    /// Seconds to wait, as `Retry-After` says.
    pub retry_after_secs: Option<u64>,
    /// What else the answer says.
    pub detail: RefusalDetail,
}

/// The further members of an error answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusalDetail {
    /// Where in a manifest.
    pub path: Option<String>,
    /// The member at fault.
    pub field: Option<String>,
    /// The place in a list, from 0.
    pub index: Option<u64>,
    /// The limit that was passed.
    pub limit: Option<u64>,
    /// The receipt of the stored commit.
    pub receipt: Option<Receipt>,
    /// Where the enclave has gone, by the node's word.
    pub new_sequencer: Option<PublicKey>,
    /// The node's time, milliseconds.
    pub time: Option<u64>,
    /// The commit that was refused.
    pub hash: Option<[u8; 32]>,
    /// Last `seq`, for a Migrate.
    pub prev_seq: Option<u64>,
    /// Root of the closed bundles, for a Migrate.
    pub ct_root: Option<[u8; 32]>,
    /// Last event hash, for a Migrate.
    pub prev: Option<[u8; 32]>,
}

impl Refusal {
    /// Reads an error answer; members that no refusal has are an error.
    pub fn from_json(value: Json, status: u16) -> Result<Refusal, Rejection> {
        let mut fields = Fields::of(value)?;
        let code = Code::parse(&fields.text("error")?).ok_or(Rejection::new(Code::InvalidStructure))?;
        let message = fields.text("message")?;
        let detail = RefusalDetail {
            path: optional_text(&mut fields, "path")?,
            field: optional_text(&mut fields, "field")?,
            index: optional_uint(&mut fields, "index")?,
            limit: optional_uint(&mut fields, "limit")?,
            receipt: fields.optional("receipt").map(Receipt::from_json).transpose()?,
            new_sequencer: optional_hex(&mut fields, "new_sequencer")?.map(PublicKey),
            time: optional_uint(&mut fields, "time")?,
            hash: optional_hex(&mut fields, "hash")?,
            prev_seq: optional_uint(&mut fields, "prev_seq")?,
            ct_root: optional_hex(&mut fields, "ct_root")?,
            prev: optional_hex(&mut fields, "prev")?,
        };
        fields.finish()?;
        Ok(Refusal { code, status, message, retry_after_secs: None, detail })
    }

    /// Whether the sentence is the fixed one of the code.
    pub fn sentence_is_fixed(&self) -> bool {
        self.message == self.code.message()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_str())?;
        let detail = &self.detail;
        for (name, text) in [("path", &detail.path), ("field", &detail.field)] {
            if let Some(text) = text {
                write!(f, ", {name} {text:?}")?;
            }
        }
        for (name, number) in [("index", detail.index), ("limit", detail.limit), ("node's time", detail.time)] {
            if let Some(number) = number {
                write!(f, ", {name} {number}")?;
            }
        }
        match self.retry_after_secs {
            Some(seconds) => write!(f, ", try again in {seconds} s"),
            None => Ok(()),
        }
    }
}

fn optional_text(fields: &mut Fields, name: &'static str) -> Result<Option<String>, Rejection> {
    match fields.optional(name) {
        None => Ok(None),
        Some(Json::Text(text)) => Ok(Some(text)),
        Some(_) => Err(protocol::fields::wrong(name)),
    }
}

fn optional_uint(fields: &mut Fields, name: &'static str) -> Result<Option<u64>, Rejection> {
    let number = fields.optional(name).map(|value| value.as_uint().filter(|number| *number <= MAX_INTEGER));
    match number {
        None => Ok(None),
        Some(Some(number)) => Ok(Some(number)),
        Some(None) => Err(protocol::fields::wrong(name)),
    }
}

fn optional_hex(fields: &mut Fields, name: &'static str) -> Result<Option<[u8; 32]>, Rejection> {
    match optional_text(fields, name)? {
        None => Ok(None),
        Some(text) => protocol::ids::parse_hex(&text).map(Some).map_err(|_| protocol::fields::wrong(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_as_they_are_written_and_strictly() {
        let rejection = Rejection::with(Code::InvalidManifest, protocol::code::Detail::Path("RBAC.moves[2].to".into()));
        let refusal = Refusal::from_json(rejection.to_json(None), 400).expect("our own shape");
        assert_eq!(refusal.code, Code::InvalidManifest);
        assert_eq!(refusal.detail.path.as_deref(), Some("RBAC.moves[2].to"));
        assert!(refusal.sentence_is_fixed());
        let cases = [
            r#"{"error":"no_such_code","message":""}"#,
            r#"{"error":"expired"}"#,
            r#"{"error":"expired","message":"","more":1}"#,
            r#"{"error":"expired","message":"","time":-1}"#,
            r#"{"error":"expired","message":"","prev":"AA"}"#,
        ];
        for text in cases {
            let value = protocol::json::parse(text.as_bytes(), 8).expect("JSON");
            assert!(Refusal::from_json(value, 400).is_err(), "{text}");
        }
    }
}
