//! `encd`: see `encd --help`.

use clap::Parser;
use encd::clock::Clock;
use encd::config::{Config, LogFormat, LogLevel};
use encd::flags::{Command, Flags};
use encd::server::{GRACE, Server};
use encd::stop::{Exit, StartError};
use encd::witness::{WitnessFlags, Witnessing};
use encd::{banner, command, listener};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Requests are many small allocations made on one thread and dropped on another, which is what this allocator is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs the node.
pub fn main() -> ExitCode {
    let flags = Flags::parse();
    match flags.paper() {
        Ok(None) => {}
        Ok(Some(paper)) => return print(&paper),
        Err(error) => return unprinted(&error),
    }
    let run = || -> Result<(), StartError> {
        match &flags.command {
            Some(Command::Witness(witness)) => {
                begin_logging(LogLevel::Info, LogFormat::Text);
                return block_on(be_witness(witness));
            }
            Some(Command::Operate(command)) => {
                begin_logging(LogLevel::Warn, LogFormat::Text);
                return command::run(command);
            }
            None => {}
        }
        let config = flags.configure().map_err(|error| StartError::new(Exit::Config, format!("{error:#}")))?;
        begin_logging(config.log, config.log_format);
        block_on(serve(config))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("encd: {error}");
            ExitCode::from(error.exit as u8)
        }
    }
}

fn block_on(work: impl Future<Output = Result<(), StartError>>) -> Result<(), StartError> {
    shut_out_debuggers();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| StartError::new(Exit::Config, format!("no threads ({error})")))?;
    let done = runtime.block_on(work);
    // A name that is being looked up, or a peer that hangs, has nothing to do with what is stored: nobody waits for it.
    runtime.shutdown_background();
    done
}

async fn be_witness(flags: &WitnessFlags) -> Result<(), StartError> {
    let unheard = |error| StartError::new(Exit::Config, format!("signals cannot be heard ({error})"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unheard)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(unheard)?;
    let witnessing = Witnessing::start(flags, Clock::system()).await?;
    show(&witnessing.banner());
    asked_to_stop(&mut interrupt, &mut terminate).await;
    tracing::info!("stopped");
    Ok(())
}

fn show(text: &str) {
    let mut out = std::io::stdout();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        tracing::debug!("nobody reads the banner");
    }
}

fn print(paper: &[u8]) -> ExitCode {
    let mut out = std::io::stdout();
    match out.write_all(paper).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => unprinted(&error),
    }
}

fn unprinted(error: &std::io::Error) -> ExitCode {
    eprintln!("encd: nothing could be printed ({error})");
    ExitCode::FAILURE
}

async fn serve(config: Config) -> Result<(), StartError> {
    let unheard = |error| StartError::new(Exit::Config, format!("signals cannot be heard ({error})"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unheard)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(unheard)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(unheard)?;
    let server = Server::start(config, Clock::system()).await?;
    warn_of_open_listeners(&server);
    show(&banner::banner(&server, std::io::stdout().is_terminal()));
    loop {
        tokio::select! {
            () = asked_to_stop(&mut interrupt, &mut terminate) => break,
            _ = hangup.recv() => server.reload().await,
        }
    }
    tracing::info!("stopping: what is under way is answered first");
    tokio::select! {
        () = server.stop(GRACE) => tracing::info!("stopped"),
        () = asked_to_stop(&mut interrupt, &mut terminate) => {
            tracing::warn!("stopped at once; what was acknowledged is on the disk");
            std::process::exit(130);
        }
    }
    Ok(())
}

async fn asked_to_stop(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn begin_logging(level: LogLevel, format: LogFormat) {
    let terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::from(level))
        .with_target(false)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(terminal).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// No core dump of this process, and no other process of the same user, gets to see its keys.
fn shut_out_debuggers() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "core dumps could not be switched off; a dump would hold keys");
    }
}

fn warn_of_open_listeners(server: &Server) {
    let host = server.host();
    let protected = host.tls.is_some() || !host.config.listen.trusted_proxies.is_empty();
    for address in server.public() {
        if !listener::is_private(address) && !protected {
            tracing::warn!(
                %address,
                "others can reach this listener, and it has no TLS: name a certificate in [tls], or put a proxy before it and name that in listen.trusted_proxies"
            );
        }
    }
}
