//! `query`.

use crate::cli::show_event;
use crate::context::Context;
use crate::enclaves::parse_tag;
use crate::failure::Failure;
use clap::Args;
use client::Filter;
use protocol::{CommitHash, EventId};

/// Read events.
#[derive(Args)]
#[command(after_help = "\
Events come in order; each is verified, and so is that none of a readable type is missing.

Examples:
  enc query                            the first hundred
  enc query --all --json               everything, one JSON text a line
  enc query --type Message --reverse --limit 5
  enc query --tag r=EVENT_ID           what refers to an event
  enc --stranger query                 what anyone may read")]
pub struct Query {
    #[command(flatten)]
    pub choice: Choice,
    /// At most so many (at most 1000 a page)
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    /// Newest first
    #[arg(long)]
    reverse: bool,
    /// All pages
    #[arg(long)]
    all: bool,
}

/// Which events.
#[derive(Args)]
pub struct Choice {
    /// Of this type; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// By this author: a key, or the name of one here
    #[arg(long = "from", value_name = "KEY|NAME")]
    authors: Vec<String>,
    /// With this id
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
    /// Of this commit
    #[arg(long = "hash", value_name = "HASH")]
    hashes: Vec<String>,
    /// With this tag, by its first one or two strings: NAME or NAME=VALUE
    #[arg(long = "tag", value_name = "K[=V]")]
    tags: Vec<String>,
    /// Beyond this seq
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// Before this seq
    #[arg(long, value_name = "SEQ")]
    before: Option<u64>,
}

impl Choice {
    /// As a filter.
    pub fn filter(&self, context: &Context) -> Result<Filter, Failure> {
        let usage = |text: &str| Failure::Usage(format!("{text:?} is no id"), "Ids are 64 lower-case hex digits.");
        let author = |text: &String| {
            let known = context.home.public_of(text);
            known.ok_or_else(|| Failure::Usage(format!("{text:?} is no key and no name of one"), "See `enc keys`."))
        };
        let tag = |text: &String| if text.contains('=') { parse_tag(text) } else { Ok(vec![text.clone()]) };
        Ok(Filter {
            ids: self.ids.iter().map(|id| EventId::parse(id).map_err(|_| usage(id))).collect::<Result<_, _>>()?,
            hashes: self.hashes.iter().map(|h| CommitHash::parse(h).map_err(|_| usage(h))).collect::<Result<_, _>>()?,
            authors: self.authors.iter().map(author).collect::<Result<_, _>>()?,
            types: self.types.clone(),
            tags: self.tags.iter().map(tag).collect::<Result<_, _>>()?,
            after_seq: self.after,
            before_seq: self.before,
            ..Filter::all()
        })
    }
}

/// Runs it.
pub fn run(query: &Query, context: &Context) -> Result<(), Failure> {
    let filter = Filter { limit: Some(query.limit), reverse: query.reverse, ..query.choice.filter(context)? };
    let enclave = context.visit()?;
    if !query.all {
        let page = enclave.query(&filter)?;
        page.events.iter().try_for_each(|event| show_event(context.out, event))?;
        return match page.next {
            Some(next) => {
                context.out.line(format!("more remain: --{} {next}", if query.reverse { "before" } else { "after" }))
            }
            None => Ok(()),
        };
    }
    for page in enclave.pages(&filter) {
        page?.iter().try_for_each(|event| show_event(context.out, event))?;
    }
    Ok(())
}
