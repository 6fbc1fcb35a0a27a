//! The node as its users meet it: a process of the binary that was built, on free ports, in a folder of its own.

use protocol::PublicKey;
use rustix::process::{Pid, Signal, kill_process};
use std::convert::Infallible;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A running `encd`. It ends with this value, at once.
pub struct Encd {
    child: Child,
    folder: PathBuf,
    /// `127.0.0.1:…` of the services.
    pub address: String,
    /// `127.0.0.1:…` of the operator's routes.
    pub admin: String,
    /// The node's own key.
    pub sequencer: PublicKey,
    log: Arc<Mutex<String>>,
    ended: Mutex<Receiver<Infallible>>,
}

/// What to start, and on what.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The node's binary.
    pub binary: &'a Path,
    /// Its data folder.
    pub data: &'a Path,
    /// Its configuration file.
    pub config: &'a Path,
}

/// The node ended instead of starting; with its exit and what it said.
#[derive(Debug)]
pub struct NotStarted(pub String);

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "encd does not start {}", self.0)
    }
}

/// A binary of this workspace, which lies beside the caller's own, or above it where that is a test's.
///
/// # Panics
/// Where it was not built, with the line that builds it.
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a process knows where it lies");
    let folder = own.parent().expect("a binary lies in a folder");
    let profile =
        if folder.ends_with("deps") { folder.parent().expect("deps lies in target/<profile>") } else { folder };
    let path = profile.join(name);
    let build = match name {
        UNSYNCED => "cargo build -p encd --features unsafe-no-sync --bin encd-unsafe-no-sync",
        _ => "cargo build -p encd -p enc",
    };
    assert!(path.is_file(), "{} is not there; build it first: {build}", path.display());
    path
}

/// The node that was built without its syncs.
pub const UNSYNCED: &str = "encd-unsafe-no-sync";

impl Encd {
    /// Starts a node with its data in `folder` and further lines of configuration.
    ///
    /// # Panics
    /// Where it does not start, with what it said.
    pub fn start(folder: &Path, config: &str) -> Encd {
        let file = folder.join("encd.toml");
        std::fs::write(&file, config).expect("the folder is writable");
        let launch = Launch { binary: &binary("encd"), data: &folder.join("node"), config: &file };
        Encd::launch(&launch).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a node.
    ///
    /// # Errors
    /// Where it ends before it has said where it is.
    pub fn launch(launch: &Launch<'_>) -> Result<Encd, NotStarted> {
        let mut child = Command::new(launch.binary)
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--name", "node.test"])
            .arg("--data")
            .arg(launch.data)
            .arg("--config")
            .arg(launch.config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs here");
        let errors = child.stderr.take().expect("its standard error is a pipe");
        let (log, ended) = gather(errors);
        let out = child.stdout.take().expect("its standard output is a pipe");
        let Some([address, admin, key]) = read_banner(out) else {
            let status = child.wait().expect("the process is ours");
            // All that it said is there once the pipe is at its end.
            let Err(RecvError) = ended.recv();
            let said = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Err(NotStarted(format!("({status}): {}", said.trim_end())));
        };
        let sequencer = PublicKey::parse(&key).expect("the banner shows the node's key");
        Ok(Encd { child, folder: launch.data.to_owned(), address, admin, sequencer, log, ended: Mutex::new(ended) })
    }

    /// Where it keeps its data.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it with SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        assert!(ended.is_ok(), "the node can be killed: {ended:?}");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    /// Stops every thread of it where it stands, and returns when the last has stopped: what a thread had asked of the kernel is then done.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] where a thread does not come out of the kernel for ten seconds.
    pub fn freeze(&self) -> io::Result<()> {
        self.signal(Signal::STOP);
        let tasks = PathBuf::from(format!("/proc/{}/task", self.child.id()));
        let patience = Instant::now() + Duration::from_secs(10);
        while !all_stopped(&tasks)? {
            if Instant::now() > patience {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::yield_now();
        }
        Ok(())
    }

    /// Waits for its end, at most so long; its exit code, none where a signal has ended it.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] where it runs on.
    pub fn wait(&mut self, patience: Duration) -> io::Result<Option<i32>> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(patience);
        match ended {
            // The thread that reads its standard error has come to the end of it.
            Err(RecvTimeoutError::Disconnected) => Ok(self.child.wait()?.code()),
            Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Drop for Encd {
    fn drop(&mut self) {
        // It may have been killed already; nothing of it is looked at any more.
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("the node did not end: {error}");
        }
    }
}

/// Whether each thread stands still: `T` behind the name in `stat`, which is in brackets and may hold anything.
fn all_stopped(tasks: &Path) -> io::Result<bool> {
    for task in std::fs::read_dir(tasks)? {
        let stat = match std::fs::read_to_string(task?.path().join("stat")) {
            Ok(stat) => stat,
            // It ended while the list was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
        if state != Some("T") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Address, admin address and key, as the banner shows them; none where the node ends without one.
pub(crate) fn read_banner(out: ChildStdout) -> Option<[String; 3]> {
    let mut lines = BufReader::new(out).lines().map_while(Result::ok);
    let found = ["node", "admin", "key"].map(|wanted| {
        lines.by_ref().find_map(|line| {
            let mut words = line.split_whitespace();
            let value = words.next().filter(|name| *name == wanted).and_then(|_| words.next());
            value.map(|value| value.trim_start_matches("http://").to_owned())
        })
    });
    // Emptied to the end, so that the node never waits for its reader.
    thread::spawn(move || lines.for_each(drop));
    let [Some(address), Some(admin), Some(key)] = found else { return None };
    Some([address, admin, key])
}

/// Keeps what it says, and hears its end.
pub(crate) fn gather(mut errors: ChildStderr) -> (Arc<Mutex<String>>, Receiver<Infallible>) {
    let log = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&log);
    let (running, ended) = channel::<Infallible>();
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = errors.read(&mut chunk) {
            let text = String::from_utf8_lossy(&chunk[..read]).into_owned();
            kept.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
        }
        drop(running);
    });
    (log, ended)
}
