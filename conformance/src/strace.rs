//! Faults of the system's file calls, put in by `strace`: one call of one kind, on the data folder's own files, fails once.
//!
//! `-P` narrows both what is seen and what is counted to these files, so that sockets and libraries are never hit. Calls are counted for
//! each thread by itself; all that writes a shard is one thread.

use crate::launch::{Running, wait_until};
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// How long `strace` may take to take hold of every thread.
const HOLD: Duration = Duration::from_secs(20);

/// How `strace` ends the line of a call that it has made fail.
const INJECTED: &str = "(INJECTED)";

/// How long `strace` may take to let go of a node, or to see that it has ended.
const LET_GO: Duration = Duration::from_secs(2);

/// What a call does instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// It fails with this error.
    Error(&'static str),
    /// It writes nothing and says so: the shortest of short writes. (A larger count would be a lie about bytes that were never written,
    /// which is another fault, and one that no writer can see.)
    Short,
}

/// One fault.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Names of the system's calls, with commas between.
    pub calls: &'static str,
    /// What they do.
    pub instead: Instead,
    /// Which of them, from 1.
    pub nth: u32,
}

/// A fault that lies in wait in a node.
pub struct Trap {
    record: PathBuf,
    tracer: Option<Child>,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.instead {
            Instead::Error(error) => write!(f, "{} #{} {error}", self.calls, self.nth),
            Instead::Short => write!(f, "{} #{} short", self.calls, self.nth),
        }
    }
}

impl Fault {
    /// The arguments of `strace` that put it into the work on these paths.
    fn arguments(&self, record: &Path, paths: &[PathBuf]) -> Vec<OsString> {
        let instead = match self.instead {
            Instead::Error(error) => format!("error={error}"),
            Instead::Short => "retval=0".to_owned(),
        };
        let inject = format!("inject={}:{instead}:when={}", self.calls, self.nth);
        let mut words: Vec<OsString> = ["-f", "-y", "-e"].map(OsString::from).into();
        words.extend([format!("trace={}", self.calls).into(), "-e".into(), inject.into(), "-o".into(), record.into()]);
        words.extend(paths.iter().flat_map(|path| [OsString::from("-P"), path.into()]));
        words
    }

    /// What runs a node in which it lies in wait from the start, and the trap itself.
    pub fn from_the_start(&self, record: &Path, paths: &[PathBuf]) -> (Vec<OsString>, Trap) {
        let mut words: Vec<OsString> = ["strace", "-D", "--seccomp-bpf"].map(OsString::from).into();
        words.extend(self.arguments(record, paths));
        (words, Trap { record: record.to_owned(), tracer: None })
    }

    /// Puts it into a node that runs.
    ///
    /// # Panics
    /// Where `strace` is not there or may not look into other processes.
    pub fn into_running(&self, node: &Running, record: &Path, paths: &[PathBuf]) -> Trap {
        let mut command = Command::new("strace");
        command.args(self.arguments(record, paths)).arg("-p").arg(node.id().to_string());
        let tracer = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut tracer = tracer.unwrap_or_else(|error| panic!("strace ({error}): apt-get install strace"));
        let mut lines = BufReader::new(tracer.stderr.take().expect("its standard error is a pipe")).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        assert!(first.contains("attached"), "strace cannot look into another process here (it needs root): {first}");
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let tracers = || traced_threads(node.id());
        assert!(wait_until(HOLD, || tracers().is_some_and(|(held, all)| held == all)), "{:?} are held", tracers());
        Trap { record: record.to_owned(), tracer: Some(tracer) }
    }
}

/// The files and folders that a node with one shard works on.
pub fn paths_of(data: &Path) -> Vec<PathBuf> {
    let files = "lock data keys keys/node.new keys/node.key keys/heads.new keys/heads.key data/node.new data/node.json \
        data/shard-0.db data/shard-0.db-journal data/shard-0.db-wal data/shard-0.db-shm data/shard-0.new data/shard-0.mark";
    let inside = files.split_whitespace().map(|file| data.join(file));
    [data.to_owned()].into_iter().chain(inside).collect()
}

impl Trap {
    /// One that lies beside the data folder.
    pub fn record_of(data: &Path) -> PathBuf {
        data.with_extension("strace")
    }

    /// Waits until `strace` has seen that the node has ended.
    pub fn outlives_its_node(mut self) {
        if let Some(tracer) = &mut self.tracer
            && wait_until(LET_GO, || !matches!(tracer.try_wait(), Ok(None)))
        {
            self.tracer = None;
        }
    }

    /// Whether the fault has happened.
    pub fn has_struck(&self) -> bool {
        self.struck().is_some()
    }

    /// The call that failed, as `strace` writes it.
    pub fn struck(&self) -> Option<String> {
        self.record().lines().find(|line| line.ends_with(INJECTED)).map(str::to_owned)
    }

    /// Whether what failed was a sync, and nothing on the same path was synced after it.
    pub fn leaves_unsynced(&self) -> bool {
        let record = self.record();
        let mut lines = record.lines().skip_while(|line| !line.ends_with(INJECTED));
        let Some(struck) = lines.next().filter(|line| line.contains("sync(")) else { return false };
        !lines.any(|line| line.contains("sync(") && path_of(line) == path_of(struck) && line.ends_with("= 0"))
    }

    fn record(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.record).unwrap_or_default()).into_owned()
    }
}

/// The path of a descriptor in a line of `strace -y`.
fn path_of(line: &str) -> Option<&str> {
    line.split_once('<')?.1.split_once('>').map(|(path, _)| path)
}

impl Drop for Trap {
    fn drop(&mut self) {
        let Some(tracer) = &mut self.tracer else { return };
        // Asked to end, it lets go of the node. Where the node has just ended, it sometimes waits for it all the same.
        let told = Command::new("kill").arg(tracer.id().to_string()).status().is_ok_and(|status| status.success());
        if !told || !wait_until(LET_GO, || !matches!(tracer.try_wait(), Ok(None))) {
            let ended = tracer.kill().and_then(|()| tracer.wait());
            eprintln!("strace was killed: {ended:?}");
        }
    }
}

/// How many threads of a process are held by a tracer, and how many there are.
fn traced_threads(process: u32) -> Option<(usize, usize)> {
    let (mut held, mut all) = (0, 0);
    for thread in std::fs::read_dir(format!("/proc/{process}/task")).ok()? {
        let status = std::fs::read_to_string(thread.ok()?.path().join("status")).ok()?;
        all += 1;
        held += usize::from(!status.contains("TracerPid:\t0\n"));
    }
    Some((held, all))
}
