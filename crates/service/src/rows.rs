//! Reading and writing rows: the one place that turns values into types.

use crate::runtime::{Fault, Row, Runtime, Value};
use alloc::string::String;
use alloc::vec::Vec;
use protocol::commit::{parse_tags, tags_to_json};
use protocol::event::{ALG, Content, Position};
use protocol::json::{self, MAX_DEPTH};
use protocol::{CommitHash, ContentHash, EnclaveId, Event, EventHash, EventId, Json, PublicKey, Receipt, Signature};

/// An integer column; the subset keeps integers within 2^53.
pub fn uint(row: &dyn Row, column: usize) -> Result<u64, Fault> {
    match row.value(column) {
        Value::Int(number) => u64::try_from(number).map_err(|_| Fault::Storage),
        Value::Null | Value::Text(_) | Value::Blob(_) => Err(Fault::Storage),
    }
}

/// A text column.
pub fn text(row: &dyn Row, column: usize) -> Result<String, Fault> {
    match row.value(column) {
        Value::Text(text) => Ok(String::from(text)),
        Value::Null | Value::Int(_) | Value::Blob(_) => Err(Fault::Storage),
    }
}

/// A blob column.
pub fn blob(row: &dyn Row, column: usize) -> Result<Vec<u8>, Fault> {
    optional_blob(row, column)?.ok_or(Fault::Storage)
}

/// A blob column that may be NULL.
pub fn optional_blob(row: &dyn Row, column: usize) -> Result<Option<Vec<u8>>, Fault> {
    match row.value(column) {
        Value::Null => Ok(None),
        Value::Blob(bytes) => Ok(Some(Vec::from(bytes))),
        Value::Int(_) | Value::Text(_) => Err(Fault::Storage),
    }
}

/// A blob column of a fixed length.
pub fn fixed<const N: usize>(row: &dyn Row, column: usize) -> Result<[u8; N], Fault> {
    match row.value(column) {
        Value::Blob(bytes) => bytes.try_into().map_err(|_| Fault::Storage),
        Value::Null | Value::Int(_) | Value::Text(_) => Err(Fault::Storage),
    }
}

/// Binds an unsigned integer.
pub fn int(number: u64) -> Value<'static> {
    debug_assert!(number <= protocol::MAX_INTEGER);
    Value::Int(number as i64)
}

