//! `cargo run -p conformance --bin crash -- --rounds 200`: see `conformance/README.md`, Crash rounds.

use clap::{Parser, ValueEnum};
use conformance::crash::load::CONNECTIONS;
use conformance::crash::place::Kind;
use conformance::crash::rounds::{Dice, Fault, Plan, Round, Rounds};
use conformance::crash::survivor::Checked;
use conformance::encd::binary;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Ends a node at random moments under load, and looks for everything that its clients were told.
#[derive(Parser)]
struct Flags {
    /// How many rounds; kill -9 and power cuts take turns.
    #[arg(long, default_value_t = 200)]
    rounds: u64,
    /// Where the random moments come from. A round's own seed is printed where it fails.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only rounds of this kind.
    #[arg(long)]
    only: Option<Only>,
    /// Receipts on the client's disk before a node is ended.
    #[arg(long, default_value_t = 1000)]
    receipts: u64,
    /// The node's binary; without it, `encd` beside this program.
    #[arg(long)]
    encd: Option<PathBuf>,
    /// Where data folders and disks are made; without it, the system's folder for temporary files.
    #[arg(long)]
    folder: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Only {
    Kill,
    Power,
}

/// The rounds of one kind.
#[derive(Default)]
struct Sum {
    rounds: u64,
    receipts: u64,
    checked: Checked,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let plan = Plan {
        binary: flags.encd.clone().unwrap_or_else(|| binary("encd")),
        parent: flags.folder.clone().unwrap_or_else(std::env::temp_dir),
        receipts: flags.receipts,
    };
    let began = Instant::now();
    let (mut rounds, mut seeds) = (Rounds::of(&plan), Dice(flags.seed));
    let (mut killed, mut cut) = (Sum::default(), Sum::default());
    println!("{} rounds, {CONNECTIONS} connections that write, seed {}", flags.rounds, flags.seed);
    for number in 1..=flags.rounds {
        let kind = match flags.only {
            Some(Only::Kill) => Kind::Kill,
            Some(Only::Power) => Kind::Power,
            None if number % 2 == 1 => Kind::Kill,
            None => Kind::Power,
        };
        let seed = seeds.roll(u64::MAX);
        match rounds.run(kind, seed) {
            Ok(round) => {
                println!("{number:>4}  {}", line(&round));
                match kind {
                    Kind::Kill => killed.add(&round),
                    Kind::Power => cut.add(&round),
                }
            }
            Err(fault) => {
                println!("{number:>4}  {kind}  FAILED, seed of the round {seed}: {fault}");
                table(&killed, &cut);
                return ExitCode::from(match fault {
                    Fault::Promise(_) => 1,
                    Fault::Machine(_) => 2,
                });
            }
        }
    }
    table(&killed, &cut);
    println!("nothing lost in {} rounds, {} s", flags.rounds, began.elapsed().as_secs());
    ExitCode::SUCCESS
}

impl Sum {
    fn add(&mut self, round: &Round) {
        self.rounds += 1;
        self.receipts += round.receipts;
        self.checked = self.checked.plus(round.checked);
    }
}

fn line(round: &Round) -> String {
    let Checked { receipts, events, pushed, heads, log } = round.checked;
    format!(
        "{:<5}  {:>5} receipts in {:.1} s; found {receipts} receipts, {events} events, {pushed} pushed, {heads} heads in {log} events, {:.1} s",
        round.kind.to_string(),
        round.receipts,
        round.loaded.as_secs_f32(),
        round.judged.as_secs_f32()
    )
}

/// What was checked is counted after each round, so what a folder's first round has heard counts in each of its rounds.
fn table(killed: &Sum, cut: &Sum) {
    println!(
        "\n| end | rounds | receipts given | receipts checked | events of subscriptions | pushed | tree heads | events replayed |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (kind, sum) in [(Kind::Kill, killed), (Kind::Power, cut)] {
        let Checked { receipts, events, pushed, heads, log } = sum.checked;
        println!("| {kind} | {} | {} | {receipts} | {events} | {pushed} | {heads} | {log} |", sum.rounds, sum.receipts);
    }
}
