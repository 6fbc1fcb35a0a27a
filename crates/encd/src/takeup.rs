//! Restoring a log that ends in a Migrate to a key of this node. Such a Migrate makes a log live once (`docs/protocol.md`, Fencing): that
//! it was taken up is noted in a file outside the database, before anything is signed, so that neither an older snapshot nor an
//! older database makes the log live a second time.

use crate::folder::{create_durably, sync_folder};
use crate::host::{Host, Peer, refusal_code};
use crate::trouble::Trouble;
use protocol::event::Content;
use protocol::snapshot::Snapshot;
use protocol::{Code, EnclaveId, Json, PublicKey, Rejection, json};
use service::Call;
use service::call::{Action, Claim, Response, Restore, TakeUp};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the name of a note ends in until the database has what it is about.
const BEGUN: &str = "begun";

/// Where it is noted which Migrates were taken up.
#[derive(Debug)]
pub struct TakenUp {
    folder: PathBuf,
}

/// A Migrate that ends a snapshot.
struct Migrate {
    enclave: EnclaveId,
    /// Hash of its commit; each is for one enclave and one place in it.
    hash: protocol::CommitHash,
    to: PublicKey,
}

/// What came of noting.
enum Noted {
    /// It is noted by this call.
    First,
    /// It was noted before.
    Before,
}

impl TakenUp {
    /// Notes in this folder, which is made with the first.
    pub fn in_folder(data: &Path) -> TakenUp {
        TakenUp { folder: data.join("taken-up") }
    }

    fn begin(&self, migrate: &Migrate) -> io::Result<Noted> {
        fs::create_dir_all(&self.folder)?;
        sync_folder(self.folder.parent().expect("it lies in the folder of the databases"))?;
        let path = self.path(migrate);
        if path.try_exists()? {
            return Ok(Noted::Before);
        }
        create_durably(&path.with_extension(BEGUN), format!("{}\n", migrate.enclave.hex()).as_bytes())?;
        Ok(Noted::First)
    }

    /// The database has it.
    fn finish(&self, migrate: &Migrate) -> io::Result<()> {
        let path = self.path(migrate);
        fs::rename(path.with_extension(BEGUN), path)?;
        sync_folder(&self.folder)
    }

    /// Takes a note back whose restore was refused: nothing was signed then.
    fn withdraw(&self, migrate: &Migrate) -> io::Result<()> {
        fs::remove_file(self.path(migrate).with_extension(BEGUN))
    }

    /// What was begun, with the enclave that it was for.
    fn begun(&self) -> io::Result<Vec<(PathBuf, Option<EnclaveId>)>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut begun = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == BEGUN) {
                let text = fs::read_to_string(&path)?;
                begun.push((path, EnclaveId::parse(text.trim_end()).ok()));
            }
        }
        Ok(begun)
    }

    fn path(&self, migrate: &Migrate) -> PathBuf {
        self.folder.join(migrate.hash.hex())
    }
}

/// Answers a restore whose caller asserts that its Migrate is taken up for the first time; the hooks have admitted it.
pub async fn answer(host: &Arc<Host>, peer: &Peer, mut call: Call, len: usize) -> Response {
    let Action::Restore(request) = &mut call.action else { return Response::error(&Code::InvalidStructure.into()) };
    let migrate = tokio::task::block_in_place(|| last_migrate(request));
    let migrate = migrate.filter(|migrate| host.keys.key_for(&migrate.to, &migrate.enclave).is_some());
    let Some(migrate) = migrate else { return host.answer(peer, call, len).await };
    if let Err(refusal) = host.admit(peer, &call, len).await {
        return refusal;
    }
    // Whoever has gone away in the meantime, note and log end as one says: the work runs on without its client.
    let host = Arc::clone(host);
    let work = tokio::spawn(async move { take_up(&host, call, migrate, len).await });
    match work.await {
        Ok(Ok(response)) => response,
        Ok(Err(rejection)) => Response::error(&rejection),
        Err(_) => Response::error(&Code::Internal.into()),
    }
}

async fn take_up(host: &Arc<Host>, mut call: Call, migrate: Migrate, len: usize) -> Result<Response, Rejection> {
    let _one_at_a_time = host.provisioning.lock().await;
    let noted = tokio::task::block_in_place(|| host.taken_up.begin(&migrate)).map_err(|error| failed(&error))?;
    if let (Action::Restore(request), Noted::First) = (&mut call.action, &noted) {
        request.first = TakeUp::Noted;
    }
    let response = host.engine.call(call, len).await;
    if let Noted::First = noted {
        let ended = match response.status {
            200 => tokio::task::block_in_place(|| host.taken_up.finish(&migrate)),
            _ => host.taken_up.withdraw(&migrate),
        };
        ended.map_err(|error| failed(&error))?;
    }
    Ok(response)
}

/// Settles what was begun when the process ended, before anything is served: where the database has the enclave the Migrate was taken up, and where it
/// has not, nothing of it was ever seen, and it may be taken up still. A database that is an older copy says nothing about that.
///
/// # Errors
/// Of the notes' folder.
pub async fn settle(host: &Host) -> io::Result<()> {
    for (path, enclave) in host.taken_up.begun()? {
        let known = match enclave {
            Some(enclave) => is_known(host, enclave).await,
            None => true,
        };
        if known || host.engine.is_rolled_back() {
            fs::rename(&path, path.with_extension(""))?;
        } else {
            fs::remove_file(&path)?;
        }
        sync_folder(&host.taken_up.folder)?;
        tracing::info!(taken_up = known, "a Migrate was being taken up when the node ended");
    }
    Ok(())
}

async fn is_known(host: &Host, enclave: EnclaveId) -> bool {
    let call = Call { enclave: Some(enclave), claim: Claim::Stranger, action: Action::InfoEnclave };
    let response = host.engine.call(call, 0).await;
    refusal_code(&response) != Some(Code::EnclaveNotFound)
}

/// Counts all that was begun as done: in a copy, whose databases may be older than the notes.
///
/// # Errors
/// Of the folder.
pub fn count_as_done(data: &Path) -> io::Result<()> {
    for (path, _) in TakenUp::in_folder(data).begun()? {
        fs::rename(&path, path.with_extension(""))?;
    }
    Ok(())
}

fn failed(error: &io::Error) -> Rejection {
    tracing::error!(%error, "that a Migrate was taken up could not be noted");
    Trouble::code(error).into()
}

/// The Migrate that ends the snapshot, if one does. The services judge the snapshot itself.
fn last_migrate(request: &Restore) -> Option<Migrate> {
    let snapshot = Snapshot::read(&request.snapshot).ok()?;
    let last = snapshot.events().last()?.ok()?;
    let Content::Present(content) = &last.content else { return None };
    let content = json::parse(content.as_bytes(), json::MAX_DEPTH).ok()?;
    let to = PublicKey::parse(content.member("new_sequencer").and_then(Json::as_text)?).ok()?;
    (last.event_type == "Migrate").then_some(Migrate { enclave: last.enclave, hash: last.hash, to })
}
