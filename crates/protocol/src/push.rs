//! Push deliveries: what a node posts to an endpoint, and what a receiver checks before it acts on one (`docs/protocol.md`, Push).

use crate::cbor::sha256_of;
use crate::code::Rejection;
use crate::event::{Event, EventError};
use crate::fields::{Fields, wrong};
use crate::ids::{EnclaveId, EventId, PublicKey, Signature};
use crate::json::Json;
use crate::schnorr::{self, KeyPair};
use crate::verify::Sequencers;
use alloc::string::String;
use alloc::vec::Vec;

/// How far a delivery's `time` may be from the receiver's clock, in milliseconds.
pub const MAX_DELIVERY_SKEW_MS: u64 = 300_000;

/// A delivery before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Counts from 1 for each identity, endpoint and enclave.
    pub push_seq: u64,
    /// The enclave.
    pub enclave: EnclaveId,
    /// The endpoint's URL, so that a delivery for one is none for another.
    pub to: String,
    /// When this attempt was made, milliseconds since the epoch.
    pub time: u64,
    /// What is delivered.
    pub payload: Payload,
}

/// Whole events, for one who holds P, or notices, for one who holds N. Not empty, in rising order of `seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// `events`.
    Events(Vec<Event>),
    /// `notify`.
    Notify(Vec<Notice>),
}

/// `{"id","seq","type"}`: that an event is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The event.
    pub id: EventId,
    /// Its place.
    pub seq: u64,
    /// Its type.
    pub event_type: String,
}

/// A delivery as it is posted or pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedDelivery {
    /// What was signed.
    pub delivery: Delivery,
    /// By whom, as the body says: a hint, never the key to check with.
    pub seq_pub: PublicKey,
    /// By the sequencer over [`Delivery::message`].
    pub sig: Signature,
}

/// Why a delivery is not acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryError {
    /// It is of another enclave.
    OtherEnclave,
    /// It is for another endpoint.
    OtherEndpoint,
    /// Its time is too far from the receiver's.
    Time,
    /// It is not signed by the enclave's sequencer.
    Signature,
    /// It is empty, or its places do not rise from `from_seq`.
    Order,
    /// An event in it is not what it says.
    Event(EventError),
    /// An event in it is by another key than sequences at its place.
    Sequencer,
}

impl Delivery {
    /// Signs it with the sequencer's key.
    pub fn sign(self, key: &KeyPair) -> SignedDelivery {
        let seq_pub = key.public();
        let sig = key.sign(&self.message(&seq_pub));
        SignedDelivery { delivery: self, seq_pub, sig }
    }

    /// `SHA-256("enc:push:" ‖ JCS(delivery without sig))`: what the sequencer with this key signs.
    pub fn message(&self, seq_pub: &PublicKey) -> [u8; 32] {
        sha256_of(&[b"enc:push:", Json::object(members(self, seq_pub)).to_jcs().as_bytes()])
    }

    /// The place of its first event. None if it is empty.
    pub fn from_seq(&self) -> Option<u64> {
        self.places().first().copied()
    }

    fn places(&self) -> Vec<u64> {
        match &self.payload {
            Payload::Events(events) => events.iter().map(|event| event.position.seq).collect(),
            Payload::Notify(notices) => notices.iter().map(|notice| notice.seq).collect(),
        }
    }
}

