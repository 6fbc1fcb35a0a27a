//! The Enclave structure: a service in seven facts, and what derives from them: routes, tables, read methods.

use crate::schema;
use alloc::vec::Vec;

/// Whose manifests a service takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// Any valid one.
    Dynamic,
}

/// How a request names its enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// By a path segment, the first of the canonical path's parameters.
    PerRequest(u8),
    /// There is one, under this name.
    Singleton(&'static str),
}

/// HTTP methods that routes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
}

impl Method {
    /// As it stands in a request line and in `Allow`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// What a route takes as its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None.
    Empty,
    /// One JSON object.
    Json,
    /// One JSON object, or nothing when headers say who asks.
    OptionalJson,
    /// Lines of JSON.
    Lines,
    /// Bytes.
    Octets,
}

impl Body {
    /// The media type that a request must state.
    pub const fn media_type(self) -> Option<&'static str> {
        match self {
            Body::Empty => None,
            Body::Json | Body::OptionalJson => Some("application/json"),
            Body::Lines => Some("application/x-ndjson"),
            Body::Octets => Some("application/octet-stream"),
        }
    }
}

/// Who may call a route, in words; the rule itself is the action's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Public,
    /// Judged by what the body asks.
    PerKind,
    /// An identity with the right to read.
    Reader,
    /// The enclave's owner or the operator.
    Owner,
    /// An identity with P or N.
    Pushed,
    /// The operator.
    Admin,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// `GET /`.
    NodeInfo,
    /// `POST /`.
    Submit,
    /// STH.
    Sth,
    /// Inclusion proof.
    Inclusion,
    /// State proof.
    State,
    /// The Manifest event.
    InfoManifest,
    /// Consistency proof.
    Consistency,
    /// Bundle membership proof.
    Bundle,
    /// Several state proofs.
    StateBatch,
    /// Status of an enclave.
    InfoEnclave,
    /// Checkpoint.
    Checkpoint,
    /// Tiles.
    Tile,
    /// Closes the open bundle.
    CloseBundle,
    /// Registers an endpoint.
    Push,
    /// Takes a snapshot.
    Snapshot,
    /// Takes one in.
    Restore,
    /// Provisions a key.
    InitWithPriv,
    /// Many commits.
    Commits,
}

/// A route below an enclave (or bare, where the body names it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Method.
    pub method: Method,
    /// Path below the enclave; a trailing `/*` takes the rest.
    pub path: &'static str,
    /// What it does.
    pub does: Does,
    /// What it takes.
    pub body: Body,
    /// Who may.
    pub access: Access,
    /// One line for the OpenAPI document.
    pub summary: &'static str,
}

