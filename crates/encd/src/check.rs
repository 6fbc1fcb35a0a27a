//! `encd check`: whether the whole store holds. Each enclave's log is replayed and compared with every row that is stored of it
//! (`service::check`); around that, what the host itself relies on.

use crate::clock::Clock;
use crate::config::Config;
use crate::interrupt::Interrupt;
use crate::keys::KeyStore;
use crate::sqlite::{Access, Capabilities, Effects, SqlRuntime, open_reader};
use crate::stop::{Exit, StartError};
use crate::{server, store, upgrade};
use protocol::EnclaveId;
use rusqlite::Connection;
use service::check::{Broken, Checked};
use service::runtime::{Fault, NodeFacts};
use service::{check, node, recover};
use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

/// Tables whose rows belong to an enclave that has a record.
const OWNED: &[&str] = &["events", "event_tags", "state_pages", "bundles", "log_nodes", "left_rules", "push_endpoints"];

/// What a check has seen.
#[derive(Debug, Default)]
pub struct Report {
    /// Shards.
    pub shards: usize,
    /// Enclaves that hold.
    pub enclaves: u64,
    /// Of those, the ones that the node signs for.
    pub live: u64,
    /// Their events.
    pub events: u64,
    /// Their closed bundles.
    pub bundles: u64,
    /// Shards that are older copies.
    pub rolled_back: Vec<usize>,
    /// Each place that does not hold.
    pub faults: Vec<Found>,
}

/// A place that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The shard.
    pub shard: usize,
    /// The enclave, if it is one's.
    pub enclave: Option<EnclaveId>,
    /// What, in words.
    pub what: String,
}

/// How far a check has come.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The shard it is in.
    pub shard: usize,
    /// Of so many.
    pub shards: usize,
    /// Events replayed, of all enclaves.
    pub events: u64,
}

/// What is the same for every enclave.
struct Bench {
    facts: NodeFacts,
    capabilities: Capabilities,
    /// The node's keys; none where the folder has none, as a backup without them.
    keys: Option<KeyStore>,
}

/// Checks the store of a folder, in which a node may be working: each shard is seen as of one moment.
///
/// # Errors
/// Something cannot be read, there is no room to replay a log in, or it is told to stop.
pub fn run(
    folder: &Path,
    config: &Config,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(Step),
) -> Result<Report, StartError> {
    let data = folder.join("data");
    let shards = store::shards_in(&data)?;
    let ephemeral = KeyStore::ephemeral()?;
    let keys = folder.join("keys");
    let complete = ["node.key", "heads.key"].iter().all(|name| keys.join(name).is_file());
    let bench = Bench {
        facts: server::facts(config, &ephemeral),
        capabilities: Capabilities { keys: Arc::new(ephemeral), clock: Clock::system() },
        keys: if complete { Some(KeyStore::open(&keys, &config.name)?) } else { None },
    };
    let mut report = Report { shards, ..Report::default() };
    for shard in 0..shards {
        let path = store::shard_path(&data, shard);
        let unreadable = |error: rusqlite::Error| {
            let line = format!("{} cannot be read ({error}); put a backup back", path.display());
            StartError::new(Exit::NoInput, line)
        };
        let mut connection = open_reader(&path, &config.store).map_err(unreadable)?;
        interrupt.watch(&mut connection).map_err(unreadable)?;
        upgrade::refuse_newer(&connection, &path)?;
        connection.execute_batch("BEGIN").map_err(unreadable)?;
        let reached = store::transactions(&connection).map_err(unreadable)?;
        if store::read_mark(&path.with_extension("mark"))?.is_some_and(|marked| marked.is_ahead_of(reached)) {
            report.rolled_back.push(shard);
        }
        check_tables(&connection, shard, &mut report).map_err(unreadable)?;
        check_schema(&connection, shard, &mut report).map_err(unreadable)?;
        check_enclaves(&connection, &bench, shard, (&mut report, progress))?;
        connection.execute_batch("COMMIT").map_err(unreadable)?;
    }
    Ok(report)
}

/// The file itself: pages, indexes, and rows that nobody owns.
fn check_tables(connection: &Connection, shard: usize, report: &mut Report) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
    let lines: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let wrong = lines.into_iter().filter(|line| line != "ok");
    report.faults.extend(wrong.map(|what| Found { shard, enclave: None, what }));
    for table in OWNED {
        let sql = format!(
            "SELECT COUNT(*) FROM {table} WHERE enclave NOT IN (SELECT enclave FROM node_state WHERE key = 'record')"
        );
        let orphans: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        if orphans > 0 {
            let what = format!("{table}: {orphans} rows of no enclave");
            report.faults.push(Found { shard, enclave: None, what });
        }
    }
    Ok(())
}

