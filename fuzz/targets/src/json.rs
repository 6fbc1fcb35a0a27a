//! The strict reader: what it accepts has one canonical form, and another implementation reads the same value there.

use protocol::Json;
use protocol::json::{JsonError, MAX_COMMIT_DEPTH, MAX_DEPTH, parse};
use serde_json::Value;

/// Bytes as one JSON text.
pub fn run(bytes: &[u8]) {
    let read = parse(bytes, MAX_DEPTH);
    let other = serde_json::from_slice::<Value>(bytes);
    match (&read, &other) {
        (Ok(value), Ok(other)) => assert!(same(value, other), "{value:?} is not {other:?}"),
        (Ok(value), Err(error)) => panic!("{value:?}, which is no JSON: {error}"),
        (Err(JsonError::Invalid), Ok(other)) => panic!("{other:?} was called no JSON"),
        // A rule of the protocol alone was broken, or both refuse.
        (Err(JsonError::Structure), _) | (Err(JsonError::Invalid), Err(_)) => {}
    }
    let Ok(value) = read else { return };
    let canonical = value.to_jcs();
    let again = parse(canonical.as_bytes(), MAX_DEPTH).expect("a canonical form is JSON");
    assert_eq!(again, value);
    assert_eq!(again.to_jcs(), canonical, "a canonical form is its own");
    assert!(value.depth() <= MAX_DEPTH);
    let shallow = parse(bytes, MAX_COMMIT_DEPTH);
    assert_eq!(shallow.is_ok(), value.depth() <= MAX_COMMIT_DEPTH, "depth {}", value.depth());
}

fn same(ours: &Json, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(a), Value::Bool(b)) => a == b,
        (Json::Integer(a), Value::Number(b)) => b.as_i64() == Some(*a),
        (Json::Text(a), Value::String(b)) => a == b,
        (Json::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => false,
    }
}
