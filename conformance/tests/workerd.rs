//! The walking skeleton that stayed: one script of requests, answered natively and by the same services as WebAssembly in a real Durable
//! Object. Every answer must be the same bytes.

use conformance::people::{commit, create, json, key, token};
use conformance::workerd::Workerd;
use encd::clock::Clock;
use encd::keys::KeyStore;
use encd::sqlite::{Access, Capabilities, Effects, SqlRuntime};
use protocol::{EnclaveId, Json, PublicKey};
use rusqlite::Connection;
use service::Response;
use service::cache::Cache;
use service::call::Outcome;
use service::resolve::{Resolved, Resolver, resolve};
use service::runtime::{Headers, Limits, NodeFacts, RequestLine};
use std::cell::RefCell;
use std::sync::Arc;

const CLOCK_MS: u64 = 1_706_000_000_000;
const SECRET: u8 = 0x44;
const NAME: &str = "skeleton";

/// One request of the script.
struct Ask {
    method: &'static str,
    path: String,
    body: String,
    session: Option<(PublicKey, String)>,
}

struct Native {
    connection: Connection,
    capabilities: Capabilities,
    cache: Cache,
    facts: NodeFacts,
    _keys: tempfile::TempDir,
}

impl Native {
    fn new() -> Native {
        let keys = tempfile::tempdir().expect("a folder for keys");
        std::fs::write(keys.path().join("node.key"), protocol::ids::hex(&[SECRET; 32])).expect("the node's key");
        let store = KeyStore::open(keys.path(), NAME).expect("a key store");
        let connection = Connection::open_in_memory().expect("SQLite in memory");
        for statement in service::node::schema() {
            connection.execute(statement, ()).expect("the tables");
        }
        connection
            .execute("CREATE TABLE host_alarms (enclave BLOB PRIMARY KEY, at INTEGER NOT NULL) STRICT", ())
            .expect("the host's own table");
        let facts = NodeFacts {
            name: NAME.into(),
            version: "0.1.0".into(),
            sequencer: store.node(),
            heads_vkey: String::new(),
            services: vec!["enc-node"],
            limits: Limits::default(),
            require_encryption: false,
            push_loopback: false,
        };
        let capabilities = Capabilities { keys: Arc::new(store), clock: Clock::new(|| CLOCK_MS) };
        Native { connection, capabilities, cache: Cache::writer(8), facts, _keys: keys }
    }

    fn answer(&mut self, ask: &Ask) -> Response {
        let (path, query) = ask.path.split_once('?').unwrap_or((&ask.path, ""));
        let (from, session) = ask.session.clone().unzip();
        let line = RequestLine {
            method: ask.method.into(),
            path: path.into(),
            query: query.into(),
            headers: Headers {
                content_type: (!ask.body.is_empty()).then(|| "application/json".into()),
                from: from.map(|from| from.hex()),
                session,
            },
        };
        let node = self.facts.sequencer;
        let resolver = Resolver { limits: &self.facts.limits, is_node_key: &|key| *key == node };
        let call = match resolve(&resolver, &line, false, ask.body.as_bytes()) {
            Ok(Resolved::Call(call)) => call,
            Ok(other) => panic!("the script asks for nothing else: {other:?}"),
            Err(refusal) => return refusal.response(),
        };
        let effects = RefCell::new(Effects::default());
        let runtime = SqlRuntime::new(&self.connection, &self.capabilities, Access::Write, &effects);
        match service::node::run(&runtime, &mut self.cache, &self.facts, &call, false).expect("no fault") {
            Outcome::Done(response) | Outcome::Undone(response) => response.nameless(),
            Outcome::Parked { .. } => panic!("nothing in the script waits"),
        }
    }
}

fn ask_worker(url: &str, ask: &Ask) -> (u16, String, Vec<u8>) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = ureq::http::Request::builder().method(ask.method).uri(format!("{url}{}", ask.path));
    if !ask.body.is_empty() {
        request = request.header("Content-Type", "application/json");
    }
    if let Some((from, session)) = &ask.session {
        request = request.header("X-Enc-From", from.hex()).header("X-Enc-Session", session);
    }
    let request = request.body(ask.body.clone()).expect("a valid request");
    let mut response = agent.run(request).expect("workerd answers");
    let content_type =
        response.headers().get("Content-Type").and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    let body = response.body_mut().read_to_vec().expect("a whole answer");
    (response.status().as_u16(), content_type, body)
}

