//! A node in this process on free ports, and what a test says to it over real HTTP.

use encd::clock::Clock;
use encd::config::Config;
use encd::server::{GRACE, Server};
use protocol::commit::Draft;
use protocol::schnorr::KeyPair;
use protocol::{EnclaveId, Json, PublicKey, VerifiedCommit, json};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;

/// A node that is stopped when it goes out of scope.
pub struct Running {
    runtime: Runtime,
    server: Option<Server>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A node that keeps nothing, on free ports.
pub fn config() -> Config {
    let mut config = Config { memory: true, ..Config::default() };
    config.listen.public = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    config.listen.admin = SocketAddr::from(([127, 0, 0, 1], 0));
    config
}

impl Running {
    pub fn start(config: Config) -> Running {
        let runtime = Runtime::new().expect("a runtime");
        let server = runtime.block_on(Server::start(config, Clock::system())).expect("the node starts");
        Running { runtime, server: Some(server) }
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs until it is dropped")
    }

    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server().public()[0])
    }

    pub fn sequencer(&self) -> PublicKey {
        self.server().host().keys.node()
    }

    pub fn get(&self, path: &str) -> Answer {
        get(&self.url(path))
    }

    pub fn post(&self, path: &str, body: &Json) -> Answer {
        post(&self.url(path), &[("content-type", "application/json")], body.to_jcs().as_bytes())
    }

    /// Sends a commit; answers the receipt's or the refusal's JSON.
    pub fn commit(&self, commit: &VerifiedCommit) -> Answer {
        self.post("/", &commit.commit().to_json())
    }

    /// Makes an enclave that everybody reads and its owner writes `note` in.
    pub fn create(&self, owner: &KeyPair, nonce: &str) -> EnclaveId {
        let manifest = manifest(owner, &self.sequencer(), nonce, 5_000);
        let answer = self.commit(&manifest);
        assert_eq!(answer.status, 200, "{}", answer.text());
        manifest.commit().enclave
    }

    pub fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop(GRACE));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Json {
        json::parse(&self.body, json::MAX_DEPTH).expect("the answer is JSON")
    }

    pub fn code(&self) -> String {
        self.json().member("error").and_then(Json::as_text).unwrap_or("").to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

pub fn get(url: &str) -> Answer {
    let request = agent().get(url).call();
    read(request.expect("the node answers"))
}

pub fn post(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    try_post(url, headers, body).expect("the node answers")
}

pub fn try_post(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, ureq::Error> {
    let mut request = agent().post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send(body).map(read)
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent()
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
    Answer {
        status: response.status().as_u16(),
        headers: headers.collect(),
        body: response.body_mut().with_config().limit(64 << 20).read_to_vec().expect("the answer arrives whole"),
    }
}

pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("before the year 500 million")
}

pub fn key(seed: u8) -> KeyPair {
    KeyPair::from_secret(&[seed; 32]).expect("a small scalar is a key")
}

pub fn text(value: &str) -> Json {
    Json::from(value)
}

pub fn manifest(owner: &KeyPair, sequencer: &PublicKey, nonce: &str, timeout_ms: u64) -> VerifiedCommit {
    let reader = Json::object([("type", text("Public")), ("reads", text("*"))]);
    let custom = Json::object([
        ("event", text("note")),
        ("operator", text("MEMBER")),
        ("ops", Json::Array(vec![text("C"), text("U"), text("D")])),
    ]);
    let first = Json::object([
        ("identity", text(&owner.public().hex())),
        ("state", text("MEMBER")),
        ("traits", Json::Array(vec![text("owner")])),
    ]);
    let rbac = Json::object([
        ("states", Json::Array(vec![text("MEMBER")])),
        ("traits", Json::Array(vec![text("owner(0)")])),
        ("readers", Json::Array(vec![reader])),
        ("customs", Json::Array(vec![custom])),
        ("init", Json::Array(vec![first])),
    ]);
    let content = Json::object([
        ("enc_v", Json::from(2)),
        ("sequencer", text(&sequencer.hex())),
        ("bundle", Json::object([("size", Json::from(256)), ("timeout", Json::from(timeout_ms))])),
        ("RBAC", rbac),
    ]);
    Draft::manifest(owner, &content, vec![vec!["nonce".into(), nonce.into()]], now() + 60_000).sign(owner)
}

pub fn note(author: &KeyPair, enclave: EnclaveId, said: &str) -> VerifiedCommit {
    Draft::new(enclave, "note", &text(said), now() + 60_000).sign(author)
}
