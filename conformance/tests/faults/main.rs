//! Each file call of the node fails once, the disk runs full, turns read-only, the clock jumps: nothing acknowledged is lost, nothing
//! refused is half done, and the node says what is wrong.
//!
//! Without `ENC_FAULTS=all` in the environment a stated share of the places is tried: of the calls of one kind the 1st, 2nd, 4th, 8th ….

mod clock;
mod disk;
mod provisioning;
mod running;
mod start;
mod table;
