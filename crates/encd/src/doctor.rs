//! `encd doctor`: what is well and what is not around a data folder, without reading the logs.

use crate::admin::Admin;
use crate::clock::Clock;
use crate::config::Config;
use crate::keys::KeyStore;
use crate::sqlite::open_reader;
use crate::stop::StartError;
use crate::{store, upgrade};
use rustix::process::{Resource, getrlimit};
use std::fs::{self, OpenOptions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Well,
    /// It works, and somebody should look.
    Watch,
    /// It does not work, or will not.
    Ill,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What.
    pub name: &'static str,
    /// How it is.
    pub health: Health,
    /// What was found, and what to do.
    pub words: String,
}

/// Milliseconds by which a clock may be behind the last event.
const SKEW_MS: u64 = 60_000;

/// Looks at a folder, in which a node may be working. Nothing is changed.
pub fn run(folder: &Path, config: &Config) -> Result<Vec<Finding>, StartError> {
    let mut findings = vec![running(folder), modes(folder), keys(folder, config), space(folder, config)];
    findings.extend([token(config), files(config)]);
    let data = folder.join("data");
    let shards = store::shards_in(&data)?;
    let mut last_event = 0;
    for shard in 0..shards {
        let path = store::shard_path(&data, shard);
        findings.push(database(&path, config, &mut last_event));
    }
    let behind = last_event.saturating_sub(Clock::system().now());
    findings.push(match behind {
        0..=SKEW_MS => well("clock", "not behind the newest event"),
        _ => ill("clock", format!("{} s behind the newest event: mend the clock", behind / 1000)),
    });
    Ok(findings)
}

fn running(folder: &Path) -> Finding {
    let lock = OpenOptions::new().read(true).write(true).open(folder.join("lock"));
    match lock.map(|lock| lock.try_lock()) {
        Ok(Ok(())) => well("node", "none works in the folder"),
        Ok(Err(TryLockError::WouldBlock)) => well("node", "one works in the folder"),
        Ok(Err(TryLockError::Error(error))) => ill("node", format!("the lock cannot be tried ({error})")),
        Err(_) => well("node", "none has worked in the folder since it was put back"),
    }
}

fn modes(folder: &Path) -> Finding {
    let open = |path: &Path| fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
    let keys = folder.join("keys");
    let files = fs::read_dir(&keys).into_iter().flatten().filter_map(|entry| entry.ok().map(|entry| entry.path()));
    match [folder.to_owned(), folder.join("data"), keys].into_iter().chain(files).find(|path| open(path)) {
        None => well("modes", "folder and keys are this user's only"),
        Some(path) => ill("modes", format!("others may look into {}: chmod go= {0}", path.display())),
    }
}

fn keys(folder: &Path, config: &Config) -> Finding {
    let keys = folder.join("keys");
    if !["node.key", "heads.key"].iter().all(|name| keys.join(name).is_file()) {
        return ill(
            "keys",
            "node.key or heads.key is missing: put them back, or a start makes others and no log goes on",
        );
    }
    match KeyStore::open(&keys, &config.name) {
        Ok(store) => well("keys", format!("the node's key is {}", store.node().hex())),
        Err(error) => ill("keys", error.line),
    }
}

fn space(folder: &Path, config: &Config) -> Finding {
    match rustix::fs::statvfs(folder) {
        Err(error) => ill("space", format!("cannot be asked for ({error})")),
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let total = found.f_blocks.saturating_mul(found.f_frsize);
            let wanted = config.disk.create_needs(total);
            let words = format!("{} MiB free", free >> 20);
            match free {
                _ if free < config.disk.commit_needs(total) => ill("space", format!("{words}: commits are refused")),
                _ if free < wanted => ill("space", format!("{words}: new enclaves are refused")),
                _ if free < wanted.saturating_mul(2) => watch("space", format!("{words}: make room")),
                _ => well("space", words),
            }
        }
    }
}

fn token(config: &Config) -> Finding {
    match Admin::from_config(config) {
        Err(error) => ill("operator", format!("{error:#}")),
        Ok(admin) if admin.has_token() => well("operator", "known by a token"),
        Ok(admin) if admin.is_open_on_loopback() => {
            watch("operator", "no token: programs on this machine may provision keys; set admin.token_file")
        }
        Ok(_) => watch("operator", "no token: nobody may provision keys or restore; set admin.token_file"),
    }
}

/// Files that may be open at once, which bounds connections.
fn files(config: &Config) -> Finding {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let needed = config.listen.max_connections as u64 * 2 + 256;
    match limit >= needed {
        true => well("files", format!("{limit} may be open")),
        false => watch("files", format!("{limit} may be open, and a full node wants {needed}: raise ulimit -n")),
    }
}

fn database(path: &Path, config: &Config, last_event: &mut u64) -> Finding {
    const NEWEST: &str = "SELECT coalesce(max(timestamp), 0) FROM events WHERE rowid = (SELECT max(rowid) FROM events)";
    let name = "database";
    let label = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let read = open_reader(path, &config.store).and_then(|connection| {
        let newest: i64 = connection.query_row(NEWEST, [], |row| row.get(0))?;
        Ok((upgrade::version(&connection)?, store::transactions(&connection)?, newest))
    });
    let (version, reached, newest) = match read {
        Ok(read) => read,
        Err(error) => return ill(name, format!("{label} cannot be read ({error}): put a backup back")),
    };
    *last_event = (*last_event).max(u64::try_from(newest).unwrap_or(0));
    if version > upgrade::VERSION {
        return ill(name, format!("{label} was written by a newer encd"));
    }
    match store::read_mark(&path.with_extension("mark")) {
        Err(error) => ill(name, error.line),
        Ok(Some(marked)) if marked.is_ahead_of(reached) => {
            ill(name, format!("{label} is an older copy and not written to: see `encd resume-after-loss --help`"))
        }
        Ok(_) if version < upgrade::VERSION => watch(name, format!("{label} is upgraded at the next start")),
        Ok(_) => well(name, format!("{label} has come to transaction {reached}")),
    }
}

fn well(name: &'static str, words: impl Into<String>) -> Finding {
    Finding { name, health: Health::Well, words: words.into() }
}

fn watch(name: &'static str, words: impl Into<String>) -> Finding {
    Finding { name, health: Health::Watch, words: words.into() }
}

fn ill(name: &'static str, words: impl Into<String>) -> Finding {
    Finding { name, health: Health::Ill, words: words.into() }
}
