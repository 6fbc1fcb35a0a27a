//! Query: the events that a filter means and the asker may read, a page at a time (`docs/protocol.md`, Query).

use crate::cache::State;
use crate::call::{Filter, Span};
use crate::context::{Asker, Context, Stop};
use crate::rows::{self, StoredEvent, event_columns, int, uint};
use crate::runtime::{Fault, Runtime, Value};
use alloc::string::String;
use alloc::vec::Vec;
use kernel::{Reach, Reader};
use protocol::{Code, EnclaveId, Event, Json, MAX_INTEGER};

/// Places read ahead of one index at a time.
const AHEAD: u64 = 64;
/// Rows read at a time when every event has to be looked at.
const SCAN: u64 = 256;

/// A page of events.
pub struct Page {
    /// In the order asked.
    pub events: Vec<StoredEvent>,
    /// More remain that the asker may read.
    pub more: bool,
}

/// Answers a Query.
pub fn answer(context: &Context, state: &State, asker: &Asker, filter: &Filter) -> Result<Json, Stop> {
    let reader = asker.reader(state);
    if !reader.anything_retained() {
        return Err(Code::Unauthorized.into());
    }
    let page = page(context, state, &reader, filter)?;
    let next = page.events.last().filter(|_| page.more).map(|stored| stored.event.position.seq);
    let events = page.events.iter().map(|stored| stored.event.to_json()).collect::<Vec<_>>();
    let mut members = Vec::from([("type", Json::from("Response")), ("events", Json::Array(events))]);
    members.extend(next.map(|seq| ("next", Json::from(seq))));
    Ok(Json::object(members))
}

/// The page that a filter begins with.
pub fn page(context: &Context, state: &State, reader: &Reader, filter: &Filter) -> Result<Page, Fault> {
    let enclave = &state.record.head.enclave;
    let (first, last) = bounds(context.rt, state, filter)?;
    let mut page =
        Filling { filter, reader, left: context.facts.limits.page_len, page: Page { events: Vec::new(), more: false } };
    if first > last {
        return Ok(page.page);
    }
    let range = Range { enclave, first, last, reverse: filter.reverse };
    match Places::of(context.rt, &range, filter, reader)? {
        None => range.scan(context.rt, &mut page)?,
        Some(mut places) => {
            while let Some(seq) = places.next(context.rt, &range)? {
                let stored = rows::event_at(context.rt, enclave, seq)?.ok_or(Fault::Storage)?;
                if !page.take(stored) {
                    break;
                }
            }
        }
    }
    Ok(page.page)
}

/// A page that fills up.
struct Filling<'a> {
    filter: &'a Filter,
    reader: &'a Reader<'a>,
    left: usize,
    page: Page,
}

impl Filling<'_> {
    /// Takes an event in if it is meant and may be read; false when the page is full and more remain.
    fn take(&mut self, stored: StoredEvent) -> bool {
        if !self.filter.takes(&stored.event) || !self.reader.may_read(&stored.as_type, stored.event.position.seq) {
            return true;
        }
        let len = len(&stored.event);
        let full = self.page.events.len() as u64 >= self.filter.limit || len > self.left;
        if full && !self.page.events.is_empty() {
            self.page.more = true;
            return false;
        }
        self.left = self.left.saturating_sub(len);
        self.page.events.push(stored);
        true
    }
}

/// Bytes of an event's JSON, nearly: what varies, and a constant for what does not.
pub fn len(event: &Event) -> usize {
    const FIXED: usize = 1100;
    let content = match &event.content {
        protocol::event::Content::Present(text) => text.len(),
        protocol::event::Content::Deleted(_) => 64,
    };
    FIXED + content + event.tags.iter().flatten().map(|text| text.len() + 3).sum::<usize>()
}

/// The places that the filter's `seq` and `timestamp` leave.
fn bounds(rt: &dyn Runtime, state: &State, filter: &Filter) -> Result<(u64, u64), Fault> {
    let outer = |span: &Option<Span>| match span {
        None => (0, MAX_INTEGER),
        Some(Span::Range(first, last)) => (*first, *last),
        Some(Span::AnyOf(any)) => (any.iter().copied().min().unwrap_or(1), any.iter().copied().max().unwrap_or(0)),
    };
    let (mut first, mut last) = outer(&filter.seq);
    last = last.min(state.record.head.last_seq());
    if filter.timestamp.is_some() {
        let (from, to) = outer(&filter.timestamp);
        // Timestamps never fall along `seq`, so a range of times is a range of places.
        first = first.max(first_at(rt, state, from)?);
        last = match first_at(rt, state, to.saturating_add(1))?.checked_sub(1) {
            Some(bound) if from <= to => last.min(bound),
            _ => return Ok((1, 0)),
        };
    }
    Ok((first, last))
}

