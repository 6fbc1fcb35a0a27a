//! `enclave create`, `list`, `show`, `use`.

use crate::context::Context;
use crate::failure::Failure;
use crate::manifest::read_template;
use crate::show::{roles, utc};
use crate::verify::parse_trust;
use clap::{Args, Subcommand};
use client::{Enclave, Name, Template};
use protocol::ids::hex;
use protocol::state::Bitmask;
use protocol::{Code, EnclaveId, Json};
use std::path::PathBuf;

/// Make, list, show and choose enclaves.
#[derive(Subcommand)]
pub enum Command {
    /// Make an enclave and use it
    Create(Create),
    /// List the enclaves that were met
    List,
    /// Show an enclave: rules, sequencer, tree head, your roles
    Show,
    /// Use an enclave from here on, and give it a name
    Use(Use),
}

/// Make an enclave and use it.
#[derive(Args)]
#[command(after_help = "\
Templates:
  personal  profile and public entries for anyone, private ones for the owner
  dm        a mailbox: friends write, only the owner reads
  group     applications, admission, moderation
  open      the smallest useful one: members read and write Message

A manifest file may say SEQ for the node's key and ME for yours. `enc manifest lint FILE` checks it first.")]
pub struct Create {
    /// Begin with this template
    #[arg(long, value_name = "NAME", default_value = "open", value_parser = parse_template)]
    template: Template,
    /// Begin with the manifest in this file
    #[arg(long, value_name = "FILE", conflicts_with = "template")]
    manifest: Option<PathBuf>,
    /// Call it so here
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A tag of the Manifest: NAME=VALUE
    #[arg(long = "tag", value_name = "K=V")]
    tags: Vec<String>,
    /// Make no nonce tag: the same manifest by the same key is then the same enclave
    #[arg(long)]
    no_nonce: bool,
}

/// Use an enclave from here on.
#[derive(Args)]
#[command(after_help = "\
An id that is not its Manifest's own hash is unbound: nothing proves who made it. It is used only with --manifest and --sequencer, both
from somebody you trust.")]
pub struct Use {
    /// Its id, or a name that it has here
    #[arg(value_name = "ID|NAME")]
    enclave: String,
    /// Call it so here
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// For an unbound id: hash of the Manifest's commit
    #[arg(long, value_name = "HASH", requires = "sequencer")]
    manifest: Option<String>,
    /// For an unbound id: the first sequencer's key
    #[arg(long, value_name = "KEY", requires = "manifest")]
    sequencer: Option<String>,
}

/// Runs them.
pub fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Create(create) => self::create(&create, context),
        Command::List => list(context),
        Command::Show => show(context),
        Command::Use(choice) => choose(&choice, context),
    }
}

/// `K=V` as a tag.
pub fn parse_tag(text: &str) -> Result<Vec<String>, Failure> {
    let (name, value) = text.split_once('=').ok_or_else(|| {
        Failure::Usage(format!("{text:?} is no tag"), "Write tags as NAME=VALUE, for example --tag topic=birds.")
    })?;
    Ok(vec![name.into(), value.into()])
}

fn parse_template(text: &str) -> Result<Template, String> {
    Template::named(text).ok_or_else(|| "there are personal, dm, group and open".into())
}

fn create(create: &Create, context: &mut Context) -> Result<(), Failure> {
    let identity = context.identity()?;
    let node = context.node(None)?;
    let sequencer = node.info()?.sequencer;
    let content = match &create.manifest {
        Some(path) => read_template(path, &sequencer, &identity.public())?,
        None => create.template.manifest(&sequencer, &identity.public()),
    };
    let mut tags = create.tags.iter().map(|text| parse_tag(text)).collect::<Result<Vec<_>, _>>()?;
    if !create.no_nonce {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|_| Failure::Client(client::Error::Random))?;
        tags.push(vec!["nonce".into(), hex(&nonce)]);
    }
    let created = Enclave::create(&node, &content, tags, (identity, context.home.store()))?;
    let id = created.enclave.id();
    adopt(context, id, create.name.as_deref(), Some(node.url()))?;
    let out = context.out;
    out.line(format!("enclave    {id}"))?;
    out.line(format!("sequencer  {}", created.enclave.sequencer()))?;
    out.line(format!("receipt    event {} at seq 0, verified", created.receipt.id))?;
    let pin = created.enclave.pin();
    let first = pin.manifest().rbac.customs.first().map_or("TYPE", |rule| rule.event.as_str());
    out.line(format!("next:      enc commit {first} '\"hello\"'"))?;
    out.json(&Json::object([("enclave", Json::from(id.hex())), ("receipt", created.receipt.to_json())]))
}

