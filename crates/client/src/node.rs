//! A node as a client meets it.

use crate::error::{Answer, Error, Falsehood};
use crate::link::{Link, Reply};
use protocol::fields::{Fields, wrong};
use protocol::{Json, PublicKey, Rejection};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The protocol version that this client speaks.
pub const ENC_V: u64 = 2;
/// How far a node's clock may be from the client's, milliseconds.
pub const CLOCK_TOLERANCE_MS: u64 = 60_000;

/// A connection to a node. Clones share it.
#[derive(Clone)]
pub struct Node {
    pub(crate) link: Link,
    clock: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// What a node says of itself. Nothing of it is proved; an enclave's Manifest says which key sequences it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its name.
    pub name: String,
    /// Version of its software.
    pub version: String,
    /// SHA-256 of its kernel's module, where it runs one.
    pub kernel: Option<[u8; 32]>,
    /// Protocol versions.
    pub enc_v: Vec<u64>,
    /// The key that sequences enclaves made there.
    pub sequencer: PublicKey,
    /// Verifier key of its heads log.
    pub heads_vkey: String,
    /// Services.
    pub services: Vec<String>,
    /// Limits by name.
    pub limits: Vec<(String, u64)>,
    /// Its clock, milliseconds.
    pub time: u64,
}

impl Node {
    /// A node at an `http` or `https` address; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn at(url: &str) -> Result<Node, Error> {
        Ok(Node { link: Link::new(url)?, clock: Arc::new(system_clock) })
    }

    /// A node that answers and speaks this protocol.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Unreachable`], [`Error::False`].
    pub fn connect(url: &str) -> Result<Node, Error> {
        let node = Node::at(url)?;
        node.info()?;
        Ok(node)
    }

    /// The same node, with another clock: milliseconds since the epoch.
    pub fn with_clock(self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Node {
        Node { clock: Arc::new(clock), ..self }
    }

    /// The same node, asked with a token that its operator has given (`Authorization: Bearer`).
    pub fn with_bearer(self, token: &str) -> Node {
        Node { link: self.link.with_bearer(token), ..self }
    }

    /// A node at another address, asked by the same clock and under the same name; a token of this one is not taken along.
    pub(crate) fn elsewhere(&self, url: &str) -> Result<Node, Error> {
        let node = Node { link: Link::new(url)?, clock: Arc::clone(&self.clock) };
        node.link.name_caller(&self.link.caller());
        Ok(node)
    }

    /// Its address, without a slash at its end.
    pub fn url(&self) -> &str {
        self.link.base()
    }

    /// The client's clock.
    pub fn now(&self) -> u64 {
        (self.clock)()
    }

    /// What `User-Agent` says on this connection from here on.
    pub fn name_caller(&self, name: &str) {
        self.link.name_caller(name);
    }

    /// Asks what the node is.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::False`] for another shape, another protocol, or a clock that is over a minute off.
    pub fn info(&self) -> Result<NodeInfo, Error> {
        let shape = Falsehood::Shape(Answer::NodeInfo);
        let value = self.link.get("/", &[])?.json(Answer::NodeInfo)?;
        let info = NodeInfo::from_json(value).map_err(|_| shape.clone())?;
        if !info.enc_v.contains(&ENC_V) {
            return Err(shape.into());
        }
        let own = self.now();
        if info.time.abs_diff(own) > CLOCK_TOLERANCE_MS {
            return Err(Falsehood::Clock { given: info.time, own }.into());
        }
        Ok(info)
    }

    pub(crate) fn post(&self, path: &str, body: &Json) -> Result<Reply, Error> {
        self.link.post(path, body)
    }
}

impl NodeInfo {
    /// Reads `GET /`; unknown members are an error.
    ///
    /// # Errors
    /// `invalid_structure`.
    pub fn from_json(value: Json) -> Result<NodeInfo, Rejection> {
        let mut fields = Fields::of(value)?;
        let kernel = fields
            .optional("kernel")
            .map(|value| value.as_text().and_then(|text| protocol::ids::parse_hex(text).ok()).ok_or(wrong("kernel")));
        let list = |value: Json, name| match value {
            Json::Array(items) => Ok(items),
            _ => Err(wrong(name)),
        };
        let enc_v = list(fields.required("enc_v")?, "enc_v")?;
        let services = list(fields.required("services")?, "services")?;
        let Json::Object(limits) = fields.required("limits")? else { return Err(wrong("limits")) };
        let limits = limits.into_iter().map(|(name, value)| Some((name, value.as_uint()?)));
        let info = NodeInfo {
            name: fields.text("name")?,
            version: fields.text("version")?,
            kernel: kernel.transpose()?,
            enc_v: enc_v.iter().map(Json::as_uint).collect::<Option<_>>().ok_or(wrong("enc_v"))?,
            sequencer: PublicKey(fields.hex("sequencer")?),
            heads_vkey: fields.text("heads_vkey")?,
            services: services
                .iter()
                .map(|name| name.as_text().map(String::from))
                .collect::<Option<_>>()
                .ok_or(wrong("services"))?,
            limits: limits.collect::<Option<_>>().ok_or(wrong("limits"))?,
            time: fields.uint("time")?,
        };
        fields.finish()?;
        Ok(info)
    }
}

fn system_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
