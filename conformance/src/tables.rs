//! What a node has on its disk, row by row, read past the node.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// The databases of a node, open for reading.
pub struct Tables {
    shards: Vec<Connection>,
}

/// Every row of every table, by table.
pub type Dump = BTreeMap<String, Vec<String>>;

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
        let gone = known.iter().filter(|row| !rows.contains(row)).map(|row| ('-', row));
        let new = rows.iter().filter(|row| !known.contains(row)).map(|row| ('+', row));
        for (sign, row) in gone.chain(new) {
            writeln!(text, "{sign} {table}: {row}").expect("a text takes whatever is written to it");
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

fn rows(shard: &Connection, table: &str) -> Vec<String> {
    let mut statement = shard.prepare_cached(&format!("SELECT * FROM {table}")).expect("a table can be read");
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let mut text = String::new();
        for column in 0..columns {
            match row.get_ref(column)? {
                ValueRef::Null => text.push_str("NULL "),
                ValueRef::Integer(value) => write!(text, "{value} ").expect("a text"),
                ValueRef::Real(value) => write!(text, "{value} ").expect("a text"),
                ValueRef::Text(value) => write!(text, "{} ", String::from_utf8_lossy(value)).expect("a text"),
                ValueRef::Blob(value) => write!(text, "x{} ", protocol::ids::hex(value)).expect("a text"),
            }
        }
        Ok(text)
    });
    rows.expect("rows can be read").collect::<Result<_, _>>().expect("rows can be read")
}
