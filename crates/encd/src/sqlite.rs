//! SQLite as the services' Runtime: one connection, one running job.

use crate::clock::Clock;
use crate::config::StoreConfig;
use crate::keys::KeyStore;
use protocol::{EnclaveId, PublicKey, Signature};
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql};
use service::Response;
use service::runtime::{Fault, Fetch, RequestLine, Row, Runtime, Value};
use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::path::Path;
use std::sync::Arc;

/// Statements kept prepared on a connection; the services have fewer.
const PREPARED_STATEMENTS: usize = 256;
/// Pages of the write-ahead log at which a commit also moves them into the database: 16 MiB, so that a page that every batch
/// changes is moved once for many batches.
const CHECKPOINT_PAGES: c_int = 4096;

/// `NORMAL`: what a sync of the log has covered stays whatever happens.
const SYNCHRONOUS: &str = if cfg!(feature = "unsafe-no-sync") { "OFF" } else { "NORMAL" };

const SET_ALARM: &str = "INSERT INTO host_alarms(enclave, at) VALUES (?1, ?2)
    ON CONFLICT(enclave) DO UPDATE SET at = min(at, excluded.at)";

/// What a running job may use beside its connection; the same for all.
#[derive(Clone)]
pub struct Capabilities {
    /// Keys.
    pub keys: Arc<KeyStore>,
    /// Time.
    pub clock: Clock,
}

/// Whether a job may change rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It may.
    Write,
    /// It may not: trying is [`Fault::ReadOnly`].
    Read,
}

/// What a job asked for that happens once it is durable.
#[derive(Debug, Default)]
pub struct Effects {
    /// Outbound requests.
    pub fetches: Vec<Fetch>,
    /// The earliest alarm set.
    pub alarm: Option<u64>,
}

/// The Runtime of one running job.
pub struct SqlRuntime<'a> {
    connection: &'a Connection,
    capabilities: &'a Capabilities,
    access: Access,
    now: u64,
    effects: &'a RefCell<Effects>,
    fault: Cell<Option<Fault>>,
}

/// Opens the connection that writes a shard. A commit is whole or absent after a power cut, and durable once the write-ahead log is synced
/// (`syncer.rs`) or moved into the database.
pub fn open_writer(path: &Path, config: &StoreConfig) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    switch_to_wal(&connection)?;
    connection.execute_batch(&format!("PRAGMA synchronous = {SYNCHRONOUS}; PRAGMA journal_size_limit = 67108864;"))?;
    connection.wal_hook(Some(
        |log: &mut Wal, pages: c_int| {
            if pages < CHECKPOINT_PAGES { Ok(()) } else { log.checkpoint().or_else(forgive) }
        },
    ))?;
    tune(&connection, config.writer_cache_mib, config.mmap_mib)?;
    Ok(connection)
}

/// The statement names the mode first and writes it down after that: only its end says whether it has.
fn switch_to_wal(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA journal_mode = WAL")?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// Whether pages that stay in the log for now do any harm: neither where somebody reads them nor where the disk is full. Any other
/// failure is one of a durable write, and the commit that met it ends as such. (SQLite's own checkpoints tell nobody.)
fn forgive(error: rusqlite::Error) -> rusqlite::Result<()> {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Ok(()),
        Some(ErrorCode::DiskFull) => {
            tracing::error!("the disk is full: the write-ahead log cannot be moved into the database and grows");
            Ok(())
        }
        _ => Err(error),
    }
}

/// Opens a connection that cannot write.
pub fn open_reader(path: &Path, config: &StoreConfig) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch("PRAGMA query_only = 1;")?;
    tune(&connection, config.reader_cache_mib, config.mmap_mib)?;
    Ok(connection)
}

fn tune(connection: &Connection, cache_mib: usize, mmap_mib: usize) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    // Otherwise a statement is prepared again whenever a value is bound that its plan might have depended on.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.execute_batch(&format!(
        "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{}; PRAGMA mmap_size = {};",
        cache_mib << 10,
        mmap_mib << 20
    ))
}

/// Runs one of the host's own statements that answers nothing.
pub fn execute(connection: &Connection, sql: &'static str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.raw_execute().map(|_| ())
}

/// What a failure of SQLite means for a service. What nobody expects is logged here, where it is seen first.
pub fn fault_of(error: &rusqlite::Error) -> Fault {
    match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly) => Fault::ReadOnly,
        Some(ErrorCode::DiskFull) => Fault::Full,
        _ => {
            tracing::error!(%error, "the store failed a statement");
            Fault::Storage
        }
    }
}

