//! `workflow`: the protocol at work in numbered checks, each of which believes only what it has verified itself.

mod checks;
mod group;
mod personal;
mod place;

use crate::failure::Failure;
use crate::launch::{Launched, find_encd};
use crate::output::Output;
use checks::Checks;
use clap::{Args, ValueEnum};
use client::Node;
use std::path::PathBuf;
use std::process::ExitCode;

/// Run a workflow of numbered checks against a node.
#[derive(Args)]
#[command(after_help = "\
Without --remote a node is started for the workflow and gone with it: encd from --encd, else beside this program, else on the PATH.
Each check makes its own requests and verifies their answers; one that fails does not stop the others. Exit code 1 unless all hold.

Examples:
  enc workflow personal
  enc workflow group --remote https://node.example
  enc workflow personal --json")]
pub struct Workflow {
    /// Which
    #[arg(value_enum)]
    which: Which,
    /// Run against this node instead of one that is started here
    #[arg(long, value_name = "URL", conflicts_with = "encd")]
    remote: Option<String>,
    /// The encd program to start
    #[arg(long, value_name = "PATH")]
    encd: Option<PathBuf>,
}

/// The workflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// One's own record: 16 checks
    Personal,
    /// A group with applications and moderation: 14 checks
    Group,
}

/// Runs it.
pub fn run(workflow: &Workflow, out: Output) -> Result<ExitCode, Failure> {
    let launched = match &workflow.remote {
        Some(_) => None,
        None => Some(Launched::start(&find_encd(workflow.encd.as_deref())?)?),
    };
    let url = match (&workflow.remote, &launched) {
        (Some(url), _) => url.as_str(),
        (None, Some(launched)) => launched.url(),
        (None, None) => crate::context::DEFAULT_NODE,
    };
    let node = Node::at(url)?;
    out.line(format!("workflow at {url}"))?;
    let checks = match workflow.which {
        Which::Personal => {
            let mut checks = Checks::new("personal", personal::CHECKS.len(), &node, out);
            let mut personal = personal::Personal::new(&node, workflow.remote.is_some())?;
            for (name, check) in personal::CHECKS {
                checks.run(name, || check(&mut personal))?;
            }
            checks
        }
        Which::Group => {
            let mut checks = Checks::new("group", group::CHECKS.len(), &node, out);
            let mut group = group::Group::new(&node)?;
            for (name, check) in group::CHECKS {
                checks.run(name, || check(&mut group))?;
            }
            checks
        }
    };
    checks.finish()
}
