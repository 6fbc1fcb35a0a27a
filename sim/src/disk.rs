//! A disk that keeps its promises and nothing more: what was synced stays. Of what was written since, a crash leaves any part, in any
//! order, each sector by itself. One disk a thread.

use crate::draw::Draw;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Steps after which the power goes at the next [`sync_data`], before it; after it with one more.
pub const AT_SYNC: u64 = 1 << 32;

/// What SQLite knows as files, by name.
type Files = BTreeMap<String, Stored>;

/// Called where the power goes.
type AtCrash = Box<dyn FnMut()>;

/// The disk has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// One file.
#[derive(Clone, Debug, Default)]
struct Stored {
    /// As processes see it.
    seen: Vec<u8>,
    /// As a crash cannot take it.
    durable: Vec<u8>,
    /// What was done since the last sync.
    unsynced: Vec<Change>,
    /// It was synced once: its name is on the disk.
    named: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

/// The disk of this thread.
pub struct Disk {
    files: Files,
    draw: Draw,
    /// Changes and syncs so far.
    steps: u64,
    /// Steps until the power goes, and what is called then.
    crash: Option<(u64, String, AtCrash)>,
    /// What the crash left of the files whose names begin so. Until it is taken, whoever wrote goes on writing into the void.
    left: Option<(String, Files)>,
    /// Files may not grow.
    full: bool,
}

thread_local! {
    static DISK: RefCell<Disk> = RefCell::new(Disk::new(Draw::new(0)));
}

/// Does something with this thread's disk.
pub fn with<T>(work: impl FnOnce(&mut Disk) -> T) -> T {
    DISK.with_borrow_mut(work)
}

/// An empty disk for this thread.
pub fn format(draw: Draw) {
    with(|disk| *disk = Disk::new(draw));
}

/// Counts a step of the machine whose files begin with `of`; where the power goes, it goes before the step.
///
/// What is called then must not use the disk.
fn step(name: &str) {
    let due = with(|disk| {
        disk.steps += 1;
        match &mut disk.crash {
            Some((left, of, _)) if *left < AT_SYNC && name.starts_with(of.as_str()) => {
                *left = left.saturating_sub(1);
                *left == 0
            }
            Some(_) | None => false,
        }
    });
    if due && let Some((_, of, mut at_crash)) = with(|disk| disk.crash.take()) {
        at_crash();
        with(|disk| disk.left = Some((of.clone(), disk.survivors(&of))));
    }
}

/// Writes bytes at a place.
pub fn write(name: &str, at: usize, bytes: &[u8]) -> Result<(), NoRoom> {
    step(name);
    with(|disk| {
        let full = disk.full;
        let file = disk.files.entry(name.to_owned()).or_default();
        if full && at + bytes.len() > file.seen.len() {
            return Err(NoRoom);
        }
        let change = Change::Write(at, bytes.to_vec());
        change.apply(&mut file.seen);
        file.unsynced.push(change);
        Ok(())
    })
}

/// Cuts a file.
pub fn truncate(name: &str, len: usize) {
    step(name);
    with(|disk| {
        let file = disk.files.entry(name.to_owned()).or_default();
        let change = Change::Truncate(len);
        change.apply(&mut file.seen);
        file.unsynced.push(change);
    });
}

/// Makes a file durable as it is. The power may go before it or after it.
pub fn sync(name: &str) {
    step(name);
    with(|disk| {
        let file = disk.files.entry(name.to_owned()).or_default();
        for change in file.unsynced.drain(..) {
            change.apply(&mut file.durable);
        }
        file.named = true;
    });
    step(name);
}

/// Makes the content of a file durable, as `fdatasync` does: whether its name is there is not for it to say.
pub fn sync_data(name: &str) {
    let named = with(|disk| {
        if let Some((left, ..)) = &mut disk.crash
            && *left >= AT_SYNC
        {
            *left -= AT_SYNC - 1;
        }
        disk.files.get(name).is_some_and(|file| file.named)
    });
    sync(name);
    with(|disk| disk.files.entry(name.to_owned()).or_default().named = named);
}

/// Removes a file, durably: SQLite removes only what it could do without.
pub fn delete(name: &str) -> bool {
    step(name);
    with(|disk| disk.files.remove(name).is_some())
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write(at, bytes) => {
                let end = at + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*at..end].copy_from_slice(bytes);
            }
            Change::Truncate(len) => to.truncate(*len),
        }
    }

    /// The parts that reach the disk each by itself.
    fn sectors(self) -> Vec<Change> {
        match self {
            Change::Truncate(_) => vec![self],
            Change::Write(mut at, bytes) => {
                let mut rest = &bytes[..];
                let mut parts = Vec::new();
                while !rest.is_empty() {
                    let (part, more) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
                    parts.push(Change::Write(at, part.to_vec()));
                    (at, rest) = (at + part.len(), more);
                }
                parts
            }
        }
    }
}

impl Disk {
    fn new(draw: Draw) -> Disk {
        Disk { files: Files::new(), draw, steps: 0, crash: None, left: None, full: false }
    }

    /// Lets the power go at the `after`th step from here of the machine whose files begin with `of`.
    pub fn crash_after(&mut self, after: u64, of: &str, at_crash: impl FnMut() + 'static) {
        self.crash = Some((after, of.to_owned(), Box::new(at_crash)));
    }

    /// Lets the power go now, unless it has gone already.
    pub fn crash_now(&mut self, of: &str) {
        self.crash = None;
        if self.left.is_none() {
            self.left = Some((of.to_owned(), self.survivors(of)));
        }
    }

    /// Whether the power has gone.
    pub fn is_crashed(&self) -> bool {
        self.left.is_some()
    }

