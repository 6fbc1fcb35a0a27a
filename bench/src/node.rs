//! A node of its own for a measurement, as a process.

use crate::answer::Answer;
use crate::request::Request;
use anyhow::{Context, ensure};
use protocol::json::{self, MAX_DEPTH};
use protocol::{Json, PublicKey};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a node may take to start.
const START: Duration = Duration::from_secs(120);

/// Whether the node's syncs are counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// No.
    Off,
    /// By strace, which stops the process at syncs only.
    Syncs,
}

/// How a process is ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// SIGTERM: it may finish what it does.
    Asked,
    /// SIGKILL, as a power cut would.
    Killed,
}

/// A running node; process and data end with this value.
pub struct Node {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    sequencer: PublicKey,
    encd: PathBuf,
    trace: Trace,
    folder: tempfile::TempDir,
}

/// Memory of a process that is resident, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    /// All of it (`VmRSS`).
    pub all: u64,
    /// What no file stands behind (`RssAnon`).
    pub anonymous: u64,
    /// What the process maps of files (`RssFile`).
    pub files: u64,
}

impl Node {
    /// Starts it on free ports of loopback with an empty data folder and further lines of configuration.
    pub fn start(encd: &Path, trace: Trace, config: &str) -> anyhow::Result<Node> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("encd.toml"), config)?;
        let (child, [address, admin, key]) = launch(encd, trace, folder.path())?;
        let sequencer = PublicKey::parse(&key).ok().context("the banner shows no key")?;
        Ok(Node {
            child,
            address: address.parse()?,
            admin: admin.parse()?,
            sequencer,
            encd: encd.to_owned(),
            trace,
            folder,
        })
    }

    /// Ends the process and starts another one on the same data. `between` runs while there is none. Answers when the new one was
    /// executed.
    pub fn restart(&mut self, end: End, between: impl FnOnce()) -> anyhow::Result<Instant> {
        match end {
            End::Killed => self.child.kill()?,
            End::Asked => kill_process(Pid::from_child(&self.child), Signal::TERM)?,
        }
        self.child.wait()?;
        between();
        let executed = Instant::now();
        let (child, [address, admin, _]) = launch(&self.encd, self.trace, self.folder.path())?;
        (self.child, self.address, self.admin) = (child, address.parse()?, admin.parse()?);
        Ok(executed)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The key that sequences new enclaves.
    pub fn sequencer(&self) -> PublicKey {
        self.sequencer
    }

    /// CPU time that the process has used.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        // The kernel's unit towards programs, whatever its own clock is (`USER_HZ`).
        const TICK_MS: u64 = 10;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let mut fields = stat.rsplit(')').next().context("stat")?.split_whitespace().skip(11);
        let mut ticks = || anyhow::Ok(fields.next().context("utime and stime")?.parse::<u64>()?);
        Ok(Duration::from_millis((ticks()? + ticks()?) * TICK_MS))
    }

    /// Its memory.
    pub fn resident(&self) -> anyhow::Result<Resident> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kib = line.and_then(|rest| rest.split_whitespace().next()).with_context(|| name.to_owned())?;
            anyhow::Ok(kib.parse::<u64>()? * 1024)
        };
        Ok(Resident { all: bytes("VmRSS")?, anonymous: bytes("RssAnon")?, files: bytes("RssFile")? })
    }

    /// Asks once, on a connection of its own; answers the body of a 200.
    pub fn ask(&self, request: &Request) -> anyhow::Result<Vec<u8>> {
        ask(self.address, request)
    }

    /// Asks once; the answer is JSON.
    pub fn ask_json(&self, request: &Request) -> anyhow::Result<Json> {
        json::parse(&self.ask(request)?, MAX_DEPTH).ok().context("the answer is no JSON")
    }

    /// The value of a metric without labels.
    pub fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let request = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_vec().into_boxed_slice();
        let text = String::from_utf8(ask(self.admin, &request)?)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.with_context(|| format!("/metrics has no {name}"))?.trim().parse::<f64>()? as u64)
    }

    /// Syncs that strace has seen so far.
    pub fn syncs(&self) -> anyhow::Result<u64> {
        ensure!(self.trace == Trace::Syncs, "the node is not traced");
        let text = fs::read_to_string(self.folder.path().join("syncs"))?;
        Ok(text.lines().filter(|line| line.contains("sync(") && !line.contains("resumed")).count() as u64)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("the node had ended by itself, {status}:\n{log}");
            return;
        }
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            eprintln!("the node did not end: {error}");
        }
    }
}

fn ask(address: SocketAddr, request: &Request) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request)?;
    let mut answer = Answer::new();
    while !answer.read(&mut stream)? {}
    ensure!(answer.status() == 200, "refused: {} {}", answer.status(), String::from_utf8_lossy(&answer.body()));
    Ok(answer.body().into_owned())
}

/// Starts the process and reads its banner: address, admin address, key.
fn launch(encd: &Path, trace: Trace, folder: &Path) -> anyhow::Result<(Child, [String; 3])> {
    let mut command = match trace {
        Trace::Off => Command::new(encd),
        Trace::Syncs => {
            // -D: strace runs aside, and the process that is started here is the node itself.
            let mut strace = Command::new("strace");
            strace.args(["-D", "-f", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-o"]);
            strace.arg(folder.join("syncs")).arg(encd);
            strace
        }
    };
    let mut child = command
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"])
        .arg(folder.join("data"))
        .arg("--config")
        .arg(folder.join("encd.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(folder.join("log"))?)
        .spawn()
        .with_context(|| match trace {
            Trace::Off => format!("{} does not run", encd.display()),
            Trace::Syncs => "strace is missing: apt-get install strace".into(),
        })?;
    let banner = read_banner(child.stdout.take().context("its standard output is a pipe")?);
    match banner {
        Some(banner) => Ok((child, banner)),
        None => {
            child.kill()?;
            child.wait()?;
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            anyhow::bail!("the node did not start: {log}")
        }
    }
}

/// Address, admin address and key, in the order in which the banner shows them. What comes later is read and dropped, so that the node
/// never waits for its reader.
fn read_banner(out: ChildStdout) -> Option<[String; 3]> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        while lines.by_ref().next().is_some_and(|line| send.send(line).is_ok()) {}
        lines.for_each(drop);
    });
    let until = Instant::now() + START;
    let value = |name: &str| loop {
        let line = lines.recv_timeout(until.saturating_duration_since(Instant::now())).ok()?;
        let mut words = line.split_whitespace();
        if words.next() == Some(name) {
            return words.next().map(|word| word.trim_start_matches("http://").to_owned());
        }
    };
    Some([value("node")?, value("admin")?, value("key")?])
}
