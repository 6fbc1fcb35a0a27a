//! The judgement: everything in the journal is in the log that survived, everything about that log holds, and the node goes on.

use crate::crash::failure::{Failure, Told};
use crate::crash::field::Field;
use crate::crash::journal::{Journal, Seen};
use crate::crash::load::Resume;
use crate::encd::{Encd, NotStarted};
use crate::wire::{Ask, ask};
use client::replay::root_of;
use client::{Enclave, Error, Falsehood, Store};
use protocol::entry::Entry;
use protocol::head::{Sth, VerifiedSth};
use protocol::push::{Payload, SignedDelivery};
use protocol::snapshot::Snapshot;
use protocol::verify::Sequencers;
use protocol::{Code, Commit, EnclaveId, Event, Json, Receipt};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Receipts of an enclave whose inclusion under the signed head is proved; all entries and roots are recomputed besides.
const PROVED: usize = 3;
/// Commits that are sent again, for their receipts.
const SENT_AGAIN: usize = 10;

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Receipts whose events are in the log.
    pub receipts: u64,
    /// Events of subscriptions.
    pub events: u64,
    /// Events and notices of deliveries.
    pub pushed: u64,
    /// Tree heads whose root was recomputed from the log.
    pub heads: u64,
    /// Events of the log, each verified, linked and replayed.
    pub log: u64,
}

impl Checked {
    /// Both together.
    pub fn plus(self, other: Checked) -> Checked {
        Checked {
            receipts: self.receipts + other.receipts,
            events: self.events + other.events,
            pushed: self.pushed + other.pushed,
            heads: self.heads + other.heads,
            log: self.log + other.log,
        }
    }
}

/// What a journal holds of one enclave.
#[derive(Default)]
struct Heard {
    receipts: Vec<(Commit, Receipt)>,
    events: Vec<(String, Event)>,
    heads: Vec<Sth>,
    deliveries: Vec<(String, SignedDelivery)>,
}

/// A node that was started again on what survived.
pub struct Survivor<'a> {
    /// The node.
    pub node: &'a Encd,
    /// Its enclaves, as they were made.
    pub field: &'a Field,
    /// What the client keeps between visits: pins and the largest tree head of each enclave.
    pub store: &'a Arc<dyn Store>,
}

/// The last place that each subscription of a journal has seen.
///
/// # Errors
/// What the client's disk says.
pub fn resume(journal: &Journal) -> std::io::Result<Resume> {
    let mut last = HashMap::new();
    for seen in journal.read()? {
        if let Seen::Event(name, event) = seen {
            last.insert(name, event.position.seq);
        }
    }
    Ok(last)
}

