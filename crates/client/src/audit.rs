//! A full audit: every event and every rule of a log, against the heads that its sequencer has signed.

use crate::enclave::Enclave;
use crate::error::{Answer, Error, Falsehood, ReplayPart};
use crate::heads::Head;
use crate::link::{Asked, MAX_SNAPSHOT_LEN};
use crate::pin::{Pin, Trust};
use crate::replay::{Replay, Replayed, root_of};
use protocol::entry::{ENTRY_LEN, Entry};
use protocol::snapshot::Snapshot;
use protocol::verify;
use protocol::{EnclaveId, Event};
use tlog::entry_bundle;
use tlog::tile::{FULL_WIDTH, TileKind, TilePath};
use ureq::http::Method;

/// What an audit has found to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// The replay.
    pub replayed: Replayed,
    /// Closed bundles under the head.
    pub tree_size: u64,
    /// Kept receipts whose events are in the log.
    pub receipts: u64,
    /// The head that the log was audited against.
    pub head: Option<Head>,
}

impl Enclave {
    /// Reads the whole log, replays it by the rules and compares each entry and the root with what the sequencer has signed. Needs a
    /// reader of everything. `progress` hears how many events are done and about how many there are.
    ///
    /// # Errors
    /// [`Falsehood::Replay`] and all others of reading; [`Falsehood::Dropped`] for a kept receipt whose event is not there.
    pub fn audit(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<Audited, Error> {
        let head = self.sth()?;
        let entries = self.entries(&head)?;
        let counts: Vec<u64> = entries.iter().map(|entry| entry.count).collect();
        let covered: u64 = counts.iter().sum();
        // A head of nothing leaves nothing to compare: then all that there is is replayed by the rules, in no closed bundle.
        let until = if covered == 0 { u64::MAX } else { covered };
        let mut replay: Option<Replay<'_>> = None;
        let mut known = Vec::new();
        // Events that came after the head are in bundles that the counts do not know: they are not judged here.
        'log: for page in self.log(None) {
            for event in page? {
                if event.position.seq >= until {
                    break 'log;
                }
                match &mut replay {
                    None => replay = Some(Replay::begin(&event, &pin_of(&self.pin()), &counts)?),
                    Some(replay) => replay.push(&event)?,
                }
                known.push((event.position.seq, event.id));
            }
            progress(known.len() as u64, covered);
        }
        let receipts = self.check_receipts(&known, covered.max(known.len() as u64))?;
        let Some(replay) = replay else { return Err(Falsehood::Gap { expected: 0, found: covered }.into()) };
        let replayed = replay.finish()?;
        compare(&replayed, &entries, &head.sth.sth().root_hash)?;
        Ok(Audited { replayed, tree_size: head.tree_size(), receipts, head: Some(head) })
    }

    /// All entries under a head, from the public tiles; their root is the head's.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::False`].
    pub fn entries(&self, head: &Head) -> Result<Vec<Entry>, Error> {
        let size = head.tree_size();
        let mut entries = Vec::new();
        for index in 0..size.div_ceil(u64::from(FULL_WIDTH)) {
            let Some(tile) = TilePath::in_log(TileKind::Entries, index, size) else { break };
            let bytes = self.node().link.get(&self.path(&tile.to_string()), &[])?.bytes()?;
            let rows = entry_bundle::decode(&bytes, tile.width()).map_err(|_| Falsehood::Proof(Answer::Inclusion))?;
            for row in rows {
                let bytes: Option<&[u8; ENTRY_LEN]> = row.try_into().ok();
                entries.push(bytes.and_then(Entry::decode).ok_or(Falsehood::Proof(Answer::Inclusion))?);
            }
        }
        if root_of(&entries) == head.sth.sth().root_hash {
            Ok(entries)
        } else {
            Err(Falsehood::Replay { at: size, part: ReplayPart::Root }.into())
        }
    }

    /// The whole log as a `.enc` file, for the owner; replayed before it is returned.
    ///
    /// # Errors
    /// [`Error::Refused`]; [`Error::False`] if it does not replay, or is smaller than what was seen before.
    pub fn snapshot(&self) -> Result<(Vec<u8>, Audited), Error> {
        let path = self.path("snapshot");
        let bytes = self.at_home(|| {
            let headers = self.session_headers()?;
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let (method, content_type, body, max_answer) = (Method::GET, None, &[][..], MAX_SNAPSHOT_LEN);
            let asked = Asked { method, path: &path, headers: &headers, content_type, body, max_answer };
            self.node().link.send(&asked)?.bytes()
        })?;
        let snapshot = Snapshot::read(&bytes).map_err(|_| Falsehood::Shape(Answer::Snapshot))?;
        let head = self.accept(snapshot.sth)?;
        let mut audited = replay_snapshot(&snapshot, &pin_of(&self.pin()))?;
        audited.head = Some(head);
        Ok((bytes, audited))
    }

