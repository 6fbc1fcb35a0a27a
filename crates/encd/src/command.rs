//! The operator's commands beside serving: what they take, and what they say.

use crate::backup::{self, Copied, Target};
use crate::check::{self, Step};
use crate::clock::Clock;
use crate::config::Config;
use crate::doctor::{self, Health};
use crate::elsewhere::Elsewhere;
use crate::folder::Folder;
use crate::garbage;
use crate::interrupt::Interrupt;
use crate::restore::{self, Source};
use crate::resume::{self, Decided, Which};
use crate::stop::{Exit, StartError};
use clap::{Args, Subcommand};
use protocol::{EnclaveId, Json};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// What `encd` does instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Copy the data folder to a place where nothing is; the node may go on working
    Backup(Backup),
    /// Put a backup where nothing is
    Restore(Restore),
    /// Check the whole store: every event, hash, root, tile and index
    Check(Check),
    /// Make a stopped node's folder as small as what it holds
    Gc(Gc),
    /// Look at the folder, its keys, the disk and the clock
    Doctor(Doctor),
    /// Go on from an older copy, because the newest is lost
    ResumeAfterLoss(ResumeAfterLoss),
}

/// Which folder, and how to answer.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// The data folder [default: as for serving]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The node's configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One JSON text instead of words
    #[arg(long)]
    json: bool,
}

/// `encd backup`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The databases are read beside the running node, each as of one moment; the node neither stops nor waits. What was acknowledged
before the command began is in the backup. Keys are copied too: who has the backup can sign in the node's name, so keep it like
keys (it is made for this user only), or leave them out and keep keys/ elsewhere.

A name that ends in .tar makes one file: a tar archive of the same files. `-` writes that archive to standard output. Any other name makes
a folder. Nothing is written over, and what could not be finished is removed. An archive is written as it is read; only one database at a
time is copied beside it first (for `-` below $TMPDIR).

Examples:
  encd backup /backup/monday --data /var/lib/encd
  encd backup /backup/monday.tar --data /var/lib/encd
  encd backup - --data /var/lib/encd | zstd | ssh elsewhere 'cat > monday.tar.zst'
  encd check --data /backup/monday.tar       is it whole?")]
pub struct Backup {
    /// Where to: a folder, a file whose name ends in .tar, or - for standard output
    #[arg(value_name = "DIR|FILE")]
    to: PathBuf,
    /// Leave the private keys out
    #[arg(long)]
    without_keys: bool,
    #[command(flatten)]
    place: Place,
}

/// `encd restore`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A backup is an older copy: people may hold receipts for events that came after it. So a node that is started on it serves and proves,
and answers `rolled_back` to whatever writes, until you decide: see `encd resume-after-loss --help`. If the newest folder still exists,
use that one instead.

Each file is held against the backup's list, and nothing is in place before all of them are as they were backed up.

Examples:
  encd restore /backup/monday --data /var/lib/encd
  encd restore /backup/monday.tar --data /var/lib/encd
  zstd -d < monday.tar.zst | encd restore - --data /var/lib/encd")]
