//! `migrate`.

use crate::context::{Context, read_token};
use crate::failure::Failure;
use clap::Args;
use client::migration::{Done, Journal, Migration, Order};
use client::{Enclave, Node};
use protocol::{EnclaveId, Json, PublicKey};
use std::path::PathBuf;

/// Move an enclave to another node, for an owner.
#[derive(Args)]
#[command(after_help = "\
In five steps, each noted in the configuration folder when it is done:
  checked    the new node answers, would restore this, has room, does not know the enclave; the log replays here
  signed     your Migrate ends the log at the old node: from here on there is no way back, only on
  saved      the whole log, which ends in the Migrate, is here and replays
  taken_up   the new node has restored it and sequences it from here on
  verified   its tree head covers the log, under the key that the Migrate names

Whatever interrupts it: run the same command again, and it goes on where it stood. Until it is verified the enclave takes no commits after the
Migrate, so run it again soon. Keep the old node running for a while: whoever asks it is told where the enclave has gone. Push endpoints
do not move; their owners register them at the new node.

Examples:
  enc migrate --to https://new.example --dry-run
  enc migrate --to https://new.example --key KEY
  enc migrate --resume")]
pub struct Migrate {
    /// The enclave, by id or name [default: the one in use]
    #[arg(value_name = "ID|NAME")]
    enclave: Option<String>,
    /// The new node's address, as its users are to reach it
    #[arg(long, value_name = "URL", required_unless_present = "resume")]
    to: Option<String>,
    /// The new node's key, from its operator: another one is refused
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A file with the new node's admin token, where it lets only its operator restore
    #[arg(long, value_name = "FILE")]
    admin_token: Option<PathBuf>,
    /// Do the first step only, and note nothing
    #[arg(long, conflicts_with = "resume")]
    dry_run: bool,
    /// Go on with the move that was begun
    #[arg(long, conflicts_with = "to")]
    resume: bool,
}

/// Runs it.
pub fn run(migrate: &Migrate, context: &mut Context) -> Result<(), Failure> {
    let id = match &migrate.enclave {
        Some(text) => context.home.enclave_of(text)?,
        None => context.enclave_id()?,
    };
    let folder = context.home.folder_store().folder(&id);
    let noted = Journal::read(&folder)?;
    let to = match (&migrate.to, &noted) {
        (Some(url), _) => url.clone(),
        (None, Some(noted)) => noted.to.clone(),
        (None, None) => return Err(client::Error::Migration(client::migration::MigrationFault::NothingBegun).into()),
    };
    let from = match noted {
        Some(noted) => context.node_at(&noted.from)?,
        None => context.node(Some(&id))?,
    };
    let order = Order {
        enclave: Enclave::open(&from, id, Some(context.identity()?), context.home.store())?,
        to: new_node(migrate, &to)?,
        key: migrate.key.as_deref().map(parse_key).transpose()?,
        restorer: if migrate.admin_token.is_some() { None } else { Some(context.identity()?) },
        folder,
    };
    let mut migration = Migration::open(order)?;
    if migrate.dry_run {
        let rehearsal = migration.check()?;
        return tell(&Done::Checked(rehearsal), &to, context);
    }
    while let Some(done) = migration.step()? {
        tell(&done, &to, context)?;
    }
    finish(id, (&to, migration.key()), context)
}

fn new_node(migrate: &Migrate, url: &str) -> Result<Node, Failure> {
    let node = Node::at(url)?;
    node.name_caller(concat!("enc/", env!("CARGO_PKG_VERSION")));
    match &migrate.admin_token {
        Some(path) => Ok(node.with_bearer(&read_token(path)?)),
        None => Ok(node),
    }
}

fn parse_key(text: &str) -> Result<PublicKey, Failure> {
    PublicKey::parse(text).map_err(|_| {
        Failure::Usage(
            format!("{text:?} is no key"),
            "The new node's operator finds it in the banner: 64 lower-case hex digits.",
        )
    })
}

/// From here on the enclave is asked for at the new node.
fn finish(id: EnclaveId, (to, key): (&str, PublicKey), context: &mut Context) -> Result<(), Failure> {
    context.home.settings.nodes.insert(id, to.into());
    context.home.save()?;
    context.out.both(
        format!("{id} is at {to}, sequenced by {key}"),
        &Json::object([
            ("enclave", Json::from(id.hex())),
            ("node", Json::from(to)),
            ("ok", Json::Bool(true)),
            ("sequencer", Json::from(key.hex())),
        ]),
    )
}

fn tell(done: &Done, to: &str, context: &Context) -> Result<(), Failure> {
    let stage = done.stage().name();
    let mut members = vec![("stage", Json::from(stage))];
    let text = match done {
        Done::Checked(log) => {
            members.extend([("bytes", Json::from(log.len)), ("events", Json::from(log.events))]);
            format!("{} events, {} bytes, replay here; {to} would take them", log.events, log.len)
        }
        Done::Signed(seq) => {
            members.push(("seq", Json::from(*seq)));
            format!("the Migrate is event {seq}; the old node takes nothing after it")
        }
        Done::Saved(log) => {
            members.extend([("bytes", Json::from(log.len)), ("events", Json::from(log.events))]);
            format!("{} events, {} bytes, which end in it", log.events, log.len)
        }
        Done::TakenUp => "the new node sequences it".into(),
        Done::Verified(tree_size) => {
            members.push(("tree_size", Json::from(*tree_size)));
            format!("a head of {tree_size} bundles by the new key continues the log")
        }
    };
    context.out.both(format!("{stage:<9}  {text}"), &Json::object(members))
}