fn list(context: &Context) -> Result<(), Failure> {
    let settings = &context.home.settings;
    for id in context.home.folder_store().enclaves()? {
        let names: Vec<&str> =
            settings.names.iter().filter(|(_, named)| **named == id).map(|(name, _)| name.as_str()).collect();
        let used = settings.enclave == Some(id);
        let node = settings.nodes.get(&id).map_or("", String::as_str);
        let mark = if used { "*" } else { " " };
        let members = [
            ("enclave", Json::from(id.hex())),
            ("names", Json::Array(names.iter().map(|name| Json::from(*name)).collect())),
            ("node", Json::from(node)),
            ("used", Json::Bool(used)),
        ];
        context.out.both(format!("{mark} {id}  {}  {node}", names.join(",")), &Json::object(members))?;
    }
    Ok(())
}

fn choose(choice: &Use, context: &mut Context) -> Result<(), Failure> {
    let id = context.home.enclave_of(&choice.enclave)?;
    let node = context.node(Some(&id))?;
    // The first visit pins the Manifest, so that a mistaken id is found now.
    let store = context.home.store();
    let enclave = match parse_trust(choice.manifest.as_deref(), choice.sequencer.as_deref())? {
        Some(trust) => Enclave::open_trusted(&node, id, &trust, (None, store))?,
        None => Enclave::open(&node, id, None, store)?,
    };
    adopt(context, id, choice.name.as_deref(), Some(enclave.node().url()))?;
    context.out.both(format!("using {id}"), &Json::object([("enclave", Json::from(id.hex()))]))
}

fn adopt(context: &mut Context, id: EnclaveId, name: Option<&str>, node: Option<&str>) -> Result<(), Failure> {
    let settings = &mut context.home.settings;
    settings.enclave = Some(id);
    if let Some(name) = name {
        settings.names.insert(name.into(), id);
    }
    if let Some(node) = node {
        settings.nodes.insert(id, node.into());
    }
    context.home.save()
}

fn show(context: &Context) -> Result<(), Failure> {
    let enclave = context.enclave()?;
    let (pin, out) = (enclave.pin(), context.out);
    let manifest = pin.manifest();
    let (info, head) = (enclave.info()?, enclave.sth()?);
    let sth = head.sth.sth();
    let mine = my_roles(&enclave)?;
    out.line(format!("enclave    {}{}", enclave.id(), if pin.bound() { "" } else { "  (unbound: pinned by hand)" }))?;
    out.line(format!("app        {}", manifest.app.as_deref().unwrap_or("-")))?;
    out.line(format!("author     {}", pin.event().from))?;
    out.line(format!("sequencer  {}", enclave.sequencer()))?;
    let status = format!("{}{}", info.status, if info.live { "" } else { ", read-only at this node" });
    out.line(format!("status     {status}"))?;
    let age = if head.fresh { "fresh" } else { "STALE: the node may hide what has happened since" };
    out.line(format!("log        {} bundles, head of {} UTC, {age}", sth.tree_size, utc(sth.timestamp)))?;
    if let Some(inside) = &info.inside {
        out.line(format!("events     {} ({} in the open bundle)", inside.last_seq + 1, inside.open_events))?;
        for (event_type, count) in &inside.counts {
            out.line(format!("           {count} {event_type}"))?;
        }
        for (alias, open) in &inside.gates {
            out.line(format!("gate       {alias} {}", if *open { "open" } else { "closed" }))?;
        }
    }
    out.line(format!("states     {}", manifest.rbac.states.join(", ")))?;
    let traits: Vec<String> = manifest.rbac.traits.iter().map(|t| format!("{}({})", t.name, t.rank)).collect();
    out.line(format!("traits     {}", if traits.is_empty() { "-".into() } else { traits.join(", ") }))?;
    out.line(format!("you        {mine}"))?;
    out.json(&Json::object([
        ("bound", Json::Bool(pin.bound())),
        ("enclave", Json::from(enclave.id().hex())),
        ("fresh", Json::Bool(head.fresh)),
        ("live", Json::Bool(info.live)),
        ("manifest", pin.event().to_json()),
        ("sequencer", Json::from(enclave.sequencer().hex())),
        ("status", Json::from(info.status)),
        ("sth", sth.to_json()),
        ("you", Json::from(mine)),
    ]))
}

/// The identity's roles by a state proof, where it may ask for one.
fn my_roles(enclave: &Enclave) -> Result<String, Failure> {
    let Some(me) = enclave.me() else { return Ok("a stranger".into()) };
    match enclave.prove_state(&Name::Identity(me).state_name()) {
        Ok(proven) => {
            let mask = Bitmask::from_value(proven.values[0]);
            let words = roles(enclave.pin().manifest(), &mask);
            Ok(format!("{words} (proved after bundle {})", proven.leaf_index))
        }
        Err(error) => match error.code() {
            Some(Code::NotBundled) => Ok("as the Manifest says: no bundle has closed yet".into()),
            Some(Code::Unauthorized) => Ok("may not ask for the state".into()),
            Some(_) | None => Err(error.into()),
        },
    }
}
