//! Starts an `encd` for as long as it is needed.

use crate::failure::Failure;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A node of this process, stopped when dropped.
pub struct Launched {
    child: Child,
    url: String,
    folder: PathBuf,
}

const HOW_TO_GET: &str =
    "Build it (cargo build --release -p encd), say where it is (--encd PATH), or name a running node (--remote URL).";

/// The program: the given one, else beside this one, else on the PATH.
pub fn find_encd(given: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = given {
        return Ok(path.into());
    }
    let name = format!("encd{}", std::env::consts::EXE_SUFFIX);
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(|folder| folder.join(&name));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(&name));
    let found = beside.into_iter().chain(on_path).find(|candidate| candidate.is_file());
    found.ok_or_else(|| Failure::Usage("there is no encd to start".into(), HOW_TO_GET))
}

impl Launched {
    /// Starts it in memory on a free port, and waits until it says where it is.
    pub fn start(program: &Path) -> Result<Launched, Failure> {
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(|_| Failure::Client(client::Error::Random))?;
        let folder = std::env::temp_dir().join(format!("enc-workflow-{}", protocol::ids::hex(&name)));
        client::folder::make_private_folder(&folder)?;
        let config = folder.join("encd.toml");
        // The workflow's own push endpoint is on this machine.
        let text = b"[outbound]\nallow_loopback = true\n";
        std::fs::write(&config, text).map_err(|cause| Failure::File { path: config.clone(), cause })?;
        let child = Command::new(program)
            .args(["--memory", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let child = child.map_err(|cause| Failure::File { path: program.into(), cause })?;
        let mut launched = Launched { child, url: String::new(), folder };
        launched.url = launched.read_url().ok_or_else(|| {
            let said = launched.last_words();
            Failure::Usage(format!("{} does not start: {said}", program.display()), HOW_TO_GET)
        })?;
        Ok(launched)
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The first address in the banner. The pipes are emptied to the end, so that the node never waits for them.
    fn read_url(&mut self) -> Option<String> {
        let mut lines = BufReader::new(self.child.stdout.take()?).lines();
        let url = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let start = line.find("http://127.0.0.1:")?;
            line[start..].split_whitespace().next().map(String::from)
        })?;
        std::thread::spawn(move || lines.for_each(drop));
        let errors = BufReader::new(self.child.stderr.take()?).lines();
        std::thread::spawn(move || errors.for_each(drop));
        Some(url)
    }

    fn last_words(&mut self) -> String {
        let errors = self.child.stderr.take().map(|errors| BufReader::new(errors).lines().map_while(Result::ok).last());
        errors.flatten().unwrap_or_else(|| "it said nothing".into())
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        // Nothing of it is kept, so it need not stop in order.
        let ended = self.child.kill().and_then(|()| self.child.wait().map(drop));
        let removed = std::fs::remove_dir_all(&self.folder);
        if let Err(error) = ended.and(removed) {
            eprintln!("enc: the node that was started is not cleared away: {error}");
        }
    }
}