impl SignedDelivery {
    /// All that a receiver checks: `sequencers` comes from the enclave's Manifest and Migrates, `own_url` is its endpoint, `now_ms` its
    /// clock. That `push_seq` goes on where the last delivery ended is for the receiver to keep.
    pub fn verify(
        &self,
        enclave: &EnclaveId,
        sequencers: &Sequencers,
        own_url: &str,
        now_ms: u64,
    ) -> Result<&Delivery, DeliveryError> {
        let delivery = &self.delivery;
        if delivery.enclave != *enclave {
            return Err(DeliveryError::OtherEnclave);
        }
        if delivery.to != own_url {
            return Err(DeliveryError::OtherEndpoint);
        }
        if delivery.time.abs_diff(now_ms) > MAX_DELIVERY_SKEW_MS {
            return Err(DeliveryError::Time);
        }
        let places = delivery.places();
        if places.is_empty() || places.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(DeliveryError::Order);
        }
        // Who has handed the enclave over goes on delivering what came before that, and nothing else.
        let key = self.seq_pub;
        let its_own = places.iter().all(|seq| sequencers.at(*seq) == key);
        if !(its_own || key == sequencers.newest())
            || schnorr::verify(&key, &delivery.message(&key), &self.sig).is_err()
        {
            return Err(DeliveryError::Signature);
        }
        if let Payload::Events(events) = &delivery.payload {
            for event in events {
                self.verify_event(event, sequencers)?;
            }
        }
        Ok(delivery)
    }

    fn verify_event(&self, event: &Event, sequencers: &Sequencers) -> Result<(), DeliveryError> {
        if event.enclave != self.delivery.enclave {
            return Err(DeliveryError::OtherEnclave);
        }
        if event.position.sequencer != sequencers.at(event.position.seq) {
            return Err(DeliveryError::Sequencer);
        }
        event.verify().map(drop).map_err(DeliveryError::Event)
    }

    /// Reads a delivery; nothing is verified but that `from_seq` is the place of the first event.
    pub fn from_json(value: Json) -> Result<SignedDelivery, Rejection> {
        let mut fields = Fields::of(value)?;
        let payload = match (fields.optional("events"), fields.optional("notify")) {
            (Some(Json::Array(events)), None) => {
                Payload::Events(events.into_iter().map(Event::from_json).collect::<Result<_, _>>()?)
            }
            (None, Some(Json::Array(notices))) => {
                Payload::Notify(notices.into_iter().map(Notice::from_json).collect::<Result<_, _>>()?)
            }
            _ => return Err(wrong("events")),
        };
        let delivery = Delivery {
            push_seq: fields.uint("push_seq")?,
            enclave: EnclaveId(fields.hex("enclave")?),
            to: fields.text("to")?,
            time: fields.uint("time")?,
            payload,
        };
        if Some(fields.uint("from_seq")?) != delivery.from_seq() {
            return Err(wrong("from_seq"));
        }
        let signed =
            SignedDelivery { delivery, seq_pub: PublicKey(fields.hex("seq_pub")?), sig: Signature(fields.hex("sig")?) };
        fields.finish()?;
        Ok(signed)
    }

    /// The delivery as it is posted.
    pub fn to_json(&self) -> Json {
        let mut members = members(&self.delivery, &self.seq_pub);
        members.push(("sig", Json::from(self.sig.hex())));
        Json::object(members)
    }
}

impl Notice {
    fn from_json(value: Json) -> Result<Notice, Rejection> {
        let mut fields = Fields::of(value)?;
        let notice =
            Notice { id: EventId(fields.hex("id")?), seq: fields.uint("seq")?, event_type: fields.text("type")? };
        fields.finish()?;
        Ok(notice)
    }

    fn to_json(&self) -> Json {
        Json::object([
            ("id", Json::from(self.id.hex())),
            ("seq", Json::from(self.seq)),
            ("type", Json::from(self.event_type.as_str())),
        ])
    }
}

fn members(delivery: &Delivery, seq_pub: &PublicKey) -> Vec<(&'static str, Json)> {
    let payload = match &delivery.payload {
        Payload::Events(events) => ("events", events.iter().map(Event::to_json).collect::<Vec<_>>()),
        Payload::Notify(notices) => ("notify", notices.iter().map(Notice::to_json).collect()),
    };
    alloc::vec![
        ("push_seq", Json::from(delivery.push_seq)),
        ("enclave", Json::from(delivery.enclave.hex())),
        ("to", Json::from(delivery.to.as_str())),
        ("time", Json::from(delivery.time)),
        ("from_seq", Json::from(delivery.from_seq().unwrap_or_default())),
        (payload.0, Json::Array(payload.1)),
        ("seq_pub", Json::from(seq_pub.hex())),
    ]
}
