//! How a ledger is made and opened. There is one way in: whatever a crash has left is read and put right by the code that every start runs.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use merkle::Hash;
use merkle::log::leaf_hash;
use tlog::checkpoint::{Checkpoint, Origin, verify_checkpoint};
use tlog::entry_bundle;
use tlog::note::Note;
use tlog::tile::{TileKind, TilePath};

use crate::append::{Append, Content, Draft};
use crate::edge::Edge;
use crate::entry::{Author, Body, Entry, Kind, Statement};
use crate::entry_text;
use crate::hold::HoldScope;
use crate::index::{Covered, Index, Indexed};
use crate::journal;
use crate::ledger::{Damage, Failure, Fault, JournalFile, Ledger, Log, MAX_BATCH, MAX_ORIGIN_LEN};
use crate::path::ObjectPath;
use crate::policy::Policy;
use crate::reading::{PayloadBytes, View, packed_len, read_tile};
use crate::rejection::Rejection;
use crate::retention::Retention;
use crate::signer::Signer;
use crate::statement::readme;
use crate::store::{Files, Folder, Store};
use crate::time::{Timestamp, Until};
use crate::value::{Actor, RecordId, Value};

/// The id of entry 0.
pub const README_ID: &str = "README.txt";
/// Who makes the entries that the ledger makes of itself.
pub const LEDGER_ACTOR: &str = "ledger";

impl<S: Store, I: Index, K: Signer> Ledger<S, I, K> {
    /// Makes a ledger: README, key, the policy as entry 1, and the checkpoint of size 2. Where this was cut off before that checkpoint, the
    /// same call does the rest.
    ///
    /// # Errors
    /// [`Fault::AlreadyInitialised`]; [`Rejection::InvalidField`] for an origin that begins with `worm-`, is longer than
    /// [`MAX_ORIGIN_LEN`], or is not the name of the key; other [`Fault`]s.
    pub fn init(store: S, index: I, signer: K, (policy, now): (&Policy, Timestamp)) -> Result<Self, Failure> {
        if store.read(&ObjectPath::Checkpoint)?.is_some() {
            return Err(Fault::AlreadyInitialised.into());
        }
        let name = signer.vkey().name().as_str();
        let origin = Origin::parse(name).map_err(|_| Rejection::InvalidField("origin"))?;
        if name.len() > MAX_ORIGIN_LEN || name.starts_with("worm-") {
            return Err(Rejection::InvalidField("origin").into());
        }
        let text = readme(&origin, signer.vkey());
        let vkey = alloc::format!("{}\n", signer.vkey());
        let key = ObjectPath::Key(signer.vkey().id());
        let mut ledger = Ledger::at(store, index, signer, origin)?;
        ledger.store.create(&[(ObjectPath::Readme, text.as_bytes()), (key, vkey.as_bytes())])?;
        if ledger.size() == 0 {
            ledger.policy = policy.clone();
            let drafts = first_entries(&ledger, &text, policy, now)?;
            ledger.write(drafts)?;
        }
        ledger.read_policy()?;
        if ledger.size() != 2 || ledger.policy != *policy {
            return Err(Fault::AlreadyInitialised.into());
        }
        ledger.publish()?;
        Ok(ledger)
    }

