//! The paths under which a log serves its hashes and entries (C2SP tlog-tiles).
//!
//! A tile is 256 hashes of one level, or the 256 entries below a tile of level 0. Only the last tile of a level may be
//! partial; its path then says how wide it is.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::decimal;

/// Hashes in a full tile, entries in a full bundle.
pub const FULL_WIDTH: u16 = 256;

/// The highest tile level a path can name.
pub const MAX_LEVEL: u8 = 63;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of this tile level: slot `i` of tile `n` of level `l` covers 256^l leaves, from `(256 n + i) · 256^l` on.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

impl TileKind {
    /// How many slots of this kind a log of `size` entries fills.
    pub fn slots(self, size: u64) -> u64 {
        match self {
            TileKind::Hashes(level) => size.checked_shr(8 * u32::from(level)).unwrap_or(0),
            TileKind::Entries => size,
        }
    }
}

/// The path of one tile: `tile/<L>/<N>` or `tile/entries/<N>`, partial with `.p/<W>` behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    kind: TileKind,
    index: u64,
    width: u16,
}

impl TilePath {
    /// The tile `index` as a log of `size` entries has it: full, partial, or `None` if none of it is filled.
    pub fn in_log(kind: TileKind, index: u64, size: u64) -> Option<TilePath> {
        let start = index.checked_mul(u64::from(FULL_WIDTH))?;
        let filled = kind.slots(size).checked_sub(start)?;
        let width = u16::try_from(filled).map_or(FULL_WIDTH, |width| width.min(FULL_WIDTH));
        // Above level 7 there are no slots in any log, so the level of a path stays within its range.
        (width > 0).then_some(TilePath { kind, index, width })
    }

    /// Hashes of a level, or entries.
    pub fn kind(&self) -> TileKind {
        self.kind
    }

    /// Which tile of its level, 0-based.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes or entries it holds: 1..=255 if partial, 256 if full.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Whether a log of `size` entries fills the tile to this width, so that it may be served.
    pub fn is_filled_by(&self, size: u64) -> bool {
        TilePath::in_log(self.kind, self.index, size).is_some_and(|tile| tile.width >= self.width)
    }

    /// Reads a path, without a slash before it.
    ///
    /// # Errors
    /// [`PathError`] for any text that [`TilePath`] does not write.
    pub fn parse(text: &str) -> Result<TilePath, PathError> {
        let (kind, place) = text.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or(PathError::Form)?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(parse_level(level)?),
        };
        let (index, width) = match place.split_once(".p/") {
            Some((index, width)) => (index, parse_width(width)?),
            None => (place, FULL_WIDTH),
        };
        Ok(TilePath { kind, index: parse_index(index)?, width })
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        f.write_str(&format_index(self.index))?;
        if self.width == FULL_WIDTH { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// Why a text is not the path of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It does not begin with `tile/` and a level, or has no index.
    Form,
    /// The level is not `entries` nor a number from 0 to 63.
    Level,
    /// The index is not groups of three digits, all but the last after an `x`, in their shortest form, below 2^64.
    Index,
    /// The width is not a number from 1 to 255.
    Width,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathError::Form => "not the path of a tile",
            PathError::Level => "tile level is not entries or 0 to 63",
            PathError::Index => "tile index is not in groups of three digits",
            PathError::Width => "tile width is not 1 to 255",
        })
    }
}

impl core::error::Error for PathError {}

fn parse_level(text: &str) -> Result<u8, PathError> {
    let level = decimal::parse(text).and_then(|level| u8::try_from(level).ok());
    level.filter(|&level| level <= MAX_LEVEL).ok_or(PathError::Level)
}

fn parse_width(text: &str) -> Result<u16, PathError> {
    let width = decimal::parse(text).and_then(|width| u16::try_from(width).ok());
    width.filter(|width| (1..FULL_WIDTH).contains(width)).ok_or(PathError::Width)
}

/// The number that [`format_index`] has written.
///
/// # Errors
/// [`PathError::Index`] for any other text.
pub fn parse_index(text: &str) -> Result<u64, PathError> {
    let digits = text.replace("/x", "").replace('/', "");
    let number = digits.trim_start_matches('x').trim_start_matches('0');
    let index = decimal::parse(if number.is_empty() { "0" } else { number }).ok_or(PathError::Index)?;
    // The text is right if it is the one text of the number it seems to be.
    if format_index(index) == text { Ok(index) } else { Err(PathError::Index) }
}

/// A number as the end of a path: groups of three digits, all but the last after an `x` (`x001/x234/067`).
pub fn format_index(index: u64) -> String {
    let digits = index.to_string();
    let padded = alloc::format!("{:0>width$}", digits, width = digits.len().next_multiple_of(3));
    let last = padded.len() - 3;
    let groups: Vec<String> = (0..padded.len())
        .step_by(3)
        .map(|at| alloc::format!("{}{}", if at < last { "x" } else { "" }, &padded[at..at + 3]))
        .collect();
    groups.join("/")
}
