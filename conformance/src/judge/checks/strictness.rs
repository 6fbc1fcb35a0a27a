//! JSON in: judged as it was received.

use super::{Check, Verdict, check};
use crate::judge::field::Field;
use crate::judge::room::Room;
use crate::judge::talk::text;
use crate::judge::why::{Why, equal, hold};
use crate::people::json;
use crate::wire::Ask;
use protocol::Code;
use protocol::commit::Draft;

const SECTION: &str = "enc.md 1";

/// A commit whose content stands in the text as given; hash and signature are those of some other content.
fn with_content(room: &Room<'_>, content: &[u8]) -> Vec<u8> {
    let text = room.commit(&room.people.bob, "message", r#""here""#).to_json().to_jcs();
    let (before, after) = text.split_once(r#""here""#).expect("the content stands in the commit");
    [before.as_bytes(), content, after.as_bytes()].concat()
}

/// That a commit with this content is refused with the code, and that the same commit with another content is read.
fn content_refused(f: &Field<'_>, content: &[u8], code: Code) -> Verdict {
    let room = f.hall()?;
    let read = |content: &[u8], code: Code| room.refused_as(&Ask::post("/", with_content(&room, content)), code);
    read(br#""elsewhere""#, Code::InvalidHash)?;
    read(content, code).map(drop).map_err(|why| why.about(String::from_utf8_lossy(content)))
}

fn structure(f: &Field<'_>, content: &str) -> Verdict {
    content_refused(f, content.as_bytes(), Code::InvalidStructure)
}

fn no_json(f: &Field<'_>, content: &[u8]) -> Verdict {
    content_refused(f, content, Code::InvalidJson)
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// That a commit with this content is taken.
fn content_taken(f: &Field<'_>, content: &str) -> Verdict {
    let room = f.hall()?;
    let receipt = room.say(&room.people.bob, "message", content)?;
    let events = room.query(&room.people.bob, &format!(r#"{{"id":"{}"}}"#, receipt.id))?;
    equal("events", events.len(), 1)?;
    let kept = protocol::event::Content::Present(json(content).to_jcs());
    equal("the content as it was sent", events[0].content.clone(), kept)
}

/// What is wrong with a whole body.
fn body_refused(f: &Field<'_>, body: &[u8], code: Code) -> Verdict {
    let room = f.hall()?;
    room.page(&room.people.bob, "{}")?;
    for target in ["/".to_owned(), room.path("inclusion"), room.path("state")] {
        f.refuse(&Ask::post(&target, body), code).map_err(|why: Why| why.about(String::from_utf8_lossy(body)))?;
    }
    Ok(())
}

pub const CHECKS: &[Check] = &[
    check("json.duplicate-names", SECTION, "A member name twice in an object is invalid_structure.", |f| {
        structure(f, r#"{"a":1,"a":2}"#)
    }),
    check("json.duplicate-names-escaped", SECTION, "Names are compared after their escapes are resolved.", |f| {
        structure(f, r#"{"a":1,"\u0061":2}"#)
    }),
    check("json.fractions", SECTION, "A number with a fraction is invalid_structure.", |f| {
        structure(f, "1.5")?;
        structure(f, "1.0")
    }),
    check("json.exponents", SECTION, "A number with an exponent is invalid_structure.", |f| {
        structure(f, "1e3")?;
        structure(f, "1E-2")
    }),
    check("json.minus-zero", SECTION, "-0 is invalid_structure.", |f| structure(f, "-0")),
    check("json.large-numbers", SECTION, "A number beyond 2^53 - 1 is invalid_structure.", |f| {
        structure(f, "9007199254740992")?;
        structure(f, "-9007199254740992")
    }),
    check("json.largest-numbers", SECTION, "Numbers to 2^53 - 1 and down to its negative are taken, and kept.", |f| {
        content_taken(f, "[9007199254740991,-9007199254740991,0]")
    }),
    check("json.lone-surrogates", SECTION, "A lone surrogate is invalid_structure.", |f| {
        structure(f, r#""\ud800""#)?;
        structure(f, r#"{"\udc00":1}"#)
    }),
    check("json.surrogate-pairs", SECTION, "An escaped pair of surrogates is the character that it spells.", |f| {
        content_taken(f, r#""\ud83d\ude00 \u007f žluť""#)
    }),
    check("json.nul", SECTION, "U+0000 is invalid_structure.", |f| structure(f, r#""a\u0000b""#)),
    check("json.depth-of-a-commit", SECTION, "A commit nests 56 levels and no more.", |f| {
        content_taken(f, &nested(55))?;
        structure(f, &nested(56))
    }),
    check("json.depth-of-any-text", SECTION, "Any text nests 64 levels and no more.", |f| {
        let room = f.hall()?;
        // Too deep and well-formed but nonsense differ in nothing but the limit: both are no shape of a request.
        body_refused(f, nested(65).as_bytes(), Code::InvalidStructure)?;
        let deep = format!(r#"{{"type":"Query","enclave":"{}","filter":{{"seq":{}}}}}"#, room.enclave, nested(63));
        f.refuse(&Ask::post("/", deep), Code::InvalidStructure).map(drop)
    }),
    check("json.leading-zeros", SECTION, "A number with a leading zero is invalid_json.", |f| no_json(f, b"01")),
    check("json.trailing-text", SECTION, "Text behind the value is invalid_json.", |f| {
        body_refused(f, b"{} {}", Code::InvalidJson)
    }),
    check("json.single-quotes", SECTION, "What is not RFC 8259 is invalid_json.", |f| {
        body_refused(f, b"{'a':1}", Code::InvalidJson)?;
        body_refused(f, b"{\"a\":1,}", Code::InvalidJson)?;
        body_refused(f, b"{", Code::InvalidJson)?;
        body_refused(f, b"", Code::InvalidJson)
    }),
    check("json.not-utf-8", SECTION, "Bytes that are no UTF-8 are invalid_json.", |f| no_json(f, b"\"\xff\"")),
    check("json.byte-order-mark", SECTION, "A byte order mark is invalid_json.", |f| {
        body_refused(f, b"\xef\xbb\xbf{}", Code::InvalidJson)
    }),
    check("json.control-characters", SECTION, "A bare control character in a string is invalid_json.", |f| {
        no_json(f, b"\"a\nb\"")
    }),
    check("json.not-an-object", SECTION, "A body that is no object is invalid_structure.", |f| {
        body_refused(f, b"[]", Code::InvalidStructure)?;
        body_refused(f, b"null", Code::InvalidStructure)?;
        body_refused(f, b"1", Code::InvalidStructure)
    }),
    check(
        "json.text-and-value-differ",
        "enc.md 2",
        "A string and the value that it spells have different hashes: one's signature is not the other's.",
        |f| {
            let room = f.hall()?;
            let number = room.commit(&room.people.bob, "message", "5");
            let swapped = protocol::Commit { content: r#""5""#.into(), ..number.clone() };
            room.refused(&swapped, Code::InvalidHash)?;
            room.submit(&number).map(drop)
        },
    ),
    check(
        "json.canonical-content",
        "enc.md 2",
        "The hash is of the canonical form: other spaces and another order of members are the same commit.",
        |f| {
            let room = f.hall()?;
            let draft = Draft { content: json(r#"{"b":1,"a":[true,null]}"#).to_jcs(), ..room.draft("message", "0") };
            let commit = draft.sign(&room.people.bob).into_commit();
            let spread = commit
                .to_json()
                .to_jcs()
                .replace(r#"{"a":[true,null],"b":1}"#, "{ \"b\" : 1,\n \"\\u0061\": [ true , null ]}");
            hold(spread.contains("\\u0061"), "the content stands in the commit")?;
            let answer = f.take(&Ask::post("/", spread))?;
            equal("the receipt's hash", text(&answer, "hash")?, commit.hash.hex().as_str())
        },
    ),
];
