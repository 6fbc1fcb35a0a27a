//! Deliveries: what a node pushes to an endpoint, and what is pulled instead.

use crate::asking::Route;
use crate::enclave::Enclave;
use crate::error::{Answer, Error, Falsehood};
use protocol::Json;
use protocol::fields::{Fields, wrong};
use protocol::json::{self, MAX_DEPTH};
use protocol::push::{Delivery, DeliveryError, Payload, SignedDelivery};

impl Enclave {
    /// Registers a push endpoint, or, with none, unregisters all of this identity. The node posts a challenge to the endpoint first.
    ///
    /// # Errors
    /// [`Error::Refused`]: `bad_state` if the endpoint did not answer the challenge; [`Error::False`].
    pub fn register_push(&self, url: Option<&str>) -> Result<(), Error> {
        let url = url.map_or(Json::Null, Json::from);
        let answer = self.ask(Route::PlainAction("push"), vec![("url", url)], Answer::Done)?;
        let done = Json::object([("ok", Json::Bool(true))]);
        if answer == done { Ok(()) } else { Err(Falsehood::Shape(Answer::Done).into()) }
    }

    /// Checks the body of a delivery that reached `own_url`: the key is the enclave's by Manifest and Migrates, never the body's word.
    ///
    /// # Errors
    /// [`Error::False`].
    pub fn verify_delivery(&self, body: &[u8], own_url: &str) -> Result<Delivery, Error> {
        let value = json::parse(body, MAX_DEPTH).map_err(|_| Falsehood::Shape(Answer::Delivery))?;
        let signed = SignedDelivery::from_json(value).map_err(|_| Falsehood::Shape(Answer::Delivery))?;
        self.check_delivery(signed, own_url)
    }

    /// Pulls deliveries with a `push_seq` beyond `after`, of one endpoint of this identity or of all.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::False`].
    pub fn pull(&self, url: Option<&str>, after: u64, limit: u64) -> Result<Vec<Delivery>, Error> {
        let push_seq = Json::object([("start_after", Json::from(after))]);
        let mut members = vec![("type", Json::from("Pull")), ("push_seq", push_seq), ("limit", Json::from(limit))];
        members.extend(url.map(|url| ("url", Json::from(url))));
        let value = self.ask(Route::Root, members, Answer::Delivery)?;
        let shape = || Falsehood::Shape(Answer::Delivery);
        let signed = parse_deliveries(value).map_err(|_| shape())?;
        let mut deliveries: Vec<Delivery> = Vec::with_capacity(signed.len());
        for signed in signed {
            let to = url.map_or_else(|| signed.delivery.to.clone(), String::from);
            let delivery = self.check_delivery(signed, &to)?;
            let earlier = deliveries.iter().rev().find(|earlier| earlier.to == delivery.to);
            if delivery.push_seq <= earlier.map_or(after, |earlier| earlier.push_seq) {
                return Err(shape().into());
            }
            deliveries.push(delivery);
        }
        Ok(deliveries)
    }

    fn check_delivery(&self, signed: SignedDelivery, own_url: &str) -> Result<Delivery, Error> {
        if !self.pin().sequencers().contains(&signed.seq_pub) {
            self.learn_migrates()?;
        }
        let (pin, now) = (self.pin(), self.node().now());
        let delivery = signed.verify(&self.id(), pin.sequencers(), own_url, now);
        let delivery = delivery.map_err(|error| delivery_falsehood(error, &signed, now))?;
        Ok(delivery.clone())
    }
}

/// The places that a delivery is about.
pub fn delivered_seqs(delivery: &Delivery) -> Vec<u64> {
    match &delivery.payload {
        Payload::Events(events) => events.iter().map(|event| event.position.seq).collect(),
        Payload::Notify(notices) => notices.iter().map(|notice| notice.seq).collect(),
    }
}

fn delivery_falsehood(error: DeliveryError, signed: &SignedDelivery, own: u64) -> Falsehood {
    let delivery = &signed.delivery;
    let seq = delivery.from_seq().unwrap_or_default();
    match error {
        DeliveryError::OtherEnclave => Falsehood::OtherEnclave(delivery.enclave),
        DeliveryError::OtherEndpoint => Falsehood::Unasked { seq },
        DeliveryError::Time => Falsehood::Clock { given: delivery.time, own },
        DeliveryError::Signature => Falsehood::Proof(Answer::Delivery),
        DeliveryError::Order => Falsehood::Order { seq },
        DeliveryError::Event(fault) => Falsehood::Event { seq, fault },
        DeliveryError::Sequencer => Falsehood::OtherSequencer { seq, found: signed.seq_pub },
    }
}

fn parse_deliveries(value: Json) -> Result<Vec<SignedDelivery>, protocol::Rejection> {
    let mut fields = Fields::of(value)?;
    if fields.text("type")? != "Response" {
        return Err(wrong("type"));
    }
    let Json::Array(rows) = fields.required("deliveries")? else { return Err(wrong("deliveries")) };
    fields.finish()?;
    rows.into_iter().map(SignedDelivery::from_json).collect()
}
