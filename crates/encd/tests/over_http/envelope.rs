//! The encrypted transport against a real node: what opens is answered sealed, what does not is refused in the clear.

use crate::node::{Answer, Running, config, key, note, now, text};
use protocol::session::Session;
use protocol::transport::{Nonce, OpenedRequest, SealedResponse, TransportKeys};
use protocol::{EnclaveId, Json, json};

struct Sender {
    session: Session,
    keys: TransportKeys,
}

impl Sender {
    fn new(node: &Running, enclave: EnclaveId, seed: u8) -> Sender {
        let expires = u32::try_from(now() / 1000 + 600).expect("before 2106");
        let session = Session::make(&key(seed), &node.sequencer(), expires);
        let keys = TransportKeys::for_client(&session, &node.sequencer(), &enclave).expect("the node's key is a key");
        Sender { session, keys }
    }

    fn seal(&self, from: u8, nonce: Nonce, time: u64, request: Json) -> Json {
        let plaintext = OpenedRequest { time, request }.to_plaintext();
        self.keys.seal_query(&key(from).public(), &self.session.encrypted, nonce, plaintext.as_bytes()).to_json()
    }

    fn open(&self, nonce: Nonce, answer: &Answer) -> Json {
        let sealed = SealedResponse::from_json(answer.json()).expect("a sealed answer");
        let plaintext = self.keys.open_response(&nonce, &sealed).expect("it opens as the answer to this request");
        json::parse(&plaintext, json::MAX_DEPTH).expect("JSON inside")
    }
}

fn code(answer: &Json) -> &str {
    answer.member("error").and_then(Json::as_text).unwrap_or("")
}

#[test]
fn commits_and_queries_go_sealed() {
    let node = Running::start(config());
    let enclave = node.create(&key(0x33), "a");
    let sender = Sender::new(&node, enclave, 0x33);
    let said = note(&key(0x33), enclave, "in secret").commit().to_json();
    let receipt = node.post("/", &sender.seal(0x33, Nonce([1; 24]), now(), said));
    assert_eq!(receipt.status, 200, "{}", receipt.text());
    let receipt = sender.open(Nonce([1; 24]), &receipt);
    assert_eq!(receipt.member("seq").and_then(Json::as_uint), Some(1));
    let query = Json::object([("type", text("Query"))]);
    let answer = node.post("/", &sender.seal(0x33, Nonce([2; 24]), now(), query));
    let answer = sender.open(Nonce([2; 24]), &answer);
    let Some(Json::Array(events)) = answer.member("events") else { panic!("{}", answer.to_jcs()) };
    assert_eq!(events[1].member("content"), Some(&text("in secret")));
}

#[test]
fn what_is_wrong_inside_is_answered_sealed_with_its_status() {
    let node = Running::start(config());
    let enclave = node.create(&key(0x33), "a");
    let sender = Sender::new(&node, enclave, 0x33);
    let query = || Json::object([("type", text("Query"))]);
    let rows = [
        (now() - 120_000, query(), 400, "expired"),
        (now(), Json::object([("type", text("Quarry"))]), 400, "invalid_structure"),
        (now(), note(&key(0x44), enclave, "x").commit().to_json(), 400, "invalid_structure"),
    ];
    for (place, (time, request, status, expected)) in rows.into_iter().enumerate() {
        let nonce = Nonce([u8::try_from(place).expect("few"); 24]);
        let answer = node.post("/", &sender.seal(0x33, nonce, time, request));
        assert_eq!(answer.status, status, "{expected}");
        assert_eq!(code(&sender.open(nonce, &answer)), expected);
    }
}

#[test]
fn what_does_not_open_is_refused_in_the_clear() {
    let node = Running::start(config());
    let enclave = node.create(&key(0x33), "a");
    let sender = Sender::new(&node, enclave, 0x33);
    let query = Json::object([("type", text("Query"))]);
    let by_another = sender.seal(0x44, Nonce([1; 24]), now(), query.clone());
    let Json::Object(mut broken) = sender.seal(0x33, Nonce([1; 24]), now(), query.clone()) else { panic!("an object") };
    for (name, value) in &mut broken {
        if name == "nonce" {
            *value = text(&"22".repeat(24));
        }
    }
    for body in [by_another, Json::Object(broken)] {
        let answer = node.post("/", &body);
        assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_session"));
    }
    let nowhere = Sender::new(&node, EnclaveId([9; 32]), 0x33);
    let answer = node.post("/", &nowhere.seal(0x33, Nonce([1; 24]), now(), query));
    assert_eq!((answer.status, answer.code().as_str()), (404, "enclave_not_found"));
}

#[test]
fn where_encryption_is_required_plain_questions_are_refused() {
    let mut strict = config();
    strict.encryption.require = true;
    let node = Running::start(strict);
    let enclave = node.create(&key(0x33), "a");
    let plain = Json::object([("type", text("Query")), ("enclave", text(&enclave.hex()))]);
    assert_eq!(node.post("/", &plain).code(), "unauthorized");
    let sender = Sender::new(&node, enclave, 0x33);
    let nonce = Nonce([3; 24]);
    let sealed = node.post("/", &sender.seal(0x33, nonce, now(), Json::object([("type", text("Query"))])));
    assert_eq!(sealed.status, 200, "{}", sealed.text());
}
