//! Commits: signed, sent once, and believed only by a receipt that verifies.

use crate::enclave::{Created, Enclave, ask_manifest};
use crate::error::{Answer, Error, Falsehood};
use crate::filter::Filter;
use crate::identity::Identity;
use crate::node::{CLOCK_TOLERANCE_MS, Node};
use crate::pin::Pin;
use crate::store::Store;
use protocol::commit::Draft;
use protocol::event::EventError;
use protocol::{Code, Commit, Event, Json, Manifest, Receipt};
use std::sync::Arc;

/// How long a commit may be sequenced unless its draft says otherwise, milliseconds: whoever holds a refused commit can send it
/// again that long.
pub const COMMIT_LIFE_MS: u64 = 60_000;

/// A commit that the node has sequenced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The sequencer's promise, verified and kept.
    pub receipt: Receipt,
    /// The event that it makes of the commit.
    pub event: Event,
    /// The node had it already: this is the receipt of the first time.
    pub duplicate: bool,
}

/// What became of a request to sequence.
enum Fate {
    Fresh(Receipt),
    Before(Receipt),
}

impl Enclave {
    /// Makes an enclave of a manifest's content: signs and sends it, checks the receipt, pins.
    ///
    /// `content` names the node's key as `sequencer` and the identity in `init`. Two enclaves of one content need different `tags`.
    ///
    /// # Errors
    /// [`Error::Request`] if the manifest breaks a rule; [`Error::Refused`]; [`Error::False`].
    pub fn create(
        node: &Node,
        content: &Json,
        tags: Vec<Vec<String>>,
        holder: (Identity, Arc<dyn Store>),
    ) -> Result<Created, Error> {
        let (identity, store) = holder;
        let manifest = Manifest::parse_for(content, &identity.public()).map_err(Error::Request)?;
        let draft = Draft::manifest(identity.key(), content, tags, node.now() + COMMIT_LIFE_MS);
        let commit = draft.sign(identity.key()).into_commit();
        let send = || read_fate(node.post("/", &commit.to_json()).and_then(|reply| reply.json(Answer::Receipt)));
        let fate = match send() {
            // The answer is lost: the Manifest is asked for, and only sent again if it is not there.
            Err(Error::Unreachable { sent: true, .. }) => match ask_manifest(node, commit.enclave, None) {
                Ok((pin, _)) if pin.event().hash == commit.hash => Fate::Before(pin.event().receipt()),
                Ok(_) | Err(_) => send().map_err(|error| undecided(error, &commit))?,
            },
            fate => fate?,
        };
        let (receipt, fresh) = match fate {
            Fate::Fresh(receipt) => (receipt, true),
            Fate::Before(receipt) => (receipt, false),
        };
        receipt.verify(&commit, &manifest.sequencer).map_err(Falsehood::Receipt)?;
        if fresh {
            check_clock(node, &receipt)?;
        }
        let event = Event::assemble(commit, receipt.position, receipt.seq_sig);
        let pin = Pin::of_manifest(event.enclave, event, None)?;
        store.keep_pin(&pin)?;
        store.keep_receipt(&receipt)?;
        Ok(Created { enclave: Enclave::of(node, pin, Some(identity), store), receipt })
    }

    /// A draft of this enclave that may be sequenced for [`COMMIT_LIFE_MS`].
    pub fn draft(&self, event_type: &str, content: &Json) -> Draft {
        Draft::new(self.id(), event_type, content, self.node().now() + COMMIT_LIFE_MS)
    }

    /// Commits content under a type.
    ///
    /// # Errors
    /// As [`Enclave::submit`].
    pub fn commit(&self, event_type: &str, content: &Json) -> Result<Committed, Error> {
        self.submit(self.draft(event_type, content))
    }

    /// Signs a draft and commits it.
    ///
    /// # Errors
    /// As [`Enclave::send`]; [`Error::NoIdentity`].
    pub fn submit(&self, draft: Draft) -> Result<Committed, Error> {
        let identity = self.identity.as_ref().ok_or(Error::NoIdentity)?;
        self.send(&draft.sign(identity.key()).into_commit())
    }

