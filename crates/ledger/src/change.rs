//! What is written beside records: holds and releases, retention, disposal, policy (ledger.md 3). Each is one write, all of it or nothing.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use crate::append::Content;
use crate::entry::{Author, Body, Dispose, Fate, Hold, Kind, Mode, Placement, Release, Retain, Statement};
use crate::hold::{HoldScope, Query};
use crate::index::{Index, RecordState, fate_of, holding};
use crate::ledger::{Failure, Fault, Ledger, MAX_BATCH};
use crate::policy::Policy;
use crate::reading::PayloadBytes;
use crate::rejection::Rejection;
use crate::retention::{Disposal, RetentionChange, Scope, judge_change, judge_disposal};
use crate::signer::Signer;
use crate::store::Store;
use crate::time::{Timestamp, Until};
use crate::value::{Case, ClassName, Mark, Value};

/// A hold to be placed or widened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceHold {
    /// The case.
    pub case: Case,
    /// Who places it.
    pub author: Author,
    /// Why.
    pub reason: Value,
    /// The records, by place.
    pub targets: Vec<u64>,
    /// Later records that match are held too.
    pub query: Option<Query>,
}

/// A retention to be set for some records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetRetention {
    /// The records, by place.
    pub targets: Vec<u64>,
    /// Who sets it.
    pub author: Author,
    /// By what right.
    pub scope: Scope,
    /// Kept until.
    pub until: Until,
    /// Under whose rule, if that changes.
    pub mode: Option<Mode>,
    /// The class and the event that the date follows from.
    pub class: Option<(ClassName, Option<Mark>)>,
    /// Why.
    pub reason: Value,
}

/// Payloads to be disposed of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisposeOf {
    /// The records, by place.
    pub targets: Vec<u64>,
    /// Who does it.
    pub author: Author,
    /// Why.
    pub reason: Value,
    /// The latest time from outside for a checkpoint that covers them.
    pub outside_time: Option<Timestamp>,
}

impl<S: Store, I: Index, K: Signer> Ledger<S, I, K> {
    /// Places a hold, or adds records to it. The place of its entry; `false`: it holds all that already, and no entry was added.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] for what is no record, [`Rejection::CaseClosed`] for a case that was released; [`Fault`]s.
    pub fn hold(&mut self, now: Timestamp, hold: PlaceHold) -> Result<(u64, bool), Failure> {
        let mut targets = hold.targets;
        targets.sort_unstable();
        targets.dedup();
        for target in &targets {
            self.record(*target)?;
        }
        if let Some(state) = self.index.case(&hold.case)? {
            if state.released.is_some() {
                return Err(Rejection::CaseClosed.into());
            }
            let queried = hold.query.as_ref().is_none_or(|query| state.queries.contains(query));
            if queried && targets.iter().all(|target| state.targets.contains(target)) {
                return Ok((*state.holds.first().expect("a case has a hold"), false));
            }
        }
        let scope = HoldScope { targets, query: hold.query };
        let content = Content::Bytes(scope.encode());
        let payload = content.payload(self.policy.pack_max);
        let body = Body::Hold(Hold { case: hold.case, author: hold.author, reason: hold.reason, payload });
        Ok((self.write_one(now, (body, Some(content), Some(scope)))?, true))
    }

    /// Releases a case. The place of its entry; `false`: it was released before, there.
    ///
    /// # Errors
    /// [`Rejection::NotFound`], [`Rejection::FourEyes`]; [`Fault`]s.
    pub fn release(&mut self, now: Timestamp, release: Release) -> Result<(u64, bool), Failure> {
        let state = self.index.case(&release.case)?.ok_or(Rejection::NotFound)?;
        if let Some(index) = state.released {
            return Ok((index, false));
        }
        if self.policy.four_eyes && state.actor == release.author.actor {
            return Err(Rejection::FourEyes.into());
        }
        Ok((self.write_one(now, (Body::Release(release), None, None))?, true))
    }

