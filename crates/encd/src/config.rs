//! The node's configuration: one TOML file, every key documented in `encd.toml` beside the crate; flags override.

use crate::guard::DiskConfig;
use crate::hooks::HooksConfig;
use crate::hooks::creation::CreateConfig;
use crate::hooks::quotas::QuotasConfig;
use crate::hooks::rates::RatesConfig;
use crate::outbound::OutboundConfig;
use crate::witnesses::WitnessesConfig;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// Everything that can be configured, with its defaults.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The node's name: origin of its heads log and name in `GET /`.
    pub name: String,
    /// The data folder; where it is absent, see [`crate::folder`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Everything in a folder of its own that is gone at exit.
    pub memory: bool,
    /// Least level of what is logged: `error`, `warn`, `info`, `debug`, `trace`.
    pub log: LogLevel,
    /// How it is written: lines for people, or a JSON text a line.
    pub log_format: LogFormat,
    /// Sockets.
    pub listen: Listen,
    /// TLS of the services' listeners.
    pub tls: TlsConfig,
    /// Threads and SQLite.
    pub store: StoreConfig,
    /// The queue before each writer.
    pub engine: EngineConfig,
    /// What one request may cost.
    pub limits: LimitsConfig,
    /// The operator.
    pub admin: AdminConfig,
    /// The encrypted transport.
    pub encryption: EncryptionConfig,
    /// WebSockets.
    pub websocket: WebSocketConfig,
    /// How many requests an address and a key may send.
    pub rates: RatesConfig,
    /// Who may make enclaves.
    pub create: CreateConfig,
    /// How much an enclave may grow in a second.
    pub quotas: QuotasConfig,
    /// Further admission hooks.
    pub hooks: HooksConfig,
    /// Requests that leave the node.
    pub outbound: OutboundConfig,
    /// Who cosigns the node's checkpoints.
    pub witnesses: WitnessesConfig,
    /// Free space that must be left.
    pub disk: DiskConfig,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only what the node cannot go on from.
    Error,
    /// And what an operator should look at.
    Warn,
    /// And start, stop, and what is done at an operator's wish.
    Info,
    /// And refused connections and the like.
    Debug,
    /// Everything.
    Trace,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON text a line.
    Json,
}

/// TLS of the services' listeners. The operator's listener has none.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// A PEM file: the certificate, then those between it and a root. Without it there is no TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// A PEM file: the certificate's private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Milliseconds between two looks at the files.
    pub check_ms: u64,
}

/// Sockets and what is known of who connects to them.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Where the services are. `[::]:N` is every interface, IPv4 too.
    pub public: Vec<SocketAddr>,
    /// Where metrics, readiness and the admin routes are.
    pub admin: SocketAddr,
    /// The URL under which clients reach the node through a proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Connections held at once; more wait in the kernel's queue.
    pub max_connections: usize,
    /// KiB that bodies beyond 64 KiB have together while they arrive and are judged, and snapshots as much again; beyond it the answer
    /// is `overloaded`.
    pub bodies_kib: usize,
    /// Milliseconds for a request's head to arrive, also how long an idle connection is kept.
    pub header_timeout_ms: u64,
    /// Milliseconds for a request's body to arrive, beyond what it takes at 64 KB a second.
    pub body_timeout_ms: u64,
    /// Milliseconds that a peer may take no byte of its answer before the connection is closed.
    pub write_timeout_ms: u64,
}

/// Threads and SQLite.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Database files, one writer thread each. Fixed when the folder is made.
    pub shards: usize,
    /// Reader threads of each shard.
    pub readers: usize,
    /// MiB of page cache of each writer.
    pub writer_cache_mib: usize,
    /// MiB of page cache of each reader.
    pub reader_cache_mib: usize,
    /// MiB of each file that are mapped.
    pub mmap_mib: usize,
    /// Enclaves whose hot rows a writer keeps in memory.
    pub cached_enclaves: usize,
}

/// The queue before each writer.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// KiB of waiting requests (each counts 4 at least); beyond it the answer is `overloaded`.
    pub queue_kib: usize,
    /// Requests of one transaction.
    pub batch_requests: usize,
    /// KiB of requests of one transaction.
    pub batch_kib: usize,
}

