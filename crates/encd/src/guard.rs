//! What is refused while the disk runs full (`docs/services.md`, Guards): new enclaves first, then commits. Reads and proofs go on, and
//! whoever is refused is told to come again.

use anyhow::bail;
use protocol::{Code, Rejection};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

/// Milliseconds for which a look at the file system is good.
const FRESH_MS: u64 = 1000;

/// Free space below which things are refused: `overloaded`. Each pair refuses below the larger of its two; of a large file system only
/// the first `percent_of_gib` count, since 5 % of many terabytes is room for years.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskConfig {
    /// MiB that must be free for a new enclave.
    pub create_free_mib: u64,
    /// Percent of the file system that must be free for a new enclave.
    pub create_free_percent: u64,
    /// MiB that must be free for a commit.
    pub commit_free_mib: u64,
    /// Percent of the file system that must be free for a commit.
    pub commit_free_percent: u64,
    /// GiB of the file system, at most, of which the percentages are taken.
    pub percent_of_gib: u64,
}

impl Default for DiskConfig {
    fn default() -> DiskConfig {
        DiskConfig {
            create_free_mib: 1024,
            create_free_percent: 5,
            commit_free_mib: 512,
            commit_free_percent: 2,
            percent_of_gib: 80,
        }
    }
}

impl DiskConfig {
    /// Whether the values make sense.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.create_free_percent > 99 || self.commit_free_percent > 99 {
            bail!("disk.create_free_percent and disk.commit_free_percent must be below 100");
        }
        if self.commit_free_mib > self.create_free_mib || self.commit_free_percent > self.create_free_percent {
            bail!("disk.commit_free_… must not be above disk.create_free_…: new enclaves are refused first");
        }
        Ok(())
    }

    /// Bytes that must be free on a file system of `total` bytes for a new enclave.
    pub fn create_needs(&self, total: u64) -> u64 {
        self.needs(self.create_free_mib, self.create_free_percent, total)
    }

    /// Bytes that must be free on a file system of `total` bytes for a commit.
    pub fn commit_needs(&self, total: u64) -> u64 {
        self.needs(self.commit_free_mib, self.commit_free_percent, total)
    }

    fn needs(&self, mib: u64, percent: u64, total: u64) -> u64 {
        let counted = u128::from(total.min(self.percent_of_gib.saturating_mul(1 << 30)));
        let share = u64::try_from((counted * u128::from(percent)).div_ceil(100)).unwrap_or(u64::MAX);
        mib.saturating_mul(1 << 20).max(share)
    }

    /// What there is room for on a file system of `total` bytes with `free` bytes left.
    fn room(&self, free: u64, total: u64) -> Room {
        if free < self.commit_needs(total) {
            Room::None
        } else if free < self.create_needs(total) {
            Room::Commits
        } else {
            Room::All
        }
    }
}

/// What there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Room {
    /// Everything.
    All = 0,
    /// Commits to enclaves that exist.
    Commits = 1,
    /// Nothing that writes.
    None = 2,
}

/// Watches the free space of the data folder. It looks when it is asked, once a second at most, so an idle node does nothing.
#[derive(Debug)]
pub struct DiskGuard {
    folder: PathBuf,
    config: DiskConfig,
    started: Instant,
    /// When the next look is due, in milliseconds since the start.
    due: AtomicU64,
    room: AtomicU8,
    free: AtomicU64,
    total: AtomicU64,
}

impl DiskGuard {
    /// A guard over the file system that holds this folder.
    pub fn watch(folder: &Path, config: &DiskConfig) -> DiskGuard {
        let guard = DiskGuard {
            folder: folder.to_owned(),
            config: config.clone(),
            started: Instant::now(),
            due: AtomicU64::new(FRESH_MS),
            room: AtomicU8::new(Room::All as u8),
            free: AtomicU64::new(0),
            total: AtomicU64::new(0),
        };
        guard.look();
        guard
    }

    /// Whether a commit may be taken, or, as `creating`, a new enclave.
    pub fn admits(&self, creating: bool) -> Result<(), Rejection> {
        self.refresh();
        let room = self.room.load(Ordering::Relaxed);
        let enough = if creating { room == Room::All as u8 } else { room < Room::None as u8 };
        if enough { Ok(()) } else { Err(Code::Overloaded.into()) }
    }

    /// Free bytes, as last seen.
    pub fn free_bytes(&self) -> u64 {
        self.refresh();
        self.free.load(Ordering::Relaxed)
    }

    /// Free bytes below which no new enclave is taken.
    pub fn wanted_bytes(&self) -> u64 {
        self.config.create_needs(self.total.load(Ordering::Relaxed))
    }

    fn refresh(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = self.due.load(Ordering::Relaxed);
        // Whoever moves the date on does the looking; the others go on with what was seen last.
        if now >= due && self.due.compare_exchange(due, now + FRESH_MS, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.look();
        }
    }

