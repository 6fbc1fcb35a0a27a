//! The encrypted transport: one request and its answer, sealed between a session and a sequencer key (`docs/protocol.md`, Encrypted
//! transport).
//!
//! Both sides derive the same two keys once for an exchange. An answer names the nonce of its request in its associated data, so
//! that no recorded answer opens as the answer to another request.

use crate::cbor::sha256_of;
use crate::code::{Code, Detail, Rejection};
use crate::curve;
use crate::fields::{Fields, wrong};
use crate::ids::{EnclaveId, PublicKey, decode_hex, hex, parse_hex};
use crate::json::{self, Json};
use crate::schnorr::KeyPair;
use crate::session::{Session, SessionPub, SessionToken, TOKEN_LEN};
use alloc::string::String;
use alloc::vec::Vec;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use k256::ProjectivePoint;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of a plaintext.
pub const MAX_PLAINTEXT_LEN: usize = 1 << 20;
/// Bytes that the AEAD adds.
const TAG_LEN: usize = 16;
/// How far the `time` of a sealed request may be from the node's clock, in milliseconds.
pub const MAX_REQUEST_SKEW_MS: u64 = 60_000;

/// 24 random bytes, never used twice with one session; drawn by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce(pub [u8; 24]);

/// The keys of one session at one enclave. Wiped from memory when dropped.
pub struct TransportKeys {
    enclave: EnclaveId,
    query: Zeroizing<[u8; 32]>,
    response: Zeroizing<[u8; 32]>,
}

/// A request as it is sent: `{"enclave","from","session","nonce","ciphertext"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRequest {
    /// The enclave that it is for.
    pub enclave: EnclaveId,
    /// Who asks.
    pub from: PublicKey,
    /// The session in its encrypted form, as received: it is judged by [`crate::session::check_encrypted`].
    pub session: String,
    /// The client's nonce.
    pub nonce: Nonce,
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

/// An answer as it is sent: `{"nonce","ciphertext"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedResponse {
    /// The node's nonce.
    pub nonce: Nonce,
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

/// What a sealed request holds: `{"time","request"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedRequest {
    /// The client's clock, milliseconds since the epoch.
    pub time: u64,
    /// A Query, Pull, commit or proof request.
    pub request: Json,
}

impl TransportKeys {
    /// The client's side. None if `seq_pub` is no key.
    pub fn for_client(session: &Session, seq_pub: &PublicKey, enclave: &EnclaveId) -> Option<TransportKeys> {
        let tweak = curve::scalar(&tweak(&session.public, seq_pub, enclave));
        let key = curve::scalar(session.private()) + tweak;
        let shared = Zeroizing::new(curve::x_of(&(curve::lift_x(&seq_pub.0)? * key))?);
        Some(TransportKeys::derive(&shared, &session.public, seq_pub, enclave))
    }

    /// The node's side, for a session that [`crate::session::check_encrypted`] has passed.
    ///
    /// # Errors
    /// `invalid_session` where a lift fails or a sum is the point at infinity.
    pub fn for_node(key: &KeyPair, session: &SessionPub, enclave: &EnclaveId) -> Result<TransportKeys, Rejection> {
        let seq_pub = key.public();
        let shared = shared_at_node(key, session, &seq_pub, enclave).ok_or(Rejection::new(Code::InvalidSession))?;
        Ok(TransportKeys::derive(&shared, session, &seq_pub, enclave))
    }

    /// Seals a request's plaintext for `from` under an encrypted token.
    pub fn seal_query(
        &self,
        from: &PublicKey,
        session: &SessionToken,
        nonce: Nonce,
        plaintext: &[u8],
    ) -> SealedRequest {
        let ad = query_ad(&self.enclave, from, session.as_bytes());
        let ciphertext = seal(&self.query, &nonce, &ad, plaintext);
        SealedRequest { enclave: self.enclave, from: *from, session: session.hex(), nonce, ciphertext }
    }

