//! Sessions and the transport between any client and any node, and what a stranger can do with public knowledge.

use k256::elliptic_curve::ops::Reduce;
use k256::elliptic_curve::point::{AffineCoordinates, DecompactPoint};
use k256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};
use proptest::prelude::*;
use protocol::cbor::{sha256, sha256_of};
use protocol::code::Code;
use protocol::ids::{EnclaveId, PublicKey, hex};
use protocol::json::Json;
use protocol::schnorr::KeyPair;
use protocol::session::{self, Session, SessionToken, check_encrypted, verify_plain};
use protocol::transport::{Nonce, OpenedRequest, SealedRequest, TransportKeys};

const EXPIRES: u32 = 1_800_003_600;
const NOW: u64 = 1_800_000_000_000;

fn pair() -> impl Strategy<Value = KeyPair> {
    any::<[u8; 32]>().prop_filter_map("1 to n − 1", |secret| KeyPair::from_secret(&secret).ok())
}

proptest! {
    #[test]
    fn a_session_is_good_in_its_form_at_its_node(client in pair(), node in pair(), other in pair()) {
        let (from, seq_pub) = (client.public(), node.public());
        let made = Session::make(&client, &seq_pub, EXPIRES);
        let (plain, short) = (made.plain.hex(), made.encrypted.hex());
        prop_assert_eq!(verify_plain(&plain, &from, &seq_pub, NOW).ok(), Some(made.plain));
        prop_assert_eq!(check_encrypted(&short, &from, &seq_pub, NOW).ok(), Some(made.public));
        let code = |outcome: Result<(), protocol::Rejection>| outcome.err().map(|rejection| rejection.code);
        let refused = Some(Code::InvalidSession);
        prop_assert_eq!(code(verify_plain(&short, &from, &seq_pub, NOW).map(drop)), refused);
        prop_assert_eq!(code(check_encrypted(&plain, &from, &seq_pub, NOW).map(drop)), refused);
        prop_assert_eq!(code(verify_plain(&plain, &from, &other.public(), NOW).map(drop)), refused);
        prop_assert_eq!(code(check_encrypted(&short, &from, &other.public(), NOW).map(drop)), refused);
        prop_assert_eq!(code(verify_plain(&plain, &other.public(), &seq_pub, NOW).map(drop)), refused);
        prop_assert_eq!(code(check_encrypted(&short, &other.public(), &seq_pub, NOW).map(drop)), refused);
    }

    #[test]
    fn both_ends_derive_the_same_keys(client in pair(), node in pair(), enclave in any::<[u8; 32]>(), time in 0..protocol::MAX_INTEGER) {
        let (from, seq_pub, enclave) = (client.public(), node.public(), EnclaveId(enclave));
        let made = Session::make(&client, &seq_pub, EXPIRES);
        let ours = TransportKeys::for_client(&made, &seq_pub, &enclave).expect("a key");
        let public = check_encrypted(&made.encrypted.hex(), &from, &seq_pub, NOW).expect("the token holds");
        let theirs = TransportKeys::for_node(&node, &public, &enclave).expect("the points lift");
        let request = OpenedRequest { time, request: Json::object([("type", Json::from("Pull"))]) };
        let sealed = ours.seal_query(&from, &made.encrypted, Nonce([1; 24]), request.to_plaintext().as_bytes());
        prop_assert_eq!(theirs.open_query(&sealed), Ok(Ok(request)));
        let answer = theirs.seal_response(&sealed.nonce, Nonce([2; 24]), b"{}");
        prop_assert_eq!(ours.open_response(&sealed.nonce, &answer), Some(b"{}".to_vec()));
        prop_assert_eq!(ours.open_response(&Nonce([3; 24]), &answer), None);
        // The same session at another enclave has other keys.
        let elsewhere = TransportKeys::for_node(&node, &public, &EnclaveId([0; 32])).expect("the points lift");
        let moved = SealedRequest { enclave: EnclaveId([0; 32]), ..sealed };
        prop_assert!(elsewhere.open_query(&moved).is_err());
    }

    #[test]
    fn any_text_is_a_token_or_none(text in "[0-9a-fA-F]{130,140}") {
        let from = PublicKey([1; 32]);
        prop_assert!(verify_plain(&text, &from, &from, NOW).is_err());
        prop_assert!(check_encrypted(&text, &from, &from, NOW).is_err());
    }
}

