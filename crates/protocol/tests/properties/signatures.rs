//! libsecp256k1 and k256 are one: the same signatures, accepted and refused alike.

use proptest::prelude::*;
use protocol::ids::{PublicKey, Signature};
use protocol::schnorr::{self, KeyPair};

fn pair() -> impl Strategy<Value = ([u8; 32], KeyPair)> {
    any::<[u8; 32]>()
        .prop_filter_map("1 to n − 1", |secret| KeyPair::from_secret(&secret).ok().map(|pair| (secret, pair)))
}

/// Both answers, which must be one.
fn verify(key: &PublicKey, message: &[u8; 32], signature: &Signature) -> bool {
    let native = schnorr::verify(key, message, signature).is_ok();
    assert_eq!(native, schnorr::verify_portable(key, message, signature).is_ok());
    native
}

proptest! {
    #[test]
    fn both_sign_the_same((secret, pair) in pair(), message in any::<[u8; 32]>()) {
        let keys = secp256k1::Keypair::from_secret_bytes(secret).expect("k256 took it");
        let theirs = secp256k1::schnorr::sign_with_aux_rand(&message, &keys, &[0; 32]);
        let signature = pair.sign(&message);
        prop_assert_eq!(&signature.0, theirs.as_byte_array());
        prop_assert!(verify(&pair.public(), &message, &signature));
    }

    #[test]
    fn both_refuse_the_same((_, pair) in pair(), message in any::<[u8; 32]>(), at in 0usize..128, bit in 0u8..8) {
        let (mut key, mut changed, mut signature) = (pair.public(), message, pair.sign(&message));
        match at {
            0..32 => key.0[at] ^= 1 << bit,
            32..64 => changed[at - 32] ^= 1 << bit,
            _ => signature.0[at - 64] ^= 1 << bit,
        }
        prop_assert!(!verify(&key, &changed, &signature));
    }

    #[test]
    fn both_know_the_same_points(bytes in any::<[u8; 32]>(), high in 0usize..32) {
        let key = PublicKey(bytes);
        prop_assert_eq!(schnorr::is_point(&key), schnorr::is_point_portable(&key));
        // Values around the field's prime begin with many ones.
        let mut edge = [0xff; 32];
        edge[high..].copy_from_slice(&bytes[high..]);
        prop_assert_eq!(schnorr::is_point(&PublicKey(edge)), schnorr::is_point_portable(&PublicKey(edge)));
        verify(&key, &bytes, &Signature([0x42; 64]));
    }
}

#[test]
fn a_private_key_is_between_one_and_the_order() {
    let order =
        protocol::ids::parse_hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").expect("hex");
    let mut below: [u8; 32] = order;
    below[31] -= 1;
    assert!(KeyPair::from_secret(&[0; 32]).is_err());
    assert!(KeyPair::from_secret(&order).is_err());
    assert!(KeyPair::from_secret(&below).is_ok());
}
