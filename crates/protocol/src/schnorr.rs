//! BIP-340 over 32-byte messages as they stand, auxiliary randomness 32 zero bytes: signatures are reproducible.

use crate::ids::{PublicKey, Signature};
use core::fmt;
use k256::schnorr::{SigningKey, VerifyingKey};
use zeroize::Zeroizing;

/// The signature does not verify, or the key is no point of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchnorrError;

/// A private key with its public half. Wiped from memory when dropped.
pub struct KeyPair {
    key: SigningKey,
    /// As it was given: the signing key holds `n − secret` where the point's y is odd, and the log key is derived from this one.
    secret: Zeroizing<[u8; 32]>,
}

impl KeyPair {
    /// Takes a secret scalar: 1 to n − 1, big-endian.
    pub fn from_secret(secret: &[u8; 32]) -> Result<KeyPair, SchnorrError> {
        let key = SigningKey::from_slice(secret).map_err(|_| SchnorrError)?;
        Ok(KeyPair { key, secret: Zeroizing::new(*secret) })
    }

    /// The x-only public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.key.verifying_key().to_bytes().into())
    }

    /// Signs a 32-byte message with zero auxiliary randomness.
    pub fn sign(&self, message: &[u8; 32]) -> Signature {
        let signature = self
            .key
            .sign_raw(message, &[0; 32])
            .expect("zero auxiliary randomness gives a valid nonce but for odds of 2^-256");
        Signature(signature.to_bytes())
    }

    /// The secret scalar as it was given, for the transport's key agreement and the log key's derivation.
    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

/// Shows the public half only.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.public())
    }
}

/// Whether 32 bytes are the x coordinate of a point.
#[cfg(feature = "native")]
pub fn is_point(key: &PublicKey) -> bool {
    secp256k1::XOnlyPublicKey::from_byte_array(key.0).is_ok()
}

/// Whether 32 bytes are the x coordinate of a point.
#[cfg(not(feature = "native"))]
pub fn is_point(key: &PublicKey) -> bool {
    is_point_portable(key)
}

/// The same check in portable Rust.
pub fn is_point_portable(key: &PublicKey) -> bool {
    VerifyingKey::from_bytes(key.as_bytes().into()).is_ok()
}

/// Checks a signature by `key` over `message`.
#[cfg(feature = "native")]
pub fn verify(key: &PublicKey, message: &[u8; 32], signature: &Signature) -> Result<(), SchnorrError> {
    let key = native::point(key)?;
    let signature = secp256k1::schnorr::Signature::from_byte_array(signature.0);
    secp256k1::schnorr::verify(&signature, message, &key).map_err(|_| SchnorrError)
}

/// Checks a signature by `key` over `message`.
#[cfg(not(feature = "native"))]
pub fn verify(key: &PublicKey, message: &[u8; 32], signature: &Signature) -> Result<(), SchnorrError> {
    verify_portable(key, message, signature)
}

/// The same check in portable Rust; the one that wasm hosts run.
pub fn verify_portable(key: &PublicKey, message: &[u8; 32], signature: &Signature) -> Result<(), SchnorrError> {
    let key = VerifyingKey::from_bytes(key.as_bytes().into()).map_err(|_| SchnorrError)?;
    let signature = k256::schnorr::Signature::try_from(&signature.0[..]).map_err(|_| SchnorrError)?;
    key.verify_raw(message, &signature).map_err(|_| SchnorrError)
}

#[cfg(feature = "native")]
mod native {
    use super::SchnorrError;
    use crate::ids::PublicKey;
    use alloc::boxed::Box;
    use core::cell::RefCell;
    use secp256k1::XOnlyPublicKey;

    /// Keys whose points a thread remembers: who signs once usually signs again, and finding the point of an x is a ninth of a verification.
    /// 96 KiB a thread.
    const REMEMBERED: usize = 1024;

    type Table = [Option<([u8; 32], XOnlyPublicKey)>];

    std::thread_local! {
        static POINTS: RefCell<Box<Table>> = RefCell::new(alloc::vec![None; REMEMBERED].into_boxed_slice());
    }

    /// The point of a key, by the thread's table or from its x.
    pub(super) fn point(key: &PublicKey) -> Result<XOnlyPublicKey, SchnorrError> {
        // Keys are spread evenly by themselves; whoever grinds keys for one slot loses only the remembering.
        let slot = usize::from(u16::from_be_bytes([key.0[30], key.0[31]])) % REMEMBERED;
        POINTS.with_borrow_mut(|points| {
            if let Some((held, point)) = &points[slot]
                && *held == key.0
            {
                return Ok(*point);
            }
            let point = XOnlyPublicKey::from_byte_array(key.0).map_err(|_| SchnorrError)?;
            points[slot] = Some((key.0, point));
            Ok(point)
        })
    }
}
