//! When a sequencer contradicts itself: the two statements are kept as a file that anyone verifies offline.

use crate::enclave::Enclave;
use crate::error::Error;
use protocol::Receipt;
use protocol::evidence::{Contradiction, Evidence, HeadStatement};
use protocol::head::Sth;

impl Enclave {
    /// Keeps two receipts for one place. Both verify, or they would not have come this far.
    pub(crate) fn keep_two_receipts(&self, a: &Receipt, b: &Receipt) -> Result<(), Error> {
        self.keep(a.position.sequencer, Contradiction::TwoEvents(Box::new(*a), Box::new(*b)))
    }

    /// Keeps two heads of one size.
    pub(crate) fn keep_two_heads(&self, a: &Sth, b: &Sth) -> Result<(), Error> {
        let statement = |sth: &Sth| Box::new(HeadStatement::Sth(*sth));
        self.keep(a.sequencer, Contradiction::TwoHeads(statement(a), statement(b)))
    }

    fn keep(&self, sequencer: protocol::PublicKey, contradiction: Contradiction) -> Result<(), Error> {
        let evidence = Evidence { enclave: self.id(), sequencer, contradiction };
        // Statements by two keys of one enclave exclude each other too, but prove it against neither.
        if evidence.verify().is_err() {
            return Ok(());
        }
        self.store.keep_evidence(&self.id(), &evidence.to_json())
    }
}
