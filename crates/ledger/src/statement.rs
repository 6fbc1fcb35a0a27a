//! What a ledger's key signs beside checkpoints: texts whose first line no checkpoint has, and lines `name: value` (ledger.md 2).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use tlog::checkpoint::Origin;
use tlog::note::Note;
use tlog::vkey::{SignatureError, Vkey};

use crate::append::Appended;
use crate::index::Index;
use crate::ledger::Ledger;
use crate::signer::Signer;
use crate::store::Store;
use crate::time::Timestamp;
use crate::value::{Digest, parse_number};

const RECEIPT: &str = "worm-receipt v1";

/// What a ledger answers to an append: this entry stands at this place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Of which ledger.
    pub origin: Origin,
    /// The entry's place.
    pub index: u64,
    /// Its leaf hash.
    pub leaf: Digest,
    /// Its time.
    pub time: Timestamp,
}

/// Why a note is not a receipt of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptError {
    /// Not the text of a receipt.
    Form,
    /// Not signed by this key.
    Signature(SignatureError),
    /// Of another ledger than the key's.
    OtherLedger,
}

impl fmt::Display for ReceiptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReceiptError::Form => f.write_str("not the text of a receipt"),
            ReceiptError::Signature(error) => error.fmt(f),
            ReceiptError::OtherLedger => f.write_str("receipt is of another ledger"),
        }
    }
}

impl core::error::Error for ReceiptError {}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{RECEIPT}\norigin: {}\nindex: {}\nleaf: {}\ntime: {}",
            self.origin, self.index, self.leaf, self.time
        )
    }
}

/// The receipt in a note, if the key has signed it for its own ledger.
///
/// # Errors
/// Any [`ReceiptError`].
pub fn verify_receipt(note: &Note, vkey: &Vkey) -> Result<Receipt, ReceiptError> {
    vkey.verify_note(note).map_err(ReceiptError::Signature)?;
    let receipt = parse_receipt(note.text()).ok_or(ReceiptError::Form)?;
    if receipt.origin.as_str() == vkey.name().as_str() { Ok(receipt) } else { Err(ReceiptError::OtherLedger) }
}

fn parse_receipt(text: &str) -> Option<Receipt> {
    let mut lines = text.lines().skip(1);
    let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(": ");
    let receipt = Receipt {
        origin: Origin::parse(value("origin")?).ok()?,
        index: parse_number(value("index")?)?,
        leaf: Digest::parse(value("leaf")?)?,
        time: Timestamp::parse(value("time")?)?,
    };
    (receipt.to_string() == text).then_some(receipt)
}

impl<S: Store, I: Index, K: Signer> Ledger<S, I, K> {
    /// The signed receipt of an entry; the same for a repeat.
    pub fn receipt(&self, appended: &Appended) -> Note {
        let receipt = Receipt {
            origin: self.origin.clone(),
            index: appended.index,
            leaf: Digest(appended.leaf),
            time: appended.time,
        };
        let mut note = Note::new(&receipt.to_string()).expect("a receipt is a note's text");
        let line = self.signer.sign_statement(&note);
        note.push(line).expect("a receipt with one signature is short");
        note
    }
}

/// The text of `README.txt`: how to read the folder with ordinary tools. The payload of entry 0, so it depends on nothing but origin and key.
pub fn readme(origin: &Origin, vkey: &Vkey) -> String {
    let lines: Vec<String> = README.lines().map(|line| format!("{line}\n")).collect();
    lines.concat().replace("ORIGIN", origin.as_str()).replace("VKEY", &vkey.to_string())
}

const README: &str = include_str!("readme.txt");
