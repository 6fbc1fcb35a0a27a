//! When enclaves have something due: one row each, beside the tables of the services.

use protocol::EnclaveId;
use rusqlite::Connection;

/// Alarms that are taken into one batch.
const AT_ONCE: i64 = 64;

const NEXT: &str = "SELECT min(at) FROM host_alarms";
const DUE: &str = "SELECT enclave FROM host_alarms WHERE at <= ?1 ORDER BY at LIMIT ?2";
const CLEAR: &str = "DELETE FROM host_alarms WHERE enclave = ?1";
const POSTPONE: &str = "UPDATE host_alarms SET at = ?2 WHERE enclave = ?1";

/// The earliest, in milliseconds since the epoch.
pub fn next(connection: &Connection) -> rusqlite::Result<Option<u64>> {
    let at: Option<i64> = connection.prepare_cached(NEXT)?.query_row([], |row| row.get(0))?;
    Ok(at.map(|at| u64::try_from(at).unwrap_or(0)))
}

/// Whose time has come, the earliest first; as many as go into one batch.
pub fn due(connection: &Connection, now: u64) -> rusqlite::Result<Vec<EnclaveId>> {
    let mut statement = connection.prepare_cached(DUE)?;
    let due = statement.query_map((bound(now), AT_ONCE), |row| row.get(0).map(EnclaveId))?;
    due.collect()
}

/// It is being seen to.
pub fn clear(connection: &Connection, enclave: &EnclaveId) -> rusqlite::Result<()> {
    connection.prepare_cached(CLEAR)?.execute([&enclave.0[..]]).map(|_| ())
}

/// It is tried again at that time.
pub fn postpone(connection: &Connection, enclave: &EnclaveId, at: u64) -> rusqlite::Result<()> {
    connection.prepare_cached(POSTPONE)?.execute((&enclave.0[..], bound(at))).map(|_| ())
}

fn bound(at: u64) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}