/// What one request may cost; `GET /` shows them.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Bytes of a commit.
    pub commit_bytes: usize,
    /// Bytes of any other JSON body.
    pub body_bytes: usize,
    /// Bytes of a body with `ciphertext`.
    pub envelope_bytes: usize,
    /// Bytes of a snapshot that is restored.
    pub restore_bytes: usize,
    /// Events or deliveries of one answer.
    pub page_events: u64,
    /// Bytes of events in one answer.
    pub page_bytes: usize,
    /// Lines of one `POST /commits`.
    pub lines: usize,
    /// Bytes of one `POST /commits`.
    pub lines_bytes: usize,
    /// Identities of one enclave.
    pub identities_per_enclave: u64,
    /// Own and Shared keys of one enclave.
    pub keys_per_enclave: u64,
    /// Subscriptions of one socket.
    pub subscriptions_per_socket: usize,
}

/// The operator.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// A file that holds the admin token. Without it there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

/// The encrypted transport.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EncryptionConfig {
    /// Plain Query, Pull and proofs are refused.
    pub require: bool,
}

/// WebSockets.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebSocketConfig {
    /// Sockets of one address.
    pub sockets_per_address: usize,
    /// Subscriptions of one identity, over all its sockets.
    pub subscriptions_per_identity: usize,
    /// Commits of one socket that wait for their receipts; while there are so many, no more frames are read.
    pub commits_in_flight: usize,
    /// Milliseconds between pings.
    pub ping_ms: u64,
    /// Milliseconds that a peer may take no frame before it is told `slow_consumer`, and again before it is cut off.
    pub slow_ms: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            name: "localhost".into(),
            data: None,
            memory: false,
            log: LogLevel::Info,
            log_format: LogFormat::Text,
            listen: Listen::default(),
            tls: TlsConfig::default(),
            store: StoreConfig::default(),
            engine: EngineConfig::default(),
            limits: LimitsConfig::default(),
            admin: AdminConfig::default(),
            encryption: EncryptionConfig::default(),
            websocket: WebSocketConfig::default(),
            rates: RatesConfig::default(),
            create: CreateConfig::default(),
            quotas: QuotasConfig::default(),
            hooks: HooksConfig::default(),
            outbound: OutboundConfig::default(),
            witnesses: WitnessesConfig::default(),
            disk: DiskConfig::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Listen {
        Listen {
            public: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            admin: SocketAddr::from(([127, 0, 0, 1], 8081)),
            public_url: None,
            trusted_proxies: Vec::new(),
            max_connections: 10_000,
            bodies_kib: 128 << 10,
            header_timeout_ms: 30_000,
            body_timeout_ms: 30_000,
            write_timeout_ms: 30_000,
        }
    }
}

impl Default for TlsConfig {
    fn default() -> TlsConfig {
        TlsConfig { certificate_file: None, key_file: None, check_ms: 60_000 }
    }
}

impl Default for StoreConfig {
    fn default() -> StoreConfig {
        StoreConfig {
            shards: 2,
            readers: 2,
            writer_cache_mib: 64,
            reader_cache_mib: 8,
            mmap_mib: 0,
            cached_enclaves: 4096,
        }
    }
}

impl Default for EngineConfig {
    fn default() -> EngineConfig {
        EngineConfig { queue_kib: 32 << 10, batch_requests: 1024, batch_kib: 8 << 10 }
    }
}

impl Default for LimitsConfig {
    fn default() -> LimitsConfig {
        let limits = service::runtime::Limits::default();
        LimitsConfig {
            commit_bytes: limits.commit_len,
            body_bytes: limits.body_len,
            envelope_bytes: limits.envelope_len,
            restore_bytes: limits.restore_len,
            page_events: limits.page_events,
            page_bytes: limits.page_len,
            lines: limits.lines,
            lines_bytes: limits.lines_len,
            identities_per_enclave: limits.identities,
            keys_per_enclave: limits.keys,
            subscriptions_per_socket: limits.subscriptions,
        }
    }
}

impl Default for WebSocketConfig {
    fn default() -> WebSocketConfig {
        WebSocketConfig {
            sockets_per_address: 256,
            subscriptions_per_identity: 256,
            commits_in_flight: 256,
            ping_ms: 30_000,
            slow_ms: 10_000,
        }
    }
}

