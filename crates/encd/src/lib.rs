//! The native host: services over HTTP, WebSocket and SQLite (`ARCHITECTURE.md`, hosts).
//!
//! It owns sockets, clock, keys and disk, and holds no rule: what a request means is read by `service::resolve`, what comes of it
//! is decided by `service::node`.

pub mod clock;
pub mod config;
pub mod engine;
pub mod flags;
pub mod folder;
pub mod guard;
pub mod hooks;
pub mod keys;
pub mod metrics;
pub mod outbound;
pub mod reader;
pub mod sqlite;
pub mod stop;
pub mod store;
pub mod watch;
pub mod writer;
