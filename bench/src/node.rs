//! A node of its own for a round, as a process.

use anyhow::{Context, ensure};
use protocol::json::{self, MAX_DEPTH};
use protocol::{Json, PublicKey};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Whether the node's syncs are counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// No.
    Off,
    /// By strace, which stops the process at syncs only.
    Syncs,
}

/// A running node; it ends with this value.
pub struct Node {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    trace: Option<PathBuf>,
    folder: tempfile::TempDir,
}

impl Node {
    /// Starts it on free ports with an empty data folder.
    pub fn start(encd: &Path, trace: Trace) -> anyhow::Result<Node> {
        let folder = tempfile::tempdir()?;
        let (address, admin) = (free()?, free()?);
        let path = (trace == Trace::Syncs).then(|| folder.path().join("syncs"));
        let mut command = match &path {
            None => Command::new(encd),
            Some(path) => {
                let mut strace = Command::new("strace");
                strace.args(["-f", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-o"]).arg(path).arg(encd);
                strace
            }
        };
        let child = command
            .args(["--listen", &address.to_string(), "--admin-listen", &admin.to_string(), "--data"])
            .arg(folder.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("encd (and strace) must be there")?;
        let node = Node { child, address, admin, trace: path, folder };
        let since = Instant::now();
        while TcpStream::connect(address).is_err() {
            ensure!(since.elapsed() < Duration::from_secs(20), "the node did not start in {:?}", node.folder.path());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(node)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// CPU time that the process has used.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        const TICK_MS: u64 = 10;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().context("stat")?.split_whitespace().collect();
        let ticks =
            fields.get(11).context("utime")?.parse::<u64>()? + fields.get(12).context("stime")?.parse::<u64>()?;
        Ok(Duration::from_millis(ticks * TICK_MS))
    }

    /// The key that sequences new enclaves.
    pub fn sequencer(&self) -> anyhow::Result<PublicKey> {
        let info = self.info()?;
        let text = info.member("sequencer").and_then(Json::as_text).context("GET / names a sequencer")?;
        PublicKey::parse(text).ok().context("a key")
    }

    /// The node's clock.
    pub fn now(&self) -> anyhow::Result<u64> {
        self.info()?.member("time").and_then(Json::as_uint).context("GET / says the time")
    }

    fn info(&self) -> anyhow::Result<Json> {
        let (_, body) = exchange(self.address, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        json::parse(&body, MAX_DEPTH).ok().context("JSON")
    }

    /// Posts a commit; answers the status.
    pub fn post(&self, body: &str) -> anyhow::Result<u16> {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Ok(exchange(self.address, &format!("{head}{body}"))?.0)
    }

    /// The value of a metric without labels.
    pub fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let request = "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
        let (_, body) = exchange(self.admin, request)?;
        let text = String::from_utf8(body)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.with_context(|| format!("/metrics has no {name}"))?.trim().parse::<f64>()? as u64)
    }

    /// Syncs that strace has seen so far.
    pub fn syncs(&self) -> anyhow::Result<u64> {
        let path = self.trace.as_ref().context("the node is not traced")?;
        let text = fs::read_to_string(path)?;
        Ok(text.lines().filter(|line| line.contains("sync(") && !line.contains("resumed")).count() as u64)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            eprintln!("the node did not end: {error}");
        }
        // Under strace the node is the tracer's child.
        drop(Command::new("pkill").args(["-9", "-f"]).arg(self.folder.path()).status());
    }
}

fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn exchange(address: SocketAddr, request: &str) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").context("an HTTP answer")?;
    let status = std::str::from_utf8(&answer[..head])?.split(' ').nth(1).context("a status")?.parse()?;
    Ok((status, answer.split_off(head + 4)))
}