impl Config {
    /// Reads a file.
    pub fn read(path: &Path) -> anyhow::Result<Config> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the configuration {} cannot be read", path.display()))?;
        Config::parse(&text).with_context(|| format!("in the configuration {}", path.display()))
    }

    /// Reads TOML; a key that nothing knows is an error.
    pub fn parse(text: &str) -> anyhow::Result<Config> {
        let config: Config = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    /// Whether the values make sense together.
    pub fn check(&self) -> anyhow::Result<()> {
        let at_least_one = [
            ("store.shards", self.store.shards),
            ("store.readers", self.store.readers),
            ("store.cached_enclaves", self.store.cached_enclaves),
            ("engine.batch_requests", self.engine.batch_requests),
            ("engine.batch_kib", self.engine.batch_kib),
            ("listen.max_connections", self.listen.max_connections),
            ("listen.public", self.listen.public.len()),
            ("websocket.commits_in_flight", self.websocket.commits_in_flight),
        ];
        for (key, value) in at_least_one {
            if value == 0 {
                bail!("{key} must be 1 at least");
            }
        }
        // A request larger than the whole queue could never be taken.
        let largest = self.limits.restore_bytes.max(self.limits.envelope_bytes).max(self.limits.body_bytes);
        if self.engine.queue_kib > u32::MAX as usize {
            bail!("engine.queue_kib must be below 2^32");
        }
        if largest > u32::MAX as usize {
            bail!("the limits of a body must be below 4 GiB");
        }
        if self.listen.bodies_kib < largest.div_ceil(1 << 10) {
            bail!("listen.bodies_kib must have room for the largest body that the limits allow");
        }
        if self.tls.certificate_file.is_some() != self.tls.key_file.is_some() {
            bail!("tls.certificate_file and tls.key_file go together");
        }
        if self.tls.check_ms == 0 {
            bail!("tls.check_ms must be 1 at least");
        }
        self.outbound.check()?;
        self.disk.check()?;
        self.witnesses.check()?;
        if self.name.is_empty() || self.name.contains(|c: char| c.is_whitespace() || c == '+' || c.is_control()) {
            bail!("name must be text without spaces and '+': it is the origin of a log");
        }
        Ok(())
    }

    /// The limits as services know them.
    pub fn service_limits(&self) -> service::runtime::Limits {
        let limits = &self.limits;
        service::runtime::Limits {
            commit_len: limits.commit_bytes,
            body_len: limits.body_bytes,
            envelope_len: limits.envelope_bytes,
            restore_len: limits.restore_bytes,
            page_events: limits.page_events,
            page_len: limits.page_bytes,
            lines: limits.lines,
            lines_len: limits.lines_bytes,
            identities: limits.identities_per_enclave,
            keys: limits.keys_per_enclave,
            subscriptions: limits.subscriptions_per_socket,
        }
    }
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> tracing::Level {
        match level {
            LogLevel::Error => tracing::Level::ERROR,
            LogLevel::Warn => tracing::Level::WARN,
            LogLevel::Info => tracing::Level::INFO,
            LogLevel::Debug => tracing::Level::DEBUG,
            LogLevel::Trace => tracing::Level::TRACE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../encd.toml");

    #[test]
    fn sample_states_the_defaults() {
        assert_eq!(Config::parse(SAMPLE).expect("the sample is a configuration"), Config::default());
    }

    #[test]
    fn sample_documents_every_key() {
        let default = serde_json::to_value(Config::default()).expect("a configuration is JSON");
        let mut section = String::new();
        let mut documented = std::collections::BTreeSet::new();
        let mut commented = false;
        for line in SAMPLE.lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = format!("{}.", name.trim_end_matches(']'));
            } else if let Some((key, _)) = line.strip_prefix("# ").unwrap_or(line).split_once(" = ")
                && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            {
                assert!(commented, "{section}{key} has no comment above it");
                documented.insert(format!("{section}{key}"));
            }
            commented = line.starts_with('#');
        }
        let absent = [
            "data",
            "listen.public_url",
            "tls.certificate_file",
            "tls.key_file",
            "admin.token_file",
            "create.token_file",
            "hooks.http_url",
            "outbound.roots_file",
            "witnesses.policy_file",
        ];
        let mut keys: Vec<String> = absent.iter().map(ToString::to_string).collect();
        leaves(&default, "", &mut keys);
        for key in keys {
            assert!(documented.remove(&key), "{key} is not in the sample");
        }
        assert!(documented.is_empty(), "the sample has keys that the code does not know: {documented:?}");
    }

    fn leaves(value: &serde_json::Value, path: &str, keys: &mut Vec<String>) {
        let serde_json::Value::Object(members) = value else {
            keys.push(path.to_owned());
            return;
        };
        for (name, value) in members {
            leaves(value, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, keys);
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in [
            "nmae = \"x\"",
            "[listen]\npublic = []",
            "[store]\nshards = 0",
            "name = \"a b\"",
            "log = \"loud\"",
            "log_format = \"xml\"",
            "[tls]\nkey_file = \"key.pem\"",
            "[tls]\ncertificate_file = \"chain.pem\"",
            "[tls]\ncheck_ms = 0",
        ] {
            assert!(Config::parse(text).is_err(), "{text}");
        }
    }
}
