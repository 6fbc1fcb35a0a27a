//! The members of a request, in its query string, its headers or its body, read into what is asked.

use crate::call::{Action, Call, Claim, InclusionOf, Restore, TakeUp};
use crate::path::{Target, parse_query};
use crate::runtime::RequestLine;
use crate::structure::Does;
use alloc::vec::Vec;
use protocol::code::Detail;
use protocol::fields::{Fields, wrong};
use protocol::json;
use protocol::{Code, EnclaveId, EventId, Json, PublicKey, Rejection};

/// Keys of one `state-batch`.
pub const MAX_BATCH: usize = 256;
/// Bytes of a raw state key: an Own slot's is the longest (1 + 32 + 64).
const MAX_RAW_KEY: usize = 97;

/// The routes without a body.
pub(crate) fn question_by_path(does: Does, target: Target, line: &RequestLine) -> Result<Call, Rejection> {
    let mut query = parse_query(&line.query)?;
    if does == Does::NodeInfo {
        query.finish()?;
        return Ok(Call { enclave: None, claim: Claim::Stranger, action: Action::NodeInfo });
    }
    let enclave = Some(need_enclave(target.enclave, &mut query)?);
    let (claim, action) = match does {
        Does::Sth => (Claim::Stranger, Action::Sth),
        Does::Checkpoint => (Claim::Stranger, Action::Checkpoint),
        Does::InfoManifest => (Claim::Stranger, Action::InfoManifest),
        Does::InfoEnclave => (header_claim(line)?, Action::InfoEnclave),
        Does::Snapshot => (header_claim(line)?, Action::Snapshot),
        Does::Consistency => {
            let (from, to) = (query_number(&mut query, "from")?, query_number(&mut query, "to")?);
            (Claim::Stranger, Action::Consistency { from, to })
        }
        Does::Tile => {
            let path = tlog::tile::TilePath::parse(&target.rest).map_err(|_| Rejection::new(Code::InvalidRoute))?;
            (Claim::Stranger, Action::Tile(path))
        }
        _ => return Err(Code::InvalidRoute.into()),
    };
    query.finish()?;
    Ok(Call { enclave, claim, action })
}

fn query_number(query: &mut Fields, name: &'static str) -> Result<u64, Rejection> {
    let text = query.text(name)?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = json::parse(text.as_bytes(), 1).ok().filter(|_| digits);
    number.and_then(|number| number.as_uint()).ok_or_else(|| wrong(name))
}

/// The routes with a JSON object, in plain or inside an envelope.
pub(crate) fn proof(does: Does, at: Option<EnclaveId>, mut fields: Fields) -> Result<Call, Rejection> {
    let enclave = Some(need_enclave(at, &mut fields)?);
    let claim = take_claim(&mut fields)?;
    let action = match does {
        Does::Inclusion => inclusion(&mut fields)?,
        Does::Bundle => Action::Bundle { event_id: EventId(fields.hex("event_id")?) },
        Does::State => {
            let item = state_item(&mut fields)?;
            Action::State {
                items: Vec::from([item]),
                batch: false,
                tree_size: optional_uint(&mut fields, "tree_size")?,
            }
        }
        Does::StateBatch => {
            let Json::Array(rows) = fields.required("items")? else { return Err(wrong("items")) };
            if rows.len() > MAX_BATCH {
                return Err(Rejection::with(Code::LimitExceeded, Detail::Limit(MAX_BATCH as u64)));
            }
            let items = rows.into_iter().map(|row| {
                let mut item = Fields::of(row)?;
                let read = state_item(&mut item)?;
                item.finish().map(|()| read)
            });
            let items = items.collect::<Result<Vec<_>, Rejection>>()?;
            Action::State { items, batch: true, tree_size: optional_uint(&mut fields, "tree_size")? }
        }
        Does::CloseBundle => Action::CloseBundle,
        Does::Push => match fields.required("url")? {
            Json::Null => Action::Push { url: None },
            Json::Text(url) => Action::Push { url: Some(url) },
            _ => return Err(wrong("url")),
        },
        _ => return Err(Code::InvalidRoute.into()),
    };
    fields.finish()?;
    Ok(Call { enclave, claim, action })
}

