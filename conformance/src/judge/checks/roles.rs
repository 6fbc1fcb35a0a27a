//! Steps 7 and 8: who may do what, and what the rules of each event ask.

use super::{Check, Verdict, check};
use crate::judge::field::Field;
use crate::judge::room::Room;
use crate::judge::talk::number;
use crate::judge::why::{equal, hold};
use protocol::schnorr::KeyPair;
use protocol::state::StateName;
use protocol::{Code, Json};

const ROLES: &str = "enc.md 4.1";
const RANK: &str = "enc.md 4.2";
const EVENTS: &str = "enc.md 4.3";

/// What somebody is refused, and what shows that somebody else is not.
struct Row<'a> {
    who: &'a KeyPair,
    event_type: &'a str,
    content: String,
    code: Code,
}

fn row<'a>(who: &'a KeyPair, event_type: &'a str, content: impl Into<String>, code: Code) -> Row<'a> {
    Row { who, event_type, content: content.into(), code }
}

/// That each row is refused, and that the last commit is taken.
fn refused_then_taken(room: &Room<'_>, rows: &[Row<'_>], last: (&KeyPair, &str, String)) -> Verdict {
    for row in rows {
        room.refuses(row.who, row.event_type, &row.content, row.code)?;
    }
    room.say(last.0, last.1, &last.2).map(drop)
}

/// The State and traits of somebody, as the state tree has them after the open bundle is closed.
fn mask(room: &Room<'_>, who: &KeyPair) -> Result<Option<[u8; 32]>, crate::judge::Why> {
    room.close()?;
    Ok(super::state::proven(room, &[StateName::Identity(&who.public())])?[0])
}

/// A mask of a State's number and bits of traits.
fn bits(state: u8, traits: &[u8]) -> Option<[u8; 32]> {
    let mut mask = [0; 32];
    mask[31] = state;
    for index in traits {
        let bit = usize::from(*index) + 8;
        mask[31 - bit / 8] |= 1 << (bit % 8);
    }
    Some(mask)
}

