//! Faults in a node that runs: under load, while a bundle closes, while the log is moved into the database, while it stops.

use crate::table::{Left, STORAGE, everything, next_place, report};
use conformance::launch::{Ended, Running, wait_until};
use conformance::strace::{Fault, Instead, Trap};
use conformance::told::{Field, Told};
use protocol::Code;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const EIO: Instead = Instead::Error("EIO");
const ENOSPC: Instead = Instead::Error("ENOSPC");
const SHORT: Instead = Instead::Short;
const SYNC: &str = "fsync,fdatasync";

/// How long a fault may take to be met.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a process that ends after a failed durable write says.
const WHY: &str = "a durable write failed";
/// How long the load goes on after the fault.
const AFTER: Duration = Duration::from_millis(100);
/// Connections that write.
const CONNECTIONS: usize = 6;

/// What a call works on.
#[derive(Clone, Copy, Debug)]
enum File {
    /// SQLite's write-ahead log.
    Log,
    /// The database, into which the log is moved when it is long.
    Database,
    /// The mark beside the database, once a second.
    Mark,
    /// The folder of all of them.
    Folder,
}

/// What must come of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The process ends with 74 and says so. Whoever waits gets no answer.
    Stops,
    /// Commits are refused as `overloaded` and `/readyz` says `disk_full`; then they are taken again.
    Refuses,
    /// Every commit is taken. `/readyz` says this until it is made good.
    Says(&'static str),
    /// Every commit is taken, and nothing is owed to anybody.
    Unharmed,
}

impl File {
    fn paths(self, data: &Path) -> Vec<PathBuf> {
        let names: &[&str] = match self {
            File::Log => &["data/shard-0.db-wal"],
            File::Database => &["data/shard-0.db"],
            File::Mark => &["data/shard-0.new", "data/shard-0.mark"],
            File::Folder => &["data"],
        };
        names.iter().map(|name| data.join(name)).collect()
    }
}

/// A node that was killed and runs again, and the fault that is put into it.
struct Scene<'a> {
    left: &'a Left,
    // Held as long as the node's data is in use.
    _folder: tempfile::TempDir,
    data: PathBuf,
    field: Field,
    fault: Fault,
    moment: &'static str,
}

impl<'a> Scene<'a> {
    fn begin(left: &'a Left, moment: &'static str, fault: Fault) -> (Scene<'a>, Running) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let launch = left.copy(folder.path());
        let node = launch.run();
        (Scene { left, _folder: folder, data: launch.data, field: left.field.again(), fault, moment }, node)
    }

    fn spring(&self, node: &Running, file: File) -> Trap {
        self.fault.into_running(node, &Trap::record_of(&self.data), &file.paths(&self.data))
    }

    /// After the fault: whether the node does what it must; then a clean start and the whole log.
    fn judge(&self, mut node: Running, trap: Trap, told: &Told, expected: Outcome) {
        let row = format!("{}: {}", self.moment, self.fault);
        if expected == Outcome::Stops {
            // A process that ends is held by its tracer until that has seen each thread go.
            let gives_up = || node.has_ended() || node.said().contains(WHY);
            assert!(wait_until(PATIENCE, gives_up), "{row}: it goes on: {:?} {}", trap.struck(), node.said());
            trap.outlives_its_node();
            says_why(&row, &node.ends());
            assert!(told.refused.is_empty(), "{row}: nobody knows what is on the disk, so nobody is answered");
        } else {
            drop(trap);
            assert!(!node.has_ended(), "{row}: it has ended: {}", node.said());
            assert!(told.unanswered.is_empty(), "{row}: everybody is answered");
            match expected {
                Outcome::Stops | Outcome::Refuses => {
                    assert!(told.refused_as(Code::Overloaded), "{row}: {:?}", told.refused)
                }
                Outcome::Says(_) | Outcome::Unharmed => assert!(told.refused.is_empty(), "{row}: {:?}", told.refused),
            }
            node.becomes("ready");
            drop(node);
        }
        drop(self.left.check(&self.data, &self.field, told));
        let counts = (told.acknowledged.len(), told.refused.len(), told.unanswered.len());
        report(
            self.moment,
            &self.fault,
            &format!("{expected:?}: {} receipts, {} refused, {} unanswered", counts.0, counts.1, counts.2),
        );
    }
}

