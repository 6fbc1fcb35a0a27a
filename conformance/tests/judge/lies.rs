//! Pieces of defects: answers taken, changed and signed again by the node's own key.

use conformance::liar::Exchange;
use conformance::people::now;
use conformance::wire::Answer;
use protocol::event::{NO_PREV, Position, event_id};
use protocol::head::Sth;
use protocol::json::{self, MAX_DEPTH};
use protocol::schnorr::KeyPair;
use protocol::{Commit, Json, Receipt};

/// The exchange's answer with another body.
pub fn with_json(exchange: &Exchange, status: u16, body: &Json) -> Answer {
    Answer { status, headers: exchange.answer.headers.clone(), body: body.to_jcs().into_bytes() }
}

/// The answer as JSON.
pub fn body(exchange: &Exchange) -> Option<Json> {
    json::parse(&exchange.answer.body, MAX_DEPTH).ok()
}

/// The code of an answer that refuses.
pub fn code(exchange: &Exchange) -> Option<String> {
    body(exchange)?.member("error")?.as_text().map(str::to_owned)
}

/// A member of the answer replaced, wherever it stands first; none where it is not there.
pub fn set(exchange: &Exchange, name: &str, value: &dyn Fn(&Json) -> Json) -> Option<Answer> {
    let mut answer = body(exchange)?;
    replace(&mut answer, name, value).then(|| with_json(exchange, exchange.answer.status, &answer))
}

/// The answer without a member of it.
pub fn without(exchange: &Exchange, name: &str) -> Option<Answer> {
    let Json::Object(mut members) = body(exchange)? else { return None };
    let before = members.len();
    members.retain(|(known, _)| known != name);
    (members.len() < before).then(|| with_json(exchange, exchange.answer.status, &Json::Object(members)))
}

fn replace(value: &mut Json, name: &str, with: &dyn Fn(&Json) -> Json) -> bool {
    match value {
        Json::Object(members) => {
            if let Some((_, found)) = members.iter_mut().find(|(known, _)| known == name) {
                *found = with(found);
                return true;
            }
            members.iter_mut().any(|(_, inner)| replace(inner, name, with))
        }
        Json::Array(items) => items.iter_mut().any(|inner| replace(inner, name, with)),
        Json::Null | Json::Bool(_) | Json::Integer(_) | Json::Text(_) | Json::Canonical(_) => false,
    }
}

/// Hex with its first digit changed.
pub fn flipped(value: &Json) -> Json {
    let text = value.as_text().unwrap_or_default();
    let first = if text.starts_with('0') { "1" } else { "0" };
    Json::from(format!("{first}{}", text.get(1..).unwrap_or_default()))
}

/// A receipt changed and signed again.
pub fn resigned(exchange: &Exchange, key: &KeyPair, change: &dyn Fn(&mut Position)) -> Option<Answer> {
    let mut receipt = Receipt::from_json(body(exchange)?).ok()?;
    change(&mut receipt.position);
    Some(with_json(exchange, 200, &signed(receipt, key)))
}

fn signed(receipt: Receipt, key: &KeyPair) -> Json {
    let seq_sig = key.sign(receipt.event_hash().as_bytes());
    Receipt { seq_sig, id: event_id(&seq_sig), ..receipt }.to_json()
}

/// A receipt for the commit that was refused with this code.
pub fn taken(exchange: &Exchange, key: &KeyPair, refused: &str) -> Option<Answer> {
    if code(exchange)? != refused || exchange.ask.method != "POST" {
        return None;
    }
    let commit = json::parse(&exchange.ask.body, MAX_DEPTH).ok().and_then(|value| Commit::from_json(value).ok());
    let Some(commit) = commit else { return Some(with_json(exchange, 200, &Json::object([("ok", Json::Bool(true))]))) };
    let position = Position { seq: 1, type_seq: 0, timestamp: now(), prev: NO_PREV, sequencer: key.public() };
    let Commit { hash, enclave, sig, .. } = commit;
    let receipt = Receipt { id: event_id(&sig), hash, enclave, position, sig, seq_sig: sig };
    Some(with_json(exchange, 200, &signed(receipt, key)))
}

/// A tree head changed and signed again.
pub fn head(exchange: &Exchange, key: &KeyPair, change: &dyn Fn(&mut Sth)) -> Option<Answer> {
    let mut sth = Sth::from_json(body(exchange)?).ok()?;
    change(&mut sth);
    let sth = Sth::sign(key, sth.enclave, sth.timestamp, sth.tree_size, sth.root_hash);
    Some(with_json(exchange, 200, &sth.to_json()))
}

/// The events of a page changed.
pub fn page(exchange: &Exchange, change: &dyn Fn(&mut Vec<Json>)) -> Option<Answer> {
    let mut answer = body(exchange)?;
    answer.member("events")?;
    let changed = |value: &Json| {
        let Json::Array(mut events) = value.clone() else { return Json::Null };
        change(&mut events);
        Json::Array(events)
    };
    replace(&mut answer, "events", &changed).then(|| with_json(exchange, 200, &answer))
}

/// The lines of an answer changed.
pub fn lines(exchange: &Exchange, change: &dyn Fn(&mut Vec<String>)) -> Option<Answer> {
    if !exchange.ask.target.ends_with("/commits") {
        return None;
    }
    let mut lines: Vec<String> = exchange.answer.text().lines().map(str::to_owned).collect();
    change(&mut lines);
    let body = lines.into_iter().map(|line| line + "\n").collect::<String>();
    Some(Answer { body: body.into_bytes(), ..exchange.answer.clone() })
}

/// The answer without one of its headers.
pub fn headless(exchange: &Exchange, name: &str) -> Option<Answer> {
    let mut answer = exchange.answer.clone();
    answer.headers.retain(|(known, _)| known != name);
    Some(answer)
}
