//! Step 6: an enclave's life.

use super::{Check, check};
use crate::judge::room::Room;
use crate::judge::talk::{number, text};
use crate::judge::why::{Because, Why, equal, hold};
use crate::people::key;
use protocol::{Code, PublicKey};

const SECTION: &str = "enc.md 3";
const MIGRATE: &str = "enc.md 4.3";

/// The content of a Migrate as things stand.
pub(super) fn order(room: &Room<'_>, to: &PublicKey) -> Result<String, Why> {
    let info = room.info(Some(&room.people.alice))?;
    let root = protocol::ids::hex(&room.sth()?.sth().root_hash);
    Ok(format!(r#"{{"new_sequencer":"{to}","prev_seq":{},"ct_root":"{root}"}}"#, number(&info, "last_seq")?))
}

fn status(room: &Room<'_>, wanted: &str) -> Result<(), Why> {
    equal("status", text(&room.info(None)?, "status")?, wanted)
}

pub const CHECKS: &[Check] = &[
    check(
        "life.pause",
        SECTION,
        "A paused enclave refuses all but Resume, Terminate, Migrate: enclave_paused 403.",
        |f| {
            let room = f.hall()?;
            status(&room, "active")?;
            room.say(&room.people.alice, "Pause", "{}")?;
            status(&room, "paused")?;
            for (event_type, content) in
                [("message", "1"), ("Pause", "{}"), ("Gate", r#"{"alias":"door","open":true}"#)]
            {
                room.refuses(&room.people.alice, event_type, content, Code::EnclavePaused)?;
            }
            room.page(&room.people.bob, "{}").map(drop)
        },
    ),
    check(
        "life.resume",
        SECTION,
        "Resume makes a paused enclave active; of one that is not paused it is bad_state.",
        |f| {
            let room = f.hall()?;
            room.refuses(&room.people.alice, "Resume", "{}", Code::BadState)?;
            room.say(&room.people.alice, "Pause", "{}")?;
            room.say(&room.people.alice, "Resume", "{}")?;
            status(&room, "active")?;
            room.say(&room.people.bob, "message", "1").map(drop)
        },
    ),
    check("life.terminate", SECTION, "A terminated enclave takes nothing more: enclave_terminated 410.", |f| {
        let room = f.hall()?;
        room.say(&room.people.alice, "Terminate", "{}")?;
        status(&room, "terminated")?;
        for event_type in ["message", "Resume", "Terminate", "Migrate"] {
            room.refuses(&room.people.alice, event_type, "{}", Code::EnclaveTerminated)?;
        }
        Ok(())
    }),
    check("life.terminate-while-paused", SECTION, "A paused enclave can be terminated.", |f| {
        let room = f.hall()?;
        room.say(&room.people.alice, "Pause", "{}")?;
        room.say(&room.people.alice, "Terminate", "{}")?;
        status(&room, "terminated")
    }),
    check("life.terminate-closes", "enc.md 5", "Terminate closes the open bundle.", |f| {
        let room = f.hall()?;
        room.say(&room.people.bob, "message", "1")?;
        equal("tree_size before", room.sth()?.sth().tree_size, 0)?;
        room.say(&room.people.alice, "Terminate", "{}")?;
        equal("tree_size after", room.sth()?.sth().tree_size, 1)
    }),
    check(
        "life.migrate",
        SECTION,
        "After a Migrate nothing is taken: enclave_migrated 410, with new_sequencer.",
        |f| {
            let room = f.hall()?;
            let next = f.key("next sequencer").public();
            let order = order(&room, &next)?;
            room.say(&room.people.alice, "Migrate", &order)?;
            status(&room, "migrated")?;
            for who in [&room.people.alice, &room.people.bob] {
                let body = room.refuses(who, "message", "1", Code::EnclaveMigrated)?;
                equal("new_sequencer", text(&body, "new_sequencer")?, next.hex().as_str())?;
            }
            Ok(())
        },
    ),
    check("life.migrate-closes", "enc.md 5", "A Migrate is appended to the open bundle and closes it.", |f| {
        let room = f.hall()?;
        room.say(&room.people.bob, "message", "1")?;
        let order = order(&room, &f.key("next").public())?;
        room.say(&room.people.alice, "Migrate", &order)?;
        let info = room.info(Some(&room.people.alice))?;
        equal("the open bundle", (number(&info, "tree_size")?, number(&info, "open_events")?), (1, 0))
    }),
    check("life.migrate-while-paused", SECTION, "A paused enclave can be migrated.", |f| {
        let room = f.hall()?;
        room.say(&room.people.alice, "Pause", "{}")?;
        let order = order(&room, &f.key("next").public())?;
        room.say(&room.people.alice, "Migrate", &order)?;
        status(&room, "migrated")
    }),
    check(
        "life.migrate-names-the-head",
        MIGRATE,
        "A Migrate with another prev_seq, ct_root or prev is bad_state, with the current ones.",
        |f| {
            let room = f.hall()?;
            let last = room.say(&room.people.bob, "message", "1")?;
            let next = f.key("next").public();
            let root = protocol::ids::hex(&room.sth()?.sth().root_hash);
            let zeros = "00".repeat(32);
            let rows = [
                format!(r#"{{"new_sequencer":"{next}","prev_seq":9,"ct_root":"{root}"}}"#),
                format!(r#"{{"new_sequencer":"{next}","prev_seq":1,"ct_root":"{zeros}"}}"#),
                format!(r#"{{"new_sequencer":"{next}","prev_seq":1,"ct_root":"{root}","prev":"{zeros}"}}"#),
            ];
            for content in &rows {
                let body = room.refuses(&room.people.alice, "Migrate", content, Code::BadState)?;
                equal("prev_seq", number(&body, "prev_seq")?, 1)?;
                equal("ct_root", text(&body, "ct_root")?, root.as_str())?;
                equal("prev", text(&body, "prev")?, last.event_hash().hex().as_str())?;
            }
            let prev = last.event_hash();
            let good = format!(r#"{{"new_sequencer":"{next}","prev_seq":1,"ct_root":"{root}","prev":"{prev}"}}"#);
            room.say(&room.people.alice, "Migrate", &good).map(drop)
        },
    ),
    check(
        "life.migrate-names-a-key",
        MIGRATE,
        "new_sequencer is a valid key other than the present one, else invalid_structure.",
        |f| {
            let room = f.hall()?;
            let nobody = format!("{}05", "00".repeat(31));
            let good = order(&room, &key(0x77).public())?;
            for wrong in [room.sequencer.hex(), nobody, "ab".into()] {
                let content = good.replace(&key(0x77).public().hex(), &wrong);
                room.refuses(&room.people.alice, "Migrate", &content, Code::InvalidStructure)?;
            }
            room.say(&room.people.alice, "Migrate", &good).map(drop)
        },
    ),
    check("life.migrate-is-the-owners", MIGRATE, "Only a holder of owner migrates.", |f| {
        let room = f.hall()?;
        let content = order(&room, &f.key("next").public())?;
        for who in [&room.people.bob, &room.people.carol, &room.people.stranger] {
            room.refuses(who, "Migrate", &content, Code::Unauthorized)?;
        }
        room.say(&room.people.alice, "Migrate", &content).map(drop)
    }),
    check("life.lifecycle-content", MIGRATE, "Pause, Resume and Terminate hold an empty object.", |f| {
        let room = f.hall()?;
        for (event_type, content) in [("Pause", "[]"), ("Pause", r#"{"a":1}"#), ("Terminate", "null")] {
            room.refuses(&room.people.alice, event_type, content, Code::InvalidStructure)?;
        }
        room.say(&room.people.alice, "Pause", "{}").map(drop)
    }),
    check("life.is-proved", "enc.md 5", "The lifecycle stands in the state tree: paused is 1, terminated 2.", |f| {
        let room = f.hall()?;
        let proof = |room: &Room<'_>| -> Result<Option<u8>, Why> {
            let value = super::state::proven(room, &[protocol::state::StateName::Lifecycle])?;
            Ok(value[0].map(|value| value[31]))
        };
        room.close()?;
        equal("active", proof(&room)?, None)?;
        room.say(&room.people.alice, "Pause", "{}")?;
        room.close()?;
        equal("paused", proof(&room)?, Some(1))?;
        room.say(&room.people.alice, "Terminate", "{}")?;
        equal("terminated", proof(&room)?, Some(2))
    }),
    check("life.reads-go-on", SECTION, "What a terminated enclave holds can still be read and proved.", |f| {
        let room = f.hall()?;
        let said = room.say(&room.people.bob, "message", "1")?;
        room.say(&room.people.alice, "Terminate", "{}")?;
        hold(room.query(&room.people.bob, "{}")?.iter().any(|event| event.id == said.id), "the message is read")?;
        let head = room.sth()?;
        let answer = room.post(&room.people.bob, "inclusion", &format!(r#""event_id":"{}""#, said.id))?;
        let answer = protocol::proof::InclusionAnswer::from_json(answer).because("its shape")?;
        answer.verify_event(&said, &room.sequencer, &head).because("the proof holds").map(drop)
    }),
];
