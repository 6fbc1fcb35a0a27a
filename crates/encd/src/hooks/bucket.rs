//! Token buckets in bounded memory: one allowance a key, refilled at a steady rate.
//!
//! A bucket is one number, the time at which it will be full again. Nothing ticks, and a bucket that is full is the same as none, so
//! what is idle can be forgotten without anybody gaining by it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;
/// Nanoseconds of an hour.
pub const HOUR: u64 = 3600 * SECOND;
/// Between two sweeps of a full map: a sweep looks at every bucket, and a flood of keys must not buy one a request.
const SWEEP_INTERVAL: u64 = SECOND / 10;

/// How much one key may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// So many units are refilled in each period; 0: no limit at all.
    pub rate: u64,
    /// The period, in nanoseconds.
    pub period: u64,
    /// A full bucket holds so many units.
    pub burst: u64,
}

/// The buckets of many keys.
#[derive(Debug)]
pub struct Buckets<K> {
    allowance: Allowance,
    capacity: usize,
    inner: Mutex<Inner<K>>,
}

#[derive(Debug)]
struct Inner<K> {
    /// When each will be full again, in nanoseconds of the caller's clock.
    full_at: HashMap<K, u64>,
    /// The bucket that all share for whom there is no room.
    shared: u64,
    swept_at: u64,
}

impl<K: Hash + Eq> Buckets<K> {
    /// Buckets with this allowance each; at most `capacity` of them are told apart, the rest share one.
    pub fn new(allowance: Allowance, capacity: usize) -> Buckets<K> {
        let inner = Inner { full_at: HashMap::new(), shared: 0, swept_at: 0 };
        Buckets { allowance, capacity, inner: Mutex::new(inner) }
    }

    /// Takes `units` out of a key's bucket, or answers `false` and takes none. `now` in nanoseconds, never going back.
    pub fn take(&self, key: K, units: u64, now: u64) -> bool {
        if self.allowance.rate == 0 {
            return true;
        }
        let (cost, depth) = (self.time_of(units), self.time_of(self.allowance.burst));
        self.with_bucket(key, now, |full_at| {
            let after = (*full_at).max(now).saturating_add(cost);
            let enough = after - now <= depth;
            if enough {
                *full_at = after;
            }
            enough
        })
    }

    /// Whether `take` of one unit would be given. Changes nothing.
    pub fn has_one(&self, key: &K, now: u64) -> bool {
        if self.allowance.rate == 0 {
            return true;
        }
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = match inner.full_at.get(key) {
            Some(full_at) => *full_at,
            None if inner.full_at.len() < self.capacity => return true,
            None => inner.shared,
        };
        let after = full_at.max(now).saturating_add(self.time_of(1));
        after - now <= self.time_of(self.allowance.burst)
    }

    /// Takes `units` whatever is left: what is owed is refilled first.
    pub fn charge(&self, key: K, units: u64, now: u64) {
        if self.allowance.rate == 0 {
            return;
        }
        let cost = self.time_of(units);
        self.with_bucket(key, now, |full_at| *full_at = (*full_at).max(now).saturating_add(cost));
    }

    /// The allowance.
    pub fn allowance(&self) -> Allowance {
        self.allowance
    }

    /// How long it takes to refill so many units, in nanoseconds.
    fn time_of(&self, units: u64) -> u64 {
        let time = u128::from(units) * u128::from(self.allowance.period) / u128::from(self.allowance.rate);
        u64::try_from(time).unwrap_or(u64::MAX)
    }

