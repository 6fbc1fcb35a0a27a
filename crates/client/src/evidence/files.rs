//! Statements as files: what a client exports for others to compare with, and what it takes from files of other kinds.
//!
//! An export is one JSON object: `enc_held` is 1; `pin` as in a proof file; `heads`: `[{"sth"} | {"checkpoint":{"text","signature"}}]`;
//! `receipts`: `[Receipt]`. It holds no content but that of the Manifest and of Migrates, and no key that is secret.

use super::Statements;
use crate::pin::Pin;
use crate::proof_file::{Proof, ProofFile};
use protocol::evidence::HeadStatement;
use protocol::fields::{Fields, wrong};
use protocol::head::Sth;
use protocol::json::{self, MAX_DEPTH};
use protocol::{EnclaveId, Event, Json, Receipt, Rejection};
use std::path::Path;

/// Why a file has no statements about the enclave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFault {
    /// It is of no kind that is known: an export, a proof file, a checkpoint, or lines of receipts, tree heads and events.
    Unknown,
    /// It is about another enclave.
    OtherEnclave(EnclaveId),
    /// A statement in it does not verify.
    DoesNotHold,
}

/// Whether a folder is the home of a client.
pub fn is_home(folder: &Path) -> bool {
    folder.join("enclaves").is_dir()
}

impl Statements {
    /// As an export.
    pub fn to_json(&self) -> Json {
        Json::object([
            ("enc_held", Json::from(1)),
            ("pin", self.pin.to_json()),
            ("heads", Json::Array(self.heads.iter().map(|head| head.statement.to_json()).collect())),
            ("receipts", Json::Array(self.receipts().map(Receipt::to_json).collect())),
        ])
    }

    /// The statements of a file about the enclave of `known`, whose keys are taken for granted where the file does not prove its own.
    ///
    /// # Errors
    /// [`FileFault`].
    pub fn in_file(bytes: &[u8], known: &Pin) -> Result<Statements, FileFault> {
        if let Ok(value) = json::parse(bytes, MAX_DEPTH) {
            if value.member("enc_held").is_some() {
                return in_export(value, known);
            }
            if value.member("enc_proof").is_some() {
                return in_proof(value, known);
            }
        }
        let mut statements = Statements::of(known.clone());
        if statements.add_note(bytes) {
            return Ok(statements);
        }
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for line in lines {
            let value = json::parse(line, MAX_DEPTH).map_err(|_| FileFault::Unknown)?;
            take_line(&mut statements, value)?;
        }
        if bytes.is_empty() { Err(FileFault::Unknown) } else { Ok(statements) }
    }

    /// The pin that an export or a proof file has, if the enclave's id proves it.
    pub fn pin_in_file(bytes: &[u8]) -> Option<Pin> {
        let pin = json::parse(bytes, MAX_DEPTH).ok()?.member("pin").cloned()?;
        Pin::from_json(pin).ok().filter(Pin::bound)
    }

    fn take_sth(&mut self, sth: &Sth) -> Result<(), FileFault> {
        if sth.enclave != self.pin.enclave() {
            return Err(FileFault::OtherEnclave(sth.enclave));
        }
        if self.add_head(HeadStatement::Sth(*sth), &sth.sequencer) { Ok(()) } else { Err(FileFault::DoesNotHold) }
    }

    fn take_receipt(&mut self, receipt: Receipt) -> Result<(), FileFault> {
        if receipt.enclave != self.pin.enclave() {
            return Err(FileFault::OtherEnclave(receipt.enclave));
        }
        if self.add_receipt(receipt) { Ok(()) } else { Err(FileFault::DoesNotHold) }
    }
}

/// A receipt, a tree head or an event, as `enc --json` and a client's own files have them.
fn take_line(statements: &mut Statements, value: Json) -> Result<(), FileFault> {
    if value.member("root_hash").is_some() {
        let sth = Sth::from_json(value).map_err(|_| FileFault::Unknown)?;
        return statements.take_sth(&sth);
    }
    if let Ok(receipt) = Receipt::from_json(value.clone()) {
        return statements.take_receipt(receipt);
    }
    let event = Event::from_json(value).map_err(|_| FileFault::Unknown)?;
    statements.take_receipt(event.receipt())?;
    if event.event_type == "Migrate" && !statements.add_migrate(&event) {
        return Err(FileFault::DoesNotHold);
    }
    Ok(())
}

fn in_export(value: Json, known: &Pin) -> Result<Statements, FileFault> {
    let (pin, heads, receipts) = read_export(value).map_err(|_| FileFault::Unknown)?;
    let mut statements = Statements::of(same_enclave(pin, known)?);
    let keys = super::known_keys(&statements.pin);
    for head in heads {
        if !keys.iter().any(|key| statements.add_head(head.clone(), key)) {
            return Err(FileFault::DoesNotHold);
        }
    }
    receipts.into_iter().try_for_each(|receipt| statements.take_receipt(receipt))?;
    Ok(statements)
}

fn read_export(value: Json) -> Result<(Pin, Vec<HeadStatement>, Vec<Receipt>), Rejection> {
    let mut fields = Fields::of(value)?;
    if fields.uint("enc_held")? != 1 {
        return Err(wrong("enc_held"));
    }
    let pin = Pin::from_json(fields.required("pin")?)?;
    let Json::Array(heads) = fields.required("heads")? else { return Err(wrong("heads")) };
    let Json::Array(receipts) = fields.required("receipts")? else { return Err(wrong("receipts")) };
    fields.finish()?;
    let heads = heads.into_iter().map(HeadStatement::from_json).collect::<Result<_, _>>()?;
    Ok((pin, heads, receipts.into_iter().map(Receipt::from_json).collect::<Result<_, _>>()?))
}

fn in_proof(value: Json, known: &Pin) -> Result<Statements, FileFault> {
    let file = ProofFile::from_json(value).map_err(|_| FileFault::Unknown)?;
    let mut statements = Statements::of(same_enclave(file.pin, known)?);
    match file.proof {
        Proof::Event(event, answer) | Proof::Bundle(event, _, answer) => {
            statements.take_receipt(event.receipt())?;
            statements.take_sth(&answer.sth)?;
        }
        Proof::State(_, answer) => statements.take_sth(&answer.sth)?,
        Proof::Log(older, newer, _) => {
            statements.take_sth(&older)?;
            statements.take_sth(&newer)?;
        }
    }
    Ok(statements)
}

/// A pin that proves itself by the enclave's id; that of an unbound one must be the one that is trusted here.
fn same_enclave(pin: Pin, known: &Pin) -> Result<Pin, FileFault> {
    if pin.enclave() != known.enclave() {
        return Err(FileFault::OtherEnclave(pin.enclave()));
    }
    let trusted = pin.bound() || pin.event().hash == known.event().hash;
    if trusted && pin.sequencers().at(0) == known.sequencers().at(0) { Ok(pin) } else { Err(FileFault::DoesNotHold) }
}
