//! The OpenAPI document: written by the routes themselves.

use crate::runtime::NodeFacts;
use crate::structure::{Access, Body, ENC_NODE, Route, routes};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use protocol::{Code, Json};

/// OpenAPI 3.1 of every route at its canonical path.
pub fn openapi(facts: &NodeFacts) -> Json {
    let mut paths: Vec<(String, Vec<(String, Json)>)> = Vec::new();
    for route in routes(&ENC_NODE) {
        let path = path(&route);
        let operation = (route.method.as_str().to_ascii_lowercase(), operation(&route));
        match paths.iter_mut().find(|(known, _)| *known == path) {
            Some((_, operations)) => operations.push(operation),
            None => paths.push((path, Vec::from([operation]))),
        }
    }
    let info = [("title", Json::from("ENC node")), ("version", Json::from(facts.version.as_str()))];
    Json::object([
        ("openapi", Json::from("3.1.0")),
        ("info", Json::object(info)),
        ("paths", Json::object(paths.into_iter().map(|(path, operations)| (path, Json::object(operations))))),
        ("components", Json::object([("schemas", Json::object([("Error", error_schema())]))])),
    ])
}

fn path(route: &Route) -> String {
    match route.path {
        "" => String::from("/"),
        "commits" => String::from("/commits"),
        path => format!("/enclaves/{{enclave}}/{}", path.replace('*', "{tile}")),
    }
}

fn operation(route: &Route) -> Json {
    let mut members = Vec::from([
        ("summary", Json::from(route.summary)),
        ("description", Json::from(format!("Access: {}.", access(route.access)))),
        ("responses", responses()),
    ]);
    let path = path(route);
    let parameters: Vec<Json> = ["enclave", "tile"]
        .into_iter()
        .filter(|name| path.contains(&format!("{{{name}}}")))
        .map(|name| {
            Json::object([
                ("name", Json::from(name)),
                ("in", Json::from("path")),
                ("required", Json::Bool(true)),
                ("schema", Json::object([("type", Json::from("string"))])),
            ])
        })
        .collect();
    if !parameters.is_empty() {
        members.push(("parameters", Json::Array(parameters)));
    }
    if let Some(media_type) = route.body.media_type() {
        let required = Json::Bool(route.body != Body::OptionalJson);
        let content = Json::object([(media_type.to_string(), Json::object(Vec::<(String, Json)>::new()))]);
        members.push(("requestBody", Json::object([("required", required), ("content", content)])));
    }
    Json::object(members)
}

fn access(access: Access) -> &'static str {
    match access {
        Access::Public => "anyone",
        Access::PerKind => "by what the body asks",
        Access::Reader => "an identity that may read",
        Access::Owner => "the enclave's owner or the operator",
        Access::Pushed => "an identity with P or N",
        Access::Admin => "the operator",
    }
}

fn responses() -> Json {
    let reference = Json::object([("$ref", Json::from("#/components/schemas/Error"))]);
    let content = Json::object([("application/json", Json::object([("schema", reference)]))]);
    let error = Json::object([("description", Json::from("A refusal.")), ("content", content)]);
    Json::object([("200", Json::object([("description", Json::from("The answer."))])), ("default", error)])
}

fn error_schema() -> Json {
    let codes = Code::ALL.iter().map(|code| Json::from(code.as_str())).collect();
    let text = || Json::object([("type", Json::from("string"))]);
    let code = Json::object([("type", Json::from("string")), ("enum", Json::Array(codes))]);
    Json::object([
        ("type", Json::from("object")),
        ("required", Json::Array(Vec::from([Json::from("error"), Json::from("message")]))),
        ("properties", Json::object([("error", code), ("message", text())])),
    ])
}
