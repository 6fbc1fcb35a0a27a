//! A node over real HTTP and real sockets, in this process and as one of its own.

mod admission;
mod archive;
mod backup;
mod envelope;
mod fanout;
mod first_version;
mod http;
mod lines;
mod migrate;
mod node;
mod process;
mod push;
mod recall;
mod tls;
mod upkeep;
mod websocket;
