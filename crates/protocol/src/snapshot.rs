//! The `.enc` file: an enclave's whole log, without keys (`docs/protocol.md`, Snapshot and restore).
//!
//! Magic `ENC1`, then one deterministic CBOR map with the members in the order of their encoded names: `sth`, `events`, `bundles`,
//! `seq_pub`, `manifest`. JSON objects stand as their CBOR image. A file is written piece by piece, so that no writer holds a log in
//! memory; it is read from bytes at hand, event by event.

use crate::cbor::Encoder;
use crate::cbor_decode::{CborError, Decoder};
use crate::code::Rejection;
use crate::event::Event;
use crate::head::Sth;
use crate::ids::PublicKey;
use crate::json::{self, Json};
use alloc::vec::Vec;

/// The first bytes of a file.
pub const MAGIC: &[u8; 4] = b"ENC1";
/// Nesting of an event: its members are a commit's.
const MAX_DEPTH: usize = json::MAX_COMMIT_DEPTH;

/// Why a file cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// An event's content is not the canonical form of a JSON value.
    Content,
    /// More or fewer events, or other bundles, than were announced.
    Count,
}

/// Writes a file: [`Writer::begin`], [`Writer::event`] for each event in order, [`Writer::finish`]. Each returns the next bytes.
pub struct Writer {
    announced: u64,
    written: u64,
    manifest: Option<Json>,
}

impl Writer {
    /// Begins a file of `events` events under the newest head.
    pub fn begin(sth: &Sth, events: u64) -> Result<(Writer, Vec<u8>), WriteError> {
        let mut out = Encoder::new();
        out.map(5).text("sth");
        write_image(&sth.to_json(), &mut out)?;
        out.text("events").array(events);
        let bytes = [MAGIC.as_slice(), &out.finish()].concat();
        Ok((Writer { announced: events, written: 0, manifest: None }, bytes))
    }

    /// Adds the next event, the Manifest first.
    pub fn event(&mut self, event: &Event) -> Result<Vec<u8>, WriteError> {
        self.written += 1;
        let image = event.to_json();
        let mut out = Encoder::new();
        write_image(&image, &mut out)?;
        if self.manifest.is_none() {
            self.manifest = Some(image);
        }
        Ok(out.finish())
    }

    /// Ends the file: the counts of the closed bundles, and the key that signed the head.
    pub fn finish(self, bundles: &[u64], seq_pub: &PublicKey) -> Result<Vec<u8>, WriteError> {
        let closed = bundles.iter().try_fold(0u64, |sum, count| sum.checked_add(*count));
        let Some(manifest) = self.manifest.filter(|_| self.written == self.announced) else {
            return Err(WriteError::Count);
        };
        if closed.is_none_or(|closed| closed > self.written) {
            return Err(WriteError::Count);
        }
        let mut out = Encoder::new();
        out.text("bundles").array(bundles.len() as u64);
        for count in bundles {
            out.uint(*count);
        }
        out.text("seq_pub").bytes(&seq_pub.0).text("manifest");
        write_image(&manifest, &mut out)?;
        Ok(out.finish())
    }
}

/// Why bytes are no snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// They do not begin with the magic.
    Magic,
    /// They are not deterministic CBOR, or end early or late.
    Cbor(CborError),
    /// The CBOR is not a snapshot's map.
    Shape,
    /// An STH or an event in it does not have its members.
    Member(Rejection),
    /// `manifest` is not the first event.
    Manifest,
}

impl From<CborError> for ReadError {
    fn from(error: CborError) -> Self {
        ReadError::Cbor(error)
    }
}

impl From<Rejection> for ReadError {
    fn from(rejection: Rejection) -> Self {
        ReadError::Member(rejection)
    }
}

/// A file that is well formed throughout. Nothing in it has been verified.
pub struct Snapshot<'a> {
    /// The newest head.
    pub sth: Sth,
    /// Counts of the closed bundles.
    pub bundles: Vec<u64>,
    /// The key that signed the head.
    pub seq_pub: PublicKey,
    /// The first event.
    pub manifest: Event,
    events: &'a [u8],
    count: u64,
}

impl<'a> Snapshot<'a> {
    /// Reads a file. The events are only found to be deterministic CBOR; [`Snapshot::events`] reads them.
    pub fn read(bytes: &'a [u8]) -> Result<Snapshot<'a>, ReadError> {
        let body = bytes.strip_prefix(MAGIC).ok_or(ReadError::Magic)?;
        let mut decoder = Decoder::new(body, MAX_DEPTH);
        if decoder.map()? != 5 {
            return Err(ReadError::Shape);
        }
        member(&mut decoder, "sth")?;
        let sth = Sth::from_json(decoder.value()?)?;
        member(&mut decoder, "events")?;
        let count = decoder.array()?;
        let start = decoder.position();
        for _ in 0..count {
            decoder.skip()?;
        }
        let events = &body[start..decoder.position()];
        member(&mut decoder, "bundles")?;
        let mut bundles = Vec::new();
        for _ in 0..decoder.array()? {
            bundles.push(decoder.uint()?);
        }
        member(&mut decoder, "seq_pub")?;
        let seq_pub = PublicKey::try_from(decoder.bytes()?).map_err(|_| ReadError::Shape)?;
        member(&mut decoder, "manifest")?;
        let manifest = Event::from_json(decoder.value()?)?;
        decoder.end()?;
        let snapshot = Snapshot { sth, bundles, seq_pub, manifest, events, count };
        let first = snapshot.events().next().ok_or(ReadError::Manifest)??;
        if first == snapshot.manifest { Ok(snapshot) } else { Err(ReadError::Manifest) }
    }

    /// How many events there are, those of the open bundle included.
    pub fn event_count(&self) -> u64 {
        self.count
    }

    /// The events in order, the Manifest first; read one at a time. After an error nothing follows.
    pub fn events(&self) -> Events<'a> {
        Events { decoder: Decoder::new(self.events, MAX_DEPTH), left: self.count }
    }
}

/// The events of a snapshot.
pub struct Events<'a> {
    decoder: Decoder<'a>,
    left: u64,
}

impl Iterator for Events<'_> {
    type Item = Result<Event, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let event = self.decoder.value().map_err(ReadError::from).and_then(|value| Ok(Event::from_json(value)?));
        if event.is_err() {
            self.left = 0;
        }
        Some(event)
    }
}

fn member(decoder: &mut Decoder<'_>, name: &str) -> Result<(), ReadError> {
    if decoder.text()? == name { Ok(()) } else { Err(ReadError::Shape) }
}

/// Appends the CBOR image of a JSON value: hex stays text.
fn write_image(value: &Json, out: &mut Encoder) -> Result<(), WriteError> {
    match value {
        Json::Null => drop(out.simple(22)),
        Json::Bool(value) => drop(out.simple(20 + u8::from(*value))),
        Json::Integer(number) if *number < 0 => drop(out.negative(number.unsigned_abs() - 1)),
        Json::Integer(number) => drop(out.uint(number.unsigned_abs())),
        Json::Text(text) => drop(out.text(text)),
        Json::Array(items) => {
            out.array(items.len() as u64);
            for item in items {
                write_image(item, out)?;
            }
        }
        Json::Object(members) => {
            // Shorter names have smaller heads, so the encoded names sort by length first.
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes())));
            out.map(members.len() as u64);
            for (name, member) in members {
                out.text(name);
                write_image(member, out)?;
            }
        }
        Json::Canonical(text) => {
            let value = json::parse(text.as_bytes(), json::MAX_DEPTH).map_err(|_| WriteError::Content)?;
            write_image(&value, out)?;
        }
    }
    Ok(())
}
