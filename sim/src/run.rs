//! Running seeds: a world each, its failures caught and told.

use crate::broken::{Broken, Invariant};
use crate::interleaved::alike;
use crate::world::{Seen, World};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Steps of a world.
pub const STEPS: usize = 80;
/// In one of so many seeds enclaves are also played together and alone.
const ALIKE: u64 = 5;

/// What came of a seed.
pub struct Ran {
    /// What was seen, or what is broken.
    pub result: Result<Seen, Broken>,
    /// What happened, if it was to be kept.
    pub story: Vec<String>,
}

/// Runs the world of a seed for so many steps.
pub fn run(seed: u64, steps: usize, trace: bool) -> Ran {
    let mut world = World::new(seed, trace);
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let seen = world.live(steps)?;
        if seed.is_multiple_of(ALIKE) {
            alike(seed)?;
        }
        Ok(seen)
    }));
    let result = lived.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Invariant::NoPanic.broken(text.unwrap_or_default()))
    });
    Ran { story: world.story().to_vec(), result }
}
