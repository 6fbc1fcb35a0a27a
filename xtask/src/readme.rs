//! The shell blocks of README.md and docs/, run as a reader would: one shell a document, in order, each block in a folder of its own
//! state. A block that begins with `# in another terminal` is no different; one marked `sh start` stays running while the rest of its
//! document runs, and its port is awaited. Blocks of other languages are not run.

use crate::steps::{root, target};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a node may take from `cargo run --release` on, the build included.
const START: Duration = Duration::from_secs(900);

struct Block {
    starts: bool,
    text: String,
    line: usize,
}

/// `cargo xtask readme [FILE]…`: runs every document, or those of these names; answers how many blocks were run.
pub fn run() -> Result<u64, String> {
    let wanted: Vec<String> = std::env::args().skip(2).collect();
    let mut documents = vec![root().join("README.md")];
    let mut docs: Vec<PathBuf> = fs::read_dir(root().join("docs"))
        .map_err(|error| format!("docs: {error}"))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    docs.sort();
    documents.append(&mut docs);
    if !wanted.is_empty() {
        documents.retain(|document| wanted.iter().any(|name| document.ends_with(name)));
        if documents.len() != wanted.len() {
            return Err(format!("not each of {} is README.md or in docs/", wanted.join(", ")));
        }
    }
    let mut count = 0;
    for document in documents {
        count += document_blocks(&document)?;
    }
    Ok(count)
}

fn document_blocks(document: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(document).map_err(|error| format!("{}: {error}", document.display()))?;
    let blocks = blocks(&text);
    if blocks.is_empty() {
        return Ok(0);
    }
    let name = document.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    println!("   {name}: {} blocks", blocks.len());
    let state = target().join("readme").join(&name);
    drop(fs::remove_dir_all(&state));
    fs::create_dir_all(&state).map_err(|error| error.to_string())?;
    let mut running = Vec::new();
    let mut result = Ok(blocks.len() as u64);
    for block in &blocks {
        let done = if block.starts { start(block, &state, &mut running) } else { finish(block, &state) };
        if let Err(error) = done {
            result = Err(format!("{name}:{}: {error}", block.line));
            break;
        }
    }
    for mut child in running {
        stop(&mut child);
    }
    result
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.trim_end()) {
            (None, "```sh") => open = Some(Block { starts: false, text: String::new(), line: number + 1 }),
            (None, "```sh start") => open = Some(Block { starts: true, text: String::new(), line: number + 1 }),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), line) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, _) => {}
        }
    }
    // The command that runs all tests is the one that is running.
    blocks.retain(|block| block.text.trim() != "cargo xtask test");
    blocks
}

fn shell(block: &Block, state: &Path) -> Command {
    let mut shell = Command::new("bash");
    shell
        .args(["-eu", "-o", "pipefail", "-c", &block.text])
        .current_dir(root())
        .env("ENC_HOME", state.join("enc"))
        .env("XDG_DATA_HOME", state.join("data"))
        .env_remove("STATE_DIRECTORY")
        .stdin(Stdio::null());
    shell
}

fn finish(block: &Block, state: &Path) -> Result<(), String> {
    let output = shell(block, state).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(format!("{}\n{}{out}{err}", output.status, block.text))
}

fn start(block: &Block, state: &Path, running: &mut Vec<Child>) -> Result<(), String> {
    let mut child = shell(block, state).spawn().map_err(|error| error.to_string())?;
    let since = Instant::now();
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("ended at once: {status}"));
        }
        if std::net::TcpStream::connect("127.0.0.1:8080").is_ok() {
            running.push(child);
            return Ok(());
        }
        if since.elapsed() > START {
            stop(&mut child);
            return Err("nothing listens on 127.0.0.1:8080".to_owned());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Ends the node as Ctrl-C does: the shell's children as well.
fn stop(child: &mut Child) {
    let pid = child.id();
    let stop = format!("pkill -INT -P {pid}; sleep 1; kill -INT {pid} 2>/dev/null; true");
    drop(Command::new("bash").args(["-c", &stop]).status());
    drop(child.wait());
}
