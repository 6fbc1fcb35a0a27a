//! The key of a ledger, and what it has ever signed.

use core::fmt;

use tlog::note::{Note, SignatureLine};
use tlog::signer::NoteSigner;
use tlog::vkey::Vkey;

/// A head that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// How many entries.
    pub size: u64,
    /// The root over them.
    pub root: [u8; 32],
}

/// Why a head was not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignFault {
    /// A larger one was signed before, or another of this size.
    Behind(SignedHead),
    /// What was signed could not be written down first; the number is the operating system's.
    Unrecorded(i32),
}

impl fmt::Display for SignFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignFault::Behind(head) => write!(f, "a head of {} entries was signed before", head.size),
            SignFault::Unrecorded(code) => write!(f, "the head to be signed cannot be written down (error {code})"),
        }
    }
}

impl core::error::Error for SignFault {}

/// The key of one ledger. What it has signed is remembered outside the ledger's folder, so that an older copy of the folder is found out.
pub trait Signer {
    /// The public key; its name is the ledger's origin.
    fn vkey(&self) -> &Vkey;

    /// The largest head it has ever signed, as far as is known outside the folder.
    fn signed(&self) -> Option<SignedHead>;

    /// Writes a head down durably, then signs its checkpoint.
    ///
    /// # Errors
    /// [`SignFault`]: nothing was signed.
    fn sign_head(&mut self, head: SignedHead, note: &Note) -> Result<SignatureLine, SignFault>;

    /// Signs a text that is no checkpoint: its first line is one that no checkpoint has.
    fn sign_statement(&self, note: &Note) -> SignatureLine;
}

/// Whether a head may follow one that was signed.
///
/// # Errors
/// [`SignFault::Behind`].
pub fn check_head(signed: Option<SignedHead>, head: SignedHead) -> Result<(), SignFault> {
    match signed {
        Some(signed) if signed.size > head.size || (signed.size == head.size && signed.root != head.root) => {
            Err(SignFault::Behind(signed))
        }
        Some(_) | None => Ok(()),
    }
}

/// A key that remembers in memory what it has signed.
pub struct MemorySigner {
    signer: NoteSigner,
    signed: Option<SignedHead>,
}

impl MemorySigner {
    /// A key that is known to have signed this, or nothing.
    pub fn new(signer: NoteSigner, signed: Option<SignedHead>) -> MemorySigner {
        MemorySigner { signer, signed }
    }
}

impl Signer for MemorySigner {
    fn vkey(&self) -> &Vkey {
        self.signer.vkey()
    }

    fn signed(&self) -> Option<SignedHead> {
        self.signed
    }

    fn sign_head(&mut self, head: SignedHead, note: &Note) -> Result<SignatureLine, SignFault> {
        check_head(self.signed, head)?;
        self.signed = Some(head);
        Ok(self.signer.sign(note))
    }

    fn sign_statement(&self, note: &Note) -> SignatureLine {
        self.signer.sign(note)
    }
}
