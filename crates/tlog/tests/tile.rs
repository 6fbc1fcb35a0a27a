//! Tile paths and entry bundles: the rows of the specification, and that nothing else is read.

use proptest::prelude::*;
use tlog::entry_bundle::{EntryBundleError, MAX_ENTRY_LEN, decode, encode};
use tlog::tile::{PathError, TileKind, TilePath};

const HASHES_0: TileKind = TileKind::Hashes(0);

#[test]
fn paths() {
    let check = |kind, index, width, expected: &str| {
        let tile = TilePath::parse(expected).expect(expected);
        assert_eq!((tile.kind(), tile.index(), tile.width()), (kind, index, width), "{expected}");
        assert_eq!(tile.to_string(), expected);
    };
    check(HASHES_0, 0, 256, "tile/0/000");
    check(HASHES_0, 5, 1, "tile/0/005.p/1");
    check(TileKind::Hashes(63), 999, 255, "tile/63/999.p/255");
    check(TileKind::Hashes(1), 1000, 256, "tile/1/x001/000");
    check(TileKind::Entries, 1_234_067, 8, "tile/entries/x001/x234/067.p/8");
    check(TileKind::Entries, 1_000_000, 256, "tile/entries/x001/x000/000");
    check(HASHES_0, u64::MAX, 256, "tile/0/x018/x446/x744/x073/x709/x551/615");
}

#[test]
fn other_texts_are_no_paths() {
    for (text, error) in [
        ("", PathError::Form),
        ("/tile/0/000", PathError::Form),
        ("tile/0", PathError::Form),
        ("tiles/0/000", PathError::Form),
        ("checkpoint", PathError::Form),
        ("tile/00/000", PathError::Level),
        ("tile/+1/000", PathError::Level),
        ("tile/64/000", PathError::Level),
        ("tile/256/000", PathError::Level),
        ("tile//000", PathError::Level),
        ("tile/data/000", PathError::Level),
        ("tile/Entries/000", PathError::Level),
        ("tile/0/", PathError::Index),
        ("tile/0/0", PathError::Index),
        ("tile/0/00", PathError::Index),
        ("tile/0/0000", PathError::Index),
        ("tile/0/x000", PathError::Index),
        ("tile/0/x000/001", PathError::Index),
        ("tile/0/x000/x001/000", PathError::Index),
        ("tile/0/001/000", PathError::Index),
        ("tile/0/x001/x000", PathError::Index),
        ("tile/0/xx001/000", PathError::Index),
        ("tile/0/x001//000", PathError::Index),
        ("tile/0/x001/x/000", PathError::Index),
        ("tile/0/X001/000", PathError::Index),
        ("tile/0/+01", PathError::Index),
        ("tile/0/000/", PathError::Index),
        ("tile/0/000 ", PathError::Index),
        ("tile/0/000.p", PathError::Index),
        ("tile/0/\u{661}\u{662}\u{663}", PathError::Index),
        ("tile/0/x018/x446/x744/x073/x709/x551/616", PathError::Index),
        ("tile/0/x999/x018/x446/x744/x073/x709/x551/615", PathError::Index),
        ("tile/0/000.p/", PathError::Width),
        ("tile/0/000.p/0", PathError::Width),
        ("tile/0/000.p/01", PathError::Width),
        ("tile/0/000.p/+1", PathError::Width),
        ("tile/0/000.p/256", PathError::Width),
        ("tile/0/000.p/65537", PathError::Width),
        ("tile/0/000.p/1/", PathError::Width),
        ("tile/0/000.p/1.p/1", PathError::Width),
    ] {
        assert_eq!(TilePath::parse(text), Err(error), "{text}");
    }
}

/// The examples of the specification: sizes 256 and 70,000.
#[test]
fn widths_for_a_size() {
    let check = |size, kind, index, expected: Option<&str>| {
        let path = TilePath::in_log(kind, index, size).map(|tile| tile.to_string());
        assert_eq!(path.as_deref(), expected, "tile {index} of {kind:?} at size {size}");
    };
    check(0, HASHES_0, 0, None);
    check(255, HASHES_0, 0, Some("tile/0/000.p/255"));
    check(256, HASHES_0, 0, Some("tile/0/000"));
    check(256, HASHES_0, 1, None);
    check(256, TileKind::Entries, 0, Some("tile/entries/000"));
    check(256, TileKind::Hashes(1), 0, Some("tile/1/000.p/1"));
    check(255, TileKind::Hashes(1), 0, None);
    check(70_000, HASHES_0, 272, Some("tile/0/272"));
    check(70_000, HASHES_0, 273, Some("tile/0/273.p/112"));
    check(70_000, TileKind::Entries, 273, Some("tile/entries/273.p/112"));
    check(70_000, HASHES_0, 274, None);
    check(70_000, TileKind::Hashes(1), 0, Some("tile/1/000"));
    check(70_000, TileKind::Hashes(1), 1, Some("tile/1/001.p/17"));
    check(70_000, TileKind::Hashes(2), 0, Some("tile/2/000.p/1"));
    check(70_000, TileKind::Hashes(3), 0, None);
    check(u64::MAX, TileKind::Hashes(7), 0, Some("tile/7/000.p/255"));
    check(u64::MAX, TileKind::Hashes(8), 0, None);
    check(u64::MAX, TileKind::Hashes(200), 0, None);
    check(u64::MAX, HASHES_0, u64::MAX, None);
}