pub const CHECKS: &[Check] = &[
    check("roles.stranger", EVENTS, "An author who matches no column of a rule is unauthorized 403.", |f| {
        let room = f.hall()?;
        let (bob, stranger) = (&room.people.bob, &room.people.stranger);
        refused_then_taken(&room, &[row(stranger, "message", "1", Code::Unauthorized)], (bob, "message", "1".into()))
    }),
    check("roles.other-column", ROLES, "A type is written by the columns of its rules only.", |f| {
        let room = f.hall()?;
        let (alice, bob) = (&room.people.alice, &room.people.bob);
        refused_then_taken(&room, &[row(bob, "notice", "1", Code::Unauthorized)], (alice, "notice", "1".into()))
    }),
    check("roles.undeclared-type", EVENTS, "A type that no rule names is unauthorized, for the owner too.", |f| {
        let room = f.hall()?;
        let alice = &room.people.alice;
        refused_then_taken(&room, &[row(alice, "unheard-of", "1", Code::Unauthorized)], (alice, "notice", "1".into()))
    }),
    check("roles.deny-wins", ROLES, "A deny takes what another column gives: a muted member does not write.", |f| {
        let room = f.hall()?;
        let (bob, carol) = (&room.people.bob, &room.people.carol);
        room.say(bob, "message", "1")?;
        room.say(carol, "Grant", &room.gets(bob, "muted"))?;
        room.refuses(bob, "message", "2", Code::Unauthorized)?;
        room.say(&room.people.carol, "message", "3").map(drop)
    }),
    check("roles.lifecycle-by-rule", ROLES, "Pause and Terminate are for the operators of the lifecycle rules.", |f| {
        let room = f.hall()?;
        let (alice, bob, carol) = (&room.people.alice, &room.people.bob, &room.people.carol);
        let rows = [row(bob, "Pause", "{}", Code::Unauthorized), row(carol, "Terminate", "{}", Code::Unauthorized)];
        refused_then_taken(&room, &rows, (alice, "Pause", "{}".into()))
    }),
    check(
        "roles.nobody-recovers",
        EVENTS,
        "Recovered is made by the node only: from the wire it is unauthorized.",
        |f| {
            let room = f.hall()?;
            let alice = &room.people.alice;
            let rows = [row(alice, "Recovered", r#"{"prev_seq":0}"#, Code::Unauthorized)];
            refused_then_taken(&room, &rows, (alice, "notice", "1".into()))
        },
    ),
    check("move.state", EVENTS, "A Move makes the target's State what it names, in log and state tree.", |f| {
        let room = f.hall()?;
        let (carol, stranger) = (&room.people.carol, &room.people.stranger);
        equal("before", mask(&room, stranger)?, None)?;
        room.say(carol, "Move", &room.to(stranger, "MEMBER"))?;
        equal("a member", mask(&room, stranger)?, bits(1, &[]))?;
        room.say(stranger, "message", "1").map(drop)
    }),
    check("move.from", EVENTS, "A Move whose target is not in the rule's from is bad_state 409.", |f| {
        let room = f.hall()?;
        let (alice, bob, stranger) = (&room.people.alice, &room.people.bob, &room.people.stranger);
        let rows = [
            row(alice, "Move", room.to(bob, "MEMBER"), Code::BadState),
            row(&room.people.carol, "Move", room.to(stranger, "BLOCKED"), Code::BadState),
        ];
        refused_then_taken(&room, &rows, (alice, "Move", room.to(stranger, "MEMBER")))
    }),
    check("move.app-members", EVENTS, "A Move may carry members of the app.", |f| {
        let room = f.hall()?;
        let content = format!(r#"{{"target":"{}","to":"MEMBER","why":"welcome"}}"#, room.people.stranger.public());
        room.say(&room.people.alice, "Move", &content).map(drop)
    }),
    check("move.target-is-a-key", EVENTS, "A target that is no x-only key is invalid_structure.", |f| {
        let room = f.hall()?;
        let nobody = format!("{}05", "00".repeat(31));
        for target in [nobody.as_str(), "ab", ""] {
            let content = format!(r#"{{"target":"{target}","to":"MEMBER"}}"#);
            room.refuses(&room.people.alice, "Move", &content, Code::InvalidStructure)?;
        }
        room.refuses(&room.people.alice, "Move", "{}", Code::InvalidStructure)?;
        room.say(&room.people.alice, "Move", &room.to(&room.people.stranger, "MEMBER")).map(drop)
    }),
    check("move.self", RANK, "One moves oneself by a rule whose operator has Self, and by no other.", |f| {
        let room = f.hall()?;
        let (bob, carol) = (&room.people.bob, &room.people.carol);
        room.refuses(carol, "Move", &room.to(carol, "BLOCKED"), Code::RankTooLow)?;
        room.say(bob, "Move", &room.to(bob, "OUTSIDER"))?;
        equal("an outsider has no leaf", mask(&room, bob)?, None)?;
        room.refuses(bob, "message", "1", Code::Unauthorized).map(drop)
    }),
    check("move.takes-traits", RANK, "A Move by somebody else takes the target's non-restrictive traits.", |f| {
        let room = f.hall()?;
        let (alice, bob, carol, dave) = (&room.people.alice, &room.people.bob, &room.people.carol, &room.people.dave);
        equal("a fed member", mask(&room, dave)?, bits(1, &[3]))?;
        room.say(carol, "Move", &room.to(dave, "BLOCKED"))?;
        equal("a blocked one", mask(&room, dave)?, bits(2, &[]))?;
        room.say(alice, "Move", &room.to(bob, "OUTSIDER")).map(drop)
    }),
    check(
        "move.keeps-restrictive-traits",
        RANK,
        "Restrictive traits stay until they are revoked: who leaves muted comes back muted.",
        |f| {
            let room = f.hall()?;
            let (alice, bob, carol) = (&room.people.alice, &room.people.bob, &room.people.carol);
            room.say(carol, "Grant", &room.gets(bob, "muted"))?;
            room.say(bob, "Move", &room.to(bob, "OUTSIDER"))?;
            equal("a muted outsider has a leaf", mask(&room, bob)?, bits(0, &[2]))?;
            room.say(alice, "Move", &room.to(bob, "MEMBER"))?;
            room.refuses(bob, "message", "1", Code::Unauthorized).map(drop)
        },
    ),
    check("rank.target", RANK, "Who acts on somebody of the same or a higher rank is rank_too_low 403.", |f| {
        let room = f.hall()?;
        let (alice, bob, carol) = (&room.people.alice, &room.people.bob, &room.people.carol);
        room.say(alice, "Grant", &room.gets(bob, "admin"))?;
        let rows = [
            row(carol, "Move", room.to(alice, "BLOCKED"), Code::RankTooLow),
            row(carol, "Move", room.to(bob, "BLOCKED"), Code::RankTooLow),
            row(carol, "Grant", room.gets(alice, "muted"), Code::RankTooLow),
        ];
        refused_then_taken(&room, &rows, (carol, "Move", room.to(&room.people.dave, "BLOCKED")))
    }),
    check("rank.own-trait", RANK, "Nobody grants or takes away its own rank.", |f| {
        let room = f.room(crate::hall::CALM, &|content| {
            // The admin may grant what it is itself.
            content.replace(
                r#""operator":["admin"],"scope":["MEMBER"],"trait":["muted"]"#,
                r#""operator":["admin"],"scope":["MEMBER"],"trait":["muted","admin"]"#,
            )
        })?;
        let (alice, bob, carol) = (&room.people.alice, &room.people.bob, &room.people.carol);
        let rows = [row(carol, "Grant", room.gets(bob, "admin"), Code::RankTooLow)];
        refused_then_taken(&room, &rows, (alice, "Grant", room.gets(bob, "admin")))
    }),
    check("grant.held", EVENTS, "Granting a held trait, and revoking an absent one, is bad_state.", |f| {
        let room = f.hall()?;
        let (alice, bob, carol) = (&room.people.alice, &room.people.bob, &room.people.carol);
        let rows = [
            row(alice, "Grant", room.gets(carol, "admin"), Code::BadState),
            row(alice, "Revoke", room.gets(bob, "admin"), Code::BadState),
        ];
        refused_then_taken(&room, &rows, (alice, "Grant", room.gets(bob, "admin")))?;
        equal("the new admin", mask(&room, bob)?, bits(1, &[1]))
    }),
    check("grant.scope", EVENTS, "A target whose State is not in scope is bad_state.", |f| {
        let room = f.hall()?;
        let (alice, bob, stranger) = (&room.people.alice, &room.people.bob, &room.people.stranger);
        let rows = [row(alice, "Grant", room.gets(stranger, "feed"), Code::BadState)];
        refused_then_taken(&room, &rows, (alice, "Grant", room.gets(bob, "feed")))
    }),
    check(
        "grant.operator",
        EVENTS,
        "Granting and revoking are for the operators of a rule that lists the trait.",
        |f| {
            let room = f.hall()?;
            let (alice, bob, carol) = (&room.people.alice, &room.people.bob, &room.people.carol);
            let rows = [
                row(bob, "Grant", room.gets(bob, "admin"), Code::Unauthorized),
                row(carol, "Grant", room.gets(bob, "feed"), Code::Unauthorized),
                row(bob, "Revoke", room.gets(carol, "admin"), Code::Unauthorized),
            ];
            refused_then_taken(&room, &rows, (alice, "Revoke", room.gets(carol, "admin")))?;
            equal("no admin any more", mask(&room, carol)?, bits(1, &[]))
        },
    ),
    check("revoke.own", RANK, "One's own non-restrictive trait may always be revoked, without a rule.", |f| {
        let room = f.hall()?;
        let (carol, dave) = (&room.people.carol, &room.people.dave);
        room.say(dave, "Revoke", &room.gets(dave, "feed"))?;
        room.say(carol, "Revoke", &room.gets(carol, "admin"))?;
        equal("carol is a member", mask(&room, carol)?, bits(1, &[]))
    }),
    check("revoke.own-restrictive", RANK, "A restrictive trait is never revoked by its holder.", |f| {
        let room = f.hall()?;
        let (alice, bob, carol) = (&room.people.alice, &room.people.bob, &room.people.carol);
        room.say(carol, "Grant", &room.gets(bob, "muted"))?;
        room.refuses(bob, "Revoke", &room.gets(bob, "muted"), Code::Unauthorized)?;
        room.say(alice, "notice", "1").map(drop)
    }),
    check(
        "revoke.last-owner",
        RANK,
        "The last holder of owner loses it only by Transfer or Terminate: else bad_state.",
        |f| {
            let room = f.hall()?;
            let (alice, bob) = (&room.people.alice, &room.people.bob);
            let rows = [
                row(alice, "Revoke", room.gets(alice, "owner"), Code::BadState),
                row(alice, "Move", room.to(alice, "OUTSIDER"), Code::BadState),
            ];
            refused_then_taken(&room, &rows, (alice, "Transfer", room.gets(bob, "owner")))
        },
    ),
    check(
        "transfer.moves-the-trait",
        EVENTS,
        "A Transfer takes the trait from its holder and gives it to the target in one step.",
        |f| {
            let room = f.hall()?;
            let (alice, bob) = (&room.people.alice, &room.people.bob);
            room.say(alice, "Transfer", &room.gets(bob, "owner"))?;
            room.refuses(alice, "notice", "1", Code::Unauthorized)?;
            room.say(bob, "notice", "2").map(drop)
        },
    ),
    check(
        "transfer.holder",
        EVENTS,
        "Only a holder transfers, to another who does not hold it and whose State is in scope.",
        |f| {
            let room = f.hall()?;
            let (alice, bob, carol) = (&room.people.alice, &room.people.bob, &room.people.carol);
            let rows = [
                row(carol, "Transfer", room.gets(carol, "owner"), Code::Unauthorized),
                row(bob, "Transfer", room.gets(carol, "owner"), Code::Unauthorized),
                row(alice, "Transfer", room.gets(alice, "owner"), Code::RankTooLow),
                row(alice, "Transfer", room.gets(&room.people.stranger, "owner"), Code::BadState),
            ];
            refused_then_taken(&room, &rows, (alice, "Transfer", room.gets(carol, "owner")))
        },
    ),
    check(
        "gate.starts-closed",
        EVENTS,
        "A gate starts closed: what it holds is gate_closed 403 until it is opened.",
        |f| {
            let room = f.hall()?;
            let (alice, stranger) = (&room.people.alice, &room.people.stranger);
            room.refuses(stranger, "Move", &room.to(stranger, "MEMBER"), Code::GateClosed)?;
            room.say(alice, "Gate", r#"{"alias":"door","open":true}"#)?;
            room.say(stranger, "Move", &room.to(stranger, "MEMBER")).map(drop)
        },
    ),
    check("gate.closes", EVENTS, "A gate that is closed again holds again.", |f| {
        let room = f.hall()?;
        let (alice, stranger) = (&room.people.alice, &room.people.stranger);
        room.say(alice, "Gate", r#"{"alias":"door","open":true}"#)?;
        room.say(alice, "Gate", r#"{"alias":"door","open":false}"#)?;
        room.refuses(stranger, "Move", &room.to(stranger, "MEMBER"), Code::GateClosed).map(drop)
    }),
    check("gate.open-in-the-manifest", ROLES, "A gate with open:true is open from the Manifest on.", |f| {
        let room = f.room(crate::hall::CALM, &|content| {
            content.replace(r#""gate":{"operator":["owner"]}"#, r#""gate":{"open":true,"operator":["owner"]}"#)
        })?;
        let stranger = &room.people.stranger;
        equal(
            "in the state tree",
            super::state::closed_and_proven(&room, &[StateName::Gate("door")])?[0],
            Some([1; 32]),
        )?;
        room.say(stranger, "Move", &room.to(stranger, "MEMBER")).map(drop)
    }),
    check("gate.already-so", EVENTS, "A Gate that changes nothing is bad_state.", |f| {
        let room = f.hall()?;
        let alice = &room.people.alice;
        let rows = [row(alice, "Gate", r#"{"alias":"door","open":false}"#, Code::BadState)];
        refused_then_taken(&room, &rows, (alice, "Gate", r#"{"alias":"door","open":true}"#.into()))?;
        room.refuses(alice, "Gate", r#"{"alias":"door","open":true}"#, Code::BadState).map(drop)
    }),
    check(
        "gate.operators",
        EVENTS,
        "A gate is turned by its operators; an alias that no rule has is not_found.",
        |f| {
            let room = f.hall()?;
            let (alice, carol) = (&room.people.alice, &room.people.carol);
            let rows = [
                row(carol, "Gate", r#"{"alias":"door","open":true}"#, Code::Unauthorized),
                row(alice, "Gate", r#"{"alias":"none","open":true}"#, Code::NotFound),
            ];
            refused_then_taken(&room, &rows, (alice, "Gate", r#"{"alias":"door","open":true}"#.into()))
        },
    ),
    check(
        "bundle-of-acts.all-or-nothing",
        EVENTS,
        "Of an AC_Bundle nothing happens when one of it is refused; the answer says which, in index.",
        |f| {
            let room = f.hall()?;
            let (alice, stranger) = (&room.people.alice, &room.people.stranger);
            let act = |event_type: &str, content: &str| format!(r#"{{"type":"{event_type}","content":{content}}}"#);
            let (joins, door) =
                (act("Move", &room.to(stranger, "MEMBER")), act("Gate", r#"{"alias":"door","open":false}"#));
            let body = room.refuses(alice, "AC_Bundle", &format!(r#"{{"ops":[{joins},{door}]}}"#), Code::BadState)?;
            equal("index", number(&body, "index")?, 1)?;
            room.refuses(stranger, "message", "1", Code::Unauthorized)?;
            room.say(alice, "AC_Bundle", &format!(r#"{{"ops":[{joins}]}}"#))?;
            room.say(stranger, "message", "2").map(drop)
        },
    ),
    check(
        "bundle-of-acts.running-state",
        EVENTS,
        "Each act of an AC_Bundle is judged on what those before it left.",
        |f| {
            let room = f.hall()?;
            let (alice, stranger) = (&room.people.alice, &room.people.stranger);
            let ops = format!(
                r#"{{"ops":[{{"type":"Move","content":{}}},{{"type":"Grant","content":{}}}]}}"#,
                room.to(stranger, "MEMBER"),
                room.gets(stranger, "feed")
            );
            room.say(alice, "AC_Bundle", &ops)?;
            equal("the newcomer", mask(&room, stranger)?, bits(1, &[3]))
        },
    ),
    check(
        "bundle-of-acts.types",
        EVENTS,
        "An AC_Bundle holds 1 to 64 of Move, Grant, Revoke, Transfer, Gate and nothing else.",
        |f| {
            let room = f.hall()?;
            let alice = &room.people.alice;
            let gate = |open: bool| format!(r#"{{"type":"Gate","content":{{"alias":"door","open":{open}}}}}"#);
            let many = |count: usize| (0..count).map(|place| gate(place % 2 == 0)).collect::<Vec<_>>().join(",");
            for ops in [
                "[]".to_owned(),
                format!("[{}]", many(65)),
                r#"[{"type":"Terminate","content":{}}]"#.into(),
                r#"[{"type":"AC_Bundle","content":{"ops":[]}}]"#.into(),
            ] {
                room.refuses(alice, "AC_Bundle", &format!(r#"{{"ops":{ops}}}"#), Code::InvalidStructure)?;
            }
            room.say(alice, "AC_Bundle", &format!(r#"{{"ops":[{}]}}"#, many(64))).map(drop)
        },
    ),
    check(
        "roles.sequencers-do-not-write",
        "enc.md 1",
        "A commit by the node's own key is unauthorized, whatever its roles.",
        sequencers_do_not_write,
    ),
    check("roles.counts", "enc.md 7", "Refused acts are counted nowhere: counts holds what was sequenced.", |f| {
        let room = f.hall()?;
        room.refuses(&room.people.bob, "notice", "1", Code::Unauthorized)?;
        room.say(&room.people.alice, "notice", "2")?;
        let info = room.info(Some(&room.people.alice))?;
        let counts = info.member("counts").cloned().unwrap_or(Json::Null);
        hold(counts.to_jcs() == r#"{"Manifest":1,"notice":1}"#, format!("counts: {}", counts.to_jcs()))
    }),
];

/// The judge does not have the node's key: a commit that names it as author without its signature must not get past step 4.
fn sequencers_do_not_write(f: &Field<'_>) -> Verdict {
    let room = f.hall()?;
    room.say(&room.people.alice, "Move", &format!(r#"{{"target":"{}","to":"MEMBER"}}"#, room.sequencer))?;
    let good = room.commit(&room.people.bob, "message", "1");
    let draft = room.draft("message", "2");
    let forged = draft.signed_by(room.sequencer, |_| Ok::<_, std::convert::Infallible>(good.sig));
    let Ok(forged) = forged;
    room.refused(&forged.into_commit(), Code::InvalidSignature)?;
    room.submit(&good).map(drop)
}
