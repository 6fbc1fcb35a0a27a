//! The node's configuration: one that is taken says the same when it is written out and read again.

use encd::config::Config;

/// Text as TOML.
pub fn run(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    let Ok(config) = Config::parse(text) else { return };
    config.check().expect("what is parsed is checked");
    let written = serde_json::to_string(&config).expect("a configuration is plain members");
    let again: Config = serde_json::from_str(&written).expect("the members of a configuration");
    assert_eq!(again, config);
    assert!(config.service_limits().commit_len == config.limits.commit_bytes);
}