    /// Every kept receipt below `covered` must be one of the events.
    fn check_receipts(&self, known: &[(u64, protocol::EventId)], covered: u64) -> Result<u64, Error> {
        let receipts = self.store.receipts(&self.id())?;
        let mut held = 0;
        for receipt in receipts.iter().filter(|receipt| receipt.position.seq < covered) {
            let seq = receipt.position.seq;
            match known.binary_search_by_key(&seq, |(seq, _)| *seq) {
                Ok(place) if known[place].1 == receipt.id => held += 1,
                Ok(_) | Err(_) => return Err(Falsehood::Dropped { seq }.into()),
            }
        }
        Ok(held)
    }
}

/// Replays a `.enc` file offline and checks its head. An unbound id needs trust.
///
/// # Errors
/// [`Error::Unbound`], [`Error::False`].
pub fn audit_snapshot(bytes: &[u8], trust: Option<&Trust>) -> Result<(EnclaveId, Audited), Error> {
    let snapshot = Snapshot::read(bytes).map_err(|_| Falsehood::Shape(Answer::Snapshot))?;
    let pin = Pin::of_manifest(snapshot.manifest.enclave, snapshot.manifest.clone(), trust)?;
    Ok((pin.enclave(), replay_snapshot(&snapshot, &pin_of(&pin))?))
}

fn replay_snapshot(snapshot: &Snapshot<'_>, pin: &verify::Pin) -> Result<Audited, Error> {
    let shape = || Error::from(Falsehood::Shape(Answer::Snapshot));
    let covered = snapshot.bundles.iter().try_fold(0u64, |sum, count| sum.checked_add(*count)).ok_or_else(shape)?;
    let mut events = snapshot.events();
    let first: Event = events.next().ok_or_else(shape)?.map_err(|_| shape())?;
    let mut replay = Replay::begin(&first, pin, &snapshot.bundles)?;
    for event in events {
        replay.push(&event.map_err(|_| shape())?)?;
    }
    let may_sign = replay.may_sign_head(&snapshot.sth.sequencer, covered);
    let replayed = replay.finish()?;
    let sth = &snapshot.sth;
    let enclave = match pin {
        verify::Pin::Bound(enclave) | verify::Pin::Unbound { enclave, .. } => enclave,
    };
    if snapshot.seq_pub != sth.sequencer || !may_sign || sth.verify_for(enclave, &snapshot.seq_pub).is_err() {
        return Err(Falsehood::SthSignature.into());
    }
    if sth.tree_size != replayed.entries.len() as u64 || sth.root_hash != replayed.root {
        return Err(Falsehood::Replay { at: sth.tree_size, part: ReplayPart::Root }.into());
    }
    Ok(Audited { tree_size: sth.tree_size, replayed, receipts: 0, head: None })
}

/// Compares a replay with the entries that the head commits to.
fn compare(replayed: &Replayed, entries: &[Entry], root: &merkle::Hash) -> Result<(), Falsehood> {
    let parted = replayed.entries.iter().zip(entries).position(|(ours, theirs)| ours != theirs);
    if let Some(at) = parted {
        let (ours, theirs) = (&replayed.entries[at], &entries[at]);
        let part = if ours.events_root != theirs.events_root || ours.first_seq != theirs.first_seq {
            ReplayPart::Bundle
        } else {
            ReplayPart::State
        };
        return Err(Falsehood::Replay { at: at as u64, part });
    }
    if replayed.root == *root && replayed.entries.len() == entries.len() {
        Ok(())
    } else {
        Err(Falsehood::Replay { at: entries.len() as u64, part: ReplayPart::Root })
    }
}

fn pin_of(pin: &Pin) -> verify::Pin {
    if pin.bound() {
        verify::Pin::Bound(pin.enclave())
    } else {
        let manifest = pin.event();
        let sequencer = manifest.position.sequencer;
        verify::Pin::Unbound { enclave: pin.enclave(), manifest: manifest.hash, sequencer }
    }
}
