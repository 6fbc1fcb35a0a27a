//! What passes between logs and witnesses: cosignatures, requests, policies.

use tlog::add_checkpoint::{AddCheckpoint, AddCheckpointError, MAX_PROOF, parse_lines, parse_size};
use tlog::cosignature::{CosignatureSigner, MAX_TIME_SECS};
use tlog::note::{KeyName, Note, NoteError, SignatureLine};
use tlog::policy::{Fault, Policy};
use tlog::signer::NoteSigner;
use tlog::vkey::{SignatureError, Vkey};

const TEXT: &str = "example.com/log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

fn witness(byte: u8) -> CosignatureSigner {
    let name = KeyName::parse(&format!("witness.example/w{byte}")).expect("a name");
    CosignatureSigner::from_seed(name, &[byte; 32]).expect("a key")
}

fn note() -> Note {
    let name = KeyName::parse("example.com/log").expect("a name");
    let log = NoteSigner::from_seed(name, &[9; 32]).expect("a key");
    let mut note = Note::new(TEXT).expect("a text");
    note.push(log.sign(&note)).expect("there is room");
    note
}

#[test]
fn a_cosignature_is_a_time_and_ed25519_over_it_and_the_text() {
    let signer = witness(1);
    let line = signer.cosign(&note(), 1_700_000_000);
    let (time, signature) = line.signature().split_first_chunk::<8>().expect("a time stands first");
    assert_eq!(u64::from_be_bytes(*time), 1_700_000_000);
    let key = ed25519_dalek::VerifyingKey::from_bytes(signer.vkey().key()).expect("a key");
    let signature = ed25519_dalek::Signature::from_slice(signature).expect("64 bytes");
    let message = format!("cosignature/v1\ntime 1700000000\n{TEXT}");
    assert!(key.verify_strict(message.as_bytes(), &signature).is_ok());
    assert_eq!(line.to_string().split(' ').nth(2).map(str::len), Some(104), "the length that the specification gives");
}

#[test]
fn a_cosignature_holds_for_its_text_and_key_only() {
    let (signer, other) = (witness(1), witness(2));
    let line = signer.cosign(&note(), 5);
    let check = |vkey: &Vkey, text: &str, line: &SignatureLine, expected| {
        assert_eq!(vkey.verify_cosignature(text, line), expected);
    };
    check(signer.vkey(), TEXT, &line, Ok(5));
    check(signer.vkey(), &TEXT.replace('7', "8"), &line, Err(SignatureError::Invalid));
    check(other.vkey(), TEXT, &line, Err(SignatureError::Unsigned));
    let altered = |at: usize| {
        let mut blob = line.signature().to_vec();
        blob[at] ^= 1;
        SignatureLine::new(line.name().clone(), line.id(), blob).expect("bytes")
    };
    for at in 0..line.signature().len() {
        check(signer.vkey(), TEXT, &altered(at), Err(SignatureError::Invalid));
    }
    let short = SignatureLine::new(line.name().clone(), line.id(), line.signature()[..71].to_vec()).expect("bytes");
    check(signer.vkey(), TEXT, &short, Err(SignatureError::Invalid));
    let name = KeyName::parse("witness.example/w1").expect("a name");
    let as_log = NoteSigner::from_seed(name, &[1; 32]).expect("a key");
    check(as_log.vkey(), TEXT, &line, Err(SignatureError::WrongKind));
    let late = signer.cosign(&note(), u64::MAX);
    check(signer.vkey(), TEXT, &late, Ok(MAX_TIME_SECS));
}

#[test]
fn requests_have_one_text() {
    let request = AddCheckpoint { old_size: 3, proof: vec![[1; 32], [2; 32]], note: note() };
    let text = request.to_string();
    assert_eq!(AddCheckpoint::parse(text.as_bytes()), Ok(request.clone()));
    let first = AddCheckpoint { old_size: 0, proof: Vec::new(), note: note() };
    assert!(first.to_string().starts_with("old 0\n\nexample.com/log\n7\n"));
    assert_eq!(AddCheckpoint::parse(first.to_string().as_bytes()), Ok(first));
    let hash = text.lines().nth(1).expect("a hash").to_owned();
    let rows: &[(String, AddCheckpointError)] = &[
        (String::new(), AddCheckpointError::Form),
        (text.replacen("\n\n", "\n", 2), AddCheckpointError::Form),
        (text.replace("old 3", "old 03"), AddCheckpointError::OldSize),
        (text.replace("old 3", "old +3"), AddCheckpointError::OldSize),
        (text.replace("old 3", "3"), AddCheckpointError::OldSize),
        (text.replace(&hash, &hash[1..]), AddCheckpointError::Proof),
        (text.replace(&hash, &format!(" {hash}")), AddCheckpointError::Proof),
        (text.replacen(&hash, &vec![hash.as_str(); MAX_PROOF].join("\n"), 1), AddCheckpointError::Proof),
        (text.trim_end().to_owned(), AddCheckpointError::Note(NoteError::SignatureLine)),
    ];
    for (text, expected) in rows {
        assert_eq!(AddCheckpoint::parse(text.as_bytes()), Err(*expected), "{text}");
    }
}

