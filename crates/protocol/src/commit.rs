//! What a client signs (`docs/protocol.md`, Commit).

use crate::cbor::{Encoder, prefix, sha256};
use crate::code::{Code, Rejection};
use crate::fields::{Fields, wrong};
use crate::ids::{CommitHash, ContentHash, EnclaveId, PublicKey, Signature};
use crate::json::{self, Json};
use crate::schnorr::{self, KeyPair};
use alloc::string::String;
use alloc::vec::Vec;

/// A commit's JSON as received, in bytes, unless configured otherwise.
pub const MAX_COMMIT_LEN: usize = 1 << 20;
/// Tags of a commit.
pub const MAX_TAGS: usize = 256;
/// Strings of a tag.
pub const MAX_TAG_STRINGS: usize = 16;
/// UTF-8 bytes of one string of a tag.
pub const MAX_TAG_STRING_LEN: usize = 1 << 10;
/// UTF-8 bytes of all strings of all tags: each stands in an index.
pub const MAX_TAGS_LEN: usize = 16 << 10;
/// Characters of an event type.
pub const MAX_TYPE_LEN: usize = 64;

/// How far beyond `exp` a commit is still taken, for clocks that differ, in milliseconds.
pub const CLOCK_SKEW_MS: u64 = 60_000;
/// How far ahead `exp` may lie, in milliseconds.
pub const MAX_EXP_AHEAD_MS: u64 = 3_600_000;

/// A commit of the right structure; neither its hash nor its signature has been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// As given.
    pub hash: CommitHash,
    /// The target.
    pub enclave: EnclaveId,
    /// The author.
    pub from: PublicKey,
    /// The event type.
    pub event_type: String,
    /// Canonical form of the content.
    pub content: String,
    /// Expiry, milliseconds since the epoch.
    pub exp: u64,
    /// Tags.
    pub tags: Vec<Vec<String>>,
    /// By the author over the hash.
    pub sig: Signature,
}

/// A commit whose hash and signature hold. Made by [`Commit::verify`], [`Draft::sign`] and [`crate::Event::verified`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCommit {
    commit: Commit,
    content_hash: ContentHash,
}

/// What an author wants to say, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The target.
    pub enclave: EnclaveId,
    /// The event type.
    pub event_type: String,
    /// Canonical form of the content.
    pub content: String,
    /// Expiry, milliseconds since the epoch.
    pub exp: u64,
    /// Tags.
    pub tags: Vec<Vec<String>>,
}

impl Commit {
    /// Reads a commit from the bytes as received: step 1 of the pipeline.
    pub fn parse(text: &[u8]) -> Result<Commit, Rejection> {
        Commit::from_json(json::parse(text, json::MAX_COMMIT_DEPTH)?)
    }

    /// Reads a commit from a value that came out of [`json::parse`], at whatever depth it stood there.
    pub fn from_json(value: Json) -> Result<Commit, Rejection> {
        let mut fields = Fields::of(value)?;
        let commit = Commit {
            hash: CommitHash(fields.hex("hash")?),
            enclave: EnclaveId(fields.hex("enclave")?),
            from: PublicKey(fields.hex("from")?),
            event_type: fields.text("type")?,
            content: parse_content(fields.required("content")?)?,
            exp: fields.uint("exp")?,
            tags: fields.optional("tags").map_or(Ok(Vec::new()), parse_tags)?,
            sig: Signature(fields.hex("sig")?),
        };
        if fields.optional("alg").is_some_and(|alg| alg.as_text() != Some("schnorr")) {
            return Err(wrong("alg"));
        }
        if !is_event_type(&commit.event_type) {
            return Err(wrong("type"));
        }
        fields.finish()?;
        Ok(commit)
    }

    /// Steps 3 and 4: the hash is the commit's, the signature is the author's.
    pub fn verify(self) -> Result<VerifiedCommit, Rejection> {
        let content_hash = ContentHash(sha256(self.content.as_bytes()));
        let fields = HashedFields {
            enclave: &self.enclave,
            from: &self.from,
            event_type: &self.event_type,
            content_hash: &content_hash,
            exp: self.exp,
            tags: &self.tags,
        };
        if fields.commit_hash() != self.hash {
            return Err(Code::InvalidHash.into());
        }
        schnorr::verify(&self.from, self.hash.as_bytes(), &self.sig)
            .map_err(|_| Rejection::new(Code::InvalidSignature))?;
        Ok(VerifiedCommit { commit: self, content_hash })
    }

    /// The commit as JSON, `alg` left out, `tags` left out when empty.
    pub fn to_json(&self) -> Json {
        let mut members: Vec<(&str, Json)> = alloc::vec![
            ("hash", Json::from(self.hash.hex())),
            ("enclave", Json::from(self.enclave.hex())),
            ("from", Json::from(self.from.hex())),
            ("type", Json::from(self.event_type.as_str())),
            ("content", Json::Canonical(self.content.clone())),
            ("exp", Json::from(self.exp)),
            ("sig", Json::from(self.sig.hex())),
        ];
        if !self.tags.is_empty() {
            members.push(("tags", tags_to_json(&self.tags)));
        }
        Json::object(members)
    }
}

impl VerifiedCommit {
    /// For callers in this crate that have checked hash and signature on an event.
    pub(crate) fn assume(commit: Commit, content_hash: ContentHash) -> VerifiedCommit {
        VerifiedCommit { commit, content_hash }
    }

    /// The commit.
    pub fn commit(&self) -> &Commit {
        &self.commit
    }

