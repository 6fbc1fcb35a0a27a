//! The stable error codes (`docs/protocol.md`, error codes): one closed list, one sentence each.

use crate::event::Receipt;
use crate::ids::{CommitHash, EventHash, PublicKey};
use crate::json::Json;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $message:literal;)*) => {
        /// A stable error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the specification.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as it stands in an answer.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// The HTTP status that the code has unless a route says otherwise.
            pub fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }

            /// One fixed sentence that tells a person what to do. Never quotes input.
            pub fn message(self) -> &'static str {
                match self { $(Code::$name => $message,)* }
            }

            /// Reads a code from its text.
            pub fn parse(text: &str) -> Option<Code> {
                match text { $($text => Some(Code::$name),)* _ => None }
            }
        }
    };
}

codes! {
    /// Not RFC 8259 JSON in UTF-8.
    InvalidJson = "invalid_json", 400, "The body is not JSON in UTF-8; send one well-formed JSON text without a byte order mark.";
    /// No such path, action or method.
    InvalidRoute = "invalid_route", 404, "There is no such route or method here; check the path and the method against the node's API description.";
    /// JSON, but not of the shape or within the limits that are listed for it.
    InvalidStructure = "invalid_structure", 400, "A member is missing, unknown or malformed; correct the request to the listed members, lower-case hex and whole numbers.";
    /// The given hash is not the commit's.
    InvalidHash = "invalid_hash", 400, "The commit's hash is not the hash of its members; compute the hash again and sign the commit again.";
    /// The signature does not verify.
    InvalidSignature = "invalid_signature", 401, "The signature does not verify under the author's key; sign the commit's hash with the key named in from.";
    /// `exp` lies in the past.
    Expired = "expired", 400, "The time allowed for this request has passed; check your clock, make the request again and send it at once.";
    /// `exp` lies more than an hour ahead.
    ExpTooFar = "exp_too_far", 400, "The expiry lies more than one hour ahead; check your clock and sign the commit again with a nearer expiry.";
    /// The commit is stored already.
    Duplicate = "duplicate", 409, "This commit is already stored; do not send it again, and sign a new commit if you want a second event.";
    /// No permission.
    Unauthorized = "unauthorized", 403, "You may not do this here; use an identity or session with the needed role, or ask an owner of the enclave to grant it.";
    /// The session token does not hold.
    InvalidSession = "invalid_session", 401, "The session is not valid for this identity and node; make a new session token and send it together with from.";
    /// The session is over.
    SessionExpired = "session_expired", 401, "The session has expired; make a new session token and send the request again.";
    /// No such enclave here.
    EnclaveNotFound = "enclave_not_found", 404, "This node does not hold that enclave; check the enclave's id, or ask a registry which node holds it.";
    /// The id is taken by another Manifest.
    EnclaveExists = "enclave_exists", 409, "An enclave with this id already exists here with other contents; add a nonce tag to the Manifest to make a different one.";
    /// Paused.
    EnclavePaused = "enclave_paused", 403, "The enclave is paused; wait until an authorised member resumes it.";
    /// Terminated.
    EnclaveTerminated = "enclave_terminated", 410, "The enclave is terminated and takes no more commits; use another enclave.";
    /// Migrated.
    EnclaveMigrated = "enclave_migrated", 410, "The enclave has moved to another sequencer; send the commit to the node that holds the new sequencer key.";
    /// Not live on this node.
    ReadOnly = "read_only", 403, "This node only serves a copy of the enclave; send the commit to the node that sequences it.";
    /// The manifest breaks a rule.
    InvalidManifest = "invalid_manifest", 400, "The Manifest breaks a rule at the given path; correct that place and sign the Manifest again.";
    /// The target's or trait's rank is not below the author's.
    RankTooLow = "rank_too_low", 403, "Your rank does not suffice for this target or trait; ask a member of higher rank to do it.";
    /// The gate is closed.
    GateClosed = "gate_closed", 403, "The gate for this action is closed; ask one of its operators to open it.";
    /// The state does not allow this.
    BadState = "bad_state", 409, "The present state does not allow this; read the current state and decide again.";
    /// No such event, key, alias, target or page.
    NotFound = "not_found", 404, "There is no such thing that you may see here; check the id, key, alias or index.";
    /// The event is not in a closed bundle yet.
    NotBundled = "not_bundled", 409, "This is not yet in a closed bundle; ask again after the bundle's timeout.";
    /// More bytes than allowed.
    TooLarge = "too_large", 413, "The request is larger than this node takes; make it smaller or split it.";
    /// The Content-Type is not the route's.
    UnsupportedMediaType = "unsupported_media_type", 415, "The Content-Type is missing or wrong for this route; send the type that the route's description names.";
    /// More than a limit or quota allows.
    LimitExceeded = "limit_exceeded", 400, "The request goes beyond a limit of this node; ask for less, or free what you no longer use.";
    /// Too many requests.
    RateLimited = "rate_limited", 429, "Too many requests in a short time; wait as long as Retry-After says and send fewer.";
    /// The node cannot take more at present.
    Overloaded = "overloaded", 503, "The node is too busy or too full to take this; wait as long as Retry-After says and try again.";
    /// The node's clock is behind the enclave's last event.
    ClockBehind = "clock_behind", 503, "The node's clock is behind the enclave's last event; its operator must set the clock before it takes commits.";
    /// The database is behind its high-water mark.
    RolledBack = "rolled_back", 503, "The node's stored data is older than what it has already signed; its operator must decide before it takes commits.";
    /// A fault of the node.
    Internal = "internal", 500, "The node failed to answer; try again later, and tell its operator if it goes on.";
}

