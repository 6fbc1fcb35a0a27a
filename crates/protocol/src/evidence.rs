//! Evidence: a file in which a sequencer's own signatures contradict each other, for anyone to verify offline (`docs/protocol.md`, Log).
//!
//! The file is one JSON object. `enc_evidence` is 1; `enclave` and `sequencer` say whom it is about; every statement in it must be of
//! that enclave and signed by that key; `kind` says which other members there are:
//!
//! | kind | members | what contradicts |
//! |---|---|---|
//! | `two_events` | `a`, `b`: receipts | one `seq`, two event hashes |
//! | `broken_chain` | `earlier`, `later`: receipts | neighbours, and the later does not follow the earlier |
//! | `two_heads` | `a`, `b`: each `{"sth"}` or `{"checkpoint":{"text","signature"}}` | one size, two roots |
//! | `rewritten` | `older`, `newer`: heads as above; `root`, `path` | the newer log's root at the older's size is another: `path` is the consistency proof from `root` |
//! | `shrunk` | `larger`, `smaller`: STHs | the smaller log was signed later |
//! | `after_migrate` | `migrate`: the event; `later`: a receipt | the key goes on at the place right after its Migrate |
//! | `left_out` | `receipt`; `inclusion`: an answer of `…/inclusion` with `bundle` | the log has another event at that `seq` |
//! | `overdue` | `receipt`; `manifest`: the event; `inclusion`: an answer of `…/inclusion` for the last entry | the log ends before the event, later than a receipt promises |
//!
//! A checkpoint's `text` is the note's text with its last line feed, `signature` the 64 bytes of its BIP-340 line. `after_migrate`
//! takes no later place than the next: an enclave may be migrated back, so further on the key may sign again.

mod file;

use crate::code::Rejection;
use crate::event::{Event, Receipt};
use crate::fields::wrong;
use crate::head::{Sth, VerifiedSth, checkpoint_message, checkpoint_origin};
use crate::ids::{EnclaveId, PublicKey, Signature};
use crate::json::Json;
use crate::proof::InclusionAnswer;
use crate::schnorr;
use crate::verify::{Chain, Pin};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64, Encoding};
use merkle::Hash;

/// How much longer than the bundle's timeout a receipt's promise may take, in milliseconds.
pub const PROMISE_SLACK_MS: u64 = 60_000;

/// What a file proves against whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The enclave.
    pub enclave: EnclaveId,
    /// Whose signatures contradict each other.
    pub sequencer: PublicKey,
    /// How.
    pub kind: EvidenceKind,
}

/// How a sequencer has contradicted itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceKind {
    /// Two events at one place.
    TwoEvents {
        /// The place.
        seq: u64,
    },
    /// An event that does not follow the one that was signed for the place before it.
    BrokenChain {
        /// The place of the later.
        seq: u64,
    },
    /// Two roots for one size.
    TwoHeads {
        /// The size.
        tree_size: u64,
    },
    /// A log that does not continue an older one.
    Rewritten {
        /// Size of the older.
        older: u64,
        /// Size of the newer.
        newer: u64,
    },
    /// A log that was signed when it had been larger.
    Shrunk {
        /// The size before.
        from: u64,
        /// The size after.
        to: u64,
    },
    /// It went on after it had handed over.
    AfterMigrate {
        /// The place of the event after the Migrate.
        seq: u64,
    },
    /// Its log has another event than its receipt promised.
    LeftOut {
        /// The place.
        seq: u64,
    },
    /// Its log does not have the promised event in time.
    Overdue {
        /// The place.
        seq: u64,
    },
}

/// A statement about a log's size and root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadStatement {
    /// An STH.
    Sth(Sth),
    /// A checkpoint's text and the signature of its BIP-340 line.
    Checkpoint {
        /// The note's text.
        text: String,
        /// By the sequencer.
        signature: Signature,
    },
}

impl EvidenceKind {
    /// The place, or the size of the tree, where the two statements part.
    pub fn place(self) -> u64 {
        match self {
            EvidenceKind::TwoEvents { seq }
            | EvidenceKind::BrokenChain { seq }
            | EvidenceKind::AfterMigrate { seq }
            | EvidenceKind::LeftOut { seq }
            | EvidenceKind::Overdue { seq } => seq,
            EvidenceKind::TwoHeads { tree_size } => tree_size,
            EvidenceKind::Rewritten { older, .. } => older,
            EvidenceKind::Shrunk { from, .. } => from,
        }
    }
}

/// Two heads, and what the newer log was at the older's size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewriting {
    /// The older head.
    pub older: HeadStatement,
    /// The newer head.
    pub newer: HeadStatement,
    /// The root of the newer log at the older's size.
    pub root: Hash,
    /// The consistency proof from `root` to the newer head's.
    pub path: Vec<Hash>,
}