    /// Opens a ledger. Everything acknowledged is there afterwards, nothing else; what is wrong beyond what a crash can leave is an error.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn open(store: S, index: I, signer: K) -> Result<Self, Fault> {
        if store.read(&ObjectPath::Checkpoint)?.is_none() {
            return Err(Fault::NotInitialised);
        }
        let other = || Fault::damaged(ObjectPath::Checkpoint, Damage::OtherLedger);
        let origin = Origin::parse(signer.vkey().name().as_str()).map_err(|_| other())?;
        let mut ledger = Ledger::at(store, index, signer, origin)?;
        ledger.read_policy()?;
        Ok(ledger)
    }

    /// The ledger as its files have it, also before its first checkpoint.
    fn at(store: S, index: I, signer: K, origin: Origin) -> Result<Self, Fault> {
        let log = published(&store, &signer, &origin)?;
        let journal = JournalFile { path: ObjectPath::Journal(log.published), len: 0 };
        let policy = Policy::default();
        let mut ledger = Ledger { store, index, signer, origin, policy, log, journal, degraded: false };
        let mut known = Known::new(&ledger)?;
        ledger.read_journal(&mut known)?;
        known.check(&ledger)?;
        ledger.cut_packs()?;
        ledger.catch_up(&known)?;
        ledger.clear_staged()?;
        ledger.finish_disposals()?;
        Ok(ledger)
    }

    /// Takes in what is acknowledged and not published, and cuts off what a crash has torn.
    fn read_journal(&mut self, known: &mut Known) -> Result<(), Fault> {
        for path in self.store.list(Folder::Journal)? {
            let bytes = self.store.read(&path)?.unwrap_or_default();
            let damaged = |damage| Fault::damaged(path.clone(), damage);
            let frames = journal::decode(&bytes).map_err(|_| damaged(Damage::Form))?;
            let before = self.log.size();
            for frame in &frames.frames {
                for (index, entry) in (frame.first..).zip(&frame.entries) {
                    self.take_journalled(index, entry, known).map_err(|damage| match damage {
                        Some(damage) => damaged(damage),
                        None => Fault::RolledBack { size: self.log.published, known: index + 1 },
                    })?;
                }
            }
            if self.log.size() > before {
                self.store.cut(&path, frames.len)?;
                self.journal = JournalFile { path, len: frames.len };
            } else if frames.frames.is_empty() || self.log.published > 0 {
                self.store.remove(&path)?;
            }
        }
        Ok(())
    }

    /// One acknowledged entry: compared with the tree where that has one in its place. `None` in the error: the tree has another.
    fn take_journalled(&mut self, index: u64, bytes: &[u8], known: &mut Known) -> Result<(), Option<Damage>> {
        let size = self.log.size();
        if index < size {
            let there = self.view().entry_bytes(index).map_err(|_| Some(Damage::Contradiction))?;
            return if there.is_some_and(|there| *there == *bytes) { Ok(()) } else { Err(None) };
        }
        if index > size {
            return Err(Some(Damage::Place));
        }
        let entry = entry_text::parse(bytes).map_err(|_| Some(Damage::Form))?;
        if entry.index != index {
            return Err(Some(Damage::Place));
        }
        // The pack was synced before the journal; sealing it is all that can be left to do, and is done below.
        self.log.take_in(&entry, bytes.to_vec());
        known.reached(&self.log.edge);
        Ok(())
    }

    /// Cuts packs back to what is acknowledged, and closes the full ones.
    fn cut_packs(&mut self) -> Result<(), Fault> {
        let reach = (MAX_BATCH / 256) as u64 + 1;
        let open = self.size() / 256;
        for number in open..=open + reach {
            let path = ObjectPath::Pack(number);
            let wanted = if number == open { self.log.pack_len } else { 0 };
            let len = self.store.len(&path)?.unwrap_or(0);
            if len < wanted {
                return Err(Fault::damaged(path, Damage::Short));
            }
            if len > wanted {
                self.store.cut(&path, wanted)?;
            }
        }
        for number in (self.log.published / 256).saturating_sub(reach)..open {
            if self.store.len(&ObjectPath::Pack(number))?.is_some() {
                self.store.seal(&ObjectPath::Pack(number))?;
            }
        }
        Ok(())
    }

    /// Brings the index up to the log; one of another log, or of another version of this one, is made again.
    fn catch_up(&mut self, known: &Known) -> Result<(), Fault> {
        let covered = self.index.covered()?;
        if known.index_root != Some(covered.root) {
            self.index.clear()?;
        }
        let mut at = self.index.covered()?.size;
        while at < self.size() {
            let entries = self.view().read_since(at, 256 - (at % 256) as usize).map_err(fault)?;
            let indexed: Vec<Indexed> =
                (at..).zip(&entries).map(|(index, bytes)| self.indexed(index, bytes)).collect::<Result<_, _>>()?;
            at += entries.len() as u64;
            let root = if at == self.size() { self.root() } else { self.view().root(at).unwrap_or_default() };
            self.index.apply(&indexed, Covered { size: at, root })?;
        }
        Ok(())
    }

    fn indexed(&self, index: u64, bytes: &[u8]) -> Result<Indexed, Fault> {
        let path = TilePath::in_log(TileKind::Entries, index / 256, self.size());
        let path = path.map_or(ObjectPath::Checkpoint, ObjectPath::Tile);
        let entry = entry_text::parse(bytes).map_err(|_| Fault::damaged(path.clone(), Damage::Form))?;
        let scope = match &entry.body {
            Body::Hold(_) => match self.view().payload(index).map_err(fault)? {
                Some(PayloadBytes::Whole(bytes)) => {
                    Some(HoldScope::decode(&bytes).ok_or(Fault::damaged(path, Damage::Form))?)
                }
                Some(PayloadBytes::Gone) | None => return Err(Fault::damaged(path, Damage::Missing)),
            },
            Body::Record(_)
            | Body::Release(_)
            | Body::Retain(_)
            | Body::Dispose(_)
            | Body::Key(_)
            | Body::Policy(_)
            | Body::Audit(_) => None,
        };
        Ok(Indexed { entry, scope })
    }

    /// Takes away what was staged and was never acknowledged; what was acknowledged has its own name.
    fn clear_staged(&mut self) -> Result<(), Fault> {
        for staged in self.store.list(Folder::Staged)? {
            if let ObjectPath::Staged(digest, _) = staged
                && self.index.blob_names(&digest)?.is_empty()
            {
                self.store.remove(&ObjectPath::Blob(digest))?;
            }
            self.store.remove(&staged)?;
        }
        Ok(())
    }

    /// The rules of the newest policy entry.
    fn read_policy(&mut self) -> Result<(), Fault> {
        let newest = self.index.newest(Kind::Policy, 1)?;
        let index = newest.first().ok_or(Fault::damaged(ObjectPath::Checkpoint, Damage::Contradiction))?;
        let wrong = || Fault::damaged(ObjectPath::Pack(index / 256), Damage::Form);
        match self.view().payload(*index).map_err(fault)? {
            Some(PayloadBytes::Whole(bytes)) => {
                let text = String::from_utf8(bytes).map_err(|_| wrong())?;
                self.policy = Policy::parse(&text).map_err(|_| wrong())?;
                Ok(())
            }
            Some(PayloadBytes::Gone) | None => Err(wrong()),
        }
    }
}

