//! Whether what is stored of an enclave is what its log makes of it. The log is replayed into empty tables, with every signature, hash and
//! rule judged again; then each row that is stored must be there, and no other.

use crate::archive::counts;
use crate::checkpoint;
use crate::context::{Context, Stop};
use crate::record::Record;
use crate::replay::{Log, replay};
use crate::rows::{self, EVENTS_AT_ONCE, node_state};
use crate::runtime::{Fault, NodeFacts, Row, Runtime, Value};
use alloc::vec::{self, Vec};
use core::cell::Cell;
use protocol::head::{Sth, checkpoint_message, checkpoint_origin};
use protocol::verify::Pin;
use protocol::{EnclaveId, Event, PublicKey, Signature, schnorr};
use tlog::note::{KeyName, Note};
use tlog::vkey::{KeyKind, Vkey};

/// What a check has found to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Events replayed.
    pub events: u64,
    /// Closed bundles.
    pub bundles: u64,
    /// Whether the node signs for it.
    pub live: bool,
    /// Whether a bundle is open.
    pub open: bool,
    /// Who signs the next event.
    pub sequencer: PublicKey,
}

/// Why a check has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The tables that it replays into failed: nothing is said of the enclave.
    Fault(Fault),
    /// What is stored is not what the log makes.
    Differs {
        /// The table, or the part of it.
        what: &'static str,
        /// The place: a `seq`, or the number that the row begins with.
        at: Option<u64>,
    },
}

/// Rows of one table: `all` of an enclave, and `one` by its keys, which are the first columns.
struct Rowset {
    what: &'static str,
    all: &'static str,
    one: &'static str,
    keys: usize,
    columns: usize,
}

macro_rules! rowset {
    ($what:literal, $keys:literal of $columns:literal, $select:literal, $one:literal) => {
        Rowset {
            what: $what,
            all: concat!("SELECT ", $select, " WHERE enclave = ?1"),
            one: concat!("SELECT ", $select, " WHERE enclave = ?1 AND ", $one),
            keys: $keys,
            columns: $columns,
        }
    };
}

const ROWSETS: &[Rowset] = &[
    rowset!("events", 1 of 18, "seq, id, hash, from_pub, type, content, content_hash, tags, alg, exp, sig, timestamp, prev, \
        sequencer, seq_sig, type_seq, as_type, refers FROM events", "seq = ?2"),
    rowset!("event_tags", 3 of 3, "seq, name, value FROM event_tags", "seq = ?2 AND name = ?3 AND value = ?4"),
    rowset!("bundles", 1 of 5, "first_seq, idx, entry, state_hash, last_event_hash FROM bundles", "first_seq = ?2"),
    rowset!("log_nodes", 2 of 3, "level, idx, hash FROM log_nodes", "level = ?2 AND idx = ?3"),
    rowset!("left_rules", 2 of 4, "identity, rule, state, seq FROM left_rules", "identity = ?2 AND rule = ?3"),
    // A page as it is, and as it was when the last bundle closed. One that is gone in both may be there as an empty row, or not.
    rowset!("state_pages", 1 of 3, "page, body, closed FROM (SELECT enclave, page, body, CASE WHEN since = \
        coalesce((SELECT max(idx) + 1 FROM bundles WHERE enclave = ?1), 0) THEN old ELSE body END AS closed FROM state_pages \
        WHERE enclave = ?1)", "page = ?2"),
];

/// Checks one enclave of `stored` by way of `scratch`, whose tables are there and empty. `progress` hears how many events are done.
///
/// # Errors
/// The first place at which it does not hold.
pub fn enclave(
    (stored, scratch): (&dyn Runtime, &dyn Runtime),
    facts: &NodeFacts,
    enclave: &EnclaveId,
    progress: &mut dyn FnMut(u64),
) -> Result<Checked, Broken> {
    let record = node_state(stored, enclave, "record").map_err(|_| differs("node_state"))?;
    let record = record.and_then(|bytes| Record::decode(*enclave, &bytes)).ok_or(differs("node_state"))?;
    replayed(stored, scratch, facts, &record, progress)?;
    for rowset in ROWSETS {
        compare(stored, scratch, enclave, rowset)?;
    }
    check_checkpoint(stored, &record)?;
    let head = &record.head;
    Ok(Checked {
        events: head.next_seq,
        bundles: head.tree_size,
        live: head.live,
        open: head.open.is_some(),
        sequencer: head.sequencer,
    })
}

