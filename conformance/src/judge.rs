//! The judge: named checks of what the specification demands of a node, made over HTTP and WebSockets from outside. It needs an address
//! and nothing else of the node: it makes its own keys and enclaves, and verifies what it is told by `protocol` and `merkle`.
//!
//! A check is a row of a table: a stable name, the section it stands in, what it demands in one sentence, what it needs beside an address,
//! and the function that looks. A function gives `Ok` only after it has seen a node do what it must; an answer that a server gives to
//! everything makes no check green.

mod checks;
mod field;
mod node;
mod report;
mod room;
mod run;
mod talk;
mod why;

pub use checks::{CHECKS, select};
pub use field::Field;
pub use node::{Address, NotAnAddress, Subject};
pub use report::{Outcome, Report, Sum, to_json};
pub use run::judge;
pub use why::Why;

/// What a check found.
pub type Verdict = Result<(), Why>;

/// One thing that the specification demands.
pub struct Check {
    /// Stable: `group.what`.
    pub name: &'static str,
    /// Where it stands: a document and a section of it.
    pub section: &'static str,
    /// The demand, in one sentence.
    pub demand: &'static str,
    /// What the judge must have been given.
    pub needs: Need,
    /// Looks.
    pub run: fn(&Field<'_>) -> Verdict,
}

/// What a check needs beside an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// The operator's token.
    Token,
    /// That the node has no token, and the judge stands on its machine.
    Loopback,
    /// That the node may dial an endpoint of the judge's.
    Endpoint,
}

impl Need {
    /// Why a check that needs this is not made.
    pub fn missing(self) -> &'static str {
        match self {
            Need::Nothing => "",
            Need::Token => "no --admin-token was given",
            Need::Loopback => "--operator-is-local was not given",
            Need::Endpoint => "no --push-host was given",
        }
    }
}

/// A row that needs an address only.
const fn check(
    name: &'static str,
    section: &'static str,
    demand: &'static str,
    run: fn(&Field<'_>) -> Verdict,
) -> Check {
    Check { name, section, demand, needs: Need::Nothing, run }
}

impl Check {
    /// The same row with a need.
    const fn with(self, needs: Need) -> Check {
        let Check { name, section, demand, run, .. } = self;
        Check { name, section, demand, needs, run }
    }

    /// Whether this is what somebody means: its whole name, the beginning of it before a dot, or its section.
    pub fn is_meant_by(&self, wanted: &str) -> bool {
        self.name == wanted
            || self.name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
            || self.section == wanted
            || self.section.rsplit(' ').next() == Some(wanted)
    }
}
