//! What a node says now, held against what others hold: nothing of it is kept, and nothing is expected to continue what was seen before.

use super::tiles::TileNodes;
use super::{SignedHead, Statements, known_keys};
use crate::asking::Route;
use crate::enclave::{Enclave, ask_manifest};
use crate::error::{Answer, Error, Falsehood};
use crate::filter::Filter;
use crate::identity::Identity;
use crate::node::Node;
use crate::pin::{Pin, Trust};
use crate::store::MemoryStore;
use merkle::log;
use protocol::evidence::{Contradiction, Evidence, HeadStatement, Rewriting};
use protocol::head::Sth;
use protocol::proof::InclusionAnswer;
use protocol::{Event, Json, PublicKey, Receipt};

/// How many of a party's receipts are asked about before it is given up to find one that may be read.
const MAX_UNREADABLE: usize = 8;

/// One node that is asked about one enclave.
pub struct Probe<'a> {
    node: &'a Node,
    known: &'a Pin,
    identity: Option<Identity>,
}

/// What came of it.
#[derive(Debug)]
pub struct Probed {
    /// What the node has signed, as it shows it now.
    pub statements: Statements,
    /// Evidence that needed a proof of the node's.
    pub found: Vec<Evidence>,
    /// What it did not answer, or not as it should, so that less could be compared.
    pub unanswered: Vec<Error>,
}

/// What is under way.
struct Asking {
    enclave: Enclave,
    sth: Option<Sth>,
    probed: Probed,
}

impl<'a> Probe<'a> {
    /// A node and whose chain of sequencers is taken for granted.
    pub fn of(node: &'a Node, known: &'a Pin, identity: Option<Identity>) -> Probe<'a> {
        Probe { node, known, identity }
    }

    /// Asks for the Manifest, tree head, checkpoint and Migrates, and then for what contradicts the statements of `parties`: events at the
    /// places of their receipts, proofs that a promised event is not there, and what the log was at the sizes of their heads. For each party
    /// the number of questions grows with the logarithm of its receipts.
    ///
    /// # Errors
    /// Where the node does not answer about the enclave at all.
    pub fn ask(self, parties: &[Statements]) -> Result<Probed, Error> {
        let first = self.known.event();
        let trust = Trust { manifest: first.hash, sequencer: first.position.sequencer };
        let (served, sequencer) = ask_manifest(self.node, self.known.enclave(), Some(&trust))?;
        let pin = up_to(self.known, &served, &sequencer);
        let enclave = Enclave::of(self.node, pin, self.identity, MemoryStore::shared());
        let statements = Statements::of(served);
        let probed = Probed { statements, found: Vec::new(), unanswered: Vec::new() };
        let mut asking = Asking { enclave, sth: None, probed };
        asking.ask_heads(self.known);
        asking.ask_migrates(self.known);
        for party in parties {
            asking.hold_against_receipts(party);
            asking.hold_against_heads(party);
        }
        Ok(asking.probed)
    }
}

/// The known chain as far as the node follows it: a session is for the key that it sequences with.
fn up_to(known: &Pin, served: &Pin, sequencer: &PublicKey) -> Pin {
    let mut pin = served.clone();
    let mut best = pin.clone();
    for migrate in known.migrates() {
        if pin.follow(migrate).is_err() {
            break;
        }
        if pin.sequencers().newest() == *sequencer {
            best = pin.clone();
        }
    }
    best
}

impl Asking {
    fn note<T>(&mut self, answer: Result<T, Error>) -> Option<T> {
        answer.map_err(|error| self.probed.unanswered.push(error)).ok()
    }

    fn ask_heads(&mut self, known: &Pin) {
        let sth = self.get("sth").and_then(|bytes| {
            let value = protocol::json::parse(&bytes, protocol::json::MAX_DEPTH).map_err(protocol::Rejection::from);
            value.and_then(Sth::from_json).map_err(|_| Falsehood::Shape(Answer::Sth).into())
        });
        if let Some(sth) = self.note(sth) {
            self.sth = self.take_sth(&sth, known).then_some(sth);
            if self.sth.is_none() {
                self.probed.unanswered.push(Falsehood::SthSignature.into());
            }
        }
        let note = self.get("checkpoint");
        if let Some(note) = self.note(note) {
            let by = known_keys(known).iter().find_map(|key| super::checkpoint_in(&note, &known.enclave(), key));
            let taken = by.is_some_and(|(statement, key)| self.probed.statements.add_head(statement, &key));
            if !taken {
                self.probed.unanswered.push(Falsehood::Checkpoint.into());
            }
        }
    }

    fn get(&self, action: &str) -> Result<Vec<u8>, Error> {
        self.enclave.node().link.get(&self.enclave.path(action), &[])?.bytes()
    }

    fn take_sth(&mut self, sth: &Sth, known: &Pin) -> bool {
        let by_a_sequencer = known_keys(known).contains(&sth.sequencer);
        by_a_sequencer && self.probed.statements.add_head(HeadStatement::Sth(*sth), &sth.sequencer)
    }

    /// Its own Migrates, and what it has at the places of those that others know, and right after.
    fn ask_migrates(&mut self, known: &Pin) {
        let page = self.enclave.ask_page(&Filter::of_type("Migrate"));
        for migrate in self.note(page).map_or(Vec::new(), |page| page.events) {
            if migrate.verify().is_ok() {
                self.probed.statements.add_migrate(&migrate);
            }
        }
        let places: Vec<u64> = known.migrates().iter().map(|migrate| migrate.position.seq).collect();
        for seq in places.into_iter().flat_map(|seq| [seq, seq + 1]) {
            let event = self.event_at(seq);
            self.note(event);
        }
    }

