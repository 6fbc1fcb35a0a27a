//! A node that may fail to start, or end by itself: what it said, and with which code it ended.

use crate::encd::{binary, gather, read_banner};
use crate::wire::{Answer, Ask, ask};
use protocol::PublicKey;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(2);
/// How long a node may take to end that was told to, or that cannot go on.
const END: Duration = Duration::from_secs(30);

/// How a node is to be started.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// Its data folder.
    pub data: PathBuf,
    /// Its configuration, as TOML.
    pub config: String,
    /// A program and arguments before the node's own, which runs it as its own process: `strace -D …`.
    pub under: Vec<OsString>,
    /// Variables of its environment.
    pub variables: Vec<(String, OsString)>,
}

/// What came of starting a node.
pub enum Launched {
    /// It answers.
    Running(Running),
    /// It has ended.
    Ended(Ended),
}

/// A node that runs. It is killed with this value.
pub struct Running {
    child: Child,
    data: PathBuf,
    log: Arc<Mutex<String>>,
    /// `127.0.0.1:…` of the services.
    pub address: String,
    /// `127.0.0.1:…` of the operator's routes.
    pub admin: String,
    /// The node's own key.
    pub sequencer: PublicKey,
}

/// A node that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// What it said on standard error.
    pub said: String,
}

/// Waits until something holds; false where it does not within the bound.
pub fn wait_until(bound: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !holds() {
        if started.elapsed() > bound {
            return false;
        }
        thread::park_timeout(LOOK);
    }
    true
}

impl Launch {
    /// A node with its data in `data`.
    pub fn of(data: &Path, config: &str) -> Launch {
        Launch { data: data.to_owned(), config: config.to_owned(), ..Launch::default() }
    }

    /// Starts it. Its configuration lies beside its data folder.
    ///
    /// # Panics
    /// Where the binary cannot be run.
    pub fn start(&self) -> Launched {
        let file = self.data.with_extension("toml");
        if !std::fs::read_to_string(&file).is_ok_and(|config| config == self.config) {
            std::fs::write(&file, &self.config).expect("the test's own folder is writable");
        }
        let node = binary("encd").into_os_string();
        let mut words = self.under.iter().chain([&node]);
        let mut command = Command::new(words.next().expect("the node's own name at least"));
        command.args(words).args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--name", "node.test"]);
        command.arg("--data").arg(&self.data).arg("--config").arg(&file);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?} does not run here: {error}"));
        let (log, _) = gather(child.stderr.take().expect("its standard error is a pipe"));
        let banner = read_banner(child.stdout.take().expect("its standard output is a pipe"));
        match banner {
            Some([address, admin, key]) => {
                let sequencer = PublicKey::parse(&key).expect("the banner shows the node's key");
                Launched::Running(Running { child, data: self.data.clone(), log, address, admin, sequencer })
            }
            None => {
                let code = child.wait().expect("it is this process's child").code();
                Launched::Ended(Ended { code, said: said_in_full(&log) })
            }
        }
    }

    /// Starts it where nothing can be wrong.
    ///
    /// # Panics
    /// Where it does not start, with what it said.
    pub fn run(&self) -> Running {
        match self.start() {
            Launched::Running(node) => node,
            Launched::Ended(ended) => panic!("encd does not start: {ended:?}"),
        }
    }
}

impl Running {
    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What it said on standard error.
    pub fn said(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `GET /readyz`.
    pub fn readiness(&self) -> Answer {
        ask(&self.admin, &Ask::get("/readyz"))
    }

    /// Waits until `/readyz` says this.
    ///
    /// # Panics
    /// Where it does not for ten seconds.
    pub fn becomes(&self, readiness: &str) {
        let says = || self.readiness().text().trim_end() == readiness;
        assert!(wait_until(Duration::from_secs(10), says), "/readyz says {}, not {readiness}", self.readiness().text());
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is this process's child").is_some()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// Where it does not.
    pub fn ends(mut self) -> Ended {
        assert!(wait_until(END, || self.has_ended()), "the node does not end: {}", self.said());
        let code = self.child.wait().expect("it is this process's child").code();
        Ended { code, said: said_in_full(&self.log) }
    }

    /// Tells it to stop, in order.
    pub fn stop(self) -> Ended {
        self.tell_to_stop();
        self.ends()
    }

    /// Tells it to stop, and does not wait.
    pub fn tell_to_stop(&self) {
        let told = Command::new("kill").arg(self.id().to_string()).status();
        assert!(told.is_ok_and(|status| status.success()), "a child can be sent a signal");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("the node did not end: {error}");
        }
    }
}

/// What a process that has ended said: its pipe is read to the end by another thread, which then lets go of the text.
fn said_in_full(log: &Arc<Mutex<String>>) -> String {
    let read = wait_until(END, || Arc::strong_count(log) == 1);
    let text = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(read, "its standard error is still open: {text}");
    text
}
