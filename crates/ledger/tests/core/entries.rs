//! The text of entries: one for each, and nothing else is read.

use ledger::entry_text::{EntryError, encode, parse};

const SHA: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn record() -> String {
    format!(
        "worm-entry v1\nindex: 7\ntime: 2026-01-01T00:00:00.000Z\nkind: record\nrecord-id: r1\nactor: alice\non-behalf-of: bob\nmedia-type: text/plain; charset=utf-8\nsize: 0\nsha256: {SHA}\npayload: pack\nplain-mac: {SHA}\nclass: invoice\nretain-until: 2032-01-01\nretention-mode: compliance\n"
    )
}

#[test]
fn every_kind_has_one_text() {
    let head = |kind: &str| format!("worm-entry v1\nindex: 0\ntime: 1970-01-01T00:00:00.000Z\nkind: {kind}\n");
    let stored = format!("size: 12\nsha256: {SHA}\npayload: blob\n");
    for text in [
        record(),
        head("record") + "record-id: r\nactor: a\nmedia-type: x\n" + &stored,
        head("hold") + "case: c\nactor: a\non-behalf-of: b\nreason: because: of\n" + &stored,
        head("release") + "case: c\nactor: a\nreason: ü\n",
        head("retain") + "target: 3\nactor: a\nretain-until: forever\nreason: r\n",
        head("retain")
            + "target: 3\nactor: a\nclass: k\nevent: e\nretain-until: 2030-02-28\nretention-mode: governance\nreason: r\n",
        head("dispose") + "target: 3\nactor: a\nreason: r\npayload: removed\n",
        head("dispose") + "target: 3\nactor: a\non-behalf-of: b\nreason: r\npayload: shared\n",
        head("key") + "actor: a\n" + &stored,
        head("policy") + "actor: a\n" + &stored,
        head("audit") + "action: read\nactor: a\nresult: 200\n",
        head("audit")
            + "action: append\ntarget: entry:4\nactor: a\non-behalf-of: b\nresult: 409 conflict\npeer: 10.0.0.1\nrequest-id: q\n",
    ] {
        let entry = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(String::from_utf8(encode(&entry)).expect("it is text"), text);
    }
}

#[test]
fn what_is_no_entry_is_refused() {
    let text = record();
    let line =
        |name: &str| text.lines().find(|line| line.starts_with(name)).expect("it has that line").to_owned() + "\n";
    let without = |name: &str| text.replace(&line(name), "");
    let with = |name: &str, other: &str| text.replace(&line(name), other);
    for (bad, error) in [
        (text.replace("v1", "v2"), EntryError::Form),
        (text.trim_end().to_owned(), EntryError::Form),
        (String::new(), EntryError::Form),
        (text.clone() + "\n", EntryError::Line),
        (text.clone() + "no colon\n", EntryError::Line),
        (text.clone() + "Upper: x\n", EntryError::Line),
        (text.clone() + ": x\n", EntryError::Line),
        (text.clone() + "x: \n", EntryError::Line),
        (text.clone() + "x: two  \n", EntryError::Line),
        (text.clone() + &line("class"), EntryError::Twice),
        (text.clone() + "later: 1\nlater: 2\n", EntryError::Twice),
        (without("class") + &line("class"), EntryError::Order),
        (with("actor", "") + "actor: alice\n", EntryError::Order),
        (without("actor"), EntryError::Missing("actor")),
        (without("kind"), EntryError::Missing("kind")),
        (without("sha256"), EntryError::Missing("sha256")),
        (with("index", "index: 07\n"), EntryError::Value("index")),
        (with("time", "time: 2026-01-01T00:00:00Z\n"), EntryError::Value("time")),
        (with("kind", "kind: records\n"), EntryError::Value("kind")),
        (with("record-id", "record-id: a b\n"), EntryError::Value("record-id")),
        (with("size", "size: -1\n"), EntryError::Value("size")),
        (with("sha256", "sha256: 00\n"), EntryError::Value("sha256")),
        (with("payload", "payload: tape\n"), EntryError::Value("payload")),
        (with("retain-until", "retain-until: never\n"), EntryError::Value("retain-until")),
        (with("retention-mode", "retention-mode: none\n"), EntryError::Value("retention-mode")),
    ] {
        assert_eq!(parse(bad.as_bytes()), Err(error), "{bad}");
    }
    assert_eq!(parse(b"worm-entry v1\nindex: \xff\n"), Err(EntryError::Form));
}

#[test]
fn names_of_later_versions_are_passed_over() {
    let text = record();
    let later = text.replace("actor:", "later-name: x\nactor:") + "zz9: y\n";
    assert_eq!(parse(later.as_bytes()), parse(text.as_bytes()));
}
