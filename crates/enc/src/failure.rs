//! How the program ends when it cannot do what was asked: one line, one line of advice, an exit code.

use crate::output::Output;
use client::Error;
use protocol::Json;
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit codes, as `--help` lists them.
pub const EXIT_CODES: &str = "\
Exit codes:
  0   done; every check held
  1   something does not hold: a proof, a receipt, a check of a workflow
  2   the command line is wrong
  3   the node has refused; `enc explain CODE` says why
  4   the node cannot be reached, or a commit's fate is unknown
  5   a file or a folder here cannot be used
  6   `evidence collect` has found a sequencer that contradicts itself";

/// The exit code of a comparison that has found evidence.
pub const EVIDENCE_FOUND: u8 = 6;

/// Why the program ends.
#[derive(Debug)]
pub enum Failure {
    /// What the SDK says.
    Client(Error),
    /// The arguments fit the grammar and make no sense here. What is wrong, and what to do.
    Usage(String, &'static str),
    /// Something verifiable was verified and does not hold.
    DoesNotHold(String),
    /// A file.
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A file holds something else than it should.
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// Whoever read the output has left.
    PipeClosed,
    /// Standard output cannot be written.
    Output(std::io::Error),
}

impl Failure {
    /// Tells the person, and gives the exit code.
    pub fn report(self) -> ExitCode {
        if let Failure::PipeClosed = self {
            return ExitCode::SUCCESS;
        }
        let (text, advice) = self.words();
        eprintln!("enc: {text}");
        if !advice.is_empty() {
            eprintln!("     {advice}");
        }
        ExitCode::from(self.exit_code())
    }

    /// The same as JSON, for `--json`.
    pub fn report_json(self, out: &Output) -> ExitCode {
        if let Failure::PipeClosed = self {
            return ExitCode::SUCCESS;
        }
        let (text, advice) = self.words();
        let mut members =
            vec![("ok", Json::Bool(false)), ("failure", Json::from(text)), ("advice", Json::from(advice))];
        if let Failure::Client(error) = &self {
            members.extend(error.code().map(|code| ("error", Json::from(code.as_str()))));
        }
        match out.json(&Json::object(members)) {
            Ok(()) | Err(Failure::PipeClosed) => ExitCode::from(self.exit_code()),
            Err(other) => other.report(),
        }
    }

    fn words(&self) -> (String, String) {
        match self {
            Failure::Client(error) => (error.to_string(), client_advice(error)),
            Failure::Usage(text, advice) => (text.clone(), (*advice).into()),
            Failure::DoesNotHold(text) => (text.clone(), String::new()),
            Failure::File { path, cause } => (format!("{}: {cause}", path.display()), String::new()),
            Failure::Content { path, fault } => (format!("{}: {fault}", path.display()), String::new()),
            Failure::PipeClosed => (String::new(), String::new()),
            Failure::Output(cause) => (format!("standard output: {cause}"), String::new()),
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Failure::Client(error) => match error {
                Error::False(_) => 1,
                Error::Address(_) | Error::Request(_) | Error::NoIdentity | Error::Unbound(_) => 2,
                Error::Refused(_) | Error::Moving(_) | Error::Migration(_) => 3,
                Error::Unreachable { .. } | Error::Undecided(_) => 4,
                Error::Random | Error::Store { .. } | Error::Damaged(_) => 5,
            },
            Failure::Usage(..) => 2,
            Failure::DoesNotHold(_) => 1,
            Failure::File { .. } | Failure::Content { .. } | Failure::Output(_) => 5,
            Failure::PipeClosed => 0,
        }
    }
}

fn client_advice(error: &Error) -> String {
    match error.code() {
        Some(code) => format!("{} (`enc explain {}` says more)", error.advice(), code.as_str()),
        None => error.advice().into(),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Client(error)
    }
}
