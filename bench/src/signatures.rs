//! What the signatures of a commit cost by themselves: the measure that a node's CPU time is held against.

use crate::people;
use anyhow::{Context, ensure};
use encd::keys::KeyStore;
use protocol::EnclaveId;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Different signatures that are checked in turn, by as many keys as write in a measurement.
const SIGNATURES: u64 = 4096;

/// CPU time of one call each.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// libsecp256k1's check of a BIP-340 signature, the x-only key read from its 32 bytes each time.
    pub verify: Duration,
    /// The call by which the node signs an event.
    pub sign: Duration,
}

impl Cost {
    /// Measures both, `time` long each, on this thread.
    pub fn measure(time: Duration) -> anyhow::Result<Cost> {
        let authors = people::authors();
        let enclave = EnclaveId([1; 32]);
        let signed: Vec<_> = (0..SIGNATURES)
            .map(|number| {
                let author = &authors[(number % people::AUTHORS) as usize];
                let commit = people::message(author, enclave, number, 0);
                (commit.from.0, commit.hash.0, commit.sig.0)
            })
            .collect();
        let mut refused = 0;
        let verify = each(time, |number| {
            let (key, message, signature) = &signed[number % signed.len()];
            let held = secp256k1::XOnlyPublicKey::from_byte_array(*key).is_ok_and(|key| {
                let signature = secp256k1::schnorr::Signature::from_byte_array(*signature);
                secp256k1::schnorr::verify(&signature, message, &key).is_ok()
            });
            refused += usize::from(!held);
        });
        ensure!(refused == 0, "libsecp256k1 refused {refused} signatures");
        let folder = tempfile::tempdir()?;
        let store = KeyStore::open(folder.path(), "bench").ok().context("a key store")?;
        let key = store.node();
        let mut unsigned = 0;
        let sign = each(time, |number| {
            let message = &signed[number % signed.len()].1;
            unsigned += usize::from(std::hint::black_box(store.sign(&key, &enclave, message)).is_none());
        });
        ensure!(unsigned == 0, "the key store did not sign");
        Ok(Cost { verify, sign })
    }

    /// Both together.
    pub fn sum(&self) -> Duration {
        self.verify + self.sign
    }
}

/// The CPU time of one call, by as many as fit into `time` of it.
fn each(time: Duration, mut call: impl FnMut(usize)) -> Duration {
    const AT_ONCE: usize = 64;
    let (start, mut calls) = (cpu(), 0);
    loop {
        for _ in 0..AT_ONCE {
            call(calls);
            calls += 1;
        }
        let used = cpu() - start;
        if used >= time {
            return used / u32::try_from(calls).unwrap_or(u32::MAX);
        }
    }
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
