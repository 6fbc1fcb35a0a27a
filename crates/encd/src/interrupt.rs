//! Ctrl-C while one of the operator's commands works: it ends by itself, so that what it has half made is removed.

use crate::stop::{Exit, StartError};
use rusqlite::Connection;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// Steps of SQLite's machine between two looks at whether to go on: some ten thousand a millisecond.
const STEPS: i32 = 50_000;

/// Whether somebody has asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Hears SIGINT and SIGTERM from now on. The second one ends the process at once.
    ///
    /// # Errors
    /// Signals cannot be heard.
    pub fn listen() -> Result<Interrupt, StartError> {
        let unheard = |error: io::Error| StartError::new(Exit::Config, format!("signals cannot be heard ({error})"));
        let interrupt = Interrupt::default();
        let asked = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(unheard)?;
        let entered = runtime.enter();
        let mut signals =
            (signal(SignalKind::interrupt()).map_err(unheard)?, signal(SignalKind::terminate()).map_err(unheard)?);
        drop(entered);
        let listen = async move {
            loop {
                tokio::select! {
                    _ = signals.0.recv() => {}
                    _ = signals.1.recv() => {}
                }
                if asked.0.swap(true, Ordering::Relaxed) {
                    std::process::exit(Exit::Interrupted as i32);
                }
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(listen)).map_err(unheard)?;
        Ok(interrupt)
    }

    /// Whether to stop.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error once it is asked to stop.
    pub fn check(&self) -> io::Result<()> {
        // Not the kind of that name: a copy that meets that tries again.
        if self.is_asked() { Err(io::Error::other("told to stop")) } else { Ok(()) }
    }

    /// Makes the statements of a connection end with an error once it is asked to stop.
    pub fn watch(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let asked = self.clone();
        connection.progress_handler(STEPS, Some(move || asked.is_asked()))
    }

    /// What is read from there, until it is asked to stop.
    pub fn reading<R: Read>(&self, inner: R) -> impl Read {
        Reading { interrupt: self.clone(), inner }
    }

    /// What came of a work, with the reason why it ended if it was this.
    pub fn judge<T>(&self, done: Result<T, StartError>) -> Result<T, StartError> {
        match done {
            Err(_) if self.is_asked() => {
                Err(StartError::new(Exit::Interrupted, "stopped as asked; nothing is left of what was begun"))
            }
            done => done,
        }
    }
}

struct Reading<R> {
    interrupt: Interrupt,
    inner: R,
}

impl<R: Read> Read for Reading<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt.check()?;
        self.inner.read(buffer)
    }
}
