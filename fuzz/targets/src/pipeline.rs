//! The pipeline beside the naive model: a random manifest and a script over it, made from the bytes; both must answer alike.

use crate::scripts::{Tally, run as run_script};

/// Bytes as numbers, two to each.
pub fn run(bytes: &[u8]) {
    let numbers: Vec<u16> =
        bytes.chunks(2).map(|pair| pair.iter().fold(0, |number, byte| number << 8 | u16::from(*byte))).collect();
    run_script(&numbers, &mut Tally::new());
}
