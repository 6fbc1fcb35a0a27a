//! What a witness says of a checkpoint (C2SP tlog-cosignature, `cosignature/v1`): as of this time it is the largest tree that I have seen
//! of this log, and it continues all that I had seen before.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use ed25519_dalek::{Signer, SigningKey};

use crate::note::{KeyName, Note, SignatureLine};
use crate::vkey::{KeyKind, SignatureError, Vkey, VkeyError};

/// Latest time of a cosignature, in seconds since the epoch.
pub const MAX_TIME_SECS: u64 = i64::MAX as u64;

/// The key that a witness cosigns with. Wiped from memory when dropped; never printed.
pub struct CosignatureSigner {
    vkey: Vkey,
    key: SigningKey,
}

impl CosignatureSigner {
    /// The signer of a 32-byte seed (RFC 8032 section 5.1.5).
    ///
    /// # Errors
    /// [`VkeyError::Key`] if the public key is of small order; no seed is known for which it is.
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Result<CosignatureSigner, VkeyError> {
        let key = SigningKey::from_bytes(seed);
        let vkey = Vkey::new(name, KeyKind::CosignatureV1, key.verifying_key().as_bytes())?;
        Ok(CosignatureSigner { vkey, key })
    }

    /// The public key.
    pub fn vkey(&self) -> &Vkey {
        &self.vkey
    }

    /// The cosignature of the checkpoint in a note, at a time in seconds since the epoch, [`MAX_TIME_SECS`] at most.
    pub fn cosign(&self, note: &Note, time_secs: u64) -> SignatureLine {
        let time_secs = time_secs.min(MAX_TIME_SECS);
        let signature = self.key.sign(message(time_secs, note.text()).as_bytes()).to_bytes();
        let blob: Vec<u8> = [&time_secs.to_be_bytes()[..], &signature].concat();
        SignatureLine::new(self.vkey.name().clone(), self.vkey.id(), blob).expect("72 bytes are not none")
    }
}

impl Vkey {
    /// Checks a line below a checkpoint; answers when this witness has signed it, in seconds since the epoch.
    ///
    /// # Errors
    /// [`SignatureError::WrongKind`] for the key of a log, [`SignatureError::Unsigned`] if the line is of another key,
    /// [`SignatureError::Invalid`].
    pub fn verify_cosignature(&self, text: &str, line: &SignatureLine) -> Result<u64, SignatureError> {
        match self.kind() {
            KeyKind::CosignatureV1 => {}
            KeyKind::Ed25519 => return Err(SignatureError::WrongKind),
        }
        if line.name() != self.name() || line.id() != self.id() {
            return Err(SignatureError::Unsigned);
        }
        let (time, signature) = line.signature().split_first_chunk().ok_or(SignatureError::Invalid)?;
        let time_secs = u64::from_be_bytes(*time);
        let holds = time_secs <= MAX_TIME_SECS && self.verifies(message(time_secs, text).as_bytes(), signature);
        if holds { Ok(time_secs) } else { Err(SignatureError::Invalid) }
    }
}

/// What is signed.
fn message(time_secs: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time_secs}\n{text}")
}
