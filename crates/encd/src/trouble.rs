//! What a writer cannot do at present, for `/readyz`. Whatever is refused because of it is refused by itself.

use protocol::Code;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

/// What is wrong with a shard; the later the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The mark outside the database could not be written. Everything is taken; an older copy put back now might not be noticed.
    MarkBehind = 1,
    /// There was no room for what was to be written.
    DiskFull = 2,
}

/// How a shard stands: written by its writer, read by whoever asks.
#[derive(Debug, Default)]
pub struct Standing(AtomicU8);

impl Trouble {
    /// What it means that the mark could not be written.
    pub fn of_mark(error: &io::Error) -> Trouble {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::DiskFull,
            _ => Trouble::MarkBehind,
        }
    }

    /// How it is told to who asked for a file that could not be written: as for a statement that could not be.
    pub fn code(error: &io::Error) -> Code {
        match Trouble::of_mark(error) {
            Trouble::DiskFull => Code::Overloaded,
            Trouble::MarkBehind => Code::Internal,
        }
    }

    /// What `/readyz` says.
    pub fn name(self) -> &'static str {
        match self {
            Trouble::MarkBehind => "mark_behind",
            Trouble::DiskFull => "disk_full",
        }
    }
}

impl Standing {
    /// Notes how it stands.
    pub fn note(&self, trouble: Option<Trouble>) {
        self.0.store(trouble.map_or(0, |trouble| trouble as u8), Ordering::Relaxed);
    }

    /// What is wrong.
    pub fn trouble(&self) -> Option<Trouble> {
        let noted = self.0.load(Ordering::Relaxed);
        [Trouble::MarkBehind, Trouble::DiskFull].into_iter().find(|trouble| *trouble as u8 == noted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_told() {
        let standing = Standing::default();
        assert_eq!(standing.trouble(), None);
        for trouble in [Some(Trouble::DiskFull), Some(Trouble::MarkBehind), None] {
            standing.note(trouble);
            assert_eq!(standing.trouble(), trouble);
        }
    }

    #[test]
    fn no_room_is_no_room_for_the_mark_too() {
        for (kind, expected) in [
            (io::ErrorKind::StorageFull, Trouble::DiskFull),
            (io::ErrorKind::QuotaExceeded, Trouble::DiskFull),
            (io::ErrorKind::Other, Trouble::MarkBehind),
            (io::ErrorKind::WriteZero, Trouble::MarkBehind),
        ] {
            assert_eq!(Trouble::of_mark(&io::Error::from(kind)), expected, "{kind:?}");
        }
    }
}
