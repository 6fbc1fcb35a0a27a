//! Bodies in and out: read no further than a route takes, within a time; streamed when they are made while they are sent.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// Bytes that are still read and thrown away after a body was found too large, so that its sender gets to read the answer.
const DRAINED: usize = 4 << 20;
/// Bytes a millisecond that a sender has to manage beyond the time that every body has: 64 KB a second.
const SLOWEST: u64 = 64;

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is longer than the route takes.
    TooLarge,
    /// It did not arrive, or not in time.
    Broken,
}

/// Reads a whole body of at most `limit` bytes within `time`, and what so many bytes take a slow sender.
pub async fn read(mut body: Incoming, limit: usize, time: Duration) -> Result<Bytes, Unreadable> {
    let deadline = Instant::now() + time + Duration::from_millis(limit as u64 / SLOWEST);
    if body.size_hint().lower() > limit as u64 {
        return Err(drain(body, deadline).await);
    }
    let Some(first) = next(&mut body, deadline).await? else { return Ok(Bytes::new()) };
    let mut second = if body.is_end_stream() { None } else { next(&mut body, deadline).await? };
    if second.is_none() && first.len() <= limit {
        return Ok(first);
    }
    let mut whole = BytesMut::from(first);
    while let Some(piece) = second {
        if whole.len() + piece.len() > limit {
            return Err(drain(body, deadline).await);
        }
        whole.extend_from_slice(&piece);
        second = next(&mut body, deadline).await?;
    }
    if whole.len() > limit { Err(Unreadable::TooLarge) } else { Ok(whole.freeze()) }
}

/// The next piece of a body; none at its end.
pub async fn next(body: &mut Incoming, deadline: Instant) -> Result<Option<Bytes>, Unreadable> {
    loop {
        match timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                if let Ok(piece) = frame.into_data() {
                    return Ok(Some(piece));
                }
            }
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) | Err(_) => return Err(Unreadable::Broken),
        }
    }
}

async fn drain(mut body: Incoming, deadline: Instant) -> Unreadable {
    let mut drained = 0;
    while drained < DRAINED {
        match next(&mut body, deadline).await {
            Ok(Some(piece)) => drained += piece.len(),
            Ok(None) | Err(_) => break,
        }
    }
    Unreadable::TooLarge
}

/// A body that is sent piece by piece as they come; it ends when the sender is dropped.
pub struct Streamed(pub mpsc::Receiver<Bytes>);

impl Body for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
