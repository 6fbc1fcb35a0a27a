//! The red thread through events that are read in order: what must follow from one to the next.

use crate::error::Falsehood;
use protocol::manifest::Op;
use protocol::{Event, EventHash, Manifest};
use std::collections::HashMap;

/// What was seen last, and what must come next.
#[derive(Clone, Debug)]
pub struct Thread {
    last: Option<Seen>,
    next_of_type: HashMap<String, u64>,
    from_start: bool,
    whole: Whole,
    slots_by_right: bool,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    seq: u64,
    timestamp: u64,
    event_hash: EventHash,
}

/// How much of the log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// Every event: each `seq` must come.
    Log,
    /// All that may be read of some or all types: each `type_seq` must come.
    Types,
    /// Some events: only their order is known.
    Nothing,
}

impl Thread {
    /// A thread that begins at the Manifest (`from_start`) or somewhere later.
    pub fn new(manifest: &Manifest, whole: Whole, from_start: bool) -> Thread {
        let by_right = |ops: protocol::manifest::OpSet| ops.allows(Op::R) || ops.denies(Op::R);
        let slots_by_right = manifest.rbac.slots.iter().any(|rule| by_right(rule.ops));
        Thread { last: None, next_of_type: HashMap::new(), from_start, whole, slots_by_right }
    }

    /// The last place that was seen.
    pub fn last_seq(&self) -> Option<u64> {
        self.last.map(|seen| seen.seq)
    }

    /// Takes the next event, whose own signatures hold already.
    ///
    /// # Errors
    /// [`Falsehood::Order`], [`Falsehood::Chain`], [`Falsehood::Gap`].
    pub fn take(&mut self, event: &Event, event_hash: EventHash) -> Result<(), Falsehood> {
        let position = event.position;
        let seq = position.seq;
        match self.last {
            Some(last) if seq <= last.seq || position.timestamp < last.timestamp => {
                return Err(Falsehood::Order { seq });
            }
            Some(last) if seq == last.seq + 1 && position.prev != last.event_hash => {
                return Err(Falsehood::Chain { seq });
            }
            Some(_) | None => {}
        }
        match self.whole {
            Whole::Log => self.expect_seq(seq)?,
            Whole::Types => self.expect_type_seq(event)?,
            Whole::Nothing => {}
        }
        self.next_of_type.insert(event.event_type.clone(), position.type_seq + 1);
        self.last = Some(Seen { seq, timestamp: position.timestamp, event_hash });
        Ok(())
    }

    fn expect_seq(&self, found: u64) -> Result<(), Falsehood> {
        let expected = match self.last {
            Some(last) => last.seq + 1,
            None if self.from_start => 0,
            None => found,
        };
        if found == expected { Ok(()) } else { Err(Falsehood::Gap { expected, found }) }
    }

    fn expect_type_seq(&self, event: &Event) -> Result<(), Falsehood> {
        // These are readable one by one, as the event or slot that they are about.
        let one_by_one = match event.event_type.as_str() {
            "Update" | "Delete" => true,
            "Shared" | "Own" => self.slots_by_right,
            _ => false,
        };
        let found = event.position.type_seq;
        let expected = match self.next_of_type.get(&event.event_type) {
            Some(next) => *next,
            None if self.from_start => 0,
            None => found,
        };
        if one_by_one || found == expected { Ok(()) } else { Err(Falsehood::Gap { expected, found }) }
    }
}
