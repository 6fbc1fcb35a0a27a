//! A ledger judged by its files and one verifier key: every entry hashed again, every tile and note compared, every payload digested.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use merkle::Hash;
use merkle::log::leaf_hash;
use tlog::checkpoint::{Checkpoint, Origin, verify_checkpoint};
use tlog::entry_bundle;
use tlog::note::Note;
use tlog::tile::{TileKind, TilePath};
use tlog::vkey::Vkey;

use crate::edge::{Edge, TileFile};
use crate::entry::{Body, Entry, Fate, Payload, Placement};
use crate::entry_text;
use crate::journal;
use crate::ledger::Damage;
use crate::path::ObjectPath;
use crate::store::{Files, Folder, StoreError};
use crate::time::Timestamp;
use crate::value::Digest;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The size that the checkpoint says.
    pub size: u64,
    /// The root that the checkpoint says.
    pub root: Hash,
    /// Entries hashed and read.
    pub entries: u64,
    /// Bytes of payloads digested.
    pub payload_bytes: u64,
    /// Payloads that are gone, each under a tombstone.
    pub disposed: u64,
    /// What is wrong, in the order of the paths.
    pub problems: BTreeSet<Problem>,
}

/// Something that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Which.
    pub path: ObjectPath,
    /// What.
    pub damage: Damage,
}

/// Judges a ledger. What is not published (the journal, and what it names) is only read.
///
/// # Errors
/// [`StoreError`] where a file cannot be read; what is wrong with those that can is in the report.
pub fn verify<S: Files>(store: &S, vkey: &Vkey) -> Result<Report, StoreError> {
    let mut audit = Audit { store, report: Report::default(), tombstones: BTreeMap::new(), named: BTreeSet::new() };
    let Some(checkpoint) = audit.checkpoint(vkey)? else { return Ok(audit.report) };
    (audit.report.size, audit.report.root) = (checkpoint.size, checkpoint.root);
    let listed = store.list(Folder::All)?;
    audit.entries(&checkpoint, &listed, vkey)?;
    audit.payloads(checkpoint.size)?;
    audit.rest(&checkpoint, &listed, vkey)?;
    Ok(audit.report)
}

struct Audit<'a, S> {
    store: &'a S,
    report: Report,
    /// What tombstones say, by the record's place.
    tombstones: BTreeMap<u64, Fate>,
    /// Packs and blobs that entries name, and blobs that the journal does.
    named: BTreeSet<ObjectPath>,
}

