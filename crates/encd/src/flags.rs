//! The command line. A flag stands above the configuration file, which stands above the defaults.

use crate::command;
use crate::config::Config;
use crate::witness::WitnessFlags;
use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// A node for verifiable shared data: it orders signed commits into append-only logs, and proves what it says.
///
/// Started without flags it serves on 127.0.0.1:8080 only, keeps its data in a folder it makes, and prints what to do next.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "encd", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Flags {
    /// Do or be this instead of serving
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Serve on this port of every interface (with TLS by the configuration, or behind a proxy that does it)
    #[arg(long, value_name = "N", conflicts_with = "listen")]
    pub port: Option<u16>,
    /// Serve on this address and port; may be given several times
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Vec<SocketAddr>,
    /// Serve metrics, readiness and the admin routes here [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR:PORT")]
    pub admin_listen: Option<SocketAddr>,
    /// The data folder [default: $STATE_DIRECTORY, else $XDG_DATA_HOME/encd, else ./encd-data]
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    pub data: Option<PathBuf>,
    /// Read this configuration file; encd.toml in the sources documents every key
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Keep nothing: keys and data are gone at exit
    #[arg(long)]
    pub memory: bool,
    /// The node's name, a DNS name once others can reach it
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Print what completes these flags in a shell, and end
    #[arg(long, value_name = "SHELL", conflicts_with = "manual")]
    pub completions: Option<Shell>,
    /// Print the manual page, and end
    #[arg(long)]
    pub manual: bool,
}

/// What `encd` can be, and do, beside serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Be a witness: cosign the checkpoints of other people's logs (C2SP tlog-witness)
    Witness(WitnessFlags),
    /// What an operator does with a data folder
    #[command(flatten)]
    Operate(command::Command),
}

const EXAMPLES: &str = "\
Examples:
  encd                              try it: http://127.0.0.1:8080, data is kept
  encd --memory --listen 127.0.0.1:0   a node for a test, on a free port, gone at exit
  encd --port 8080 --data /var/lib/encd --name node.example
                                    every interface, behind a proxy that does TLS
  encd witness --name witness.example --data /var/lib/witness --logs logs.policy
                                    cosign the logs of that file's `log` lines

  encd backup FILE.tar --data /var/lib/encd
                                    a copy of a running node; see encd backup --help

Then, in another terminal:
  enc init                          makes you a key
  enc enclave create                makes an enclave on this node

Exit codes:
  0   stopped as asked, or done
  65  a check or a backup does not hold
  66  there is no data folder or backup where one was named
  69  an address to listen on is taken
  73  a place is taken, or cannot be written
  74  the disk failed a write: nothing unwritten was acknowledged; look at the disk, then start again
  75  another process holds the data folder
  76  a newer encd has written the databases
  77  the log cannot go on here
  78  the configuration or the data folder is unusable; the message says what to do
  130 told to stop a second time, or before a command was done";

impl Flags {
    /// What is asked for instead of a node: completions or the manual page. Nothing if a node is.
    ///
    /// # Errors
    /// The manual page could not be put together.
    pub fn paper(&self) -> io::Result<Option<Vec<u8>>> {
        let mut text = Vec::new();
        match self.completions {
            Some(shell) => clap_complete::generate(shell, &mut Flags::command(), "encd", &mut text),
            None if self.manual => clap_mangen::Man::new(Flags::command()).section("8").render(&mut text)?,
            None => return Ok(None),
        }
        Ok(Some(text))
    }

    /// The configuration that these flags ask for.
    pub fn configure(&self) -> anyhow::Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        if let Some(port) = self.port {
            config.listen.public = vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))];
        }
        if !self.listen.is_empty() {
            config.listen.public.clone_from(&self.listen);
        }
        if let Some(admin) = self.admin_listen {
            config.listen.admin = admin;
        }
        if let Some(data) = &self.data {
            config.data = Some(data.clone());
            config.memory = false;
        }
        config.memory |= self.memory;
        if let Some(name) = &self.name {
            config.name.clone_from(name);
        }
        config.check().context("in the flags")?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_stand_above_the_defaults() {
        type Holds = fn(&Config) -> bool;
        let rows: &[(&[&str], Holds)] = &[
            (&["encd"], |c| *c == Config::default()),
            (&["encd", "--port", "80"], |c| c.listen.public == ["[::]:80".parse().expect("an address")]),
            (&["encd", "--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2"], |c| c.listen.public.len() == 2),
            (&["encd", "--admin-listen", "127.0.0.1:0"], |c| c.listen.admin.port() == 0),
            (&["encd", "--memory"], |c| c.memory),
            (&["encd", "--name", "node.example"], |c| c.name == "node.example"),
        ];
        for (arguments, holds) in rows {
            let flags = Flags::try_parse_from(*arguments).expect("the flags are known");
            assert!(holds(&flags.configure().expect("the flags make a configuration")), "{arguments:?}");
        }
    }

    #[test]
    fn papers_name_every_flag() {
        let flags: Vec<String> =
            Flags::command().get_arguments().filter_map(|flag| flag.get_long().map(str::to_owned)).collect();
        assert!(flags.len() > 8);
        for asked in ["--manual", "--completions=bash", "--completions=zsh", "--completions=fish"] {
            let parsed = Flags::try_parse_from(["encd", asked]).expect("the flags are known");
            let paper = parsed.paper().expect("it is put together").expect("it is asked for");
            let paper = String::from_utf8(paper).expect("text").replace('\\', "");
            for flag in &flags {
                assert!(paper.contains(flag), "{asked} without {flag}");
            }
        }
        assert!(Flags::default().paper().expect("nothing fails").is_none());
    }

    #[test]
    fn contradictions_are_refused() {
        for arguments in [
            &["encd", "--port", "80", "--listen", "127.0.0.1:1"][..],
            &["encd", "--memory", "--data", "x"],
            &["encd", "--prot", "80"],
        ] {
            assert!(Flags::try_parse_from(arguments).is_err(), "{arguments:?}");
        }
    }
}
