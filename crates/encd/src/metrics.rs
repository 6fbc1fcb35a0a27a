//! What the node counts, as Prometheus reads it. No id, key, address or token is a label.
//!
//! | name | what |
//! |---|---|
//! | `encd_commits_total` | commits that got a receipt |
//! | `encd_commit_seconds` | from a commit's arrival to its answer |
//! | `encd_request_seconds` | from any other request's arrival to its answer |
//! | `encd_admit_seconds` | of that, the admission: rates, quotas, hooks |
//! | `encd_queue_seconds` | how long a request or an outbound answer waited before its writer |
//! | `encd_due_late_seconds` | how late the oldest of what was due began: bundles that close, deliveries that are tried |
//! | `encd_refusals_total{code}` | requests, lines and frames that were refused |
//! | `encd_transactions_total` | durable transactions |
//! | `encd_transaction_requests` | requests in one transaction |
//! | `encd_sync_requests_max` | most requests that one sync has made durable |
//! | `encd_transaction_seconds` | from a transaction's begin to the end of its COMMIT |
//! | `encd_durable_seconds` | from the end of COMMIT until the disk has it and it may be told |
//! | `encd_fsync_seconds` | a sync of the write-ahead log |
//! | `encd_queue_kib` | what waits before the writers |
//! | `encd_reads_waiting` | what waits before the readers |
//! | `encd_overdue_seconds` | since when the earliest of what is due has been due, 0 while nothing is: bundles that close, deliveries that are tried |
//! | `encd_bundle_oldest_seconds` | how long ago the oldest open bundle began, of the enclaves with something due first |
//! | `encd_push_oldest_seconds` | how long ago the oldest delivery that has not arrived was sent first, by this process |
//! | `encd_push_waiting` | deliveries that were sent and have not arrived, one at most for each endpoint |
//! | `encd_witness_lag_entries{witness}` | entries of a log that a witness has not cosigned, the worst log of each |
//! | `encd_witness_lag_seconds{witness}` | since when a checkpoint waits for that witness; its name is the policy file's |
//! | `encd_connections`, `encd_websockets`, `encd_subscriptions` | open at present; the operator's connections are not counted |
//! | `encd_slow_consumers_total` | sockets cut off because they took nothing |
//! | `encd_outbound_total{end}` | requests that left the node: `answered`, `failed` |
//! | `encd_outbound_lanes` | lanes with a request under way |
//! | `encd_certificate_changes_total{end}` | looks at TLS certificate files that had changed (`taken`) or cannot be used (`refused`) |
//! | `encd_ready` | 1 while `/readyz` says `ready`, else 0 |
//! | `encd_disk_free_bytes` | free space of the data folder |
//! | `encd_disk_wanted_bytes` | free space below which no new enclave is taken |
//!
//! Gauges that somebody else knows are set just before they are rendered.

pub mod histogram;
pub mod undelivered;
pub mod witness_lag;

use histogram::{Histogram, Unit};
use protocol::Code;
use service::runtime::Fetched;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use undelivered::Undelivered;
use witness_lag::WitnessLag;

/// Microseconds: a fsync on a fast disk takes 60, a bad day minutes.
const LATENCIES: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];
/// Requests of a transaction.
const BATCHES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// What an outbound request can end as.
const ENDS: [&str; 2] = ["answered", "failed"];
/// What a changed certificate can end as.
const CERTIFICATE_ENDS: [&str; 2] = ["taken", "refused"];

/// Counters of one process.
#[derive(Debug)]
pub struct Metrics {
    commits: AtomicU64,
    commit_time: Histogram,
    request_time: Histogram,
    admission_time: Histogram,
    queue_time: Histogram,
    lateness: Histogram,
    refusals: [AtomicU64; Code::ALL.len()],
    transactions: AtomicU64,
    batch: Histogram,
    largest_batch: AtomicU64,
    transaction_time: Histogram,
    durable_time: Histogram,
    fsync_time: Histogram,
    slow_consumers: AtomicU64,
    outbound: [AtomicU64; ENDS.len()],
    certificates: [AtomicU64; CERTIFICATE_ENDS.len()],
    gauges: [AtomicU64; Gauge::ALL.len()],
    witnesses: WitnessLag,
    undelivered: Undelivered,
}

