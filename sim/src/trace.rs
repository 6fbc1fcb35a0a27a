//! What happens in a world: a digest of all of it, and the lines themselves where somebody wants to read them.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The story of a world.
#[derive(Default)]
pub struct Trace {
    hasher: DefaultHasher,
    story: Option<Vec<String>>,
    /// Crashes so far.
    pub crashes: usize,
}

impl Trace {
    /// Keeps the lines, or their digest only.
    pub fn new(keep: bool) -> Trace {
        Trace { story: keep.then(Vec::new), ..Trace::default() }
    }

    /// Something happened.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let line = line();
        line.hash(&mut self.hasher);
        if let Some(story) = &mut self.story {
            story.push(line);
        }
    }

    /// A number that differs where anything did.
    pub fn digest(&self) -> u64 {
        self.hasher.finish()
    }

    /// The lines, if they were kept.
    pub fn story(&self) -> &[String] {
        self.story.as_deref().unwrap_or_default()
    }
}
