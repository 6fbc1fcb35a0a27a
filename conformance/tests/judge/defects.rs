//! Deliberate defects, each with the checks that must see it. `conformance/README.md` holds the same table.

use crate::lies::{flipped, head, headless, lines as each_line, page, resigned, set, taken, with_json, without};
use crate::scene::{Scene, checks, judged, lines, subject};
use conformance::impostor::{FrameLie, Impostor};
use conformance::judge::Outcome;
use conformance::liar::Exchange;
use conformance::wire::Answer;
use protocol::event::NO_PREV;
use protocol::schnorr::KeyPair;
use protocol::{Json, ids};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A defect of a node.
pub struct Defect {
    pub name: &'static str,
    /// What the node does.
    pub what: &'static str,
    /// Who must see it.
    pub caught_by: &'static [&'static str],
    answer: fn(&Exchange, &KeyPair) -> Option<Answer>,
    frame: FrameLie,
}

const fn answers(
    name: &'static str,
    what: &'static str,
    caught_by: &'static [&'static str],
    answer: fn(&Exchange, &KeyPair) -> Option<Answer>,
) -> Defect {
    Defect { name, what, caught_by, answer, frame: truly }
}

const fn frames(name: &'static str, what: &'static str, caught_by: &'static [&'static str], frame: FrameLie) -> Defect {
    Defect { name, what, caught_by, answer: |_, _| None, frame }
}

