//! The lexer against serde_json, and the canonical form.

use proptest::prelude::*;
use protocol::MAX_INTEGER;
use protocol::json::{self, Json, JsonError};
use serde_json::Value;

fn text() -> impl Strategy<Value = String> {
    let odd =
        prop::sample::select(vec!['"', '\\', '/', '\u{1}', '\u{7f}', '\u{2028}', '\u{ffff}', '\u{10000}', 'é', '🐎']);
    let any = prop_oneof![4 => prop::char::range('a', 'f'), 2 => odd, 1 => any::<char>()];
    prop::collection::vec(any.prop_filter("U+0000 is refused", |c| *c != '\0'), 0..6)
        .prop_map(|text| text.into_iter().collect())
}

fn value() -> impl Strategy<Value = Json> {
    let limit = MAX_INTEGER as i64;
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        (-limit..=limit).prop_map(Json::Integer),
        prop::sample::select(vec![0, 1, -1, limit, -limit]).prop_map(Json::Integer),
        text().prop_map(Json::Text),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
            prop::collection::btree_map(text(), inner, 0..6).prop_map(Json::object),
        ]
    })
}

fn serde(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

/// Whether a value has a number or a text that the protocol refuses, and how many members it has.
fn survey(value: &Value) -> (bool, usize) {
    match value {
        Value::Null | Value::Bool(_) => (false, 0),
        Value::Number(number) => (number.as_i64().is_none_or(|number| number.unsigned_abs() > MAX_INTEGER), 0),
        Value::String(text) => (text.contains('\0'), 0),
        Value::Array(items) => items.iter().map(survey).fold((false, 0), |a, b| (a.0 || b.0, a.1 + b.1)),
        Value::Object(members) => {
            let names = members.keys().any(|name| name.contains('\0'));
            members.values().map(survey).fold((names, members.len()), |a, b| (a.0 || b.0, a.1 + b.1))
        }
    }
}

/// Pieces of which JSON, and much that is none, is made.
fn scrap() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"a\"",
        "\"b\"",
        "\"\\u0061\"",
        "\"\\ud800\"",
        "\"\\ud83d\\udc0e\"",
        "\"\\u0000\"",
        "\"\\x\"",
        "\"",
        "0",
        "-0",
        "1",
        "01",
        "-",
        "1.5",
        "1e3",
        "1E+2",
        "9007199254740991",
        "9007199254740992",
        "true",
        "nul",
        "null",
        " ",
        "\t",
        "\u{feff}",
        "[[",
        "]]",
        "{\"a\":",
        "é",
    ]);
    prop::collection::vec(pieces, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in value()) {
        let text = value.to_jcs();
        prop_assert_eq!(json::parse(text.as_bytes(), json::MAX_DEPTH), Ok(value.clone()));
        prop_assert_eq!(json::parse(text.as_bytes(), json::MAX_DEPTH).map(|again| again.to_jcs()), Ok(text.clone()));
        // However it is spaced and escaped, it is the same value.
        let pretty = serde_json::to_string_pretty(&serde(&text).expect("it is JSON")).expect("a value is written");
        prop_assert_eq!(json::parse(pretty.as_bytes(), json::MAX_DEPTH), Ok(value));
    }

    #[test]
    fn two_readers_agree_on_what_json_is(text in scrap()) {
        let ours = json::parse(text.as_bytes(), json::MAX_DEPTH);
        match (ours, serde(&text)) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(serde(&ours.to_jcs()).expect("it is JSON"), theirs),
            (Ok(ours), Err(error)) => prop_assert!(false, "{:?} but {}", ours, error),
            (Err(JsonError::Invalid), Ok(theirs)) => prop_assert!(false, "JSON: {:?}", theirs),
            // A lone surrogate and a huge exponent are JSON's grammar, and serde_json refuses them as well.
            (Err(JsonError::Structure), Err(error)) => {
                prop_assert!(["\\ud800", "1e3", "1E+2"].iter().any(|piece| text.contains(piece)), "{}", error);
            }
            (Err(JsonError::Structure), Ok(theirs)) => {
                // serde_json keeps the last of two members of one name: then there are more colons than members.
                let (odd, members) = survey(&theirs);
                prop_assert!(odd || text.matches(':').count() > members, "no rule is broken");
            }
            (Err(JsonError::Invalid), Err(_)) => {}
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let theirs: Result<Value, _> = serde_json::from_slice(&bytes);
        prop_assert!(json::parse(&bytes, json::MAX_DEPTH).is_err() || theirs.is_ok());
    }

    #[test]
    fn names_are_in_the_order_of_their_utf_16(a in text(), b in text()) {
        let units = |text: &str| text.encode_utf16().collect::<Vec<_>>();
        prop_assert_eq!(json::compare_names(&a, &b), units(&a).cmp(&units(&b)));
    }
}

#[test]
fn depth_is_counted_from_one() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| {
            let inner = if open == "[" { "" } else { "1" };
            [open.repeat(depth).as_str(), inner, close.repeat(depth).as_str()].concat()
        };
        for limit in [json::MAX_DEPTH, json::MAX_COMMIT_DEPTH] {
            assert!(json::parse(nested(limit).as_bytes(), limit).is_ok());
            assert_eq!(json::parse(nested(limit + 1).as_bytes(), limit), Err(JsonError::Structure));
        }
    }
    assert_eq!(json::parse("[".repeat(1 << 20).as_bytes(), json::MAX_DEPTH), Err(JsonError::Structure));
}
