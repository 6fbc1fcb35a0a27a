//! Sockets that are listened on, and the connections that come of them: how many, and how long each may take.

use crate::host::Host;
use crate::http::{self, Arrival, Door};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Sleep, sleep, timeout};

/// How long to wait before the next connection is taken when the system has no room for one.
const NO_ROOM: Duration = Duration::from_millis(100);

/// Bytes of a request's head. So much is also read of a connection before the request takes it: with every connection that there may be,
/// 640 MB.
const MAX_HEAD_LEN: usize = 64 << 10;

/// Held by a connection and by what goes on after it, a WebSocket: until the last is dropped it counts among the connections, and a stop
/// waits for it.
#[derive(Clone, Debug)]
pub struct Alive(
    #[expect(dead_code, reason = "what counts is when it is dropped")]
    Arc<(Open, OwnedSemaphorePermit, mpsc::Sender<()>)>,
);

/// Connections that there are; a listener that waits for one holds a permit as well. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct OpenCount(Arc<AtomicUsize>);

/// One of them.
#[derive(Debug)]
struct Open(OpenCount);

impl OpenCount {
    /// How many.
    pub fn read(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn count(&self) -> Open {
        self.0.fetch_add(1, Ordering::Relaxed);
        Open(self.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Listens on an address. `[::]` is every interface; on a machine without IPv6, every one of IPv4.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error)
            if address.ip().is_unspecified() && address.is_ipv6() && error.kind() != io::ErrorKind::AddrInUse =>
        {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

/// Whether only this machine reaches an address.
pub fn is_private(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Takes connections until the node stops.
pub async fn accept(listener: TcpListener, door: Door, host: Arc<Host>, room: Arc<Semaphore>, all: mpsc::Sender<()>) {
    let mut stopping = host.stopping.clone();
    let open = match door {
        Door::Public { .. } => host.open.clone(),
        Door::Admin => OpenCount::default(),
    };
    loop {
        let connection = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            connection = connection => connection,
            () = stopping.asked() => return,
        };
        let Ok(permit) = permit else { return };
        match accepted {
            Ok((stream, socket)) => {
                let alive = Alive(Arc::new((open.count(), permit, all.clone())));
                tokio::spawn(connection_task(stream, Arc::clone(&host), Arrival { door, socket, alive }));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                sleep(NO_ROOM).await;
            }
        }
    }
}

async fn connection_task(stream: TcpStream, host: Arc<Host>, arrival: Arrival) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone before it began");
        return;
    }
    let listen = &host.config.listen;
    let stream = Patient::new(stream, Duration::from_millis(listen.write_timeout_ms));
    match (&host.tls, arrival.door) {
        (Some(tls), Door::Public { .. }) => {
            let patience = Duration::from_millis(listen.header_timeout_ms);
            let mut stopping = host.stopping.clone();
            let shaken = tokio::select! {
                shaken = timeout(patience, tls.acceptor().accept(stream)) => shaken,
                () = stopping.asked() => return,
            };
            match shaken {
                Ok(Ok(stream)) => serve(stream, host, arrival).await,
                Ok(Err(error)) => tracing::debug!(%error, "a connection did not come to TLS"),
                Err(_) => tracing::debug!("a connection took too long to come to TLS"),
            }
        }
        (Some(_), Door::Admin) | (None, _) => serve(stream, host, arrival).await,
    }
}

/// Serves what comes on a connection until it ends.
async fn serve<S>(stream: S, host: Arc<Host>, arrival: Arrival)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    let service = {
        let host = Arc::clone(&host);
        service_fn(move |request| http::answer(Arc::clone(&host), arrival.clone(), request))
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(host.config.listen.header_timeout_ms))
        .max_buf_size(MAX_HEAD_LEN)
        .max_header_size(MAX_HEAD_LEN)
        .serve_connection(io, service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let mut stopping = host.stopping.clone();
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.asked() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// A connection whose peer must take a byte now and then.
struct Patient {
    stream: TcpStream,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(stream: TcpStream, patience: Duration) -> Patient {
        Patient { stream, patience, waiting: None }
    }

    /// Passes on what a write gave; one that waits too long has failed.
    fn judge<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        match waiting.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
