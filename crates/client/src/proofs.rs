//! Proofs of events and of the state, checked against a tree head that holds.

use crate::asking::Route;
use crate::enclave::Enclave;
use crate::error::{Answer, Error, Falsehood};
use crate::heads::Head;
use protocol::entry::Entry;
use protocol::evidence::PROMISE_SLACK_MS;
use protocol::ids::hex;
use protocol::proof::{BundleAnswer, InclusionAnswer, StateAnswer};
use protocol::state::StateName;
use protocol::{Code, EventId, Json, Receipt};

/// That an event stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenEvent {
    /// The event's receipt: what was proved.
    pub receipt: Receipt,
    /// The answer, to be kept or handed on.
    pub answer: InclusionAnswer,
    /// The head that it is under.
    pub head: Head,
}

/// Values of the state, and how new they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenValues {
    /// In the order of the names; `None` is proved absent.
    pub values: Vec<Option<[u8; 32]>>,
    /// The bundle after which the state was so.
    pub leaf_index: u64,
    /// Whether it is the state after the newest closed bundle under a fresh head. If not, it may have changed since.
    pub current: bool,
    /// The answer, to be kept or handed on.
    pub answer: StateAnswer,
    /// The head that it is under.
    pub head: Head,
}

impl Enclave {
    /// Proves that the event of a receipt is in the log.
    ///
    /// # Errors
    /// [`Error::Refused`] with `not_bundled` while its bundle is open; [`Falsehood::Dropped`] if the log covers its place without it;
    /// [`Error::False`].
    pub fn prove_event(&self, receipt: &Receipt) -> Result<ProvenEvent, Error> {
        let members = vec![("event_id", Json::from(receipt.id.hex()))];
        let asked = self.ask(Route::Action("inclusion"), members, Answer::Inclusion);
        let value = match asked {
            Err(Error::Refused(refusal)) if refusal.code == Code::NotFound => {
                return Err(self.missing(receipt).unwrap_or(Error::Refused(refusal)));
            }
            asked => asked?,
        };
        let answer = InclusionAnswer::from_json(value).map_err(|_| Falsehood::Shape(Answer::Inclusion))?;
        let head = self.accept(answer.sth)?;
        let sequencer = self.lock_pin().sequencers().at(receipt.position.seq);
        let proved = answer.verify_event(receipt, &sequencer, &head.sth);
        proved.map_err(|_| Falsehood::Proof(Answer::Inclusion))?;
        Ok(ProvenEvent { receipt: *receipt, answer, head })
    }

    /// Proves that the newest kept receipt whose time is up was honoured; none kept, none to prove. A receipt names the whole history before
    /// it. What this identity may not read is passed over.
    ///
    /// # Errors
    /// [`Falsehood::Overdue`], [`Falsehood::Dropped`], as for [`Enclave::prove_event`].
    pub fn check_newest_receipt(&self) -> Result<Option<ProvenEvent>, Error> {
        let promise_ms = self.promise_ms();
        let now = self.node().now();
        let kept = self.store.receipts(&self.id())?;
        let due = kept.iter().filter(|receipt| receipt.position.timestamp + promise_ms < now);
        let Some(receipt) = due.max_by_key(|receipt| receipt.position.seq) else { return Ok(None) };
        match self.prove_event(receipt) {
            Ok(proven) => Ok(Some(proven)),
            Err(error) => match error.code() {
                Some(Code::NotBundled) => Err(Falsehood::Overdue { seq: receipt.position.seq }.into()),
                Some(Code::NotFound | Code::Unauthorized) => Ok(None),
                Some(_) | None => Err(error),
            },
        }
    }

    /// How long after its time an event may be in no closed bundle, milliseconds.
    pub(crate) fn promise_ms(&self) -> u64 {
        u64::from(self.lock_pin().manifest().bundle.timeout_ms) + PROMISE_SLACK_MS
    }

