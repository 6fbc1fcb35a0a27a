//! The values that a manifest's rows are made of, and where one of them is at fault (`docs/protocol.md`, Manifest).

use crate::code::{Code, Detail, Rejection};
use crate::ids::PublicKey;
use crate::json::Json;
use crate::manifest::{OUTSIDER, Op, OpSet, Reads, Trait};
use crate::schnorr;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Where a manifest breaks a rule; grows from the inside out.
pub(crate) struct Fault(String);

impl Fault {
    /// The value itself.
    pub(crate) fn here() -> Fault {
        Fault(String::new())
    }

    /// At a path.
    pub(crate) fn at(path: String) -> Fault {
        Fault(path)
    }

    pub(crate) fn inside(self, holder: &str) -> Fault {
        match self.0.as_bytes().first() {
            None => Fault(holder.to_owned()),
            Some(_) => Fault(format!("{holder}.{}", self.0)),
        }
    }

    pub(crate) fn reject(self) -> Rejection {
        Rejection::with(Code::InvalidManifest, Detail::Path(self.0))
    }
}

/// An object whose members have all been found to be known ones.
pub(crate) struct Object<'a>(&'a Json);

impl<'a> Object<'a> {
    pub(crate) fn read(value: &'a Json, known: &[&str]) -> Result<Object<'a>, Fault> {
        match value {
            Json::Object(members) if members.iter().all(|(name, _)| known.contains(&name.as_str())) => {
                Ok(Object(value))
            }
            _ => Err(Fault::here()),
        }
    }

    pub(crate) fn required<T>(&self, name: &str, read: impl FnOnce(&'a Json) -> Result<T, Fault>) -> Result<T, Fault> {
        self.optional(name, read)?.ok_or_else(|| Fault::at(name.to_owned()))
    }

    pub(crate) fn optional<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'a Json) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        self.0.member(name).map(read).transpose().map_err(|fault| fault.inside(name))
    }

    /// The rows of a section, which are counted in paths; none when it is left out.
    pub(crate) fn rows<T>(&self, name: &str, read: impl Fn(&'a Json) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
        match self.0.member(name) {
            None => Ok(Vec::new()),
            Some(Json::Array(rows)) => {
                let row = |(place, row)| read(row).map_err(|fault: Fault| fault.inside(&format!("{name}[{place}]")));
                rows.iter().enumerate().map(row).collect()
            }
            Some(_) => Err(Fault::at(name.to_owned())),
        }
    }

    pub(crate) fn len(&self, name: &str) -> usize {
        match self.0.member(name) {
            Some(Json::Array(rows)) => rows.len(),
            _ => 0,
        }
    }
}

pub(crate) fn text(value: &Json) -> Result<&str, Fault> {
    value.as_text().ok_or_else(Fault::here)
}

pub(crate) fn identity(value: &Json) -> Result<PublicKey, Fault> {
    let key = PublicKey::parse(text(value)?).map_err(|_| Fault::here())?;
    if schnorr::is_point(&key) { Ok(key) } else { Err(Fault::here()) }
}

pub(crate) fn state_name(value: &Json) -> Result<String, Fault> {
    let name = text(value)?;
    let rest = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let well_formed =
        name.len() <= 64 && name.starts_with(|first: char| first.is_ascii_uppercase()) && name.bytes().all(rest);
    if well_formed && name != OUTSIDER { Ok(name.to_owned()) } else { Err(Fault::here()) }
}

/// `name(rank)`.
pub(crate) fn declared_trait(value: &Json) -> Result<Trait, Fault> {
    let (name, rank) = text(value)?.strip_suffix(')').and_then(|rest| rest.split_once('(')).ok_or_else(Fault::here)?;
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let name_holds =
        name.len() <= 64 && name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(rest);
    let rank_holds = (1..=9).contains(&rank.len())
        && rank.bytes().all(|byte| byte.is_ascii_digit())
        && (rank == "0" || !rank.starts_with('0'));
    if !name_holds || !rank_holds {
        return Err(Fault::here());
    }
    let rank = rank.parse().map_err(|_| Fault::here())?;
    Ok(Trait { name: name.to_owned(), rank, restrictive: false })
}

/// An alias or a slot's key.
pub(crate) fn label(value: &Json) -> Result<String, Fault> {
    let label = text(value)?;
    let holds = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-');
    if (1..=64).contains(&label.len()) && label.bytes().all(holds) { Ok(label.to_owned()) } else { Err(Fault::here()) }
}

pub(crate) fn event_type(value: &Json) -> Result<String, Fault> {
    let event = text(value)?;
    if crate::commit::is_event_type(event) { Ok(event.to_owned()) } else { Err(Fault::here()) }
}

pub(crate) fn reads(value: &Json) -> Result<Reads, Fault> {
    match value.as_text() {
        Some("*") => Ok(Reads::All),
        Some(_) => Err(Fault::here()),
        None => some_of(value, event_type).map(Reads::Types),
    }
}

/// Reads `ops` that name these operations only.
pub(crate) fn ops(allowed: &'static [Op]) -> impl Fn(&Json) -> Result<OpSet, Fault> {
    move |value| {
        let mut set = OpSet::default();
        for name in some_of(value, text)? {
            let (denied, name) = name.strip_prefix('_').map_or((false, name), |rest| (true, rest));
            let op = operation(name).filter(|op| allowed.contains(op)).ok_or_else(Fault::here)?;
            if denied { set.deny(op) } else { set.allow(op) }
        }
        Ok(set)
    }
}

fn operation(name: &str) -> Option<Op> {
    match name {
        "C" => Some(Op::C),
        "R" => Some(Op::R),
        "U" => Some(Op::U),
        "D" => Some(Op::D),
        "N" => Some(Op::N),
        "P" => Some(Op::P),
        _ => None,
    }
}

/// A list's entries. A fault in one is put to the list: paths count rows, not what stands in them.
pub(crate) fn each<'a, T>(value: &'a Json, read: impl Fn(&'a Json) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    match value {
        Json::Array(items) => items.iter().map(read).collect(),
        _ => Err(Fault::here()),
    }
}

/// A list that is not empty.
pub(crate) fn some_of<'a, T>(value: &'a Json, read: impl Fn(&'a Json) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    let items = each(value, read)?;
    if items.is_empty() { Err(Fault::here()) } else { Ok(items) }
}
