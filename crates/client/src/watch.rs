//! A subscription: history, then what happens, each event verified, across drops of the connection and ends of sessions.

use crate::enclave::Enclave;
use crate::error::{Answer, Error, Falsehood};
use crate::filter::Filter;
use crate::refusal::Refusal;
use crate::thread::{Thread, Whole};
use protocol::fields::{Fields, wrong};
use protocol::json::{self, MAX_DEPTH};
use protocol::{Code, Event, Json, Rejection};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

/// How long a read waits before the session and the connection are looked after.
const TICK: Duration = Duration::from_secs(5);
/// A node pings every 30 s; when nothing at all has come for this long the connection is taken for dead.
const SILENCE: Duration = Duration::from_secs(75);
/// The first wait before a connection is made again; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A subscription is made again with a new session when its own has less than this left.
const RENEW_BEFORE_SECS: u64 = 300;
/// The one subscription of a connection.
const SUB_ID: &str = "watch";

/// A subscription. See [`Enclave::watch`].
pub struct Watch<'a> {
    enclave: &'a Enclave,
    filter: Filter,
    thread: Thread,
    connection: Option<Connection>,
    wait: Duration,
    caught_up: bool,
    asked_again: bool,
    relocated: bool,
}

struct Connection {
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    heard: Instant,
    session_ends_secs: Option<u64>,
}

/// What a subscription brings.
#[derive(Debug)]
pub enum Seen {
    /// An event, verified.
    Event(Box<Event>),
    /// All of history has come; what follows happens now.
    CaughtUp,
    /// The enclave has moved, and the subscription goes on at the node that it has moved to, behind the last event.
    Moved(String),
    /// The connection is lost; the next call waits this long and goes on where it was.
    Dropped(Error, Duration),
    /// The node has ended the subscription, and said why.
    Ended(String),
}

/// What became of an event.
enum Taken {
    Next,
    AskedAgain,
}

enum Frame {
    Event(Box<Event>),
    EndOfHistory,
    Closed(String),
    Refused(Box<Refusal>),
}

impl Enclave {
    /// Subscribes. The filter's `after_seq` says where to begin; nothing is connected before the first [`Watch::next`].
    pub fn watch(&self, filter: &Filter) -> Watch<'_> {
        let whole = if filter.takes_whole_types() { Whole::Types } else { Whole::Nothing };
        Watch {
            enclave: self,
            filter: Filter { reverse: false, ..filter.clone() },
            thread: self.thread(filter, whole),
            connection: None,
            wait: Duration::ZERO,
            caught_up: false,
            asked_again: false,
            relocated: false,
        }
    }
}

