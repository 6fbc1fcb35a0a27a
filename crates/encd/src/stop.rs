//! Why the process ends, as exit codes that a supervisor can tell apart (those of `sysexits.h`).

use std::fmt;
use tokio::sync::watch;

/// A reason to end, with the code that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What is stored, or a backup of it, does not hold.
    Damaged = 65,
    /// There is no store, or no backup, where one was named.
    NoInput = 66,
    /// An address to listen on is not to be had.
    Unavailable = 69,
    /// What was to be made is there already, or cannot be made.
    Occupied = 73,
    /// The store failed a durable write.
    Storage = 74,
    /// Another process holds the data folder.
    Held = 75,
    /// The store was written by a newer program.
    Newer = 76,
    /// What was asked for is against the rules of the log, or somebody knows more of it.
    Refused = 77,
    /// The configuration or the data folder is unusable.
    Config = 78,
    /// Told to stop before it was done; nothing that it had half made is left.
    Interrupted = 130,
}

/// A failure at start, with a line that says how to mend it.
#[derive(Debug)]
pub struct StartError {
    /// The exit code.
    pub exit: Exit,
    /// What is wrong and what to do, for a person.
    pub line: String,
}

impl StartError {
    /// A failure of this kind.
    pub fn new(exit: Exit, line: impl Into<String>) -> StartError {
        StartError { exit, line: line.into() }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl std::error::Error for StartError {}

/// Where a part of the node hears that it is to stop.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

/// Where the node is told to stop.
#[derive(Debug)]
pub struct Stop(watch::Sender<bool>);

impl Stopping {
    /// Both ends.
    pub fn channel() -> (Stop, Stopping) {
        let (stop, stopping) = watch::channel(false);
        (Stop(stop), Stopping(stopping))
    }

    /// Whether the node stops.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it does.
    pub async fn asked(&mut self) {
        // Without anybody left who could ask, it has stopped.
        let asked = self.0.wait_for(|stop| *stop).await.is_ok();
        tracing::trace!(asked, "a part of the node stops");
    }
}

impl Stop {
    /// Asks every part to stop.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }
}

/// Ends the process at once: a durable write failed, so nobody knows what is on the disk, and only a fresh start reads it.
/// Answers that wait for the write are never sent.
pub fn storage_failed(shard: usize, error: &dyn fmt::Display) -> ! {
    tracing::error!(shard, %error, "a durable write failed; stopping, start again once the disk is well");
    std::process::exit(Exit::Storage as i32)
}

/// The same for a file beside the shards, of which what was signed must never run ahead.
pub fn file_failed(file: &'static str, error: &dyn fmt::Display) -> ! {
    tracing::error!(file, %error, "a durable write failed; stopping, start again once the disk is well");
    std::process::exit(Exit::Storage as i32)
}