impl<S: Files> Audit<'_, S> {
    fn problem(&mut self, path: ObjectPath, damage: Damage) {
        self.report.problems.insert(Problem { path, damage });
    }

    /// The checkpoint; also one that is not signed, so that the rest is compared with it all the same.
    fn checkpoint(&mut self, vkey: &Vkey) -> Result<Option<Checkpoint>, StoreError> {
        let Some(bytes) = self.store.read(&ObjectPath::Checkpoint)? else {
            self.problem(ObjectPath::Checkpoint, Damage::Missing);
            return Ok(None);
        };
        let note = Note::parse(&bytes);
        let checkpoint = note.as_ref().ok().and_then(|note| Checkpoint::parse(note.text()).ok());
        let signed = note.is_ok_and(|note| is_signed(&note, vkey));
        match (&checkpoint, signed) {
            (None, _) => self.problem(ObjectPath::Checkpoint, Damage::Form),
            (Some(_), false) => self.problem(ObjectPath::Checkpoint, Damage::Signature),
            (Some(_), true) => {}
        }
        Ok(checkpoint)
    }

    /// Every entry, the tree over them, and every tile and note that states a part of it.
    fn entries(&mut self, checkpoint: &Checkpoint, listed: &[ObjectPath], vkey: &Vkey) -> Result<(), StoreError> {
        let (mut edge, mut tiles) = (Edge::default(), Tiles::new(listed, checkpoint.size));
        let heads: BTreeSet<u64> = listed
            .iter()
            .filter_map(|path| match path {
                ObjectPath::CheckpointAt(size) => Some(*size),
                _ => None,
            })
            .collect();
        let mut last_time = None;
        for number in 0..checkpoint.size.div_ceil(256) {
            let Some(entries) = self.bundle(number, checkpoint.size)? else { return Ok(()) };
            for (index, bytes) in (number * 256..).zip(&entries) {
                let full = edge.push(bytes);
                tiles.compare(self.store, &edge, full)?;
                if heads.contains(&edge.size()) {
                    self.head(&edge, vkey)?;
                }
                self.entry((index, bytes), checkpoint.size, &mut last_time);
            }
        }
        self.report.entries = edge.size();
        let whole = edge.root() == checkpoint.root;
        let mut found = tiles.differing;
        found.extend(tiles.missing.iter().map(|tile| (*tile, Damage::Missing)));
        for (tile, damage) in found {
            let entries = TilePath::in_log(TileKind::Entries, tile.index(), checkpoint.size);
            match (whole, damage, tile.kind(), entries) {
                // The entries have the root: whatever differs from them is wrong. And what is missing is missing.
                (true, ..) | (_, Damage::Missing, ..) => self.problem(ObjectPath::Tile(tile), damage),
                (false, _, TileKind::Hashes(0), Some(entries)) => self.problem(ObjectPath::Tile(entries), Damage::Hash),
                // What lies above wrong entries differs with them.
                (false, ..) => {}
            }
        }
        if !whole {
            self.problem(ObjectPath::Checkpoint, Damage::Root);
        }
        Ok(())
    }

    /// The entries of a bundle, `None` where they cannot be read.
    fn bundle(&mut self, number: u64, size: u64) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
        let tile = TilePath::in_log(TileKind::Entries, number, size).expect("the log fills it");
        let path = ObjectPath::Tile(tile);
        let Some(bytes) = self.store.read(&path)? else {
            self.problem(path, Damage::Missing);
            return Ok(None);
        };
        match entry_bundle::decode(&bytes, tile.width()) {
            Ok(entries) => Ok(Some(entries.into_iter().map(<[u8]>::to_vec).collect())),
            Err(_) => {
                self.problem(path, Damage::Form);
                Ok(None)
            }
        }
    }

    fn entry(&mut self, (index, bytes): (u64, &[u8]), size: u64, last_time: &mut Option<Timestamp>) {
        let path = TilePath::in_log(TileKind::Entries, index / 256, size).map(ObjectPath::Tile);
        let path = path.expect("the log fills it");
        let Ok(entry) = entry_text::parse(bytes) else { return self.problem(path, Damage::Form) };
        if entry.index != index {
            self.problem(path.clone(), Damage::Place);
        }
        if last_time.is_some_and(|last| entry.time < last) {
            self.problem(path, Damage::Time);
        }
        *last_time = Some(entry.time);
        if let Body::Dispose(dispose) = &entry.body {
            self.tombstones.entry(dispose.target).or_insert(dispose.fate);
        }
    }

    /// The note of one size, against the tree as it was then.
    fn head(&mut self, edge: &Edge, vkey: &Vkey) -> Result<(), StoreError> {
        let path = ObjectPath::CheckpointAt(edge.size());
        let bytes = self.store.read(&path)?.unwrap_or_default();
        let Ok(note) = Note::parse(&bytes) else {
            self.problem(path, Damage::Form);
            return Ok(());
        };
        match Checkpoint::parse(note.text()) {
            Err(_) => self.problem(path, Damage::Form),
            Ok(_) if !is_signed(&note, vkey) => self.problem(path, Damage::Signature),
            Ok(head) if head.size != edge.size() => self.problem(path, Damage::Place),
            Ok(head) if head.root != edge.root() => self.problem(path, Damage::Root),
            Ok(_) => {}
        }
        Ok(())
    }

    /// Every payload, in its pack or as its blob.
    fn payloads(&mut self, size: u64) -> Result<(), StoreError> {
        let mut blobs: BTreeMap<Digest, (u64, bool)> = BTreeMap::new();
        for number in 0..size.div_ceil(256) {
            let Some(entries) = self.bundle(number, size)? else { return Ok(()) };
            let entries: Vec<Entry> = entries.iter().filter_map(|bytes| entry_text::parse(bytes).ok()).collect();
            for entry in &entries {
                let Some(payload) = entry.body.payload() else { continue };
                let gone = self.tombstones.contains_key(&entry.index);
                if payload.placement == Placement::Blob {
                    let (_, all_gone) = blobs.entry(payload.sha256).or_insert((payload.size, true));
                    *all_gone &= gone;
                    self.report.disposed += u64::from(gone);
                }
            }
            self.pack(number, size, &entries)?;
        }
        for (digest, (len, all_gone)) in blobs {
            self.blob(digest, len, all_gone)?;
        }
        Ok(())
    }

    fn pack(&mut self, number: u64, size: u64, entries: &[Entry]) -> Result<(), StoreError> {
        let path = ObjectPath::Pack(number);
        let packed =
            |entry: &Entry| entry.body.payload().filter(|payload| payload.placement == Placement::Pack).copied();
        let packed: Vec<(u64, Payload)> =
            entries.iter().filter_map(|entry| packed(entry).map(|payload| (entry.index, payload))).collect();
        let wanted: u64 = packed.iter().map(|(_, payload)| payload.size).sum();
        let len = self.store.len(&path)?.unwrap_or(0);
        // Behind what the checkpoint covers there may be more, until the bundle is full.
        let is_full = (number + 1) * 256 <= size;
        if wanted > 0 {
            self.named.insert(path.clone());
        }
        if len < wanted {
            self.problem(path, Damage::Short);
            return Ok(());
        }
        if len > wanted && is_full {
            self.problem(path.clone(), Damage::Surplus);
        }
        let bytes = self.store.read_range(&path, 0, wanted)?.unwrap_or_default();
        let mut at = 0;
        for (index, payload) in packed {
            let (from, to) = (at, at + payload.size as usize);
            at = to;
            let slice = bytes.get(from..to).unwrap_or_default();
            let (gone, zeros) = (self.tombstones.contains_key(&index), slice.iter().all(|byte| *byte == 0));
            self.report.payload_bytes += payload.size;
            self.report.disposed += u64::from(gone);
            if Digest::of(slice) != payload.sha256 && !(gone && zeros) {
                self.problem(path.clone(), Damage::Digest);
            }
        }
        Ok(())
    }

    fn blob(&mut self, digest: Digest, len: u64, all_gone: bool) -> Result<(), StoreError> {
        let path = ObjectPath::Blob(digest);
        self.named.insert(path.clone());
        match self.store.read(&path)? {
            Some(bytes) => {
                self.report.payload_bytes += bytes.len() as u64;
                if bytes.len() as u64 != len || Digest::of(&bytes) != digest {
                    self.problem(path, Damage::Digest);
                }
            }
            None if all_gone => {}
            None => self.problem(path, Damage::Missing),
        }
        Ok(())
    }

    /// What stands beside the log: README, keys, the journal, and files that nothing names.
    fn rest(&mut self, checkpoint: &Checkpoint, listed: &[ObjectPath], vkey: &Vkey) -> Result<(), StoreError> {
        self.journal(checkpoint, listed)?;
        let (mut own_key, mut own_note) = (false, false);
        for path in listed {
            match path {
                ObjectPath::Key(id) => {
                    own_key |= *id == vkey.id();
                    let text = self.store.read(path)?.unwrap_or_default();
                    let text = core::str::from_utf8(&text).ok().and_then(|text| text.strip_suffix('\n'));
                    if text.and_then(|text| Vkey::parse(text).ok()).is_none_or(|key| key.id() != *id) {
                        self.problem(path.clone(), Damage::Form);
                    }
                }
                ObjectPath::CheckpointAt(size) => own_note |= *size == checkpoint.size,
                ObjectPath::Pack(number) if *number * 256 >= checkpoint.size => {}
                ObjectPath::Pack(_) | ObjectPath::Blob(_) if !self.named.contains(path) => {
                    self.problem(path.clone(), Damage::Surplus);
                }
                ObjectPath::Pack(_)
                | ObjectPath::Blob(_)
                | ObjectPath::Tile(_)
                | ObjectPath::Readme
                | ObjectPath::Checkpoint
                | ObjectPath::Journal(_)
                | ObjectPath::Staged(..) => {}
            }
        }
        if !own_key {
            self.problem(ObjectPath::Key(vkey.id()), Damage::Missing);
        }
        if !own_note && checkpoint.size > 0 {
            self.problem(ObjectPath::CheckpointAt(checkpoint.size), Damage::Missing);
        }
        self.readme(checkpoint)
    }

    fn journal(&mut self, checkpoint: &Checkpoint, listed: &[ObjectPath]) -> Result<(), StoreError> {
        for path in listed.iter().filter(|path| matches!(path, ObjectPath::Journal(_))) {
            let bytes = self.store.read(path)?.unwrap_or_default();
            let Ok(frames) = journal::decode(&bytes) else {
                self.problem(path.clone(), Damage::Form);
                continue;
            };
            for (index, bytes) in frames.frames.iter().flat_map(|frame| (frame.first..).zip(frame.entries.iter())) {
                match entry_text::parse(bytes) {
                    Ok(entry) if entry.index == index => {
                        let payload = entry.body.payload().filter(|payload| payload.placement == Placement::Blob);
                        self.named.extend(payload.map(|payload| ObjectPath::Blob(payload.sha256)));
                    }
                    Ok(_) | Err(_) => self.problem(path.clone(), Damage::Form),
                }
                if index < checkpoint.size {
                    let entries = self.bundle(index / 256, checkpoint.size)?.unwrap_or_default();
                    let there = entries.get((index % 256) as usize);
                    if there.is_none_or(|there| leaf_hash(there) != leaf_hash(bytes)) {
                        self.problem(path.clone(), Damage::Contradiction);
                    }
                }
            }
        }
        Ok(())
    }

    /// `README.txt` is the payload of entry 0.
    fn readme(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        if checkpoint.size == 0 {
            return Ok(());
        }
        let first = self.bundle(0, checkpoint.size)?.unwrap_or_default();
        let entry = first.first().and_then(|bytes| entry_text::parse(bytes).ok());
        let wanted =
            entry.filter(Entry::is_readme).and_then(|entry| entry.body.payload().map(|payload| payload.sha256));
        let text = self.store.read(&ObjectPath::Readme)?;
        match text.map(|text| Digest::of(&text)) {
            None => self.problem(ObjectPath::Readme, Damage::Missing),
            found if found != wanted => self.problem(ObjectPath::Readme, Damage::Digest),
            Some(_) => {}
        }
        Ok(())
    }
}

