//! Fuzzing under libFuzzer and AddressSanitizer, and Miri over the unsafe code. `fuzz/README.md` explains both.

use crate::steps::{root, run, target};
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// What libFuzzer needs of each function that it is to see: counters of edges, where they are, what is compared with what, and how
/// deep the stack was; and `cfg(fuzzing)` for crates that ask. cargo-fuzz gives the same and some for reports, and takes longer to be
/// built than the targets.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-sanitizer-coverage-stack-depth",
    "--cfg=fuzzing",
    "-Cdebug-assertions",
    "-Ccodegen-units=1",
];
const SANITIZER: &str = "-Zsanitizer=address";
/// Miri is of a nightly compiler; one that has been tried.
const NIGHTLY: &str = "nightly-2026-10-30";
/// Pointers cross between the WebAssembly module and its host as 32 bits.
const MIRI_TARGET: &str = "i686-unknown-linux-gnu";
/// Seconds for each target, unless told otherwise.
const SECONDS: u32 = 4;
/// Seconds for one input, and MiB for all: more is a finding.
const LIMITS: &str = "-timeout=20 -rss_limit_mb=2048";

/// What a run has come to.
struct Done {
    name: String,
    clean: bool,
    /// libFuzzer's last account of itself.
    account: String,
}

struct Order {
    targets: Vec<String>,
    /// For each target.
    seconds: u32,
    jobs: usize,
}

/// `cargo xtask fuzz [TARGET]… [--seconds N | --minutes N] [--jobs N]`: one build, then each target in turn; answers how many ran.
pub fn fuzz() -> Result<u64, String> {
    let order = order(std::env::args().skip(2))?;
    let folder = target().join("fuzz");
    let built = folder.display();
    let binary = build(&folder)?;
    let waiting = Mutex::new(order.targets.into_iter().collect::<VecDeque<_>>());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..order.jobs {
            scope.spawn(|| {
                while let Some(name) = waiting.lock().expect("no thread panics").pop_front() {
                    let ran = fuzz_one(&binary, &folder, &name, order.seconds);
                    println!("{:<13} {}", ran.name, ran.account);
                    done.lock().expect("no thread panics").push(ran);
                }
            });
        }
    });
    let done = done.into_inner().expect("no thread panics");
    let found: Vec<String> = done.iter().filter(|ran| !ran.clean).map(|ran| ran.name.clone()).collect();
    if found.is_empty() {
        return Ok(done.len() as u64);
    }
    Err(format!("found something: {}; logs and inputs are in {built}/found", found.join(", ")))
}

/// All targets as one instrumented program for the host itself. A target is named, so that build scripts and macros, which run while
/// it is built, are not instrumented.
fn build(folder: &Path) -> Result<PathBuf, String> {
    let version = Command::new("rustc").arg("-vV").output().map_err(|error| format!("rustc: {error}"))?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc does not tell its host")?;
    let mut flags = COVERAGE.to_vec();
    if run("ls \"$(rustc --print target-libdir)\"/librustc*_rt.asan.a >/dev/null 2>&1").is_ok() {
        flags.push(SANITIZER);
    } else {
        println!("this toolchain has no AddressSanitizer for {host}: without it");
    }
    // Both kinds of flags are unstable ones of the stable compiler.
    run(&format!(
        "RUSTC_BOOTSTRAP=1 CARGO_ENCODED_RUSTFLAGS='{}' cargo build --locked --release --manifest-path fuzz/Cargo.toml \
         --bin any --target {host} --target-dir '{}'",
        flags.join("\u{1f}"),
        folder.display()
    ))?;
    Ok(folder.join(host).join("release/any"))
}

fn order(arguments: impl Iterator<Item = String>) -> Result<Order, String> {
    let mut order = Order { targets: Vec::new(), seconds: SECONDS, jobs: 2 };
    let mut minutes = None;
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let mut number =
            || arguments.next().and_then(|text| text.parse().ok()).ok_or(format!("{argument} takes a number"));
        match argument.as_str() {
            "--seconds" => order.seconds = number()?,
            "--minutes" => minutes = Some(number()?),
            "--jobs" => order.jobs = number()? as usize,
            name => order.targets.push(name.to_owned()),
        }
    }
    let known = targets()?;
    if let Some(stranger) = order.targets.iter().find(|name| !known.contains(name)) {
        return Err(format!("there is no target `{stranger}`; there are {}", known.join(", ")));
    }
    if order.targets.is_empty() {
        order.targets = known;
    }
    if let Some(minutes) = minutes {
        order.seconds = (minutes * 60 * order.jobs as u32 / order.targets.len() as u32).max(1);
    }
    Ok(order)
}

/// The corpora by name: a test holds them to be one for each target.
fn targets() -> Result<Vec<String>, String> {
    let entries = fs::read_dir(root().join("fuzz/corpus")).map_err(|error| format!("fuzz/corpus: {error}"))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// What it finds to be new goes into a folder of its own beside the committed corpus.
fn fuzz_one(binary: &Path, folder: &Path, name: &str, seconds: u32) -> Done {
    let (grown, found) = (folder.join("grown").join(name), folder.join("found"));
    let corpus = root().join("fuzz/corpus").join(name);
    let made = fs::create_dir_all(&grown).and_then(|()| fs::create_dir_all(&found));
    let ran = made.and_then(|()| {
        Command::new(binary)
            .env("FUZZ_TARGET", name)
            // What Rust makes once for each crate that needs it is no second definition.
            .env("ASAN_OPTIONS", "detect_odr_violation=0")
            .args([&grown, &corpus])
            .args(LIMITS.split(' '))
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/{name}-", found.display()))
            .arg("-print_final_stats=1")
            .stdin(Stdio::null())
            .output()
    });
    let name = name.to_owned();
    match ran {
        Err(error) => Done { name, clean: false, account: error.to_string() },
        Ok(output) => {
            let log = String::from_utf8_lossy(&output.stderr).into_owned();
            let clean = output.status.success();
            let kept = clean || fs::write(found.join(format!("{name}.log")), &log).is_ok();
            let account = account(&log).unwrap_or_else(|| format!("no account of itself (log kept: {kept})"));
            Done { name, clean, account: if clean { account } else { format!("FOUND SOMETHING; {account}") } }
        }
    }
}

/// `#12345 DONE cov: 100 ft: 200 corp: 30/4Kb …` in short.
fn account(log: &str) -> Option<String> {
    let last = log.lines().rev().find(|line| line.starts_with('#') && line.contains("cov: "))?;
    let runs = last.split(['#', '\t', ' ']).find(|word| !word.is_empty())?;
    let after = |label: &str| last.split(label).nth(1).and_then(|rest| rest.split_whitespace().next());
    Some(format!(
        "{runs:>9} executions, coverage {}, features {}, corpus {}",
        after("cov: ")?,
        after("ft: ")?,
        after("corp: ")?
    ))
}

/// `cargo xtask sanitize`: the unsafe code of the WebAssembly module under Miri.
pub fn sanitize() -> Result<u64, String> {
    run(&format!(
        "rustup toolchain install {NIGHTLY} --profile minimal --component miri --component rust-src 2>/dev/null"
    ))?;
    let built = target().join("miri");
    run(&format!(
        "MIRIFLAGS=-Zmiri-permissive-provenance CARGO_TARGET_DIR='{}' cargo +{NIGHTLY} miri test --quiet \
         --manifest-path crates/guest/Cargo.toml --lib --locked --target {MIRI_TARGET}",
        built.display()
    ))?;
    Ok(1)
}
