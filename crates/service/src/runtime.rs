//! The whole boundary between a service and its host: ten I/O methods and four capabilities (`docs/services.md`, Runtime).
//! (`pure` and `bind`, the other two methods of the published structure, are Rust's own control flow.)
//!
//! Everything is synchronous: inside one request SQL answers at once on every host, and what would wait for a network is a row that the
//! host works off after the transaction is durable.

use alloc::string::String;
use alloc::vec::Vec;
use protocol::{EnclaveId, Json, PublicKey, Signature};

/// A value bound to a statement, or read from a row. Integers stay within ±(2^53 − 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// INTEGER.
    Int(i64),
    /// TEXT.
    Text(&'a str),
    /// BLOB.
    Blob(&'a [u8]),
}

/// One row of an answer, valid while the row function runs.
pub trait Row {
    /// The value in a column, from 0.
    fn value(&self, column: usize) -> Value<'_>;
}

/// Why a host could not do what it was asked. The request changes nothing then: the transaction around it is rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write on a connection that only reads: run the same call where writing is possible.
    ReadOnly,
    /// The disk has no room.
    Full,
    /// The store failed, or holds what no service ever wrote.
    Storage,
    /// The host does not hold the key, or will not sign with it for this enclave.
    Key,
}

/// What the host knows of the node; the same for every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// The node's name, a DNS name or any text.
    pub name: String,
    /// Version of the software.
    pub version: String,
    /// The key that sequences enclaves made here.
    pub sequencer: PublicKey,
    /// Verifier key of the heads log, as C2SP writes it.
    pub heads_vkey: String,
    /// Services that are mounted.
    pub services: Vec<&'static str>,
    /// Limits.
    pub limits: Limits,
    /// Plain Query, Pull and proofs are refused.
    pub require_encryption: bool,
    /// Plain `http` to loopback is allowed for push endpoints.
    pub push_loopback: bool,
}

/// Limits that a host may set; each has a code and stands in `GET /`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a commit's JSON.
    pub commit_len: usize,
    /// Bytes of any other JSON body.
    pub body_len: usize,
    /// Bytes of a body with `ciphertext`.
    pub envelope_len: usize,
    /// Bytes of a snapshot taken in by restore.
    pub restore_len: usize,
    /// Events or deliveries of one answer.
    pub page_events: u64,
    /// Bytes of events in one answer.
    pub page_len: usize,
    /// Lines of `POST /commits`.
    pub lines: usize,
    /// Bytes of `POST /commits`.
    pub lines_len: usize,
    /// Identities of one enclave.
    pub identities: u64,
    /// Own and Shared keys of one enclave.
    pub keys: u64,
    /// Subscriptions of one socket.
    pub subscriptions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            commit_len: protocol::commit::MAX_COMMIT_LEN,
            body_len: 1 << 20,
            envelope_len: (2 << 20) + (4 << 10),
            restore_len: 64 << 20,
            page_events: 1000,
            page_len: 4 << 20,
            lines: 10_000,
            lines_len: 64 << 20,
            identities: 10_000_000,
            keys: 10_000_000,
            subscriptions: 64,
        }
    }
}

/// A request's line and headers, as the host received them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestLine {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path, from `/`, not decoded.
    pub path: String,
    /// What follows `?`, not decoded; empty when absent.
    pub query: String,
    /// Of the headers those that the structure names: `Content-Type`, `X-Enc-From`, `X-Enc-Session`.
    pub headers: Headers,
}

/// The headers that a service looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `X-Enc-From`.
    pub from: Option<String>,
    /// `X-Enc-Session`.
    pub session: Option<String>,
}

/// An outbound POST, to be done after the transaction is durable; its end comes back through `node::fetched`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Names the request when its answer comes back.
    pub id: FetchId,
    /// The lane in which it waits: one at a time, in order.
    pub lane: String,
    /// Where to.
    pub url: String,
    /// The JSON body.
    pub body: String,
}

/// What an outbound request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FetchId {
    /// The challenge of a push endpoint, by the endpoint's row.
    Challenge(i64),
    /// A delivery, by its row.
    Delivery(i64),
}

/// How an outbound request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The peer answered: status, and at most 64 KiB of body.
    Answer(u16, Vec<u8>),
    /// No answer: refused address, no connection, timeout.
    Failed,
}

/// The host, as a service sees it.
pub trait Runtime {
    /// Runs a statement that changes rows; answers how many.
    fn sql_exec(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, Fault>;
    /// Runs a statement that answers rows, until `row` says `false`.
    fn sql_query(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        row: &mut dyn FnMut(&dyn Row) -> bool,
    ) -> Result<(), Fault>;
    /// Sends the answer of the running request.
    fn respond(&self, response: crate::Response);
    /// The body of the running request.
    fn get_body(&self) -> Vec<u8>;
    /// Line and headers of the running request.
    fn get_path(&self) -> RequestLine;
    /// Turns the running request into a WebSocket.
    fn accept_ws(&self);
    /// Sends a text frame on a socket of this enclave.
    fn send_ws(&self, socket: u64, frame: &str);
    /// Milliseconds since the epoch.
    fn now(&self) -> u64;
    /// Asks to be woken by `alarm` at that time for that enclave; an earlier one stands.
    fn set_alarm(&self, enclave: &EnclaveId, at: u64);
    /// Queues an outbound request.
    fn fetch(&self, request: Fetch);
    /// Signs 32 bytes with a sequencer key that the host holds, for the enclave whose request is running.
    fn host_sign_seq(&self, key: &PublicKey, enclave: &EnclaveId, hash: &[u8; 32]) -> Result<Signature, Fault>;
    /// Signs a note's text with the log key that `key` derives for the enclave: public key and signature.
    fn host_sign_log(&self, key: &PublicKey, enclave: &EnclaveId, text: &str) -> Result<([u8; 32], [u8; 64]), Fault>;
    /// A keyed hash under a name, for challenges and cursors.
    fn host_mac(&self, name: &'static str, bytes: &[u8]) -> [u8; 32];
    /// Up to 64 random bytes.
    fn host_random(&self, bytes: &mut [u8]);
}

impl Limits {
    /// As `GET /` shows them.
    pub fn to_json(&self) -> Json {
        let number = |value: usize| Json::from(value as u64);
        Json::object([
            ("commit_bytes", number(self.commit_len)),
            ("body_bytes", number(self.body_len)),
            ("envelope_bytes", number(self.envelope_len)),
            ("restore_bytes", number(self.restore_len)),
            ("page_events", Json::from(self.page_events)),
            ("page_bytes", number(self.page_len)),
            ("lines", number(self.lines)),
            ("lines_bytes", number(self.lines_len)),
            ("identities_per_enclave", Json::from(self.identities)),
            ("keys_per_enclave", Json::from(self.keys)),
            ("subscriptions_per_socket", number(self.subscriptions)),
        ])
    }
}
