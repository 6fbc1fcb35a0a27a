//! What clients say: commits of every kind, most of them plausible, some that must be refused.

use crate::draw::Draw;
use crate::oracle::{Name, Oracle};
use crate::people::{ALL, GUESTS, Person, json};
use protocol::commit::Draft;
use protocol::state::Lifecycle;
use protocol::{Commit, EnclaveId, VerifiedCommit};
use serde_json::{Value, json};

/// Numbers of the manifest's States, the last byte of a bitmask.
const MEMBER: u8 = 1;
const GUEST: u8 = 2;
const BANNED: u8 = 3;

/// A commit, and what is known of its fate before it is judged.
#[derive(Clone, Debug)]
pub struct Saying {
    /// As it is sent.
    pub commit: Commit,
    /// As it was signed; none for one whose bytes were changed.
    pub verified: Option<VerifiedCommit>,
    /// What is expected.
    pub fate: Fate,
}

/// What is expected of a commit that comes in its time and is no repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is accepted while the enclave is active.
    Accepted,
    /// It is refused with one of these codes.
    Refused(&'static [&'static str]),
    /// It depends.
    Open,
}

/// Where the script of an enclave stands.
pub struct Script {
    enclave: EnclaveId,
    draw: Draw,
    count: u64,
}

impl Script {
    /// A script of its own numbers.
    pub fn new(enclave: EnclaveId, draw: Draw) -> Script {
        Script { enclave, draw, count: 0 }
    }

    /// The next commit at `now`; `known` were accepted before.
    pub fn next(&mut self, now: u64, oracle: &Oracle, known: &[VerifiedCommit]) -> Saying {
        self.count += 1;
        let chance = self.draw.below(100);
        if chance < 6 && !known.is_empty() {
            let again = self.draw.pick(known).clone();
            return Saying { commit: again.commit().clone(), verified: Some(again), fate: Fate::Open };
        }
        let (author, draft, fate) = self.draft(now, oracle, chance);
        let mut verified = Some(draft.sign(author.key()));
        let mut commit = verified.as_ref().expect("just signed").commit().clone();
        if (9..14).contains(&chance) {
            match self.draw.below(3) {
                0 => commit.hash.0[5] ^= 1,
                1 => commit.sig.0[40] ^= 1,
                _ => commit.tags.push(vec!["more".to_owned()]),
            }
            verified = None;
        }
        let fate = if verified.is_none() { Fate::Refused(&["invalid_hash", "invalid_signature"]) } else { fate };
        Saying { commit, verified, fate }
    }

    fn draft(&mut self, now: u64, oracle: &Oracle, chance: usize) -> (Person, Draft, Fate) {
        let (author, event_type, content, tags, fate) = match chance {
            6..9 => {
                let (_, kind, content, tags, _) = self.talk();
                (Person::Zoe, kind, content, tags, Fate::Refused(&["unauthorized"]))
            }
            _ if oracle.lifecycle == Lifecycle::Paused && self.draw.percent(50) => {
                (Person::Alice, "Resume".to_owned(), json!({}), vec![], Fate::Open)
            }
            _ => self.said(oracle),
        };
        let mut draft =
            Draft::new(self.enclave, &event_type, &json(&content.to_string()), now + 60_000 + self.count % 1000);
        draft.tags = tags;
        draft.exp = match self.draw.below(60) {
            0 => now.saturating_sub(60_001),
            1 => now + 3_600_001,
            2 => now + 3_600_000,
            _ => draft.exp,
        };
        (author, draft, fate)
    }

