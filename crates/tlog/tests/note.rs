//! Notes, verifier keys and checkpoints: the published example, what is refused, and another implementation.

use proptest::prelude::*;
use signed_note::{Note as TheirNote, StandardVerifier, VerifierList};
use tlog::checkpoint::{Checkpoint, CheckpointError, Origin, verify_checkpoint};
use tlog::note::{KeyId, KeyName, MAX_NOTE_LEN, MAX_SIGNATURES, Note, NoteError, SignatureLine, key_id};
use tlog::signer::NoteSigner;
use tlog::vkey::{KeyKind, SignatureError, Vkey, VkeyError};

const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE: &str = "This is an example message.\n\n\u{2014} example.com/foo \
    Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

fn example() -> Note {
    Note::parse(EXAMPLE.as_bytes()).expect("the example is a note")
}

fn vkey(text: &str) -> Vkey {
    Vkey::parse(text).expect(text)
}

fn name(text: &str) -> KeyName {
    KeyName::parse(text).expect(text)
}

fn signer(name_text: &str, seed: u8) -> NoteSigner {
    NoteSigner::from_seed(name(name_text), &[seed; 32]).expect("no seed is weak")
}

fn signed(text: &str, signers: &[&NoteSigner]) -> Note {
    let mut note = Note::new(text).expect(text);
    for signer in signers {
        note.push(signer.sign(&note)).expect("few and short");
    }
    note
}

#[test]
fn the_published_example() {
    let key = vkey(EXAMPLE_KEY);
    assert_eq!(
        (key.kind(), key.id(), key.name().as_str()),
        (KeyKind::Ed25519, KeyId([0x53, 0x0d, 0x90, 0x3a]), "example.com/foo")
    );
    assert_eq!(key.to_string(), EXAMPLE_KEY);
    let note = example();
    assert_eq!((note.text(), note.signatures().len()), ("This is an example message.\n", 1));
    assert_eq!(note.to_string(), EXAMPLE);
    assert_eq!(key.verify_note(&note), Ok(()));
}

#[test]
fn an_altered_text_or_signature_does_not_verify() {
    let key = vkey(EXAMPLE_KEY);
    for (from, to, error) in [
        ("This", "Thus", SignatureError::Invalid),
        ("message.\n", "message.\n\n", SignatureError::Invalid),
        ("Uw2QOkn8", "Uw2QOkn9", SignatureError::Invalid),
        ("yaQM=", "yaQI=", SignatureError::Invalid),
        // Another id or name: the line of a key that is not known.
        ("Uw2QOkn8", "Uw3QOkn8", SignatureError::Unsigned),
        ("example.com/foo", "example.com/bar", SignatureError::Unsigned),
    ] {
        let note = Note::parse(EXAMPLE.replace(from, to).as_bytes()).expect("still a note");
        assert_eq!(key.verify_note(&note), Err(error), "{to}");
    }
}

#[test]
fn one_bad_line_of_a_known_key_is_enough() {
    let (log, other) = (signer("log", 1), signer("other", 2));
    let mut note = signed("text\n", &[&log]);
    assert_eq!(log.vkey().verify_note(&note), Ok(()));
    assert_eq!(other.vkey().verify_note(&note), Err(SignatureError::Unsigned));
    // A line of an unknown key is not looked at, however it is made.
    note.push(SignatureLine::new(name("log"), KeyId([0; 4]), vec![1]).expect("not empty")).expect("few");
    assert_eq!(log.vkey().verify_note(&note), Ok(()));
    for bad in [vec![1], vec![0; 64], vec![0; 65], signed("other text\n", &[&log]).signatures()[0].signature().to_vec()]
    {
        let mut note = note.clone();
        note.push(SignatureLine::new(name("log"), log.vkey().id(), bad).expect("not empty")).expect("few");
        assert_eq!(log.vkey().verify_note(&note), Err(SignatureError::Invalid));
    }
}

#[test]
fn a_key_of_another_kind_is_another_key() {
    let log = signer("log", 1);
    let witness = Vkey::new(name("log"), KeyKind::CosignatureV1, log.vkey().key()).expect("a point");
    assert_ne!(witness.id(), log.vkey().id());
    assert_eq!(Vkey::parse(&witness.to_string()), Ok(witness.clone()));
    let note = signed("text\n", &[&log]);
    assert_eq!(witness.verify_note(&note), Err(SignatureError::WrongKind));
    // Not even if its id is written over the signature of the other.
    let mut relabelled = Note::new("text\n").expect("a text");
    let line = SignatureLine::new(name("log"), witness.id(), note.signatures()[0].signature().to_vec());
    relabelled.push(line.expect("not empty")).expect("few");
    assert_eq!(witness.verify_note(&relabelled), Err(SignatureError::WrongKind));
    assert_eq!(log.vkey().verify_note(&relabelled), Err(SignatureError::Unsigned));
}

