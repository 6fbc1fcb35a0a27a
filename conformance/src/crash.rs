//! Crash rounds: a node is ended at a random moment while many connections write to it, and everything that a client was told before
//! is looked for in what is left.
//!
//! A *round* begins load on a node ([`load`]), ends the node by `kill -9` or by a power cut ([`image`]), starts it again on what
//! survived and judges that ([`survivor`]). Up to three rounds follow each other on one data folder, so that a node also crashes on
//! what another crash has left. What the client saw is in its own file ([`journal`]), which no crash touches.

pub mod failure;
pub mod field;
pub mod image;
pub mod journal;
pub mod load;
pub mod place;
pub mod rounds;
pub mod survivor;
