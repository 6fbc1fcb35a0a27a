//! `watch`.

use crate::cli::show_event;
use crate::context::Context;
use crate::failure::Failure;
use crate::query::Choice;
use clap::Args;
use client::watch::Seen;

/// Read events and go on reading as they happen.
#[derive(Args)]
#[command(after_help = "\
A lost connection is made again and goes on behind the last event that was seen; sessions are renewed. Where the
enclave moves to another node, it goes on there.

Examples:
  enc watch --type Message
  enc watch --after 120 --json | jq .content")]
pub struct Watch {
    #[command(flatten)]
    choice: Choice,
    /// End after history
    #[arg(long)]
    once: bool,
}

/// Runs it until the node or the reader ends it.
pub fn run(watch: &Watch, context: &Context) -> Result<(), Failure> {
    let filter = watch.choice.filter(context)?;
    let enclave = context.visit()?;
    let mut subscription = enclave.watch(&filter);
    loop {
        match subscription.next()? {
            Seen::Event(event) => show_event(context.out, &event)?,
            Seen::CaughtUp if watch.once => return Ok(()),
            Seen::CaughtUp => {}
            Seen::Dropped(error, wait) => eprintln!("enc: {error}; again in {} ms", wait.as_millis()),
            Seen::Moved(url) => eprintln!("enc: the enclave has moved; going on at {url}"),
            Seen::Ended(reason) => {
                eprintln!("enc: the node ended the subscription: {reason}");
                return Ok(());
            }
        }
    }
}
