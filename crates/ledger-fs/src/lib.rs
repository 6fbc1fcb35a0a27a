//! The WORM ledger on a POSIX file system (ledger.md 2).
//!
//! - [`folder`]: the files: write-once by `link(2)`, never overwritten, synced with their folders;
//! - [`sqlite_index`]: what is looked up, derived from the log, thrown away and made again where it does not fit;
//! - [`key_file`]: the key, and beside it the head that was signed last;
//! - [`sequencer`]: one thread that writes for many: whatever waits is one write.

#![forbid(unsafe_code)]

pub mod folder;
pub mod key_file;
pub mod sequencer;
pub mod sqlite_index;