/// A number that goes up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gauge {
    /// KiB that wait before the writers.
    QueueKib,
    /// Jobs that wait before the readers.
    ReadsWaiting,
    /// Connections.
    Connections,
    /// WebSockets.
    Sockets,
    /// Subscriptions.
    Subscriptions,
    /// Lanes with an outbound request under way.
    OutboundLanes,
    /// Free bytes of the data folder's file system.
    DiskFreeBytes,
    /// Bytes below which no new enclave is taken.
    DiskWantedBytes,
    /// Milliseconds since the earliest of what is due was due.
    OverdueMs,
    /// Milliseconds since the oldest open bundle began.
    BundleOldestMs,
    /// Milliseconds since the oldest delivery that has not arrived was sent first.
    PushOldestMs,
    /// Deliveries that have not arrived.
    PushWaiting,
    /// Whether everything is as it should be.
    Ready,
}

impl Gauge {
    const ALL: [Gauge; 13] = [
        Gauge::QueueKib,
        Gauge::ReadsWaiting,
        Gauge::Connections,
        Gauge::Sockets,
        Gauge::Subscriptions,
        Gauge::OutboundLanes,
        Gauge::DiskFreeBytes,
        Gauge::DiskWantedBytes,
        Gauge::OverdueMs,
        Gauge::BundleOldestMs,
        Gauge::PushOldestMs,
        Gauge::PushWaiting,
        Gauge::Ready,
    ];

    fn name(self) -> (&'static str, &'static str) {
        match self {
            Gauge::QueueKib => ("encd_queue_kib", "KiB of requests that wait before the writers."),
            Gauge::ReadsWaiting => ("encd_reads_waiting", "Reads that wait before the readers."),
            Gauge::Connections => ("encd_connections", "Open connections."),
            Gauge::Sockets => ("encd_websockets", "Open WebSockets."),
            Gauge::Subscriptions => ("encd_subscriptions", "Open subscriptions."),
            Gauge::OutboundLanes => ("encd_outbound_lanes", "Lanes with an outbound request under way."),
            Gauge::DiskFreeBytes => ("encd_disk_free_bytes", "Free space of the data folder."),
            Gauge::DiskWantedBytes => ("encd_disk_wanted_bytes", "Free space below which no new enclave is taken."),
            Gauge::OverdueMs => ("encd_overdue_seconds", "Since when the earliest of what is due has been due."),
            Gauge::BundleOldestMs => ("encd_bundle_oldest_seconds", "How long ago the oldest open bundle began."),
            Gauge::PushOldestMs => {
                ("encd_push_oldest_seconds", "How long ago the oldest delivery that waits was sent first.")
            }
            Gauge::PushWaiting => ("encd_push_waiting", "Deliveries that were sent and have not arrived."),
            Gauge::Ready => ("encd_ready", "1 while the node is ready, else 0."),
        }
    }

    /// The value in the unit of its name.
    fn shown(self, value: u64) -> String {
        match self {
            Gauge::OverdueMs | Gauge::BundleOldestMs | Gauge::PushOldestMs => {
                format!("{}.{:03}", value / 1000, value % 1000)
            }
            Gauge::QueueKib
            | Gauge::ReadsWaiting
            | Gauge::Connections
            | Gauge::Sockets
            | Gauge::Subscriptions
            | Gauge::OutboundLanes
            | Gauge::DiskFreeBytes
            | Gauge::DiskWantedBytes
            | Gauge::PushWaiting
            | Gauge::Ready => value.to_string(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            commits: AtomicU64::new(0),
            commit_time: Histogram::new(LATENCIES, Unit::Micros),
            request_time: Histogram::new(LATENCIES, Unit::Micros),
            admission_time: Histogram::new(LATENCIES, Unit::Micros),
            queue_time: Histogram::new(LATENCIES, Unit::Micros),
            lateness: Histogram::new(LATENCIES, Unit::Micros),
            refusals: [const { AtomicU64::new(0) }; Code::ALL.len()],
            transactions: AtomicU64::new(0),
            batch: Histogram::new(BATCHES, Unit::Count),
            largest_batch: AtomicU64::new(0),
            transaction_time: Histogram::new(LATENCIES, Unit::Micros),
            durable_time: Histogram::new(LATENCIES, Unit::Micros),
            fsync_time: Histogram::new(LATENCIES, Unit::Micros),
            slow_consumers: AtomicU64::new(0),
            outbound: [const { AtomicU64::new(0) }; ENDS.len()],
            certificates: [const { AtomicU64::new(0) }; CERTIFICATE_ENDS.len()],
            gauges: [const { AtomicU64::new(0) }; Gauge::ALL.len()],
            witnesses: WitnessLag::default(),
            undelivered: Undelivered::default(),
        }
    }
}

impl Metrics {
    /// A durable transaction with so many requests, and how long it took from its begin.
    pub fn transaction(&self, requests: usize, took: Duration) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        self.batch.note(requests as u64);
        self.transaction_time.note_time(took);
    }

