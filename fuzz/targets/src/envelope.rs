//! The envelope: whatever stands inside is read, judged and answered, and the answer opens to what was said.

use crate::enclave::{Sample, rehearse};
use crate::node::{Ask, Told, key, secret};
use crate::request::answered;
use protocol::session::{Session, check_encrypted};
use protocol::transport::{Nonce, OpenedRequest, SealedRequest, TransportKeys};
use protocol::{Code, Rejection};
use service::Call;
use service::call::Claim;
use service::resolve::{Resolved, Resolver, resolve_opened};

/// Bytes as the plaintext of a request by alice.
pub fn run(bytes: &[u8]) {
    rehearse(|sample| {
        let plaintext = match core::str::from_utf8(bytes) {
            Ok(text) => sample.fill(text).into_bytes(),
            Err(_) => bytes.to_vec(),
        };
        exchange(sample, &plaintext);
    });
}

fn exchange(sample: &Sample, plaintext: &[u8]) {
    let (node, now) = (secret(crate::node::NODE), sample.node.now.get());
    let alice = key("alice");
    let session = Session::make(&alice, &node.public(), (now / 1000 + 3600) as u32);
    let ours = TransportKeys::for_client(&session, &node.public(), &sample.enclave).expect("both are keys");
    let sealed = ours.seal_query(&alice.public(), &session.encrypted, Nonce([1; 24]), plaintext);
    let posted = Ask::post("/", &sealed.to_json().to_jcs());
    let received = match sample.node.resolve(&posted) {
        Ok(Resolved::Envelope(received)) => received,
        other => panic!("no envelope: {other:?}"),
    };
    assert_eq!(received, sealed);
    let public = check_encrypted(&received.session, &received.from, &node.public(), now).expect("alice's session");
    let theirs = TransportKeys::for_node(&node, &public, &received.enclave).expect("the same two keys");
    let opened = theirs.open_query(&received).expect("it was sealed for this key");
    let body = match opened.and_then(|opened| judged(sample, &received, opened)) {
        Ok(call) => match answered(sample, &call) {
            Some(told) => told.body,
            None => return,
        },
        Err(rejection) => {
            assert!(rejection.code != Code::InvalidSession, "the session holds");
            Told::from(service::Response::error(&rejection)).body
        }
    };
    let answer = theirs.seal_response(&received.nonce, Nonce([2; 24]), &body);
    assert_eq!(ours.open_response(&sealed.nonce, &answer), Some(body));
}

fn judged(sample: &Sample, outer: &SealedRequest, opened: OpenedRequest) -> Result<Call, Rejection> {
    let is_node_key = |key: &protocol::PublicKey| sample.node.is_node_key(key);
    let resolver = Resolver { limits: &sample.node.facts.limits, is_node_key: &is_node_key };
    let call = resolve_opened(&resolver, outer, opened, sample.node.now.get())?;
    assert_eq!(call.enclave, Some(sample.enclave), "an envelope is for one enclave");
    let commit = matches!(call.action, service::Action::Commit(_));
    assert!(commit || call.claim == Claim::Envelope { from: outer.from }, "{:?}", call.claim);
    Ok(call)
}
