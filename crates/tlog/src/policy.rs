//! Which logs are known, which witnesses are asked, and how many must have cosigned (C2SP tlog-policy).
//!
//! ```text
//! log <vkey> [<url>]
//! witness <name> <vkey> [<url>]
//! group <name> all|any|<k> <member>...
//! quorum <name>|none
//! ```

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::decimal;
use crate::note::Note;
use crate::vkey::{KeyKind, Vkey};

/// What `quorum` says when nobody has to cosign; no component may be called that.
const NONE: &str = "none";

/// A policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    components: Vec<Component>,
    quorum: Option<usize>,
}

/// A log that the policy is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Its key. The name of the key is the log's origin.
    pub vkey: Vkey,
    /// Where it is read.
    pub url: Option<String>,
}

/// A witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// What the file calls it.
    pub name: String,
    /// Its key.
    pub vkey: Vkey,
    /// Its submission prefix: `<url>/add-checkpoint` is where it is asked.
    pub url: Option<String>,
}

/// What a group or the quorum may name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Component {
    name: String,
    needs: Needs,
    is_member: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Needs {
    /// This witness, by its place.
    Witness(usize),
    /// So many of these components, which stand before it.
    Of(usize, Vec<usize>),
}

impl Policy {
    /// Reads a file.
    ///
    /// # Errors
    /// [`PolicyError`], with the number of the line, from 1; 0 where a line is missing.
    pub fn parse(text: &str) -> Result<Policy, PolicyError> {
        let (mut policy, mut quorum) = (Policy::empty(), None);
        for (place, line) in text.split('\n').enumerate() {
            let line = line.split('#').next().unwrap_or("");
            let fields: Vec<&str> = line.split([' ', '\t', '\r']).filter(|field| !field.is_empty()).collect();
            let read = match fields[..] {
                [] => Ok(()),
                ["log", vkey, ref url @ ..] if url.len() <= 1 => policy.add_log(vkey, url.first().copied()),
                ["witness", name, vkey, ref url @ ..] if url.len() <= 1 => {
                    policy.add_witness(name, vkey, url.first().copied())
                }
                ["group", name, threshold, ref members @ ..] if !members.is_empty() => {
                    policy.add_group(name, threshold, members)
                }
                ["quorum", name] if quorum.is_none() => policy.find_quorum(name).map(|found| quorum = Some(found)),
                _ => Err(Fault::Form),
            };
            read.map_err(|fault| PolicyError { line: place + 1, fault })?;
        }
        policy.quorum = quorum.ok_or(PolicyError { line: 0, fault: Fault::NoQuorum })?;
        Ok(policy)
    }

    /// Reads the `log` lines of a file, and no others: the list of a witness needs no quorum.
    ///
    /// # Errors
    /// As [`Policy::parse`].
    pub fn parse_logs(text: &str) -> Result<Vec<Log>, PolicyError> {
        let has_quorum = text.split('\n').any(|line| line.trim_start().starts_with("quorum"));
        let whole = if has_quorum { text.to_owned() } else { alloc::format!("{text}\nquorum {NONE}\n") };
        Ok(Policy::parse(&whole)?.logs)
    }

    /// The logs.
    pub fn logs(&self) -> &[Log] {
        &self.logs
    }

    /// The witnesses.
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// Whether enough witnesses have cosigned the checkpoint in a note. Lines that do not verify count as if they were not there.
    pub fn is_met(&self, note: &Note) -> bool {
        let signed = |witness: &Witness| {
            note.signatures().iter().any(|line| witness.vkey.verify_cosignature(note.text(), line).is_ok())
        };
        let signed: Vec<bool> = self.witnesses.iter().map(signed).collect();
        let mut met: Vec<bool> = Vec::with_capacity(self.components.len());
        for component in &self.components {
            met.push(match &component.needs {
                Needs::Witness(place) => signed[*place],
                Needs::Of(threshold, members) => members.iter().filter(|member| met[**member]).count() >= *threshold,
            });
        }
        self.quorum.is_none_or(|quorum| met[quorum])
    }

