//! Finds what contradicts what, by place and by size: each statement is looked at once.

use super::{SignedHead, Statements, known_keys};
use protocol::evidence::{Contradiction, Evidence, HeadStatement};
use protocol::head::Sth;
use protocol::{Event, PublicKey, Receipt};
use std::collections::{BTreeMap, BTreeSet};

/// What the enclave's sequencers have signed against themselves: for each key and kind the first place or the least size. Only what a
/// pair proves by itself is found; what needs a proof besides is [`super::Probe`]'s to ask for.
pub fn compare(parties: &[Statements]) -> Vec<Evidence> {
    let Some(enclave) = parties.first().map(|party| party.pin().enclave()) else { return Vec::new() };
    let keys: BTreeSet<PublicKey> = parties.iter().flat_map(|party| known_keys(party.pin())).collect();
    let found = keys.into_iter().flat_map(|key| {
        let by_key = |receipt: &&Receipt| receipt.position.sequencer == key;
        let receipts: Vec<&Receipt> = parties.iter().flat_map(Statements::receipts).filter(by_key).collect();
        let heads: Vec<&SignedHead> =
            parties.iter().flat_map(Statements::heads).filter(|head| head.sequencer == key).collect();
        let migrates = parties.iter().flat_map(|party| party.pin().migrates());
        let migrates = migrates.filter(|migrate| migrate.position.sequencer == key);
        let mut found = two_histories(&receipts);
        found.extend(went_on(migrates, &receipts));
        found.extend(two_heads(&heads));
        found.extend(shrunk(&heads));
        let evidence = move |contradiction| Evidence { enclave, sequencer: key, contradiction };
        found.into_iter().map(evidence).collect::<Vec<_>>()
    });
    found.filter(|evidence| evidence.verify().is_ok()).collect()
}

/// Two events at one place; if there are none, two neighbours that do not follow each other.
fn two_histories(receipts: &[&Receipt]) -> Vec<Contradiction> {
    let mut first: BTreeMap<u64, &Receipt> = BTreeMap::new();
    let mut parted: Option<(&Receipt, &Receipt)> = None;
    for receipt in receipts {
        let seq = receipt.position.seq;
        let other = *first.entry(seq).or_insert(receipt);
        let is_earlier = parted.is_none_or(|(known, _)| seq < known.position.seq);
        if is_earlier && other.event_hash() != receipt.event_hash() {
            parted = Some((other, receipt));
        }
    }
    if let Some((a, b)) = parted {
        return vec![Contradiction::TwoEvents(Box::new(*a), Box::new(*b))];
    }
    let neighbours = first.values().zip(first.values().skip(1));
    let broken = neighbours.into_iter().find(|(earlier, later)| {
        later.position.seq == earlier.position.seq + 1 && later.position.prev != earlier.event_hash()
    });
    broken.map(|(a, b)| Contradiction::BrokenChain(Box::new(**a), Box::new(**b))).into_iter().collect()
}

/// Anything right after a Migrate.
fn went_on<'a>(migrates: impl Iterator<Item = &'a Event>, receipts: &[&Receipt]) -> Option<Contradiction> {
    let mut migrates: Vec<&Event> = migrates.collect();
    migrates.sort_by_key(|migrate| migrate.position.seq);
    migrates.into_iter().find_map(|migrate| {
        let later = receipts.iter().find(|receipt| receipt.position.seq == migrate.position.seq + 1)?;
        Some(Contradiction::AfterMigrate(Box::new(migrate.clone()), Box::new(**later)))
    })
}

/// Two roots of one size: of STHs, of checkpoints, and where neither has any, of one and the other.
fn two_heads(heads: &[&SignedHead]) -> Vec<Contradiction> {
    let (sths, checkpoints): (Vec<&SignedHead>, Vec<&SignedHead>) =
        heads.iter().partition(|head| matches!(head.statement, HeadStatement::Sth(_)));
    let alike: Vec<Contradiction> = [first_parted(&sths), first_parted(&checkpoints)].into_iter().flatten().collect();
    if alike.is_empty() { first_parted(heads).into_iter().collect() } else { alike }
}

fn first_parted(heads: &[&SignedHead]) -> Option<Contradiction> {
    let mut first: BTreeMap<u64, &SignedHead> = BTreeMap::new();
    let mut parted: Option<(&SignedHead, &SignedHead)> = None;
    for head in heads {
        let other = *first.entry(head.tree_size).or_insert(head);
        let is_smaller = parted.is_none_or(|(known, _)| head.tree_size < known.tree_size);
        if is_smaller && other.root != head.root {
            parted = Some((other, head));
        }
    }
    let statement = |head: &SignedHead| Box::new(head.statement.clone());
    parted.map(|(a, b)| Contradiction::TwoHeads(statement(a), statement(b)))
}

/// A log that is smaller at a later time.
fn shrunk(heads: &[&SignedHead]) -> Option<Contradiction> {
    let mut sths: Vec<&Sth> = heads.iter().filter_map(|head| head.statement.sth()).collect();
    sths.sort_by_key(|sth| (sth.timestamp, sth.tree_size));
    let mut largest: Option<&Sth> = None;
    for sth in sths {
        match largest {
            Some(before) if sth.tree_size < before.tree_size && before.timestamp < sth.timestamp => {
                return Some(Contradiction::Shrunk(Box::new(*before), Box::new(*sth)));
            }
            Some(before) if sth.tree_size < before.tree_size => {}
            Some(_) | None => largest = Some(sth),
        }
    }
    None
}
