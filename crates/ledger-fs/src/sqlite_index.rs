//! The index in SQLite: derived from the log alone. A file that is missing, broken, or of another log is made again.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use ledger::entry::{Body, Entry, Kind, Mode, Placement};
use ledger::entry_text;
use ledger::hold::Query;
use ledger::index::{CaseState, Covered, Index, IndexFault, Indexed, RecordState, is_kept_by_kind};
use ledger::retention::Retention;
use ledger::time::Until;
use ledger::value::{Actor, Case, Digest, RecordId};
use protocol::json;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

/// The tables. What an entry says is kept as its text; columns beside it are what later entries change, and what is searched.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS covered (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, root BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS record (
  idx INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, entry BLOB NOT NULL, until TEXT, mode TEXT, disposed INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS legal_case (name TEXT PRIMARY KEY, actor TEXT NOT NULL, released INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hold (name TEXT, idx INTEGER, query TEXT, PRIMARY KEY (name, idx)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS target (idx INTEGER, name TEXT, PRIMARY KEY (idx, name)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blob (sha256 BLOB, idx INTEGER, PRIMARY KEY (sha256, idx)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS by_kind (kind TEXT, idx INTEGER, PRIMARY KEY (kind, idx)) STRICT, WITHOUT ROWID;
";
/// All tables.
const NAMES: [&str; 7] = ["covered", "record", "legal_case", "hold", "target", "blob", "by_kind"];

/// An index in SQLite.
#[derive(Debug)]
pub struct SqliteIndex {
    connection: Connection,
}

/// SQLite's own number for what went wrong.
fn fault(error: rusqlite::Error) -> IndexFault {
    IndexFault(error.sqlite_error().map_or(-1, |error| error.extended_code))
}

/// What the index says cannot be: it was altered.
const ALTERED: IndexFault = IndexFault(-2);

impl SqliteIndex {
    /// Opens the index in this file; one that SQLite cannot use is thrown away.
    ///
    /// # Errors
    /// [`IndexFault`]; -3: the file cannot be removed.
    pub fn open(path: &Path) -> Result<SqliteIndex, IndexFault> {
        match SqliteIndex::open_as_it_is(path) {
            Ok(index) => Ok(index),
            Err(_) => {
                for suffix in ["", "-wal", "-shm"] {
                    let mut file = path.as_os_str().to_owned();
                    file.push(suffix);
                    match fs::remove_file(&file) {
                        Err(error) if error.kind() != ErrorKind::NotFound => return Err(IndexFault(-3)),
                        Ok(()) | Err(_) => {}
                    }
                }
                SqliteIndex::open_as_it_is(path)
            }
        }
    }

    fn open_as_it_is(path: &Path) -> Result<SqliteIndex, IndexFault> {
        if let Some(folder) = path.parent() {
            crate::folder::make_folders(folder).map_err(|_| IndexFault(-3))?;
        }
        SqliteIndex::on(Connection::open(path).map_err(fault)?)
    }

    /// An index in memory.
    ///
    /// # Errors
    /// [`IndexFault`].
    pub fn in_memory() -> Result<SqliteIndex, IndexFault> {
        SqliteIndex::on(Connection::open_in_memory().map_err(fault)?)
    }

    fn on(connection: Connection) -> Result<SqliteIndex, IndexFault> {
        // Without a sync of its own: after a power cut it is behind, and catches up from the log.
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;").map_err(fault)?;
        connection.execute_batch(TABLES).map_err(fault)?;
        let index = SqliteIndex { connection };
        index.covered()?;
        Ok(index)
    }

    /// Every row of every table, to be compared.
    ///
    /// # Errors
    /// [`IndexFault`].
    pub fn dump(&self) -> Result<Vec<(String, Vec<Value>)>, IndexFault> {
        let mut rows = Vec::new();
        for table in NAMES {
            let mut statement =
                self.connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")).map_err(fault)?;
            let columns = statement.column_count();
            let row =
                |row: &Row<'_>| (0..columns).map(|column| row.get(column)).collect::<rusqlite::Result<Vec<Value>>>();
            for values in statement.query_map([], row).map_err(fault)? {
                rows.push((table.to_owned(), values.map_err(fault)?));
            }
        }
        Ok(rows)
    }

    fn state(&self, condition: &str, key: Value) -> Result<Option<RecordState>, IndexFault> {
        let sql = format!("SELECT entry, until, mode, disposed FROM record WHERE {condition} = ?1");
        let mut statement = self.connection.prepare_cached(&sql).map_err(fault)?;
        type Columns = (Vec<u8>, Option<String>, Option<String>, Option<u64>);
        let columns =
            |row: &Row<'_>| -> rusqlite::Result<Columns> { Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)) };
        let found = statement.query_row([key], columns).optional().map_err(fault)?;
        let Some((entry, until, mode, disposed)) = found else { return Ok(None) };
        let entry = entry_text::parse(&entry).map_err(|_| ALTERED)?;
        let Body::Record(record) = entry.body else { return Err(ALTERED) };
        let retention = Retention {
            until: until.map(|until| Until::parse(&until).ok_or(ALTERED)).transpose()?,
            mode: mode.map(|mode| Mode::parse(&mode).ok_or(ALTERED)).transpose()?,
            class: record.class.clone(),
        };
        Ok(Some(RecordState { index: entry.index, time: entry.time, record, retention, disposed }))
    }

    fn numbers(&self, sql: &str, key: Value) -> Result<Vec<u64>, IndexFault> {
        let mut statement = self.connection.prepare_cached(sql).map_err(fault)?;
        let rows = statement.query_map([key], |row| row.get(0)).map_err(fault)?;
        rows.collect::<rusqlite::Result<_>>().map_err(fault)
    }
}

impl Index for SqliteIndex {
    fn covered(&self) -> Result<Covered, IndexFault> {
        let mut statement = self.connection.prepare_cached("SELECT size, root FROM covered").map_err(fault)?;
        let found = statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional().map_err(fault)?;
        let (size, root) = found.unwrap_or((0, merkle::log::EMPTY_ROOT));
        Ok(Covered { size, root })
    }

    fn apply(&mut self, entries: &[Indexed], covered: Covered) -> Result<(), IndexFault> {
        let transaction = self.connection.transaction().map_err(fault)?;
        entries.iter().try_for_each(|indexed| take_in(&transaction, indexed)).map_err(fault)?;
        let sql = "INSERT INTO covered VALUES (1, ?1, ?2) ON CONFLICT DO UPDATE SET size = ?1, root = ?2";
        transaction
            .prepare_cached(sql)
            .and_then(|mut sql| sql.execute(params![covered.size, covered.root]))
            .map_err(fault)?;
        transaction.commit().map_err(fault)
    }

    fn clear(&mut self) -> Result<(), IndexFault> {
        let transaction = self.connection.transaction().map_err(fault)?;
        for table in NAMES {
            transaction.execute(&format!("DELETE FROM {table}"), []).map_err(fault)?;
        }
        transaction.commit().map_err(fault)
    }

    fn record(&self, id: &RecordId) -> Result<Option<RecordState>, IndexFault> {
        self.state("id", Value::Text(id.to_string()))
    }

    fn record_at(&self, index: u64) -> Result<Option<RecordState>, IndexFault> {
        self.state("idx", Value::Integer(index as i64))
    }

    fn case(&self, case: &Case) -> Result<Option<CaseState>, IndexFault> {
        let name = Value::Text(case.to_string());
        let mut statement =
            self.connection.prepare_cached("SELECT actor, released FROM legal_case WHERE name = ?1").map_err(fault)?;
        let row = |row: &Row<'_>| -> rusqlite::Result<(String, Option<u64>)> { Ok((row.get(0)?, row.get(1)?)) };
        let found = statement.query_row([&name], row).optional().map_err(fault)?;
        let Some((actor, released)) = found else { return Ok(None) };
        let holds = self.numbers("SELECT idx FROM hold WHERE name = ?1 ORDER BY idx", name.clone())?;
        let targets = self.numbers("SELECT idx FROM target WHERE name = ?1", name.clone())?;
        let sql = "SELECT query FROM hold WHERE name = ?1 AND query IS NOT NULL ORDER BY idx";
        let mut statement = self.connection.prepare_cached(sql).map_err(fault)?;
        let queries = statement.query_map([&name], |row| row.get::<_, String>(0)).map_err(fault)?;
        let query = |text: String| Query::from_json(&json::parse(text.as_bytes(), json::MAX_DEPTH).ok()?);
        let queries = queries.map(|text| text.map_err(fault).and_then(|text| query(text).ok_or(ALTERED)));
        Ok(Some(CaseState {
            actor: Actor::parse(&actor).ok_or(ALTERED)?,
            holds,
            targets: BTreeSet::from_iter(targets),
            queries: queries.collect::<Result<_, _>>()?,
            released,
        }))
    }

    fn open_cases(&self, index: u64) -> Result<Vec<(Case, CaseState)>, IndexFault> {
        let sql = "SELECT name FROM legal_case WHERE released IS NULL AND (
            name IN (SELECT name FROM target WHERE idx = ?1) OR name IN (SELECT name FROM hold WHERE query IS NOT NULL)) ORDER BY name";
        let mut statement = self.connection.prepare_cached(sql).map_err(fault)?;
        let names = statement.query_map([index], |row| row.get::<_, String>(0)).map_err(fault)?;
        let mut cases = Vec::new();
        for name in names {
            let case = Case::parse(&name.map_err(fault)?).ok_or(ALTERED)?;
            let state = self.case(&case)?.ok_or(ALTERED)?;
            cases.push((case, state));
        }
        Ok(cases)
    }

    fn blob_names(&self, blob: &Digest) -> Result<Vec<u64>, IndexFault> {
        let sql = "SELECT blob.idx FROM blob LEFT JOIN record ON record.idx = blob.idx
            WHERE sha256 = ?1 AND disposed IS NULL ORDER BY blob.idx";
        self.numbers(sql, Value::Blob(blob.0.to_vec()))
    }

    fn newest(&self, kind: Kind, limit: usize) -> Result<Vec<u64>, IndexFault> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT idx FROM by_kind WHERE kind = ?1 ORDER BY idx DESC LIMIT ?2")
            .map_err(fault)?;
        let rows = statement.query_map(params![kind.as_str(), limit], |row| row.get(0)).map_err(fault)?;
        rows.collect::<rusqlite::Result<_>>().map_err(fault)
    }
}

fn take_in(transaction: &Transaction<'_>, indexed: &Indexed) -> rusqlite::Result<()> {
    let Entry { index, body, .. } = &indexed.entry;
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        transaction.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).map(|_| ())
    };
    if is_kept_by_kind(body.kind()) {
        run("INSERT INTO by_kind VALUES (?1, ?2)", &[&body.kind().as_str(), index])?;
    }
    if let Some(payload) = body.payload().filter(|payload| payload.placement == Placement::Blob) {
        run("INSERT INTO blob VALUES (?1, ?2)", &[&payload.sha256.0, index])?;
    }
    match body {
        Body::Record(record) => {
            let until = record.retain_until.map(|until| until.to_string());
            let (entry, mode) = (entry_text::encode(&indexed.entry), record.retention_mode.map(Mode::as_str));
            let sql = "INSERT INTO record VALUES (?1, ?2, ?3, ?4, ?5, NULL)";
            run(sql, &[index, &record.record_id.as_str(), &entry, &until, &mode])
        }
        Body::Hold(hold) => {
            let (name, actor) = (hold.case.as_str(), hold.author.actor.as_str());
            run("INSERT INTO legal_case VALUES (?1, ?2, NULL) ON CONFLICT DO NOTHING", &[&name, &actor])?;
            let query = indexed.scope.as_ref().and_then(|scope| scope.query.as_ref());
            let query = query.map(|query| query.to_json().to_jcs());
            run("INSERT INTO hold VALUES (?1, ?2, ?3)", &[&name, index, &query])?;
            let targets = indexed.scope.iter().flat_map(|scope| &scope.targets);
            let sql = "INSERT INTO target VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            targets.into_iter().try_for_each(|target| run(sql, &[target, &name]))
        }
        Body::Release(release) => {
            let sql = "UPDATE legal_case SET released = ?1 WHERE name = ?2 AND released IS NULL";
            run(sql, &[index, &release.case.as_str()])
        }
        Body::Retain(retain) => {
            let (until, mode) = (retain.retain_until.to_string(), retain.retention_mode.map(Mode::as_str));
            let sql = "UPDATE record SET until = ?1, mode = coalesce(?2, mode) WHERE idx = ?3";
            run(sql, &[&until, &mode, &retain.target])
        }
        Body::Dispose(dispose) => {
            run("UPDATE record SET disposed = ?1 WHERE idx = ?2 AND disposed IS NULL", &[index, &dispose.target])
        }
        Body::Key(_) | Body::Policy(_) | Body::Audit(_) => Ok(()),
    }
}
