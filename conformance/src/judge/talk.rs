//! Reading JSON that a node sent, by name; and a WebSocket on which nothing panics.

use super::node::Subject;
use super::room::Room;
use super::why::{Because, Why, equal};
use protocol::json::{self, MAX_DEPTH};
use protocol::schnorr::KeyPair;
use protocol::{Event, Json};
use std::net::TcpStream;
use std::time::Duration;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{ClientRequestBuilder, Message, WebSocket};

/// How long a frame that must come may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A member of an object.
pub fn member<'a>(value: &'a Json, name: &str) -> Result<&'a Json, Why> {
    value.member(name).because(format!("{name} in {:.200}", value.to_jcs()))
}

/// A number in an object.
pub fn number(value: &Json, name: &str) -> Result<u64, Why> {
    member(value, name)?.as_uint().because(format!("the number {name} in {:.200}", value.to_jcs()))
}

/// A text in an object.
pub fn text<'a>(value: &'a Json, name: &str) -> Result<&'a str, Why> {
    member(value, name)?.as_text().because(format!("the text {name} in {:.200}", value.to_jcs()))
}

/// The elements of an array in an object.
pub fn list<'a>(value: &'a Json, name: &str) -> Result<&'a [Json], Why> {
    match member(value, name)? {
        Json::Array(items) => Ok(items),
        other => Err(Why::new(format!("{name} is a list, not {:.100}", other.to_jcs()))),
    }
}

/// That an object has exactly these members, which are given in order.
pub fn has_members(what: &str, value: &Json, wanted: &[&str]) -> Result<(), Why> {
    let Json::Object(members) = value else { return Err(Why::new(format!("{what} is an object"))) };
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    equal(format!("members of {what}"), names, wanted.to_vec())
}

/// A WebSocket to the node.
pub struct Talk {
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
}

impl Talk {
    /// Opens one; the inner error is the HTTP status that came instead.
    pub fn try_open(node: &Subject, path: &str) -> Result<Result<Talk, u16>, Why> {
        let url = format!("ws://{}{}", node.address.authority, node.target(path));
        let request = ClientRequestBuilder::new(url.parse().because("a socket's address")?);
        match tungstenite::connect(request) {
            Ok((mut socket, _)) => {
                if let MaybeTlsStream::Plain(stream) = socket.get_mut() {
                    stream.set_read_timeout(Some(PATIENCE)).because("a socket has timeouts")?;
                }
                Ok(Ok(Talk { socket }))
            }
            Err(tungstenite::Error::Http(answer)) => Ok(Err(answer.status().as_u16())),
            Err(error) => Err(Why::new(format!("no socket at {path}: {error}"))),
        }
    }

    /// Opens one that must open.
    pub fn open(node: &Subject, path: &str) -> Result<Talk, Why> {
        Talk::try_open(node, path)?.map_err(|status| Why::new(format!("no socket at {path}: {status}")))
    }

    /// Opens one and subscribes; what is there already is still to be read.
    pub fn subscribed(room: &Room<'_>, who: &KeyPair, filter: &str) -> Result<Talk, Why> {
        let mut talk = Talk::open(room.field.node, "/")?;
        talk.send(&subscription(room, who, "s", filter))?;
        Ok(talk)
    }

    /// Sends a text frame.
    pub fn send(&mut self, text: &str) -> Result<(), Why> {
        self.socket.send(Message::text(text)).because("a frame is taken")
    }

    /// The next text frame, which must be JSON in canonical form.
    pub fn frame(&mut self) -> Result<Json, Why> {
        loop {
            match self.socket.read().because("a frame comes")? {
                Message::Text(text) => {
                    let value = json::parse(text.as_bytes(), MAX_DEPTH).because("a frame is JSON")?;
                    equal("a frame is canonical", value.to_jcs().as_str(), text.as_str())?;
                    return Ok(value);
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => return Err(Why::new(format!("a text frame, not {other:?}"))),
            }
        }
    }

    /// The next frame, which must be exactly this.
    pub fn expect(&mut self, wanted: &Json) -> Result<(), Why> {
        equal("the next frame", self.frame()?.to_jcs(), wanted.to_jcs())
    }

    /// The end of a subscription's history.
    pub fn eose(&mut self, sub_id: &str) -> Result<(), Why> {
        self.expect(&Json::object([("type", Json::from("EOSE")), ("sub_id", Json::from(sub_id))]))
    }

    /// The end of a subscription.
    pub fn closed(&mut self, sub_id: &str, reason: &str) -> Result<(), Why> {
        let members = [("type", "Closed"), ("sub_id", sub_id), ("reason", reason)];
        self.expect(&Json::object(members.map(|(name, value)| (name, Json::from(value)))))
    }

    /// The event in the next frame, which must be this subscription's and verify.
    pub fn event(&mut self, sub_id: &str) -> Result<Event, Why> {
        let frame = self.frame()?;
        has_members("an Event frame", &frame, &["event", "sub_id", "type"])?;
        equal("an Event frame", (text(&frame, "type")?, text(&frame, "sub_id")?), ("Event", sub_id))?;
        let event = Event::from_json(member(&frame, "event")?.clone()).because("an event")?;
        event.verify().because("an event verifies")?;
        Ok(event)
    }

    /// The next frame, which must be an Error with this code.
    pub fn error(&mut self, code: &str) -> Result<Json, Why> {
        let frame = self.frame()?;
        equal("an Error frame", (text(&frame, "type")?, text(&frame, "error")?), ("Error", code))?;
        text(&frame, "message")?;
        Ok(frame)
    }
}

/// A subscription's frame, by somebody.
pub fn subscription(room: &Room<'_>, who: &KeyPair, sub_id: &str, filter: &str) -> String {
    room.asking(who, &format!(r#""type":"Query","sub_id":"{sub_id}","filter":{filter}"#))
}
