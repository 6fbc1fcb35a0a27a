//! `POST /commits`: lines in, lines out, both streamed. Signatures are checked on every core, commits are queued and answered in the
//! order of their lines.
//!
//! Three parts run beside each other: one cuts the body into lines and has them read and verified, piece by piece, one puts what was
//! verified into the writers' queues in order, one writes the answers. Each waits for the next when that is behind, so a sender
//! that is faster than the disk is held back by its connection, never refused.

use crate::body::{self, Held, Streamed};
use crate::engine::Pending;
use crate::host::{Asked, Host, Peer, refusal_code};
use axum::body::Body;
use axum::http::Response as HttpResponse;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use bytes::{Bytes, BytesMut};
use hyper::body::Incoming;
use protocol::code::Detail;
use protocol::{Code, CommitHash, Rejection};
use service::Call;
use service::call::{Action, Response, Verdict};
use service::resolve::resolve_line;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Lines that may fail before step 5 of the pipeline: whoever sends more is not sending commits.
const MAX_FAILURES: usize = 100;
/// Lines verified as one piece: a core works on it for about a millisecond.
const PIECE: usize = 32;
/// Pieces that are verified ahead of the queue.
const PIECES_AHEAD: usize = 8;
/// Answers that a request waits for at once.
const IN_FLIGHT: usize = 2048;
/// Bytes of answers that are gathered before they are sent, unless there is nothing more to say at the moment.
const GATHERED: usize = 32 << 10;
/// Gathered answers that wait for a slow reader.
const UNREAD: usize = 4;

/// A line that was read.
struct Line {
    len: usize,
    call: Result<Call, (Option<CommitHash>, Rejection)>,
}

/// What the first part hands to the second.
enum Piece {
    Lines(JoinHandle<Vec<Line>>),
    Cut(Rejection),
}

/// What the second part hands to the third.
enum Answer {
    /// It is known.
    Ready(Asked, Response),
    /// It comes from the writer.
    Pending(Asked, Waiting),
    /// The last line, after which nothing is read.
    Cut(Rejection),
}

/// An answer that is on its way.
struct Waiting {
    pending: Pending,
    len: usize,
    /// Hash and signature hold, so only its time or its enclave can still fail before step 5.
    holds: bool,
}

/// What the three parts share.
struct Stream {
    host: Arc<Host>,
    peer: Peer,
    failures: AtomicUsize,
}