    /// Proves which entry stands at a place of the log.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::False`].
    pub fn prove_entry(&self, leaf_index: u64) -> Result<(Entry, InclusionAnswer), Error> {
        let members = vec![("leaf_index", Json::from(leaf_index))];
        let value = self.ask(Route::Action("inclusion"), members, Answer::Inclusion)?;
        let answer = InclusionAnswer::from_json(value).map_err(|_| Falsehood::Shape(Answer::Inclusion))?;
        let head = self.accept(answer.sth)?;
        let entry = answer.verify_entry(leaf_index, &head.sth);
        let entry = *entry.map_err(|_| Falsehood::Proof(Answer::Inclusion))?;
        Ok((entry, answer))
    }

    /// Proves that an event is in its bundle, whose entry is proved too.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::False`].
    pub fn prove_bundle(&self, receipt: &Receipt) -> Result<(BundleAnswer, InclusionAnswer), Error> {
        let members = vec![("event_id", Json::from(receipt.id.hex()))];
        let value = self.ask(Route::Action("bundle"), members, Answer::Bundle)?;
        let answer = BundleAnswer::from_json(value).map_err(|_| Falsehood::Shape(Answer::Bundle))?;
        let (entry, inclusion) = self.prove_entry(answer.leaf_index)?;
        let sequencer = self.lock_pin().sequencers().at(receipt.position.seq);
        let proved = answer.verify(receipt, &sequencer, answer.leaf_index, &entry);
        proved.map_err(|_| Falsehood::Proof(Answer::Bundle))?;
        Ok((answer, inclusion))
    }

    /// Proves the value of one name, after the newest closed bundle.
    ///
    /// # Errors
    /// [`Error::Refused`] with `not_bundled` before the first bundle has closed; [`Error::False`].
    pub fn prove_state(&self, name: &StateName<'_>) -> Result<ProvenValues, Error> {
        let value = self.ask(Route::Action("state"), item(name), Answer::State)?;
        self.check_state(&[*name], value)
    }

    /// Proves the values of up to 256 names of one state.
    ///
    /// # Errors
    /// As [`Enclave::prove_state`].
    pub fn prove_states(&self, names: &[StateName<'_>]) -> Result<ProvenValues, Error> {
        let items = names.iter().map(|name| Json::object(item(name))).collect();
        let value = self.ask(Route::Action("state-batch"), vec![("items", Json::Array(items))], Answer::State)?;
        self.check_state(names, value)
    }

    fn check_state(&self, names: &[StateName<'_>], value: Json) -> Result<ProvenValues, Error> {
        let answer = StateAnswer::from_json(value).map_err(|_| Falsehood::Shape(Answer::State))?;
        let head = self.accept(answer.sth)?;
        let proven = answer.verify(names, &head.sth).map_err(|_| Falsehood::Proof(Answer::State))?;
        let current = proven.newest && head.fresh;
        Ok(ProvenValues { values: proven.values, leaf_index: proven.leaf_index, current, answer, head })
    }

    /// What it means that the node does not know the event of a receipt: nothing while its place is in no closed bundle, or where this
    /// identity may not see entries; else the event was dropped.
    fn missing(&self, receipt: &Receipt) -> Option<Error> {
        let seq = receipt.position.seq;
        match self.entry_covering(seq) {
            Ok(Some(_)) => Some(Falsehood::Dropped { seq }.into()),
            Ok(None) => None,
            Err(error @ Error::False(_)) => Some(error),
            Err(_) => None,
        }
    }

    /// The entry whose bundle holds a place, found by bisection over proved entries.
    fn entry_covering(&self, seq: u64) -> Result<Option<Entry>, Error> {
        let (mut low, mut high) = (0, self.sth()?.tree_size());
        while low < high {
            let middle = low + (high - low) / 2;
            let (entry, _) = self.prove_entry(middle)?;
            if entry.index_of(seq).is_some() {
                return Ok(Some(entry));
            }
            if seq < entry.first_seq { high = middle } else { low = middle + 1 }
        }
        Ok(None)
    }

    /// The receipt of an event that may be read, by its id.
    ///
    /// # Errors
    /// As [`Enclave::query`].
    pub fn receipt_of(&self, id: EventId) -> Result<Option<Receipt>, Error> {
        Ok(self.event(id)?.map(|event| event.receipt()))
    }
}

fn item(name: &StateName<'_>) -> Vec<(&'static str, Json)> {
    vec![("namespace", Json::from(u64::from(name.namespace()))), ("key", Json::from(hex(&name.raw())))]
}
