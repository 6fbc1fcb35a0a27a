//! How far the work that comes after a commit is behind.
//!
//! A few look-ups by index in each shard, however many enclaves it has, over connections of their own: a scrape neither waits behind reads nor holds a
//! writer up, and it tells the truth when those are stuck.

use crate::config::StoreConfig;
use crate::sqlite::open_reader;
use crate::store;
use protocol::EnclaveId;
use protocol::entry::{ENTRY_LEN, Entry};
use rusqlite::{Connection, OptionalExtension};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Enclaves of a shard whose open bundles are looked at: those with something due first.
const LOOKED_AT: i64 = 8;
/// The least time between two looks, however often is asked.
const FRESH: Duration = Duration::from_secs(1);

const NEXT: &str = "SELECT min(at) FROM host_alarms";
const FIRST: &str = "SELECT enclave FROM host_alarms ORDER BY at LIMIT ?1";
const LAST_BUNDLE: &str = "SELECT entry FROM bundles WHERE enclave = ?1 ORDER BY idx DESC LIMIT 1";
const TIME_OF: &str = "SELECT timestamp FROM events WHERE enclave = ?1 AND seq = ?2";

/// How far behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Milliseconds since the earliest of what is due was due; 0 while nothing is.
    pub overdue_ms: u64,
    /// Milliseconds since the first event of the oldest open bundle that was looked at.
    pub bundle_ms: u64,
}

/// Looks at the shards of a folder.
pub struct LagProbe {
    places: Vec<PathBuf>,
    store: StoreConfig,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: Vec<Connection>,
    newest: Option<(Instant, Lag)>,
}

impl LagProbe {
    /// For so many shards. Nothing is opened before the first look.
    pub fn new(folder: &Path, shards: usize) -> LagProbe {
        let data = folder.join("data");
        LagProbe {
            places: (0..shards).map(|shard| store::shard_path(&data, shard)).collect(),
            // A handful of pages is all that is read.
            store: StoreConfig { reader_cache_mib: 1, mmap_mib: 0, ..StoreConfig::default() },
            seen: Mutex::default(),
        }
    }

    /// The lag at this time, in milliseconds since the epoch, or as it was a second ago; nothing while a shard cannot be read. Blocks for as long as the
    /// look-ups take.
    pub fn look(&self, now_ms: u64) -> Option<Lag> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, lag)) = seen.newest
            && at.elapsed() < FRESH
        {
            return Some(lag);
        }
        match self.look_at_all(&mut seen.connections, now_ms) {
            Ok(lag) => {
                seen.newest = Some((Instant::now(), lag));
                Some(lag)
            }
            Err(error) => {
                tracing::warn!(%error, "how far the work is behind cannot be read");
                seen.connections.clear();
                None
            }
        }
    }

    fn look_at_all(&self, connections: &mut Vec<Connection>, now_ms: u64) -> rusqlite::Result<Lag> {
        if connections.is_empty() {
            *connections =
                self.places.iter().map(|place| open_reader(place, &self.store)).collect::<rusqlite::Result<_>>()?;
        }
        let mut all = Lag::default();
        for connection in connections {
            let one = look_at(connection, now_ms)?;
            all = Lag { overdue_ms: all.overdue_ms.max(one.overdue_ms), bundle_ms: all.bundle_ms.max(one.bundle_ms) };
        }
        Ok(all)
    }
}

fn look_at(connection: &Connection, now_ms: u64) -> rusqlite::Result<Lag> {
    let since = |time: Option<i64>| {
        let time = time.and_then(|time| u64::try_from(time).ok());
        time.map_or(0, |time| now_ms.saturating_sub(time))
    };
    let due: Option<i64> = connection.prepare_cached(NEXT)?.query_row([], |row| row.get(0))?;
    let mut lag = Lag { overdue_ms: since(due), bundle_ms: 0 };
    let mut first = connection.prepare_cached(FIRST)?;
    let enclaves: Vec<EnclaveId> =
        first.query_map([LOOKED_AT], |row| row.get(0).map(EnclaveId))?.collect::<rusqlite::Result<_>>()?;
    for enclave in enclaves {
        let begun = connection
            .prepare_cached(TIME_OF)?
            .query_row((&enclave.0[..], open_from(connection, &enclave)?), |row| row.get(0))
            .optional()?;
        lag.bundle_ms = lag.bundle_ms.max(since(begun));
    }
    Ok(lag)
}

/// The place of the first event that is in no closed bundle.
fn open_from(connection: &Connection, enclave: &EnclaveId) -> rusqlite::Result<i64> {
    let mut last = connection.prepare_cached(LAST_BUNDLE)?;
    let entry: Option<[u8; ENTRY_LEN]> = last.query_row([&enclave.0[..]], |row| row.get(0)).optional()?;
    let entry = entry.and_then(|bytes| Entry::decode(&bytes));
    let next = entry.and_then(|entry| i64::try_from(entry.first_seq + entry.count).ok());
    Ok(next.unwrap_or(0))
}
