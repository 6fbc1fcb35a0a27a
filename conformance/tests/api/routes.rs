//! What holds of every route alike: its spellings, its methods, its content type, what a browser is told, what an id may look like, what
//! else may stand in a body, how large it may be.

use crate::world::{ADMIN_TOKEN, World, check_refusal};
use conformance::people::now;
use conformance::wire::{Answer, Ask};
use protocol::commit::Draft;
use protocol::{Code, Json};
use service::structure::{self, Body, ENC_NODE};

/// A route: method, path below an enclave, what it wants as `Content-Type`, what a good request has as query or body members.
struct Route {
    method: &'static str,
    action: &'static str,
    media: Option<&'static str>,
    good: String,
}

const JSON: &str = "application/json";

/// Every route of the table, but for the heads log.
fn routes(world: &World) -> Vec<Route> {
    let manifest = world.say(&world.bob, "message", r#""to be proved""#);
    world.close();
    let event = format!(r#""event_id":"{}""#, manifest.id);
    let secret = format!(r#""enclave_id":"{}","sequencer_priv":"{}""#, world.enclave, "44".repeat(32));
    let row = |method, action, media, good: &str| Route { method, action, media, good: good.into() };
    vec![
        row("GET", "", None, ""),
        row("POST", "", Some(JSON), r#""type":"Query""#),
        row("GET", "sth", None, ""),
        row("GET", "checkpoint", None, ""),
        row("GET", "tile/0/000.p/1", None, ""),
        row("GET", "tile/entries/000.p/1", None, ""),
        row("GET", "consistency", None, "from=1&to=1"),
        row("POST", "inclusion", Some(JSON), &event),
        row("POST", "bundle", Some(JSON), &event),
        row("POST", "state", Some(JSON), r#""namespace":3,"key":"6c6966656379636c65""#),
        row("POST", "state-batch", Some(JSON), r#""items":[{"namespace":3,"key":"6c6966656379636c65"}]"#),
        row("GET", "info/manifest", None, ""),
        row("GET", "info/enclave", None, ""),
        row("POST", "close-bundle", Some(JSON), ""),
        row("POST", "push", Some(JSON), r#""url":null"#),
        row("GET", "snapshot", None, ""),
        row("POST", "restore", Some("application/octet-stream"), ""),
        row("POST", "init-with-priv", Some(JSON), &secret),
        row("POST", "commits", Some("application/x-ndjson"), ""),
    ]
}

impl Route {
    /// Its canonical path: below the enclave, but for the one route that is for many.
    fn path(&self, world: &World) -> String {
        match self.action {
            "" => format!("/enclaves/{}", world.enclave),
            "commits" => "/commits".into(),
            action => world.path(action),
        }
    }

    fn is_operators(&self) -> bool {
        matches!(self.action, "restore" | "init-with-priv")
    }

    /// What anybody but the operator asks of one enclave without changing anything: the same answer each time.
    fn repeats(&self) -> bool {
        !self.is_operators() && self.action != "commits" && !(self.method == "GET" && self.action.is_empty())
    }

    /// A good request by alice, under one of the spellings of a path.
    fn ask(&self, world: &World, prefix: &str, bare: bool) -> Ask {
        let target = match (prefix.is_empty(), self.action.is_empty()) {
            (false, true) => prefix.to_owned(),
            _ => format!("{prefix}/{}", self.action),
        };
        if self.method == "GET" {
            let named = bare.then(|| format!("enclave={}", world.enclave));
            let query: Vec<&str> = [self.good.as_str()].into_iter().chain(named.as_deref()).collect();
            let query = query.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
            let target = if query.is_empty() { target } else { format!("{target}?{query}") };
            return world.signed(Ask::get(&target), &world.alice);
        }
        let mut members = self.good.clone();
        if bare {
            let comma = if members.is_empty() { "" } else { "," };
            members = format!(r#""enclave":"{}"{comma}{members}"#, world.enclave);
        }
        Ask::post(&target, world.by(&world.alice, &members))
    }
}

#[test]
fn the_table_is_the_nodes() {
    let world = World::new();
    let ours = routes(&world);
    for route in structure::routes(&ENC_NODE) {
        let prefix = route.path.trim_end_matches('*');
        let found = ours.iter().find(|row| row.method == route.method.as_str() && row.action.starts_with(prefix));
        let found = found.unwrap_or_else(|| panic!("{} {} is not in the table", route.method.as_str(), route.path));
        let media = match route.body {
            Body::Empty => None,
            Body::Json | Body::OptionalJson => Some(JSON),
            Body::Lines => Some("application/x-ndjson"),
            Body::Octets => Some("application/octet-stream"),
        };
        assert_eq!(found.media, media, "{}", route.path);
    }
}

#[test]
fn four_spellings_are_one_route() {
    let world = World::new();
    let id = world.enclave;
    for route in routes(&world).iter().filter(|route| route.repeats()) {
        let canonical = world.ask(&route.ask(&world, &format!("/enclaves/{id}"), false));
        assert_eq!(canonical.status, 200, "{}: {}", route.action, canonical.text());
        for (prefix, bare) in [(format!("/enclave/{id}"), false), (format!("/{id}"), false), (String::new(), true)] {
            let answer = world.ask(&route.ask(&world, &prefix, bare));
            assert_eq!((answer.status, answer.text()), (200, canonical.text()), "{prefix}/{}", route.action);
            assert_eq!(answer.body, canonical.body);
        }
        // Named twice is fine while both say the same.
        let twice = world.ask(&route.ask(&world, &format!("/{id}"), true));
        assert_eq!((twice.status, twice.body), (200, canonical.body), "{} named twice", route.action);
    }
}

#[test]
fn ids_are_judged_before_they_address_anything() {
    let world = World::new();
    let id = world.enclave.hex();
    let other = "ab".repeat(32);
    let enclave = [("field", Json::from("enclave"))];
    let upper = id.to_uppercase();
    assert_ne!(upper, id, "an id of digits alone shows nothing");
    for prefix in [format!("/enclaves/{upper}"), format!("/enclave/{upper}"), format!("/{upper}")] {
        world.refused(&prefix, &Ask::get(&format!("{prefix}/sth")), (400, Code::InvalidStructure), &enclave);
    }
    for short in [&id[1..], "xyz", "%61"] {
        let ask = Ask::get(&format!("/enclaves/{short}/sth"));
        world.refused(short, &ask, (400, Code::InvalidStructure), &enclave);
    }
    let absent = Ask::get("/sth");
    world.refused("no enclave", &absent, (400, Code::InvalidStructure), &enclave);
    for named in [&upper, &id[1..].to_owned()] {
        let ask = Ask::get(&format!("/sth?enclave={named}"));
        world.refused("by query", &ask, (400, Code::InvalidStructure), &enclave);
    }
    world.refused("enclaves", &Ask::get("/enclaves//sth"), (404, Code::InvalidRoute), &[]);
    let differ = Ask::get(&format!("/{id}/sth?enclave={other}"));
    world.refused("path and query differ", &differ, (400, Code::InvalidStructure), &enclave);
    for route in routes(&world).iter().filter(|route| route.method == "POST" && route.repeats()) {
        let ask = route.ask(&world, &format!("/{other}"), true);
        world.refused(
            &format!("path and body differ: {}", route.action),
            &ask,
            (400, Code::InvalidStructure),
            &enclave,
        );
    }
    let commit = world.commit(&world.bob, "message", "1").to_json().to_jcs();
    world.refused("commit", &Ask::post(&format!("/{other}"), commit), (400, Code::InvalidStructure), &enclave);
    let secret = format!(r#"{{"enclave_id":"{other}","sequencer_priv":"{}"}}"#, "44".repeat(32));
    let ask = Ask::post(&world.path("init-with-priv"), secret);
    world.refused("init-with-priv", &ask, (400, Code::InvalidStructure), &[("field", Json::from("enclave_id"))]);
}

#[test]
fn other_methods_are_told_which_there_are() {
    let world = World::new();
    let all = routes(&world);
    for route in &all {
        let path = route.path(&world);
        let path = path.as_str();
        let here: Vec<&str> = all.iter().filter(|row| row.action == route.action).map(|row| row.method).collect();
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"].into_iter().filter(|method| !here.contains(method)) {
            let answer =
                world.refused(&format!("{method} {path}"), &Ask::of(method, path), (405, Code::InvalidRoute), &[]);
            assert_eq!(answer.header("allow"), Some(here.join(", ").as_str()), "{method} {path}");
        }
    }
    // Information about the node is the node's, and is no enclave's.
    let answer = world.refused("GET /:id", &Ask::get(&format!("/{}", world.enclave)), (405, Code::InvalidRoute), &[]);
    assert_eq!(answer.header("allow"), Some("POST"));
    for path in ["/nowhere", "/sth/", "/Sth", "/info", "/info/", "/info/enclave/x", "/tile", "/snapshots", "/commits/x"]
    {
        for target in [path.to_owned(), world.path(&path[1..])] {
            for method in ["GET", "POST", "PUT", "OPTIONS"] {
                world.refused(&target, &Ask::of(method, &target), (404, Code::InvalidRoute), &[]);
            }
        }
    }
    let many = world.path("commits");
    world.refused("many commits are no one enclave's", &Ask::of("POST", &many), (404, Code::InvalidRoute), &[]);
}

#[test]
fn a_body_states_its_type() {
    let world = World::new();
    for route in routes(&world) {
        let Some(media) = route.media else { continue };
        let path = route.path(&world);
        let path = path.as_str();
        let body = world.by(&world.alice, &route.good);
        for wrong in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application", ""]
        {
            let ask = Ask::post_as(wrong, path, body.clone());
            world.refused(&format!("{path} as {wrong:?}"), &ask, (415, Code::UnsupportedMediaType), &[]);
        }
        let ask = Ask { body: body.clone().into_bytes(), ..Ask::of("POST", path) };
        world.refused(&format!("{path} without a type"), &ask, (415, Code::UnsupportedMediaType), &[]);
        for good in [format!("{media}; charset=utf-8"), media.to_uppercase(), format!("{media} ;x=y")] {
            let answer = world.ask(&Ask::post_as(&good, path, body.clone()));
            assert_ne!(answer.status, 415, "{path} as {good:?}");
        }
    }
    let headers = world.signed(Ask::of("POST", &world.path("close-bundle")), &world.alice);
    assert_eq!(world.ask(&headers).status, 200, "a close-bundle without a body needs no type");
}

#[test]
fn browsers_may_ask_everything_but_the_operators_routes() {
    let world = World::new();
    let cross = |answer: &Answer| answer.header("access-control-allow-origin").map(str::to_owned);
    for route in routes(&world) {
        let path = route.path(&world);
        let path = path.as_str();
        let ask = Ask { body: route.ask(&world, "", false).body, ..Ask::of(route.method, path) };
        let ask = ask.header("Origin", "https://app.example").header("Content-Type", route.media.unwrap_or(JSON));
        let answer = world.ask(&ask);
        let preflight = Ask::of("OPTIONS", path)
            .header("Origin", "https://app.example")
            .header("Access-Control-Request-Method", route.method)
            .header("Access-Control-Request-Headers", "x-enc-from, x-enc-session, content-type");
        let preflight = world.ask(&preflight);
        assert_eq!(answer.header("access-control-allow-credentials"), None, "{path}: there are no cookies");
        if route.is_operators() {
            assert_eq!((cross(&answer), cross(&preflight)), (None, None), "{path}");
            check_refusal(path, &preflight, (404, Code::InvalidRoute), &[]);
            continue;
        }
        assert_eq!(cross(&answer).as_deref(), Some("*"), "{path}: {}", answer.text());
        assert_eq!((preflight.status, preflight.body.as_slice()), (204, &b""[..]), "{path}");
        assert_eq!(cross(&preflight).as_deref(), Some("*"), "{path}");
        let allowed = preflight.header("access-control-allow-headers").unwrap_or_default();
        assert_eq!(allowed, "X-Enc-From, X-Enc-Session, Content-Type", "{path}");
        let methods = preflight.header("access-control-allow-methods").unwrap_or_default();
        assert!(methods.split(", ").any(|method| method == route.method), "{path}: {methods}");
    }
    // A refusal is read by a page's script as well.
    for ask in [Ask::get("/nowhere"), Ask::get(&format!("/{}/sth", "ab".repeat(32))), Ask::post("/", "{")] {
        assert_eq!(cross(&world.ask(&ask)).as_deref(), Some("*"), "{}", ask.target);
    }
}

#[test]
fn nothing_stands_in_a_request_that_is_not_listed() {
    let world = World::new();
    let id = format!("/{}", world.enclave);
    for route in routes(&world).iter().filter(|route| route.action != "commits") {
        let mut ask = route.ask(&world, if route.action.is_empty() && route.method == "GET" { "" } else { &id }, false);
        if route.method == "GET" || route.action == "restore" {
            let sign = if ask.target.contains('?') { '&' } else { '?' };
            ask.target = format!("{}{sign}more=1", ask.target);
            if route.action == "restore" {
                ask = Ask::post_as("application/octet-stream", &ask.target, "ENC1");
            }
            world.refused(&ask.target, &ask, (400, Code::InvalidStructure), &[]);
            continue;
        }
        let text = if route.action == "init-with-priv" {
            format!(r#"{{{},"more":1}}"#, route.good)
        } else {
            String::from_utf8_lossy(&ask.body).replacen('{', r#"{"more":1,"#, 1)
        };
        let ask = Ask::post(&ask.target, text);
        world.refused(&ask.target, &ask, (400, Code::InvalidStructure), &[]);
        for (text, code) in [
            (&b"{\"a\":1,\"a\":2}"[..], Code::InvalidStructure),
            (b"{\"a\":1,\"\\u0061\":2}", Code::InvalidStructure),
            (b"{\"a\":1.5}", Code::InvalidStructure),
            (b"{\"a\":9007199254740992}", Code::InvalidStructure),
            (b"{\"a\":\"\\ud800\"}", Code::InvalidStructure),
            (b"{\"a\":\"\\u0000\"}", Code::InvalidStructure),
            (b"[]", Code::InvalidStructure),
            (b"null", Code::InvalidStructure),
            (b"\xef\xbb\xbf{}", Code::InvalidJson),
            (b"{\"a\":\"\xff\"}", Code::InvalidJson),
            (b"{} {}", Code::InvalidJson),
            (b"{'a':1}", Code::InvalidJson),
            (b"{\"a\":01}", Code::InvalidJson),
        ] {
            let answer = world.ask(&Ask::post(&ask.target, text));
            let said = answer.json();
            let found = said.member("error").and_then(Json::as_text);
            assert_eq!(found, Some(code.as_str()), "{} {}", ask.target, String::from_utf8_lossy(text));
        }
    }
}

#[test]
fn bodies_have_limits() {
    let world = World::new();
    let mib = 1 << 20;
    let limit = |bytes: usize| [("limit", Json::from(bytes as u64))];
    let padded = |text: &str, len: usize| format!("{text}{}", " ".repeat(len - text.len()));
    for route in routes(&world).iter().filter(|route| route.media == Some(JSON) && !route.action.is_empty()) {
        let path = world.path(route.action);
        let body = if route.action == "init-with-priv" {
            format!("{{{}}}", route.good)
        } else {
            world.by(&world.alice, &route.good)
        };
        let largest = world.ask(&Ask::post(&path, padded(&body, mib)));
        assert_ne!(largest.status, 413, "{path} takes a mebibyte: {}", largest.text());
        world.refused(&path, &Ask::post(&path, padded(&body, mib + 1)), (413, Code::TooLarge), &limit(mib));
    }
    let query = world.asking(&world.alice, r#""type":"Query""#);
    assert_eq!(world.ask(&Ask::post("/", padded(&query, mib))).status, 200);
    world.refused("Query", &Ask::post("/", padded(&query, mib + 1)), (413, Code::TooLarge), &limit(mib));
    // A commit is counted as received, spaces and all.
    let commit = |text: &str| {
        let draft = Draft::new(world.enclave, "message", &Json::from(text), now() + 60_000);
        draft.sign(&world.bob).into_commit().to_json().to_jcs()
    };
    assert_eq!(world.ask(&Ask::post("/", padded(&commit("spaces"), mib))).status, 200);
    let ask = Ask::post("/", padded(&commit("more spaces"), mib + 1));
    world.refused("commit", &ask, (413, Code::TooLarge), &limit(mib));
    let envelope = (2 << 20) + (4 << 10);
    let sealed = format!(
        r#"{{"enclave":"{}","from":"{}","session":"{}","nonce":"{}","ciphertext":"00"}}"#,
        world.enclave,
        world.bob.public(),
        "00".repeat(68),
        "00".repeat(24)
    );
    let largest = Ask::post("/", padded(&sealed, envelope));
    world.refused("an envelope at its limit", &largest, (401, Code::InvalidSession), &[]);
    let beyond = Ask::post("/", padded(&sealed, envelope + 1));
    world.refused("an envelope beyond it", &beyond, (413, Code::TooLarge), &limit(envelope));
    let operator = format!("Bearer {ADMIN_TOKEN}");
    let restore = |len: usize| {
        let ask = Ask::post_as("application/octet-stream", &world.path("restore"), vec![0; len]);
        ask.header("Authorization", &operator)
    };
    world.refused("restore", &restore((64 << 20) + 1), (413, Code::TooLarge), &limit(64 << 20));
    let answer = world.ask(&restore(2 << 20));
    assert_ne!(answer.status, 413, "a snapshot may be larger than a JSON body");
}
