//! Moving an enclave to another node, in steps of which each can be done again: whoever is interrupted goes on where it stood.
//!
//! | step | when it is done |
//! |---|---|
//! | [`Stage::Checked`] | the new node answers, lets this be restored, has room, and does not know the enclave; the log replays here |
//! | [`Stage::Signed`] | the owner's Migrate ends the log at the old node. From here on there is no way back |
//! | [`Stage::Saved`] | the whole log, which ends in it, lies in the folder and replays |
//! | [`Stage::TakenUp`] | the new node has restored it and sequences it |
//! | [`Stage::Verified`] | the new node's head covers that log under the key which the Migrate names |

mod fault;
mod journal;

pub use fault::MigrationFault;
pub use journal::Journal;

use crate::audit::audit_snapshot;
use crate::enclave::Enclave;
use crate::error::{Answer, Error, Falsehood};
use crate::filter::Filter;
use crate::folder::replace_file;
use crate::identity::Identity;
use crate::moving::NODE_TAG;
use crate::node::Node;
use crate::pin::{Trust, handed_to};
use crate::refusal::Refusal;
use crate::restore::{RestoreOrder, Restored};
use protocol::commit::Draft;
use protocol::ids::hex;
use protocol::snapshot::Snapshot;
use protocol::{Code, Event, Json, PublicKey};
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// How often a Migrate is signed anew because something was sequenced in between.
const ATTEMPTS: usize = 64;
/// What the Migrate and the end of the open bundle add to a log at most, in bytes.
const MIGRATE_LEN: u64 = 16 << 10;
/// What no node takes for a log: whether it would take one is asked with it.
const NO_LOG: &[u8] = b"ENC1";

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing was done.
    Begun,
    /// Nothing speaks against it.
    Checked,
    /// The old node has the Migrate.
    Signed,
    /// The log that ends in it lies here.
    Saved,
    /// The new node sequences it.
    TakenUp,
    /// The new node's head was verified, and the enclave is asked for there.
    Verified,
}

/// What is to be moved, and where to.
pub struct Order {
    /// The enclave at the node that sequences it, for an owner.
    pub enclave: Enclave,
    /// The node that is to take it up; with its operator's token, if it is to be asked so.
    pub to: Node,
    /// The key that the node is known to have, from elsewhere.
    pub key: Option<PublicKey>,
    /// Who restores the log there: an owner, or nobody, where the node is asked with its operator's token.
    pub restorer: Option<Identity>,
    /// Where the move is noted and the log laid down. One enclave's only.
    pub folder: PathBuf,
}

/// A move that is under way.
pub struct Migration {
    enclave: Enclave,
    to: Node,
    restorer: Option<Identity>,
    folder: PathBuf,
    journal: Journal,
}

/// A step that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// See [`Stage::Checked`].
    Checked(Rehearsal),
    /// See [`Stage::Signed`]; the place of the Migrate.
    Signed(u64),
    /// See [`Stage::Saved`].
    Saved(Rehearsal),
    /// See [`Stage::TakenUp`].
    TakenUp,
    /// See [`Stage::Verified`]; closed bundles.
    Verified(u64),
}

/// A log as it replays here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rehearsal {
    /// Its events.
    pub events: u64,
    /// Its length as a file.
    pub len: u64,
    /// What the new node takes at most, by its word.
    pub limit: u64,
}

impl Stage {
    /// As it is noted and shown.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Begun => "begun",
            Stage::Checked => "checked",
            Stage::Signed => "signed",
            Stage::Saved => "saved",
            Stage::TakenUp => "taken_up",
            Stage::Verified => "verified",
        }
    }

    fn named(name: &str) -> Option<Stage> {
        let all = [Stage::Begun, Stage::Checked, Stage::Signed, Stage::Saved, Stage::TakenUp, Stage::Verified];
        all.into_iter().find(|stage| stage.name() == name)
    }
}

impl Done {
    /// The stage that is reached with it.
    pub fn stage(&self) -> Stage {
        match self {
            Done::Checked(_) => Stage::Checked,
            Done::Signed(_) => Stage::Signed,
            Done::Saved(_) => Stage::Saved,
            Done::TakenUp => Stage::TakenUp,
            Done::Verified(_) => Stage::Verified,
        }
    }
}

impl Migration {
    /// Begins a move, or goes on with the one that is noted. The new node is asked for its key.
    ///
    /// # Errors
    /// [`MigrationFault::OtherKey`], [`MigrationFault::SameNode`], [`MigrationFault::Unfinished`]; what the network and the folder say.
    pub fn open(order: Order) -> Result<Migration, Error> {
        let Order { enclave, to, key: expected, restorer, folder } = order;
        let enclave = enclave.staying();
        let key = to.info()?.sequencer;
        if let Some(expected) = expected.filter(|expected| *expected != key) {
            return Err(Error::Migration(MigrationFault::OtherKey { said: key, expected }));
        }
        let begun = Journal { from: enclave.node().url().into(), to: to.url().into(), key, stage: Stage::Begun };
        let journal = match Journal::read(&folder)? {
            None => begun,
            Some(noted) if noted.to != begun.to => {
                return Err(Error::Migration(MigrationFault::Unfinished { to: noted.to }));
            }
            Some(noted) if noted.key != key => {
                return Err(Error::Migration(MigrationFault::OtherKey { said: key, expected: noted.key }));
            }
            Some(noted) => noted,
        };
        Ok(Migration { enclave, to, restorer, folder, journal })
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        self.journal.stage
    }

