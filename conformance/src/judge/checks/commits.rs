//! The pipeline's first steps: structure, hash, signature, enclave, duplicates; and which of two faults is answered.

use super::{Check, Verdict, check};
use crate::hall::CALM;
use crate::judge::field::{Field, submitting};
use crate::judge::room::Room;
use crate::judge::talk::member;
use crate::judge::why::{Why, equal, hold};
use crate::people::json;
use crate::wire::Ask;
use k256::schnorr::SigningKey;
use protocol::cbor::sha256;
use protocol::commit::{Draft, HashedFields};
use protocol::{Code, Commit, ContentHash, EnclaveId, Json, PublicKey, Signature};

const STRUCTURE: &str = "enc.md 2";
const PIPELINE: &str = "enc.md 3";

/// A commit's text with one member replaced, added or, by none, taken out.
fn with(commit: &Commit, name: &str, value: Option<&str>) -> String {
    let Json::Object(members) = commit.to_json() else { return String::new() };
    let kept = members.iter().filter(|(known, _)| known != name);
    let mut texts: Vec<String> = kept.map(|(known, value)| format!("\"{known}\":{}", value.to_jcs())).collect();
    texts.extend(value.map(|value| format!("\"{name}\":{value}")));
    format!("{{{}}}", texts.join(","))
}

/// That each of these in the place of a member is invalid_structure, and that the commit as it was is taken.
fn member_refused(f: &Field<'_>, name: &str, values: &[Option<String>]) -> Verdict {
    let room = f.hall()?;
    let commit = room.commit(&room.people.bob, "message", "1");
    for value in values {
        let ask = Ask::post("/", with(&commit, name, value.as_deref()));
        let refused = room.refused_as(&ask, Code::InvalidStructure);
        refused.map_err(|why: Why| why.about(format!("{name} = {:.60}", value.as_deref().unwrap_or("absent"))))?;
    }
    room.submit(&commit).map(drop)
}

fn hexes(name: &'static str, len: usize) -> impl Fn(&Field<'_>) -> Verdict {
    move |f| {
        let hex = |len: usize| Some(format!("\"{}\"", "ab".repeat(len)));
        let upper = Some(format!("\"{}\"", "AB".repeat(len)));
        member_refused(f, name, &[None, hex(len - 1), hex(len + 1), upper, Some("1".into()), Some("null".into())])
    }
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

fn long(len: usize) -> String {
    format!("\"{}\"", "x".repeat(len))
}

/// Each of these changes makes a commit whose hash is not its own.
fn changed(f: &Field<'_>, change: &dyn Fn(&Room<'_>, &mut Commit)) -> Verdict {
    let room = f.hall()?;
    let good = room.commit(&room.people.bob, "message", "1");
    let mut altered = good.clone();
    change(&room, &mut altered);
    room.refused(&altered, Code::InvalidHash)?;
    room.submit(&good).map(drop)
}

/// A commit by a key that is no point.
fn impossible(good: &Commit) -> Commit {
    let mut nobody = [0; 32];
    nobody[31] = 5;
    let fields = HashedFields {
        enclave: &good.enclave,
        from: &PublicKey(nobody),
        event_type: &good.event_type,
        content_hash: &ContentHash(sha256(good.content.as_bytes())),
        exp: good.exp,
        tags: &good.tags,
    };
    Commit { from: PublicKey(nobody), hash: fields.commit_hash(), ..good.clone() }
}

fn old(draft: Draft) -> Draft {
    Draft { exp: 1, ..draft }
}

fn broken_hash(commit: Commit) -> Commit {
    Commit { content: r#""otherwise""#.into(), ..commit }
}

fn broken_sig(mut commit: Commit) -> Commit {
    commit.sig.0[63] ^= 1;
    commit
}

/// Of two faults that one commit has, the earlier step's is answered.
fn first_fault(f: &Field<'_>, code: Code, make: &dyn Fn(&Room<'_>, Draft) -> Commit) -> Verdict {
    let room = f.hall()?;
    let commit = make(&room, room.draft("message", "1"));
    room.refused(&commit, code)?;
    room.say(&room.people.bob, "message", "2").map(drop)
}

