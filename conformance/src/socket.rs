//! A WebSocket, as a script speaks to it: text frames out, text frames in.

use protocol::Json;
use protocol::json::{self, MAX_DEPTH};
use std::net::TcpStream;
use std::time::Duration;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{ClientRequestBuilder, Message, WebSocket};

/// How long a frame that must come may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open socket.
pub struct Socket {
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    /// Opens one; an error is the HTTP status that came instead.
    pub fn open(address: &str, path: &str) -> Result<Socket, u16> {
        let url = format!("ws://{address}{path}").parse().expect("an address");
        match tungstenite::connect(ClientRequestBuilder::new(url)) {
            Ok((mut socket, _)) => {
                if let MaybeTlsStream::Plain(stream) = socket.get_mut() {
                    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has timeouts");
                }
                Ok(Socket { socket })
            }
            Err(tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("no socket at {address}{path}: {error}"),
        }
    }

    /// Sends a text frame.
    pub fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("the node takes frames");
    }

    /// Sends a text frame to a node that may be gone; whether it took it.
    pub fn try_send(&mut self, text: &str) -> bool {
        self.socket.send(Message::text(text)).is_ok()
    }

    /// The next text frame; none where the socket ends first, in order or not.
    pub fn next_frame(&mut self) -> Option<Json> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    return Some(json::parse(text.as_bytes(), MAX_DEPTH).expect("a frame that came is whole"));
                }
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(Message::Binary(_) | Message::Close(_) | Message::Frame(_)) | Err(_) => return None,
            }
        }
    }

    /// Sends a binary frame.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.send(Message::binary(bytes.to_vec())).expect("the node takes frames");
    }

    /// The next text frame, which must be JSON in canonical form.
    pub fn frame(&mut self) -> Json {
        loop {
            match self.socket.read().expect("a frame comes") {
                Message::Text(text) => {
                    let value = json::parse(text.as_bytes(), MAX_DEPTH).expect("a frame is JSON");
                    assert_eq!(value.to_jcs(), text.as_str(), "frames are canonical");
                    return value;
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("a text frame, not {other:?}"),
            }
        }
    }

    /// That nothing was sent but what was read: the node answers a ping after all that it had to say before.
    pub fn is_silent(&mut self) -> bool {
        self.socket.send(Message::Ping(vec![7].into())).expect("the node takes frames");
        loop {
            match self.socket.read().expect("a pong comes") {
                Message::Pong(_) => return true,
                Message::Ping(_) => {}
                Message::Text(_) | Message::Binary(_) | Message::Close(_) | Message::Frame(_) => return false,
            }
        }
    }

    /// Waits for a ping.
    pub fn pinged(&mut self) {
        while !matches!(self.socket.read().expect("the socket lives"), Message::Ping(_)) {}
    }

    /// Reads to the end; whether it was the node that ended it.
    pub fn ends(&mut self) -> bool {
        loop {
            match self.socket.read() {
                Ok(Message::Close(_)) => return true,
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) => {
                    return !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                }
                Err(_) => return true,
            }
        }
    }
}