    /// Opens a request and reads its plaintext.
    ///
    /// # Errors
    /// `invalid_session`, to be sent in the clear, where the AEAD does not open. Everything later is answered sealed, so it is the
    /// inner result: the fault of a plaintext that is not `{"time","request"}`.
    pub fn open_query(&self, request: &SealedRequest) -> Result<Result<OpenedRequest, Rejection>, Rejection> {
        let token: [u8; TOKEN_LEN] = parse_hex(&request.session).map_err(|_| Rejection::new(Code::InvalidSession))?;
        let ad = query_ad(&request.enclave, &request.from, &token);
        let plaintext =
            open(&self.query, &request.nonce, &ad, &request.ciphertext).ok_or(Rejection::new(Code::InvalidSession))?;
        Ok(OpenedRequest::parse(&plaintext))
    }

    /// Seals the answer to the request that had this nonce.
    pub fn seal_response(&self, request: &Nonce, nonce: Nonce, plaintext: &[u8]) -> SealedResponse {
        SealedResponse { nonce, ciphertext: seal(&self.response, &nonce, &response_ad(request), plaintext) }
    }

    /// Opens the answer to the request that had this nonce. None if it is not that.
    pub fn open_response(&self, request: &Nonce, response: &SealedResponse) -> Option<Vec<u8>> {
        open(&self.response, &response.nonce, &response_ad(request), &response.ciphertext)
    }

    fn derive(shared: &[u8; 32], session: &SessionPub, seq_pub: &PublicKey, enclave: &EnclaveId) -> TransportKeys {
        let salt = [session.0, seq_pub.0, enclave.0].concat();
        let hkdf = Hkdf::<Sha256>::new(Some(&salt), shared);
        let key = |info: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            hkdf.expand(info, key.as_mut()).expect("32 bytes are within what HKDF-SHA-256 gives");
            key
        };
        TransportKeys { enclave: *enclave, query: key(b"enc:query"), response: key(b"enc:response") }
    }
}

impl SealedRequest {
    /// Reads a request as received.
    ///
    /// # Errors
    /// `invalid_structure`; `too_large` for more ciphertext than a plaintext of [`MAX_PLAINTEXT_LEN`] makes.
    pub fn from_json(value: Json) -> Result<SealedRequest, Rejection> {
        let mut fields = Fields::of(value)?;
        let request = SealedRequest {
            enclave: EnclaveId(fields.hex("enclave")?),
            from: PublicKey(fields.hex("from")?),
            session: fields.text("session")?,
            nonce: Nonce(fields.hex("nonce")?),
            ciphertext: ciphertext(&mut fields)?,
        };
        fields.finish()?;
        Ok(request)
    }

    /// The request as it is sent.
    pub fn to_json(&self) -> Json {
        Json::object([
            ("enclave", Json::from(self.enclave.hex())),
            ("from", Json::from(self.from.hex())),
            ("session", Json::from(self.session.as_str())),
            ("nonce", Json::from(hex(&self.nonce.0))),
            ("ciphertext", Json::from(hex(&self.ciphertext))),
        ])
    }
}

impl SealedResponse {
    /// Reads an answer.
    ///
    /// # Errors
    /// `invalid_structure`.
    pub fn from_json(value: Json) -> Result<SealedResponse, Rejection> {
        let mut fields = Fields::of(value)?;
        let nonce = Nonce(fields.hex("nonce")?);
        let text = fields.text("ciphertext")?;
        fields.finish()?;
        Ok(SealedResponse { nonce, ciphertext: decode_hex(&text).map_err(|_| wrong("ciphertext"))? })
    }

    /// The answer as it is sent.
    pub fn to_json(&self) -> Json {
        Json::object([("nonce", Json::from(hex(&self.nonce.0))), ("ciphertext", Json::from(hex(&self.ciphertext)))])
    }
}

impl OpenedRequest {
    /// The plaintext of a request made at `time`.
    pub fn to_plaintext(&self) -> String {
        Json::object([("time", Json::from(self.time)), ("request", self.request.clone())]).to_jcs()
    }

    /// Reads a plaintext.
    ///
    /// # Errors
    /// `invalid_json`, `invalid_structure`.
    pub fn parse(plaintext: &[u8]) -> Result<OpenedRequest, Rejection> {
        let mut fields = Fields::of(json::parse(plaintext, json::MAX_DEPTH)?)?;
        let opened = OpenedRequest { time: fields.uint("time")?, request: fields.required("request")? };
        fields.finish()?;
        Ok(opened)
    }

