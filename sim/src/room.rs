//! One enclave, as those who use it know it: what it accepted, replayed naively, and what follows for each answer.

use crate::broken::{Broken, Invariant};
use crate::draw::Draw;
use crate::machine::Machine;
use crate::oracle::{Name, Oracle, log_root};
use crate::people::{self, Person};
use crate::script::{Fate, Saying, Script};
use protocol::commit::Draft;
use protocol::head::{Sth, VerifiedSth};
use protocol::state::{DELETED, Lifecycle};
use protocol::{EnclaveId, Event, Json, PublicKey, Receipt, VerifiedCommit};
use service::Response;
use service::cache::Cache;
use service::rows;
use service::runtime::{Fault, NodeFacts, Runtime};

/// An enclave and what is known of it outside the node.
pub struct Room {
    /// Its id.
    pub enclave: EnclaveId,
    /// Its log and state, computed anew from what was accepted.
    pub oracle: Oracle,
    /// What was accepted, in order.
    pub said: Vec<VerifiedCommit>,
    /// Tree heads that were given out and not looked at yet.
    heads: Vec<Sth>,
    sequencer: PublicKey,
    manifest: Json,
    tags: Vec<Vec<String>>,
    script: Script,
}

impl Room {
    /// An enclave that is about to be made at a node with this key. The number tells it from others that are alike.
    pub fn new(number: usize, sequencer: PublicKey, mut draw: Draw) -> Room {
        let (size, timeout) = (1 + draw.below(7), 500 + draw.below(8000));
        let manifest = people::manifest(&sequencer, size, timeout, draw.percent(50));
        let tags = vec![vec!["room".to_owned(), number.to_string()]];
        let enclave = Draft::manifest(Person::Alice.key(), &manifest, tags.clone(), 0).enclave;
        let plain = serde_json::from_str(&manifest.to_jcs()).expect("JSON");
        let script = Script::new(enclave, draw);
        Room {
            enclave,
            oracle: Oracle::new(&plain),
            said: Vec::new(),
            heads: Vec::new(),
            sequencer,
            manifest,
            tags,
            script,
        }
    }

    /// The next commit: the Manifest until it is accepted.
    pub fn next(&mut self, now: u64) -> Saying {
        if !self.is_born() {
            let draft = Draft::manifest(Person::Alice.key(), &self.manifest, self.tags.clone(), now + 60_000);
            let verified = draft.sign(Person::Alice.key());
            return Saying { commit: verified.commit().clone(), verified: Some(verified), fate: Fate::Accepted };
        }
        self.script.next(now, &self.oracle, &self.said)
    }

    /// Its Manifest was accepted.
    pub fn is_born(&self) -> bool {
        !self.oracle.events.is_empty()
    }

    /// Who sequences it.
    pub fn sequencer(&self) -> &PublicKey {
        &self.sequencer
    }

    /// Time of the last event.
    fn last(&self) -> u64 {
        self.oracle.events.last().map_or(0, |event| event.position.timestamp)
    }

    /// Judges an answer to a commit that was given at `now`; true if it was accepted.
    ///
    /// # Errors
    /// It is not what the rules say.
    pub fn answered(&mut self, saying: &Saying, response: &Response, now: u64) -> Result<bool, Broken> {
        let body = json_of(response)?;
        if response.status == 200 {
            let receipt = Receipt::from_json(body).map_err(|_| Invariant::Answered.broken("200 without a receipt"))?;
            self.accepted(saying, &receipt, now)?;
            return Ok(true);
        }
        let code = body.member("error").and_then(Json::as_text).unwrap_or("none").to_owned();
        self.refused(saying, (&code, &body), now)?;
        Ok(false)
    }