const fn route(does: Does, route: (Method, &'static str), body: Body, access: Access, summary: &'static str) -> Route {
    Route { method: route.0, path: route.1, does, body, access, summary }
}

/// The routes that every enclave has.
pub const PROTOCOL_ROUTES: [Route; 6] = [
    route(Does::NodeInfo, (Method::Get, ""), Body::Empty, Access::Public, "What the node is, its key and its limits"),
    route(Does::Submit, (Method::Post, ""), Body::Json, Access::PerKind, "A commit, Query, Pull or encrypted request"),
    route(Does::Sth, (Method::Get, "sth"), Body::Empty, Access::Public, "The newest signed tree head"),
    route(Does::Inclusion, (Method::Post, "inclusion"), Body::Json, Access::Reader, "That an entry is in the log"),
    route(Does::State, (Method::Post, "state"), Body::Json, Access::Reader, "What the state tree says of a key"),
    route(Does::InfoManifest, (Method::Get, "info/manifest"), Body::Empty, Access::Public, "The Manifest event"),
];

/// The routes by which a node is operated.
pub const OPERATIONAL_ROUTES: [Route; 10] = [
    route(
        Does::StateBatch,
        (Method::Post, "state-batch"),
        Body::Json,
        Access::Reader,
        "State proofs for up to 256 keys of one tree",
    ),
    route(Does::InfoEnclave, (Method::Get, "info/enclave"), Body::Empty, Access::Public, "Status of the enclave"),
    route(Does::Checkpoint, (Method::Get, "checkpoint"), Body::Empty, Access::Public, "The newest C2SP checkpoint"),
    route(Does::Tile, (Method::Get, "tile/*"), Body::Empty, Access::Public, "C2SP hash tiles and entry bundles"),
    route(
        Does::CloseBundle,
        (Method::Post, "close-bundle"),
        Body::OptionalJson,
        Access::Owner,
        "Closes the open bundle at once",
    ),
    route(Does::Push, (Method::Post, "push"), Body::Json, Access::Pushed, "Registers an endpoint for push"),
    route(Does::Snapshot, (Method::Get, "snapshot"), Body::Empty, Access::Owner, "The whole log as one .enc file"),
    route(Does::Restore, (Method::Post, "restore"), Body::Octets, Access::Admin, "Takes a snapshot in"),
    route(
        Does::InitWithPriv,
        (Method::Post, "init-with-priv"),
        Body::Json,
        Access::Admin,
        "Provisions a sequencer key for one enclave",
    ),
    route(Does::Commits, (Method::Post, "commits"), Body::Lines, Access::PerKind, "Many commits, a line each"),
];

/// A service.
#[derive(Clone, Copy, Debug)]
pub struct Enclave {
    /// Its name in admission hooks.
    pub name: &'static str,
    /// Whose manifests it takes.
    pub schema: Schema,
    /// It keeps tables beside the log that can be rebuilt from it.
    pub data_view: bool,
    /// It delivers events to endpoints.
    pub push: bool,
    /// It takes a Manifest by `_bootstrap`.
    pub bootstrap: bool,
    /// How a request names the enclave.
    pub addressing: Addressing,
    /// It takes the encrypted transport.
    pub encrypted: bool,
    /// What it has beyond the protocol.
    pub extra_routes: &'static [Route],
}

/// enc-node: any manifest.
pub const ENC_NODE: Enclave = Enclave {
    name: "enc-node",
    schema: Schema::Dynamic,
    data_view: false,
    push: true,
    bootstrap: false,
    addressing: Addressing::PerRequest(1),
    encrypted: true,
    extra_routes: &[
        route(
            Does::Consistency,
            (Method::Get, "consistency"),
            Body::Empty,
            Access::Public,
            "That one tree extends another",
        ),
        route(Does::Bundle, (Method::Post, "bundle"), Body::Json, Access::Reader, "That an event is in its bundle"),
    ],
};

/// What is mounted at `/` of a node.
pub const SERVICES: &[Enclave] = &[ENC_NODE];

// Facts of `docs/services.md` that can be seen without running anything.
const _: () = {
    assert!(PROTOCOL_ROUTES.len() == 6);
    assert!(ENC_NODE.extra_routes.len() == 2);
    assert!(ENC_NODE.push && !ENC_NODE.data_view && !ENC_NODE.bootstrap && ENC_NODE.encrypted);
    assert!(matches!(ENC_NODE.addressing, Addressing::PerRequest(1)));
    assert!(matches!(ENC_NODE.schema, Schema::Dynamic));
};

/// Every route of a service, operational ones last.
pub fn routes(service: &Enclave) -> Vec<Route> {
    PROTOCOL_ROUTES.iter().chain(service.extra_routes).chain(&OPERATIONAL_ROUTES).copied().collect()
}

/// The statements that make a service's tables.
pub fn ddl(service: &Enclave) -> Vec<&'static str> {
    let mut statements: Vec<&'static str> = schema::NODE.to_vec();
    if service.push {
        statements.extend_from_slice(schema::PUSH);
    }
    if service.data_view {
        statements.extend_from_slice(schema::VIEW);
    }
    statements
}

/// The routes that become read methods of the SDKs.
pub fn reads(service: &Enclave) -> Vec<Route> {
    if !service.data_view {
        return Vec::new();
    }
    service.extra_routes.iter().filter(|route| route.method == Method::Get).copied().collect()
}

/// The route for a method and a path below an enclave; `Err` says whether the path has another method.
pub fn find(service: &Enclave, method: &str, path: &str) -> Result<Route, Option<&'static str>> {
    let mut other = None;
    // Every request looks here more than once: most routes are passed over by their first letter.
    let initial = path.as_bytes().first();
    for route in PROTOCOL_ROUTES.iter().chain(service.extra_routes).chain(&OPERATIONAL_ROUTES) {
        if route.path.as_bytes().first() != initial {
            continue;
        }
        let hit = match route.path.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => route.path == path,
        };
        if hit && route.method.as_str() == method {
            return Ok(*route);
        }
        if hit {
            other = Some(match (other, route.method) {
                (None, method) => method.as_str(),
                (Some(_), _) => "GET, POST",
            });
        }
    }
    Err(other)
}
