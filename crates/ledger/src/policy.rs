//! The rules of one ledger, kept in its log as a whole (ledger.md 2 and 3): TOML, in one spelling.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use crate::entry::Mode;
use crate::policy_text::{Section, read, write_text};
use crate::time::Period;
use crate::value::{ClassName, Mark};

/// The longest policy, in bytes.
pub const MAX_POLICY_LEN: usize = 256 * 1024;
/// How large a payload may be to stand in a pack, in bytes, unless a policy says otherwise.
pub const PACK_MAX: u64 = 64 * 1024;
/// The largest `pack_max`, so that a pack stays below 256 MiB.
pub const MAX_PACK_MAX: u64 = 1024 * 1024;

/// The rules of one ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Who may shorten retentions. Goes to compliance, never back.
    pub mode: Mode,
    /// The largest payload that stands in a pack, in bytes.
    pub pack_max: u64,
    /// Whether whoever appended or placed may not release, shorten or dispose.
    pub four_eyes: bool,
    /// Whether disposal needs a time from outside.
    pub outside_time: bool,
    /// Whether nothing is answered before the audit entry is durable.
    pub fail_closed: bool,
    /// Whether hold, retention, disposal and export must name a person.
    pub require_individual: bool,
    /// Whether anybody reads the checkpoint.
    pub checkpoint_public: bool,
    /// Whether anybody reads tiles.
    pub tiles_public: bool,
    /// How long what has no class and no date is kept; without it, for ever.
    pub default_period: Option<Period>,
    /// The verifier key of the audit ledger.
    pub audit_vkey: Option<String>,
    /// The verifier key that may take over.
    pub successor: Option<String>,
    /// The witnesses and their quorum: lines of a tlog-policy.
    pub quorum: Vec<String>,
    /// The retention classes.
    pub classes: BTreeMap<ClassName, Class>,
}

/// A retention class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// How long.
    pub period: Period,
    /// The event that it is counted from; without it, from the day of the record.
    pub after: Option<Mark>,
    /// Whether payloads are stored as ciphertext.
    pub encrypted: bool,
}

impl Default for Policy {
    /// Governance mode, no periods, nobody reads without a token.
    fn default() -> Policy {
        Policy {
            mode: Mode::Governance,
            pack_max: PACK_MAX,
            four_eyes: false,
            outside_time: false,
            fail_closed: false,
            require_individual: false,
            checkpoint_public: false,
            tiles_public: false,
            default_period: None,
            audit_vkey: None,
            successor: None,
            quorum: Vec::new(),
            classes: BTreeMap::new(),
        }
    }
}

/// Why a text is not a policy in its one spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// Longer than [`MAX_POLICY_LEN`].
    TooLong,
    /// A line that no policy has, or that stands elsewhere in the one spelling.
    Line(usize),
    /// A member has a value that it cannot have.
    Value(&'static str),
    /// Every part can be read, but the one spelling is another.
    Spelling,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyError::TooLong => f.write_str("policy is too long"),
            PolicyError::Line(line) => write!(f, "line {line} of the policy is malformed"),
            PolicyError::Value(name) => write!(f, "policy has a malformed {name}"),
            PolicyError::Spelling => f.write_str("policy is not in its one spelling"),
        }
    }
}

impl core::error::Error for PolicyError {}

impl Policy {
    /// Reads the one spelling of a policy.
    ///
    /// # Errors
    /// Any [`PolicyError`].
    pub fn parse(text: &str) -> Result<Policy, PolicyError> {
        if text.len() > MAX_POLICY_LEN {
            return Err(PolicyError::TooLong);
        }
        let mut sections = read(text)?.into_iter();
        let mut top = sections.next().ok_or(PolicyError::Spelling)?.1;
        let mut policy = Policy::of(&mut top)?;
        top.finish()?;
        for (name, mut section) in sections {
            let name = ClassName::parse(&name).ok_or(PolicyError::Value("class"))?;
            let class = Class {
                period: section.text("for")?.and_then(|text| Period::parse(&text)).ok_or(PolicyError::Value("for"))?,
                after: parsed(section.text("after")?, "after", Mark::parse)?,
                encrypted: section.flag("encrypted")?,
            };
            section.finish()?;
            policy.classes.insert(name, class);
        }
        if policy.to_string() == text { Ok(policy) } else { Err(PolicyError::Spelling) }
    }