    fn look(&self) {
        match rustix::fs::statvfs(&self.folder) {
            Ok(seen) => {
                let unit = seen.f_frsize;
                self.note(seen.f_bavail.saturating_mul(unit), seen.f_blocks.saturating_mul(unit));
            }
            Err(error) => tracing::error!(%error, "the free space of the data folder cannot be read"),
        }
    }

    fn note(&self, free: u64, total: u64) {
        let room = self.config.room(free, total);
        self.free.store(free, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        let before = self.room.swap(room as u8, Ordering::Relaxed);
        if before == room as u8 {
            return;
        }
        let free_mib = free >> 20;
        match room {
            Room::All => tracing::info!(free_mib, "the disk has room again; everything is taken"),
            Room::Commits => tracing::warn!(free_mib, "the disk runs full: no new enclaves are taken"),
            Room::None => tracing::error!(free_mib, "the disk is nearly full: no commits are taken"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn thresholds() {
        let default = DiskConfig::default();
        let all = DiskConfig { percent_of_gib: u64::MAX, ..default.clone() };
        let only_mib = DiskConfig { create_free_percent: 0, commit_free_percent: 0, ..default.clone() };
        let none = DiskConfig { create_free_mib: 0, commit_free_mib: 0, ..only_mib.clone() };
        for (config, free, total, expected) in [
            (&default, GIB, 20 * GIB, Room::All),
            (&default, GIB - 1, 20 * GIB, Room::Commits),
            (&default, GIB, 20 * GIB + 20, Room::Commits),
            (&default, 512 * MIB, 20 * GIB, Room::Commits),
            (&default, 512 * MIB - 1, 20 * GIB, Room::None),
            (&default, 3 * GIB, 60 * GIB, Room::All),
            (&default, 3 * GIB - 1, 60 * GIB, Room::Commits),
            (&default, 4 * GIB, 80 * GIB, Room::All),
            (&default, 4 * GIB, 8000 * GIB, Room::All),
            (&default, 4 * GIB - 1, 8000 * GIB, Room::Commits),
            (&default, 1639 * MIB, 8000 * GIB, Room::Commits),
            (&default, 1638 * MIB, 8000 * GIB, Room::None),
            (&all, 5 * GIB, 100 * GIB, Room::All),
            (&all, 5 * GIB - 1, 100 * GIB, Room::Commits),
            (&all, 2 * GIB, 100 * GIB, Room::Commits),
            (&all, 2 * GIB - 1, 100 * GIB, Room::None),
            (&default, 0, 100 * GIB, Room::None),
            (&default, 0, 0, Room::None),
            (&default, u64::MAX, u64::MAX, Room::All),
            (&only_mib, GIB, 1000 * GIB, Room::All),
            (&only_mib, GIB - 1, 1000 * GIB, Room::Commits),
            (&none, 0, 1000 * GIB, Room::All),
        ] {
            assert_eq!(config.room(free, total), expected, "{free} of {total} with {config:?}");
        }
    }

    #[test]
    fn new_enclaves_go_first() {
        let guard = DiskGuard::watch(Path::new("/"), &DiskConfig::default());
        for (free, creating, committing) in [
            (10 * GIB, true, true),
            (GIB - 1, false, true),
            (0, false, false),
            (GIB - 1, false, true),
            (GIB, true, true),
        ] {
            guard.note(free, 10 * GIB);
            guard.due.store(u64::MAX, Ordering::Relaxed);
            assert_eq!(guard.admits(true), if creating { Ok(()) } else { Err(Code::Overloaded.into()) }, "{free}");
            assert_eq!(guard.admits(false), if committing { Ok(()) } else { Err(Code::Overloaded.into()) }, "{free}");
            assert_eq!(guard.free_bytes(), free);
        }
    }

    #[test]
    fn looks_again_when_due_and_not_before() {
        let guard = DiskGuard::watch(Path::new("/"), &DiskConfig::default());
        assert_ne!(guard.free_bytes(), 1, "the real file system was seen");
        guard.note(1, 1);
        guard.due.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(guard.free_bytes(), 1);
        guard.due.store(0, Ordering::Relaxed);
        assert_ne!(guard.free_bytes(), 1);
    }

    #[test]
    fn a_folder_that_is_gone_refuses_nothing_by_itself() {
        let guard = DiskGuard::watch(Path::new("/nonexistent"), &DiskConfig::default());
        assert_eq!(guard.admits(true), Ok(()));
    }

    #[test]
    fn contradictions_are_refused() {
        let default = DiskConfig::default;
        assert!(default().check().is_ok());
        for config in [
            DiskConfig { create_free_percent: 100, ..default() },
            DiskConfig { commit_free_mib: 1025, ..default() },
            DiskConfig { commit_free_percent: 6, ..default() },
        ] {
            assert!(config.check().is_err(), "{config:?}");
        }
    }
}
