//! What is looked up in a ledger and is not found by its place: derived from the entries alone, and made again from them at any time.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;

use crate::entry::{Body, Entry, Fate, Kind, Placement, Record};
use crate::hold::{HoldScope, Query};
use crate::retention::Retention;
use crate::time::Timestamp;
use crate::value::{Actor, Case, Digest, RecordId};

/// How far an index has come: the size and root of the log that it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// How many entries it knows.
    pub size: u64,
    /// The root over them.
    pub root: [u8; 32],
}

/// What is known of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordState {
    /// Its place.
    pub index: u64,
    /// When it was sequenced.
    pub time: Timestamp,
    /// What its entry says.
    pub record: Record,
    /// What it is kept by after the last `retain` entry.
    pub retention: Retention,
    /// The tombstone's place.
    pub disposed: Option<u64>,
}

/// What is known of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseState {
    /// Who placed it first.
    pub actor: Actor,
    /// Its `hold` entries.
    pub holds: Vec<u64>,
    /// All records that it names.
    pub targets: BTreeSet<u64>,
    /// What else it holds.
    pub queries: Vec<Query>,
    /// The `release` entry.
    pub released: Option<u64>,
}

/// An entry with what its payload adds to the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indexed {
    /// The entry.
    pub entry: Entry,
    /// Of a `hold`: its payload.
    pub scope: Option<HoldScope>,
}

/// Why an index could not be read or written; the number is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexFault(pub i32);

impl fmt::Display for IndexFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the index cannot be read or written (error {})", self.0)
    }
}

impl core::error::Error for IndexFault {}

/// The derived index of one ledger.
pub trait Index {
    /// How far it has come.
    ///
    /// # Errors
    /// [`IndexFault`].
    fn covered(&self) -> Result<Covered, IndexFault>;

    /// Takes in entries that follow each other, all or none, and then covers `covered`.
    ///
    /// # Errors
    /// [`IndexFault`].
    fn apply(&mut self, entries: &[Indexed], covered: Covered) -> Result<(), IndexFault>;

    /// Forgets all.
    ///
    /// # Errors
    /// [`IndexFault`].
    fn clear(&mut self) -> Result<(), IndexFault>;

    /// The record of an id.
    ///
    /// # Errors
    /// [`IndexFault`].
    fn record(&self, id: &RecordId) -> Result<Option<RecordState>, IndexFault>;

    /// The record at a place.
    ///
    /// # Errors
    /// [`IndexFault`].
    fn record_at(&self, index: u64) -> Result<Option<RecordState>, IndexFault>;

    /// What is known of a case.
    ///
    /// # Errors
    /// [`IndexFault`].
    fn case(&self, case: &Case) -> Result<Option<CaseState>, IndexFault>;

    /// The cases that are not released and name the record at this place, or have queries, in their order.
    ///
    /// # Errors
    /// [`IndexFault`].
    fn open_cases(&self, index: u64) -> Result<Vec<(Case, CaseState)>, IndexFault>;

    /// The entries that name this blob and are not disposed records, rising.
    ///
    /// # Errors
    /// [`IndexFault`].
    fn blob_names(&self, blob: &Digest) -> Result<Vec<u64>, IndexFault>;

    /// The places of the newest entries of a kind, the newest first, so many at most. Records and audit entries are not kept by kind.
    ///
    /// # Errors
    /// [`IndexFault`].
    fn newest(&self, kind: Kind, limit: usize) -> Result<Vec<u64>, IndexFault>;
}

/// An index in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryIndex {
    covered: Covered,
    records: BTreeMap<u64, RecordState>,
    ids: BTreeMap<RecordId, u64>,
    cases: BTreeMap<Case, CaseState>,
    blobs: BTreeSet<(Digest, u64)>,
    by_kind: BTreeSet<(Kind, u64)>,
}

impl Default for MemoryIndex {
    fn default() -> MemoryIndex {
        MemoryIndex {
            covered: Covered { size: 0, root: merkle::log::EMPTY_ROOT },
            records: BTreeMap::new(),
            ids: BTreeMap::new(),
            cases: BTreeMap::new(),
            blobs: BTreeSet::new(),
            by_kind: BTreeSet::new(),
        }
    }
}

