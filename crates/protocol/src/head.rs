//! What a sequencer signs of its log: the STH, the checkpoint's first line, and the log key (`docs/protocol.md`, STH, Checkpoint).

use crate::cbor::sha256_of;
use crate::code::Rejection;
use crate::fields::Fields;
use crate::ids::{EnclaveId, PublicKey, Signature};
use crate::json::Json;
use crate::schnorr::{self, KeyPair, SchnorrError};
use alloc::format;
use alloc::string::String;
use ed25519_dalek::SigningKey;
use hkdf::Hkdf;
use merkle::Hash;
use sha2::Sha256;

/// The name of the checkpoint's first signature type, behind `0xff`.
pub const BIP340_TYPE: &[u8] = b"\xffenc/bip340/v1";

/// A signed tree head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sth {
    /// Whose log.
    pub enclave: EnclaveId,
    /// When it was made, milliseconds since the epoch.
    pub timestamp: u64,
    /// Closed bundles.
    pub tree_size: u64,
    /// Root over them.
    pub root_hash: Hash,
    /// By whom.
    pub sequencer: PublicKey,
    /// Over [`sth_message`].
    pub signature: Signature,
}

/// A tree head whose signature by the enclave's sequencer holds: what proofs are checked against. Made by [`Sth::verify_for`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedSth(Sth);

/// Why a tree head is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SthError {
    /// It is of another enclave.
    OtherEnclave,
    /// It is by another key than the enclave's sequencer.
    OtherSequencer,
    /// The signature does not verify.
    Signature,
}

impl VerifiedSth {
    /// The head.
    pub fn sth(&self) -> &Sth {
        &self.0
    }
}

/// `SHA-256("enc:sth:" ‖ enclave ‖ be64(timestamp) ‖ be64(tree_size) ‖ root_hash)`.
pub fn sth_message(enclave: &EnclaveId, timestamp: u64, tree_size: u64, root_hash: &Hash) -> [u8; 32] {
    sha256_of(&[b"enc:sth:", &enclave.0, &timestamp.to_be_bytes(), &tree_size.to_be_bytes(), root_hash])
}

impl Sth {
    /// Checks the signature by the key it names; whether that key is the enclave's is the caller's to know.
    pub fn verify(&self) -> Result<(), SchnorrError> {
        let message = sth_message(&self.enclave, self.timestamp, self.tree_size, &self.root_hash);
        schnorr::verify(&self.sequencer, &message, &self.signature)
    }

    /// Checks that this is a head of `enclave` by `sequencer`, the key that the caller has from the Manifest and the Migrates.
    pub fn verify_for(self, enclave: &EnclaveId, sequencer: &PublicKey) -> Result<VerifiedSth, SthError> {
        if self.enclave != *enclave {
            return Err(SthError::OtherEnclave);
        }
        if self.sequencer != *sequencer {
            return Err(SthError::OtherSequencer);
        }
        self.verify().map_err(|_| SthError::Signature)?;
        Ok(VerifiedSth(self))
    }

    /// Signs a head with the sequencer's key.
    pub fn sign(key: &KeyPair, enclave: EnclaveId, timestamp: u64, tree_size: u64, root_hash: Hash) -> Sth {
        let signature = key.sign(&sth_message(&enclave, timestamp, tree_size, &root_hash));
        Sth { enclave, timestamp, tree_size, root_hash, sequencer: key.public(), signature }
    }

    /// Reads an STH; nothing is verified.
    pub fn from_json(value: Json) -> Result<Sth, Rejection> {
        let mut fields = Fields::of(value)?;
        let sth = Sth {
            enclave: EnclaveId(fields.hex("enclave")?),
            timestamp: fields.uint("timestamp")?,
            tree_size: fields.uint("tree_size")?,
            root_hash: fields.hex("root_hash")?,
            sequencer: PublicKey(fields.hex("sequencer")?),
            signature: Signature(fields.hex("signature")?),
        };
        fields.finish()?;
        Ok(sth)
    }

    /// The STH as served.
    pub fn to_json(&self) -> Json {
        Json::object([
            ("enclave", Json::from(self.enclave.hex())),
            ("timestamp", Json::from(self.timestamp)),
            ("tree_size", Json::from(self.tree_size)),
            ("root_hash", Json::from(crate::ids::hex(&self.root_hash))),
            ("sequencer", Json::from(self.sequencer.hex())),
            ("signature", Json::from(self.signature.hex())),
        ])
    }
}

/// Origin and key name of an enclave's checkpoints.
pub fn checkpoint_origin(enclave: &EnclaveId) -> String {
    format!("enc/{}", enclave.hex())
}

/// `SHA-256("enc:checkpoint:" ‖ note text)`: what the sequencer signs for the checkpoint's first line.
pub fn checkpoint_message(note_text: &str) -> [u8; 32] {
    sha256_of(&[b"enc:checkpoint:", note_text.as_bytes()])
}

/// Length of an entry of the heads log in bytes.
pub const HEADS_ENTRY_LEN: usize = 72;

/// `SHA-256("enc:head:" ‖ enclave) ‖ be64(tree_size) ‖ root_hash`: an enclave's head as the node's heads log keeps it.
pub fn heads_entry(enclave: &EnclaveId, tree_size: u64, root_hash: &Hash) -> [u8; HEADS_ENTRY_LEN] {
    let mut entry = [0; HEADS_ENTRY_LEN];
    entry[..32].copy_from_slice(&sha256_of(&[b"enc:head:", &enclave.0]));
    entry[32..40].copy_from_slice(&tree_size.to_be_bytes());
    entry[40..].copy_from_slice(root_hash);
    entry
}

/// The enclave's log key, derived from its sequencer's key.
pub fn log_key(sequencer: &KeyPair, enclave: &EnclaveId) -> SigningKey {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, sequencer.secret())
        .expand_multi_info(&[b"enc/log-key/v1", &enclave.0], seed.as_mut())
        .expect("32 bytes are within what HKDF-SHA-256 gives");
    SigningKey::from_bytes(&seed)
}
