//! `encd backup FILE.tar` and `-`: a running node as one file or stream, which is taken back whole or not at all.

use crate::backup::encd;
use crate::node::{key, note};
use crate::process::{Process, Scratch, command, commit, ids, start};
use protocol::{EnclaveId, Receipt};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tar::{Archive, Builder, EntryType, Header};

const BOUND: Duration = Duration::from_secs(60);

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// A folder in which files can be made.
fn made(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    fs::create_dir_all(&scratch.0).expect("made");
    scratch
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A stopped node's folder with two enclaves, and a backup of it as `whole.tar`.
fn archived(scratch: &Scratch) -> (PathBuf, PathBuf) {
    let (folder, whole) = (scratch.0.join("node"), scratch.0.join("whole.tar"));
    let node = start(&mut command(&folder));
    node.create("a");
    node.create("b");
    node.stop();
    encd(&["backup", text(&whole)], &folder).well();
    (folder, whole)
}

/// Commits from four threads for as long as the work lasts; answers the receipts that were there before it began.
fn under_load(node: &Process, enclave: EnclaveId, work: impl FnOnce()) -> Vec<Receipt> {
    let (done, receipts) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (done, receipts) = (&done, &receipts);
            scope.spawn(move || {
                for n in 0.. {
                    let answer = commit(&node.url, &note(&key(0x33), enclave, &format!("{thread} {n}")));
                    let receipt = Receipt::from_json(answer.expect("answered").json()).expect("a receipt");
                    receipts.lock().expect("no panic").push(receipt);
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        let begun = Instant::now();
        while receipts.lock().expect("no panic").len() < 50 {
            assert!(begun.elapsed() < BOUND);
            std::thread::yield_now();
        }
        let before = receipts.lock().expect("no panic").clone();
        work();
        done.store(true, Ordering::Relaxed);
        before
    })
}

#[test]
fn a_file_of_a_running_node_has_whatever_was_acknowledged() {
    let scratch = made("tar-running");
    let (folder, whole, again) = (scratch.0.join("node"), scratch.0.join("monday.tar"), scratch.0.join("again"));
    let node = start(&mut command(&folder));
    let enclave = node.create("a");
    let before = under_load(&node, enclave, || {
        encd(&["backup", text(&whole)], &folder).well();
    });
    node.stop();
    assert_eq!(fs::metadata(&whole).expect("a file").permissions().mode() & 0o777, 0o600);
    let checked = encd(&["check"], &whole);
    assert_eq!((checked.code, checked.number("live")), (0, 1), "{}", checked.out);
    encd(&["restore", text(&whole)], &again).well();
    assert_eq!(encd(&["check"], &again).number("events"), checked.number("events"));
    let restored = start(&mut command(&again));
    let held = ids(&restored.url, enclave);
    for receipt in before {
        assert!(receipt.verify_signature().is_ok());
        assert_eq!(held[usize::try_from(receipt.position.seq).expect("small")], receipt.id.hex());
    }
    let refused = commit(&restored.url, &note(&key(0x33), enclave, "x")).expect("answered");
    assert_eq!(refused.code(), "rolled_back");
    restored.stop();
    assert_eq!(names_in(&scratch.0), ["again", "monday.tar", "node"]);
}

#[test]
fn a_file_has_what_the_folder_has() {
    let scratch = made("tar-same");
    let (folder, whole) = archived(&scratch);
    let (unpacked, beside) = (scratch.0.join("unpacked"), scratch.0.join("folder"));
    fs::create_dir(&unpacked).expect("made");
    let tar = Command::new("tar").arg("-xf").arg(&whole).arg("-C").arg(&unpacked).status().expect("tar runs");
    assert!(tar.success());
    encd(&["backup", text(&beside)], &folder).well();
    for inner in ["", "data", "keys"] {
        assert_eq!(names_in(&unpacked.join(inner)), names_in(&beside.join(inner)), "{inner}");
    }
    assert_eq!(fs::metadata(unpacked.join("keys")).expect("there").permissions().mode() & 0o777, 0o700);
    encd(&["restore", text(&unpacked)], &scratch.0.join("again")).well();
}

#[test]
fn nothing_is_written_over() {
    let scratch = made("tar-over");
    let (folder, whole) = archived(&scratch);
    let before = fs::read(&whole).expect("read");
    assert_eq!(encd(&["backup", text(&whole)], &folder).code, 73);
    assert!(fs::read(&whole).expect("read") == before);
    assert_eq!(encd(&["restore", text(&whole)], &folder).code, 73);
    assert_eq!(encd(&["restore", text(&scratch.0.join("no.tar"))], &scratch.0.join("again")).code, 66);
    fs::write(scratch.0.join("empty.tar"), b"").expect("written");
    assert_eq!(encd(&["restore", text(&scratch.0.join("empty.tar"))], &scratch.0.join("again")).code, 65);
    assert_eq!(names_in(&scratch.0), ["empty.tar", "node", "whole.tar"]);
}

/// Where each file of an archive begins and ends.
fn places(whole: &Path) -> Vec<(String, usize, usize)> {
    let mut archive = Archive::new(File::open(whole).expect("a file"));
    let entries = archive.entries().expect("an archive").map(|entry| entry.expect("an entry"));
    let place = |entry: tar::Entry<'_, File>| {
        let begin = usize::try_from(entry.raw_file_position()).expect("small");
        let len = usize::try_from(entry.size()).expect("small");
        (String::from_utf8_lossy(&entry.path_bytes()).into_owned(), begin, begin + len)
    };
    entries.map(place).collect()
}

#[test]
fn what_was_cut_off_or_altered_is_refused() {
    let scratch = made("tar-altered");
    let (_, whole) = archived(&scratch);
    let bytes = fs::read(&whole).expect("read");
    let (other, again) = (scratch.0.join("other.tar"), scratch.0.join("again"));
    let mut rows: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, begin, end) in places(&whole) {
        let mut flip = |what: &str, at: usize| {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            rows.push((format!("{what} of {name} altered"), altered));
        };
        flip("the header", begin - 512);
        if end > begin {
            flip("the first byte", begin);
            flip("the last byte", end - 1);
            rows.push((format!("cut off in {name}"), bytes[..(begin + end) / 2].to_vec()));
        }
        rows.push((format!("cut off before {name}"), bytes[..begin - 512].to_vec()));
    }
    assert!(rows.len() > 30);
    for (what, altered) in rows {
        fs::write(&other, altered).expect("written");
        let said = encd(&["restore", text(&other)], &again);
        assert_eq!(said.code, 65, "{what}: {}", said.err);
        assert_eq!(names_in(&scratch.0), ["node", "other.tar", "whole.tar"], "{what}");
    }
    assert_eq!(encd(&["check"], &other).code, 65);
}

