//! A running node, as each request finds it, and what every request goes through whatever brought it: admission.

use crate::admin::Admin;
use crate::body::Room;
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::{EngineHandle, hash_of};
use crate::guard::DiskGuard;
use crate::heads::answer::HeadsReader;
use crate::hooks::{self, Admitted, Chain};
use crate::keys::KeyStore;
use crate::lag::LagProbe;
use crate::listener::{Alive, OpenCount};
use crate::metrics::{Gauge, Metrics};
use crate::stop::Stopping;
use crate::tail::Tails;
use crate::takeup::TakenUp;
use crate::tally::Tally;
use crate::tls::Tls;
use crate::trouble::Trouble;
use bytes::Bytes;
use protocol::{Code, CommitHash, EnclaveId, PublicKey};
use service::call::{Action, Admission, Claim, Response, Verdict};
use service::resolve::Resolver;
use service::{Call, openapi};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Mutex, Semaphore};

/// Name of the service that hooks are told.
const SERVICE: &str = "enc-node";

/// A running node.
pub struct Host {
    /// What is configured.
    pub config: Config,
    /// What answers calls.
    pub engine: EngineHandle,
    /// Keys.
    pub keys: Arc<KeyStore>,
    /// The heads log, and checkpoints as they are published.
    pub heads: HeadsReader,
    /// Admission hooks.
    pub chain: Chain,
    /// Free space.
    pub guard: DiskGuard,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Clock,
    /// Who is the operator.
    pub admin: Admin,
    /// TLS of the services' listeners, where it is configured.
    pub tls: Option<Tls>,
    /// One permit for each connection of the services' listeners.
    pub connections: Arc<Semaphore>,
    /// How many there are.
    pub open: OpenCount,
    /// How far the work is behind.
    lag: LagProbe,
    /// Memory for bodies that are no snapshots.
    pub bodies: Room,
    /// Memory for the snapshots that others than the operator send.
    pub snapshots: Room,
    /// Sockets by address.
    pub sockets: Tally<IpAddr>,
    /// Subscriptions by identity; those of strangers are counted with their sockets.
    pub subscriptions: Tally<PublicKey>,
    /// What the subscriptions of an enclave share.
    pub tails: Tails,
    /// One key is provisioned at a time: its file and its row come and go together.
    pub provisioning: Mutex<()>,
    /// Which Migrates were taken up here.
    pub taken_up: TakenUp,
    /// Turns true when the node stops.
    pub stopping: Stopping,
    /// `GET /openapi.json`, which is the same for as long as the node runs.
    pub openapi: Bytes,
}

/// What of a node is kept outside the shards.
pub struct Kept {
    /// Keys.
    pub keys: Arc<KeyStore>,
    /// The heads log, and checkpoints as they are published.
    pub heads: HeadsReader,
}

/// Who is at the other end of a request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The other end of the connection.
    pub socket: SocketAddr,
    /// The client's address: that of the connection, or the one a trusted proxy gives.
    pub address: IpAddr,
    /// It came in on a loopback listener.
    pub listener_loopback: bool,
    /// The token of its `Authorization: Bearer`.
    pub bearer: Option<String>,
    /// Held by whatever goes on after the request, so that a stop waits for it.
    pub alive: Alive,
}

/// What is remembered of a request until its answer is counted.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Of a commit.
    pub hash: Option<CommitHash>,
    enclave: Option<EnclaveId>,
    len: usize,
    arrived: Instant,
}

impl Host {
    /// Puts a node together from its parts.
    pub fn new(
        config: Config,
        folder: &Path,
        engine: EngineHandle,
        kept: Kept,
        stopping: Stopping,
    ) -> anyhow::Result<Host> {
        Ok(Host {
            chain: Chain::from_config(&config)?,
            guard: DiskGuard::watch(folder, &config.disk),
            admin: Admin::from_config(&config)?,
            tls: Tls::from_config(&config.tls)?,
            connections: Arc::new(Semaphore::new(config.listen.max_connections)),
            open: OpenCount::default(),
            lag: LagProbe::new(folder, engine.shard_count()),
            bodies: Room::new(config.listen.bodies_kib),
            snapshots: Room::new(config.listen.bodies_kib),
            sockets: Tally::new(config.websocket.sockets_per_address),
            subscriptions: Tally::new(config.websocket.subscriptions_per_identity),
            openapi: Bytes::from(openapi::openapi(engine.facts()).to_jcs()),
            config,
            metrics: engine.metrics(),
            clock: engine.clock(),
            provisioning: Mutex::new(()),
            taken_up: TakenUp::in_folder(&folder.join("data")),
            tails: Tails::new(engine.clone()),
            engine,
            keys: kept.keys,
            heads: kept.heads,
            stopping,
        })
    }

    /// Runs something that reads requests, with what it needs to know of this node.
    pub fn resolving<T>(&self, read: impl FnOnce(&Resolver<'_>) -> T) -> T {
        let is_node_key = |key: &PublicKey| self.keys.holds(key);
        read(&Resolver { limits: &self.engine.facts().limits, is_node_key: &is_node_key })
    }

    /// Why the node is not ready, in a word (`docs/operations.md`, Watching it).
    pub fn unready(&self) -> Option<&'static str> {
        if self.stopping.is_asked() {
            Some("stopping")
        } else if self.engine.is_rolled_back() {
            Some("rolled_back")
        } else if self.guard.admits(false).is_err() {
            Some(Trouble::DiskFull.name())
        } else if self.clock.is_behind() {
            Some("clock_behind")
        } else {
            self.engine.trouble().map(Trouble::name)
        }
    }

