//! Who lives in the world, and the rules of the enclaves they keep.

use protocol::schnorr::KeyPair;
use protocol::{Json, PublicKey};
use std::sync::OnceLock;

/// Everybody, by a small number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// Owner and admin; nobody takes anything from her.
    Alice,
    /// A member from the beginning.
    Bob,
    /// Comes and goes.
    Carol,
    /// A member to whom talk is pushed.
    Dora,
    /// Comes and goes.
    Erin,
    /// Comes and goes.
    Frank,
    /// Is never let in.
    Zoe,
}

/// Who is moved about by others.
pub const GUESTS: [Person; 3] = [Person::Carol, Person::Erin, Person::Frank];

/// Everybody.
pub const ALL: [Person; 7] =
    [Person::Alice, Person::Bob, Person::Carol, Person::Dora, Person::Erin, Person::Frank, Person::Zoe];

impl Person {
    /// The key pair, the same in every world.
    pub fn key(self) -> &'static KeyPair {
        static KEYS: OnceLock<Vec<KeyPair>> = OnceLock::new();
        let make = || ALL.map(|person| KeyPair::from_secret(&[person as u8 + 1; 32]).expect("a scalar")).into();
        &KEYS.get_or_init(make)[self as usize]
    }

    /// The public key.
    pub fn id(self) -> PublicKey {
        static IDS: OnceLock<Vec<PublicKey>> = OnceLock::new();
        IDS.get_or_init(|| ALL.iter().map(|person| person.key().public()).collect())[self as usize]
    }
}

/// Every section of a manifest is used; `SEQ`, `ALICE`, … stand for keys, `SIZE`, `TIMEOUT` and `OPEN` are drawn.
const MANIFEST: &str = r#"{"enc_v":2,"sequencer":"SEQ","bundle":{"size":SIZE,"timeout":TIMEOUT},"RBAC":{
    "states":["MEMBER","GUEST","BANNED"],"traits":["owner(0)","admin(1)","muted(2)","star(3)","tap(4)"],
    "readers":[{"type":"MEMBER","reads":"*","retention":"snapshot"},{"type":"GUEST","reads":["talk"]}],
    "moves":[{"event":"Move","from":"OUTSIDER","to":"GUEST","operator":"Self","ops":["C"],"alias":"door","gate":{"operator":["owner"],"open":OPEN}},
             {"event":"Move","from":"GUEST","to":"MEMBER","operator":["Self","admin"],"ops":["C"],"alias":"hall","gate":{"operator":["admin"]}},
             {"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":["owner","admin"],"ops":["C"]},
             {"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":["Self","admin"],"ops":["C"]},
             {"event":"Move","from":"GUEST","to":"OUTSIDER","operator":["Self","admin"],"ops":["C"]},
             {"event":"Move","from":"MEMBER","to":"BANNED","operator":"admin","ops":["C"]},
             {"event":"Move","from":"BANNED","to":"OUTSIDER","operator":"owner","ops":["C"]}],
    "grants":[{"event":"Grant","operator":["owner"],"scope":["MEMBER","GUEST"],"trait":["admin","star"]},
              {"event":"Revoke","operator":["owner"],"scope":["MEMBER","GUEST","BANNED"],"trait":["admin","star"]},
              {"event":"Grant","operator":["admin"],"scope":["MEMBER","GUEST"],"trait":["muted"]},
              {"event":"Revoke","operator":["admin"],"scope":["MEMBER","GUEST","OUTSIDER"],"trait":["muted"]}],
    "transfers":[{"trait":"star","operator":["star"],"scope":["MEMBER","GUEST"]}],
    "slots":[{"event":"Shared","key":"topic","operator":["MEMBER"],"ops":["C","U","D"]},{"event":"Shared","key":"rules","operator":"owner","ops":["C","U"]},
             {"event":"Own","key":"profile","operator":"Self","ops":["C","U","D"]}],
    "lifecycle":[{"event":"Pause","operator":"owner","ops":["C"]},{"event":"Resume","operator":["owner","admin"],"ops":["C"]},
                 {"event":"Terminate","operator":"owner","ops":["C"]}],
    "customs":[{"event":"talk","operator":["MEMBER","GUEST"],"ops":["C"]},{"event":"talk","operator":"Sender","ops":["U","D"]},
               {"event":"talk","operator":"muted","ops":["_C"]},{"event":"talk","operator":"admin","ops":["D"]},
               {"event":"talk","operator":"tap","ops":["P"]},
               {"event":"vote","operator":"MEMBER","ops":["C"],"alias":"poll","gate":{"operator":["admin"]}}],
    "init":[{"identity":"ALICE","state":"MEMBER","traits":["owner","admin"]},{"identity":"BOB","state":"MEMBER","traits":["star"]},
            {"identity":"DORA","state":"MEMBER","traits":["tap"]}]}}"#;

/// A manifest: its sequencer, events of a bundle, milliseconds until a bundle closes, whether the door is open.
pub fn manifest(sequencer: &PublicKey, size: usize, timeout: usize, open: bool) -> Json {
    let text = MANIFEST
        .replace("SEQ", &sequencer.hex())
        .replace("SIZE", &size.to_string())
        .replace("TIMEOUT", &timeout.to_string())
        .replace("OPEN", &open.to_string())
        .replace("\"ALICE\"", &format!("\"{}\"", Person::Alice.id().hex()))
        .replace("\"BOB\"", &format!("\"{}\"", Person::Bob.id().hex()))
        .replace("\"DORA\"", &format!("\"{}\"", Person::Dora.id().hex()));
    json(&text)
}

/// JSON that the simulator writes.
pub fn json(text: &str) -> Json {
    protocol::json::parse(text.as_bytes(), protocol::json::MAX_DEPTH).expect("the simulator writes JSON")
}
