//! What is too long for every change, as one command: each part in full, for some minutes, or in its smallest form, with what came of it in
//! `conformance/RESULTS-soak.md`.

use crate::steps::{output, root, run, target};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How much of each part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Much {
    /// All of it, once.
    Whole,
    /// What can be divided goes on for so many minutes, with new seeds; the others run once.
    Minutes(u64),
    /// As little as shows that it works.
    Small,
}

/// A part of the soak.
struct Part {
    name: &'static str,
    /// What must have been built.
    build: &'static str,
    /// What is run, and its account of how much that is.
    command: fn(Much) -> (String, String),
    /// A command for the next share, if the part can go on; it is given the number of the share.
    further: Option<fn(u64) -> String>,
}

const PARTS: &[Part] = &[
    Part {
        name: "crash",
        build: "cargo build --quiet -p encd -p conformance --bins",
        command: |much| match much {
            Much::Whole => (crash(200, 1), "200 rounds".into()),
            Much::Minutes(_) => (crash(4, 1), "rounds by fours, each four with a seed of its own".into()),
            Much::Small => (crash(2, 1), "2 rounds".into()),
        },
        further: Some(|share| crash(4, share)),
    },
    Part {
        name: "faults",
        build: "cargo build --quiet -p encd && cargo test --quiet -p conformance --test faults --no-run",
        command: |much| match much {
            Much::Whole | Much::Minutes(_) => {
                ("ENC_FAULTS=all cargo test -p conformance --test faults".into(), "every place".into())
            }
            Much::Small => ("cargo test -p conformance --test faults start".into(), "a share of the starts".into()),
        },
        further: None,
    },
    Part {
        name: "mutants",
        build: "true",
        command: |much| match much {
            Much::Whole | Much::Minutes(_) => ("cargo xtask mutants all".into(), "every mutant".into()),
            Much::Small => (format!("cargo xtask mutants {FIRST_MUTANT}"), "one mutant".into()),
        },
        further: None,
    },
    Part {
        name: "sim",
        build: "cargo build --quiet -p sim",
        command: |much| match much {
            Much::Whole => (sim(0, 1000), "1000 seeds".into()),
            Much::Minutes(_) => (sim(0, 20), "seeds by twenties".into()),
            Much::Small => (sim(0, 5), "5 seeds".into()),
        },
        further: Some(|share| sim((share - 1) * 20, 20)),
    },
    Part {
        name: "fuzz",
        build: "true",
        command: |much| match much {
            Much::Whole => ("cargo xtask fuzz --seconds 3600".into(), "an hour a target".into()),
            Much::Minutes(minutes) => {
                let command = format!("cargo xtask fuzz --minutes {minutes} --jobs 1");
                (command, format!("{minutes} min, an equal share for each target, one after the other"))
            }
            Much::Small => ("cargo xtask fuzz json commit note --seconds 10".into(), "10 s for 3 targets".into()),
        },
        further: None,
    },
    Part {
        name: "c2sp",
        build: "cargo build --quiet -p encd && cargo test --quiet -p conformance --test c2sp --no-run",
        command: |much| match much {
            Much::Whole | Much::Minutes(_) => {
                ("ENC_WHOLE_LOG=1 cargo test -p conformance --test c2sp".into(), "a log of 65,793 entries".into())
            }
            Much::Small => ("cargo test -p conformance --test c2sp tiles".into(), "a log of 556 entries".into()),
        },
        further: None,
    },
    Part {
        name: "bench",
        build: "true",
        command: |much| match much {
            Much::Whole | Much::Minutes(_) => {
                let build = "cargo build --quiet --profile dist -p encd -p bench";
                (format!("{build} && cargo run --quiet --profile dist -p bench -- all"), "every measurement".into())
            }
            Much::Small => (
                "cargo build --quiet -p encd && cargo run --quiet -p bench -- commits --quick --alone".into(),
                "one measurement, which judges nothing".into(),
            ),
        },
        further: None,
    },
    Part {
        name: "dist",
        build: "true",
        command: |_| ("cargo xtask dist --twice".into(), "from two folders, with two homes".into()),
        further: None,
    },
];

/// The first of `crates/kernel/mutants.txt`.
const FIRST_MUTANT: &str = "restrictive_traits_give_rank";
/// Where results are kept.
const RESULTS: &str = "conformance/RESULTS-soak.md";
const HEAD: &str = "\
# Soak: what is too long for every change

    cargo xtask soak                         # everything, for a day or so
    cargo xtask soak crash sim --minutes 60  # what can be divided goes on for so long
    cargo xtask soak --small                 # whether every part works