    /// The event that the node has at a place; its receipt becomes one of the node's statements.
    fn event_at(&mut self, seq: u64) -> Result<Option<Event>, Error> {
        let filter = Filter { after_seq: seq.checked_sub(1), before_seq: Some(seq + 1), ..Filter::all() };
        let Some(event) = self.enclave.ask_page(&filter)?.events.into_iter().next() else { return Ok(None) };
        event.verify().map_err(|fault| Falsehood::Event { seq, fault })?;
        if event.position.seq != seq || !self.probed.statements.add_receipt(event.receipt()) {
            return Err(Falsehood::Unasked { seq: event.position.seq }.into());
        }
        Ok(Some(event))
    }

    /// Finds the first of a party's receipts that the node's log does not honour. Each receipt names the history before it, so where the
    /// newest is honoured all are.
    fn hold_against_receipts(&mut self, party: &Statements) {
        let parted = self.first_parted(party);
        if let Some(Some((receipt, event))) = self.note(parted) {
            let members = vec![("event_id", Json::from(event.id.hex()))];
            let promised = |inclusion| Contradiction::LeftOut(Box::new(receipt), Box::new(inclusion));
            self.prove(receipt.position.sequencer, members, promised);
        }
        let Some(sth) = self.sth else { return };
        let promise_ms = self.enclave.promise_ms();
        let broken = |receipt: &&Receipt| receipt.position.timestamp.saturating_add(promise_ms) < sth.timestamp;
        // What is beyond the newest event is beyond the log.
        let newest = self.newest_seq();
        let Some(Some(newest)) = self.note(newest) else { return };
        let beyond = party.receipts().filter(broken).find(|receipt| receipt.position.seq > newest).copied();
        if let (Some(receipt), Some(last)) = (beyond, sth.tree_size.checked_sub(1)) {
            let manifest = Box::new(self.enclave.pin().event().clone());
            let late = |inclusion| Contradiction::Overdue(Box::new(receipt), manifest, Box::new(inclusion));
            self.prove(receipt.position.sequencer, vec![("leaf_index", Json::from(last))], late);
        }
    }

    fn first_parted(&mut self, party: &Statements) -> Result<Option<(Receipt, Event)>, Error> {
        let Some(newest) = self.newest_seq()? else { return Ok(None) };
        let receipts: Vec<Receipt> =
            party.receipts().filter(|receipt| receipt.position.seq <= newest).copied().collect();
        let mut parted = None;
        let (mut low, mut high) = (0, 0);
        for (place, receipt) in receipts.iter().enumerate().rev().take(MAX_UNREADABLE) {
            if let Some(event) = self.event_at(receipt.position.seq)? {
                if event.receipt().event_hash() != receipt.event_hash() {
                    (parted, high) = (Some((*receipt, event)), place);
                }
                break;
            }
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match self.event_at(receipts[middle].position.seq)? {
                Some(event) if event.receipt().event_hash() != receipts[middle].event_hash() => {
                    (parted, high) = (Some((receipts[middle], event)), middle);
                }
                Some(_) | None => low = middle + 1,
            }
        }
        Ok(parted)
    }

    fn newest_seq(&mut self) -> Result<Option<u64>, Error> {
        let filter = Filter { reverse: true, limit: Some(1), ..Filter::all() };
        Ok(self.enclave.ask_page(&filter)?.events.first().map(|event| event.position.seq))
    }

    /// Asks for an inclusion proof and keeps what it proves against the key, if anything.
    fn prove(
        &mut self,
        sequencer: PublicKey,
        members: Vec<(&str, Json)>,
        contradiction: impl FnOnce(InclusionAnswer) -> Contradiction,
    ) {
        let answer = self.enclave.ask(Route::Action("inclusion"), members, Answer::Inclusion);
        let answer = answer.and_then(|value| {
            InclusionAnswer::from_json(value).map_err(|_| Falsehood::Shape(Answer::Inclusion).into())
        });
        if let Some(inclusion) = self.note(answer) {
            self.keep(sequencer, contradiction(inclusion));
        }
    }

    /// What the node's log was at the sizes of a party's heads.
    fn hold_against_heads(&mut self, party: &Statements) {
        let Some(sth) = self.sth else { return };
        let is_older = |head: &&SignedHead| head.tree_size < sth.tree_size && head.sequencer == sth.sequencer;
        let older: Vec<&SignedHead> = party.heads().iter().filter(is_older).collect();
        for head in older {
            let rewriting = self.rewriting(head, &sth);
            if let Some(Some(rewriting)) = self.note(rewriting) {
                return self.keep(sth.sequencer, Contradiction::Rewritten(Box::new(rewriting)));
            }
        }
    }

    fn rewriting(&self, older: &SignedHead, sth: &Sth) -> Result<Option<Rewriting>, Error> {
        let nodes = TileNodes::of(&self.enclave, sth.tree_size);
        let root = log::root(&nodes, older.tree_size).map_err(in_tree)?;
        if root == older.root {
            return Ok(None);
        }
        let path = log::consistency_path(&nodes, older.tree_size, sth.tree_size).map_err(in_tree)?;
        Ok(Some(Rewriting { older: older.statement.clone(), newer: HeadStatement::Sth(*sth), root, path }))
    }

    fn keep(&mut self, sequencer: PublicKey, contradiction: Contradiction) {
        let evidence = Evidence { enclave: self.enclave.id(), sequencer, contradiction };
        if evidence.verify().is_ok() {
            self.probed.found.push(evidence);
        }
    }
}

fn in_tree(error: log::Error<Error>) -> Error {
    match error {
        log::Error::Nodes(error) => error,
        log::Error::OutOfRange => Falsehood::Proof(Answer::Consistency).into(),
    }
}