/// The first `seq` whose timestamp is at least `time`.
fn first_at(rt: &dyn Runtime, state: &State, time: u64) -> Result<u64, Fault> {
    const SQL: &str = "SELECT timestamp FROM events WHERE enclave = ?1 AND seq = ?2";
    let (mut low, mut high) = (0, state.record.head.next_seq);
    while low < high {
        let middle = low + (high - low) / 2;
        let params = [Value::Blob(&state.record.head.enclave.0), int(middle)];
        let stamp = rows::first(rt, SQL, &params, |row| uint(row, 0))?.ok_or(Fault::Storage)?;
        if stamp < time { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// Places of one enclave, in the order of the answer.
struct Range<'a> {
    enclave: &'a EnclaveId,
    first: u64,
    last: u64,
    reverse: bool,
}

impl Range<'_> {
    /// Reads event after event, some rows at a time: on some hosts an answer is whole before its first row is seen.
    fn scan(&self, rt: &dyn Runtime, page: &mut Filling) -> Result<(), Fault> {
        const UP: &str = event_columns!("WHERE enclave = ?1 AND seq >= ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4");
        const DOWN: &str = event_columns!("WHERE enclave = ?1 AND seq >= ?2 AND seq <= ?3 ORDER BY seq DESC LIMIT ?4");
        let (mut first, mut last) = (self.first, self.last);
        while first <= last {
            // One more than the page wants tells whether more remain.
            let rows = (page.filter.limit - page.page.events.len() as u64 + 1).min(SCAN);
            let params = [Value::Blob(&self.enclave.0), int(first), int(last), int(rows)];
            let (mut fault, mut count, mut end, mut more) = (None, 0, 0, true);
            rt.sql_query(if self.reverse { DOWN } else { UP }, &params, &mut |row| match rows::event(row) {
                Ok(stored) => {
                    (count, end) = (count + 1, stored.event.position.seq);
                    more = page.take(stored);
                    more
                }
                Err(error) => {
                    fault = Some(error);
                    false
                }
            })?;
            if let Some(fault) = fault {
                return Err(fault);
            }
            if !more || count < rows {
                return Ok(());
            }
            match self.reverse {
                false => first = end + 1,
                true if end == 0 => return Ok(()),
                true => last = end - 1,
            }
        }
        Ok(())
    }
}

/// Places found by indices, merged: each once, in order.
struct Places {
    streams: Vec<Stream>,
}

/// The places under one key of one index.
struct Stream {
    key: Key,
    ahead: Vec<u64>,
    /// The next place to look from; `None` when there are no more.
    from: Option<u64>,
}

/// A key of an index.
enum Key {
    /// Found already.
    Listed,
    Type(String),
    AsType(String),
    Author([u8; 32]),
    Tag(String),
    TagValue(String, String),
}

impl Places {
    /// The narrowest index for a filter; none when every event in the range has to be looked at.
    fn of(rt: &dyn Runtime, range: &Range, filter: &Filter, reader: &Reader) -> Result<Option<Places>, Fault> {
        let listed = if let Some(ids) = &filter.id {
            Some(by_key(rt, "SELECT seq, enclave FROM events WHERE id = ?1", range, ids)?)
        } else if let Some(hashes) = &filter.hash {
            Some(by_key(rt, "SELECT seq, enclave FROM events WHERE hash = ?1", range, hashes)?)
        } else if let Some(Span::AnyOf(any)) = &filter.seq {
            Some(any.iter().copied().filter(|seq| (range.first..=range.last).contains(seq)).collect())
        } else {
            None
        };
        if let Some(mut seqs) = listed {
            seqs.sort_unstable();
            seqs.dedup();
            if !range.reverse {
                seqs.reverse();
            }
            return Ok(Some(Places { streams: Vec::from([Stream { key: Key::Listed, ahead: seqs, from: None }]) }));
        }
        let keys: Option<Vec<Key>> = if let Some(tags) = &filter.tags {
            Some(
                tags.iter()
                    .cloned()
                    .map(|(name, value)| match value {
                        None => Key::Tag(name),
                        Some(value) => Key::TagValue(name, value),
                    })
                    .collect(),
            )
        } else if let Some(types) = &filter.event_type {
            Some(types.iter().cloned().map(Key::Type).collect())
        } else if let Some(authors) = &filter.from {
            Some(authors.iter().map(|author| Key::Author(author.0)).collect())
        } else {
            readable(reader)
        };
        let start = if range.reverse { range.last } else { range.first };
        let stream = |key| Stream { key, ahead: Vec::new(), from: Some(start) };
        Ok(keys.map(|keys| Places { streams: keys.into_iter().map(stream).collect() }))
    }

    /// The next place.
    fn next(&mut self, rt: &dyn Runtime, range: &Range) -> Result<Option<u64>, Fault> {
        let mut best: Option<u64> = None;
        for stream in &mut self.streams {
            if let Some(seq) = stream.peek(rt, range)? {
                best = Some(best.map_or(seq, |best| if range.reverse { best.max(seq) } else { best.min(seq) }));
            }
        }
        for stream in &mut self.streams {
            if best.is_some() && stream.ahead.last().copied() == best {
                stream.ahead.pop();
            }
        }
        Ok(best)
    }
}

/// One index step a type, where a reader may read some types only; Updates and Deletes stand under the type they refer to.
fn readable(reader: &Reader) -> Option<Vec<Key>> {
    let readable = reader.readable_types();
    if readable.others != Reach::Nothing {
        return None;
    }
    let named = readable.named.iter().filter(|(_, reach)| *reach != Reach::Nothing);
    Some(named.flat_map(|(name, _)| [Key::Type(String::from(*name)), Key::AsType(String::from(*name))]).collect())
}

fn by_key(rt: &dyn Runtime, sql: &'static str, range: &Range, keys: &[[u8; 32]]) -> Result<Vec<u64>, Fault> {
    let mut seqs = Vec::new();
    for key in keys {
        let found = rows::first(rt, sql, &[Value::Blob(key)], |row| Ok((uint(row, 0)?, rows::fixed::<32>(row, 1)?)))?;
        seqs.extend(found.filter(|(_, enclave)| *enclave == range.enclave.0).map(|(seq, _)| seq));
    }
    seqs.retain(|seq| (range.first..=range.last).contains(seq));
    Ok(seqs)
}

impl Stream {
    fn peek(&mut self, rt: &dyn Runtime, range: &Range) -> Result<Option<u64>, Fault> {
        if self.ahead.is_empty()
            && let Some(from) = self.from
        {
            let mut seqs = self.read(rt, range, from)?;
            let after = |last: u64| if range.reverse { last.checked_sub(1) } else { Some(last + 1) };
            self.from = if (seqs.len() as u64) < AHEAD { None } else { seqs.last().copied().and_then(after) };
            seqs.reverse();
            self.ahead = seqs;
        }
        Ok(self.ahead.last().copied())
    }

    fn read(&self, rt: &dyn Runtime, range: &Range, from: u64) -> Result<Vec<u64>, Fault> {
        let (low, high) = if range.reverse { (range.first, from) } else { (from, range.last) };
        let enclave = Value::Blob(&range.enclave.0);
        let pick = |up: &'static str, down: &'static str| if range.reverse { down } else { up };
        let (sql, key): (&'static str, [Value<'_>; 2]) = match &self.key {
            Key::Listed => return Ok(Vec::new()),
            Key::Type(name) => (pick(TYPE_UP, TYPE_DOWN), [Value::Text(name), Value::Null]),
            Key::AsType(name) => (pick(AS_TYPE_UP, AS_TYPE_DOWN), [Value::Text(name), Value::Null]),
            Key::Author(author) => (pick(FROM_UP, FROM_DOWN), [Value::Blob(author), Value::Null]),
            Key::Tag(name) => (pick(TAG_UP, TAG_DOWN), [Value::Text(name), Value::Null]),
            Key::TagValue(name, value) => (pick(TAG_VALUE_UP, TAG_VALUE_DOWN), [Value::Text(name), Value::Text(value)]),
        };
        let params = [enclave, int(low), int(high), int(AHEAD), key[0], key[1]];
        let used = if matches!(self.key, Key::TagValue(..)) { 6 } else { 5 };
        rows::all(rt, sql, &params[..used], |row| uint(row, 0))
    }
}