fn says_why(row: &str, ended: &Ended) {
    assert_eq!(ended.code, Some(STORAGE), "{row}: {}", ended.said);
    assert!(ended.said.contains(WHY), "{row}: {}", ended.said);
    assert!(!ended.said.contains("panicked"), "{row}: {}", ended.said);
}

/// Rows of one moment: what fails, where, and what must come of it.
type Rows = &'static [(&'static str, File, Instead, Outcome)];

#[test]
fn under_load() {
    const ROWS: Rows = &[
        ("pwrite64", File::Log, EIO, Outcome::Stops),
        ("pwrite64", File::Log, ENOSPC, Outcome::Refuses),
        ("pwrite64", File::Log, SHORT, Outcome::Refuses),
        (SYNC, File::Log, EIO, Outcome::Stops),
        (SYNC, File::Log, ENOSPC, Outcome::Stops),
        ("openat", File::Mark, EIO, Outcome::Says("mark_behind")),
        ("openat", File::Mark, ENOSPC, Outcome::Says("disk_full")),
        ("write", File::Mark, EIO, Outcome::Says("mark_behind")),
        ("write", File::Mark, ENOSPC, Outcome::Says("disk_full")),
        ("write", File::Mark, SHORT, Outcome::Says("mark_behind")),
        (SYNC, File::Mark, EIO, Outcome::Says("mark_behind")),
        (SYNC, File::Folder, EIO, Outcome::Says("mark_behind")),
        ("rename", File::Mark, EIO, Outcome::Says("mark_behind")),
        ("rename", File::Mark, ENOSPC, Outcome::Says("disk_full")),
    ];
    let left = Left::behind();
    for (calls, file, instead, expected) in ROWS {
        let places = match file {
            File::Log if everything() => 1..=4,
            File::Log => 3..=3,
            File::Database | File::Mark => 1..=1,
            // The first is SQLite's own, for the log's name; the node has synced that before.
            File::Folder => 2..=2,
        };
        for nth in places {
            let (scene, node) = Scene::begin(&left, "load", Fault { calls, instead: *instead, nth });
            let trap = scene.spring(&node, *file);
            let (started, met, over) = (Instant::now(), OnceLock::new(), AtomicBool::new(false));
            let says = matches!(expected, Outcome::Says(_));
            let said = || matches!(expected, Outcome::Says(word) if node.readiness().text() == format!("{word}\n"));
            let told = std::thread::scope(|scope| {
                // What is tried again a second later is said for a second. Each thread meets its own fault, and one that keeps another
                // mark may be the first: the load goes on until the right word is heard.
                let listener = scope.spawn(|| {
                    wait_until(PATIENCE, || {
                        let heard = said();
                        if heard {
                            met.get_or_init(Instant::now);
                        }
                        heard || over.load(Ordering::Relaxed)
                    })
                });
                let connections = if says { 1 } else { CONNECTIONS };
                let told = scene.field.write(&node.address, connections, |_| {
                    if !says && met.get().is_none() && trap.has_struck() {
                        met.get_or_init(Instant::now);
                    }
                    met.get().is_some_and(|met: &Instant| met.elapsed() > AFTER) || started.elapsed() > PATIENCE
                });
                over.store(!says, Ordering::Relaxed);
                let listened = listener.join().expect("the node answers its operator");
                assert!(listened, "load: {}: {expected:?} is not heard: {}", scene.fault, node.said());
                told
            });
            assert!(trap.has_struck(), "load: {}: the fault was not met", scene.fault);
            scene.judge(node, trap, &told, *expected);
        }
    }
}