    /// Takes an event in whose receipt was given out, or which a crash has spared.
    ///
    /// # Errors
    /// It is not the one that follows.
    pub fn accepted(&mut self, saying: &Saying, receipt: &Receipt, now: u64) -> Result<(), Broken> {
        let position = &receipt.position;
        let t = now.max(self.last());
        let (behind, in_time) = self.timely(saying, now);
        let Some(verified) = &saying.verified else {
            return Err(Invariant::Answered.broken(format!("a spoiled commit was accepted at {}", position.seq)));
        };
        let wanted = !behind && in_time && !matches!(saying.fate, Fate::Refused(_)) && !self.knows(verified);
        Invariant::Answered.holds(wanted, || format!("{:?} was accepted at {}", saying.commit, position.seq))?;
        let (seq, prev) = (self.oracle.events.len() as u64, self.oracle.events.last().map(|last| last.event_hash().0));
        let follows = (position.seq, position.prev.0) == (seq, prev.unwrap_or_default());
        Invariant::ChainWhole.holds(follows, || {
            format!("after {seq} events comes one for seq {} with prev {:?}", position.seq, position.prev)
        })?;
        Invariant::Answered
            .holds(position.timestamp == t, || format!("an event of {t} bears {}", position.timestamp))?;
        let whole = receipt.verify(&saying.commit, &self.sequencer).is_ok();
        Invariant::ChainWhole.holds(whole, || format!("the receipt of seq {seq} does not hold"))?;
        self.oracle.settle(t);
        self.oracle.accept(verified, receipt, t, &self.sequencer);
        self.said.push(verified.clone());
        Ok(())
    }

    fn refused(&self, saying: &Saying, (code, body): (&str, &Json), now: u64) -> Result<(), Broken> {
        let (behind, in_time) = self.timely(saying, now);
        let untimely = ["clock_behind", "expired", "exp_too_far"].contains(&code);
        let right = match (untimely, &saying.verified) {
            (true, _) => behind == (code == "clock_behind") && (behind || !in_time),
            (false, _) if behind || !in_time => false,
            (false, Some(verified)) if self.knows(verified) => {
                let place = self.said.iter().position(|said| said.commit().hash == saying.commit.hash);
                let receipt = self.oracle.receipts[place.expect("it is known")];
                code == "duplicate" && body.member("receipt") == Some(&receipt.to_json())
            }
            (false, _) => match saying.fate {
                Fate::Accepted => self.is_born() && self.oracle.lifecycle != Lifecycle::Active,
                Fate::Refused(codes) => codes.contains(&code) || self.oracle.lifecycle != Lifecycle::Active,
                Fate::Open => !["duplicate", "internal", "overloaded", "enclave_not_found"].contains(&code),
            },
        };
        Invariant::Answered.holds(right, || format!("{code} for {saying:?} at {now}"))
    }

    /// Whether the clock is too far behind the log, and whether the commit comes within its time.
    fn timely(&self, saying: &Saying, now: u64) -> (bool, bool) {
        let t = now.max(self.last());
        let exp = saying.commit.exp;
        (self.last() > now + 60_000, exp + 60_000 >= t && exp <= t + 3_600_000)
    }

    fn knows(&self, commit: &VerifiedCommit) -> bool {
        self.said.iter().any(|said| said.commit().hash == commit.commit().hash)
    }

    /// The node's record says what the replay says. A bundle that is due by `now` may have closed by itself.
    ///
    /// # Errors
    /// It does not.
    pub fn compare(&mut self, machine: &mut Machine, now: u64, thorough: bool) -> Result<(), Broken> {
        let enclave = self.enclave;
        let load = |rt: &dyn Runtime, cache: &mut Cache, _: &NodeFacts| cache.load(rt, &enclave);
        let state = machine.read(load).map_err(|fault| unread(fault, "a record"))?;
        let Some(state) = state else {
            return Invariant::NothingLost.holds(!self.is_born(), || format!("the enclave {enclave} is gone"));
        };
        let (head, len) = (&state.record.head, self.oracle.events.len() as u64);
        Invariant::NothingLost.holds(head.next_seq >= len, || format!("of {len} events {} are left", head.next_seq))?;
        let prev = self.oracle.events.last().map(|last| last.event_hash().0).unwrap_or_default();
        Invariant::ChainWhole.holds((head.next_seq, head.prev.0) == (len, prev), || {
            format!("the record goes on at {} after {:?}, the log at {len}", head.next_seq, head.prev)
        })?;
        let due = self.oracle.due().filter(|due| *due <= now);
        if head.tree_size == self.oracle.entries.len() as u64 + 1
            && let Some(due) = due
        {
            self.oracle.close(due);
        }
        let (size, root) = (self.oracle.entries.len() as u64, log_root(&self.oracle.entries));
        Invariant::RootsOfReplay.holds((head.tree_size, head.root) == (size, root), || {
            format!("the log has {} entries and another root than the replay with {size}", head.tree_size)
        })?;
        for sth in std::mem::take(&mut self.heads) {
            self.head(sth)?;
        }
        if thorough {
            let same = state.record.state_root == self.oracle.root();
            Invariant::RootsOfReplay.holds(same, || format!("another state root after {len} events"))?;
            self.scan(machine)?;
        }
        Ok(())
    }

