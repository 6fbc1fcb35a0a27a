//! One enclave with very many events beside one with few: proofs and queries by each index.

use crate::fill;
use crate::machine;
use crate::node::{Node, Trace};
use crate::people;
use crate::questions::{By, Kind, Reader, TOPICS, scatter};
use crate::reads;
use crate::run::Run;
use crate::section::{Section, Standing};
use crate::statistics::{median, whole};
use protocol::commit::Draft;
use protocol::{Commit, EnclaveId, Json};

/// The share of the small enclave's rate that the large one must reach.
const TARGET: f64 = 0.7;
const KINDS: [Kind; 10] = [
    Kind::Inclusion,
    Kind::Bundle,
    Kind::State,
    Kind::Query(By::Seq),
    Kind::Query(By::Timestamp),
    Kind::Query(By::Type),
    Kind::Query(By::From),
    Kind::Query(By::Tag),
    Kind::Query(By::Id),
    Kind::Query(By::Hash),
];

/// Measures an enclave with `small` events and one with `large` on the same node.
pub fn measure(run: &Run, small: u64, large: u64) -> anyhow::Result<Standing> {
    let options = format!("--small {small} --size {large}");
    let mut section = Section::begin("events", "One enclave with many events", run, &options);
    let node = Node::start(&run.encd, Trace::Off, "")?;
    let ids = fill::enclaves(&node, 2)?;
    let (mut readers, mut rates) = (Vec::new(), Vec::new());
    for (enclave, size) in ids.iter().zip([small, large]) {
        let authors = people::authors();
        let rate =
            fill::fill(&node, size, |number| tagged(*enclave, &authors[number as usize % authors.len()], number))?;
        fill::close_bundle(&node, enclave)?;
        eprintln!("{} events at {}/s", whole(size as f64), whole(rate));
        readers.push(Reader::learn(&node, *enclave, &authors[1], size)?);
        rates.push(rate);
    }
    section.say(&format!(
        "{} and {} events, by `POST /commits` ({}/s and {}/s), in two enclaves of one node. Events have one of two types, one of {} authors \
         and one of {TOPICS} tags; queries but those by id and hash begin at random places of the log. Some answers were verified.",
        whole(small as f64),
        whole(large as f64),
        whole(rates[0]),
        whole(rates[1]),
        people::AUTHORS
    ));
    let mut found = vec![[Vec::new(), Vec::new()]; KINDS.len()];
    for round in 1..=run.rounds {
        for (kind, found) in KINDS.iter().zip(&mut found) {
            for ((reader, size), found) in readers.iter().zip([small, large]).zip(found) {
                let (outcome, _) = reads::ask(&node, reader, *kind, run)?;
                eprintln!("round {round}: {} of {size}: {}/s", kind.name(), whole(outcome.rate()));
                found.push(outcome.rate());
            }
        }
    }
    let mut least = f64::INFINITY;
    let rows = KINDS.iter().zip(&found).map(|(kind, [few, many])| {
        let ratio = median(many) / median(few);
        least = least.min(ratio);
        vec![kind.name().into(), whole(median(few)), whole(median(many)), format!("{ratio:.2}")]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let head = [
        "what",
        &format!("{}: answers/s", whole(small as f64)),
        &format!("{}: answers/s", whole(large as f64)),
        "ratio",
    ];
    section.table(&head, &rows);
    section.say(&format!("Medians of {} rounds; load average at their end {}.", run.rounds, machine::load()));
    let measured = format!("{least:.2} at least");
    section.judge(&format!("each at {TARGET} of the small enclave's rate or more"), &measured, least >= TARGET);
    section.end(run)
}

fn tagged(enclave: EnclaveId, author: &protocol::schnorr::KeyPair, number: u64) -> Commit {
    let content = Json::object([("n", Json::from(number))]);
    let event_type = ["message", "note"][number as usize % 2];
    let mut draft = Draft::new(enclave, event_type, &content, people::expiry());
    // Not in step with the authors and types, so that each pair of them occurs.
    draft.tags = vec![vec!["topic".into(), (scatter(number) % TOPICS).to_string()]];
    draft.sign(author).into_commit()
}