/// The script: a life of a small enclave, proofs of it, and refusals.
fn script(sequencer: &PublicKey) -> Vec<Ask> {
    let (alice, bob) = (key(1), key(2));
    let manifest = create(sequencer, &alice, CLOCK_MS + 60_000);
    let enclave = manifest.enclave;
    let exp = CLOCK_MS + 60_000;
    let post = |path: &str, body: String| Ask {
        method: "POST",
        path: format!("/enclaves/{enclave}{path}"),
        body,
        session: None,
    };
    let get = |path: &str| Ask {
        method: "GET",
        path: format!("/enclaves/{enclave}{path}"),
        body: String::new(),
        session: None,
    };
    let said = |commit: protocol::Commit| post("", commit.to_json().to_jcs());
    let (who, session) = (alice.public(), token(&alice, sequencer, CLOCK_MS));
    let asked = |members: &str| format!(r#"{{"from":"{who}","session":"{session}",{members}}}"#);
    let mut wrong_hash = commit(enclave, &bob, "message", r#""altered""#, exp);
    wrong_hash.content = r#""Altered""#.into();
    let message = commit(enclave, &bob, "message", r#"{"text":"žluť 🐎"}"#, exp);
    let query = asked(r#""type":"Query","filter":{"limit":2}"#);
    vec![
        get("/sth"),
        said(manifest.clone()),
        said(commit(enclave, &alice, "Move", &format!(r#"{{"target":"{}","to":"MEMBER"}}"#, bob.public()), exp)),
        said(message.clone()),
        said(message),
        said(commit(enclave, &key(3), "message", "1", exp)),
        said(wrong_hash),
        said(commit(enclave, &alice, "Shared", r#"{"key":"topic","value":[1,2,{"a":null}]}"#, exp)),
        said(commit(enclave, &bob, "message", "0", CLOCK_MS - 70_000)),
        said(manifest),
        get("/sth"),
        get("/checkpoint"),
        get("/info/manifest"),
        Ask { session: Some((who, session.clone())), ..get("/info/enclave") },
        get("/consistency?from=1&to=2"),
        get("/tile/0/000.p/2"),
        get("/tile/entries/000.p/2"),
        get("/tile/0/000"),
        post("", query),
        post("/inclusion", asked(r#""leaf_index":1"#)),
        post("/state", asked(&format!(r#""namespace":0,"key":"{}""#, bob.public()))),
        post("/state-batch", asked(r#""items":[{"namespace":3,"key":"6c6966656379636c65"}]"#)),
        post("/state", format!(r#"{{"from":"{who}","session":"{session}","namespace":9,"key":""}}"#)),
        get("/nothing"),
        post("/sth", "{}".into()),
        post("", "{".into()),
        said(commit(enclave, &alice, "Terminate", "{}", exp)),
        said(commit(enclave, &bob, "message", "2", exp)),
    ]
}

#[test]
fn native_and_durable_object_answer_the_same_bytes() {
    let mut native = Native::new();
    let sequencer = native.facts.sequencer;
    let workerd = Workerd::start(&protocol::ids::hex(&[SECRET; 32]), NAME, CLOCK_MS);
    let (mut accepted, mut refused) = (0, 0);
    for (place, ask) in script(&sequencer).iter().enumerate() {
        let here = native.answer(ask);
        let (status, content_type, body) = ask_worker(&workerd.url, ask);
        let step = format!("request {place}: {} {} {}", ask.method, ask.path, ask.body);
        assert_eq!(here.status, status, "{step}\n{}", String::from_utf8_lossy(&body));
        assert_eq!(here.content_type, content_type, "{step}");
        assert_eq!(String::from_utf8_lossy(&here.body), String::from_utf8_lossy(&body), "{step}");
        if status == 200 { accepted += 1 } else { refused += 1 }
    }
    assert_eq!((accepted, refused), (16, 12), "the script is to reach both kinds of answers");
}

#[test]
fn the_module_imports_the_runtime_and_nothing_else() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../workers/build/guest.wasm");
    let module = std::fs::read(path).expect("run `cargo xtask workers` first: workers/build is not there");
    let mut imports = imports(&module);
    imports.sort();
    let expected = [
        "accept_ws",
        "fetch",
        "get_body",
        "get_path",
        "host_mac",
        "host_random",
        "host_sign_log",
        "host_sign_seq",
        "now",
        "respond",
        "send_ws",
        "set_alarm",
        "sql_exec",
        "sql_query",
    ];
    // What no service calls yet, the linker leaves out; nothing else may be there.
    for import in &imports {
        assert!(expected.iter().any(|name| import == &format!("enc.{name}")), "{import} is no method of the Runtime");
    }
    for needed in ["sql_exec", "sql_query", "respond", "get_body", "get_path", "now", "set_alarm", "host_sign_seq"] {
        assert!(imports.contains(&format!("enc.{needed}")), "{needed} is imported");
    }
}

/// `module.name` of each function import of a wasm module.
fn imports(module: &[u8]) -> Vec<String> {
    let mut at = 8;
    while at < module.len() {
        let (section, mut inside) = (module[at], at + 1);
        let len = leb(module, &mut inside);
        if section == 2 {
            let count = leb(module, &mut inside);
            return (0..count).map(|_| import(module, &mut inside)).collect();
        }
        at = inside + len;
    }
    Vec::new()
}

fn import(module: &[u8], at: &mut usize) -> String {
    let mut name = || {
        let len = leb(module, at);
        let text = String::from_utf8_lossy(&module[*at..*at + len]).into_owned();
        *at += len;
        text
    };
    let full = format!("{}.{}", name(), name());
    assert_eq!(module[*at], 0, "{full} is no function");
    *at += 1;
    leb(module, at);
    full
}

fn leb(bytes: &[u8], at: &mut usize) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

#[test]
fn the_script_asks_for_an_enclave_that_derives_from_its_manifest() {
    let (sequencer, owner) = (key(SECRET).public(), key(1));
    let commit = create(&sequencer, &owner, CLOCK_MS);
    let enclave: EnclaveId = commit.enclave;
    assert_eq!(commit.verify().map(|verified| verified.derived_enclave()), Ok(enclave));
    assert_eq!(json("[]"), Json::Array(Vec::new()));
}
