//! How long, how often and against what a measurement runs.

use crate::load::Outcome;
use crate::machine;
use crate::node::{End, Node};
use crate::section::Section;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What all measurements have alike.
pub struct Run {
    /// The node's binary.
    pub encd: PathBuf,
    /// Rounds of each side.
    pub rounds: usize,
    /// Of a round.
    pub time: Duration,
    /// Connections, and pgbench's clients.
    pub clients: usize,
    /// Leave out what needs PostgreSQL or strace.
    pub alone: bool,
    /// A smoke run.
    pub quick: bool,
    /// Where sections are written.
    pub out: Option<PathBuf>,
}

impl Run {
    /// The full size of something, or, in a smoke run, the small one, unless the command line says it.
    pub fn size(&self, given: Option<u64>, full: u64, small: u64) -> u64 {
        given.unwrap_or(if self.quick { small } else { full })
    }

    /// Commits signed for a round, so many for each of its seconds.
    pub fn commits(&self, per_second: u64) -> u64 {
        (per_second as f64 * self.time.as_secs_f64()).ceil() as u64
    }

    /// A round that ran out of signed commits long before its time says nothing; a smoke run never does.
    pub fn check_time(&self, outcome: &Outcome, section: &mut Section) {
        if !self.quick && outcome.elapsed < self.time.mul_f64(0.9) {
            section.void("a round ran out of signed commits: raise --per-second");
        }
    }

    /// Starts a node again with nothing of its data in the page cache; answers when it was executed. A smoke run leaves the page cache
    /// to the machine's other programs.
    pub fn restart_cold(&self, node: &mut Node, end: End, section: &mut Section) -> anyhow::Result<Instant> {
        let mut dropped = Ok(());
        let executed = node.restart(end, || {
            if !self.quick {
                dropped = machine::drop_page_cache();
            }
        })?;
        if let Err(reason) = dropped {
            section.void(&reason);
        }
        Ok(executed)
    }

    /// How long signatures are measured for, each way.
    pub fn signature_time(&self) -> Duration {
        if self.quick { Duration::from_millis(50) } else { Duration::from_secs(2) }
    }

    /// The options as they would be typed, each with a space before it.
    pub fn options(&self) -> String {
        let mut text =
            format!(" --rounds {} --seconds {} --clients {}", self.rounds, self.time.as_secs_f64(), self.clients);
        for (set, flag) in [(self.alone, " --alone"), (self.quick, " --quick")] {
            if set {
                text.push_str(flag);
            }
        }
        text
    }

    /// The profile that the node was built with, as its folder says.
    pub fn profile(&self) -> String {
        let folder = self.encd.parent().and_then(|path| path.file_name());
        folder.map_or("unknown".into(), |name| name.to_string_lossy().into_owned())
    }
}