/// Why a request was refused: a stable code and what differs from case to case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The code.
    pub code: Code,
    /// The further members of the answer.
    pub detail: Detail,
}

/// What an error answer carries beside its code and sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    #[default]
    None,
    /// Where in a manifest (`RBAC.moves[2].to`).
    Path(String),
    /// The member at fault.
    Field(&'static str),
    /// The place in a list, counted from 0, and what was wrong there.
    Index(u64),
    /// The limit that was passed.
    Limit(u64),
    /// The receipt of the stored commit.
    Receipt(Box<Receipt>),
    /// Where the enclave has gone.
    NewSequencer(PublicKey),
    /// What a Migrate would have to name (`prev_seq`, `ct_root`, `prev`).
    Head {
        /// The last sequence number.
        prev_seq: u64,
        /// The root of the closed bundles.
        ct_root: [u8; 32],
        /// The last event's hash.
        prev: EventHash,
    },
    /// The node's time, so that a client can see the skew.
    Time(u64),
}

impl Rejection {
    /// A refusal without further members.
    pub const fn new(code: Code) -> Self {
        Rejection { code, detail: Detail::None }
    }

    /// A refusal that carries more.
    pub const fn with(code: Code, detail: Detail) -> Self {
        Rejection { code, detail }
    }

    /// The answer's JSON: `error`, `message`, and what differs; `hash` where a commit could be told apart.
    pub fn to_json(&self, hash: Option<&CommitHash>) -> Json {
        let mut members: Vec<(&str, Json)> = Vec::with_capacity(4);
        members.push(("error", Json::from(self.code.as_str())));
        members.push(("message", Json::from(self.code.message())));
        if let Some(hash) = hash {
            members.push(("hash", Json::from(hash.hex())));
        }
        match &self.detail {
            Detail::None => {}
            Detail::Path(path) => members.push(("path", Json::from(path.as_str()))),
            Detail::Field(field) => members.push(("field", Json::from(*field))),
            Detail::Index(index) => members.push(("index", Json::from(*index))),
            Detail::Limit(limit) => members.push(("limit", Json::from(*limit))),
            Detail::Receipt(receipt) => members.push(("receipt", receipt.to_json())),
            Detail::NewSequencer(key) => members.push(("new_sequencer", Json::from(key.hex()))),
            Detail::Time(time) => members.push(("time", Json::from(*time))),
            Detail::Head { prev_seq, ct_root, prev } => {
                members.push(("prev_seq", Json::from(*prev_seq)));
                members.push(("ct_root", Json::from(crate::ids::hex(ct_root))));
                members.push(("prev", Json::from(prev.hex())));
            }
        }
        Json::object(members)
    }
}

impl From<Code> for Rejection {
    fn from(code: Code) -> Self {
        Rejection::new(code)
    }
}
