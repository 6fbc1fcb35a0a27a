//! Power cuts: the data folder lies in a file system of its own, whose disk is a file; the file as it is at one moment is the disk after
//! the cut.
//!
//! `kill -9` takes the process and leaves the kernel, so whatever the node has written is still written, synced or not. Here the copy
//! of the file has what the file system has sent to its disk, and nothing of what only waited in memory. An `fsync` that returned has
//! sent everything, so what a node has synced is in the copy; what it merely wrote is not, until the kernel gets to it, seconds later.
//!
//! A copy is fair if the disk could have looked so at one moment. Where the file lies on a file system that clones files (XFS, Btrfs)
//! the copy is made in one step beside the running node: the cut may fall into the middle of a sync. Elsewhere the node is stopped
//! first, thread by thread, and a copy counts only if the disk was idle throughout: no write begun before it, none ended during it
//! (the device's own counters say so); else it is made again. There a sync that was under way is finished, and a cut falls between
//! two. In both cases whatever a client was told before the copy began was told by a node that had power.
//!
//! What no copy shows is a disk that lies about flushes: every write that reached the file is taken for durable.

use crate::encd::Encd;
use std::fmt::Write;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Bytes of a disk. The file is sparse: it takes what is used.
const DISK_LEN: u64 = 192 << 20;
/// How long to wait for a disk that is idle while it is copied.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mounted disk.
pub struct Image {
    scratch: TempDir,
}

/// What is needed and not there.
const NEEDED: &str = "a power cut needs root, loop devices, mount and mkfs.ext4 (package e2fsprogs)";

impl Image {
    /// A new disk with an empty file system, its file below `parent`.
    ///
    /// # Errors
    /// Where the machine does not let this process make or mount one.
    pub fn make(parent: &Path) -> io::Result<Image> {
        let scratch = TempDir::new_in(parent)?;
        File::create_new(disk(&scratch))?.set_len(DISK_LEN)?;
        // Nothing is left for the kernel to initialise later: it would write while nobody does.
        let options = "-qF -m0 -E lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        run(Command::new("mkfs.ext4").args(options.split(' ')).arg(disk(&scratch)))?;
        Image::mount(scratch)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        mounted(&self.scratch)
    }

    /// Cuts the power of a node that works on this disk: the disk as it was at that moment, mounted again. `cut` is called
    /// where the node runs on beside the copy: what a client has heard until then was told before the cut, the rest perhaps not.
    ///
    /// # Errors
    /// What the machine says; [`io::ErrorKind::TimedOut`] where the disk does not come to rest.
    pub fn cut_power(self, node: &mut Encd, parent: &Path, cut: impl FnOnce()) -> io::Result<Image> {
        let scratch = TempDir::new_in(parent)?;
        let (from, to) = (disk(&self.scratch), disk(&scratch));
        if clones_files(parent)? {
            cut();
            copy("--reflink=always", &from, &to)?;
        } else {
            node.freeze()?;
            self.copy_at_rest(&to)?;
        }
        node.kill();
        // The old disk would only sync what is thrown away.
        drop(self);
        Image::mount(scratch)
    }

    fn copy_at_rest(&self, to: &Path) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let before = self.writes()?;
            copy("--sparse=always", &disk(&self.scratch), to)?;
            if before.in_flight == 0 && self.writes()? == before {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the disk does not come to rest"));
            }
        }
    }

    /// What the kernel counts of the mounted device.
    fn writes(&self) -> io::Result<Writes> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let path = self.path();
        let device = mounts.lines().find_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            (words.get(4).map(Path::new) == Some(&path)).then(|| words[2].to_owned())
        });
        let device = device.ok_or_else(|| io::Error::other("the disk is mounted and not listed"))?;
        let text = std::fs::read_to_string(format!("/sys/dev/block/{device}/stat"))?;
        let row: Vec<u64> = text.split_whitespace().map_while(|number| number.parse().ok()).collect();
        // Documentation/block/stat.rst: reads take 0 to 3, then come the writes done, and in the ninth column all that is under way.
        match row[..] {
            [_, _, _, _, done, _, sectors, _, in_flight, ..] => Ok(Writes { done, sectors, in_flight }),
            _ => Err(io::Error::other("the device's counters cannot be read")),
        }
    }

    fn mount(scratch: TempDir) -> io::Result<Image> {
        std::fs::create_dir(mounted(&scratch))?;
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(disk(&scratch)).arg(mounted(&scratch)))?;
        Ok(Image { scratch })
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg(self.path())) {
            eprintln!("{} stays mounted: {error}", self.path().display());
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Writes {
    done: u64,
    sectors: u64,
    in_flight: u64,
}

/// Waits until everything written to the file system of a folder is on its disk.
///
/// # Errors
/// What the disk says.
pub fn settle(folder: &Path) -> io::Result<()> {
    rustix::fs::syncfs(File::open(folder)?).map_err(io::Error::from)
}

fn disk(scratch: &TempDir) -> PathBuf {
    scratch.path().join("disk")
}

fn mounted(scratch: &TempDir) -> PathBuf {
    scratch.path().join("mounted")
}

/// Whether files below a folder can be cloned.
fn clones_files(folder: &Path) -> io::Result<bool> {
    let scratch = TempDir::new_in(folder)?;
    let (from, to) = (scratch.path().join("a"), scratch.path().join("b"));
    std::fs::write(&from, [7; 4096])?;
    Ok(copy("--reflink=always", &from, &to).is_ok())
}

fn copy(how: &str, from: &Path, to: &Path) -> io::Result<()> {
    run(Command::new("cp").arg(how).arg(from).arg(to))
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let mut text = format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    write!(text, " ({NEEDED})").expect("a text takes whatever is written to it");
    Err(io::Error::other(text))
}
