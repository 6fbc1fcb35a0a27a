//! Following an enclave to another node: from Migrate to Migrate, each verified under the key that it ends, and to a node only if that signs the
//! log on with the key which the last of them names.

use crate::enclave::Enclave;
use crate::error::{Error, Falsehood};
use crate::node::Node;
use crate::pin::handed_to;
use crate::place::Place;
use core::fmt;
use protocol::{Code, Event, PublicKey};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Name of the tag of a Migrate that says where the new sequencer answers: `["node", URL]`.
pub const NODE_TAG: &str = "node";
/// Nodes that one request goes on to, one after the other.
pub const MAX_HOPS: usize = 8;
/// After the node that comes next was asked in vain, reads stay with the one at hand for so long.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// An enclave was handed over, and is not to be had where it went.
#[derive(Debug)]
pub struct Moving {
    /// The sequencer that the Migrate names.
    pub to: PublicKey,
    /// Where the Migrate says that it answers.
    pub url: Option<String>,
    /// Why it is not to be had there.
    pub why: Why,
}

/// Why an enclave that moves is not gone after.
#[derive(Debug)]
pub enum Why {
    /// The Migrate does not say where to.
    Unsaid,
    /// From an encrypted connection to one that is not, and not to this machine.
    Plain,
    /// The node there does not sequence it yet.
    NotYet,
    /// What came of asking there.
    Answer(Error),
}

impl fmt::Display for Moving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (to, url) = (&self.to, self.url.as_deref().unwrap_or_default());
        match &self.why {
            Why::Unsaid => {
                write!(f, "the enclave has moved to the node whose key is {to}; its Migrate does not say where that is")
            }
            Why::Plain => write!(f, "the enclave has moved to {url}, which is not encrypted as the node before was"),
            Why::NotYet => write!(f, "the enclave moves to {url}, which does not sequence it yet"),
            Why::Answer(cause) => write!(f, "the enclave moves to {url}, where it is not to be had: {cause}"),
        }
    }
}

impl Enclave {
    /// Goes on at the node that the enclave was handed to, as far as the Migrates that are known or told at the node at hand lead. True if it is
    /// another node than before. Every request does this by itself.
    ///
    /// # Errors
    /// [`Error::Moving`] while the next node does not have it; [`Error::False`] for a node that is not the one which the chain of keys proves: it
    /// is not gone to.
    pub fn go_on(&self) -> Result<bool, Error> {
        let mut moved = false;
        for _ in 0..MAX_HOPS {
            let mut next = self.next_hop()?;
            if next.is_none() {
                self.learn_migrates()?;
                next = self.next_hop()?;
            }
            let Some(migrate) = next else { return Ok(moved) };
            self.hop(&migrate)?;
            moved = true;
        }
        Ok(moved)
    }

    fn go_on_or_stay(&self) -> Result<bool, Error> {
        match self.go_on() {
            Err(Error::Refused(_)) => Ok(false),
            other => other,
        }
    }

