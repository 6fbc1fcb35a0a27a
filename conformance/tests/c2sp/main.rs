//! The node's logs as C2SP tools see them: `conformance/go` is made of the Go project's own code and of other people's.

mod heads;
mod ledger;
mod tiles;
mod witnesses;
mod world;