/// The first row of an answer, read by `read`.
pub fn first<T>(
    rt: &dyn Runtime,
    sql: &'static str,
    params: &[Value<'_>],
    mut read: impl FnMut(&dyn Row) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let mut found = None;
    rt.sql_query(sql, params, &mut |row| {
        found = Some(read(row));
        false
    })?;
    found.transpose()
}

/// All rows of an answer, read by `read`.
pub fn all<T>(
    rt: &dyn Runtime,
    sql: &'static str,
    params: &[Value<'_>],
    mut read: impl FnMut(&dyn Row) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut rows = Vec::new();
    let mut fault = None;
    rt.sql_query(sql, params, &mut |row| match read(row) {
        Ok(value) => {
            rows.push(value);
            true
        }
        Err(error) => {
            fault = Some(error);
            false
        }
    })?;
    fault.map_or(Ok(rows), Err)
}

macro_rules! event_columns {
    ($rest:literal) => {
        concat!(
            "SELECT enclave, seq, id, hash, from_pub, type, content, content_hash, tags, exp, sig, timestamp, prev, ",
            "sequencer, seq_sig, type_seq, as_type, refers FROM events ",
            $rest
        )
    };
}
pub(crate) use event_columns;

/// A stored event and by which type reading it is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// The event as it is served.
    pub event: Event,
    /// Its own type, or that of the event it refers to.
    pub as_type: String,
    /// The event that it refers to.
    pub refers: Option<EventId>,
}

/// Reads the columns of `event_columns!`.
pub fn event(row: &dyn Row) -> Result<StoredEvent, Fault> {
    let content = match row.value(6) {
        Value::Text(text) => Content::Present(String::from(text)),
        Value::Null => Content::Deleted(ContentHash(fixed(row, 7)?)),
        Value::Int(_) | Value::Blob(_) => return Err(Fault::Storage),
    };
    let tags = match row.value(8) {
        Value::Text("[]") => Vec::new(),
        Value::Text(text) => {
            let value = json::parse(text.as_bytes(), MAX_DEPTH).map_err(|_| Fault::Storage)?;
            parse_tags(value).map_err(|_| Fault::Storage)?
        }
        Value::Null | Value::Int(_) | Value::Blob(_) => return Err(Fault::Storage),
    };
    let position = Position {
        seq: uint(row, 1)?,
        type_seq: uint(row, 15)?,
        timestamp: uint(row, 11)?,
        prev: EventHash(fixed(row, 12)?),
        sequencer: PublicKey(fixed(row, 13)?),
    };
    let event = Event {
        hash: CommitHash(fixed(row, 3)?),
        enclave: EnclaveId(fixed(row, 0)?),
        from: PublicKey(fixed(row, 4)?),
        event_type: text(row, 5)?,
        content,
        exp: uint(row, 9)?,
        tags,
        sig: Signature(fixed(row, 10)?),
        position,
        seq_sig: Signature(fixed(row, 14)?),
        id: EventId(fixed(row, 2)?),
    };
    let refers =
        optional_blob(row, 17)?.map(|id| EventId::try_from(&id[..]).map_err(|_| Fault::Storage)).transpose()?;
    Ok(StoredEvent { event, as_type: text(row, 16)?, refers })
}

/// Events read at a time by what reads a whole log.
pub(crate) const EVENTS_AT_ONCE: u64 = 256;

/// The events from one place up to, and without, another.
pub(crate) fn events(rt: &dyn Runtime, enclave: &EnclaveId, from: u64, until: u64) -> Result<Vec<StoredEvent>, Fault> {
    const SQL: &str = event_columns!("WHERE enclave = ?1 AND seq >= ?2 AND seq < ?3 ORDER BY seq");
    all(rt, SQL, &[Value::Blob(&enclave.0), int(from), int(until)], event)
}

/// The event at a place.
pub fn event_at(rt: &dyn Runtime, enclave: &EnclaveId, seq: u64) -> Result<Option<StoredEvent>, Fault> {
    first(rt, event_columns!("WHERE enclave = ?1 AND seq = ?2"), &[Value::Blob(&enclave.0), int(seq)], event)
}

/// The events from a place on, upwards, as many as that at most, until `take` says `false`.
pub fn events_from(
    rt: &dyn Runtime,
    enclave: &EnclaveId,
    first: u64,
    most: u64,
    mut take: impl FnMut(StoredEvent) -> bool,
) -> Result<(), Fault> {
    const SQL: &str = event_columns!("WHERE enclave = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3");
    let mut fault = None;
    rt.sql_query(SQL, &[Value::Blob(&enclave.0), int(first), int(most)], &mut |row| match event(row) {
        Ok(stored) => take(stored),
        Err(error) => {
            fault = Some(error);
            false
        }
    })?;
    fault.map_or(Ok(()), Err)
}

/// The event of that id in this enclave.
pub fn event_by_id(rt: &dyn Runtime, enclave: &EnclaveId, id: &EventId) -> Result<Option<StoredEvent>, Fault> {
    let found = first(rt, event_columns!("WHERE id = ?1"), &[Value::Blob(&id.0)], event)?;
    Ok(found.filter(|stored| stored.event.enclave == *enclave))
}

/// The receipt of a stored commit.
pub fn receipt(rt: &dyn Runtime, hash: &CommitHash) -> Result<Option<Receipt>, Fault> {
    const SQL: &str =
        "SELECT id, enclave, sig, seq, type_seq, timestamp, prev, sequencer, seq_sig FROM events WHERE hash = ?1";
    first(rt, SQL, &[Value::Blob(&hash.0)], |row| {
        Ok(Receipt {
            id: EventId(fixed(row, 0)?),
            hash: *hash,
            enclave: EnclaveId(fixed(row, 1)?),
            position: Position {
                seq: uint(row, 3)?,
                type_seq: uint(row, 4)?,
                timestamp: uint(row, 5)?,
                prev: EventHash(fixed(row, 6)?),
                sequencer: PublicKey(fixed(row, 7)?),
            },
            sig: Signature(fixed(row, 2)?),
            seq_sig: Signature(fixed(row, 8)?),
        })
    })
}

/// Stores an event.
pub fn insert_event(rt: &dyn Runtime, stored: &StoredEvent, content_hash: &ContentHash) -> Result<(), Fault> {
    const SQL: &str = "INSERT INTO events (enclave, seq, id, hash, from_pub, type, content, content_hash, tags, alg, exp, sig, \
         timestamp, prev, sequencer, seq_sig, type_seq, as_type, refers) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";
    let StoredEvent { event, as_type, refers } = stored;
    let tags = if event.tags.is_empty() { String::from("[]") } else { tags_to_json(&event.tags).to_jcs() };
    let content = match &event.content {
        Content::Present(text) => Value::Text(text),
        Content::Deleted(_) => Value::Null,
    };
    let position = &event.position;
    let params = [
        Value::Blob(&event.enclave.0),
        int(position.seq),
        Value::Blob(&event.id.0),
        Value::Blob(&event.hash.0),
        Value::Blob(&event.from.0),
        Value::Text(&event.event_type),
        content,
        Value::Blob(&content_hash.0),
        Value::Text(&tags),
        Value::Text(ALG),
        int(event.exp),
        Value::Blob(&event.sig.0),
        int(position.timestamp),
        Value::Blob(&position.prev.0),
        Value::Blob(&position.sequencer.0),
        Value::Blob(&event.seq_sig.0),
        int(position.type_seq),
        Value::Text(as_type),
        refers.as_ref().map_or(Value::Null, |id| Value::Blob(&id.0)),
    ];
    rt.sql_exec(SQL, &params)?;
    for tag in &event.tags {
        const TAG: &str =
            "INSERT INTO event_tags (enclave, name, value, seq) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        let value = tag.get(1).map_or("", String::as_str);
        let name = Value::Text(&tag[0]);
        rt.sql_exec(TAG, &[Value::Blob(&event.enclave.0), name, Value::Text(value), int(position.seq)])?;
    }
    Ok(())
}

/// Reads a `node_state` row.
pub fn node_state(rt: &dyn Runtime, enclave: &EnclaveId, key: &str) -> Result<Option<Vec<u8>>, Fault> {
    const SQL: &str = "SELECT value FROM node_state WHERE enclave = ?1 AND key = ?2";
    first(rt, SQL, &[Value::Blob(&enclave.0), Value::Text(key)], |row| blob(row, 0))
}

/// Writes a `node_state` row.
pub fn set_node_state(rt: &dyn Runtime, enclave: &EnclaveId, key: &str, value: &[u8]) -> Result<(), Fault> {
    const SQL: &str = "INSERT INTO node_state (enclave, key, value) VALUES (?1, ?2, ?3) \
         ON CONFLICT (enclave, key) DO UPDATE SET value = excluded.value";
    rt.sql_exec(SQL, &[Value::Blob(&enclave.0), Value::Text(key), Value::Blob(value)]).map(|_| ())
}

/// A JSON text that was stored in canonical form.
pub fn stored_json(text: String) -> Json {
    Json::Canonical(text)
}
