//! `sim`: runs worlds, and prints the seed of each in which something breaks.

use clap::Parser;
#[cfg(feature = "defects")]
use service::defects::Defect;
use sim::run::{STEPS, run};
use std::process::ExitCode;

/// Runs simulated worlds.
#[derive(Parser)]
struct Options {
    /// How many seeds, from 0 on or from --seed; 100, or that one.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Steps of each world.
    #[arg(long, default_value_t = STEPS)]
    steps: usize,
    /// Prints what happens.
    #[arg(long)]
    trace: bool,
    /// Switches on a defect of DEFECTS.md, in a build with --features defects.
    #[cfg(feature = "defects")]
    #[arg(long)]
    defect: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if !options.trace {
        // What panics is told with its seed.
        std::panic::set_hook(Box::new(|_| {}));
    }
    #[cfg(feature = "defects")]
    if let Some(name) = &options.defect {
        let Some(defect) = Defect::ALL.into_iter().find(|defect| defect.name() == name) else {
            eprintln!("there is no defect {name}; DEFECTS.md has them");
            return ExitCode::FAILURE;
        };
        service::defects::switch(Some(defect));
    }
    let first = options.seed.unwrap_or(0);
    let count = options.seeds.unwrap_or(if options.seed.is_some() { 1 } else { 100 });
    let (mut events, mut crashes, mut red) = (0, 0, 0);
    for seed in first..first + count {
        let ran = run(seed, options.steps, options.trace);
        ran.story.iter().for_each(|line| println!("{line}"));
        match ran.result {
            Ok(seen) => {
                events += seen.events;
                crashes += seen.crashes;
            }
            Err(broken) => {
                red += 1;
                println!(
                    "seed {seed}: {broken}\n  replay: cargo run -p sim -- --seed {seed} --steps {} --trace",
                    options.steps
                );
            }
        }
    }
    println!("{count} seeds, {events} events accepted, {crashes} crashes, {red} red");
    if red == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
