//! Following a log offline, event by event, as a client that reads everything and a restore do (`docs/protocol.md`, Event, Bundle,
//! Snapshot and restore, threat model). What the rules of roles allow is the kernel's to replay.

use crate::commit::{CLOCK_SKEW_MS, enclave_id};
use crate::entry::{Entry, state_commit};
use crate::event::{Content, Event, EventError, NO_PREV, reference};
use crate::fields::Fields;
use crate::ids::{CommitHash, EnclaveId, EventHash, EventId, PublicKey};
use crate::json;
use crate::manifest::{BundlePolicy, Manifest};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use merkle::Hash;

/// What the caller knows of an enclave before it has seen anything of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// An id that its Manifest derives: it names author, rules and first sequencer by itself.
    Bound(EnclaveId),
    /// An id that was provisioned: nothing proves whose it is, so Manifest and sequencer are pinned as well.
    Unbound {
        /// The id.
        enclave: EnclaveId,
        /// The Manifest's commit.
        manifest: CommitHash,
        /// The first sequencer.
        sequencer: PublicKey,
    },
}

/// Why a log is not followed further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainError {
    /// An event is not what it says.
    Event(EventError),
    /// It is of another enclave.
    OtherEnclave,
    /// The first event is no Manifest at place 0, or not a valid one.
    NoManifest,
    /// The id is not the one that the Manifest derives, or the pinned Manifest is another.
    EnclaveId,
    /// The event is not by the key that sequences at this place.
    Sequencer,
    /// `seq` is not the next one.
    Seq,
    /// `type_seq` is not the next one of the type.
    TypeSeq,
    /// `prev` is not the hash of the event before.
    Prev,
    /// `timestamp` is before that of the event before.
    Timestamp,
    /// A Manifest stands at another place than 0.
    SecondManifest,
    /// A Migrate does not have its content, names the present key, or is not about this place.
    Migrate,
    /// An event's content is gone and no Delete has taken it.
    Erased,
    /// A Recovered is not of the form that a node gives it, or another commit is signed by one of the sequencers.
    NodeCommit,
}

impl From<EventError> for ChainError {
    fn from(error: EventError) -> Self {
        ChainError::Event(error)
    }
}

/// Who sequences an enclave from which place on: the Manifest's key, then that of each Migrate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequencers(Vec<(u64, PublicKey)>);

impl Sequencers {
    /// The one of the Manifest.
    pub fn new(first: PublicKey) -> Sequencers {
        Sequencers(alloc::vec![(0, first)])
    }

    /// A Migrate at `seq` hands over to `next`.
    pub fn hand_over(&mut self, seq: u64, next: PublicKey) {
        self.0.push((seq + 1, next));
    }

    /// The key that sequences the event at `seq`.
    pub fn at(&self, seq: u64) -> PublicKey {
        let place = self.0.iter().rposition(|(first, _)| *first <= seq);
        self.0[place.expect("the first sequencer begins at 0")].1
    }

    /// The key that sequences at present.
    pub fn newest(&self) -> PublicKey {
        self.0[self.0.len() - 1].1
    }

    /// Whether the key has ever been one.
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.0.iter().any(|(_, sequencer)| sequencer == key)
    }

    /// Whether the key may sign a head over the first `events` events: the sequencer of the last of them, or, where that is a Migrate,
    /// also the one that took over.
    pub fn may_sign_head(&self, key: &PublicKey, events: u64) -> bool {
        *key == self.at(events.saturating_sub(1)) || *key == self.at(events)
    }
}

/// A log as far as it has been followed.
pub struct Chain {
    enclave: EnclaveId,
    manifest: Manifest,
    sequencers: Sequencers,
    next_seq: u64,
    prev: EventHash,
    timestamp: u64,
    type_counts: BTreeMap<String, u64>,
    /// Events without content; of an Update, the event that it refers to, whose Delete takes both.
    erased: BTreeMap<EventId, Option<EventId>>,
    deleted: BTreeSet<EventId>,
}