fn inclusion(fields: &mut Fields) -> Result<Action, Rejection> {
    let of = match (fields.optional("event_id"), fields.optional("leaf_index")) {
        (Some(Json::Text(id)), None) => InclusionOf::Event(EventId::parse(&id).map_err(|_| wrong("event_id"))?),
        (None, Some(index)) => InclusionOf::Leaf(index.as_uint().ok_or_else(|| wrong("leaf_index"))?),
        _ => return Err(wrong("event_id")),
    };
    Ok(Action::Inclusion { of, tree_size: optional_uint(fields, "tree_size")? })
}

fn optional_uint(fields: &mut Fields, name: &'static str) -> Result<Option<u64>, Rejection> {
    fields.optional(name).map(|value| value.as_uint().ok_or_else(|| wrong(name))).transpose()
}

fn state_item(fields: &mut Fields) -> Result<(u8, Vec<u8>), Rejection> {
    let namespace = fields.uint("namespace")?;
    let namespace = u8::try_from(namespace).ok().filter(|n| *n <= 3).ok_or_else(|| wrong("namespace"))?;
    let text = fields.text("key")?;
    let raw = protocol::ids::decode_hex(&text).map_err(|_| wrong("key"))?;
    if raw.len() > MAX_RAW_KEY {
        return Err(wrong("key"));
    }
    Ok((namespace, raw))
}

pub(crate) fn restore(target: Target, line: &RequestLine, body: &[u8]) -> Result<Call, Rejection> {
    let mut query = parse_query(&line.query)?;
    let enclave = Some(need_enclave(target.enclave, &mut query)?);
    let manifest = query.optional("manifest").map(|value| text_hex(value, "manifest")).transpose()?;
    let sequencer = query.optional("sequencer").map(|value| text_hex(value, "sequencer")).transpose()?.map(PublicKey);
    let first = match query.optional("first") {
        None => TakeUp::No,
        Some(value) if value.as_text() == Some("true") => TakeUp::Asserted,
        Some(_) => return Err(wrong("first")),
    };
    query.finish()?;
    let restore = Restore { snapshot: body.to_vec(), manifest, sequencer, first };
    Ok(Call { enclave, claim: header_claim(line)?, action: Action::Restore(restore) })
}

fn text_hex(value: Json, name: &'static str) -> Result<[u8; 32], Rejection> {
    value.as_text().and_then(|text| protocol::ids::parse_hex(text).ok()).ok_or_else(|| wrong(name))
}

pub(crate) fn query_enclave(at: Option<EnclaveId>, query: &str) -> Result<Option<EnclaveId>, Rejection> {
    let mut fields = parse_query(query)?;
    let enclave = take_enclave(at, &mut fields)?;
    fields.finish()?;
    Ok(enclave)
}

/// The enclave that path and members name; both must agree.
fn take_enclave(at: Option<EnclaveId>, fields: &mut Fields) -> Result<Option<EnclaveId>, Rejection> {
    let named = match fields.optional("enclave") {
        None => return Ok(at),
        Some(value) => value.as_text().and_then(|text| EnclaveId::parse(text).ok()).ok_or_else(|| wrong("enclave"))?,
    };
    if at.is_some_and(|at| at != named) {
        return Err(wrong("enclave"));
    }
    Ok(Some(named))
}

pub(crate) fn need_enclave(at: Option<EnclaveId>, fields: &mut Fields) -> Result<EnclaveId, Rejection> {
    take_enclave(at, fields)?.ok_or_else(|| wrong("enclave"))
}

/// Who asks, by `from` and `session`: `from` alone has no effect.
pub(crate) fn take_claim(fields: &mut Fields) -> Result<Claim, Rejection> {
    let from = fields.optional("from");
    let Some(session) = fields.optional("session") else {
        return match from {
            Some(Json::Text(from)) if PublicKey::parse(&from).is_err() => Err(wrong("from")),
            None | Some(Json::Text(_)) => Ok(Claim::Stranger),
            Some(_) => Err(wrong("from")),
        };
    };
    let Json::Text(token) = session else { return Err(wrong("session")) };
    let from = from.and_then(|from| PublicKey::parse(from.as_text()?).ok());
    match from {
        Some(from) => Ok(Claim::Session { from, token }),
        None => Err(Code::InvalidSession.into()),
    }
}

pub(crate) fn header_claim(line: &RequestLine) -> Result<Claim, Rejection> {
    let Some(token) = line.headers.session.clone() else { return Ok(Claim::Stranger) };
    match line.headers.from.as_deref().map(PublicKey::parse) {
        Some(Ok(from)) => Ok(Claim::Session { from, token }),
        _ => Err(Code::InvalidSession.into()),
    }
}
