//! Evidence files: read, written back, and what is proved names the file's own subject.

use crate::{round_trip, value};
use protocol::evidence::{self, Evidence};

/// Bytes as an evidence file.
pub fn run(bytes: &[u8]) {
    let Some(json) = value(bytes) else { return };
    let verdict = evidence::verify(json.clone());
    let read = round_trip(json, Evidence::from_json, Evidence::to_json);
    assert_eq!(read.as_ref().map(Evidence::verify).and_then(Result::ok), verdict.clone().ok());
    let Some(read) = read else { return };
    if let Ok(proven) = verdict {
        assert_eq!((proven.enclave, proven.sequencer), (read.enclave, read.sequencer));
        let mut other = read;
        other.enclave.0[0] ^= 1;
        assert!(other.verify().is_err(), "evidence about another enclave");
    }
}
