//! The error codes are those of `vectors/errors.json`, which the other languages read.

use protocol::Code;
use serde_json::Value;
use std::collections::BTreeSet;

/// Reasons for which a subscription ends; no answer has them.
const ENDS: [&str; 2] = ["closed", "slow_consumer"];

#[test]
fn codes_are_those_that_every_language_reads() {
    let path = format!("{}/../../vectors/errors.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("the file is there")).expect("JSON");
    let rows = file.as_object().expect("an object");
    let named: BTreeSet<&str> = rows.keys().map(String::as_str).filter(|name| !ENDS.contains(name)).collect();
    assert_eq!(named, Code::ALL.iter().map(|code| code.as_str()).collect());
    for code in Code::ALL {
        let row = &rows[code.as_str()];
        assert_eq!(row["message"], code.message(), "{code:?}");
        let status = Value::from(code.status());
        let listed = row["status"] == status || row["status"].as_array().is_some_and(|list| list.contains(&status));
        assert!(listed, "{code:?}");
        assert_eq!(Code::parse(code.as_str()), Some(*code));
    }
    assert_eq!(Code::parse("closed"), None);
}

#[test]
fn a_message_is_one_sentence_and_tells_what_to_do() {
    for code in Code::ALL {
        let message = code.message();
        assert!(message.ends_with('.') && message.matches(". ").count() == 0, "{message}");
        assert!(message.contains(';'), "{message}");
    }
}
