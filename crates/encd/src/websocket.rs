//! A WebSocket: commits and subscriptions in, receipts and events out (`docs/protocol.md`, WebSocket).
//!
//! One task owns the socket. Commits are queued in the order of their frames and answered as they become durable. Each subscription
//! has a task of its own that reads on from its place in the log, a turn at a time, when its enclave has changed; the channel to the socket
//! holds a few turns, so a slow reader holds its subscriptions back and fills no memory.

use crate::host::{Asked, Host, Peer};
use crate::http::http_response;
use crate::stop::Stopping;
use crate::subscriber::{self, Turn};
use crate::tally::Held;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::Response as HttpResponse;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use futures_sink::Sink;
use protocol::code::Detail;
use protocol::{Code, EnclaveId, Rejection};
use service::Call;
use service::call::Response;
use service::live::{closed_frame, error_frame};
use service::resolve::{Frame, resolve_frame};
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

/// Turns of all subscriptions of a socket that wait for it.
const TURNS_AHEAD: usize = 4;
/// Bytes of a frame that are still taken so that it can be refused by name.
const FRAME_SLACK: usize = 64 << 10;
/// How long a peer may take to close its side when the node stops.
const CLOSING: Duration = Duration::from_secs(2);
/// Bytes read from a socket at a time. Each socket holds as much for as long as it is open, and clears it at each look.
const READ_BUFFER: usize = 4 << 10;
/// Bytes of frames that are gathered before they are written.
const WRITE_BUFFER: usize = 32 << 10;
/// Why a socket ends its subscriptions when its peer takes nothing.
const SLOW_CONSUMER: &str = "slow_consumer";

/// A socket and what hangs on it.
struct Session {
    host: Arc<Host>,
    peer: Peer,
    at: Option<EnclaveId>,
    socket: WebSocket,
    subscriptions: HashMap<String, Subscribed>,
    next_generation: u64,
    turns: mpsc::Sender<Turn>,
    commits: JoinSet<String>,
    _held: Held<IpAddr>,
}

/// A subscription, as its socket knows it.
struct Subscribed {
    /// Turns of an earlier one of the same name are dropped.
    generation: u64,
    task: AbortHandle,
}

/// The socket is done with.
struct Over;

/// Turns a request into a socket, if its address may have one more.
pub async fn upgrade(host: &Arc<Host>, peer: &Peer, at: Option<EnclaveId>, parts: &mut Parts) -> HttpResponse<Body> {
    let Some(held) = host.sockets.take(&peer.address) else {
        let limit = Detail::Limit(host.sockets.limit() as u64);
        return http_response(Response::error(&Rejection::with(Code::LimitExceeded, limit)));
    };
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(parts, &()).await else {
        return http_response(Response::error(&Code::InvalidStructure.into()));
    };
    let (host, peer) = (Arc::clone(host), peer.clone());
    let limit = host.engine.facts().limits.commit_len + FRAME_SLACK;
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(move |socket| async move {
            let (turns, taken) = mpsc::channel(TURNS_AHEAD);
            let session = Session {
                host,
                peer,
                at,
                socket,
                subscriptions: HashMap::new(),
                next_generation: 0,
                turns,
                commits: JoinSet::new(),
                _held: held,
            };
            session.run(taken).await;
        })
        .into_response()
}

impl Session {
    async fn run(mut self, mut taken: mpsc::Receiver<Turn>) {
        self.host.metrics.sockets(self.host.sockets.sum());
        let host = Arc::clone(&self.host);
        let mut stopping = host.stopping.clone();
        let end = self.exchange(&mut taken, &mut stopping).await;
        tracing::trace!(asked = end.is_ok(), "a socket has ended");
        for (_, subscribed) in self.subscriptions.drain() {
            subscribed.task.abort();
        }
        drop(self);
        host.metrics.sockets(host.sockets.sum());
    }

