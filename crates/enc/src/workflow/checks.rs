//! The numbered checks as they are run, counted and shown.

use crate::failure::Failure;
use crate::output::Output;
use client::refusal::RefusalDetail;
use client::{Error, Node};
use protocol::{Code, CommitHash, Json};
use std::process::ExitCode;

/// Runs checks one after the other.
pub struct Checks {
    workflow: &'static str,
    total: usize,
    node: Node,
    out: Output,
    verdicts: Vec<(&'static str, Verdict)>,
}

/// What a check says of itself when it holds.
pub type Verdict = Result<String, Fault>;

/// Why a check does not hold.
#[derive(Debug)]
pub enum Fault {
    /// The SDK refused to believe an answer, or got none, or a refusal that was not expected.
    Client(Error),
    /// An answer verifies, and says something else than it must.
    Wrong(String),
}

impl Checks {
    /// For a workflow of so many checks.
    pub fn new(workflow: &'static str, total: usize, node: &Node, out: Output) -> Checks {
        Checks { workflow, total, node: node.clone(), out, verdicts: Vec::with_capacity(total) }
    }

    /// Runs the next check and shows its verdict at once.
    pub fn run(&mut self, name: &'static str, check: impl FnOnce() -> Verdict) -> Result<(), Failure> {
        let number = self.verdicts.len() + 1;
        // Whoever reads the node's log, or stands between, sees which request belongs to which check.
        let version = env!("CARGO_PKG_VERSION");
        self.node.name_caller(&format!("enc/{version} (workflow {}; check {number})", self.workflow));
        let verdict = check();
        let (word, note) = match &verdict {
            Ok(note) => ("ok  ", note.clone()),
            Err(fault) => ("FAIL", fault.words()),
        };
        self.out.line(format!("{number:>2}/{}  {word}  {name:<44}  {note}", self.total))?;
        self.out.json(&Json::object([
            ("check", Json::from(number as u64)),
            ("name", Json::from(name)),
            ("note", Json::from(note)),
            ("ok", Json::Bool(verdict.is_ok())),
        ]))?;
        self.verdicts.push((name, verdict));
        Ok(())
    }

    /// Counts.
    pub fn finish(self) -> Result<ExitCode, Failure> {
        let held = self.verdicts.iter().filter(|(_, verdict)| verdict.is_ok()).count();
        let all = held == self.total;
        let members =
            [("held", Json::from(held as u64)), ("ok", Json::Bool(all)), ("total", Json::from(self.total as u64))];
        self.out.both(format!("{held}/{} ok", self.total), &Json::object(members))?;
        Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

impl Fault {
    fn words(&self) -> String {
        match self {
            Fault::Client(error) => error.to_string(),
            Fault::Wrong(text) => text.clone(),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Client(error)
    }
}

/// A fault in words.
pub fn wrong(text: impl Into<String>) -> Fault {
    Fault::Wrong(text.into())
}

/// That something holds.
pub fn demand(holds: bool, otherwise: &str) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(wrong(otherwise)) }
}

/// That the node has refused with this code, in the fixed sentence, and has said nothing else; of a commit it may repeat the hash.
pub fn demand_refusal<T>(answer: Result<T, Error>, code: Code, of: Option<&CommitHash>) -> Result<(), Fault> {
    match answer {
        Ok(_) => Err(wrong(format!("the node did what it must refuse with {}", code.as_str()))),
        Err(Error::Refused(refusal)) => {
            let expected = refusal.code == code && refusal.status == code.status() && refusal.sentence_is_fixed();
            let plain = RefusalDetail {
                hash: refusal.detail.hash.filter(|hash| Some(hash) == of.map(CommitHash::as_bytes)),
                ..Default::default()
            };
            if expected && refusal.detail == plain {
                Ok(())
            } else {
                Err(wrong(format!("refused, but not with a plain {}: {refusal}", code.as_str())))
            }
        }
        Err(error) => Err(error.into()),
    }
}