/// Begins to answer; the answer is written while the body is read.
pub fn answer(host: &Arc<Host>, peer: &Peer, body: Incoming) -> HttpResponse<Body> {
    let (out, written) = mpsc::channel(UNREAD);
    let stream = Stream { host: Arc::clone(host), peer: peer.clone(), failures: AtomicUsize::new(0) };
    tokio::spawn(async move {
        let (verified, pieces) = mpsc::channel(PIECES_AHEAD);
        let (queued, answers) = mpsc::channel(IN_FLIGHT);
        tokio::join!(stream.read(body, verified), stream.queue(pieces, queued), stream.write(answers, out));
    });
    let mut response = HttpResponse::new(Body::new(Streamed(written)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}

impl Stream {
    /// Cuts the body into lines. Ends when the body does, at a limit, or when nobody takes its pieces any more.
    async fn read(&self, mut body: Incoming, verified: Sender<Piece>) {
        let limits = self.host.engine.facts().limits;
        let time = Duration::from_millis(self.host.config.listen.body_timeout_ms);
        let mut splitter = Splitter::new(limits.commit_len);
        let mut stopping = self.host.stopping.clone();
        let (mut len, mut count, mut held) = (0, 0, Held::default());
        let cut = loop {
            let received = tokio::select! {
                received = body::next(&mut body, Instant::now() + time) => received,
                () = stopping.asked() => break Some(Code::Overloaded.into()),
            };
            let received = match received {
                Ok(Some(received)) => received,
                Ok(None) => break None,
                Err(_) => return,
            };
            len += received.len();
            let mut lines = splitter.push(&received);
            let room = limits.lines - count;
            let too_many = lines.len() > room;
            lines.truncate(room);
            count += lines.len();
            if !self.verify(lines, &verified).await {
                return;
            }
            if too_many {
                break Some(Rejection::with(Code::LimitExceeded, Detail::Limit(limits.lines as u64)));
            }
            if !self.host.bodies.hold(&mut held, splitter.partial.len()) {
                break Some(Code::Overloaded.into());
            }
            if len > limits.lines_len {
                break Some(Rejection::with(Code::TooLarge, Detail::Limit(limits.lines_len as u64)));
            }
        };
        let last = match cut {
            Some(rejection) => Some(Piece::Cut(rejection)),
            None => match splitter.finish() {
                Some(_) if count >= limits.lines => {
                    Some(Piece::Cut(Rejection::with(Code::LimitExceeded, Detail::Limit(limits.lines as u64))))
                }
                Some(line) => Some(self.spawn(vec![line])),
                None => None,
            },
        };
        if let Some(last) = last
            && verified.send(last).await.is_err()
        {
            tracing::trace!("the lines were cut off before the last");
        }
        drop(verified);
        if stopping.is_asked() {
            // A connection that is closed over unread bytes is reset, and a reset takes away answers that are still on their way.
            while let Ok(Some(_)) = body::next(&mut body, Instant::now() + time).await {}
        }
    }

    /// Has lines verified; false when nobody waits for them.
    async fn verify(&self, mut lines: Vec<Bytes>, verified: &Sender<Piece>) -> bool {
        while !lines.is_empty() {
            let rest = lines.split_off(lines.len().min(PIECE));
            if verified.send(self.spawn(lines)).await.is_err() {
                return false;
            }
            lines = rest;
        }
        true
    }

    fn spawn(&self, lines: Vec<Bytes>) -> Piece {
        let host = Arc::clone(&self.host);
        Piece::Lines(tokio::spawn(async move {
            host.resolving(|resolver| {
                let read = |line: &Bytes| Line { len: line.len(), call: resolve_line(resolver, line) };
                lines.iter().map(read).collect()
            })
        }))
    }

    /// Queues what was verified, in order. Ends with its pieces, or when too many lines have failed.
    async fn queue(&self, mut pieces: Receiver<Piece>, queued: Sender<Answer>) {
        while let Some(piece) = pieces.recv().await {
            let lines = match piece {
                Piece::Cut(rejection) => {
                    send(&queued, Answer::Cut(rejection)).await;
                    return;
                }
                Piece::Lines(lines) => match lines.await {
                    Ok(lines) => lines,
                    Err(error) => {
                        tracing::error!(%error, "reading lines has panicked");
                        return;
                    }
                },
            };
            for line in lines {
                if self.failures.load(Ordering::Relaxed) >= MAX_FAILURES {
                    let rejection = Rejection::with(Code::LimitExceeded, Detail::Limit(MAX_FAILURES as u64));
                    send(&queued, Answer::Cut(rejection)).await;
                    return;
                }
                let answer = self.submit(line).await;
                if !send(&queued, answer).await {
                    return;
                }
            }
        }
    }

    async fn submit(&self, line: Line) -> Answer {
        let call = match line.call {
            Ok(call) => call,
            Err((hash, rejection)) => {
                self.failed();
                self.host.chain.unread(self.peer.address);
                return Answer::Ready(Asked::unread(hash, line.len), Response::refusal(&rejection, hash.as_ref()));
            }
        };
        let asked = Asked::of(&call, line.len);
        let holds = match &call.action {
            Action::Commit(checked) => matches!(checked.verdict, Verdict::Verified(_)),
            _ => false,
        };
        if let Err(refusal) = self.host.admit(&self.peer, &call, line.len).await {
            self.failed();
            return Answer::Ready(asked, refusal);
        }
        match self.host.engine.submit_when_free(call, line.len).await {
            Ok(pending) => {
                if !holds {
                    self.failed();
                }
                Answer::Pending(asked, Waiting { pending, len: line.len, holds })
            }
            Err(rejection) => Answer::Ready(asked, Response::refusal(&rejection, asked.hash.as_ref())),
        }
    }

    fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes the answers, in order. What was queued is answered even when the lines were cut off after it.
    async fn write(&self, mut answers: Receiver<Answer>, out: Sender<Bytes>) {
        let mut gathered = BytesMut::new();
        loop {
            let next = match answers.try_recv() {
                Ok(answer) => Some(answer),
                Err(_) => {
                    if !flush(&mut gathered, &out).await {
                        return;
                    }
                    answers.recv().await
                }
            };
            let (asked, response) = match next {
                None => break,
                Some(Answer::Ready(asked, response)) => (asked, response),
                Some(Answer::Cut(rejection)) => (Asked::unread(None, 0), Response::error(&rejection)),
                Some(Answer::Pending(asked, waiting)) => (asked, self.finish(waiting).await),
            };
            self.host.count(&asked, &response);
            gathered.extend_from_slice(&response.body);
            gathered.extend_from_slice(b"\n");
            if gathered.len() >= GATHERED && !flush(&mut gathered, &out).await {
                return;
            }
        }
        flush(&mut gathered, &out).await;
    }

    async fn finish(&self, Waiting { pending, len, holds }: Waiting) -> Response {
        let response = self.host.engine.finish(pending, len).await;
        let before_step_5 = match refusal_code(&response) {
            Some(Code::Expired | Code::ExpTooFar | Code::ClockBehind | Code::EnclaveNotFound) => true,
            Some(_) | None => false,
        };
        if holds && before_step_5 {
            self.failed();
        }
        response
    }
}

async fn send(queued: &Sender<Answer>, answer: Answer) -> bool {
    queued.send(answer).await.is_ok()
}

/// Sends what was gathered; false when nobody reads any more.
async fn flush(gathered: &mut BytesMut, out: &Sender<Bytes>) -> bool {
    gathered.is_empty() || out.send(gathered.split().freeze()).await.is_ok()
}

/// Cuts bytes into lines. Of a line that is longer than any commit only so much is kept that it is seen to be.
struct Splitter {
    limit: usize,
    partial: BytesMut,
}

impl Splitter {
    fn new(limit: usize) -> Splitter {
        Splitter { limit, partial: BytesMut::new() }
    }

    /// The lines that end in these bytes, blank ones left out.
    fn push(&mut self, bytes: &Bytes) -> Vec<Bytes> {
        let mut lines = Vec::new();
        let mut from = 0;
        while let Some(len) = bytes[from..].iter().position(|byte| *byte == b'\n') {
            let piece = bytes.slice(from..from + len);
            from += len + 1;
            let line = if self.partial.is_empty() {
                piece
            } else {
                self.keep(&piece);
                self.partial.split().freeze()
            };
            if !is_blank(&line) {
                lines.push(line);
            }
        }
        self.keep(&bytes[from..]);
        lines
    }

    /// The last line, if it has no end.
    fn finish(self) -> Option<Bytes> {
        let line = self.partial.freeze();
        (!is_blank(&line)).then_some(line)
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = (self.limit + 1).saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&'static [u8]], limit: usize) -> Vec<Bytes> {
        let mut splitter = Splitter::new(limit);
        let mut lines: Vec<Bytes> = pieces.iter().flat_map(|piece| splitter.push(&Bytes::from_static(piece))).collect();
        lines.extend(splitter.finish());
        lines
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let whole: &[u8] = b"one\n\n \r\ntwo\r\nthree";
        let expected = [&b"one"[..], b"two\r", b"three"];
        assert_eq!(split(&[whole], 10), expected);
        for at in 0..=whole.len() {
            assert_eq!(split(&[&whole[..at], &whole[at..]], 10), expected, "cut at {at}");
        }
    }

    #[test]
    fn of_a_line_too_long_little_is_kept() {
        let lines = split(&[b"0123456789", b"0123456789", b"01\nx\n"], 12);
        assert_eq!(lines[0].len(), 13, "one byte beyond the limit shows it");
        assert_eq!(lines[1..], [&b"x"[..]]);
    }
}
