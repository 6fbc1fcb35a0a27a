//! What a sequencer makes of a commit: the event, and the receipt that its author gets (`docs/protocol.md`, Event).

use crate::cbor::{Encoder, prefix, sha256};
use crate::code::{Code, Rejection};
use crate::commit::{
    CLOCK_SKEW_MS, Commit, HashedFields, MAX_EXP_AHEAD_MS, VerifiedCommit, parse_content, parse_tags, tags_to_json,
};
use crate::fields::{Fields, wrong};
use crate::ids::{CommitHash, ContentHash, EnclaveId, EventHash, EventId, PublicKey, Signature, push_hex};
use crate::json::Json;
use crate::schnorr::{self, KeyPair};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// `prev` of the Manifest.
pub const NO_PREV: EventHash = EventHash([0; 32]);

/// The only signature algorithm there is.
pub const ALG: &str = "schnorr";

/// Where a commit stands in its enclave: what the sequencer adds and signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Place in the enclave, from 0.
    pub seq: u64,
    /// Place among the events of its type, from 0.
    pub type_seq: u64,
    /// When it was sequenced, milliseconds since the epoch.
    pub timestamp: u64,
    /// The event hash of `seq − 1`.
    pub prev: EventHash,
    /// Who sequenced it.
    pub sequencer: PublicKey,
}

impl Position {
    /// `H(0x11, commit_hash, sig, alg, seq, type_seq, timestamp, prev, sequencer)`.
    pub fn event_hash(&self, commit: &CommitHash, sig: &Signature) -> EventHash {
        let mut input = Encoder::hash_input(prefix::EVENT, 8);
        input.bytes(&commit.0).bytes(&sig.0).text(ALG).uint(self.seq).uint(self.type_seq).uint(self.timestamp);
        input.bytes(&self.prev.0).bytes(&self.sequencer.0);
        EventHash(input.hash())
    }
}

/// The id that a sequencer's signature gives an event.
pub fn event_id(seq_sig: &Signature) -> EventId {
    EventId(sha256(&seq_sig.0))
}

/// Whether a stored event keeps the bounds of the clock: `exp − 3,600,000 ≤ timestamp ≤ exp + 60,000`.
pub fn within_window(exp: u64, timestamp: u64) -> bool {
    timestamp <= exp.saturating_add(CLOCK_SKEW_MS) && exp <= timestamp.saturating_add(MAX_EXP_AHEAD_MS)
}

/// The event that an Update or Delete refers to: exactly one tag begins with `r`, and it is `["r", event_id]`.
pub fn reference(tags: &[Vec<String>]) -> Option<EventId> {
    let mut references = tags.iter().filter(|tag| tag.first().is_some_and(|first| first == "r"));
    match (references.next().map(Vec::as_slice), references.next()) {
        (Some([_, id]), None) => EventId::parse(id).ok(),
        _ => None,
    }
}

/// An event's content, or what is left of it after a Delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Canonical form.
    Present(String),
    /// Deleted: only its hash is served.
    Deleted(ContentHash),
}

/// A sequenced commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The commit's hash.
    pub hash: CommitHash,
    /// The enclave.
    pub enclave: EnclaveId,
    /// The author.
    pub from: PublicKey,
    /// The event type.
    pub event_type: String,
    /// Content, unless deleted.
    pub content: Content,
    /// Expiry of the commit.
    pub exp: u64,
    /// Tags.
    pub tags: Vec<Vec<String>>,
    /// The author's signature.
    pub sig: Signature,
    /// Where it stands.
    pub position: Position,
    /// The sequencer's signature over the event hash.
    pub seq_sig: Signature,
    /// SHA-256 of `seq_sig`.
    pub id: EventId,
}

impl Event {
    /// The event of a commit at a position, signed.
    pub fn sequence(commit: Commit, position: Position, key: &KeyPair) -> Event {
        let seq_sig = key.sign(position.event_hash(&commit.hash, &commit.sig).as_bytes());
        Event::assemble(commit, position, seq_sig)
    }

    /// The event of a commit at a position, with a signature made elsewhere.
    pub fn assemble(commit: Commit, position: Position, seq_sig: Signature) -> Event {
        let Commit { hash, enclave, from, event_type, content, exp, tags, sig } = commit;
        let (content, id) = (Content::Present(content), event_id(&seq_sig));
        Event { hash, enclave, from, event_type, content, exp, tags, sig, position, seq_sig, id }
    }

    /// The hash of its content, also when that is deleted.
    pub fn content_hash(&self) -> ContentHash {
        match &self.content {
            Content::Present(text) => ContentHash(sha256(text.as_bytes())),
            Content::Deleted(hash) => *hash,
        }
    }

    /// The event hash.
    pub fn event_hash(&self) -> EventHash {
        self.position.event_hash(&self.hash, &self.sig)
    }

