//! An enclave of a check's own, and what people do in it.

use super::field::{Field, People, accepted, refused, submitting};
use super::talk::{list, number};
use super::why::{Because, Why, equal, hold};
use crate::people::{json, now, token};
use crate::wire::{Answer, Ask};
use protocol::commit::Draft;
use protocol::head::{Sth, VerifiedSth};
use protocol::schnorr::KeyPair;
use protocol::{Code, Commit, EnclaveId, Event, Json, PublicKey, Receipt};
use std::cell::Cell;

/// An enclave.
pub struct Room<'a> {
    /// Whose it is.
    pub field: &'a Field<'a>,
    /// Its id.
    pub enclave: EnclaveId,
    /// Its Manifest.
    pub manifest: Commit,
    /// The Manifest's receipt.
    pub first: Receipt,
    /// Who is there.
    pub people: People,
    /// The key that sequences it.
    pub sequencer: PublicKey,
    last_seq: Cell<u64>,
}

impl<'a> Room<'a> {
    /// The room that this Manifest made.
    pub fn new(field: &'a Field<'a>, people: People, manifest: Commit, first: Receipt) -> Room<'a> {
        let (enclave, sequencer) = (manifest.enclave, first.position.sequencer);
        Room { field, enclave, manifest, first, people, sequencer, last_seq: Cell::new(0) }
    }

    /// A draft for it.
    pub fn draft(&self, event_type: &str, content: &str) -> Draft {
        Draft::new(self.enclave, event_type, &json(content), now() + 60_000)
    }

    /// A signed commit for it.
    pub fn commit(&self, who: &KeyPair, event_type: &str, content: &str) -> Commit {
        self.draft(event_type, content).sign(who).into_commit()
    }

    /// A commit with one tag `r`.
    pub fn referring(&self, who: &KeyPair, event_type: &str, to: &str) -> Commit {
        let tags = vec![vec!["r".to_owned(), to.to_owned()]];
        Draft { tags, ..self.draft(event_type, r#""changed""#) }.sign(who).into_commit()
    }

    /// Submits a commit that must be sequenced by this enclave's key in the next place.
    pub fn submit(&self, commit: &Commit) -> Result<Receipt, Why> {
        let receipt = self.field.submit(commit)?;
        equal("the sequencer", receipt.position.sequencer, self.sequencer)?;
        equal("the next seq", receipt.position.seq, self.last_seq.get() + 1)?;
        self.last_seq.set(receipt.position.seq);
        Ok(receipt)
    }

    /// Signs and submits.
    pub fn say(&self, who: &KeyPair, event_type: &str, content: &str) -> Result<Receipt, Why> {
        self.submit(&self.commit(who, event_type, content))
    }

    /// Submits a commit that must be refused and change nothing.
    pub fn refused(&self, commit: &Commit, code: Code) -> Result<Json, Why> {
        self.refused_as(&submitting(commit), code).map_err(|why| why.about(&commit.event_type))
    }

    /// The same for a request made by hand.
    pub fn refused_as(&self, ask: &Ask, code: Code) -> Result<Json, Why> {
        let body = refused(&self.field.ask(ask)?, code.status(), code)?;
        self.stands()?;
        Ok(body)
    }

    /// Signs and submits what must be refused.
    pub fn refuses(&self, who: &KeyPair, event_type: &str, content: &str, code: Code) -> Result<Json, Why> {
        self.refused(&self.commit(who, event_type, content), code).map_err(|why| why.about(content))
    }

    /// That the log ends where it ended.
    pub fn stands(&self) -> Result<(), Why> {
        let info = self.info(Some(&self.people.alice))?;
        equal("a refused request changes nothing: last_seq", number(&info, "last_seq")?, self.last_seq.get())
    }

    /// A path of it.
    pub fn path(&self, action: &str) -> String {
        if action.is_empty() {
            format!("/enclaves/{}", self.enclave)
        } else {
            format!("/enclaves/{}/{action}", self.enclave)
        }
    }

    /// A session of somebody for this enclave's key.
    pub fn session(&self, who: &KeyPair) -> String {
        token(who, &self.sequencer, now())
    }

    /// `{from, session, …}`.
    pub fn by(&self, who: &KeyPair, members: &str) -> String {
        let comma = if members.is_empty() { "" } else { "," };
        format!(r#"{{"from":"{}","session":"{}"{comma}{members}}}"#, who.public(), self.session(who))
    }

    /// The same with `enclave`, for `POST /`.
    pub fn asking(&self, who: &KeyPair, members: &str) -> String {
        self.by(who, &format!(r#""enclave":"{}",{members}"#, self.enclave))
    }

    /// A GET with somebody's session in its headers.
    pub fn signed(&self, ask: Ask, who: &KeyPair) -> Ask {
        ask.header("X-Enc-From", &who.public().hex()).header("X-Enc-Session", &self.session(who))
    }

    /// A POST by somebody.
    pub fn posting(&self, who: &KeyPair, action: &str, members: &str) -> Ask {
        Ask::post(&self.path(action), self.by(who, members))
    }

    /// A POST that must be answered 200 with JSON.
    pub fn post(&self, who: &KeyPair, action: &str, members: &str) -> Result<Json, Why> {
        self.field.take(&self.posting(who, action, members)).map_err(|why| why.about(members))
    }

    /// A POST that must be refused.
    pub fn denied(&self, who: &KeyPair, action: &str, members: &str, code: Code) -> Result<Json, Why> {
        self.field.refuse(&self.posting(who, action, members), code).map_err(|why| why.about(members))
    }

    /// A GET that must be answered 200 with JSON.
    pub fn get(&self, action: &str) -> Result<Json, Why> {
        self.field.take(&Ask::get(&self.path(action)))
    }

    /// Any GET.
    pub fn fetch(&self, action: &str) -> Result<Answer, Why> {
        self.field.ask(&Ask::get(&self.path(action)))
    }

    /// `info/enclave`, for somebody or for anybody.
    pub fn info(&self, who: Option<&KeyPair>) -> Result<Json, Why> {
        let ask = Ask::get(&self.path("info/enclave"));
        self.field.take(&who.map_or(ask.clone(), |who| self.signed(ask, who)))
    }

    /// The newest tree head, which must be signed by the enclave's key.
    pub fn sth(&self) -> Result<VerifiedSth, Why> {
        let sth = Sth::from_json(self.get("sth")?).because("an STH")?;
        sth.verify_for(&self.enclave, &self.sequencer).because("the STH is this enclave's, by its sequencer")
    }

    /// Closes the open bundle; the head after it.
    pub fn close(&self) -> Result<VerifiedSth, Why> {
        let answer = self.post(&self.people.alice, "close-bundle", "")?;
        hold(answer.member("ok") == Some(&Json::Bool(true)), "close-bundle is ok")?;
        let sth = Sth::from_json(answer.member("sth").because("sth")?.clone()).because("an STH")?;
        sth.verify_for(&self.enclave, &self.sequencer).because("close-bundle's STH holds")
    }

    /// A page of a query.
    pub fn page(&self, who: &KeyPair, filter: &str) -> Result<Json, Why> {
        let body = self.asking(who, &format!(r#""type":"Query","filter":{filter}"#));
        let page = self.field.take(&Ask::post("/", body)).map_err(|why| why.about(filter))?;
        equal("type of a page", page.member("type").and_then(Json::as_text), Some("Response"))?;
        Ok(page)
    }

    /// The events of a query, each of which must verify.
    pub fn query(&self, who: &KeyPair, filter: &str) -> Result<Vec<Event>, Why> {
        self.events(&self.page(who, filter)?)
    }

    /// The events of a page, each of which must verify.
    pub fn events(&self, page: &Json) -> Result<Vec<Event>, Why> {
        let events = list(page, "events")?.iter().map(|event| {
            let event = Event::from_json(event.clone()).because("an event")?;
            event.verify().because("an event verifies")?;
            equal("an event's enclave", event.enclave, self.enclave)?;
            Ok(event)
        });
        events.collect()
    }

    /// The places that somebody gets for a filter.
    pub fn places(&self, who: &KeyPair, filter: &str) -> Result<Vec<u64>, Why> {
        Ok(self.query(who, filter)?.iter().map(|event| event.position.seq).collect())
    }

    /// A query that must be refused.
    pub fn query_refused(&self, who: &KeyPair, filter: &str, code: Code) -> Result<(), Why> {
        let ask = Ask::post("/", self.asking(who, &format!(r#""type":"Query","filter":{filter}"#)));
        self.field.refuse(&ask, code).map(drop).map_err(|why| why.about(format!("{filter:.80}")))
    }

    /// The content of a Move.
    pub fn to(&self, who: &KeyPair, state: &str) -> String {
        format!(r#"{{"target":"{}","to":"{state}"}}"#, who.public())
    }

    /// The content of a Grant, Revoke or Transfer.
    pub fn gets(&self, who: &KeyPair, name: &str) -> String {
        format!(r#"{{"target":"{}","trait":"{name}"}}"#, who.public())
    }

    /// JSON of a signed GET.
    pub fn get_by(&self, who: &KeyPair, action: &str) -> Result<Json, Why> {
        accepted(&self.field.ask(&self.signed(Ask::get(&self.path(action)), who))?)
    }
}
