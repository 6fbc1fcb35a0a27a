//! A log replayed from its Manifest by the kernel's rules: what the state must be, and which entries the log must have.

use crate::error::{Error, Falsehood, ReplayPart};
use crate::pin::chain_falsehood;
use kernel::{NodeKeys, Provisioned, Referred, Slot, Transition, View, WriteValue};
use merkle::Hash;
use merkle::log::{self, NodeId, Nodes};
use merkle::sparse::{self, Page, PageId, Pages, StateKey, StatePath};
use protocol::entry::Entry;
use protocol::event::Content;
use protocol::state::{DELETED, Lifecycle, StateName};
use protocol::verify::{self, BundleError, Chain, Cutter};
use protocol::{Code, CommitHash, Event, EventId, Manifest, Receipt, Rejection};
use std::collections::HashMap;
use std::convert::Infallible;

/// A replay under way. Every event is verified by itself, against the one before it, and by the rules.
pub struct Replay<'a> {
    chain: Chain,
    manifest: Manifest,
    head: kernel::Head,
    cutter: Cutter<'a>,
    state: State,
    log: Log,
    deleted: Vec<EventId>,
}

/// What a log comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Events in all.
    pub events: u64,
    /// The closed bundles as entries.
    pub entries: Vec<Entry>,
    /// Events in no closed bundle.
    pub open_events: u64,
    /// Root of the log over the entries.
    pub root: Hash,
    /// Root of the state after the last event.
    pub state_root: Hash,
    /// The key that sequences now.
    pub sequencer: protocol::PublicKey,
    /// The log as it was followed.
    pub lifecycle: Lifecycle,
}

/// The state that the rules read and write.
#[derive(Default)]
struct State {
    values: HashMap<StatePath, ([u8; 12], Hash)>,
    pages: Rows,
    root: Option<Hash>,
    events: HashMap<EventId, Referred>,
    refers: HashMap<EventId, EventId>,
    counts: HashMap<String, u64>,
    receipts: HashMap<CommitHash, Receipt>,
}

#[derive(Default)]
struct Rows(HashMap<PageId, Page>);

#[derive(Default)]
struct Log {
    nodes: HashMap<NodeId, Hash>,
    entries: Vec<Entry>,
}

