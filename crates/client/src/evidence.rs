//! What is known to have been signed about an enclave, by whom it was kept or asked for, laid side by side: where two of the statements
//! contradict each other, the pair is evidence that anyone verifies offline ([`protocol::evidence`]).

mod compare;
mod files;
mod probe;
mod tiles;

pub use compare::compare;
pub use files::{FileFault, is_home};
pub use probe::{Probe, Probed};

use crate::error::Error;
use crate::pin::Pin;
use crate::store::Store;
use protocol::evidence::HeadStatement;
use protocol::head::{BIP340_TYPE, checkpoint_message, checkpoint_origin};
use protocol::{EnclaveId, Event, EventId, PublicKey, Receipt, Signature, schnorr};
use std::collections::BTreeMap;
use tlog::note::{KeyName, Note, key_id};

/// What one party knows to have been signed about one enclave. Every statement in it verifies by the key that it names, or it would not
/// be here; whether the key is the enclave's is for [`compare`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statements {
    pin: Pin,
    heads: Vec<SignedHead>,
    receipts: BTreeMap<(u64, EventId), Receipt>,
}

/// A head, by whom it is signed, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// As signed.
    pub statement: HeadStatement,
    /// By whom.
    pub sequencer: PublicKey,
    /// Closed bundles.
    pub tree_size: u64,
    /// The root over them.
    pub root: merkle::Hash,
}

impl Statements {
    /// Those that a pin holds: the Manifest and the Migrates are signed too.
    pub fn of(pin: Pin) -> Statements {
        let events = pin.migrates().iter().chain([pin.event()]);
        let receipts = events.map(|event| ((event.position.seq, event.id), event.receipt())).collect();
        Statements { pin, heads: Vec::new(), receipts }
    }

    /// What a client keeps of an enclave; none where it has never met it.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Damaged`].
    pub fn kept(store: &dyn Store, enclave: &EnclaveId) -> Result<Option<Statements>, Error> {
        let Some(pin) = store.pin(enclave)? else { return Ok(None) };
        let mut kept = Statements::of(pin);
        for receipt in store.receipts(enclave)? {
            kept.add_receipt(receipt);
        }
        if let Some(sth) = store.sth(enclave)? {
            kept.add_head(HeadStatement::Sth(sth), &sth.sequencer);
        }
        Ok(Some(kept))
    }

    /// The enclave and its sequencers, as this party knows them.
    pub fn pin(&self) -> &Pin {
        &self.pin
    }

    /// The heads.
    pub fn heads(&self) -> &[SignedHead] {
        &self.heads
    }

    /// The receipts by place, those of the Manifest and of Migrates among them.
    pub fn receipts(&self) -> impl DoubleEndedIterator<Item = &Receipt> {
        self.receipts.values()
    }

    /// Takes a receipt; false where it does not verify, or is of another enclave.
    pub fn add_receipt(&mut self, receipt: Receipt) -> bool {
        let holds = receipt.enclave == self.pin.enclave() && receipt.verify_signature().is_ok();
        if holds {
            self.receipts.insert((receipt.position.seq, receipt.id), receipt);
        }
        holds
    }

    /// Takes a head; false where it does not verify by this key, or is of another enclave.
    pub fn add_head(&mut self, statement: HeadStatement, sequencer: &PublicKey) -> bool {
        let Some((tree_size, root)) = statement.verify_for(&self.pin.enclave(), sequencer) else { return false };
        let head = SignedHead { statement, sequencer: *sequencer, tree_size, root };
        if !self.heads.contains(&head) {
            self.heads.push(head);
        }
        true
    }

    /// Takes a checkpoint as it is served, whoever has cosigned it; false where none of the enclave's keys has signed it.
    pub fn add_note(&mut self, bytes: &[u8]) -> bool {
        let keys = known_keys(&self.pin);
        let Some((statement, key)) = keys.iter().find_map(|key| checkpoint_in(bytes, &self.pin.enclave(), key)) else {
            return false;
        };
        self.add_head(statement, &key)
    }

    /// Takes a Migrate; false where the chain of sequencers does not take it at its place. Another at that place is kept as a receipt,
    /// which says enough.
    fn add_migrate(&mut self, migrate: &Event) -> bool {
        self.add_receipt(migrate.receipt()) && self.pin.follow(migrate).is_ok()
    }
}

/// The keys that have been the enclave's sequencer, in order.
fn known_keys(pin: &Pin) -> Vec<PublicKey> {
    let places = pin.migrates().iter().map(|migrate| migrate.position.seq + 1);
    let mut keys = Vec::new();
    for key in [0].into_iter().chain(places).map(|seq| pin.sequencers().at(seq)) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// The text of a note and the signature of its BIP-340 line, if the key has made one.
fn checkpoint_in(bytes: &[u8], enclave: &EnclaveId, key: &PublicKey) -> Option<(HeadStatement, PublicKey)> {
    let note = Note::parse(bytes).ok()?;
    let name = KeyName::parse(&checkpoint_origin(enclave)).ok()?;
    let id = key_id(&name, BIP340_TYPE[0], &[&BIP340_TYPE[1..], &key.0].concat());
    let message = checkpoint_message(note.text());
    note.signatures().iter().find_map(|line| {
        let signature =
            Signature::try_from(line.signature()).ok().filter(|_| *line.name() == name && line.id() == id)?;
        schnorr::verify(key, &message, &signature).ok()?;
        Some((HeadStatement::Checkpoint { text: note.text().into(), signature }, *key))
    })
}
