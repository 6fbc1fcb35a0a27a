//! The peer: a PostgreSQL of its own, from the distribution's packages, run as its own user, durable as it comes.

use anyhow::{Context, ensure};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A running cluster; it ends with this value.
pub struct Postgres {
    binaries: PathBuf,
    folder: tempfile::TempDir,
    port: String,
}

/// What pgbench said.
pub struct Inserts {
    /// Inserts a second.
    pub rate: f64,
    /// Mean latency.
    pub latency: Duration,
}

impl Postgres {
    /// Makes a cluster and starts it; `synchronous_commit` and `fsync` are on, and are checked.
    pub fn start() -> anyhow::Result<Postgres> {
        ensure!(rustix::process::geteuid().is_root(), "be root: a cluster runs as the user postgres");
        let binaries = std::fs::read_dir("/usr/lib/postgresql")
            .context("not installed: apt-get install postgresql")?
            .filter_map(|entry| entry.ok().map(|entry| entry.path().join("bin")))
            .find(|path| path.join("initdb").exists())
            .context("no initdb: apt-get install postgresql")?;
        let folder = tempfile::tempdir()?;
        // Free at this moment; the cluster takes it a second later.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let peer = Postgres { binaries, folder, port };
        run(Command::new("chown").arg("postgres").arg(peer.folder.path()))?;
        let data = peer.data();
        peer.as_postgres("initdb", &["-D", &data, "-A", "trust", "-E", "UTF8", "--no-locale"])?;
        let options = format!("-k {} -c listen_addresses=127.0.0.1 -p {}", peer.folder.path().display(), peer.port);
        peer.as_postgres("pg_ctl", &["-D", &data, "-w", "-o", &options, "-l", &format!("{data}.log"), "start"])?;
        let durable = peer.psql("SHOW synchronous_commit; SHOW fsync;")?;
        ensure!(durable.split_whitespace().eq(["on", "on"]), "the peer is not durable: {durable}");
        peer.psql(include_str!("../table.sql"))?;
        Ok(peer)
    }

    /// The version, as the server says it.
    pub fn version(&self) -> anyhow::Result<String> {
        Ok(self.psql("SHOW server_version")?.trim().to_owned())
    }

    /// One round of pgbench, prepared statements over TCP, into an empty table with nothing left to be written back.
    pub fn inserts(&self, clients: usize, time: Duration) -> anyhow::Result<Inserts> {
        self.psql("TRUNCATE commits RESTART IDENTITY")?;
        self.psql("CHECKPOINT")?;
        let script = self.folder.path().join("insert.sql");
        std::fs::write(&script, include_str!("../insert.sql"))?;
        let (clients, seconds) = (clients.to_string(), time.as_secs().max(1).to_string());
        let script = script.display().to_string();
        let text = self.as_postgres(
            "pgbench",
            &[
                "-n",
                "-f",
                &script,
                "-c",
                &clients,
                "-j",
                "2",
                "-T",
                &seconds,
                "-M",
                "prepared",
                "-h",
                "127.0.0.1",
                "-p",
                &self.port,
                "postgres",
            ],
        )?;
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse::<f64>().ok())
        };
        let rate = number("tps = ").with_context(|| format!("pgbench said: {text}"))?;
        let latency = number("latency average = ").context("pgbench's latency")?;
        Ok(Inserts { rate, latency: Duration::from_secs_f64(latency / 1000.0) })
    }

    fn data(&self) -> String {
        self.folder.path().join("cluster").display().to_string()
    }

    fn psql(&self, sql: &str) -> anyhow::Result<String> {
        self.as_postgres("psql", &["-h", "127.0.0.1", "-p", &self.port, "-At", "-c", sql, "postgres"])
    }

    fn as_postgres(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let program = self.binaries.join(program);
        run(Command::new("runuser").args(["-u", "postgres", "--"]).arg(program).args(arguments).current_dir("/"))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Err(error) = self.as_postgres("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]) {
            eprintln!("PostgreSQL did not end: {error}");
        }
    }
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let shown = format!("{:?}", Path::new(command.get_program()));
    // pg_ctl leaves the server behind with the pipes it was given, so its output goes nowhere.
    let starts = command.get_args().any(|argument| argument == "start");
    if starts {
        let status = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status()?;
        ensure!(status.success(), "{shown} failed: {status}");
        return Ok(String::new());
    }
    let output = command.output().with_context(|| shown.clone())?;
    ensure!(output.status.success(), "{shown}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
