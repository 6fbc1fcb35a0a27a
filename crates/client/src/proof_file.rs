//! A proof as a file: one JSON object with all that anyone needs to check it offline.
//!
//! `enc_proof` is 1; `pin` is `{"enclave","manifest","migrates"}`, the Manifest event and the Migrates after it; `kind` says which other
//! members there are:
//!
//! | kind | members | what it proves |
//! |---|---|---|
//! | `event` | `event`; `answer`: of `…/inclusion` | the event is in the log under the answer's head |
//! | `bundle` | `event`; `bundle`: of `…/bundle`; `answer`: of `…/inclusion` for the entry | the same, by way of its bundle |
//! | `state` | `names`; `answer`: of `…/state` or `…/state-batch` | the names' values after bundle `leaf_index` |
//! | `log` | `older`, `newer`: heads; `consistency` | the newer log begins with the older |

use crate::error::{Answer, Error, Falsehood};
use crate::names::Name;
use crate::pin::Pin;
use protocol::fields::{Fields, wrong};
use protocol::head::{Sth, VerifiedSth};
use protocol::proof::{BundleAnswer, ConsistencyAnswer, InclusionAnswer, StateAnswer};
use protocol::{Event, Json, PublicKey, Rejection};

/// A proof and its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofFile {
    /// Whose log.
    pub pin: Pin,
    /// What is proved.
    pub proof: Proof,
}

/// The kinds of proofs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// `event`.
    Event(Box<Event>, Box<InclusionAnswer>),
    /// `bundle`.
    Bundle(Box<Event>, Box<BundleAnswer>, Box<InclusionAnswer>),
    /// `state`.
    State(Vec<Name>, Box<StateAnswer>),
    /// `log`.
    Log(Box<Sth>, Box<Sth>, ConsistencyAnswer),
}

/// What a file has been found to prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proved {
    /// The event stands in entry `leaf_index` of a log of `tree_size` entries.
    Event {
        /// The event.
        event: Box<Event>,
        /// Its entry.
        leaf_index: u64,
        /// The log's size.
        tree_size: u64,
    },
    /// Values after bundle `leaf_index` of a log of `tree_size` entries.
    State {
        /// Each name with its value; none is proved absent.
        values: Vec<(Name, Option<[u8; 32]>)>,
        /// The bundle.
        leaf_index: u64,
        /// The log's size.
        tree_size: u64,
        /// When the head was signed, milliseconds.
        signed_ms: u64,
    },
    /// A log of `newer` entries begins with one of `older`.
    Log {
        /// The older size.
        older: u64,
        /// The newer size.
        newer: u64,
    },
}

impl ProofFile {
    /// Checks everything from the Manifest up. Whether the enclave is the one that was meant, and whether an unbound id is to be trusted,
    /// is the caller's to compare.
    ///
    /// # Errors
    /// [`Falsehood`].
    pub fn verify(&self) -> Result<Proved, Falsehood> {
        match &self.proof {
            Proof::Event(event, answer) => {
                let head = self.head(&answer.sth)?;
                let sequencer = self.check_event(event)?;
                let proved = answer.verify_event(&event.receipt(), &sequencer, &head);
                proved.map_err(|_| Falsehood::Proof(Answer::Inclusion))?;
                Ok(self.in_log(event, answer.entry.leaf_index, &head))
            }
            Proof::Bundle(event, bundle, answer) => {
                let head = self.head(&answer.sth)?;
                let sequencer = self.check_event(event)?;
                let entry = answer.verify_entry(bundle.leaf_index, &head);
                let entry = entry.map_err(|_| Falsehood::Proof(Answer::Inclusion))?;
                let proved = bundle.verify(&event.receipt(), &sequencer, bundle.leaf_index, entry);
                proved.map_err(|_| Falsehood::Proof(Answer::Bundle))?;
                Ok(self.in_log(event, bundle.leaf_index, &head))
            }
            Proof::State(names, answer) => {
                let head = self.head(&answer.sth)?;
                let state_names: Vec<_> = names.iter().map(Name::state_name).collect();
                let proven = answer.verify(&state_names, &head).map_err(|_| Falsehood::Proof(Answer::State))?;
                let values = names.iter().cloned().zip(proven.values).collect();
                let (tree_size, signed_ms) = (head.sth().tree_size, head.sth().timestamp);
                Ok(Proved::State { values, leaf_index: proven.leaf_index, tree_size, signed_ms })
            }
            Proof::Log(older, newer, consistency) => {
                let (older, newer) = (self.head(older)?, self.head(newer)?);
                let proved = consistency.verify(&older, &newer);
                proved.map_err(|_| Falsehood::Proof(Answer::Consistency))?;
                Ok(Proved::Log { older: older.sth().tree_size, newer: newer.sth().tree_size })
            }
        }
    }

