//! Named mutants of the kernel: each is one edit in one place, and the kernel's tests must go red on it.

use crate::steps::{self, root, target};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

struct Mutant {
    name: String,
    file: String,
    text: String,
    replacement: String,
}

/// Reads `name | file | text | replacement` lines; `#` begins a comment.
fn read(table: &str) -> Result<Vec<Mutant>, String> {
    let lines = table.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
            match parts[..] {
                [name, file, text, replacement] => Ok(Mutant {
                    name: name.to_owned(),
                    file: file.to_owned(),
                    text: text.to_owned(),
                    replacement: replacement.to_owned(),
                }),
                _ => Err(format!("mutants.txt: not four fields: {line}")),
            }
        })
        .collect()
}

/// Of the mutants a whole test run takes every so manyth, for its minutes; `cargo xtask mutants all` takes each.
const SHARE: usize = 4;

/// Runs mutants: a share of them, `all`, or the one of a name; answers how many. One that survives, or no longer applies, is an error.
fn run_some(which: Option<&str>) -> Result<u64, String> {
    let kernel = root().join("crates/kernel");
    let table = fs::read_to_string(kernel.join("mutants.txt")).map_err(|error| format!("mutants.txt: {error}"))?;
    let mutants = read(&table)?;
    let work = target().join("mutants");
    let place = work.display();
    steps::run(&format!(
        "rm -rf '{place}/tree' && mkdir -p '{place}/tree/crates' \
         && cp -r crates/kernel crates/protocol crates/merkle '{place}/tree/crates/' && cp -r vectors Cargo.lock '{place}/tree/'"
    ))?;
    let tree = work.join("tree");
    fs::write(tree.join("Cargo.toml"), manifest()?).map_err(|error| error.to_string())?;
    // A mutant that endlessly loops is caught as well, by the time limit.
    if !tests_pass(&tree)? {
        return Err("the unmutated kernel fails its tests".to_owned());
    }
    let mut survivors = Vec::new();
    let mut count = 0;
    for (place, mutant) in mutants.iter().enumerate() {
        let taken = match which {
            None => place % SHARE == 0,
            Some("all") => true,
            Some(name) => mutant.name == name,
        };
        if !taken {
            continue;
        }
        count += 1;
        let path = tree.join("crates/kernel/src").join(&mutant.file);
        let source = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", mutant.file))?;
        if source.matches(&mutant.text).count() != 1 {
            return Err(format!("mutant `{}`: its text stands not once in {}", mutant.name, mutant.file));
        }
        fs::write(&path, source.replace(&mutant.text, &mutant.replacement)).map_err(|error| error.to_string())?;
        let caught = !tests_pass(&tree)?;
        fs::write(&path, source).map_err(|error| error.to_string())?;
        println!("{:<9} {}", if caught { "caught" } else { "SURVIVED" }, mutant.name);
        if !caught {
            survivors.push(mutant.name.clone());
        }
    }
    if survivors.is_empty() { Ok(count) } else { Err(format!("survived: {}", survivors.join(", "))) }
}

/// As a step.
pub fn run() -> Result<u64, String> {
    run_some(std::env::args().nth(2).as_deref())
}

/// The workspace's own manifest with fewer members.
fn manifest() -> Result<String, String> {
    let text = fs::read_to_string(root().join("Cargo.toml")).map_err(|error| error.to_string())?;
    let lines = text.lines().map(|line| match line.split(' ').next() {
        Some("members") => "members = [\"crates/*\"]",
        Some("default-members" | "exclude") => "",
        _ => line,
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

fn tests_pass(tree: &Path) -> Result<bool, String> {
    let built = tree.with_file_name("built");
    let status = Command::new("timeout")
        .args(["600", "cargo", "test", "--quiet", "--package", "kernel", "--offline"])
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", built)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| error.to_string())?;
    Ok(status.success())
}
