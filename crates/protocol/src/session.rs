//! Sessions: what proves to a node that a request comes from an identity, for at most two hours (`docs/protocol.md`, Sessions).
//!
//! A session is one signature in two forms of 68 bytes. The plain form carries all of it and is a bearer token for one sequencer
//! key. The encrypted form carries `session_pub` in place of `s`; anyone can compute such a token for anybody, so that it says
//! nothing until the transport's AEAD has opened.

use crate::cbor::sha256_of;
use crate::code::{Code, Rejection};
use crate::curve;
use crate::ids::{PublicKey, Signature, hex, parse_hex};
use crate::schnorr::{self, KeyPair};
use alloc::string::String;
use core::fmt;
use k256::Scalar;
use zeroize::Zeroizing;

/// Length of a token in bytes, in either form.
pub const TOKEN_LEN: usize = 68;
/// How far ahead of a node's clock a session may end, in milliseconds: two hours and a minute of skew.
pub const MAX_SESSION_AHEAD_MS: u64 = 7_260_000;
/// How long beyond its end a session is still taken, for clocks that differ, in milliseconds.
pub const SESSION_SKEW_MS: u64 = 60_000;

/// A token as it stands in `session`: `r ‖ s ‖ be32(expires)`, or `r ‖ session_pub ‖ be32(expires)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionToken([u8; TOKEN_LEN]);

/// The x-only public half of a session, as an encrypted token names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionPub(pub [u8; 32]);

/// A session as its maker holds it. The private half is wiped when dropped.
pub struct Session {
    /// For plain requests.
    pub plain: SessionToken,
    /// For encrypted requests.
    pub encrypted: SessionToken,
    /// The public half.
    pub public: SessionPub,
    private: Zeroizing<[u8; 32]>,
}

/// `SHA-256("enc:session:" ‖ be32(expires) ‖ seq_pub)`: what a session signs.
pub fn session_message(expires_secs: u32, seq_pub: &PublicKey) -> [u8; 32] {
    sha256_of(&[b"enc:session:", &expires_secs.to_be_bytes(), &seq_pub.0])
}

impl SessionToken {
    /// Reads 136 digits of lower-case hex.
    ///
    /// # Errors
    /// `invalid_session`.
    pub fn parse(text: &str) -> Result<SessionToken, Rejection> {
        parse_hex(text).map(SessionToken).map_err(|_| Code::InvalidSession.into())
    }

    /// The token as it is sent.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }

    /// The 68 bytes.
    pub fn as_bytes(&self) -> &[u8; TOKEN_LEN] {
        &self.0
    }

    /// When the session ends, in seconds since the epoch.
    pub fn expires_secs(&self) -> u32 {
        let (_, expires) = self.halves();
        u32::from_be_bytes(*expires)
    }

    /// When a stream that runs on this token ends, in milliseconds since the epoch: the end of the skew.
    pub fn ends_ms(&self) -> u64 {
        u64::from(self.expires_secs()) * 1000 + SESSION_SKEW_MS
    }

    fn new(signature: &[u8; 64], expires_secs: u32) -> SessionToken {
        let mut bytes = [0; TOKEN_LEN];
        bytes[..64].copy_from_slice(signature);
        bytes[64..].copy_from_slice(&expires_secs.to_be_bytes());
        SessionToken(bytes)
    }

    fn halves(&self) -> (&[u8; 64], &[u8; 4]) {
        let (signature, rest) = self.0.split_first_chunk::<64>().expect("a token has 68 bytes");
        (signature, rest.first_chunk().expect("a token has 68 bytes"))
    }

    /// `r`, and `s` or `session_pub`.
    fn r_and_second(&self) -> (&[u8; 32], &[u8; 32]) {
        let (r, second) = self.halves().0.split_first_chunk::<32>().expect("a signature has 64 bytes");
        (r, second.first_chunk().expect("a signature has 64 bytes"))
    }
}

/// A token is a secret of its bearer: it is never printed.
impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionToken(expires {})", self.expires_secs())
    }
}

impl Session {
    /// Makes a session of `key` at the node whose sequencer key, taken from a verified Manifest, is `seq_pub`.
    pub fn make(key: &KeyPair, seq_pub: &PublicKey, expires_secs: u32) -> Session {
        let signature = key.sign(&session_message(expires_secs, seq_pub));
        let plain = SessionToken::new(&signature.0, expires_secs);
        let (r, s) = plain.r_and_second();
        let (private, public) = curve::even_half(&curve::scalar(s));
        let mut short = [0; 64];
        short[..32].copy_from_slice(r);
        short[32..].copy_from_slice(&public);
        Session {
            plain,
            encrypted: SessionToken::new(&short, expires_secs),
            public: SessionPub(public),
            private: Zeroizing::new(private.to_bytes().into()),
        }
    }

    /// The private half, `s` or `n − s`, whose point has an even y.
    pub fn private(&self) -> &[u8; 32] {
        &self.private
    }
}

/// Checks the token of a plain request: the whole signature, by `from`, for this node's key. `now_ms` is the node's clock.
///
/// # Errors
/// `invalid_session`, or, for a token that is right but over, `session_expired`.
pub fn verify_plain(
    token: &str,
    from: &PublicKey,
    seq_pub: &PublicKey,
    now_ms: u64,
) -> Result<SessionToken, Rejection> {
    let token = SessionToken::parse(token)?;
    let message = session_message(token.expires_secs(), seq_pub);
    schnorr::verify(from, &message, &Signature(*token.halves().0)).map_err(|_| Rejection::new(Code::InvalidSession))?;
    check_life(&token, now_ms)?;
    Ok(token)
}

/// Checks the token of an encrypted request: `session_pub = x(R + e·P)`. It proves nothing before the AEAD has opened.
///
/// # Errors
/// `invalid_session`, or, for a token that is right but over, `session_expired`.
pub fn check_encrypted(
    token: &str,
    from: &PublicKey,
    seq_pub: &PublicKey,
    now_ms: u64,
) -> Result<SessionPub, Rejection> {
    let token = SessionToken::parse(token)?;
    let (r, session_pub) = token.r_and_second();
    let message = session_message(token.expires_secs(), seq_pub);
    let computed = session_point(r, from, &message).ok_or(Rejection::new(Code::InvalidSession))?;
    if computed != *session_pub {
        return Err(Code::InvalidSession.into());
    }
    check_life(&token, now_ms)?;
    Ok(SessionPub(computed))
}

/// `x(R + e·P)`; none where a lift fails or the sum is the point at infinity.
fn session_point(r: &[u8; 32], from: &PublicKey, message: &[u8; 32]) -> Option<[u8; 32]> {
    let nonce = curve::lift_x(r)?;
    let key = curve::lift_x(&from.0)?;
    let e = curve::challenge(r, &from.0, message);
    curve::x_of(&(nonce + curve::combine_public(&Scalar::ZERO, &e, &key)))
}

/// A session that ends too late is refused before one that has ended.
fn check_life(token: &SessionToken, now_ms: u64) -> Result<(), Rejection> {
    let expires_ms = u64::from(token.expires_secs()) * 1000;
    if expires_ms > now_ms.saturating_add(MAX_SESSION_AHEAD_MS) {
        return Err(Code::InvalidSession.into());
    }
    if token.ends_ms() < now_ms {
        return Err(Code::SessionExpired.into());
    }
    Ok(())
}
