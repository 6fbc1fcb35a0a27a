//! A world and its life: which machines, who asks what when, where the power goes.

use crate::broken::{Broken, Invariant};
use crate::disk;
use crate::draw::Draw;
use crate::machine::Machine;
use crate::post::{Endpoint, Parked};
use crate::reading::Reading;
use crate::room::{Room, json_of};
use crate::script::Saying;
use crate::trace::Trace;
use encd::clock::Clock;
use encd::engine::Reply;
use protocol::{Code, Json};
use service::call::{Action, CheckedCommit, Claim, Restore, TakeUp};
use service::runtime::{Fault, Fetch};
use service::{Call, Response, rows};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;

/// When every world begins, milliseconds since the epoch.
pub const START: u64 = 1_706_000_000_000;
/// Sequencer keys of the machines.
const SECRETS: [u8; 2] = [0x44, 0x55];

/// A world.
pub struct World {
    pub(crate) draw: Draw,
    pub(crate) clock: Arc<AtomicU64>,
    pub(crate) machines: [Machine; 2],
    pub(crate) rooms: Vec<Housed>,
    pub(crate) endpoints: Vec<Endpoint>,
    /// Requests on their way, and from which machine.
    pub(crate) outgoing: Vec<(usize, Fetch)>,
    pub(crate) full: bool,
    pub(crate) trace: Trace,
}

/// An enclave and where it is.
pub(crate) struct Housed {
    pub(crate) room: Room,
    pub(crate) home: usize,
    /// The rows that it was restored with on the other machine.
    pub(crate) copy: Option<Vec<String>>,
    pub(crate) reading: Reading,
    /// Commits that a crash left without an answer, to be sent again.
    unanswered: Vec<Saying>,
}

/// What a machine is asked to do in a turn.
pub(crate) enum Asked {
    Say(usize, Saying),
    Head(usize),
    Close(usize),
    Register(usize),
    Restore { of: usize, spoiled: bool, snapshot: Vec<u8>, rows: Vec<String> },
}

/// Answers as they come, so that a crash knows which had come.
type Inbox = Rc<RefCell<Vec<(oneshot::Receiver<Reply>, Option<Reply>)>>>;

