//! How what is acknowledged becomes a checkpoint that others see.

use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::vec::Vec;

use tlog::checkpoint::{Checkpoint, Origin};
use tlog::note::Note;

use crate::index::Index;
use crate::ledger::{Fault, JournalFile, Ledger};
use crate::path::ObjectPath;
use crate::signer::{SignedHead, Signer};
use crate::store::{Folder, Store};

/// The note of a head, without signatures.
pub(crate) fn unsigned(origin: &Origin, head: SignedHead) -> Note {
    let text = Checkpoint::new(origin.clone(), head.size, head.root).to_string();
    Note::new(&text).expect("a checkpoint is a note's text")
}

impl<S: Store, I: Index, K: Signer> Ledger<S, I, K> {
    /// Publishes all that is acknowledged, if there is more than the newest checkpoint covers; gives the new one.
    ///
    /// Tiles first; then the head is written down beside the key and signed; then the note under its size, before anybody sees it; then as
    /// `checkpoint`; last the journal goes. Each is durable before the next, and after a crash in between the same call does the rest.
    ///
    /// # Errors
    /// [`Fault`]; what is acknowledged is not touched by it.
    pub fn publish(&mut self) -> Result<Option<&Note>, Fault> {
        if self.size() == self.log.published && self.log.note.is_some() {
            return Ok(None);
        }
        let partials = self.log.edge.partials();
        let files = self.log.fresh.iter().chain(&partials);
        let files: Vec<(ObjectPath, &[u8])> =
            files.map(|(path, bytes)| (ObjectPath::Tile(*path), bytes.as_slice())).collect();
        self.store.create(&files)?;
        let head = SignedHead { size: self.size(), root: self.root() };
        let mut note = unsigned(&self.origin, head);
        let line = self.signer.sign_head(head, &note).map_err(Fault::Sign)?;
        note.push(line).expect("a checkpoint with one signature is short");
        let bytes = note.to_string();
        self.store.create(&[(ObjectPath::CheckpointAt(head.size), bytes.as_bytes())])?;
        self.store.replace(&ObjectPath::Checkpoint, bytes.as_bytes())?;
        self.log.published = head.size;
        self.log.tail = VecDeque::new();
        self.log.fresh = Vec::new();
        self.log.note = Some(note);
        self.drop_journal()?;
        Ok(self.log.note.as_ref())
    }

    /// Takes away all journal files, which the checkpoint covers, and begins another.
    fn drop_journal(&mut self) -> Result<(), Fault> {
        let covered = self.store.list(Folder::Journal)?;
        self.journal = JournalFile { path: ObjectPath::Journal(self.log.published), len: 0 };
        covered.iter().try_for_each(|path| self.store.remove(path))?;
        Ok(())
    }
}
