//! A histogram with fixed bounds.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Microseconds, shown as seconds.
    Micros,
}

/// How often a value was within which bound.
#[derive(Debug)]
pub struct Histogram {
    /// Upper bounds, each included, ascending.
    bounds: &'static [u64],
    unit: Unit,
    /// One for each bound, and one for what is beyond the last; each value counts in one only.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// An empty one.
    pub fn new(bounds: &'static [u64], unit: Unit) -> Histogram {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, unit, counts, sum: AtomicU64::new(0) }
    }

    /// Counts a value.
    pub fn note(&self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a time.
    pub fn note_time(&self, time: Duration) {
        self.note(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The sum of all values.
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// Writes it as Prometheus text: buckets count all that is at most their bound.
    pub fn render(&self, out: &mut String, name: &str, help: &str) {
        const TAKES: &str = "text takes whatever is written";
        write!(out, "# HELP {name} {help}\n# TYPE {name} histogram\n").expect(TAKES);
        let mut within = 0;
        for (place, count) in self.counts.iter().enumerate() {
            within += count.load(Ordering::Relaxed);
            match self.bounds.get(place) {
                Some(bound) => writeln!(out, "{name}_bucket{{le=\"{}\"}} {within}", self.text(*bound)),
                None => writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {within}"),
            }
            .expect(TAKES);
        }
        write!(out, "{name}_sum {}\n{name}_count {within}\n", self.text(self.sum())).expect(TAKES);
    }

    fn text(&self, value: u64) -> String {
        match self.unit {
            Unit::Count => value.to_string(),
            Unit::Micros if value.is_multiple_of(1_000_000) => (value / 1_000_000).to_string(),
            Unit::Micros => {
                let seconds = format!("{}.{:06}", value / 1_000_000, value % 1_000_000);
                seconds.trim_end_matches('0').to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendered_whole() {
        let histogram = Histogram::new(&[100, 1_500_000], Unit::Micros);
        for micros in [0, 100, 101, 1_500_000, 1_500_001] {
            histogram.note(micros);
        }
        let mut out = String::new();
        histogram.render(&mut out, "x_seconds", "What x took.");
        let expected = "# HELP x_seconds What x took.\n# TYPE x_seconds histogram\n\
            x_seconds_bucket{le=\"0.0001\"} 2\nx_seconds_bucket{le=\"1.5\"} 4\nx_seconds_bucket{le=\"+Inf\"} 5\n\
            x_seconds_sum 3.000202\nx_seconds_count 5\n";
        assert_eq!(out, expected);
    }
}