/// A file's statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// `two_events`.
    TwoEvents(Box<Receipt>, Box<Receipt>),
    /// `broken_chain`: the earlier, the later.
    BrokenChain(Box<Receipt>, Box<Receipt>),
    /// `two_heads`.
    TwoHeads(Box<HeadStatement>, Box<HeadStatement>),
    /// `rewritten`.
    Rewritten(Box<Rewriting>),
    /// `shrunk`: the larger, the smaller.
    Shrunk(Box<Sth>, Box<Sth>),
    /// `after_migrate`: the Migrate, and what follows.
    AfterMigrate(Box<Event>, Box<Receipt>),
    /// `left_out`.
    LeftOut(Box<Receipt>, Box<InclusionAnswer>),
    /// `overdue`: with the Manifest event.
    Overdue(Box<Receipt>, Box<Event>, Box<InclusionAnswer>),
}

/// A file as read; nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The enclave.
    pub enclave: EnclaveId,
    /// Whose signatures they are.
    pub sequencer: PublicKey,
    /// The statements.
    pub contradiction: Contradiction,
}

/// Why a file proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvidenceError {
    /// It is no evidence file.
    Shape(Rejection),
    /// A statement is of another enclave, by another key, or its signature or proof does not hold.
    Statement,
    /// The statements hold and agree.
    NoContradiction,
}

impl From<Rejection> for EvidenceError {
    fn from(rejection: Rejection) -> Self {
        EvidenceError::Shape(rejection)
    }
}

/// Reads a file and verifies it.
pub fn verify(file: Json) -> Result<Proven, EvidenceError> {
    Evidence::from_json(file)?.verify()
}

impl Evidence {
    /// Checks every signature, and that they contradict each other. That the key is the enclave's sequencer is not said by it: what is
    /// proved is that this key has signed both.
    pub fn verify(&self) -> Result<Proven, EvidenceError> {
        let kind = match &self.contradiction {
            Contradiction::TwoEvents(a, b) => self.two_events(a, b),
            Contradiction::BrokenChain(earlier, later) => self.broken_chain(earlier, later),
            Contradiction::TwoHeads(a, b) => self.two_heads(a, b),
            Contradiction::Rewritten(rewriting) => self.rewritten(rewriting),
            Contradiction::Shrunk(larger, smaller) => self.shrunk(larger, smaller),
            Contradiction::AfterMigrate(migrate, later) => self.after_migrate(migrate, later),
            Contradiction::LeftOut(receipt, inclusion) => self.left_out(receipt, inclusion),
            Contradiction::Overdue(receipt, manifest, inclusion) => self.overdue(receipt, manifest, inclusion),
        }?;
        Ok(Proven { enclave: self.enclave, sequencer: self.sequencer, kind })
    }

    fn two_events(&self, a: &Receipt, b: &Receipt) -> Result<EvidenceKind, EvidenceError> {
        self.check_receipt(a)?;
        self.check_receipt(b)?;
        let seq = a.position.seq;
        if seq == b.position.seq && a.event_hash() != b.event_hash() {
            Ok(EvidenceKind::TwoEvents { seq })
        } else {
            Err(EvidenceError::NoContradiction)
        }
    }

    fn broken_chain(&self, earlier: &Receipt, later: &Receipt) -> Result<EvidenceKind, EvidenceError> {
        self.check_receipt(earlier)?;
        self.check_receipt(later)?;
        let seq = later.position.seq;
        if earlier.position.seq.checked_add(1) == Some(seq) && later.position.prev != earlier.event_hash() {
            Ok(EvidenceKind::BrokenChain { seq })
        } else {
            Err(EvidenceError::NoContradiction)
        }
    }

    fn two_heads(&self, a: &HeadStatement, b: &HeadStatement) -> Result<EvidenceKind, EvidenceError> {
        let (size_a, root_a) = self.check_head(a)?;
        let (size_b, root_b) = self.check_head(b)?;
        if size_a == size_b && root_a != root_b {
            Ok(EvidenceKind::TwoHeads { tree_size: size_a })
        } else {
            Err(EvidenceError::NoContradiction)
        }
    }

    fn rewritten(&self, rewriting: &Rewriting) -> Result<EvidenceKind, EvidenceError> {
        let (older, signed) = self.check_head(&rewriting.older)?;
        let (newer, root) = self.check_head(&rewriting.newer)?;
        merkle::log::verify_consistency(older, newer, &rewriting.path, &rewriting.root, &root)
            .map_err(|_| EvidenceError::Statement)?;
        if older < newer && rewriting.root != signed {
            Ok(EvidenceKind::Rewritten { older, newer })
        } else {
            Err(EvidenceError::NoContradiction)
        }
    }

    fn shrunk(&self, larger: &Sth, smaller: &Sth) -> Result<EvidenceKind, EvidenceError> {
        self.check_sth(larger)?;
        self.check_sth(smaller)?;
        let (from, to) = (larger.tree_size, smaller.tree_size);
        if to < from && larger.timestamp < smaller.timestamp {
            Ok(EvidenceKind::Shrunk { from, to })
        } else {
            Err(EvidenceError::NoContradiction)
        }
    }

