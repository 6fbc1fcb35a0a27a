//! The logs that a witness cosigns, from a file that may change while it runs.

use crate::stop::{Exit, StartError};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use tlog::policy::{Log, Policy};
use tlog::vkey::Vkey;

/// The file and what it said last.
pub struct Logs {
    path: PathBuf,
    read: Mutex<Read>,
}

struct Read {
    stamp: Stamp,
    logs: Vec<Log>,
}

/// Tells one state of the file from another.
type Stamp = Option<(SystemTime, u64)>;

impl Logs {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or a line of it makes no sense.
    pub fn open(path: &Path) -> Result<Logs, StartError> {
        let unusable = |why: &dyn std::fmt::Display| {
            StartError::new(Exit::Config, format!("the list of logs {} cannot be used: {why}", path.display()))
        };
        let stamp = stamp(path).map_err(|error| unusable(&error))?;
        let text = fs::read_to_string(path).map_err(|error| unusable(&error))?;
        let logs = Policy::parse_logs(&text).map_err(|error| unusable(&error))?;
        Ok(Logs { path: path.to_owned(), read: Mutex::new(Read { stamp, logs }) })
    }

    /// The keys of a log, by its origin; none if it is not listed.
    pub fn keys_of(&self, origin: &str) -> Vec<Vkey> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        match stamp(&self.path) {
            Ok(found) if found == read.stamp => {}
            Ok(found) => {
                let text = fs::read_to_string(&self.path).unwrap_or_default();
                match Policy::parse_logs(&text) {
                    Ok(logs) => read.logs = logs,
                    Err(error) => tracing::error!(%error, "the list of logs makes no sense; the one before it stands"),
                }
                read.stamp = found;
            }
            Err(error) => tracing::error!(%error, "the list of logs cannot be read; what it said stands"),
        }
        let own = read.logs.iter().filter(|log| log.vkey.name().as_str() == origin);
        own.map(|log| log.vkey.clone()).collect()
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let found = fs::metadata(path)?;
    Ok(found.modified().ok().map(|modified| (modified, found.len())))
}
