//! HTTP/1.1 by hand: a test says exactly what goes over the wire, and sees exactly what comes back.

use protocol::Json;
use protocol::json::{self, MAX_DEPTH};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long a node may take over one answer. A refused push endpoint takes the longest.
const PATIENCE: Duration = Duration::from_secs(60);
const JSON_TYPE: &str = "application/json";

/// A request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method, whatever it is.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers beside `Host` and `Content-Length`, which are added where they are missing.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, its transfer coding taken off.
    pub body: Vec<u8>,
}

/// A connection that is kept from one request to the next.
pub struct Connection {
    address: String,
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Ask {
    /// Any method, without a body.
    pub fn of(method: &str, target: &str) -> Ask {
        Ask { method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// A GET.
    pub fn get(target: &str) -> Ask {
        Ask::of("GET", target)
    }

    /// A POST of JSON.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Ask {
        Ask::post_as(JSON_TYPE, target, body)
    }

    /// A POST of another type.
    pub fn post_as(media_type: &str, target: &str, body: impl Into<Vec<u8>>) -> Ask {
        Ask { body: body.into(), ..Ask::of("POST", target).header("Content-Type", media_type) }
    }

    /// With a further header.
    pub fn header(mut self, name: &str, value: &str) -> Ask {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The bytes of the request.
    fn bytes(&self, address: &str) -> Vec<u8> {
        let has = |wanted: &str| self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !has("host") {
            head.push_str(&format!("Host: {address}\r\n"));
        }
        if !has("content-length") && !has("transfer-encoding") && (!self.body.is_empty() || self.method == "POST") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

impl Connection {
    /// Connects to `host:port`.
    pub fn open(address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection { address: address.into(), stream, unread: Vec::new() })
    }

    /// One request and its answer.
    pub fn ask(&mut self, ask: &Ask) -> io::Result<Answer> {
        let bytes = ask.bytes(&self.address);
        // A node may refuse before it has read everything: then the answer counts, not the write.
        let written = self.stream.write_all(&bytes);
        match self.read_answer() {
            Ok(answer) => Ok(answer),
            Err(error) => Err(written.err().unwrap_or(error)),
        }
    }

    /// Sends a request and reads nothing.
    pub fn send(&mut self, ask: &Ask) -> io::Result<()> {
        self.stream.write_all(&ask.bytes(&self.address))
    }

    /// Reads the next answer.
    pub fn read_answer(&mut self) -> io::Result<Answer> {
        let (status, headers) = self.read_head()?;
        let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let body = match (header("transfer-encoding"), header("content-length")) {
            (Some("chunked"), None) => self.read_chunks(&mut |_| {})?,
            (None, Some(len)) => {
                let len = len.parse().map_err(|_| broken("Content-Length"))?;
                self.read_exactly(len)?
            }
            (None, None) if status == 204 || status < 200 => Vec::new(),
            // The end of the connection is the end of the answer, where the server says so.
            (None, None) if header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) => {
                self.read_to_end()?
            }
            _ => return Err(broken("an answer of unknown length")),
        };
        Ok(Answer { status, headers, body })
    }

    /// Reads the next answer, which is sent piece by piece; `piece` hears each piece as it comes, also when the rest never does.
    pub fn read_streamed(&mut self, piece: &mut dyn FnMut(&[u8])) -> io::Result<Answer> {
        let (status, headers) = self.read_head()?;
        let body = self.read_chunks(piece)?;
        Ok(Answer { status, headers, body })
    }

    /// A second handle on the connection, to write while an answer is read.
    pub fn try_clone(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// Gives the connection away after an upgrade.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    fn read_head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut response = httparse::Response::new(&mut headers);
            let parsed = response.parse(&self.unread).map_err(|_| broken("the head of an answer"))?;
            let httparse::Status::Complete(len) = parsed else {
                self.read_more()?;
                continue;
            };
            let status = response.code.ok_or_else(|| broken("status"))?;
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let headers = response.headers.iter().map(|header| (header.name.to_ascii_lowercase(), text(header.value)));
            let headers = headers.collect();
            self.unread.drain(..len);
            return Ok((status, headers));
        }
    }

    fn read_chunks(&mut self, piece: &mut dyn FnMut(&[u8])) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let parsed = httparse::parse_chunk_size(&self.unread).map_err(|_| broken("a chunk"))?;
            let httparse::Status::Complete((head, len)) = parsed else {
                self.read_more()?;
                continue;
            };
            self.unread.drain(..head);
            let len = usize::try_from(len).map_err(|_| broken("a chunk"))?;
            let chunk = self.read_exactly(len + 2)?;
            if len == 0 {
                return Ok(body);
            }
            piece(&chunk[..len]);
            body.extend_from_slice(&chunk[..len]);
        }
    }