/// An archive with one more entry before its list.
fn with(whole: &Path, header: &mut Header, name: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = Archive::new(File::open(whole).expect("a file"));
    let mut copy = Builder::new(Vec::new());
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("read");
        if &*entry.path_bytes() == b"backup.json" {
            header.set_size(content.len() as u64);
            copy.append_data(header, name, content).expect("memory");
        }
        copy.append(&entry.header().clone(), &*bytes).expect("memory");
    }
    copy.into_inner().expect("memory")
}

#[test]
fn what_does_not_belong_in_a_backup_is_refused() {
    let scratch = made("tar-strange");
    let (_, whole) = archived(&scratch);
    let (other, again) = (scratch.0.join("other.tar"), scratch.0.join("again"));
    for (name, kind, target) in [
        ("keys/another.key", EntryType::Regular, None),
        ("keys/node.key", EntryType::Regular, None),
        ("program", EntryType::Regular, None),
        ("keys/link.key", EntryType::Symlink, Some("/etc/passwd")),
        ("keys/hard.key", EntryType::Link, Some("keys/node.key")),
        ("data/before-1", EntryType::Directory, None),
        ("data/pipe", EntryType::Fifo, None),
    ] {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o600);
        if let Some(target) = target {
            header.set_link_name(target).expect("short");
        }
        let content: &[u8] = if kind == EntryType::Regular { b"x" } else { b"" };
        fs::write(&other, with(&whole, &mut header, name, content)).expect("written");
        let said = encd(&["restore", text(&other)], &again);
        assert_ne!(said.code, 0, "{name}");
        assert_eq!(names_in(&scratch.0), ["node", "other.tar", "whole.tar"], "{name}");
    }
}

