//! The newest events of an enclave, read and written out once for all that subscribe to it (`docs/protocol.md`, WebSocket).
//!
//! A tail is what one read transaction found, and it is never changed: the next read makes the next tail. It knows nobody's rights, only
//! whether an event that it has seen could have changed them; a subscription that asked before such an event has to ask again.

use crate::cache::Cache;
use crate::context::{Context, Stop};
use crate::query;
use crate::rows::{self, StoredEvent};
use crate::runtime::{Fault, NodeFacts, Runtime};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use kernel::Bearing;
use protocol::EnclaveId;

/// Events that a tail holds at most: more than come between two reads, unless an enclave is being filled.
pub const MOST_EVENTS: usize = 256;
/// Bytes of JSON, nearly, that a tail holds at most, but for one event that is longer.
pub const MOST_LEN: usize = 1 << 20;

/// The newest events of an enclave.
#[derive(Clone, Debug)]
pub struct Tail {
    /// The place of the first event that is held.
    first: u64,
    /// The place after the last one.
    end: u64,
    /// What was found out about rights before this place may be wrong.
    rights_since: u64,
    /// Nothing came after `end` when it was read.
    whole: bool,
    /// Of the events that are held.
    len: usize,
    events: VecDeque<Arc<Seen>>,
}

/// An event as every subscription sees it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// What filters and rights are asked of.
    pub(crate) stored: StoredEvent,
    /// Its canonical JSON.
    pub(crate) text: String,
    /// What it counts in a page.
    pub(crate) len: usize,
}

impl Tail {
    /// Reads on from an earlier tail, or, without one, begins where the enclave ends. `None`: the enclave is not here, or no more.
    ///
    /// # Errors
    /// [`Fault::ReadOnly`] where a bundle is due: it is closed before anything is told of the events in it.
    pub fn read(
        rt: &dyn Runtime,
        cache: &mut Cache,
        facts: &NodeFacts,
        enclave: &EnclaveId,
        before: Option<&Tail>,
    ) -> Result<Option<Tail>, Fault> {
        let context = Context::new(rt, facts);
        let state = match context.enclave(cache, Some(enclave)) {
            Ok(state) => state,
            Err(Stop::Refused(_)) => return Ok(None),
            Err(Stop::Fault(fault)) => return Err(fault),
        };
        let end = state.record.head.next_seq;
        let Some(before) = before else { return Ok(Some(Tail::beginning(end))) };
        let mut tail = before.clone();
        let (mut new_len, mut in_order) = (0, true);
        rows::events_from(rt, enclave, before.end, MOST_EVENTS as u64, |stored| {
            in_order &= stored.event.position.seq == tail.end;
            new_len += tail.push(stored, before.end);
            new_len < MOST_LEN && in_order
        })?;
        tail.whole = tail.end >= end;
        // A log has no gaps: what the record counts is there.
        if !in_order || (tail.end == before.end && !tail.whole) {
            return Err(Fault::Storage);
        }
        Ok(Some(tail))
    }

    /// The same without its events, for the time in which nothing happens.
    pub fn emptied(&self) -> Tail {
        Tail { first: self.end, len: 0, events: VecDeque::new(), ..self.clone() }
    }

    /// It holds events.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Nothing came after it when it was read.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether all from a place on is held, as far as this tail has seen, and rights that were asked for at another place still hold.
    pub(crate) fn serves(&self, from: u64, rights_at: u64) -> bool {
        from >= self.first && rights_at >= self.rights_since
    }

    /// What is held from a place on.
    pub(crate) fn events_from(&self, from: u64) -> impl Iterator<Item = &Seen> {
        let passed = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.events.iter().skip(passed).map(|seen| &**seen)
    }

    fn beginning(end: u64) -> Tail {
        Tail { first: end, end, rights_since: end, whole: true, len: 0, events: VecDeque::new() }
    }

    /// Takes in the next event, of a read that began at a place; answers its length.
    fn push(&mut self, stored: StoredEvent, read_from: u64) -> usize {
        let (seq, len) = (stored.event.position.seq, query::len(&stored.event));
        match Bearing::of(&stored.event.event_type) {
            Bearing::Nothing => {}
            Bearing::Rights => self.rights_since = seq + 1,
            // What this read found is as the Delete left it. What earlier reads found may hold what is erased.
            Bearing::Contents => self.forget_before(read_from),
        }
        let text = stored.event.to_json().to_jcs();
        self.events.push_back(Arc::new(Seen { stored, text, len }));
        (self.end, self.len) = (seq + 1, self.len + len);
        while self.events.len() > MOST_EVENTS || (self.len > MOST_LEN && self.events.len() > 1) {
            self.forget_before(self.first + 1);
        }
        len
    }

    fn forget_before(&mut self, place: u64) {
        while self.first < place
            && let Some(seen) = self.events.pop_front()
        {
            (self.first, self.len) = (self.first + 1, self.len - seen.len);
        }
    }
}
