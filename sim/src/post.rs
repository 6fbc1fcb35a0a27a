//! Push endpoints and the network before them: answers come, get lost, or never are.

use crate::broken::{Broken, Invariant};
use crate::draw::Draw;
use crate::people::Person;
use protocol::push::{DeliveryError, Payload, SignedDelivery};
use protocol::verify::Sequencers;
use protocol::{EnclaveId, Json, PublicKey};
use service::Call;
use service::call::{Action, Claim};
use service::runtime::{Fetch, FetchId, Fetched};
use std::collections::BTreeSet;
use tokio::sync::oneshot;

/// An endpoint of Dora's.
pub struct Endpoint {
    /// The enclave's number.
    pub room: usize,
    /// The enclave.
    pub enclave: EnclaveId,
    /// Where it is.
    pub url: String,
    /// The node has said, or its rows say, that it is delivered to.
    pub live: bool,
    /// A registration that waits for the challenge.
    pub parked: Option<Parked>,
    owed: BTreeSet<u64>,
    got: BTreeSet<u64>,
    deliveries: u64,
}

/// A call that waits until it is woken or its time is up.
pub struct Parked {
    /// Fires when the topic is notified.
    pub wake: oneshot::Receiver<()>,
    /// Milliseconds since the epoch.
    pub deadline: u64,
}

/// What the network does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// There and back.
    Whole,
    /// The answer gets lost.
    NoAnswer,
    /// It never arrives.
    Lost,
    /// The endpoint is there and says that something is wrong with it.
    Wrong,
}

impl Passage {
    /// Mostly whole.
    pub fn draw(draw: &mut Draw) -> Passage {
        match draw.below(10) {
            0..6 => Passage::Whole,
            6 => Passage::NoAnswer,
            7 | 8 => Passage::Lost,
            _ => Passage::Wrong,
        }
    }
}

impl Endpoint {
    /// An endpoint for an enclave, not registered yet.
    pub fn new(room: usize, enclave: EnclaveId) -> Endpoint {
        Endpoint {
            room,
            enclave,
            url: format!("https://push.example/{room}"),
            live: false,
            parked: None,
            owed: BTreeSet::new(),
            got: BTreeSet::new(),
            deliveries: 0,
        }
    }

    /// The call that registers it.
    pub fn register(&self) -> Call {
        let claim = Claim::Envelope { from: Person::Dora.id() };
        Call { enclave: Some(self.enclave), claim, action: Action::Push { url: Some(self.url.clone()) } }
    }

    /// An event of a type that is pushed was sequenced.
    pub fn owe(&mut self, seq: u64) {
        if self.live {
            self.owed.insert(seq);
        }
    }

    /// A request on its way, and what comes back.
    ///
    /// # Errors
    /// What arrived is nothing that the node may send.
    pub fn passed(
        &mut self,
        fetch: &Fetch,
        passage: Passage,
        (sequencer, now): (&PublicKey, u64),
    ) -> Result<Fetched, Broken> {
        let body = protocol::json::parse(fetch.body.as_bytes(), protocol::json::MAX_DEPTH)
            .map_err(|_| Invariant::DeliveriesArrive.broken("a request that is no JSON"))?;
        match passage {
            Passage::Lost => return Ok(Fetched::Failed),
            Passage::Wrong => return Ok(Fetched::Answer(500, b"not well".to_vec())),
            Passage::Whole | Passage::NoAnswer => {}
        }
        let answer = match fetch.id {
            FetchId::Challenge(_) => {
                let token = body.member("token").and_then(Json::as_text).unwrap_or_default();
                format!("{{\"token\":\"{token}\"}}")
            }
            FetchId::Delivery(_) => {
                if !self.receive(body, (sequencer, now))? {
                    return Ok(Fetched::Answer(400, b"too old".to_vec()));
                }
                String::new()
            }
        };
        Ok(if passage == Passage::Whole { Fetched::Answer(200, answer.into_bytes()) } else { Fetched::Failed })
    }

    /// Takes a delivery; false if it is too old to be taken.
    fn receive(&mut self, body: Json, (sequencer, now): (&PublicKey, u64)) -> Result<bool, Broken> {
        let broken = |seen: String| Err(Invariant::DeliveriesArrive.broken(seen));
        let Ok(signed) = SignedDelivery::from_json(body) else { return broken("no delivery".to_owned()) };
        let delivery = match signed.verify(&self.enclave, &Sequencers::new(*sequencer), &self.url, now) {
            Ok(delivery) => delivery,
            Err(DeliveryError::Time) => return Ok(false),
            Err(error) => return broken(format!("a delivery does not hold: {error:?}")),
        };
        let Payload::Events(events) = &delivery.payload else {
            return broken("a notice for one who holds P".to_owned());
        };
        if delivery.push_seq > self.deliveries + 1 {
            return broken(format!("delivery {} came after {}", delivery.push_seq, self.deliveries));
        }
        let first = delivery.push_seq > self.deliveries;
        for seq in events.iter().map(|event| event.position.seq) {
            let newest = self.got.last().copied();
            if first && newest.is_some_and(|newest| newest >= seq) {
                return broken(format!("seq {seq} came after {newest:?}"));
            }
            if !self.owed.contains(&seq) {
                return broken(format!("seq {seq} came and was not owed"));
            }
            self.got.insert(seq);
        }
        self.deliveries = delivery.push_seq.max(self.deliveries);
        Ok(true)
    }

    /// What is owed and has not come.
    pub fn missing(&self) -> Vec<u64> {
        self.owed.difference(&self.got).copied().collect()
    }
}
