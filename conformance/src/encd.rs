//! The node as its users meet it: a process of the binary that was built, on free ports, in a folder of its own.

use protocol::PublicKey;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

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
}

/// A binary of this workspace, which lies beside the test's own folder.
///
/// # Panics
/// Where it was not built, with the line that builds it.
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a test knows where it lies");
    let profile = own.ancestors().nth(2).expect("a test lies in target/<profile>/deps");
    let path = profile.join(name);
    assert!(path.is_file(), "{} is not there; build it first: cargo build -p encd -p enc", path.display());
    path
}

impl Encd {
    /// Starts a node with its data in `folder` and further lines of configuration.
    ///
    /// # Panics
    /// Where it does not start, with what it said.
    pub fn start(folder: &Path, config: &str) -> Encd {
        let file = folder.join("encd.toml");
        std::fs::write(&file, config).expect("the folder is writable");
        let data = folder.join("node");
        let mut child = Command::new(binary("encd"))
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--name", "node.test"])
            .arg("--data")
            .arg(&data)
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs here");
        let errors = child.stderr.take().expect("its standard error is a pipe");
        let log = gather(errors);
        let out = child.stdout.take().expect("its standard output is a pipe");
        let Some([address, admin, key]) = read_banner(out) else {
            let status = child.wait();
            panic!("encd does not start ({status:?}): {}", log.lock().unwrap_or_else(PoisonError::into_inner));
        };
        let sequencer = PublicKey::parse(&key).expect("the banner shows the node's key");
        Encd { child, folder: data, address, admin, sequencer, log }
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

    /// Ends it as a power cut would, and waits until it is gone.
    pub fn kill(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        assert!(ended.is_ok(), "the node can be killed: {ended:?}");
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

/// Address, admin address and key, as the banner shows them.
fn read_banner(out: ChildStdout) -> Option<[String; 3]> {
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

fn gather(mut errors: ChildStderr) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&log);
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = errors.read(&mut chunk) {
            let text = String::from_utf8_lossy(&chunk[..read]).into_owned();
            kept.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
        }
    });
    log
}