impl<'a> Replay<'a> {
    /// Begins with the Manifest event; `counts` are the events of each closed bundle.
    ///
    /// # Errors
    /// [`Falsehood`] for a Manifest that does not hold.
    pub fn begin(event: &Event, pin: &verify::Pin, counts: &'a [u64]) -> Result<Replay<'a>, Error> {
        let chain = Chain::begin(event, pin).map_err(|error| chain_falsehood(error, event))?;
        let verified = event.verified().map_err(|fault| Falsehood::Event { seq: 0, fault })?;
        let sequencer = event.position.sequencer;
        let keys = NodeKeys { sequencer: &sequencer, is_node_key: &|key| *key == sequencer };
        let provisioned = match pin {
            verify::Pin::Bound(_) => None,
            verify::Pin::Unbound { .. } => Some(Provisioned { owner: None }),
        };
        let begun = kernel::genesis(&verified, provisioned.as_ref(), &keys, event.position.timestamp);
        let begun = begun.map_err(|rejection| refused(event, &rejection))?;
        let cutter = Cutter::new(begun.manifest.bundle, counts).map_err(|_| bundle_falsehood(0))?;
        let head = begun.transition.head.clone();
        let (state, log) = (State::default(), Log::default());
        let manifest = begun.manifest;
        let mut replay = Replay { chain, manifest, head, cutter, state, log, deleted: Vec::new() };
        replay.apply(event, begun.transition)?;
        Ok(replay)
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// [`Falsehood`] where it does not verify, does not follow, or is refused by the rules.
    pub fn push(&mut self, event: &Event) -> Result<(), Error> {
        let seq = event.position.seq;
        self.chain.push(event).map_err(|error| chain_falsehood(error, event))?;
        let verified = event.verified().map_err(|fault| Falsehood::Event { seq, fault })?;
        if self.head.lifecycle == Lifecycle::Migrated {
            self.head.take_up();
        }
        let sequencers = self.chain.sequencers();
        let is_node_key = |key: &protocol::PublicKey| sequencers.contains(key);
        let enclave = kernel::Enclave { manifest: &self.manifest, head: &self.head, is_node_key: &is_node_key };
        let t = event.position.timestamp;
        let judged = match event.event_type.as_str() {
            "Recovered" => kernel::recovered(&enclave, &self.state, &verified, t),
            _ => kernel::sequence(&enclave, &self.state, &verified, t),
        };
        let Ok(judged) = judged;
        let transition = judged.map_err(|rejection| refused(event, &rejection))?;
        self.apply(event, transition)
    }

    /// The root of the state after the last event that was taken.
    pub fn state_root(&self) -> Hash {
        self.state.root.unwrap_or(merkle::EMPTY)
    }

    /// Whether a key may sign a head over the first `events` events.
    pub fn may_sign_head(&self, key: &protocol::PublicKey, events: u64) -> bool {
        self.chain.sequencers().may_sign_head(key, events)
    }

    /// Ends the replay.
    ///
    /// # Errors
    /// [`Falsehood`] where the counts name more events than there are, or content is missing that no Delete has taken.
    pub fn finish(self) -> Result<Replayed, Error> {
        let (events, state_root) = (self.chain.next_seq(), self.state_root());
        let open = self.cutter.finish().map_err(|_| bundle_falsehood(events))?;
        for id in &self.deleted {
            let subject = self.state.refers.get(id).unwrap_or(id);
            let Ok(slot) = self.state.slot(&StateName::Event(subject));
            if slot.value() != Some(DELETED) {
                let at = self.state.events.get(id).map_or(events, |event| event.seq);
                return Err(Falsehood::Replay { at, part: ReplayPart::State }.into());
            }
        }
        let Ok(root) = log_root(&self.log);
        Ok(Replayed {
            events,
            open_events: open.len() as u64,
            root,
            entries: self.log.entries,
            state_root,
            sequencer: self.chain.sequencers().newest(),
            lifecycle: self.head.lifecycle,
        })
    }

    fn apply(&mut self, event: &Event, transition: Transition) -> Result<(), Error> {
        let seq = event.position.seq;
        if transition.position != event.position {
            return Err(Falsehood::Replay { at: seq, part: ReplayPart::Position }.into());
        }
        self.state.write(event, &transition);
        self.head = transition.head;
        if matches!(event.content, Content::Deleted(_)) {
            self.deleted.push(event.id);
        }
        let closed = self.cutter.push(event, &transition.event_hash);
        let closed = closed.map_err(|error| match error {
            BundleError::Count | BundleError::Overdue | BundleError::NotClosed | BundleError::Missing => {
                bundle_falsehood(seq)
            }
        })?;
        if let Some(closed) = closed {
            let entry = closed.entry(&self.state_root());
            self.log.append(entry);
            let Ok(root) = log_root(&self.log);
            (self.head.open, self.head.root) = (None, root);
            self.head.tree_size = self.log.entries.len() as u64;
        }
        Ok(())
    }
}

impl State {
    fn write(&mut self, event: &Event, transition: &Transition) {
        let writes: Vec<(StateKey, Option<Hash>)> = transition
            .writes
            .iter()
            .map(|write| {
                let value = match write.value {
                    WriteValue::Remove => None,
                    WriteValue::Set(value) => Some(value),
                    WriteValue::ThisEvent => Some(event.id.0),
                };
                (write.key, value)
            })
            .collect();
        let update = sparse::update(&self.pages, &writes).expect("the rules write no key that another holds");
        for (id, page) in update.pages {
            match page {
                Some(page) => drop(self.pages.0.insert(id, page)),
                None => drop(self.pages.0.remove(&id)),
            }
        }
        self.root = Some(update.root);
        for (key, value) in writes {
            match value {
                Some(value) => drop(self.values.insert(key.path, (key.rest, value))),
                None => drop(self.values.remove(&key.path)),
            }
        }
        let referred = Referred { event_type: event.event_type.clone(), from: event.from, seq: event.position.seq };
        self.events.insert(event.id, referred);
        if let Some(refers) = transition.refers {
            self.refers.insert(event.id, refers.event);
        }
        self.counts.insert(event.event_type.clone(), event.position.type_seq + 1);
        self.receipts.insert(event.hash, event.receipt());
    }
}

impl View for State {
    type Error = Infallible;

    fn slot(&self, name: &StateName<'_>) -> Result<Slot, Infallible> {
        let key = name.key();
        Ok(match self.values.get(&key.path) {
            None => Slot::Absent,
            Some((rest, value)) if *rest == key.rest => Slot::Value(*value),
            Some(_) => Slot::Taken,
        })
    }

    fn referred(&self, id: &EventId) -> Result<Option<Referred>, Infallible> {
        Ok(self.events.get(id).cloned())
    }

    fn type_count(&self, event_type: &str) -> Result<u64, Infallible> {
        Ok(self.counts.get(event_type).copied().unwrap_or_default())
    }

    fn stored(&self, hash: &CommitHash) -> Result<Option<Receipt>, Infallible> {
        Ok(self.receipts.get(hash).copied())
    }
}

impl Pages for Rows {
    type Error = Infallible;

    fn page(&self, id: &PageId) -> Result<Option<Page>, Infallible> {
        Ok(self.0.get(id).cloned())
    }
}

impl Nodes for Log {
    type Error = Infallible;

    fn node(&self, id: NodeId) -> Result<Hash, Infallible> {
        Ok(self.nodes[&id])
    }
}

impl Log {
    fn append(&mut self, entry: Entry) {
        let size = self.entries.len() as u64;
        let completed = log::append(self, size, entry.leaf_hash()).expect("a log in memory is far below the largest");
        self.nodes.extend(completed);
        self.entries.push(entry);
    }
}

fn log_root(log: &Log) -> Result<Hash, Infallible> {
    Ok(log::root(log, log.entries.len() as u64).expect("a log in memory is far below the largest"))
}

/// The root of a log of these entries.
pub fn root_of(entries: &[Entry]) -> Hash {
    let mut log = Log::default();
    entries.iter().for_each(|entry| log.append(*entry));
    let Ok(root) = log_root(&log);
    root
}

fn refused(event: &Event, rejection: &Rejection) -> Falsehood {
    let at = event.position.seq;
    match rejection.code {
        Code::InvalidManifest => Falsehood::Manifest(rejection.clone()),
        code => Falsehood::Replay { at, part: ReplayPart::Refused(code) },
    }
}

fn bundle_falsehood(at: u64) -> Falsehood {
    Falsehood::Replay { at, part: ReplayPart::Bundle }
}
