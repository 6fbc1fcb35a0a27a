//! A node at the address that a Migrate names, which is not who the Migrate names.

use crate::scene::{Owner, Place, visitor};
use client::moving::Why;
use client::{Error, Falsehood, Filter};
use conformance::liar::{Exchange, Liar};
use conformance::people::key;
use conformance::wire::{Ask, ask};
use protocol::Json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the liar says, once it lies: another body, or the node's own.
type Lie = fn(&Exchange, &Known) -> Option<Vec<u8>>;

/// What a liar has at hand.
struct Known {
    old_key: String,
    new_key: String,
    old_head: Vec<u8>,
}

/// Whether a request says who asks in a way that somebody else could use.
fn gives_itself_away(exchange: &Exchange) -> bool {
    !exchange.header("X-Enc-Session").is_empty() || String::from_utf8_lossy(&exchange.ask.body).contains("\"session\"")
}

fn replaced(exchange: &Exchange, path: &str, from: &str, to: &str) -> Option<Vec<u8>> {
    let text = exchange.answer.text();
    let named = exchange.ask.target.ends_with(path) && text.contains(from);
    named.then(|| text.replace(from, to).into_bytes())
}

/// Moves an enclave to a node behind a proxy that lies from then on, and lets somebody at the old node go after it. The error, and the
/// requests that the liar got from then on.
fn followed(lie: Lie) -> (Error, Vec<Exchange>) {
    let (old, new) = (Place::new(), Place::new());
    let owner = Owner::new();
    let id = owner.creates(&old, "liar").id();
    let writer = visitor(&old, id, 2);
    writer.commit("message", &Json::from("before")).expect("it is taken");
    let lying = Arc::new(AtomicBool::new(false));
    let known = Known {
        old_key: old.node.sequencer.hex(),
        new_key: new.node.sequencer.hex(),
        old_head: ask(&old.node.address, &Ask::get(&format!("/{id}/sth"))).body,
    };
    let lies = Arc::clone(&lying);
    let judge = move |exchange: &Exchange| lies.load(Ordering::Acquire).then(|| lie(exchange, &known)).flatten();
    let liar = Liar::before(&new.node.address, Box::new(judge));
    owner.does(&["migrate", "--to", &liar.url]);
    let honest = liar.heard().len();
    lying.store(true, Ordering::Release);
    let error = writer.commit("message", &Json::from("after")).expect_err("nobody goes there");
    assert_eq!(writer.node().url(), old.gate.url, "it stays");
    let again = writer.query_all(&Filter::all());
    assert!(
        matches!(&again, Ok(events) if events.len() == 3) || again.is_err(),
        "what is read is the log that it knew"
    );
    (error, liar.heard().split_off(honest))
}

fn info_says(exchange: &Exchange, from: &str, to: &str) -> Option<Vec<u8>> {
    replaced(exchange, "/info/enclave", from, to)
}

#[test]
fn another_key_is_not_gone_to() {
    let (error, heard) = followed(|exchange, known| info_says(exchange, &known.new_key, &key(9).public().hex()));
    let claimed = key(9).public();
    assert!(
        matches!(&error, Error::False(Falsehood::NotTheSuccessor { claimed: found, .. }) if *found == claimed),
        "{error}"
    );
    assert!(!heard.is_empty() && !heard.iter().any(gives_itself_away), "nothing is sent that the liar could use");
}

#[test]
fn a_head_by_nobody_is_not_believed() {
    let (error, heard) = followed(|exchange, _| {
        let text = exchange.answer.text();
        let place = text.find("\"signature\":\"").filter(|_| exchange.ask.target.ends_with("/sth"))?;
        let mut bytes = text.into_bytes();
        let digit = &mut bytes[place + "\"signature\":\"".len()];
        *digit = if *digit == b'0' { b'1' } else { b'0' };
        Some(bytes)
    });
    assert!(matches!(error, Error::False(Falsehood::SthSignature)), "{error}");
    assert!(!heard.is_empty() && !heard.iter().any(gives_itself_away), "nothing is sent that the liar could use");
}

#[test]
fn a_head_by_the_key_before_is_not_enough() {
    let (error, heard) =
        followed(|exchange, known| exchange.ask.target.ends_with("/sth").then(|| known.old_head.clone()));
    let refused = matches!(
        error,
        Error::False(Falsehood::NotTheSuccessor { .. } | Falsehood::SmallerTree { .. } | Falsehood::OlderHead)
    );
    assert!(refused, "{error}");
    assert!(!heard.iter().any(gives_itself_away), "nothing is sent that the liar could use");
}

#[test]
fn a_copy_that_nobody_took_up_is_waited_for() {
    let (error, heard) = followed(|exchange, known| info_says(exchange, &known.new_key, &known.old_key));
    assert!(matches!(&error, Error::Moving(moving) if matches!(moving.why, Why::NotYet)), "{error}");
    assert!(!heard.iter().any(gives_itself_away), "nothing is sent that the copy's node could use");
}

/// The owner, too, gives nothing away before the key is the one that was named.
#[test]
fn a_move_to_another_key_than_was_named_is_not_begun() {
    let (old, new) = (Place::new(), Place::new());
    let owner = Owner::new();
    let id = owner.creates(&old, "named").id();
    let liar = Liar::before(&new.node.address, Box::new(|_| None));
    let told = owner.run(&["migrate", "--to", &liar.url, "--key", &key(9).public().hex()]);
    assert_eq!(told.status.code(), Some(3), "{told:?}");
    assert!(!liar.heard().iter().any(gives_itself_away));
    assert_eq!(owner.noted(&id), None);
    owner.does(&["migrate", "--to", &liar.url, "--key", &new.node.sequencer.hex(), "--dry-run"]);
    assert_eq!(owner.noted(&id), None, "a rehearsal notes nothing");
    owner.does(&["commit", "message", "still here"]);
}
