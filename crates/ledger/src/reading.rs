//! What is read by place: entries, payloads, nodes of the tree, proofs.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;

use merkle::Hash;
use merkle::log::{self, NodeId, Nodes};
use tlog::entry_bundle;
use tlog::tile::{TileKind, TilePath};

use crate::edge::{slots_of, subtree};
use crate::entry::{Entry, Payload, Placement};
use crate::entry_text;
use crate::ledger::{Damage, EntryBytes, Failure, Fault};
use crate::path::{ObjectPath, tile_of};
use crate::rejection::Rejection;
use crate::store::Files;
use crate::value::Digest;

/// A log as far as it is acknowledged: published files, and the entries that are in none yet.
pub struct View<'a, S> {
    pub(crate) store: &'a S,
    pub(crate) published: u64,
    pub(crate) tail: &'a VecDeque<EntryBytes>,
}

/// Where the bytes of a payload stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// In which file.
    pub path: ObjectPath,
    /// From which byte on.
    pub offset: u64,
    /// What they are.
    pub payload: Payload,
}

/// A payload's bytes, or that they are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadBytes {
    /// With the digest that the entry says.
    Whole(Vec<u8>),
    /// Taken away: the file is gone or has zeros there. Only a tombstone makes that right.
    Gone,
}

impl<'a, S: Files> View<'a, S> {
    /// The log up to a published size, and the entries from there on.
    pub fn new(store: &'a S, published: u64, tail: &'a VecDeque<EntryBytes>) -> View<'a, S> {
        View { store, published, tail }
    }

    /// How many entries there are.
    pub fn size(&self) -> u64 {
        self.published + self.tail.len() as u64
    }

    /// The bytes of an entry, `None` beyond the end.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn entry_bytes(&self, index: u64) -> Result<Option<EntryBytes>, Fault> {
        match index.checked_sub(self.published) {
            Some(place) => Ok(usize::try_from(place).ok().and_then(|place| self.tail.get(place)).cloned()),
            None => Ok(self.stored_bundle(index / 256)?.into_iter().nth((index % 256) as usize)),
        }
    }

    /// An entry, `None` beyond the end.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn entry(&self, index: u64) -> Result<Option<Entry>, Fault> {
        let Some(bytes) = self.entry_bytes(index)? else { return Ok(None) };
        let path = tile_of(TileKind::Entries, index, self.size()).map_or(ObjectPath::Checkpoint, ObjectPath::Tile);
        entry_text::parse(&bytes).map(Some).map_err(|_| Fault::damaged(path, Damage::Form))
    }

    /// Entries from an index on, so many at most.
    ///
    /// # Errors
    /// [`Rejection::CursorAhead`], or a [`Fault`].
    pub fn read_since(&self, since: u64, limit: usize) -> Result<Vec<EntryBytes>, Failure> {
        if since > self.size() {
            return Err(Rejection::CursorAhead { size: self.size() }.into());
        }
        let mut found = Vec::new();
        let mut at = since;
        while at < self.published && found.len() < limit {
            let bundle = self.stored_bundle(at / 256)?.into_iter().skip((at % 256) as usize);
            found.extend(bundle.take(limit - found.len()));
            at = (at / 256 + 1) * 256;
        }
        let from = since.max(self.published) - self.published;
        let rest = self.tail.iter().skip(usize::try_from(from).unwrap_or(usize::MAX));
        let more = limit - found.len();
        found.extend(rest.take(more).cloned());
        Ok(found)
    }

    /// The published entries of a bundle.
    pub(crate) fn stored_bundle(&self, number: u64) -> Result<Vec<EntryBytes>, Fault> {
        let Some(tile) = TilePath::in_log(TileKind::Entries, number, self.published) else { return Ok(Vec::new()) };
        let path = ObjectPath::Tile(tile);
        let bytes = self.store.read(&path)?.ok_or_else(|| Fault::damaged(path.clone(), Damage::Missing))?;
        let entries = entry_bundle::decode(&bytes, tile.width()).map_err(|_| Fault::damaged(path, Damage::Form))?;
        Ok(entries.into_iter().map(Arc::from).collect())
    }

    /// Where an entry's payload stands; `None` if it has none.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] beyond the end, or a [`Fault`].
    pub fn place(&self, index: u64) -> Result<Option<Place>, Failure> {
        let entry = self.entry(index)?.ok_or(Rejection::NotFound)?;
        let Some(payload) = entry.body.payload().copied() else { return Ok(None) };
        if payload.placement == Placement::Blob {
            return Ok(Some(Place { path: ObjectPath::Blob(payload.sha256), offset: 0, payload }));
        }
        let first = index / 256 * 256;
        let mut offset = 0;
        for before in self.read_since(first, (index - first) as usize)? {
            let path =
                || tile_of(TileKind::Entries, index, self.size()).map_or(ObjectPath::Checkpoint, ObjectPath::Tile);
            let entry = entry_text::parse(&before).map_err(|_| Fault::damaged(path(), Damage::Form))?;
            offset += packed_len(&entry);
        }
        Ok(Some(Place { path: ObjectPath::Pack(index / 256), offset, payload }))
    }

    /// An entry's payload, its digest checked; `None` if it has none.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] beyond the end; a [`Fault`], also where the bytes are others than the entry says.
    pub fn payload(&self, index: u64) -> Result<Option<PayloadBytes>, Failure> {
        let Some(Place { path, offset, payload }) = self.place(index)? else { return Ok(None) };
        if payload.size == 0 {
            return Ok(Some(PayloadBytes::Whole(Vec::new())));
        }
        let bytes = match payload.placement {
            Placement::Pack => self.store.read_range(&path, offset, payload.size)?,
            Placement::Blob => self.store.read(&path)?,
        };
        match bytes {
            Some(bytes) if Digest::of(&bytes) == payload.sha256 => Ok(Some(PayloadBytes::Whole(bytes))),
            Some(bytes) if payload.placement == Placement::Pack && bytes.iter().all(|byte| *byte == 0) => {
                Ok(Some(PayloadBytes::Gone))
            }
            Some(_) => Err(Fault::damaged(path, Damage::Digest).into()),
            None if payload.placement == Placement::Blob => Ok(Some(PayloadBytes::Gone)),
            None => Err(Fault::damaged(path, Damage::Short).into()),
        }
    }

    /// The root that the log had at a published size.
    ///
    /// # Errors
    /// [`Rejection::NotPublished`], or a [`Fault`].
    pub fn root(&self, size: u64) -> Result<Hash, Failure> {
        self.check_published(size)?;
        log::root(&self.nodes(), size).map_err(fault_of)
    }

    /// The audit path of an entry in the log of a published size, leaf to root.
    ///
    /// # Errors
    /// [`Rejection::NotPublished`] if the size does not cover the entry or is not published, or a [`Fault`].
    pub fn inclusion_path(&self, index: u64, size: u64) -> Result<Vec<Hash>, Failure> {
        self.check_published(size)?;
        if index >= size {
            return Err(Rejection::NotPublished.into());
        }
        log::inclusion_path(&self.nodes(), index, size).map_err(fault_of)
    }

    /// The consistency path between two published sizes.
    ///
    /// # Errors
    /// [`Rejection::NotPublished`] if the sizes fall or are not published, or a [`Fault`].
    pub fn consistency_path(&self, from: u64, to: u64) -> Result<Vec<Hash>, Failure> {
        self.check_published(to)?;
        if from > to {
            return Err(Rejection::NotPublished.into());
        }
        log::consistency_path(&self.nodes(), from, to).map_err(fault_of)
    }

    fn check_published(&self, size: u64) -> Result<(), Failure> {
        if size <= self.published { Ok(()) } else { Err(Rejection::NotPublished.into()) }
    }

    fn nodes(&self) -> TileNodes<'_, S> {
        TileNodes { store: self.store, size: self.published, last: RefCell::new(None) }
    }
}

