//! Mistakes that a test build can switch on, so that the simulated world shows that it would see them (`sim/DEFECTS.md`). Without the
//! feature `defects` none can be: each place where one stands is compiled away.

use core::sync::atomic::{AtomicU8, Ordering};

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Transactions are told before they are on the disk.
    AckBeforeSync = 1,
    /// A job that was refused on its way stays as far as it came.
    SavepointKept = 2,
    /// What is remembered of an enclave outlives the batch that was undone.
    StalePrev = 3,
    /// A restored event has no rows in the index of tags.
    IndexNotRebuilt = 4,
    /// A delivery counts as arrived when it is sent.
    LostOutboxRow = 5,
}

impl Defect {
    /// All of them.
    pub const ALL: [Defect; 5] = [
        Defect::AckBeforeSync,
        Defect::SavepointKept,
        Defect::StalePrev,
        Defect::IndexNotRebuilt,
        Defect::LostOutboxRow,
    ];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Defect::AckBeforeSync => "ack-before-sync",
            Defect::SavepointKept => "savepoint-kept",
            Defect::StalePrev => "stale-prev",
            Defect::IndexNotRebuilt => "index-not-rebuilt",
            Defect::LostOutboxRow => "lost-outbox-row",
        }
    }
}

/// What [`Defect::IndexNotRebuilt`] does.
pub const UNINDEX: &str = "DELETE FROM event_tags WHERE enclave = ?1 AND seq = ?2";

/// Which one is on in this process; 0 for none.
static ON: AtomicU8 = AtomicU8::new(0);

/// Switches one on and all others off.
#[cfg(feature = "defects")]
pub fn switch(defect: Option<Defect>) {
    ON.store(defect.map_or(0, |defect| defect as u8), Ordering::Relaxed);
}

/// Whether this one is on.
pub fn is_on(defect: Defect) -> bool {
    cfg!(feature = "defects") && ON.load(Ordering::Relaxed) == defect as u8
}
