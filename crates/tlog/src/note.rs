//! Signed text (C2SP signed-note): a text, a blank line, and a line for each signature.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use sha2::{Digest, Sha256};

use crate::base64;

/// The most signatures of one note. The specification asks for 16 at least; a log with a large set of witnesses stays
/// far below this.
pub const MAX_SIGNATURES: usize = 64;

/// The longest note, in bytes: room for [`MAX_SIGNATURES`] of the longest kind (ML-DSA-44, 3.3 kB a line).
pub const MAX_NOTE_LEN: usize = 256 * 1024;

/// What a signature line begins with: an em dash and a space.
const LINE_START: &str = "\u{2014} ";

/// The name of a key: not empty, without spaces of any kind, control characters and `+`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`NoteError::KeyName`].
    pub fn parse(text: &str) -> Result<KeyName, NoteError> {
        let forbidden = |c: char| c.is_whitespace() || c < ' ' || c == '+';
        if text.is_empty() || text.contains(forbidden) { Err(NoteError::KeyName) } else { Ok(KeyName(text.to_owned())) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Four bytes that say, together with the name, which key has signed. A hint, not a commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// The id of a key: the first 4 bytes of SHA-256(`name ‖ 0x0A ‖ type byte ‖ key`).
///
/// For a private type (`0xff`) the key begins with the long identifier of the type.
pub fn key_id(name: &KeyName, type_byte: u8, key: &[u8]) -> KeyId {
    let digest = Sha256::new_with_prefix(name.as_str()).chain_update([0x0a, type_byte]).chain_update(key).finalize();
    KeyId([digest[0], digest[1], digest[2], digest[3]])
}

/// One signature under a note. Nothing is known about it until the key of its name and id has verified it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignatureLine {
    name: KeyName,
    id: KeyId,
    signature: Vec<u8>,
}

impl SignatureLine {
    /// The line of a signature made by the key of this name and id.
    ///
    /// # Errors
    /// [`NoteError::SignatureLine`] if the signature has no bytes.
    pub fn new(name: KeyName, id: KeyId, signature: Vec<u8>) -> Result<SignatureLine, NoteError> {
        if signature.is_empty() { Err(NoteError::SignatureLine) } else { Ok(SignatureLine { name, id, signature }) }
    }

    /// Reads a line, without its newline.
    ///
    /// # Errors
    /// [`NoteError::SignatureLine`], [`NoteError::KeyName`].
    pub fn parse(line: &str) -> Result<SignatureLine, NoteError> {
        let (name, blob) =
            line.strip_prefix(LINE_START).and_then(|rest| rest.split_once(' ')).ok_or(NoteError::SignatureLine)?;
        let name = KeyName::parse(name)?;
        let blob = base64::decode(blob).ok_or(NoteError::SignatureLine)?;
        let (id, signature) = blob.split_first_chunk().ok_or(NoteError::SignatureLine)?;
        SignatureLine::new(name, KeyId(*id), signature.to_vec())
    }

    /// The name of the key.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The id of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What the type of the key makes of it, without the id; never empty.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blob = base64::encode(&[&self.id.0, self.signature.as_slice()].concat());
        write!(f, "{LINE_START}{} {blob}", self.name)
    }
}

/// A text with signatures; nothing about them is verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

impl Note {
    /// A text to be signed. It ends with a newline, and its only control characters are newlines.
    ///
    /// # Errors
    /// [`NoteError::Text`], [`NoteError::TooLong`].
    pub fn new(text: &str) -> Result<Note, NoteError> {
        if text.len() > MAX_NOTE_LEN {
            return Err(NoteError::TooLong);
        }
        if !text.ends_with('\n') || has_control(text) {
            return Err(NoteError::Text);
        }
        Ok(Note { text: text.to_owned(), signatures: Vec::new() })
    }

    /// Reads a note with at least one signature.
    ///
    /// The text may hold blank lines: the signatures begin behind the last one.
    ///
    /// # Errors
    /// Any [`NoteError`].
    pub fn parse(bytes: &[u8]) -> Result<Note, NoteError> {
        if bytes.len() > MAX_NOTE_LEN {
            return Err(NoteError::TooLong);
        }
        let all = core::str::from_utf8(bytes).map_err(|_| NoteError::Text)?;
        if has_control(all) {
            return Err(NoteError::Text);
        }
        let blank = all.rfind("\n\n").ok_or(NoteError::Unsigned)?;
        let (text, lines) = (&all[..=blank], &all[blank + 2..]);
        if lines.is_empty() {
            return Err(NoteError::Unsigned);
        }
        let lines = lines.strip_suffix('\n').ok_or(NoteError::SignatureLine)?;
        let mut note = Note { text: text.to_owned(), signatures: Vec::new() };
        for line in lines.split('\n') {
            note.append(SignatureLine::parse(line)?)?;
        }
        Ok(note)
    }

    /// What is signed, with its last newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures in their order.
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// Adds a signature below the others.
    ///
    /// # Errors
    /// [`NoteError::TooManySignatures`], [`NoteError::TooLong`].
    pub fn push(&mut self, line: SignatureLine) -> Result<(), NoteError> {
        if self.to_string().len() + line.to_string().len() >= MAX_NOTE_LEN {
            return Err(NoteError::TooLong);
        }
        self.append(line)
    }

    fn append(&mut self, line: SignatureLine) -> Result<(), NoteError> {
        if self.signatures.len() == MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        self.signatures.push(line);
        Ok(())
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Why bytes are not a note, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteError {
    /// Longer than [`MAX_NOTE_LEN`].
    TooLong,
    /// Not UTF-8, a control character other than newline, or a text that does not end with a newline.
    Text,
    /// No blank line, or nothing behind it.
    Unsigned,
    /// More than [`MAX_SIGNATURES`].
    TooManySignatures,
    /// A line behind the last blank one is not a dash, a name and the base64 of an id and a signature.
    SignatureLine,
    /// A key name is empty or has a space, a control character or a plus in it.
    KeyName,
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoteError::TooLong => "note is too long",
            NoteError::Text => "note text is not lines of UTF-8",
            NoteError::Unsigned => "note has no signatures",
            NoteError::TooManySignatures => "note has too many signatures",
            NoteError::SignatureLine => "note has a malformed signature line",
            NoteError::KeyName => "malformed key name",
        })
    }
}

impl core::error::Error for NoteError {}

fn has_control(text: &str) -> bool {
    text.bytes().any(|byte| byte < b' ' && byte != b'\n')
}
