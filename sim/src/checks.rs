//! The other half of a world's life: the network, copies, and what must hold afterwards.

use crate::broken::{Broken, Invariant};
use crate::disk;
use crate::machine::Machine;
use crate::post::Passage;
use crate::reading::{self, Read};
use crate::world::{Asked, World};
use protocol::EnclaveId;
use service::Call;
use service::call::{Action, Claim};
use service::runtime::FetchId;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

/// Tables in which a log and its copy are the same.
const LOG_TABLES: [&str; 6] = ["events", "event_tags", "bundles", "log_nodes", "left_rules", "state_pages"];
/// Tables keyed by enclave.
const TABLES: [&str; 11] = [
    "events",
    "event_tags",
    "bundles",
    "log_nodes",
    "left_rules",
    "state_pages",
    "node_state",
    "push_endpoints",
    "push_pending",
    "push_seq",
    "push_delivered",
];
/// Turns until everything that waits for an endpoint must have come: some hundred events, each attempt a turn.
const DRAINING: usize = 400;

/// The rows of an enclave in the tables of its log.
pub fn log_rows(machine: &mut Machine, enclave: &EnclaveId) -> Vec<String> {
    let mut rows = Vec::new();
    for table in LOG_TABLES {
        let sql = format!("SELECT '{table}', * FROM {table} WHERE enclave = x'{}'", enclave.hex());
        let mut found = machine.rows(&sql);
        found.sort();
        rows.extend(found);
    }
    rows
}

impl World {
    /// Every enclave of a machine is what its replay says; `thorough`: to the last event.
    pub(crate) fn compare(&mut self, machine: usize, thorough: bool) -> Result<(), Broken> {
        let now = self.now();
        for housed in self.rooms.iter_mut().filter(|housed| housed.home == machine) {
            housed.room.compare(&mut self.machines[machine], now, thorough)?;
        }
        for housed in self.rooms.iter().filter(|housed| thorough && housed.home != machine) {
            let Some(copy) = &housed.copy else { continue };
            let same = log_rows(&mut self.machines[machine], &housed.room.enclave) == *copy;
            Invariant::NothingLost.holds(same, || format!("the copy of {} has changed", housed.room.enclave))?;
        }
        Ok(())
    }

    /// The newest event of an enclave is owed to its endpoint, if it is talk.
    pub(crate) fn owe(&mut self, place: usize) {
        let last = self.rooms[place].room.oracle.events.last();
        if let Some(event) = last.filter(|event| event.event_type == "talk") {
            let seq = event.position.seq;
            self.endpoints.iter_mut().filter(|endpoint| endpoint.room == place).for_each(|endpoint| endpoint.owe(seq));
        }
    }

    /// Somebody reads.
    pub(crate) fn read(&mut self) -> Result<(), Broken> {
        let place = self.draw.below(self.rooms.len());
        self.read_at(place)
    }

    fn read_at(&mut self, place: usize) -> Result<(), Broken> {
        let home = self.rooms[place].home;
        if !self.rooms[place].room.is_born() {
            return Ok(());
        }
        let how = self.draw.below(3);
        for _ in 0..2 {
            let (housed, machine) = (&mut self.rooms[place], &mut self.machines[home]);
            let read = match how {
                0 => reading::query(machine, &housed.room, &mut self.draw)?,
                1 => reading::proofs(machine, &housed.room, &mut self.draw)?,
                _ => housed.reading.advance(machine, &housed.room)?,
            };
            match read {
                Read::Done => break,
                Read::Due => self.turn(home, vec![Asked::Head(place)])?,
            }
        }
        Ok(())
    }

    /// A request that is on its way arrives, or does not.
    pub(crate) fn network(&mut self) -> Result<(), Broken> {
        if self.outgoing.is_empty() {
            let machine = self.draw.below(2);
            return self.turn(machine, Vec::new());
        }
        let (at, passage) = (self.draw.below(self.outgoing.len()), Passage::draw(&mut self.draw));
        self.pass(at, passage)
    }