    fn after_migrate(&self, migrate: &Event, later: &Receipt) -> Result<EvidenceKind, EvidenceError> {
        self.check_receipt(&migrate.receipt())?;
        self.check_receipt(later)?;
        // The whole event: its hash must be that of a Migrate.
        migrate.verify().map_err(|_| EvidenceError::Statement)?;
        let next = crate::verify::migrate_target(migrate).ok_or(EvidenceError::Statement)?;
        let seq = later.position.seq;
        if migrate.event_type == "Migrate" && next != self.sequencer && seq == migrate.position.seq + 1 {
            Ok(EvidenceKind::AfterMigrate { seq })
        } else {
            Err(EvidenceError::NoContradiction)
        }
    }

    fn left_out(&self, receipt: &Receipt, inclusion: &InclusionAnswer) -> Result<EvidenceKind, EvidenceError> {
        self.check_receipt(receipt)?;
        let head = self.check_sth(&inclusion.sth)?;
        let entry = inclusion.entry.verify(&head).map_err(|_| EvidenceError::Statement)?;
        let bundle = inclusion.bundle.as_ref().ok_or(wrong("bundle"))?;
        let seq = receipt.position.seq;
        bundle.verify_id(seq, entry).map_err(|_| EvidenceError::Statement)?;
        if bundle.event_id != receipt.id {
            Ok(EvidenceKind::LeftOut { seq })
        } else {
            Err(EvidenceError::NoContradiction)
        }
    }

    fn overdue(
        &self,
        receipt: &Receipt,
        manifest: &Event,
        inclusion: &InclusionAnswer,
    ) -> Result<EvidenceKind, EvidenceError> {
        self.check_receipt(receipt)?;
        let chain = Chain::begin(manifest, &Pin::Bound(self.enclave)).map_err(|_| EvidenceError::Statement)?;
        let head = self.check_sth(&inclusion.sth)?;
        let entry = inclusion.entry.verify(&head).map_err(|_| EvidenceError::Statement)?;
        let last = inclusion.entry.leaf_index + 1 == head.sth().tree_size;
        let timeout = u64::from(chain.manifest().bundle.timeout_ms);
        let promised = receipt.position.timestamp.saturating_add(timeout + PROMISE_SLACK_MS);
        let seq = receipt.position.seq;
        if last && entry.first_seq.saturating_add(entry.count) <= seq && head.sth().timestamp > promised {
            Ok(EvidenceKind::Overdue { seq })
        } else {
            Err(EvidenceError::NoContradiction)
        }
    }

    fn check_receipt(&self, receipt: &Receipt) -> Result<(), EvidenceError> {
        let subject = receipt.enclave == self.enclave && receipt.position.sequencer == self.sequencer;
        if subject && receipt.verify_signature().is_ok() { Ok(()) } else { Err(EvidenceError::Statement) }
    }

    fn check_sth(&self, sth: &Sth) -> Result<VerifiedSth, EvidenceError> {
        sth.verify_for(&self.enclave, &self.sequencer).map_err(|_| EvidenceError::Statement)
    }

    fn check_head(&self, head: &HeadStatement) -> Result<(u64, Hash), EvidenceError> {
        head.verify_for(&self.enclave, &self.sequencer).ok_or(EvidenceError::Statement)
    }
}

impl HeadStatement {
    /// The STH, if it is one.
    pub fn sth(&self) -> Option<&Sth> {
        match self {
            HeadStatement::Sth(sth) => Some(sth),
            HeadStatement::Checkpoint { .. } => None,
        }
    }

    /// Size and root, if the statement is of this enclave and signed by this key.
    pub fn verify_for(&self, enclave: &EnclaveId, sequencer: &PublicKey) -> Option<(u64, Hash)> {
        match self {
            HeadStatement::Sth(sth) => {
                sth.verify_for(enclave, sequencer).ok().map(|head| (head.sth().tree_size, head.sth().root_hash))
            }
            HeadStatement::Checkpoint { text, signature } => {
                schnorr::verify(sequencer, &checkpoint_message(text), signature).ok()?;
                checkpoint_size_and_root(text, enclave)
            }
        }
    }
}

/// The first three lines of a checkpoint of this enclave: origin, size, root.
fn checkpoint_size_and_root(text: &str, enclave: &EnclaveId) -> Option<(u64, Hash)> {
    let (origin, rest) = text.split_once('\n')?;
    let (size, rest) = rest.split_once('\n')?;
    let (root, _) = rest.split_once('\n')?;
    if origin != checkpoint_origin(enclave) || (size.starts_with('0') && size != "0") || size.starts_with('+') {
        return None;
    }
    let mut hash = [0; 32];
    let decoded = Base64::decode(root, &mut hash).ok()?;
    if decoded.len() != 32 {
        return None;
    }
    Some((size.parse().ok()?, hash))
}
