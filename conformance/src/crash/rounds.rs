//! Rounds, one after the other, and what they come to.

use crate::crash::failure::Failure;
use crate::crash::field::Field;
use crate::crash::journal::Journal;
use crate::crash::load::Load;
use crate::crash::place::{Kind, Place};
use crate::crash::survivor::{Checked, Survivor, not_started, resume};
use crate::encd::{Encd, Launch, NotStarted};
use crate::endpoint::Endpoint;
use client::{FolderStore, Store};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Rounds on one data folder; then it has grown enough, and a new one is made.
const ROUNDS_OF_A_LIFE: u64 = 3;
/// The longest wait after them, microseconds: longer than a batch and its sync.
const MORE_MICROS: u64 = 20_000;
/// Enclaves whose events are pushed.
const PUSHED: usize = 2;
/// Nothing is refused for want of space, and endpoints of this machine are posted to.
const CONFIG: &str = "log = \"warn\"\n[outbound]\nallow_loopback = true\n[disk]\ncreate_free_mib = 0\ncreate_free_percent = 0\n\
                      commit_free_mib = 0\ncommit_free_percent = 0\n";

/// What is to be done.
pub struct Plan {
    /// The node's binary.
    pub binary: PathBuf,
    /// Where data folders and disks are made.
    pub parent: PathBuf,
    /// Receipts on the client's disk before a node may be ended. A round waits for up to as many again.
    pub receipts: u64,
}

/// One round that went well.
pub struct Round {
    /// How its node was ended.
    pub kind: Kind,
    /// Receipts that came in it.
    pub receipts: u64,
    /// What was checked after it: everything of its folder, earlier rounds included.
    pub checked: Checked,
    /// How long the load was on.
    pub loaded: Duration,
    /// How long the judgement took.
    pub judged: Duration,
}

/// Why a round ended otherwise.
#[derive(Debug)]
pub enum Fault {
    /// The machine did not let it be made.
    Machine(io::Error),
    /// The node has broken a promise.
    Promise(Failure),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Machine(error) => write!(f, "the machine: {error}"),
            Fault::Promise(failure) => write!(f, "{failure}"),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Machine(error)
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Fault {
        Fault::Promise(failure)
    }
}

/// A data folder, the node on it, and the client that is told things by it.
struct Life {
    node: Encd,
    place: Place,
    field: Arc<Field>,
    journal: Arc<Journal>,
    store: Arc<dyn Store>,
    client: TempDir,
    _endpoints: Vec<Endpoint>,
    kind: Kind,
    left: u64,
}

/// Lives of both kinds, so that their rounds can take turns.
pub struct Rounds<'a> {
    plan: &'a Plan,
    lives: Vec<Life>,
}

impl<'a> Rounds<'a> {
    /// Nothing is started yet.
    pub fn of(plan: &'a Plan) -> Rounds<'a> {
        Rounds { plan, lives: Vec::new() }
    }

    /// One round. `seed` says when it ends, as far as a machine that does other things as well repeats itself.
    ///
    /// # Errors
    /// The first thing that does not hold. What was under way is gone then.
    pub fn run(&mut self, kind: Kind, seed: u64) -> Result<Round, Fault> {
        let mut dice = Dice(seed);
        let life = match self.lives.iter().position(|life| life.kind == kind) {
            Some(place) => self.lives.swap_remove(place),
            None => Life::begin(self.plan, kind, dice.roll(2) == 0)?,
        };
        let (life, round) = life.round(self.plan, &mut dice)?;
        if life.left > 0 {
            self.lives.push(life);
        }
        Ok(round)
    }
}

impl Life {
    /// Half of the lives begin with everything so far on the disk, as on a node that has been up for a while.
    fn begin(plan: &Plan, kind: Kind, settled: bool) -> Result<Life, Fault> {
        let client = TempDir::new_in(&plan.parent)?;
        std::fs::write(config(&client), CONFIG)?;
        let place = Place::make(kind, &plan.parent)?;
        let node = start(plan, &place, &client).map_err(Failure::NotStarted)?;
        let field = Arc::new(Field::make(&node));
        let journal = Arc::new(Journal::create(&client.path().join("journal"))?);
        let store: Arc<dyn Store> = Arc::new(FolderStore::new(client.path().join("store")));
        let endpoints = pushed_to(&node, &field, &journal, &store)?;
        if settled {
            place.settle()?;
        }
        Ok(Life { node, place, field, journal, store, client, _endpoints: endpoints, kind, left: ROUNDS_OF_A_LIFE })
    }

    fn round(mut self, plan: &Plan, dice: &mut Dice) -> Result<(Life, Round), Fault> {
        let (began, before) = (Instant::now(), self.journal.receipts());
        let load = Load::begin(&self.node.address, &self.field, &self.journal, resume(&self.journal)?);
        let enough = before + usize::try_from(plan.receipts + dice.roll(plan.receipts)).unwrap_or(usize::MAX);
        let alive = load.reaches(enough);
        self.journal.sync()?;
        // What matters of this wait is only that nobody knows where it ends.
        thread::sleep(Duration::from_micros(dice.roll(MORE_MICROS)));
        let (place, told) = self.place.end(&mut self.node, &plan.parent, &self.journal)?;
        let unexpected = load.end();
        if let Some(len) = told {
            self.journal.forget_after(len)?;
        }
        if let Some(answer) = unexpected.or_else(|| (!alive).then(|| "nothing".to_owned())) {
            return Err(Failure::Unexpected(format!("{answer}; it has logged: {}", self.node.log())).into());
        }
        let (loaded, receipts) = (began.elapsed(), self.journal.receipts() - before);
        let began = Instant::now();
        let seen = self.journal.read()?;
        self.place = place;
        self.node = match start(plan, &self.place, &self.client) {
            Ok(node) => node,
            Err(error) => return Err(not_started(seen, error).into()),
        };
        let survivor = Survivor { node: &self.node, field: &self.field, store: &self.store };
        let checked = survivor.check(seen)?;
        self.left -= 1;
        let (kind, judged, receipts) = (self.kind, began.elapsed(), receipts as u64);
        Ok((self, Round { kind, receipts, checked, loaded, judged }))
    }
}

fn start(plan: &Plan, place: &Place, client: &TempDir) -> Result<Encd, NotStarted> {
    let (data, config) = (place.data(), config(client));
    Encd::launch(&Launch { binary: &plan.binary, data: &data, config: &config })
}

fn config(client: &TempDir) -> PathBuf {
    client.path().join("encd.toml")
}

/// Endpoints that keep what is posted to them, each for one of the first enclaves.
fn pushed_to(
    node: &Encd,
    field: &Field,
    journal: &Arc<Journal>,
    store: &Arc<dyn Store>,
) -> Result<Vec<Endpoint>, Failure> {
    let register = |enclave| {
        let endpoint = keeping(journal);
        let refused =
            |error: client::Error| Failure::Unbelieved { enclave, asked: "an endpoint", error: error.to_string() };
        let handle = field.open(node, enclave, store).map_err(refused)?;
        handle.register_push(Some(&endpoint.url)).map_err(refused)?;
        Ok(endpoint)
    };
    field.enclaves.iter().take(PUSHED).copied().map(register).collect()
}

fn keeping(journal: &Arc<Journal>) -> Endpoint {
    let journal = Arc::clone(journal);
    // The signed address is the endpoint's own: it is what the node was given.
    Endpoint::start(Box::new(move |body| {
        let url = body.member("to").and_then(protocol::Json::as_text).unwrap_or_default();
        journal.delivery(url, body);
        (200, "{}".into())
    }))
}

/// SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides.max(1)
    }
}
