//! One HTTP/1.1 connection that was dialled already: a POST at a time, its answer read up to a limit.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, Uri, http::request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes of an answer's head; more is an error.
pub const MAX_HEAD_LEN: usize = 16 << 10;

/// An open connection to a peer.
#[derive(Debug)]
pub struct Line {
    requests: SendRequest<Full<Bytes>>,
}

impl Line {
    /// Speaks HTTP over a stream. The connection ends with the line.
    pub async fn over<S>(stream: S) -> hyper::Result<Line>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut settings = http1::Builder::new();
        settings.max_buf_size(MAX_HEAD_LEN);
        let (requests, connection) = settings.handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(timeout = error.is_timeout(), "an outbound connection broke off");
            }
        });
        Ok(Line { requests })
    }

    /// Posts JSON to a URL of this peer; answers status and body. Of a longer body only `max_len` bytes are read. Redirects are
    /// answers as any other.
    pub async fn post(&mut self, url: &Uri, body: Bytes, max_len: usize) -> hyper::Result<(u16, Vec<u8>)> {
        self.post_as(service::call::JSON, url, body, max_len).await
    }

    /// The same with a body of another type.
    pub async fn post_as(
        &mut self,
        content_type: &'static str,
        url: &Uri,
        body: Bytes,
        max_len: usize,
    ) -> hyper::Result<(u16, Vec<u8>)> {
        let request = about(Method::POST, url).header(CONTENT_TYPE, content_type).body(Full::new(body));
        self.send(request.expect(PARSED), max_len).await
    }

    /// Gets a URL of this peer; answers as [`Line::post`] does.
    pub async fn get(&mut self, url: &Uri, max_len: usize) -> hyper::Result<(u16, Vec<u8>)> {
        self.send(about(Method::GET, url).body(Full::default()).expect(PARSED), max_len).await
    }

    async fn send(&mut self, request: Request<Full<Bytes>>, max_len: usize) -> hyper::Result<(u16, Vec<u8>)> {
        self.requests.ready().await?;
        let answer = self.requests.send_request(request).await?;
        let status = answer.status().as_u16();
        Ok((status, read(answer.into_body(), max_len).await?))
    }

    /// Whether it can be used again, as far as is known. After an answer that was cut it cannot.
    pub fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }
}

const PARSED: &str = "path and host are parts of a URL that was parsed";

fn about(method: Method, url: &Uri) -> request::Builder {
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let host = url.authority().map_or("", |authority| authority.as_str());
    let agent = concat!("encd/", env!("CARGO_PKG_VERSION"));
    Request::builder().method(method).uri(path).header(HOST, host).header(USER_AGENT, agent)
}

async fn read(mut body: Incoming, max_len: usize) -> hyper::Result<Vec<u8>> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data() {
            let room = max_len - read.len();
            read.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() >= room {
                break;
            }
        }
    }
    Ok(read)
}
