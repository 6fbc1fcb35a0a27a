//! The client's own file: everything that a node told it, line by line, in the order in which it came.

use protocol::head::Sth;
use protocol::json::{self, MAX_DEPTH};
use protocol::push::SignedDelivery;
use protocol::{Commit, Event, Json, Receipt};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Something that a client was told.
pub enum Seen {
    /// A receipt, and the commit that it is for.
    Receipt(Commit, Receipt),
    /// An event of the subscription of this name.
    Event(String, Event),
    /// A tree head.
    Head(Sth),
    /// What was posted to an endpoint.
    Delivery(String, SignedDelivery),
}

/// The file. Each line is written when it is heard, at once and as a whole.
pub struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    receipts: Mutex<usize>,
    more: Condvar,
}

impl Journal {
    /// A new file at `path`.
    pub fn create(path: &Path) -> io::Result<Journal> {
        let file = OpenOptions::new().create_new(true).append(true).open(path)?;
        Ok(Journal { path: path.to_owned(), file: Mutex::new(file), receipts: Mutex::new(0), more: Condvar::new() })
    }

    /// Keeps a receipt, as it came.
    pub fn receipt(&self, commit: &Commit, receipt: &str) {
        self.write(&format!("{{\"commit\":{},\"receipt\":{receipt}}}\n", commit.to_json().to_jcs()));
        *self.count() += 1;
        self.more.notify_all();
    }

    /// Keeps an event of a subscription.
    pub fn event(&self, subscription: &str, event: &Json) {
        self.write(&format!("{{\"event\":{},\"subscription\":\"{subscription}\"}}\n", event.to_jcs()));
    }

    /// Keeps a tree head.
    pub fn head(&self, head: &str) {
        self.write(&format!("{{\"head\":{head}}}\n"));
    }

    /// Keeps what was posted to an endpoint.
    pub fn delivery(&self, url: &str, body: &Json) {
        self.write(&format!("{{\"delivery\":{},\"url\":\"{url}\"}}\n", body.to_jcs()));
    }

    /// Receipts that were kept, ever.
    pub fn receipts(&self) -> usize {
        *self.count()
    }

    /// Waits until there are so many, at most so long; whether there are.
    pub fn wait_for(&self, receipts: usize, patience: Duration) -> bool {
        let count = self.more.wait_timeout_while(self.count(), patience, |count| *count < receipts);
        *count.unwrap_or_else(PoisonError::into_inner).0 >= receipts
    }

    /// Has all of it on the client's disk; its length so far.
    pub fn sync(&self) -> io::Result<u64> {
        let file = self.lock();
        file.sync_data()?;
        Ok(file.metadata()?.len())
    }

    /// Forgets what came after a length that [`Journal::sync`] has answered.
    pub fn forget_after(&self, len: u64) -> io::Result<()> {
        self.lock().set_len(len)
    }

    /// All that was kept.
    pub fn read(&self) -> io::Result<Vec<Seen>> {
        let text = std::fs::read(&self.path)?;
        Ok(text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(parse).collect())
    }

    fn write(&self, line: &str) {
        self.lock().write_all(line.as_bytes()).expect("the client's disk is well");
    }

    fn count(&self) -> MutexGuard<'_, usize> {
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(line: &[u8]) -> Seen {
    const HELD: &str = "what is kept was whole when it came";
    let Ok(Json::Object(members)) = json::parse(line, MAX_DEPTH) else { panic!("a line of the journal is an object") };
    let mut members = members.into_iter();
    let mut next = || members.next().expect(HELD);
    // In the order in which the lines are written.
    let (name, first) = next();
    match name.as_str() {
        "commit" => {
            let commit = Commit::from_json(first).expect(HELD);
            Seen::Receipt(commit, Receipt::from_json(next().1).expect(HELD))
        }
        "event" => Seen::Event(text(next().1), Event::from_json(first).expect(HELD)),
        "head" => Seen::Head(Sth::from_json(first).expect(HELD)),
        "delivery" => Seen::Delivery(text(next().1), SignedDelivery::from_json(first).expect(HELD)),
        other => panic!("nothing writes {other}"),
    }
}

fn text(value: Json) -> String {
    match value {
        Json::Text(text) => text,
        other => panic!("{} is a text", other.to_jcs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::{json, key};
    use protocol::EnclaveId;
    use protocol::commit::Draft;

    #[test]
    fn what_was_kept_is_read_again_and_what_came_later_is_forgotten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let journal = Journal::create(&folder.path().join("journal")).expect("a file");
        let author = key(1);
        let commit = Draft::new(EnclaveId([1; 32]), "message", &json(r#"{"a":1}"#), 5).sign(&author).into_commit();
        let head = Sth::sign(&author, EnclaveId([1; 32]), 5, 1, [7; 32]);
        journal.head(&head.to_json().to_jcs());
        let len = journal.sync().expect("synced");
        journal.head(&head.to_json().to_jcs());
        journal.forget_after(len).expect("cut off");
        let position = protocol::event::Position {
            seq: 0,
            type_seq: 0,
            timestamp: 5,
            prev: protocol::event::NO_PREV,
            sequencer: author.public(),
        };
        let event = Event::sequence(commit.clone(), position, &author);
        journal.receipt(&commit, &event.receipt().to_json().to_jcs());
        journal.event("s1", &event.to_json());
        let seen = journal.read().expect("read");
        let [Seen::Head(first), Seen::Receipt(again, receipt), Seen::Event(name, same)] = &seen[..] else {
            panic!("three lines, in their order");
        };
        assert_eq!((first, again, receipt), (&head, &commit, &event.receipt()));
        assert_eq!((name.as_str(), same), ("s1", &event));
        assert_eq!(journal.receipts(), 1);
    }
}
