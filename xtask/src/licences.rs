//! What every dependency is licensed under, and where it comes from.

use crate::steps::{root, run};
use std::process::Command;

/// Licences that a self-hosted node under Apache-2.0 may be built from.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Checks every package of the lock file; answers how many there are.
pub fn check() -> Result<usize, String> {
    run("cargo fetch --quiet --locked")?;
    // Its lock file is one of its own, which nothing else of a test run reads.
    run("cargo fetch --quiet --locked --manifest-path fuzz/Cargo.toml")
        .map_err(|_| "fuzz/Cargo.lock lacks what Cargo.lock has: `cargo fetch --manifest-path fuzz/Cargo.toml`")?;
    let format = "{p}\t{l}";
    let output = Command::new("cargo")
        .args(["tree", "--workspace", "--target", "all", "--prefix", "none", "--format", format])
        .current_dir(root())
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut packages: Vec<&str> = text.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    packages.sort_unstable();
    packages.dedup();
    packages.retain(|package| !package.is_empty());
    let mut faults = Vec::new();
    for package in &packages {
        let (name, licence) = package.split_once('\t').unwrap_or((package, ""));
        if !permitted(licence.trim()) {
            faults.push(format!("{name}: licence `{licence}`"));
        }
        if name.contains("git+") {
            faults.push(format!("{name}: not from the registry"));
        }
    }
    if faults.is_empty() && !packages.is_empty() { Ok(packages.len()) } else { Err(faults.join("; ")) }
}

/// Whether some choice of the expression is allowed whole.
fn permitted(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" OR ").any(|choice| choice.split(" AND ").all(|licence| ALLOWED.contains(&licence.trim())))
}
