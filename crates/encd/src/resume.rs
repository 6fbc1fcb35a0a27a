//! `encd resume-after-loss`: the operator's decision to go on from an older copy (`docs/protocol.md`, Fencing).
//!
//! Until then a shard that is behind its mark, or was put back from a backup, is served and not written to. The decision is for single
//! enclaves: the others of a shard become read-only by themselves, and can be decided on later. That a log was made live again, and at which place, is
//! noted in a file outside the database before anything is signed, so that no older copy makes the same log live at the same place twice.

use crate::check::store_failed;
use crate::clock::Clock;
use crate::config::Config;
use crate::elsewhere::Elsewhere;
use crate::folder::{Folder, make_private, write_durably};
use crate::keys::KeyStore;
use crate::server;
use crate::sqlite::{Access, Capabilities, Effects, SqlRuntime};
use crate::stop::{Exit, StartError};
use crate::store::{self, ShardFile};
use crate::witnesses::recall::checkpoint_of;
use protocol::{Code, EnclaveId, Event};
use rusqlite::Connection;
use service::cache::Cache;
use service::context::Stop;
use service::recover;
use service::runtime::{Fault, NodeFacts};
use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which logs are decided on.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// One.
    One(EnclaveId),
    /// All that the folder holds and that can go on.
    All,
}

/// What came of one log.
#[derive(Clone, Debug)]
pub enum Decided {
    /// It is live again; its `Recovered` has this place.
    Resumed(u64),
    /// It stays read-only, for this reason.
    Stays(String),
}

/// What a whole shard's work needs.
struct Desk<'a> {
    elsewhere: Option<&'a Elsewhere>,
    facts: NodeFacts,
    capabilities: Capabilities,
    notes: PathBuf,
}

/// Makes logs of this node's own keys live again. The node does not run. Who is elsewhere is asked first, if anybody is to be.
///
/// # Errors
/// Where one log was named and cannot go on; the store is then as it was, but for the fence.
pub fn run(
    config: &Config,
    which: Which,
    elsewhere: Option<&Elsewhere>,
    clock: Clock,
) -> Result<Vec<(EnclaveId, Decided)>, StartError> {
    Folder::locate(config)?;
    let folder = Folder::open(config)?;
    let keys = Arc::new(KeyStore::open(&folder.keys(), &config.name)?);
    let files = store::open(&folder, &config.store)?;
    let desk = Desk {
        elsewhere,
        facts: server::facts(config, &keys),
        capabilities: Capabilities { keys, clock },
        notes: folder.data().join("resumed"),
    };
    let shards = files.len();
    let mut decided = Vec::new();
    for (shard, file) in files.iter().enumerate() {
        let named = match which {
            Which::One(enclave) if store::shard_of(&enclave, shards) != shard => continue,
            Which::One(enclave) => Some(enclave),
            Which::All => None,
        };
        file.writer.execute_batch("PRAGMA synchronous = FULL;").map_err(|error| failed(&error))?;
        if file.mark.rolled_back {
            fence(&desk, file)?;
        }
        match named {
            Some(enclave) => match resume(&desk, &file.writer, &enclave)? {
                Decided::Stays(why) => {
                    return Err(StartError::new(Exit::Refused, format!("{enclave} stays read-only: {why}")));
                }
                done @ Decided::Resumed(_) => decided.push((enclave, done)),
            },
            None => {
                for enclave in within(&desk, &file.writer, |rt, _| recover::enclaves(rt).map_err(Stop::Fault))?? {
                    decided.push((enclave, resume(&desk, &file.writer, &enclave)?));
                }
            }
        }
        finish(file)?;
    }
    Ok(decided)
}

/// Turns a shard's fence into one for each of its enclaves. Only when that is durable is the shard's taken away.
fn fence(desk: &Desk<'_>, file: &ShardFile) -> Result<(), StartError> {
    within(desk, &file.writer, |rt, cache| {
        for enclave in recover::enclaves(rt)? {
            recover::fence(rt, cache, &desk.facts, &enclave)?;
        }
        Ok(())
    })??;
    finish(file)
}

/// Moves everything into the database and states how far it has come.
fn finish(file: &ShardFile) -> Result<(), StartError> {
    file.writer.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);").map_err(|error| failed(&error))?;
    let reached = store::transactions(&file.writer).map_err(|error| failed(&error))?;
    file.mark.write(reached).map_err(|error| failed(&error))
}

