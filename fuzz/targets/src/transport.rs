//! The encrypted transport: its JSON, and that what is sealed opens to itself and to nothing else.

use crate::{Input, key, round_trip, value};
use protocol::EnclaveId;
use protocol::schnorr::KeyPair;
use protocol::session::{Session, check_encrypted};
use protocol::transport::{Nonce, OpenedRequest, SealedRequest, SealedResponse, TransportKeys};

/// A JSON object as one of the formats; other bytes as keys, a nonce, a plaintext and a place to alter.
pub fn run(bytes: &[u8]) {
    match value(bytes) {
        Some(json) => {
            round_trip(json.clone(), SealedRequest::from_json, SealedRequest::to_json);
            round_trip(json.clone(), SealedResponse::from_json, SealedResponse::to_json);
            if let Ok(opened) = OpenedRequest::parse(bytes) {
                assert_eq!(opened.to_plaintext(), json.to_jcs());
            }
        }
        None => exchange(&mut Input::new(bytes)),
    }
}

fn exchange(input: &mut Input) {
    let (Ok(client), Ok(node)) = (KeyPair::from_secret(&input.take()), KeyPair::from_secret(&input.take())) else {
        return;
    };
    let (enclave, nonce, answer_nonce) = (EnclaveId(input.take()), Nonce(input.take()), Nonce(input.take()));
    let (expires, place, bit) =
        (u32::from_be_bytes(input.take()), usize::from(u16::from_be_bytes(input.take())), input.byte());
    let plaintext = input.rest();
    let session = Session::make(&client, &node.public(), expires);
    let ours = TransportKeys::for_client(&session, &node.public(), &enclave).expect("both are keys");
    let now = u64::from(expires) * 1000;
    let public = check_encrypted(&session.encrypted.hex(), &client.public(), &node.public(), now).expect("our session");
    let theirs = TransportKeys::for_node(&node, &public, &enclave).expect("the same two keys");
    let sealed = ours.seal_query(&client.public(), &session.encrypted, nonce, plaintext);
    assert_eq!(SealedRequest::from_json(sealed.to_json()), Ok(sealed.clone()));
    assert_eq!(theirs.open_query(&sealed), Ok(OpenedRequest::parse(plaintext)));
    let answer = theirs.seal_response(&nonce, answer_nonce, plaintext);
    assert_eq!(ours.open_response(&nonce, &answer).as_deref(), Some(plaintext));
    let flip = |bytes: &mut Vec<u8>| {
        let place = place % bytes.len();
        bytes[place] ^= 1 << (bit % 8);
    };
    let (mut bad_query, mut bad_answer) = (sealed.clone(), answer.clone());
    flip(&mut bad_query.ciphertext);
    flip(&mut bad_answer.ciphertext);
    assert!(theirs.open_query(&bad_query).is_err(), "an altered request opened");
    assert_eq!(ours.open_response(&nonce, &bad_answer), None, "an altered answer opened");
    let other = Nonce(nonce.0.map(|byte| byte ^ 1));
    assert_eq!(ours.open_response(&other, &answer), None, "the answer to another request opened");
    let stranger = SealedRequest { from: key(9).public(), ..sealed };
    assert!(client.public() == key(9).public() || theirs.open_query(&stranger).is_err(), "another's request opened");
}