    /// What was counted, as Prometheus reads it.
    pub fn measured(&self) -> String {
        let load = self.engine.load();
        if let Some(lag) = tokio::task::block_in_place(|| self.lag.look(self.clock.now())) {
            self.metrics.set(Gauge::OverdueMs, lag.overdue_ms);
            self.metrics.set(Gauge::BundleOldestMs, lag.bundle_ms);
        }
        let (pushes, oldest) = self.metrics.undelivered().waiting();
        self.metrics.set(Gauge::PushOldestMs, u64::try_from(oldest.as_millis()).unwrap_or(u64::MAX));
        self.metrics.set(Gauge::PushWaiting, pushes as u64);
        for (gauge, value) in [
            (Gauge::QueueKib, load.queue_kib as u64),
            (Gauge::ReadsWaiting, load.reads_waiting as u64),
            (Gauge::OutboundLanes, load.outbound_lanes as u64),
            (Gauge::Connections, self.open.read() as u64),
            (Gauge::DiskFreeBytes, self.guard.free_bytes()),
            (Gauge::DiskWantedBytes, self.guard.wanted_bytes()),
            (Gauge::Ready, u64::from(self.unready().is_none())),
        ] {
            self.metrics.set(gauge, value);
        }
        self.metrics.render()
    }

    /// Lets the admission hooks judge a call, once, whatever brought it; then the free space. A refusal is the answer.
    pub async fn admit(&self, peer: &Peer, call: &Call, len: usize) -> Result<(), Response> {
        self.judge(peer, call, &call.admission(), len).await
    }

    /// The same for a Query that opens a subscription.
    pub async fn admit_subscription(&self, peer: &Peer, call: &Call, len: usize) -> Result<(), Response> {
        self.judge(peer, call, &Admission::Subscribe, len).await
    }

    /// Answers a call that has been read: admission, then the engine.
    pub async fn answer(&self, peer: &Peer, call: Call, len: usize) -> Response {
        let asked = Asked::of(&call, len);
        let response = match self.admit(peer, &call, len).await {
            Ok(()) => self.engine.call(call, len).await,
            Err(refusal) => refusal,
        };
        self.count(&asked, &response);
        response.nameless()
    }

    /// Counts an answer.
    pub fn count(&self, asked: &Asked, response: &Response) {
        let commit = asked.hash.is_some();
        self.metrics.answered(commit, asked.arrived.elapsed());
        match (refusal_code(response), asked.enclave) {
            (Some(code), _) => self.metrics.refused(code),
            (None, Some(enclave)) if commit => {
                self.metrics.committed();
                self.chain.sequenced(&enclave, asked.len);
            }
            (None, _) => {}
        }
    }

    async fn judge(&self, peer: &Peer, call: &Call, admission: &Admission, len: usize) -> Result<(), Response> {
        let (from, verified) = who(call);
        let admitted = Admitted {
            service: SERVICE,
            enclave: call.enclave.as_ref(),
            admission,
            from,
            verified,
            address: peer.address,
            len,
            listener_loopback: peer.listener_loopback,
            bearer: peer.bearer.as_deref(),
        };
        let (hash, begun) = (hash_of(call), Instant::now());
        let judged = self.chain.judge(&admitted).await;
        self.metrics.judged(begun.elapsed());
        judged.map_err(|rejection| hooks::refusal(&rejection, hash.as_ref()))?;
        let room = match admission {
            Admission::Create | Admission::Restore | Admission::Init => self.guard.admits(true),
            Admission::Commit(_) | Admission::Push => self.guard.admits(false),
            Admission::Query
            | Admission::Pull
            | Admission::Subscribe
            | Admission::Proof
            | Admission::Snapshot
            | Admission::CloseBundle
            | Admission::Info
            | Admission::Log => Ok(()),
        };
        room.map_err(|rejection| Response::refusal(&rejection, hash.as_ref()))
    }
}

impl Asked {
    /// To be taken when a call has been read.
    pub fn of(call: &Call, len: usize) -> Asked {
        Asked { hash: hash_of(call), enclave: call.enclave, len, arrived: Instant::now() }
    }

    /// To be taken for what could not be read; with the commit's hash, if it had one.
    pub fn unread(hash: Option<CommitHash>, len: usize) -> Asked {
        Asked { hash, enclave: None, len, arrived: Instant::now() }
    }
}

/// Who a call says it is from, and whether that is proven already.
fn who(call: &Call) -> (Option<&PublicKey>, bool) {
    match (&call.action, &call.claim) {
        (Action::Commit(checked), _) => (Some(&checked.commit().from), matches!(checked.verdict, Verdict::Verified(_))),
        (_, Claim::Session { from, .. }) => (Some(from), false),
        (_, Claim::Envelope { from }) => (Some(from), true),
        (_, Claim::Stranger | Claim::Admin) => (None, false),
    }
}

/// The code of a refusal. Members are in canonical order, so `error` is the first.
pub fn refusal_code(response: &Response) -> Option<Code> {
    if response.status < 400 {
        return None;
    }
    let text = response.body.strip_prefix(b"{\"error\":\"")?;
    let end = text.iter().position(|byte| *byte == b'"')?;
    Code::parse(std::str::from_utf8(&text[..end]).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Rejection;
    use protocol::code::Detail;

    #[test]
    fn every_refusal_tells_its_code() {
        for code in Code::ALL {
            for detail in [Detail::None, Detail::Limit(1), Detail::Field("x"), Detail::Path("RBAC".into())] {
                assert_eq!(refusal_code(&Response::error(&Rejection::with(*code, detail))), Some(*code));
            }
        }
        let taken = Response::json(200, &protocol::Json::Null);
        assert_eq!(refusal_code(&taken), None);
    }
}
