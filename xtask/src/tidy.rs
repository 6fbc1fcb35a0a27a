//! The rules of the house that a machine can check. `ARCHITECTURE.md` says why they stand.

use crate::steps::root;
use std::fs;
use std::process::Command;

/// Lines of a source file, tests aside.
const MAX_FILE: usize = 550;
/// Lines of a function.
const MAX_FUNCTION: usize = 100;
/// Names that say nothing.
const BANNED_NAMES: &[&str] = &["Manager", "Helper", "Util", "Utils", "Processor"];
/// File names that say nothing.
const BANNED_FILES: &[&str] = &["mod.rs", "types.rs", "utils.rs", "common.rs", "helpers.rs"];
/// What is left lying about.
const LEFTOVERS: &[&str] = &["TODO", "FIXME", "XXX", "todo!(", "unimplemented!(", "dbg!(", "#[ignore"];

/// Which crates of the house a crate may name; the arrows of `ARCHITECTURE.md`.
const ARROWS: &[(&str, &[&str])] = &[
    ("merkle", &[]),
    ("tlog", &[]),
    ("protocol", &["merkle"]),
    ("kernel", &["merkle", "protocol"]),
    ("service", &["merkle", "tlog", "protocol", "kernel"]),
    ("ledger", &["merkle", "tlog", "protocol"]),
    ("ledger-fs", &["merkle", "tlog", "protocol", "ledger"]),
    ("guest", &["protocol", "service"]),
    ("encd", &["merkle", "tlog", "protocol", "kernel", "service"]),
    ("client", &["merkle", "tlog", "protocol", "kernel"]),
    ("enc", &["merkle", "tlog", "protocol", "kernel", "client"]),
];

/// The crates without a standard library.
const NO_STD: &[&str] = &["merkle", "tlog", "protocol", "kernel", "ledger", "service", "guest"];

/// Checks everything; answers how many files were read.
pub fn check() -> Result<usize, String> {
    let mut faults = Vec::new();
    let files = tracked()?;
    for file in &files {
        let text = match fs::read(root().join(file)) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => return Err(format!("{file}: {error}")),
        };
        every_file(file, &text, &mut faults);
        if file.ends_with(".rs") {
            rust_file(file, &text, &mut faults);
        }
    }
    arrows(&mut faults)?;
    if faults.is_empty() { Ok(files.len()) } else { Err(format!("{} faults\n{}", faults.len(), faults.join("\n"))) }
}

fn tracked() -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .map_err(|error| format!("git: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().map(str::to_owned).filter(|file| root().join(file).is_file()).collect())
}

fn every_file(file: &str, text: &str, faults: &mut Vec<String>) {
    // The list of what is looked for stands in this file.
    if file == "xtask/src/tidy.rs" || file.ends_with(".json") || file.ends_with(".lock") {
        return;
    }
    for (number, line) in text.lines().enumerate() {
        for leftover in LEFTOVERS {
            if line.contains(leftover) {
                faults.push(format!("{file}:{}: leftover {leftover}", number + 1));
            }
        }
        if line.contains("/root/") || line.contains("/work/") {
            faults.push(format!("{file}:{}: a path of one machine", number + 1));
        }
    }
}

fn is_test(file: &str) -> bool {
    file.contains("/tests/")
        || file.contains("/benches/")
        || file.contains("/examples/")
        || file.starts_with("conformance/")
}

fn rust_file(file: &str, text: &str, faults: &mut Vec<String>) {
    let name = file.rsplit('/').next().unwrap_or(file);
    if BANNED_FILES.contains(&name) {
        faults.push(format!("{file}: a file is named after its main noun"));
    }
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let lines = code.lines().count();
    if lines > MAX_FILE && !is_test(file) {
        faults.push(format!("{file}: {lines} lines"));
    }
    if is_test(file) {
        return;
    }
    for banned in BANNED_NAMES {
        let named = |keyword: &str| {
            code.match_indices(&format!("{keyword} ")).any(|(at, _)| {
                let ident: String =
                    code[at + keyword.len() + 1..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                ident.ends_with(banned)
            })
        };
        if ["struct", "enum", "trait"].iter().any(|keyword| named(keyword)) {
            faults.push(format!("{file}: a type named …{banned}"));
        }
    }
    let belowedge =
        ["crates/merkle/", "crates/tlog/", "crates/protocol/", "crates/kernel/", "crates/ledger/", "crates/service/"];
    if belowedge.iter().any(|room| file.starts_with(room)) && code.contains("serde_json") {
        faults.push(format!("{file}: untyped JSON below the edge"));
    }
    functions(file, code, faults);
}

/// Functions by their indentation, as rustfmt leaves it.
fn functions(file: &str, code: &str, faults: &mut Vec<String>) {
    let mut open: Option<(usize, usize, String)> = None;
    for (number, line) in code.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let word = line.trim_start();
        let begins = ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn ", "async fn ", "pub async fn ", "const fn "];
        if open.is_none() && begins.iter().any(|begin| word.starts_with(begin)) && !line.trim_end().ends_with(';') {
            let name = word.split("fn ").nth(1).and_then(|rest| rest.split(['(', '<']).next()).unwrap_or("");
            open = Some((indent, number, name.to_owned()));
        }
        if let Some((at, start, name)) = &open
            && indent == *at
            && (word == "}" || word.ends_with(" }") || word.ends_with(';'))
        {
            let lines = number - start + 1;
            if lines > MAX_FUNCTION {
                faults.push(format!("{file}:{}: fn {name} has {lines} lines", start + 1));
            }
            open = None;
        }
    }
}

fn arrows(faults: &mut Vec<String>) -> Result<(), String> {
    for (name, allowed) in ARROWS {
        let path = root().join("crates").join(name).join("Cargo.toml");
        let text = fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))?;
        let mut section = "";
        for line in text.lines() {
            if line.starts_with('[') {
                section = line;
            }
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or("");
            let house = ARROWS.iter().any(|(crate_name, _)| *crate_name == dependency);
            if section == "[dependencies]" && house && !allowed.contains(&dependency) {
                faults.push(format!("crates/{name}: must not know {dependency}"));
            }
        }
    }
    for name in NO_STD {
        let path = root().join("crates").join(name).join("src/lib.rs");
        let text = fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))?;
        if !text.contains("#![no_std]") {
            faults.push(format!("crates/{name}: is to be no_std"));
        }
    }
    Ok(())
}