    /// Every event is in its place as it was accepted.
    fn scan(&self, machine: &mut Machine) -> Result<(), Broken> {
        let read = |rt: &dyn Runtime, _: &mut Cache, _: &NodeFacts| {
            let at = |seq| rows::event_at(rt, &self.enclave, seq);
            (0..=self.oracle.events.len() as u64).map(at).collect::<Result<Vec<_>, Fault>>()
        };
        let stored = machine.read(read).map_err(|fault| unread(fault, "events"))?;
        for (seq, stored) in stored.iter().enumerate() {
            let (hash, known) = (stored.as_ref().map(|stored| stored.event.event_hash()), self.oracle.events.get(seq));
            let known = known.map(|event| event.event_hash());
            let lost = known.is_some() && hash.is_none();
            Invariant::NothingLost.holds(!lost, || format!("seq {seq} is not stored"))?;
            Invariant::ChainWhole.holds(hash == known, || format!("another event is stored at seq {seq}"))?;
        }
        Ok(())
    }

    /// A tree head was given out; it is looked at when the turn is over.
    ///
    /// # Errors
    /// It is none.
    pub fn given(&mut self, response: &Response) -> Result<(), Broken> {
        self.heads.push(sth_of(response)?);
        Ok(())
    }

    /// The open bundle was closed before its time.
    pub fn closed(&mut self, now: u64) {
        if self.oracle.due().is_some() {
            self.oracle.close(now.max(self.last()));
        }
    }

    /// The bundle that is open: its first seq, its index, how many events it has.
    pub fn open_bundle(&self) -> (usize, usize, usize) {
        (self.oracle.bundled, self.oracle.entries.len(), self.oracle.events.len() - self.oracle.bundled)
    }

    /// Whether a Delete has taken the content of an event, or of what it updated.
    pub fn is_deleted(&self, event: &Event) -> bool {
        let of = match event.event_type.as_str() {
            "Update" => protocol::event::reference(&event.tags).unwrap_or(event.id),
            _ => event.id,
        };
        self.oracle.state.get(&Name::Event(of)) == Some(&DELETED)
    }

    /// Verifies a tree head.
    ///
    /// # Errors
    /// It is of no tree of this log.
    pub fn head(&self, sth: Sth) -> Result<VerifiedSth, Broken> {
        let size = usize::try_from(sth.tree_size).unwrap_or(usize::MAX);
        let right = self.oracle.entries.get(..size).is_some_and(|entries| log_root(entries) == sth.root_hash);
        Invariant::RootsOfReplay.holds(right, || format!("a head of {size} entries that the replay does not have"))?;
        let signed = sth.verify_for(&self.enclave, &self.sequencer);
        signed.map_err(|error| Invariant::Answered.broken(format!("a head does not verify: {error:?}")))
    }
}

/// The tree head in an answer.
pub fn sth_of(response: &Response) -> Result<Sth, Broken> {
    Sth::from_json(json_of(response)?).map_err(|_| Invariant::Answered.broken("no tree head"))
}

/// The body of an answer.
pub fn json_of(response: &Response) -> Result<Json, Broken> {
    protocol::json::parse(&response.body, protocol::json::MAX_DEPTH)
        .map_err(|_| Invariant::Answered.broken("an answer that is no JSON"))
}

/// A read that failed.
pub fn unread(fault: Fault, what: &str) -> Broken {
    Invariant::Answered.broken(format!("{what} cannot be read: {fault:?}"))
}