    /// Checks the clock and that what is repeated inside is what stands outside: `enclave`, `from` (which is also a commit's author)
    /// and `session`.
    ///
    /// # Errors
    /// `expired`, `invalid_structure`; both are answered sealed.
    pub fn check(&self, outer: &SealedRequest, now_ms: u64) -> Result<(), Rejection> {
        if self.time.abs_diff(now_ms) > MAX_REQUEST_SKEW_MS {
            return Err(Rejection::with(Code::Expired, Detail::Time(now_ms)));
        }
        let Json::Object(_) = self.request else { return Err(wrong("request")) };
        let (enclave, from) = (outer.enclave.hex(), outer.from.hex());
        for (name, expected) in [("enclave", enclave.as_str()), ("from", &from), ("session", &outer.session)] {
            if self.request.member(name).is_some_and(|given| given.as_text() != Some(expected)) {
                return Err(wrong(name));
            }
        }
        Ok(())
    }
}

/// `w`: ties the key agreement to this enclave.
fn tweak(session: &SessionPub, seq_pub: &PublicKey, enclave: &EnclaveId) -> [u8; 32] {
    sha256_of(&[&session.0, &seq_pub.0, &enclave.0])
}

fn shared_at_node(
    key: &KeyPair,
    session: &SessionPub,
    seq_pub: &PublicKey,
    enclave: &EnclaveId,
) -> Option<Zeroizing<[u8; 32]>> {
    let tweak = curve::scalar(&tweak(session, seq_pub, enclave));
    let client = curve::lift_x(&session.0)? + ProjectivePoint::mul_by_generator(&tweak);
    curve::x_of(&(client * curve::scalar(key.secret()))).map(Zeroizing::new)
}

fn query_ad(enclave: &EnclaveId, from: &PublicKey, token: &[u8; TOKEN_LEN]) -> Vec<u8> {
    [&b"enc:query"[..], &enclave.0, &from.0, token].concat()
}

fn response_ad(request: &Nonce) -> Vec<u8> {
    [&b"enc:response"[..], &request.0].concat()
}

fn seal(key: &[u8; 32], nonce: &Nonce, aad: &[u8], msg: &[u8]) -> Vec<u8> {
    XChaCha20Poly1305::new(&(*key).into())
        .encrypt(&XNonce::from(nonce.0), Payload { msg, aad })
        .expect("a text in memory is shorter than the cipher's limit of 256 GiB")
}

fn open(key: &[u8; 32], nonce: &Nonce, aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
    XChaCha20Poly1305::new(&(*key).into()).decrypt(&XNonce::from(nonce.0), Payload { msg, aad }).ok()
}

fn ciphertext(fields: &mut Fields) -> Result<Vec<u8>, Rejection> {
    let text = fields.text("ciphertext")?;
    let limit = MAX_PLAINTEXT_LEN + TAG_LEN;
    if text.len() / 2 > limit {
        return Err(Rejection::with(Code::TooLarge, Detail::Limit(limit as u64)));
    }
    decode_hex(&text).map_err(|_| wrong("ciphertext"))
}

#[cfg(test)]
mod tests {
    use super::{Nonce, open};
    use crate::ids::{decode_hex, parse_hex};
    use serde_json::Value;
    use std::string::String;
    use std::vec::Vec;

    fn bytes(value: &Value) -> Vec<u8> {
        decode_hex(value.as_str().expect("a text")).expect("hex")
    }

    /// The group `transport_refused` names key and associated data outright, which no caller of this module can.
    #[test]
    fn refused_texts_do_not_open() {
        for (name, cases) in [("enc-vectors.json", 4), ("generated.json", 15)] {
            let path = [env!("CARGO_MANIFEST_DIR"), "/../../vectors/", name].concat();
            let text: String = std::fs::read_to_string(path).expect("the vectors are there");
            let file: Value = serde_json::from_str(&text).expect("the vectors are JSON");
            let rows = file["groups"]["transport_refused"].as_array().expect("the group is there");
            assert_eq!(rows.len(), cases);
            for row in rows {
                let input = &row["input"];
                let key = parse_hex(input["key"].as_str().expect("a text")).expect("a key");
                let nonce = Nonce(parse_hex(input["nonce"].as_str().expect("a text")).expect("a nonce"));
                let opened = open(&key, &nonce, &bytes(&input["ad"]), &bytes(&input["ciphertext"]));
                assert_eq!(opened.is_some(), row["expected"]["opens"] == true, "{}", row["name"]);
            }
        }
    }
}
