//! A request that has been read: who asks what of which enclave, and what may come of it.

use alloc::string::String;
use alloc::vec::Vec;
use protocol::{Code, Commit, EnclaveId, EventId, Json, PublicKey, Rejection, VerifiedCommit};
use tlog::tile::TilePath;

/// A resolved request: the same value for every spelling of its path.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which enclave; none for what concerns the node.
    pub enclave: Option<EnclaveId>,
    /// Who says to be asking.
    pub claim: Claim,
    /// What is asked.
    pub action: Action,
}

/// Who says to be asking, and by which right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Claim {
    /// Nobody.
    #[default]
    Stranger,
    /// An identity with a plain session token, not verified yet.
    Session {
        /// The identity.
        from: PublicKey,
        /// 136 hex digits, unless it is none.
        token: String,
    },
    /// An identity whose envelope the host has opened.
    Envelope {
        /// The identity.
        from: PublicKey,
    },
    /// The operator, by admin token or by the loopback rule.
    Admin,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Action {
    /// `GET /`.
    NodeInfo,
    /// `GET …/sth`.
    Sth,
    /// `GET …/checkpoint`.
    Checkpoint,
    /// `GET …/tile/…`.
    Tile(TilePath),
    /// `GET …/consistency`.
    Consistency {
        /// The older size.
        from: u64,
        /// The newer size.
        to: u64,
    },
    /// `POST …/inclusion`.
    Inclusion {
        /// The event or the entry.
        of: InclusionOf,
        /// The tree to prove against; the newest when absent.
        tree_size: Option<u64>,
    },
    /// `POST …/bundle`.
    Bundle {
        /// The event.
        event_id: EventId,
    },
    /// `POST …/state` and `…/state-batch`.
    State {
        /// Namespace and raw key of each.
        items: Vec<(u8, Vec<u8>)>,
        /// Answer `proofs` rather than `proof`.
        batch: bool,
        /// The tree that is wanted.
        tree_size: Option<u64>,
    },
    /// `GET …/info/manifest`.
    InfoManifest,
    /// `GET …/info/enclave`.
    InfoEnclave,
    /// `POST …/close-bundle`.
    CloseBundle,
    /// `POST …/push`.
    Push {
        /// Register this endpoint, or, with none, unregister all.
        url: Option<String>,
    },
    /// `GET …/snapshot`.
    Snapshot,
    /// `POST …/restore`.
    Restore(Restore),
    /// `POST …/init-with-priv`, after the host has stored the key.
    InitWithPriv(InitWithPriv),
    /// A commit.
    Commit(CheckedCommit),
    /// A Query.
    Query(Filter),
    /// A Pull.
    Pull(Pull),
}

/// What an inclusion proof is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InclusionOf {
    /// The entry that holds this event.
    Event(EventId),
    /// The entry at this index.
    Leaf(u64),
}

/// A snapshot to be taken in.
#[derive(Clone, Debug)]
pub struct Restore {
    /// The `.enc` bytes.
    pub snapshot: Vec<u8>,
    /// The Manifest's commit hash, pinned by the caller for an unbound id.
    pub manifest: Option<[u8; 32]>,
    /// The first sequencer, pinned likewise.
    pub sequencer: Option<PublicKey>,
    /// Whether the log goes on here, where it ends in a Migrate to a key that this node holds.
    pub first: TakeUp,
}

/// Whether a restored Migrate is taken up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TakeUp {
    /// Nobody says so.
    #[default]
    No,
    /// The caller asserts that it is for the first time. That alone makes nothing live.
    Asserted,
    /// The host has found nothing that knows more than this log, and has noted the taking up outside the database: it never says so
    /// of the same Migrate again.
    Noted,
}

/// A key provisioned for one enclave. The secret itself stays with the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitWithPriv {
    /// Public half of the key.
    pub sequencer: PublicKey,
    /// The only author whose Manifest is taken.
    pub owner: Option<PublicKey>,
}

/// A commit with what steps 3 and 4 said of it; no clock is needed for those, so any thread does them.
#[derive(Clone, Debug)]
pub struct CheckedCommit {
    /// The commit, verified or not.
    pub verdict: Verdict,
    /// The author is one of this node's sequencer keys.
    pub node_key: bool,
}

/// What steps 3 and 4 said.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Hash and signature hold.
    Verified(VerifiedCommit),
    /// One of them does not; an expiry still goes first.
    Refused(Commit, Rejection),
}

impl CheckedCommit {
    /// Does steps 3 and 4.
    pub fn check(commit: Commit, is_node_key: &dyn Fn(&PublicKey) -> bool) -> CheckedCommit {
        let node_key = is_node_key(&commit.from);
        let verdict = match commit.clone().verify() {
            Ok(verified) => Verdict::Verified(verified),
            Err(rejection) => Verdict::Refused(commit, rejection),
        };
        CheckedCommit { verdict, node_key }
    }

    /// The commit.
    pub fn commit(&self) -> &Commit {
        match &self.verdict {
            Verdict::Verified(verified) => verified.commit(),
            Verdict::Refused(commit, _) => commit,
        }
    }
}

/// Which events are asked for (`docs/protocol.md`, Query).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Any of these ids.
    pub id: Option<Vec<[u8; 32]>>,
    /// Any of these commit hashes.
    pub hash: Option<Vec<[u8; 32]>>,
    /// Any of these authors.
    pub from: Option<Vec<PublicKey>>,
    /// Any of these types.
    pub event_type: Option<Vec<String>>,
    /// Any of these places, or a range.
    pub seq: Option<Span>,
    /// Any of these times, or a range.
    pub timestamp: Option<Span>,
    /// Any of these tags, by the first one or two strings.
    pub tags: Option<Vec<(String, Option<String>)>>,
    /// At most so many events.
    pub limit: u64,
    /// Newest first.
    pub reverse: bool,
}

