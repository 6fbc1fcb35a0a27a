//! How much one enclave may grow in a second.

use super::Admitted;
use super::bucket::{Allowance, Buckets, SECOND};
use protocol::code::Detail;
use protocol::{Code, EnclaveId, Rejection};
use serde::{Deserialize, Serialize};
use service::call::Admission;

/// Seconds over which the quotas are averaged: so much may come at once.
const AVERAGED_OVER: u64 = 10;

/// Quotas of one enclave: `limit_exceeded`. Averaged over ten seconds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuotasConfig {
    /// Events in a second; 0: no limit.
    pub enclave_events_per_second: u64,
    /// Bytes of commits in a second; 0: no limit.
    pub enclave_bytes_per_second: u64,
}

/// The quotas. What counts is what was sequenced: were it what is sent, a stranger could use up a quota with commits that the
/// enclave refuses.
#[derive(Debug)]
pub struct Quotas {
    events: Buckets<EnclaveId>,
    bytes: Buckets<EnclaveId>,
}

impl Quotas {
    /// As configured; so many enclaves are told apart.
    pub fn new(config: &QuotasConfig, remembered: usize) -> Quotas {
        let averaged = |rate: u64| Allowance { rate, period: SECOND, burst: rate.saturating_mul(AVERAGED_OVER) };
        Quotas {
            events: Buckets::new(averaged(config.enclave_events_per_second), remembered),
            bytes: Buckets::new(averaged(config.enclave_bytes_per_second), remembered),
        }
    }

    /// Whether an enclave may grow by one more event.
    pub fn judge(&self, admitted: &Admitted<'_>, now: u64) -> Result<(), Rejection> {
        let Some(enclave) = admitted.enclave.filter(|_| grows(admitted.admission)) else { return Ok(()) };
        for buckets in [&self.events, &self.bytes] {
            if !buckets.has_one(enclave, now) {
                return Err(Rejection::with(Code::LimitExceeded, Detail::Limit(buckets.allowance().rate)));
            }
        }
        Ok(())
    }

    /// Counts a commit that got its receipt.
    pub fn sequenced(&self, enclave: &EnclaveId, len: usize, now: u64) {
        self.events.charge(*enclave, 1, now);
        self.bytes.charge(*enclave, len as u64, now);
    }
}

fn grows(admission: &Admission) -> bool {
    match admission {
        Admission::Commit(_) | Admission::Create => true,
        Admission::Query
        | Admission::Pull
        | Admission::Subscribe
        | Admission::Proof
        | Admission::Push
        | Admission::Snapshot
        | Admission::Restore
        | Admission::Init
        | Admission::CloseBundle
        | Admission::Info
        | Admission::Log => false,
    }
}