/// What a refusal is where nothing was asked: the log contradicts itself.
fn fault(failure: Failure) -> Fault {
    match failure {
        Failure::Fault(fault) => fault,
        Failure::Rejected(_) => Fault::damaged(ObjectPath::Checkpoint, Damage::Contradiction),
    }
}

fn first_entries<S: Store, I: Index, K: Signer>(
    ledger: &Ledger<S, I, K>,
    readme: &str,
    policy: &Policy,
    now: Timestamp,
) -> Result<Vec<Draft>, Failure> {
    let actor = || Actor::parse(LEDGER_ACTOR).expect("it is an id");
    let append = Append {
        record_id: RecordId::parse(README_ID).expect("it is an id"),
        author: Author { actor: actor(), on_behalf_of: None },
        media_type: Some(Value::parse("text/plain; charset=utf-8").expect("it is a value")),
        content: Content::Bytes(readme.as_bytes().to_vec()),
        digest: None,
        retention: Retention { until: Some(Until::Forever), mode: None, class: None },
    };
    let mut batch = ledger.batch(now);
    ledger.judge(&mut batch, append)??;
    let content = Content::Bytes(policy.to_string().into_bytes());
    let statement = Statement { actor: actor(), payload: content.payload(policy.pack_max) };
    batch.take(Body::Policy(statement), Some(content), None)?;
    Ok(batch.drafts)
}

/// The log of the newest checkpoint, or an empty one.
fn published<S: Files, K: Signer>(store: &S, signer: &K, origin: &Origin) -> Result<Log, Fault> {
    let empty = Log {
        edge: Edge::default(),
        published: 0,
        note: None,
        tail: VecDeque::new(),
        fresh: Vec::new(),
        pack_len: 0,
        last_time: None,
    };
    let Some(bytes) = store.read(&ObjectPath::Checkpoint)? else { return Ok(empty) };
    let wrong = |damage| Fault::damaged(ObjectPath::Checkpoint, damage);
    let note = Note::parse(&bytes).map_err(|_| wrong(Damage::Form))?;
    let checkpoint = verify_checkpoint(&note, origin, signer.vkey()).map_err(|_| wrong(Damage::Signature))?;
    let edge = read_edge(store, &checkpoint)?;
    let mut log = Log { edge, published: checkpoint.size, note: Some(note), ..empty };
    let view = View::new(store, checkpoint.size, &log.tail);
    let last = checkpoint.size.checked_sub(1).ok_or(wrong(Damage::Contradiction))?;
    let last_time = view.entry(last)?.map(|entry| entry.time);
    let mut pack_len = 0;
    for index in checkpoint.size / 256 * 256..checkpoint.size {
        pack_len += view.entry(index)?.as_ref().map_or(0, packed_len);
    }
    (log.last_time, log.pack_len) = (last_time, pack_len);
    Ok(log)
}

