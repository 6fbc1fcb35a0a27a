//! A disk that is full and has room again, and one that turns read-only. Both are real file systems of a few megabytes.

use crate::table::{CONFIG, STORAGE, UNUSABLE, names_the_trouble, report_moment, started};
use conformance::launch::{Launch, wait_until};
use conformance::told::{Field, Told};
use conformance::wire::{Ask, ask};
use protocol::Code;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// A file system that is mounted as long as this lives.
struct Mounted {
    _folder: tempfile::TempDir,
    at: PathBuf,
}

impl Mounted {
    /// One in memory.
    fn in_memory(size: &str) -> Mounted {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = folder.path().join("disk");
        fs::create_dir(&at).expect("the test's own folder");
        run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "none", text(&at)]);
        Mounted { _folder: folder, at }
    }

    /// An ext4 in a file of 64 MiB.
    fn in_a_file() -> Mounted {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (image, at) = (folder.path().join("image"), folder.path().join("disk"));
        let file = File::create(&image).and_then(|file| file.set_len(64 << 20));
        file.and_then(|()| fs::create_dir(&at)).expect("the test's own folder");
        run("mkfs.ext4", &["-q", text(&image)]);
        run("mount", &["-o", "loop", text(&image), text(&at)]);
        Mounted { _folder: folder, at }
    }

    fn remount(&self, options: &str) {
        run("mount", &["-o", &format!("remount,{options}"), text(&self.at)]);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let at = text(&self.at);
        let unmounted = Command::new("umount").arg(at).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{at} is still mounted");
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder's name is text")
}

fn run(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program} does not run here: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?} (it needs root): {said}");
}

/// Writes a file until there is no room at all.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("a name has room");
    while file.write_all(&[0xff; 4096]).is_ok() {}
    while file.write_all(&[0xff]).is_ok() {}
}

/// Posts until there is a refusal; answers all that was told.
fn until_refused(field: &Field, address: &str) -> Told {
    let started = Instant::now();
    let mut told = Told::default();
    while told.refused.is_empty() && told.unanswered.is_empty() {
        assert!(started.elapsed() < PATIENCE, "nothing is refused");
        told.join(field.post(address, &field.commit()));
    }
    told
}

/// The node's own guard is off: the disk is full in the middle of a write.
#[test]
fn a_disk_without_any_room() {
    let disk = Mounted::in_memory("24m");
    let launch = Launch::of(&disk.at.join("node"), CONFIG);
    let mut node = launch.run();
    let field = Field::make(&node.address, node.sequencer, 2);
    let mut told = field.write_singly(&node.address, &|told| told.acknowledged.len() == 20);
    for round in 0..3 {
        let ballast = disk.at.join("ballast");
        fill(&ballast);
        let refused = until_refused(&field, &node.address);
        assert!(refused.refused_as(Code::Overloaded), "{:?} {}", refused.refused, node.said());
        told.join(refused);
        assert_eq!((node.readiness().status, node.readiness().text()), (503, "disk_full\n".into()), "round {round}");
        // Others are refused as well, under load, and what is there is read.
        let under_load = field.write(&node.address, 4, |told| told.refused.len() + told.acknowledged.len() > 20);
        assert!(!under_load.refused.is_empty() && under_load.unanswered.is_empty());
        told.join(under_load);
        let log = ask(&node.address, &Ask::get(&format!("/{}/log", field.enclaves[0].hex())));
        assert_ne!(log.status, 503, "what is there is read: {}", log.text());
        assert_eq!(node.readiness().text(), "disk_full\n", "it stays so while there is no room: {round}");
        fs::remove_file(&ballast).expect("it is there");
        node.becomes("ready");
        let again = field.write(&node.address, 4, |told| told.acknowledged.len() > 20 || !told.refused.is_empty());
        assert!(again.refused.is_empty() && again.unanswered.is_empty(), "it takes commits again: {:?}", again.refused);
        told.join(again);
    }
    assert!(!node.has_ended(), "{}", node.said());
    field.check(&node.address, &told);
    assert_eq!(node.stop().code, Some(0));
    let node = launch.run();
    field.check(&node.address, &told);
    report_moment("disk full, room again, 3 times", &told);
}

/// The node's own guard stops in time, and everything else goes on.
#[test]
fn a_disk_that_runs_full() {
    let disk = Mounted::in_memory("24m");
    let config = "[store]\nshards = 1\n[disk]\ncreate_free_mib = 12\ncreate_free_percent = 0\ncommit_free_mib = 8\ncommit_free_percent = 0\n";
    let launch = Launch::of(&disk.at.join("node"), config);
    let node = launch.run();
    let field = Field::make(&node.address, node.sequencer, 1);
    let mut told = field.write_singly(&node.address, &|told| told.acknowledged.len() == 5);
    let ballast = disk.at.join("ballast");
    fill(&ballast);
    node.becomes("disk_full");
    let refused = until_refused(&field, &node.address);
    assert!(refused.refused_as(Code::Overloaded));
    told.join(refused);
    fs::remove_file(&ballast).expect("it is there");
    node.becomes("ready");
    told.join(field.post(&node.address, &field.commit()));
    assert_eq!((told.acknowledged.len(), told.refused.len()), (6, 1));
    field.check(&node.address, &told);
    report_moment("disk below its bound, room again", &told);
}

