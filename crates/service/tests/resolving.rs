//! Requests as they come: every spelling of a path, every body, every limit, before anything looks at an enclave.

use crate::world::{Ask, START, World, id, json, key, template};
use protocol::commit::Draft;
use protocol::{Code, EnclaveId, Json};
use serde_json::Value;
use service::call::{Action, Call, Claim, Filter, InclusionOf, Span};
use service::path::{parse_query, parse_target};
use service::resolve::{Frame, Resolved, body_limit, cross_origin, resolve_frame, resolve_line};
use service::runtime::Limits;
use service::structure::{ENC_NODE, Method, routes};

const ID: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const OTHER: &str = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// `ok` or the code, and the status.
fn told(world: &World, ask: &Ask) -> (String, u16, Option<&'static str>) {
    match world.resolve(ask) {
        Ok(_) => ("ok".to_owned(), 200, None),
        Err(refusal) => {
            let response = refusal.response();
            let body: Value = serde_json::from_slice(&response.body).expect("JSON");
            assert_eq!(body["error"], refusal.rejection.code.as_str());
            let allow = response.headers.iter().find(|(name, _)| *name == "Allow");
            assert_eq!(allow.map(|(_, value)| value.as_str()), refusal.allow);
            (refusal.rejection.code.as_str().to_owned(), response.status, refusal.allow)
        }
    }
}

#[track_caller]
fn check(ask: &Ask, word: &str) {
    assert_eq!(told(&World::new(), ask).0, word, "{} {}", ask.line.method, ask.line.path);
}

fn resolved(ask: &Ask) -> Call {
    World::new().resolved(ask)
}

