//! Keys, signatures, sessions, the transport, and what sequencers sign of their logs.

use crate::{Case, bytes, ours, text, uint};
use base64ct::{Base64, Encoding};
use protocol::cbor::sha256_of;
use protocol::evidence::{Contradiction, Evidence, EvidenceKind, HeadStatement};
use protocol::head::{BIP340_TYPE, Sth, checkpoint_message, checkpoint_origin, log_key as derive_log_key, sth_message};
use protocol::ids::{EnclaveId, PublicKey, Signature, hex};
use protocol::schnorr::{self, KeyPair};
use protocol::session::{self, Session};
use protocol::transport::{Nonce, OpenedRequest, SealedRequest, SealedResponse, TransportKeys};
use serde_json::Value;

pub(crate) fn pair(value: &Value) -> KeyPair {
    KeyPair::from_secret(&bytes(value)).expect("a private key")
}

pub(crate) fn key(case: &Case<'_>) {
    assert_eq!(pair(&case.input["priv"]).public().hex(), text(&case.expected["id_pub"]));
}

pub(crate) fn signature(case: &Case<'_>) {
    let message = bytes(&case.input["message"]);
    let (key, signature) = match case.input.get("priv") {
        Some(private) => {
            let key = pair(private);
            let signature = key.sign(&message);
            assert_eq!(signature.hex(), text(&case.expected["sig"]));
            (key.public(), signature)
        }
        None => (PublicKey(bytes(&case.input["pub"])), Signature(bytes(&case.input["sig"]))),
    };
    let valid = case.expected.get("valid").is_none_or(|valid| valid == true);
    assert_eq!(schnorr::verify(&key, &message, &signature).is_ok(), valid);
    assert_eq!(schnorr::verify_portable(&key, &message, &signature).is_ok(), valid);
}

pub(crate) fn log_key(case: &Case<'_>) {
    let enclave = EnclaveId(bytes(&case.input["enclave"]));
    let key = derive_log_key(&pair(&case.input["seq_priv"]), &enclave);
    assert_eq!(hex(&key.to_bytes()), text(&case.expected["seed"]));
    assert_eq!(vkey(&enclave, &key.verifying_key().to_bytes()), text(&case.expected["log_vkey"]));
}

fn vkey(enclave: &EnclaveId, public: &[u8; 32]) -> String {
    let name = checkpoint_origin(enclave);
    let key_id = sha256_of(&[name.as_bytes(), b"\n\x01", public]);
    format!("{name}+{}+{}", hex(&key_id[..4]), Base64::encode_string(&[&[1], &public[..]].concat()))
}

pub(crate) fn session(case: &Case<'_>) {
    let seq_pub = PublicKey(bytes(&case.input["seq_pub"]));
    let expires = u32::try_from(uint(&case.input["expires"])).expect("seconds fit 32 bits");
    assert_eq!(hex(&session::session_message(expires, &seq_pub)), text(&case.expected["message"]));
    let made = Session::make(&pair(&case.input["priv"]), &seq_pub, expires);
    assert_eq!(made.plain.hex(), text(&case.expected["token_plain"]));
    assert_eq!(made.encrypted.hex(), text(&case.expected["token_encrypted"]));
    assert_eq!(hex(made.private()), text(&case.expected["session_priv"]));
    assert_eq!(hex(&made.public.0), text(&case.expected["session_pub"]));
    assert_eq!(made.plain.expires_secs(), expires);
    let odd = made.plain.as_bytes()[32..64] != made.private()[..];
    assert_eq!(odd, case.expected["sG_has_odd_y"] == true);
}

pub(crate) fn session_check(case: &Case<'_>) {
    let (from, seq_pub) = (PublicKey(bytes(&case.input["from"])), PublicKey(bytes(&case.input["seq_pub"])));
    let (token, now) = (text(&case.input["token"]), uint(&case.input["now"]));
    let outcome = match text(&case.input["form"]) {
        "plain" => session::verify_plain(token, &from, &seq_pub, now).map(drop),
        "encrypted" => session::check_encrypted(token, &from, &seq_pub, now).map(drop),
        other => panic!("{other}"),
    };
    assert_eq!(outcome.err().map(|rejection| rejection.code.as_str()), case.expected["error"].as_str());
}

