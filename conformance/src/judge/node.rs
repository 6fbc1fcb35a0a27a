//! The node that is judged, and what the judge was told of it.

use super::why::{Because, Why};
use crate::wire::{Answer, Ask, Connection};
use protocol::{Json, PublicKey, json};
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

/// How often a request is sent again where the node says that it has too much to do.
const PATIENT_TRIES: usize = 6;
/// The longest that one such pause may take.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Where a node is: `http://host:port`, and a path before all others where it is mounted at one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `host:port`.
    pub authority: String,
    /// Nothing, or a path without a slash at its end.
    pub prefix: String,
}

/// The text is no address that the judge can dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAnAddress(String);

/// A node, and what the judge may do there.
pub struct Subject {
    /// Where it is.
    pub address: Address,
    /// The operator's token, where it was given.
    pub token: Option<String>,
    /// The node has no token, and the judge stands on its machine.
    pub is_local: bool,
    /// The host under which the node may dial the judge's endpoints.
    pub push_host: Option<String>,
    /// Differs from run to run, so that a node can be judged twice.
    pub run: [u8; 32],
    sequencer: OnceLock<Result<PublicKey, Why>>,
    limits: OnceLock<Json>,
}

impl Address {
    /// Reads `http://host[:port][/prefix]`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(url: &str) -> Result<Address, NotAnAddress> {
        let rest =
            url.strip_prefix("http://").ok_or_else(|| NotAnAddress(format!("{url} does not begin with http://")))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.is_empty() || authority.contains('@') {
            return Err(NotAnAddress(format!("{url} names no host")));
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let path = path.trim_end_matches('/');
        let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Address { authority, prefix })
    }
}

impl fmt::Display for NotAnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotAnAddress {}

impl Subject {
    /// A node of which nothing is known but its address.
    pub fn at(address: Address) -> Subject {
        let mut run = [0; 32];
        getrandom::fill(&mut run).expect("the machine has random bytes");
        let (sequencer, limits) = (OnceLock::new(), OnceLock::new());
        Subject { address, token: None, is_local: false, push_host: None, run, sequencer, limits }
    }

    /// Whether somebody listens there at all.
    ///
    /// # Errors
    /// What the machine says.
    pub fn reach(&self) -> std::io::Result<()> {
        Connection::open(&self.address.authority).map(drop)
    }

    /// One request on a connection of its own. A node that asks for patience is given some.
    ///
    /// # Errors
    /// Where no whole answer comes.
    pub fn ask(&self, ask: &Ask) -> Result<Answer, Why> {
        let mut ask = ask.clone().header("Connection", "close");
        ask.target = self.target(&ask.target);
        for _ in 1..PATIENT_TRIES {
            let answer = self.ask_once(&ask)?;
            let pause = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
            match (answer.status, pause) {
                (429 | 503, Some(seconds)) => std::thread::sleep(Duration::from_secs(seconds).min(MAX_PAUSE)),
                _ => return Ok(answer),
            }
        }
        self.ask_once(&ask)
    }

    /// A path as it stands in a request to this node.
    pub fn target(&self, path: &str) -> String {
        match (self.address.prefix.as_str(), path) {
            (prefix, "/") if !prefix.is_empty() => prefix.to_owned(),
            (prefix, path) => format!("{prefix}{path}"),
        }
    }

    fn ask_once(&self, ask: &Ask) -> Result<Answer, Why> {
        let answer = Connection::open(&self.address.authority).and_then(|mut connection| connection.ask(ask));
        answer.because(format!("{} {:.100}", ask.method, ask.target))
    }

    /// The key that the node says it sequences new enclaves with.
    ///
    /// # Errors
    /// Where it says none.
    pub fn sequencer(&self) -> Result<PublicKey, Why> {
        self.sequencer.get_or_init(|| self.read_sequencer()).clone()
    }

    fn read_sequencer(&self) -> Result<PublicKey, Why> {
        let info = parse(&self.ask(&Ask::get("/"))?)?;
        let key = info.member("sequencer").and_then(Json::as_text).because("sequencer in GET /")?;
        PublicKey::parse(key).because("sequencer in GET /")
    }

    /// A limit by the name it has in `GET /`, or the specification's own where the node states none.
    pub fn limit(&self, name: &str, by_default: u64) -> u64 {
        let limits = self.limits.get_or_init(|| {
            let info = self.ask(&Ask::get("/")).and_then(|answer| parse(&answer));
            info.ok().and_then(|info| info.member("limits").cloned()).unwrap_or(Json::Null)
        });
        limits.member(name).and_then(Json::as_uint).unwrap_or(by_default)
    }
}

/// The JSON of an answer. That it stands in canonical form is a check of its own.
///
/// # Errors
/// Where it is none.
pub fn parse(answer: &Answer) -> Result<Json, Why> {
    json::parse(&answer.body, json::MAX_DEPTH).because(format!("JSON in {} {:.200}", answer.status, answer.text()))
}
