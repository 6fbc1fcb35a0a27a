//! The journal: what was acknowledged and stands in no checkpoint yet.
//!
//! One write is one frame: [`MAGIC`], the index of its first entry (64 bits), how many entries (32 bits), the length of the body in bytes (32 bits),
//! the SHA-256 of those 16 bytes and the body; then the body, each entry behind its length (32 bits). Numbers are big-endian.
//!
//! A crash may leave the last frame torn: it was never acknowledged, and is dropped. A broken frame before a whole one is damage.

use alloc::vec::Vec;
use core::fmt;

use sha2::{Digest as _, Sha256};

/// What a frame begins with.
pub const MAGIC: [u8; 8] = *b"wormjrn1";
/// Bytes of a frame before its body.
const HEAD_LEN: usize = 8 + 8 + 4 + 4 + 32;

/// One write: entries with rising indices, the first of which is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Index of the first entry.
    pub first: u64,
    /// The entries' bytes.
    pub entries: Vec<&'a [u8]>,
}

/// What a journal file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frames<'a> {
    /// The whole frames.
    pub frames: Vec<Frame<'a>>,
    /// How long they are together; what lies behind is a torn frame.
    pub len: u64,
}

/// Why a journal can not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalError {
    /// A frame is broken although a whole one follows: it was acknowledged.
    Damaged {
        /// Where the broken one begins, in bytes.
        offset: u64,
    },
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let JournalError::Damaged { offset } = self;
        write!(f, "the journal is damaged at byte {offset}")
    }
}

impl core::error::Error for JournalError {}

/// The bytes of one write. Entries are at most 65,535 bytes long and at most some thousands, so that the lengths fit.
pub fn encode<E: AsRef<[u8]>>(first: u64, entries: &[E]) -> Vec<u8> {
    let mut body = Vec::new();
    for entry in entries {
        let entry = entry.as_ref();
        body.extend_from_slice(&(entry.len() as u32).to_be_bytes());
        body.extend_from_slice(entry);
    }
    let mut counts = Vec::with_capacity(16);
    counts.extend_from_slice(&first.to_be_bytes());
    counts.extend_from_slice(&(entries.len() as u32).to_be_bytes());
    counts.extend_from_slice(&(body.len() as u32).to_be_bytes());
    let digest = Sha256::new_with_prefix(&counts).chain_update(&body).finalize();
    [&MAGIC[..], &counts, &digest, &body].concat()
}

/// The whole frames of a journal file.
///
/// # Errors
/// [`JournalError`].
pub fn decode(bytes: &[u8]) -> Result<Frames<'_>, JournalError> {
    let (mut at, mut frames) = (0, Vec::new());
    while let Some((frame, len)) = decode_one(&bytes[at..]) {
        frames.push(frame);
        at += len;
    }
    let torn = &bytes[at..];
    // Looked for from its second byte on: its first is where no whole frame begins.
    let mut rest = torn.windows(MAGIC.len()).enumerate().skip(1).filter(|(_, window)| **window == MAGIC);
    match rest.any(|(place, _)| decode_one(&torn[place..]).is_some()) {
        true => Err(JournalError::Damaged { offset: at as u64 }),
        false => Ok(Frames { frames, len: at as u64 }),
    }
}

fn decode_one(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    let (head, rest) = bytes.split_at_checked(HEAD_LEN)?;
    let counts = &head[8..24];
    let first = u64::from_be_bytes(counts[..8].try_into().expect("eight bytes"));
    let number = |range: core::ops::Range<usize>| u32::from_be_bytes(counts[range].try_into().expect("four bytes"));
    let (count, len) = (number(8..12), number(12..16) as usize);
    let mut body = rest.get(..len)?;
    let digest = Sha256::new_with_prefix(counts).chain_update(body).finalize();
    if head[..8] != MAGIC || digest[..] != head[24..] {
        return None;
    }
    let mut entries = Vec::new();
    while !body.is_empty() {
        let (len, tail) = body.split_first_chunk()?;
        let (entry, tail) = tail.split_at_checked(u32::from_be_bytes(*len) as usize)?;
        entries.push(entry);
        body = tail;
    }
    (entries.len() == count as usize).then_some((Frame { first, entries }, HEAD_LEN + len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<u8>, Vec<usize>) {
        let frames = [encode(0, &["one", "two"]), encode(2, &["three"]), encode(3, &["", "five"])];
        let ends = frames.iter().scan(0, |end, frame| {
            *end += frame.len();
            Some(*end)
        });
        (frames.concat(), ends.collect())
    }

    #[test]
    fn what_was_torn_at_any_byte_is_dropped_and_nothing_else() {
        let (bytes, ends) = sample();
        for len in 0..=bytes.len() {
            let found = decode(&bytes[..len]).expect("nothing follows what is torn");
            let whole = ends.iter().filter(|end| **end <= len).count();
            assert_eq!((found.frames.len(), found.len), (whole, whole.checked_sub(1).map_or(0, |at| ends[at] as u64)));
        }
    }

    #[test]
    fn every_altered_byte_before_the_last_frame_is_damage() {
        let (bytes, ends) = sample();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            let found = decode(&altered);
            if at < ends[1] {
                let offset = if at < ends[0] { 0 } else { ends[0] as u64 };
                assert_eq!(found, Err(JournalError::Damaged { offset }), "byte {at}");
            } else {
                assert_eq!(found.expect("the last is taken for torn").frames.len(), 2, "byte {at}");
            }
        }
    }
}
