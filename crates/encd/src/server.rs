//! A node from start to stop.

use crate::clock::Clock;
use crate::config::Config;
use crate::engine::EngineHandle;
use crate::folder::Folder;
use crate::heads;
use crate::heads::answer::HeadsReader;
use crate::heads::book::Book;
use crate::host::{Host, Kept};
use crate::http::Door;
use crate::keys::KeyStore;
use crate::listener;
use crate::metrics::Metrics;
use crate::sqlite::Capabilities;
use crate::stop::{Exit, StartError, Stop, Stopping};
use crate::store;
use crate::takeup;
use crate::tls::{Reloaded, Tls};
use crate::witnesses::cosigned::Cosigned;
use crate::witnesses::{Sources, Witnesses};
use service::runtime::NodeFacts;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

/// How long requests that are under way may take to end when the node stops. With what comes after, it is gone within ten seconds.
pub const GRACE: Duration = Duration::from_secs(5);
/// How long the answers to what the writers have still done may take to be sent.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// A node that runs.
pub struct Server {
    host: Arc<Host>,
    folder: Folder,
    public: Vec<SocketAddr>,
    admin: SocketAddr,
    stop: Stop,
    alive: mpsc::Receiver<()>,
}

impl Server {
    /// Opens the folder, binds the addresses, and begins to serve.
    ///
    /// # Errors
    /// With the exit code and the line that mends it. Nothing is left behind then.
    pub async fn start(config: Config, clock: Clock) -> Result<Server, StartError> {
        let folder = Folder::open(&config)?;
        let keys = Arc::new(KeyStore::open(&folder.keys(), &config.name)?);
        let mut files = store::open(&folder, &config.store)?;
        let mut book = Book::open(&folder, &keys)?;
        let cosigned = Arc::new(Cosigned::open(&folder, &config.witnesses, &keys.heads_origin())?);
        let witnesses = Witnesses::from_config(&config)?;
        let mut public = Vec::with_capacity(config.listen.public.len());
        for address in &config.listen.public {
            public.push(bind(*address, "--port or --listen").await?);
        }
        let admin = bind(config.listen.admin, "--admin-listen").await?;
        let facts = facts(&config, &keys);
        let capabilities = Capabilities { keys: Arc::clone(&keys), clock };
        if let Some(witnesses) = &witnesses {
            witnesses.recall(&folder, (&mut files, &mut book), (&facts, &capabilities)).await?;
        }
        let book = Arc::new(book);
        let engine = EngineHandle::start(&config, files, facts, capabilities, Arc::new(Metrics::default()))?;
        let (stop, stopping) = Stopping::channel();
        let reader = HeadsReader { book: Arc::clone(&book), cosigned: Arc::clone(&cosigned) };
        let kept = Kept { keys: Arc::clone(&keys), heads: reader };
        let host = Host::new(config, folder.path(), engine.clone(), kept, stopping.clone());
        let host = Arc::new(host.map_err(|error| {
            engine.stop();
            StartError::new(Exit::Config, format!("{error:#}"))
        })?);
        takeup::settle(&host).await.map_err(|error| {
            host.engine.stop();
            let line = format!("what was noted in data/taken-up cannot be read ({error})");
            StartError::new(Exit::Config, line)
        })?;
        tokio::spawn(heads::follow(engine.clone(), Arc::clone(&book), keys, stopping.clone()));
        if let Some(witnesses) = witnesses {
            witnesses.start(&Sources { engine, book, cosigned }, &stopping);
        }
        let (held, alive) = mpsc::channel(1);
        let mut addresses = Vec::with_capacity(public.len());
        for (listener, address) in public {
            addresses.push(address);
            let door = Door::Public { loopback: address.ip().is_loopback() };
            tokio::spawn(listener::accept(
                listener,
                door,
                Arc::clone(&host),
                Arc::clone(&host.connections),
                held.clone(),
            ));
        }
        if host.tls.is_some() {
            tokio::spawn(watch_certificate(Arc::clone(&host)));
        }
        // The operator gets in even when the services' connections are all taken.
        let operators = Arc::new(Semaphore::new(host.config.listen.max_connections));
        tokio::spawn(listener::accept(admin.0, Door::Admin, Arc::clone(&host), operators, held));
        Ok(Server { host, folder, public: addresses, admin: admin.1, stop, alive })
    }

    /// Where the services are.
    pub fn public(&self) -> &[SocketAddr] {
        &self.public
    }

    /// Where the operator's routes are.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The node's parts.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Reads again what may change while the node runs: the TLS certificate and its key.
    pub async fn reload(&self) {
        reload_certificate(Arc::clone(&self.host)).await;
    }

    /// Stops: no connection is taken any more, what is under way is answered within the grace, everything that was queued is written, and
    /// what was written is answered.
    pub async fn stop(mut self, grace: Duration) {
        self.stop.ask();
        let ended = tokio::time::timeout(grace, self.alive.recv()).await.is_ok();
        let engine = self.host.engine.clone();
        if tokio::task::spawn_blocking(move || engine.stop()).await.is_err() {
            tracing::error!("the engine did not stop in order");
        }
        // From here on nothing is committed. Whoever is still connected may wait for a commit of just before.
        if !ended && tokio::time::timeout(LAST_ANSWERS, self.alive.recv()).await.is_err() {
            tracing::warn!("some connections did not end in time and are cut off");
        }
    }
}

/// Looks at the certificate's files now and then until the node stops.
async fn watch_certificate(host: Arc<Host>) {
    let mut stopping = host.stopping.clone();
    let mut due = tokio::time::interval(Duration::from_millis(host.config.tls.check_ms));
    // The first is due at once, and the files have just been read.
    due.tick().await;
    loop {
        tokio::select! {
            _ = due.tick() => reload_certificate(Arc::clone(&host)).await,
            () = stopping.asked() => return,
        }
    }
}

async fn reload_certificate(host: Arc<Host>) {
    let metrics = Arc::clone(&host.metrics);
    let read = tokio::task::spawn_blocking(move || host.tls.as_ref().map(Tls::reload)).await;
    match read {
        Ok(None | Some(Ok(Reloaded::Unchanged))) => {}
        Ok(Some(Ok(Reloaded::Taken))) => {
            metrics.certificate(true);
            tracing::info!("new connections get the new TLS certificate");
        }
        Ok(Some(Err(error))) => {
            metrics.certificate(false);
            tracing::warn!(error = format!("{error:#}"), "the TLS certificate stays what it was");
        }
        Err(error) => tracing::error!(%error, "reading the TLS certificate has panicked"),
    }
}

/// What a node of this configuration and these keys tells the services of itself.
pub fn facts(config: &Config, keys: &KeyStore) -> NodeFacts {
    NodeFacts {
        name: config.name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        sequencer: keys.node(),
        heads_vkey: keys.heads_vkey(),
        services: vec!["enc-node"],
        limits: config.service_limits(),
        require_encryption: config.encryption.require,
        push_loopback: config.outbound.allow_loopback,
    }
}

async fn bind(address: SocketAddr, flag: &str) -> Result<(TcpListener, SocketAddr), StartError> {
    let taken = |error: std::io::Error| {
        StartError::new(
            Exit::Unavailable,
            format!("{address} cannot be listened on ({error}); stop what holds it, or choose another with {flag}"),
        )
    };
    let listener = listener::bind(address).await.map_err(taken)?;
    let bound = listener.local_addr().map_err(taken)?;
    Ok((listener, bound))
}
