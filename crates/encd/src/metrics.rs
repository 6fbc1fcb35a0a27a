//! What the node counts. No id, key, address or token is a label.

use protocol::Code;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of one process.
#[derive(Debug, Default)]
pub struct Metrics {
    commits: AtomicU64,
    refusals: AtomicU64,
    transactions: AtomicU64,
    requests: AtomicU64,
    largest_batch: AtomicU64,
    transaction_micros: AtomicU64,
    sockets: AtomicU64,
    subscriptions: AtomicU64,
}

impl Metrics {
    /// A durable transaction with so many requests, and how long it took.
    pub fn transaction(&self, requests: usize, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.transactions.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(requests as u64, Ordering::Relaxed);
        self.largest_batch.fetch_max(requests as u64, Ordering::Relaxed);
        self.transaction_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// A commit that was taken.
    pub fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// A request that was refused with this code.
    pub fn refused(&self, _code: Code) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// WebSockets that are open.
    pub fn sockets(&self, open: usize) {
        self.sockets.store(open as u64, Ordering::Relaxed);
    }

    /// Subscriptions that are open.
    pub fn subscriptions(&self, open: usize) {
        self.subscriptions.store(open as u64, Ordering::Relaxed);
    }

    /// Transactions, the requests in them, and the largest of them.
    pub fn batches(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.transactions), read(&self.requests), read(&self.largest_batch))
    }

    /// Prometheus text.
    pub fn render(&self) -> String {
        let rows = [
            ("encd_commits_total", "counter", &self.commits),
            ("encd_refusals_total", "counter", &self.refusals),
            ("encd_transactions_total", "counter", &self.transactions),
            ("encd_transaction_requests_total", "counter", &self.requests),
            ("encd_transaction_requests_max", "gauge", &self.largest_batch),
            ("encd_transaction_microseconds_total", "counter", &self.transaction_micros),
            ("encd_websockets", "gauge", &self.sockets),
            ("encd_subscriptions", "gauge", &self.subscriptions),
        ];
        let line = |(name, kind, value): (&str, &str, &AtomicU64)| {
            format!("# TYPE {name} {kind}\n{name} {}\n", value.load(Ordering::Relaxed))
        };
        rows.into_iter().map(line).collect()
    }
}
