//! Evidence as JSON: read with nothing verified, and written.

use super::{Contradiction, Evidence, HeadStatement, Rewriting};
use crate::code::{Code, Rejection};
use crate::event::{Event, Receipt};
use crate::fields::{Fields, wrong};
use crate::head::Sth;
use crate::ids::{EnclaveId, PublicKey, Signature};
use crate::json::Json;
use crate::proof::{InclusionAnswer, hashes, hashes_to_json};
use alloc::boxed::Box;
use alloc::vec::Vec;

impl Evidence {
    /// Reads a file; nothing is verified.
    pub fn from_json(value: Json) -> Result<Evidence, Rejection> {
        let mut fields = Fields::of(value)?;
        if fields.uint("enc_evidence")? != 1 {
            return Err(wrong("enc_evidence"));
        }
        let enclave = EnclaveId(fields.hex("enclave")?);
        let sequencer = PublicKey(fields.hex("sequencer")?);
        let contradiction = match fields.text("kind")?.as_str() {
            "two_events" => Contradiction::TwoEvents(receipt(&mut fields, "a")?, receipt(&mut fields, "b")?),
            "broken_chain" => {
                Contradiction::BrokenChain(receipt(&mut fields, "earlier")?, receipt(&mut fields, "later")?)
            }
            "two_heads" => Contradiction::TwoHeads(head(&mut fields, "a")?, head(&mut fields, "b")?),
            "rewritten" => Contradiction::Rewritten(Box::new(Rewriting {
                older: *head(&mut fields, "older")?,
                newer: *head(&mut fields, "newer")?,
                root: fields.hex("root")?,
                path: hashes(&mut fields, "path")?,
            })),
            "shrunk" => Contradiction::Shrunk(sth(&mut fields, "larger")?, sth(&mut fields, "smaller")?),
            "after_migrate" => {
                Contradiction::AfterMigrate(event(&mut fields, "migrate")?, receipt(&mut fields, "later")?)
            }
            "left_out" => Contradiction::LeftOut(receipt(&mut fields, "receipt")?, inclusion(&mut fields)?),
            "overdue" => Contradiction::Overdue(
                receipt(&mut fields, "receipt")?,
                event(&mut fields, "manifest")?,
                inclusion(&mut fields)?,
            ),
            _ => return Err(wrong("kind")),
        };
        fields.finish()?;
        Ok(Evidence { enclave, sequencer, contradiction })
    }

    /// The file.
    pub fn to_json(&self) -> Json {
        let mut members = self.contradiction.members();
        members.push(("enc_evidence", Json::from(1)));
        members.push(("enclave", Json::from(self.enclave.hex())));
        members.push(("sequencer", Json::from(self.sequencer.hex())));
        members.push(("kind", Json::from(self.contradiction.kind())));
        Json::object(members)
    }
}

impl Contradiction {
    /// The kind, as `kind` in a file has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Contradiction::TwoEvents(..) => "two_events",
            Contradiction::BrokenChain(..) => "broken_chain",
            Contradiction::TwoHeads(..) => "two_heads",
            Contradiction::Rewritten(_) => "rewritten",
            Contradiction::Shrunk(..) => "shrunk",
            Contradiction::AfterMigrate(..) => "after_migrate",
            Contradiction::LeftOut(..) => "left_out",
            Contradiction::Overdue(..) => "overdue",
        }
    }

    fn members(&self) -> Vec<(&'static str, Json)> {
        match self {
            Contradiction::TwoEvents(a, b) => alloc::vec![("a", a.to_json()), ("b", b.to_json())],
            Contradiction::BrokenChain(earlier, later) => {
                alloc::vec![("earlier", earlier.to_json()), ("later", later.to_json())]
            }
            Contradiction::TwoHeads(a, b) => alloc::vec![("a", a.to_json()), ("b", b.to_json())],
            Contradiction::Rewritten(rewriting) => alloc::vec![
                ("older", rewriting.older.to_json()),
                ("newer", rewriting.newer.to_json()),
                ("root", Json::from(crate::ids::hex(&rewriting.root))),
                ("path", hashes_to_json(&rewriting.path)),
            ],
            Contradiction::Shrunk(larger, smaller) => {
                alloc::vec![("larger", larger.to_json()), ("smaller", smaller.to_json())]
            }
            Contradiction::AfterMigrate(migrate, later) => {
                alloc::vec![("migrate", migrate.to_json()), ("later", later.to_json())]
            }
            Contradiction::LeftOut(receipt, inclusion) => {
                alloc::vec![("receipt", receipt.to_json()), ("inclusion", inclusion.to_json())]
            }
            Contradiction::Overdue(receipt, manifest, inclusion) => alloc::vec![
                ("receipt", receipt.to_json()),
                ("manifest", manifest.to_json()),
                ("inclusion", inclusion.to_json()),
            ],
        }
    }
}

impl HeadStatement {
    /// Reads `{"sth"}` or `{"checkpoint":{"text","signature"}}`; nothing is verified.
    pub fn from_json(value: Json) -> Result<HeadStatement, Rejection> {
        let mut members = Fields::of(value)?;
        let statement = match (members.optional("sth"), members.optional("checkpoint")) {
            (Some(sth), None) => HeadStatement::Sth(Sth::from_json(sth)?),
            (None, Some(checkpoint)) => {
                let mut note = Fields::of(checkpoint)?;
                let text = note.text("text")?;
                let signature = Signature(note.hex("signature")?);
                note.finish()?;
                HeadStatement::Checkpoint { text, signature }
            }
            _ => return Err(Code::InvalidStructure.into()),
        };
        members.finish()?;
        Ok(statement)
    }

    /// As it stands in a file.
    pub fn to_json(&self) -> Json {
        match self {
            HeadStatement::Sth(sth) => Json::object([("sth", sth.to_json())]),
            HeadStatement::Checkpoint { text, signature } => {
                let note = [("text", Json::from(text.as_str())), ("signature", Json::from(signature.hex()))];
                Json::object([("checkpoint", Json::object(note))])
            }
        }
    }
}

fn receipt(fields: &mut Fields, name: &'static str) -> Result<Box<Receipt>, Rejection> {
    Receipt::from_json(fields.required(name)?).map(Box::new)
}

fn event(fields: &mut Fields, name: &'static str) -> Result<Box<Event>, Rejection> {
    Event::from_json(fields.required(name)?).map(Box::new)
}

fn inclusion(fields: &mut Fields) -> Result<Box<InclusionAnswer>, Rejection> {
    InclusionAnswer::from_json(fields.required("inclusion")?).map(Box::new)
}

fn sth(fields: &mut Fields, name: &'static str) -> Result<Box<Sth>, Rejection> {
    Sth::from_json(fields.required(name)?).map(Box::new)
}

fn head(fields: &mut Fields, name: &'static str) -> Result<Box<HeadStatement>, Rejection> {
    HeadStatement::from_json(fields.required(name)?).map(Box::new)
}
