//! Commits: a commit that is read is written back as itself, and signing it makes one that verifies.

use crate::{key, read_again};
use protocol::Commit;
use protocol::commit::Draft;
use protocol::json::{MAX_COMMIT_DEPTH, MAX_DEPTH, parse};

/// Bytes as a commit.
pub fn run(bytes: &[u8]) {
    let Ok(commit) = Commit::parse(bytes) else { return };
    // `alg` and empty tags are left out, so the bytes may differ; the commit may not.
    read_again(&commit, Commit::from_json, Commit::to_json);
    let content = parse(commit.content.as_bytes(), MAX_DEPTH).expect("content is canonical JSON");
    assert_eq!(content.to_jcs(), commit.content);
    assert!(content.depth() < MAX_COMMIT_DEPTH, "a commit and what wraps it stay within the depth of any text");
    if let Ok(verified) = commit.clone().verify() {
        assert_eq!(verified.commit(), &commit);
        let mut altered = commit.clone();
        altered.exp ^= 1;
        assert!(altered.verify().is_err(), "exp is signed");
    }
    let Commit { enclave, event_type, content, exp, tags, .. } = commit;
    let signed = Draft { enclave, event_type, content, exp, tags }.sign(key(1));
    let text = signed.commit().to_json().to_jcs();
    let read = Commit::parse(text.as_bytes()).expect("what we sign is a commit");
    assert_eq!(read.verify().expect("what we sign verifies"), signed);
}
