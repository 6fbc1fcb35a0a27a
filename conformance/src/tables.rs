//! What a node has on its disk, row by row, read past the node.

use protocol::{EnclaveId, Signature};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use service::context::STH_AGE_MS;
use service::record::Record;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// The databases of a node, open for reading.
pub struct Tables {
    shards: Vec<Connection>,
}

/// Every row of every table, by table.
pub type Dump = BTreeMap<String, Vec<Row>>;

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its columns, but for `signed`.
    text: String,
    /// An enclave's tree head: when it was signed, and the signature.
    signed: Option<(u64, Signature)>,
}

impl Row {
    /// Whether this stands in one of its columns.
    pub fn contains(&self, text: &str) -> bool {
        self.text.contains(text)
    }

    /// Whether nothing has happened but the time: a tree head that is asked for when it is too old is signed anew.
    fn stays(&self, other: &Row) -> bool {
        self.text == other.text
            && match (self.signed, other.signed) {
                (Some((then, _)), Some((now, _))) if then.abs_diff(now) > STH_AGE_MS => true,
                (one, another) => one == another,
            }
    }
}

impl Tables {
    /// Opens every shard of a data folder that a node uses.
    pub fn open(folder: &Path) -> Tables {
        let shard = |number: usize| folder.join("data").join(format!("shard-{number}.db"));
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let shards: Vec<Connection> = (0..)
            .map(shard)
            .take_while(|path| path.is_file())
            .map(|path| Connection::open_with_flags(path, flags).expect("a database that can be read"))
            .collect();
        assert!(!shards.is_empty(), "{} holds databases", folder.display());
        Tables { shards }
    }

    /// All rows as they are now, but for the host's own count of transactions: one whose work was undone counts as well.
    pub fn dump(&self) -> Dump {
        let mut dump = Dump::new();
        for (number, shard) in self.shards.iter().enumerate() {
            for table in tables(shard).into_iter().filter(|table| table != "host_mark") {
                let rows = rows(shard, &table);
                dump.insert(format!("shard-{number}.{table}"), rows);
            }
        }
        dump
    }
}

/// Which tables differ, and in which rows; empty where none does.
pub fn difference(before: &Dump, after: &Dump) -> String {
    let mut text = String::new();
    for (table, rows) in after {
        let known = before.get(table).map_or(&[][..], Vec::as_slice);
        let gone = known.iter().filter(|row| !rows.iter().any(|other| row.stays(other))).map(|row| ('-', row));
        let new = rows.iter().filter(|row| !known.iter().any(|other| row.stays(other))).map(|row| ('+', row));
        for (sign, row) in gone.chain(new) {
            writeln!(text, "{sign} {table}: {}{:?}", row.text, row.signed)
                .expect("a text takes whatever is written to it");
        }
    }
    text
}

fn tables(shard: &Connection) -> Vec<String> {
    const SQL: &str = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut statement = shard.prepare(SQL).expect("the list of tables");
    let names = statement.query_map([], |row| row.get(0)).expect("the list of tables");
    names.collect::<Result<_, _>>().expect("names are text")
}

fn rows(shard: &Connection, table: &str) -> Vec<Row> {
    let mut statement = shard.prepare_cached(&format!("SELECT * FROM {table}")).expect("a table can be read");
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let (mut text, mut signed) = (String::new(), None);
        for column in 0..columns {
            match row.get_ref(column)? {
                ValueRef::Null => text.push_str("NULL "),
                ValueRef::Integer(value) => write!(text, "{value} ").expect("a text"),
                ValueRef::Real(value) => write!(text, "{value} ").expect("a text"),
                ValueRef::Text(value) => write!(text, "{} ", String::from_utf8_lossy(value)).expect("a text"),
                ValueRef::Blob(value) if table == "node_state" && text.ends_with(" record ") => {
                    let (record, head) = without_signature(value);
                    write!(text, "x{} ", protocol::ids::hex(&record)).expect("a text");
                    signed = Some(head);
                }
                ValueRef::Blob(value) => write!(text, "x{} ", protocol::ids::hex(value)).expect("a text"),
            }
        }
        Ok(Row { text, signed })
    });
    rows.expect("rows can be read").collect::<Result<_, _>>().expect("rows can be read")
}

/// An enclave's record without when and how its tree head was signed, and that.
fn without_signature(record: &[u8]) -> (Vec<u8>, (u64, Signature)) {
    // Whose record it is stands in a column of its own.
    let mut record = Record::decode(EnclaveId([0; 32]), record).expect("the node's own record");
    let signed = (record.sth_timestamp, record.sth_signature);
    (record.sth_timestamp, record.sth_signature) = (0, Signature([0; 64]));
    (record.encode(), signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_old_head_may_be_signed_anew() {
        let row = |text: &str, at: u64, signature: u8| {
            let signed = Some((at, Signature([signature; 64])));
            Dump::from([("node_state".into(), vec![Row { text: text.into(), signed }])])
        };
        let before = row("a", 5, 1);
        let rows = [
            ("nothing", row("a", 5, 1), true),
            ("signed anew after a minute", row("a", 6 + STH_AGE_MS, 2), true),
            ("signed anew too early", row("a", 5 + STH_AGE_MS, 2), false),
            ("another signature of the same time", row("a", 5, 2), false),
            ("other columns", row("b", 6 + STH_AGE_MS, 2), false),
        ];
        for (what, after, same) in rows {
            assert_eq!(difference(&before, &after).is_empty(), same, "{what}");
        }
    }
}
