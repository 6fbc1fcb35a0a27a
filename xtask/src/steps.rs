//! The steps of a whole test run, in order, each with its time.

use crate::{fuzz, licences, mutants, package, readme, tidy};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_owned()
}

/// Runs a command in the repository, its output shown.
pub fn run(command: &str) -> Result<(), String> {
    let status = shell(command).status().map_err(|error| format!("`{command}` did not start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{command}` failed: {status}")) }
}

/// Runs a command and gives its standard output, which is shown as well.
pub fn output(command: &str) -> Result<String, String> {
    let child = shell(command).stdout(Stdio::piped()).spawn().map_err(|error| format!("`{command}`: {error}"))?;
    let output = child.wait_with_output().map_err(|error| format!("`{command}`: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    if output.status.success() { Ok(text) } else { Err(format!("`{command}` failed: {}", output.status)) }
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("bash");
    shell.args(["-c", command]).current_dir(root()).stdin(Stdio::null());
    shell
}

/// Where this run's builds go.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

const PURE: &str = "-p merkle -p tlog -p protocol -p kernel -p ledger";

/// The pure crates where there is no operating system.
pub fn no_std() -> Result<(), String> {
    for target in ["aarch64-unknown-none", "wasm32-unknown-unknown"] {
        run(&format!("rustup target add {target} 2>/dev/null"))?;
        run(&format!("cargo build --quiet {PURE} --no-default-features --target {target}"))?;
    }
    Ok(())
}

/// The vectors by plain Python: made again and compared; and the given ones, judged by the same program. Answers how many.
pub fn vectors() -> Result<u64, String> {
    run("python3 vectors/gen.py --check")?;
    run("python3 vectors/gen.py --selftest")?;
    Ok(2)
}

/// The module and the Worker.
pub fn workers() -> Result<(), String> {
    run("rustup target add wasm32-unknown-unknown 2>/dev/null")?;
    let guest = root().join("target/guest");
    let guest = guest.display();
    run(&format!(
        "cd crates/guest && cargo build --quiet --release --locked --target wasm32-unknown-unknown --target-dir '{guest}' \
         && mkdir -p ../../workers/build \
         && cp '{guest}/wasm32-unknown-unknown/release/guest.wasm' ../../workers/build/guest.wasm"
    ))?;
    run("cd workers && npm install --no-save --no-audit --no-fund --loglevel=error && npm run --silent build")
}

/// The Python packages of the foreign transport client, in an environment of their own.
fn python() -> Result<(), String> {
    let venv = target().join("venv");
    let venv = venv.display();
    run(&format!(
        "test -x '{venv}/bin/python' || python3 -m venv '{venv}'; \
         '{venv}/bin/python' -m pip install --quiet --disable-pip-version-check -r conformance/transport/requirements.txt"
    ))
}

/// Programs of Debian packages, which are installed where they are missing and this user may.
fn debian(packages: &[(&str, &str)]) -> Result<(), String> {
    for (program, package) in packages {
        if run(&format!("command -v {program} >/dev/null")).is_err() {
            run(&format!("test $(id -u) = 0 && apt-get -qq update && apt-get -qq install -y {package} >/dev/null"))
                .map_err(|_| format!("`{program}` is missing: apt-get install {package}"))?;
        }
    }
    Ok(())
}

/// The sums of `test result: ok. N passed; M failed; I ignored` lines.
fn tally(text: &str) -> (u64, u64, u64) {
    let mut sums = (0, 0, 0);
    for line in text.lines().filter(|line| line.starts_with("test result:")) {
        let before = |word: &str| {
            let words: Vec<&str> = line.split([' ', ';']).filter(|word| !word.is_empty()).collect();
            let place = words.iter().position(|found| *found == word)?;
            words.get(place.checked_sub(1)?)?.parse::<u64>().ok()
        };
        sums.0 += before("passed").unwrap_or(0);
        sums.1 += before("failed").unwrap_or(0);
        sums.2 += before("ignored").unwrap_or(0);
    }
    sums
}

fn cargo_tests() -> Result<u64, String> {
    run("cargo build --quiet --workspace --bins")?;
    // The node that the crash rounds must catch.
    run("cargo build --quiet -p encd --features unsafe-no-sync --bin encd-unsafe-no-sync")?;
    let text = output("cargo test --workspace 2>&1")?;
    let (passed, failed, ignored) = tally(&text);
    match (passed, failed, ignored) {
        (1.., 0, 0) => Ok(passed),
        _ => Err(format!("{passed} passed, {failed} failed, {ignored} ignored: none may fail or be ignored")),
    }
}

/// The TypeScript SDK: its own tests, and beside the node, `enc`, the judge and a browser.
fn sdk() -> Result<u64, String> {
    run("cd sdk && npm ci --no-audit --no-fund --loglevel=error")?;
    let programs = target().join("debug");
    let programs = programs.display();
    let text = output(&format!(
        "cd sdk && ENCD='{programs}/encd' ENC='{programs}/enc' JUDGE='{programs}/judge' CHROMIUM=\"$(command -v chromium)\" npm test --silent"
    ))?;
    let count = |word: &str| {
        let found =
            text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(word)?.trim().parse::<u64>().ok());
        found.ok_or_else(|| format!("the SDK's tests do not say how many {word}"))
    };
    match (count("pass ")?, count("fail ")?, count("skipped ")?) {
        (passed @ 1.., 0, 0) => Ok(passed),
        (passed, failed, skipped) => {
            Err(format!("{passed} passed, {failed} failed, {skipped} skipped: none may fail or be skipped"))
        }
    }
}

type Step = (&'static str, fn() -> Result<u64, String>);

const STEPS: &[Step] = &[
    ("format", || run("cargo fmt --all --check").map(|()| 1)),
    ("tidy", || tidy::check().map(|_| 1)),
    ("licences", || licences::check().map(|_| 1)),
    ("python packages", || python().map(|()| 0)),
    ("debian packages", || {
        let packages = [("mkfs.ext4", "e2fsprogs"), ("strace", "strace"), ("jq", "jq"), ("openssl", "openssl")];
        debian(&[&packages[..], &[("chromium", "chromium")]].concat()).map(|()| 0)
    }),
    ("vectors", vectors),
    ("no_std", || no_std().map(|()| 2)),
    ("workers", || workers().map(|()| 1)),
    ("clippy", || run("cargo clippy --quiet --workspace --lib --bins --examples -- -D warnings").map(|()| 1)),
    ("cargo test", cargo_tests),
    ("sdk", sdk),
    ("defects", || run("cargo test --quiet -p sim --features defects --test defects").map(|()| 1)),
    ("package", package::quick_test),
    ("mutants", mutants::run),
    ("sanitize", fuzz::sanitize),
    ("documents", || run("RUSTDOCFLAGS='-D warnings' cargo doc --quiet --workspace --no-deps").map(|()| 1)),
    ("readme", readme::run),
];

/// Everything, and where the minutes went.
pub fn test() -> Result<(), String> {
    need("python3", "Python 3 with the venv module")?;
    need("node", "Node.js 20 or later")?;
    need("rustup", "Rust by rustup")?;
    need("go", "Go 1.26 or later")?;
    let (mut passed, mut times) = (0, Vec::new());
    for (name, step) in STEPS {
        println!("── {name}");
        let start = Instant::now();
        let result = step();
        times.push((name, start.elapsed().as_secs()));
        match result {
            Ok(count) => passed += count,
            Err(message) => {
                report(&times);
                println!("{passed} passed, 1 failed");
                return Err(message);
            }
        }
    }
    report(&times);
    println!("{passed} passed, 0 failed");
    Ok(())
}

fn report(times: &[(&&str, u64)]) {
    println!("── where the minutes went");
    for (name, seconds) in times {
        println!("{:>5}:{:02}  {name}", seconds / 60, seconds % 60);
    }
}

fn need(program: &str, what: &str) -> Result<(), String> {
    let found = shell(&format!("command -v {program}")).stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    if found { Ok(()) } else { Err(format!("`{program}` is missing: install {what} by its usual installer")) }
}
