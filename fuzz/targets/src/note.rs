//! Signed notes, verifier keys and checkpoints: for each value there is one text.

use tlog::checkpoint::{Checkpoint, verify_checkpoint};
use tlog::note::{Note, SignatureLine};
use tlog::vkey::Vkey;

/// The log key that has signed the checkpoints of the vectors.
const LOG_VKEY: &str = "enc/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\
                        +f68fea07+AbEex0z82ejWr2jBoWKGsxEbeh5AxMsvJfdRa9AsFdL4";

/// Bytes as a note.
pub fn note(bytes: &[u8]) {
    let Ok(note) = Note::parse(bytes) else { return };
    assert_eq!(note.to_string().as_bytes(), bytes);
    let mut built = Note::new(note.text()).expect("the text of a note");
    for line in note.signatures() {
        assert_eq!(SignatureLine::parse(&line.to_string()).as_ref(), Ok(line));
        built.push(line.clone()).expect("as many as it had");
    }
    assert_eq!(built, note);
    let log_key = Vkey::parse(LOG_VKEY).expect("a verifier key");
    if let Ok(checkpoint) = Checkpoint::parse(note.text()) {
        let signed = log_key.verify_note(&note).is_ok();
        assert_eq!(verify_checkpoint(&note, &checkpoint.origin, &log_key).is_ok(), signed);
    }
}

/// Text as a verifier key.
pub fn vkey(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    let Ok(vkey) = Vkey::parse(text) else { return };
    assert_eq!(vkey.to_string(), text);
    assert_eq!(Vkey::new(vkey.name().clone(), vkey.kind(), vkey.key()), Ok(vkey));
}

/// Text as a checkpoint.
pub fn checkpoint(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    let Ok(checkpoint) = Checkpoint::parse(text) else { return };
    assert_eq!(checkpoint.to_string(), text);
    if checkpoint.extensions().is_empty() {
        let Checkpoint { origin, size, root, .. } = checkpoint.clone();
        assert_eq!(Checkpoint::new(origin, size, root), checkpoint);
    }
}