/// What a world has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Events that were accepted.
    pub events: usize,
    /// Crashes, those within a turn or a start among them.
    pub crashes: usize,
    /// Digest of all that happened: the same seed, the same number.
    pub digest: u64,
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, trace: bool) -> World {
        let mut draw = Draw::new(seed);
        disk::format(draw.branch());
        let clock = Arc::new(AtomicU64::new(START));
        let told = Arc::clone(&clock);
        let time = Clock::new(move || told.load(Ordering::Relaxed));
        let mut machines = SECRETS.map(|secret| Machine::new(secret, time.clone()));
        machines.iter_mut().for_each(Machine::boot);
        let mut world = World {
            clock,
            machines,
            rooms: Vec::new(),
            endpoints: Vec::new(),
            outgoing: Vec::new(),
            full: false,
            trace: Trace::new(trace),
            draw,
        };
        for number in 0..5 + world.draw.below(6) {
            let home = world.draw.below(2);
            let room = Room::new(number, world.machines[home].facts().sequencer, world.draw.branch());
            if world.draw.percent(50) {
                world.endpoints.push(Endpoint::new(number, room.enclave));
            }
            world.rooms.push(Housed { room, home, copy: None, reading: Reading::default(), unanswered: Vec::new() });
        }
        world
    }

    /// Lives for so many steps, then sees that all is well.
    ///
    /// # Errors
    /// Something that must hold does not.
    pub fn live(&mut self, steps: usize) -> Result<Seen, Broken> {
        for step in 0..steps {
            self.trace.note(|| format!("— step {step} at {}", self.clock.load(Ordering::Relaxed)));
            self.step()?;
        }
        self.end()?;
        let events = self.rooms.iter().map(|housed| housed.room.said.len()).sum();
        Ok(Seen { events, crashes: self.trace.crashes, digest: self.trace.digest() })
    }

    /// What happened, if it was to be kept.
    pub fn story(&self) -> &[String] {
        self.trace.story()
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    fn step(&mut self) -> Result<(), Broken> {
        let machine = self.draw.below(2);
        match self.draw.below(100) {
            0..50 => self.busy(machine),
            50..60 => self.read(),
            60..66 => {
                self.turn_clock();
                self.turn(machine, Vec::new())
            }
            66..80 => self.network(),
            80..84 => {
                let of = self.machines[machine].files().to_owned();
                disk::with(|disk| disk.crash_now(&of));
                self.recover(machine, None)
            }
            84..87 => self.restart(machine),
            87..91 => self.full_disk(machine),
            91..98 => self.restore(machine),
            _ => self.compare(machine, true),
        }
    }

    fn turn_clock(&mut self) {
        let now = self.now();
        // A clock that was set back far is mended by the next step.
        let last = self.rooms.iter().filter_map(|housed| housed.room.oracle.events.last());
        let last = last.map(|event| event.position.timestamp).max().unwrap_or(now);
        let now = if last > now + 60_000 { last } else { now };
        let then = match self.draw.below(8) {
            0 => now - 30_000,
            1 => now - 90_000,
            2 => now + 61_000,
            3 => now + 301_000,
            4 => now + 6_000,
            _ => now + self.draw.number() % 2_000,
        };
        self.clock.store(then, Ordering::Relaxed);
    }

    /// Clients ask, several at once; in one of six cases the power goes meanwhile.
    pub(crate) fn busy(&mut self, machine: usize) -> Result<(), Broken> {
        let asked = self.asked(machine);
        if self.draw.percent(60) {
            let passed = self.draw.number() % 400;
            self.clock.fetch_add(passed, Ordering::Relaxed);
        }
        if self.draw.percent(16) {
            let after = match self.draw.below(3) {
                0 => disk::AT_SYNC + self.draw.below(2) as u64,
                _ => 1 + self.draw.below(40) as u64,
            };
            return self.turn_into_crash(machine, asked, after);
        }
        self.turn(machine, asked)
    }

    pub(crate) fn asked(&mut self, machine: usize) -> Vec<Asked> {
        let mut asked = Vec::new();
        let here: Vec<usize> = (0..self.rooms.len()).filter(|place| self.rooms[*place].home == machine).collect();
        if here.is_empty() {
            return asked;
        }
        let free = self.machines[machine].free();
        let mut seen = Vec::new();
        for _ in 0..(1 + self.draw.below(7)).min(free) {
            let place = *self.draw.pick(&here);
            let now = self.now();
            match self.draw.below(20) {
                0 if self.rooms[place].room.is_born() => asked.push(Asked::Head(place)),
                1 if self.rooms[place].room.is_born() => asked.push(Asked::Close(place)),
                // The Manifest once in a batch: its second would be judged by what nobody knows yet.
                _ if self.rooms[place].room.is_born() || !seen.contains(&place) => {
                    let unanswered = self.rooms[place].unanswered.pop();
                    let saying = unanswered.unwrap_or_else(|| self.rooms[place].room.next(now));
                    asked.push(Asked::Say(place, saying));
                }
                _ => {}
            }
            seen.push(place);
        }
        let now = self.now();
        for (number, endpoint) in self.endpoints.iter_mut().enumerate() {
            let housed = &self.rooms[endpoint.room];
            let again = endpoint.parked.as_mut().is_none_or(|parked| {
                parked.deadline < now || parked.wake.try_recv() != Err(oneshot::error::TryRecvError::Empty)
            });
            let wanted = housed.home == machine && housed.room.is_born() && !endpoint.live && again;
            if wanted && asked.len() < free && self.draw.percent(60) {
                asked.push(Asked::Register(number));
            }
        }
        asked
    }

    fn call(&self, machine: usize, asked: &Asked) -> Call {
        let of = |place: usize| Some(self.rooms[place].room.enclave);
        match asked {
            Asked::Say(place, saying) => {
                let is_node_key = |key: &protocol::PublicKey| self.machines[machine].is_node_key(key);
                let checked = CheckedCommit::check(saying.commit.clone(), &is_node_key);
                Call { enclave: of(*place), claim: Claim::Stranger, action: Action::Commit(checked) }
            }
            Asked::Head(place) => Call { enclave: of(*place), claim: Claim::Stranger, action: Action::Sth },
            Asked::Close(place) => Call { enclave: of(*place), claim: Claim::Admin, action: Action::CloseBundle },
            Asked::Register(number) => self.endpoints[*number].register(),
            Asked::Restore { of: place, snapshot, .. } => {
                let restore =
                    Restore { snapshot: snapshot.clone(), manifest: None, sequencer: None, first: TakeUp::No };
                Call { enclave: of(*place), claim: Claim::Admin, action: Action::Restore(restore) }
            }
        }
    }

    fn submit(&mut self, machine: usize, asked: &[Asked]) -> Inbox {
        let inbox = Inbox::default();
        for one in asked {
            let resumed = matches!(one, Asked::Register(number) if self.endpoints[*number].parked.is_some());
            let call = self.call(machine, one);
            let answer = self.machines[machine].submit(call, resumed);
            inbox.borrow_mut().push((answer, None));
        }
        inbox
    }

    /// A turn of a machine to its end.
    pub(crate) fn turn(&mut self, machine: usize, asked: Vec<Asked>) -> Result<(), Broken> {
        let inbox = self.submit(machine, &asked);
        let fetches = self.machines[machine].turn();
        self.done(machine, (asked, &inbox), fetches)
    }

    /// A turn is over: everybody has an answer, and each is right.
    fn done(
        &mut self,
        machine: usize,
        (asked, inbox): (Vec<Asked>, &Inbox),
        fetches: Vec<Fetch>,
    ) -> Result<(), Broken> {
        self.outgoing.extend(fetches.into_iter().map(|fetch| (machine, fetch)));
        collect(inbox);
        let restored = asked.iter().any(|asked| matches!(asked, Asked::Restore { .. }));
        for (asked, (_, reply)) in asked.into_iter().zip(inbox.take()) {
            let reply = reply.ok_or_else(|| Invariant::Answered.broken("a turn leaves a request without an answer"))?;
            self.judge(machine, asked, reply)?;
        }
        self.compare(machine, false)?;
        if restored { self.strays(machine) } else { Ok(()) }
    }

    /// A turn in which the power goes at some step of the disk, unless it has fewer.
    pub(crate) fn turn_into_crash(&mut self, machine: usize, asked: Vec<Asked>, after: u64) -> Result<(), Broken> {
        let before = self.machines[machine].transactions();
        let inbox = self.submit(machine, &asked);
        let heard = Rc::clone(&inbox);
        let of = self.machines[machine].files().to_owned();
        disk::with(|disk| disk.crash_after(after, &of, move || collect(&heard)));
        let fetches = self.machines[machine].turn();
        if disk::with(|disk| disk.is_crashed()) {
            return self.recover(machine, Some((before, asked, inbox)));
        }
        disk::with(|disk| disk.disarm());
        self.done(machine, (asked, &inbox), fetches)
    }

    /// The machine starts anew on what the crash has left. What was under way when it came is known by its answer, or else by what
    /// is stored.
    fn recover(&mut self, machine: usize, under_way: Option<(u64, Vec<Asked>, Inbox)>) -> Result<(), Broken> {
        self.machines[machine].halt();
        if under_way.is_some() {
            self.machines[machine].unmark();
        }
        self.trace.crashes += 1;
        self.boot(machine);
        let outgoing = std::mem::take(&mut self.outgoing);
        self.outgoing = outgoing.into_iter().filter(|(from, _)| *from != machine).collect();
        for endpoint in &mut self.endpoints {
            if self.rooms[endpoint.room].home == machine {
                endpoint.parked = None;
            }
        }
        for housed in self.rooms.iter_mut().filter(|housed| housed.home == machine) {
            housed.reading.cut();
        }
        if let Some((before, asked, inbox)) = under_way {
            let after = self.machines[machine].transactions();
            self.trace.note(|| format!("crash within a turn; transactions {before} → {after}"));
            Invariant::NothingLost.holds(after >= before, || format!("{before} transactions became {after}"))?;
            for (asked, (_, reply)) in asked.into_iter().zip(inbox.take()) {
                match reply {
                    Some(reply) => self.judge(machine, asked, reply)?,
                    None => self.find(machine, asked)?,
                }
            }
        } else {
            self.trace.note(|| "crash between turns".to_owned());
        }
        self.compare(machine, true)?;
        self.endpoints_of(machine)?;
        self.strays(machine)
    }

    /// Starts a machine; the power may go while it does.
    fn boot(&mut self, machine: usize) {
        disk::with(disk::Disk::come_back);
        while self.draw.percent(30) {
            let of = self.machines[machine].files().to_owned();
            let after = 1 + self.draw.below(12) as u64;
            disk::with(|disk| disk.crash_after(after, &of, || {}));
            self.machines[machine].boot();
            disk::with(|disk| disk.disarm());
            if !disk::with(|disk| disk.is_crashed()) {
                return;
            }
            self.trace.crashes += 1;
            self.machines[machine].halt();
            disk::with(disk::Disk::come_back);
        }
        self.machines[machine].boot();
    }

    /// A process that is asked to stop, and starts again; the power may go while it stops.
    fn restart(&mut self, machine: usize) -> Result<(), Broken> {
        if self.draw.percent(50) {
            let of = self.machines[machine].files().to_owned();
            let after = 1 + self.draw.below(20) as u64;
            disk::with(|disk| disk.crash_after(after, &of, || {}));
        }
        self.machines[machine].halt();
        disk::with(|disk| disk.disarm());
        self.recover(machine, None)
    }

    /// A request whose answer the crash has cut off: whether it was done is seen in the rows.
    fn find(&mut self, machine: usize, asked: Asked) -> Result<(), Broken> {
        match asked {
            Asked::Say(place, saying) => {
                let hash = saying.commit.hash;
                let read = self.machines[machine].read(|rt, _, _| rows::receipt(rt, &hash));
                let receipt = read.map_err(|fault| crate::room::unread(fault, "a receipt"))?;
                let known = self.rooms[place].room.said.iter().any(|said| said.commit().hash == hash);
                if let (Some(receipt), false) = (receipt, known) {
                    let now = self.now();
                    self.rooms[place].room.accepted(&saying, &receipt, now)?;
                    self.owe(place);
                }
                self.rooms[place].unanswered.push(saying);
                Ok(())
            }
            Asked::Restore { of, spoiled, rows, .. } => {
                let enclave = self.rooms[of].room.enclave;
                let sql = format!("SELECT 1 FROM node_state WHERE enclave = x'{}' AND key = 'record'", enclave.hex());
                if self.machines[machine].rows(&sql).is_empty() {
                    return Ok(());
                }
                self.restored(machine, (of, spoiled), rows)
            }
            Asked::Close(place) => {
                let now = self.now();
                let room = &mut self.rooms[place].room;
                let (first, index, count) = room.open_bundle();
                let sql = format!(
                    "SELECT 1 FROM bundles WHERE enclave = x'{}' AND idx = {index} AND first_seq = {first} \
                     AND substr(entry, 73) = x'{count:016x}'",
                    room.enclave.hex()
                );
                if !self.machines[machine].rows(&sql).is_empty() {
                    room.closed(now);
                }
                Ok(())
            }
            Asked::Head(_) | Asked::Register(_) => Ok(()),
        }
    }

    fn judge(&mut self, machine: usize, asked: Asked, reply: Reply) -> Result<(), Broken> {
        let response = match reply {
            Reply::Done(response) => response,
            Reply::Parked { wake, deadline, .. } => {
                let Asked::Register(number) = asked else {
                    return Err(Invariant::Answered.broken("a request waits that has nothing to wait for"));
                };
                self.endpoints[number].parked = Some(Parked { wake, deadline });
                return Ok(());
            }
            Reply::Failed(Fault::Full) if self.full => return Ok(()),
            Reply::Failed(fault) => return Err(Invariant::Answered.broken(format!("the host failed: {fault:?}"))),
        };
        let code = encd::host::refusal_code(&response);
        self.trace.note(|| match &asked {
            Asked::Say(place, saying) => format!("room {place}: {} → {code:?}", saying.commit.event_type),
            Asked::Head(place) => format!("room {place}: head → {code:?}"),
            Asked::Close(place) => format!("room {place}: close → {code:?}"),
            Asked::Register(number) => format!("endpoint {number}: register → {code:?}"),
            Asked::Restore { of, spoiled, .. } => format!("room {of}: restore, spoiled {spoiled} → {code:?}"),
        });
        if code == Some(Code::Overloaded) && self.full {
            if let Asked::Register(number) = asked {
                self.endpoints[number].parked = None;
            }
            return Ok(());
        }
        self.judge_response(machine, asked, &response)
    }

    fn judge_response(&mut self, machine: usize, asked: Asked, response: &Response) -> Result<(), Broken> {
        let done = response.status == 200;
        match asked {
            Asked::Say(place, saying) => {
                let now = self.now();
                if self.rooms[place].room.answered(&saying, response, now)? {
                    self.owe(place);
                }
                Ok(())
            }
            Asked::Head(place) => self.rooms[place].room.given(response),
            Asked::Close(place) => {
                Invariant::Answered.holds(done, || "a bundle cannot be closed".to_owned())?;
                let body = json_of(response)?;
                let sth = body.member("sth").map(|sth| Response::json(200, sth));
                let sth = sth.ok_or_else(|| Invariant::Answered.broken("closed without a head"))?;
                let now = self.now();
                self.rooms[place].room.closed(now);
                self.rooms[place].room.given(&sth)
            }
            Asked::Register(number) => {
                self.endpoints[number].parked = None;
                let body = json_of(response)?;
                let code = body.member("error").and_then(Json::as_text);
                Invariant::Answered
                    .holds(done || code == Some("bad_state"), || format!("{code:?} to a registration"))?;
                self.endpoint(machine, number, done)
            }
            Asked::Restore { of, spoiled, rows, .. } if done => self.restored(machine, (of, spoiled), rows),
            Asked::Restore { spoiled, .. } => {
                Invariant::Answered.holds(spoiled, || "a snapshot was refused".to_owned())
            }
        }
    }
}

/// Takes the answers that have come.
fn collect(inbox: &Inbox) {
    for (answer, reply) in inbox.borrow_mut().iter_mut() {
        if reply.is_none() {
            *reply = answer.try_recv().ok();
        }
    }
}
