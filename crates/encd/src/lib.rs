//! The native host: services over HTTP, WebSocket and SQLite (`ARCHITECTURE.md`, hosts).
//!
//! It owns sockets, clock, keys and disk, and holds no rule: what a request means is read by `service::resolve`, what comes of it
//! is decided by `service::node`.

#[cfg(all(feature = "unsafe-no-sync", not(debug_assertions)))]
compile_error!("a node that loses what it has acknowledged is for tests: unsafe-no-sync is never in a release build");

pub mod admin;
pub mod alarms;
pub mod backup;
pub mod banner;
pub mod body;
pub mod check;
pub mod clock;
pub mod command;
pub mod config;
pub mod copy;
pub mod doctor;
pub mod elsewhere;
pub mod engine;
pub mod envelope;
pub mod flags;
pub mod folder;
pub mod garbage;
pub mod guard;
pub mod heads;
pub mod hooks;
pub mod host;
pub mod http;
pub mod interrupt;
pub mod keys;
pub mod lag;
pub mod lines;
pub mod listener;
pub mod metrics;
pub mod outbound;
pub mod provision;
pub mod reader;
pub mod restore;
pub mod resume;
pub mod server;
pub mod signer;
pub mod sqlite;
pub mod stop;
pub mod store;
pub mod subscriber;
pub mod syncer;
pub mod tail;
pub mod takeup;
pub mod tally;
pub mod tls;
pub mod trouble;
pub mod upgrade;
pub mod watch;
pub mod websocket;
pub mod witness;
pub mod witnesses;
pub mod writer;