const TYPE_UP: &str =
    "SELECT seq FROM events WHERE enclave = ?1 AND type = ?5 AND seq >= ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4";
const TYPE_DOWN: &str =
    "SELECT seq FROM events WHERE enclave = ?1 AND type = ?5 AND seq >= ?2 AND seq <= ?3 ORDER BY seq DESC LIMIT ?4";
const AS_TYPE_UP: &str = "SELECT seq FROM events WHERE enclave = ?1 AND as_type = ?5 AND as_type <> type \
     AND seq >= ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4";
const AS_TYPE_DOWN: &str = "SELECT seq FROM events WHERE enclave = ?1 AND as_type = ?5 AND as_type <> type \
     AND seq >= ?2 AND seq <= ?3 ORDER BY seq DESC LIMIT ?4";
const FROM_UP: &str =
    "SELECT seq FROM events WHERE enclave = ?1 AND from_pub = ?5 AND seq >= ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4";
const FROM_DOWN: &str = "SELECT seq FROM events WHERE enclave = ?1 AND from_pub = ?5 AND seq >= ?2 AND seq <= ?3 ORDER BY seq DESC LIMIT ?4";
const TAG_UP: &str = "SELECT DISTINCT seq FROM event_tags WHERE enclave = ?1 AND name = ?5 AND seq >= ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4";
const TAG_DOWN: &str = "SELECT DISTINCT seq FROM event_tags WHERE enclave = ?1 AND name = ?5 AND seq >= ?2 AND seq <= ?3 ORDER BY seq DESC LIMIT ?4";
const TAG_VALUE_UP: &str = "SELECT seq FROM event_tags WHERE enclave = ?1 AND name = ?5 AND value = ?6 \
     AND seq >= ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4";
const TAG_VALUE_DOWN: &str = "SELECT seq FROM event_tags WHERE enclave = ?1 AND name = ?5 AND value = ?6 \
     AND seq >= ?2 AND seq <= ?3 ORDER BY seq DESC LIMIT ?4";
