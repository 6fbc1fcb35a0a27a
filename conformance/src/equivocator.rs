//! The node that lies, as a process (`src/bin/equivocator.rs`).

use crate::encd::{binary, gather};
use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

/// An equivocator that runs. It ends with this value.
pub struct Equivocator {
    child: Child,
    /// `http://127.0.0.1:…` of each history.
    pub urls: Vec<String>,
    log: Arc<Mutex<String>>,
    _ended: Receiver<Infallible>,
}

/// What it is to do.
#[derive(Clone, Copy, Debug)]
pub struct Lie<'a> {
    /// The data folder of an honest node that does not run.
    pub data: &'a Path,
    /// A folder for its copies.
    pub copies: &'a Path,
    /// How many histories.
    pub histories: usize,
    /// A configuration file.
    pub config: Option<&'a Path>,
    /// How far its clocks are ahead, milliseconds.
    pub ahead_ms: u64,
}

impl<'a> Lie<'a> {
    /// As many histories of this data, by a right clock.
    pub fn of(data: &'a Path, copies: &'a Path, histories: usize) -> Lie<'a> {
        Lie { data, copies, histories, config: None, ahead_ms: 0 }
    }
}

impl Equivocator {
    /// Starts it.
    ///
    /// # Panics
    /// Where it does not start, with what it said.
    pub fn start(lie: &Lie<'_>) -> Equivocator {
        let mut command = Command::new(binary("equivocator"));
        command.arg("--data").arg(lie.data).arg("--copies").arg(lie.copies);
        command.arg("--ahead-ms").arg(lie.ahead_ms.to_string());
        for _ in 0..lie.histories {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if let Some(config) = lie.config {
            command.arg("--config").arg(config);
        }
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("the binary runs here");
        let (log, ended) = gather(child.stderr.take().expect("its standard error is a pipe"));
        let lines = BufReader::new(child.stdout.take().expect("its standard output is a pipe")).lines();
        let lines = lines.map_while(Result::ok).take(lie.histories);
        let urls: Vec<String> = lines.filter_map(|line| Some(line.strip_prefix("history ")?.to_owned())).collect();
        let liar = Equivocator { child, urls, log, _ended: ended };
        assert_eq!(liar.urls.len(), lie.histories, "{}", liar.said());
        liar
    }

    /// What it has logged so far.
    pub fn said(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Equivocator {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("the equivocator did not end: {error}");
        }
    }
}
