//! That the node shows everybody the same head of an enclave: the head stands in the node's heads log, whose checkpoint witnesses have
//! cosigned.

use crate::enclave::Enclave;
use crate::error::{Answer, Error, Falsehood};
use crate::heads::Head;
use protocol::proof::HeadsAnswer;
use tlog::checkpoint::{Checkpoint, Origin, verify_checkpoint};
use tlog::note::Note;
use tlog::policy::Policy;
use tlog::vkey::Vkey;

/// Whom a client believes about a heads log.
#[derive(Clone, Copy, Debug)]
pub struct HeadsTrust<'a> {
    /// The key of the heads log, from a policy or from the node.
    pub log: &'a Vkey,
    /// The witnesses, and how many of them must have signed. Without it nobody needs to have.
    pub policy: Option<&'a Policy>,
}

/// A head of an enclave that stands in the heads log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenHeads {
    /// The newest head of the enclave, which begins with the one that stands there.
    pub head: Head,
    /// The size of the enclave's log that stands there.
    pub tree_size: u64,
    /// Where.
    pub leaf_index: u64,
    /// Entries of the heads log.
    pub heads_size: u64,
    /// The checkpoint of the heads log, with its cosignatures.
    pub checkpoint: String,
    /// Witnesses of the policy that have cosigned it, by the policy's names, and when, in seconds since the epoch.
    pub witnesses: Vec<(String, u64)>,
}

impl Enclave {
    /// Proves that a head of the enclave stands in the node's heads log, under a checkpoint by the log's key that enough witnesses have
    /// cosigned, and that the newest head continues it.
    ///
    /// # Errors
    /// [`Error::Refused`] with `not_found` while no head of the enclave is published there; [`Falsehood::Unwitnessed`]; [`Error::False`].
    pub fn prove_heads(&self, trust: HeadsTrust<'_>) -> Result<ProvenHeads, Error> {
        let path = format!("/heads/proof?enclave={}", self.id());
        let value = self.node().link.get(&path, &[])?.json(Answer::Heads)?;
        let answer = HeadsAnswer::from_json(value).map_err(|_| Falsehood::Shape(Answer::Heads))?;
        let note = Note::parse(answer.checkpoint.as_bytes()).map_err(|_| Falsehood::Proof(Answer::Heads))?;
        let checkpoint = open(&note, trust.log).ok_or(Falsehood::Proof(Answer::Heads))?;
        let proved = answer.verify(&self.id(), checkpoint.size, &checkpoint.root);
        proved.map_err(|_| Falsehood::Proof(Answer::Heads))?;
        if trust.policy.is_some_and(|policy| !policy.is_met(&note)) {
            return Err(Falsehood::Unwitnessed.into());
        }
        // Asked for afterwards, so that it is the newer of the two.
        let head = self.sth()?;
        let (origin, size) = (checkpoint.origin, answer.tree_size);
        self.check_same_or_beginning(&Checkpoint::new(origin, size, answer.root_hash), &head)?;
        Ok(ProvenHeads {
            head,
            tree_size: size,
            leaf_index: answer.leaf_index,
            heads_size: answer.heads_size,
            witnesses: trust.policy.map_or_else(Vec::new, |policy| signers(policy, &note)),
            checkpoint: answer.checkpoint,
        })
    }
}

fn open(note: &Note, log: &Vkey) -> Option<Checkpoint> {
    let origin = Origin::parse(log.name().as_str()).ok()?;
    verify_checkpoint(note, &origin, log).ok()
}

/// The witnesses of a policy that have cosigned, each with its newest time.
fn signers(policy: &Policy, note: &Note) -> Vec<(String, u64)> {
    let times = policy.witnesses().iter().map(|witness| {
        let times = note.signatures().iter().filter_map(|line| witness.vkey.verify_cosignature(note.text(), line).ok());
        (witness.name.clone(), times.max())
    });
    times.filter_map(|(name, time)| Some((name, time?))).collect()
}
