//! Proof files: read as written, and refused for anything else.

use crate::world::{at, init, records, signer};
use ledger::ledger::Failure;
use ledger::prove::{ProofFault, verify_proof};
use ledger::rejection::Rejection;
use ledger::signer::Signer;
use tlog::proof::{Proof, ProofError};

#[test]
fn a_proof_file_holds_for_its_entry_and_no_other() {
    let mut ledger = init();
    for (from, to) in [(0, 40), (40, 300)] {
        ledger.append(at(0), records(from..to)).expect("the store holds");
        ledger.publish().expect("the store holds");
    }
    ledger.append(at(0), records(300..301)).expect("the store holds");
    let vkey = signer(None).vkey().clone();
    let bytes = |index| ledger.view().entry_bytes(index).expect("it is read").expect("it is there");
    for (index, size) in [(0, None), (41, Some(42)), (41, None), (255, None), (301, None), (1, Some(2))] {
        let proof = ledger.prove(index, size).expect("it is covered");
        let text = proof.to_string();
        assert_eq!(Proof::parse(text.as_bytes()).as_ref(), Ok(&proof));
        let (entry, checkpoint) = verify_proof(&proof, &bytes(index), &vkey).expect("it holds");
        assert_eq!((entry.index, checkpoint.size), (index, size.unwrap_or(302)));
        let other = verify_proof(&proof, &bytes(index + 1), &vkey);
        assert_eq!(other.err(), Some(ProofFault::Path(merkle::ProofError::WrongRoot)));
    }
    for (index, size, rejection) in [
        (302, None, Rejection::NotPublished),
        (303, None, Rejection::NotFound),
        (50, Some(42), Rejection::NotPublished),
        (1, Some(43), Rejection::NoCheckpoint),
        (1, Some(303), Rejection::NoCheckpoint),
    ] {
        assert_eq!(ledger.prove(index, size), Err(Failure::Rejected(rejection)));
    }
}

#[test]
fn what_is_no_proof_is_refused() {
    let text = init().prove(1, None).expect("it is covered").to_string();
    let with_extra = text.replacen("index", "extra AAEC\nindex", 1);
    assert_eq!(Proof::parse(with_extra.as_bytes()).expect("it is one").extra.as_deref(), Some(&[0, 1, 2][..]));
    let lines: Vec<&str> = text.lines().collect();
    for (bad, error) in [
        (text.replace("@v1", "@v2"), ProofError::Form),
        (text.replace("\n\n", "\n"), ProofError::Form),
        (text.replacen("index 1", "index 01", 1), ProofError::Index),
        (text.replacen("index 1\n", "", 1), ProofError::Index),
        (with_extra.replace("AAEC", "AAE"), ProofError::Extra),
        (text.replacen(lines[2], &lines[2][4..], 1), ProofError::Path),
        (text.replacen(lines[2], &[lines[2]; 64].join("\n"), 1), ProofError::Path),
        (text.replace("— ", "- "), ProofError::Note(tlog::note::NoteError::SignatureLine)),
    ] {
        assert_eq!(Proof::parse(bad.as_bytes()), Err(error), "{bad}");
    }
}