fn resume(desk: &Desk<'_>, writer: &Connection, enclave: &EnclaveId) -> Result<Decided, StartError> {
    let next = within(desk, writer, |rt, cache| Ok(cache.load(rt, enclave)?.map(|state| state.record.head.next_seq)))??;
    let Some(next) = next else { return stays("the folder does not hold it") };
    if let Some(elsewhere) = desk.elsewhere {
        let shown = checkpoint_of(writer, &desk.facts, &desk.capabilities, enclave);
        if let Some(why) = elsewhere.object(enclave, shown.as_ref()) {
            return Ok(Decided::Stays(why));
        }
    }
    let note = Note { path: desk.notes.join(enclave.hex()) };
    let before = note.read()?;
    if before.is_some_and(|noted| noted >= next) {
        return stays(
            "it was made live again before, at this place or beyond: put the copy back that has it, or remove its file in data/resumed/ if you know that nothing was signed",
        );
    }
    note.write(next)?;
    let resumed = within(desk, writer, |rt, cache| recover::resume(rt, cache, &desk.facts, enclave))?;
    let event: Event = match resumed {
        Ok(event) => event,
        Err(undone) => {
            // What was signed went with the transaction.
            note.put_back(before)?;
            return undone.stays();
        }
    };
    Ok(Decided::Resumed(event.position.seq))
}

fn stays(why: &str) -> Result<Decided, StartError> {
    Ok(Decided::Stays(why.to_owned()))
}

/// Why a log does not go on, for a person.
const WORDS: &[(Code, &str)] = &[
    (Code::BadState, "it is live already"),
    (Code::EnclaveTerminated, "it was terminated"),
    (Code::EnclaveMigrated, "it was moved to another node"),
    (Code::EnclavePaused, "it is paused, and a paused log takes no Recovered"),
    (Code::ClockBehind, "this machine's clock is behind its last event: mend the clock"),
];

/// Why a transaction was rolled back.
enum Undone {
    Refused(Code),
    Fault(Fault),
}

impl Undone {
    fn stays(self) -> Result<Decided, StartError> {
        let code = match self {
            Undone::Fault(Fault::Key) => return stays("the key that signs for it is not in keys/"),
            Undone::Fault(fault) => return Err(store_failed(fault)),
            Undone::Refused(code) => code,
        };
        let words = WORDS.iter().find(|(known, _)| *known == code);
        stays(words.map_or(code.as_str(), |(_, words)| words))
    }
}

impl From<Undone> for StartError {
    fn from(undone: Undone) -> StartError {
        match undone {
            Undone::Refused(code) => StartError::new(Exit::Refused, code.as_str()),
            Undone::Fault(fault) => store_failed(fault),
        }
    }
}

/// Runs work in a transaction of its own, with nothing remembered from before.
fn within<T>(
    desk: &Desk<'_>,
    writer: &Connection,
    work: impl FnOnce(&SqlRuntime<'_>, &mut Cache) -> Result<T, Stop>,
) -> Result<Result<T, Undone>, StartError> {
    let effects = RefCell::new(Effects::default());
    let rt = SqlRuntime::new(writer, &desk.capabilities, Access::Write, &effects);
    writer.execute_batch("BEGIN IMMEDIATE").map_err(|error| failed(&error))?;
    let before = writer.total_changes();
    let worked = work(&rt, &mut Cache::writer(1)).map_err(|stop| match stop {
        Stop::Refused(rejection) => Undone::Refused(rejection.code),
        Stop::Fault(fault) => Undone::Fault(fault),
    });
    let worked = worked.and_then(|done| rt.settle(Ok(done)).map_err(Undone::Fault));
    let ended = match &worked {
        Ok(_) if writer.total_changes() != before => {
            store::advance_mark(writer).and_then(|()| writer.execute_batch("COMMIT"))
        }
        Ok(_) => writer.execute_batch("COMMIT"),
        Err(_) => writer.execute_batch("ROLLBACK"),
    };
    ended.map_err(|error| failed(&error))?;
    Ok(worked)
}

/// The file that says at which place a log was made live again.
struct Note {
    path: PathBuf,
}

impl Note {
    fn read(&self) -> Result<Option<u64>, StartError> {
        match fs::read_to_string(&self.path) {
            Ok(text) => text.trim_end().parse().map(Some).map_err(|_| damaged(&self.path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(_) => Err(damaged(&self.path)),
        }
    }

    fn write(&self, seq: u64) -> Result<(), StartError> {
        let folder = self.path.parent().expect("a note stands in the folder of notes");
        let written = make_private(folder).and_then(|()| write_durably(&self.path, format!("{seq}\n").as_bytes()));
        written.map_err(|error| failed(&error))
    }

    fn put_back(&self, before: Option<u64>) -> Result<(), StartError> {
        match before {
            Some(seq) => self.write(seq),
            None => fs::remove_file(&self.path).map_err(|error| failed(&error)),
        }
    }
}

fn damaged(path: &Path) -> StartError {
    StartError::new(Exit::Config, format!("the file {} is damaged: it must hold one number", path.display()))
}

fn failed(error: &dyn std::fmt::Display) -> StartError {
    StartError::new(Exit::Storage, format!("the store failed a write ({error}); look at the disk, then ask again"))
}