impl Chain {
    /// Begins with the Manifest event, checked against what the caller has pinned.
    pub fn begin(event: &Event, pin: &Pin) -> Result<Chain, ChainError> {
        let Content::Present(content) = &event.content else { return Err(ChainError::NoManifest) };
        if event.event_type != "Manifest" || event.position.seq != 0 {
            return Err(ChainError::NoManifest);
        }
        let content = json::parse(content.as_bytes(), json::MAX_COMMIT_DEPTH).map_err(|_| ChainError::NoManifest)?;
        let manifest = Manifest::parse_for(&content, &event.from).map_err(|_| ChainError::NoManifest)?;
        let enclave = match pin {
            Pin::Bound(enclave) => {
                if enclave_id(&event.from, &event.content_hash(), &event.tags) != *enclave {
                    return Err(ChainError::EnclaveId);
                }
                *enclave
            }
            Pin::Unbound { enclave, manifest: pinned, sequencer } => {
                if event.hash != *pinned || manifest.sequencer != *sequencer {
                    return Err(ChainError::EnclaveId);
                }
                *enclave
            }
        };
        let sequencers = Sequencers::new(manifest.sequencer);
        let mut chain = Chain {
            enclave,
            manifest,
            sequencers,
            next_seq: 0,
            prev: NO_PREV,
            timestamp: 0,
            type_counts: BTreeMap::new(),
            erased: BTreeMap::new(),
            deleted: BTreeSet::new(),
        };
        chain.append(event)?;
        Ok(chain)
    }

    /// Checks the next event whole, and that it follows.
    pub fn push(&mut self, event: &Event) -> Result<EventHash, ChainError> {
        if event.event_type == "Manifest" {
            return Err(ChainError::SecondManifest);
        }
        self.append(event)
    }

    /// Checks, at the end of a whole log, that each event without content has been taken by a Delete: itself, or, where it is an
    /// Update, the event that it refers to.
    pub fn check_erased(&self) -> Result<(), ChainError> {
        let taken = |(id, of): (&EventId, &Option<EventId>)| self.deleted.contains(of.as_ref().unwrap_or(id));
        if self.erased.iter().all(taken) { Ok(()) } else { Err(ChainError::Erased) }
    }

    /// The enclave.
    pub fn enclave(&self) -> &EnclaveId {
        &self.enclave
    }

    /// Its Manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its sequencers so far.
    pub fn sequencers(&self) -> &Sequencers {
        &self.sequencers
    }

    /// The next place.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The hash of the last event.
    pub fn prev(&self) -> &EventHash {
        &self.prev
    }

    /// The time of the last event, milliseconds since the epoch.
    pub fn timestamp(&self) -> u64 {
        self.timestamp
    }

    fn append(&mut self, event: &Event) -> Result<EventHash, ChainError> {
        self.check_place(event)?;
        let hash = event.verify()?;
        self.check_node_commit(event)?;
        if event.event_type == "Migrate" {
            let next = migrate_target(event).filter(|next| *next != self.sequencers.newest());
            self.sequencers.hand_over(event.position.seq, next.ok_or(ChainError::Migrate)?);
        }
        self.note_erased(event);
        *self.type_counts.entry(event.event_type.clone()).or_default() += 1;
        self.next_seq += 1;
        self.prev = hash;
        self.timestamp = event.position.timestamp;
        Ok(hash)
    }

    fn note_erased(&mut self, event: &Event) {
        let refers = reference(&event.tags);
        if event.event_type == "Delete" {
            self.deleted.extend(refers);
        }
        if let Content::Deleted(_) = event.content {
            let of = refers.filter(|_| event.event_type == "Update");
            self.erased.insert(event.id, of);
        }
    }

    fn check_place(&self, event: &Event) -> Result<(), ChainError> {
        let position = &event.position;
        if event.enclave != self.enclave {
            return Err(ChainError::OtherEnclave);
        }
        if position.seq != self.next_seq {
            return Err(ChainError::Seq);
        }
        if position.sequencer != self.sequencers.newest() {
            return Err(ChainError::Sequencer);
        }
        if position.prev != self.prev {
            return Err(ChainError::Prev);
        }
        if position.type_seq != self.type_counts.get(&event.event_type).copied().unwrap_or_default() {
            return Err(ChainError::TypeSeq);
        }
        if position.timestamp < self.timestamp {
            return Err(ChainError::Timestamp);
        }
        Ok(())
    }

    /// A sequencer's key authors `Recovered`, in the one form that a node gives it, and nothing else in its own log.
    fn check_node_commit(&self, event: &Event) -> Result<(), ChainError> {
        let well_formed = event.event_type == "Recovered"
            && event.from == event.position.sequencer
            && Some(event.exp) == event.position.timestamp.checked_add(CLOCK_SKEW_MS)
            && event.tags.is_empty()
            && recovered_prev_seq(event).is_some_and(|prev_seq| prev_seq + 1 == event.position.seq);
        let by_node = event.event_type == "Recovered" || self.sequencers.contains(&event.from);
        if by_node && !well_formed { Err(ChainError::NodeCommit) } else { Ok(()) }
    }
}