fn truly(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

fn is_type(text: &str, kind: &str) -> bool {
    text.contains(&format!(r#""type":"{kind}""#))
}

fn on(exchange: &Exchange, action: &str) -> bool {
    exchange.ask.target.split('?').next().is_some_and(|path| path.ends_with(action))
}

/// Every defect.
pub const DEFECTS: &[Defect] = &[
    answers("takes-expired", "takes a commit that has expired", &["expiry.past"], |e, key| taken(e, key, "expired")),
    answers("takes-far", "takes a commit that expires next week", &["expiry.far"], |e, key| {
        taken(e, key, "exp_too_far")
    }),
    answers(
        "takes-any-hash",
        "does not compute the hash",
        &["commit.hash-of-content", "commit.hash-of-enclave"],
        |e, key| taken(e, key, "invalid_hash"),
    ),
    answers(
        "takes-any-signature",
        "does not verify signatures",
        &["commit.signature", "commit.author-is-a-point"],
        |e, key| taken(e, key, "invalid_signature"),
    ),
    answers(
        "lax-structure",
        "takes members and numbers of any form",
        &["json.duplicate-names", "json.fractions", "commit.type-member"],
        |e, key| taken(e, key, "invalid_structure"),
    ),
    answers("takes-large", "has no limit of size", &["commit.too-large"], |e, key| taken(e, key, "too_large")),
    answers(
        "takes-twice",
        "sequences a commit twice",
        &["commit.duplicate", "order.duplicate-before-lifecycle"],
        |e, key| taken(e, key, "duplicate"),
    ),
    answers("keeps-receipts", "tells a duplicate without its receipt", &["commit.duplicate"], |e, _| {
        without(e, "receipt")
    }),
    answers(
        "no-roles",
        "asks nobody who they are",
        &["roles.stranger", "roles.deny-wins", "commit.refused-is-not-remembered"],
        |e, key| taken(e, key, "unauthorized"),
    ),
    answers("no-rank", "lets admins act on the owner", &["rank.target", "move.self"], |e, key| {
        taken(e, key, "rank_too_low")
    }),
    answers("no-gates", "has gates that hold nobody", &["gate.starts-closed", "gate.closes"], |e, key| {
        taken(e, key, "gate_closed")
    }),
    answers(
        "any-state",
        "moves from any State, grants what is held",
        &["move.from", "grant.held", "revoke.last-owner"],
        |e, key| taken(e, key, "bad_state"),
    ),
    answers("no-pause", "goes on while paused", &["life.pause"], |e, key| taken(e, key, "enclave_paused")),
    answers("no-end", "goes on after Terminate", &["life.terminate", "order.lifecycle-before-roles"], |e, key| {
        taken(e, key, "enclave_terminated")
    }),
    answers("no-address", "does not say where a migrated enclave went", &["life.migrate"], |e, _| {
        without(e, "new_sequencer")
    }),
    answers("bad-receipt", "signs something else", &["receipt.signature"], |e, _| {
        e.answer.text().contains("\"Receipt\"").then(|| set(e, "seq_sig", &flipped))?
    }),
    answers("bad-id", "gives events another id", &["receipt.id"], |e, _| {
        e.answer.text().contains("\"Receipt\"").then(|| set(e, "id", &flipped))?
    }),
    answers("no-chain", "leaves prev at zero", &["receipt.prev"], |e, key| resigned(e, key, &|at| at.prev = NO_PREV)),
    answers("one-counter", "counts types as it counts events", &["receipt.type-seq"], |e, key| {
        resigned(e, key, &|at| at.type_seq = at.seq)
    }),
    answers("skips-seq", "leaves places out", &["receipt.seq"], |e, key| resigned(e, key, &|at| at.seq *= 2)),
    answers("slow-clock", "lives an hour in the past", &["receipt.timestamp"], |e, key| {
        resigned(e, key, &|at| at.timestamp -= 3_600_000)
    }),
    answers("bad-head", "signs another tree head", &["sth.members"], |e, _| {
        on(e, "/sth").then(|| set(e, "signature", &flipped))?
    }),
    answers(
        "other-root",
        "signs a root of its own",
        &["sth.of-nothing", "inclusion.event", "consistency.path"],
        |e, key| head(e, key, &|sth| sth.root_hash[0] ^= 1),
    ),
    answers("late-head", "dates a head by when it was asked for", &["bundle.time"], |e, key| {
        head(e, key, &|sth| sth.timestamp += 1)
    }),
    answers("bad-path", "proves inclusion by a wrong path", &["inclusion.event", "inclusion.entry"], |e, _| {
        on(e, "/inclusion").then(|| set(e, "audit_path", &|_| Json::Array(Vec::new())))?
    }),
    answers("bad-siblings", "proves membership by a wrong path", &["membership.event"], |e, _| {
        set(e, "siblings", &|_| Json::Array(Vec::new()))
    }),
    answers("bad-consistency", "proves consistency by nothing", &["consistency.path", "consistency.many"], |e, _| {
        on(e, "/consistency").then(|| set(e, "path", &|_| Json::Array(Vec::new())))?
    }),
    answers("bad-state", "shows another value in a state proof", &["state.identity"], |e, _| {
        set(e, "v", &|_| Json::from("00".repeat(32)))
    }),
    answers(
        "early-proofs",
        "proves what is in no closed bundle",
        &["inclusion.not-bundled", "state.not-bundled"],
        |e, key| taken(e, key, "not_bundled"),
    ),
    answers(
        "forgets-the-last",
        "leaves the last event out of a page",
        &["query.all", "event.follows-the-receipts"],
        |e, _| page(e, &|events| drop(events.pop())),
    ),
    answers("disorder", "answers a page in another order", &["query.all", "query.reverse"], |e, _| {
        page(e, &|events| events.reverse())
    }),
    answers("no-next", "does not say that more remains", &["query.limit", "query.pages-forward"], |e, _| {
        without(e, "next")
    }),
    answers("shows-deleted", "shows what was deleted", &["reading.deleted"], |e, _| {
        page(e, &|events| events.retain(|event| event.member("deleted").is_none()))
    }),
    answers(
        "empty-for-forbidden",
        "answers an empty page to who may read nothing",
        &["reading.nothing-is-unauthorized", "session.none"],
        |e, _| {
            let empty = Json::object([("type", Json::from("Response")), ("events", Json::Array(Vec::new()))]);
            (crate::lies::code(e)? == "unauthorized").then(|| with_json(e, 200, &empty))
        },
    ),
    answers(
        "any-session",
        "does not verify sessions",
        &["session.altered", "session.encrypted-form", "session.too-long"],
        |e, key| taken(e, key, "invalid_session"),
    ),
    answers("endless-session", "takes sessions that are over", &["session.over"], |e, key| {
        taken(e, key, "session_expired")
    }),
    answers("one-session-code", "tells a session that is over as a wrong one", &["session.over"], |e, _| {
        (crate::lies::code(e)? == "session_expired").then(|| set(e, "error", &|_| Json::from("invalid_session")))?
    }),
    answers(
        "no-cors",
        "forgets the header for browsers",
        &["routes.cross-origin", "routes.preflight", "routes.refusals-cross-origins"],
        |e, _| headless(e, "access-control-allow-origin"),
    ),
    answers("no-allow", "does not say which methods there are", &["routes.other-method"], |e, _| headless(e, "allow")),
    answers("loose-json", "writes JSON with spaces", &["routes.canonical-json"], |e, _| {
        let text = e.answer.text().replacen(':', ": ", 1);
        Some(Answer { body: text.into_bytes(), ..e.answer.clone() })
    }),
    answers("quotes-input", "repeats what it was sent in its refusals", &["routes.refusal-shape"], |e, _| {
        (e.answer.status == 404).then(|| set(e, "message", &|_| Json::from(e.ask.target.as_str())))?
    }),
    answers("one-spelling", "knows one spelling of a path", &["routes.spelling-enclave"], |e, _| {
        let refusal = Json::object([("error", Json::from("invalid_route")), ("message", Json::from("No such route."))]);
        e.ask.target.starts_with("/enclave/").then(|| with_json(e, 404, &refusal))
    }),
    answers(
        "any-type",
        "takes a body of any Content-Type",
        &["routes.no-media-type", "routes.other-media-type"],
        |e, key| taken(e, key, "unsupported_media_type"),
    ),
    answers(
        "lines-out-of-order",
        "answers lines as they are done",
        &["lines.receipts", "lines.judged-alone"],
        |e, _| each_line(e, &|lines| lines.reverse()),
    ),
    answers("lines-without-refusals", "answers only lines that were taken", &["lines.judged-alone"], |e, _| {
        each_line(e, &|lines| lines.retain(|line| !line.contains("\"error\"")))
    }),
    answers("miscounts", "counts what it refused", &["roles.counts"], |e, _| {
        on(e, "/info/enclave").then(|| set(e, "notice", &|_| Json::from(2)))?
    }),
    frames("nameless-eose", "does not say whose history has ended", &["socket.history", "socket.live"], |text| {
        if is_type(text, "EOSE") { vec![r#"{"sub_id":"","type":"EOSE"}"#.into()] } else { truly(text) }
    }),
    frames("doubles", "sends each event twice", &["socket.history", "socket.live"], |text| {
        if is_type(text, "Event") { [truly(text), truly(text)].concat() } else { truly(text) }
    }),
    frames(
        "one-reason",
        "ends every subscription with closed",
        &["socket.refused-query", "socket.session-over", "socket.right-is-lost"],
        |text| {
            let Ok(frame) = protocol::json::parse(text.as_bytes(), 64) else { return truly(text) };
            let reason = frame.member("reason").and_then(Json::as_text).map(str::to_owned);
            truly(&reason.map_or(text.to_owned(), |reason| {
                text.replace(&format!("\"reason\":\"{reason}\""), "\"reason\":\"closed\"")
            }))
        },
    ),
    frames("nameless-errors", "tells a refused commit without its hash", &["socket.refused-commit"], |text| {
        let Ok(Json::Object(mut members)) = protocol::json::parse(text.as_bytes(), 64) else { return truly(text) };
        let is_error = is_type(text, "Error");
        members.retain(|(name, _)| !is_error || name != "hash");
        truly(&Json::Object(members).to_jcs())
    }),
];

/// The node's own key, from the file in which it keeps it.
fn node_key(scene: &Scene) -> KeyPair {
    let text = std::fs::read_to_string(scene.folder.path().join("node/keys/node.key")).expect("the node's key file");
    let key = KeyPair::from_secret(&ids::parse_hex(text.trim()).expect("hex")).expect("a key");
    assert_eq!(key.public(), scene.node.sequencer);
    key
}

/// The checks that see nothing of a defect, though they are named.
fn unseen(scene: &Scene, key: &Arc<KeyPair>, defect: &Defect) -> String {
    let (key, answer) = (Arc::clone(key), defect.answer);
    let lie = Box::new(move |exchange: &Exchange| answer(exchange, &key));
    let impostor = Impostor::before(&scene.node.address, lie, defect.frame);
    let reports = judged(&subject(&impostor.address), &checks(defect.caught_by));
    assert_eq!(reports.len(), defect.caught_by.len());
    let green = reports.iter().filter(|report| !matches!(report.outcome, Outcome::Failed(_)));
    green.map(|report| format!("{}: {} sees nothing\n", defect.name, report.check.name)).collect()
}

#[test]
fn each_defect_is_caught_by_the_checks_that_are_named() {
    let scene = Scene::new();
    let key = Arc::new(node_key(&scene));
    let (next, found) = (AtomicUsize::new(0), Mutex::new(String::new()));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(defect) = DEFECTS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let text = unseen(&scene, &key, defect);
                    found.lock().expect("no thread has panicked with it").push_str(&text);
                }
            });
        }
    });
    assert_eq!(found.into_inner().expect("no thread has panicked with it"), "");
}

/// What is red above is so because of the defect: through a proxy that changes nothing the same checks are green.
#[test]
fn without_a_defect_the_same_checks_are_green() {
    let scene = Scene::new();
    let mut names: Vec<&str> = DEFECTS.iter().flat_map(|defect| defect.caught_by).copied().collect();
    names.sort_unstable();
    names.dedup();
    let impostor = Impostor::before(&scene.node.address, Box::new(|_| None), truly);
    let reports = judged(&subject(&impostor.address), &checks(&names));
    assert_eq!(lines(reports.iter().filter(|report| report.outcome != Outcome::Passed)), "");
    assert_eq!(reports.len(), names.len());
}