    /// Sets how long records are kept; the places of the entries.
    ///
    /// # Errors
    /// What [`judge_change`] refuses for any of them; [`Rejection::NotFound`]; [`Fault`]s.
    pub fn retain(&mut self, now: Timestamp, set: SetRetention) -> Result<Vec<u64>, Failure> {
        let mut batch = self.batch(now);
        let change =
            RetentionChange { until: set.until, mode: set.mode, scope: set.scope, actor: set.author.actor.clone() };
        for target in bounded(&set.targets)? {
            judge_change(&self.policy, &self.record(*target)?, &change, now)?;
            let (class, event) = set.class.clone().unzip();
            let body = Body::Retain(Retain {
                target: *target,
                author: set.author.clone(),
                class,
                event: event.flatten(),
                retain_until: set.until,
                retention_mode: set.mode,
                reason: set.reason.clone(),
            });
            batch.take(body, None, None)?;
        }
        let indices = batch.drafts.iter().map(|draft| draft.entry.index).collect();
        self.write(batch.drafts)?;
        Ok(indices)
    }

    /// Disposes of payloads: the tombstones are published, then the bytes go. The places of the tombstones, and what became of each payload.
    ///
    /// # Errors
    /// What [`judge_disposal`] refuses for any of them; [`Rejection::NotFound`]; [`Fault`]s. After a fault the tombstones may stand;
    /// the next start then does the rest.
    pub fn dispose(&mut self, now: Timestamp, dispose: DisposeOf) -> Result<Vec<(u64, Fate)>, Failure> {
        let mut batch = self.batch(now);
        let mut going: BTreeMap<u64, RecordState> = BTreeMap::new();
        for target in bounded(&dispose.targets)? {
            let state = self.record(*target)?;
            let cases = holding(&state, &self.index.open_cases(*target)?);
            let (actor, outside_time) = (&dispose.author.actor, dispose.outside_time);
            let disposal = Disposal { actor, cases: &cases, now, outside_time };
            judge_disposal(&self.policy, &state, &disposal)?;
            if going.insert(*target, state).is_some() {
                return Err(Rejection::InvalidField("records").into());
            }
        }
        let mut fates = Vec::new();
        for state in going.values() {
            // Of several records with one blob in this request the last takes it away.
            let later = going.range(state.index + 1..).any(|(_, other)| other.record.payload == state.record.payload);
            let payload = state.record.payload;
            let named = later || self.is_named_elsewhere(state, &going)?;
            let fate = fate_of(named, payload.placement);
            let (author, reason) = (dispose.author.clone(), dispose.reason.clone());
            let body = Body::Dispose(Dispose { target: state.index, author, reason, fate });
            fates.push((batch.take(body, None, None)?.entry.index, fate));
        }
        self.write(batch.drafts)?;
        self.publish()?;
        self.finish_disposals()?;
        Ok(fates)
    }

    /// Whether an entry that stays names this record's blob.
    fn is_named_elsewhere(&self, state: &RecordState, going: &BTreeMap<u64, RecordState>) -> Result<bool, Failure> {
        let blob = state.record.payload.sha256;
        let others = self.index.blob_names(&blob)?;
        Ok(others.iter().any(|index| !going.contains_key(index)))
    }

    /// Takes away the bytes of the newest tombstones, where they are still there: those of one request are the most that can be.
    pub(crate) fn finish_disposals(&mut self) -> Result<(), Fault> {
        let mut packs: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
        for index in self.index.newest(Kind::Dispose, MAX_BATCH)? {
            if index >= self.log.published {
                continue;
            }
            let Some(Body::Dispose(dispose)) = self.view().entry(index)?.map(|entry| entry.body) else { continue };
            let Ok(Some(place)) = self.view().place(dispose.target) else { continue };
            match (dispose.fate, place.payload.placement) {
                (Fate::Removed, Placement::Blob) if self.index.blob_names(&place.payload.sha256)?.is_empty() => {
                    self.store.remove(&place.path)?;
                }
                (Fate::Removed, Placement::Pack) => {
                    packs.entry(dispose.target / 256).or_default().push((place.offset, place.payload.size));
                }
                (Fate::Removed | Fate::Shared, Placement::Blob) | (Fate::Shared, Placement::Pack) => {}
            }
        }
        packs.into_iter().try_for_each(|(number, ranges)| self.blank(number, &ranges))
    }