fn piped(arguments: &[&str], folder: &Path, temporary: &Path, input: Stdio) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_encd"));
    command.args(arguments).arg("--data").arg(folder).env("TMPDIR", temporary).stdin(input);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs")
}

#[test]
fn from_node_to_node_by_a_pipe() {
    let scratch = made("tar-pipe");
    let (folder, _) = archived(&scratch);
    let (again, temporary) = (scratch.0.join("again"), scratch.0.join("temporary"));
    fs::create_dir(&temporary).expect("made");
    let mut sends = piped(&["backup", "-"], &folder, &temporary, Stdio::null());
    let stream = sends.stdout.take().expect("its output is ours");
    let takes = piped(&["restore", "-"], &again, &temporary, stream.into());
    assert!(takes.wait_with_output().expect("it ends").status.success());
    assert!(sends.wait().expect("it ends").success());
    assert_eq!(encd(&["check"], &again).number("live"), 2);
    assert!(names_in(&temporary).is_empty());
}

#[test]
fn nobody_reads_the_stream() {
    let scratch = made("tar-unread");
    let (folder, _) = archived(&scratch);
    let mut sends = piped(&["backup", "-"], &folder, &scratch.0, Stdio::null());
    drop(sends.stdout.take());
    assert_eq!(sends.wait().expect("it ends").code(), Some(73));
    assert_eq!(names_in(&scratch.0), ["node", "whole.tar"]);
}

#[test]
fn told_to_stop_in_the_middle_it_leaves_nothing() {
    let scratch = made("tar-stopped");
    let (folder, whole) = archived(&scratch);
    let len = fs::metadata(&whole).expect("a file").len();
    fs::remove_file(&whole).expect("removed");
    let begun = Instant::now();
    let mut stopped = 0;
    while stopped < 2 {
        assert!(begun.elapsed() < BOUND, "no backup was met in its middle");
        let mut child = piped(&["backup", text(&whole)], &folder, &scratch.0, Stdio::null());
        let pid = Pid::from_child(&child);
        while names_in(&scratch.0) == ["node"] && child.try_wait().expect("it is ours").is_none() {
            std::thread::yield_now();
        }
        kill_process(pid, if stopped == 0 { Signal::INT } else { Signal::TERM }).expect("it was not waited for");
        match child.wait().expect("it ends").code() {
            Some(130) => {
                stopped += 1;
                assert_eq!(names_in(&scratch.0), ["node"]);
            }
            // The signal came too late.
            Some(0) => {
                assert_eq!(fs::metadata(&whole).expect("a file").len(), len);
                fs::remove_file(&whole).expect("removed");
            }
            code => panic!("ended with {code:?}"),
        }
    }
}

#[test]
fn without_room_it_leaves_nothing() {
    let scratch = made("tar-full");
    let (folder, whole) = archived(&scratch);
    let kib = fs::metadata(&whole).expect("a file").len() / 1024;
    fs::remove_file(&whole).expect("removed");
    // What SQLite maps beside a database has 32 KiB.
    for part in [40, kib / 4, kib * 3 / 4, kib - 1] {
        for to in [&whole, &scratch.0.join("folder")] {
            // A file that would become too large is refused as one that finds no room is.
            let limited = format!("trap '' XFSZ; ulimit -f {part}; exec \"$@\"");
            let said = Command::new("bash")
                .args(["-c", &limited, "bash", env!("CARGO_BIN_EXE_encd"), "backup", text(to), "--data", text(&folder)])
                .output()
                .expect("bash runs");
            if to == &whole {
                assert_eq!(said.status.code(), Some(73), "{}", String::from_utf8_lossy(&said.stderr));
            }
            assert_eq!(said.status.success(), to.exists());
            if to.exists() {
                fs::remove_dir_all(to).expect("removed");
            }
            assert_eq!(names_in(&scratch.0), ["node"], "{part} KiB");
        }
    }
}
