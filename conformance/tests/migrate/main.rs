//! An enclave that moves from one node to another by `enc migrate`, while people write, read and wait, and while processes are killed.

mod crashes;
mod gate;
mod liars;
mod scene;
mod whole;