impl Watch<'_> {
    /// Waits for the next thing. After [`Seen::Dropped`] it may be called again, after [`Seen::Ended`] not.
    ///
    /// # Errors
    /// [`Error::Refused`] if nothing may be read; [`Error::False`] for an event that does not verify.
    #[expect(clippy::should_implement_trait, reason = "an end of the node's is no end of an iterator")]
    pub fn next(&mut self) -> Result<Seen, Error> {
        loop {
            let frame = match self.frame() {
                Ok(frame) => frame,
                Err(error @ Error::Unreachable { .. }) => return Ok(self.dropped(error)),
                Err(error) => return Err(error),
            };
            match frame {
                None => {}
                Some(Frame::Event(event)) => match self.take(&event)? {
                    Taken::Next => return Ok(Seen::Event(event)),
                    Taken::AskedAgain => {}
                },
                Some(Frame::EndOfHistory) => {
                    self.asked_again = false;
                    if !self.caught_up {
                        self.caught_up = true;
                        return Ok(Seen::CaughtUp);
                    }
                }
                Some(Frame::Closed(reason)) => match reason.as_str() {
                    "session_expired" | "slow_consumer" => {
                        self.enclave.renew_session();
                        self.subscribe()?;
                    }
                    "invalid_session" if !self.relocated && self.enclave.relocate()? => {
                        self.relocated = true;
                        self.subscribe()?;
                    }
                    "enclave_migrated" if self.enclave.following => return self.go_on(reason),
                    _ => return closed(reason),
                },
                Some(Frame::Refused(refusal)) => return Err(Error::Refused(refusal)),
            }
        }
    }

    /// Gives up the connection; the next [`Watch::next`] makes another and goes on behind the last event.
    pub fn drop_connection(&mut self) {
        self.connection = None;
    }

    /// Verifies an event and takes it up, unless events before it are missing.
    fn take(&mut self, event: &Event) -> Result<Taken, Error> {
        if !self.filter.takes(event) {
            return Err(Falsehood::Unasked { seq: event.position.seq }.into());
        }
        let event_hash = self.enclave.verify_event(event)?;
        match self.thread.take(event, event_hash) {
            // One who could not read for a while is not sent what came then; history has it once reading is allowed again.
            Err(Falsehood::Gap { .. }) if !self.asked_again => {
                self.asked_again = true;
                self.subscribe()?;
                return Ok(Taken::AskedAgain);
            }
            taken => taken?,
        }
        self.filter.after_seq = Some(event.position.seq);
        self.wait = Duration::ZERO;
        Ok(Taken::Next)
    }

    /// The node has handed the enclave over. Whoever waits for the next one has no place in between: what comes first there follows what came
    /// last here.
    fn go_on(&mut self, reason: String) -> Result<Seen, Error> {
        self.connection = None;
        match self.enclave.go_on() {
            Ok(true) => {
                (self.wait, self.relocated) = (Duration::ZERO, false);
                Ok(Seen::Moved(self.enclave.node().url().into()))
            }
            Ok(false) | Err(Error::Refused(_)) => closed(reason),
            Err(error @ (Error::Moving(_) | Error::Unreachable { .. })) => Ok(self.dropped(error)),
            Err(other) => Err(other),
        }
    }

    fn dropped(&mut self, error: Error) -> Seen {
        self.connection = None;
        self.wait = if self.wait.is_zero() { FIRST_WAIT } else { (self.wait * 2).min(LONGEST_WAIT) };
        Seen::Dropped(error, self.wait)
    }

    /// The next frame; none when a tick passed without one.
    fn frame(&mut self) -> Result<Option<Frame>, Error> {
        if self.connection.is_none() {
            std::thread::sleep(self.wait);
            self.enclave.go_on_if_known()?;
            self.connection = Some(connect(self.enclave)?);
            self.subscribe()?;
        }
        self.renew()?;
        let Some(connection) = &mut self.connection else { return Ok(None) };
        let lost = |cause: String| Error::Unreachable { url: self.enclave.node().url().into(), cause, sent: true };
        match connection.socket.read() {
            Ok(Message::Text(text)) => {
                connection.heard = Instant::now();
                parse_frame(text.as_bytes()).map(Some).map_err(|_| Falsehood::Shape(Answer::Frame).into())
            }
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {
                connection.heard = Instant::now();
                Ok(None)
            }
            Ok(Message::Binary(_)) => Err(Falsehood::Shape(Answer::Frame).into()),
            Ok(Message::Close(_)) => Err(lost("the node closed the connection".into())),
            Err(tungstenite::Error::Io(error)) if is_tick(&error) => {
                if connection.heard.elapsed() > SILENCE {
                    Err(lost("silence".into()))
                } else {
                    Ok(None)
                }
            }
            Err(error) => Err(lost(error.to_string())),
        }
    }

    /// Subscribes again, which replaces the subscription, before the session ends.
    fn renew(&mut self) -> Result<(), Error> {
        let ends = self.connection.as_ref().and_then(|connection| connection.session_ends_secs);
        let now_secs = self.enclave.node().now() / 1000;
        if ends.is_some_and(|ends| ends < now_secs + RENEW_BEFORE_SECS) {
            self.enclave.renew_session();
            self.subscribe()?;
        }
        Ok(())
    }

    fn subscribe(&mut self) -> Result<(), Error> {
        let mut members = vec![
            ("type", Json::from("Query")),
            ("sub_id", Json::from(SUB_ID)),
            ("enclave", Json::from(self.enclave.id().hex())),
            ("filter", self.filter.to_json()),
        ];
        let session = self.enclave.plain_session()?;
        let ends = if session.is_some() { Some(self.enclave.session_ends_secs()?) } else { None };
        if let Some((from, token)) = session {
            members.extend([("from", Json::from(from.hex())), ("session", Json::from(token))]);
        }
        let Some(connection) = &mut self.connection else { return Ok(()) };
        connection.session_ends_secs = ends;
        let text = Json::object(members).to_jcs();
        let sent = connection.socket.send(Message::text(text));
        let url = || self.enclave.node().url().into();
        sent.map_err(|error| Error::Unreachable { url: url(), cause: error.to_string(), sent: true })
    }
}

