//! The parts of a snapshot, to be put together otherwise: what a node that lies, or a thief of its key, could make.

use crate::{Input, node};
use client::replay::Replay;
use protocol::commit::Draft;
use protocol::event::{Content, NO_PREV};
use protocol::head::Sth;
use protocol::snapshot::{Snapshot, Writer};
use protocol::verify::Pin;
use protocol::{Commit, Event, PublicKey};
use std::collections::BTreeMap;

const TYPES: [&str; 8] = ["note", "vote", "Move", "Own", "Update", "Delete", "Pause", "Recovered"];
const CONTENTS: [&str; 6] = ["null", "{}", "\"text\"", r#"{"key":"profile","value":1}"#, "[1,2]", "-1"];
const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

pub(crate) struct Parts {
    sth: Sth,
    events: Vec<Event>,
    bundles: Vec<u64>,
    seq_pub: PublicKey,
}

impl Parts {
    pub(crate) fn of(file: &[u8]) -> Parts {
        let read = Snapshot::read(file).expect("a node's own file");
        let events = read.events().collect::<Result<_, _>>().expect("a node's own events");
        Parts { sth: read.sth, events, bundles: read.bundles.clone(), seq_pub: read.seq_pub }
    }

    /// The file; its counts are made to fit, since no writer takes others.
    pub(crate) fn file(&self) -> Vec<u8> {
        let (mut writer, mut file) = Writer::begin(&self.sth, self.events.len() as u64).expect("a head is JSON");
        for event in &self.events {
            file.extend(writer.event(event).expect("content is canonical"));
        }
        let mut left = self.events.len() as u64;
        let counts: Vec<u64> = self
            .bundles
            .iter()
            .map(|count| {
                let count = left.min(*count);
                left -= count;
                count
            })
            .collect();
        file.extend(writer.finish(&counts, &self.seq_pub).expect("counts that fit"));
        file
    }

    /// One change, anywhere.
    pub(crate) fn alter(&mut self, input: &mut Input) {
        let (kind, at, by) = (input.below(16), input.below(self.events.len()), input.below(1000));
        match kind {
            0 if self.events.len() > 1 => drop(self.events.remove(at)),
            1 => {
                let other = by % self.events.len();
                self.events.swap(at, other);
            }
            2 => self.events.insert(at, self.events[at].clone()),
            3 => self.events[at].position.timestamp += by as u64,
            4 => self.events[at].position.timestamp -= by as u64,
            5 => self.events[at].position.type_seq ^= 1,
            6 => self.signed_again(at, |draft| draft.content = CONTENTS[by % CONTENTS.len()].to_owned()),
            7 => self.signed_again(at, |draft| draft.event_type = TYPES[by % TYPES.len()].to_owned()),
            8 => self.signed_again(at, |draft| draft.exp += by as u64),
            9 => self.signed_again(at, |draft| drop(draft.tags.pop())),
            10 => self.events[at].content = Content::Deleted(self.events[at].content_hash()),
            11 => self.events[at].from = node::id(PEOPLE[by % PEOPLE.len()]),
            12 if !self.bundles.is_empty() => {
                let bundle = at % self.bundles.len();
                self.bundles[bundle] = (by % 6) as u64;
            }
            13 => self.bundles.push((by % 6) as u64),
            14 => self.sth.timestamp += by as u64,
            _ => self.sth.tree_size = (by % 8) as u64,
        }
    }

    /// The author says something else.
    fn signed_again(&mut self, at: usize, change: impl Fn(&mut Draft)) {
        let Some(commit) = commit_of(&self.events[at]) else { return };
        let Commit { enclave, from, event_type, content, exp, tags, .. } = commit;
        let Some(author) = PEOPLE.into_iter().find(|name| node::id(name) == from) else { return };
        let mut draft = Draft { enclave, event_type, content, exp, tags };
        change(&mut draft);
        let (position, key) = (self.events[at].position, node::secret(node::NODE));
        self.events[at] = Event::sequence(draft.sign(&node::key(author)).into_commit(), position, &key);
    }

    /// Numbers, links and signs all events as their sequencer would.
    pub(crate) fn link_again(&mut self) {
        let key = node::secret(node::NODE);
        let (mut prev, mut counts) = (NO_PREV, BTreeMap::<String, u64>::new());
        for (seq, event) in (0..).zip(&mut self.events) {
            let count = counts.entry(event.event_type.clone()).or_default();
            event.position.seq = seq;
            event.position.type_seq = *count;
            event.position.prev = prev;
            *count += 1;
            prev = event.event_hash();
            event.seq_sig = key.sign(prev.as_bytes());
            event.id = protocol::event::event_id(&event.seq_sig);
        }
    }

    /// Signs a head over what the log comes to, where it can be replayed.
    pub(crate) fn head_again(&mut self) {
        let Some(first) = self.events.first() else { return };
        let Ok(mut replay) = Replay::begin(first, &Pin::Bound(first.enclave), &self.bundles) else { return };
        if self.events[1..].iter().any(|event| replay.push(event).is_err()) {
            return;
        }
        let Ok(replayed) = replay.finish() else { return };
        let (size, at) = (replayed.entries.len() as u64, self.sth.timestamp);
        self.sth = Sth::sign(&node::secret(node::NODE), first.enclave, at, size, replayed.root);
    }
}

fn commit_of(event: &Event) -> Option<Commit> {
    let Event { hash, enclave, from, exp, sig, .. } = *event;
    let Content::Present(content) = &event.content else { return None };
    let (event_type, content, tags) = (event.event_type.clone(), content.clone(), event.tags.clone());
    Some(Commit { hash, enclave, from, event_type, content, exp, tags, sig })
}
