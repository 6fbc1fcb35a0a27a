//! Deterministic CBOR: a value has one encoding. What is read is written back by a second writer and must be the same bytes.

use protocol::Json;
use protocol::cbor_decode::Decoder;
use protocol::json::{MAX_DEPTH, parse};

/// Bytes as one CBOR value; where they are JSON, its image as well.
pub fn run(bytes: &[u8]) {
    let mut decoder = Decoder::new(bytes, MAX_DEPTH);
    if let Ok(value) = decoder.value() {
        let read = &bytes[..decoder.position()];
        assert_eq!(encode(&value), read, "{value:?} has another encoding");
        assert_eq!(decoder.end().is_ok(), read.len() == bytes.len());
        let mut skipping = Decoder::new(bytes, MAX_DEPTH);
        assert_eq!(skipping.skip(), Ok(()));
        assert_eq!(skipping.position(), read.len());
    }
    if let Ok(value) = parse(bytes, MAX_DEPTH) {
        let image = encode(&value);
        let mut decoder = Decoder::new(&image, MAX_DEPTH);
        assert_eq!(decoder.value(), Ok(value));
        assert_eq!(decoder.end(), Ok(()));
    }
}

/// RFC 8949 section 4.2.1, as plainly as it can be written: members are sorted by their encoded names.
pub(crate) fn encode(value: &Json) -> Vec<u8> {
    match value {
        Json::Bool(false) => vec![0xf4],
        Json::Bool(true) => vec![0xf5],
        Json::Null => vec![0xf6],
        Json::Integer(number) if *number < 0 => head(1, (-1 - number) as u64),
        Json::Integer(number) => head(0, *number as u64),
        Json::Text(text) => [head(3, text.len() as u64), text.as_bytes().to_vec()].concat(),
        Json::Array(items) => {
            let items: Vec<Vec<u8>> = items.iter().map(encode).collect();
            [head(4, items.len() as u64), items.concat()].concat()
        }
        Json::Object(members) => {
            let mut pairs: Vec<(Vec<u8>, Vec<u8>)> =
                members.iter().map(|(name, member)| (encode(&Json::from(name.as_str())), encode(member))).collect();
            pairs.sort();
            let pairs: Vec<Vec<u8>> = pairs.into_iter().map(|(name, member)| [name, member].concat()).collect();
            [head(5, pairs.len() as u64), pairs.concat()].concat()
        }
        Json::Canonical(text) => encode(&parse(text.as_bytes(), MAX_DEPTH).expect("canonical texts are JSON")),
    }
}

fn head(major: u8, number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    match number {
        0..24 => vec![major << 5 | number as u8],
        24..0x100 => [&[major << 5 | 24], &bytes[7..]].concat(),
        0x100..0x1_0000 => [&[major << 5 | 25], &bytes[6..]].concat(),
        0x1_0000..0x1_0000_0000 => [&[major << 5 | 26], &bytes[4..]].concat(),
        _ => [&[major << 5 | 27], &bytes[..]].concat(),
    }
}