#[test]
fn the_text_ends_at_the_last_blank_line() {
    let log = signer("log", 1);
    for text in ["one\n\ntwo\n", "\n", "\n\n\n", "\u{2014} log AAAAAAA=\n", "a\n\n\u{2014} log AAAAAAA=\n"] {
        let note = signed(text, &[&log]);
        assert_eq!(Note::parse(note.to_string().as_bytes()), Ok(note), "{text:?}");
    }
}

#[test]
fn other_bytes_are_no_notes() {
    let line = EXAMPLE.split_once("\n\n").expect("a blank line").1;
    let check =
        |bytes: &[u8], error| assert_eq!(Note::parse(bytes), Err(error), "{:?}", String::from_utf8_lossy(bytes));
    check(b"", NoteError::Unsigned);
    check(b"text\n", NoteError::Unsigned);
    check(b"text\n\n", NoteError::Unsigned);
    check(line.as_bytes(), NoteError::Unsigned);
    check(format!("text\n{line}").as_bytes(), NoteError::Unsigned);
    check(format!("text\n\n{}", line.trim_end()).as_bytes(), NoteError::SignatureLine);
    check(format!("text\n\n{line}text\n").as_bytes(), NoteError::SignatureLine);
    check(format!("text\n\n {line}").as_bytes(), NoteError::SignatureLine);
    check(format!("text\r\n\n{line}").as_bytes(), NoteError::Text);
    check(format!("te\0xt\n\n{line}").as_bytes(), NoteError::Text);
    check(&[b"te\xffxt\n\n", line.as_bytes()].concat(), NoteError::Text);
    check(EXAMPLE.replace("\u{2014} ", "- ").as_bytes(), NoteError::SignatureLine);
    check(EXAMPLE.replace("\u{2014} ", "\u{2014}").as_bytes(), NoteError::SignatureLine);
    check(EXAMPLE.replace("\u{2014} ", "\u{2014}  ").as_bytes(), NoteError::KeyName);
    check(EXAMPLE.replace("foo Uw", "fo+ Uw").as_bytes(), NoteError::KeyName);
    check(EXAMPLE.replace("foo Uw", "fo\u{2003} Uw").as_bytes(), NoteError::KeyName);
    check(EXAMPLE.replace("foo Uw", "foo  Uw").as_bytes(), NoteError::SignatureLine);
    check(EXAMPLE.replace("yaQM=", "yaQM").as_bytes(), NoteError::SignatureLine);
    check(EXAMPLE.replace("yaQM=", "yaQN=").as_bytes(), NoteError::SignatureLine);
    check(EXAMPLE.replace("yaQM=", "yaQM= ").as_bytes(), NoteError::SignatureLine);
    check(EXAMPLE.replace("yaQM=", "yaQM==").as_bytes(), NoteError::SignatureLine);
    check(EXAMPLE.replace("yaQM=", "ya_M=").as_bytes(), NoteError::SignatureLine);
    for blob in ["", "AAAA", "AAAAAA=="] {
        check(format!("text\n\n\u{2014} log {blob}\n").as_bytes(), NoteError::SignatureLine);
    }
}

#[test]
fn limits() {
    let line = "\u{2014} log AAAAAAA=\n";
    let many = |count| format!("text\n\n{}", line.repeat(count));
    let full = Note::parse(many(MAX_SIGNATURES).as_bytes()).expect("as many as may be");
    assert_eq!(Note::parse(many(MAX_SIGNATURES + 1).as_bytes()), Err(NoteError::TooManySignatures));
    let one_more = full.clone().push(full.signatures()[0].clone());
    assert_eq!(one_more, Err(NoteError::TooManySignatures));
    let longest = |extra: usize| format!("{}\n\n{line}", "a".repeat(MAX_NOTE_LEN - 2 - line.len() + extra));
    assert!(Note::parse(longest(0).as_bytes()).is_ok());
    assert_eq!(Note::parse(longest(1).as_bytes()), Err(NoteError::TooLong));
    for (extra, expected) in [(0, Ok(())), (1, Err(NoteError::TooLong))] {
        let note = longest(extra);
        let (text, _) = note.split_once("\n\n").expect("a blank line");
        let mut note = Note::new(&format!("{text}\n")).expect("a long text");
        assert_eq!(note.push(full.signatures()[0].clone()), expected);
    }
    assert_eq!(Note::new(&"\n".repeat(MAX_NOTE_LEN + 1)), Err(NoteError::TooLong));
}

