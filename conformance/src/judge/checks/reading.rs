//! Query: filters, pages, limits, and who reads what.

use super::{Check, Verdict, check};
use crate::judge::field::Field;
use crate::judge::room::Room;
use crate::judge::talk::{list, member};
use crate::judge::why::{Because, Why, equal, hold};
use crate::people::json;
use crate::wire::Ask;
use protocol::commit::Draft;
use protocol::{Code, Event, Json};

const QUERY: &str = "enc.md 7";
const READING: &str = "enc.md 4.4";

/// A hall with the Manifest at 0, messages at 1 to 6 (1 and 4 by alice) under tags, a notice at 7 and a secret at 8.
fn said<'a>(f: &'a Field<'_>) -> Result<(Room<'a>, Vec<Event>), Why> {
    let room = f.hall()?;
    for place in 0..6 {
        let who = if place % 3 == 0 { &room.people.alice } else { &room.people.bob };
        let parity = if place % 2 == 0 { "even" } else { "odd" };
        let tags = vec![vec!["n".to_owned(), place.to_string(), "third".to_owned()], vec![parity.to_owned()]];
        room.submit(&Draft { tags, ..room.draft("message", &place.to_string()) }.sign(who).into_commit())?;
    }
    room.say(&room.people.alice, "notice", r#""for all""#)?;
    room.say(&room.people.alice, "secret", r#""for the owner""#)?;
    let events = room.query(&room.people.alice, "{}")?;
    equal("all events", places(&events), (0..9).collect())?;
    Ok((room, events))
}

fn places(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.position.seq).collect()
}

/// Filters and the places that the owner gets for them.
fn gives(f: &Field<'_>, rows: &dyn Fn(&Room<'_>, &[Event]) -> Vec<(String, Vec<u64>)>) -> Verdict {
    let (room, events) = said(f)?;
    for (filter, wanted) in rows(&room, &events) {
        equal(&filter, room.places(&room.people.alice, &filter)?, wanted)?;
    }
    Ok(())
}

fn rows(rows: &[(&str, &[u64])]) -> Vec<(String, Vec<u64>)> {
    rows.iter().map(|(filter, places)| ((*filter).to_owned(), places.to_vec())).collect()
}

fn wrong(f: &Field<'_>, code: Code, filters: &[&str]) -> Verdict {
    let (room, _) = said(f)?;
    filters.iter().try_for_each(|filter| room.query_refused(&room.people.bob, filter, code))
}

fn many(count: usize, item: &str) -> String {
    format!("[{}]", vec![item; count].join(","))
}

