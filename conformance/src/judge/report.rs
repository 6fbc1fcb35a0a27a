//! What came of the checks, for people and for programs.

use super::Check;
use super::why::Why;
use protocol::Json;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The node does as demanded.
    Passed,
    /// It does not.
    Failed(Why),
    /// The check was not made.
    NotApplicable(&'static str),
}

/// A check and what came of it.
pub struct Report {
    /// The check.
    pub check: &'static Check,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// How many there were of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Green.
    pub passed: usize,
    /// Red.
    pub failed: usize,
    /// Not made, by reason.
    pub not_applicable: BTreeMap<&'static str, usize>,
}

impl Report {
    /// Whether it is red.
    pub fn is_red(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }
}

impl Sum {
    /// Counts reports.
    pub fn of(reports: &[Report]) -> Sum {
        let mut sum = Sum::default();
        for report in reports {
            match &report.outcome {
                Outcome::Passed => sum.passed += 1,
                Outcome::Failed(_) => sum.failed += 1,
                Outcome::NotApplicable(why) => *sum.not_applicable.entry(why).or_default() += 1,
            }
        }
        sum
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Check { name, section, demand, .. } = self.check;
        match &self.outcome {
            Outcome::Passed => write!(f, "pass  {name}  [{section}]"),
            Outcome::Failed(why) => write!(f, "FAIL  {name}  [{section}] {demand}\n      {why}"),
            Outcome::NotApplicable(why) => write!(f, "n/a   {name}  [{section}] {why}"),
        }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped: usize = self.not_applicable.values().sum();
        write!(f, "{} passed, {} failed, {skipped} not applicable", self.passed, self.failed)?;
        let reasons: Vec<String> = self.not_applicable.iter().map(|(why, count)| format!("{count}: {why}")).collect();
        if reasons.is_empty() { Ok(()) } else { write!(f, " ({})", reasons.join("; ")) }
    }
}

/// All of it as one JSON text.
pub fn to_json(reports: &[Report]) -> Json {
    let sum = Sum::of(reports);
    let count = |count: usize| Json::from(count as u64);
    let row = |report: &Report| {
        let (outcome, why) = match &report.outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Failed(why) => ("failed", Some(why.to_string())),
            Outcome::NotApplicable(why) => ("not_applicable", Some((*why).to_owned())),
        };
        let mut members = vec![
            ("name", Json::from(report.check.name)),
            ("section", Json::from(report.check.section)),
            ("demand", Json::from(report.check.demand)),
            ("outcome", Json::from(outcome)),
            ("ms", Json::from(u64::try_from(report.took.as_millis()).unwrap_or(protocol::MAX_INTEGER))),
        ];
        members.extend(why.map(|why| ("why", Json::from(why))));
        Json::object(members)
    };
    Json::object([
        ("passed", count(sum.passed)),
        ("failed", count(sum.failed)),
        ("not_applicable", count(sum.not_applicable.values().sum())),
        ("checks", Json::Array(reports.iter().map(row).collect())),
    ])
}
