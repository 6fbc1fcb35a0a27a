//! Automation: `cargo xtask test` is the one command that checks everything; the others are its steps.

mod dist;
mod fuzz;
mod licences;
mod mutants;
mod package;
mod readme;
mod soak;
mod steps;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  test       everything below but bench, as CI runs it; installs what it needs and says what is missing
  tidy       the rules of the house that a machine can check: file and function length, crate arrows, names, leftovers
  licences   the licences and sources of every dependency
  nostd      the pure crates on aarch64-unknown-none and wasm32-unknown-unknown
  vectors    the golden vectors, made again by plain Python and compared
  workers    the WebAssembly module and the Worker around it, into workers/build
  mutants    a quarter of the kernel's named mutants, `all` of them, or one by NAME: its tests must catch each
  fuzz       every fuzz target, or those that are named, for `--seconds` 4 each or `--minutes` N in all, `--jobs` 2 at once;
             see fuzz/README.md
  sanitize   Miri over the unsafe code of the WebAssembly module
  readme     every shell block of README.md and docs/, or of the files that are named, run against a node of its own
  soak       what is too long for every change: crash, faults, mutants, sim, fuzz, c2sp, bench, dist, or those that are named;
             `--minutes N` for as long, `--small` as little as can be; see conformance/RESULTS-soak.md
  dist       static programs for handing out, with manual and completions, into target/package (Debian: musl-tools);
             `--twice` builds again in another folder with another home, and compares the bytes
  deb        the Debian package of what dist has made
  package-test  that package in a chroot, the image without an engine, the alert rules (root; buildah, promtool)
  help       this text
";

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    let result = match command.as_str() {
        "test" => steps::test(),
        "tidy" => tidy::check().map(|count| println!("tidy: {count} files")),
        "licences" => licences::check().map(|count| println!("licences: {count} packages")),
        "nostd" => steps::no_std(),
        "vectors" => steps::vectors().map(drop),
        "workers" => steps::workers(),
        "mutants" => mutants::run().map(|count| println!("mutants: {count} caught")),
        "fuzz" => fuzz::fuzz().map(|count| println!("fuzz: {count} targets found nothing")),
        "sanitize" => fuzz::sanitize().map(drop),
        "readme" => readme::run().map(|count| println!("readme: {count} blocks")),
        "soak" => soak::soak(),
        "dist" => dist::dist(),
        "deb" => package::deb().map(drop),
        "package-test" => package::test(),
        "" | "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("there is no command `{other}`; `cargo xtask help` lists them")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