    fn with_bucket<T>(&self, key: K, now: u64, change: impl FnOnce(&mut u64) -> T) -> T {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full_at) = inner.full_at.get_mut(&key) {
            return change(full_at);
        }
        if inner.full_at.len() >= self.capacity && now.saturating_sub(inner.swept_at) >= SWEEP_INTERVAL {
            inner.swept_at = now;
            inner.full_at.retain(|_, full_at| *full_at > now);
        }
        if inner.full_at.len() >= self.capacity {
            return change(&mut inner.shared);
        }
        change(inner.full_at.entry(key).or_insert(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(rate: u64, burst: u64, capacity: usize) -> Buckets<u32> {
        Buckets::new(Allowance { rate, period: SECOND, burst }, capacity)
    }

    #[test]
    fn a_burst_then_the_rate() {
        // Ten a second, three at once: (at which tenth of a second, units, taken).
        let rows = [
            (0, 1, true),
            (0, 1, true),
            (0, 1, true),
            (0, 1, false),
            (1, 1, true),
            (1, 1, false),
            (3, 3, false),
            (3, 2, true),
            (4, 2, false),
            (100, 4, false),
            (100, 3, true),
            (100, 1, false),
        ];
        let buckets = buckets(10, 3, 8);
        for (place, (tenths, units, taken)) in rows.into_iter().enumerate() {
            let now = SECOND + tenths * SECOND / 10;
            assert_eq!(buckets.take(7, units, now), taken, "row {place}");
        }
        assert!(buckets.take(8, 3, SECOND), "another key has a bucket of its own");
    }

    #[test]
    fn no_rate_is_no_limit() {
        let buckets = buckets(0, 0, 1);
        for key in 0..100 {
            assert!(buckets.take(key, u64::MAX, 0));
        }
    }

    #[test]
    fn a_charge_may_overdraw_and_is_owed() {
        let buckets = buckets(10, 10, 8);
        assert!(buckets.has_one(&1, 0));
        buckets.charge(1, 30, 0);
        for (tenths, open) in [(0, false), (10, false), (20, false), (21, true)] {
            assert_eq!(buckets.has_one(&1, tenths * SECOND / 10), open, "after {tenths} tenths");
        }
    }

    #[test]
    fn memory_is_bounded_and_strangers_share() {
        let buckets = buckets(1, 2, 4);
        for key in 0..4 {
            assert!(buckets.take(key, 1, 0));
        }
        // No room: 5, 6 and 7 are served from one bucket of two.
        assert!(buckets.take(5, 1, 0) && buckets.take(6, 1, 0) && !buckets.take(7, 1, 0));
        assert!(!buckets.has_one(&8, 0));
        assert!(buckets.take(0, 1, 0), "who was known keeps its own");
        // A second later the four are full again and make room; key 0 took twice and is not.
        assert!(buckets.take(7, 2, SECOND));
        assert_eq!(buckets.inner.lock().expect("not poisoned").full_at.len(), 2);
    }

    #[test]
    fn a_flood_of_keys_does_not_buy_a_sweep_each() {
        let buckets = buckets(10, 1, 1);
        assert!(buckets.take(0, 1, SECOND) && buckets.take(1, 1, SECOND));
        let swept_at = buckets.inner.lock().expect("not poisoned").swept_at;
        assert_eq!(swept_at, SECOND);
        buckets.take(2, 1, SECOND + SWEEP_INTERVAL - 1);
        assert_eq!(buckets.inner.lock().expect("not poisoned").swept_at, swept_at);
    }

    /// Whatever the pattern of asking, no more is given than the burst and what was refilled.
    #[test]
    fn never_more_than_burst_and_rate() {
        for seed in 1..50_u64 {
            let buckets = buckets(seed * 7 % 50 + 1, seed % 9 + 1, 2);
            let (mut state, mut now, mut given) = (seed, 0, 0);
            for _ in 0..500 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                now += (state >> 40) * 10;
                let units = state >> 62;
                let foretold = buckets.has_one(&0, now);
                let taken = buckets.take(0, units, now);
                assert!(units != 1 || taken == foretold, "seed {seed}: asked and taken differ");
                given += if taken { units } else { 0 };
            }
            let Allowance { rate, burst, .. } = buckets.allowance();
            let most = u128::from(burst) + u128::from(now) * u128::from(rate) / u128::from(SECOND) + 1;
            assert!(u128::from(given) <= most, "seed {seed}: {given} given, {most} allowed");
            assert!(given > 0, "seed {seed}: nothing was ever given");
        }
    }
}
