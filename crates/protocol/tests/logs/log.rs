//! A log that is made by hand, event by event, with nobody to say what is allowed.

use protocol::commit::{Draft, enclave_id};
use protocol::entry::Entry;
use protocol::event::{Event, NO_PREV, Position};
use protocol::head::Sth;
use protocol::ids::{ContentHash, EnclaveId};
use protocol::json::{self, Json};
use protocol::proof::{BundleProof, EntryProof, InclusionAnswer};
use protocol::schnorr::KeyPair;
use protocol::verify::ClosedBundle;
use std::collections::BTreeMap;

/// When every log begins, milliseconds since the epoch.
pub(crate) const START: u64 = 1_800_000_000_000;

pub(crate) fn key(number: u8) -> KeyPair {
    KeyPair::from_secret(&[number; 32]).expect("a private key")
}

pub(crate) fn parsed(text: &str) -> Json {
    json::parse(text.as_bytes(), json::MAX_DEPTH).expect("JSON")
}

/// An enclave, its events and its bundles, all under one state root.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) sequencer: u8,
    pub(crate) events: Vec<Event>,
    pub(crate) counts: Vec<u64>,
    pub(crate) tags: Vec<Vec<String>>,
}

impl Log {
    /// An enclave of the identity 1, whose sequencer is the key 9, with bundles of four events and one second.
    pub(crate) fn begin() -> Log {
        let content = format!(
            "{{\"enc_v\":2,\"sequencer\":\"{}\",\"bundle\":{{\"size\":4,\"timeout\":1000}},\"RBAC\":{{\"states\":[\"MEMBER\"],\
             \"traits\":[\"owner(0)\"],\"customs\":[{{\"event\":\"m\",\"operator\":\"MEMBER\",\"ops\":[\"C\",\"D\",\"U\"]}}],\
             \"init\":[{{\"identity\":\"{}\",\"state\":\"MEMBER\",\"traits\":[\"owner\"]}}]}}}}",
            key(9).public(),
            key(1).public()
        );
        let mut log = Log { sequencer: 9, events: Vec::new(), counts: Vec::new(), tags: Vec::new() };
        log.push(1, "Manifest", &content, 0);
        log
    }

    pub(crate) fn enclave(&self) -> EnclaveId {
        self.events[0].enclave
    }

    /// Adds an event by the identity `author`, `after` milliseconds after the last one.
    pub(crate) fn push(&mut self, author: u8, event_type: &str, content: &str, after: u64) -> &Event {
        let content = parsed(content).to_jcs();
        let content_hash = ContentHash(protocol::cbor::sha256(content.as_bytes()));
        let timestamp = self.events.last().map_or(START, |last| last.position.timestamp) + after;
        let tags = std::mem::take(&mut self.tags);
        let enclave = match self.events.first() {
            Some(first) => first.enclave,
            None => enclave_id(&key(author).public(), &content_hash, &tags),
        };
        let draft = Draft { enclave, event_type: event_type.into(), content, exp: timestamp + 60_000, tags };
        let position = Position {
            seq: self.events.len() as u64,
            type_seq: self.events.iter().filter(|event| event.event_type == event_type).count() as u64,
            timestamp,
            prev: self.events.last().map_or(NO_PREV, Event::event_hash),
            sequencer: key(self.sequencer).public(),
        };
        let commit = draft.sign(&key(author)).into_commit();
        self.events.push(Event::sequence(commit, position, &key(self.sequencer)));
        self.events.last().expect("it was pushed")
    }

    /// Adds a Migrate to the key `to`, which then sequences.
    pub(crate) fn migrate(&mut self, to: u8) {
        let content = format!(
            "{{\"new_sequencer\":\"{}\",\"prev_seq\":{},\"ct_root\":\"{}\"}}",
            key(to).public(),
            self.events.len() - 1,
            "00".repeat(32)
        );
        self.push(1, "Migrate", &content, 1);
        self.sequencer = to;
    }

    /// The entries of the bundles.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let mut rest = self.events.as_slice();
        let mut entries = Vec::new();
        for count in &self.counts {
            let (bundle, later) = rest.split_at(*count as usize);
            let ids: Vec<_> = bundle.iter().map(|event| event.id.0).collect();
            let last = bundle.last().expect("a bundle has an event");
            let closed = ClosedBundle {
                events_root: merkle::bundle::root(&ids),
                first_seq: bundle[0].position.seq,
                count: *count,
                last_event: last.event_hash(),
            };
            entries.push(closed.entry(&[0x5a; 32]));
            rest = later;
        }
        entries
    }

    /// The head over all bundles.
    pub(crate) fn sth(&self, timestamp: u64) -> Sth {
        let nodes = self.nodes();
        let size = self.counts.len() as u64;
        let root = merkle::log::root(&nodes, size).expect("every node is there");
        Sth::sign(&key(self.sequencer), self.enclave(), timestamp, size, root)
    }

    /// The answer for entry `leaf_index`, with the proof of the event at `seq`.
    pub(crate) fn inclusion(&self, leaf_index: u64, seq: Option<u64>, timestamp: u64) -> InclusionAnswer {
        let (entry, size) = (self.entries()[leaf_index as usize], self.counts.len() as u64);
        let audit_path = merkle::log::inclusion_path(&self.nodes(), leaf_index, size).expect("every node is there");
        let bundle = seq.map(|seq| {
            let ids: Vec<_> = self.events.iter().map(|event| event.id.0).collect();
            let ids = &ids[entry.first_seq as usize..][..entry.count as usize];
            let index = seq - entry.first_seq;
            BundleProof {
                event_id: self.events[seq as usize].id,
                bundle_index: index,
                bundle_size: entry.count,
                siblings: merkle::bundle::path(ids, index as usize),
            }
        });
        let entry = EntryProof { entry, leaf_index, tree_size: size, audit_path };
        InclusionAnswer { entry, bundle, sth: self.sth(timestamp) }
    }

    pub(crate) fn nodes(&self) -> Nodes {
        let mut nodes = Nodes::default();
        for (size, entry) in self.entries().iter().enumerate() {
            let completed = merkle::log::append(&nodes, size as u64, entry.leaf_hash()).expect("every node is there");
            nodes.0.extend(completed);
        }
        nodes
    }
}

/// The log's nodes in memory.
#[derive(Default)]
pub(crate) struct Nodes(BTreeMap<merkle::log::NodeId, merkle::Hash>);

impl merkle::log::Nodes for Nodes {
    type Error = merkle::log::NodeId;

    fn node(&self, id: merkle::log::NodeId) -> Result<merkle::Hash, Self::Error> {
        self.0.get(&id).copied().ok_or(id)
    }
}
