//! Every file of every corpus, and altered ones, through its target; without libFuzzer, so that every change is checked.

use fuzz_targets::{TARGETS, Target};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where all altering begins.
const SEED: u64 = 0x5eed_0000_0000_0001;

/// What parsers look for.
const WORDS: [&[u8]; 20] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"true",
    b"-0",
    b"9007199254740992",
    b"\\u0000",
    b"\\ud800",
    b"\n",
    b"\n\n",
    b"=",
    b"{E}",
    b"\xff",
    b"\0",
];

/// Numbers that are the same each time (xorshift).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn below(&mut self, sides: usize) -> usize {
        (self.next() % sides.max(1) as u64) as usize
    }
}

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target.name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file of the corpus")).collect()
}

/// One to four changes: a bit, a byte, a piece taken out, doubled or put in from another file, a word.
fn altered(dice: &mut Dice, files: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = files[dice.below(files.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + 1 + dice.below(16)).min(bytes.len());
        match dice.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = dice.next() as u8,
            2 if at < end => drop(bytes.drain(at..end)),
            3 if at < end => {
                let piece = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            4 => {
                let other = &files[dice.below(files.len())];
                let from = dice.below(other.len() + 1);
                let piece = other[from..(from + 1 + dice.below(64)).min(other.len())].to_vec();
                drop(bytes.splice(at..end.max(at), piece));
            }
            5 => drop(bytes.splice(at..at, WORDS[dice.below(WORDS.len())].iter().copied())),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// What fails is written to a file.
fn check(target: &Target, bytes: &[u8]) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))).map_err(|_| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("failed-{}", target.name));
        std::fs::write(&path, bytes).expect("a folder for what failed");
        format!("{} fails on {} ({} bytes)", target.name, path.display(), bytes.len())
    })
}

fn replay(target: &Target) -> Result<(), String> {
    let files = corpus(target);
    assert!(!files.is_empty(), "{} has no corpus", target.name);
    files.iter().try_for_each(|bytes| check(target, bytes))?;
    let mut dice = Dice(SEED);
    (0..target.rounds).try_for_each(|_| check(target, &altered(&mut dice, &files)))
}

/// Two halves, for two cores.
fn replay_half(half: usize) {
    let mut failures = Vec::new();
    for target in TARGETS.iter().skip(half).step_by(2) {
        let start = Instant::now();
        failures.extend(replay(target).err());
        println!("{:>6} ms  {}", start.elapsed().as_millis(), target.name);
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn the_first_half_of_the_targets() {
    replay_half(0);
}

#[test]
fn the_other_half_of_the_targets() {
    replay_half(1);
}

#[test]
fn every_target_has_a_binary_and_every_binary_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz_targets");
    let mut binaries: Vec<String> = std::fs::read_dir(folder)
        .expect("the binaries")
        .map(|entry| entry.expect("a file").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    // The one that is every target in turn.
    binaries.retain(|name| name != "any");
    binaries.sort();
    assert_eq!(binaries, TARGETS.iter().map(|target| target.name).collect::<Vec<_>>());
}
