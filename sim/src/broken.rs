//! What must hold in every world, and the report that it does not.

use std::fmt;

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// No event whose receipt was given out is lost.
    NothingLost,
    /// Roots of log and state are those of a naive replay.
    RootsOfReplay,
    /// The `prev` chain is whole; one event for each seq.
    ChainWhole,
    /// A refusal changes nothing.
    RefusalChangesNothing,
    /// A query answers what a scan of the replay answers.
    QueryIsScan,
    /// Each event that an endpoint is owed arrives in the end, in order.
    DeliveriesArrive,
    /// Enclaves that share a node get the bytes that each gets alone.
    AloneAlike,
    /// A request is answered as the rules say.
    Answered,
    /// No part of the node panics.
    NoPanic,
}

/// That it does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What.
    pub invariant: Invariant,
    /// How it was seen.
    pub seen: String,
}

impl Invariant {
    /// The report.
    pub fn broken(self, seen: impl Into<String>) -> Broken {
        Broken { invariant: self, seen: seen.into() }
    }

    /// Reports unless it holds.
    ///
    /// # Errors
    /// It does not.
    pub fn holds(self, holds: bool, seen: impl FnOnce() -> String) -> Result<(), Broken> {
        if holds { Ok(()) } else { Err(self.broken(seen())) }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.seen)
    }
}
