//! Push deliveries: read, written back, signed.

use crate::{key, round_trip, value};
use protocol::push::SignedDelivery;
use protocol::verify::Sequencers;

/// Bytes as a delivery.
pub fn run(bytes: &[u8]) {
    let read = value(bytes).and_then(|value| round_trip(value, SignedDelivery::from_json, SignedDelivery::to_json));
    let Some(delivery) = read else { return };
    let verify = |signed: &SignedDelivery, sequencer| {
        let own = &signed.delivery;
        let sequencers = Sequencers::new(sequencer);
        signed.verify(&own.enclave, &sequencers, &own.to, own.time).is_ok()
    };
    if verify(&delivery, delivery.seq_pub) {
        let mut altered = delivery.clone();
        altered.delivery.push_seq ^= 1;
        assert!(!verify(&altered, delivery.seq_pub), "push_seq is signed");
        assert!(!verify(&delivery, key(9).public()), "the key is the Manifest's, not the body's");
    }
    let again = delivery.delivery.sign(key(1));
    assert!(again.sig != delivery.sig || again.seq_pub == delivery.seq_pub);
}