/// An alarm that is due while the disk is full waits for room; it does not keep the writer busy.
#[test]
fn what_is_due_waits_for_room() {
    let disk = Mounted::in_memory("24m");
    let launch = Launch::of(&disk.at.join("node"), CONFIG);
    let node = launch.run();
    let field = Field::make_with(&node.address, node.sequencer, 1, 3000);
    let mut told = field.post(&node.address, &field.commit());
    // With its mark written, the bundle's end is all that it has to do.
    let mark = launch.data.join("data/shard-0.mark");
    let reached = transactions(&launch.data);
    let written = || fs::read_to_string(&mark).is_ok_and(|text| text.trim_end() == reached);
    assert!(wait_until(PATIENCE, written), "the mark follows");
    let ballast = disk.at.join("ballast");
    fill(&ballast);
    // Nobody asks anything; the bundle is due and finds no room.
    assert!(wait_until(PATIENCE, || node.said().contains("the disk is full")), "{}", node.said());
    node.becomes("disk_full");
    let (said, since) = (node.said().len(), Instant::now());
    assert!(wait_until(PATIENCE, || since.elapsed() > Duration::from_millis(1500)), "time passes");
    let lines = node.said()[said..].lines().count();
    assert!(lines <= 4, "{lines} lines in one and a half seconds: {}", &node.said()[said..]);
    fs::remove_file(&ballast).expect("it is there");
    node.becomes("ready");
    told.join(field.post(&node.address, &field.commit()));
    assert_eq!(told.acknowledged.len(), 2);
    field.check(&node.address, &told);
}

fn transactions(data: &Path) -> String {
    let database = rusqlite::Connection::open(data.join("data/shard-0.db")).expect("it can be read beside its writer");
    let count = database.query_row("SELECT transactions FROM host_mark", [], |row| row.get::<_, i64>(0));
    count.expect("a table of the node").to_string()
}

#[test]
fn a_folder_that_cannot_be_written() {
    let disk = Mounted::in_memory("24m");
    let launch = Launch::of(&disk.at.join("node"), CONFIG);
    let node = launch.run();
    let field = Field::make(&node.address, node.sequencer, 1);
    let told = field.write_singly(&node.address, &|told| told.acknowledged.len() == 5);
    drop(node);
    disk.remount("ro");
    // The configuration lies on the disk as well, where the node only reads it.
    let (code, said) = started(&launch).err().expect("nothing can be written");
    assert_eq!(code, UNUSABLE, "{said}");
    assert!(names_the_trouble(&launch.data, &said).contains("Read-only file system"), "{said}");
    disk.remount("rw");
    field.check(&launch.run().address, &told);
    report_moment("start on a read-only disk", &told);
}

/// As an ext4 does after an error of its own: what is open stays open, and nothing is written any more.
#[test]
fn a_disk_that_turns_read_only() {
    let disk = Mounted::in_a_file();
    let launch = Launch::of(&disk.at.join("node"), CONFIG);
    let node = launch.run();
    let field = Field::make(&node.address, node.sequencer, 2);
    let mut told = field.write_singly(&node.address, &|told| told.acknowledged.len() == 20);
    disk.remount("abort");
    told.join(until_refused(&field, &node.address));
    assert!(told.refused.is_empty(), "nobody knows what is on the disk, so nobody is answered: {:?}", told.refused);
    let ended = node.ends();
    assert_eq!(ended.code, Some(STORAGE), "{}", ended.said);
    assert!(ended.said.contains("a durable write failed"), "{}", ended.said);
    let (code, said) = started(&launch).err().expect("nothing can be written");
    assert_eq!(code, UNUSABLE, "{said}");
    names_the_trouble(&launch.data, &said);
    // Taken off, looked at and mounted again, as an operator does.
    let image = disk._folder.path().join("image");
    run("umount", &[text(&disk.at)]);
    let looked_at = Command::new("e2fsck").args(["-fy", text(&image)]).output().expect("e2fsck comes with mkfs.ext4");
    assert!(looked_at.status.code().is_some_and(|code| code <= 1), "{looked_at:?}");
    run("mount", &["-o", "loop", text(&image), text(&disk.at)]);
    let node = launch.run();
    assert_eq!(node.sequencer, field.sequencer, "it has its key");
    field.check(&node.address, &told);
    report_moment("disk turns read-only under a node", &told);
}
