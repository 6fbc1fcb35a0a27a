//! Why something asked for is not done: the rules of ledger.md 3 and 4. All change nothing.

use core::fmt;

use crate::time::Until;
use crate::value::Case;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// A member has a value that it cannot have.
    InvalidField(&'static str),
    /// The entry would be longer than 65,535 bytes.
    TooLarge,
    /// The digest that was given is not that of the bytes.
    DigestMismatch,
    /// The date is before what class or module ask for at least.
    RetentionTooShort,
    /// There is no such record or case.
    NotFound,
    /// The right to do it is missing.
    Forbidden(&'static str),
    /// The id is taken by something else.
    Conflict {
        /// By which entry.
        index: u64,
        /// What differs first.
        field: &'static str,
    },
    /// The payload has been disposed of.
    Disposed {
        /// Of which entry.
        index: u64,
    },
    /// It is still to be kept.
    Retained {
        /// Until.
        until: Until,
    },
    /// A case holds it.
    Held {
        /// Which.
        case: Case,
    },
    /// In compliance mode nobody does that.
    RetentionLocked,
    /// The case is released, and not used again.
    CaseClosed,
    /// The same hand may not do both.
    FourEyes,
    /// No time from outside says that the date has passed.
    NoOutsideTime,
    /// No checkpoint covers it yet.
    NotPublished,
    /// There is no checkpoint of this size.
    NoCheckpoint,
    /// The cursor is beyond the end.
    CursorAhead {
        /// The end.
        size: u64,
    },
}

impl Rejection {
    /// The code of ledger.md 4.
    pub fn code(&self) -> &'static str {
        match self {
            Rejection::InvalidField(_) => "invalid_field",
            Rejection::TooLarge => "too_large",
            Rejection::DigestMismatch => "digest_mismatch",
            Rejection::RetentionTooShort => "retention_too_short",
            Rejection::NotFound | Rejection::NoCheckpoint => "not_found",
            Rejection::Forbidden(_) => "forbidden",
            Rejection::Conflict { .. } => "conflict",
            Rejection::Disposed { .. } => "disposed",
            Rejection::Retained { .. } => "retained",
            Rejection::Held { .. } => "held",
            Rejection::RetentionLocked => "retention_locked",
            Rejection::CaseClosed => "case_closed",
            Rejection::FourEyes => "four_eyes",
            Rejection::NoOutsideTime => "no_outside_time",
            Rejection::NotPublished => "not_published",
            Rejection::CursorAhead { .. } => "cursor_ahead",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())?;
        match self {
            Rejection::InvalidField(field) => write!(f, ": {field}"),
            Rejection::Forbidden(scope) => write!(f, ": {scope}"),
            Rejection::Conflict { index, field } => write!(f, ": entry {index} has another {field}"),
            Rejection::Disposed { index } => write!(f, ": entry {index}"),
            Rejection::Retained { until } => write!(f, ": until {until}"),
            Rejection::Held { case } => write!(f, ": case {case}"),
            Rejection::CursorAhead { size } => write!(f, ": the size is {size}"),
            Rejection::TooLarge
            | Rejection::DigestMismatch
            | Rejection::RetentionTooShort
            | Rejection::NotFound
            | Rejection::NoCheckpoint
            | Rejection::RetentionLocked
            | Rejection::CaseClosed
            | Rejection::FourEyes
            | Rejection::NoOutsideTime
            | Rejection::NotPublished => Ok(()),
        }
    }
}

impl core::error::Error for Rejection {}
