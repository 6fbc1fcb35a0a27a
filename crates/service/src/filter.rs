//! Query and Pull as they are written in JSON, and whether an event is meant (`docs/protocol.md`, Query).

use crate::call::{Filter, Pull, Span};
use crate::runtime::Limits;
use alloc::string::String;
use alloc::vec::Vec;
use protocol::code::Detail;
use protocol::fields::{Fields, wrong};
use protocol::{Code, Event, Json, MAX_INTEGER, PublicKey, Rejection};

/// Values of one any-of.
pub const MAX_ANY_OF: usize = 256;
/// Events of an answer when no limit is asked for.
pub const DEFAULT_LIMIT: u64 = 100;

impl Filter {
    /// Reads a filter; none is the filter that takes everything.
    pub fn parse(value: Option<Json>, limits: &Limits) -> Result<Filter, Rejection> {
        let mut fields = Fields::of(value.unwrap_or_else(|| Json::Object(Vec::new())))?;
        let hash = |value| parse_hash(value);
        let filter = Filter {
            id: any_of(fields.optional("id"), "id", hash)?,
            hash: any_of(fields.optional("hash"), "hash", hash)?,
            from: any_of(fields.optional("from"), "from", |value| parse_hash(value).map(PublicKey))?,
            event_type: any_of(fields.optional("type"), "type", |value| match value {
                Json::Text(text) => Some(text),
                _ => None,
            })?,
            seq: span(fields.optional("seq"), "seq")?,
            timestamp: span(fields.optional("timestamp"), "timestamp")?,
            tags: fields.optional("tags").map(parse_tags).transpose()?,
            limit: limit(fields.optional("limit"), limits)?,
            reverse: match fields.optional("reverse") {
                None => false,
                Some(Json::Bool(reverse)) => reverse,
                Some(_) => return Err(wrong("reverse")),
            },
        };
        fields.finish()?;
        Ok(filter)
    }

    /// Whether an event is one that the filter means; ranges and limits included, paging not.
    pub fn takes(&self, event: &Event) -> bool {
        fn among<T: PartialEq>(wanted: &Option<Vec<T>>, value: &T) -> bool {
            wanted.as_ref().is_none_or(|any| any.contains(value))
        }
        among(&self.id, &event.id.0)
            && among(&self.hash, &event.hash.0)
            && among(&self.from, &event.from)
            && among(&self.event_type, &event.event_type)
            && self.seq.as_ref().is_none_or(|span| span.holds(event.position.seq))
            && self.timestamp.as_ref().is_none_or(|span| span.holds(event.position.timestamp))
            && self.tags.as_ref().is_none_or(|any| any.iter().any(|wanted| tagged(event, wanted)))
    }
}

impl Span {
    /// Whether a number is meant.
    pub fn holds(&self, number: u64) -> bool {
        match self {
            Span::AnyOf(any) => any.contains(&number),
            Span::Range(first, last) => (*first..=*last).contains(&number),
        }
    }
}

impl Pull {
    /// Reads the members of a Pull beside who asks and of which enclave.
    pub fn parse(fields: &mut Fields, limits: &Limits) -> Result<Pull, Rejection> {
        let url = match fields.optional("url") {
            None => None,
            Some(Json::Text(url)) => Some(url),
            Some(_) => return Err(wrong("url")),
        };
        let start_after = match fields.optional("push_seq") {
            None => 0,
            Some(value) => {
                let mut range = Fields::of(value)?;
                let start_after = range.uint("start_after")?;
                range.finish()?;
                start_after
            }
        };
        Ok(Pull { url, start_after, limit: limit(fields.optional("limit"), limits)? })
    }
}

fn tagged(event: &Event, (name, value): &(String, Option<String>)) -> bool {
    event
        .tags
        .iter()
        .any(|tag| tag.first() == Some(name) && value.as_ref().is_none_or(|value| tag.get(1) == Some(value)))
}

fn limit(value: Option<Json>, limits: &Limits) -> Result<u64, Rejection> {
    let Some(value) = value else { return Ok(DEFAULT_LIMIT.min(limits.page_events)) };
    match value.as_uint() {
        None | Some(0) => Err(wrong("limit")),
        Some(limit) if limit > limits.page_events => {
            Err(Rejection::with(Code::LimitExceeded, Detail::Limit(limits.page_events)))
        }
        Some(limit) => Ok(limit),
    }
}

fn parse_hash(value: Json) -> Option<[u8; 32]> {
    protocol::ids::parse_hex(value.as_text()?).ok()
}

fn any_of<T>(
    value: Option<Json>,
    name: &'static str,
    read: impl Fn(Json) -> Option<T>,
) -> Result<Option<Vec<T>>, Rejection> {
    let values = match value {
        None => return Ok(None),
        Some(Json::Array(values)) => values,
        Some(scalar) => Vec::from([scalar]),
    };
    if values.len() > MAX_ANY_OF {
        return Err(Rejection::with(Code::LimitExceeded, Detail::Limit(MAX_ANY_OF as u64)));
    }
    values.into_iter().map(|value| read(value).ok_or_else(|| wrong(name))).collect::<Result<_, _>>().map(Some)
}

fn span(value: Option<Json>, name: &'static str) -> Result<Option<Span>, Rejection> {
    let Some(Json::Object(members)) = value else {
        return Ok(any_of(value, name, |value| value.as_uint())?.map(Span::AnyOf));
    };
    let (mut first, mut last, mut ends, mut empty) = (0, MAX_INTEGER, [0; 2], false);
    for (member, bound) in members {
        let bound = bound.as_uint().ok_or_else(|| wrong(name))?;
        match member.as_str() {
            "start_after" => (first, ends[0]) = (bound + 1, ends[0] + 1),
            "start_at" => (first, ends[0]) = (bound, ends[0] + 1),
            "end_before" => (last, ends[1], empty) = (bound.saturating_sub(1), ends[1] + 1, bound == 0),
            "end_at" => (last, ends[1]) = (bound, ends[1] + 1),
            _ => return Err(wrong(name)),
        }
    }
    if ends.iter().any(|end| *end > 1) || ends == [0, 0] {
        return Err(wrong(name));
    }
    Ok(Some(if empty { Span::AnyOf(Vec::new()) } else { Span::Range(first, last) }))
}

fn parse_tags(value: Json) -> Result<Vec<(String, Option<String>)>, Rejection> {
    let Json::Array(rows) = value else { return Err(wrong("tags")) };
    if rows.len() > MAX_ANY_OF {
        return Err(Rejection::with(Code::LimitExceeded, Detail::Limit(MAX_ANY_OF as u64)));
    }
    let mut tags = Vec::with_capacity(rows.len());
    for row in rows {
        let Json::Array(strings) = row else { return Err(wrong("tags")) };
        let mut strings = strings.into_iter();
        let tag = match (strings.next(), strings.next(), strings.next()) {
            (Some(Json::Text(name)), None, None) => (name, None),
            (Some(Json::Text(name)), Some(Json::Text(value)), None) => (name, Some(value)),
            _ => return Err(wrong("tags")),
        };
        tags.push(tag);
    }
    Ok(tags)
}