    /// Until either side ends it.
    async fn exchange(&mut self, taken: &mut mpsc::Receiver<Turn>, stopping: &mut Stopping) -> Result<(), Over> {
        let every = Duration::from_millis(self.host.config.websocket.ping_ms.max(1));
        let mut ping = interval_at(Instant::now() + every, every);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let most_commits = self.host.config.websocket.commits_in_flight;
        let mut heard = true;
        loop {
            tokio::select! {
                received = self.socket.recv(), if self.commits.len() < most_commits => {
                    heard = true;
                    match received {
                        Some(Ok(message)) => self.take(message).await?,
                        Some(Err(_)) | None => return Ok(()),
                    }
                }
                Some(turn) = taken.recv() => self.forward(turn, taken).await?,
                Some(answer) = self.commits.join_next(), if !self.commits.is_empty() => match answer {
                    Ok(frame) => self.send(frame).await?,
                    Err(error) => tracing::error!(%error, "a commit's task has panicked"),
                },
                _ = ping.tick() => {
                    if !heard {
                        return Err(Over);
                    }
                    heard = false;
                    self.transmit(Message::Ping(bytes::Bytes::new())).await?;
                }
                () = stopping.asked() => {
                    self.finish_commits().await?;
                    let close = CloseFrame { code: close_code::AWAY, reason: "the node stops".into() };
                    self.transmit(Message::Close(Some(close))).await?;
                    self.drain().await;
                    return Ok(());
                }
            }
        }
    }