/// A token for `victim` that was made without its private key: `R` is chosen, `x(R + e·P)` computed.
fn forge(victim: &PublicKey, seq_pub: &PublicKey) -> SessionToken {
    let r: [u8; 32] = AffinePoint::GENERATOR.x().into();
    let message = session::session_message(EXPIRES, seq_pub);
    let tag = sha256(b"BIP0340/challenge");
    let e =
        <Scalar as Reduce<FieldBytes>>::reduce(&FieldBytes::from(sha256_of(&[&tag, &tag, &r, &victim.0, &message])));
    let lift = |x: &[u8; 32]| ProjectivePoint::from(AffinePoint::decompact(&FieldBytes::from(*x)).expect("a point"));
    let session_pub: [u8; 32] = (lift(&r) + lift(&victim.0) * e).to_affine().x().into();
    SessionToken::parse(&hex(&[&r[..], &session_pub, &EXPIRES.to_be_bytes()].concat())).expect("68 bytes")
}

#[test]
fn a_forged_token_opens_nothing() {
    let (victim, node, stranger) = ([3u8; 32], [4u8; 32], [5u8; 32]);
    let [victim, node, stranger] = [victim, node, stranger].map(|secret| KeyPair::from_secret(&secret).expect("a key"));
    let (from, seq_pub, enclave) = (victim.public(), node.public(), EnclaveId([7; 32]));
    let forged = forge(&from, &seq_pub);
    let refused = verify_plain(&forged.hex(), &from, &seq_pub, NOW).expect_err("it is no signature");
    assert_eq!(refused.code, Code::InvalidSession);
    // The public check alone is passed, so it may decide nothing.
    let public = check_encrypted(&forged.hex(), &from, &seq_pub, NOW).expect("anyone can compute it");
    let keys = TransportKeys::for_node(&node, &public, &enclave).expect("the points lift");
    let own = Session::make(&stranger, &seq_pub, EXPIRES);
    let theirs = TransportKeys::for_client(&own, &seq_pub, &enclave).expect("a key");
    let sealed = theirs.seal_query(&from, &forged, Nonce([1; 24]), b"{\"request\":{},\"time\":0}");
    assert_eq!(keys.open_query(&sealed).map(drop).expect_err("it does not open").code, Code::InvalidSession);
}

#[test]
fn what_stands_twice_stands_alike() {
    let keys = KeyPair::from_secret(&[4; 32]).expect("a key");
    let outer = SealedRequest {
        enclave: EnclaveId([1; 32]),
        from: PublicKey([2; 32]),
        session: "03".repeat(68),
        nonce: Nonce([4; 24]),
        ciphertext: Vec::new(),
    };
    let check = |members: &[(&str, &str)], time, now| {
        let request = Json::object(members.iter().map(|(name, value)| (*name, Json::from(*value))));
        OpenedRequest { time, request }.check(&outer, now).err().map(|rejection| rejection.code)
    };
    let (enclave, from) = (outer.enclave.hex(), outer.from.hex());
    assert_eq!(check(&[], NOW, NOW), None);
    assert_eq!(check(&[("enclave", &enclave), ("from", &from), ("session", &outer.session)], NOW, NOW), None);
    for name in ["enclave", "from", "session"] {
        assert_eq!(check(&[(name, &keys.public().hex())], NOW, NOW), Some(Code::InvalidStructure), "{name}");
    }
    for (time, expected) in
        [(NOW - 60_000, None), (NOW + 60_000, None), (NOW - 60_001, Some(())), (NOW + 60_001, Some(()))]
    {
        assert_eq!(check(&[], time, NOW), expected.map(|()| Code::Expired), "{time}");
    }
    let other = OpenedRequest { time: NOW, request: Json::Null };
    assert!(other.check(&outer, NOW).is_err());
}
