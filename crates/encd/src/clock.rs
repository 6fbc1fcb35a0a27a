//! The time, as the node is told it: the machine's clock, or one given from outside so that a run can be repeated byte for byte.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the epoch, whenever asked.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

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
        Clock(Arc::new(read))
    }

    /// The time.
    pub fn now(&self) -> u64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