impl MemoryIndex {
    fn take_in(&mut self, indexed: &Indexed) {
        let Entry { index, time, body } = &indexed.entry;
        if is_kept_by_kind(body.kind()) {
            self.by_kind.insert((body.kind(), *index));
        }
        if let Some(payload) = body.payload().filter(|payload| payload.placement == Placement::Blob) {
            self.blobs.insert((payload.sha256, *index));
        }
        match body {
            Body::Record(record) => {
                let (retention, record) = (Retention::of(record), record.clone());
                self.ids.insert(record.record_id.clone(), *index);
                let state = RecordState { index: *index, time: *time, record, retention, disposed: None };
                self.records.insert(*index, state);
            }
            Body::Hold(hold) => {
                let case = self.cases.entry(hold.case.clone()).or_insert_with(|| CaseState {
                    actor: hold.author.actor.clone(),
                    holds: Vec::new(),
                    targets: BTreeSet::new(),
                    queries: Vec::new(),
                    released: None,
                });
                case.holds.push(*index);
                if let Some(scope) = &indexed.scope {
                    case.targets.extend(&scope.targets);
                    case.queries.extend(scope.query.clone());
                }
            }
            Body::Release(release) => {
                if let Some(case) = self.cases.get_mut(&release.case) {
                    case.released = case.released.or(Some(*index));
                }
            }
            Body::Retain(retain) => {
                if let Some(state) = self.records.get_mut(&retain.target) {
                    state.retention.until = Some(retain.retain_until);
                    state.retention.mode = retain.retention_mode.or(state.retention.mode);
                }
            }
            Body::Dispose(dispose) => {
                if let Some(state) = self.records.get_mut(&dispose.target) {
                    state.disposed = state.disposed.or(Some(*index));
                }
            }
            Body::Key(_) | Body::Policy(_) | Body::Audit(_) => {}
        }
    }
}

impl Index for MemoryIndex {
    fn covered(&self) -> Result<Covered, IndexFault> {
        Ok(self.covered)
    }

    fn apply(&mut self, entries: &[Indexed], covered: Covered) -> Result<(), IndexFault> {
        entries.iter().for_each(|indexed| self.take_in(indexed));
        self.covered = covered;
        Ok(())
    }

    fn clear(&mut self) -> Result<(), IndexFault> {
        *self = MemoryIndex::default();
        Ok(())
    }

    fn record(&self, id: &RecordId) -> Result<Option<RecordState>, IndexFault> {
        Ok(self.ids.get(id).and_then(|index| self.records.get(index)).cloned())
    }

    fn record_at(&self, index: u64) -> Result<Option<RecordState>, IndexFault> {
        Ok(self.records.get(&index).cloned())
    }

    fn case(&self, case: &Case) -> Result<Option<CaseState>, IndexFault> {
        Ok(self.cases.get(case).cloned())
    }

    fn open_cases(&self, index: u64) -> Result<Vec<(Case, CaseState)>, IndexFault> {
        let open = self.cases.iter().filter(|(_, state)| {
            state.released.is_none() && (state.targets.contains(&index) || !state.queries.is_empty())
        });
        Ok(open.map(|(case, state)| (case.clone(), state.clone())).collect())
    }

    fn blob_names(&self, blob: &Digest) -> Result<Vec<u64>, IndexFault> {
        let named = self.blobs.range((*blob, 0)..=(*blob, u64::MAX)).map(|(_, index)| *index);
        let disposed = |index: &u64| self.records.get(index).is_some_and(|state| state.disposed.is_some());
        Ok(named.filter(|index| !disposed(index)).collect())
    }

    fn newest(&self, kind: Kind, limit: usize) -> Result<Vec<u64>, IndexFault> {
        let of_kind = self.by_kind.range((kind, 0)..=(kind, u64::MAX)).rev();
        Ok(of_kind.map(|(_, index)| *index).take(limit).collect())
    }
}

/// Whether [`Index::newest`] knows entries of a kind.
pub fn is_kept_by_kind(kind: Kind) -> bool {
    match kind {
        Kind::Record | Kind::Audit => false,
        Kind::Hold | Kind::Release | Kind::Retain | Kind::Dispose | Kind::Key | Kind::Policy => true,
    }
}

/// The cases among these that hold a record.
pub fn holding(state: &RecordState, cases: &[(Case, CaseState)]) -> Vec<Case> {
    let holds = |case: &CaseState| {
        case.targets.contains(&state.index) || case.queries.iter().any(|query| query.matches(&state.record, state.time))
    };
    cases.iter().filter(|(_, case)| case.released.is_none() && holds(case)).map(|(case, _)| case.clone()).collect()
}

/// Whether a disposal takes the payload away: a blob that another entry names stays.
pub(crate) fn fate_of(named_elsewhere: bool, placement: Placement) -> Fate {
    match placement {
        Placement::Blob if named_elsewhere => Fate::Shared,
        Placement::Blob | Placement::Pack => Fate::Removed,
    }
}
