//! Session tokens, as text and as their maker makes them.

use crate::{Input, key};
use protocol::Code;
use protocol::session::{
    MAX_SESSION_AHEAD_MS, SESSION_SKEW_MS, Session, SessionToken, TOKEN_LEN, check_encrypted, verify_plain,
};

/// Text as a token; other bytes as a key, times and a place to alter.
pub fn run(bytes: &[u8]) {
    if let Ok(text) = core::str::from_utf8(bytes)
        && text.len() == 2 * TOKEN_LEN
    {
        return token(text);
    }
    let mut input = Input::new(bytes);
    let Ok(pair) = protocol::schnorr::KeyPair::from_secret(&input.take()) else { return };
    let (expires, now) = (u32::from_be_bytes(input.take()), u64::from_be_bytes(input.take()) >> 22);
    let (from, node) = (pair.public(), key(0x44).public());
    let session = Session::make(&pair, &node, expires);
    let ends = u64::from(expires) * 1000;
    let expected = if ends > now + MAX_SESSION_AHEAD_MS {
        Some(Code::InvalidSession)
    } else if ends + SESSION_SKEW_MS < now {
        Some(Code::SessionExpired)
    } else {
        None
    };
    let plain = verify_plain(&session.plain.hex(), &from, &node, now);
    assert_eq!(plain.err().map(|rejection| rejection.code), expected);
    let sealed = check_encrypted(&session.encrypted.hex(), &from, &node, now);
    assert_eq!(sealed.err().map(|rejection| rejection.code), expected);
    let (place, bit) = (usize::from(u16::from_be_bytes(input.take())) % TOKEN_LEN, 1 << (input.byte() % 8));
    let altered = |token: &SessionToken| {
        let mut bytes = *token.as_bytes();
        bytes[place] ^= bit;
        protocol::ids::hex(&bytes)
    };
    assert!(verify_plain(&altered(&session.plain), &from, &node, now).is_err(), "byte {place}");
    assert!(check_encrypted(&altered(&session.encrypted), &from, &node, now).is_err(), "byte {place}");
}

fn token(text: &str) {
    let Ok(token) = SessionToken::parse(text) else { return };
    assert_eq!(token.hex(), text);
    let now = u64::from(token.expires_secs()) * 1000;
    let (from, node) = (key(1).public(), key(0x44).public());
    if verify_plain(text, &from, &node, now).is_ok() {
        assert!(verify_plain(text, &key(2).public(), &node, now).is_err(), "a token is one identity's");
        assert!(verify_plain(text, &from, &key(2).public(), now).is_err(), "a token is for one node");
    }
    if check_encrypted(text, &from, &node, now).is_ok() {
        assert!(check_encrypted(text, &key(2).public(), &node, now).is_err(), "a token is one identity's");
    }
}
