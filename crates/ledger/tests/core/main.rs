//! The ledger's core on a store in memory: appending, recovery after every crash, rules.

mod appending;
mod crashing;
mod entries;
mod proving;
mod rules;
mod vectors;
mod verifying;
mod world;
