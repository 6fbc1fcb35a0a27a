//! The entries below one tile as one file (C2SP tlog-tiles): for each its length (16 bits, big-endian) and its bytes.

use alloc::vec::Vec;
use core::fmt;

/// The longest entry, in bytes.
pub const MAX_ENTRY_LEN: usize = u16::MAX as usize;

/// Why bytes are not the bundle that was asked for, or entries can not be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryBundleError {
    /// An entry is longer than [`MAX_ENTRY_LEN`].
    EntryTooLong,
    /// The bytes end inside an entry, or hold fewer entries.
    Truncated,
    /// There are bytes behind the last entry.
    Surplus,
}

impl fmt::Display for EntryBundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EntryBundleError::EntryTooLong => "entry is longer than 65535 bytes",
            EntryBundleError::Truncated => "entry bundle is truncated",
            EntryBundleError::Surplus => "entry bundle has bytes behind its last entry",
        })
    }
}

impl core::error::Error for EntryBundleError {}

/// The file of these entries.
///
/// # Errors
/// [`EntryBundleError::EntryTooLong`].
pub fn encode<E: AsRef<[u8]>>(entries: impl IntoIterator<Item = E>) -> Result<Vec<u8>, EntryBundleError> {
    let mut bytes = Vec::new();
    for entry in entries {
        let entry = entry.as_ref();
        let len = u16::try_from(entry.len()).map_err(|_| EntryBundleError::EntryTooLong)?;
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// The entries of a file that must hold exactly `width` of them, the width that its path says.
///
/// # Errors
/// [`EntryBundleError::Truncated`], [`EntryBundleError::Surplus`].
pub fn decode(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, EntryBundleError> {
    let (mut rest, mut entries) = (bytes, Vec::with_capacity(usize::from(width)));
    for _ in 0..width {
        let (len, tail) = rest.split_first_chunk().ok_or(EntryBundleError::Truncated)?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (entry, tail) = tail.split_at_checked(len).ok_or(EntryBundleError::Truncated)?;
        entries.push(entry);
        rest = tail;
    }
    if rest.is_empty() { Ok(entries) } else { Err(EntryBundleError::Surplus) }
}
