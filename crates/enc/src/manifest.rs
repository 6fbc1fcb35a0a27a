//! `manifest lint` and `manifest template`.

use crate::context::Context;
use crate::failure::Failure;
use clap::{Args, Subcommand};
use client::Template;
use client::templates::fill;
use protocol::code::Detail;
use protocol::json::{self, MAX_DEPTH};
use protocol::{Json, Manifest, PublicKey};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Check a manifest before it is signed.
#[derive(Subcommand)]
pub enum Command {
    /// Say which rule a manifest breaks, or what is odd about a valid one
    Lint(Lint),
    /// Print a template, to be changed and given to `enclave create --manifest`
    Template(Show),
}

/// Say which rule a manifest breaks.
#[derive(Args)]
#[command(after_help = "SEQ and ME stand for the node's key and yours. Exit code 1 if a rule is broken.")]
pub struct Lint {
    /// The manifest's content as JSON
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Print a template.
#[derive(Args)]
pub struct Show {
    /// personal, dm, group or open
    #[arg(value_name = "NAME")]
    name: String,
}

/// Keys to lint with, where a manifest leaves them open: those of the golden vectors.
const SAMPLE_SEQUENCER: &str = "2c0b7cf95324a07d05398b240174dc0c2be444d96b159aa6c7f7b1e668680991";
const SAMPLE_CREATOR: &str = "3c72addb4fdf09af94f0c94d7fe92a386a7e70cf8a1d85916386bb2535c7b1b1";

/// Runs them.
pub fn run(command: &Command, context: &Context) -> Result<ExitCode, Failure> {
    match command {
        Command::Lint(lint) => self::lint(lint, context),
        Command::Template(show) => {
            let template = Template::named(&show.name).ok_or_else(|| {
                let fault = format!("there is no template called {:?}", show.name);
                Failure::Usage(fault, "There are personal, dm, group and open.")
            })?;
            context.out.raw(pretty(&template.placeholders(), 0))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A manifest file with the keys filled in.
pub fn read_template(path: &Path, sequencer: &PublicKey, creator: &PublicKey) -> Result<Json, Failure> {
    let bytes = std::fs::read(path).map_err(|cause| Failure::File { path: path.into(), cause })?;
    let value = json::parse(&bytes, MAX_DEPTH).map_err(|_| Failure::Content {
        path: path.into(),
        fault: "is no JSON as the protocol takes it (whole numbers, no member twice)".into(),
    })?;
    Ok(fill(value, sequencer, creator))
}

fn lint(lint: &Lint, context: &Context) -> Result<ExitCode, Failure> {
    let sample = |text| PublicKey::parse(text).expect("the constant is a key in hex");
    let creator = context.identity().map_or(sample(SAMPLE_CREATOR), |identity| identity.public());
    let content = read_template(&lint.file, &sample(SAMPLE_SEQUENCER), &creator)?;
    let out = context.out;
    match Manifest::parse(&content) {
        Err(rejection) => {
            let path = match rejection.detail {
                Detail::Path(path) if path.is_empty() => "the manifest itself".into(),
                Detail::Path(path) => path,
                _ => String::from("the manifest itself"),
            };
            let members = [("ok", Json::Bool(false)), ("path", Json::from(path.as_str()))];
            out.both(format!("breaks a rule at {path}"), &Json::object(members))?;
            Ok(ExitCode::from(1))
        }
        Ok(manifest) => {
            let advice = manifest.lint();
            for lint in &advice {
                out.line(format!("{}: {}", lint.path, lint.advice.message()))?;
            }
            let rows = advice.iter().map(|lint| {
                Json::object([("advice", Json::from(lint.advice.message())), ("path", Json::from(lint.path.as_str()))])
            });
            out.json(&Json::object([("advice", Json::Array(rows.collect())), ("ok", Json::Bool(true))]))?;
            if advice.is_empty() {
                out.line("valid, and nothing odd about it")?;
            } else {
                out.line("valid")?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// JSON for people: objects and arrays that are long go over several lines.
fn pretty(value: &Json, depth: usize) -> String {
    const WIDTH: usize = 100;
    let flat = value.to_jcs();
    let indent = "  ".repeat(depth + 1);
    if flat.len() + 2 * depth <= WIDTH {
        return flat;
    }
    let rows: Vec<String> = match value {
        Json::Object(members) => members
            .iter()
            .map(|(name, value)| {
                format!("{indent}{}: {}", Json::from(name.as_str()).to_jcs(), pretty(value, depth + 1))
            })
            .collect(),
        Json::Array(items) => items.iter().map(|item| format!("{indent}{}", pretty(item, depth + 1))).collect(),
        Json::Null | Json::Bool(_) | Json::Integer(_) | Json::Text(_) | Json::Canonical(_) => return flat,
    };
    let (open, close) = if matches!(value, Json::Object(_)) { ('{', '}') } else { ('[', ']') };
    format!("{open}\n{}\n{}{close}", rows.join(",\n"), "  ".repeat(depth))
}