    /// SHA-256 of its canonical content.
    pub fn content_hash(&self) -> &ContentHash {
        &self.content_hash
    }

    /// Takes the commit out.
    pub fn into_commit(self) -> Commit {
        self.commit
    }

    /// The id that its enclave has if this is a Manifest.
    pub fn derived_enclave(&self) -> EnclaveId {
        enclave_id(&self.commit.from, &self.content_hash, &self.commit.tags)
    }
}

impl Draft {
    /// A draft of any JSON content.
    pub fn new(enclave: EnclaveId, event_type: &str, content: &Json, exp: u64) -> Draft {
        Draft { enclave, event_type: event_type.into(), content: content.to_jcs(), exp, tags: Vec::new() }
    }

    /// A Manifest; its enclave is the id that author, content and tags derive.
    pub fn manifest(key: &KeyPair, content: &Json, tags: Vec<Vec<String>>, exp: u64) -> Draft {
        let content = content.to_jcs();
        let content_hash = ContentHash(sha256(content.as_bytes()));
        let enclave = enclave_id(&key.public(), &content_hash, &tags);
        Draft { enclave, event_type: "Manifest".into(), content, exp, tags }
    }

    /// Signs it.
    pub fn sign(self, key: &KeyPair) -> VerifiedCommit {
        let signed = self.signed_by(key.public(), |hash| Ok::<_, core::convert::Infallible>(key.sign(hash)));
        match signed {
            Ok(commit) => commit,
            Err(never) => match never {},
        }
    }

    /// Signs it as `from`, whose key somebody else holds: `sign` gives the signature over the commit's hash. Whether it verifies is
    /// theirs to know.
    ///
    /// # Errors
    /// Those of `sign`.
    pub fn signed_by<E>(
        self,
        from: PublicKey,
        sign: impl FnOnce(&[u8; 32]) -> Result<Signature, E>,
    ) -> Result<VerifiedCommit, E> {
        let content_hash = ContentHash(sha256(self.content.as_bytes()));
        let hash = HashedFields {
            enclave: &self.enclave,
            from: &from,
            event_type: &self.event_type,
            content_hash: &content_hash,
            exp: self.exp,
            tags: &self.tags,
        }
        .commit_hash();
        let sig = sign(hash.as_bytes())?;
        let Draft { enclave, event_type, content, exp, tags } = self;
        let commit = Commit { hash, enclave, from, event_type, content, exp, tags, sig };
        Ok(VerifiedCommit { commit, content_hash })
    }
}

/// The fields under a commit's hash.
pub struct HashedFields<'a> {
    /// The target.
    pub enclave: &'a EnclaveId,
    /// The author.
    pub from: &'a PublicKey,
    /// The event type.
    pub event_type: &'a str,
    /// SHA-256 of the canonical content.
    pub content_hash: &'a ContentHash,
    /// Expiry.
    pub exp: u64,
    /// Tags.
    pub tags: &'a [Vec<String>],
}

impl HashedFields<'_> {
    /// `H(0x10, enclave, from, type, content_hash, exp, tags)`.
    pub fn commit_hash(&self) -> CommitHash {
        let mut input = Encoder::hash_input(prefix::COMMIT, 6);
        input.bytes(&self.enclave.0).bytes(&self.from.0).text(self.event_type).bytes(&self.content_hash.0);
        input.uint(self.exp).tags(self.tags);
        CommitHash(input.hash())
    }
}

/// `H(0x12, from, "Manifest", content_hash, tags)`.
pub fn enclave_id(from: &PublicKey, content_hash: &ContentHash, tags: &[Vec<String>]) -> EnclaveId {
    let mut input = Encoder::hash_input(prefix::ENCLAVE, 4);
    input.bytes(&from.0).text("Manifest").bytes(&content_hash.0).tags(tags);
    EnclaveId(input.hash())
}

/// 1 to 64 of `[A-Za-z0-9_.-]`.
pub fn is_event_type(text: &str) -> bool {
    (1..=MAX_TYPE_LEN).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// The canonical form of a content that nests no deeper than a commit may.
pub(crate) fn parse_content(value: Json) -> Result<String, Rejection> {
    if value.depth() < json::MAX_COMMIT_DEPTH { Ok(value.to_jcs()) } else { Err(wrong("content")) }
}

/// Reads tags within their limits.
pub fn parse_tags(value: Json) -> Result<Vec<Vec<String>>, Rejection> {
    let Json::Array(rows) = value else { return Err(wrong("tags")) };
    if rows.len() > MAX_TAGS {
        return Err(wrong("tags"));
    }
    let mut total = 0;
    let mut tags = Vec::with_capacity(rows.len());
    for row in rows {
        let Json::Array(strings) = row else { return Err(wrong("tags")) };
        if !(1..=MAX_TAG_STRINGS).contains(&strings.len()) {
            return Err(wrong("tags"));
        }
        let mut tag = Vec::with_capacity(strings.len());
        for string in strings {
            let Json::Text(string) = string else { return Err(wrong("tags")) };
            total += string.len();
            if string.len() > MAX_TAG_STRING_LEN || total > MAX_TAGS_LEN {
                return Err(wrong("tags"));
            }
            tag.push(string);
        }
        tags.push(tag);
    }
    Ok(tags)
}

/// Tags as JSON.
pub fn tags_to_json(tags: &[Vec<String>]) -> Json {
    let row = |tag: &Vec<String>| Json::Array(tag.iter().map(|text| Json::from(text.as_str())).collect());
    Json::Array(tags.iter().map(row).collect())
}
