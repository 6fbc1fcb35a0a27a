//! A machine that runs a node: the node's own writer, services and SQLite, turned by hand, on this thread's disk.

use crate::{disk, vfs};
use encd::clock::Clock;
use encd::config::Config;
use encd::engine::{Job, Queued, Reply, Shared};
use encd::folder::Folder;
use encd::keys::KeyStore;
use encd::sqlite::{self, Access, Capabilities, Effects, SqlRuntime};
use encd::store;
use encd::syncer::{SyncLog, Syncer};
use encd::writer::{Limits, Writer};
use protocol::PublicKey;
use rusqlite::Connection;
use service::cache::Cache;
use service::runtime::{Fault, Fetch, FetchId, Fetched, NodeFacts, Runtime};
use service::{Call, Outcome, node};
use std::cell::RefCell;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use tempfile::TempDir;
use tokio::sync::{Semaphore, oneshot};

/// Requests of one batch: few, so that there is more than one before a sync.
const BATCH: usize = 3;
/// Batches before a sync; a node lets four transactions wait for one.
const BATCHES: usize = 3;
/// Enclaves that the writer remembers: fewer than there are.
const REMEMBERED: usize = 3;
/// Pages in the write-ahead log at which a commit also moves them: few, so that it happens often.
const CHECKPOINT: &str = "PRAGMA wal_autocheckpoint = 60;";

/// A machine.
pub struct Machine {
    config: Config,
    folder: Folder,
    files: String,
    facts: NodeFacts,
    capabilities: Capabilities,
    running: Option<Running>,
    /// What is in the queue.
    queued: usize,
    /// The mark as it was before the turn, if there was one.
    marked: Option<Vec<u8>>,
    // Last, so that it outlives what works in it.
    _place: TempDir,
}

struct Running {
    reader: Connection,
    remembered: Cache,
    writer: Writer,
    syncer: Syncer,
    queue: mpsc::Sender<Queued>,
}

impl Machine {
    /// A machine with an empty data folder and a sequencer key made of this byte.
    pub fn new(secret: u8, clock: Clock) -> Machine {
        vfs::install();
        // Marks and keys are files of the system's; in memory where it has a place for that.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let place = place.expect("a temporary folder can be made");
        let mut config = Config { data: Some(place.path().to_owned()), ..Config::default() };
        config.name = "node.example".to_owned();
        config.store.shards = 1;
        config.store.cached_enclaves = REMEMBERED;
        config.engine.batch_requests = BATCH;
        let folder = Folder::open(&config).expect("the folder is ours alone");
        for (name, byte) in [("node.key", secret), ("heads.key", secret ^ 0x80)] {
            let line = format!("{}\n", protocol::ids::hex(&[byte; 32]));
            fs::write(folder.keys().join(name), line).expect("the folder takes files");
        }
        // What the node would write durably: a thousand worlds would wait for the machine's own disk.
        fs::write(folder.data().join("node.json"), "{\"shards\":1}").expect("the folder takes files");
        let keys = KeyStore::open(&folder.keys(), &config.name).expect("the keys are scalars");
        let facts = NodeFacts {
            name: config.name.clone(),
            version: "0".to_owned(),
            sequencer: keys.node(),
            heads_vkey: keys.heads_vkey(),
            services: vec!["enc-node"],
            limits: config.service_limits(),
            require_encryption: false,
            push_loopback: false,
        };
        let files = folder.data().to_string_lossy().into_owned();
        let capabilities = Capabilities { keys: Arc::new(keys), clock };
        Machine { config, folder, files, facts, capabilities, running: None, queued: 0, marked: None, _place: place }
    }

    /// Starts the node as a process starts, on what the disk holds.
    pub fn boot(&mut self) {
        self.halt();
        let mut shards = store::open(&self.folder, &self.config.store).expect("the shard opens");
        let file = shards.pop().expect("one shard");
        file.writer.execute_batch(CHECKPOINT).expect("a pragma");
        let reader = sqlite::open_reader(&file.path, &self.config.store).expect("the shard can be read");
        let (queue, jobs) = mpsc::channel();
        let room = Arc::new(Semaphore::new(0));
        let shared = Arc::new(Shared::alone(self.facts.clone(), self.capabilities.clone()));
        let log = file.log.clone().expect("what this folder holds outlives the process").to_string_lossy().into_owned();
        let opened = Writer::open(0, file, (jobs, room), shared, Limits::of(&self.config));
        let (writer, mut syncer) = opened.expect("the shard reads");
        let sync_log: SyncLog = Box::new(move || {
            disk::sync_data(&log);
            Ok(())
        });
        syncer.sync_log = Some(sync_log);
        self.running = Some(Running { reader, remembered: Cache::reader(REMEMBERED), writer, syncer, queue });
    }

