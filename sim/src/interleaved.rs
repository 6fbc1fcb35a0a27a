//! Enclaves that share a node, and each of them alone: the same commits at the same times must give the same bytes.

use crate::broken::{Broken, Invariant};
use crate::checks::log_rows;
use crate::disk;
use crate::draw::Draw;
use crate::machine::Machine;
use crate::reading;
use crate::room::Room;
use crate::world::START;
use encd::clock::Clock;
use encd::engine::Reply;
use protocol::EnclaveId;
use service::call::{Action, CheckedCommit, Claim, Restore, TakeUp};
use service::{Call, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Enclaves that share a node.
const ROOMS: usize = 3;
/// Turns of the node.
const SLOTS: usize = 40;

/// What happens in one turn.
struct Slot {
    now: u64,
    /// Who says something, in this order.
    acts: Vec<usize>,
    /// Where among them somebody sends in what looks like a log and is none.
    intruder: Option<usize>,
}

/// An enclave that is refused, and the file that is sent in for it.
struct Intruder {
    enclave: EnclaveId,
    snapshot: Vec<u8>,
}

/// What a node holds of an enclave in the end.
#[derive(PartialEq, Eq)]
struct Bytes {
    snapshot: Vec<u8>,
    rows: Vec<String>,
}

/// Plays enclaves together and each alone.
///
/// # Errors
/// What the node holds of one differs, or anything else is broken on the way.
pub fn alike(seed: u64) -> Result<(), Broken> {
    let mut draw = Draw::new(seed);
    let intruder = intruder(seed)?;
    let schedule = schedule(&mut draw);
    let together = play(seed, &schedule, &[0, 1, 2], Some(&intruder))?;
    for (number, beside) in together.iter().enumerate() {
        let alone = play(seed, &schedule, &[number], None)?;
        Invariant::AloneAlike.holds(alone[0] == *beside, || {
            let (one, other) = (&alone[0].rows, &beside.rows);
            let differing = one.iter().find(|row| !other.contains(row));
            format!("enclave {number} has other bytes alone: {differing:?}")
        })?;
    }
    Ok(())
}

/// Clocks that jump, and everybody now and then.
fn schedule(draw: &mut Draw) -> Vec<Slot> {
    let mut now = START;
    let mut slot = || {
        now = match draw.below(12) {
            0 => now - 30_000,
            1 => now + 61_000,
            2 => now + 6_000,
            _ => now + draw.number() % 900,
        };
        let acts: Vec<usize> = (0..draw.below(7)).map(|_| draw.below(ROOMS)).collect();
        let intruder = draw.percent(25).then(|| draw.below(acts.len() + 1));
        Slot { now, acts, intruder }
    };
    (0..SLOTS).map(|_| slot()).collect()
}

/// A log of another node, with a bit of its last third changed.
fn intruder(seed: u64) -> Result<Intruder, Broken> {
    let slots: Vec<Slot> =
        (0..20).map(|at| Slot { now: START + at * 300, acts: vec![ROOMS], intruder: None }).collect();
    let bytes = play(seed, &slots, &[ROOMS], None)?;
    let mut snapshot = bytes.into_iter().next().expect("one was played").snapshot;
    let at = snapshot.len() - snapshot.len() / 3;
    snapshot[at] ^= 1;
    Ok(Intruder { enclave: rooms(seed, protocol::PublicKey([0; 32]))[ROOMS].enclave, snapshot })
}

/// All enclaves, each with numbers of its own.
fn rooms(seed: u64, sequencer: protocol::PublicKey) -> Vec<Room> {
    let mut draw = Draw::new(seed ^ 0xe5c1_a7e5);
    (0..=ROOMS).map(|number| Room::new(number, sequencer, draw.branch())).collect()
}

/// Plays some of the enclaves on a fresh node; in each turn the clock goes as it would with all of them.
fn play(seed: u64, slots: &[Slot], cast: &[usize], intruder: Option<&Intruder>) -> Result<Vec<Bytes>, Broken> {
    disk::format(Draw::new(seed));
    let clock = Arc::new(AtomicU64::new(START));
    let told = Arc::clone(&clock);
    let mut machine = Machine::new(0x44, Clock::new(move || told.load(Ordering::Relaxed)));
    machine.boot();
    let mut rooms = rooms(seed, machine.facts().sequencer);
    for slot in slots {
        clock.store(slot.now, Ordering::Relaxed);
        turn(&mut machine, &mut rooms, (slot, cast), intruder)?;
    }
    let last = slots.iter().map(|slot| slot.now).max().unwrap_or(START);
    clock.store(last + 61_000, Ordering::Relaxed);
    cast.iter().map(|number| bytes(&mut machine, &mut rooms[*number], last + 61_000)).collect()
}

fn turn(
    machine: &mut Machine,
    rooms: &mut [Room],
    (slot, cast): (&Slot, &[usize]),
    intruder: Option<&Intruder>,
) -> Result<(), Broken> {
    let mut sent = Vec::new();
    let mut born = Vec::new();
    for (place, number) in slot.acts.iter().enumerate() {
        if let Some(intruder) = intruder.filter(|_| slot.intruder == Some(place)) {
            let first = TakeUp::No;
            let restore = Restore { snapshot: intruder.snapshot.clone(), manifest: None, sequencer: None, first };
            let action = Action::Restore(restore);
            let call = Call { enclave: Some(intruder.enclave), claim: Claim::Admin, action };
            sent.push((None, machine.submit(call, false)));
        }
        let room = &mut rooms[*number];
        if !cast.contains(number) || (!room.is_born() && born.contains(number)) {
            continue;
        }
        born.push(*number);
        let saying = room.next(slot.now);
        let checked = CheckedCommit::check(saying.commit.clone(), &|key| machine.is_node_key(key));
        let call = Call { enclave: Some(room.enclave), claim: Claim::Stranger, action: Action::Commit(checked) };
        sent.push((Some((*number, saying)), machine.submit(call, false)));
    }
    machine.turn();
    for (said, mut answer) in sent {
        let response = match answer.try_recv() {
            Ok(Reply::Done(response)) => response,
            Ok(Reply::Parked { .. } | Reply::Failed(_)) | Err(_) => {
                return Err(Invariant::Answered.broken("a request without an answer"));
            }
        };
        match said {
            Some((number, saying)) => {
                rooms[number].answered(&saying, &response, slot.now)?;
            }
            None => refused(&response)?,
        }
    }
    for number in cast {
        rooms[*number].compare(machine, slot.now, false)?;
    }
    Ok(())
}

fn refused(response: &Response) -> Result<(), Broken> {
    Invariant::Answered.holds(response.status != 200, || "a spoiled snapshot was taken in".to_owned())
}

/// What the node holds of an enclave, once all that is due is done.
fn bytes(machine: &mut Machine, room: &mut Room, now: u64) -> Result<Bytes, Broken> {
    let mut answer =
        machine.submit(Call { enclave: Some(room.enclave), claim: Claim::Stranger, action: Action::Sth }, false);
    machine.turn();
    Invariant::Answered.holds(answer.try_recv().is_ok(), || "no tree head".to_owned())?;
    room.compare(machine, now, true)?;
    let call = Call { enclave: Some(room.enclave), claim: Claim::Admin, action: Action::Snapshot };
    let snapshot = reading::ask(machine, &call)?;
    let snapshot = snapshot.ok_or_else(|| Invariant::Answered.broken("no snapshot"))?.body;
    let mut rows = log_rows(machine, &room.enclave);
    rows.extend(
        machine.rows(&format!("SELECT * FROM node_state WHERE enclave = x'{}' ORDER BY key", room.enclave.hex())),
    );
    Ok(Bytes { snapshot, rows })
}
