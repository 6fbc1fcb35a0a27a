//! What is held fixed of an enclave: its Manifest, and the chain of its sequencers.

use crate::error::{Answer, Error, Falsehood};
use protocol::commit::enclave_id;
use protocol::event::{Content, EventError};
use protocol::fields::{Fields, wrong};
use protocol::json::{self, MAX_DEPTH};
use protocol::verify::{self, Chain, ChainError, Sequencers};
use protocol::{CommitHash, EnclaveId, Event, Json, Manifest, PublicKey, Rejection};

/// What a caller knows from elsewhere of an enclave whose id proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Hash of the Manifest's commit.
    pub manifest: CommitHash,
    /// The first sequencer.
    pub sequencer: PublicKey,
}

/// An enclave as it is pinned: made only from a Manifest event that has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    enclave: EnclaveId,
    event: Event,
    manifest: Manifest,
    bound: bool,
    migrates: Vec<Event>,
    sequencers: Sequencers,
}

impl Pin {
    /// Verifies a Manifest event: signatures, place, rules, and that the id is its own, or that the caller trusts exactly this one.
    ///
    /// # Errors
    /// [`Error::False`]; [`Error::Unbound`] where the id is none of a Manifest's and nothing is trusted.
    pub fn of_manifest(enclave: EnclaveId, event: Event, trust: Option<&Trust>) -> Result<Pin, Error> {
        let bound = enclave_id(&event.from, &event.content_hash(), &event.tags) == enclave;
        let expected = match trust {
            None => verify::Pin::Bound(enclave),
            Some(trust) => verify::Pin::Unbound { enclave, manifest: trust.manifest, sequencer: trust.sequencer },
        };
        match Chain::begin(&event, &expected) {
            Ok(chain) => {
                let (manifest, sequencers) = (chain.manifest().clone(), chain.sequencers().clone());
                Ok(Pin { enclave, event, manifest, bound, migrates: Vec::new(), sequencers })
            }
            // An id that is a hash of nothing at hand, but a Manifest that verifies by itself: provisioned, or a lie. Both need trust.
            Err(ChainError::EnclaveId) if trust.is_none() && event.enclave == enclave && event.verify().is_ok() => {
                Err(Error::Unbound(enclave))
            }
            Err(error) => Err(chain_falsehood(error, &event).into()),
        }
    }

    /// The enclave.
    pub fn enclave(&self) -> EnclaveId {
        self.enclave
    }

    /// The Manifest event.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The rules.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether the id is the Manifest's own.
    pub fn bound(&self) -> bool {
        self.bound
    }

    /// The Migrates that were verified, in order.
    pub fn migrates(&self) -> &[Event] {
        &self.migrates
    }

    /// Who sequenced what, as far as is known.
    pub fn sequencers(&self) -> &Sequencers {
        &self.sequencers
    }

    /// Takes up a Migrate if it verifies at its place; true if it was not known.
    ///
    /// # Errors
    /// [`Error::False`] where it does not verify, or another Migrate is known at this place or beyond it.
    pub fn follow(&mut self, migrate: &Event) -> Result<bool, Error> {
        if self.migrates.contains(migrate) {
            return Ok(false);
        }
        let seq = migrate.position.seq;
        migrate.verify().map_err(|fault| Falsehood::Event { seq, fault })?;
        let found = migrate.position.sequencer;
        if self.sequencers.at(seq) != found {
            return Err(Falsehood::OtherSequencer { seq, found }.into());
        }
        if self.migrates.last().is_some_and(|last| last.position.seq >= seq) {
            return Err(Falsehood::Equivocation { at: seq }.into());
        }
        let of_this_log = migrate.enclave == self.enclave && migrate.event_type == "Migrate";
        let next = handed_to(migrate).filter(|next| of_this_log && *next != found);
        self.sequencers.hand_over(seq, next.ok_or(Falsehood::Shape(Answer::Events))?);
        self.migrates.push(migrate.clone());
        Ok(true)
    }

    /// As it is kept.
    pub fn to_json(&self) -> Json {
        Json::object([
            ("enclave", Json::from(self.enclave.hex())),
            ("manifest", self.event.to_json()),
            ("migrates", Json::Array(self.migrates.iter().map(Event::to_json).collect())),
        ])
    }

    /// Reads what [`Pin::to_json`] wrote and verifies it again. Whether an unbound id is to be trusted was decided when it was kept.
    ///
    /// # Errors
    /// A rejection for what is no such pin.
    pub fn from_json(value: Json) -> Result<Pin, Rejection> {
        let mut fields = Fields::of(value)?;
        let enclave = EnclaveId(fields.hex("enclave")?);
        let event = Event::from_json(fields.required("manifest")?)?;
        let Json::Array(migrates) = fields.required("migrates")? else { return Err(wrong("migrates")) };
        fields.finish()?;
        let trust = Trust { manifest: event.hash, sequencer: event.position.sequencer };
        let mut pin = Pin::of_manifest(enclave, event, Some(&trust)).map_err(|_| wrong("manifest"))?;
        for migrate in migrates {
            pin.follow(&Event::from_json(migrate)?).map_err(|_| wrong("migrates"))?;
        }
        Ok(pin)
    }
}

/// The key that a Migrate names.
pub(crate) fn handed_to(migrate: &Event) -> Option<PublicKey> {
    let Content::Present(text) = &migrate.content else { return None };
    let content = json::parse(text.as_bytes(), MAX_DEPTH).ok()?;
    let key = content.member("new_sequencer").and_then(Json::as_text)?;
    PublicKey::parse(key).ok().filter(protocol::schnorr::is_point)
}

/// What a fault of a chain means for its reader.
pub(crate) fn chain_falsehood(error: ChainError, event: &Event) -> Falsehood {
    let seq = event.position.seq;
    match error {
        ChainError::Event(fault) => Falsehood::Event { seq, fault },
        ChainError::OtherEnclave => Falsehood::OtherEnclave(event.enclave),
        ChainError::NoManifest | ChainError::EnclaveId | ChainError::SecondManifest => Falsehood::OtherManifest,
        ChainError::Sequencer => Falsehood::OtherSequencer { seq, found: event.position.sequencer },
        ChainError::Seq | ChainError::TypeSeq | ChainError::Timestamp => Falsehood::Order { seq },
        ChainError::Prev => Falsehood::Chain { seq },
        ChainError::Migrate | ChainError::NodeCommit | ChainError::Erased => {
            Falsehood::Event { seq, fault: EventError::OtherCommit }
        }
    }
}