pub struct Restore {
    /// What `encd backup` wrote, folder or file; - for an archive on standard input; or a copy of a stopped node's folder
    #[arg(value_name = "DIR|FILE")]
    from: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// `encd check`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Replays every log by the rules, with every signature, and compares it with each row that is stored: events, tags, bundles, nodes of the
log, pages of the state, tree heads and checkpoints. It reads beside a running node, and it reads backups: folders, and files, which it
unpacks below $TMPDIR for the time. It changes nothing.

Exit code 65 if something does not hold.")]
pub struct Check {
    #[command(flatten)]
    place: Place,
}

/// `encd gc`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Removes what no answer needs: pages of states that are gone, free pages of the databases, files that a crash has left half made. No event
goes. The node must not run, and the disk needs room for the largest database once more.")]
pub struct Gc {
    /// Also remove the copies that were made before upgrades
    #[arg(long)]
    copies: bool,
    #[command(flatten)]
    place: Place,
}

/// `encd doctor`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Reads no logs, so it is quick: `encd check` does. Exit code 65 if something is ill.")]
pub struct Doctor {
    #[command(flatten)]
    place: Place,
}

/// `encd resume-after-loss`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
For a node whose newest folder is lost, after an older copy was put back: while the node does not run, makes logs live again that are sequenced by its own
keys. Each gets a Recovered event, so that its readers see it. Events after the copy are lost. Whoever holds a receipt for one
holds, with the event that takes its place, evidence of two histories. So ask everybody for a newer copy first.

The witnesses that the configuration shows a log to are asked first (say --config), and each --mirror. If one has seen a larger tree, or does not answer,
the log stays as it is.

With one enclave named, the others of its database become read-only by themselves, and can be decided on later.

Exit code 77 if the log cannot go on here.

Example: encd resume-after-loss --all --data /var/lib/encd")]
pub struct ResumeAfterLoss {
    /// The enclave's id
    #[arg(value_name = "ENCLAVE", value_parser = parse_enclave, required_unless_present = "all", conflicts_with = "all")]
    enclave: Option<EnclaveId>,
    /// Every log that the folder holds and that can go on
    #[arg(long)]
    all: bool,
    /// A node that may serve a copy, by its URL; may be given several times
    #[arg(long, value_name = "URL", conflicts_with = "without_asking")]
    mirror: Vec<String>,
    /// Ask no witness: those that are configured are gone for good
    #[arg(long)]
    without_asking: bool,
    #[command(flatten)]
    place: Place,
}

fn parse_enclave(text: &str) -> Result<EnclaveId, &'static str> {
    EnclaveId::parse(text).map_err(|_| "an enclave's id has 64 hex digits in lower case")
}

/// Does what was asked, and says so.
pub fn run(command: &Command) -> Result<(), StartError> {
    match command {
        Command::Backup(backup) => back_up(backup),
        Command::Restore(restore) => put_back(restore),
        Command::Check(check) => check_store(check),
        Command::Gc(gc) => sweep(gc),
        Command::Doctor(doctor) => examine(doctor),
        Command::ResumeAfterLoss(resume) => go_on(resume),
    }
}

fn back_up(backup: &Backup) -> Result<(), StartError> {
    let config = backup.place.configure()?;
    let folder = Folder::locate(&config)?;
    let target = Target::of(&backup.to);
    if target == Target::Output && io::stdout().is_terminal() {
        return Err(StartError::new(Exit::Occupied, "a terminal is no place for an archive: send it on with | or >"));
    }
    let interrupt = Interrupt::listen()?;
    let progress = Progress::begin();
    let mut at = |done, all| progress.at(format_args!("database {done} of {all}"));
    let keeps = (&config.store, !backup.without_keys);
    let copied = backup::back_up(&folder, &target, keeps, (&interrupt, &mut at));
    progress.end();
    let copied = interrupt.judge(copied)?;
    let keys = match copied.keys {
        0 => "without keys: keep keys/ elsewhere, nobody goes on without them".into(),
        keys => format!("with {keys} key files: whoever has it can sign in the node's name"),
    };
    let text = format!("{}: {} databases, {} bytes, {keys}", backup.to.display(), copied.shards, copied.bytes);
    if target == Target::Output {
        // The archive stands where the words would.
        eprintln!("{text}");
        return Ok(());
    }
    backup.place.say(&text, copied_json(&copied))
}

fn put_back(restore: &Restore) -> Result<(), StartError> {
    let config = restore.place.configure()?;
    let to = Folder::place(&config);
    let interrupt = Interrupt::listen()?;
    let copied = restore::put_back(&Source::of(&restore.from), &to, &config.store, &interrupt);
    let copied = interrupt.judge(copied)?;
    let keys = match copied.keys {
        0 => "\nIt has no keys: put keys/ there before a node starts, or a start makes others and no log goes on.",
        _ => "",
    };
    let text = format!(
        "{}: {} databases, {} bytes, served and not written to until you decide (encd resume-after-loss){keys}",
        to.display(),
        copied.shards,
        copied.bytes
    );
    restore.place.say(&text, copied_json(&copied))
}

