//! `commit`.

use crate::context::Context;
use crate::dry_run;
use crate::enclaves::parse_tag;
use crate::failure::Failure;
use clap::Args;
use protocol::Json;
use protocol::json::{self, JsonError, MAX_COMMIT_DEPTH};
use std::io::Read;
use std::process::ExitCode;

/// Sign content and commit it.
#[derive(Args)]
#[command(after_help = "\
CONTENT is JSON; text that is no JSON is committed as a JSON string. @FILE reads a file, - standard input.

Examples:
  enc commit Message '{\"text\":\"hello\"}'
  enc commit Message hello
  enc commit Move '{\"target\":\"KEY\",\"to\":\"MEMBER\"}'
  enc commit Shared '{\"key\":\"profile\",\"value\":{\"name\":\"Ada\"}}'
  enc commit Update '{\"text\":\"hello again\"}' --tag r=EVENT_ID
  enc commit --dry-run Message hello        which of the fourteen steps would refuse, and why")]
pub struct Commit {
    /// The event type
    #[arg(value_name = "TYPE")]
    event_type: String,
    /// The content
    #[arg(value_name = "CONTENT", allow_hyphen_values = true)]
    content: String,
    /// A tag: NAME=VALUE
    #[arg(long = "tag", value_name = "K=V")]
    tags: Vec<String>,
    /// May be sequenced for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    exp: u64,
    /// Sign nothing away: judge the fourteen steps here
    #[arg(long)]
    dry_run: bool,
}

/// Runs it.
pub fn run(command: &Commit, context: &Context) -> Result<ExitCode, Failure> {
    let content = read_content(&command.content)?;
    let tags = command.tags.iter().map(|text| parse_tag(text)).collect::<Result<Vec<_>, _>>()?;
    let enclave = context.enclave()?;
    let mut draft = enclave.draft(&command.event_type, &content);
    draft.exp = enclave.node().now() + command.exp * 1000;
    draft.tags = tags;
    if command.dry_run {
        return dry_run::run(&enclave, draft, &context.identity()?, context.out);
    }
    let committed = enclave.submit(draft)?;
    let position = committed.receipt.position;
    let again = if committed.duplicate { " (it was there already)" } else { "" };
    let text = format!("event {} at seq {}, receipt verified{again}", committed.receipt.id, position.seq);
    context.out.both(text, &committed.receipt.to_json())?;
    Ok(ExitCode::SUCCESS)
}

fn read_content(argument: &str) -> Result<Json, Failure> {
    let text = match argument.strip_prefix('@') {
        Some(path) => {
            let read = std::fs::read(path);
            read.map_err(|cause| Failure::File { path: path.into(), cause })?
        }
        None if argument == "-" => {
            let mut text = Vec::new();
            let read = std::io::stdin().read_to_end(&mut text);
            read.map_err(|cause| Failure::File { path: "standard input".into(), cause })?;
            text
        }
        None => argument.as_bytes().to_vec(),
    };
    let (structure, no_text) = (
        "Numbers are whole and within 2^53, no member comes twice, and nesting ends at 56.",
        "Content is text in UTF-8.",
    );
    match json::parse(&text, MAX_COMMIT_DEPTH) {
        Ok(content) => Ok(content),
        Err(JsonError::Structure) => {
            Err(Failure::Usage("the content breaks a rule of the protocol's JSON".into(), structure))
        }
        Err(JsonError::Invalid) => match String::from_utf8(text) {
            Ok(text) => Ok(Json::from(text)),
            Err(_) => Err(Failure::Usage("the content is no text".into(), no_text)),
        },
    }
}