/// Each table and index is there as the services make it.
fn check_schema(connection: &Connection, shard: usize, report: &mut Report) -> rusqlite::Result<()> {
    const MADE: &str = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL";
    const FOUND: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1 AND sql = ?2)";
    let made = scratch()?;
    let mut statement = made.prepare(MADE)?;
    let made: Vec<(String, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (name, sql) in made {
        let found: bool = connection.query_row(FOUND, (&name, &sql), |row| row.get(0))?;
        if !found {
            report.faults.push(Found { shard, enclave: None, what: format!("{name}: is not as it is made") });
        }
    }
    Ok(())
}

fn check_enclaves(
    connection: &Connection,
    bench: &Bench,
    shard: usize,
    (report, progress): (&mut Report, &mut dyn FnMut(Step)),
) -> Result<(), StartError> {
    let effects = RefCell::new(Effects::default());
    let stored = SqlRuntime::new(connection, &bench.capabilities, Access::Read, &effects);
    let Ok(enclaves) = recover::enclaves(&stored) else {
        report.faults.push(Found { shard, enclave: None, what: "node_state: the enclaves cannot be read".into() });
        return Ok(());
    };
    for enclave in enclaves {
        let before = report.events;
        let shards = report.shards;
        let scratch = scratch().map_err(|error| no_room(&error))?;
        let made = SqlRuntime::new(&scratch, &bench.capabilities, Access::Write, &effects);
        let mut step = |events| {
            if events % 256 == 0 {
                progress(Step { shard, shards, events: before + events });
            }
        };
        let mut fault = |what: String| report.faults.push(Found { shard, enclave: Some(enclave), what });
        match check::enclave((&stored, &made), &bench.facts, &enclave, &mut step) {
            Ok(checked) => {
                placed(connection, bench, (shard, shards), (&enclave, &checked)).into_iter().for_each(&mut fault);
                report.enclaves += 1;
                report.live += u64::from(checked.live);
                report.events += checked.events;
                report.bundles += checked.bundles;
            }
            Err(Broken::Differs { what, at: Some(at) }) => fault(format!("{what}: does not hold at {at}")),
            Err(Broken::Differs { what, at: None }) => fault(format!("{what}: does not hold")),
            Err(Broken::Fault(fault)) => return Err(no_room(&format!("{fault:?}"))),
        }
    }
    Ok(())
}

/// What the host relies on for an enclave that holds.
fn placed(
    connection: &Connection,
    bench: &Bench,
    (shard, shards): (usize, usize),
    (enclave, checked): (&EnclaveId, &Checked),
) -> Vec<String> {
    const ALARM: &str = "SELECT EXISTS (SELECT 1 FROM host_alarms WHERE enclave = ?1)";
    let mut wrong = Vec::new();
    if store::shard_of(enclave, shards) != shard {
        wrong.push("it stands in another shard than its own".into());
    }
    let keyless = |keys: &KeyStore| keys.key_for(&checked.sequencer, enclave).is_none();
    if checked.live && bench.keys.as_ref().is_some_and(keyless) {
        wrong.push("it is live, and the key that signs for it is not in keys/".into());
    }
    if checked.live && checked.open {
        match connection.query_row(ALARM, [&enclave.0[..]], |row| row.get(0)) {
            Ok(true) => {}
            Ok(false) => wrong.push("host_alarms: nothing closes its open bundle".into()),
            Err(error) => wrong.push(format!("host_alarms: {error}")),
        }
    }
    wrong
}

/// A database of its own for one enclave, on the disk only if it is large.
fn scratch() -> rusqlite::Result<Connection> {
    let connection = Connection::open("")?;
    connection.set_prepared_statement_cache_capacity(64);
    connection
        .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536; BEGIN;")?;
    for statement in node::schema() {
        connection.execute_batch(statement)?;
    }
    Ok(connection)
}

fn no_room(error: &dyn std::fmt::Display) -> StartError {
    let line =
        format!("there is no room to replay a log in ({error}); free some, or set TMPDIR to where there is some");
    StartError::new(Exit::Occupied, line)
}

impl Report {
    /// Whether nothing was found.
    pub fn holds(&self) -> bool {
        self.faults.is_empty()
    }
}

/// What a service's fault means for a command of the operator.
pub(crate) fn store_failed(fault: Fault) -> StartError {
    StartError::new(Exit::Storage, format!("the store failed ({fault:?}); look at the disk, then run `encd check`"))
}
