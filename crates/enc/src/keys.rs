//! `init`, `keygen`, `keys`.

use crate::context::{Context, DEFAULT_KEY};
use crate::failure::Failure;
use clap::Args;
use protocol::Json;

/// Make the configuration folder and a first key.
#[derive(Args)]
#[command(after_help = "Repeating it changes nothing. `--node URL` is remembered.")]
pub struct Init {
    /// Call the first key so
    #[arg(value_name = "NAME", default_value = DEFAULT_KEY)]
    name: String,
}

/// Make a key.
#[derive(Args)]
#[command(after_help = "Example: enc keygen alice, then enc --as alice commit Message hello")]
pub struct Keygen {
    /// Its name here
    #[arg(value_name = "NAME")]
    name: String,
}

/// Runs `init`.
pub fn init(init: &Init, context: &mut Context) -> Result<(), Failure> {
    let (identity, made) = context.home.make_key(&init.name)?;
    let node = context.node_url(None);
    context.home.settings.node = Some(node.clone());
    context.home.save()?;
    let public = identity.public();
    let key = if made { "made" } else { "there already" };
    let root = context.home.root().display().to_string();
    context.out.line(format!("folder  {root}"))?;
    context.out.line(format!("key     {} ({key}): {public}", init.name))?;
    context.out.line(format!("node    {node}"))?;
    context.out.line("next:   enc enclave create --template open")?;
    context.out.json(&Json::object([
        ("folder", Json::from(root)),
        ("made", Json::Bool(made)),
        ("name", Json::from(init.name.as_str())),
        ("node", Json::from(node)),
        ("public", Json::from(public.hex())),
    ]))
}

/// Runs `keygen`.
pub fn keygen(keygen: &Keygen, context: &Context) -> Result<(), Failure> {
    let (identity, made) = context.home.make_key(&keygen.name)?;
    if !made {
        let fault = format!("there is a key called {:?} already", keygen.name);
        return Err(Failure::Usage(fault, "Choose another name; a key that is lost cannot be made again."));
    }
    let public = identity.public();
    let members = [("name", Json::from(keygen.name.as_str())), ("public", Json::from(public.hex()))];
    context.out.both(format!("{}  {public}", keygen.name), &Json::object(members))
}

/// Runs `keys`.
pub fn list(context: &Context) -> Result<(), Failure> {
    for (name, public) in context.home.keys()? {
        let members = [("name", Json::from(name.as_str())), ("public", Json::from(public.hex()))];
        context.out.both(format!("{public}  {name}"), &Json::object(members))?;
    }
    Ok(())
}
