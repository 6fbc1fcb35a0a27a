//! The version of a shard's tables, and the way to it from each older one.
//!
//! A database that a newer program has written is refused: nobody here knows what its rows mean. An older one is copied as it is, and
//! then changed in one transaction: after a crash at any time it is wholly old or wholly as it should be.

use crate::copy::copy_database;
use crate::stop::{Exit, StartError};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// What leads from each version to the next. Version 0 was written before versions were counted; its tables are those of version 1.
const STEPS: &[&str] = &[""];

/// The version that this program writes.
pub const VERSION: usize = STEPS.len();

/// The version of a database; one that has just been made is 0 and has no tables.
pub fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    // What is no version of ours is newer than all of them.
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

/// Refuses a database that a newer program has written.
pub fn refuse_newer(connection: &Connection, path: &Path) -> Result<(), StartError> {
    let found = version(connection).map_err(|error| unreadable(path, &error))?;
    if found <= VERSION {
        return Ok(());
    }
    let line = format!(
        "{} has version {found} of the tables, and this program knows {VERSION}: a newer encd has written it; start that one, nothing was changed",
        path.display()
    );
    Err(StartError::new(Exit::Newer, line))
}

/// Brings a database to [`VERSION`].
pub fn upgrade(connection: &Connection, path: &Path) -> Result<(), StartError> {
    upgrade_by(connection, path, STEPS)
}

/// Where the copy of an older database is kept: `before-1/shard-0.db`.
pub fn copy_path(path: &Path, version: usize) -> PathBuf {
    let name = path.file_name().expect("a shard's path ends in its name");
    path.with_file_name(format!("before-{version}")).join(name)
}

fn upgrade_by(connection: &Connection, path: &Path, steps: &[&str]) -> Result<(), StartError> {
    let failed = |error: rusqlite::Error| {
        let line = format!("{} could not be upgraded ({error}); it is as it was, look at the disk", path.display());
        StartError::new(Exit::Config, line)
    };
    let found = version(connection).map_err(failed)?;
    if found == steps.len() {
        return Ok(());
    }
    let tables: i64 =
        connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    let steps_to_take = if tables == 0 { &[] } else { &steps[found..] };
    if tables > 0 {
        let copy = copy_path(path, steps.len());
        if !copy.exists() {
            tracing::info!(from = found, to = steps.len(), "a database is copied, then upgraded");
            copy_database(connection, &copy)?;
        }
    }
    let script = format!("BEGIN IMMEDIATE; {} PRAGMA user_version = {}; COMMIT;", steps_to_take.concat(), steps.len());
    connection.execute_batch(&script).map_err(|error| {
        if !connection.is_autocommit()
            && let Err(undone) = connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%undone, "an upgrade could not be undone; the next start undoes it");
        }
        failed(error)
    })
}

fn unreadable(path: &Path, error: &rusqlite::Error) -> StartError {
    StartError::new(Exit::Config, format!("{} cannot be read ({error}); check the disk", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "CREATE TABLE a(x INTEGER) STRICT; INSERT INTO a VALUES (7);";
    const TO_1: &str = "CREATE TABLE b(x INTEGER) STRICT; INSERT INTO b SELECT x + 1 FROM a;";
    const TO_2: &str = "DROP TABLE a;";

    fn count(connection: &Connection, table: &str) -> Option<i64> {
        connection.query_row(&format!("SELECT sum(x) FROM {table}"), [], |row| row.get(0)).ok()
    }

    #[test]
    fn from_each_version_to_the_newest_and_the_copy_is_what_was() {
        for (before, copied) in [("", (Some(7), None)), (TO_1, (Some(7), Some(8)))] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("shard-0.db");
            let connection = Connection::open(&path).expect("a database");
            connection.execute_batch(OLD).expect("the old tables");
            connection.execute_batch(before).expect("a step");
            let found = usize::from(!before.is_empty());
            connection.pragma_update(None, "user_version", found as i64).expect("its version");
            upgrade_by(&connection, &path, &[TO_1, TO_2]).expect("upgraded");
            assert_eq!(
                (version(&connection), count(&connection, "a"), count(&connection, "b")),
                (Ok(2), None, Some(8))
            );
            let copy = Connection::open(copy_path(&path, 2)).expect("a copy");
            assert_eq!(version(&copy), Ok(found));
            assert_eq!((count(&copy, "a"), count(&copy, "b")), copied);
        }
    }

    #[test]
    fn a_step_that_fails_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("shard-0.db");
        let connection = Connection::open(&path).expect("a database");
        connection.execute_batch(OLD).expect("the old tables");
        let refused = upgrade_by(&connection, &path, &[TO_1, "DROP TABLE nothing;"]).expect_err("the step fails");
        assert_eq!(refused.exit, Exit::Config);
        assert_eq!((version(&connection), count(&connection, "a"), count(&connection, "b")), (Ok(0), Some(7), None));
        upgrade_by(&connection, &path, &[TO_1, TO_2]).expect("the copy that is there is kept");
        assert_eq!(count(&connection, "b"), Some(8));
    }

    #[test]
    fn a_newer_one_is_refused_and_an_empty_one_is_not_copied() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("shard-0.db");
        let connection = Connection::open(&path).expect("a database");
        upgrade(&connection, &path).expect("made");
        assert!(!copy_path(&path, VERSION).exists());
        assert_eq!(version(&connection), Ok(VERSION));
        for newer in [VERSION as i64 + 1, -1] {
            connection.pragma_update(None, "user_version", newer).expect("its version");
            let refused = refuse_newer(&connection, &path).expect_err("it is newer");
            assert_eq!(refused.exit, Exit::Newer);
        }
    }
}