impl<'a> SqlRuntime<'a> {
    /// A Runtime for one job; the clock is read here, once.
    pub fn new(
        connection: &'a Connection,
        capabilities: &'a Capabilities,
        access: Access,
        effects: &'a RefCell<Effects>,
    ) -> SqlRuntime<'a> {
        let now = capabilities.clock.now();
        SqlRuntime { connection, capabilities, access, now, effects, fault: Cell::new(None) }
    }

    /// The first failure in a method that cannot answer one: the job has failed by it, whatever it answered itself.
    pub fn settle<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        match self.fault.get() {
            Some(fault) => Err(fault),
            None => result,
        }
    }

    fn may_write(&self) -> Result<(), Fault> {
        match self.access {
            Access::Write => Ok(()),
            Access::Read => Err(Fault::ReadOnly),
        }
    }

    fn note(&self, result: Result<(), Fault>) {
        if let (Err(fault), None) = (result, self.fault.get()) {
            self.fault.set(Some(fault));
        }
    }

    fn exec(&self, sql: &'static str, params: &[Value<'_>]) -> rusqlite::Result<u64> {
        let mut statement = self.connection.prepare_cached(sql)?;
        bind(&mut statement, params)?;
        statement.raw_execute().map(|changed| changed as u64)
    }

    fn query(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        row: &mut dyn FnMut(&dyn Row) -> bool,
    ) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(sql)?;
        bind(&mut statement, params)?;
        let mut rows = statement.raw_query();
        while let Some(found) = rows.next()? {
            if !row(&SqlRow(found)) {
                break;
            }
        }
        Ok(())
    }
}

impl Runtime for SqlRuntime<'_> {
    fn sql_exec(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, Fault> {
        self.may_write()?;
        self.exec(sql, params).map_err(|error| fault_of(&error))
    }

    fn sql_query(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        row: &mut dyn FnMut(&dyn Row) -> bool,
    ) -> Result<(), Fault> {
        self.query(sql, params, row).map_err(|error| fault_of(&error))
    }

    fn respond(&self, _response: Response) {}

    fn get_body(&self) -> Vec<u8> {
        Vec::new()
    }

    fn get_path(&self) -> RequestLine {
        RequestLine::default()
    }

    fn accept_ws(&self) {}

    fn send_ws(&self, _socket: u64, _frame: &str) {}

    fn now(&self) -> u64 {
        self.now
    }

    fn set_alarm(&self, enclave: &EnclaveId, at: u64) {
        let at_ms = i64::try_from(at).unwrap_or(i64::MAX);
        let set = self.sql_exec(SET_ALARM, &[Value::Blob(&enclave.0), Value::Int(at_ms)]);
        self.note(set.map(|_| ()));
        let mut effects = self.effects.borrow_mut();
        effects.alarm = Some(effects.alarm.map_or(at, |earlier| earlier.min(at)));
    }

    fn fetch(&self, request: Fetch) {
        self.note(self.may_write());
        self.effects.borrow_mut().fetches.push(request);
    }

    fn host_sign_seq(&self, key: &PublicKey, enclave: &EnclaveId, hash: &[u8; 32]) -> Result<Signature, Fault> {
        self.may_write()?;
        self.capabilities.keys.sign(key, enclave, hash).ok_or(Fault::Key)
    }

    fn host_sign_log(&self, key: &PublicKey, enclave: &EnclaveId, text: &str) -> Result<([u8; 32], [u8; 64]), Fault> {
        self.may_write()?;
        self.capabilities.keys.sign_log(key, enclave, text).ok_or(Fault::Key)
    }

    fn host_mac(&self, name: &'static str, bytes: &[u8]) -> [u8; 32] {
        self.capabilities.keys.mac(name, bytes)
    }

    fn host_random(&self, bytes: &mut [u8]) {
        if getrandom::fill(bytes).is_err() {
            self.note(Err(Fault::Storage));
        }
    }
}

struct SqlRow<'a, 'b>(&'a rusqlite::Row<'b>);

impl Row for SqlRow<'_, '_> {
    fn value(&self, column: usize) -> Value<'_> {
        match self.0.get_ref(column) {
            Ok(ValueRef::Integer(number)) => Value::Int(number),
            Ok(ValueRef::Blob(bytes)) => Value::Blob(bytes),
            // Every table is STRICT and every text was written as one: what is neither is no value of ours.
            Ok(ValueRef::Text(bytes)) => std::str::from_utf8(bytes).map_or(Value::Null, Value::Text),
            Ok(ValueRef::Null | ValueRef::Real(_)) | Err(_) => Value::Null,
        }
    }
}

struct Param<'a>(&'a Value<'a>);

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn bind(statement: &mut rusqlite::Statement<'_>, params: &[Value<'_>]) -> rusqlite::Result<()> {
    for (place, value) in params.iter().enumerate() {
        statement.raw_bind_parameter(place + 1, Param(value))?;
    }
    Ok(())
}
