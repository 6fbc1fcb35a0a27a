//! Those who read: queries, proofs, and a subscription that must bring every event once and in order, whatever happens to the node.

use crate::broken::{Broken, Invariant};
use crate::draw::Draw;
use crate::machine::Machine;
use crate::people::{ALL, Person};
use crate::room::{Room, json_of, sth_of};
use protocol::event::Content;
use protocol::proof::{BundleAnswer, InclusionAnswer};
use protocol::{Event, Json};
use service::call::{Action, Claim, Filter, InclusionOf, Span};
use service::live::{self, Subscription};
use service::runtime::Fault;
use service::{Call, Outcome, Response};

/// Alice reading along.
#[derive(Default)]
pub struct Reading {
    subscription: Option<Subscription>,
    seen: u64,
}

/// What a read came to.
pub enum Read {
    /// It was answered.
    Done,
    /// Something has to be written first.
    Due,
}

impl Reading {
    /// The connection is gone.
    pub fn cut(&mut self) {
        self.subscription = None;
    }

    /// How many events have come.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Takes what there is.
    ///
    /// # Errors
    /// An event is left out, comes twice, or is not what was accepted.
    pub fn advance(&mut self, machine: &mut Machine, room: &Room) -> Result<Read, Broken> {
        let from_here = Filter { seq: Some(Span::Range(self.seen, protocol::MAX_INTEGER)), ..all() };
        let call = asking(room, Action::Query(from_here));
        let mut subscription = match self.subscription.take() {
            Some(subscription) => subscription,
            None => match machine.read(|rt, cache, facts| live::open(rt, cache, facts, &call)) {
                Ok(Ok(subscription)) => subscription,
                Ok(Err(refusal)) => return Err(Invariant::QueryIsScan.broken(format!("no subscription: {refusal:?}"))),
                Err(Fault::ReadOnly) => return Ok(Read::Due),
                Err(fault) => return Err(crate::room::unread(fault, "a subscription")),
            },
        };
        loop {
            let turn = machine.read(|rt, cache, facts| live::advance(rt, cache, facts, &mut subscription, "s"));
            let turn = match turn {
                Ok(turn) => turn,
                Err(Fault::ReadOnly) => return Ok(Read::Due),
                Err(fault) => return Err(crate::room::unread(fault, "a subscription")),
            };
            for frame in &turn.frames {
                self.frame(frame, room)?;
            }
            Invariant::QueryIsScan
                .holds(turn.closed.is_none(), || format!("a subscription ends: {:?}", turn.closed))?;
            if !turn.more {
                self.subscription = Some(subscription);
                return Ok(Read::Done);
            }
        }
    }

    fn frame(&mut self, frame: &str, room: &Room) -> Result<(), Broken> {
        let broken = |seen: &str| Invariant::QueryIsScan.broken(format!("{seen}: {frame}"));
        let frame =
            protocol::json::parse(frame.as_bytes(), protocol::json::MAX_DEPTH).map_err(|_| broken("a frame"))?;
        let Some(event) = frame.member("event") else { return Ok(()) };
        let event = Event::from_json(event.clone()).map_err(|_| broken("no event"))?;
        let seq = event.position.seq;
        Invariant::QueryIsScan.holds(seq == self.seen, || format!("{seq} comes where {} is due", self.seen))?;
        same(&event, room)?;
        self.seen += 1;
        Ok(())
    }
}

fn all() -> Filter {
    Filter { limit: 1000, ..Filter::default() }
}

fn asking(room: &Room, action: Action) -> Call {
    Call { enclave: Some(room.enclave), claim: Claim::Envelope { from: Person::Alice.id() }, action }
}

/// An event as it was accepted, but for content that a Delete may have taken.
fn same(event: &Event, room: &Room) -> Result<(), Broken> {
    let seq = event.position.seq;
    let known = usize::try_from(seq).ok().and_then(|seq| room.oracle.events.get(seq));
    let right = known.is_some_and(|known| {
        let content = match &event.content {
            Content::Present(_) => event.content == known.content && !room.is_deleted(known),
            Content::Deleted(_) => room.is_deleted(known),
        };
        content && event.event_hash() == known.event_hash()
    });
    Invariant::QueryIsScan.holds(right, || format!("another event is answered for seq {seq}"))
}

/// Asks a query that is drawn, and scans for the answer.
///
/// # Errors
/// They differ.
pub fn query(machine: &mut Machine, room: &Room, draw: &mut Draw) -> Result<Read, Broken> {
    let tag = draw.below(5).to_string();
    let mut filter = all();
    match draw.below(6) {
        0 | 1 => filter.tags = Some(vec![("k".to_owned(), Some(tag))]),
        2 => filter.tags = Some(vec![("mood".to_owned(), None)]),
        3 => filter.event_type = Some(vec![(*draw.pick(&["talk", "Move", "Update", "Shared"])).to_owned()]),
        4 => filter.from = Some(vec![draw.pick(&ALL).id()]),
        _ => filter.seq = Some(Span::Range(draw.below(40) as u64, 30 + draw.below(40) as u64)),
    }
    filter.reverse = draw.percent(30);
    compare(machine, room, &filter)
}