    /// Ends the process. What it still writes does no harm: after a crash it goes into the void.
    pub fn halt(&mut self) {
        self.running = None;
        self.queued = 0;
    }

    /// The turn never came to its end: the mark, which follows at the end of one, stays where it was.
    pub fn unmark(&mut self) {
        let put_back = match &self.marked {
            Some(mark) => fs::write(self.mark(), mark),
            None => fs::remove_file(self.mark()),
        };
        let failed = put_back.is_err_and(|error| error.kind() != ErrorKind::NotFound);
        assert!(!failed, "the folder takes files");
    }

    fn mark(&self) -> PathBuf {
        self.folder.data().join("shard-0.mark")
    }

    /// What the names of its files begin with.
    pub fn files(&self) -> &str {
        &self.files
    }

    /// What the node knows of itself.
    pub fn facts(&self) -> &NodeFacts {
        &self.facts
    }

    /// Whether this is its sequencer key.
    pub fn is_node_key(&self, key: &PublicKey) -> bool {
        self.capabilities.keys.holds(key)
    }

    /// How much more the next turn takes.
    pub fn free(&self) -> usize {
        BATCH * BATCHES - self.queued
    }

    /// Puts a call into the writer's queue.
    pub fn submit(&mut self, call: Call, resumed: bool) -> oneshot::Receiver<Reply> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(Job::Call { call: Box::new(call), resumed, reply });
        answer
    }

    /// Tells the writer how an outbound request has ended.
    pub fn fetched(&mut self, id: FetchId, fetched: Fetched) {
        self.enqueue(Job::Fetched(id, fetched));
    }

    /// The writer commits all that is queued and due, then a sync makes it durable and it is told; answers what leaves the node.
    pub fn turn(&mut self) -> Vec<Fetch> {
        let batches = self.queued.div_ceil(BATCH).max(1);
        self.queued = 0;
        self.marked = fs::read(self.mark()).ok();
        let running = self.running();
        for _ in 0..batches {
            running.writer.turn();
        }
        running.syncer.turn()
    }

    /// Answers a call on the reader; [`Fault::ReadOnly`] sends it to the writer.
    pub fn ask(&mut self, call: &Call) -> Result<Outcome, Fault> {
        self.read(|rt, cache, facts| node::run(rt, cache, facts, call, false))
    }

    /// Work in one read transaction.
    pub fn read<T>(
        &mut self,
        work: impl FnOnce(&dyn Runtime, &mut Cache, &NodeFacts) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (capabilities, facts) = (self.capabilities.clone(), self.facts.clone());
        let running = self.running();
        let effects = RefCell::new(Effects::default());
        running.reader.execute_batch("BEGIN").expect("the reader begins");
        let rt = SqlRuntime::new(&running.reader, &capabilities, Access::Read, &effects);
        let result = work(&rt, &mut running.remembered, &facts);
        let result = rt.settle(result);
        running.reader.execute_batch("COMMIT").expect("the reader ends");
        result
    }

    /// The rows that a statement answers, as text.
    pub fn rows(&mut self, sql: &str) -> Vec<String> {
        let connection = &self.running().reader;
        let mut statement = connection.prepare(sql).expect("a statement of the simulator");
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells: Vec<String> = (0..columns).map(|at| row.get_ref(at).map(cell)).collect::<Result<_, _>>()?;
            Ok(cells.join("|"))
        });
        rows.expect("rows").collect::<Result<_, _>>().expect("the database reads")
    }

    /// Transactions that the shard has seen.
    pub fn transactions(&mut self) -> u64 {
        store::transactions(&self.running().reader).expect("the mark reads")
    }

    fn enqueue(&mut self, job: Job) {
        self.queued += 1;
        let sent = self.running().queue.send(Queued { job, weight: 0, since: std::time::Instant::now() });
        assert!(sent.is_ok(), "the writer holds the other end");
    }

    fn running(&mut self) -> &mut Running {
        self.running.as_mut().expect("the machine runs")
    }
}

fn cell(value: rusqlite::types::ValueRef<'_>) -> String {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => protocol::ids::hex(bytes),
    }
}
