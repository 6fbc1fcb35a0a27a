//! Paths of tiles, and entry bundles.

use crate::Input;
use tlog::entry_bundle::{decode, encode};
use tlog::tile::{FULL_WIDTH, TileKind, TilePath};

/// Text as a path; its first 17 bytes also as a kind, an index and a size.
pub fn path(bytes: &[u8]) {
    if let Ok(text) = core::str::from_utf8(bytes)
        && let Ok(path) = TilePath::parse(text)
    {
        assert_eq!(path.to_string(), text);
        assert!((1..=FULL_WIDTH).contains(&path.width()));
        return;
    }
    let mut input = Input::new(bytes);
    let kind = match input.byte() {
        255 => TileKind::Entries,
        level => TileKind::Hashes(level % 64),
    };
    let (index, size) = (u64::from_be_bytes(input.take()), u64::from_be_bytes(input.take()));
    if let Some(path) = TilePath::in_log(kind, index, size) {
        assert!(path.is_filled_by(size));
        assert_eq!(TilePath::parse(&path.to_string()), Ok(path));
    }
}

/// A width and the bytes of a bundle.
pub fn entry_bundle(bytes: &[u8]) {
    let Some((width, bytes)) = bytes.split_first() else { return };
    let width = u16::from(*width) + 1;
    if let Ok(entries) = decode(bytes, width) {
        assert_eq!(entries.len(), usize::from(width));
        assert_eq!(encode(entries).as_deref(), Ok(bytes));
        assert!(decode(bytes, width - 1).is_err(), "fewer entries are another bundle");
    }
}