    fn empty() -> Policy {
        Policy { logs: Vec::new(), witnesses: Vec::new(), components: Vec::new(), quorum: None }
    }

    fn add_log(&mut self, vkey: &str, url: Option<&str>) -> Result<(), Fault> {
        let vkey = key(vkey, KeyKind::Ed25519)?;
        if self.logs.iter().any(|log| log.vkey.key() == vkey.key()) {
            return Err(Fault::KeyTwice);
        }
        self.logs.push(Log { vkey, url: url.map(ToOwned::to_owned) });
        Ok(())
    }

    fn add_witness(&mut self, name: &str, vkey: &str, url: Option<&str>) -> Result<(), Fault> {
        let vkey = key(vkey, KeyKind::CosignatureV1)?;
        if self.witnesses.iter().any(|witness| witness.vkey.key() == vkey.key()) {
            return Err(Fault::KeyTwice);
        }
        self.add_component(name, Needs::Witness(self.witnesses.len()))?;
        self.witnesses.push(Witness { name: name.to_owned(), vkey, url: url.map(ToOwned::to_owned) });
        Ok(())
    }

    fn add_group(&mut self, name: &str, threshold: &str, members: &[&str]) -> Result<(), Fault> {
        let mut places = Vec::with_capacity(members.len());
        for member in members {
            let place = self.find(member)?;
            if core::mem::replace(&mut self.components[place].is_member, true) {
                return Err(Fault::MemberTwice);
            }
            places.push(place);
        }
        let threshold = match threshold {
            "any" => 1,
            "all" => places.len(),
            number => decimal::parse(number).and_then(|number| usize::try_from(number).ok()).ok_or(Fault::Threshold)?,
        };
        if !(1..=places.len()).contains(&threshold) {
            return Err(Fault::Threshold);
        }
        self.add_component(name, Needs::Of(threshold, places))
    }

    fn add_component(&mut self, name: &str, needs: Needs) -> Result<(), Fault> {
        if name == NONE || self.components.iter().any(|component| component.name == name) {
            return Err(Fault::NameTwice);
        }
        self.components.push(Component { name: name.to_owned(), needs, is_member: false });
        Ok(())
    }

    fn find(&self, name: &str) -> Result<usize, Fault> {
        self.components.iter().position(|component| component.name == name).ok_or(Fault::UnknownName)
    }

    fn find_quorum(&self, name: &str) -> Result<Option<usize>, Fault> {
        if name == NONE { Ok(None) } else { self.find(name).map(Some) }
    }
}

fn key(text: &str, kind: KeyKind) -> Result<Vkey, Fault> {
    let vkey = Vkey::parse(text).map_err(|_| Fault::Key)?;
    if vkey.kind() == kind { Ok(vkey) } else { Err(Fault::Key) }
}

/// Why a text is no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// Which line, from 1; 0 where one is missing.
    pub line: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is none of the four kinds, or a second `quorum`.
    Form,
    /// It holds no verifier key of the kind that belongs there.
    Key,
    /// The same key stands in a line before it.
    KeyTwice,
    /// The name is taken, or is `none`.
    NameTwice,
    /// No line before it has that name.
    UnknownName,
    /// A member is a member of another group, or twice of this one.
    MemberTwice,
    /// The threshold is not `all`, `any` or a number from 1 to the count of members.
    Threshold,
    /// There is no `quorum`.
    NoQuorum,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match self.fault {
            Fault::Form => "is no log, witness, group or quorum",
            Fault::Key => "has no verifier key of the right kind",
            Fault::KeyTwice => "has a key that an earlier line has",
            Fault::NameTwice => "has a name that is taken",
            Fault::UnknownName => "names what no earlier line has",
            Fault::MemberTwice => "has a member that is in a group already",
            Fault::Threshold => "has a threshold that its members cannot reach",
            Fault::NoQuorum => return f.write_str("the policy has no quorum"),
        };
        write!(f, "line {} {fault}", self.line)
    }
}

impl core::error::Error for PolicyError {}