    /// Requests that one sync has made durable.
    pub fn synced(&self, requests: usize) {
        self.largest_batch.fetch_max(requests as u64, Ordering::Relaxed);
    }

    /// How long a sync took.
    pub fn fsync(&self, took: Duration) {
        self.fsync_time.note_time(took);
    }

    /// A commit that got its receipt.
    pub fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// How long after its arrival a commit, or any other request, was answered.
    pub fn answered(&self, commit: bool, took: Duration) {
        if commit { &self.commit_time } else { &self.request_time }.note_time(took);
    }

    /// How long the admission of a request took.
    pub fn judged(&self, took: Duration) {
        self.admission_time.note_time(took);
    }

    /// How long after its COMMIT a transaction was on the disk.
    pub fn durable(&self, waited: Duration) {
        self.durable_time.note_time(waited);
    }

    /// How far the witnesses are behind.
    pub fn witnesses(&self) -> &WitnessLag {
        &self.witnesses
    }

    /// What was sent and has not arrived.
    pub fn undelivered(&self) -> &Undelivered {
        &self.undelivered
    }

    /// How long a job waited before its writer took it.
    pub fn queued(&self, waited: Duration) {
        self.queue_time.note_time(waited);
    }

    /// How long after its time the oldest work that was due began.
    pub fn begun_late(&self, by: Duration) {
        self.lateness.note_time(by);
    }

