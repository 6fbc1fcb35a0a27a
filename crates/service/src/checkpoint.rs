//! A checkpoint as a C2SP signed note: the sequencer's line, then the log key's (`docs/protocol.md`, Checkpoint).

use crate::runtime::Fault;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use protocol::head::{BIP340_TYPE, checkpoint_origin};
use protocol::{EnclaveId, PublicKey, Signature};
use tlog::checkpoint::{Checkpoint, Origin};
use tlog::note::{KeyName, Note, SignatureLine, key_id};
use tlog::vkey::{KeyKind, Vkey};

/// The text that both lines sign.
pub fn text(enclave: &EnclaveId, size: u64, root: [u8; 32]) -> Result<String, Fault> {
    let origin = Origin::parse(&checkpoint_origin(enclave)).map_err(|_| Fault::Storage)?;
    Ok(Checkpoint::new(origin, size, root).to_string())
}

/// The note of a text and its two signatures.
pub fn note(
    text: &str,
    enclave: &EnclaveId,
    sequencer: (&PublicKey, &Signature),
    log: (&[u8; 32], &[u8; 64]),
) -> Result<String, Fault> {
    let name = name(enclave)?;
    let (private, key_type) = BIP340_TYPE.split_first().ok_or(Fault::Storage)?;
    let key: Vec<u8> = [key_type, &sequencer.0.0[..]].concat();
    let id = key_id(&name, *private, &key);
    let first = SignatureLine::new(name.clone(), id, sequencer.1.0.to_vec()).map_err(|_| Fault::Key)?;
    let vkey = Vkey::new(name.clone(), KeyKind::Ed25519, log.0).map_err(|_| Fault::Key)?;
    let second = SignatureLine::new(name, vkey.id(), log.1.to_vec()).map_err(|_| Fault::Key)?;
    let mut note = Note::new(text).map_err(|_| Fault::Storage)?;
    note.push(first).map_err(|_| Fault::Storage)?;
    note.push(second).map_err(|_| Fault::Storage)?;
    Ok(note.to_string())
}

/// What C2SP tools are configured with.
pub fn log_vkey(enclave: &EnclaveId, key: &[u8; 32]) -> Result<String, Fault> {
    Ok(Vkey::new(name(enclave)?, KeyKind::Ed25519, key).map_err(|_| Fault::Key)?.to_string())
}

fn name(enclave: &EnclaveId) -> Result<KeyName, Fault> {
    KeyName::parse(&checkpoint_origin(enclave)).map_err(|_| Fault::Storage)
}