impl Survivor<'_> {
    /// Looks for everything that a client was told.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self, seen: Vec<Seen>) -> Result<Checked, Failure> {
        let heard = by_enclave(seen);
        if self.node.log().contains("older than its mark") {
            return Err(Failure::RolledBack);
        }
        let mut checked = Checked::default();
        let nothing = Heard::default();
        for enclave in &self.field.enclaves {
            let heard = heard.get(enclave).unwrap_or(&nothing);
            checked = checked.plus(self.check_enclave(*enclave, heard)?);
        }
        Ok(checked)
    }

    /// That each event but the Manifests has its receipt in the journal.
    ///
    /// # Errors
    /// [`Failure::Unanswered`] for the first that has none.
    pub fn all_answered(&self, seen: Vec<Seen>) -> Result<(), Failure> {
        let heard = by_enclave(seen);
        for id in &self.field.enclaves {
            let handle = self.open(*id)?;
            let log = read_log(&handle).map_err(|error| unbelieved(*id, "the log", &error))?;
            let receipts = heard.get(id).map_or(&[][..], |heard| &heard.receipts);
            let mut answered = vec![false; log.len()];
            for (_, receipt) in receipts {
                if let Some(place) = place(&log, receipt.position.seq) {
                    answered[place] = true;
                }
            }
            if let Some(seq) = answered.iter().skip(1).position(|answered| !answered) {
                return Err(Failure::Unanswered { enclave: *id, seq: seq as u64 + 1 });
            }
        }
        Ok(())
    }

    fn check_enclave(&self, id: EnclaveId, heard: &Heard) -> Result<Checked, Failure> {
        self.check_log(id, heard).map_err(|failure| self.name_the_loss(id, heard, failure))
    }

    fn check_log(&self, id: EnclaveId, heard: &Heard) -> Result<Checked, Failure> {
        let said = |asked| move |error: Error| unbelieved(id, asked, &error);
        let enclave = self.open(id)?;
        let head = enclave.close_bundle().map_err(said("a tree head that continues those of before"))?;
        let (bytes, audited) = enclave.snapshot().map_err(said("the replay of the log"))?;
        enclave.checkpoint().map_err(said("the checkpoint"))?;
        let log = events_of(&bytes);
        for (_, receipt) in &heard.receipts {
            let found = find(&log, (Told::Receipt, id), receipt.position.seq)?;
            if found.receipt() != *receipt {
                return Err(Failure::Other { told: Told::Receipt, enclave: id, seq: receipt.position.seq });
            }
        }
        for (_, receipt) in heard.receipts.iter().step_by(heard.receipts.len().max(PROVED) / PROVED) {
            enclave.prove_event(receipt).map_err(said("inclusion"))?;
        }
        check_subscriptions(id, &log, &heard.events)?;
        let pushed = self.check_deliveries(id, &log, &heard.deliveries)?;
        let newest = self.check_heads(id, &audited.replayed.entries, &heard.heads)?;
        if let Some(older) = newest {
            enclave.prove_consistency(&older, &head.sth).map_err(said("consistency"))?;
        }
        self.goes_on(id, heard, log.len() as u64)?;
        let (receipts, events, heads) = (heard.receipts.len(), heard.events.len(), heard.heads.len());
        let [receipts, events, heads, log] = [receipts, events, heads, log.len()].map(|len| len as u64);
        Ok(Checked { receipts, events, pushed, heads, log })
    }

    /// Where a log does not hold, the first receipt whose event is not in it says more than what noticed it.
    fn name_the_loss(&self, id: EnclaveId, heard: &Heard, failure: Failure) -> Failure {
        let log = match self
            .open(id)
            .and_then(|enclave| read_log(&enclave).map_err(|error| unbelieved(id, "the log", &error)))
        {
            Ok(log) => log,
            Err(unread) => return lost_with_all(heard, unread),
        };
        let missing =
            heard.receipts.iter().find_map(|(_, receipt)| find(&log, (Told::Receipt, id), receipt.position.seq).err());
        missing.unwrap_or(failure)
    }

    fn open(&self, id: EnclaveId) -> Result<Enclave, Failure> {
        self.field.open(self.node, id, self.store).map_err(|error| unbelieved(id, "the Manifest", &error))
    }

    /// Deliveries of one endpoint are numbered without a gap; one that came again has the same events.
    fn check_deliveries(&self, id: EnclaveId, log: &[Event], all: &[(String, SignedDelivery)]) -> Result<u64, Failure> {
        let sequencers = Sequencers::new(self.field.sequencer);
        let mut known: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let (mut count, mut last) = (0, None);
        for (url, signed) in all {
            // It was read when it came; here it is only asked whether it holds.
            let delivery = signed.verify(&id, &sequencers, url, signed.delivery.time);
            let delivery = delivery.map_err(|error| Failure::Unbelieved {
                enclave: id,
                asked: "a delivery",
                error: format!("{error:?}"),
            })?;
            let Payload::Events(events) = &delivery.payload else {
                return Err(Failure::Unexpected("a notice to one who holds P".into()));
            };
            for event in events {
                if find(log, (Told::Push, id), event.position.seq)? != event {
                    return Err(Failure::Other { told: Told::Push, enclave: id, seq: event.position.seq });
                }
            }
            let places: Vec<u64> = events.iter().map(|event| event.position.seq).collect();
            let first = places.first().copied().unwrap_or_default();
            let order = |expected| Failure::Order { told: Told::Push, enclave: id, expected, found: first };
            match known.get(&delivery.push_seq) {
                Some(before) if *before == places => continue,
                Some(before) => return Err(order(before.first().copied().unwrap_or_default())),
                None => {}
            }
            let follows = known.keys().next_back().is_none_or(|last| delivery.push_seq == last + 1);
            let expected = last.map_or(first, |last: u64| last + 1);
            if !follows || !places.iter().copied().eq(expected..expected + places.len() as u64) {
                return Err(order(expected));
            }
            (count, last) = (count + places.len() as u64, places.last().copied());
            known.insert(delivery.push_seq, places);
        }
        Ok(count)
    }

    /// Every head that was seen is the signed root of a beginning of this log, whose entries were recomputed from the events; the one that
    /// came last.
    fn check_heads(&self, id: EnclaveId, entries: &[Entry], heads: &[Sth]) -> Result<Option<VerifiedSth>, Failure> {
        let survived = entries.len() as u64;
        let mut newest = None;
        for sth in heads {
            let verified = sth.verify_for(&id, &self.field.sequencer).ok().filter(|_| begins_with(entries, sth));
            let foreign = || Failure::Head { enclave: id, tree_size: sth.tree_size, survived };
            newest = Some(verified.ok_or_else(foreign)?);
        }
        Ok(newest)
    }

    /// A new commit takes the next place, and commits that were answered before are answered alike.
    fn goes_on(&self, id: EnclaveId, heard: &Heard, len: u64) -> Result<(), Failure> {
        // No number of the load comes near those that count down from the largest.
        let commit = self.field.commit_to(id, (1 << 53) - 1 - len);
        let answer = ask(&self.node.address, &Ask::post("/", commit.to_json().to_jcs()));
        let refused = |answer: &str| Failure::Refused { enclave: id, answer: answer.to_owned() };
        let receipt = Receipt::from_json(answer.json()).map_err(|_| refused(&answer.text()))?;
        if receipt.position.seq != len || receipt.verify(&commit, &self.field.sequencer).is_err() {
            return Err(refused(&answer.text()));
        }
        for (commit, receipt) in heard.receipts.iter().rev().take(SENT_AGAIN) {
            let answer = ask(&self.node.address, &Ask::post("/", commit.to_json().to_jcs()));
            let value = answer.json();
            let duplicate = value.member("error").and_then(Json::as_text) == Some(Code::Duplicate.as_str());
            if !duplicate || value.member("receipt") != Some(&receipt.to_json()) {
                return Err(refused(&answer.text()));
            }
        }
        Ok(())
    }
}