    /// The power stays after all.
    pub fn disarm(&mut self) {
        self.crash = None;
    }

    /// What the crash left is what is there; nobody may have a file open.
    pub fn come_back(&mut self) {
        if let Some((of, left)) = self.left.take() {
            self.files.retain(|name, _| !name.starts_with(&of));
            self.files.extend(left);
        }
    }

    /// Whether files may grow.
    pub fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// Whether there is such a file.
    pub fn exists(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Bytes of a file.
    pub fn len(&self, name: &str) -> usize {
        self.files.get(name).map_or(0, |file| file.seen.len())
    }

    /// Reads at a place; answers how many bytes there were.
    pub fn read(&self, name: &str, at: usize, into: &mut [u8]) -> usize {
        let seen = self.files.get(name).map_or(&[][..], |file| &file.seen[..]);
        let found = seen.get(at..).unwrap_or_default();
        let len = found.len().min(into.len());
        into[..len].copy_from_slice(&found[..len]);
        len
    }

    /// Makes an empty file where there is none.
    pub fn create(&mut self, name: &str) {
        self.files.entry(name.to_owned()).or_default();
    }

    /// Bytes that nobody can guess, as far as SQLite is concerned.
    pub fn random(&mut self) -> u64 {
        self.draw.number()
    }

    /// Changes and syncs so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    fn survivors(&mut self, of: &str) -> Files {
        let mut left = Files::new();
        for (name, file) in self.files.iter().filter(|(name, _)| name.starts_with(of)) {
            if !file.named && self.draw.percent(50) {
                continue;
            }
            let mut durable = file.durable.clone();
            let mut parts: Vec<Change> = file.unsynced.iter().cloned().flat_map(Change::sectors).collect();
            // From nothing to nearly everything, so that a crash is sometimes nearly none.
            let kept = [0, 10, 50, 90, 100][self.draw.below(5)];
            if self.draw.percent(70) {
                for place in (1..parts.len()).rev() {
                    parts.swap(place, self.draw.below(place + 1));
                }
            }
            for part in parts {
                if self.draw.percent(kept) {
                    part.apply(&mut durable);
                }
            }
            left.insert(name.clone(), Stored { seen: durable.clone(), durable, unsynced: Vec::new(), named: true });
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(name: &str) -> Vec<u8> {
        let mut bytes = vec![0; with(|disk| disk.len(name))];
        with(|disk| disk.read(name, 0, &mut bytes));
        bytes
    }

    /// For many crashes: what was synced is there, and each sector that was not is as before or as after.
    #[test]
    fn what_was_synced_stays() {
        let (mut lost, mut kept, mut mixed) = (0, 0, 0);
        for seed in 0..200 {
            format(Draw::new(seed));
            write("a-db", 0, &[1; 4 * SECTOR]).expect("room");
            sync("a-db");
            write("a-db", 0, &[2; 4 * SECTOR]).expect("room");
            write("b-db", 0, &[3; SECTOR]).expect("room");
            with(|disk| disk.crash_now("a-"));
            write("a-db", 0, &[4; 4 * SECTOR]).expect("room");
            with(Disk::come_back);
            let found = content("a-db");
            assert!(found.chunks(SECTOR).all(|sector| sector == [1; SECTOR] || sector == [2; SECTOR]), "{found:?}");
            match found.chunks(SECTOR).filter(|sector| sector[0] == 2).count() {
                0 => lost += 1,
                4 => kept += 1,
                _ => mixed += 1,
            }
            assert_eq!(content("b-db"), [3; SECTOR], "another machine has its power");
        }
        assert!(lost > 10 && kept > 10 && mixed > 10, "{lost} {kept} {mixed}");
    }

    #[test]
    fn the_power_goes_before_the_step() {
        format(Draw::new(1));
        let told = std::rc::Rc::new(std::cell::Cell::new(false));
        let heard = std::rc::Rc::clone(&told);
        write("db", 0, &[1; SECTOR]).expect("room");
        with(|disk| disk.crash_after(1, "", move || heard.set(true)));
        sync("db");
        assert!(told.get() && with(|disk| disk.is_crashed()));
        format(Draw::new(1));
        write("db", 0, &[1; SECTOR]).expect("room");
        with(|disk| disk.crash_after(2, "", || {}));
        sync("db");
        with(Disk::come_back);
        assert_eq!(content("db"), [1; SECTOR], "the sync had been done");
    }

    /// The power goes at the sync of a log, however many steps come first: before it, or after it.
    #[test]
    fn the_power_goes_at_a_sync() {
        for (after, kept) in [(AT_SYNC, 0), (AT_SYNC + 1, 1)] {
            format(Draw::new(0));
            write("log", 0, &[0; SECTOR]).expect("room");
            sync("log");
            with(|disk| disk.crash_after(after, "", || {}));
            for _ in 0..50 {
                write("log", 0, &[1; SECTOR]).expect("room");
            }
            assert!(!with(|disk| disk.is_crashed()));
            sync_data("log");
            assert!(with(|disk| disk.is_crashed()));
            with(Disk::come_back);
            assert!(kept == 0 || content("log")[0] == 1, "the sync had been done");
        }
    }

    #[test]
    fn a_full_disk_lets_nothing_grow() {
        format(Draw::new(1));
        write("db", 0, &[1; SECTOR]).expect("room");
        with(|disk| disk.set_full(true));
        assert_eq!(write("db", 1, &[2; SECTOR]), Err(NoRoom));
        write("db", 0, &[3; SECTOR]).expect("it is there already");
        assert_eq!(content("db"), [3; SECTOR]);
    }
}
