//! The limits of a commit, each met and passed by one.

use protocol::code::Detail;
use protocol::commit::Commit;

/// A commit with these members in place of a plain one's.
fn commit(members: &[(&str, &str)]) -> String {
    let zeros = "0".repeat(64);
    let plain = [
        ("hash", format!("\"{zeros}\"")),
        ("enclave", format!("\"{zeros}\"")),
        ("from", format!("\"{zeros}\"")),
        ("type", "\"message\"".into()),
        ("content", "null".into()),
        ("exp", "1".into()),
        ("tags", "[]".into()),
        ("alg", "\"schnorr\"".into()),
        ("sig", format!("\"{zeros}{zeros}\"")),
    ];
    let value = |name: &str, plain: &str| {
        members.iter().find(|(other, _)| *other == name).map_or(plain.to_owned(), |(_, value)| (*value).to_owned())
    };
    let members: Vec<String> = plain.iter().map(|(name, plain)| format!("\"{name}\":{}", value(name, plain))).collect();
    format!("{{{}}}", members.join(","))
}

/// The member at fault, if any.
fn fault(name: &str, value: &str) -> Option<&'static str> {
    let refused = Commit::parse(commit(&[(name, value)]).as_bytes()).err()?;
    assert_eq!(refused.code.as_str(), "invalid_structure");
    match refused.detail {
        Detail::Field(field) => Some(field),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_member_has_its_form() {
    let rows: &[(&str, &str, bool)] = &[
        ("type", "\"\"", false),
        ("type", "\"A_z.0-9\"", true),
        ("type", "\"a b\"", false),
        ("type", "\"é\"", false),
        ("type", "5", false),
        ("exp", "0", true),
        ("exp", "9007199254740991", true),
        ("exp", "-1", false),
        ("exp", "\"1\"", false),
        ("alg", "\"schnorr\"", true),
        ("alg", "\"ed25519\"", false),
        ("alg", "null", false),
        ("tags", "null", false),
        ("tags", "[\"k\"]", false),
        ("tags", "[[]]", false),
        ("tags", "[[1]]", false),
        ("tags", "[[\"\"]]", true),
        ("content", "{\"a\":[{}]}", true),
        ("hash", "\"00\"", false),
        ("sig", "\"00\"", false),
    ];
    for (name, value, holds) in rows {
        assert_eq!(fault(name, value), if *holds { None } else { Some(*name) }, "{name}: {value}");
    }
}

#[test]
fn each_limit_is_met_and_passed_by_one() {
    let list = |item: &str, count: usize| format!("[{}]", vec![item; count].join(","));
    let text = |len: usize| format!("\"{}\"", "x".repeat(len));
    let check = |name, at: String, beyond: String| {
        assert_eq!(fault(name, &at), None);
        assert_eq!(fault(name, &beyond), Some(name));
    };
    check("type", text(64), text(65));
    check("tags", list("[\"k\"]", 256), list("[\"k\"]", 257));
    check("tags", format!("[{}]", list("\"k\"", 16)), format!("[{}]", list("\"k\"", 17)));
    check("tags", format!("[[{}]]", text(1024)), format!("[[{}]]", text(1025)));
    // Bytes of UTF-8, not characters.
    check("tags", format!("[[\"{}\"]]", "é".repeat(512)), format!("[[\"{}x\"]]", "é".repeat(512)));
    let full = list(&text(1024), 15);
    check("tags", format!("[{full},[{}]]", text(1024)), format!("[{full},[{},\"x\"]]", text(1024)));
}
