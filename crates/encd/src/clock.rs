//! The time, as the node is told it: the machine's clock, or one given from outside so that a run can be repeated byte for byte.

use protocol::commit::CLOCK_SKEW_MS;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the epoch, whenever asked.
#[derive(Clone)]
pub struct Clock {
    read: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// The latest time that it has told.
    latest: Arc<AtomicU64>,
}

impl Clock {
    /// The machine's.
    pub fn system() -> Clock {
        Clock::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(protocol::MAX_INTEGER)
        })
    }

    /// Any other.
    pub fn new(read: impl Fn() -> u64 + Send + Sync + 'static) -> Clock {
        Clock { read: Arc::new(read), latest: Arc::default() }
    }

    /// The time.
    pub fn now(&self) -> u64 {
        let now = (self.read)();
        self.latest.fetch_max(now, Ordering::Relaxed);
        now
    }

    /// Whether it was set back by more than an enclave bears: those that have taken an event shortly before refuse further ones with
    /// `clock_behind`.
    pub fn is_behind(&self) -> bool {
        self.now().saturating_add(CLOCK_SKEW_MS) < self.latest.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_behind_until_it_has_caught_up() {
        let time = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&time);
        let clock = Clock::new(move || told.load(Ordering::Relaxed));
        for (now, behind) in [
            (1_000_000, false),
            (940_000, false),
            (939_999, true),
            (0, true),
            (940_000, false),
            (2_000_000, false),
            (1_000_000, true),
        ] {
            time.store(now, Ordering::Relaxed);
            assert_eq!(clock.clone().is_behind(), behind, "{now}");
        }
    }
}
