//! BIP-340 signatures by libsecp256k1 for the writers, who make one for each event.
//!
//! The wrapper's own function blinds its context anew after every signature, which costs more than the signature (26 of 43 µs where it
//! was measured). Blinding guards the nonce and key against whoever watches the multiplication's timing or power; it is kept here, from fresh randomness
//! at the start and again after every so many signatures. This is the crate's only unsafe code: one call into C.

use protocol::Signature;
use protocol::schnorr::SchnorrError;
use secp256k1::ffi::{self, CPtr};
use secp256k1::{Keypair, Secp256k1, SignOnly};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock};
use zeroize::Zeroizing;

/// Signatures made with one blinding value: about ten times a second under full load.
const BLINDED_FOR: u32 = 1024;

/// A private key that signs. The bytes are those of [`protocol::schnorr::KeyPair::sign`].
pub struct Signer {
    context: RwLock<Secp256k1<SignOnly>>,
    pair: Keypair,
    signatures: AtomicU32,
}

impl Signer {
    /// Takes a secret scalar: 1 to n − 1, big-endian.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Signer, SchnorrError> {
        let pair = Keypair::from_secret_bytes(*secret).map_err(|_| SchnorrError)?;
        let signer = Signer { context: RwLock::new(Secp256k1::signing_only()), pair, signatures: AtomicU32::new(0) };
        signer.blind();
        Ok(signer)
    }

    /// Signs a 32-byte message with zero auxiliary randomness.
    #[allow(unsafe_code, reason = "libsecp256k1's signing call on a context of our own has no safe wrapper")]
    pub fn sign(&self, message: &[u8; 32]) -> Signature {
        if self.signatures.fetch_add(1, Ordering::Relaxed) % BLINDED_FOR == BLINDED_FOR - 1 {
            self.blind();
        }
        let context = self.context.read().unwrap_or_else(PoisonError::into_inner);
        let mut signature = [0; 64];
        // SAFETY: the context lives in the guard and was made for signing; `signature` has the 64 bytes that are written and `message` the
        // 32 that are read; the pair was made by this library from a checked secret; null stands for zero auxiliary randomness.
        let made = unsafe {
            ffi::secp256k1_schnorrsig_sign32(
                context.ctx().as_ptr(),
                signature.as_mut_ptr(),
                message.as_ptr(),
                self.pair.as_c_ptr(),
                std::ptr::null(),
            )
        };
        assert_eq!(made, 1, "libsecp256k1 refuses a nonce of zero only, whose odds are 2^-256");
        Signature(signature)
    }

    /// Blinds the context from fresh randomness. Without any it stays as blind as it was.
    fn blind(&self) {
        let mut seed = Zeroizing::new([0; 32]);
        if getrandom::fill(seed.as_mut()).is_ok() {
            self.context.write().unwrap_or_else(PoisonError::into_inner).seeded_randomize(&seed);
        }
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        self.pair.non_secure_erase();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::schnorr::{KeyPair, verify};

    #[test]
    fn the_bytes_are_those_of_the_portable_signer_before_and_after_blinding_anew() {
        for secret in [[1; 32], [0x7f; 32], [0xfe; 32]] {
            let (signer, portable) =
                (Signer::from_secret(&secret).expect("a scalar"), KeyPair::from_secret(&secret).expect("a scalar"));
            for number in 0..BLINDED_FOR + 8 {
                let mut message = [0; 32];
                message[..4].copy_from_slice(&number.to_be_bytes());
                if number % 64 < 2 || number >= BLINDED_FOR - 2 {
                    let signature = signer.sign(&message);
                    assert_eq!(signature, portable.sign(&message), "{number}");
                    assert!(verify(&portable.public(), &message, &signature).is_ok());
                } else {
                    signer.signatures.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    #[test]
    fn what_is_no_scalar_is_refused() {
        assert!(Signer::from_secret(&[0; 32]).is_err());
        assert!(Signer::from_secret(&[0xff; 32]).is_err());
    }
}
