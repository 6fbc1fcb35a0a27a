//! The rules of an enclave (`docs/protocol.md`, The commit pipeline, Roles, State and log).
//!
//! A verified commit, the time and a read-only [`View`] of the state go in; a [`Transition`] or a
//! [`Rejection`](protocol::Rejection) comes out. Nothing is changed here: who calls applies the whole transition or nothing,
//! so a refusal leaves everything as it was. Steps 2 and 5–11 of the pipeline are in [`pipeline`] and [`bundle`], who may
//! read and be told in [`reading`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bundle;
pub mod genesis;
pub mod head;
pub mod pipeline;
pub mod reading;
pub mod rights;
pub mod transition;
pub mod view;

mod customs;
mod draft;
mod gates;
mod grants;
mod lifecycle;
mod migrate;
mod moves;
mod operation;
mod overlay;
mod refusal;
mod slots;
mod transfers;

pub use bundle::{Closing, close};
pub use genesis::{Genesis, NodeKeys, Provisioned, genesis};
pub use head::{Head, OpenBundle};
pub use pipeline::{Enclave, clock, expiry, recovered, sequence};
pub use reading::{Bearing, Reach, Readable, ReadableTypes, Reader, Retained, may_push, may_push_anything};
pub use rights::{Rank, is_owner};
pub use transition::{ReferKind, Refers, RetentionChange, Transition, Write, WriteValue};
pub use view::{Referred, Slot, View};
