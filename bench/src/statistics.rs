//! Medians, spreads, percentiles, and how numbers are printed.

/// The middle one; of an even number, the upper of the two. NaN of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// From the least to the most, in percent of the median.
pub fn spread(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::MIN, f64::max);
    let least = values.iter().copied().fold(f64::MAX, f64::min);
    (most - least) / median(values) * 100.0
}

/// Latencies in microseconds, sorted.
pub struct Latencies(Vec<u32>);

impl Latencies {
    /// Of values in any order.
    pub fn new(mut micros: Vec<u32>) -> Latencies {
        micros.sort_unstable();
        Latencies(micros)
    }

    /// The milliseconds that `share` of the values stay within. NaN of none.
    pub fn ms(&self, share: f64) -> f64 {
        let place = ((self.0.len() as f64 * share) as usize).min(self.0.len().saturating_sub(1));
        self.0.get(place).map_or(f64::NAN, |micros| f64::from(*micros) / 1000.0)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// A rate or a count, with its thousands set apart.
pub fn whole(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_the_edges_and_nothing() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[1.0, 4.0]), 4.0);
        assert!(median(&[]).is_nan());
        assert_eq!(spread(&[90.0, 100.0, 110.0]), 20.0);
        let latencies = Latencies::new((1..=100).rev().map(|ms| ms * 1000).collect());
        assert_eq!((latencies.ms(0.5), latencies.ms(0.99), latencies.ms(1.0)), (51.0, 100.0, 100.0));
        assert!(Latencies::new(Vec::new()).ms(0.5).is_nan());
    }

    #[test]
    fn thousands_are_set_apart() {
        for (value, text) in [(0.0, "0"), (999.6, "1,000"), (12_345.0, "12,345"), (1e6, "1,000,000"), (f64::NAN, "–")]
        {
            assert_eq!(whole(value), text);
        }
    }
}
