//! Where a node's data lies, and how the node is ended there.

use crate::crash::image::{self, Image};
use crate::crash::journal::Journal;
use crate::encd::Encd;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// How a node is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `kill -9`: the process is gone, the kernel goes on.
    Kill,
    /// The power is cut: what was not synced is gone.
    Power,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Kill => "kill",
            Kind::Power => "power",
        })
    }
}

/// A data folder that outlives its node.
pub enum Place {
    /// An ordinary folder.
    Folder(TempDir),
    /// A disk of its own.
    Disk(Image),
}

impl Place {
    /// An empty one for nodes that are ended so, below `parent`.
    ///
    /// # Errors
    /// What the machine says.
    pub fn make(kind: Kind, parent: &Path) -> io::Result<Place> {
        match kind {
            Kind::Kill => TempDir::new_in(parent).map(Place::Folder),
            Kind::Power => Image::make(parent).map(Place::Disk),
        }
    }

    /// The node's data folder.
    pub fn data(&self) -> PathBuf {
        match self {
            Place::Folder(folder) => folder.path().join("node"),
            Place::Disk(image) => image.path().join("node"),
        }
    }

    /// Has everything on its disk, as after a while of rest.
    ///
    /// # Errors
    /// What the disk says.
    pub fn settle(&self) -> io::Result<()> {
        image::settle(&self.data())
    }

    /// Ends the node that works here, at once; what survives, and how long the journal was then, where the client went on hearing it.
    ///
    /// # Errors
    /// What the machine says.
    pub fn end(self, node: &mut Encd, parent: &Path, journal: &Journal) -> io::Result<(Place, Option<u64>)> {
        match self {
            Place::Folder(folder) => {
                node.kill();
                Ok((Place::Folder(folder), None))
            }
            Place::Disk(image) => {
                let mut told = None;
                let image = image.cut_power(node, parent, || told = Some(journal.sync()))?;
                Ok((Place::Disk(image), told.transpose()?))
            }
        }
    }
}
