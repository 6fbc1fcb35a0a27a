//! Deliveries that were sent and have not arrived, and for how long. What was sent by an earlier process is known when it is sent again.

use service::runtime::{FetchId, Fetched};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Deliveries that are followed; each endpoint has one under way.
const FOLLOWED: usize = 10_000;
/// Who hears nothing of a delivery for so long takes it that it was given up, or its endpoint removed: the longest pause between two attempts is 5 min.
const FORGOTTEN: Duration = Duration::from_secs(900);

/// By shard and row.
#[derive(Debug, Default)]
pub struct Undelivered(Mutex<HashMap<(usize, i64), Attempts>>);

#[derive(Clone, Copy, Debug)]
struct Attempts {
    first: Instant,
    last: Instant,
}

impl Undelivered {
    /// A request is sent.
    pub fn sent(&self, shard: usize, id: FetchId) {
        let FetchId::Delivery(row) = id else { return };
        let now = Instant::now();
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if followed.len() < FOLLOWED || followed.contains_key(&(shard, row)) {
            followed.entry((shard, row)).or_insert(Attempts { first: now, last: now }).last = now;
        }
    }

    /// A request has ended.
    pub fn ended(&self, shard: usize, id: FetchId, fetched: &Fetched) {
        let (FetchId::Delivery(row), Fetched::Answer(200..=299 | 410, _)) = (id, fetched) else { return };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(shard, row));
    }

    /// How many have not arrived, and how long ago the oldest was sent first.
    pub fn waiting(&self) -> (usize, Duration) {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        followed.retain(|_, attempts| attempts.last.elapsed() < FORGOTTEN);
        let oldest = followed.values().map(|attempts| attempts.first).min();
        (followed.len(), oldest.map_or(Duration::ZERO, |first| first.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_arrived_or_was_removed_waits_no_more() {
        let undelivered = Undelivered::default();
        undelivered.sent(0, FetchId::Challenge(1));
        assert_eq!(undelivered.waiting(), (0, Duration::ZERO));
        for row in 1..=4 {
            undelivered.sent(0, FetchId::Delivery(row));
        }
        undelivered.sent(1, FetchId::Delivery(1));
        undelivered.ended(0, FetchId::Delivery(1), &Fetched::Answer(204, Vec::new()));
        undelivered.ended(0, FetchId::Delivery(2), &Fetched::Answer(410, Vec::new()));
        undelivered.ended(0, FetchId::Delivery(3), &Fetched::Answer(500, Vec::new()));
        undelivered.ended(0, FetchId::Delivery(4), &Fetched::Failed);
        undelivered.sent(0, FetchId::Delivery(4));
        assert_eq!(undelivered.waiting().0, 3);
        assert!(undelivered.waiting().1 > Duration::ZERO);
    }
}