/// How many bytes of the pack of its bundle an entry has.
pub(crate) fn packed_len(entry: &Entry) -> u64 {
    entry.body.payload().filter(|payload| payload.placement == Placement::Pack).map_or(0, |payload| payload.size)
}

fn fault_of(error: log::Error<Fault>) -> Failure {
    match error {
        log::Error::Nodes(fault) => Failure::Fault(fault),
        log::Error::OutOfRange => Failure::Rejected(Rejection::NotPublished),
    }
}

/// The nodes of a published log, read from its tiles.
pub(crate) struct TileNodes<'a, S> {
    store: &'a S,
    size: u64,
    /// The tile that was read last: the nodes of a path come from few.
    last: RefCell<Option<(TilePath, Vec<u8>)>>,
}

impl<S: Files> Nodes for TileNodes<'_, S> {
    type Error = Fault;

    fn node(&self, id: NodeId) -> Result<Hash, Fault> {
        let (level, number, slots) = slots_of(id);
        let tile = TilePath::in_log(TileKind::Hashes(level), number, self.size);
        let tile = tile.ok_or_else(|| Fault::damaged(ObjectPath::Checkpoint, Damage::Contradiction))?;
        let mut last = self.last.borrow_mut();
        if last.as_ref().is_none_or(|(path, _)| *path != tile) {
            *last = Some((tile, read_tile(self.store, tile)?));
        }
        let bytes = &last.as_ref().expect("it was just read").1;
        let hashes: Vec<Hash> = bytes.as_chunks().0.get(slots).map(<[Hash]>::to_vec).unwrap_or_default();
        if hashes.is_empty() {
            Err(Fault::damaged(ObjectPath::Tile(tile), Damage::Short))
        } else {
            Ok(subtree(&hashes))
        }
    }
}

/// A hash tile of exactly the width that its path says.
pub(crate) fn read_tile<S: Files>(store: &S, tile: TilePath) -> Result<Vec<u8>, Fault> {
    let path = ObjectPath::Tile(tile);
    let bytes = store.read(&path)?.ok_or_else(|| Fault::damaged(path.clone(), Damage::Missing))?;
    let wanted = usize::from(tile.width()) * 32;
    if bytes.len() == wanted { Ok(bytes) } else { Err(Fault::damaged(path, Damage::Form)) }
}
