//! One request, a POST mostly, to an address that a stranger has named.
//!
//! The name is resolved once, every address it has is checked, and one of those is dialled: a name that changes its mind in between
//! changes nothing.

use super::address::is_public;
use super::line::Line;
use super::{OutboundConfig, tls};
use bytes::Bytes;
use hyper::Uri;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, Semaphore};
use tokio_rustls::TlsConnector;

/// Names that are looked up at once; a lookup takes a thread until the system's resolver gives up on it.
const MAX_LOOKUPS: usize = 32;
/// Addresses of one name that are tried.
const MAX_DIALS: usize = 4;
/// How long one of several addresses is tried.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// Finds the addresses of a host; may block.
pub type Resolve = Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Sends single requests.
pub struct Client {
    allow_loopback: bool,
    /// Whoever has named the addresses may name any.
    trusting: bool,
    timeout: Duration,
    answer_len: usize,
    roots_file: Option<PathBuf>,
    resolve: Resolve,
    lookups: Arc<Semaphore>,
    /// Made by the first request that needs it.
    tls: OnceCell<Arc<ClientConfig>>,
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Posted {
    /// Its media type.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The URL is none that is dialled: not `https`, a user name, no host.
    Url,
    /// The name has no address.
    Name,
    /// One of the addresses is none that a stranger may name.
    Address,
    /// None of the addresses takes a connection.
    Connection,
    /// No TLS with a certificate for that name.
    Tls,
    /// Not HTTP, or broken off.
    Http,
    /// The time was up.
    Timeout,
}

/// A URL that may be dialled once its addresses are checked.
struct Target {
    uri: Uri,
    secure: bool,
    host: String,
    port: u16,
}

impl Client {
    /// As configured, with the system's resolver.
    pub fn new(config: &OutboundConfig) -> Client {
        Client::resolving(config, Arc::new(|host, port| Ok((host, port).to_socket_addrs()?.collect())))
    }

    /// For addresses that the operator has named: any, also private ones and over plain `http`.
    pub fn for_operator(config: &OutboundConfig, timeout: Duration) -> Client {
        Client { trusting: true, timeout, ..Client::new(config) }
    }

    /// As configured, with this resolver.
    pub fn resolving(config: &OutboundConfig, resolve: Resolve) -> Client {
        Client {
            allow_loopback: config.allow_loopback,
            trusting: false,
            timeout: Duration::from_millis(config.timeout_ms),
            answer_len: config.answer_bytes,
            roots_file: config.roots_file.clone(),
            resolve,
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
            tls: OnceCell::new(),
        }
    }

    /// Posts a JSON body; answers status and body, the body cut at the limit.
    pub async fn post(&self, url: &str, body: Bytes) -> Result<(u16, Vec<u8>), NoAnswer> {
        self.send(url, Posted { content_type: service::call::JSON, body }).await
    }

    /// Posts a body of any type; answers as [`Client::post`] does.
    pub async fn send(&self, url: &str, posted: Posted) -> Result<(u16, Vec<u8>), NoAnswer> {
        self.in_time(url, Some(posted)).await
    }

    /// Gets what is there; answers as [`Client::post`] does.
    pub async fn get(&self, url: &str) -> Result<(u16, Vec<u8>), NoAnswer> {
        self.in_time(url, None).await
    }

    async fn in_time(&self, url: &str, posted: Option<Posted>) -> Result<(u16, Vec<u8>), NoAnswer> {
        tokio::time::timeout(self.timeout, self.send_unhurried(url, posted)).await.unwrap_or(Err(NoAnswer::Timeout))
    }

    async fn send_unhurried(&self, url: &str, posted: Option<Posted>) -> Result<(u16, Vec<u8>), NoAnswer> {
        let target = Target::parse(url)?;
        let addresses = self.lookup(&target).await?;
        self.check(&target, &addresses)?;
        let stream = dial(&addresses).await?;
        let line = match target.secure {
            true => {
                let name = ServerName::try_from(target.host.clone()).map_err(|_| NoAnswer::Url)?;
                let secured = TlsConnector::from(self.tls().await?).connect(name, stream).await;
                Line::over(secured.map_err(|_| NoAnswer::Tls)?).await
            }
            false => Line::over(stream).await,
        };
        let mut line = line.map_err(|_| NoAnswer::Http)?;
        let answer = match posted {
            Some(posted) => line.post_as(posted.content_type, &target.uri, posted.body, self.answer_len).await,
            None => line.get(&target.uri, self.answer_len).await,
        };
        answer.map_err(|_| NoAnswer::Http)
    }

    async fn lookup(&self, target: &Target) -> Result<Vec<SocketAddr>, NoAnswer> {
        if let Ok(address) = target.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, target.port)]);
        }
        let slot = Arc::clone(&self.lookups).acquire_owned().await.map_err(|_| NoAnswer::Name)?;
        let (resolve, host, port) = (Arc::clone(&self.resolve), target.host.clone(), target.port);
        let found = tokio::task::spawn_blocking(move || {
            let found = resolve(&host, port);
            // Held by the thread, which goes on after whoever asked has given up.
            drop(slot);
            found
        });
        let addresses = found.await.map_err(|_| NoAnswer::Name)?.map_err(|_| NoAnswer::Name)?;
        if addresses.is_empty() { Err(NoAnswer::Name) } else { Ok(addresses) }
    }

    /// All of them must pass: a name with one public and one private address is a trap.
    fn check(&self, target: &Target, addresses: &[SocketAddr]) -> Result<(), NoAnswer> {
        if self.trusting {
            return Ok(());
        }
        let loopback = self.allow_loopback && addresses.iter().all(|address| address.ip().is_loopback());
        if !target.secure && !loopback {
            return Err(NoAnswer::Url);
        }
        let public = addresses.iter().all(|address| is_public(address.ip()));
        if loopback || public { Ok(()) } else { Err(NoAnswer::Address) }
    }

    async fn tls(&self) -> Result<Arc<ClientConfig>, NoAnswer> {
        let made = self.tls.get_or_try_init(|| async {
            let roots_file = self.roots_file.clone();
            let settings = tokio::task::spawn_blocking(move || tls::settings(roots_file.as_deref())).await;
            settings.map_err(anyhow::Error::from).flatten().map(Arc::new)
        });
        match made.await {
            Ok(settings) => Ok(Arc::clone(settings)),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "TLS to others cannot be set up; push is not delivered");
                Err(NoAnswer::Tls)
            }
        }
    }
}

impl Target {
    fn parse(url: &str) -> Result<Target, NoAnswer> {
        let uri: Uri = url.parse().map_err(|_| NoAnswer::Url)?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(NoAnswer::Url),
        };
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(NoAnswer::Url);
        }
        let host = uri.host().unwrap_or("").trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(NoAnswer::Url);
        }
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Target { uri, secure, host, port })
    }
}

/// The first address that takes a connection.
async fn dial(addresses: &[SocketAddr]) -> Result<TcpStream, NoAnswer> {
    for address in addresses.iter().take(MAX_DIALS) {
        if let Ok(Ok(stream)) = tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect(address)).await {
            return Ok(stream);
        }
    }
    Err(NoAnswer::Connection)
}