pub const CHECKS: &[Check] = &[
    check("commit.hash-member", STRUCTURE, "hash is 64 digits of lower-case hex.", |f| hexes("hash", 32)(f)),
    check("commit.enclave-member", STRUCTURE, "enclave is 64 digits of lower-case hex.", |f| hexes("enclave", 32)(f)),
    check("commit.from-member", STRUCTURE, "from is 64 digits of lower-case hex.", |f| hexes("from", 32)(f)),
    check("commit.sig-member", STRUCTURE, "sig is 128 digits of lower-case hex.", |f| hexes("sig", 64)(f)),
    check("commit.type-member", STRUCTURE, "type is 1 to 64 of A-Z a-z 0-9 _ . -", |f| {
        let values = [
            None,
            Some("\"\"".into()),
            Some(long(65)),
            Some("\"a b\"".into()),
            Some("\"ž\"".into()),
            Some("[]".into()),
        ];
        member_refused(f, "type", &values)
    }),
    check("commit.content-member", STRUCTURE, "content must be there, and may be any JSON value.", |f| {
        member_refused(f, "content", &[None])?;
        let room = f.hall()?;
        for value in ["null", "true", "0", r#""""#, "[]", "{}"] {
            room.say(&room.people.bob, "message", value)?;
        }
        Ok(())
    }),
    check("commit.exp-member", STRUCTURE, "exp is an unsigned number.", |f| {
        // Without exp it is no commit, and nothing else either.
        member_refused(f, "exp", &[None, Some("-1".into()), Some("\"1\"".into()), Some("null".into())])
    }),
    check("commit.tags-member", STRUCTURE, "tags is an array of arrays of strings.", |f| {
        member_refused(f, "tags", &some(&["null", "{}", "[1]", r#"["a"]"#, "[[]]", "[[1]]", r#"[["a",null]]"#]))
    }),
    check(
        "commit.tags-limits",
        STRUCTURE,
        "At most 256 tags of 16 strings, each of 1 KiB, together 16 KiB of UTF-8.",
        |f| {
            let rows = |count: usize, text: &str| format!("[{}]", vec![format!("[{text}]"); count].join(","));
            let wide = format!("[[{}]]", vec!["\"x\""; 17].join(","));
            let bytes = format!("[[\"{}\"]]", "ž".repeat(513));
            member_refused(
                f,
                "tags",
                &some(&[&rows(257, "\"x\""), &wide, &rows(1, &long(1025)), &rows(17, &long(1000)), &bytes]),
            )?;
            let room = f.hall()?;
            let tags = vec![vec!["x".to_owned(); 16]; 256];
            room.submit(&Draft { tags, ..room.draft("message", "1") }.sign(&room.people.bob).into_commit())?;
            let tags = vec![vec!["x".repeat(1024)]; 16];
            room.submit(&Draft { tags, ..room.draft("message", "2") }.sign(&room.people.bob).into_commit()).map(drop)
        },
    ),
    check("commit.tags-optional", STRUCTURE, "tags may be left out, and are then none.", |f| {
        let room = f.hall()?;
        let commit = room.commit(&room.people.bob, "message", "1");
        let answer = f.take(&Ask::post("/", with(&commit, "tags", None)))?;
        let named = room.commit(&room.people.bob, "message", "2");
        let other = f.take(&Ask::post("/", with(&named, "tags", Some("[]"))))?;
        hold(answer.member("seq_sig").is_some() && other.member("seq_sig").is_some(), "both have receipts")
    }),
    check("commit.alg-member", "enc.md 1", "alg is absent or \"schnorr\"; anything else is invalid_structure.", |f| {
        member_refused(f, "alg", &some(&["\"ed25519\"", "\"\"", "null", "\"Schnorr\"", "1"]))?;
        let room = f.hall()?;
        let commit = room.commit(&room.people.bob, "message", "1");
        f.take(&Ask::post("/", with(&commit, "alg", Some("\"schnorr\"")))).map(drop)
    }),
    check("commit.unlisted-member", "enc.md 1", "A commit has the listed members and no other.", |f| {
        member_refused(f, "seq", &some(&["1"]))?;
        member_refused(f, "timestamp", &some(&["1"]))
    }),
    check("commit.too-large", STRUCTURE, "A commit beyond the limit, counted as received, is too_large 413.", |f| {
        let room = f.hall()?;
        let limit = usize::try_from(f.node.limit("commit_bytes", 1 << 20)).unwrap_or(1 << 20);
        let text = |content: &str| room.commit(&room.people.bob, "message", content).to_json().to_jcs();
        let padded = |text: String, len: usize| format!("{text}{}", " ".repeat(len - text.len()));
        room.refused_as(&Ask::post("/", padded(text("1"), limit + 1)), Code::TooLarge)?;
        f.take(&Ask::post("/", padded(text("2"), limit))).map(drop)
    }),
    check("commit.hash-of-content", PIPELINE, "Another content is invalid_hash.", |f| {
        changed(f, &|_, commit| commit.content = "2".into())
    }),
    check("commit.hash-of-type", PIPELINE, "Another type is invalid_hash.", |f| {
        changed(f, &|_, commit| commit.event_type = "notice".into())
    }),
    check("commit.hash-of-exp", PIPELINE, "Another exp is invalid_hash.", |f| changed(f, &|_, commit| commit.exp += 1)),
    check("commit.hash-of-tags", PIPELINE, "Other tags are invalid_hash.", |f| {
        changed(f, &|_, commit| commit.tags = vec![vec!["x".into()]])
    }),
    check("commit.hash-of-from", PIPELINE, "Another author is invalid_hash.", |f| {
        changed(f, &|room, commit| commit.from = room.people.alice.public())
    }),
    check("commit.hash-of-enclave", PIPELINE, "Another enclave is invalid_hash: a commit is for one enclave.", |f| {
        let other = f.hall()?;
        changed(f, &|_, commit| commit.enclave = other.enclave)
    }),
    check(
        "commit.signature",
        PIPELINE,
        "A signature with one bit changed, by another key or of zeros is invalid_signature 401.",
        |f| {
            let room = f.hall()?;
            let good = room.commit(&room.people.bob, "message", "1");
            let foreign = Commit { sig: room.people.carol.sign(good.hash.as_bytes()), ..good.clone() };
            let zero = Commit { sig: Signature([0; 64]), ..good.clone() };
            for commit in [broken_sig(good.clone()), foreign, zero] {
                room.refused(&commit, Code::InvalidSignature)?;
            }
            room.submit(&good).map(drop)
        },
    ),
    check("commit.author-is-a-point", "enc.md 4.3", "A from that is no x-only key is invalid_signature.", |f| {
        let room = f.hall()?;
        let good = room.commit(&room.people.bob, "message", "1");
        room.refused(&impossible(&good), Code::InvalidSignature)?;
        room.submit(&good).map(drop)
    }),
    check(
        "commit.enclave-not-found",
        PIPELINE,
        "A commit for an enclave that is not here is enclave_not_found 404.",
        |f| {
            let room = f.hall()?;
            let away = Draft { enclave: EnclaveId(f.bytes("nowhere")), ..room.draft("message", "1") };
            room.refused(&away.sign(&room.people.bob).into_commit(), Code::EnclaveNotFound).map(drop)
        },
    ),
    check("commit.duplicate", PIPELINE, "A commit that is stored is duplicate 409, with its receipt.", |f| {
        let room = f.hall()?;
        let commit = room.commit(&room.people.bob, "message", "1");
        let receipt = room.submit(&commit)?;
        for _ in 0..2 {
            let body = room.refused(&commit, Code::Duplicate)?;
            equal("the receipt", member(&body, "receipt")?.to_jcs(), receipt.to_jcs())?;
        }
        Ok(())
    }),
    check(
        "commit.duplicate-by-another-signature",
        PIPELINE,
        "A duplicate by another valid signature has no receipt.",
        |f| {
            let room = f.hall()?;
            let secret = f.bytes("a second signature");
            let author = protocol::schnorr::KeyPair::from_secret(&secret).map_err(|_| Why::new("a key"))?;
            room.say(&room.people.alice, "Move", &room.to(&author, "MEMBER"))?;
            let commit = room.commit(&author, "message", "1");
            room.submit(&commit)?;
            let key = SigningKey::from_slice(&secret).map_err(|_| Why::new("a key"))?;
            let other = key.sign_raw(commit.hash.as_bytes(), &[1; 32]).map_err(|_| Why::new("a signature"))?;
            let other = Commit { sig: Signature(other.to_bytes()), ..commit.clone() };
            hold(other.sig != commit.sig, "another randomness gives another signature")?;
            let body = room.refused(&other, Code::Duplicate)?;
            equal("the receipt", body.member("receipt"), None)
        },
    ),
    check(
        "commit.refused-is-not-remembered",
        PIPELINE,
        "A refused commit is not remembered: it may be sent again and is taken when the rules allow it.",
        |f| {
            let room = f.hall()?;
            let early = room.commit(&room.people.stranger, "message", r#""may I?""#);
            room.refused(&early, Code::Unauthorized)?;
            room.say(&room.people.alice, "Move", &room.to(&room.people.stranger, "MEMBER"))?;
            room.submit(&early).map(drop)
        },
    ),
    check(
        "commit.manifest-twice",
        PIPELINE,
        "A Manifest of an id that exists, by another commit, is enclave_exists 409.",
        |f| {
            let room = f.hall()?;
            let content = json(&room.manifest.content);
            let again =
                Draft::manifest(&room.people.alice, &content, room.manifest.tags.clone(), room.manifest.exp + 1);
            let again = again.sign(&room.people.alice).into_commit();
            equal("the id", again.enclave, room.enclave)?;
            room.refused(&again, Code::EnclaveExists)?;
            room.refused(&room.manifest, Code::Duplicate).map(drop)
        },
    ),
    check("order.structure-before-expiry", PIPELINE, "Structure is judged before expiry.", |f| {
        let room = f.hall()?;
        let commit = old(room.draft("message", "1")).sign(&room.people.bob).into_commit();
        room.refused_as(&Ask::post("/", with(&commit, "type", Some("\"\""))), Code::InvalidStructure)?;
        room.refused_as(&submitting(&commit), Code::Expired).map(drop)
    }),
    check("order.expiry-before-hash", PIPELINE, "Expiry is judged before the hash.", |f| {
        first_fault(f, Code::Expired, &|room, draft| broken_hash(old(draft).sign(&room.people.bob).into_commit()))
    }),
    check("order.expiry-before-enclave", PIPELINE, "Expiry is judged before the enclave is looked for.", |f| {
        let nowhere = EnclaveId(f.bytes("nowhere"));
        first_fault(f, Code::Expired, &|room, draft| {
            old(Draft { enclave: nowhere, ..draft }).sign(&room.people.bob).into_commit()
        })
    }),
    check("order.hash-before-signature", PIPELINE, "The hash is judged before the signature.", |f| {
        first_fault(f, Code::InvalidHash, &|room, draft| {
            broken_sig(broken_hash(draft.sign(&room.people.bob).into_commit()))
        })
    }),
    check(
        "order.signature-before-enclave",
        PIPELINE,
        "The signature is judged before the enclave is looked for.",
        |f| {
            let nowhere = EnclaveId(f.bytes("nowhere"));
            first_fault(f, Code::InvalidSignature, &|room, draft| {
                broken_sig(Draft { enclave: nowhere, ..draft }.sign(&room.people.bob).into_commit())
            })
        },
    ),
    check("order.duplicate-before-lifecycle", PIPELINE, "A duplicate is told before the enclave's life.", |f| {
        let room = f.hall_with(CALM)?;
        let said = room.commit(&room.people.bob, "message", "1");
        room.submit(&said)?;
        room.say(&room.people.alice, "Terminate", "{}")?;
        room.refused(&said, Code::Duplicate).map(drop)
    }),
    check("order.lifecycle-before-roles", PIPELINE, "The enclave's life is judged before the author's roles.", |f| {
        let room = f.hall()?;
        room.refuses(&room.people.stranger, "message", "1", Code::Unauthorized)?;
        room.say(&room.people.alice, "Terminate", "{}")?;
        room.refuses(&room.people.stranger, "message", "2", Code::EnclaveTerminated)?;
        room.refuses(&room.people.alice, "Resume", "{}", Code::EnclaveTerminated).map(drop)
    }),
    check(
        "order.roles-before-rules",
        "enc.md 4.3",
        "Permission is judged before whether target and alias exist.",
        |f| {
            let room = f.hall()?;
            let nobody = room.to(&room.people.bob, "NOWHERE");
            room.refuses(&room.people.stranger, "Move", &nobody, Code::Unauthorized)?;
            room.refuses(&room.people.bob, "Gate", r#"{"alias":"none","open":true}"#, Code::Unauthorized)?;
            room.refuses(&room.people.alice, "Gate", r#"{"alias":"none","open":true}"#, Code::NotFound).map(drop)
        },
    ),
];