/// The request of every route, at a path below an enclave.
fn asks(prefix: &str) -> Vec<(&'static str, Ask)> {
    let at = |rest: &str| format!("{prefix}{rest}");
    vec![
        ("sth", Ask::get(&at("/sth"))),
        ("checkpoint", Ask::get(&at("/checkpoint"))),
        ("tile", Ask::get(&at("/tile/entries/x001/234.p/5"))),
        ("consistency", Ask::get(&at("/consistency?from=1&to=2"))),
        ("info/manifest", Ask::get(&at("/info/manifest"))),
        ("info/enclave", Ask::get(&at("/info/enclave"))),
        ("snapshot", Ask::get(&at("/snapshot"))),
        ("inclusion", Ask::post(&at("/inclusion"), r#"{"leaf_index":3}"#)),
        ("bundle", Ask::post(&at("/bundle"), &format!(r#"{{"event_id":"{OTHER}"}}"#))),
        ("state", Ask::post(&at("/state"), r#"{"namespace":1,"key":"ab"}"#)),
        ("state-batch", Ask::post(&at("/state-batch"), r#"{"items":[{"namespace":1,"key":"ab"}]}"#)),
        ("close-bundle", Ask::post(&at("/close-bundle"), "{}")),
        ("push", Ask::post(&at("/push"), r#"{"url":"https://a/"}"#)),
        ("restore", Ask::new("POST", &at("/restore")).typed("application/octet-stream").body(b"ENC1")),
        ("query", Ask::post(&at(""), r#"{"type":"Query"}"#)),
        ("pull", Ask::post(&at(""), r#"{"type":"Pull"}"#)),
    ]
}

/// The same with the enclave named elsewhere than in the path.
fn bare(mut ask: Ask, enclave: &str) -> Ask {
    if ask.line.method == "GET" || ask.line.path.ends_with("/restore") {
        let and = if ask.line.query.is_empty() { "" } else { "&" };
        ask.line.query = format!("{}{and}enclave={enclave}", ask.line.query);
    } else {
        let body = String::from_utf8(ask.body).expect("JSON");
        let comma = if body == "{}" { "" } else { "," };
        ask.body = body.replacen('{', &format!(r#"{{"enclave":"{enclave}"{comma}"#), 1).into_bytes();
    }
    ask
}

#[test]
fn every_spelling_is_one_call() {
    let enclave = EnclaveId::parse(ID).expect("an id");
    for (place, (name, ask)) in asks(&format!("/enclaves/{ID}")).into_iter().enumerate() {
        let call = resolved(&ask);
        assert_eq!(call.enclave, Some(enclave), "{name}");
        let spellings = [format!("/enclave/{ID}"), format!("/{ID}")];
        for prefix in &spellings {
            let other = resolved(&asks(prefix)[place].1);
            assert_eq!(format!("{other:?}"), format!("{call:?}"), "{name} at {prefix}");
        }
        let mut nameless = asks("")[place].1.clone();
        if nameless.line.path.is_empty() {
            nameless.line.path = "/".to_owned();
        }
        check(&nameless, "invalid_structure");
        let other = resolved(&bare(nameless, ID));
        assert_eq!(format!("{other:?}"), format!("{call:?}"), "{name} named elsewhere");
        // Path and body may both name it when they agree.
        let both = resolved(&bare(ask.clone(), ID));
        assert_eq!(format!("{both:?}"), format!("{call:?}"), "{name} named twice");
        check(&bare(ask, OTHER), "invalid_structure");
    }
}

#[test]
fn paths() {
    let hit = |path: &str| parse_target(path).map(|target| (target.enclave.map(|id| id.hex()), target.rest));
    let at = |rest: &str| Ok((Some(ID.to_owned()), rest.to_owned()));
    assert_eq!(hit(&format!("/enclaves/{ID}/info/manifest")), at("info/manifest"));
    assert_eq!(hit(&format!("/enclaves/{ID}")), at(""));
    assert_eq!(hit(&format!("/enclaves/{ID}/")), at(""));
    assert_eq!(hit(&format!("/{ID}/sth")), at("sth"));
    assert_eq!(hit("/sth"), Ok((None, "sth".to_owned())));
    assert_eq!(hit("/"), Ok((None, String::new())));
    for (path, code) in [
        ("", Code::InvalidRoute),
        ("sth", Code::InvalidRoute),
        ("/enclaves", Code::InvalidRoute),
        ("/enclaves/", Code::InvalidRoute),
        ("/enclave/", Code::InvalidRoute),
        ("/enclaves//sth", Code::InvalidRoute),
        ("/enclaves/00/sth", Code::InvalidStructure),
        ("/enclaves/sth", Code::InvalidStructure),
    ] {
        assert_eq!(hit(path).map_err(|refused| refused.code), Err(code), "{path}");
    }
}

/// Ids are checked before they address anything: upper case would be another object on some hosts.
#[test]
fn ids_in_upper_case_address_nothing() {
    let world = World::new();
    for upper in [ID.to_uppercase(), ID.replacen('a', "A", 1)] {
        for prefix in ["/enclaves/", "/enclave/", "/"] {
            for (name, ask) in asks(&format!("{prefix}{upper}")) {
                assert_eq!(told(&world, &ask).0, "invalid_structure", "{name} {prefix}");
            }
        }
        for (name, mut ask) in asks("") {
            if ask.line.path.is_empty() {
                ask.line.path = "/".to_owned();
            }
            assert_eq!(told(&world, &bare(ask, &upper)).0, "invalid_structure", "{name}");
        }
    }
    check(&Ask::get(&format!("/{}/sth", &ID[1..])), "invalid_route");
    check(&Ask::get(&format!("/{}%30/sth", &ID[..63])), "invalid_route");
    check(&Ask::get(&format!("/enclaves/{}%30/sth", &ID[..63])), "invalid_structure");
}

#[test]
fn another_method_is_405() {
    let world = World::new();
    for route in routes(&ENC_NODE) {
        let path = match route.path {
            "" => "/".to_owned(),
            "commits" => "/commits".to_owned(),
            path => format!("/enclaves/{ID}/{}", path.replace('*', "0/000.p/1")),
        };
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "get", ""] {
            let same = routes(&ENC_NODE).into_iter().filter(|other| other.path == route.path);
            let methods: Vec<&str> = same.map(|other| other.method.as_str()).collect();
            if methods.contains(&method) {
                continue;
            }
            let (word, status, allow) = told(&world, &Ask::new(method, &path));
            assert_eq!((word.as_str(), status), ("invalid_route", 405), "{method} {path}");
            let allowed: Vec<&str> = allow.expect("Allow").split(", ").collect();
            assert_eq!(allowed, methods, "{method} {path}");
        }
    }
    for path in ["/x", "/enclaves/x", "/sth/", "/tile", "/info", "/info/x", "/commitsx", "/statex", "/Sth"] {
        for method in ["GET", "POST", "PUT"] {
            let told = told(&world, &Ask::new(method, path));
            let status = if path == "/enclaves/x" { ("invalid_structure", 400) } else { ("invalid_route", 404) };
            assert_eq!((told.0.as_str(), told.1), status, "{method} {path}");
        }
    }
    // Below an enclave there is nothing to GET at the bare path but a socket.
    let (word, status, allow) = told(&world, &Ask::get(&format!("/{ID}")));
    assert_eq!((word.as_str(), status, allow), ("invalid_route", 405, Some("POST")));
    assert_eq!(told(&world, &Ask::get("/tile/0/../sth")).0, "invalid_structure");
    assert_eq!(told(&world, &Ask::get(&format!("/{ID}/tile/0/../sth"))).0, "invalid_route");
}

#[test]
fn sockets() {
    let world = World::new();
    let at = |ask: Ask| match world.resolve(&ask.upgraded()) {
        Ok(Resolved::Upgrade(enclave)) => enclave.map(|id| id.hex()),
        other => panic!("no socket: {other:?}"),
    };
    assert_eq!(at(Ask::get("/")), None);
    for path in [format!("/{ID}"), format!("/enclaves/{ID}"), format!("/enclave/{ID}/"), format!("/?enclave={ID}")] {
        assert_eq!(at(Ask::get(&path)).as_deref(), Some(ID));
    }
    check(&Ask::get("/?enclave=x").upgraded(), "invalid_structure");
    check(&Ask::get("/?x=1").upgraded(), "invalid_structure");
    check(&Ask::get("/?x=1"), "invalid_structure");
    check(&Ask::get("/sth?enclave=00").upgraded(), "invalid_structure");
}

#[test]
fn content_types() {
    let world = World::new();
    for (name, ask) in asks(&format!("/{ID}")) {
        let Some(right) = ask.line.headers.content_type.clone() else { continue };
        let mut ask = ask;
        for (given, word) in [
            (Some(format!("{right}; charset=utf-8")), "ok"),
            (Some(right.to_uppercase()), "ok"),
            (Some(format!(" {right} ;x")), "ok"),
            (Some("text/plain".to_owned()), "unsupported_media_type"),
            (Some(format!("{right}x")), "unsupported_media_type"),
            (Some(String::new()), "unsupported_media_type"),
            (None, "unsupported_media_type"),
        ] {
            ask.line.headers.content_type = given;
            assert_eq!(told(&world, &ask).0, word, "{name} {:?}", ask.line.headers.content_type);
        }
    }
    // A close-bundle may say who asks in its headers and have no body.
    let empty = Ask::new("POST", &format!("/{ID}/close-bundle"));
    check(&empty, "ok");
    check(&empty.clone().typed("application/json"), "ok");
    check(&empty.body(b"{}"), "unsupported_media_type");
    check(&Ask::new("POST", "/commits"), "unsupported_media_type");
    check(&Ask::new("POST", "/commits").typed("application/x-ndjson"), "ok");
    // Every line names its enclave, so that no path does.
    check(&Ask::new("POST", &format!("/{ID}/commits")).typed("application/x-ndjson"), "invalid_route");
}

#[test]
fn unknown_members_are_refused() {
    let world = World::new();
    for (name, ask) in asks(&format!("/{ID}")) {
        let mut more = ask.clone();
        if ask.line.method == "GET" || name == "restore" {
            let and = if ask.line.query.is_empty() { "" } else { "&" };
            more.line.query = format!("{}{and}x=1", ask.line.query);
        } else {
            let body = String::from_utf8(ask.body.clone()).expect("JSON");
            let comma = if body == "{}" { "" } else { "," };
            more.body = body.replacen('{', &format!(r#"{{"x":1{comma}"#), 1).into_bytes();
        }
        assert_eq!(told(&world, &more).0, "invalid_structure", "{name}");
        assert_eq!(told(&world, &ask).0, "ok", "{name}");
    }
}

#[test]
fn bodies_that_are_none() {
    let world = World::new();
    for (name, ask) in
        asks(&format!("/{ID}")).into_iter().filter(|(name, ask)| ask.line.method == "POST" && *name != "restore")
    {
        let rows: [(&[u8], &str); 8] = [
            (b"{", "invalid_json"),
            (b"\xff", "invalid_json"),
            (b"[]", "invalid_structure"),
            (b"null", "invalid_structure"),
            (b"1e5", "invalid_structure"),
            (br#"{"a":1,"\u0061":2}"#, "invalid_structure"),
            (br#"{"from":"\ud800"}"#, "invalid_structure"),
            (b"\xef\xbb\xbf{}", "invalid_json"),
        ];
        for (body, word) in rows {
            assert_eq!(told(&world, &ask.clone().body(body)).0, word, "{name} {body:?}");
        }
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        assert_eq!(told(&world, &ask.clone().body(deep.as_bytes())).0, "invalid_structure", "{name}");
    }
    check(&Ask::post("/", ""), "invalid_json");
    check(&Ask::post("/", "{}"), "invalid_structure");
}

#[test]
fn who_asks() {
    let session = "ab".repeat(68);
    let from = id("alice").hex();
    let claim = |members: String| {
        let ask = Ask::post(&format!("/{ID}/close-bundle"), &format!("{{{members}}}"));
        World::new().resolve(&ask).map(|resolved| match resolved {
            Resolved::Call(call) => call.claim,
            other => panic!("{other:?}"),
        })
    };
    let is = |claim: Result<Claim, service::resolve::Refusal>| match claim {
        Ok(Claim::Stranger) => "stranger".to_owned(),
        Ok(Claim::Session { from, token }) => format!("{} {}", from == id("alice"), token == session),
        Ok(other) => panic!("{other:?}"),
        Err(refusal) => refusal.rejection.code.as_str().to_owned(),
    };
    assert_eq!(is(claim(format!(r#""from":"{from}","session":"{session}""#))), "true true");
    assert_eq!(is(claim(format!(r#""from":"{from}""#))), "stranger", "`from` alone has no effect");
    assert_eq!(is(claim(format!(r#""session":"{session}""#))), "invalid_session");
    assert_eq!(is(claim(format!(r#""from":"{}","session":"{session}""#, from.to_uppercase()))), "invalid_session");
    assert_eq!(is(claim(r#""from":5"#.to_owned())), "invalid_structure");
    assert_eq!(is(claim(format!(r#""from":"{from}","session":5"#))), "invalid_structure");
    // The query string says nobody's session, the headers do.
    for (name, ask) in asks(&format!("/{ID}")).into_iter().filter(|(_, ask)| ask.line.method == "GET") {
        let mut ask = ask;
        ask.line.headers.from = Some(from.clone());
        let whole = ask.line.query.clone();
        ask.line.query = format!("{whole}&session={session}&from={from}");
        assert_eq!(told(&World::new(), &ask).0, "invalid_structure", "{name}");
        ask.line.query = whole;
        ask.line.headers.session = Some(session.clone());
        let claimed = resolved(&ask).claim != Claim::Stranger;
        assert_eq!(claimed, matches!(name, "info/enclave" | "snapshot"), "{name}");
    }
    let mut nameless = Ask::get(&format!("/{ID}/snapshot"));
    nameless.line.headers.session = Some(session.clone());
    check(&nameless, "invalid_session");
}

#[test]
fn query_strings() {
    let world = World::new();
    for (query, word) in [
        ("from=0&to=9007199254740991", "ok"),
        ("to=2&from=1", "ok"),
        ("from=%31&to=2", "ok"),
        ("&from=1&&to=2&", "ok"),
        ("from=1&to=9007199254740992", "invalid_structure"),
        ("from=01&to=2", "invalid_structure"),
        ("from=+1&to=2", "invalid_structure"),
        ("from=-1&to=2", "invalid_structure"),
        ("from=-0&to=2", "invalid_structure"),
        ("from=1e1&to=2", "invalid_structure"),
        ("from=%201&to=2", "invalid_structure"),
        ("from=&to=2", "invalid_structure"),
        ("from&to=2", "invalid_structure"),
        ("from=x&to=2", "invalid_structure"),
        ("from=\"1\"&to=2", "invalid_structure"),
        ("from=[]&to=2", "invalid_structure"),
        ("from=1", "invalid_structure"),
        ("from=1&to=2&to=2", "invalid_structure"),
        ("from=1&to=%2", "invalid_structure"),
        ("from=1&to=%zz", "invalid_structure"),
        ("from=1&to=%+1", "invalid_structure"),
        ("from=%ff&to=1", "invalid_structure"),
    ] {
        assert_eq!(told(&world, &Ask::get(&format!("/{ID}/consistency?{query}"))).0, word, "{query}");
    }
    assert!(parse_query("a=%e2%82%ac&b=").is_ok());
}

#[test]
fn proof_bodies() {
    let world = World::new();
    let event = format!(r#""event_id":"{OTHER}""#);
    let rows = [
        ("inclusion", format!("{{{event}}}"), "ok"),
        ("inclusion", format!(r#"{{{event},"tree_size":0}}"#), "ok"),
        ("inclusion", format!(r#"{{{event},"leaf_index":0}}"#), "invalid_structure"),
        ("inclusion", "{}".to_owned(), "invalid_structure"),
        ("inclusion", r#"{"leaf_index":-1}"#.to_owned(), "invalid_structure"),
        ("inclusion", r#"{"leaf_index":"0"}"#.to_owned(), "invalid_structure"),
        ("inclusion", r#"{"leaf_index":0,"tree_size":null}"#.to_owned(), "invalid_structure"),
        ("inclusion", format!(r#"{{"event_id":"{}"}}"#, OTHER.to_uppercase()), "invalid_structure"),
        ("bundle", "{}".to_owned(), "invalid_structure"),
        ("state", r#"{"namespace":3,"key":""}"#.to_owned(), "ok"),
        ("state", r#"{"namespace":4,"key":""}"#.to_owned(), "invalid_structure"),
        ("state", r#"{"namespace":256,"key":""}"#.to_owned(), "invalid_structure"),
        ("state", r#"{"namespace":0,"key":"a"}"#.to_owned(), "invalid_structure"),
        ("state", r#"{"namespace":0,"key":"AB"}"#.to_owned(), "invalid_structure"),
        ("state", format!(r#"{{"namespace":2,"key":"{}"}}"#, "ab".repeat(97)), "ok"),
        ("state", format!(r#"{{"namespace":2,"key":"{}"}}"#, "ab".repeat(98)), "invalid_structure"),
        ("state", r#"{"namespace":0}"#.to_owned(), "invalid_structure"),
        ("state-batch", r#"{"items":[]}"#.to_owned(), "ok"),
        ("state-batch", r#"{"items":{}}"#.to_owned(), "invalid_structure"),
        ("state-batch", r#"{"items":[{"namespace":0,"key":"","x":1}]}"#.to_owned(), "invalid_structure"),
        ("push", r#"{"url":null}"#.to_owned(), "ok"),
        ("push", "{}".to_owned(), "invalid_structure"),
        ("push", r#"{"url":5}"#.to_owned(), "invalid_structure"),
    ];
    for (action, body, word) in rows {
        let ask = Ask::post(&format!("/{ID}/{action}"), &body);
        assert_eq!(told(&world, &ask).0, word, "{action} {body}");
    }
    let items = |count: usize| vec![r#"{"namespace":0,"key":""}"#; count].join(",");
    for (count, word) in [(256, "ok"), (257, "limit_exceeded")] {
        let body = format!(r#"{{"items":[{}]}}"#, items(count));
        check(&Ask::post(&format!("/{ID}/state-batch"), &body), word);
    }
    let inclusion = resolved(&Ask::post(&format!("/{ID}/inclusion"), r#"{"leaf_index":3,"tree_size":7}"#)).action;
    assert!(matches!(inclusion, Action::Inclusion { of: InclusionOf::Leaf(3), tree_size: Some(7) }));
}

fn filter(text: &str) -> Result<Filter, Code> {
    Filter::parse(Some(json(text)), &Limits::default()).map_err(|refused| refused.code)
}

#[test]
fn filters() {
    let ids = |count: usize| format!("[{}]", vec![format!("\"{ID}\""); count].join(","));
    let numbers = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    let names = |count: usize| format!("[{}]", vec![r#""a""#; count].join(","));
    let tags = |count: usize| format!("[{}]", vec![r#"["a"]"#; count].join(","));
    let mut rows = vec![
        ("{}".to_owned(), None),
        (r#"{"limit":1}"#.to_owned(), None),
        (r#"{"limit":1000}"#.to_owned(), None),
        (r#"{"limit":1001}"#.to_owned(), Some(Code::LimitExceeded)),
        (r#"{"limit":0}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"limit":-1}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"limit":null}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"limit":"1"}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"reverse":1}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"unknown":1}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"id":"x"}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"id":["x"]}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"id":[]}"#.to_owned(), None),
        (r#"{"type":5}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"type":{}}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"seq":{}}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"seq":{"start_after":1,"start_at":1}}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"seq":{"end_before":1,"end_at":1}}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"seq":{"start_at":1,"x":1}}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"seq":{"start_at":"1"}}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"seq":-1}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"tags":"a"}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"tags":["a"]}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"tags":[[]]}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"tags":[["a","b","c"]]}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"tags":[["a",1]]}"#.to_owned(), Some(Code::InvalidStructure)),
        (r#"{"tags":[["a"],["b","c"]]}"#.to_owned(), None),
    ];
    for name in ["id", "hash", "from"] {
        rows.push((format!(r#"{{"{name}":{}}}"#, ids(256)), None));
        rows.push((format!(r#"{{"{name}":{}}}"#, ids(257)), Some(Code::LimitExceeded)));
        rows.push((format!(r#"{{"{name}":"{}"}}"#, ID.to_uppercase()), Some(Code::InvalidStructure)));
    }
    for name in ["seq", "timestamp"] {
        rows.push((format!(r#"{{"{name}":{}}}"#, numbers(256)), None));
        rows.push((format!(r#"{{"{name}":{}}}"#, numbers(257)), Some(Code::LimitExceeded)));
    }
    rows.push((format!(r#"{{"type":{}}}"#, names(257)), Some(Code::LimitExceeded)));
    rows.push((format!(r#"{{"tags":{}}}"#, tags(256)), None));
    rows.push((format!(r#"{{"tags":{}}}"#, tags(257)), Some(Code::LimitExceeded)));
    for (text, refused) in rows {
        assert_eq!(filter(&text).err(), refused, "{text}");
    }
    let seq = |text: &str| filter(&format!(r#"{{"seq":{text}}}"#)).expect("a filter").seq;
    assert_eq!(seq("7"), Some(Span::AnyOf(vec![7])));
    assert_eq!(seq(r#"{"start_after":7,"end_before":9}"#), Some(Span::Range(8, 8)));
    assert_eq!(seq(r#"{"start_at":7,"end_at":9}"#), Some(Span::Range(7, 9)));
    assert_eq!(seq(r#"{"end_before":0}"#), Some(Span::AnyOf(vec![])));
    assert_eq!(filter("{}").expect("a filter").limit, 100);
}

#[test]
fn pulls() {
    for (members, word) in [
        ("", "ok"),
        (r#","push_seq":{"start_after":0}"#, "ok"),
        (r#","push_seq":{}"#, "invalid_structure"),
        (r#","push_seq":5"#, "invalid_structure"),
        (r#","push_seq":{"start_after":0,"end_at":1}"#, "invalid_structure"),
        (r#","url":"https://a/","limit":1000"#, "ok"),
        (r#","url":null"#, "invalid_structure"),
        (r#","limit":1001"#, "limit_exceeded"),
        (r#","limit":0"#, "invalid_structure"),
        (r#","filter":{}"#, "invalid_structure"),
    ] {
        check(&Ask::post(&format!("/{ID}"), &format!(r#"{{"type":"Pull"{members}}}"#)), word);
    }
    check(&Ask::post(&format!("/{ID}"), r#"{"type":"Close"}"#), "invalid_structure");
}

fn message(content: &Json) -> String {
    let enclave = EnclaveId::parse(ID).expect("an id");
    Draft::new(enclave, "message", content, START).sign(&key("alice")).commit().to_json().to_jcs()
}

#[test]
fn commits() {
    let world = World::new();
    let whole = message(&Json::Null);
    let verdict = |text: &str| told(&world, &Ask::post("/", text)).0;
    assert_eq!(verdict(&whole), "ok");
    check(&Ask::post(&format!("/{ID}"), &whole), "ok");
    check(&Ask::post(&format!("/{OTHER}"), &whole), "invalid_structure");
    check(&Ask::post(&format!("/enclaves/{OTHER}/"), &whole), "invalid_structure");
    for (from, to) in [
        (r#""type":"message""#, r#""type":"mess age""#),
        (r#""type":"message""#, r#""type":"""#),
        (r#""type":"message""#, r#""type":5"#),
        (r#""content":null,"#, ""),
        (r#""content":null,"#, r#""content":null,"alg":"ed25519","#),
        (r#""content":null,"#, r#""content":null,"x":1,"#),
        (r#""content":null,"#, r#""content":1.5,"#),
        (r#""content":null,"#, r#""content":null,"tags":[[]],"#),
        (r#""content":null,"#, r#""content":null,"seq":1,"#),
        (r#""exp":1706000000000"#, r#""exp":-1"#),
        (r#""exp":1706000000000"#, r#""exp":null"#),
    ] {
        let altered = whole.replacen(from, to, 1);
        assert_ne!(altered, whole);
        assert_eq!(verdict(&altered), "invalid_structure", "{to}");
    }
    assert_eq!(verdict(&whole.replacen(r#""content":null,"#, r#""alg":"schnorr","content":null,"#, 1)), "ok");
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        whole.replacen("null", &format!("{open}{close}"), 1)
    };
    assert_eq!(verdict(&nested(55)), "ok");
    assert_eq!(verdict(&nested(56)), "invalid_structure");
}

#[test]
fn lines() {
    let world = World::new();
    let is_node_key = |_: &protocol::PublicKey| false;
    let resolver = service::resolve::Resolver { limits: &world.facts.limits, is_node_key: &is_node_key };
    let line = message(&Json::Null);
    let hash = line.split("\"hash\":\"").nth(1).map(|rest| rest[..64].to_owned()).expect("a hash");
    assert!(resolve_line(&resolver, line.as_bytes()).is_ok());
    let refused = |text: &str| {
        let (hash, refused) = resolve_line(&resolver, text.as_bytes()).expect_err("refused");
        (hash.map(|hash| hash.hex()), refused.code)
    };
    assert_eq!(refused(&line.replacen("null", "1.5", 1)), (None, Code::InvalidStructure));
    assert_eq!(refused(&line.replacen("\"type\"", "\"typo\"", 1)), (Some(hash), Code::InvalidStructure));
    assert_eq!(refused("{"), (None, Code::InvalidJson));
    assert_eq!(refused(&message(&Json::from("x".repeat(1 << 20)))), (None, Code::TooLarge));
}

#[test]
fn sizes() {
    let world = World::new();
    let limits = &world.facts.limits;
    let line = |ask: Ask| ask.line;
    assert_eq!(body_limit(limits, &line(Ask::post("/", ""))), (2 << 20) + (4 << 10));
    assert_eq!(body_limit(limits, &line(Ask::post(&format!("/{ID}/state"), ""))), 1 << 20);
    assert_eq!(body_limit(limits, &line(Ask::new("POST", &format!("/{ID}/restore")))), 64 << 20);
    assert_eq!(body_limit(limits, &line(Ask::new("POST", "/commits"))), 64 << 20);
    let room = (1 << 20) - message(&Json::from("")).len();
    check(&Ask::post("/", &message(&Json::from("x".repeat(room)))), "ok");
    check(&Ask::post("/", &message(&Json::from("x".repeat(room + 1)))), "too_large");
    let query = |spaces: usize| format!(r#"{{"type":"Query"{}}}"#, " ".repeat(spaces));
    let room = (1 << 20) - query(0).len();
    check(&Ask::post(&format!("/{ID}"), &query(room)), "ok");
    check(&Ask::post(&format!("/{ID}"), &query(room + 1)), "too_large");
    let state = |spaces: usize| format!(r#"{{"namespace":0,"key":""{}}}"#, " ".repeat(spaces));
    let room = (1 << 20) - state(0).len();
    check(&Ask::post(&format!("/{ID}/state"), &state(room)), "ok");
    check(&Ask::post(&format!("/{ID}/state"), &state(room + 1)), "too_large");
    check(&Ask::post("/", &" ".repeat((2 << 20) + (4 << 10) + 1)), "too_large");
    let key = |spaces: usize| {
        format!(r#"{{"enclave_id":"{ID}","sequencer_priv":"{}"{}}}"#, "44".repeat(32), " ".repeat(spaces))
    };
    check(&Ask::post(&format!("/{ID}/init-with-priv"), &key(0)), "ok");
    check(&Ask::post(&format!("/{ID}/init-with-priv"), &key(1 << 20)), "too_large");
}

#[test]
fn envelopes() {
    let nonce = "00".repeat(24);
    let sealed = |more: &str| {
        let (from, session) = (id("alice").hex(), "ab".repeat(68));
        format!(r#"{{"from":"{from}","session":"{session}","nonce":"{nonce}","ciphertext":"abcd"{more}}}"#)
    };
    let named = format!(r#","enclave":"{ID}""#);
    let world = World::new();
    for (path, more, word) in [
        (format!("/{ID}"), "", "ok"),
        (format!("/{ID}"), &named[..], "ok"),
        ("/".to_owned(), &named, "ok"),
        ("/".to_owned(), "", "invalid_structure"),
        (format!("/{OTHER}"), &named, "invalid_structure"),
        (format!("/{ID}"), r#","x":1"#, "invalid_structure"),
        (format!("/{ID}"), r#","type":"Query""#, "invalid_structure"),
    ] {
        let resolved = world.resolve(&Ask::post(&path, &sealed(more)));
        let got = match &resolved {
            Ok(Resolved::Envelope(request)) => {
                assert_eq!(request.enclave.hex(), ID);
                "ok"
            }
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => refusal.rejection.code.as_str(),
        };
        assert_eq!(got, word, "{path} {more}");
    }
    let upper = sealed("").replace("abcd", "ABCD");
    check(&Ask::post(&format!("/{ID}"), &upper), "invalid_structure");
}

#[test]
fn keys_to_be_provisioned() {
    let world = World::new();
    let secret = "44".repeat(32);
    let body = |more: &str| format!(r#"{{"enclave_id":"{ID}","sequencer_priv":"{secret}"{more}}}"#);
    let owner = format!(r#","owner":"{}""#, id("alice").hex());
    for path in
        ["/init-with-priv".to_owned(), format!("/{ID}/init-with-priv"), format!("/enclaves/{ID}/init-with-priv")]
    {
        let Ok(Resolved::Provision(provision)) = world.resolve(&Ask::post(&path, &body(&owner))) else {
            panic!("{path}")
        };
        assert_eq!((provision.enclave.hex().as_str(), provision.owner), (ID, Some(id("alice"))));
        assert_eq!(provision.secret, [0x44; 32]);
        assert!(!format!("{provision:?}").contains("44444444"), "a secret is never printed");
    }
    for (path, body, word) in [
        (format!("/{OTHER}/init-with-priv"), body(""), "invalid_structure"),
        (format!("/{ID}/init-with-priv"), body(r#","x":1"#), "invalid_structure"),
        (format!("/{ID}/init-with-priv"), body(r#","owner":null"#), "invalid_structure"),
        (format!("/{ID}/init-with-priv"), body("").replace("44444444", "4444"), "invalid_structure"),
    ] {
        check(&Ask::post(&path, &body), word);
    }
}

#[test]
fn restores() {
    let body = |target: &str| Ask::new("POST", target).typed("application/octet-stream").body(b"x");
    let of = |query: &str| match World::new().resolve(&body(&format!("/{ID}/restore{query}"))) {
        Ok(Resolved::Call(Call { action: Action::Restore(restore), .. })) => Ok(restore),
        Ok(other) => panic!("{other:?}"),
        Err(refusal) => Err(refusal.rejection.code),
    };
    let plain = of("").expect("a restore");
    assert_eq!((plain.manifest, plain.sequencer, plain.first), (None, None, service::call::TakeUp::No));
    let first = of("?first=true").expect("a restore");
    assert_eq!(first.first, service::call::TakeUp::Asserted, "what a caller says makes nothing live");
    let pinned = of(&format!("?manifest={OTHER}&sequencer={ID}")).expect("a restore");
    assert!(pinned.manifest.is_some() && pinned.sequencer.is_some());
    for query in ["?first=1", "?first=", "?manifest=x", "?sequencer=x", "?x=1", "?first=true&first=true"] {
        assert_eq!(of(query).err(), Some(Code::InvalidStructure), "{query}");
    }
}

#[test]
fn browsers() {
    let world = World::new();
    for (name, ask) in asks(&format!("/enclaves/{ID}")) {
        let open = name != "restore";
        assert_eq!(cross_origin(&ask.line), open, "{name}");
        for method in ["GET", "POST", "OPTIONS", "PUT"] {
            let asked = Ask {
                line: service::runtime::RequestLine { method: method.to_owned(), ..ask.line.clone() },
                ..ask.clone()
            };
            assert_eq!(cross_origin(&asked.line), open, "{method} {name}");
        }
        let preflight = Ask::new("OPTIONS", &ask.line.path);
        assert_eq!(told(&world, &preflight).0, if open { "ok" } else { "invalid_route" }, "{name}");
    }
    for path in ["/init-with-priv", "/restore"] {
        check(&Ask::new("OPTIONS", path), "invalid_route");
        assert!(!cross_origin(&Ask::new("OPTIONS", path).line));
    }
    check(&Ask::new("OPTIONS", "/nothing"), "invalid_route");
    assert!(matches!(world.resolve(&Ask::new("OPTIONS", "/")), Ok(Resolved::Preflight)));
}

#[test]
fn frames() {
    let world = World::new();
    let is_node_key = |_: &protocol::PublicKey| false;
    let resolver = service::resolve::Resolver { limits: &world.facts.limits, is_node_key: &is_node_key };
    let at = EnclaveId::parse(ID).expect("an id");
    let said = |at: Option<EnclaveId>, text: &str| match resolve_frame(&resolver, at, text.as_bytes()) {
        Ok(Frame::Subscribe { sub_id, call }) => {
            format!("subscribe {sub_id} {}", call.enclave == Some(EnclaveId::parse(ID).expect("an id")))
        }
        Ok(Frame::Commit(call)) => format!("commit {}", call.enclave.is_some()),
        Ok(Frame::Close { sub_id }) => format!("close {sub_id}"),
        Err(error) => format!(
            "{} {} {}",
            error.rejection.code.as_str(),
            error.sub_id.as_deref().unwrap_or("-"),
            if error.hash.is_some() { "hash" } else { "-" }
        ),
    };
    let named = format!(r#"{{"type":"Query","sub_id":"a","enclave":"{ID}","filter":{{}}}}"#);
    let elsewhere = named.replace(ID, OTHER);
    let commit = message(&Json::Null);
    for (at, text, expected) in [
        (Some(at), r#"{"type":"Query","sub_id":"a"}"#, "subscribe a true"),
        (None, &named, "subscribe a true"),
        (Some(at), &named, "subscribe a true"),
        (Some(at), &elsewhere, "invalid_structure a -"),
        (None, r#"{"type":"Query","sub_id":"a"}"#, "invalid_structure a -"),
        (Some(at), r#"{"type":"Query"}"#, "invalid_structure - -"),
        (Some(at), r#"{"type":"Query","sub_id":""}"#, "invalid_structure - -"),
        (Some(at), r#"{"type":"Query","sub_id":5}"#, "invalid_structure - -"),
        (Some(at), r#"{"type":"Query","sub_id":"a","filter":{"limit":1001}}"#, "limit_exceeded a -"),
        (Some(at), r#"{"type":"Query","sub_id":"a","x":1}"#, "invalid_structure a -"),
        (Some(at), r#"{"type":"Pull","sub_id":"a"}"#, "invalid_structure a -"),
        (Some(at), r#"{"type":"Event","sub_id":"a"}"#, "invalid_structure a -"),
        (Some(at), r#"{"type":"Close","sub_id":"a"}"#, "close a"),
        (Some(at), r#"{"type":"Close"}"#, "invalid_structure - -"),
        (Some(at), r#"{"type":"Close","sub_id":"a","x":1}"#, "invalid_structure - -"),
        (Some(at), "{", "invalid_json - -"),
        (Some(at), "[]", "invalid_structure - -"),
        (None, &commit, "commit true"),
        (Some(at), &commit, "commit true"),
        (Some(EnclaveId([1; 32])), &commit, "invalid_structure - hash"),
        (None, &commit.replacen("\"type\"", "\"typo\"", 1), "invalid_structure - hash"),
    ] {
        assert_eq!(said(at, text), expected, "{text}");
    }
    let long = "x".repeat(65);
    assert_eq!(said(Some(at), &format!(r#"{{"type":"Query","sub_id":"{long}"}}"#)), "invalid_structure - -");
    assert_eq!(said(None, &message(&Json::from("x".repeat(1 << 20)))), "too_large - -");
}

/// The document that describes the routes has each of them, and no other.
#[test]
fn openapi_has_every_route() {
    let world = World::new();
    let text = service::openapi::openapi(&world.facts).to_jcs();
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let mut operations = 0;
    for route in routes(&ENC_NODE) {
        let path = match route.path {
            "" => "/".to_owned(),
            "commits" => "/commits".to_owned(),
            path => format!("/enclaves/{{enclave}}/{}", path.replace('*', "{tile}")),
        };
        let method = if route.method == Method::Get { "get" } else { "post" };
        assert!(document["paths"][&path][method].is_object(), "{method} {path}");
        operations += 1;
    }
    let all =
        document["paths"].as_object().expect("paths").values().map(|path| path.as_object().expect("methods").len());
    assert_eq!(all.sum::<usize>(), operations);
    let codes = document["components"]["schemas"]["Error"]["properties"]["error"]["enum"].as_array().expect("codes");
    assert_eq!(codes.len(), Code::ALL.len());
}

/// The node tells of itself what its clients need.
#[test]
fn node_info() {
    let world = World::new();
    let told = world.request(&Ask::get("/"));
    let info = told.expect(200).value();
    assert_eq!(info["sequencer"], world.facts.sequencer.hex());
    assert_eq!((&info["enc_v"], &info["time"]), (&serde_json::json!([2]), &serde_json::json!(START)));
    for member in ["name", "version", "heads_vkey", "services", "limits"] {
        assert!(!info[member].is_null(), "{member}");
    }
    let enclave = world.begin(&template("open"));
    for path in ["sth", "checkpoint", "info/manifest", "info/enclave"] {
        world.request(&Ask::get(&format!("/{}/{path}", enclave.hex()))).expect(200);
        world.request(&Ask::get(&format!("/{ID}/{path}"))).refused("enclave_not_found");
    }
}

/// The inside of an envelope: what may stand there, and that it says of itself nothing else than the outside.
#[test]
fn opened_envelopes() {
    use protocol::transport::{Nonce, OpenedRequest, SealedRequest};
    let world = World::new();
    let is_node_key = |_: &protocol::PublicKey| false;
    let resolver = service::resolve::Resolver { limits: &world.facts.limits, is_node_key: &is_node_key };
    let enclave = EnclaveId::parse(ID).expect("an id");
    let session = "ab".repeat(68);
    let outer = SealedRequest {
        enclave,
        from: id("alice"),
        session: session.clone(),
        nonce: Nonce([0; 24]),
        ciphertext: vec![],
    };
    let opened = |time: u64, request: &str| {
        let opened = OpenedRequest { time, request: json(request) };
        service::resolve::resolve_opened(&resolver, &outer, opened, START)
    };
    let word = |request: &str| match opened(START, request) {
        Ok(call) => {
            assert_eq!(call.enclave, Some(enclave));
            let commit = matches!(call.action, Action::Commit(_));
            assert_eq!(call.claim, if commit { Claim::Stranger } else { Claim::Envelope { from: id("alice") } });
            call.admission().name()
        }
        Err(refused) => refused.code.as_str().to_owned(),
    };
    let commit_by = |name: &str, enclave: &str| {
        let enclave = EnclaveId::parse(enclave).expect("an id");
        Draft::new(enclave, "message", &Json::Null, START).sign(&key(name)).commit().to_json().to_jcs()
    };
    let named = |enclave: &str, from: &str| format!(r#"{{"type":"Query","enclave":"{enclave}","from":"{from}"}}"#);
    let alice = id("alice").hex();
    for (request, expected) in [
        (r#"{"type":"Query"}"#.to_owned(), "query"),
        (r#"{"type":"Query","filter":{"limit":5}}"#.to_owned(), "query"),
        (r#"{"type":"Pull","limit":5}"#.to_owned(), "pull"),
        (r#"{"action":"state","namespace":0,"key":""}"#.to_owned(), "proof"),
        (r#"{"action":"state-batch","items":[]}"#.to_owned(), "proof"),
        (r#"{"action":"inclusion","leaf_index":0}"#.to_owned(), "proof"),
        (format!(r#"{{"action":"bundle","event_id":"{ID}"}}"#), "proof"),
        (named(ID, &alice), "query"),
        (format!(r#"{{"type":"Query","session":"{session}"}}"#), "query"),
        (commit_by("alice", ID), "commit:message"),
        (commit_by("bob", ID), "invalid_structure"),
        (commit_by("alice", OTHER), "invalid_structure"),
        (named(OTHER, &alice), "invalid_structure"),
        (named(ID, &id("bob").hex()), "invalid_structure"),
        (format!(r#"{{"type":"Query","session":"{}"}}"#, "cd".repeat(68)), "invalid_structure"),
        (r#"{"action":"push","url":null}"#.to_owned(), "invalid_structure"),
        (r#"{"action":"close-bundle"}"#.to_owned(), "invalid_structure"),
        (r#"{"action":5}"#.to_owned(), "invalid_structure"),
        (r#"{"action":"state","namespace":0,"key":"","x":1}"#.to_owned(), "invalid_structure"),
        (r#"{"type":"Query","x":1}"#.to_owned(), "invalid_structure"),
        (r#"{"ciphertext":"ab"}"#.to_owned(), "invalid_structure"),
        ("[]".to_owned(), "invalid_structure"),
        ("{}".to_owned(), "invalid_structure"),
    ] {
        assert_eq!(word(&request), expected, "{request}");
    }
    for (time, code) in [
        (START - 60_000, None),
        (START + 60_000, None),
        (START - 60_001, Some(Code::Expired)),
        (START + 60_001, Some(Code::Expired)),
    ] {
        assert_eq!(opened(time, r#"{"type":"Query"}"#).err().map(|refused| refused.code), code, "{time}");
    }
}
