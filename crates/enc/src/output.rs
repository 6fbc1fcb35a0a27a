//! What goes to standard output: lines for people, or one JSON text a line for programs.

use crate::failure::Failure;
use protocol::Json;
use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};

/// Standard output in one of its two forms.
#[derive(Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// For programs (`--json`) or for people.
    pub fn new(json: bool) -> Output {
        Output { json }
    }

    /// Whether it is for programs.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// A line for people; nothing for programs.
    pub fn line(self, text: impl Display) -> Result<(), Failure> {
        if self.json { Ok(()) } else { write(format_args!("{text}\n")) }
    }

    /// A JSON text for programs; nothing for people.
    pub fn json(self, value: &Json) -> Result<(), Failure> {
        if self.json { write(format_args!("{}\n", value.to_jcs())) } else { Ok(()) }
    }

    /// The one or the other.
    pub fn both(self, text: impl Display, value: &Json) -> Result<(), Failure> {
        self.line(text)?;
        self.json(value)
    }

    /// Text as it is, in both forms: what is meant to be piped on.
    pub fn raw(self, text: impl Display) -> Result<(), Failure> {
        write(format_args!("{text}\n"))
    }
}

/// Shows how far a long work has come, on a terminal only.
pub struct Progress {
    shown: bool,
    what: &'static str,
}

impl Progress {
    /// Of this work.
    pub fn of(what: &'static str) -> Progress {
        Progress { shown: stderr().is_terminal(), what }
    }

    /// So many of so many.
    pub fn at(&self, done: u64, total: u64) {
        if self.shown {
            eprint!("\r{} {done} of {total} ", self.what);
        }
    }

    /// Clears the line.
    pub fn end(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}

fn write(text: std::fmt::Arguments<'_>) -> Result<(), Failure> {
    let mut out = stdout().lock();
    let written = out.write_fmt(text).and_then(|()| out.flush());
    written.map_err(|cause| match cause.kind() {
        ErrorKind::BrokenPipe => Failure::PipeClosed,
        _ => Failure::Output(cause),
    })
}
