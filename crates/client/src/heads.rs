//! Tree heads: believed only if signed by the sequencer and consistent with the last one that was kept.

use crate::asking::Route;
use crate::enclave::Enclave;
use crate::error::{Answer, Error, Falsehood};
use crate::node::CLOCK_TOLERANCE_MS;
use protocol::fields::{Fields, wrong};
use protocol::head::{self, Sth, SthError, VerifiedSth};
use protocol::proof::ConsistencyAnswer;
use protocol::{Json, schnorr};
use tlog::checkpoint::{Checkpoint, Origin, verify_checkpoint};
use tlog::note::{KeyName, Note, key_id};
use tlog::vkey::Vkey;

/// Age at which a head is signed again when it is asked for, milliseconds; a state under an older one is stale.
const HEAD_LIFE_MS: u64 = 60_000;

/// A tree head that holds and continues all that were seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The head.
    pub sth: VerifiedSth,
    /// How long ago it was signed, by this clock.
    pub age_ms: u64,
    /// Whether it is younger than a minute and the enclave's bundle timeout: an older one may hide what happened since.
    pub fresh: bool,
}

impl Head {
    /// Closed bundles.
    pub fn tree_size(&self) -> u64 {
        self.sth.sth().tree_size
    }
}

/// A checkpoint whose two lines verify and which states what the tree head of its size states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenCheckpoint {
    /// The note as served, cosignatures included.
    pub note: String,
    /// Closed bundles.
    pub tree_size: u64,
    /// The key that C2SP tools are configured with, genuine since both lines verify.
    pub log_vkey: String,
}

impl Enclave {
    /// Asks for the newest tree head, demands that the log continues the one that was kept, and keeps it.
    ///
    /// # Errors
    /// [`Error::False`]: not signed by the sequencer, a smaller tree, a rewritten log.
    pub fn sth(&self) -> Result<Head, Error> {
        self.go_on_if_known()?;
        let head = self.sth_here()?;
        if head.fresh || !self.following {
            return Ok(head);
        }
        // A node that has handed the enclave over signs no newer head of it.
        match self.go_on() {
            Ok(true) => self.sth_here(),
            Ok(false) | Err(Error::Moving(_) | Error::Refused(_) | Error::Unreachable { .. }) => Ok(head),
            Err(other) => Err(other),
        }
    }

    fn sth_here(&self) -> Result<Head, Error> {
        let value = self.node().link.get(&self.path("sth"), &[])?.json(Answer::Sth)?;
        let sth = Sth::from_json(value).map_err(|_| Falsehood::Shape(Answer::Sth))?;
        self.accept(sth)
    }

    /// Checks the signature of a head that was kept.
    ///
    /// # Errors
    /// [`Falsehood::SthSignature`].
    pub fn kept_head(&self, sth: Sth) -> Result<VerifiedSth, Error> {
        self.verify_head(sth)
    }

    /// Closes the open bundle, for the owner.
    ///
    /// # Errors
    /// [`Error::Refused`]; [`Error::False`] as for [`Enclave::sth`].
    pub fn close_bundle(&self) -> Result<Head, Error> {
        let value = self.ask(Route::PlainAction("close-bundle"), Vec::new(), Answer::Done)?;
        let sth = parse_closed(value).map_err(|_| Falsehood::Shape(Answer::Done))?;
        self.accept(sth)
    }

    /// Asks that the log of the newer head begins with that of the older.
    ///
    /// # Errors
    /// [`Falsehood::Rewritten`] if it does not.
    pub fn prove_consistency(&self, older: &VerifiedSth, newer: &VerifiedSth) -> Result<ConsistencyAnswer, Error> {
        let (kept, shown) = (older.sth().tree_size, newer.sth().tree_size);
        let path = self.path(&format!("consistency?from={kept}&to={shown}"));
        let value = self.node().link.get(&path, &[])?.json(Answer::Consistency)?;
        let answer = ConsistencyAnswer::from_json(value).map_err(|_| Falsehood::Shape(Answer::Consistency))?;
        answer.verify(older, newer).map_err(|_| Falsehood::Rewritten { kept, shown })?;
        Ok(answer)
    }

    /// Asks for the checkpoint and checks both its lines, and that it states the root of the tree head of its size.
    ///
    /// # Errors
    /// [`Falsehood::Checkpoint`].
    pub fn checkpoint(&self) -> Result<ProvenCheckpoint, Error> {
        let log_vkey = self.info()?.log_vkey.ok_or(Falsehood::Checkpoint)?;
        let head = self.sth()?;
        self.checkpoint_by(&log_vkey, &head)
    }

    /// The same with a log key and a head that are at hand.
    ///
    /// # Errors
    /// [`Falsehood::Checkpoint`].
    pub fn checkpoint_by(&self, log_vkey: &str, head: &Head) -> Result<ProvenCheckpoint, Error> {
        let bytes = self.node().link.get(&self.path("checkpoint"), &[])?.bytes()?;
        let (note, checkpoint) = self.read_checkpoint(&bytes, log_vkey).ok_or(Falsehood::Checkpoint)?;
        // A bundle may have closed between the two questions: then the older must be a beginning of the newer.
        self.check_same_or_beginning(&checkpoint, head)?;
        Ok(ProvenCheckpoint { note, tree_size: checkpoint.size, log_vkey: log_vkey.into() })
    }