    /// As it is written.
    pub fn to_json(&self) -> Json {
        let mut members = vec![("enc_proof", Json::from(1)), ("pin", self.pin.to_json())];
        match &self.proof {
            Proof::Event(event, answer) => {
                members.push(("kind", Json::from("event")));
                members.extend([("event", event.to_json()), ("answer", answer.to_json())]);
            }
            Proof::Bundle(event, bundle, answer) => {
                members.push(("kind", Json::from("bundle")));
                let parts = [("event", event.to_json()), ("bundle", bundle.to_json()), ("answer", answer.to_json())];
                members.extend(parts);
            }
            Proof::State(names, answer) => {
                members.push(("kind", Json::from("state")));
                let names = names.iter().map(|name| Json::from(name.to_string())).collect();
                members.extend([("names", Json::Array(names)), ("answer", answer.to_json())]);
            }
            Proof::Log(older, newer, consistency) => {
                members.push(("kind", Json::from("log")));
                let parts =
                    [("older", older.to_json()), ("newer", newer.to_json()), ("consistency", consistency.to_json())];
                members.extend(parts);
            }
        }
        Json::object(members)
    }

    /// Reads a file. The pin in it is verified at once, the rest by [`ProofFile::verify`].
    ///
    /// # Errors
    /// A rejection for what is no such file.
    pub fn from_json(value: Json) -> Result<ProofFile, Rejection> {
        let mut fields = Fields::of(value)?;
        if fields.uint("enc_proof")? != 1 {
            return Err(wrong("enc_proof"));
        }
        let pin = Pin::from_json(fields.required("pin")?)?;
        let event = |fields: &mut Fields| Event::from_json(fields.required("event")?).map(Box::new);
        let inclusion = |fields: &mut Fields| InclusionAnswer::from_json(fields.required("answer")?).map(Box::new);
        let head = |fields: &mut Fields, name| Sth::from_json(fields.required(name)?).map(Box::new);
        let proof = match fields.text("kind")?.as_str() {
            "event" => Proof::Event(event(&mut fields)?, inclusion(&mut fields)?),
            "bundle" => {
                let bundle = BundleAnswer::from_json(fields.required("bundle")?)?;
                Proof::Bundle(event(&mut fields)?, Box::new(bundle), inclusion(&mut fields)?)
            }
            "state" => {
                let Json::Array(names) = fields.required("names")? else { return Err(wrong("names")) };
                let name = |name: &Json| Name::parse(name.as_text()?, |text| PublicKey::parse(text).ok());
                let names = names.iter().map(name).collect::<Option<Vec<_>>>().ok_or(wrong("names"))?;
                Proof::State(names, Box::new(StateAnswer::from_json(fields.required("answer")?)?))
            }
            "log" => {
                let (older, newer) = (head(&mut fields, "older")?, head(&mut fields, "newer")?);
                Proof::Log(older, newer, ConsistencyAnswer::from_json(fields.required("consistency")?)?)
            }
            _ => return Err(wrong("kind")),
        };
        fields.finish()?;
        Ok(ProofFile { pin, proof })
    }

    fn head(&self, sth: &Sth) -> Result<VerifiedSth, Falsehood> {
        if !self.pin.sequencers().contains(&sth.sequencer) {
            return Err(Falsehood::SthSignature);
        }
        sth.verify_for(&self.pin.enclave(), &sth.sequencer).map_err(|_| Falsehood::SthSignature)
    }

    fn check_event(&self, event: &Event) -> Result<PublicKey, Falsehood> {
        let seq = event.position.seq;
        event.verify().map_err(|fault| Falsehood::Event { seq, fault })?;
        let (sequencer, found) = (self.pin.sequencers().at(seq), event.position.sequencer);
        if event.enclave != self.pin.enclave() {
            return Err(Falsehood::OtherEnclave(event.enclave));
        }
        if sequencer == found { Ok(sequencer) } else { Err(Falsehood::OtherSequencer { seq, found }) }
    }

    fn in_log(&self, event: &Event, leaf_index: u64, head: &VerifiedSth) -> Proved {
        Proved::Event { event: Box::new(event.clone()), leaf_index, tree_size: head.sth().tree_size }
    }
}

/// Checks a proof file's text.
///
/// # Errors
/// [`Error::Request`] for what is no proof file, [`Error::False`] for one that proves nothing.
pub fn verify_file(bytes: &[u8]) -> Result<(ProofFile, Proved), Error> {
    let value =
        protocol::json::parse(bytes, protocol::json::MAX_DEPTH).map_err(|error| Error::Request(error.into()))?;
    let file = ProofFile::from_json(value).map_err(Error::Request)?;
    let proved = file.verify()?;
    Ok((file, proved))
}
