//! How far each witness is behind the logs that are shown to it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// By the witness's name in the policy file, then by log.
#[derive(Debug, Default)]
pub struct WitnessLag(Mutex<BTreeMap<String, BTreeMap<String, Behind>>>);

#[derive(Clone, Copy, Debug)]
struct Behind {
    entries: u64,
    /// Since when there has been a checkpoint that it has not cosigned.
    since: Option<Instant>,
}

impl WitnessLag {
    /// So many entries of a log are in its newest checkpoint and not in the one that this witness cosigned last. `signed`: it has cosigned the newest.
    pub fn note(&self, witness: &str, origin: &str, (entries, signed): (u64, bool)) {
        let mut witnesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let logs = witnesses.entry(witness.to_owned()).or_default();
        let since = logs.get(origin).and_then(|behind| behind.since);
        let since = (!signed).then(|| since.unwrap_or_else(Instant::now));
        logs.insert(origin.to_owned(), Behind { entries, since });
    }

    /// Writes it as Prometheus text, the worst log of each witness.
    pub fn render(&self, out: &mut String) {
        let takes = "text takes whatever is written";
        let witnesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        super::head(out, "gauge", ("encd_witness_lag_entries", "Entries of a log that a witness has not cosigned."));
        for (witness, logs) in witnesses.iter() {
            let entries = logs.values().map(|behind| behind.entries).max().unwrap_or(0);
            writeln!(out, "encd_witness_lag_entries{{witness=\"{}\"}} {entries}", escaped(witness)).expect(takes);
        }
        let help = "Since when a checkpoint waits for a witness.";
        super::head(out, "gauge", ("encd_witness_lag_seconds", help));
        for (witness, logs) in witnesses.iter() {
            let since = logs.values().filter_map(|behind| behind.since).min();
            let waited = since.map_or(0.0, |since| since.elapsed().as_secs_f64());
            writeln!(out, "encd_witness_lag_seconds{{witness=\"{}\"}} {waited:.3}", escaped(witness)).expect(takes);
        }
    }
}

/// As the value of a label is written.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lag: &WitnessLag) -> Vec<String> {
        let mut out = String::new();
        lag.render(&mut out);
        out.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn the_worst_log_of_each_witness() {
        let lag = WitnessLag::default();
        lag.note("near", "heads", (0, true));
        lag.note("near", "enclave", (0, true));
        lag.note("a \"far\" one", "heads", (3, false));
        lag.note("a \"far\" one", "enclave", (7, false));
        let told = lines(&lag);
        assert_eq!(told[0], "encd_witness_lag_entries{witness=\"a \\\"far\\\" one\"} 7");
        assert_eq!(told[1], "encd_witness_lag_entries{witness=\"near\"} 0");
        assert_eq!(told[3], "encd_witness_lag_seconds{witness=\"near\"} 0.000");
    }

    #[test]
    fn waits_from_the_first_checkpoint_that_was_not_cosigned() {
        let lag = WitnessLag::default();
        lag.note("w", "heads", (1, false));
        let first = lag.0.lock().expect("no panic")["w"]["heads"].since;
        lag.note("w", "heads", (2, false));
        let kept = lag.0.lock().expect("no panic")["w"]["heads"].since;
        assert!(first.is_some() && first == kept);
        lag.note("w", "heads", (0, true));
        assert!(lag.0.lock().expect("no panic")["w"]["heads"].since.is_none());
    }
}
