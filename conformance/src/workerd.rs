//! The Worker on workerd, as a process on a free port.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running workerd; it ends with this value.
pub struct Workerd {
    child: Child,
    /// `http://127.0.0.1:…`.
    pub url: String,
    _storage: tempfile::TempDir,
}

fn workers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../workers")
}

impl Workerd {
    /// Starts it with one sequencer key and a clock that stands still.
    pub fn start(secret_hex: &str, name: &str, clock_ms: u64) -> Workerd {
        let binary = workers().join("node_modules/workerd/bin/workerd");
        assert!(
            workers().join("build/guest.wasm").exists(),
            "run `cargo xtask workers` first: workers/build is not there"
        );
        let storage = tempfile::tempdir().expect("a folder for the objects");
        let mut child = Command::new(binary)
            .args(["serve", "workerd.capnp", "--control-fd=1", "--socket-addr=http=127.0.0.1:0"])
            .arg(format!("--directory-path=storage={}", storage.path().display()))
            .current_dir(workers())
            .env("SEQUENCER_KEY", secret_hex)
            .env("NODE_NAME", name)
            .env("CLOCK_MS", clock_ms.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("workerd starts; `cargo xtask workers` installs it");
        let control = BufReader::new(child.stdout.take().expect("its control pipe is asked for"));
        let port = control
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let event = crate::people::json(&line);
                event.member("port").and_then(protocol::Json::as_uint)
            })
            .expect("workerd says on which port it listens");
        Workerd { child, url: format!("http://127.0.0.1:{port}"), _storage: storage }
    }
}

impl Drop for Workerd {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            eprintln!("workerd did not end: {error}");
        }
    }
}