    /// The receipt.
    pub fn receipt(&self) -> Receipt {
        let Event { hash, enclave, sig, position, seq_sig, id, .. } = *self;
        Receipt { id, hash, enclave, position, sig, seq_sig }
    }

    /// Checks everything that an event carries: hash, author's signature, bounds of the clock, sequencer's signature, id. Whether the
    /// sequencer is the enclave's own is the caller's to know.
    pub fn verify(&self) -> Result<EventHash, EventError> {
        let content_hash = self.content_hash();
        let fields = HashedFields {
            enclave: &self.enclave,
            from: &self.from,
            event_type: &self.event_type,
            content_hash: &content_hash,
            exp: self.exp,
            tags: &self.tags,
        };
        if fields.commit_hash() != self.hash {
            return Err(EventError::CommitHash);
        }
        schnorr::verify(&self.from, self.hash.as_bytes(), &self.sig).map_err(|_| EventError::AuthorSignature)?;
        if !within_window(self.exp, self.position.timestamp) {
            return Err(EventError::Window);
        }
        self.receipt().verify_signature()
    }

    /// The commit of an event that holds, for those that judge it again. What is left of a deleted one has empty content under its hash.
    pub fn verified(&self) -> Result<VerifiedCommit, EventError> {
        self.verify()?;
        let content = match &self.content {
            Content::Present(text) => text.clone(),
            Content::Deleted(_) => String::new(),
        };
        let Event { hash, enclave, from, exp, sig, .. } = *self;
        let (event_type, tags) = (self.event_type.clone(), self.tags.clone());
        let commit = Commit { hash, enclave, from, event_type, content, exp, tags, sig };
        Ok(VerifiedCommit::assume(commit, self.content_hash()))
    }

    /// Reads an event as a node serves it; nothing is verified.
    pub fn from_json(value: Json) -> Result<Event, Rejection> {
        let mut fields = Fields::of(value)?;
        let content = match fields.optional("deleted") {
            None => Content::Present(parse_content(fields.required("content")?)?),
            Some(Json::Bool(true)) => Content::Deleted(ContentHash(fields.hex("content_hash")?)),
            Some(_) => return Err(wrong("deleted")),
        };
        let event = Event {
            hash: CommitHash(fields.hex("hash")?),
            enclave: EnclaveId(fields.hex("enclave")?),
            from: PublicKey(fields.hex("from")?),
            event_type: fields.text("type")?,
            content,
            exp: fields.uint("exp")?,
            tags: parse_tags(fields.required("tags")?)?,
            sig: Signature(fields.hex("sig")?),
            position: parse_position(&mut fields)?,
            seq_sig: Signature(fields.hex("seq_sig")?),
            id: EventId(fields.hex("id")?),
        };
        take_alg(&mut fields)?;
        fields.finish()?;
        if !crate::commit::is_event_type(&event.event_type) {
            return Err(wrong("type"));
        }
        Ok(event)
    }

    /// The event as served.
    pub fn to_json(&self) -> Json {
        let mut members: Vec<(&str, Json)> = alloc::vec![
            ("hash", Json::from(self.hash.hex())),
            ("enclave", Json::from(self.enclave.hex())),
            ("from", Json::from(self.from.hex())),
            ("type", Json::from(self.event_type.as_str())),
            ("exp", Json::from(self.exp)),
            ("tags", tags_to_json(&self.tags)),
            ("alg", Json::from(ALG)),
            ("sig", Json::from(self.sig.hex())),
            ("seq_sig", Json::from(self.seq_sig.hex())),
            ("id", Json::from(self.id.hex())),
        ];
        match &self.content {
            Content::Present(text) => members.push(("content", Json::Canonical(text.clone()))),
            Content::Deleted(hash) => {
                members.push(("content_hash", Json::from(hash.hex())));
                members.push(("deleted", Json::Bool(true)));
            }
        }
        push_position(&self.position, &mut members);
        Json::object(members)
    }
}

/// A sequencer's promise: the commit stands at this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The event's id.
    pub id: EventId,
    /// The commit's hash.
    pub hash: CommitHash,
    /// The enclave.
    pub enclave: EnclaveId,
    /// Where it stands.
    pub position: Position,
    /// The author's signature.
    pub sig: Signature,
    /// The sequencer's.
    pub seq_sig: Signature,
}

/// What does not hold of an event or a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventError {
    /// `hash` is not that of the members.
    CommitHash,
    /// `sig` is not the author's.
    AuthorSignature,
    /// `timestamp` and `exp` do not fit.
    Window,
    /// `seq_sig` is not the sequencer's.
    SequencerSignature,
    /// `id` is not that of `seq_sig`.
    Id,
    /// The receipt is for another commit.
    OtherCommit,
    /// The sequencer is not the one that was pinned.
    OtherSequencer,
}