#[test]
fn a_tile_is_served_when_the_log_fills_it() {
    for (path, size, expected) in [
        ("tile/0/000", 255, false),
        ("tile/0/000", 256, true),
        ("tile/0/000.p/7", 6, false),
        ("tile/0/000.p/7", 7, true),
        ("tile/0/000.p/7", 8, true),
        ("tile/0/000.p/7", 300, true),
        ("tile/1/000.p/1", 255, false),
        ("tile/1/000.p/1", 256, true),
        ("tile/entries/001.p/44", 299, false),
        ("tile/entries/001.p/44", 300, true),
        ("tile/63/000", u64::MAX, false),
    ] {
        let tile = TilePath::parse(path).expect(path);
        assert_eq!(tile.is_filled_by(size), expected, "{path} at size {size}");
    }
}

#[test]
fn entry_bundles() {
    let entries: [&[u8]; 3] = [b"one", b"", b"\x00\x02"];
    let bytes = encode(entries).expect("short entries");
    assert_eq!(bytes, b"\x00\x03one\x00\x00\x00\x02\x00\x02");
    assert_eq!(decode(&bytes, 3), Ok(entries.to_vec()));
    assert_eq!(decode(&bytes, 2), Err(EntryBundleError::Surplus));
    assert_eq!(decode(&bytes, 4), Err(EntryBundleError::Truncated));
    for end in 0..bytes.len() {
        assert_eq!(decode(&bytes[..end], 3), Err(EntryBundleError::Truncated));
    }
    assert_eq!(decode(&[], 0), Ok(vec![]));
    let longest = vec![7; MAX_ENTRY_LEN];
    let bytes = encode([&longest]).expect("just short enough");
    assert_eq!((decode(&bytes, 1), &bytes[..2]), (Ok(vec![&longest[..]]), &[0xff, 0xff][..]));
    assert_eq!(encode([vec![7; MAX_ENTRY_LEN + 1]]), Err(EntryBundleError::EntryTooLong));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_path_is_read_as_it_was_written(level in 0u8..8, index: u64, size: u64) {
        for kind in [TileKind::Hashes(level), TileKind::Entries] {
            for index in [index, index % (kind.slots(size) / 256 + 1)] {
                if let Some(tile) = TilePath::in_log(kind, index, size) {
                    prop_assert_eq!(TilePath::parse(&tile.to_string()), Ok(tile));
                    prop_assert!(tile.is_filled_by(size));
                }
            }
        }
    }

    #[test]
    fn no_text_is_read_as_another_path(text in "tile/(0|7|63|entries)/(x?[0-9]{2,4}/){0,3}[0-9]{3}(\\.p/[0-9]{1,3})?") {
        if let Ok(tile) = TilePath::parse(&text) {
            prop_assert_eq!(tile.to_string(), text);
        }
    }

    /// The other implementation writes the height of a tile, 8, into its paths, and its entries are "data".
    #[test]
    fn another_implementation_agrees(level in 0u8..64, index: u64, width in 1u16..=256) {
        let theirs = tlog_tiles::Tile::new(8, level, index, u32::from(width), false).path();
        let ours = theirs.replacen("tile/8/", "tile/", 1);
        let tile = TilePath::parse(&ours).expect("their paths are paths");
        prop_assert_eq!((tile.kind(), tile.index(), tile.width()), (TileKind::Hashes(level), index, width));
        prop_assert_eq!(tile.to_string(), ours);
    }

    #[test]
    fn entries_come_back(entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..257)) {
        let bytes = encode(&entries).expect("short entries");
        let back = decode(&bytes, entries.len() as u16).expect("they were just encoded");
        prop_assert_eq!(back, entries);
    }
}