    fn read_exactly(&mut self, len: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < len {
            self.read_more()?;
        }
        Ok(self.unread.drain(..len).collect())
    }

    fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut body = std::mem::take(&mut self.unread);
        self.stream.read_to_end(&mut body)?;
        Ok(body)
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut chunk = [0; 64 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                self.unread.extend_from_slice(&chunk[..read]);
                Ok(())
            }
            // A read with a timeout ends so where the process was stopped and goes on. Whoever wants more asks again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Answer {
    /// The first header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, which must stand in canonical form.
    pub fn json(&self) -> Json {
        let value = json::parse(&self.body, MAX_DEPTH);
        let value = value.unwrap_or_else(|error| panic!("the answer is no JSON ({error:?}): {}", self.text()));
        assert_eq!(value.to_jcs(), self.text(), "JSON out is canonical");
        value
    }
}

impl Ask {
    /// Reads a request that states its length, as a server hears it: without the headers that are the connection's. None where the peer
    /// has left before the next one. `unread` keeps what came too early.
    pub fn read(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<Option<Ask>> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut request = httparse::Request::new(&mut headers);
            let parsed = request.parse(unread).map_err(|_| broken("the head of a request"))?;
            if let httparse::Status::Complete(start) = parsed {
                let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
                let mut ask = Ask::of(request.method.unwrap_or_default(), request.path.unwrap_or_default());
                let rows = request.headers.iter().map(|header| (header.name.to_owned(), text(header.value)));
                let (own, others): (Vec<_>, Vec<_>) = rows.partition(|(name, _)| is_of_the_connection(name));
                let len = own.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
                let len = len.map_or(Ok(0), |(_, len)| len.parse::<usize>());
                let end = start + len.map_err(|_| broken("Content-Length"))?;
                if unread.len() >= end {
                    ask.headers = others;
                    ask.body = unread[start..end].to_vec();
                    unread.drain(..end);
                    return Ok(Some(ask));
                }
            }
            let mut chunk = [0; 64 << 10];
            match stream.read(&mut chunk)? {
                0 if unread.is_empty() => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => unread.extend_from_slice(&chunk[..read]),
            }
        }
    }
}

impl Answer {
    /// Writes it as a server does, with its length, and what becomes of the connection: `keep-alive` or `close`.
    pub fn write(&self, stream: &mut TcpStream, connection: &str) -> io::Result<()> {
        let len = self.body.len();
        let mut head =
            format!("HTTP/1.1 {} Answer\r\nContent-Length: {len}\r\nConnection: {connection}\r\n", self.status);
        for (name, value) in self.headers.iter().filter(|(name, _)| !is_of_the_connection(name)) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(&[head.as_bytes(), b"\r\n", &self.body].concat())
    }
}

fn is_of_the_connection(name: &str) -> bool {
    ["host", "content-length", "transfer-encoding", "connection"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// One request on a connection of its own.
///
/// # Panics
/// Where no whole answer comes.
pub fn ask(address: &str, ask: &Ask) -> Answer {
    let answer =
        Connection::open(address).and_then(|mut connection| connection.ask(&ask.clone().header("Connection", "close")));
    answer.unwrap_or_else(|error| panic!("{} {} at {address}: {error}", ask.method, ask.target))
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