/// Asks for each tag, and scans for the answer.
///
/// # Errors
/// They differ.
pub fn queries(machine: &mut Machine, room: &Room) -> Result<Read, Broken> {
    let tags = ["0", "1", "2", "3", "updated"].map(|value| ("k".to_owned(), Some(value.to_owned())));
    for tag in tags.into_iter().chain([("mood".to_owned(), None), ("room".to_owned(), None)]) {
        if let Read::Due = compare(machine, room, &Filter { tags: Some(vec![tag]), ..all() })? {
            return Ok(Read::Due);
        }
    }
    compare(machine, room, &all())
}

fn compare(machine: &mut Machine, room: &Room, filter: &Filter) -> Result<Read, Broken> {
    let Some(response) = ask(machine, &asking(room, Action::Query(filter.clone())))? else { return Ok(Read::Due) };
    let body = json_of(&response)?;
    let Some(Json::Array(events)) = body.member("events") else {
        return Err(Invariant::QueryIsScan.broken(format!("no events for {filter:?}: {}", body.to_jcs())));
    };
    let mut found = Vec::with_capacity(events.len());
    for event in events {
        let event =
            Event::from_json(event.clone()).map_err(|_| Invariant::QueryIsScan.broken("an answer without an event"))?;
        same(&event, room)?;
        found.push(event.position.seq);
    }
    let meant = room.oracle.events.iter().filter(|event| is_meant(event, filter));
    let mut scanned: Vec<u64> = meant.map(|event| event.position.seq).collect();
    if filter.reverse {
        scanned.reverse();
    }
    Invariant::QueryIsScan
        .holds(found == scanned, || format!("{filter:?} answers {found:?}, a scan finds {scanned:?}"))?;
    Ok(Read::Done)
}

fn is_meant(event: &Event, filter: &Filter) -> bool {
    let tagged = |(name, value): &(String, Option<String>)| {
        event.tags.iter().any(|tag| tag[0] == *name && value.as_ref().is_none_or(|value| tag.get(1) == Some(value)))
    };
    let seq = event.position.seq;
    filter.tags.as_ref().is_none_or(|tags| tags.iter().any(tagged))
        && filter.event_type.as_ref().is_none_or(|types| types.contains(&event.event_type))
        && filter.from.as_ref().is_none_or(|from| from.contains(&event.from))
        && filter.seq.as_ref().is_none_or(|span| match span {
            Span::Range(first, last) => (*first..=*last).contains(&seq),
            Span::AnyOf(any) => any.contains(&seq),
        })
}

/// Asks for proofs of an event that was accepted, and verifies them.
///
/// # Errors
/// They do not hold.
pub fn proofs(machine: &mut Machine, room: &Room, draw: &mut Draw) -> Result<Read, Broken> {
    let Some(response) = ask(machine, &asking(room, Action::Sth))? else { return Ok(Read::Due) };
    let head = room.head(sth_of(&response)?)?;
    let broken = |seen: &str| Invariant::RootsOfReplay.broken(seen);
    let receipt = *draw.pick(&room.oracle.receipts);
    let of = InclusionOf::Event(receipt.id);
    let Some(response) = ask(machine, &asking(room, Action::Inclusion { of, tree_size: None }))? else {
        return Ok(Read::Due);
    };
    if usize::try_from(receipt.position.seq).is_ok_and(|seq| seq >= room.oracle.bundled) {
        let code = json_of(&response)?.member("error").and_then(Json::as_text) == Some("not_bundled");
        return Invariant::RootsOfReplay.holds(code, || "a proof for an open bundle".to_owned()).map(|()| Read::Done);
    }
    let answer = InclusionAnswer::from_json(json_of(&response)?).map_err(|_| broken("no proof of inclusion"))?;
    let event = answer.verify_event(&receipt, room.sequencer(), &head);
    event.map_err(|error| broken(&format!("inclusion of an event: {error:?}")))?;
    let index = answer.entry.leaf_index;
    let entry = answer.verify_entry(index, &head);
    let entry = *entry.map_err(|error| broken(&format!("inclusion of an entry: {error:?}")))?;
    let Some(response) = ask(machine, &asking(room, Action::Bundle { event_id: receipt.id }))? else {
        return Ok(Read::Due);
    };
    let answer = BundleAnswer::from_json(json_of(&response)?).map_err(|_| broken("no proof of a bundle"))?;
    let bundle = answer.verify(&receipt, room.sequencer(), index, &entry);
    bundle.map_err(|error| broken(&format!("a bundle: {error:?}")))?;
    Ok(Read::Done)
}

/// Answers on the reader; none where something must be written first.
pub fn ask(machine: &mut Machine, call: &Call) -> Result<Option<Response>, Broken> {
    match machine.ask(call) {
        Ok(Outcome::Done(response) | Outcome::Undone(response)) => Ok(Some(response)),
        Ok(Outcome::Parked { .. }) | Err(Fault::ReadOnly) => Ok(None),
        Err(fault) => Err(crate::room::unread(fault, "an answer")),
    }
}
