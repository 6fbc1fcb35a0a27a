//! Answers of HTTP/1.1, read no further than it takes to know where they end.

use anyhow::{Context, ensure};
use std::borrow::Cow;
use std::io::{ErrorKind, Read};

/// An answer as it comes in.
pub struct Answer {
    buffer: Vec<u8>,
    filled: usize,
    head: Option<Head>,
}

#[derive(Clone, Copy)]
struct Head {
    status: u16,
    body: usize,
    length: Length,
}

#[derive(Clone, Copy)]
enum Length {
    Known(usize),
    /// In chunks; the place of the next chunk's size line.
    Chunked(usize),
}

impl Answer {
    /// Nothing yet.
    pub fn new() -> Answer {
        Answer { buffer: vec![0; 16 << 10], filled: 0, head: None }
    }

    /// Takes what has come, by one read; true once the answer is whole. A read that would block has brought nothing.
    ///
    /// # Errors
    /// The connection ended, or what came is no answer of HTTP/1.1.
    pub fn read(&mut self, stream: &mut impl Read) -> anyhow::Result<bool> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        match stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => anyhow::bail!("the node closed a connection"),
            Ok(read) => self.filled += read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error.into()),
        }
        self.is_whole()
    }

    /// The status of a whole answer.
    pub fn status(&self) -> u16 {
        self.head.map_or(0, |head| head.status)
    }

    /// The body of a whole answer.
    pub fn body(&self) -> Cow<'_, [u8]> {
        let Some(head) = self.head else { return Cow::Borrowed(&[]) };
        let raw = &self.buffer[head.body..self.filled];
        match head.length {
            Length::Known(length) => Cow::Borrowed(&raw[..length.min(raw.len())]),
            Length::Chunked(_) => {
                let (mut body, mut at) = (Vec::with_capacity(raw.len()), 0);
                while let Some((from, size)) = chunk(&raw[at..]).filter(|(_, size)| *size > 0) {
                    body.extend_from_slice(&raw[at + from..at + from + size]);
                    at += from + size + 2;
                }
                Cow::Owned(body)
            }
        }
    }

    /// What came behind the head: of an upgraded connection, its first frames.
    pub fn beyond_head(&self) -> &[u8] {
        self.head.map_or(&[], |head| &self.buffer[head.body..self.filled])
    }

    /// Ready for the next answer of the connection.
    pub fn clear(&mut self) {
        self.filled = 0;
        self.head = None;
    }

    fn is_whole(&mut self) -> anyhow::Result<bool> {
        if self.head.is_none() {
            let text = &self.buffer[..self.filled];
            let Some(end) = text.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(false) };
            self.head = Some(parse_head(&text[..end])?);
        }
        let Some(head) = &mut self.head else { return Ok(false) };
        match &mut head.length {
            Length::Known(length) => Ok(self.filled >= head.body + *length),
            Length::Chunked(at) => loop {
                let Some((from, size)) = chunk(&self.buffer[*at..self.filled]) else { return Ok(false) };
                let end = *at + from + size + 2;
                if size == 0 || end > self.filled {
                    return Ok(size == 0 && end <= self.filled);
                }
                *at = end;
            },
        }
    }
}

/// Where a chunk begins behind its size line, and its size.
fn chunk(raw: &[u8]) -> Option<(usize, usize)> {
    let end = raw.windows(2).position(|window| window == b"\r\n")?;
    let digits = std::str::from_utf8(&raw[..end]).ok()?.split(';').next()?;
    Some((end + 2, usize::from_str_radix(digits.trim(), 16).ok()?))
}

fn parse_head(text: &[u8]) -> anyhow::Result<Head> {
    let text = std::str::from_utf8(text).context("the head is no text")?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    ensure!(first.starts_with("HTTP/1.1 "), "no answer of HTTP/1.1: {first}");
    let status = first.get(9..12).and_then(|digits| digits.parse().ok()).context("no status")?;
    let body = text.len() + 4;
    let mut length = Length::Known(0);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = Length::Known(value.trim().parse().context("Content-Length")?);
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            length = Length::Chunked(body);
        }
    }
    Ok(Head { status, body, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes so many at a time.
    struct Drip(&'static [u8], usize);

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            let (now, later) = self.0.split_at(count);
            buffer[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    #[test]
    fn an_answer_is_whole_exactly_at_its_end() {
        let rows: [(&'static [u8], u16, &[u8]); 4] = [
            (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", 200, b"hello"),
            (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
                200,
                b"abc0123456789",
            ),
            (b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", 429, b""),
        ];
        for (text, status, body) in rows {
            for step in 1..=text.len() {
                let (mut answer, mut drip) = (Answer::new(), Drip(text, step));
                while !answer.read(&mut drip).expect("an answer") {}
                assert!(drip.0.is_empty(), "by {step}");
                assert_eq!((answer.status(), &*answer.body()), (status, body), "by {step}");
            }
        }
    }

    #[test]
    fn an_end_in_the_middle_is_an_error() {
        let (mut answer, mut drip) = (Answer::new(), Drip(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell", 100));
        assert!(!answer.read(&mut drip).expect("a part"));
        assert!(answer.read(&mut drip).is_err());
    }
}