#[test]
fn parts_that_can_not_be_written() {
    for text in ["", "text", "te\txt\n"] {
        assert_eq!(Note::new(text), Err(NoteError::Text), "{text:?}");
    }
    for text in ["", "a b", "a+b", "a\nb", "a\u{a0}b", "a\u{1}"] {
        assert_eq!(KeyName::parse(text), Err(NoteError::KeyName), "{text:?}");
    }
    assert_eq!(SignatureLine::new(name("log"), KeyId([0; 4]), vec![]), Err(NoteError::SignatureLine));
}

#[test]
fn other_texts_are_no_verifier_keys() {
    let weak = {
        let mut identity = [0; 32];
        identity[0] = 1;
        identity
    };
    assert_eq!(Vkey::new(name("log"), KeyKind::Ed25519, &weak), Err(VkeyError::Key));
    assert_eq!(Vkey::new(name("log"), KeyKind::Ed25519, &[2; 32]), Err(VkeyError::Key));
    for (text, error) in [
        ("", VkeyError::Form),
        ("example.com/foo", VkeyError::Form),
        ("example.com/foo+530d903a", VkeyError::Form),
        ("+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", VkeyError::Name),
        ("a b+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", VkeyError::Name),
        ("example.com/foo+530d903a+", VkeyError::Form),
        ("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2", VkeyError::Form),
        ("example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", VkeyError::Id),
        ("example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", VkeyError::Id),
        ("example.com/foo+30d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", VkeyError::Id),
        ("example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", VkeyError::Id),
        // The same key, said to be of another kind.
        ("example.com/foo+530d903a+BOkyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", VkeyError::Id),
        ("example.com/foo+530d903a+BukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", VkeyError::UnknownKind),
        ("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U0=", VkeyError::Key),
    ] {
        assert_eq!(Vkey::parse(text), Err(error), "{text}");
    }
}

#[test]
fn key_ids_are_hashes_of_name_kind_and_key() {
    let key = vkey(EXAMPLE_KEY);
    assert_eq!(key_id(key.name(), 0x01, key.key()), key.id());
    assert_eq!(key.id().to_string(), "530d903a");
}

const EMPTY_ROOT_TEXT: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

#[test]
fn checkpoints() {
    let origin = Origin::parse("example.org/log 7").expect("a line");
    for size in [0, 1, 20, u64::MAX] {
        let checkpoint = Checkpoint::new(origin.clone(), size, [9; 32]);
        assert_eq!(Checkpoint::parse(&checkpoint.to_string()), Ok(checkpoint));
    }
    let text = format!("log\n0\n{EMPTY_ROOT_TEXT}\nmore\nand more\n");
    let extended = Checkpoint::parse(&text).expect("extension lines are kept");
    assert_eq!(extended.extensions(), ["more", "and more"]);
    assert_eq!(extended.to_string(), text);
}

#[test]
fn other_texts_are_no_checkpoints() {
    let check = |text: &str, error| assert_eq!(Checkpoint::parse(text), Err(error), "{text:?}");
    for size in ["", "+5", "007", "00", "-0", "-1", "0x1", "1 ", " 1", "1.0", "18446744073709551616", "\u{661}"] {
        check(&format!("log\n{size}\n{EMPTY_ROOT_TEXT}\n"), CheckpointError::Size);
    }
    let short = EMPTY_ROOT_TEXT.replace("uFU=", "uA==");
    let long = EMPTY_ROOT_TEXT.replace("uFU=", "uFUA");
    let loose = EMPTY_ROOT_TEXT.replace("uFU=", "uFV=");
    let bare = EMPTY_ROOT_TEXT.replace('=', "");
    for root in ["", &short, &long, &loose, &bare, &EMPTY_ROOT_TEXT.replace('+', "-")] {
        check(&format!("log\n0\n{root}\n"), CheckpointError::Root);
    }
    check("", CheckpointError::Form);
    check("log\n0\n", CheckpointError::Form);
    check(&format!("log\n0\n{EMPTY_ROOT_TEXT}"), CheckpointError::Form);
    check(&format!("\n0\n{EMPTY_ROOT_TEXT}\n"), CheckpointError::Origin);
    check(&format!("log\r\n0\n{EMPTY_ROOT_TEXT}\n"), CheckpointError::Origin);
    check(&format!("log\n0\n{EMPTY_ROOT_TEXT}\n\n"), CheckpointError::Extension);
    check(&format!("log\n0\n{EMPTY_ROOT_TEXT}\n\nmore\n"), CheckpointError::Extension);
    for origin in ["", "a\nb", "a\0"] {
        assert_eq!(Origin::parse(origin), Err(CheckpointError::Origin));
    }
}