    /// The new node's key.
    pub fn key(&self) -> PublicKey {
        self.journal.key
    }

    /// Does the next step and notes it; none when all are done.
    ///
    /// # Errors
    /// [`Error::Migration`], [`Error::Refused`], [`Error::False`], what the network and the folder say. Nothing is lost by trying again.
    pub fn step(&mut self) -> Result<Option<Done>, Error> {
        let done = match self.journal.stage {
            Stage::Begun => match self.handed_over()? {
                // Somebody has signed it before.
                Some(migrate) => Done::Signed(migrate.position.seq),
                None => Done::Checked(self.check()?),
            },
            Stage::Checked => Done::Signed(self.sign()?),
            Stage::Signed => Done::Saved(self.save()?),
            Stage::Saved => {
                self.take_up()?;
                Done::TakenUp
            }
            Stage::TakenUp => Done::Verified(self.verify()?),
            Stage::Verified => return Ok(None),
        };
        self.journal.stage = done.stage();
        if self.journal.stage == Stage::Verified {
            Journal::forget(&self.folder)?;
        } else {
            self.journal.note(&self.folder)?;
        }
        Ok(Some(done))
    }

    /// Finds out whether the move could be made. Changes nothing anywhere.
    ///
    /// # Errors
    /// Whatever speaks against it.
    pub fn check(&self) -> Result<Rehearsal, Error> {
        let (id, fault) = (self.enclave.id(), |fault| Err(Error::Migration(fault)));
        let here = self.enclave.key_here()?;
        if here == self.journal.key {
            return fault(MigrationFault::SameNode);
        }
        let info = self.enclave.info()?;
        if !info.live || here != self.enclave.sequencer() || !matches!(info.status.as_str(), "active" | "paused") {
            return fault(MigrationFault::NotHere);
        }
        match self.to.enclave_info(&id) {
            Err(Error::Refused(refusal)) if refusal.code == Code::EnclaveNotFound => {}
            Ok(_) => return fault(MigrationFault::Known),
            Err(other) => return Err(other),
        }
        match self.restore(NO_LOG) {
            Err(Error::Refused(refusal)) if refusal.code == Code::InvalidStructure => {}
            Err(other) => return Err(other),
            Ok(_) => return Err(Falsehood::Shape(Answer::Done).into()),
        }
        let (bytes, audited) = self.enclave.snapshot()?;
        let rehearsal = self.rehearsed(audited.replayed.events, bytes.len() as u64)?;
        match rehearsal.len + MIGRATE_LEN > rehearsal.limit {
            true => fault(MigrationFault::TooLarge { len: rehearsal.len, limit: rehearsal.limit }),
            false => Ok(rehearsal),
        }
    }

    fn rehearsed(&self, events: u64, len: u64) -> Result<Rehearsal, Error> {
        let limits = self.to.info()?.limits;
        let limit = limits.into_iter().find_map(|(name, limit)| (name == "restore_bytes").then_some(limit));
        Ok(Rehearsal { events, len, limit: limit.unwrap_or(u64::MAX) })
    }