/// Why a subscription was ended: a refusal by its code, or an end that was asked for.
fn closed(reason: String) -> Result<Seen, Error> {
    match Code::parse(&reason) {
        None => Ok(Seen::Ended(reason)),
        Some(code) => {
            let (message, detail) = (code.message().into(), Default::default());
            Err(Refusal { code, status: 0, message, retry_after_secs: None, detail }.into())
        }
    }
}

fn connect(enclave: &Enclave) -> Result<Connection, Error> {
    let node = enclave.node();
    let base = node.url();
    let url = format!("ws{}/", base.strip_prefix("http").unwrap_or(base));
    let failed = |cause: String| Error::Unreachable { url: url.clone(), cause, sent: false };
    let request = tungstenite::ClientRequestBuilder::new(url.parse().map_err(|_| Error::Address(url.clone()))?)
        .with_header("User-Agent", node.link.caller());
    let (mut socket, _) = tungstenite::connect(request).map_err(|error| failed(error.to_string()))?;
    let timeout = match socket.get_mut() {
        MaybeTlsStream::Plain(stream) => stream.set_read_timeout(Some(TICK)),
        #[cfg(feature = "tls")]
        MaybeTlsStream::Rustls(stream) => stream.sock.set_read_timeout(Some(TICK)),
        _ => Ok(()),
    };
    timeout.map_err(|error| failed(error.to_string()))?;
    Ok(Connection { socket, heard: Instant::now(), session_ends_secs: None })
}

fn is_tick(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

fn parse_frame(text: &[u8]) -> Result<Frame, Rejection> {
    let value = json::parse(text, MAX_DEPTH)?;
    let mut fields = Fields::of(value)?;
    let kind = fields.text("type")?;
    if kind == "Error" {
        let mut members: Vec<(&str, Json)> = Vec::new();
        for name in ["error", "message", "hash", "path", "field", "index", "limit", "time"] {
            members.extend(fields.optional(name).map(|value| (name, value)));
        }
        fields.finish()?;
        return Refusal::from_json(Json::object(members), 0).map(|refusal| Frame::Refused(Box::new(refusal)));
    }
    if fields.text("sub_id")? != SUB_ID {
        return Err(wrong("sub_id"));
    }
    let frame = match kind.as_str() {
        "Event" => Frame::Event(Box::new(Event::from_json(fields.required("event")?)?)),
        "EOSE" => Frame::EndOfHistory,
        "Closed" => Frame::Closed(fields.text("reason")?),
        _ => return Err(wrong("type")),
    };
    fields.finish()?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_strictly() {
        let closed = parse_frame(br#"{"type":"Closed","sub_id":"watch","reason":"unauthorized"}"#);
        assert!(matches!(closed, Ok(Frame::Closed(reason)) if reason == "unauthorized"));
        assert!(matches!(parse_frame(br#"{"type":"EOSE","sub_id":"watch"}"#), Ok(Frame::EndOfHistory)));
        let refused = parse_frame(br#"{"type":"Error","error":"invalid_session","message":"x"}"#);
        assert!(matches!(refused, Ok(Frame::Refused(refusal)) if refusal.code == Code::InvalidSession));
        let wrong = [
            &br#"{"type":"EOSE","sub_id":"other"}"#[..],
            br#"{"type":"EOSE","sub_id":"watch","more":1}"#,
            br#"{"type":"Event","sub_id":"watch"}"#,
            br#"{"type":"Other","sub_id":"watch"}"#,
            br#"{"type":"Error","error":"none","message":"x"}"#,
        ];
        for text in wrong {
            assert!(parse_frame(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }
}