fn copied_json(copied: &Copied) -> Vec<(&'static str, Json)> {
    vec![
        ("bytes", Json::from(copied.bytes)),
        ("keys", Json::from(copied.keys as u64)),
        ("ok", Json::Bool(true)),
        ("shards", Json::from(copied.shards as u64)),
    ]
}

fn check_store(check: &Check) -> Result<(), StartError> {
    let config = check.place.configure()?;
    let interrupt = Interrupt::listen()?;
    let place = Folder::place(&config);
    let source = Source::of(&place);
    let checked = match &source {
        Source::File(_) => restore::lay_out(&source, &std::env::temp_dir().join("encd-check"), &interrupt)
            .and_then(|laid_out| replay(laid_out.path(), &config, &interrupt)),
        Source::Folder(_) | Source::Input => {
            Folder::locate(&config).and_then(|folder| replay(&folder, &config, &interrupt))
        }
    };
    say_checked(check, &place, &interrupt.judge(checked)?)
}

fn replay(folder: &Path, config: &Config, interrupt: &Interrupt) -> Result<check::Report, StartError> {
    let progress = Progress::begin();
    let mut at = |step: Step| {
        progress.at(format_args!("database {} of {}, {} events", step.shard + 1, step.shards, step.events));
    };
    let report = check::run(folder, config, interrupt, &mut at);
    progress.end();
    report
}

fn say_checked(check: &Check, place: &Path, report: &check::Report) -> Result<(), StartError> {
    let mut text = format!(
        "{}: {} databases, {} enclaves ({} live), {} events in {} bundles replayed",
        place.display(),
        report.shards,
        report.enclaves,
        report.live,
        report.events,
        report.bundles
    );
    for shard in &report.rolled_back {
        text += &format!("\ndatabase {shard} is an older copy and not written to (encd resume-after-loss)");
    }
    let named = |found: &check::Found| found.enclave.map_or("the file".into(), |enclave| enclave.hex());
    for found in &report.faults {
        text += &format!("\ndatabase {}, {}: {}", found.shard, named(found), found.what);
    }
    text += if report.holds() { "\nholds" } else { "\ndoes not hold" };
    let faults = report.faults.iter().map(|found| {
        let enclave = found.enclave.map(|enclave| ("enclave", Json::from(enclave.hex())));
        let members = [("shard", Json::from(found.shard as u64)), ("what", Json::from(found.what.as_str()))];
        Json::object(members.into_iter().chain(enclave))
    });
    let rolled_back = report.rolled_back.iter().map(|shard| Json::from(*shard as u64)).collect();
    let members = vec![
        ("bundles", Json::from(report.bundles)),
        ("enclaves", Json::from(report.enclaves)),
        ("events", Json::from(report.events)),
        ("faults", Json::Array(faults.collect())),
        ("live", Json::from(report.live)),
        ("ok", Json::Bool(report.holds())),
        ("rolled_back", Json::Array(rolled_back)),
        ("shards", Json::from(report.shards as u64)),
    ];
    check.place.say(&text, members)?;
    match report.holds() {
        true => Ok(()),
        false => Err(StartError::new(Exit::Damaged, "the store does not hold: put a backup back that does")),
    }
}

