//! Evidence in words: what is proved, against which key.

use crate::show::utc;
use protocol::Receipt;
use protocol::evidence::{Contradiction, Evidence, EvidenceError, EvidenceKind, HeadStatement};
use protocol::head::Sth;
use protocol::ids::hex;

/// What a file proves: a line that says it, then the two statements.
pub fn told(evidence: &Evidence, kind: EvidenceKind) -> Vec<String> {
    let mut lines = vec![format!("holds: sequencer {} has signed {}", evidence.sequencer, in_short(kind))];
    let statements = match &evidence.contradiction {
        Contradiction::TwoEvents(a, b) | Contradiction::BrokenChain(a, b) => [receipt(a), receipt(b)],
        Contradiction::TwoHeads(a, b) => [head(a), head(b)],
        Contradiction::Rewritten(rewriting) => [head(&rewriting.older), head(&rewriting.newer)],
        Contradiction::Shrunk(larger, smaller) => [sth(larger), sth(smaller)],
        Contradiction::AfterMigrate(migrate, later) => [receipt(&migrate.receipt()), receipt(later)],
        Contradiction::LeftOut(promised, inclusion) | Contradiction::Overdue(promised, _, inclusion) => {
            [receipt(promised), sth(&inclusion.sth)]
        }
    };
    lines.extend(statements.map(|statement| format!("       {statement}")));
    lines
}

/// Why a file proves nothing.
pub fn why_not(error: &EvidenceError) -> &'static str {
    match error {
        EvidenceError::Shape(_) => "it is no evidence file",
        EvidenceError::Statement => "a statement in it is not the sequencer's, or not of this enclave",
        EvidenceError::NoContradiction => "the statements hold and agree: nothing is proved",
    }
}

fn in_short(kind: EvidenceKind) -> String {
    match kind {
        EvidenceKind::TwoEvents { seq } => format!("two events at seq {seq}"),
        EvidenceKind::BrokenChain { seq } => format!("event {seq} as the next of another event than it had signed"),
        EvidenceKind::TwoHeads { tree_size } => format!("two roots of a log of {tree_size}"),
        EvidenceKind::Rewritten { older, newer } => {
            format!("a log of {newer} that does not begin with the log of {older} that it had signed")
        }
        EvidenceKind::Shrunk { from, to } => format!("a log of {to} after one of {from}"),
        EvidenceKind::AfterMigrate { seq } => format!("event {seq} after it had handed over"),
        EvidenceKind::LeftOut { seq } => format!("a log with another event at seq {seq} than its receipt says"),
        EvidenceKind::Overdue { seq } => format!("a log without event {seq} later than its receipt promises"),
    }
}

fn receipt(receipt: &Receipt) -> String {
    let position = &receipt.position;
    format!("event {} at seq {}, {} UTC", receipt.id, position.seq, utc(position.timestamp))
}

fn sth(sth: &Sth) -> String {
    format!("tree head of {}, root {}, {} UTC", sth.tree_size, hex(&sth.root_hash), utc(sth.timestamp))
}

fn head(statement: &HeadStatement) -> String {
    match statement {
        HeadStatement::Sth(head) => sth(head),
        HeadStatement::Checkpoint { text, .. } => {
            let lines: Vec<&str> = text.lines().skip(1).take(2).collect();
            format!("checkpoint of {}", lines.join(", root "))
        }
    }
}
