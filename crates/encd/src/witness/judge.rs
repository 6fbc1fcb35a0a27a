//! Whether a checkpoint is cosigned: the checks of C2SP tlog-witness, in its order.

use super::logs::Logs;
use super::notebook::{Notebook, Noted, Tree};
use crate::clock::Clock;
use crate::stop::file_failed;
use merkle::log::EMPTY_ROOT;
use tlog::add_checkpoint::AddCheckpoint;
use tlog::checkpoint::Checkpoint;
use tlog::cosignature::CosignatureSigner;
use tlog::note::{Note, SignatureLine};
use tlog::vkey::{SignatureError, Vkey};

/// A witness without its socket.
pub struct Judge {
    /// Its key.
    pub signer: CosignatureSigner,
    /// The logs that it cosigns.
    pub logs: Logs,
    /// What it has cosigned.
    pub notebook: Notebook,
    /// Time.
    pub clock: Clock,
}

/// What comes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is cosigned, and that is on the disk.
    Cosigned(SignatureLine),
    /// It is no request.
    Malformed,
    /// The log is not one of those that are cosigned.
    UnknownLog,
    /// No key of the log has signed, or one that is named has not.
    Unsigned,
    /// The old size is larger than the checkpoint's.
    OldAboveNew,
    /// The old size is not the one cosigned last, which is this.
    OtherSize(u64),
    /// The proof does not lead from the tree cosigned last to this one.
    Inconsistent,
}

impl Judge {
    /// Judges a request, and cosigns. No signature leaves before what it says is on the disk.
    pub fn add_checkpoint(&self, body: &[u8]) -> Verdict {
        let Ok(request) = AddCheckpoint::parse(body) else { return Verdict::Malformed };
        let Ok(checkpoint) = Checkpoint::parse(request.note.text()) else { return Verdict::Malformed };
        if i64::try_from(checkpoint.size).is_err() {
            return Verdict::Malformed;
        }
        let keys = self.logs.keys_of(checkpoint.origin.as_str());
        if keys.is_empty() {
            return Verdict::UnknownLog;
        }
        let Some(mut note) = signed_by(&request.note, &keys) else { return Verdict::Unsigned };
        if request.old_size > checkpoint.size {
            return Verdict::OldAboveNew;
        }
        let line = self.signer.cosign(&note, self.clock.now() / 1000);
        if note.push(line.clone()).is_err() {
            return Verdict::Malformed;
        }
        let tree = Tree { size: checkpoint.size, root: checkpoint.root };
        let noted = self.notebook.note(checkpoint.origin.as_str(), &tree, &note, |known| {
            let known = known.unwrap_or(Tree { size: 0, root: EMPTY_ROOT });
            if known.size != request.old_size {
                return Err(Verdict::OtherSize(known.size));
            }
            let proof = merkle::log::verify_consistency(known.size, tree.size, &request.proof, &known.root, &tree.root);
            proof.map_err(|_| Verdict::Inconsistent)
        });
        match noted {
            Ok(Noted::Yes) => Verdict::Cosigned(line),
            Ok(Noted::Refused(verdict)) => verdict,
            Err(error) => file_failed("witness.db", &error),
        }
    }
}

/// The note with the lines of these keys only, if one has signed it and none that is named has not.
fn signed_by(note: &Note, keys: &[Vkey]) -> Option<Note> {
    let mut signed = Note::new(note.text()).ok()?;
    for key in keys {
        match key.verify_note(note) {
            Ok(()) => {
                let own = |line: &&SignatureLine| line.name() == key.name() && line.id() == key.id();
                signed.push(note.signatures().iter().find(own)?.clone()).ok()?;
            }
            Err(SignatureError::Unsigned) => {}
            Err(SignatureError::Invalid | SignatureError::WrongKind) => return None,
        }
    }
    (!signed.signatures().is_empty()).then_some(signed)
}
