//! What witnesses remember of this node's logs. A witness that has cosigned a larger tree than the folder holds shows that the folder is an older copy,
//! also where whoever put it back has put its marks back with it.

use super::ask::{Asking, Shown, Unsigned};
use super::{Log, Witnesses};
use crate::folder::{Folder, make_private, write_durably};
use crate::heads::book::Book;
use crate::sqlite::{Access, Capabilities, Effects, SqlRuntime};
use crate::stop::{Exit, StartError};
use crate::store::{ShardFile, shard_of};
use protocol::EnclaveId;
use rusqlite::Connection;
use service::cache::Cache;
use service::call::{Action, Call, Claim, Outcome};
use service::node;
use service::runtime::NodeFacts;
use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::JoinSet;

/// What the witnesses of a log say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// One that has cosigned a larger tree, and how large.
    pub larger: Option<(String, u64)>,
    /// Those that gave no answer.
    pub silent: Vec<String>,
}

/// The folder of sizes that witnesses have told and that this node has acted upon: the same size is no news at the next start, when its operator may have
/// decided.
struct Noticed {
    folder: PathBuf,
}

impl Witnesses {
    /// Asks all of them at once, and waits for each no longer than is configured. A witness that has never seen the log cosigns the checkpoint.
    pub async fn remember(self: &Arc<Witnesses>, shown: &Shown) -> Remembered {
        let shown = Arc::new(shown.clone());
        let mut asked = JoinSet::new();
        for (place, witness) in self.policy.witnesses().iter().enumerate() {
            let Some(url) = witness.url.clone() else { continue };
            let (parts, shown) = (Arc::clone(self), Arc::clone(&shown));
            asked.spawn(async move {
                let vkey = &parts.policy.witnesses()[place].vkey;
                let asking = Asking { client: &parts.client, vkey, url: &url, old: 0 };
                (place, asking.known(&shown).await)
            });
        }
        let mut remembered = Remembered::default();
        while let Some(answered) = asked.join_next().await {
            let Ok((place, known)) = answered else { continue };
            let name = self.policy.witnesses()[place].name.clone();
            match known {
                Ok(size) if size > shown.checkpoint.size => remembered.larger = Some((name, size)),
                Ok(_) => {}
                // Who does not know the log, or its key, remembers nothing of it.
                Err(Unsigned::Status(403 | 404)) => {}
                Err(unsigned) => {
                    tracing::warn!(witness = name, %unsigned, "a witness does not say what it remembers");
                    remembered.silent.push(name);
                }
            }
        }
        remembered
    }

    /// Whether the log of this enclave is shown to them.
    pub fn see(&self, enclave: &EnclaveId) -> bool {
        self.logs.contains(&Log::Enclave(*enclave))
    }

    /// At start, before anything is signed: what a witness knows more of is not written to. An enclave's log speaks for its shard, the heads log for all.
    ///
    /// # Errors
    /// What was found cannot be noted.
    pub async fn recall(
        self: &Arc<Witnesses>,
        folder: &Folder,
        (files, book): (&mut [ShardFile], &mut Book),
        (facts, capabilities): (&NodeFacts, &Capabilities),
    ) -> Result<(), StartError> {
        let noticed = Noticed { folder: folder.data().join("noticed") };
        for log in &self.logs {
            let shards = files.len();
            let (name, shown, fenced) = match log {
                Log::Heads if book.is_rolled_back() => continue,
                Log::Heads => {
                    let head = book.head().map_err(|error| unusable(&error))?;
                    let shown = head.and_then(|head| Shown::parse(head.note.as_bytes()));
                    ("heads".to_owned(), shown, 0..shards)
                }
                Log::Enclave(enclave) => {
                    let shard = shard_of(enclave, shards);
                    if files[shard].mark.rolled_back {
                        continue;
                    }
                    let shown = checkpoint_of(&files[shard].writer, facts, capabilities, enclave);
                    (enclave.hex(), shown, shard..shard + 1)
                }
            };
            let Some(shown) = shown else { continue };
            let Some((witness, size)) = self.remember(&shown).await.larger else { continue };
            if noticed.before(&name).map_err(|error| unusable(&error))? >= size {
                continue;
            }
            tracing::error!(
                witness,
                size,
                log = name,
                "a witness has seen a larger tree: this folder is an older copy, which is served, not written to; put the newest one back, or, where that is lost, see `encd resume-after-loss --help`"
            );
            for file in &mut files[fenced] {
                file.mark.fence().map_err(|error| unusable(&error))?;
            }
            if *log == Log::Heads {
                book.fence().map_err(|error| unusable(&error))?;
            }
            noticed.note(&name, size).map_err(|error| unusable(&error))?;
        }
        Ok(())
    }
}

/// Notes that whatever witnesses say of the heads log is no news: the databases are marked as older copies already.
pub fn expect_of_heads(data: &Path) -> io::Result<()> {
    Noticed { folder: data.join("noticed") }.note("heads", u64::MAX)
}

impl Noticed {
    fn before(&self, name: &str) -> io::Result<u64> {
        match fs::read_to_string(self.folder.join(name)) {
            Ok(text) => text.trim_end().parse().map_err(|_| io::ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn note(&self, name: &str, size: u64) -> io::Result<()> {
        make_private(&self.folder)?;
        write_durably(&self.folder.join(name), format!("{size}\n").as_bytes())
    }
}

/// The newest checkpoint of an enclave's log, as it stands in the database.
pub fn checkpoint_of(
    connection: &Connection,
    facts: &NodeFacts,
    capabilities: &Capabilities,
    enclave: &EnclaveId,
) -> Option<Shown> {
    let effects = RefCell::new(Effects::default());
    let rt = SqlRuntime::new(connection, capabilities, Access::Read, &effects);
    let call = Call { enclave: Some(*enclave), claim: Claim::Stranger, action: Action::Checkpoint };
    // A bundle that is due is not closed by this.
    match node::run(&rt, &mut Cache::reader(1).fenced(), facts, &call, false) {
        Ok(Outcome::Done(response)) if response.status == 200 => Shown::parse(&response.body),
        Ok(Outcome::Done(_) | Outcome::Undone(_) | Outcome::Parked { .. }) | Err(_) => None,
    }
}

fn unusable(error: &dyn std::fmt::Display) -> StartError {
    StartError::new(Exit::Config, format!("what witnesses remember cannot be held against the folder ({error})"))
}