    fn of(top: &mut Section) -> Result<Policy, PolicyError> {
        Ok(Policy {
            mode: parsed(top.text("mode")?, "mode", Mode::parse)?.ok_or(PolicyError::Value("mode"))?,
            pack_max: top
                .number("pack_max")?
                .filter(|max| *max <= MAX_PACK_MAX)
                .ok_or(PolicyError::Value("pack_max"))?,
            four_eyes: top.flag("four_eyes")?,
            outside_time: top.flag("outside_time")?,
            fail_closed: top.flag("fail_closed")?,
            require_individual: top.flag("require_individual")?,
            checkpoint_public: top.flag("checkpoint_public")?,
            tiles_public: top.flag("tiles_public")?,
            default_period: parsed(top.text("default_period")?, "default_period", Period::parse)?,
            audit_vkey: top.text("audit_vkey")?,
            successor: top.text("successor")?,
            quorum: top.texts("quorum")?,
            classes: BTreeMap::new(),
        })
    }

    /// What a newer policy lowers that may not be lowered in compliance mode (ledger.md 2), if anything. What names other keys is not judged here.
    pub fn lowered_by(&self, newer: &Policy) -> Option<&'static str> {
        let off = |old: bool, new: bool| old && !new;
        let shorter = |old: Option<Period>, new: Option<Period>| match (old, new) {
            (Some(old), Some(new)) => new.is_shorter_somewhere(old),
            (None, Some(_)) | (Some(_), None) | (None, None) => old.is_some(),
        };
        let class = |name: &ClassName, old: &Class| match newer.classes.get(name) {
            Some(new) => {
                new.after != old.after || new.encrypted != old.encrypted || shorter(Some(old.period), Some(new.period))
            }
            None => true,
        };
        let rules = [
            (newer.mode < self.mode, "mode"),
            (off(self.four_eyes, newer.four_eyes), "four_eyes"),
            (off(self.outside_time, newer.outside_time), "outside_time"),
            (off(self.fail_closed, newer.fail_closed), "fail_closed"),
            (off(self.require_individual, newer.require_individual), "require_individual"),
            (shorter(self.default_period, newer.default_period), "default_period"),
            (self.classes.iter().any(|(name, old)| class(name, old)), "class"),
            (self.quorum.iter().any(|line| !newer.quorum.contains(line)), "quorum"),
            // Opened to everybody is lowered.
            (off(newer.tiles_public, self.tiles_public), "tiles_public"),
            (off(newer.checkpoint_public, self.checkpoint_public), "checkpoint_public"),
        ];
        rules.into_iter().find(|(lowered, _)| *lowered).map(|(_, name)| name)
    }
}

fn parsed<T>(
    text: Option<String>,
    name: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, PolicyError> {
    text.map(|text| read(&text).ok_or(PolicyError::Value(name))).transpose()
}

/// The one spelling.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        writeln!(out, "mode = \"{}\"\npack_max = {}", self.mode.as_str(), self.pack_max)?;
        for (name, flag) in [
            ("four_eyes", self.four_eyes),
            ("outside_time", self.outside_time),
            ("fail_closed", self.fail_closed),
            ("require_individual", self.require_individual),
            ("checkpoint_public", self.checkpoint_public),
            ("tiles_public", self.tiles_public),
        ] {
            writeln!(out, "{name} = {flag}")?;
        }
        let period = self.default_period.map(|period| period.to_string());
        for (name, text) in
            [("default_period", &period), ("audit_vkey", &self.audit_vkey), ("successor", &self.successor)]
        {
            if let Some(text) = text {
                write!(out, "{name} = ")?;
                write_text(text, &mut out);
                out.push('\n');
            }
        }
        out.push_str("quorum = [");
        for line in &self.quorum {
            out.push_str("\n  ");
            write_text(line, &mut out);
            out.push(',');
        }
        out.push_str(if self.quorum.is_empty() { "]\n" } else { "\n]\n" });
        for (name, class) in &self.classes {
            out.push_str("\n[class.");
            write_text(name.as_str(), &mut out);
            writeln!(out, "]\nfor = \"{}\"", class.period)?;
            if let Some(after) = &class.after {
                out.push_str("after = ");
                write_text(after.as_str(), &mut out);
                out.push('\n');
            }
            writeln!(out, "encrypted = {}", class.encrypted)?;
        }
        f.write_str(&out)
    }
}