    async fn take(&mut self, message: Message) -> Result<(), Over> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return self.send(error_frame(&Code::InvalidJson.into(), None)).await,
            // Pongs of ours and pings of theirs are answered below this layer.
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(Over),
        };
        // Before a signature is checked, which costs more than the refusal.
        if let Err(rejection) = self.host.chain.arriving(self.peer.address) {
            self.host.metrics.refused(rejection.code);
            return self.send(error_frame(&rejection, None)).await;
        }
        let frame = self.host.resolving(|resolver| resolve_frame(resolver, self.at, text.as_bytes()).map_err(Box::new));
        match frame {
            Ok(Frame::Commit(call)) => self.commit(call, text.len()).await,
            Ok(Frame::Subscribe { sub_id, call }) => self.subscribe(sub_id, call, text.len()).await,
            Ok(Frame::Close { sub_id }) => {
                let Some(subscribed) = self.subscriptions.remove(&sub_id) else { return Ok(()) };
                subscribed.task.abort();
                self.send(closed_frame(&sub_id, "closed")).await
            }
            Err(error) => {
                self.host.chain.unread(self.peer.address);
                self.host.metrics.refused(error.rejection.code);
                self.send(match &error.sub_id {
                    Some(sub_id) => closed_frame(sub_id, error.rejection.code.as_str()),
                    None => error_frame(&error.rejection, error.hash.as_ref()),
                })
                .await
            }
        }
    }

    /// Queues a commit; its answer comes back as one of the socket's tasks.
    async fn commit(&mut self, call: Call, len: usize) -> Result<(), Over> {
        let asked = Asked::of(&call, len);
        let queued = match self.host.admit(&self.peer, &call, len).await {
            Ok(()) => {
                let submitted = self.host.engine.submit(call, false, len);
                submitted.map_err(|rejection| Response::refusal(&rejection, asked.hash.as_ref()))
            }
            Err(refusal) => Err(refusal),
        };
        match queued {
            Ok(pending) => {
                let host = Arc::clone(&self.host);
                self.commits.spawn(async move {
                    let response = host.engine.finish(pending, len).await;
                    host.count(&asked, &response);
                    answer_frame(&response)
                });
                Ok(())
            }
            Err(refusal) => {
                self.host.count(&asked, &refusal);
                self.send(answer_frame(&refusal)).await
            }
        }
    }

    async fn subscribe(&mut self, sub_id: String, call: Call, len: usize) -> Result<(), Over> {
        if let Some(replaced) = self.subscriptions.remove(&sub_id) {
            replaced.task.abort();
        }
        if self.subscriptions.len() >= self.host.engine.facts().limits.subscriptions {
            return self.send(closed_frame(&sub_id, Code::LimitExceeded.as_str())).await;
        }
        self.next_generation += 1;
        let opening = subscriber::Opening {
            host: Arc::clone(&self.host),
            peer: self.peer.clone(),
            sub_id: sub_id.clone(),
            generation: self.next_generation,
            len,
        };
        let task = tokio::spawn(subscriber::run(opening, call, self.turns.clone())).abort_handle();
        self.subscriptions.insert(sub_id, Subscribed { generation: self.next_generation, task });
        Ok(())
    }

    /// Sends a turn, and with it what other subscriptions have ready, in one write where it is not too long for that.
    async fn forward(&mut self, turn: Turn, taken: &mut mpsc::Receiver<Turn>) -> Result<(), Over> {
        self.feed_turn(turn).await?;
        for _ in 0..TURNS_AHEAD {
            let Ok(turn) = taken.try_recv() else { break };
            self.feed_turn(turn).await?;
        }
        self.patiently(|socket, cx| socket.poll_flush(cx)).await
    }

    /// A turn goes out, unless its subscription has ended or was replaced meanwhile.
    async fn feed_turn(&mut self, turn: Turn) -> Result<(), Over> {
        let current = self.subscriptions.get(&turn.sub_id).is_some_and(|known| known.generation == turn.generation);
        if !current {
            return Ok(());
        }
        if turn.last {
            self.subscriptions.remove(&turn.sub_id);
        }
        for frame in turn.frames {
            self.feed(Message::Text(frame.into())).await?;
        }
        Ok(())
    }

    async fn finish_commits(&mut self) -> Result<(), Over> {
        while let Some(answer) = self.commits.join_next().await {
            if let Ok(frame) = answer {
                self.send(frame).await?;
            }
        }
        Ok(())
    }

    /// Reads on until the peer has closed as well, and takes nothing of it: a connection that is closed over unread bytes is reset, and
    /// a reset takes away receipts that are still on their way.
    async fn drain(&mut self) {
        let closed = timeout(CLOSING, async { while let Some(Ok(_)) = self.socket.recv().await {} }).await.is_ok();
        tracing::trace!(closed, "a socket was closed because the node stops");
    }

    async fn send(&mut self, frame: String) -> Result<(), Over> {
        self.transmit(Message::Text(frame.into())).await
    }

    /// Sends a message at once.
    async fn transmit(&mut self, message: Message) -> Result<(), Over> {
        self.feed(message).await?;
        self.patiently(|socket, cx| socket.poll_flush(cx)).await
    }

    /// Adds a message to what is to be written, which is at most [`WRITE_BUFFER`] and a message.
    async fn feed(&mut self, message: Message) -> Result<(), Over> {
        self.patiently(|socket, cx| socket.poll_ready(cx)).await?;
        Pin::new(&mut self.socket).start_send(message).map_err(|_| Over)
    }

    /// Waits for the socket. A peer that takes nothing for too long is told so, and given as long again to hear it.
    async fn patiently(
        &mut self,
        mut step: impl FnMut(Pin<&mut WebSocket>, &mut Context<'_>) -> Poll<Result<(), axum::Error>>,
    ) -> Result<(), Over> {
        let patience = Duration::from_millis(self.host.config.websocket.slow_ms);
        match timeout(patience, poll_fn(|cx| step(Pin::new(&mut self.socket), cx))).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(_)) => return Err(Over),
            Err(_) => {}
        }
        self.host.metrics.slow_consumer();
        let told = async {
            for sub_id in self.subscriptions.keys() {
                self.socket.send(Message::Text(closed_frame(sub_id, SLOW_CONSUMER).into())).await?;
            }
            let close = CloseFrame { code: close_code::POLICY, reason: SLOW_CONSUMER.into() };
            self.socket.send(Message::Close(Some(close))).await
        };
        let told = matches!(timeout(patience, told).await, Ok(Ok(())));
        tracing::debug!(told, "a socket was closed: its peer takes no frames");
        Err(Over)
    }
}

/// A commit's answer as a frame: the receipt as it is, a refusal with its type, which comes last in canonical order.
fn answer_frame(response: &Response) -> String {
    let text = String::from_utf8_lossy(&response.body);
    match text.strip_suffix('}') {
        Some(open) if response.status != 200 => format!("{open},\"type\":\"Error\"}}"),
        Some(_) | None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{CommitHash, PublicKey, json};

    #[test]
    fn a_refusal_becomes_the_frame_that_the_services_would_make() {
        let details = [
            Detail::None,
            Detail::Time(5),
            Detail::Limit(5),
            Detail::NewSequencer(PublicKey([1; 32])),
            Detail::Index(1),
        ];
        for detail in details {
            let rejection = Rejection::with(Code::Expired, detail);
            let hash = CommitHash([7; 32]);
            let frame = answer_frame(&Response::refusal(&rejection, Some(&hash)));
            assert_eq!(frame, error_frame(&rejection, Some(&hash)));
            let read = json::parse(frame.as_bytes(), json::MAX_DEPTH).expect("a frame is JSON");
            assert_eq!(read.to_jcs(), frame, "canonical");
        }
    }
}
