//! The state tree, as proofs show it.

use super::{Check, check};
use crate::judge::room::Room;
use crate::judge::talk::{has_members, list, member, number};
use crate::judge::why::{Because, Why, equal, hold};
use merkle::Hash;
use protocol::cbor::sha256;
use protocol::ids::hex;
use protocol::proof::StateAnswer;
use protocol::state::{DELETED, GATE_OPEN, StateName};
use protocol::{Code, Json};

const TREE: &str = "enc.md 5";
const ROUTE: &str = "enc.md 7";

pub(super) fn item(name: &StateName<'_>) -> String {
    format!(r#""namespace":{},"key":"{}""#, name.namespace(), hex(&name.raw()))
}

/// The values of these names after the newest closed bundle, as bob is shown them by a proof that holds.
pub(super) fn proven(room: &Room<'_>, names: &[StateName<'_>]) -> Result<Vec<Option<Hash>>, Why> {
    let items: Vec<String> = names.iter().map(|name| format!("{{{}}}", item(name))).collect();
    let answer = room.post(&room.people.alice, "state-batch", &format!(r#""items":[{}]"#, items.join(",")))?;
    let head = room.sth()?;
    let proven =
        StateAnswer::from_json(answer).because("its shape")?.verify(names, &head).because("the proofs hold")?;
    hold(proven.newest, "it is the state after the newest bundle")?;
    Ok(proven.values)
}

/// The same once the open bundle is closed.
pub(super) fn closed_and_proven(room: &Room<'_>, names: &[StateName<'_>]) -> Result<Vec<Option<Hash>>, Why> {
    room.close()?;
    proven(room, names)
}

fn refused(room: &Room<'_>, members: &str, code: Code) -> Result<(), Why> {
    room.denied(&room.people.bob, "state", members, code).map(drop)
}

const LIFE: &str = r#""namespace":3,"key":"6c6966656379636c65""#;

pub const CHECKS: &[Check] = &[
    check("state.members", ROUTE, "A state proof's answer has the listed members, proof {k, v, b, s}.", |f| {
        let room = f.hall()?;
        room.close()?;
        let answer = room.post(&room.people.bob, "state", LIFE)?;
        let listed =
            ["audit_path", "entry", "last_event_hash", "leaf_index", "proof", "state_hash", "sth", "tree_size"];
        has_members("the answer", &answer, &listed)?;
        has_members("the proof", member(&answer, "proof")?, &["b", "k", "s", "v"])?;
        has_members("the entry", member(&answer, "entry")?, &["count", "events_root", "first_seq", "state_commit"])
    }),
    check("state.identity", TREE, "An identity's leaf is its mask; who has none is proved absent.", |f| {
        let room = f.hall()?;
        let [alice, stranger] = [&room.people.alice, &room.people.stranger].map(|who| who.public());
        let values = closed_and_proven(&room, &[StateName::Identity(&alice), StateName::Identity(&stranger)])?;
        let mut owner = [0; 32];
        (owner[30], owner[31]) = (1, 1);
        equal("the owner, a member", values, vec![Some(owner), None])
    }),
    check("state.shared", TREE, "A Shared slot holds the content hash of its value, and nothing once deleted.", |f| {
        let room = f.hall()?;
        let alice = &room.people.alice;
        room.say(alice, "Shared", r#"{"key":"topic","value":{"b":1,"a":[]}}"#)?;
        let value = Some(sha256(br#"{"a":[],"b":1}"#));
        equal("set", closed_and_proven(&room, &[StateName::Shared("topic")])?[0], value)?;
        room.say(alice, "Shared", r#"{"key":"topic","value":null}"#)?;
        equal("deleted", closed_and_proven(&room, &[StateName::Shared("topic")])?[0], None)
    }),
    check("state.own", TREE, "An Own slot is each identity's own.", |f| {
        let room = f.hall()?;
        room.say(&room.people.bob, "Own", r#"{"key":"card","value":"bob's"}"#)?;
        let [bob, alice] = [&room.people.bob, &room.people.alice].map(|who| who.public());
        let values = closed_and_proven(&room, &[StateName::Own(&bob, "card"), StateName::Own(&alice, "card")])?;
        equal("values", values, vec![Some(sha256(b"\"bob's\"")), None])
    }),
    check("state.gate", TREE, "An open gate is 01 32 times, a closed one absent.", |f| {
        let room = f.hall()?;
        equal("closed", closed_and_proven(&room, &[StateName::Gate("door")])?[0], None)?;
        room.say(&room.people.alice, "Gate", r#"{"alias":"door","open":true}"#)?;
        equal("open", closed_and_proven(&room, &[StateName::Gate("door")])?[0], Some(GATE_OPEN))
    }),
    check(
        "state.event",
        TREE,
        "An event's status is absent, the id of its latest Update, or zeros once deleted.",
        |f| {
            let room = f.hall()?;
            let said = room.say(&room.people.bob, "message", "1")?;
            let status = |room: &Room<'_>| Ok::<_, Why>(closed_and_proven(room, &[StateName::Event(&said.id)])?[0]);
            equal("live", status(&room)?, None)?;
            let update = room.submit(&room.referring(&room.people.bob, "Update", &said.id.hex()))?;
            equal("updated", status(&room)?, Some(update.id.0))?;
            room.submit(&room.referring(&room.people.bob, "Delete", &said.id.hex()))?;
            equal("deleted", status(&room)?, Some(DELETED))
        },
    ),
    check(
        "state.of-the-closed-bundle",
        ROUTE,
        "A state proof is about the newest closed bundle, not about what came after it.",
        |f| {
            let room = f.hall()?;
            room.close()?;
            room.say(&room.people.alice, "Gate", r#"{"alias":"door","open":true}"#)?;
            equal("before it is closed", proven(&room, &[StateName::Gate("door")])?[0], None)?;
            equal("after", closed_and_proven(&room, &[StateName::Gate("door")])?[0], Some(GATE_OPEN))
        },
    ),
    check(
        "state.batch",
        ROUTE,
        "state-batch proves up to 256 keys at once, in the order asked; more is limit_exceeded.",
        |f| {
            let room = f.hall()?;
            room.close()?;
            let many = |count: usize| format!(r#""items":[{}]"#, vec![format!("{{{LIFE}}}"); count].join(","));
            let answer = room.post(&room.people.bob, "state-batch", &many(256))?;
            equal("proofs", list(&answer, "proofs")?.len(), 256)?;
            room.denied(&room.people.bob, "state-batch", &many(257), Code::LimitExceeded).map(drop)
        },
    ),
    check("state.not-bundled", ROUTE, "Before the first bundle is closed a state proof is not_bundled 409.", |f| {
        let room = f.hall()?;
        refused(&room, LIFE, Code::NotBundled)?;
        room.close()?;
        room.post(&room.people.bob, "state", LIFE).map(drop)
    }),
    check("state.tree-size", ROUTE, "tree_size 0 or beyond the log is not_found; the log's own is the default.", |f| {
        let room = f.hall()?;
        room.close()?;
        for size in [0, 2] {
            refused(&room, &format!(r#"{LIFE},"tree_size":{size}"#), Code::NotFound)?;
        }
        let answer = room.post(&room.people.bob, "state", &format!(r#"{LIFE},"tree_size":1"#))?;
        equal("tree_size", number(&answer, "tree_size")?, 1)
    }),
    check("state.grammar", ROUTE, "namespace is 0 to 3, key the raw key in lower-case hex.", |f| {
        let room = f.hall()?;
        room.close()?;
        for members in [
            r#""namespace":4,"key":"00""#,
            r#""namespace":0,"key":"0""#,
            r#""namespace":0,"key":"AB""#,
            r#""namespace":0"#,
            r#""key":"00""#,
        ] {
            refused(&room, members, Code::InvalidStructure)?;
        }
        let answer = room.post(&room.people.bob, "state", r#""namespace":0,"key":"00""#)?;
        equal("an absent key", member(member(&answer, "proof")?, "v")?, &Json::Null)
    }),
];
