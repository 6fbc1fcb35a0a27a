//! What is handed out: static programs, with their manual, completions and everything that an installation needs, in one folder.
//!
//! No path of the machine gets into the programs, which is looked at, nor any time; their dependencies are those of the lock file.

use crate::steps::{output, root, run, target};
use std::path::{Path, PathBuf};

/// Static, for any Linux on such a processor.
const TRIPLE: &str = "x86_64-unknown-linux-musl";

/// Where everything is put.
pub fn folder() -> PathBuf {
    target().join("package")
}

/// `cargo xtask dist [--twice]`.
pub fn dist() -> Result<(), String> {
    match std::env::args().nth(2).as_deref() {
        None => once(),
        Some("--twice") => twice(),
        Some(other) => Err(format!("dist takes --twice, not {other}")),
    }
}

/// Builds a second time, from a clone of what is committed in another folder, with another home for cargo, and compares the bytes.
fn twice() -> Result<(), String> {
    run("git diff --quiet HEAD")
        .map_err(|_| "what is not committed would be in one of the two builds only".to_owned())?;
    once()?;
    let other = target().join("twice");
    let shown = other.display();
    run(&format!(
        "rm -rf '{shown}' && mkdir -p '{shown}/a-home' && git clone --quiet . '{shown}/another-checkout' \
         && {{ ! test -e \"${{CARGO_HOME:-$HOME/.cargo}}/config.toml\" \
                || cp \"${{CARGO_HOME:-$HOME/.cargo}}/config.toml\" '{shown}/a-home'; }} \
         && cd '{shown}/another-checkout' \
         && CARGO_HOME='{shown}/a-home' CARGO_TARGET_DIR='{shown}/built' cargo xtask dist"
    ))?;
    for program in ["encd", "enc"] {
        run(&format!("cmp '{0}/{program}' '{shown}/built/package/{program}'", folder().display()))
            .map_err(|_| format!("{program} is another one when it is built elsewhere: {shown} has it"))?;
    }
    println!("encd and enc are the same bytes, built in two folders with two homes");
    run(&format!("rm -rf '{shown}'"))
}

/// Builds the programs, puts the folder together, starts the node in an empty root, and tells sizes and digests.
fn once() -> Result<(), String> {
    if run("command -v musl-gcc >/dev/null").is_err() {
        return Err("`musl-gcc` is missing: install Debian's musl-tools, or what your system calls it".to_owned());
    }
    run(&format!("rustup target add {TRIPLE} 2>/dev/null"))?;
    build()?;
    assemble(&target().join(TRIPLE).join("dist"), &folder())?;
    for (path, _) in paths()? {
        run(&format!("! grep -a -q -F '{path}/' '{0}'/encd '{0}'/enc", folder().display()))
            .map_err(|_| format!("{path} stands in a program: it would be another one elsewhere"))?;
    }
    in_empty_root(&folder().join("encd"))?;
    let shown = folder().display().to_string();
    run(&format!(
        "cd '{shown}' && sha256sum encd enc > SHA256SUMS && cat SHA256SUMS && stat -c '%s bytes  %n' encd enc"
    ))?;
    println!("{shown}");
    Ok(())
}

/// What stands in a program instead of each path of this machine.
fn paths() -> Result<[(String, &'static str); 3], String> {
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    let home = home.map_err(|_| "neither CARGO_HOME nor HOME is set".to_owned())?;
    Ok([(home, "/cargo"), (root().display().to_string(), "/source"), (target().display().to_string(), "/target")])
}

fn build() -> Result<(), String> {
    let paths = paths()?;
    let rust: Vec<String> = paths.iter().map(|(from, to)| format!("--remap-path-prefix={from}={to}")).collect();
    let c: Vec<String> = paths.iter().map(|(from, to)| format!("-ffile-prefix-map={from}={to}")).collect();
    let (rust, c) = (rust.join("\u{1f}"), c.join(" "));
    run(&format!(
        "export SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) CARGO_ENCODED_RUSTFLAGS='{rust}' \
         CFLAGS_x86_64_unknown_linux_musl='{c}'; \
         cargo build --locked --profile dist --target {TRIPLE} -p encd -p enc"
    ))
}

/// Programs from one folder, and what belongs to them, into another.
pub fn assemble(programs: &Path, into: &Path) -> Result<(), String> {
    let (from, to) = (programs.display(), into.display());
    run(&format!(
        "rm -rf '{to}' && mkdir -p '{to}'/data '{to}'/man '{to}'/completions \
         && cp '{from}'/encd '{from}'/enc '{to}' \
         && cp LICENSE CHANGELOG.md crates/encd/encd.toml docs/examples/encd.service docs/examples/alerts.yml \
               docs/examples/dashboard.json packaging/Containerfile '{to}' \
         && cd '{to}' && ./enc manual man && ./encd --manual > man/encd.8 \
         && for shell in bash zsh fish; do \
                ./enc completions $shell > completions/enc.$shell && ./encd --completions $shell > completions/encd.$shell; \
            done"
    ))
}

/// Starts the node where there is nothing but itself: no library, no certificate, no user.
fn in_empty_root(encd: &Path) -> Result<(), String> {
    let kind = output(&format!("file -b '{}'", encd.display()))?;
    for must in ["static", "stripped"] {
        // `not stripped` says so as well.
        if !kind.contains(must) || kind.contains("not stripped") {
            return Err(format!("{} is not {must}", encd.display()));
        }
    }
    run(&format!(
        ". packaging/started.sh && empty=$(mktemp -d) && cp '{}' \"$empty\"/encd \
         && started 'in an empty root' unshare --user --map-root-user --root=\"$empty\" \
                /encd --data /data --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 \
         && rm -rf \"$empty\"",
        encd.display()
    ))
}
