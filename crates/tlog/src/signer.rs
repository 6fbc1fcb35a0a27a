//! Secret keys of notes: Ed25519, type `0x01`.

use ed25519_dalek::{Signer, SigningKey};

use crate::note::{KeyName, Note, SignatureLine};
use crate::vkey::{KeyKind, Vkey, VkeyError};

/// The key that a log signs its checkpoints with. Wiped from memory when dropped; never printed.
pub struct NoteSigner {
    vkey: Vkey,
    key: SigningKey,
}

impl NoteSigner {
    /// The signer of a 32-byte seed (RFC 8032 section 5.1.5).
    ///
    /// # Errors
    /// [`VkeyError::Key`] if the public key is of small order; no seed is known for which it is.
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Result<NoteSigner, VkeyError> {
        let key = SigningKey::from_bytes(seed);
        let vkey = Vkey::new(name, KeyKind::Ed25519, key.verifying_key().as_bytes())?;
        Ok(NoteSigner { vkey, key })
    }

    /// The public key.
    pub fn vkey(&self) -> &Vkey {
        &self.vkey
    }

    /// The signature of the text of a note; equal texts have equal signatures. Add it with [`Note::push`].
    pub fn sign(&self, note: &Note) -> SignatureLine {
        let signature = self.key.sign(note.text().as_bytes()).to_bytes().to_vec();
        SignatureLine::new(self.vkey.name().clone(), self.vkey.id(), signature).expect("64 bytes are not none")
    }
}
