//! What lies in a ledger's folder, by path (ledger.md 2).

use alloc::string::String;
use core::fmt;

use tlog::note::KeyId;
use tlog::tile::{self, TileKind, TilePath};

use crate::value::{Digest, parse_number};

/// The files of a ledger that the core reads and writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectPath {
    /// How to read the folder; the payload of entry 0.
    Readme,
    /// The newest signed note.
    Checkpoint,
    /// The note of one size, as the log itself signed it.
    CheckpointAt(u64),
    /// A verifier key.
    Key(KeyId),
    /// A hash tile or an entry bundle.
    Tile(TilePath),
    /// The small payloads of an entry bundle, by its number.
    Pack(u64),
    /// One large payload.
    Blob(Digest),
    /// What was acknowledged and is in no checkpoint yet, from this index on.
    Journal(u64),
    /// A large payload that is whole but may belong to no entry, with a number that keeps two of the same bytes apart.
    Staged(Digest, u64),
}

impl ObjectPath {
    /// Whether the file may never be another once it is there (a pack: once its bundle is full; a blob: until its disposal).
    pub fn is_write_once(&self) -> bool {
        match self {
            ObjectPath::Readme
            | ObjectPath::CheckpointAt(_)
            | ObjectPath::Key(_)
            | ObjectPath::Pack(_)
            | ObjectPath::Blob(_) => true,
            ObjectPath::Tile(tile) => tile.width() == tile::FULL_WIDTH,
            ObjectPath::Checkpoint | ObjectPath::Journal(_) | ObjectPath::Staged(..) => false,
        }
    }

    /// Reads a path below the ledger's folder; `None` for anything but the one text of one.
    pub fn parse(text: &str) -> Option<ObjectPath> {
        let path = match text.split_once('/') {
            None if text == "README.txt" => ObjectPath::Readme,
            None if text == "checkpoint" => ObjectPath::Checkpoint,
            Some(("checkpoints", size)) => ObjectPath::CheckpointAt(tile::parse_index(size).ok()?),
            Some(("keys", name)) => ObjectPath::Key(parse_key_id(name.strip_suffix(".vkey")?)?),
            Some(("tile", _)) => ObjectPath::Tile(TilePath::parse(text).ok()?),
            Some(("payload", number)) => ObjectPath::Pack(tile::parse_index(number).ok()?),
            Some(("blob", name)) => ObjectPath::Blob(Digest::parse(name.split_once('/')?.1)?),
            Some(("journal", first)) => ObjectPath::Journal(parse_number(first.trim_start_matches('0')).unwrap_or(0)),
            Some(("tmp", name)) => {
                let (digest, number) = name.split_once('.')?;
                ObjectPath::Staged(Digest::parse(digest)?, parse_number(number)?)
            }
            _ => return None,
        };
        // The text is right if it is the one text of the path it seems to be.
        (alloc::format!("{path}") == text).then_some(path)
    }
}

fn parse_key_id(text: &str) -> Option<KeyId> {
    u32::from_str_radix(text, 16).ok().map(|id| KeyId(id.to_be_bytes()))
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectPath::Readme => f.write_str("README.txt"),
            ObjectPath::Checkpoint => f.write_str("checkpoint"),
            ObjectPath::CheckpointAt(size) => write!(f, "checkpoints/{}", tile::format_index(*size)),
            ObjectPath::Key(id) => write!(f, "keys/{id}.vkey"),
            ObjectPath::Tile(tile) => tile.fmt(f),
            ObjectPath::Pack(number) => write!(f, "payload/{}", tile::format_index(*number)),
            ObjectPath::Blob(digest) => {
                let name: String = alloc::format!("{digest}");
                write!(f, "blob/{}/{name}", &name[..2])
            }
            ObjectPath::Journal(first) => write!(f, "journal/{first:020}"),
            ObjectPath::Staged(digest, number) => write!(f, "tmp/{digest}.{number}"),
        }
    }
}

/// The tile or bundle that holds this slot in a log of `size`, if the log fills it.
pub(crate) fn tile_of(kind: TileKind, slot: u64, size: u64) -> Option<TilePath> {
    TilePath::in_log(kind, slot / u64::from(tile::FULL_WIDTH), size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_path_has_one_text() {
        let digest = Digest::of(b"");
        for (path, text) in [
            (ObjectPath::Readme, "README.txt"),
            (ObjectPath::Checkpoint, "checkpoint"),
            (ObjectPath::CheckpointAt(1234), "checkpoints/x001/234"),
            (ObjectPath::Key(KeyId([0, 1, 2, 0xab])), "keys/000102ab.vkey"),
            (ObjectPath::Pack(5), "payload/005"),
            (ObjectPath::Blob(digest), "blob/e3/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (ObjectPath::Journal(0), "journal/00000000000000000000"),
            (ObjectPath::Journal(600), "journal/00000000000000000600"),
            (ObjectPath::Staged(digest, 7), "tmp/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.7"),
        ] {
            assert_eq!((path.to_string().as_str(), ObjectPath::parse(text)), (text, Some(path)));
        }
        let tile = "tile/entries/x001/234.p/5";
        assert_eq!(ObjectPath::parse(tile).expect("a path").to_string(), tile);
        for bad in [
            "",
            "readme.txt",
            "checkpoint/",
            "checkpoints/x001/x234",
            "checkpoints/1234",
            "keys/000102AB.vkey",
            "keys/102ab.vkey",
            "payload/005.p/4",
            "blob/00/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "journal/600",
            "journal/0000000000000000060x",
            "tmp/x",
            "audit/checkpoint",
            "../checkpoint",
        ] {
            assert_eq!(ObjectPath::parse(bad), None, "{bad}");
        }
    }
}
