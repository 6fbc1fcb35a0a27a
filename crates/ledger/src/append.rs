//! How a ledger grows: requests are judged one by one, and what is taken of a batch is one write.
//!
//! Payloads first, then the journal, each synced: what [`Ledger::append`] answers is durable. Only then is it integrated and indexed.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use merkle::log::leaf_hash;

use crate::entry::{Author, Body, Entry, Payload, Placement, Record};
use crate::entry_text;
use crate::hold::HoldScope;
use crate::index::{Index, RecordState};
use crate::ledger::{Failure, Fault, Ledger, MAX_BATCH, MAX_ENTRY_LEN};
use crate::path::ObjectPath;
use crate::rejection::Rejection;
use crate::retention::{Retention, at_append};
use crate::signer::Signer;
use crate::store::Store;
use crate::time::Timestamp;
use crate::value::{Digest, RecordId, Value};

/// A record to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Its id.
    pub record_id: RecordId,
    /// Who appends it.
    pub author: Author,
    /// What it is said to be; `application/octet-stream` if nothing is said.
    pub media_type: Option<Value>,
    /// The bytes.
    pub content: Content,
    /// What they are said to digest to.
    pub digest: Option<Digest>,
    /// Date, mode and class that are asked for.
    pub retention: Retention,
}

/// The bytes of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Here.
    Bytes(Vec<u8>),
    /// Already in the store, whole and synced, as [`ObjectPath::Staged`] under their digest. They go if the record is not taken.
    Staged {
        /// Their digest.
        sha256: Digest,
        /// The number that keeps them apart from the same bytes, staged again.
        number: u64,
        /// Their length.
        size: u64,
    },
}

impl Content {
    pub(crate) fn payload(&self, pack_max: u64) -> Payload {
        match self {
            Content::Bytes(bytes) => {
                let size = bytes.len() as u64;
                let placement = if size <= pack_max { Placement::Pack } else { Placement::Blob };
                Payload { size, sha256: Digest::of(bytes), placement }
            }
            // What was streamed is longer than a pack takes; if it is not, a host has staged it for nothing.
            Content::Staged { sha256, size, .. } => {
                Payload { size: *size, sha256: *sha256, placement: Placement::Blob }
            }
        }
    }
}

/// An entry that stands in the ledger, durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its place.
    pub index: u64,
    /// Its leaf hash.
    pub leaf: [u8; 32],
    /// Its time.
    pub time: Timestamp,
    /// Its payload's digest.
    pub sha256: Digest,
    /// Whether it stood there before.
    pub repeated: bool,
}

/// What is going to be written.
pub(crate) struct Draft {
    pub(crate) entry: Entry,
    pub(crate) bytes: Vec<u8>,
    pub(crate) content: Option<Content>,
    pub(crate) scope: Option<HoldScope>,
}

/// What a batch has taken so far.
pub(crate) struct Batch {
    now: Timestamp,
    first: u64,
    pub(crate) drafts: Vec<Draft>,
    ids: BTreeMap<RecordId, RecordState>,
}

impl Batch {
    /// Gives a body its place.
    ///
    /// # Errors
    /// [`Rejection::TooLarge`].
    pub(crate) fn take(
        &mut self,
        body: Body,
        content: Option<Content>,
        scope: Option<HoldScope>,
    ) -> Result<&Draft, Rejection> {
        let entry = Entry { index: self.first + self.drafts.len() as u64, time: self.now, body };
        let bytes = entry_text::encode(&entry);
        if bytes.len() > MAX_ENTRY_LEN {
            return Err(Rejection::TooLarge);
        }
        if let Body::Record(record) = &entry.body {
            let retention = Retention::of(record);
            let state =
                RecordState { index: entry.index, time: entry.time, record: record.clone(), retention, disposed: None };
            self.ids.insert(record.record_id.clone(), state);
        }
        self.drafts.push(Draft { entry, bytes, content, scope });
        Ok(self.drafts.last().expect("it was just put there"))
    }
}

impl<S: Store, I: Index, K: Signer> Ledger<S, I, K> {
    pub(crate) fn batch(&self, now: Timestamp) -> Batch {
        let now = self.log.last_time.map_or(now, |last| now.max(last));
        Batch { now, first: self.size(), drafts: Vec::new(), ids: BTreeMap::new() }
    }