    /// The first request in the lane of this one has its end.
    fn pass(&mut self, at: usize, passage: Passage) -> Result<(), Broken> {
        let lane = self.outgoing[at].1.lane.clone();
        let first = self.outgoing.iter().position(|(_, fetch)| fetch.lane == lane).unwrap_or(at);
        let (machine, fetch) = self.outgoing.remove(first);
        let number = self.endpoints.iter().position(|endpoint| endpoint.url == fetch.url);
        let number = number.ok_or_else(|| Invariant::DeliveriesArrive.broken("a request to nobody"))?;
        let now = self.now();
        let endpoint = &mut self.endpoints[number];
        let sequencer = self.rooms[endpoint.room].room.sequencer();
        let fetched = endpoint.passed(&fetch, passage, (sequencer, now))?;
        self.trace.note(|| format!("endpoint {number}: {:?}, {passage:?}", fetch.id));
        self.machines[machine].fetched(fetch.id, fetched);
        match fetch.id {
            FetchId::Challenge(_) => {
                self.turn(machine, Vec::new())?;
                self.endpoint(machine, number, false)
            }
            FetchId::Delivery(_) => self.busy(machine),
        }
    }

    /// Whether an endpoint is delivered to, as its row says. Once it is, it stays so.
    pub(crate) fn endpoint(&mut self, machine: usize, number: usize, must: bool) -> Result<(), Broken> {
        let endpoint = &mut self.endpoints[number];
        let sql = format!(
            "SELECT state FROM push_endpoints WHERE enclave = x'{}' AND url = '{}'",
            endpoint.enclave.hex(),
            endpoint.url
        );
        let live = matches!(self.machines[machine].rows(&sql).first().map(String::as_str), Some("1" | "3"));
        let kept = live || !(must || endpoint.live);
        endpoint.live |= live;
        Invariant::DeliveriesArrive.holds(kept, || format!("endpoint {number} was registered and is gone"))
    }

    /// The same for all endpoints of a machine.
    pub(crate) fn endpoints_of(&mut self, machine: usize) -> Result<(), Broken> {
        for number in 0..self.endpoints.len() {
            if self.rooms[self.endpoints[number].room].home == machine {
                self.endpoint(machine, number, false)?;
            }
        }
        Ok(())
    }

    /// No table holds a row of an enclave that nobody was told of.
    pub(crate) fn strays(&mut self, machine: usize) -> Result<(), Broken> {
        let is_here = |housed: &&crate::world::Housed| {
            if housed.home == machine { housed.room.is_born() } else { housed.copy.is_some() }
        };
        let here: BTreeSet<String> =
            self.rooms.iter().filter(is_here).map(|housed| housed.room.enclave.hex()).collect();
        for table in TABLES {
            for enclave in self.machines[machine].rows(&format!("SELECT DISTINCT enclave FROM {table}")) {
                Invariant::RefusalChangesNothing
                    .holds(here.contains(&enclave), || format!("{table} has rows of {enclave}, which was refused"))?;
            }
        }
        Ok(())
    }

    /// The disk has no room for a while.
    pub(crate) fn full_disk(&mut self, machine: usize) -> Result<(), Broken> {
        self.trace.note(|| "the disk is full".to_owned());
        self.full = true;
        disk::with(|disk| disk.set_full(true));
        for _ in 0..=self.draw.below(2) {
            let asked = self.asked(machine);
            self.turn(machine, asked)?;
        }
        disk::with(|disk| disk.set_full(false));
        self.full = false;
        let asked = self.asked(machine);
        self.turn(machine, asked)
    }

    /// A log is taken from the other machine and restored on this one, or a file that looks like it.
    pub(crate) fn restore(&mut self, machine: usize) -> Result<(), Broken> {
        let may =
            |housed: &crate::world::Housed| housed.home != machine && housed.copy.is_none() && housed.room.is_born();
        let there: Vec<usize> = (0..self.rooms.len()).filter(|place| may(&self.rooms[*place])).collect();
        if there.is_empty() {
            return Ok(());
        }
        let of = *self.draw.pick(&there);
        let home = self.rooms[of].home;
        let enclave = self.rooms[of].room.enclave;
        let call = Call { enclave: Some(enclave), claim: Claim::Admin, action: Action::Snapshot };
        let Some(response) = reading::ask(&mut self.machines[home], &call)? else {
            return self.turn(home, vec![Asked::Head(of)]);
        };
        let mut snapshot = response.body;
        let spoiled = self.draw.percent(60);
        if spoiled {
            let at = snapshot.len() / 3 + self.draw.below(snapshot.len() - snapshot.len() / 3);
            snapshot[at] ^= 1 << self.draw.below(7);
        }
        let rows = log_rows(&mut self.machines[home], &enclave);
        let mut asked = self.asked(machine);
        asked.truncate(self.machines[machine].free() - 1);
        let at = self.draw.below(asked.len() + 1);
        asked.insert(at, Asked::Restore { of, spoiled, snapshot, rows });
        if self.draw.percent(20) {
            let after = 1 + self.draw.below(60) as u64;
            return self.turn_into_crash(machine, asked, after);
        }
        self.turn(machine, asked)
    }

