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

pub mod archive;
pub mod cache;
pub mod call;
pub mod check;
pub mod checkpoint;
pub mod closings;
pub mod context;
pub mod defects;
pub mod endpoint;
pub mod filter;
pub mod info;
pub mod live;
pub mod node;
pub mod openapi;
pub mod path;
pub mod proofs;
pub mod push;
pub mod query;
pub mod question;
pub mod record;
pub mod recover;
mod replay;
pub mod resolve;
pub mod rows;
pub mod runtime;
pub mod schema;
pub mod sequence;
pub mod structure;
pub mod tail;
pub mod tree;
pub mod view;
pub mod warm;

pub use call::{Action, Call, Outcome, Response};
pub use runtime::{Fault, Runtime};

use alloc::vec::Vec;
use call::Outcome as Answer;
use resolve::{Resolved, Resolver};

/// A whole request on a host without threads: read, answered, responded to. Admission hooks are such a host's own affair; what it
/// passes on is answered. Streams, sockets and envelopes are opened by the host, which then calls [`node::run`] itself.
///
/// # Errors
/// The host rolls back whatever was written. It sends the response if there was one (a restore that was refused on its way), else
/// `internal`.
pub fn handle(rt: &dyn Runtime, cache: &mut cache::Cache, facts: &runtime::NodeFacts) -> Result<(), Fault> {
    let resolver = Resolver { limits: &facts.limits, is_node_key: &|key| *key == facts.sequencer };
    let response = match resolve::resolve(&resolver, &rt.get_path(), false, &rt.get_body()) {
        Err(refusal) => refusal.response(),
        Ok(Resolved::Call(call)) => match node::run(rt, cache, facts, &call, false)? {
            Answer::Done(response) => response.nameless(),
            Answer::Undone(response) => {
                rt.respond(response);
                return Err(Fault::Storage);
            }
            Answer::Parked { .. } => Response::error(&protocol::Code::Overloaded.into()),
        },
        Ok(Resolved::Provision(_) | Resolved::Envelope(_) | Resolved::Lines | Resolved::Upgrade(_)) => {
            Response::error(&protocol::Code::InvalidRoute.into())
        }
        Ok(Resolved::Preflight) => {
            Response { status: 204, headers: Vec::new(), content_type: call::JSON, body: Vec::new() }
        }
    };
    rt.respond(response);
    Ok(())
}
