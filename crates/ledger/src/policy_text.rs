//! The little of TOML that a policy in its one spelling is written in: texts, numbers, flags, lists of texts, sections of classes.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::str::Lines;

use crate::policy::PolicyError;
use crate::value::parse_number;

enum Setting {
    Text(String),
    Number(u64),
    Flag(bool),
    Texts(Vec<String>),
}

/// The members of a section that are not taken yet.
#[derive(Default)]
pub(crate) struct Section(BTreeMap<String, Setting>);

impl Section {
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, PolicyError> {
        match self.0.remove(name) {
            Some(Setting::Text(text)) => Ok(Some(text)),
            None => Ok(None),
            Some(Setting::Number(_) | Setting::Flag(_) | Setting::Texts(_)) => Err(PolicyError::Value(name)),
        }
    }

    pub(crate) fn number(&mut self, name: &'static str) -> Result<Option<u64>, PolicyError> {
        match self.0.remove(name) {
            Some(Setting::Number(number)) => Ok(Some(number)),
            None => Ok(None),
            Some(Setting::Text(_) | Setting::Flag(_) | Setting::Texts(_)) => Err(PolicyError::Value(name)),
        }
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> Result<bool, PolicyError> {
        match self.0.remove(name) {
            Some(Setting::Flag(flag)) => Ok(flag),
            Some(Setting::Text(_) | Setting::Number(_) | Setting::Texts(_)) | None => Err(PolicyError::Value(name)),
        }
    }

    pub(crate) fn texts(&mut self, name: &'static str) -> Result<Vec<String>, PolicyError> {
        match self.0.remove(name) {
            Some(Setting::Texts(texts)) => Ok(texts),
            Some(Setting::Text(_) | Setting::Number(_) | Setting::Flag(_)) | None => Err(PolicyError::Value(name)),
        }
    }

    pub(crate) fn finish(self) -> Result<(), PolicyError> {
        if self.0.is_empty() { Ok(()) } else { Err(PolicyError::Spelling) }
    }
}

/// The sections of a text, the first without a name.
pub(crate) fn read(text: &str) -> Result<Vec<(String, Section)>, PolicyError> {
    let mut lines = text.lines();
    let mut sections = Vec::from([(String::new(), Section::default())]);
    let mut number = 0;
    while let Some(line) = lines.next() {
        number += 1;
        let wrong = PolicyError::Line(number);
        if line.is_empty() {
            continue;
        }
        if let Some(name) = line.strip_prefix("[class.").and_then(|rest| rest.strip_suffix(']')) {
            sections.push((read_text(name).ok_or(wrong)?, Section::default()));
            continue;
        }
        let (name, value) = line.split_once(" = ").ok_or(wrong)?;
        let setting = match value {
            "true" | "false" => Setting::Flag(value == "true"),
            "[]" => Setting::Texts(Vec::new()),
            "[" => Setting::Texts(read_list(&mut lines, &mut number)?),
            _ if value.starts_with('"') => Setting::Text(read_text(value).ok_or(wrong)?),
            _ => Setting::Number(parse_number(value).ok_or(wrong)?),
        };
        let section = &mut sections.last_mut().expect("the first has no name").1;
        if section.0.insert(name.to_owned(), setting).is_some() {
            return Err(wrong);
        }
    }
    Ok(sections)
}

fn read_list(lines: &mut Lines<'_>, number: &mut usize) -> Result<Vec<String>, PolicyError> {
    let mut texts = Vec::new();
    loop {
        *number += 1;
        let wrong = PolicyError::Line(*number);
        match lines.next().ok_or(wrong)? {
            "]" => return Ok(texts),
            line => {
                let text = line.strip_prefix("  ").and_then(|line| line.strip_suffix(','));
                texts.push(text.and_then(read_text).ok_or(wrong)?);
            }
        }
    }
}

/// A basic string in its shortest spelling: only quote and backslash are escaped; a policy has no control characters.
pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

fn read_text(text: &str) -> Option<String> {
    let mut chars = text.strip_prefix('"')?.strip_suffix('"')?.chars();
    let mut out = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            '"' => return None,
            c if c.is_control() => return None,
            c => out.push(c),
        }
    }
    Some(out)
}