/// The third event of a bundle, alone, on a node that does nothing else: each write and sync of its transaction in turn.
#[test]
fn while_a_bundle_closes() {
    const ROWS: Rows = &[
        ("pwrite64", File::Log, EIO, Outcome::Stops),
        ("pwrite64", File::Log, ENOSPC, Outcome::Refuses),
        ("pwrite64", File::Log, SHORT, Outcome::Refuses),
        (SYNC, File::Log, EIO, Outcome::Stops),
        (SYNC, File::Log, ENOSPC, Outcome::Stops),
    ];
    let left = Left::behind();
    for (calls, file, instead, expected) in ROWS {
        let mut nth = 1;
        loop {
            let (scene, mut node) = Scene::begin(&left, "bundle closes", Fault { calls, instead: *instead, nth });
            let trap = scene.spring(&node, *file);
            let before = closed_bundles(&scene.data);
            let mut told = scene.field.post(&node.address, &scene.field.commit());
            if !trap.has_struck() {
                assert!(nth > 1, "{}: the fault was not met", scene.fault);
                assert_eq!(closed_bundles(&scene.data), before + 1, "it is the event that closes a bundle");
                break;
            }
            if *expected == Outcome::Refuses {
                assert!(!node.has_ended(), "{}: {}", scene.fault, node.said());
                assert_eq!(
                    (node.readiness().status, node.readiness().text()),
                    (503, "disk_full\n".into()),
                    "{}",
                    scene.fault
                );
                assert_eq!(closed_bundles(&scene.data), before, "{}: refused is undone", scene.fault);
                told.join(scene.field.post(&node.address, &scene.field.commit()));
                assert_eq!(told.acknowledged.len(), 1, "{}: the next is taken", scene.fault);
            }
            scene.judge(node, trap, &told, *expected);
            nth = next_place(nth);
        }
    }
}

/// The log is moved into the database once it is 16 MiB long.
#[test]
fn while_the_log_is_moved_into_the_database() {
    const ROWS: Rows = &[
        ("pwrite64", File::Database, EIO, Outcome::Stops),
        ("pwrite64", File::Database, ENOSPC, Outcome::Unharmed),
        ("pwrite64", File::Database, SHORT, Outcome::Unharmed),
        (SYNC, File::Database, EIO, Outcome::Stops),
        (SYNC, File::Database, ENOSPC, Outcome::Stops),
    ];
    let left = Left::behind();
    for (calls, file, instead, expected) in ROWS {
        let (scene, node) = Scene::begin(&left, "checkpoint", Fault { calls, instead: *instead, nth: 1 });
        let trap = scene.spring(&node, *file);
        let started = Instant::now();
        let mut told = Told::default();
        while !trap.has_struck() && told.unanswered.is_empty() {
            assert!(started.elapsed() < PATIENCE, "{}: the fault was not met", scene.fault);
            told.join(scene.field.post(&node.address, &scene.field.large_commit()));
        }
        if *expected == Outcome::Unharmed {
            told.join(scene.field.post(&node.address, &scene.field.commit()));
        }
        scene.judge(node, trap, &told, *expected);
    }
}

/// What a stop does last fails: it is made up for at the next start.
#[test]
fn while_it_stops() {
    const ROWS: Rows = &[
        ("pwrite64", File::Database, EIO, Outcome::Unharmed),
        ("pwrite64", File::Database, ENOSPC, Outcome::Unharmed),
        (SYNC, File::Database, EIO, Outcome::Unharmed),
        (SYNC, File::Log, EIO, Outcome::Unharmed),
        ("ftruncate", File::Log, EIO, Outcome::Unharmed),
        ("openat", File::Mark, EIO, Outcome::Unharmed),
    ];
    let left = Left::behind();
    for (calls, file, instead, expected) in ROWS {
        let (scene, node) = Scene::begin(&left, "stop", Fault { calls, instead: *instead, nth: 1 });
        let told = scene.field.post(&node.address, &scene.field.commit());
        let trap = scene.spring(&node, *file);
        let ended = node.stop();
        assert!(trap.has_struck(), "{}: the fault was not met", scene.fault);
        drop(trap);
        assert_eq!(ended.code, Some(0), "{}: {}", scene.fault, ended.said);
        assert_eq!(told.acknowledged.len(), 1);
        drop(scene.left.check(&scene.data, &scene.field, &told));
        report(scene.moment, &scene.fault, &format!("{expected:?}: exit 0"));
    }
}

/// Log entries of all enclaves, as another process finds them in the database.
fn closed_bundles(data: &Path) -> i64 {
    let file =
        rusqlite::Connection::open(data.join("data/shard-0.db")).expect("the database can be read beside its writer");
    file.query_row("SELECT count(*) FROM bundles", [], |row| row.get(0)).expect("a table of the services")
}