    /// Puts zeros into a pack, in a new file that takes its place.
    fn blank(&mut self, number: u64, ranges: &[(u64, u64)]) -> Result<(), Fault> {
        let path = crate::path::ObjectPath::Pack(number);
        let Some(bytes) = self.store.read(&path)? else { return Ok(()) };
        let mut blanked = bytes.clone();
        for (offset, len) in ranges {
            let range = usize::try_from(*offset).ok().zip(usize::try_from(offset + len).ok());
            if let Some(slot) = range.and_then(|(from, to)| blanked.get_mut(from..to)) {
                slot.fill(0);
            }
        }
        if blanked != bytes {
            self.store.replace(&path, &blanked)?;
            if number < self.size() / 256 {
                self.store.seal(&path)?;
            }
        }
        Ok(())
    }

    /// Sets the rules. The place of the entry; `false`: they are these already.
    ///
    /// # Errors
    /// [`Rejection::RetentionLocked`] in compliance mode, for one that lowers them or names another successor; [`Fault`]s.
    pub fn set_policy(&mut self, now: Timestamp, policy: &Policy, author: &Author) -> Result<(u64, bool), Failure> {
        if *policy == self.policy {
            return Ok((*self.index.newest(Kind::Policy, 1)?.first().expect("init writes one"), false));
        }
        let lowered = self.policy.lowered_by(policy).is_some();
        let mode_back = policy.mode < self.policy.mode;
        if mode_back || (self.policy.mode == Mode::Compliance && lowered) || self.policy.successor != policy.successor {
            return Err(Rejection::RetentionLocked.into());
        }
        let text = policy.to_string();
        if Policy::parse(&text).as_ref() != Ok(policy) {
            return Err(Rejection::InvalidField("policy").into());
        }
        let content = Content::Bytes(text.into_bytes());
        let statement = Statement { actor: author.actor.clone(), payload: content.payload(self.policy.pack_max) };
        let index = self.write_one(now, (Body::Policy(statement), Some(content), None))?;
        self.policy = policy.clone();
        Ok((index, true))
    }

    /// What a record is kept by, and where it stands.
    ///
    /// # Errors
    /// [`Rejection::NotFound`]; [`Fault`]s.
    pub fn record(&self, index: u64) -> Result<RecordState, Failure> {
        Ok(self.index.record_at(index)?.ok_or(Rejection::NotFound)?)
    }

    /// A record's payload, or the tombstone that took it away.
    ///
    /// # Errors
    /// [`Rejection::NotFound`], [`Rejection::Disposed`]; [`Fault`]s, also where the bytes are gone without a tombstone.
    pub fn payload(&self, index: u64) -> Result<Vec<u8>, Failure> {
        if let Some(index) = self.index.record_at(index)?.and_then(|state| state.disposed) {
            return Err(Rejection::Disposed { index }.into());
        }
        match self.view().payload(index)? {
            Some(PayloadBytes::Whole(bytes)) => Ok(bytes),
            None => Err(Rejection::NotFound.into()),
            Some(PayloadBytes::Gone) => {
                let path = self.view().place(index)?.map(|place| place.path);
                let path = path.unwrap_or(crate::path::ObjectPath::Checkpoint);
                Err(Fault::damaged(path, crate::ledger::Damage::Missing).into())
            }
        }
    }
}

fn bounded(targets: &[u64]) -> Result<&[u64], Rejection> {
    if (1..=MAX_BATCH).contains(&targets.len()) { Ok(targets) } else { Err(Rejection::InvalidField("records")) }
}
