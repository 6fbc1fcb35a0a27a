//! A node that lies: it takes the data of a stopped honest one, keys and marks and all, makes as many copies as it has addresses, and goes
//! on with each by itself. Every one of them is a real node. For the tests that must see it caught; it is in no package.
//!
//! It says one line for each address, `history http://127.0.0.1:…`, and stops when its standard input ends.

use clap::Parser;
use encd::clock::Clock;
use encd::config::Config;
use encd::server::{GRACE, Server};
use std::fs;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;

/// Shows each caller the history of the address that it asks at.
#[derive(Parser)]
struct Flags {
    /// The data folder of a node that does not run. It is left as it is.
    #[arg(long)]
    data: PathBuf,
    /// A folder for the copies.
    #[arg(long)]
    copies: PathBuf,
    /// Where a history is shown; once for each.
    #[arg(long, required = true)]
    listen: Vec<SocketAddr>,
    /// A configuration for all of them.
    #[arg(long)]
    config: Option<PathBuf>,
    /// How far their clocks are ahead of the machine's, milliseconds.
    #[arg(long, default_value_t = 0)]
    ahead_ms: i64,
}

fn main() {
    let flags = Flags::parse();
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).init();
    let runtime = Runtime::new().expect("a runtime");
    let mut servers = Vec::new();
    for (number, listen) in flags.listen.iter().enumerate() {
        let copy = flags.copies.join(format!("history-{number}"));
        copy_folder(&flags.data, &copy).unwrap_or_else(|error| panic!("{}: {error}", copy.display()));
        let server = runtime.block_on(Server::start(config(&flags, *listen, &copy), clock(flags.ahead_ms)));
        let server = server.unwrap_or_else(|error| panic!("the history does not start: {error:?}"));
        println!("history http://{}", server.public()[0]);
        servers.push(server);
    }
    let ended = io::stdin().read_to_end(&mut Vec::new());
    for server in servers {
        runtime.block_on(server.stop(GRACE));
    }
    ended.expect("standard input can be read");
}

fn config(flags: &Flags, listen: SocketAddr, data: &Path) -> Config {
    let mut config = match &flags.config {
        Some(path) => Config::read(path).unwrap_or_else(|error| panic!("{error:#}")),
        None => Config::default(),
    };
    config.data = Some(data.to_owned());
    config.name = "node.test".into();
    (config.listen.public, config.listen.admin) = (vec![listen], SocketAddr::from(([127, 0, 0, 1], 0)));
    config
}

fn clock(ahead_ms: i64) -> Clock {
    Clock::new(move || conformance::people::now().saturating_add_signed(ahead_ms))
}

/// Everything but the lock.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if entry.file_name() != "lock" {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
