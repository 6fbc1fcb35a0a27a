//! How many requests one address and one key may send.

use super::Admitted;
use super::bucket::{Allowance, Buckets, SECOND};
use protocol::{Code, PublicKey, Rejection};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv6Addr};

/// Rate limits: `rate_limited`. A request, a line of `POST /commits` and a WebSocket frame count one each.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RatesConfig {
    /// Requests of one address in a second, on average; 0: no limit.
    pub address_per_second: u64,
    /// Requests of one address at once.
    pub address_burst: u64,
    /// Requests of one key in a second, on average, counted once its signature or session holds; 0: no limit.
    pub key_per_second: u64,
    /// Requests of one key at once.
    pub key_burst: u64,
    /// Addresses, keys and enclaves that are told apart; beyond it, newcomers share one allowance.
    pub remembered: usize,
    /// Requests from this machine are limited too.
    pub loopback: bool,
}

impl Default for RatesConfig {
    fn default() -> RatesConfig {
        RatesConfig {
            address_per_second: 1000,
            address_burst: 10_000,
            key_per_second: 1000,
            key_burst: 10_000,
            remembered: 65_536,
            loopback: false,
        }
    }
}

/// The rate limits.
#[derive(Debug)]
pub struct Rates {
    addresses: Buckets<IpAddr>,
    keys: Buckets<PublicKey>,
    spare_loopback: bool,
}

impl Rates {
    /// As configured. `behind_proxy`: what comes from loopback comes from anywhere.
    pub fn new(config: &RatesConfig, behind_proxy: bool) -> Rates {
        let per_second = |rate, burst| Allowance { rate, period: SECOND, burst };
        let address = per_second(config.address_per_second, config.address_burst);
        let key = per_second(config.key_per_second, config.key_burst);
        Rates {
            addresses: Buckets::new(address, config.remembered),
            keys: Buckets::new(key, config.remembered),
            spare_loopback: !config.loopback && !behind_proxy,
        }
    }

    /// Whether an address has anything left, before a byte of its request is looked at. Counts nothing.
    pub fn arriving(&self, address: IpAddr, now: u64) -> Result<(), Rejection> {
        if self.spares(address) || self.addresses.has_one(&counted(address), now) {
            return Ok(());
        }
        Err(Code::RateLimited.into())
    }

    /// Counts what could not be read for its address, as far as there is anything left: whoever is refused owes nothing.
    pub fn unread(&self, address: IpAddr, now: u64) {
        if !self.spares(address) {
            self.addresses.take(counted(address), 1, now);
        }
    }

    /// Counts a request for its address.
    pub fn address(&self, admitted: &Admitted<'_>, now: u64) -> Result<(), Rejection> {
        if self.spares(admitted.address) || self.addresses.take(counted(admitted.address), 1, now) {
            return Ok(());
        }
        Err(Code::RateLimited.into())
    }

    /// Counts a request for its key, where it is certain that the key's owner made it: anybody can name a key.
    pub fn key(&self, admitted: &Admitted<'_>, now: u64) -> Result<(), Rejection> {
        let Some(from) = admitted.from.filter(|_| admitted.verified) else { return Ok(()) };
        if self.spares(admitted.address) || self.keys.take(*from, 1, now) {
            return Ok(());
        }
        Err(Code::RateLimited.into())
    }

    fn spares(&self, address: IpAddr) -> bool {
        self.spare_loopback && address.to_canonical().is_loopback()
    }
}

/// The address that is counted: a subscriber of IPv6 has a whole /64, so that counts as one.
pub fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_an_address_counts_for() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ] {
            let parse = |text: &str| -> IpAddr { text.parse().expect("an address") };
            assert_eq!(counted(parse(address)), parse(expected));
        }
    }
}
