//! A simulated world: nodes on disks that lose and reorder what was not synced, clocks that jump, clients, endpoints and crashes, all
//! from one seed. See `README.md`; the mistakes it must see are in `DEFECTS.md`.

pub mod broken;
mod checks;
pub mod disk;
pub mod draw;
pub mod interleaved;
pub mod machine;
pub mod people;
pub mod post;
pub mod reading;
pub mod room;
pub mod run;
pub mod script;
pub mod trace;
pub mod vfs;
pub mod world;

/// The naive account of a log and its state that the tests of the services have.
#[path = "../../crates/service/tests/oracle.rs"]
#[allow(missing_docs, dead_code)]
mod oracle;
