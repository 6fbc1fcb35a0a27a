//! A WebSocket as cheap as it gets: frames are cut out of what a read brings, and not copied unless a read ends within one.

use crate::answer::Answer;
use anyhow::ensure;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a frame may take while a socket is opened.
const PATIENCE: Duration = Duration::from_secs(30);
/// RFC 6455's own sample key: the server's proof of it is not looked at, the frames that follow are.
const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What a frame brings; pings are answered and not shown.
pub enum Frame<'a> {
    /// A text.
    Text(&'a [u8]),
    /// The peer closes.
    End,
}

/// An open socket.
pub struct Socket {
    stream: TcpStream,
    partial: Vec<u8>,
}

impl Socket {
    /// Connects and upgrades.
    pub fn open(address: SocketAddr) -> anyhow::Result<Socket> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(UPGRADE)?;
        let mut answer = Answer::new();
        while !answer.read(&mut stream)? {}
        ensure!(answer.status() == 101, "no WebSocket: {}", answer.status());
        Ok(Socket { stream, partial: answer.beyond_head().to_vec() })
    }

    /// The connection, to be waited for.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends a text frame.
    pub fn send_text(&mut self, text: &str) -> anyhow::Result<()> {
        self.send(0x81, text.as_bytes())
    }

    /// Reads until this text comes, and nothing behind it.
    pub fn wait_for_text(&mut self, wanted: &[u8]) -> anyhow::Result<()> {
        let (mut scratch, mut found) = (vec![0; 4096], false);
        while !found {
            self.read_frames(&mut scratch, |frame| {
                match frame {
                    Frame::Text(text) if text == wanted => found = true,
                    Frame::Text(text) => anyhow::bail!("came instead: {}", String::from_utf8_lossy(text)),
                    Frame::End => anyhow::bail!("the node closed a socket"),
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// From here on reads that would wait bring nothing.
    pub fn begin_to_poll(&mut self) -> anyhow::Result<()> {
        Ok(self.stream.set_nonblocking(true)?)
    }

    /// Reads once, and takes every whole frame.
    pub fn read_frames(
        &mut self,
        scratch: &mut [u8],
        mut take: impl FnMut(Frame<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let read = match self.stream.read(scratch) {
            Ok(0) => return take(Frame::End),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut held = std::mem::take(&mut self.partial);
        let whole = if held.is_empty() {
            &scratch[..read]
        } else {
            held.extend_from_slice(&scratch[..read]);
            &held[..]
        };
        let mut at = 0;
        while let Some((opcode, from, len)) = frame(&whole[at..]) {
            let payload = &whole[at + from..at + from + len];
            match opcode {
                0x1 => take(Frame::Text(payload))?,
                0x8 => take(Frame::End)?,
                0x9 => self.send(0x8a, payload)?,
                _ => {}
            }
            at += from + len;
        }
        self.partial = whole[at..].to_vec();
        Ok(())
    }

    /// A frame with a mask of zeros: RFC 6455 asks for a random one for the sake of proxies, of which there is none on loopback.
    fn send(&mut self, first: u8, payload: &[u8]) -> anyhow::Result<()> {
        let len = u16::try_from(payload.len())?;
        let mut frame = vec![first];
        match u8::try_from(len) {
            Ok(short @ ..=125) => frame.push(0x80 | short),
            _ => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&len.to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        Ok(self.stream.write_all(&frame)?)
    }
}

/// Opcode, place of the payload and its length, if the frame is whole.
fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let [first, second, rest @ ..] = bytes else { return None };
    let (from, len): (usize, usize) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?),
        short => (2, usize::from(short)),
    };
    (bytes.len() >= from.checked_add(len)?).then_some((first & 0x0f, from, len))
}

#[cfg(test)]
mod tests {
    use super::frame;

    #[test]
    fn a_frame_is_whole_exactly_at_its_end() {
        let long = [vec![0x81, 126, 1, 0], vec![b'x'; 256]].concat();
        let longer = [vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0], vec![b'x'; 65_536]].concat();
        for (bytes, found) in [
            (vec![0x89, 0], (9, 2, 0)),
            (vec![0x81, 3, b'a', b'b', b'c'], (1, 2, 3)),
            (long, (1, 4, 256)),
            (longer, (1, 10, 65_536)),
        ] {
            assert_eq!(frame(&bytes), Some(found));
            for len in (0..bytes.len().min(20)).chain([bytes.len() - 1]) {
                assert_eq!(frame(&bytes[..len]), None, "{len} of {}", bytes.len());
            }
        }
    }
}