    /// Checks a head that came in an answer, and keeps it.
    pub(crate) fn accept(&self, sth: Sth) -> Result<Head, Error> {
        let head = self.verify_head(sth)?;
        let own = self.node().now();
        if sth.timestamp > own + CLOCK_TOLERANCE_MS {
            return Err(Falsehood::Clock { given: sth.timestamp, own }.into());
        }
        if let Some(kept) = self.store.sth(&self.id())? {
            self.check_continues(&self.verify_head(kept)?, &head)?;
        }
        self.store.keep_sth(&sth)?;
        let age_ms = own.saturating_sub(sth.timestamp);
        let timeout_ms = u64::from(self.lock_pin().manifest().bundle.timeout_ms);
        Ok(Head { sth: head, age_ms, fresh: age_ms <= HEAD_LIFE_MS + timeout_ms })
    }

    fn verify_head(&self, sth: Sth) -> Result<VerifiedSth, Error> {
        if !self.lock_pin().sequencers().contains(&sth.sequencer) {
            self.learn_migrates()?;
        }
        if !self.lock_pin().sequencers().contains(&sth.sequencer) {
            return Err(Falsehood::SthSignature.into());
        }
        let verified = sth.verify_for(&self.id(), &sth.sequencer);
        verified.map_err(|error| match error {
            SthError::OtherEnclave => Falsehood::OtherEnclave(sth.enclave).into(),
            SthError::OtherSequencer | SthError::Signature => Falsehood::SthSignature.into(),
        })
    }

    fn check_continues(&self, kept: &VerifiedSth, shown: &VerifiedSth) -> Result<(), Error> {
        let (old, new) = (kept.sth(), shown.sth());
        if new.tree_size < old.tree_size {
            return Err(Falsehood::SmallerTree { kept: old.tree_size, shown: new.tree_size }.into());
        }
        if new.timestamp < old.timestamp {
            return Err(Falsehood::OlderHead.into());
        }
        if new.tree_size > old.tree_size {
            return self.prove_consistency(kept, shown).map(drop);
        }
        if new.root_hash != old.root_hash {
            self.keep_two_heads(old, new)?;
            return Err(Falsehood::Equivocation { at: new.tree_size }.into());
        }
        Ok(())
    }

    fn read_checkpoint(&self, bytes: &[u8], log_vkey: &str) -> Option<(String, Checkpoint)> {
        let name = head::checkpoint_origin(&self.id());
        let text = std::str::from_utf8(bytes).ok()?;
        let note = Note::parse(bytes).ok()?;
        let vkey = Vkey::parse(log_vkey).ok().filter(|vkey| vkey.name().as_str() == name)?;
        let checkpoint = verify_checkpoint(&note, &Origin::parse(&name).ok()?, &vkey).ok()?;
        let sequencers = self.pin();
        let message = head::checkpoint_message(note.text());
        let key_name = KeyName::parse(&name).ok()?;
        let by_sequencer = note.signatures().iter().any(|line| {
            let sequencer = sequencers.sequencers().newest();
            let blob = [&head::BIP340_TYPE[1..], &sequencer.0].concat();
            let own = *line.name() == key_name && line.id() == key_id(&key_name, head::BIP340_TYPE[0], &blob);
            let signature = protocol::Signature::try_from(line.signature());
            own && signature.is_ok_and(|signature| schnorr::verify(&sequencer, &message, &signature).is_ok())
        });
        by_sequencer.then(|| (text.to_string(), checkpoint))
    }

    /// Checks that a tree is that of the head, or what the head's began with, or what it has become since.
    pub(crate) fn check_same_or_beginning(&self, tree: &Checkpoint, head: &Head) -> Result<(), Error> {
        let sth = head.sth.sth();
        match tree.size == sth.tree_size {
            true if tree.root == sth.root_hash => Ok(()),
            true => Err(Falsehood::Checkpoint.into()),
            false => self.check_beginning(tree, head),
        }
    }

    fn check_beginning(&self, checkpoint: &Checkpoint, head: &Head) -> Result<(), Error> {
        let shown = head.tree_size();
        if checkpoint.size > shown {
            // The checkpoint is the newer one: the head that goes with it is asked for.
            let newer = self.sth()?;
            let known = newer.tree_size() >= checkpoint.size && newer.tree_size() > shown;
            return if known { self.check_beginning(checkpoint, &newer) } else { Err(Falsehood::Checkpoint.into()) };
        }
        let path = self.path(&format!("consistency?from={}&to={shown}", checkpoint.size));
        let value = self.node().link.get(&path, &[])?.json(Answer::Consistency)?;
        let answer = ConsistencyAnswer::from_json(value).map_err(|_| Falsehood::Shape(Answer::Consistency))?;
        let newer = &head.sth.sth().root_hash;
        merkle::log::verify_consistency(checkpoint.size, shown, &answer.path, &checkpoint.root, newer)
            .map_err(|_| Falsehood::Checkpoint.into())
    }
}

fn parse_closed(value: Json) -> Result<Sth, protocol::Rejection> {
    let mut fields = Fields::of(value)?;
    if fields.required("ok")? != Json::Bool(true) {
        return Err(wrong("ok"));
    }
    let sth = Sth::from_json(fields.required("sth")?)?;
    fields.finish()?;
    Ok(sth)
}
