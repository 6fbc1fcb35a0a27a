//! Which faults there are, and what every row of the table has alike.

use conformance::launch::{Launch, Launched, Running};
use conformance::strace::{Fault, Instead};
use conformance::told::{Field, Told};
use std::fs;
use std::path::{Path, PathBuf};

/// One shard, so that one thread makes all calls that write; and the guard of the disk lets everything by, so that the calls' own
/// errors are met.
pub const CONFIG: &str = "[store]\nshards = 1\nreaders = 1\n[disk]\ncreate_free_mib = 0\ncreate_free_percent = 0\n\
    commit_free_mib = 0\ncommit_free_percent = 0\n";

/// Exit code after a failed durable write.
pub const STORAGE: i32 = 74;
/// Exit code of a folder that cannot be used.
pub const UNUSABLE: i32 = 78;

const EIO: Instead = Instead::Error("EIO");
const ENOSPC: Instead = Instead::Error("ENOSPC");

/// The calls that make, write, name and remove files, and how each fails. SQLite chooses one of the two syncs when it is built.
pub const CALLS: &[(&str, &[Instead])] = &[
    ("mkdir", &[EIO, ENOSPC]),
    ("openat", &[EIO, ENOSPC]),
    ("write", &[EIO, ENOSPC, Instead::Short]),
    ("pwrite64", &[EIO, ENOSPC, Instead::Short]),
    ("fsync,fdatasync", &[EIO, ENOSPC]),
    ("rename", &[EIO, ENOSPC]),
    ("ftruncate", &[EIO, ENOSPC]),
    ("unlink", &[EIO, ENOSPC]),
];

/// Whether every place is tried.
pub fn everything() -> bool {
    std::env::var("ENC_FAULTS").is_ok_and(|value| value == "all")
}

/// The place to try after this one.
pub fn next_place(nth: u32) -> u32 {
    if everything() { nth + 1 } else { nth * 2 }
}

/// A row of the table, as it came out.
pub fn report(moment: &str, fault: &Fault, outcome: &str) {
    println!("| {moment} | {fault} | {outcome} |");
}

/// What came of a moment that is no single call.
pub fn report_moment(moment: &str, told: &Told) {
    let counts = (told.acknowledged.len(), told.refused.len(), told.unanswered.len());
    println!("| {moment} | | {} receipts, {} refused, {} unanswered |", counts.0, counts.1, counts.2);
}

/// The data of a node that was killed with commits in its write-ahead log, and what its clients were told.
pub struct Left {
    folder: tempfile::TempDir,
    /// Its enclaves.
    pub field: Field,
    told: Told,
}

impl Left {
    /// Makes it.
    pub fn behind() -> Left {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let node = Launch::of(&folder.path().join("node"), CONFIG).run();
        let field = Field::make(&node.address, node.sequencer, 2);
        let told = field.write_singly(&node.address, &|told| told.acknowledged.len() == 7);
        assert!(told.refused.is_empty() && told.unanswered.is_empty(), "nothing fails yet");
        drop(node);
        Left { folder, field, told }
    }

    /// A copy of it in another folder, and how to start a node there.
    pub fn copy(&self, folder: &Path) -> Launch {
        let data = folder.join("node");
        copy_all(&self.folder.path().join("node"), &data);
        Launch::of(&data, CONFIG)
    }

    /// Starts the node again, undisturbed, and holds its log against what was told before and in the row.
    pub fn check(&self, data: &Path, field: &Field, told: &Told) -> Running {
        let node = Launch::of(data, CONFIG).run();
        assert_eq!(node.sequencer, field.sequencer, "it has its key");
        field.check(&node.address, &self.told);
        field.check(&node.address, told);
        node
    }
}

/// A start that the fault has ended: it says which file it was about and what to do.
pub fn names_the_trouble(data: &Path, said: &str) -> String {
    let line = said.lines().last().unwrap_or_default();
    let told = line.strip_prefix("encd: ").unwrap_or_else(|| panic!("the last line is the node's own: {said}"));
    assert!(!said.contains("panicked"), "{said}");
    assert!(told.contains(&data.display().to_string()), "it names the file: {told}");
    assert!(["check ", "make ", "put "].iter().any(|word| told.contains(word)), "it says what to do: {told}");
    told.replace(&data.display().to_string(), "DATA")
}

/// SQLite's write-ahead log is what the node relies on; the 19th and 20th byte of a database say whether it has one.
pub fn has_write_ahead_log(data: &Path) -> bool {
    fs::read(data.join("data/shard-0.db")).is_ok_and(|bytes| bytes.get(18..20) == Some(&[2, 2]))
}

/// What came of starting.
pub fn started(launch: &Launch) -> Result<Running, (i32, String)> {
    match launch.start() {
        Launched::Running(node) => Ok(node),
        Launched::Ended(ended) => {
            let code = ended.code.unwrap_or_else(|| panic!("it ends by itself, not by a signal: {}", ended.said));
            Err((code, ended.said))
        }
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the test's own folder");
    for entry in fs::read_dir(from).expect("the folder that is copied") {
        let path: PathBuf = entry.expect("a readable folder").path();
        let copy = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy_all(&path, &copy);
        } else {
            fs::copy(&path, &copy).expect("a readable file");
        }
    }
}