Each run adds its rows. `README.md` says what the parts are, and which share of them every change has. A commit with `+` had changes that were not
committed.

| date | commit | machine | part | how much | took | result |
|---|---|---|---|---|---|---|
";

/// `cargo xtask soak [PART]… [--minutes N | --small]`: runs parts, all if none is named, and writes down what came of each.
pub fn soak() -> Result<(), String> {
    let (parts, much) = order(std::env::args().skip(2))?;
    let mut failed = Vec::new();
    for part in parts {
        println!("── {}: {}", part.name, (part.command)(much).1);
        let begun = Instant::now();
        let result = soak_one(part, much);
        let took = begun.elapsed();
        let said = match &result {
            Ok(said) => format!("passed: {said}"),
            Err(said) => format!("**failed**: {said}"),
        };
        println!("── {}: {said} ({})", part.name, clock(took));
        note(part.name, &(part.command)(much).1, took, &said)?;
        if result.is_err() {
            failed.push(part.name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn order(arguments: impl Iterator<Item = String>) -> Result<(Vec<&'static Part>, Much), String> {
    let (mut parts, mut much) = (Vec::new(), Much::Whole);
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--small" => much = Much::Small,
            "--minutes" => {
                let minutes = arguments.next().and_then(|text| text.parse().ok()).filter(|minutes| *minutes > 0);
                much = Much::Minutes(minutes.ok_or("--minutes takes a number of minutes")?);
            }
            name => {
                let known: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
                let unknown = || format!("there is no part `{name}`; there are {}", known.join(", "));
                parts.push(PARTS.iter().find(|part| part.name == name).ok_or_else(unknown)?);
            }
        }
    }
    if parts.is_empty() {
        parts.extend(PARTS);
    }
    Ok((parts, much))
}

/// Answers the last line that the part has said.
fn soak_one(part: &Part, much: Much) -> Result<String, String> {
    let begun = Instant::now();
    run(part.build)?;
    let log = log_of(part.name)?;
    let (command, _) = (part.command)(much);
    let mut said = logged(&command, &log)?;
    let (Much::Minutes(minutes), Some(further)) = (much, part.further) else { return Ok(said) };
    let mut shares = 1;
    while begun.elapsed() < Duration::from_secs(minutes * 60) {
        shares += 1;
        said = logged(&further(shares), &log)?;
    }
    Ok(format!("{shares} shares, the last: {said}"))
}

/// Runs a command, its output shown and kept; answers the last line that has a number in it.
fn logged(command: &str, log: &std::path::Path) -> Result<String, String> {
    let ran = run(&format!("set -o pipefail; {{ {command}; }} 2>&1 | tee '{}'", log.display()));
    let text = fs::read_to_string(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let telling = |line: &&str| line.bytes().any(|byte| byte.is_ascii_digit());
    let last = text.lines().map(str::trim).rev().find(telling).unwrap_or("").replace('|', "/");
    ran.map(|()| last.clone()).map_err(|error| format!("{error}; {last}"))
}

fn log_of(name: &str) -> Result<PathBuf, String> {
    let folder = target().join("soak");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder.join(format!("{name}.log")))
}

fn crash(rounds: u64, seed: u64) -> String {
    format!("'{}/debug/crash' --rounds {rounds} --seed {seed}", target().display())
}

fn sim(first: u64, seeds: u64) -> String {
    format!("'{}/debug/sim' --seed {first} --seeds {seeds}", target().display())
}

/// Adds a row to the results.
fn note(part: &str, much: &str, took: Duration, said: &str) -> Result<(), String> {
    let path = root().join(RESULTS);
    let text = fs::read_to_string(&path).unwrap_or_else(|_| HEAD.to_owned());
    let quiet = |command: &str| output(&format!("{{ {command}; }} | tr -d '\\n'"));
    let commit = quiet("git rev-parse --short HEAD; git diff --quiet HEAD || printf +")?;
    let date = quiet("date -u +%F")?;
    let machine = quiet(
        "printf '%s × %s, Linux %s' \"$(nproc)\" \"$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)\" \"$(uname -r)\"",
    )?;
    println!();
    let row = format!("| {date} | {commit} | {machine} | {part} | {much} | {} | {said} |\n", clock(took));
    fs::write(&path, text + &row).map_err(|error| format!("{}: {error}", path.display()))
}

fn clock(took: Duration) -> String {
    let seconds = took.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
