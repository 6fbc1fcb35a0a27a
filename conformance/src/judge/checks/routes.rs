//! What all routes have alike: spellings, ids, methods, media types, browsers, refusals.

use super::{Check, Verdict, check};
use crate::judge::field::{Field, refused};
use crate::judge::node::parse;
use crate::judge::room::Room;
use crate::judge::talk::{has_members, text};
use crate::judge::why::{Because, Why, equal, hold};
use crate::wire::{Answer, Ask};
use protocol::{Code, Json};

const API: &str = "enc.md 7";
const ORIGIN: &str = "https://app.example";

/// GETs below an enclave that answer the same each time.
const READS: &[&str] =
    &["checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1", "consistency?from=1&to=1", "info/manifest"];

fn ready<'a>(f: &'a Field<'_>) -> Result<Room<'a>, Why> {
    let room = f.hall()?;
    room.close()?;
    Ok(room)
}

/// The same bytes under another spelling of the path.
fn same_below(f: &Field<'_>, spelled: &dyn Fn(&Room<'_>, &str) -> String) -> Verdict {
    let room = ready(f)?;
    for action in READS {
        let canonical = room.fetch(action)?;
        equal(action, canonical.status, 200)?;
        let other = f.ask(&Ask::get(&spelled(&room, action)))?;
        equal(format!("{action} under the other spelling"), (other.status, other.text()), (200, canonical.text()))?;
    }
    Ok(())
}

