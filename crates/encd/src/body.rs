//! Bodies in and out: read no further than a route takes, within a time; streamed when they are made while they are sent.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

/// Bytes that are still read and thrown away after a body was found too large, so that its sender gets to read the answer.
const DRAINED: usize = 4 << 20;
/// Bytes a millisecond that a sender has to manage beyond the time that every body has: 64 KB a second.
const SLOWEST: u64 = 64;
/// Bytes of a body that are not counted: ordinary commits have room whatever others send. A connection is read so far ahead anyway.
const UNCOUNTED: usize = 64 << 10;

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is longer than the route takes.
    TooLarge,
    /// There is no memory left for bodies.
    NoRoom,
    /// It did not arrive, or not in time.
    Broken,
}

/// The memory that the bodies of all connections have together while they arrive and are judged.
#[derive(Clone, Debug)]
pub struct Room(Arc<Semaphore>);

/// What one body has of it, until this is dropped.
#[derive(Debug, Default)]
pub struct Held(Option<OwnedSemaphorePermit>);

impl Room {
    /// Room for so many KiB.
    pub fn new(kib: usize) -> Room {
        Room(Arc::new(Semaphore::new(kib)))
    }

    /// Makes sure that so many bytes are held; false where there is no room for them.
    pub fn hold(&self, held: &mut Held, len: usize) -> bool {
        let wanted = if len <= UNCOUNTED { 0 } else { len.div_ceil(1 << 10) };
        let missing = wanted.saturating_sub(held.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        if missing == 0 {
            return true;
        }
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&self.0).try_acquire_many_owned(missing) else { return false };
        match &mut held.0 {
            Some(known) => known.merge(more),
            none => *none = Some(more),
        }
        true
    }
}

/// Reads a whole body of at most `limit` bytes within `time`, and what so many bytes take a slow sender; with it comes what it holds of
/// the room, where it is counted.
pub async fn read(
    mut body: Incoming,
    limit: usize,
    time: Duration,
    room: Option<&Room>,
) -> Result<(Bytes, Held), Unreadable> {
    let deadline = Instant::now() + time + Duration::from_millis(limit as u64 / SLOWEST);
    let mut held = Held::default();
    if body.size_hint().lower() > limit as u64 {
        drain(body, deadline).await;
        return Err(Unreadable::TooLarge);
    }
    let Some(first) = next(&mut body, deadline).await? else { return Ok((Bytes::new(), held)) };
    let mut second = if body.is_end_stream() { None } else { next(&mut body, deadline).await? };
    if second.is_none() && first.len() <= limit {
        return Ok((first, held));
    }
    let mut whole = BytesMut::from(first);
    while let Some(piece) = second {
        let len = whole.len() + piece.len();
        if len > limit {
            drain(body, deadline).await;
            return Err(Unreadable::TooLarge);
        }
        if room.is_some_and(|room| !room.hold(&mut held, len)) {
            drop((whole, held));
            drain(body, deadline).await;
            return Err(Unreadable::NoRoom);
        }
        whole.extend_from_slice(&piece);
        second = next(&mut body, deadline).await?;
    }
    if whole.len() > limit { Err(Unreadable::TooLarge) } else { Ok((whole.freeze(), held)) }
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

async fn drain(mut body: Incoming, deadline: Instant) {
    let mut drained = 0;
    while drained < DRAINED {
        match next(&mut body, deadline).await {
            Ok(Some(piece)) => drained += piece.len(),
            Ok(None) | Err(_) => break,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_shared_and_given_back() {
        let room = Room::new(256);
        let [mut one, mut two, mut three] = [(); 3].map(|()| Held::default());
        assert!(room.hold(&mut one, 100 << 10) && room.hold(&mut one, 200 << 10), "it grows");
        assert!(room.hold(&mut one, 1), "and never shrinks");
        assert!(room.hold(&mut two, UNCOUNTED) && !room.hold(&mut two, UNCOUNTED + 1), "little is not counted");
        drop(one);
        assert!(room.hold(&mut two, 256 << 10) && !room.hold(&mut three, 256 << 10));
    }
}