    /// Sends a signed commit. An answer that is lost is asked for by the commit's hash; only if the node does not show the event, the
    /// same commit is sent once more, which stores it at most once.
    ///
    /// # Errors
    /// [`Error::Refused`]; [`Error::Moving`] while the enclave is between two nodes; [`Error::False`] for a receipt that does not hold;
    /// [`Error::Undecided`] if no answer is to be had.
    pub fn send(&self, commit: &Commit) -> Result<Committed, Error> {
        let before = self.store.newest_receipt(&self.id())?;
        let fate = match self.following_it(|| self.send_once(commit)) {
            Err(Error::Unreachable { sent: true, .. }) => self.recover(commit)?,
            fate => fate?,
        };
        let (receipt, duplicate) = match fate {
            Fate::Fresh(receipt) => (receipt, false),
            Fate::Before(receipt) => (receipt, true),
        };
        self.check_sequencer(receipt.position.seq, receipt.position.sequencer)?;
        receipt.verify(commit, &receipt.position.sequencer).map_err(Falsehood::Receipt)?;
        if !duplicate {
            check_clock(&self.node(), &receipt)?;
        }
        if !self.check_against(before.as_ref(), &receipt, duplicate)? {
            self.store.keep_receipt(&receipt)?;
        }
        let event = Event::assemble(commit.clone(), receipt.position, receipt.seq_sig);
        if event.event_type == "Migrate" {
            self.follow(&event)?;
        }
        Ok(Committed { receipt, event, duplicate })
    }

    fn send_once(&self, commit: &Commit) -> Result<Fate, Error> {
        let answer = if self.sealed && self.me() == Some(commit.from) {
            self.at_home(|| self.ask_sealed(commit.to_json(), Answer::Receipt))
        } else {
            self.node().post("/", &commit.to_json())?.json(Answer::Receipt)
        };
        read_fate(answer)
    }

    fn recover(&self, commit: &Commit) -> Result<Fate, Error> {
        let found = self.query(&Filter::by_hash(commit.hash));
        if let Some(event) = found.ok().and_then(|page| page.events.into_iter().next()) {
            return Ok(Fate::Before(event.receipt()));
        }
        self.following_it(|| self.send_once(commit)).map_err(|error| undecided(error, commit))
    }

    /// A receipt must fit those that are kept, the last of which was so before the commit was sent. True if it is among them.
    fn check_against(&self, before: Option<&Receipt>, receipt: &Receipt, duplicate: bool) -> Result<bool, Error> {
        let Some(before) = before else { return Ok(false) };
        let (seq, last) = (receipt.position.seq, before.position.seq);
        if seq == last + 1 && receipt.position.prev != before.event_hash() {
            return Err(Falsehood::Chain { seq }.into());
        }
        if seq > last {
            return Ok(false);
        }
        let kept = self.store.receipts(&self.id())?;
        if kept.contains(receipt) {
            return Ok(true);
        }
        if let Some(other) = kept.iter().find(|other| other.position.seq == seq) {
            self.keep_two_receipts(other, receipt)?;
            return Err(Falsehood::Equivocation { at: seq }.into());
        }
        if duplicate { Ok(false) } else { Err(Falsehood::Order { seq }.into()) }
    }
}

impl Node {
    /// Sends a commit once and gives the node's answer as it is: a receipt of which nothing has been verified. For tools that look at how a
    /// node answers; everyone else wants [`Enclave::send`].
    ///
    /// # Errors
    /// [`Error::Refused`], also for a duplicate; [`Error::False`] for another shape; what the network says.
    pub fn submit_unverified(&self, commit: &Commit) -> Result<Receipt, Error> {
        let value = self.post("/", &commit.to_json())?.json(Answer::Receipt)?;
        Receipt::from_json(value).map_err(|_| Falsehood::Shape(Answer::Receipt).into())
    }
}

/// What it means that no answer came to a commit that had been sent before.
fn undecided(error: Error, commit: &Commit) -> Error {
    match error {
        Error::Unreachable { .. } => Error::Undecided(commit.hash),
        other => other,
    }
}

/// A receipt, or the receipt inside a `duplicate`.
fn read_fate(answer: Result<Json, Error>) -> Result<Fate, Error> {
    match answer {
        Ok(value) => Receipt::from_json(value).map(Fate::Fresh).map_err(|_| Falsehood::Shape(Answer::Receipt).into()),
        Err(Error::Refused(refusal)) => match refusal.detail.receipt {
            Some(receipt) if refusal.code == Code::Duplicate => Ok(Fate::Before(receipt)),
            Some(_) | None => Err(Error::Refused(refusal)),
        },
        Err(other) => Err(other),
    }
}

/// What was sequenced just now carries a time near this clock.
fn check_clock(node: &Node, receipt: &Receipt) -> Result<(), Error> {
    let (given, own) = (receipt.position.timestamp, node.now());
    if given.abs_diff(own) > CLOCK_TOLERANCE_MS { Err(Falsehood::Clock { given, own }.into()) } else { Ok(()) }
}

impl From<EventError> for Error {
    fn from(fault: EventError) -> Self {
        Falsehood::Receipt(fault).into()
    }
}
