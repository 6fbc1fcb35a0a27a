//! Witnesses as processes: our own, and Torchwood's litewitness.

use crate::encd::binary;
use crate::golang;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// A witness that runs. It ends with this value.
pub struct Witness {
    processes: Vec<Child>,
    /// Its submission prefix.
    pub url: String,
    /// Its key.
    pub vkey: String,
    database: PathBuf,
}

impl Witness {
    /// Starts `encd witness` in a folder, for the logs of a file, on a port that is free or on the one that it had before.
    pub fn encd(folder: &Path, name: &str, logs: &Path, port: u16) -> Witness {
        let mut child = Command::new(binary("encd"))
            .args(["witness", "--name", name, "--listen", &format!("127.0.0.1:{port}"), "--data"])
            .arg(folder)
            .arg("--logs")
            .arg(logs)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs here");
        let out = child.stdout.take().expect("its standard output is a pipe");
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        let [url, vkey] = ["listen", "vkey"].map(|wanted| {
            let found = lines.by_ref().find_map(|line| Some(line.trim().strip_prefix(wanted)?.trim().to_owned()));
            found.unwrap_or_else(|| panic!("encd witness does not say its {wanted}"))
        });
        Witness { processes: vec![child], url, vkey, database: folder.join("data/witness.db") }
    }

    /// Builds and starts litewitness, which keeps its key in an agent.
    pub fn lite(folder: &Path, name: &str) -> Witness {
        let program = golang::build("filippo.io/torchwood/cmd/litewitness", "litewitness");
        let (key, socket, database) = (folder.join("key"), folder.join("agent"), folder.join("litewitness.db"));
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        let mut agent = Command::new("ssh-agent");
        let agent = agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
        let agent = agent.expect("ssh-agent runs: litewitness needs openssh-client");
        wait_for(|| socket.exists().then_some(()));
        run(Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket));
        let fingerprint = run(Command::new("ssh-keygen").arg("-lf").arg(&key));
        let fingerprint = fingerprint.split(' ').nth(1).expect("a length, then the fingerprint").to_owned();
        let mut child = Command::new(program)
            .args(["-name", name, "-listen", "127.0.0.1:0", "-key", &fingerprint, "-db"])
            .arg(&database)
            .arg("-ssh-agent")
            .arg(&socket)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was just built");
        let errors = child.stderr.take().expect("its standard error is a pipe");
        let mut lines = BufReader::new(errors).lines().map_while(Result::ok);
        let vkey = lines.by_ref().find_map(|line| Some(line.split_once("vkey=")?.1.trim_matches('"').to_owned()));
        std::thread::spawn(move || lines.for_each(drop));
        let port = wait_for(|| port_of(child.id()));
        let vkey = vkey.expect("litewitness says its key");
        Witness { processes: vec![child, agent], url: format!("http://127.0.0.1:{port}"), vkey, database }
    }

    /// Tells litewitness of a log.
    pub fn add_log(&self, origin: &str, vkey: &str) {
        const EMPTY: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let database = rusqlite::Connection::open(&self.database).expect("its database is there");
        database.busy_timeout(Duration::from_secs(5)).expect("a timeout can be set");
        let known =
            database.execute("INSERT INTO log(origin, tree_size, tree_hash) VALUES (?1, 0, ?2)", [origin, EMPTY]);
        let keyed =
            known.and_then(|_| database.execute("INSERT INTO key(origin, key) VALUES (?1, ?2)", [origin, vkey]));
        assert_eq!(keyed, Ok(1), "the log can be added");
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a URL with a port")
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        for mut child in self.processes.drain(..) {
            let ended = child.kill().and_then(|()| child.wait());
            assert!(ended.is_ok(), "the witness can be killed: {ended:?}");
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        for child in &mut self.processes {
            if let Err(error) = child.kill().and_then(|()| child.wait()) {
                eprintln!("a witness did not end: {error}");
            }
        }
    }
}

/// Waits until something is there, within a bound.
///
/// # Panics
/// When it is not there in time.
pub fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "it is not there after {PATIENCE:?}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?} ({error}): litewitness needs openssh-client"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The port on which a process listens, as Linux knows it.
fn port_of(process: u32) -> Option<u16> {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).ok()?;
    let links = descriptors.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let sockets: Vec<String> =
        links.filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let mut table = String::new();
    std::fs::File::open("/proc/net/tcp").and_then(|mut file| file.read_to_string(&mut table)).ok()?;
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = *fields.get(3)? == "0A" && sockets.iter().any(|socket| socket == fields[9]);
        let port = fields[1].split_once(':')?.1;
        listens.then(|| u16::from_str_radix(port, 16).ok()).flatten()
    })
}