    /// A log was restored: the copy is what the log was.
    pub(crate) fn restored(
        &mut self,
        machine: usize,
        (of, spoiled): (usize, bool),
        rows: Vec<String>,
    ) -> Result<(), Broken> {
        Invariant::Answered.holds(!spoiled, || "a spoiled snapshot was taken in".to_owned())?;
        reading::queries(&mut self.machines[machine], &self.rooms[of].room)?;
        let same = log_rows(&mut self.machines[machine], &self.rooms[of].room.enclave) == rows;
        Invariant::RootsOfReplay.holds(same, || format!("room {of} has other rows where it was restored"))?;
        self.rooms[of].copy = Some(rows);
        Ok(())
    }

    /// Everything comes to rest, and all that was promised is looked at once more.
    pub(crate) fn end(&mut self) -> Result<(), Broken> {
        self.trace.note(|| "— the end".to_owned());
        let last = self.rooms.iter().filter_map(|housed| housed.room.oracle.events.last());
        let last = last.map(|event| event.position.timestamp).max().unwrap_or(0);
        self.clock.fetch_max(last, Ordering::Relaxed);
        self.drain()?;
        for machine in 0..self.machines.len() {
            self.compare(machine, true)?;
            self.strays(machine)?;
        }
        for place in 0..self.rooms.len() {
            let housed = &mut self.rooms[place];
            let machine = &mut self.machines[housed.home];
            if !housed.room.is_born() {
                continue;
            }
            let read = [
                reading::queries(machine, &housed.room)?,
                reading::proofs(machine, &housed.room, &mut self.draw)?,
                housed.reading.advance(machine, &housed.room)?,
            ];
            let done = read.iter().all(|read| matches!(read, Read::Done));
            Invariant::Answered.holds(done, || "something is still due when all is at rest".to_owned())?;
            let len = housed.room.oracle.events.len() as u64;
            Invariant::QueryIsScan
                .holds(housed.reading.seen() == len, || format!("{} of {len} events came", housed.reading.seen()))?;
        }
        Ok(())
    }

    /// Time passes, every request arrives, until nothing waits for an endpoint any more.
    fn drain(&mut self) -> Result<(), Broken> {
        for _ in 0..DRAINING {
            self.clock.fetch_add(if self.outgoing.is_empty() { 301_000 } else { 1 }, Ordering::Relaxed);
            for machine in 0..self.machines.len() {
                self.turn(machine, self.waiting(machine))?;
            }
            while !self.outgoing.is_empty() {
                self.deliver()?;
            }
            if self.endpoints.iter().all(|endpoint| !endpoint.live || endpoint.missing().is_empty()) {
                break;
            }
        }
        for (number, endpoint) in self.endpoints.iter().enumerate() {
            let missing = endpoint.missing();
            Invariant::DeliveriesArrive
                .holds(missing.is_empty(), || format!("endpoint {number} never got {missing:?}"))?;
        }
        // A head that is a minute old is signed again when it is asked for: that is writing.
        for place in 0..self.rooms.len() {
            if self.rooms[place].room.is_born() {
                self.turn(self.rooms[place].home, vec![Asked::Head(place)])?;
            }
        }
        Ok(())
    }

    /// Endpoints that were given up are registered again.
    fn waiting(&self, machine: usize) -> Vec<Asked> {
        let is_here = |number: &usize| self.rooms[self.endpoints[*number].room].home == machine;
        let numbers = (0..self.endpoints.len()).filter(|number| is_here(number) && self.endpoints[*number].live);
        numbers.map(Asked::Register).take(self.machines[machine].free()).collect()
    }

    fn deliver(&mut self) -> Result<(), Broken> {
        let (machine, fetch) = self.outgoing.remove(0);
        let now = self.now();
        let number = self.endpoints.iter().position(|endpoint| endpoint.url == fetch.url);
        let number = number.ok_or_else(|| Invariant::DeliveriesArrive.broken("a request to nobody"))?;
        let endpoint = &mut self.endpoints[number];
        let sequencer = self.rooms[endpoint.room].room.sequencer();
        let fetched = endpoint.passed(&fetch, Passage::Whole, (sequencer, now))?;
        self.machines[machine].fetched(fetch.id, fetched);
        self.turn(machine, Vec::new())?;
        self.endpoint(machine, number, false)
    }
}
