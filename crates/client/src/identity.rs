//! Who acts: a key pair that may be shared between handles.

use crate::error::Error;
use protocol::schnorr::KeyPair;
use protocol::{PublicKey, ids};
use std::sync::Arc;
use zeroize::Zeroizing;

/// An identity whose private key is held in memory, wiped when the last handle goes.
#[derive(Clone)]
pub struct Identity(Arc<KeyPair>);

impl Identity {
    /// Makes a key, and gives its secret once, in hex, to be kept.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn generate() -> Result<(Identity, Zeroizing<String>), Error> {
        loop {
            let mut secret = Zeroizing::new([0; 32]);
            fill_random(secret.as_mut())?;
            // 32 random bytes are a key but for odds of 2^-128.
            if let Ok(key) = KeyPair::from_secret(&secret) {
                return Ok((Identity(Arc::new(key)), Zeroizing::new(ids::hex(secret.as_ref()))));
            }
        }
    }

    /// Takes the secret in hex, 64 lower-case digits; none if it is no key.
    pub fn from_secret(hex: &str) -> Option<Identity> {
        let secret = Zeroizing::new(ids::parse_hex(hex).ok()?);
        KeyPair::from_secret(&secret).ok().map(|key| Identity(Arc::new(key)))
    }

    /// The identity's public name.
    pub fn public(&self) -> PublicKey {
        self.0.public()
    }

    /// The key, for signing.
    pub fn key(&self) -> &KeyPair {
        &self.0
    }
}

/// Random bytes from the system.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|_| Error::Random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_secret_gives_the_same_identity_again() {
        let (identity, secret) = Identity::generate().expect("random bytes");
        assert_eq!(Identity::from_secret(&secret).expect("a key").public(), identity.public());
        for none in ["", "00", &"0".repeat(64), &"F".repeat(64), &"f".repeat(64)] {
            assert!(Identity::from_secret(none).is_none(), "{none}");
        }
        let anchor = Identity::from_secret(&"33".repeat(32)).expect("a key");
        assert_eq!(anchor.public().hex(), "3c72addb4fdf09af94f0c94d7fe92a386a7e70cf8a1d85916386bb2535c7b1b1");
    }
}
