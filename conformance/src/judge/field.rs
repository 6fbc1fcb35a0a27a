//! What a check works with: a node, and keys and enclaves of the check's own.

use super::node::{Subject, parse};
use super::room::Room;
use super::why::{Because, Why, equal, hold};
use crate::hall::{CALM, hall};
use crate::people::{json, now, token};
use crate::wire::{Answer, Ask};
use protocol::cbor::sha256_of;
use protocol::commit::Draft;
use protocol::schnorr::KeyPair;
use protocol::{Code, Commit, Json, PublicKey, Receipt};
use std::cell::Cell;

/// The ground of one check.
pub struct Field<'a> {
    /// The node.
    pub node: &'a Subject,
    name: &'static str,
    rooms: Cell<u64>,
}

/// The people of a room.
pub struct People {
    /// Owns it.
    pub alice: KeyPair,
    /// A member.
    pub bob: KeyPair,
    /// An admin.
    pub carol: KeyPair,
    /// Gets pushes.
    pub dave: KeyPair,
    /// Nobody there.
    pub stranger: KeyPair,
}

impl<'a> Field<'a> {
    /// The ground of the check with this name.
    pub fn new(node: &'a Subject, name: &'static str) -> Field<'a> {
        Field { node, name, rooms: Cell::new(0) }
    }

    /// A key that nobody else has: the same for the same name in one run.
    pub fn key(&self, who: &str) -> KeyPair {
        let secret = sha256_of(&[&self.node.run, self.name.as_bytes(), b"/", who.as_bytes()]);
        KeyPair::from_secret(&secret).expect("a hash is a valid scalar but for odds of 2^-128")
    }

    /// 32 bytes that nobody else has.
    pub fn bytes(&self, what: &str) -> [u8; 32] {
        sha256_of(&[&self.node.run, self.name.as_bytes(), b"#", what.as_bytes()])
    }

    /// Sends a request.
    pub fn ask(&self, ask: &Ask) -> Result<Answer, Why> {
        self.node.ask(ask)
    }

    /// Sends a request that must be answered 200 with JSON.
    pub fn take(&self, ask: &Ask) -> Result<Json, Why> {
        let answer = self.ask(ask)?;
        accepted(&answer).map_err(|why| why.about(format!("{} {:.100}", ask.method, ask.target)))
    }

    /// Sends a request that must be refused with this code and its own status.
    pub fn refuse(&self, ask: &Ask, code: Code) -> Result<Json, Why> {
        let answer = self.ask(ask)?;
        refused(&answer, code.status(), code).map_err(|why| why.about(format!("{} {:.100}", ask.method, ask.target)))
    }

    /// The node's key.
    pub fn sequencer(&self) -> Result<PublicKey, Why> {
        self.node.sequencer()
    }

    /// The people of a room of this check; in each room others.
    pub fn people(&self) -> People {
        self.rooms.set(self.rooms.get() + 1);
        let place = self.rooms.get();
        let who = |name: &str| self.key(&format!("{name}-{place}"));
        People {
            alice: who("alice"),
            bob: who("bob"),
            carol: who("carol"),
            dave: who("dave"),
            stranger: who("stranger"),
        }
    }

    /// The Manifest content of a hall for these people.
    pub fn content(&self, people: &People, bundle: &str) -> Result<Json, Why> {
        Ok(hall(&self.sequencer()?, bundle, [&people.alice, &people.bob, &people.carol, &people.dave]))
    }

    /// An enclave whose bundles close only when they are told to.
    pub fn hall(&self) -> Result<Room<'_>, Why> {
        self.hall_with(CALM)
    }

    /// An enclave with these bundles.
    pub fn hall_with(&self, bundle: &str) -> Result<Room<'_>, Why> {
        self.room(bundle, &|content| content)
    }

    /// An enclave in which the public reads nothing.
    pub fn closed(&self) -> Result<Room<'_>, Why> {
        self.room(CALM, &|content| content.replace(r#",{"reads":["notice"],"type":"Public"}"#, ""))
    }

    /// An enclave whose Manifest, in canonical form, was changed before it was signed.
    pub fn room(&self, bundle: &str, edit: &dyn Fn(String) -> String) -> Result<Room<'_>, Why> {
        let people = self.people();
        let content = json(&edit(self.content(&people, bundle)?.to_jcs()));
        let draft = Draft::manifest(&people.alice, &content, self.nonce(), now() + 60_000);
        let manifest = draft.sign(&people.alice).into_commit();
        let receipt = self.submit(&manifest)?;
        hold(receipt.position.seq == 0 && receipt.position.type_seq == 0, "a Manifest stands at place 0")?;
        equal("the sequencer of a new enclave", receipt.position.sequencer, self.sequencer()?)?;
        Ok(Room::new(self, people, manifest, receipt))
    }

    /// Tags that make a Manifest of this run another than any before.
    pub fn nonce(&self) -> Vec<Vec<String>> {
        let nonce = protocol::ids::hex(&self.bytes(&format!("nonce-{}", self.rooms.get())));
        vec![vec!["nonce".to_owned(), nonce]]
    }

    /// A commit that must be taken, and its receipt, which must hold.
    pub fn submit(&self, commit: &Commit) -> Result<Receipt, Why> {
        let what = format!("{} is sequenced", commit.event_type);
        let answer = self.take(&submitting(commit)).map_err(|why| why.about(&what))?;
        let receipt = Receipt::from_json(answer).because(format!("{what}: a receipt"))?;
        receipt.verify(commit, &receipt.position.sequencer).because(format!("{what}: the receipt holds"))?;
        hold(receipt.position.timestamp.abs_diff(now()) <= 60_000, "a receipt is of now, within a minute")?;
        Ok(receipt)
    }

    /// A plain session of somebody for the node's own key.
    pub fn session(&self, who: &KeyPair) -> Result<String, Why> {
        Ok(token(who, &self.sequencer()?, now()))
    }

    /// The operator's header on a request. A check that needs a token has one.
    pub fn operator(&self, ask: Ask) -> Ask {
        ask.header("Authorization", &format!("Bearer {}", self.node.token.as_deref().unwrap_or_default()))
    }
}

/// The request that submits a commit.
pub fn submitting(commit: &Commit) -> Ask {
    Ask::post("/", commit.to_json().to_jcs())
}

/// The JSON of an answer that must be 200.
pub fn accepted(answer: &Answer) -> Result<Json, Why> {
    hold(answer.status == 200, format!("200, not {} {:.200}", answer.status, answer.text()))?;
    parse(answer)
}

/// The body of an answer that must be a refusal: its status, its code, a sentence, and no member that is null.
pub fn refused(answer: &Answer, status: u16, code: Code) -> Result<Json, Why> {
    let found = format!("{} {:.200}", answer.status, answer.text());
    hold(answer.status == status, format!("{status} {}, not {found}", code.as_str()))?;
    let body = parse(answer)?;
    let member = |name: &str| body.member(name).and_then(Json::as_text);
    hold(member("error") == Some(code.as_str()), format!("{}, not {found}", code.as_str()))?;
    hold(member("message").is_some_and(|message| !message.is_empty()), format!("a message in {found}"))?;
    let Json::Object(members) = &body else { return Err(Why::new("a refusal is an object")) };
    hold(members.iter().all(|(_, value)| *value != Json::Null), format!("no member is null in {found}"))?;
    Ok(body)
}