#[test]
fn a_checkpoint_is_of_its_log_and_signed_by_its_key() {
    let (log, other) = (signer("example.org/log", 1), signer("example.org/other", 2));
    let origin = Origin::parse("example.org/log").expect("a line");
    let checkpoint = Checkpoint::new(origin.clone(), 5, [9; 32]);
    let note = signed(&checkpoint.to_string(), &[&other, &log]);
    assert_eq!(verify_checkpoint(&note, &origin, log.vkey()), Ok(checkpoint.clone()));
    let elsewhere = Origin::parse("example.org/other").expect("a line");
    assert_eq!(verify_checkpoint(&note, &elsewhere, other.vkey()), Err(CheckpointError::OtherLog));
    let unsigned = signed(&checkpoint.to_string(), &[&other]);
    let verdict = verify_checkpoint(&unsigned, &origin, log.vkey());
    assert_eq!(verdict, Err(CheckpointError::Signature(SignatureError::Unsigned)));
    let no_checkpoint = signed("example.org/log\n5\n", &[&log]);
    assert_eq!(verify_checkpoint(&no_checkpoint, &origin, log.vkey()), Err(CheckpointError::Form));
}

/// Notes and checkpoints made here are read and verified by another implementation, and its keys and ids are ours.
#[test]
fn another_implementation_agrees() {
    for seed in 1..20 {
        let log = signer("example.org/log", seed);
        let origin = Origin::parse("example.org/log").expect("a line");
        let checkpoint = Checkpoint::new(origin, u64::from(seed) << 20, [seed; 32]);
        let note = signed(&checkpoint.to_string(), &[&log]);
        let theirs = TheirNote::from_bytes(note.to_string().as_bytes()).expect("a note to them");
        let verifier = StandardVerifier::new(&log.vkey().to_string()).expect("a key to them");
        let (verified, ignored) = theirs.verify(&VerifierList::new(vec![Box::new(verifier)])).expect("signed");
        assert_eq!((verified.len(), ignored.len()), (1, 0));
        assert_eq!(theirs.to_bytes(), note.to_string().as_bytes());
        let read = tlog_tiles::Checkpoint::from_bytes(note.text().as_bytes()).expect("a checkpoint to them");
        assert_eq!((read.origin(), read.size(), read.hash().0), ("example.org/log", checkpoint.size, checkpoint.root));
        let mut key = vec![KeyKind::Ed25519.type_byte()];
        key.extend_from_slice(log.vkey().key());
        let their_id = signed_note::key_id("example.org/log", &key);
        assert_eq!(log.vkey().id(), KeyId(their_id.to_be_bytes()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// For each value there is one text: what is read from altered bytes is written as the same bytes.
    #[test]
    fn no_bytes_are_read_as_another_note(at: usize, byte: u8, insert: bool) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let at = at % bytes.len();
        if insert { bytes.insert(at, byte) } else { bytes[at] = byte }
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(note.to_string().into_bytes(), &bytes[..]);
            prop_assert!(bytes == EXAMPLE.as_bytes() || vkey(EXAMPLE_KEY).verify_note(&note).is_err());
        }
    }

    #[test]
    fn no_text_is_read_as_another_key_or_checkpoint(at: usize, byte in 0u8..128, insert: bool) {
        let checkpoint = format!("example.org/log\n20\n{EMPTY_ROOT_TEXT}\n");
        for text in [EXAMPLE_KEY, &checkpoint] {
            let mut bytes = text.as_bytes().to_vec();
            let at = at % bytes.len();
            if insert { bytes.insert(at, byte) } else { bytes[at] = byte }
            let text = String::from_utf8(bytes).expect("ASCII");
            if let Ok(key) = Vkey::parse(&text) {
                prop_assert_eq!(key.to_string(), EXAMPLE_KEY);
                prop_assert_eq!(&text, EXAMPLE_KEY);
            }
            if let Ok(checkpoint) = Checkpoint::parse(&text) {
                prop_assert_eq!(checkpoint.to_string(), text);
            }
        }
    }
}
