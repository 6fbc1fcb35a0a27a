//! Who is the operator: whoever holds the admin token, or, for provisioning a key only, a process on this machine when nothing says that
//! others could be behind the connection (`docs/protocol.md`, Keys).

use crate::config::Config;
use anyhow::{Context, bail};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, FORWARDED, HOST, ORIGIN, VIA};
use sha2::{Digest, Sha256};
use std::fs;
use std::net::{IpAddr, SocketAddr};

/// Bytes of an admin token at least, so that nobody guesses it.
const MIN_TOKEN_LEN: usize = 16;

/// How the operator is known.
pub struct Admin {
    /// SHA-256 of the token: comparing digests tells nothing of how much of a guess was right.
    token: Option<[u8; 32]>,
    /// Neither a token, nor a public URL, nor a proxy is configured.
    loopback_rule: bool,
}

impl Admin {
    /// As configured.
    ///
    /// # Errors
    /// The token's file cannot be read or holds too short a token.
    pub fn from_config(config: &Config) -> anyhow::Result<Admin> {
        let token = match &config.admin.token_file {
            None => None,
            Some(path) => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("the admin token's file {} cannot be read", path.display()))?;
                let token = text.lines().next().unwrap_or("").trim();
                if token.len() < MIN_TOKEN_LEN {
                    bail!("the admin token in {} must have {MIN_TOKEN_LEN} characters at least", path.display());
                }
                Some(Sha256::digest(token.as_bytes()).into())
            }
        };
        let listen = &config.listen;
        let loopback_rule = token.is_none() && listen.public_url.is_none() && listen.trusted_proxies.is_empty();
        Ok(Admin { token, loopback_rule })
    }

    /// Whether this is the admin token. Takes the same time whatever is given.
    pub fn is_token(&self, bearer: Option<&str>) -> bool {
        let (Some(token), Some(bearer)) = (&self.token, bearer) else { return false };
        let given: [u8; 32] = Sha256::digest(bearer.as_bytes()).into();
        token.iter().zip(given).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }

    /// Whether there is an admin token.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether keys can be provisioned from this machine without a token.
    pub fn is_open_on_loopback(&self) -> bool {
        self.loopback_rule
    }

    /// Whether a request may provision a key without a token: the whole rule, all of which must hold.
    pub fn loopback_admin(&self, peer: &SocketAddr, headers: &HeaderMap) -> bool {
        self.loopback_rule && peer.ip().to_canonical().is_loopback() && is_local_and_direct(headers)
    }
}

/// The token of `Authorization: Bearer`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The client's address: the nearest that is not one of our own proxies, as those have noted it.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let mut address = peer.to_canonical();
    if !trusted.contains(&address) {
        return address;
    }
    let noted = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = noted.flat_map(|value| value.split(',')).map(str::trim).collect();
    for hop in hops.iter().rev() {
        let Ok(hop) = hop.parse::<IpAddr>() else { break };
        address = hop.to_canonical();
        if !trusted.contains(&address) {
            break;
        }
    }
    address
}

/// `Host` is this machine's, the type is JSON (which a web page cannot send without asking first), and nothing came through a browser or
/// a proxy.
fn is_local_and_direct(headers: &HeaderMap) -> bool {
    let text = |value: Option<&axum::http::HeaderValue>| value.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let Some(host) = text(headers.get(HOST)) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => &host,
    };
    let local = ["localhost", "127.0.0.1", "[::1]"].contains(&name) && headers.get_all(HOST).iter().count() == 1;
    let media_type = text(headers.get(CONTENT_TYPE)).unwrap_or_default();
    let json = media_type.split(';').next().is_some_and(|essence| essence.trim() == "application/json");
    let direct = headers
        .keys()
        .all(|name| ![ORIGIN, FORWARDED, VIA].contains(name) && !name.as_str().starts_with("x-forwarded-"));
    local && json && direct
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    type Given = &'static [(&'static str, &'static str)];

    fn headers(rows: &[(&'static str, &'static str)]) -> HeaderMap {
        let row = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        rows.iter().map(row).collect()
    }

    fn admin() -> Admin {
        Admin::from_config(&Config::default()).expect("the default configuration has no token")
    }

    #[test]
    fn the_loopback_rule_needs_all_of_it() {
        let good: Given = &[("host", "localhost:8080"), ("content-type", "application/json")];
        let rows: &[(&str, Given, bool)] = &[
            ("127.0.0.1:5", good, true),
            ("[::1]:5", &[("host", "[::1]:8080"), ("content-type", "application/json; charset=utf-8")], true),
            ("[::ffff:127.0.0.1]:5", &[("host", "127.0.0.1"), ("content-type", "application/json")], true),
            ("192.0.2.1:5", good, false),
            ("127.0.0.1:5", &[("content-type", "application/json")], false),
            ("127.0.0.1:5", &[("host", "node.example"), ("content-type", "application/json")], false),
            ("127.0.0.1:5", &[("host", "localhost.example"), ("content-type", "application/json")], false),
            ("127.0.0.1:5", &[("host", "localhost")], false),
            ("127.0.0.1:5", &[("host", "localhost"), ("content-type", "text/plain")], false),
        ];
        for (peer, given, expected) in rows {
            let peer = peer.parse().expect("an address");
            assert_eq!(admin().loopback_admin(&peer, &headers(given)), *expected, "{peer} {given:?}");
        }
        for name in ["origin", "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"] {
            let mut given = headers(good);
            given.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
            let peer = "127.0.0.1:5".parse().expect("an address");
            assert!(!admin().loopback_admin(&peer, &given), "{name}");
        }
    }

    #[test]
    fn configuration_closes_the_loopback_rule() {
        let mut by_url = Config::default();
        by_url.listen.public_url = Some("https://node.example".into());
        let mut by_proxy = Config::default();
        by_proxy.listen.trusted_proxies = vec![IpAddr::from([127, 0, 0, 1])];
        for config in [by_url, by_proxy] {
            assert!(!Admin::from_config(&config).expect("no token to read").is_open_on_loopback());
        }
        assert!(admin().is_open_on_loopback());
    }

    #[test]
    fn only_the_token_is_the_token() {
        let none = admin();
        let some = Admin { token: Some(Sha256::digest(b"0123456789abcdef").into()), loopback_rule: false };
        assert!(some.is_token(Some("0123456789abcdef")));
        for wrong in [None, Some(""), Some("0123456789abcde"), Some("0123456789abcdef0")] {
            assert!(!some.is_token(wrong) && !none.is_token(wrong));
        }
        assert_eq!(bearer(&headers(&[("authorization", "bearer abc")])), Some("abc"));
        assert_eq!(bearer(&headers(&[("authorization", "Basic abc")])), None);
    }

    #[test]
    fn proxies_are_believed_as_far_as_they_are_trusted() {
        let trusted = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([10, 0, 0, 1])];
        let rows: &[(&str, &'static str, &str)] = &[
            ("192.0.2.9", "198.51.100.1", "192.0.2.9"),
            ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("127.0.0.1", "203.0.113.7, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
            ("127.0.0.1", "10.0.0.1", "10.0.0.1"),
            ("127.0.0.1", "203.0.113.7, nonsense", "127.0.0.1"),
            ("::ffff:127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ];
        for (peer, noted, expected) in rows {
            let address = client_address(peer.parse().expect("ip"), &headers(&[("x-forwarded-for", noted)]), &trusted);
            assert_eq!(address, expected.parse::<IpAddr>().expect("ip"), "{peer} {noted}");
        }
        let peer = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(client_address(peer, &HeaderMap::new(), &trusted), peer);
    }
}