#[test]
fn answers_are_read_strictly() {
    for (body, expected) in
        [("7\n", Some(7)), ("0\n", Some(0)), ("7", None), ("07\n", None), ("+7\n", None), ("7\n\n", None), ("", None)]
    {
        assert_eq!(parse_size(body.as_bytes()), expected, "{body:?}");
    }
    let lines = [witness(1), witness(2)].map(|signer| signer.cosign(&note(), 5));
    let body = format!("{}\n{}\n", lines[0], lines[1]);
    assert_eq!(parse_lines(body.as_bytes()), Ok(lines.to_vec()));
    for body in ["", "\n", body.trim_end(), &format!("{body}\n")] {
        assert!(parse_lines(body.as_bytes()).is_err(), "{body:?}");
    }
}

#[test]
fn a_policy_counts_its_witnesses() {
    let keys = [1, 2, 3, 4].map(|byte| witness(byte).vkey().to_string());
    let lines: String = (0..4).map(|place| format!("witness w{place}\t{} http://w{place}\n", keys[place])).collect();
    let groups = "group two 2 w0 w1 w2  # any two\ngroup both all two w3\n";
    let check = |quorum: &str, signed: &[u8], expected: bool| {
        let policy = Policy::parse(&format!("# a policy\n\n{lines}{groups}quorum {quorum}\n")).expect("a policy");
        let mut note = note();
        for byte in signed {
            note.push(witness(*byte).cosign(&note, 5)).expect("there is room");
        }
        assert_eq!(policy.is_met(&note), expected, "{quorum} by {signed:?}");
    };
    check("none", &[], true);
    check("w0", &[], false);
    check("w0", &[1], true);
    check("w0", &[2, 9], false);
    check("two", &[1], false);
    check("two", &[1, 1, 1], false);
    check("two", &[3, 1], true);
    check("both", &[1, 2, 3], false);
    check("both", &[4, 1, 2], true);
}

#[test]
fn what_is_no_policy_is_refused_with_its_line() {
    let [one, two] = [1, 2].map(|byte| witness(byte).vkey().to_string());
    let name = KeyName::parse("log.example").expect("a name");
    let log = NoteSigner::from_seed(name, &[7; 32]).expect("a key").vkey().to_string();
    let rows: &[(String, usize, Fault)] = &[
        (String::new(), 0, Fault::NoQuorum),
        ("quorum none\nquorum none".into(), 2, Fault::Form),
        ("quorum w\nquorum none".into(), 1, Fault::UnknownName),
        ("Log x".into(), 1, Fault::Form),
        ("log".into(), 1, Fault::Form),
        (format!("log {one}\nquorum none"), 1, Fault::Key),
        (format!("witness w {log}\nquorum none"), 1, Fault::Key),
        (format!("log {log}\nlog {log} http://x\nquorum none"), 2, Fault::KeyTwice),
        (format!("witness a {one}\nwitness b {one}\nquorum a"), 2, Fault::KeyTwice),
        (format!("witness a {one}\nwitness a {two}\nquorum a"), 2, Fault::NameTwice),
        (format!("witness none {one}\nquorum none"), 1, Fault::NameTwice),
        (format!("group g any w\nwitness w {one}\nquorum g"), 1, Fault::UnknownName),
        (format!("witness w {one}\ngroup g any w w\nquorum g"), 2, Fault::MemberTwice),
        (format!("witness w {one}\ngroup g any w\ngroup h any w\nquorum g"), 3, Fault::MemberTwice),
        (format!("witness w {one}\ngroup g 2 w\nquorum g"), 2, Fault::Threshold),
        (format!("witness w {one}\ngroup g 0 w\nquorum g"), 2, Fault::Threshold),
        (format!("witness w {one}\ngroup g +1 w\nquorum g"), 2, Fault::Threshold),
        (format!("witness w {one}\ngroup g any\nquorum g"), 2, Fault::Form),
        (format!("witness w {one} http://x y\nquorum w"), 1, Fault::Form),
    ];
    for (text, line, fault) in rows {
        let refused = Policy::parse(text).expect_err(text);
        assert_eq!((refused.line, refused.fault), (*line, *fault), "{text}");
    }
    let logs = Policy::parse_logs(&format!("log {log} # ours\n")).expect("a list of logs");
    assert_eq!(logs.iter().map(|log| log.vkey.to_string()).collect::<Vec<_>>(), [log]);
}
