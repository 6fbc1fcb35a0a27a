//! The services of a node, written once for every host (`docs/services.md`).
//!
//! A request goes through three functions: [`resolve::resolve`] reads it (no state, any thread), the host lets its admission hooks
//! judge the [`Call`], and [`node::run`] answers it against the enclave's rows through a [`Runtime`]. [`node::alarm`] does what is due
//! by itself, [`live`] feeds subscriptions. A host without threads calls [`handle`], which is the three in a row.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod call;
pub mod runtime;

pub use call::{Action, Call, Outcome, Response};
pub use runtime::{Fault, Runtime};