/// Numbers asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// Any of these.
    AnyOf(Vec<u64>),
    /// From the first to the last, both included; empty when the first is larger.
    Range(u64, u64),
}

/// Which deliveries are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// Those of one endpoint only.
    pub url: Option<String>,
    /// Those with a larger `push_seq`.
    pub start_after: u64,
    /// At most so many.
    pub limit: u64,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is answered.
    Done(Response),
    /// It is answered, and what it wrote until it was refused must be rolled back.
    Undone(Response),
    /// It waits: run it again, as resumed, when the topic is notified or the deadline has passed.
    Parked {
        /// What it waits for.
        topic: Topic,
        /// Milliseconds since the epoch.
        deadline: u64,
    },
}

/// What a parked call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The challenge of a push endpoint, by the endpoint's row in the shard of this enclave.
    Challenge(EnclaveId, i64),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers beside `Content-Type` and `Content-Length`.
    pub headers: Vec<(&'static str, String)>,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// `Content-Type` of JSON answers.
pub const JSON: &str = "application/json";

impl Response {
    /// A JSON answer in canonical form.
    pub fn json(status: u16, value: &Json) -> Response {
        Response::text(status, value.to_jcs())
    }

    /// A JSON answer that is text already, in canonical form.
    pub fn text(status: u16, json: String) -> Response {
        Response { status, headers: Vec::new(), content_type: JSON, body: json.into_bytes() }
    }

    /// An error answer.
    pub fn error(rejection: &Rejection) -> Response {
        Response::refusal(rejection, None)
    }

    /// An error answer to a request that carried one commit only: it need not say which.
    pub fn nameless(mut self) -> Response {
        if self.status != 200
            && let Ok(Json::Object(mut members)) = protocol::json::parse(&self.body, protocol::json::MAX_DEPTH)
        {
            members.retain(|(name, _)| name != "hash");
            self.body = Json::Object(members).to_jcs().into_bytes();
        }
        self
    }

    /// An error answer to one commit of many, a line or a frame: `hash` says which.
    pub fn refusal(rejection: &Rejection, hash: Option<&protocol::CommitHash>) -> Response {
        let mut response = Response::json(rejection.code.status(), &rejection.to_json(hash));
        if rejection.code == Code::Overloaded {
            response.headers.push(("Retry-After", String::from("1")));
        }
        response
    }
}

/// The names that admission hooks know a call by (`docs/protocol.md`, Admission hooks).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A commit of this type.
    Commit(String),
    /// A Manifest, by whatever route.
    Create,
    /// A Query.
    Query,
    /// A Pull.
    Pull,
    /// A subscription.
    Subscribe,
    /// Any proof.
    Proof,
    /// Registering for push.
    Push,
    /// Taking a snapshot.
    Snapshot,
    /// Restoring one.
    Restore,
    /// Provisioning a key.
    Init,
    /// Closing a bundle.
    CloseBundle,
    /// What a node tells of itself and of an enclave.
    Info,
    /// STH, checkpoint, tiles, consistency.
    Log,
}

impl Call {
    /// What admission hooks judge.
    pub fn admission(&self) -> Admission {
        match &self.action {
            Action::NodeInfo | Action::InfoManifest | Action::InfoEnclave => Admission::Info,
            Action::Sth | Action::Checkpoint | Action::Tile(_) | Action::Consistency { .. } => Admission::Log,
            Action::Inclusion { .. } | Action::Bundle { .. } | Action::State { .. } => Admission::Proof,
            Action::CloseBundle => Admission::CloseBundle,
            Action::Push { .. } => Admission::Push,
            Action::Snapshot => Admission::Snapshot,
            Action::Restore(_) => Admission::Restore,
            Action::InitWithPriv(_) => Admission::Init,
            Action::Query(_) => Admission::Query,
            Action::Pull(_) => Admission::Pull,
            Action::Commit(checked) if checked.commit().event_type == "Manifest" => Admission::Create,
            Action::Commit(checked) => Admission::Commit(checked.commit().event_type.clone()),
        }
    }

    /// Whether the call changes rows even when nothing is due: it runs on the enclave's writer.
    pub fn writes(&self) -> bool {
        match &self.action {
            Action::CloseBundle
            | Action::Push { .. }
            | Action::Restore(_)
            | Action::InitWithPriv(_)
            | Action::Commit(_)
            | Action::Pull(_) => true,
            Action::NodeInfo
            | Action::Sth
            | Action::Checkpoint
            | Action::Tile(_)
            | Action::Consistency { .. }
            | Action::Inclusion { .. }
            | Action::Bundle { .. }
            | Action::State { .. }
            | Action::InfoManifest
            | Action::InfoEnclave
            | Action::Snapshot
            | Action::Query(_) => false,
        }
    }
}

impl Admission {
    /// The action's name: `commit:<type>`, `create`, `query`, …
    pub fn name(&self) -> String {
        let word = match self {
            Admission::Commit(event_type) => return alloc::format!("commit:{event_type}"),
            Admission::Create => "create",
            Admission::Query => "query",
            Admission::Pull => "pull",
            Admission::Subscribe => "subscribe",
            Admission::Proof => "proof",
            Admission::Push => "push",
            Admission::Snapshot => "snapshot",
            Admission::Restore => "restore",
            Admission::Init => "init",
            Admission::CloseBundle => "close-bundle",
            Admission::Info => "info",
            Admission::Log => "log",
        };
        String::from(word)
    }
}