pub(crate) fn transport(case: &Case<'_>) {
    let input = case.input;
    let (from, enclave) = (PublicKey(bytes(&input["from"])), EnclaveId(bytes(&input["enclave"])));
    let (query_nonce, response_nonce) = (Nonce(bytes(&input["nonce_query"])), Nonce(bytes(&input["nonce_response"])));
    let (query, response) = (text(&input["query"]).as_bytes(), text(&input["response"]).as_bytes());
    let node_key = pair(&input["seq_priv"]);
    let token = text(&input["token"]);
    let now = 1000 * u64::from(session::SessionToken::parse(token).expect("a token").expires_secs());
    let session_pub = session::check_encrypted(token, &from, &node_key.public(), now).expect("the token holds");
    let node = TransportKeys::for_node(&node_key, &session_pub, &enclave).expect("the points lift");

    let token = session::SessionToken::parse(token).expect("a token");
    let sealed = node.seal_query(&from, &token, query_nonce, query);
    assert_eq!(hex(&sealed.ciphertext), text(&case.expected["ciphertext_query"]));
    let opened = node.open_query(&sealed).expect("the AEAD opens");
    match OpenedRequest::parse(query) {
        Ok(request) => assert_eq!(opened, Ok(request)),
        // Some cases seal a text that is no request.
        Err(refused) => assert_eq!(opened, Err(refused)),
    }
    assert_eq!(SealedRequest::from_json(sealed.to_json()), Ok(sealed.clone()));
    let answer = node.seal_response(&query_nonce, response_nonce, response);
    assert_eq!(hex(&answer.ciphertext), text(&case.expected["ciphertext_response"]));
    assert_eq!(SealedResponse::from_json(answer.to_json()), Ok(answer.clone()));
    assert_eq!(node.open_response(&query_nonce, &answer).as_deref(), Some(response));

    // What a recorded exchange must not open as.
    assert_eq!(node.open_response(&response_nonce, &answer), None);
    let as_answer = SealedResponse { nonce: query_nonce, ciphertext: sealed.ciphertext.clone() };
    assert_eq!(node.open_response(&query_nonce, &as_answer), None);
    for other in [
        SealedRequest { enclave: EnclaveId([7; 32]), ..sealed.clone() },
        SealedRequest { from: PublicKey([7; 32]), ..sealed.clone() },
        SealedRequest { nonce: response_nonce, ..sealed.clone() },
        SealedRequest { session: "00".repeat(68), ..sealed.clone() },
    ] {
        assert!(node.open_query(&other).is_err());
    }
}

pub(crate) fn sth(case: &Case<'_>) {
    let input = case.input;
    let (enclave, root) = (EnclaveId(bytes(&input["enclave"])), bytes(&input["root_hash"]));
    let (timestamp, size) = (uint(&input["timestamp"]), uint(&input["tree_size"]));
    assert_eq!(hex(&sth_message(&enclave, timestamp, size, &root)), text(&case.expected["message"]));
    let key = pair(&input["priv"]);
    let made = Sth::sign(&key, enclave, timestamp, size, root);
    assert_eq!(made.to_json(), ours(&case.expected["sth"]));
    let read = Sth::from_json(ours(&case.expected["sth"])).expect("an STH");
    assert_eq!(read, made);
    assert!(read.verify_for(&enclave, &key.public()).is_ok());
    assert!(read.verify_for(&EnclaveId([1; 32]), &key.public()).is_err());
    assert!(read.verify_for(&enclave, &PublicKey([1; 32])).is_err());
    assert!(Sth { timestamp: timestamp + 1, ..read }.verify_for(&enclave, &key.public()).is_err());
}

pub(crate) fn checkpoint(case: &Case<'_>) {
    let enclave = EnclaveId(bytes(&case.input["enclave"]));
    let key = pair(&case.input["priv"]);
    let root: [u8; 32] = bytes(&case.input["root_hash"]);
    let origin = checkpoint_origin(&enclave);
    let body = format!("{origin}\n{}\n{}\n", uint(&case.input["tree_size"]), Base64::encode_string(&root));
    assert_eq!(body, text(&case.expected["text"]));
    let key_id = &sha256_of(&[origin.as_bytes(), b"\n", BIP340_TYPE, &key.public().0])[..4];
    assert_eq!(hex(key_id), text(&case.expected["key_id"]));
    let signature = key.sign(&checkpoint_message(&body));
    let line = Base64::encode_string(&[key_id, &signature.0[..]].concat());
    let begins = format!("{body}\n\u{2014} {origin} {line}\n");
    assert!(text(&case.expected["note"]).starts_with(&begins));
    let log_key = derive_log_key(&key, &enclave);
    assert_eq!(vkey(&enclave, &log_key.verifying_key().to_bytes()), text(&case.expected["log_vkey"]));
}

pub(crate) fn sth_equivocation(case: &Case<'_>) {
    let head = |name: &str| Sth::from_json(ours(&case.input[name])).expect("an STH");
    let (a, b) = (head("a"), head("b"));
    let statement = |head| Box::new(HeadStatement::Sth(head));
    let evidence = Evidence {
        enclave: a.enclave,
        sequencer: a.sequencer,
        contradiction: Contradiction::TwoHeads(statement(a), statement(b)),
    };
    let proven = Evidence::from_json(evidence.to_json()).expect("what is written is read").verify();
    assert_eq!(proven.is_ok(), case.expected["evidence"] == true, "{proven:?}");
    if let Ok(proven) = proven {
        assert_eq!(proven.kind, EvidenceKind::TwoHeads { tree_size: a.tree_size });
    }
}
