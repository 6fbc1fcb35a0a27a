//! `prove`: asks for a proof, checks it, and writes it as a file that `verify` checks offline.

use crate::context::Context;
use crate::failure::Failure;
use crate::show::state_words;
use clap::{Args, Subcommand};
use client::proof_file::{Proof, ProofFile};
use client::{Enclave, Name};
use protocol::{Event, EventId};

/// Ask for a proof.
#[derive(Subcommand)]
pub enum Command {
    /// That an event is in the log
    Event(OfEvent),
    /// That an event is in its bundle, and the bundle in the log
    Bundle(OfEvent),
    /// What the state says of names
    State(OfState),
    /// That the log goes on from the tree head that was kept here before
    Log,
}

/// Of an event.
#[derive(Args)]
pub struct OfEvent {
    /// Its id
    #[arg(value_name = "ID")]
    id: String,
}

/// Of names of the state.
#[derive(Args)]
#[command(after_help = "\
Names:
  identity:KEY      roles of an identity (KEY in hex, or the name of a key here)
  event:ID          live, updated or deleted
  shared:SLOT       a Shared slot
  own:KEY:SLOT      an Own slot
  gate:ALIAS        open or closed
  lifecycle         active, paused, terminated or migrated")]
pub struct OfState {
    /// The names
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

/// Runs it. The file goes to standard output, words about it to standard error.
pub fn run(command: &Command, context: &Context) -> Result<(), Failure> {
    let file = match command {
        Command::Event(of) => prove_event(&context.visit()?, &of.id)?,
        Command::Bundle(of) => prove_bundle(&context.visit()?, &of.id)?,
        Command::State(of) => prove_state(context, of)?,
        Command::Log => prove_log(context)?,
    };
    context.out.raw(file.to_json().to_jcs())
}

fn prove_event(enclave: &Enclave, id: &str) -> Result<ProofFile, Failure> {
    let event = find(enclave, id)?;
    let proven = enclave.prove_event(&event.receipt())?;
    let (leaf_index, tree_size) = (proven.answer.entry.leaf_index, proven.head.tree_size());
    eprintln!("event {} is in entry {leaf_index} of a log of {tree_size}", event.id);
    Ok(ProofFile { pin: enclave.pin(), proof: Proof::Event(Box::new(event), Box::new(proven.answer)) })
}

fn prove_bundle(enclave: &Enclave, id: &str) -> Result<ProofFile, Failure> {
    let event = find(enclave, id)?;
    let (bundle, entry) = enclave.prove_bundle(&event.receipt())?;
    eprintln!(
        "event {} is number {} of the {} in entry {}",
        event.id, bundle.proof.bundle_index, bundle.proof.bundle_size, bundle.leaf_index
    );
    Ok(ProofFile { pin: enclave.pin(), proof: Proof::Bundle(Box::new(event), Box::new(bundle), Box::new(entry)) })
}

fn prove_state(context: &Context, of: &OfState) -> Result<ProofFile, Failure> {
    let read = |text: &String| {
        Name::parse(text, |who| context.home.public_of(who)).ok_or_else(|| {
            let fault = format!("{text:?} is no name of the state");
            Failure::Usage(fault, "See the names in `enc prove state --help`.")
        })
    };
    let names = of.names.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let enclave = context.visit()?;
    let state_names: Vec<_> = names.iter().map(Name::state_name).collect();
    let proven = match state_names.as_slice() {
        [one] => enclave.prove_state(one)?,
        many => enclave.prove_states(many)?,
    };
    let pin = enclave.pin();
    for (name, value) in names.iter().zip(&proven.values) {
        eprintln!("{name}: {}", state_words(pin.manifest(), name, *value));
    }
    let age = if proven.current { "the newest closed bundle" } else { "an older state: it may have changed since" };
    eprintln!("after bundle {}, {age}", proven.leaf_index);
    Ok(ProofFile { pin, proof: Proof::State(names, Box::new(proven.answer)) })
}

fn prove_log(context: &Context) -> Result<ProofFile, Failure> {
    let enclave = context.enclave()?;
    let kept = context.home.store().sth(&enclave.id())?;
    let newer = enclave.sth()?;
    let older = match kept {
        Some(kept) => enclave.kept_head(kept)?,
        None => newer.sth,
    };
    let consistency = enclave.prove_consistency(&older, &newer.sth)?;
    eprintln!("a log of {} entries goes on from {}", newer.tree_size(), older.sth().tree_size);
    let proof = Proof::Log(Box::new(*older.sth()), Box::new(*newer.sth.sth()), consistency);
    Ok(ProofFile { pin: enclave.pin(), proof })
}

fn find(enclave: &Enclave, id: &str) -> Result<Event, Failure> {
    let no_id =
        || Failure::Usage(format!("{id:?} is no event id"), "Ids are 64 lower-case hex digits; see `enc query`.");
    let id = EventId::parse(id).map_err(|_| no_id())?;
    enclave.event(id)?.ok_or_else(|| {
        Failure::Usage(format!("there is no event {id} that you may read here"), "Check the id, the enclave and --as.")
    })
}
