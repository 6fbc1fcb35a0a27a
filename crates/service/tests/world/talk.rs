//! Requests as they come over the network, and answers as tests look at them.

use super::{World, id};
use protocol::{Code, EnclaveId, EventId, Json, Receipt};
use serde_json::Value;
use service::Call;
use service::call::{Claim, Response};
use service::resolve::{self, Refusal, Resolved, Resolver};
use service::runtime::RequestLine;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub status: u16,
    pub body: Vec<u8>,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
}

impl From<Response> for Told {
    fn from(response: Response) -> Told {
        let Response { status, headers, content_type, body } = response;
        if content_type == "application/json" && status != 204 {
            let parsed = protocol::json::parse(&body, 64).expect("an answer is within its own rules");
            assert_eq!(parsed.to_jcs().as_bytes(), body, "an answer is written in canonical form");
        }
        Told { status, body, content_type, headers }
    }
}

impl Told {
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub fn json(&self) -> Json {
        protocol::json::parse(&self.body, 64).expect("JSON")
    }

    /// The code of a refusal, with its status checked.
    pub fn code(&self) -> Option<String> {
        if self.status == 200 {
            return None;
        }
        let value = self.value();
        let code = value["error"].as_str().expect("a code").to_owned();
        let known = Code::ALL.iter().find(|known| known.as_str() == code).expect("a code of the protocol");
        assert_eq!(value["message"], known.message(), "one fixed sentence a code");
        Some(code)
    }

    /// `ok`, or the code.
    pub fn word(&self) -> String {
        self.code().unwrap_or_else(|| "ok".to_owned())
    }

    #[track_caller]
    pub fn expect(&self, status: u16) -> &Told {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    #[track_caller]
    pub fn refused(&self, code: &str) -> &Told {
        assert_eq!(self.word(), code, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    #[track_caller]
    pub fn receipt(&self) -> Receipt {
        Receipt::from_json(self.expect(200).json()).expect("a receipt")
    }

    #[track_caller]
    pub fn event_id(&self) -> EventId {
        self.receipt().id
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// A request being written.
#[derive(Clone, Debug)]
pub struct Ask {
    pub line: RequestLine,
    pub body: Vec<u8>,
    pub upgrade: bool,
    pub admin: bool,
}

impl Ask {
    pub fn new(method: &str, target: &str) -> Ask {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let line = RequestLine {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            ..Default::default()
        };
        Ask { line, body: Vec::new(), upgrade: false, admin: false }
    }

    pub fn get(target: &str) -> Ask {
        Ask::new("GET", target)
    }

    /// A POST of JSON.
    pub fn post(target: &str, body: &str) -> Ask {
        Ask::new("POST", target).typed("application/json").body(body.as_bytes())
    }

    pub fn typed(mut self, content_type: &str) -> Ask {
        self.line.headers.content_type = Some(content_type.to_owned());
        self
    }

    pub fn body(mut self, body: &[u8]) -> Ask {
        self.body = body.to_vec();
        self
    }

    /// With a session in the two headers.
    pub fn claimed(mut self, claim: &Claim) -> Ask {
        let Claim::Session { from, token } = claim else { panic!("no session") };
        self.line.headers.from = Some(from.hex());
        self.line.headers.session = Some(token.clone());
        self
    }

    pub fn admin(mut self) -> Ask {
        self.admin = true;
        self
    }

    pub fn upgraded(mut self) -> Ask {
        self.upgrade = true;
        self
    }
}

impl World {
    pub fn resolve(&self, ask: &Ask) -> Result<Resolved, Refusal> {
        let is_node_key = |key: &protocol::PublicKey| self.is_node_key(key);
        let resolver = Resolver { limits: &self.facts.limits, is_node_key: &is_node_key };
        resolve::resolve(&resolver, &ask.line, ask.upgrade, &ask.body)
    }

    /// A request from its bytes to its answer.
    pub fn request(&self, ask: &Ask) -> Told {
        match self.resolve(ask) {
            Err(refusal) => Told::from(refusal.response()),
            Ok(Resolved::Call(mut call)) => {
                if ask.admin {
                    call.claim = Claim::Admin;
                }
                self.call(&call)
            }
            Ok(other) => panic!("no call: {other:?}"),
        }
    }

    /// The call that a request is.
    pub fn resolved(&self, ask: &Ask) -> Call {
        match self.resolve(ask) {
            Ok(Resolved::Call(call)) => call,
            other => panic!("no call: {other:?}"),
        }
    }

    /// A POST of members, with a session of `name` in the body.
    pub fn post_as(&self, enclave: &EnclaveId, name: &str, action: &str, members: &str) -> Told {
        let Claim::Session { token, .. } = self.session(name) else { unreachable!("a session") };
        let comma = if members.is_empty() { "" } else { "," };
        let body = format!(r#"{{"from":"{}","session":"{token}"{comma}{members}}}"#, id(name).hex());
        self.request(&Ask::post(&format!("/enclaves/{}/{action}", enclave.hex()), &body))
    }

    /// A Query of `name`, or of nobody.
    pub fn query(&self, enclave: &EnclaveId, name: Option<&str>, filter: &str) -> Told {
        let who = match name.map(|name| (name, self.session(name))) {
            Some((name, Claim::Session { token, .. })) => {
                format!(r#""from":"{}","session":"{token}","#, id(name).hex())
            }
            _ => String::new(),
        };
        let body = format!(r#"{{"type":"Query",{who}"enclave":"{}","filter":{filter}}}"#, enclave.hex());
        self.request(&Ask::post("/", &body))
    }
}
