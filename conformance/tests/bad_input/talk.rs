//! One conversation with a node, whatever is said in it, and all that comes back, told in short: `400 invalid_json`, `200 -, 400 -`,
//! `Error invalid_json`, `close 1002`, `ends -`.

use conformance::people::json;
use conformance::wire::{Answer, Ask, Connection};
use protocol::Json;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// How long a node may leave anything unanswered here. It hangs where it takes longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The input ends here, and so does what the client sends.
const END: &[u8] = b"<eof>";
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// One request that is HTTP.
pub fn request(address: &str, method: &str, target: &str, (headers, body): (&[(String, String)], &[u8])) -> String {
    let mut ask = Ask::of(method, target).header("Connection", "close");
    ask.headers.extend_from_slice(headers);
    ask.body = body.to_vec();
    let answer = Connection::open(address).and_then(|mut connection| connection.ask(&ask));
    match answer {
        Ok(answer) => told(&answer),
        Err(error) => format!("none {error}"),
    }
}

/// Sends bytes and hears everything until the node ends the connection.
pub fn bytes(address: &str, input: &[u8]) -> String {
    let (input, ends) = match input.strip_suffix(END) {
        Some(input) => (input, true),
        None => (input, false),
    };
    match exchange(address, input, ends) {
        Ok(answers) if answers.is_empty() => "ends -".into(),
        Ok(answers) => answers.join(", "),
        Err(error) => format!("none {error}"),
    }
}

fn exchange(address: &str, input: &[u8], ends: bool) -> io::Result<Vec<String>> {
    let mut connection = Connection::open(address)?;
    let mut stream = connection.try_clone()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // A node that has heard enough may close while more is sent: then its answer counts.
    let sent = stream.write_all(input);
    if ends && sent.is_ok() {
        stream.shutdown(Shutdown::Write)?;
    }
    let mut answers = Vec::new();
    loop {
        match connection.read_answer() {
            Ok(answer) => answers.push(told(&answer)),
            Err(error) if is_end(&error) => return Ok(answers),
            Err(error) => return Err(error),
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// Status and code; of a stream of lines, the codes in order.
fn told(answer: &Answer) -> String {
    let kind = answer.header("content-type").unwrap_or("");
    let codes: Vec<String> = match kind {
        "application/json" => vec![code(&answer.json())],
        "application/x-ndjson" => answer.text().lines().map(|line| code(&json(line))).collect(),
        _ => vec!["-".into()],
    };
    // An interim answer says nothing but that the rest may come.
    format!("{} {}", answer.status, codes.join("+"))
}

fn code(value: &Json) -> String {
    value.member("error").and_then(Json::as_text).unwrap_or("-").into()
}

/// A WebSocket whose frames are made by hand.
pub struct Wire {
    stream: TcpStream,
}

impl Wire {
    /// Opens one; the status of another answer than an upgrade.
    pub fn open(address: &str, path: &str) -> io::Result<Result<Wire, u16>> {
        let mut connection = Connection::open(address)?;
        let handshake = Ask::get(path)
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==");
        let answer = connection.ask(&handshake)?;
        if answer.status != 101 {
            return Ok(Err(answer.status));
        }
        let stream = connection.into_stream();
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Ok(Wire { stream }))
    }

    /// Sends a frame of text.
    pub fn text(&mut self, text: &[u8]) -> io::Result<()> {
        self.stream.write_all(&frame(TEXT, text))
    }

    /// Sends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// What the node says: the first frame of text, which may take its time, and whatever comes before it answers a ping after that; or
    /// that it ended the socket.
    pub fn hear(&mut self) -> io::Result<String> {
        let mut heard = Vec::new();
        loop {
            match self.frame() {
                Ok((PONG, _)) => break,
                Ok((TEXT, text)) => {
                    heard.push(said(&text));
                    if heard.len() == 1 {
                        self.stream.write_all(&frame(PING, b"?"))?;
                    }
                }
                Ok((CLOSE, reason)) => {
                    let code = reason.first_chunk().map_or("-".into(), |code| u16::from_be_bytes(*code).to_string());
                    heard.push(format!("close {code}"));
                    break;
                }
                Ok((_, _)) => {}
                Err(error) if is_end(&error) => {
                    heard.push("ends -".into());
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(heard.join(", "))
    }

    /// Kind and payload of the next frame, which a server does not mask.
    fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let [first, second] = self.exactly()?;
        let len = match second {
            126 => usize::from(u16::from_be_bytes(self.exactly()?)),
            127 => usize::try_from(u64::from_be_bytes(self.exactly()?)).map_err(|_| io::ErrorKind::InvalidData)?,
            len => usize::from(len),
        };
        let mut payload = vec![0; len];
        self.stream.read_exact(&mut payload)?;
        Ok((first & 0x0f, payload))
    }

    fn exactly<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// A whole frame as a client sends it; its mask is zero, which masks nothing.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len();
    let mut bytes = vec![0x80 | kind];
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ 0..=125), _) => bytes.push(0x80 | len),
        (_, Ok(len)) => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&len.to_be_bytes());
        }
        (_, Err(_)) => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// A frame of text in short: its type, and its code or reason.
fn said(text: &[u8]) -> String {
    let value = json(&String::from_utf8_lossy(text));
    let member = |name: &str| value.member(name).and_then(Json::as_text);
    let kind = member("type").unwrap_or("?");
    format!("{kind} {}", member("error").or(member("reason")).unwrap_or("-"))
}