/// Reads page after page; the places as they came.
fn pages(room: &Room<'_>, limit: u64, reverse: bool) -> Result<(Vec<u64>, usize), Why> {
    let (mut all, mut range, mut count) = (Vec::new(), String::new(), 0);
    loop {
        let page = room.page(&room.people.alice, &format!(r#"{{"limit":{limit},"reverse":{reverse}{range}}}"#))?;
        let found = places(&room.events(&page)?);
        let last = found.last().copied();
        all.extend(found);
        count += 1;
        hold(count < 50, "pages come to an end")?;
        let Some(next) = page.member("next") else { return Ok((all, count)) };
        let next = next.as_uint().because("next is a number")?;
        equal("next is the last seq of the page", Some(next), last)?;
        let bound = if reverse { "end_before" } else { "start_after" };
        range = format!(r#","seq":{{"{bound}":{next}}}"#);
    }
}

fn types(events: &[Event]) -> Vec<&str> {
    let mut types: Vec<&str> = events.iter().map(|event| event.event_type.as_str()).collect();
    types.sort_unstable();
    types.dedup();
    types
}

pub const CHECKS: &[Check] = &[
    check("query.all", QUERY, "A query without a filter answers all that the reader may read, by rising seq.", |f| {
        let (room, _) = said(f)?;
        let page = f.take(&Ask::post("/", room.asking(&room.people.alice, r#""type":"Query""#)))?;
        equal("places", places(&room.events(&page)?), (0..9).collect())?;
        equal("next", page.member("next"), None)
    }),
    check("query.by-id", QUERY, "id is one id or any of several.", |f| {
        gives(f, &|_, at| {
            let one = format!(r#"{{"id":"{}"}}"#, at[3].id);
            let two = format!(r#"{{"id":["{}","{}"]}}"#, at[5].id, at[3].id);
            vec![
                (one, vec![3]),
                (two, vec![3, 5]),
                (format!(r#"{{"id":"{}"}}"#, "ab".repeat(32)), vec![]),
                (r#"{"id":[]}"#.into(), vec![]),
            ]
        })
    }),
    check("query.by-hash", QUERY, "hash is the commit's, one or any of several.", |f| {
        gives(f, &|_, at| {
            vec![
                (format!(r#"{{"hash":"{}"}}"#, at[4].hash), vec![4]),
                (format!(r#"{{"hash":["{}","{}"]}}"#, at[4].hash, at[0].hash), vec![0, 4]),
            ]
        })
    }),
    check("query.by-author", QUERY, "from, in the filter, is the author.", |f| {
        gives(f, &|room, _| {
            let (alice, bob) = (room.people.alice.public(), room.people.bob.public());
            vec![
                (format!(r#"{{"from":"{bob}"}}"#), vec![2, 3, 5, 6]),
                (format!(r#"{{"from":["{bob}","{alice}"]}}"#), (0..9).collect()),
            ]
        })
    }),
    check("query.by-type", QUERY, "type is one or any of several.", |f| {
        gives(f, &|_, _| {
            rows(&[
                (r#"{"type":"message"}"#, &[1, 2, 3, 4, 5, 6]),
                (r#"{"type":["notice","Manifest","none"]}"#, &[0, 7]),
            ])
        })
    }),
    check("query.by-seq", QUERY, "seq is a place, several, or a range with either kind of bounds.", |f| {
        gives(f, &|_, _| {
            rows(&[
                (r#"{"seq":7}"#, &[7]),
                (r#"{"seq":[7,2,99]}"#, &[2, 7]),
                (r#"{"seq":{"start_at":7}}"#, &[7, 8]),
                (r#"{"seq":{"start_after":7}}"#, &[8]),
                (r#"{"seq":{"end_before":2}}"#, &[0, 1]),
                (r#"{"seq":{"end_at":2}}"#, &[0, 1, 2]),
                (r#"{"seq":{"start_after":3,"end_before":6}}"#, &[4, 5]),
                (r#"{"seq":{"start_at":6,"end_at":5}}"#, &[]),
            ])
        })
    }),
    check("query.by-time", QUERY, "timestamp is a time or a range.", |f| {
        gives(f, &|_, at| {
            let time = at[5].position.timestamp;
            let where_ = |takes: &dyn Fn(u64) -> bool| {
                at.iter().filter(|event| takes(event.position.timestamp)).map(|event| event.position.seq).collect()
            };
            vec![
                (format!(r#"{{"timestamp":{time}}}"#), where_(&|found| found == time)),
                (format!(r#"{{"timestamp":{{"start_at":{time}}}}}"#), where_(&|found| found >= time)),
                (format!(r#"{{"timestamp":{{"end_before":{time}}}}}"#), where_(&|found| found < time)),
            ]
        })
    }),
    check("query.by-tags", QUERY, "tags match by their first string or their first two, any of several.", |f| {
        gives(f, &|_, _| {
            rows(&[
                (r#"{"tags":[["n","4"]]}"#, &[5]),
                (r#"{"tags":[["n"]]}"#, &[1, 2, 3, 4, 5, 6]),
                (r#"{"tags":[["odd"],["n","4"]]}"#, &[2, 4, 5, 6]),
                (r#"{"tags":[["n","third"]]}"#, &[]),
                (r#"{"tags":[["even","4"]]}"#, &[]),
            ])
        })
    }),
    check("query.several-members", QUERY, "Several members of a filter mean all of them.", |f| {
        gives(f, &|room, _| {
            let alice = room.people.alice.public();
            vec![(format!(r#"{{"type":"message","from":"{alice}","tags":[["even"]]}}"#), vec![1])]
        })
    }),
    check("query.limit", QUERY, "A page ends at limit, and next says where.", |f| {
        let (room, _) = said(f)?;
        let page = room.page(&room.people.alice, r#"{"limit":2}"#)?;
        equal("places", places(&room.events(&page)?), vec![0, 1])?;
        equal("next", member(&page, "next")?.as_uint(), Some(1))
    }),
    check("query.reverse", QUERY, "reverse is newest first.", |f| {
        gives(f, &|_, _| {
            rows(&[
                (r#"{"limit":2,"reverse":true}"#, &[8, 7]),
                (r#"{"reverse":true,"type":"message","seq":{"end_before":4}}"#, &[3, 2, 1]),
                (r#"{"reverse":false,"limit":1}"#, &[0]),
            ])
        })
    }),
    check("query.pages-forward", QUERY, "Pages go on where they ended, nothing left out, nothing twice.", |f| {
        let (room, _) = said(f)?;
        for limit in [1, 2, 4, 9] {
            let (all, count) = pages(&room, limit, false)?;
            equal(format!("by {limit}"), all, (0..9).collect())?;
            equal("pages, none for nothing", count as u64, 9_u64.div_ceil(limit))?;
        }
        Ok(())
    }),
    check("query.pages-backward", QUERY, "The same the other way round, with end_before.", |f| {
        let (room, _) = said(f)?;
        for limit in [1, 4, 8] {
            let (all, count) = pages(&room, limit, true)?;
            equal(format!("by {limit}"), all, (0..9).rev().collect())?;
            equal("pages, none for nothing", count as u64, 9_u64.div_ceil(limit))?;
        }
        Ok(())
    }),
    check(
        "query.next-is-for-the-reader",
        QUERY,
        "next is there only where more remain that the reader may read.",
        |f| {
            let (room, _) = said(f)?;
            let page = room.page(&room.people.bob, r#"{"limit":7}"#)?;
            equal("places", places(&room.events(&page)?), (1..8).collect())?;
            equal("next: the secret is not bob's", page.member("next"), None)
        },
    ),
    check("query.limits", QUERY, "limit beyond 1000, and more than 256 of anything, is limit_exceeded 400.", |f| {
        let id = format!("\"{}\"", "ab".repeat(32));
        let filters = [
            r#"{"limit":1001}"#.to_owned(),
            format!(r#"{{"id":{}}}"#, many(257, &id)),
            format!(r#"{{"type":{}}}"#, many(257, "\"x\"")),
        ];
        wrong(f, Code::LimitExceeded, &filters.iter().map(String::as_str).collect::<Vec<_>>())?;
        gives(f, &|_, _| vec![(format!(r#"{{"limit":1000,"type":{}}}"#, many(256, "\"notice\"")), vec![7])])
    }),
    check("query.limit-grammar", QUERY, "limit 0, a negative one or a text is invalid_structure.", |f| {
        wrong(
            f,
            Code::InvalidStructure,
            &[r#"{"limit":0}"#, r#"{"limit":-1}"#, r#"{"limit":"1"}"#, r#"{"limit":null}"#],
        )
    }),
    check("query.grammar", QUERY, "A filter of another form is invalid_structure.", |f| {
        wrong(
            f,
            Code::InvalidStructure,
            &[
                r#"{"id":"ab"}"#,
                r#"{"id":1}"#,
                r#"{"from":null}"#,
                r#"{"type":1}"#,
                r#"{"seq":"1"}"#,
                r#"{"seq":{"after":1}}"#,
                r#"{"seq":{"start_at":1,"start_after":1}}"#,
                r#"{"reverse":1}"#,
                r#"{"more":1}"#,
                "[]",
                "null",
            ],
        )
    }),
    check("query.tag-grammar", QUERY, "A tag of three strings or of none is invalid_structure.", |f| {
        wrong(
            f,
            Code::InvalidStructure,
            &[r#"{"tags":[["a","b","c"]]}"#, r#"{"tags":[[]]}"#, r#"{"tags":["x"]}"#, r#"{"tags":[[1]]}"#],
        )
    }),
    check("query.page-bytes", QUERY, "A page ends at 4 MiB, with one event at least.", |f| {
        let room = f.hall()?;
        let content = format!("\"{}\"", "x".repeat(880 << 10));
        for place in 0..6 {
            let draft = room.draft("message", "0");
            room.submit(
                &Draft { content: content.clone(), exp: draft.exp + place, ..draft }
                    .sign(&room.people.bob)
                    .into_commit(),
            )?;
        }
        let (mut got, mut after) = (0, 0);
        while got < 6 {
            let page =
                room.page(&room.people.bob, &format!(r#"{{"type":"message","seq":{{"start_after":{after}}}}}"#))?;
            let len = page.to_jcs().len();
            let events = list(&page, "events")?;
            hold(!events.is_empty(), "a page has an event")?;
            hold(len < (4 << 20) + (64 << 10) || events.len() == 1, format!("a page of {len} bytes"))?;
            got += events.len();
            match page.member("next").and_then(Json::as_uint) {
                Some(next) => after = next,
                None => return equal("events", got, 6),
            }
        }
        Ok(())
    }),
    check(
        "reading.by-role",
        READING,
        "Each reads the types that the rules give its columns; the rest is left out.",
        |f| {
            let (room, _) = said(f)?;
            equal(
                "the owner",
                types(&room.query(&room.people.alice, "{}")?),
                vec!["Manifest", "message", "notice", "secret"],
            )?;
            equal("a member", types(&room.query(&room.people.bob, "{}")?), vec!["message", "notice"])?;
            equal("what is left out", room.places(&room.people.bob, r#"{"type":"secret"}"#)?, vec![])
        },
    ),
    check("reading.public", READING, "Without a session one reads what the public may.", |f| {
        let (room, _) = said(f)?;
        let page = f.take(&Ask::post("/", format!(r#"{{"type":"Query","enclave":"{}"}}"#, room.enclave)))?;
        equal("the public", types(&room.events(&page)?), vec!["notice"])
    }),
    check(
        "reading.nothing-is-unauthorized",
        READING,
        "Who may read nothing at all is unauthorized, and gets no empty page.",
        |f| {
            let room = f.closed()?;
            room.query_refused(&room.people.stranger, "{}", Code::Unauthorized)?;
            let nobody = format!(r#"{{"type":"Query","enclave":"{}"}}"#, room.enclave);
            f.refuse(&Ask::post("/", nobody), Code::Unauthorized)?;
            room.page(&room.people.bob, "{}").map(drop)
        },
    ),
    check("reading.is-lost", READING, "Who is moved out reads no more.", |f| {
        let room = f.closed()?;
        room.say(&room.people.bob, "message", "1")?;
        equal("before", room.places(&room.people.bob, "{}")?, vec![1])?;
        room.say(&room.people.carol, "Move", &room.to(&room.people.bob, "BLOCKED"))?;
        room.query_refused(&room.people.bob, "{}", Code::Unauthorized)
    }),
    check("reading.joining-gives-the-past", READING, "Who joins reads what was said before.", |f| {
        let room = f.closed()?;
        room.say(&room.people.bob, "message", "1")?;
        room.say(&room.people.alice, "Move", &room.to(&room.people.stranger, "MEMBER"))?;
        equal("places", room.places(&room.people.stranger, "{}")?, vec![1, 2])
    }),
    check(
        "reading.snapshot-retention",
        READING,
        "With retention snapshot, one that left by its own Move reads on up to that Move.",
        |f| {
            let room = f.room(crate::hall::CALM, &|content| {
                content
                    .replace(
                        r#"{"reads":["message","Shared","Own","Move"],"type":"MEMBER"}"#,
                        r#"{"reads":["message"],"retention":"snapshot","type":"MEMBER"}"#,
                    )
                    .replace(r#",{"reads":["notice"],"type":"Public"}"#, "")
            })?;
            let (bob, dave) = (&room.people.bob, &room.people.dave);
            room.say(bob, "message", "1")?;
            room.say(bob, "Move", &room.to(bob, "OUTSIDER"))?;
            room.say(dave, "message", "3")?;
            equal("up to its Move", room.places(bob, "{}")?, vec![1])?;
            room.say(&room.people.carol, "Move", &room.to(dave, "BLOCKED"))?;
            room.query_refused(dave, "{}", Code::Unauthorized)
        },
    ),
    check(
        "reading.updates-follow",
        READING,
        "An Update is read by exactly those who may read what it refers to.",
        |f| {
            let room = f.hall()?;
            let said = room.say(&room.people.bob, "message", "1")?;
            let update = room.submit(&room.referring(&room.people.bob, "Update", &said.id.hex()))?;
            equal("a member", room.places(&room.people.carol, "{}")?, vec![1, update.position.seq])?;
            equal("a stranger", room.places(&room.people.stranger, "{}")?, vec![])
        },
    ),
    check(
        "reading.deleted",
        READING,
        "A deleted event is served without content, with content_hash and deleted, and still verifies; its Updates likewise.",
        |f| {
            let room = f.hall()?;
            let bob = &room.people.bob;
            let said = room.say(bob, "message", r#"{"mine":true}"#)?;
            let update = room.submit(&room.referring(bob, "Update", &said.id.hex()))?;
            room.submit(&room.referring(bob, "Delete", &said.id.hex()))?;
            let page = room.page(bob, &format!(r#"{{"id":["{}","{}"]}}"#, said.id, update.id))?;
            equal("events that verify", room.events(&page)?.len(), 2)?;
            for event in list(&page, "events")? {
                equal("deleted", (event.member("content"), event.member("deleted")), (None, Some(&Json::Bool(true))))?;
            }
            let hash = protocol::ids::hex(&protocol::cbor::sha256(json(r#"{"mine":true}"#).to_jcs().as_bytes()));
            equal("content_hash", member(&list(&page, "events")?[0], "content_hash")?, &Json::from(hash))
        },
    ),
];
