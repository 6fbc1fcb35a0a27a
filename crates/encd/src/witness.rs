//! `encd witness`: cosigns checkpoints of logs that its operator lists, each only if it continues what was cosigned before (C2SP
//! tlog-witness). It keeps one row a log, and knows nothing of what the logs hold.

pub mod judge;
pub mod logs;
pub mod notebook;

use crate::body::{self, Unreadable};
use crate::clock::Clock;
use crate::config::Config;
use crate::folder::Folder;
use crate::keys::read_or_make;
use crate::listener;
use crate::stop::{Exit, StartError};
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Method, Request, Response, StatusCode};
use clap::Args;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use judge::{Judge, Verdict};
use logs::Logs;
use notebook::Notebook;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tlog::add_checkpoint::{MAX_LEN, SIZE_TYPE, format_size};
use tlog::cosignature::CosignatureSigner;
use tlog::note::KeyName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;
/// How long a head, and a body, may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
const PLAIN: &str = "text/plain; charset=utf-8";

/// How a witness is started.
#[derive(Args, Clone, Debug)]
pub struct WitnessFlags {
    /// Its name, as it stands in its key and before each of its signatures: a DNS name with an optional path
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// Its folder: its key, and the last tree of each log
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// A C2SP tlog-policy file whose `log <vkey>` lines are the logs that it cosigns; read again when it changes
    #[arg(long, value_name = "FILE")]
    pub logs: PathBuf,
    /// Where it listens (TLS is a proxy's work)
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7380")]
    pub listen: SocketAddr,
}

/// A witness that runs.
pub struct Witnessing {
    judge: Arc<Judge>,
    address: SocketAddr,
    /// Held for as long as it runs.
    _folder: Folder,
}

impl Witnessing {
    /// Opens the folder, binds the address and begins to answer.
    ///
    /// # Errors
    /// With the exit code and the line that mends it.
    pub async fn start(flags: &WitnessFlags, clock: Clock) -> Result<Witnessing, StartError> {
        let folder = Folder::open(&Config { data: Some(flags.data.clone()), ..Config::default() })?;
        let name = KeyName::parse(&flags.name);
        let name = name.map_err(|_| StartError::new(Exit::Config, "--name must be text without spaces and '+'"))?;
        let seed = read_or_make(&folder.keys().join("witness.key"))?;
        let signer = CosignatureSigner::from_seed(name, &seed).map_err(|_| {
            StartError::new(Exit::Config, "the key file witness.key is damaged; put it back from a backup")
        })?;
        let notebook = Notebook::open(&folder)?;
        let judge = Arc::new(Judge { signer, logs: Logs::open(&flags.logs)?, notebook, clock });
        let taken = |error: std::io::Error| {
            let line = format!("{} cannot be listened on ({error}); choose another with --listen", flags.listen);
            StartError::new(Exit::Unavailable, line)
        };
        let listener = listener::bind(flags.listen).await.map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        tokio::spawn(accept(listener, Arc::clone(&judge)));
        Ok(Witnessing { judge, address, _folder: folder })
    }

    /// What a person sees, and what logs are configured with.
    pub fn banner(&self) -> String {
        format!(
            "\n  encd witness {}\n\n  listen  http://{}\n  vkey    {}\n\n",
            env!("CARGO_PKG_VERSION"),
            self.address,
            self.judge.signer.vkey()
        )
    }
}

async fn accept(listener: TcpListener, judge: Arc<Judge>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let judge = Arc::clone(&judge);
                tokio::spawn(async move {
                    converse(stream, judge).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, judge: Arc<Judge>) {
    let service = service_fn(move |request| {
        let judge = Arc::clone(&judge);
        async move { Ok::<_, Infallible>(answer(judge, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection broke off");
    }
}

async fn answer(judge: Arc<Judge>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::POST, "/add-checkpoint") => {
            let body = match body::read(request.into_body(), MAX_LEN, PATIENCE, None).await {
                Ok((body, _)) => body,
                Err(Unreadable::TooLarge | Unreadable::NoRoom) => {
                    return text(StatusCode::PAYLOAD_TOO_LARGE, "the request is too long\n");
                }
                Err(Unreadable::Broken) => return text(StatusCode::REQUEST_TIMEOUT, "the request broke off\n"),
            };
            let judged = tokio::task::spawn_blocking(move || judge.add_checkpoint(&body)).await;
            judged.map_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, "internal\n"), response)
        }
        (&Method::GET, "/") => text(StatusCode::OK, format!("{}\n", judge.signer.vkey())),
        (&Method::GET, path) => {
            let log = path.strip_prefix('/').and_then(|rest| rest.strip_suffix("/checkpoint")).map(str::to_owned);
            let Some(log) = log else { return text(StatusCode::NOT_FOUND, "no such path\n") };
            let found = tokio::task::spawn_blocking(move || judge.notebook.note_of(&log)).await;
            match found {
                Ok(Ok(Some(note))) => text(StatusCode::OK, note),
                Ok(Ok(None)) => text(StatusCode::NOT_FOUND, "nothing of this log was cosigned\n"),
                Ok(Err(_)) | Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "internal\n"),
            }
        }
        _ => text(StatusCode::NOT_FOUND, "no such path\n"),
    }
}

/// The table of the specification.
fn response(verdict: Verdict) -> Response<Body> {
    match verdict {
        Verdict::Cosigned(line) => text(StatusCode::OK, format!("{line}\n")),
        Verdict::Malformed => text(StatusCode::BAD_REQUEST, "malformed request\n"),
        Verdict::OldAboveNew => text(StatusCode::BAD_REQUEST, "the old size is above that of the checkpoint\n"),
        Verdict::UnknownLog => text(StatusCode::NOT_FOUND, "unknown log\n"),
        Verdict::Unsigned => text(StatusCode::FORBIDDEN, "not signed by a key of this log\n"),
        Verdict::OtherSize(size) => {
            let mut response = text(StatusCode::CONFLICT, format_size(size));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(SIZE_TYPE));
            response
        }
        Verdict::Inconsistent => text(StatusCode::UNPROCESSABLE_ENTITY, "the proof does not hold\n"),
    }
}

fn text(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PLAIN));
    response
}