fn sweep(gc: &Gc) -> Result<(), StartError> {
    let config = gc.place.configure()?;
    let progress = Progress::begin();
    let mut at = |done, all| progress.at(format_args!("database {done} of {all}"));
    let swept = garbage::run(&config, gc.copies, &mut at);
    progress.end();
    let swept = swept?;
    let text = format!(
        "{} bytes before, {} after; {} rows, {} files, {} copies removed",
        swept.bytes_before, swept.bytes_after, swept.rows, swept.files, swept.copies
    );
    let members = vec![
        ("bytes_after", Json::from(swept.bytes_after)),
        ("bytes_before", Json::from(swept.bytes_before)),
        ("copies", Json::from(swept.copies as u64)),
        ("files", Json::from(swept.files as u64)),
        ("ok", Json::Bool(true)),
        ("rows", Json::from(swept.rows)),
    ];
    gc.place.say(&text, members)
}

fn examine(doctor: &Doctor) -> Result<(), StartError> {
    let config = doctor.place.configure()?;
    let folder = Folder::locate(&config)?;
    let findings = doctor::run(&folder, &config)?;
    let word = |health| match health {
        Health::Well => "well",
        Health::Watch => "watch",
        Health::Ill => "ill",
    };
    let line = |finding: &doctor::Finding| format!("{:<6} {:<9} {}", word(finding.health), finding.name, finding.words);
    let text = findings.iter().map(line).collect::<Vec<_>>().join("\n");
    let well = findings.iter().all(|finding| finding.health != Health::Ill);
    let rows = findings.iter().map(|finding| {
        Json::object([
            ("health", Json::from(word(finding.health))),
            ("name", Json::from(finding.name)),
            ("words", Json::from(finding.words.as_str())),
        ])
    });
    doctor.place.say(&text, vec![("findings", Json::Array(rows.collect())), ("ok", Json::Bool(well))])?;
    match well {
        true => Ok(()),
        false => Err(StartError::new(Exit::Damaged, "something is ill; its line says what to do")),
    }
}

fn go_on(resume: &ResumeAfterLoss) -> Result<(), StartError> {
    let config = resume.place.configure()?;
    let which = resume.enclave.map_or(Which::All, Which::One);
    let elsewhere = match resume.without_asking {
        true => None,
        false => Some(Elsewhere::new(&config, resume.mirror.clone())?),
    };
    let decided = resume::run(&config, which, elsewhere.as_ref(), Clock::system())?;
    let line = |(enclave, decided): &(EnclaveId, Decided)| match decided {
        Decided::Resumed(seq) => format!("{enclave} is live again; Recovered is event {seq}"),
        Decided::Stays(why) => format!("{enclave} stays read-only: {why}"),
    };
    let text = decided.iter().map(line).collect::<Vec<_>>().join("\n");
    let row = |(enclave, decided): &(EnclaveId, Decided)| {
        let said = match decided {
            Decided::Resumed(seq) => ("seq", Json::from(*seq)),
            Decided::Stays(why) => ("stays", Json::from(why.as_str())),
        };
        Json::object([("enclave", Json::from(enclave.hex())), said])
    };
    let rows = decided.iter().map(row).collect();
    resume.place.say(&text, vec![("enclaves", Json::Array(rows)), ("ok", Json::Bool(true))])
}

impl Place {
    fn configure(&self) -> Result<Config, StartError> {
        let config = match &self.config {
            Some(path) => Config::read(path),
            None => Ok(Config::default()),
        };
        let mut config = config.map_err(|error| StartError::new(Exit::Config, format!("{error:#}")))?;
        config.data = self.data.clone().or(config.data);
        config.memory = false;
        Ok(config)
    }

    fn say(&self, text: &str, members: Vec<(&'static str, Json)>) -> Result<(), StartError> {
        let line = if self.json { Json::object(members).to_jcs() } else { text.to_owned() };
        let mut out = io::stdout().lock();
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(StartError::new(Exit::Occupied, format!("standard output cannot be written ({error})")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// How far a long work has come, on a terminal only.
struct Progress {
    shown: bool,
}

impl Progress {
    fn begin() -> Progress {
        Progress { shown: io::stderr().is_terminal() }
    }

    fn at(&self, what: std::fmt::Arguments<'_>) {
        if self.shown {
            eprint!("\r\x1b[K{what} ");
        }
    }

    fn end(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