    /// Appends records, each judged alone, in one durable write; the answers are in their order. Time: the host's, which may be behind.
    ///
    /// # Errors
    /// A [`Fault`] if nothing of it was taken. What was staged for it then goes with the next start at the latest.
    ///
    /// # Panics
    /// With more than [`MAX_BATCH`] records.
    pub fn append(&mut self, now: Timestamp, appends: Vec<Append>) -> Result<Vec<Result<Appended, Rejection>>, Fault> {
        assert!(appends.len() <= MAX_BATCH, "a batch is bounded, so that recovery knows how far it can have reached");
        if self.degraded {
            return Err(Fault::Degraded);
        }
        let mut batch = self.batch(now);
        let mut answers = Vec::with_capacity(appends.len());
        let mut unused = Vec::new();
        for append in appends {
            let staged = match &append.content {
                Content::Staged { sha256, number, .. } => Some(ObjectPath::Staged(*sha256, *number)),
                Content::Bytes(_) => None,
            };
            let answer = self.judge(&mut batch, append)?;
            if !answer.as_ref().is_ok_and(|appended| !appended.repeated) {
                unused.extend(staged);
            }
            answers.push(answer);
        }
        self.write(batch.drafts)?;
        // The answers hold all the same; the next start removes what is left.
        self.degraded |= unused.iter().any(|path| self.store.remove(path).is_err());
        Ok(answers)
    }

    pub(crate) fn judge(&self, batch: &mut Batch, append: Append) -> Result<Result<Appended, Rejection>, Fault> {
        let payload = append.content.payload(self.policy.pack_max);
        if append.digest.is_some_and(|digest| digest != payload.sha256) {
            return Ok(Err(Rejection::DigestMismatch));
        }
        let octets = || Value::parse("application/octet-stream").expect("it is a value");
        let media_type = append.media_type.unwrap_or_else(octets);
        let known = match batch.ids.get(&append.record_id) {
            Some(state) => Some(state.clone()),
            None => self.index.record(&append.record_id)?,
        };
        if let Some(state) = known {
            return Ok(repeat(&state, (&payload, &media_type), &append.retention));
        }
        let until = match at_append(&self.policy, &append.retention, batch.now.date()) {
            Ok(until) => until,
            Err(rejection) => return Ok(Err(rejection)),
        };
        let record = Record {
            record_id: append.record_id,
            author: append.author,
            media_type,
            payload,
            plain_mac: None,
            class: append.retention.class,
            retain_until: until,
            retention_mode: append.retention.mode,
        };
        Ok(batch.take(Body::Record(record), Some(append.content), None).map(|draft| Appended {
            index: draft.entry.index,
            leaf: leaf_hash(&draft.bytes),
            time: draft.entry.time,
            sha256: payload.sha256,
            repeated: false,
        }))
    }

    /// Writes drafts durably and takes them in.
    ///
    /// # Errors
    /// A [`Fault`] if they are not durable: then nothing of them is left, or the ledger is degraded.
    pub(crate) fn write(&mut self, drafts: Vec<Draft>) -> Result<(), Fault> {
        if self.degraded {
            return Err(Fault::Degraded);
        }
        if drafts.is_empty() {
            return Ok(());
        }
        let mut traces = Traces::default();
        if let Err(fault) = self.make_durable(&drafts, &mut traces) {
            self.degraded = self.undo(&traces).is_err();
            return Err(fault);
        }
        // It is acknowledged from here on. What fails now is made good by the next start, and nothing is appended before.
        self.degraded = self.integrate(drafts, &traces).is_err();
        Ok(())
    }

    fn make_durable(&mut self, drafts: &[Draft], traces: &mut Traces) -> Result<(), Fault> {
        let mut packs: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        for draft in drafts {
            let (Some(content), Some(payload)) = (&draft.content, draft.entry.body.payload()) else { continue };
            match (content, payload.placement) {
                (Content::Bytes(bytes), Placement::Pack) => {
                    packs.entry(draft.entry.index / 256).or_default().extend_from_slice(bytes);
                }
                (Content::Bytes(bytes), Placement::Blob) => {
                    let staged = ObjectPath::Staged(payload.sha256, draft.entry.index);
                    traces.blobs.push((payload.sha256, staged.clone()));
                    self.store.create(&[(staged.clone(), bytes)])?;
                    self.store.link(&staged, &ObjectPath::Blob(payload.sha256))?;
                }
                (Content::Staged { sha256, number, .. }, Placement::Pack | Placement::Blob) => {
                    let staged = ObjectPath::Staged(*sha256, *number);
                    traces.blobs.push((*sha256, staged.clone()));
                    self.store.link(&staged, &ObjectPath::Blob(*sha256))?;
                }
            }
        }
        for (number, bytes) in packs.into_iter().filter(|(_, bytes)| !bytes.is_empty()) {
            let (path, len) = (ObjectPath::Pack(number), self.pack_len(number));
            traces.packs.push((path.clone(), len));
            self.store.append(&path, len, &bytes)?;
            self.store.sync(&path)?;
        }
        let entries: Vec<&[u8]> = drafts.iter().map(|draft| draft.bytes.as_slice()).collect();
        let frame = crate::journal::encode(self.size(), &entries);
        traces.journal_len = Some(self.journal.len + frame.len() as u64);
        self.store.append(&self.journal.path, self.journal.len, &frame)?;
        self.store.sync(&self.journal.path)?;
        Ok(())
    }