/// The right edge and the open bundle of a checkpoint, compared with each other and with its root.
fn read_edge<S: Files>(store: &S, checkpoint: &Checkpoint) -> Result<Edge, Fault> {
    let open = |kind: TileKind| {
        let slots = kind.slots(checkpoint.size);
        TilePath::in_log(kind, slots / 256, checkpoint.size).filter(|_| !slots.is_multiple_of(256))
    };
    let mut levels: Vec<Vec<Hash>> = Vec::new();
    for level in (0..8).take_while(|level| TileKind::Hashes(*level).slots(checkpoint.size) > 0) {
        let tile = open(TileKind::Hashes(level)).map(|tile| read_tile(store, tile)).transpose()?.unwrap_or_default();
        levels.push(tile.as_chunks().0.to_vec());
    }
    let mut bundle = Vec::new();
    if let Some(tile) = open(TileKind::Entries) {
        let path = ObjectPath::Tile(tile);
        bundle = store.read(&path)?.ok_or_else(|| Fault::damaged(path.clone(), Damage::Missing))?;
        let entries = entry_bundle::decode(&bundle, tile.width());
        let leaves = entries.map(|entries| entries.into_iter().map(leaf_hash).collect::<Vec<_>>());
        if leaves.as_ref() != Ok(&levels[0]) {
            return Err(Fault::damaged(path, Damage::Hash));
        }
    }
    let edge = Edge::new(checkpoint.size, levels, bundle);
    let edge = edge.ok_or_else(|| Fault::damaged(ObjectPath::Checkpoint, Damage::Contradiction))?;
    if edge.root() == checkpoint.root { Ok(edge) } else { Err(Fault::damaged(ObjectPath::Checkpoint, Damage::Root)) }
}

/// What is known of the log from elsewhere: what the key has signed, and what the index was made from.
struct Known {
    signed_size: u64,
    signed_root: Option<Hash>,
    index_size: u64,
    index_root: Option<Hash>,
}

impl Known {
    fn new<S: Store, I: Index, K: Signer>(ledger: &Ledger<S, I, K>) -> Result<Known, Fault> {
        let signed_size = ledger.signer.signed().map_or(0, |head| head.size);
        let index_size = ledger.index.covered()?.size;
        let root = |size: u64| match ledger.view().root(size) {
            Ok(root) => Ok(Some(root)),
            Err(Failure::Rejected(_)) => Ok(None),
            Err(Failure::Fault(fault)) => Err(fault),
        };
        Ok(Known { signed_size, signed_root: root(signed_size)?, index_size, index_root: root(index_size)? })
    }

    /// Looks at the log as it has just grown.
    fn reached(&mut self, edge: &Edge) {
        if edge.size() == self.signed_size {
            self.signed_root = Some(edge.root());
        }
        if edge.size() == self.index_size {
            self.index_root = Some(edge.root());
        }
    }

    /// Refuses a log that is not what was signed, or that ends before what was acknowledged.
    fn check<S: Store, I: Index, K: Signer>(&self, ledger: &Ledger<S, I, K>) -> Result<(), Fault> {
        let size = ledger.size();
        let signed = ledger.signer.signed();
        if signed.is_some_and(|head| Some(head.root) != self.signed_root) {
            return Err(Fault::RolledBack { size, known: self.signed_size });
        }
        // The index takes in nothing that was not acknowledged.
        if self.index_size > size {
            return Err(Fault::RolledBack { size, known: self.index_size });
        }
        Ok(())
    }
}

impl Entry {
    /// Whether it is the one that `init` makes first.
    pub fn is_readme(&self) -> bool {
        matches!(&self.body, Body::Record(record) if self.index == 0 && record.record_id.as_str() == README_ID)
    }
}