fn is_signed(note: &Note, vkey: &Vkey) -> bool {
    Origin::parse(vkey.name().as_str()).is_ok_and(|origin| {
        verify_checkpoint(note, &origin, vkey).is_ok_and(|checkpoint| checkpoint.extensions().is_empty())
    })
}

/// The tiles and bundles that are there, compared with those that follow from the entries.
struct Tiles {
    /// Those that the checkpoint implies and that were not met yet.
    missing: BTreeSet<TilePath>,
    /// Those that are there.
    listed: BTreeSet<TilePath>,
    differing: Vec<(TilePath, Damage)>,
}

impl Tiles {
    fn new(listed: &[ObjectPath], size: u64) -> Tiles {
        let tile = |path: &ObjectPath| match path {
            ObjectPath::Tile(tile) if tile.is_filled_by(size) => Some(*tile),
            _ => None,
        };
        let listed: BTreeSet<TilePath> = listed.iter().filter_map(tile).collect();
        let kinds = (0..8).map(TileKind::Hashes).chain([TileKind::Entries]);
        let implied = kinds.flat_map(|kind| {
            let count = kind.slots(size).div_ceil(256);
            (0..count).filter_map(move |number| TilePath::in_log(kind, number, size))
        });
        let missing = implied.filter(|tile| !listed.contains(tile)).collect();
        Tiles { missing, listed, differing: Vec::new() }
    }

    /// After an entry: the tiles that it has filled, and the partial ones of just this width.
    fn compare<S: Files>(&mut self, store: &S, edge: &Edge, full: Vec<TileFile>) -> Result<(), StoreError> {
        let open = edge.partial_paths().filter(|tile| self.listed.contains(tile)).count();
        let partial = if open > 0 { edge.partials() } else { Vec::new() };
        for (tile, bytes) in full.into_iter().chain(partial) {
            if self.listed.contains(&tile) && store.read(&ObjectPath::Tile(tile))?.as_ref() != Some(&bytes) {
                self.differing.push((tile, Damage::Hash));
            }
        }
        Ok(())
    }
}
