//! The decoder takes the one encoding that a value has, and calls every other by its fault.

use protocol::cbor_decode::{CborError, Decoder};

/// The value as JSON, or the fault; nesting of two at most.
fn decode(hex: &str) -> Result<String, CborError> {
    let bytes = protocol::ids::decode_hex(hex).expect("hex");
    let mut decoder = Decoder::new(&bytes, 2);
    let value = decoder.value()?;
    decoder.end()?;
    Ok(value.to_jcs())
}

#[test]
fn there_is_one_encoding() {
    let rows: &[(&str, Result<&str, CborError>)] = &[
        ("f4", Ok("false")),
        ("f5", Ok("true")),
        ("f6", Ok("null")),
        ("00", Ok("0")),
        ("17", Ok("23")),
        ("1818", Ok("24")),
        ("190100", Ok("256")),
        ("1a00010000", Ok("65536")),
        ("1b0000000100000000", Ok("4294967296")),
        ("1b001fffffffffffff", Ok("9007199254740991")),
        ("1b0020000000000000", Err(CborError::Number)),
        ("20", Ok("-1")),
        ("3b001ffffffffffffe", Ok("-9007199254740991")),
        ("3b001fffffffffffff", Err(CborError::Number)),
        ("1817", Err(CborError::Head)),
        ("1900ff", Err(CborError::Head)),
        ("1a0000ffff", Err(CborError::Head)),
        ("1b00000000ffffffff", Err(CborError::Head)),
        ("1c", Err(CborError::Head)),
        ("7f6161ff", Err(CborError::Head)),
        ("9fff", Err(CborError::Head)),
        ("60", Ok("\"\"")),
        ("62c3a9", Ok("\"é\"")),
        ("62c328", Err(CborError::Text)),
        ("63610062", Err(CborError::Text)),
        ("7801", Err(CborError::Head)),
        ("80", Ok("[]")),
        ("8180", Ok("[[]]")),
        ("818180", Err(CborError::Depth)),
        ("81a0", Ok("[{}]")),
        ("8181a0", Err(CborError::Depth)),
        ("a0", Ok("{}")),
        ("a2616100616201", Ok("{\"a\":0,\"b\":1}")),
        // Shorter names come first, whatever their letters.
        ("a2617a0062616101", Ok("{\"aa\":1,\"z\":0}")),
        ("a262616101617a00", Err(CborError::Names)),
        ("a2616201616100", Err(CborError::Names)),
        ("a2616100616101", Err(CborError::Names)),
        ("a10000", Err(CborError::Kind)),
        ("4100", Err(CborError::Kind)),
        ("c000", Err(CborError::Kind)),
        ("f7", Err(CborError::Kind)),
        ("f93c00", Err(CborError::Kind)),
        ("", Err(CborError::Truncated)),
        ("18", Err(CborError::Truncated)),
        ("6161ff", Err(CborError::Trailing)),
        ("6261", Err(CborError::Truncated)),
        ("8200", Err(CborError::Truncated)),
        ("a16161", Err(CborError::Truncated)),
        // What a head claims is not reserved.
        ("9bffffffffffffffff", Err(CborError::Truncated)),
        ("7bffffffffffffffff", Err(CborError::Truncated)),
        ("bbffffffffffffffff", Err(CborError::Truncated)),
    ];
    for (hex, expected) in rows {
        assert_eq!(decode(hex), expected.map(str::to_owned), "{hex}");
    }
}