    /// The Migrate to the new node, if the old node's log has one.
    fn handed_over(&self) -> Result<Option<Event>, Error> {
        self.enclave.learn_migrates()?;
        let here = self.enclave.key_here()?;
        let pin = self.enclave.pin();
        let Some(migrate) = pin.migrates().iter().rfind(|migrate| migrate.position.sequencer == here) else {
            return Ok(None);
        };
        match handed_to(migrate) {
            Some(key) if key == self.journal.key => Ok(Some(migrate.clone())),
            Some(key) if pin.sequencers().newest() != here => {
                Err(Error::Migration(MigrationFault::MovedElsewhere(key)))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Ends the log at the old node.
    fn sign(&self) -> Result<u64, Error> {
        if let Some(migrate) = self.handed_over()? {
            return Ok(migrate.position.seq);
        }
        let (mut place, known) = self.ends()?;
        for _ in 0..ATTEMPTS {
            match self.enclave.submit(self.draft(&place)) {
                Ok(committed) => return Ok(committed.receipt.position.seq),
                Err(Error::Refused(refusal)) => match refusal.code {
                    Code::BadState => place = place_of(&refusal, known)?,
                    // Another run of this was faster.
                    Code::EnclaveMigrated => {
                        let migrate = self.handed_over()?;
                        return migrate.map(|migrate| migrate.position.seq).ok_or(Error::Refused(refusal));
                    }
                    _ => return Err(Error::Refused(refusal)),
                },
                Err(other) => return Err(other),
            }
        }
        Err(Error::Migration(MigrationFault::Busy))
    }

    fn draft(&self, place: &Place) -> Draft {
        let content = Json::object([
            ("ct_root", Json::from(hex(&place.root))),
            ("new_sequencer", Json::from(self.journal.key.hex())),
            ("prev", Json::from(hex(&place.prev))),
            ("prev_seq", Json::from(place.seq)),
        ]);
        let mut draft = self.enclave.draft("Migrate", &content);
        draft.tags = vec![vec![NODE_TAG.into(), self.journal.to.clone()]];
        draft
    }

    /// Where the log ends, as it was verified.
    fn ends(&self) -> Result<(Place, u64), Error> {
        let root = self.enclave.sth()?.sth.sth().root_hash;
        let last = self.enclave.query(&Filter { reverse: true, limit: Some(1), ..Filter::all() })?;
        let last = last.events.first().ok_or(Falsehood::Gap { expected: 0, found: 0 })?;
        let place = Place { seq: last.position.seq, prev: last.event_hash().0, root };
        Ok((place, last.position.seq))
    }

    /// Fetches the log that ends in the Migrate.
    fn save(&self) -> Result<Rehearsal, Error> {
        let (bytes, audited) = self.enclave.snapshot()?;
        self.check_end(&bytes)?;
        replace_file(&journal::snapshot(&self.folder), &bytes)?;
        self.rehearsed(audited.replayed.events, bytes.len() as u64)
    }

    fn check_end(&self, bytes: &[u8]) -> Result<(), Error> {
        let snapshot = Snapshot::read(bytes).map_err(|_| Falsehood::Shape(Answer::Snapshot))?;
        let last = snapshot.events().last().and_then(Result::ok);
        let handed = last.filter(|last| last.event_type == "Migrate").as_ref().and_then(handed_to);
        if handed == Some(self.journal.key) { Ok(()) } else { Err(Error::Migration(MigrationFault::OtherLog)) }
    }

    /// Gives the log to the new node, unless that has it.
    fn take_up(&mut self) -> Result<(), Error> {
        if self.is_taken_up()? {
            return Ok(());
        }
        let path = journal::snapshot(&self.folder);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                self.save()?;
                fs::read(&path).map_err(|cause| Error::Store { path, cause })?
            }
            Err(cause) => return Err(Error::Store { path, cause }),
        };
        audit_snapshot(&bytes, self.trust().as_ref())?;
        self.check_end(&bytes)?;
        match self.restore(&bytes) {
            Ok(restored) if restored.live => Ok(()),
            Ok(_) => Err(Error::Migration(MigrationFault::NotTakenUp)),
            // The answer to an earlier attempt was lost.
            Err(Error::Refused(refusal)) if refusal.code == Code::EnclaveExists => match self.is_taken_up()? {
                true => Ok(()),
                false => Err(Error::Refused(refusal)),
            },
            Err(other) => Err(other),
        }
    }

    fn is_taken_up(&self) -> Result<bool, Error> {
        match self.to.enclave_info(&self.enclave.id()) {
            Ok(info) if info.live && info.sequencer == self.journal.key => Ok(true),
            Ok(_) => Err(Error::Migration(MigrationFault::NotTakenUp)),
            Err(Error::Refused(refusal)) if refusal.code == Code::EnclaveNotFound => Ok(false),
            Err(other) => Err(other),
        }
    }

    fn restore(&self, snapshot: &[u8]) -> Result<Restored, Error> {
        let (enclave, identity) = (self.enclave.id(), self.restorer.clone());
        self.to.restore(&RestoreOrder { enclave, snapshot, trust: self.trust(), first: true, identity })
    }

    fn trust(&self) -> Option<Trust> {
        let pin = self.enclave.pin();
        let manifest = pin.event();
        let trust = Trust { manifest: manifest.hash, sequencer: manifest.position.sequencer };
        (!pin.bound()).then_some(trust)
    }

    /// Believes that the enclave is at the new node by what that has signed, and asks for it there from now on.
    fn verify(&self) -> Result<u64, Error> {
        if !self.is_taken_up()? {
            return Err(Error::Migration(MigrationFault::NotTakenUp));
        }
        // It continues the log that was seen to end at the old node, or this is refused.
        let head = self.enclave.at(&self.to, self.journal.key).sth()?;
        let signer = head.sth.sth().sequencer;
        if signer != self.journal.key {
            return Err(Falsehood::NotTheSuccessor { claimed: signer, proved: self.journal.key }.into());
        }
        self.enclave.store.keep_move(&self.enclave.id(), &self.journal.from, self.to.url())?;
        Ok(head.tree_size())
    }
}

/// The history that a Migrate ends.
struct Place {
    seq: u64,
    prev: [u8; 32],
    root: [u8; 32],
}

/// Where the log ends by the word of the node that refuses. The whole log is replayed before it is given to anybody.
fn place_of(refusal: &Refusal, known: u64) -> Result<Place, Error> {
    let detail = &refusal.detail;
    match (detail.prev_seq, detail.prev, detail.ct_root) {
        (Some(seq), Some(prev), Some(root)) if seq >= known => Ok(Place { seq, prev, root }),
        _ => Err(Falsehood::Shape(Answer::Refusal).into()),
    }
}
