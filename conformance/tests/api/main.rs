//! The node's API from outside: every route, every spelling, every step of the pipeline, every error code, over real HTTP against a real
//! process. Every refusal is followed by a look at every row that the node holds.

mod answers;
mod archives;
mod asking;
mod codes;
mod envelope;
mod limits;
mod lines;
mod migrating;
mod provisioning;
mod push;
mod routes;
mod sockets;
mod steps;
mod world;
