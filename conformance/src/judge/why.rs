//! Why a check is red, and short ways of saying so.

use std::fmt::{self, Debug, Display};

/// What was seen in the place of what must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why(String);

/// The longest reason that is told: a page of events would bury it.
const MAX_LEN: usize = 400;

impl Why {
    /// A reason, shortened where it quotes too much.
    pub fn new(text: impl Into<String>) -> Why {
        let mut text: String = text.into();
        if text.len() > MAX_LEN {
            let end = (0..=MAX_LEN).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
            text.truncate(end);
            text.push('…');
        }
        Why(text)
    }

    /// The reason with what it is about before it.
    pub fn about(self, what: impl Display) -> Why {
        Why::new(format!("{what}: {}", self.0))
    }
}

impl Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is missing or wrong becomes a reason.
pub trait Because<T> {
    /// Says what it was.
    fn because(self, what: impl Display) -> Result<T, Why>;
}

impl<T, E: Debug> Because<T> for Result<T, E> {
    fn because(self, what: impl Display) -> Result<T, Why> {
        self.map_err(|error| Why::new(format!("{what}: {error:?}")))
    }
}

impl<T> Because<T> for Option<T> {
    fn because(self, what: impl Display) -> Result<T, Why> {
        self.ok_or_else(|| Why::new(format!("{what}: there is none")))
    }
}

/// Demands that something holds.
pub fn hold(holds: bool, what: impl Display) -> Result<(), Why> {
    if holds { Ok(()) } else { Err(Why::new(what.to_string())) }
}

/// Demands that two things are equal.
pub fn equal<T: PartialEq + Debug>(what: impl Display, found: T, wanted: T) -> Result<(), Why> {
    if found == wanted { Ok(()) } else { Err(Why::new(format!("{what}: {found:?}, not {wanted:?}"))) }
}