    /// A request, line or frame that was refused with this code.
    pub fn refused(&self, code: Code) {
        self.refusals[code as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A socket that was cut off because it took nothing.
    pub fn slow_consumer(&self) {
        self.slow_consumers.fetch_add(1, Ordering::Relaxed);
    }

    /// The end of a request that left the node.
    pub fn fetched(&self, fetched: &Fetched) {
        let end = match fetched {
            Fetched::Answer(..) => 0,
            Fetched::Failed => 1,
        };
        self.outbound[end].fetch_add(1, Ordering::Relaxed);
    }

    /// The files of the TLS certificate had changed, and were taken or not.
    pub fn certificate(&self, taken: bool) {
        self.certificates[usize::from(!taken)].fetch_add(1, Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, gauge: Gauge, value: u64) {
        self.gauges[gauge as usize].store(value, Ordering::Relaxed);
    }

    /// WebSockets that are open.
    pub fn sockets(&self, open: usize) {
        self.set(Gauge::Sockets, open as u64);
    }

    /// Subscriptions that are open.
    pub fn subscriptions(&self, open: usize) {
        self.set(Gauge::Subscriptions, open as u64);
    }

    /// Transactions, the requests in them, and the most that one sync has made durable.
    pub fn batches(&self) -> (u64, u64, u64) {
        (read(&self.transactions), self.batch.sum(), read(&self.largest_batch))
    }

    /// Prometheus text, format 0.0.4.
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(16 << 10);
        plain(&mut out, "counter", ("encd_commits_total", "Commits that got a receipt."), &self.commits);
        self.commit_time.render(&mut out, "encd_commit_seconds", "From a commit's arrival to its answer.");
        self.request_time.render(&mut out, "encd_request_seconds", "From any other request's arrival to its answer.");
        self.admission_time.render(&mut out, "encd_admit_seconds", "Admission: rates, quotas, hooks.");
        self.queue_time.render(&mut out, "encd_queue_seconds", "How long a job waited before its writer.");
        self.lateness.render(&mut out, "encd_due_late_seconds", "How late the oldest of what was due began.");
        let codes = Code::ALL.iter().map(|code| code.as_str()).zip(&self.refusals);
        labelled(&mut out, ("encd_refusals_total", "Refused requests, lines and frames."), "code", codes);
        plain(&mut out, "counter", ("encd_transactions_total", "Durable transactions."), &self.transactions);
        self.batch.render(&mut out, "encd_transaction_requests", "Requests in one transaction.");
        let largest = ("encd_sync_requests_max", "Most requests that one sync has made durable.");
        plain(&mut out, "gauge", largest, &self.largest_batch);
        self.transaction_time.render(&mut out, "encd_transaction_seconds", "From begin to the end of COMMIT.");
        self.durable_time.render(&mut out, "encd_durable_seconds", "From the end of COMMIT until the disk has it.");
        self.fsync_time.render(&mut out, "encd_fsync_seconds", "A sync of the write-ahead log.");
        let slow = ("encd_slow_consumers_total", "Sockets cut off because they took nothing.");
        plain(&mut out, "counter", slow, &self.slow_consumers);
        let ends = ENDS.into_iter().zip(&self.outbound);
        labelled(&mut out, ("encd_outbound_total", "Requests that left the node."), "end", ends);
        let ends = CERTIFICATE_ENDS.into_iter().zip(&self.certificates);
        labelled(
            &mut out,
            ("encd_certificate_changes_total", "Looks at TLS certificate files that had changed or cannot be used."),
            "end",
            ends,
        );
        for gauge in Gauge::ALL {
            let value = gauge.shown(read(&self.gauges[gauge as usize]));
            head(&mut out, "gauge", gauge.name());
            writeln!(out, "{} {value}", gauge.name().0).expect("text takes whatever is written");
        }
        self.witnesses.render(&mut out);
        out
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn head(out: &mut String, kind: &str, (name, help): (&str, &str)) {
    write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n").expect("text takes whatever is written");
}

fn plain(out: &mut String, kind: &str, (name, help): (&str, &str), value: &AtomicU64) {
    head(out, kind, (name, help));
    writeln!(out, "{name} {}", read(value)).expect("text takes whatever is written");
}

fn labelled<'a>(
    out: &mut String,
    (name, help): (&str, &str),
    label: &str,
    rows: impl Iterator<Item = (&'static str, &'a AtomicU64)>,
) {
    head(out, "counter", (name, help));
    for (text, value) in rows {
        writeln!(out, "{name}{{{label}=\"{text}\"}} {}", read(value)).expect("text takes whatever is written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Samples by name and label, after checking that the text is as the format wants it.
    fn samples(text: &str) -> HashMap<String, f64> {
        let mut samples = HashMap::new();
        let mut kinds: HashMap<&str, &str> = HashMap::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a name and a kind");
                assert!(kinds.insert(name, kind).is_none(), "{name} twice");
                assert!(name.starts_with("encd_"));
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            } else if !line.starts_with("# HELP ") {
                let (key, value) = line.rsplit_once(' ').expect("a value");
                let name = key.split('{').next().expect("a name");
                let family = ["_bucket", "_sum", "_count"].into_iter().find_map(|end| name.strip_suffix(end));
                let known = kinds.contains_key(name) || family.is_some_and(|f| kinds.get(f) == Some(&"histogram"));
                assert!(known, "{line} has no TYPE before it");
                if let Some((_, labels)) = key.split_once('{') {
                    let label = labels.split('=').next().expect("a label");
                    assert!(
                        ["code", "end", "le", "witness"].contains(&label),
                        "{line} has a label that might tell too much"
                    );
                }
                assert!(samples.insert(key.to_owned(), value.parse().expect("a number")).is_none(), "{key} twice");
            }
        }
        samples
    }

    #[test]
    fn everything_that_is_counted_is_shown() {
        let metrics = Metrics::default();
        metrics.committed();
        metrics.committed();
        metrics.answered(true, Duration::from_micros(300));
        metrics.answered(true, Duration::from_millis(30));
        metrics.answered(false, Duration::from_secs(60));
        metrics.transaction(3, Duration::from_micros(100));
        metrics.transaction(1025, Duration::from_micros(101));
        metrics.synced(1025);
        metrics.fsync(Duration::from_nanos(1));
        metrics.refused(Code::RateLimited);
        metrics.refused(Code::RateLimited);
        metrics.refused(Code::Internal);
        metrics.slow_consumer();
        metrics.fetched(&Fetched::Answer(500, Vec::new()));
        metrics.fetched(&Fetched::Failed);
        metrics.judged(Duration::from_micros(50));
        metrics.queued(Duration::from_micros(200));
        metrics.durable(Duration::from_millis(2));
        metrics.set(Gauge::OverdueMs, 61_007);
        metrics.set(Gauge::PushWaiting, 12);
        metrics.witnesses().note("w1", "heads", (4, false));
        metrics.begun_late(Duration::from_millis(3));
        metrics.set(Gauge::Ready, 1);
        metrics.certificate(true);
        metrics.certificate(false);
        metrics.certificate(false);
        metrics.set(Gauge::DiskFreeBytes, 1 << 40);
        metrics.set(Gauge::DiskWantedBytes, 1 << 30);
        metrics.sockets(2);
        metrics.sockets(1);
        metrics.subscriptions(3);
        let samples = samples(&metrics.render());
        for (key, expected) in [
            ("encd_commits_total", 2.0),
            ("encd_commit_seconds_count", 2.0),
            ("encd_commit_seconds_sum", 0.0303),
            ("encd_commit_seconds_bucket{le=\"0.00025\"}", 0.0),
            ("encd_commit_seconds_bucket{le=\"0.0005\"}", 1.0),
            ("encd_commit_seconds_bucket{le=\"0.05\"}", 2.0),
            ("encd_request_seconds_bucket{le=\"10\"}", 0.0),
            ("encd_request_seconds_bucket{le=\"+Inf\"}", 1.0),
            ("encd_request_seconds_sum", 60.0),
            ("encd_transactions_total", 2.0),
            ("encd_transaction_requests_sum", 1028.0),
            ("encd_transaction_requests_bucket{le=\"2\"}", 0.0),
            ("encd_transaction_requests_bucket{le=\"4\"}", 1.0),
            ("encd_transaction_requests_bucket{le=\"1024\"}", 1.0),
            ("encd_sync_requests_max", 1025.0),
            ("encd_transaction_seconds_bucket{le=\"0.0001\"}", 1.0),
            ("encd_transaction_seconds_bucket{le=\"0.00025\"}", 2.0),
            ("encd_fsync_seconds_count", 1.0),
            ("encd_refusals_total{code=\"rate_limited\"}", 2.0),
            ("encd_refusals_total{code=\"internal\"}", 1.0),
            ("encd_refusals_total{code=\"invalid_json\"}", 0.0),
            ("encd_slow_consumers_total", 1.0),
            ("encd_outbound_total{end=\"answered\"}", 1.0),
            ("encd_outbound_total{end=\"failed\"}", 1.0),
            ("encd_queue_seconds_bucket{le=\"0.00025\"}", 1.0),
            ("encd_due_late_seconds_sum", 0.003),
            ("encd_due_late_seconds_bucket{le=\"0.0025\"}", 0.0),
            ("encd_admit_seconds_bucket{le=\"0.0001\"}", 1.0),
            ("encd_durable_seconds_sum", 0.002),
            ("encd_overdue_seconds", 61.007),
            ("encd_bundle_oldest_seconds", 0.0),
            ("encd_push_oldest_seconds", 0.0),
            ("encd_push_waiting", 12.0),
            ("encd_witness_lag_entries{witness=\"w1\"}", 4.0),
            ("encd_ready", 1.0),
            ("encd_certificate_changes_total{end=\"taken\"}", 1.0),
            ("encd_certificate_changes_total{end=\"refused\"}", 2.0),
            ("encd_disk_free_bytes", 1_099_511_627_776.0),
            ("encd_disk_wanted_bytes", 1_073_741_824.0),
            ("encd_websockets", 1.0),
            ("encd_subscriptions", 3.0),
            ("encd_queue_kib", 0.0),
        ] {
            assert_eq!(samples.get(key), Some(&expected), "{key}");
        }
        assert_eq!(metrics.batches(), (2, 1028, 1025));
    }

    #[test]
    fn every_name_is_documented() {
        let text = metrics_text();
        let documented = include_str!("metrics.rs").lines().take_while(|line| line.starts_with("//!"));
        let documented: String = documented.collect();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let name = line.split(' ').next().expect("a name");
            assert!(documented.contains(&format!("`{name}")), "{name} is not in the table");
        }
    }

    fn metrics_text() -> String {
        Metrics::default().render()
    }

    #[test]
    fn each_code_has_its_place() {
        for (place, code) in Code::ALL.iter().enumerate() {
            assert_eq!(*code as usize, place);
        }
        for (place, gauge) in Gauge::ALL.into_iter().enumerate() {
            assert_eq!(gauge as usize, place);
        }
    }
}