    /// Before a read: goes on where it is known that the enclave has, and stays where that is not to be had.
    pub(crate) fn go_on_if_known(&self) -> Result<(), Error> {
        if !self.following || self.lock_pin().migrates().is_empty() {
            return Ok(());
        }
        if self.lock_place().missed.is_some_and(|missed| missed.elapsed() < ASK_AGAIN) {
            return Ok(());
        }
        let next = match self.next_hop() {
            Ok(next) => next,
            // The read itself will find that out.
            Err(Error::Unreachable { .. }) => return Ok(()),
            Err(other) => return Err(other),
        };
        let Some(migrate) = next else { return Ok(()) };
        match self.hop(&migrate) {
            Ok(()) | Err(Error::Moving(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// The Migrate that leads furthest, unless the node at hand is the one that it leads to. A node that is gone is left without asking.
    fn next_hop(&self) -> Result<Option<Event>, Error> {
        let Some(last) = self.lock_pin().migrates().last().cloned() else { return Ok(None) };
        match self.key_here() {
            Ok(here) if here == self.sequencer() => Ok(None),
            Ok(_) => Ok(Some(last)),
            Err(Error::Unreachable { .. }) if node_of(&last).is_some_and(|url| url != self.node().url()) => {
                Ok(Some(last))
            }
            Err(other) => Err(other),
        }
    }

    /// To the node that a Migrate names.
    fn hop(&self, migrate: &Event) -> Result<(), Error> {
        let tried = self.try_hop(migrate);
        if tried.is_err() {
            self.lock_place().missed = Some(Instant::now());
        }
        tried
    }

    fn try_hop(&self, migrate: &Event) -> Result<(), Error> {
        let to = handed_to(migrate).ok_or(Falsehood::OtherManifest)?;
        let Some(url) = node_of(migrate) else {
            return Err(Error::Moving(Box::new(Moving { to, url: None, why: Why::Unsaid })));
        };
        let here = self.node();
        let node = here.elsewhere(&url)?;
        let stay = |why: Why| Err(Error::Moving(Box::new(Moving { to, url: Some(url.clone()), why })));
        if here.link.is_private() && !node.link.is_private() {
            return stay(Why::Plain);
        }
        let info = match node.enclave_info(&self.id()) {
            Ok(info) => info,
            Err(cause @ (Error::Unreachable { .. } | Error::Refused(_))) => return stay(Why::Answer(cause)),
            Err(other) => return Err(other),
        };
        // Its word for now: without it nothing is sent there that says who asks.
        if info.sequencer != to {
            // A copy that nobody has taken up is still under the key that the Migrate ended.
            if info.sequencer == migrate.position.sequencer {
                return stay(Why::NotYet);
            }
            return Err(Falsehood::NotTheSuccessor { claimed: info.sequencer, proved: to }.into());
        }
        let there = self.at(&node, to);
        let head = match there.sth() {
            Ok(head) => head,
            Err(cause @ (Error::Unreachable { .. } | Error::Refused(_))) => return stay(Why::Answer(cause)),
            Err(other) => return Err(other),
        };
        // The head continues the one that was kept; now who has signed it.
        let signer = head.sth.sth().sequencer;
        if signer != to {
            return Err(Falsehood::NotTheSuccessor { claimed: signer, proved: to }.into());
        }
        self.store.keep_move(&self.id(), here.url(), node.url())?;
        *self.lock_place() = Place { node, key: Some(to), missed: None };
        Ok(())
    }

    /// The same enclave at another node, where it stays.
    pub(crate) fn at(&self, node: &Node, key: PublicKey) -> Enclave {
        let there = Enclave::of(node, self.pin(), self.identity.clone(), Arc::clone(&self.store));
        *there.lock_place() = Place { node: node.clone(), key: Some(key), missed: None };
        there.sealed(self.sealed).staying()
    }

    /// Begins where an enclave had gone to from the node that the caller named, when it was met last.
    pub(crate) fn where_it_went(self) -> Result<Enclave, Error> {
        for _ in 0..MAX_HOPS {
            let node = self.node();
            let Some(url) = self.store.moved(&self.id(), node.url())? else { break };
            *self.lock_place() = Place::of(node.elsewhere(&url)?);
        }
        Ok(self)
    }

    /// Does what a node refuses once it has handed the enclave over, and does it where the enclave is then.
    pub(crate) fn following_it<T>(&self, ask: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        self.go_on_if_known()?;
        for _ in 0..MAX_HOPS {
            match ask() {
                Err(Error::Refused(refusal)) if self.following && refusal.code == Code::EnclaveMigrated => {
                    // Who may read nothing that proves where it went is told no more than that it has gone.
                    if !self.go_on_or_stay()? {
                        return Err(Error::Refused(refusal));
                    }
                }
                other => return other,
            }
        }
        ask()
    }
}

/// Where a Migrate says that the new sequencer answers.
pub fn node_of(migrate: &Event) -> Option<String> {
    migrate.tags.iter().find_map(|tag| match &tag[..] {
        [name, url] if name == NODE_TAG => Some(url.clone()),
        _ => None,
    })
}