/// The key that a Migrate hands over to; none if its content is not a Migrate's or not about its own place.
pub(crate) fn migrate_target(event: &Event) -> Option<PublicKey> {
    let mut fields = content_fields(event)?;
    let next = PublicKey(fields.hex("new_sequencer").ok()?);
    let prev_seq = fields.uint("prev_seq").ok()?;
    fields.hex::<32>("ct_root").ok()?;
    let prev: Option<[u8; 32]> = match fields.optional("prev") {
        None => None,
        Some(value) => Some(crate::ids::parse_hex(value.as_text()?).ok()?),
    };
    fields.finish().ok()?;
    let here = prev_seq + 1 == event.position.seq && prev.is_none_or(|prev| prev == event.position.prev.0);
    (here && crate::schnorr::is_point(&next)).then_some(next)
}

fn recovered_prev_seq(event: &Event) -> Option<u64> {
    let mut fields = content_fields(event)?;
    let prev_seq = fields.uint("prev_seq").ok()?;
    fields.finish().ok()?;
    Some(prev_seq)
}

fn content_fields(event: &Event) -> Option<Fields> {
    match &event.content {
        Content::Present(text) => Fields::of(json::parse(text.as_bytes(), json::MAX_COMMIT_DEPTH).ok()?).ok(),
        Content::Deleted(_) => None,
    }
}

/// Why a log was cut into bundles wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleError {
    /// A count is 0 or above the manifest's size.
    Count,
    /// An event stands in a bundle that was due before it.
    Overdue,
    /// A bundle goes on after the event that closes it.
    NotClosed,
    /// The counts name more events than there are.
    Missing,
}

/// A closed bundle, but for the state after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedBundle {
    /// Root over its event ids.
    pub events_root: Hash,
    /// Its first event.
    pub first_seq: u64,
    /// Its events.
    pub count: u64,
    /// The hash of its last event.
    pub last_event: EventHash,
}

impl ClosedBundle {
    /// The bundle's entry in the log, with the root of the state after its last event.
    pub fn entry(&self, state_hash: &Hash) -> Entry {
        Entry {
            events_root: self.events_root,
            state_commit: state_commit(&self.last_event, state_hash),
            first_seq: self.first_seq,
            count: self.count,
        }
    }
}

/// Cuts a log, fed event by event in order, into the bundles of the given counts.
pub struct Cutter<'a> {
    policy: BundlePolicy,
    counts: &'a [u64],
    open: Vec<EventId>,
    due: u64,
    next_seq: u64,
}

impl<'a> Cutter<'a> {
    /// Begins at the Manifest.
    pub fn new(policy: BundlePolicy, counts: &'a [u64]) -> Result<Cutter<'a>, BundleError> {
        let most = u64::from(policy.size);
        if counts.iter().any(|count| !(1..=most).contains(count)) {
            return Err(BundleError::Count);
        }
        Ok(Cutter { policy, counts, open: Vec::new(), due: 0, next_seq: 0 })
    }

    /// Takes the next event, which has this event hash; gives the bundle that it closes.
    pub fn push(&mut self, event: &Event, hash: &EventHash) -> Result<Option<ClosedBundle>, BundleError> {
        if self.open.is_empty() {
            self.due = event.position.timestamp.saturating_add(u64::from(self.policy.timeout_ms));
        } else if event.position.timestamp >= self.due {
            return Err(BundleError::Overdue);
        }
        self.open.push(event.id);
        self.next_seq += 1;
        let held = self.open.len() as u64;
        let Some((count, later)) = self.counts.split_first() else {
            // The open bundle: whatever would have closed it has not happened.
            return if held < u64::from(self.policy.size) && !closes(event) {
                Ok(None)
            } else {
                Err(BundleError::NotClosed)
            };
        };
        if held < *count {
            return if closes(event) { Err(BundleError::NotClosed) } else { Ok(None) };
        }
        self.counts = later;
        let ids: Vec<Hash> = self.open.drain(..).map(|id| id.0).collect();
        let first_seq = self.next_seq - held;
        Ok(Some(ClosedBundle { events_root: merkle::bundle::root(&ids), first_seq, count: held, last_event: *hash }))
    }

    /// Ends the log: what has not been closed is the open bundle.
    pub fn finish(self) -> Result<Vec<EventId>, BundleError> {
        if self.counts.is_empty() { Ok(self.open) } else { Err(BundleError::Missing) }
    }
}

fn closes(event: &Event) -> bool {
    matches!(event.event_type.as_str(), "Migrate" | "Terminate")
}
