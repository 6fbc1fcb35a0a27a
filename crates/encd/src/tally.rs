//! How many of something each holds at once, with one limit for all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts by holder. Cheap to clone.
pub struct Tally<K> {
    limit: usize,
    counts: Arc<Mutex<HashMap<K, usize>>>,
}

/// One that is held; given back when dropped.
pub struct Held<K: Hash + Eq> {
    holder: K,
    counts: Arc<Mutex<HashMap<K, usize>>>,
}

impl<K: Hash + Eq + Clone> Tally<K> {
    /// At most `limit` for each holder.
    pub fn new(limit: usize) -> Tally<K> {
        Tally { limit, counts: Arc::default() }
    }

    /// One more, unless the holder has as many as it may.
    pub fn take(&self, holder: &K) -> Option<Held<K>> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(holder.clone()).or_default();
        if *count >= self.limit {
            if *count == 0 {
                counts.remove(holder);
            }
            return None;
        }
        *count += 1;
        Some(Held { holder: holder.clone(), counts: Arc::clone(&self.counts) })
    }

    /// All together.
    pub fn sum(&self) -> usize {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// The limit of each.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

impl<K: Hash + Eq> Drop for Held<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_limit_and_leaves_nothing_behind() {
        let tally = Tally::new(2);
        let (first, second) = (tally.take(&"a"), tally.take(&"a"));
        assert!(first.is_some() && second.is_some() && tally.take(&"a").is_none());
        let other = tally.take(&"b");
        assert!(other.is_some());
        assert_eq!(tally.sum(), 3);
        drop(first);
        assert!(tally.take(&"a").is_some(), "what was given back can be taken again");
        drop((second, other));
        assert_eq!((tally.sum(), tally.counts.lock().expect("not poisoned").len()), (0, 0));
    }
}
