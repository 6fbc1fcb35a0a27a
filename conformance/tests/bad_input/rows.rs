//! The table, run from its first row to its last against one node.

use crate::memory::is_bounded;
use crate::scene::Scene;
use crate::table::{Row, fill, rows};
use crate::talk::{self, Wire};
use conformance::tables::difference;

/// Rows that the table has at least.
const LEAST: usize = 160;

#[test]
fn every_row_is_refused_as_it_says_and_changes_nothing() {
    let scene = Scene::new();
    let rows = rows();
    assert!(rows.len() >= LEAST, "the table has {} rows", rows.len());
    let known = |name: &str| scene.value(name);
    let (mut heads, mut before) = (scene.heads(), scene.tables.dump());
    let mut wrong = Vec::new();
    for row in &rows {
        let said = run(&scene.node.address, row, &known);
        if said != row.expected {
            wrong.push(format!(
                "line {}: {} | {:.80} gives {said}, not {}",
                row.line, row.route, row.input, row.expected
            ));
        }
        let after = scene.tables.dump();
        let changed = difference(&before, &after);
        if !changed.is_empty() {
            wrong.push(format!("line {}: {} | {:.80} has changed rows\n{changed}", row.line, row.route, row.input));
        }
        let moved = scene.heads();
        if moved != heads {
            wrong.push(format!("line {}: {} | {:.80} has moved a head", row.line, row.route, row.input));
        }
        (heads, before) = (moved, after);
    }
    assert!(wrong.is_empty(), "{} of {} rows\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    println!("{} rows", rows.len());
    is_bounded("the table", &scene.node);
    scene.what_the_rows_are_made_of_is_taken();
}

fn run(address: &str, row: &Row, known: &dyn Fn(&str) -> Option<String>) -> String {
    let (kind, path) = row.route.split_once(' ').unwrap_or((row.route, "/"));
    let path = String::from_utf8(fill(path, known)).expect("paths are text");
    let input = fill(row.input, known);
    match kind {
        "HTTP" => talk::bytes(address, &input),
        "WS" => spoken(address, &path, |wire| wire.text(&input)),
        "WIRE" => spoken(address, &path, |wire| wire.bytes(&input)),
        method => {
            let (mut headers, body) = headers(&input);
            let has = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
            if method == "POST" && !has("content-type") {
                headers.push(("Content-Type".into(), media_type(&path).into()));
            }
            talk::request(address, method, &path, (&headers, body))
        }
    }
}

fn spoken(address: &str, path: &str, say: impl FnOnce(&mut Wire) -> std::io::Result<()>) -> String {
    let heard = Wire::open(address, path).and_then(|opened| match opened {
        Ok(mut wire) => say(&mut wire).and_then(|()| wire.hear()),
        Err(status) => Ok(format!("{status} -")),
    });
    heard.unwrap_or_else(|error| format!("none {error}"))
}

/// What a route wants as its type.
fn media_type(path: &str) -> &'static str {
    match path.rsplit('/').next().and_then(|last| last.split('?').next()) {
        Some("commits") => "application/x-ndjson",
        Some("restore") => "application/octet-stream",
        Some(_) | None => "application/json",
    }
}

/// The headers `@Name: value@` before a body, and the body.
fn headers(input: &[u8]) -> (Vec<(String, String)>, &[u8]) {
    let (mut headers, mut rest) = (Vec::new(), input);
    while let Some(open) = rest.strip_prefix(b"@") {
        let len = open.iter().position(|byte| *byte == b'@').expect("a header ends with @");
        let line = String::from_utf8(open[..len].to_vec()).expect("headers of rows are text");
        let (name, value) = line.split_once(": ").expect("a header has a name");
        headers.push((name.to_owned(), value.to_owned()));
        rest = &open[len + 1..];
    }
    (headers, rest)
}
