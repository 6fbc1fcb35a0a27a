//! The list of what is in a backup: `backup.json`.

use crate::clock::Clock;
use crate::stop::{Exit, StartError};
use crate::upgrade;
use protocol::ids::hex;
use protocol::{Json, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;

/// Its name in a backup.
pub const NAME: &str = "backup.json";

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place below the backup, with `/` between.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// How many transactions it has seen, if it is a shard.
    pub transactions: Option<u64>,
}

/// What stands in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Each file but the list itself.
    pub rows: Vec<Row>,
    /// Whether the keys were to be in it.
    pub keys: bool,
}

impl List {
    /// Its text. Shards stand by themselves, with what they have seen.
    pub fn to_text(&self) -> String {
        let member = |row: &Row| {
            let file = [
                ("bytes", Json::from(row.bytes)),
                ("file", Json::from(row.file.as_str())),
                ("sha256", Json::from(row.sha256.as_str())),
            ];
            Json::object(file.into_iter().chain(row.transactions.map(|reached| ("transactions", Json::from(reached)))))
        };
        let (shards, files): (Vec<&Row>, Vec<&Row>) = self.rows.iter().partition(|row| row.transactions.is_some());
        let list = Json::object([
            ("files", Json::Array(files.into_iter().map(member).collect())),
            ("keys", Json::Bool(self.keys)),
            ("program", Json::from(env!("CARGO_PKG_VERSION"))),
            ("shards", Json::Array(shards.into_iter().map(member).collect())),
            ("taken_at", Json::from(Clock::system().now())),
            ("version", Json::from(upgrade::VERSION as u64)),
        ]);
        format!("{}\n", list.to_jcs())
    }

    /// Reads one; none where it is damaged.
    pub fn parse(text: &[u8]) -> Option<List> {
        let list = json::parse(text, json::MAX_DEPTH).ok()?;
        let Some(Json::Bool(keys)) = list.member("keys") else { return None };
        let mut rows = rows_of(list.member("shards")?)?;
        // Lists of the first programs name the shards only.
        if let Some(files) = list.member("files") {
            rows.extend(rows_of(files)?);
        }
        Some(List { rows, keys: *keys })
    }

    /// Whether each file of the list was found, and is as it was.
    ///
    /// # Errors
    /// [`Exit::Damaged`], with the first that is not.
    pub fn verify(&self, backup: &Path, found: &[Row]) -> Result<(), StartError> {
        let found: HashMap<&str, &Row> = found.iter().map(|row| (row.file.as_str(), row)).collect();
        let is = |row: &Row| {
            let there = found.get(row.file.as_str());
            there.is_some_and(|there| (there.bytes, &there.sha256) == (row.bytes, &row.sha256))
        };
        match self.rows.iter().find(|row| !is(row)) {
            Some(row) => Err(damaged(&backup.join(&row.file))),
            None => Ok(()),
        }
    }
}

fn rows_of(rows: &Json) -> Option<Vec<Row>> {
    let Json::Array(rows) = rows else { return None };
    let row = |row: &Json| {
        Some(Row {
            file: row.member("file")?.as_text()?.to_owned(),
            bytes: row.member("bytes")?.as_uint()?,
            sha256: row.member("sha256")?.as_text()?.to_owned(),
            transactions: row.member("transactions").and_then(Json::as_uint),
        })
    };
    rows.iter().map(row).collect()
}

/// Counts and hashes what is read through it.
pub struct Counted<R> {
    inner: R,
    bytes: u64,
    hasher: Sha256,
}

impl<R: Read> Counted<R> {
    /// Nothing was read yet.
    pub fn new(inner: R) -> Counted<R> {
        Counted { inner, bytes: 0, hasher: Sha256::new() }
    }

    /// The row of a file that had all that was read.
    pub fn row(self, file: impl Into<String>) -> Row {
        Row { file: file.into(), bytes: self.bytes, sha256: hex(&self.hasher.finalize()), transactions: None }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..len]);
        self.bytes += len as u64;
        Ok(len)
    }
}

/// Something in a backup is not what was put there.
pub fn damaged(what: &Path) -> StartError {
    let line = format!("{} is not as it was backed up: use another backup", what.display());
    StartError::new(Exit::Damaged, line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(file: &str, transactions: Option<u64>) -> Row {
        let mut counted = Counted::new(file.as_bytes());
        io::copy(&mut counted, &mut io::sink()).expect("memory");
        Row { transactions, ..counted.row(file) }
    }

    #[test]
    fn read_as_it_was_written() {
        let list = List { rows: vec![row("data/shard-0.db", Some(7)), row("keys/node.key", None)], keys: true };
        assert_eq!(List::parse(list.to_text().as_bytes()), Some(list));
    }

    #[test]
    fn the_first_lists_have_shards_only() {
        let text = r#"{"keys":false,"shards":[{"bytes":1,"file":"data/shard-0.db","sha256":"00","transactions":2}]}"#;
        assert_eq!(List::parse(text.as_bytes()).map(|list| list.rows.len()), Some(1));
    }

    #[test]
    fn what_differs_is_named() {
        let list = List { rows: vec![row("data/node.json", None), row("keys/node.key", None)], keys: true };
        let verify = |found: &[Row]| list.verify(Path::new("b"), found);
        assert!(verify(&list.rows).is_ok());
        let longer = Row { bytes: 14, ..row("keys/node.key", None) };
        let other = Row { sha256: row("x", None).sha256, ..row("keys/node.key", None) };
        for found in [vec![], vec![longer], vec![other]] {
            let found: Vec<Row> = [row("data/node.json", None)].into_iter().chain(found).collect();
            let refused = verify(&found).expect_err("a file is not as it was");
            assert_eq!(refused.exit, Exit::Damaged);
            assert!(refused.line.contains("b/keys/node.key"), "{}", refused.line);
        }
    }
}