    /// How much of a pack is acknowledged: of those behind the open one, nothing.
    fn pack_len(&self, number: u64) -> u64 {
        if number == self.size() / 256 { self.log.pack_len } else { 0 }
    }

    /// Takes back what a failed write has left. The journal first: without it nothing of the rest was ever said.
    fn undo(&mut self, traces: &Traces) -> Result<(), Fault> {
        if traces.journal_len.is_some() {
            self.store.cut(&self.journal.path, self.journal.len)?;
        }
        traces.packs.iter().try_for_each(|(path, len)| self.store.cut(path, *len))?;
        for (blob, staged) in &traces.blobs {
            if self.index.blob_names(blob)?.is_empty() {
                self.store.remove(&ObjectPath::Blob(*blob))?;
            }
            self.store.remove(staged)?;
        }
        Ok(())
    }

    fn integrate(&mut self, drafts: Vec<Draft>, traces: &Traces) -> Result<(), Fault> {
        self.journal.len = traces.journal_len.unwrap_or(self.journal.len);
        let mut indexed = Vec::with_capacity(drafts.len());
        let mut full_packs = Vec::new();
        for draft in drafts {
            full_packs.extend(self.log.take_in(&draft.entry, draft.bytes));
            indexed.push(crate::index::Indexed { entry: draft.entry, scope: draft.scope });
        }
        let covered = crate::index::Covered { size: self.size(), root: self.root() };
        self.index.apply(&indexed, covered)?;
        full_packs.iter().try_for_each(|pack| self.store.seal(pack))?;
        traces.blobs.iter().try_for_each(|(_, staged)| self.store.remove(staged))?;
        Ok(())
    }
}

impl crate::ledger::Log {
    /// Adds an acknowledged entry; gives the pack of the bundle that it fills, if that has a byte.
    pub(crate) fn take_in(&mut self, entry: &Entry, bytes: Vec<u8>) -> Option<ObjectPath> {
        self.fresh.extend(self.edge.push(&bytes));
        self.tail.push_back(bytes.into());
        self.last_time = Some(entry.time);
        let packed = entry.body.payload().filter(|payload| payload.placement == Placement::Pack);
        self.pack_len += packed.map_or(0, |payload| payload.size);
        if !self.size().is_multiple_of(256) {
            return None;
        }
        let len = core::mem::take(&mut self.pack_len);
        (len > 0).then_some(ObjectPath::Pack(self.size() / 256 - 1))
    }
}

/// What a write has touched.
#[derive(Default)]
struct Traces {
    blobs: Vec<(Digest, ObjectPath)>,
    packs: Vec<(ObjectPath, u64)>,
    journal_len: Option<u64>,
}

/// The answer to an id that is known: the same again, or what differs first.
fn repeat(
    state: &RecordState,
    (payload, media_type): (&Payload, &Value),
    asked: &Retention,
) -> Result<Appended, Rejection> {
    let record = &state.record;
    if let Some(index) = state.disposed {
        return Err(Rejection::Disposed { index });
    }
    let differs = [
        (record.payload.sha256 != payload.sha256, "sha256"),
        (record.media_type != *media_type, "media_type"),
        (asked.until.is_some() && asked.until != record.retain_until, "retain_until"),
        (asked.class.is_some() && asked.class != record.class, "class"),
        (asked.mode.is_some() && asked.mode != record.retention_mode, "mode"),
    ];
    if let Some((_, field)) = differs.into_iter().find(|(differs, _)| *differs) {
        return Err(Rejection::Conflict { index: state.index, field });
    }
    let entry = Entry { index: state.index, time: state.time, body: Body::Record(record.clone()) };
    let leaf = leaf_hash(&entry_text::encode(&entry));
    Ok(Appended { index: state.index, leaf, time: state.time, sha256: payload.sha256, repeated: true })
}

impl<S: Store, I: Index, K: Signer> Ledger<S, I, K> {
    /// Writes one entry that is no record.
    pub(crate) fn write_one(
        &mut self,
        now: Timestamp,
        (body, content, scope): (Body, Option<Content>, Option<HoldScope>),
    ) -> Result<u64, Failure> {
        let mut batch = self.batch(now);
        let index = batch.take(body, content, scope)?.entry.index;
        self.write(batch.drafts)?;
        Ok(index)
    }
}