    fn said(&mut self, oracle: &Oracle) -> (Person, String, Value, Vec<Vec<String>>, Fate) {
        let who = *self.draw.pick(&ALL[..6]);
        let plain = |author, kind: &str, content| (author, kind.to_owned(), content, vec![], Fate::Open);
        match self.draw.below(100) {
            0..42 => self.talk(),
            42..62 => {
                let (author, kind, content) = self.role(oracle);
                plain(author, kind, content)
            }
            62..66 => {
                let alias = *self.draw.pick(&["door", "hall", "poll", "nowhere"]);
                plain(Person::Alice, "Gate", json!({"alias": alias, "open": self.draw.percent(50)}))
            }
            66..74 => {
                let (kind, key) = *self.draw.pick(&[("Shared", "topic"), ("Shared", "rules"), ("Own", "profile")]);
                let value = if self.draw.percent(30) { Value::Null } else { json!(self.count) };
                plain(who, kind, json!({"key": key, "value": value}))
            }
            74..86 => {
                let of = self.draw.pick(&oracle.events);
                let kind = if self.draw.percent(60) { "Update" } else { "Delete" };
                let author = ALL.into_iter().find(|person| person.id() == of.from).unwrap_or(who);
                let tags = vec![vec!["r".to_owned(), of.id.hex()], vec!["k".to_owned(), "updated".to_owned()]];
                (author, kind.to_owned(), json!(self.count), tags, Fate::Open)
            }
            86..91 => {
                let parts: Vec<Value> = (0..=self.draw.below(3))
                    .map(|_| self.role(oracle))
                    .map(|(_, kind, content)| json!({"type": kind, "content": content}))
                    .collect();
                plain(Person::Alice, "AC_Bundle", json!({"ops": parts}))
            }
            91..94 => plain(Person::Alice, if self.draw.percent(50) { "Pause" } else { "Resume" }, json!({})),
            94 if self.draw.percent(20) => plain(Person::Alice, "Terminate", json!({})),
            94..97 => plain(who, "vote", json!(self.count)),
            _ => plain(who, "unheard", json!(self.count)),
        }
    }

    fn talk(&mut self) -> (Person, String, Value, Vec<Vec<String>>, Fate) {
        let (author, fate) = match self.draw.below(4) {
            0 | 1 => (Person::Alice, Fate::Accepted),
            2 => (*self.draw.pick(&[Person::Bob, Person::Dora]), Fate::Open),
            _ => (*self.draw.pick(&GUESTS), Fate::Open),
        };
        let mut tags = vec![vec!["k".to_owned(), self.draw.below(4).to_string()]];
        if self.draw.percent(20) {
            tags.push(vec!["mood".to_owned(), "good".to_owned(), "today".to_owned()]);
        }
        let content = json!({"count": self.count, "text": "x".repeat(self.draw.below(400))});
        (author, "talk".to_owned(), content, tags, fate)
    }

    /// A change of roles, mostly one that is possible and by one who may. Alice and Dora stay as they are.
    fn role(&mut self, oracle: &Oracle) -> (Person, &'static str, Value) {
        let target = *self.draw.pick(&GUESTS);
        let author = *self.draw.pick(&[Person::Alice, Person::Alice, Person::Alice, Person::Bob, target]);
        let id = target.id().hex();
        match self.draw.below(10) {
            0..6 => {
                let state = oracle.state.get(&Name::Identity(target.id())).map_or(0, |mask| mask[31]);
                let onwards: &[&str] = match state {
                    MEMBER => &["OUTSIDER", "BANNED"],
                    GUEST => &["MEMBER", "OUTSIDER"],
                    BANNED => &["OUTSIDER"],
                    _ => &["MEMBER", "GUEST"],
                };
                let anywhere = ["MEMBER", "GUEST", "BANNED", "OUTSIDER"];
                let to = if self.draw.percent(80) { self.draw.pick(onwards) } else { self.draw.pick(&anywhere) };
                (author, "Move", json!({"target": id, "to": to}))
            }
            6..9 => {
                let held = *self.draw.pick(&["admin", "star", "muted", "muted", "nothing"]);
                let kind = if self.draw.percent(60) { "Grant" } else { "Revoke" };
                (author, kind, json!({"target": id, "trait": held}))
            }
            _ => (Person::Bob, "Transfer", json!({"target": id, "trait": "star"})),
        }
    }
}
