//! Where an enclave is asked: a node, and the key by which it sequences there. After a Migrate the two nodes have different keys, and a session is
//! made for the one that is asked.

use crate::asking::SESSION_SECS;
use crate::enclave::Enclave;
use crate::error::{Answer, Error, Falsehood};
use crate::filter::Filter;
use crate::node::Node;
use crate::reading::parse_page;
use protocol::session::Session;
use protocol::{Code, Event, Json, PublicKey};
use std::time::Instant;

/// A node that is asked about an enclave.
#[derive(Clone)]
pub(crate) struct Place {
    pub node: Node,
    /// The node's key for the enclave, once it has been found in the chain of sequencers.
    pub key: Option<PublicKey>,
    /// When the node that comes next was asked in vain.
    pub missed: Option<Instant>,
}

/// A session and the sequencer key that it was made for.
pub(crate) struct HeldSession {
    pub sequencer: PublicKey,
    pub session: Session,
}

impl Place {
    /// A node of which nothing else is known.
    pub fn of(node: Node) -> Place {
        Place { node, key: None, missed: None }
    }
}

impl Enclave {
    /// Takes up a Migrate, which is verified at its place.
    pub(crate) fn follow(&self, migrate: &Event) -> Result<(), Error> {
        let mut pin = self.lock_pin();
        if pin.follow(migrate)? {
            self.store.keep_pin(&pin)?;
        }
        Ok(())
    }

    /// Makes sure that a key which signed for this place is the enclave's sequencer there; Migrates not known yet are asked for.
    pub(crate) fn check_sequencer(&self, seq: u64, found: PublicKey) -> Result<(), Error> {
        if self.lock_pin().sequencers().at(seq) == found {
            return Ok(());
        }
        self.learn_migrates()?;
        if self.lock_pin().sequencers().at(seq) == found {
            return Ok(());
        }
        Err(Falsehood::OtherSequencer { seq, found }.into())
    }

    /// Reads all Migrates that may be read, each signed by the sequencer that the one before names.
    pub(crate) fn learn_migrates(&self) -> Result<(), Error> {
        let page = self.ask_page(&Filter::of_type("Migrate"))?;
        page.events.iter().try_for_each(|migrate| self.follow(migrate))
    }

    /// The key for which a session at this node is made. While only one key is known it can be no other; after a Migrate the node says which one
    /// is its own, and is believed only if the chain has it.
    pub(crate) fn key_here(&self) -> Result<PublicKey, Error> {
        if let Some(key) = self.lock_place().key {
            return Ok(key);
        }
        let newest = self.sequencer();
        if self.lock_pin().migrates().is_empty() {
            return Ok(newest);
        }
        match self.node().enclave_info(&self.id()) {
            Ok(info) => self.settle(info.sequencer),
            // The request itself will say so.
            Err(Error::Refused(_)) => Ok(newest),
            Err(other) => Err(other),
        }
    }

    /// Does what needs a session. Where the session is refused as made for another key, and the chain proves that the node has another one than
    /// was thought, it is done once more.
    pub(crate) fn at_home<T>(&self, ask: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        match ask() {
            Err(Error::Refused(refusal)) if refusal.code == Code::InvalidSession => {
                if self.relocate()? {
                    ask()
                } else {
                    Err(Error::Refused(refusal))
                }
            }
            other => other,
        }
    }

    /// Finds out anew which key the node has; true if it is another one than was used until now.
    pub(crate) fn relocate(&self) -> Result<bool, Error> {
        let used = self.key_here()?;
        let said = self.node().enclave_info(&self.id())?.sequencer;
        Ok(self.settle(said)? != used)
    }

    fn settle(&self, said: PublicKey) -> Result<PublicKey, Error> {
        if !self.lock_pin().sequencers().contains(&said) {
            self.learn_migrates_from(said)?;
        }
        if !self.lock_pin().sequencers().contains(&said) {
            return Err(Falsehood::NotTheSuccessor { claimed: said, proved: self.sequencer() }.into());
        }
        self.lock_place().key = Some(said);
        Ok(said)
    }

    /// Reads the Migrates at a node whose key nothing has proved yet. A plain session would be a bearer token for whoever really has that key, so
    /// the question goes sealed to it: nobody else can open it, or use it for anything.
    fn learn_migrates_from(&self, claimed: PublicKey) -> Result<(), Error> {
        let filter = Filter::of_type("Migrate");
        let enclave = ("enclave", Json::from(self.id().hex()));
        let question = Json::object([("type", Json::from("Query")), ("filter", filter.to_json()), enclave]);
        let answer = match &self.identity {
            None => self.node().post("/", &question)?.json(Answer::Events),
            Some(identity) => {
                if !protocol::schnorr::is_point(&claimed) {
                    return Err(Falsehood::Shape(Answer::Enclave).into());
                }
                let expires_secs = u32::try_from(self.node().now() / 1000 + SESSION_SECS).unwrap_or(u32::MAX);
                let session = Session::make(identity.key(), &claimed, expires_secs);
                self.ask_sealed_to(&session, claimed, question)
            }
        };
        let page = parse_page(answer?).map_err(|_| Falsehood::Shape(Answer::Events))?;
        page.events.iter().try_for_each(|migrate| self.follow(migrate))
    }
}