/// Replays the log and compares the record.
fn replayed(
    stored: &dyn Runtime,
    scratch: &dyn Runtime,
    facts: &NodeFacts,
    record: &Record,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Broken> {
    let (head, enclave) = (&record.head, record.head.enclave);
    let counts = counts(stored, &enclave).map_err(|_| differs("bundles"))?;
    let sth = Sth {
        enclave,
        timestamp: record.sth_timestamp,
        tree_size: head.tree_size,
        root_hash: head.root,
        sequencer: head.sequencer,
        signature: record.sth_signature,
    };
    let done = Cell::new(0);
    let log = Log {
        pin: pin(stored, record)?,
        sth: &sth,
        seq_pub: head.sequencer,
        bundles: &counts,
        events: Stored { rt: stored, enclave, next: 0, read: Vec::new().into_iter() },
    };
    let state = replay(&Context::new(scratch, facts), log, &mut |events| {
        done.set(events);
        progress(events);
    });
    let mut expected = match state {
        Ok(state) => state.record,
        Err(Stop::Fault(fault @ (Fault::Full | Fault::ReadOnly | Fault::Key))) => return Err(Broken::Fault(fault)),
        Err(Stop::Fault(Fault::Storage) | Stop::Refused(_)) => {
            return Err(Broken::Differs { what: "events", at: Some(done.get()) });
        }
    };
    expected.head.live = head.live;
    expected.log_key = record.log_key;
    expected.endpoints = endpoints(stored, &enclave)?;
    if expected == *record { Ok(()) } else { Err(differs("node_state")) }
}

fn pin(stored: &dyn Runtime, record: &Record) -> Result<Pin, Broken> {
    let enclave = record.head.enclave;
    if record.head.bound {
        return Ok(Pin::Bound(enclave));
    }
    let first = rows::event_at(stored, &enclave, 0).ok().flatten();
    let first = first.ok_or(Broken::Differs { what: "events", at: Some(0) })?.event;
    Ok(Pin::Unbound { enclave, manifest: first.hash, sequencer: first.position.sequencer })
}

fn endpoints(stored: &dyn Runtime, enclave: &EnclaveId) -> Result<u64, Broken> {
    const SQL: &str = "SELECT COUNT(*) FROM push_endpoints WHERE enclave = ?1 AND state = 1";
    let count = rows::first(stored, SQL, &[Value::Blob(&enclave.0)], |row| rows::uint(row, 0));
    count.ok().flatten().ok_or(differs("push_endpoints"))
}

/// Each row that is stored is one of those that the log made, and there are as many.
fn compare(stored: &dyn Runtime, scratch: &dyn Runtime, enclave: &EnclaveId, rowset: &Rowset) -> Result<(), Broken> {
    let id = Value::Blob(&enclave.0);
    let mut failed = None;
    let mut rows = 0u64;
    let read = stored.sql_query(rowset.all, &[id], &mut |row| {
        if is_gone(rowset, row) {
            return true;
        }
        rows += 1;
        let keys: Vec<Value<'_>> = core::iter::once(id).chain((0..rowset.keys).map(|key| row.value(key))).collect();
        let mut equal = false;
        let found = scratch.sql_query(rowset.one, &keys, &mut |made| {
            equal = (0..rowset.columns).all(|column| row.value(column) == made.value(column));
            false
        });
        failed = match (found, equal) {
            (Err(fault), _) => Some(Broken::Fault(fault)),
            (Ok(()), false) => Some(Broken::Differs { what: rowset.what, at: number(row.value(0)) }),
            (Ok(()), true) => None,
        };
        failed.is_none()
    });
    if let Some(broken) = failed {
        return Err(broken);
    }
    read.map_err(|_| differs(rowset.what))?;
    let mut made = 0u64;
    let counted = scratch.sql_query(rowset.all, &[id], &mut |row| {
        made += u64::from(!is_gone(rowset, row));
        true
    });
    counted.map_err(Broken::Fault)?;
    if made == rows { Ok(()) } else { Err(differs(rowset.what)) }
}

/// A row that says nothing beyond its keys, where it could: a state page that is there neither now nor when the last bundle closed.
fn is_gone(rowset: &Rowset, row: &dyn Row) -> bool {
    rowset.keys < rowset.columns && (rowset.keys..rowset.columns).all(|column| row.value(column) == Value::Null)
}

fn number(value: Value<'_>) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(number).ok(),
        Value::Null | Value::Text(_) | Value::Blob(_) => None,
    }
}

/// The checkpoint is of the tree as it is, and both of its lines hold.
fn check_checkpoint(stored: &dyn Runtime, record: &Record) -> Result<(), Broken> {
    let wrong = differs("checkpoint");
    let head = &record.head;
    let note = node_state(stored, &head.enclave, "checkpoint").map_err(|_| wrong)?;
    let (note, log_key) = match (note, record.log_key) {
        (Some(note), Some(key)) => (Note::parse(&note).map_err(|_| wrong)?, key),
        // A restored log that nothing was signed for.
        (None, None) => return Ok(()),
        (None, Some(_)) | (Some(_), None) => return Err(wrong),
    };
    let text = checkpoint::text(&head.enclave, head.tree_size, head.root).map_err(|_| wrong)?;
    let signature = note.signatures().first().and_then(|line| line.signature().try_into().ok()).map(Signature);
    let name = KeyName::parse(&checkpoint_origin(&head.enclave)).map_err(|_| wrong)?;
    let vkey = Vkey::new(name, KeyKind::Ed25519, &log_key).map_err(|_| wrong)?;
    let holds = note.text() == text
        && signature.is_some_and(|sig| schnorr::verify(&head.sequencer, &checkpoint_message(&text), &sig).is_ok())
        && vkey.verify_note(&note).is_ok();
    if holds { Ok(()) } else { Err(wrong) }
}

const fn differs(what: &'static str) -> Broken {
    Broken::Differs { what, at: None }
}

/// The events of an enclave, read some at a time.
struct Stored<'a> {
    rt: &'a dyn Runtime,
    enclave: EnclaveId,
    next: u64,
    read: vec::IntoIter<rows::StoredEvent>,
}

impl Iterator for Stored<'_> {
    type Item = Result<Event, Stop>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read.len() == 0 {
            match rows::events(self.rt, &self.enclave, self.next, self.next + EVENTS_AT_ONCE) {
                Ok(events) => self.read = events.into_iter(),
                Err(fault) => return Some(Err(Stop::Fault(fault))),
            }
            self.next += EVENTS_AT_ONCE;
        }
        self.read.next().map(|stored| Ok(stored.event))
    }
}
