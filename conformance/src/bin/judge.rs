//! `cargo run -p conformance --bin judge -- http://127.0.0.1:8080`: see `conformance/README.md`, The judge.

use clap::Parser;
use conformance::judge::{Address, CHECKS, Check, Subject, Sum, judge, select, to_json};
use std::process::ExitCode;
use std::time::Instant;

/// Judges a node by the specification, over HTTP and WebSockets.
///
/// Exit code 0: every check that was made passed. 1: at least one failed. 2: nothing could be judged.
#[derive(Parser)]
struct Flags {
    /// Where the node is: http://host:port
    #[arg(required_unless_present = "list")]
    url: Option<String>,
    /// Only checks with this name, group (the name before the dot) or section; may be given more than once.
    #[arg(long)]
    only: Vec<String>,
    /// Shows the checks and makes none.
    #[arg(long)]
    list: bool,
    /// One JSON text instead of lines.
    #[arg(long)]
    json: bool,
    /// A line for each check, not only for red ones.
    #[arg(long)]
    verbose: bool,
    /// The operator's token, for what only an operator may do.
    #[arg(long)]
    admin_token: Option<String>,
    /// The node has no operator's token, and this program stands on its machine: the loopback rule is judged.
    #[arg(long)]
    operator_is_local: bool,
    /// The address of this machine that the node may dial by http, such as 127.0.0.1: push is judged.
    #[arg(long)]
    push_host: Option<String>,
    /// Checks at a time.
    #[arg(long, default_value_t = 8)]
    jobs: usize,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let checks = match select(&flags.only) {
        Ok(checks) => checks,
        Err(unknown) => return unusable(&format!("no check, group or section is called {unknown}; --list shows them")),
    };
    let Some(url) = flags.url.as_deref().filter(|_| !flags.list) else {
        list(&checks);
        return ExitCode::SUCCESS;
    };
    let address = match Address::parse(url) {
        Ok(address) => address,
        Err(error) => return unusable(&error.to_string()),
    };
    let mut node = Subject::at(address);
    (node.token, node.push_host) = (flags.admin_token, flags.push_host);
    node.is_local = flags.operator_is_local;
    if let Err(error) = node.reach() {
        return unusable(&format!("{url} cannot be reached: {error}"));
    }
    let began = Instant::now();
    let reports = judge(&node, &checks, flags.jobs);
    let sum = Sum::of(&reports);
    if flags.json {
        println!("{}", to_json(&reports).to_jcs());
    } else {
        reports.iter().filter(|report| flags.verbose || report.is_red()).for_each(|report| println!("{report}"));
        println!("{sum}, in {:.1} s", began.elapsed().as_secs_f64());
    }
    ExitCode::from(u8::from(sum.failed > 0))
}

fn list(checks: &[&'static Check]) {
    for check in checks {
        println!("{:<34} {:<22} {}", check.name, check.section, check.demand);
    }
    println!("{} checks of {}", checks.len(), CHECKS.iter().map(|group| group.len()).sum::<usize>());
}

fn unusable(message: &str) -> ExitCode {
    eprintln!("judge: {message}");
    ExitCode::from(2)
}
