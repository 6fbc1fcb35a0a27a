//! Reading an object of a fixed shape: every member is asked for by name, and none may be left over.

use crate::code::{Code, Detail, Rejection};
use crate::json::{Json, JsonError};
use alloc::string::String;
use alloc::vec::Vec;

/// The members of an object that have not been taken yet.
pub struct Fields(Vec<(String, Json)>);

impl Fields {
    /// Takes an object apart; anything else is `invalid_structure`.
    pub fn of(value: Json) -> Result<Fields, Rejection> {
        match value {
            Json::Object(members) => Ok(Fields(members)),
            _ => Err(Code::InvalidStructure.into()),
        }
    }

    /// Takes a member that may be left out.
    pub fn optional(&mut self, name: &str) -> Option<Json> {
        let place = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// Looks at a member without taking it.
    pub fn member(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Takes a member that must be there.
    pub fn required(&mut self, name: &'static str) -> Result<Json, Rejection> {
        self.optional(name).ok_or_else(|| wrong(name))
    }

    /// Takes a text.
    pub fn text(&mut self, name: &'static str) -> Result<String, Rejection> {
        match self.required(name)? {
            Json::Text(text) => Ok(text),
            _ => Err(wrong(name)),
        }
    }

    /// Takes an unsigned integer.
    pub fn uint(&mut self, name: &'static str) -> Result<u64, Rejection> {
        self.required(name)?.as_uint().ok_or_else(|| wrong(name))
    }

    /// Takes lower-case hex of a fixed length.
    pub fn hex<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], Rejection> {
        let text = self.text(name)?;
        crate::ids::parse_hex(&text).map_err(|_| wrong(name))
    }

    /// Refuses members that nobody asked for.
    pub fn finish(self) -> Result<(), Rejection> {
        if self.0.is_empty() { Ok(()) } else { Err(Code::InvalidStructure.into()) }
    }
}

/// `invalid_structure` that names the member at fault.
pub fn wrong(name: &'static str) -> Rejection {
    Rejection::with(Code::InvalidStructure, Detail::Field(name))
}

impl From<JsonError> for Rejection {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Invalid => Code::InvalidJson.into(),
            JsonError::Structure => Code::InvalidStructure.into(),
        }
    }
}
