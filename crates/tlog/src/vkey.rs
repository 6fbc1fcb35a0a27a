//! Public keys of notes (C2SP signed-note): `<name>+<key id in hex>+<base64 of type byte ‖ key>`.

use core::fmt;

use ed25519_dalek::{Signature, VerifyingKey};

use crate::base64;
use crate::note::{KeyId, KeyName, Note, SignatureLine, key_id};

/// What a key signs. The same Ed25519 key of another kind has another id and is another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// Type `0x01`: Ed25519 over the text of the note. The key of a log.
    Ed25519,
    /// Type `0x04`: Ed25519 over a time and the text of a checkpoint (tlog-cosignature). The key of a witness.
    CosignatureV1,
}

impl KeyKind {
    /// The byte before the key in a verifier key and in the hash of its id.
    pub fn type_byte(self) -> u8 {
        match self {
            KeyKind::Ed25519 => 0x01,
            KeyKind::CosignatureV1 => 0x04,
        }
    }

    fn of_type_byte(byte: u8) -> Option<KeyKind> {
        [KeyKind::Ed25519, KeyKind::CosignatureV1].into_iter().find(|kind| kind.type_byte() == byte)
    }
}

/// A verifier key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vkey {
    name: KeyName,
    id: KeyId,
    kind: KeyKind,
    key: VerifyingKey,
}

impl Vkey {
    /// The verifier key of an Ed25519 public key.
    ///
    /// # Errors
    /// [`VkeyError::Key`] if the bytes are not a point, or one of small order.
    pub fn new(name: KeyName, kind: KeyKind, key: &[u8; 32]) -> Result<Vkey, VkeyError> {
        let point = VerifyingKey::from_bytes(key).map_err(|_| VkeyError::Key)?;
        if point.is_weak() {
            return Err(VkeyError::Key);
        }
        let id = key_id(&name, kind.type_byte(), key);
        Ok(Vkey { name, id, kind, key: point })
    }

    /// Reads a verifier key.
    ///
    /// # Errors
    /// Any [`VkeyError`].
    pub fn parse(text: &str) -> Result<Vkey, VkeyError> {
        let (name, rest) = text.split_once('+').ok_or(VkeyError::Form)?;
        let (id, blob) = rest.split_once('+').ok_or(VkeyError::Form)?;
        let name = KeyName::parse(name).map_err(|_| VkeyError::Name)?;
        let blob = base64::decode(blob).ok_or(VkeyError::Form)?;
        let (&type_byte, key) = blob.split_first().ok_or(VkeyError::Form)?;
        let kind = KeyKind::of_type_byte(type_byte).ok_or(VkeyError::UnknownKind)?;
        let vkey = Vkey::new(name, kind, key.try_into().map_err(|_| VkeyError::Key)?)?;
        if alloc::format!("{}", vkey.id) == id { Ok(vkey) } else { Err(VkeyError::Id) }
    }

    /// The name of the key.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The id of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What it signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The Ed25519 public key.
    pub fn key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Checks that the note is signed by this key: it has a line of this name and id, and all such lines verify.
    /// Lines of other names and ids are not looked at.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_note(&self, note: &Note) -> Result<(), SignatureError> {
        match self.kind {
            KeyKind::Ed25519 => {}
            KeyKind::CosignatureV1 => return Err(SignatureError::WrongKind),
        }
        let own = |line: &&SignatureLine| *line.name() == self.name && line.id() == self.id;
        let mut lines = note.signatures().iter().filter(own).peekable();
        if lines.peek().is_none() {
            return Err(SignatureError::Unsigned);
        }
        lines.try_for_each(|line| {
            let holds = self.verifies(note.text().as_bytes(), line.signature());
            if holds { Ok(()) } else { Err(SignatureError::Invalid) }
        })
    }

    /// Whether a signature is this key's over a message.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for Vkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blob = base64::encode(&[&[self.kind.type_byte()], self.key().as_slice()].concat());
        write!(f, "{}+{}+{blob}", self.name, self.id)
    }
}

/// Why a text is not a verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VkeyError {
    /// Not three parts with a plus between them, the last in base64.
    Form,
    /// The key name is malformed.
    Name,
    /// The key is of a kind that is not known here.
    UnknownKind,
    /// The key is not 32 bytes that are an Ed25519 public key.
    Key,
    /// The id is not that of name and key, in eight lower-case hex digits.
    Id,
}

impl fmt::Display for VkeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            VkeyError::Form => "verifier key is not name+id+key",
            VkeyError::Name => "verifier key has a malformed name",
            VkeyError::UnknownKind => "verifier key is of an unknown kind",
            VkeyError::Key => "verifier key holds no Ed25519 public key",
            VkeyError::Id => "verifier key has the id of another key",
        })
    }
}

impl core::error::Error for VkeyError {}

/// Why a note is not signed by a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// A key of this kind does not sign the text of notes.
    WrongKind,
    /// The note has no line of this key.
    Unsigned,
    /// A line of this key does not verify.
    Invalid,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SignatureError::WrongKind => "key is not one that signs notes",
            SignatureError::Unsigned => "note is not signed by this key",
            SignatureError::Invalid => "note has an invalid signature of this key",
        })
    }
}

impl core::error::Error for SignatureError {}
