//! Logs made by hand: what is seen of them when something is wrong, and what can be shown to others.

mod evidence;
mod following;
mod log;
mod proofs;