impl Receipt {
    /// The event hash that the receipt commits to.
    pub fn event_hash(&self) -> EventHash {
        self.position.event_hash(&self.hash, &self.sig)
    }

    /// Checks `seq_sig` and `id`, nothing else.
    pub fn verify_signature(&self) -> Result<EventHash, EventError> {
        let event_hash = self.event_hash();
        schnorr::verify(&self.position.sequencer, event_hash.as_bytes(), &self.seq_sig)
            .map_err(|_| EventError::SequencerSignature)?;
        if event_id(&self.seq_sig) != self.id {
            return Err(EventError::Id);
        }
        Ok(event_hash)
    }

    /// All that an author checks of the receipt for its own commit, but for its own clock.
    pub fn verify(&self, commit: &Commit, sequencer: &PublicKey) -> Result<EventHash, EventError> {
        if self.hash != commit.hash || self.sig != commit.sig || self.enclave != commit.enclave {
            return Err(EventError::OtherCommit);
        }
        if self.position.sequencer != *sequencer {
            return Err(EventError::OtherSequencer);
        }
        if !within_window(commit.exp, self.position.timestamp) {
            return Err(EventError::Window);
        }
        self.verify_signature()
    }

    /// Reads a receipt; nothing is verified.
    pub fn from_json(value: Json) -> Result<Receipt, Rejection> {
        let mut fields = Fields::of(value)?;
        if fields.text("type")? != "Receipt" {
            return Err(wrong("type"));
        }
        let receipt = Receipt {
            id: EventId(fields.hex("id")?),
            hash: CommitHash(fields.hex("hash")?),
            enclave: EnclaveId(fields.hex("enclave")?),
            position: parse_position(&mut fields)?,
            sig: Signature(fields.hex("sig")?),
            seq_sig: Signature(fields.hex("seq_sig")?),
        };
        take_alg(&mut fields)?;
        fields.finish()?;
        Ok(receipt)
    }

    /// The canonical text of [`Receipt::to_json`], written at once: a node sends one for every commit.
    pub fn to_jcs(&self) -> String {
        let Position { seq, type_seq, timestamp, prev, sequencer } = &self.position;
        let mut text = String::with_capacity(1024);
        member(&mut text, "{\"alg\":\"schnorr\",\"enclave\":\"", &self.enclave.0);
        member(&mut text, "\",\"hash\":\"", &self.hash.0);
        member(&mut text, "\",\"id\":\"", &self.id.0);
        member(&mut text, "\",\"prev\":\"", &prev.0);
        text.push_str(&format!("\",\"seq\":{seq}"));
        member(&mut text, ",\"seq_sig\":\"", &self.seq_sig.0);
        member(&mut text, "\",\"sequencer\":\"", &sequencer.0);
        member(&mut text, "\",\"sig\":\"", &self.sig.0);
        text.push_str(&format!("\",\"timestamp\":{timestamp},\"type\":\"Receipt\",\"type_seq\":{type_seq}}}"));
        text
    }

    /// The receipt as it is sent.
    pub fn to_json(&self) -> Json {
        let mut members: Vec<(&str, Json)> = alloc::vec![
            ("type", Json::from("Receipt")),
            ("id", Json::from(self.id.hex())),
            ("hash", Json::from(self.hash.hex())),
            ("enclave", Json::from(self.enclave.hex())),
            ("alg", Json::from(ALG)),
            ("sig", Json::from(self.sig.hex())),
            ("seq_sig", Json::from(self.seq_sig.hex())),
        ];
        push_position(&self.position, &mut members);
        Json::object(members)
    }
}

fn take_alg(fields: &mut Fields) -> Result<(), Rejection> {
    if fields.text("alg")? == ALG { Ok(()) } else { Err(Code::InvalidStructure.into()) }
}

fn parse_position(fields: &mut Fields) -> Result<Position, Rejection> {
    Ok(Position {
        seq: fields.uint("seq")?,
        type_seq: fields.uint("type_seq")?,
        timestamp: fields.uint("timestamp")?,
        prev: EventHash(fields.hex("prev")?),
        sequencer: PublicKey(fields.hex("sequencer")?),
    })
}

fn member(text: &mut String, before: &str, bytes: &[u8]) {
    text.push_str(before);
    push_hex(text, bytes);
}

fn push_position(position: &Position, members: &mut Vec<(&str, Json)>) {
    members.push(("seq", Json::from(position.seq)));
    members.push(("type_seq", Json::from(position.type_seq)));
    members.push(("timestamp", Json::from(position.timestamp)));
    members.push(("prev", Json::from(position.prev.hex())));
    members.push(("sequencer", Json::from(position.sequencer.hex())));
}
