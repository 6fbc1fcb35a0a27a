//! Subscriptions: history, then what comes, nothing lost and nothing doubled (`docs/protocol.md`, WebSocket).
//!
//! A subscription is a place in the log. Whenever the enclave has changed the host lets it go on; what it sends is judged on the state of
//! then, which is the state after each of those events or a later one. So whoever an event shuts out does not see that event.
//!
//! Live, it goes on from the [`Tail`] that all subscriptions of the enclave share, as long as its rights are known and it is not behind; else
//! it reads for itself. Either way it sends the same.

use crate::cache::{Cache, State};
use crate::call::{Action, Call, Claim, Filter, Span};
use crate::context::{Asker, Context, Stop};
use crate::query;
use crate::runtime::{Fault, NodeFacts, Runtime};
use crate::tail::Tail;
use alloc::string::String;
use alloc::vec::Vec;
use kernel::Readable;
use protocol::json::write_text;
use protocol::session::SessionToken;
use protocol::state::Lifecycle;
use protocol::{Code, EnclaveId, Json, MAX_INTEGER, PublicKey, Rejection};

/// Events read for one turn of a subscription.
const TURN: u64 = 100;

/// A subscription.
#[derive(Clone, Debug)]
pub struct Subscription {
    enclave: EnclaveId,
    from: Option<PublicKey>,
    ends_at: u64,
    filter: Filter,
    /// The next place to send from, while live; upwards.
    next: u64,
    /// How much history is still to be sent, unless that is over.
    history: Option<History>,
    /// What it may read, as it was found last.
    standing: Option<Standing>,
}

#[derive(Clone, Debug)]
struct Standing {
    readable: Readable,
    /// The enclave's next `seq` when it was found.
    at: u64,
}

#[derive(Clone, Debug)]
struct History {
    left: u64,
    /// Where the next page begins.
    page: Filter,
    /// The enclave's next `seq` when the subscription was opened: history is before it, live from it.
    until: u64,
}

/// What a turn of a subscription gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advance {
    /// Frames to be sent, in order.
    pub frames: Vec<String>,
    /// There is more at once: take another turn when these are sent.
    pub more: bool,
    /// The subscription has ended for this reason; its `Closed` frame is the last of the frames.
    pub closed: Option<&'static str>,
}

impl Subscription {
    /// Which enclave.
    pub fn enclave(&self) -> &EnclaveId {
        &self.enclave
    }

    /// Who reads.
    pub fn from(&self) -> Option<&PublicKey> {
        self.from.as_ref()
    }

    /// When it ends with its session, 60 s after that, milliseconds since the epoch; never, without one.
    pub fn ends_at(&self) -> u64 {
        self.ends_at
    }
}

/// Opens a subscription for a Query.
pub fn open(
    rt: &dyn Runtime,
    cache: &mut Cache,
    facts: &NodeFacts,
    call: &Call,
) -> Result<Result<Subscription, Rejection>, Fault> {
    let context = Context::new(rt, facts);
    match opened(&context, cache, call) {
        Ok(subscription) => Ok(Ok(subscription)),
        Err(Stop::Refused(rejection)) => Ok(Err(rejection)),
        Err(Stop::Fault(fault)) => Err(fault),
    }
}

fn opened(context: &Context, cache: &mut Cache, call: &Call) -> Result<Subscription, Stop> {
    let Action::Query(filter) = &call.action else { return Err(Code::InvalidStructure.into()) };
    context.require_envelope(&call.claim)?;
    let state = context.enclave(cache, call.enclave.as_ref())?;
    let asker = context.asker(&state, &call.claim)?;
    if !asker.reader(&state).anything() {
        return Err(Code::Unauthorized.into());
    }
    let ends_at = match &call.claim {
        Claim::Session { token, .. } => SessionToken::parse(token)?.ends_ms(),
        Claim::Stranger | Claim::Envelope { .. } | Claim::Admin => u64::MAX,
    };
    let until = state.record.head.next_seq;
    let history = History { left: filter.limit, page: filter.clone(), until };
    Ok(Subscription {
        enclave: state.record.head.enclave,
        from: asker.identity.map(|(from, _)| from),
        ends_at,
        filter: filter.clone(),
        next: until,
        history: Some(history),
        standing: None,
    })
}

/// Lets a subscription go on: after it was opened, when its enclave has changed, when its session ends.
pub fn advance(
    rt: &dyn Runtime,
    cache: &mut Cache,
    facts: &NodeFacts,
    subscription: &mut Subscription,
    sub_id: &str,
) -> Result<Advance, Fault> {
    let context = Context::new(rt, facts);
    if context.now > subscription.ends_at {
        return Ok(ended(Code::SessionExpired.as_str(), sub_id));
    }
    let state = match context.enclave(cache, Some(&subscription.enclave)) {
        Ok(state) => state,
        Err(Stop::Refused(rejection)) => return Ok(ended(rejection.code.as_str(), sub_id)),
        Err(Stop::Fault(fault)) => return Err(fault),
    };
    // Retention lets one read, not subscribe.
    let identity = match subscription.from {
        Some(from) => context.identity(&state, from)?.identity,
        None => None,
    };
    let asker = Asker { identity, retained: Vec::new() };
    let reader = asker.reader(&state);
    if !reader.anything() {
        return Ok(ended(Code::Unauthorized.as_str(), sub_id));
    }
    subscription.standing = Some(Standing { readable: reader.at_present(), at: state.record.head.next_seq });
    let mut turn = match subscription.history.take() {
        Some(history) => subscription.history(&context, &state, &asker, (history, sub_id))?,
        None => subscription.live(&context, &state, &asker, sub_id)?,
    };
    // All of it was sent, and nothing follows here: who waits is told to go where the log goes on.
    let at_its_end = subscription.history.is_none() && subscription.next >= state.record.head.next_seq;
    if at_its_end && state.record.head.lifecycle == Lifecycle::Migrated {
        let reason = Code::EnclaveMigrated.as_str();
        turn.frames.push(closed_frame(sub_id, reason));
        turn = Advance { more: false, closed: Some(reason), ..turn };
    }
    Ok(turn)
}