/// A posted question under another spelling.
fn same_post(f: &Field<'_>, target: &dyn Fn(&Room<'_>, &str) -> String, names_it: bool) -> Verdict {
    let room = ready(f)?;
    let bob = &room.people.bob;
    for (action, members) in [("inclusion", r#""leaf_index":0"#), ("state", r#""namespace":3,"key":"00""#)] {
        let canonical = room.post(bob, action, members)?;
        let body = if names_it { room.asking(bob, members) } else { room.by(bob, members) };
        equal(action, f.take(&Ask::post(&target(&room, action), body))?.to_jcs(), canonical.to_jcs())?;
    }
    Ok(())
}

fn error_of(answer: &Answer, status: u16, code: Code) -> Verdict {
    refused(answer, status, code).map(drop)
}

fn cross(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

pub const CHECKS: &[Check] = &[
    check("routes.spelling-enclave", API, "GET /enclave/:id/<action> is /enclaves/:id/<action>.", |f| {
        same_below(f, &|room, action| format!("/enclave/{}/{action}", room.enclave))
    }),
    check("routes.spelling-bare-id", API, "GET /:id/<action> is /enclaves/:id/<action>.", |f| {
        same_below(f, &|room, action| format!("/{}/{action}", room.enclave))
    }),
    check("routes.spelling-query", API, "GET /<action> works with ?enclave=.", |f| {
        same_below(f, &|room, action| {
            let sign = if action.contains('?') { '&' } else { '?' };
            format!("/{action}{sign}enclave={}", room.enclave)
        })
    }),
    check("routes.spelling-post", API, "POST below /enclave/:id and /:id is POST below /enclaves/:id.", |f| {
        same_post(f, &|room, action| format!("/enclave/{}/{action}", room.enclave), false)?;
        same_post(f, &|room, action| format!("/{}/{action}", room.enclave), false)
    }),
    check("routes.spelling-body", API, "POST /<action> works when the body names the enclave.", |f| {
        same_post(f, &|_, action| format!("/{action}"), true)
    }),
    check("routes.named-twice", API, "A path and a body that name the same enclave agree.", |f| {
        same_post(f, &|room, action| room.path(action), true)
    }),
    check(
        "routes.path-and-body-differ",
        API,
        "Path and body that name different enclaves are invalid_structure.",
        |f| {
            let (room, other) = (ready(f)?, f.hall()?);
            let body = room.asking(&room.people.bob, r#""leaf_index":0"#);
            f.take(&Ask::post(&room.path("inclusion"), body.clone()))?;
            f.refuse(&Ask::post(&other.path("inclusion"), body), Code::InvalidStructure)?;
            let commit = room.commit(&room.people.bob, "message", "1");
            f.refuse(&Ask::post(&other.path(""), commit.to_json().to_jcs()), Code::InvalidStructure)?;
            room.submit(&commit).map(drop)
        },
    ),
    check(
        "routes.path-and-query-differ",
        API,
        "Path and query that name different enclaves are invalid_structure.",
        |f| {
            let (room, other) = (f.hall()?, f.hall()?);
            let path = room.path("sth");
            f.take(&Ask::get(&format!("{path}?enclave={}", room.enclave)))?;
            f.refuse(&Ask::get(&format!("{path}?enclave={}", other.enclave)), Code::InvalidStructure).map(drop)
        },
    ),
    check("routes.id-upper-case", "enc.md 1", "An id in upper case is invalid_structure, by path and by query.", |f| {
        let room = f.hall()?;
        room.sth()?;
        let upper = room.enclave.hex().to_uppercase();
        for target in [format!("/enclaves/{upper}/sth"), format!("/{upper}/sth"), format!("/sth?enclave={upper}")] {
            f.refuse(&Ask::get(&target), Code::InvalidStructure)?;
        }
        Ok(())
    }),
    check(
        "routes.id-malformed",
        API,
        "An id of another length or of other signs is refused before it addresses anything.",
        |f| {
            let room = f.hall()?;
            room.sth()?;
            let id = room.enclave.hex();
            for wrong in [&id[1..], &format!("{id}0"), "xyz"] {
                f.refuse(&Ask::get(&format!("/enclaves/{wrong}/sth")), Code::InvalidStructure)?;
            }
            f.refuse(&Ask::get("/sth"), Code::InvalidStructure).map(drop)
        },
    ),
    check(
        "routes.enclave-not-found",
        API,
        "What is asked of an enclave that is not here is enclave_not_found 404.",
        |f| {
            let room = f.hall()?;
            room.sth()?;
            let nowhere = protocol::ids::hex(&f.bytes("nowhere"));
            for action in
                ["sth", "checkpoint", "tile/0/000.p/1", "consistency?from=0&to=0", "info/manifest", "info/enclave"]
            {
                f.refuse(&Ask::get(&format!("/enclaves/{nowhere}/{action}")), Code::EnclaveNotFound)?;
            }
            let query = format!(r#"{{"type":"Query","enclave":"{nowhere}"}}"#);
            f.refuse(&Ask::post("/", query), Code::EnclaveNotFound).map(drop)
        },
    ),
    check("routes.unknown-path", API, "An unknown path or action is invalid_route 404, whatever the method.", |f| {
        let room = f.hall()?;
        room.sth()?;
        for path in
            ["/nowhere".to_owned(), "/Sth".into(), room.path("nowhere"), room.path("info"), room.path("info/enclave/x")]
        {
            for method in ["GET", "POST", "PUT"] {
                error_of(&f.ask(&Ask::of(method, &path))?, 404, Code::InvalidRoute)?;
            }
        }
        Ok(())
    }),
    check(
        "routes.other-method",
        API,
        "A known path with another method is invalid_route 405, and Allow names those that there are.",
        |f| {
            let room = ready(f)?;
            for (action, allowed) in [
                ("sth", "GET"),
                ("info/enclave", "GET"),
                ("tile/0/000.p/1", "GET"),
                ("inclusion", "POST"),
                ("state", "POST"),
                ("push", "POST"),
            ] {
                for method in ["GET", "POST", "PUT", "DELETE"].into_iter().filter(|method| *method != allowed) {
                    let answer = f.ask(&Ask::of(method, &room.path(action)))?;
                    error_of(&answer, 405, Code::InvalidRoute)
                        .map_err(|why| why.about(format!("{method} {action}")))?;
                    let named = answer.header("allow").because("Allow")?;
                    hold(named.split(',').any(|name| name.trim() == allowed), format!("Allow of {action}: {named}"))?;
                }
            }
            Ok(())
        },
    ),
    check("routes.no-media-type", API, "A route with a body and no Content-Type is unsupported_media_type 415.", |f| {
        let room = ready(f)?;
        for action in ["", "inclusion", "bundle", "state", "state-batch", "push"] {
            let body = room.asking(&room.people.bob, r#""type":"Query""#).into_bytes();
            f.refuse(&Ask { body, ..Ask::of("POST", &room.path(action)) }, Code::UnsupportedMediaType)?;
        }
        room.page(&room.people.bob, "{}").map(drop)
    }),
    check("routes.other-media-type", API, "A Content-Type that is not the route's is unsupported_media_type.", |f| {
        let room = ready(f)?;
        let body = room.asking(&room.people.bob, r#""type":"Query""#);
        for wrong in ["text/plain", "application/x-www-form-urlencoded", "application", "application/x-ndjson"] {
            f.refuse(&Ask::post_as(wrong, "/", body.clone()), Code::UnsupportedMediaType)?;
        }
        f.refuse(&Ask::post_as("application/json", "/commits", "{}"), Code::UnsupportedMediaType)?;
        f.refuse(&Ask::post_as("application/json", &room.path("restore"), "{}"), Code::UnsupportedMediaType).map(drop)
    }),
    check("routes.media-type-parameters", API, "A Content-Type is known in any case and with parameters.", |f| {
        let room = ready(f)?;
        let body = room.asking(&room.people.bob, r#""type":"Query""#);
        for good in ["application/json; charset=utf-8", "Application/JSON", "application/json ;x=y"] {
            f.take(&Ask::post_as(good, "/", body.clone()))?;
        }
        Ok(())
    }),
    check(
        "routes.answers-state-their-type",
        API,
        "JSON is answered as application/json, lines as application/x-ndjson.",
        |f| {
            let room = ready(f)?;
            let query = Ask::post("/", room.asking(&room.people.bob, r#""type":"Query""#));
            for ask in [Ask::get("/"), Ask::get(&room.path("sth")), query, Ask::get("/nowhere")] {
                let answer = f.ask(&ask)?;
                parse(&answer)?;
                let stated = answer.header("content-type").because("Content-Type")?;
                hold(stated.split(';').next().is_some_and(|media| media.trim() == "application/json"), stated)?;
            }
            let line = room.commit(&room.people.bob, "message", "1").to_json().to_jcs();
            let answer = f.ask(&Ask::post_as("application/x-ndjson", "/commits", line))?;
            let stated = answer.header("content-type").because("Content-Type of lines")?;
            hold(stated.starts_with("application/x-ndjson"), stated)
        },
    ),
    check(
        "routes.unlisted-member",
        "enc.md 1",
        "A member that is not listed is invalid_structure, on each route with a body.",
        |f| {
            let room = ready(f)?;
            let bob = &room.people.bob;
            let rows = [
                ("inclusion", r#""leaf_index":0"#),
                ("state", r#""namespace":3,"key":"00""#),
                ("state-batch", r#""items":[{"namespace":3,"key":"00"}]"#),
                ("", r#""type":"Query""#),
            ];
            for (action, members) in rows {
                room.post(bob, action, members)?;
                room.denied(bob, action, &format!(r#"{members},"more":1"#), Code::InvalidStructure)?;
            }
            room.denied(
                bob,
                "state-batch",
                r#""items":[{"namespace":3,"key":"00","more":1}]"#,
                Code::InvalidStructure,
            )?;
            room.denied(bob, "push", r#""url":null,"more":1"#, Code::InvalidStructure).map(drop)
        },
    ),
    check("routes.cross-origin", API, "Any origin may read public and session routes, and no cookies exist.", |f| {
        let room = ready(f)?;
        let query = Ask::post("/", room.asking(&room.people.bob, r#""type":"Query""#));
        for ask in [
            Ask::get("/"),
            Ask::get(&room.path("sth")),
            query,
            room.posting(&room.people.bob, "inclusion", r#""leaf_index":0"#),
        ] {
            let answer = f.ask(&ask.header("Origin", ORIGIN))?;
            equal("status", answer.status, 200)?;
            hold(
                matches!(cross(&answer), Some("*" | ORIGIN)),
                format!("{}: any origin, not {:?}", ask_name(&answer), cross(&answer)),
            )?;
            equal("credentials", answer.header("access-control-allow-credentials"), None)?;
        }
        Ok(())
    }),
    check(
        "routes.preflight",
        API,
        "A preflight is 204 and allows X-Enc-From, X-Enc-Session, Content-Type and the route's method.",
        |f| {
            let room = ready(f)?;
            for (method, path) in [
                ("GET", room.path("sth")),
                ("POST", room.path("inclusion")),
                ("POST", "/".into()),
                ("POST", "/commits".into()),
            ] {
                let answer = f.ask(
                    &Ask::of("OPTIONS", &path)
                        .header("Origin", ORIGIN)
                        .header("Access-Control-Request-Method", method)
                        .header("Access-Control-Request-Headers", "x-enc-from, x-enc-session, content-type"),
                )?;
                equal(format!("preflight of {path}"), (answer.status, answer.body.len()), (204, 0))?;
                hold(matches!(cross(&answer), Some("*" | ORIGIN)), "the preflight names the origin")?;
                let headers =
                    answer.header("access-control-allow-headers").because("the headers")?.to_ascii_lowercase();
                for wanted in ["x-enc-from", "x-enc-session", "content-type"] {
                    hold(headers.split(',').any(|name| name.trim() == wanted), format!("{wanted} in {headers}"))?;
                }
                let methods = answer.header("access-control-allow-methods").because("the methods")?;
                hold(methods.split(',').any(|name| name.trim() == method), format!("{method} in {methods}"))?;
            }
            Ok(())
        },
    ),
    check(
        "routes.operators-are-no-browsers",
        API,
        "init-with-priv and restore have no CORS headers and no preflight.",
        |f| {
            let room = f.hall()?;
            for action in ["init-with-priv", "restore"] {
                let preflight = Ask::of("OPTIONS", &room.path(action))
                    .header("Origin", ORIGIN)
                    .header("Access-Control-Request-Method", "POST");
                let answer = f.ask(&preflight)?;
                equal(format!("{action}: preflight"), (answer.status / 100, cross(&answer)), (4, None))?;
                let answer = f.ask(&Ask::post(&room.path(action), "{}").header("Origin", ORIGIN))?;
                equal(action, (answer.status / 100, cross(&answer)), (4, None))?;
            }
            f.take(&Ask::get(&room.path("sth"))).map(drop)
        },
    ),
    check("routes.refusals-cross-origins", API, "A refusal is read by a page's script as well.", |f| {
        let nowhere = Ask::get(&format!("/{}/sth", "ab".repeat(32)));
        let rows = [
            (Ask::get("/nowhere"), Code::InvalidRoute),
            (Ask::post("/", "{"), Code::InvalidJson),
            (nowhere, Code::EnclaveNotFound),
        ];
        for (ask, code) in rows {
            let answer = f.ask(&ask.header("Origin", ORIGIN))?;
            error_of(&answer, code.status(), code)?;
            hold(matches!(cross(&answer), Some("*" | ORIGIN)), format!("any origin, not {:?}", cross(&answer)))?;
        }
        Ok(())
    }),
    check(
        "routes.refusal-shape",
        API,
        "A refusal is {error, message} and further members; the sentence is fixed for its code and quotes no input.",
        |f| {
            let room = f.hall()?;
            let marked = "quoted-by-nobody";
            let asks = [Ask::get("/nowhere"), Ask::get(&format!("/{marked}")), Ask::post("/nowhere", marked)];
            let mut said = Vec::new();
            for ask in &asks {
                let body = refused(&f.ask(ask)?, 404, Code::InvalidRoute)?;
                has_members("a refusal that has nothing to add", &body, &["error", "message"])?;
                hold(!body.to_jcs().contains(marked), "it quotes no input")?;
                said.push(text(&body, "message")?.to_owned());
            }
            hold(said.windows(2).all(|pair| pair[0] == pair[1]), format!("one sentence a code: {said:?}"))?;
            let bad = room.denied(
                &room.people.bob,
                "inclusion",
                &format!(r#""event_id":"{marked}""#),
                Code::InvalidStructure,
            )?;
            hold(!bad.to_jcs().contains(marked), "it quotes no input")
        },
    ),
    check("routes.canonical-json", "enc.md 1", "JSON is answered in the form of RFC 8785, refusals too.", |f| {
        let room = ready(f)?;
        let said = room.say(&room.people.bob, "message", r#"{"ž":[1,{"b":null,"a":"\u0007"}]}"#)?;
        room.close()?;
        let bob = &room.people.bob;
        let event = format!(r#""event_id":"{}""#, said.id);
        let asks = [
            Ask::get("/"),
            Ask::get(&room.path("sth")),
            Ask::get(&room.path("info/manifest")),
            Ask::get(&room.path("info/enclave")),
            Ask::get(&room.path("consistency?from=1&to=2")),
            room.posting(bob, "inclusion", &event),
            room.posting(bob, "bundle", &event),
            room.posting(bob, "state", r#""namespace":3,"key":"00""#),
            Ask::post("/", room.asking(bob, r#""type":"Query""#)),
            crate::judge::field::submitting(&room.commit(bob, "message", "2")),
            Ask::get("/nowhere"),
            Ask::post("/", "{"),
        ];
        for ask in asks {
            let answer = f.ask(&ask)?;
            equal(format!("{} {:.60}", ask.method, ask.target), answer.text(), parse(&answer)?.to_jcs())?;
            hold(parse(&answer)? != Json::Object(Vec::new()), "the answer says something")?;
        }
        Ok(())
    }),
    check("routes.body-too-large", API, "A JSON body beyond the limit is too_large 413.", |f| {
        let room = ready(f)?;
        let limit = usize::try_from(f.node.limit("body_bytes", 1 << 20)).because("a limit")?;
        let bob = &room.people.bob;
        let body = room.by(bob, r#""leaf_index":0"#);
        let padded = |len: usize| format!("{body}{}", " ".repeat(len - body.len()));
        f.take(&Ask::post(&room.path("inclusion"), padded(limit)))?;
        f.refuse(&Ask::post(&room.path("inclusion"), padded(limit + 1)), Code::TooLarge).map(drop)
    }),
];

fn ask_name(answer: &Answer) -> String {
    format!("{:.60}", answer.text())
}