fn by_enclave(seen: Vec<Seen>) -> HashMap<EnclaveId, Heard> {
    let mut all: HashMap<EnclaveId, Heard> = HashMap::new();
    for seen in seen {
        match seen {
            Seen::Receipt(commit, receipt) => all.entry(receipt.enclave).or_default().receipts.push((commit, receipt)),
            Seen::Event(name, event) => all.entry(event.enclave).or_default().events.push((name, event)),
            Seen::Head(sth) => all.entry(sth.enclave).or_default().heads.push(sth),
            Seen::Delivery(url, signed) => {
                all.entry(signed.delivery.enclave).or_default().deliveries.push((url, signed));
            }
        }
    }
    all
}

/// That nothing at all is left is told by the first receipt.
fn lost_with_all(heard: &Heard, failure: Failure) -> Failure {
    match heard.receipts.first() {
        Some((_, receipt)) => {
            let (enclave, seq, instead) = (receipt.enclave, receipt.position.seq, failure.to_string());
            Failure::Lost { told: Told::Receipt, enclave, seq, instead }
        }
        None => failure,
    }
}

/// The failure of a node that does not even start on what survived.
pub fn not_started(seen: Vec<Seen>, error: NotStarted) -> Failure {
    let mut heard = Heard::default();
    for seen in seen {
        if let Seen::Receipt(commit, receipt) = seen {
            heard.receipts.push((commit, receipt));
        }
    }
    lost_with_all(&heard, Failure::NotStarted(error))
}

/// The events of a snapshot that was replayed.
fn events_of(bytes: &[u8]) -> Vec<Event> {
    let snapshot = Snapshot::read(bytes).expect("it was replayed");
    snapshot.events().map(|event| event.expect("it was replayed")).collect()
}

/// All events, each verified and linked to the one before.
fn read_log(enclave: &Enclave) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    for page in enclave.log(None) {
        events.extend(page?);
    }
    match events.first() {
        Some(_) => Ok(events),
        None => Err(Falsehood::Gap { expected: 0, found: 0 }.into()),
    }
}

fn place(log: &[Event], seq: u64) -> Option<usize> {
    usize::try_from(seq).ok().filter(|place| *place < log.len())
}

fn find(log: &[Event], (told, enclave): (Told, EnclaveId), seq: u64) -> Result<&Event, Failure> {
    let found = place(log, seq).map(|place| &log[place]);
    found.ok_or_else(|| Failure::Lost { told, enclave, seq, instead: format!("the log ends before seq {}", log.len()) })
}

/// A subscription that goes on where it was has no gap and repeats nothing.
fn check_subscriptions(id: EnclaveId, log: &[Event], events: &[(String, Event)]) -> Result<(), Failure> {
    let mut next: HashMap<&str, u64> = HashMap::new();
    for (name, event) in events {
        let seq = event.position.seq;
        if find(log, (Told::Subscription, id), seq)? != event {
            return Err(Failure::Other { told: Told::Subscription, enclave: id, seq });
        }
        let expected = next.entry(name).or_insert(0);
        if *expected != seq {
            return Err(Failure::Order { told: Told::Subscription, enclave: id, expected: *expected, found: seq });
        }
        *expected += 1;
    }
    Ok(())
}

fn begins_with(entries: &[Entry], sth: &Sth) -> bool {
    let size = usize::try_from(sth.tree_size).ok();
    size.and_then(|size| entries.get(..size)).is_some_and(|entries| root_of(entries) == sth.root_hash)
}

fn unbelieved(enclave: EnclaveId, asked: &'static str, error: &Error) -> Failure {
    Failure::Unbelieved { enclave, asked, error: error.to_string() }
}