/// Lets a subscription go on from what was read for all. `None`: it has to [`advance`] by itself, for its history, where the tail no longer
/// holds its place, and whenever its rights may have changed.
pub fn share(
    tail: &Tail,
    facts: &NodeFacts,
    now: u64,
    subscription: &mut Subscription,
    sub_id: &str,
) -> Option<Advance> {
    if now > subscription.ends_at {
        return Some(ended(Code::SessionExpired.as_str(), sub_id));
    }
    let standing = subscription.standing.as_ref()?;
    if subscription.history.is_some() || !tail.serves(subscription.next, standing.at) {
        return None;
    }
    let (mut turn, mut left) = (Advance::default(), facts.limits.page_len);
    for seen in tail.events_from(subscription.next) {
        let event = &seen.stored.event;
        if subscription.filter.takes(event) && standing.readable.holds(&seen.stored.as_type) {
            let full = turn.frames.len() as u64 >= TURN || seen.len > left;
            if full && !turn.frames.is_empty() {
                turn.more = true;
                return Some(turn);
            }
            left = left.saturating_sub(seen.len);
            turn.frames.push(event_frame(sub_id, &seen.text));
        }
        subscription.next = event.position.seq + 1;
    }
    Some(turn)
}

impl Subscription {
    fn history(
        &mut self,
        context: &Context,
        state: &State,
        asker: &Asker,
        (mut history, sub_id): (History, &str),
    ) -> Result<Advance, Fault> {
        let mut turn = Advance::default();
        history.page.limit = history.left.min(TURN);
        history.page.seq = Some(clip(history.page.seq.take(), 0, history.until.checked_sub(1)));
        let page = query::page(context, state, &asker.reader(state), &history.page)?;
        turn.frames.extend(page.events.iter().map(|stored| event_frame(sub_id, &stored.event.to_json().to_jcs())));
        history.left -= page.events.len() as u64;
        match page.events.last().filter(|_| page.more && history.left > 0) {
            Some(last) => {
                let seq = last.event.position.seq;
                let (low, high) =
                    if self.filter.reverse { (0, seq.checked_sub(1)) } else { (seq + 1, Some(MAX_INTEGER)) };
                history.page.seq = Some(clip(history.page.seq.take(), low, high));
                self.history = Some(history);
            }
            None => {
                let eose = Json::object([("type", Json::from("EOSE")), ("sub_id", Json::from(sub_id))]);
                turn.frames.push(eose.to_jcs());
            }
        }
        turn.more = true;
        Ok(turn)
    }

    fn live(&mut self, context: &Context, state: &State, asker: &Asker, sub_id: &str) -> Result<Advance, Fault> {
        let mut turn = Advance::default();
        let end = state.record.head.next_seq;
        if self.next >= end {
            return Ok(turn);
        }
        let upto = end.min(self.next.saturating_add(TURN)) - 1;
        let filter = Filter {
            seq: Some(clip(self.filter.seq.clone(), self.next, Some(upto))),
            limit: TURN,
            reverse: false,
            ..self.filter.clone()
        };
        let page = query::page(context, state, &asker.reader(state), &filter)?;
        turn.frames.extend(page.events.iter().map(|stored| event_frame(sub_id, &stored.event.to_json().to_jcs())));
        self.next = match page.events.last().filter(|_| page.more) {
            Some(last) => last.event.position.seq + 1,
            None => upto + 1,
        };
        turn.more = self.next < end;
        Ok(turn)
    }
}

/// A span cut down to `low..=high`; nothing when there is no `high`.
fn clip(span: Option<Span>, low: u64, high: Option<u64>) -> Span {
    let Some(high) = high else { return Span::AnyOf(Vec::new()) };
    match span {
        None => Span::Range(low, high),
        Some(Span::Range(first, last)) => Span::Range(first.max(low), last.min(high)),
        Some(Span::AnyOf(mut any)) => {
            any.retain(|seq| (low..=high).contains(seq));
            Span::AnyOf(any)
        }
    }
}

/// The frame of an event whose canonical JSON is given; written by hand, because the event is nearly all of it.
fn event_frame(sub_id: &str, event: &str) -> String {
    const AROUND: usize = r#"{"event":,"sub_id":"","type":"Event"}"#.len();
    let mut frame = String::with_capacity(AROUND + event.len() + sub_id.len());
    frame.push_str(r#"{"event":"#);
    frame.push_str(event);
    frame.push_str(r#","sub_id":"#);
    write_text(sub_id, &mut frame);
    frame.push_str(r#","type":"Event"}"#);
    frame
}

/// The frame that ends a subscription.
pub fn closed_frame(sub_id: &str, reason: &str) -> String {
    let members = [("type", Json::from("Closed")), ("sub_id", Json::from(sub_id)), ("reason", Json::from(reason))];
    Json::object(members).to_jcs()
}

/// The frame that answers a commit, or a frame that cannot be read, with an error.
pub fn error_frame(rejection: &Rejection, hash: Option<&protocol::CommitHash>) -> String {
    let Json::Object(mut members) = rejection.to_json(hash) else { return String::new() };
    members.push((String::from("type"), Json::from("Error")));
    Json::object(members).to_jcs()
}

fn ended(reason: &'static str, sub_id: &str) -> Advance {
    Advance { frames: Vec::from([closed_frame(sub_id, reason)]), more: false, closed: Some(reason) }
}
