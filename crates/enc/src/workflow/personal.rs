//! The personal workflow: one's own record, public and private entries, proofs.

use super::checks::{Fault, Verdict, demand, demand_refusal, wrong};
use super::place::{Place, commit, refused, somebody, texts, with_trait};
use crate::receiver::Receiver;
use client::push::delivered_seqs;
use client::reading::content_of;
use client::{Enclave, Error, Filter, Identity, Node, Template};
use protocol::cbor::sha256;
use protocol::commit::Draft;
use protocol::push::Payload;
use protocol::state::StateName;
use protocol::{Code, CommitHash, EnclaveId, Event, EventHash, Json, Receipt};
use std::collections::BTreeMap;
use std::time::Duration;
use tlog::vkey::Vkey;

/// How long a delivery may take.
const DELIVERY_WAIT: Duration = Duration::from_secs(20);

/// Who takes part, and where.
pub struct Personal {
    place: Place,
    outsider: Identity,
    receiver: Identity,
    remote: bool,
}

type Check = fn(&mut Personal) -> Verdict;

/// The checks in order.
pub const CHECKS: [(&str, Check); 16] = [
    ("the node answers", node_answers),
    ("two keys, and only their signatures hold", keys),
    ("an enclave from a manifest", create),
    ("its sequencer is the key that GET / names", sequencer),
    ("the Manifest is readable and gives the id", manifest),
    ("the owner commits", owner_commits),
    ("the receipt verifies and continues the log", receipt),
    ("the profile is set", profile),
    ("the profile's state proof holds", profile_proof),
    ("a private entry stays private", private_entry),
    ("an outsider is refused", outsider),
    ("a tampered hash is refused", tampered),
    ("a duplicate gets the first receipt", duplicate),
    ("push is delivered and verifies", push),
    ("the bundle closes and includes the event", inclusion),
    ("tree head, checkpoint, consistency", log),
];

impl Personal {
    /// At a node.
    pub fn new(node: &Node, remote: bool) -> Result<Personal, Error> {
        let place = Place::new(node, Template::Personal)?;
        Ok(Personal { place, outsider: somebody()?, receiver: somebody()?, remote })
    }

    fn owner(&mut self) -> Result<&Enclave, Fault> {
        self.place.owner()
    }
}

fn node_answers(personal: &mut Personal) -> Verdict {
    let place = &mut personal.place;
    let first = place.describe()?;
    let vkey = Vkey::parse(&first.heads_vkey).map_err(|error| wrong(format!("heads_vkey: {error}")));
    let again = vkey.and_then(|vkey| {
        demand(vkey.name().as_str() == format!("{}/heads", first.name), "heads_vkey is of another name")?;
        place.describe()
    });
    match again {
        Ok(again) if again.time >= first.time => Ok(format!("{} {}", first.name, first.version)),
        Ok(_) => Err(wrong("the node's clock went back")),
        Err(fault) => {
            // One of the two is wrong, and which is not known: later checks must not compare with either.
            place.forget_description();
            Err(fault)
        }
    }
}

/// Nothing but the signature stands between these commits and `enclave_not_found`.
fn keys(personal: &mut Personal) -> Verdict {
    let nowhere = EnclaveId(sha256(&personal.place.owner.public().0));
    let node = &personal.place.node;
    let exp = node.now() + client::submit::COMMIT_LIFE_MS;
    let sign = |who: &Identity| Draft::new(nowhere, "public", &Json::from("a key"), exp).sign(who.key()).into_commit();
    let (ours, theirs) = (sign(&personal.place.owner), sign(&personal.outsider));
    for commit in [&ours, &theirs] {
        demand_refusal(node.submit_unverified(commit), Code::EnclaveNotFound, Some(&commit.hash))?;
    }
    let mut crossed = ours;
    crossed.sig = theirs.sig;
    demand_refusal(node.submit_unverified(&crossed), Code::InvalidSignature, Some(&crossed.hash))?;
    Ok(format!("owner {}…, outsider {}…", short(&personal.place.owner), short(&personal.outsider)))
}

fn create(personal: &mut Personal) -> Verdict {
    let receipt = personal.place.create()?;
    demand(receipt.position.seq == 0 && receipt.position.type_seq == 0, "the Manifest is not at seq 0")?;
    Ok(format!("{}", receipt.enclave))
}

fn sequencer(personal: &mut Personal) -> Verdict {
    let sequencer = personal.place.sequencer()?;
    let info = personal.place.describe()?;
    demand(info.sequencer == sequencer, "GET / names another key than the Manifest")?;
    Ok(sequencer.hex())
}

fn manifest(personal: &mut Personal) -> Verdict {
    let sequencer = personal.place.sequencer()?;
    let owner = personal.place.owner.public();
    let enclave = personal.owner()?;
    let again = enclave.manifest_again()?;
    demand(again.sequencer == sequencer, "the answer names another sequencer")?;
    let content = Template::Personal.manifest(&sequencer, &owner).to_jcs();
    demand(content_of(&again.event).is_some_and(|served| served.to_jcs() == content), "the Manifest is another one")?;
    let id = protocol::commit::enclave_id(&owner, &again.event.content_hash(), &again.event.tags);
    demand(id == enclave.id(), "the Manifest gives another id")?;
    Ok("recomputed".into())
}

fn owner_commits(personal: &mut Personal) -> Verdict {
    let enclave = personal.owner()?;
    let content = texts([("text", "first public entry")]);
    let sent = commit(enclave, "public", &content)?;
    let stored = one_event(enclave, &Filter::by_hash(sent.receipt.hash))?;
    demand(stored == sent.event, "the stored event is not what was committed")?;
    Ok(format!("seq {}", sent.receipt.position.seq))
}

/// Every member of the receipt, by hand, and both links to its neighbours.
fn receipt(personal: &mut Personal) -> Verdict {
    let sequencer = personal.place.sequencer()?;
    let enclave = personal.owner()?;
    let (identity, node) = (enclave.me(), enclave.node().clone());
    let first = commit(enclave, "public", &texts([("text", "before")]))?;
    let second = commit(enclave, "public", &texts([("text", "after")]))?;
    let (receipt, position) = (second.receipt, second.receipt.position);
    demand(position.sequencer == sequencer, "another sequencer has signed")?;
    let event_hash = receipt.verify_signature().map_err(|fault| wrong(format!("{fault:?}")))?;
    demand(event_hash == second.event.event_hash(), "the receipt is of another event")?;
    demand(position.seq == first.receipt.position.seq + 1, "seq does not go on")?;
    demand(position.type_seq == first.receipt.position.type_seq + 1, "type_seq does not go on")?;
    demand(position.prev == first.receipt.event_hash(), "prev is not the event before")?;
    demand(Some(second.event.from) == identity, "another author")?;
    demand(position.timestamp.abs_diff(node.now()) <= client::node::CLOCK_TOLERANCE_MS, "the clocks differ")?;
    Ok(format!("seq {}, prev {}…", position.seq, &position.prev.hex()[..8]))
}

fn profile_value() -> Json {
    texts([("name", "Ada"), ("about", "keeps her own record")])
}

fn set_profile(enclave: &Enclave) -> Result<Receipt, Fault> {
    let content = Json::object([("key", Json::from("profile")), ("value", profile_value())]);
    Ok(commit(enclave, "Shared", &content)?.receipt)
}

fn profile(personal: &mut Personal) -> Verdict {
    let stranger = personal.place.of(None)?;
    let receipt = set_profile(personal.owner()?)?;
    // Anyone may read it, without a session.
    let read = one_event(&stranger, &Filter::by_hash(receipt.hash))?;
    let value = content_of(&read).and_then(|content| content.member("value").map(Json::to_jcs));
    demand(value == Some(profile_value().to_jcs()), "the profile is another one")?;
    Ok(format!("seq {}, read by a stranger", receipt.position.seq))
}

fn profile_proof(personal: &mut Personal) -> Verdict {
    let enclave = personal.owner()?;
    set_profile(enclave)?;
    enclave.close_bundle()?;
    let proven = enclave.prove_state(&StateName::Shared("profile"))?;
    let expected = sha256(profile_value().to_jcs().as_bytes());
    demand(proven.values == [Some(expected)], "the state holds another profile")?;
    demand(proven.current, "the state is not the newest")?;
    Ok(format!("after bundle {}", proven.leaf_index))
}

fn private_entry(personal: &mut Personal) -> Verdict {
    let (stranger, outsider) = (personal.place.of(None)?, personal.outsider.clone());
    let outsider = personal.place.of(Some(&outsider))?;
    let enclave = personal.owner()?;
    let sent = commit(enclave, "private", &texts([("text", "for me alone")]))?;
    let filter = Filter::by_hash(sent.receipt.hash);
    demand(one_event(enclave, &filter)? == sent.event, "the owner reads another entry")?;
    for other in [&stranger, &outsider] {
        demand(other.query(&filter)?.events.is_empty(), "somebody else reads it")?;
    }
    Ok(format!("seq {}, unseen by others", sent.receipt.position.seq))
}

fn outsider(personal: &mut Personal) -> Verdict {
    let outsider = personal.outsider.clone();
    let content = texts([("text", "not mine to say")]);
    refused(personal.owner()?, &outsider, ("public", &content), Code::Unauthorized)?;
    Ok("unauthorized".into())
}

fn tampered(personal: &mut Personal) -> Verdict {
    let owner = personal.place.owner.clone();
    let enclave = personal.owner()?;
    let signed = |text| enclave.draft("public", &texts([("text", text)])).sign(owner.key()).into_commit();
    let mut hash = signed("another hash");
    hash.hash = CommitHash(sha256(&hash.hash.0));
    let mut content = signed("what was signed");
    content.content = texts([("text", "what was not signed")]).to_jcs();
    for commit in [&hash, &content] {
        demand_refusal(enclave.node().submit_unverified(commit), Code::InvalidHash, Some(&commit.hash))?;
    }
    Ok("invalid_hash".into())
}

fn duplicate(personal: &mut Personal) -> Verdict {
    let owner = personal.place.owner.clone();
    let enclave = personal.owner()?;
    let draft = enclave.draft("public", &texts([("text", "said once")]));
    let signed = draft.sign(owner.key()).into_commit();
    let first = enclave.send(&signed)?;
    demand(!first.duplicate, "the first one was called a duplicate")?;
    match enclave.node().submit_unverified(&signed) {
        Err(Error::Refused(refusal)) => {
            demand(refusal.code == Code::Duplicate && refusal.status == 409, "refused, but not as a duplicate")?;
            demand(refusal.sentence_is_fixed(), "another sentence than the code's")?;
            demand(refusal.detail.receipt == Some(first.receipt), "another receipt than the first")?;
            Ok(format!("seq {}", first.receipt.position.seq))
        }
        Ok(_) => Err(wrong("sequenced twice")),
        Err(error) => Err(error.into()),
    }
}

fn push(personal: &mut Personal) -> Verdict {
    let (who, remote) = (personal.receiver.clone(), personal.remote);
    let receiver = personal.place.of(Some(&who))?;
    let enclave = personal.owner()?;
    commit(enclave, "Grant", &with_trait(&who, "dataview"))?;
    let endpoint = Receiver::start().map_err(|error| wrong(format!("no endpoint here: {error}")))?;
    match receiver.register_push(Some(endpoint.url())) {
        Ok(()) => {}
        Err(Error::Refused(refusal)) if remote && cannot_reach(refusal.code) && refusal.sentence_is_fixed() => {
            demand(receiver.pull(None, 0, 100)?.is_empty(), "deliveries for an endpoint that was refused")?;
            return Ok("by Pull: the node cannot reach this machine, so it has nothing to deliver".into());
        }
        Err(error) => return Err(error.into()),
    }
    let sent = commit(enclave, "public", &texts([("text", "for the subscriber")]))?;
    let body = endpoint.delivery(DELIVERY_WAIT).ok_or_else(|| wrong("nothing was delivered in 20 s"))?;
    let delivery = receiver.verify_delivery(&body, endpoint.url())?;
    demand(delivered_seqs(&delivery) == [sent.receipt.position.seq], "another event was delivered")?;
    let Payload::Events(events) = &delivery.payload else { return Err(wrong("a notice, not the event")) };
    demand(events[..] == [sent.event], "the delivered event is not what was committed")?;
    let pulled = receiver.pull(Some(endpoint.url()), 0, 100)?;
    let same = pulled.len() == 1 && pulled[0].payload == delivery.payload && pulled[0].push_seq == delivery.push_seq;
    demand(same, "Pull gives other deliveries")?;
    receiver.register_push(None)?;
    Ok(format!("seq {}, by push, and again by Pull", sent.receipt.position.seq))
}

/// How a node says that it will not, or could not, deliver to an address on this machine.
fn cannot_reach(code: Code) -> bool {
    matches!(code, Code::BadState | Code::InvalidStructure)
}

fn inclusion(personal: &mut Personal) -> Verdict {
    let enclave = personal.owner()?;
    let sent = commit(enclave, "public", &texts([("text", "to be proved")]))?;
    let head = enclave.close_bundle()?;
    let proven = enclave.prove_event(&sent.receipt)?;
    let entry = &proven.answer.entry;
    demand(entry.leaf_index + 1 == head.tree_size(), "the event is not in the bundle that was closed")?;
    let last = entry.entry.first_seq + entry.entry.count - 1;
    demand(last == sent.receipt.position.seq, "the bundle does not end with the event")?;
    Ok(format!("entry {} of {}", entry.leaf_index, proven.head.tree_size()))
}

fn log(personal: &mut Personal) -> Verdict {
    let enclave = personal.owner()?;
    commit(enclave, "public", &texts([("text", "one more")]))?;
    let older = enclave.close_bundle()?;
    let sent = commit(enclave, "public", &texts([("text", "and another")]))?;
    enclave.close_bundle()?;
    let newer = enclave.sth()?;
    demand(newer.fresh, "the tree head is stale")?;
    demand(newer.tree_size() == older.tree_size() + 1, "the log did not grow by one")?;
    enclave.prove_consistency(&older.sth, &newer.sth)?;
    let info = enclave.info()?;
    check_info(enclave, &info, newer.tree_size(), sent.receipt.position.seq)?;
    let vkey = info.log_vkey.ok_or_else(|| wrong("no log_vkey"))?;
    let checkpoint = enclave.checkpoint_by(&vkey, &newer)?;
    demand(checkpoint.tree_size == newer.tree_size(), "the checkpoint is of another size")?;
    Ok(format!("{} entries, from {}", newer.tree_size(), older.tree_size()))
}

/// What `info/enclave` says must be what the log says.
fn check_info(enclave: &Enclave, info: &client::info::EnclaveInfo, size: u64, last_seq: u64) -> Result<(), Fault> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut last: Option<EventHash> = None;
    for page in enclave.log(None) {
        for event in page? {
            *counts.entry(event.event_type.clone()).or_default() += 1;
            last = Some(event.event_hash());
        }
    }
    demand(last.is_some(), "the log is empty")?;
    let live = info.live && info.bound && info.status == "active" && info.tree_size == size;
    demand(live && info.sequencer == enclave.sequencer(), "info/enclave says something else than the log")?;
    let inside = info.inside.as_ref().ok_or_else(|| wrong("info/enclave keeps from the owner what it may see"))?;
    let same = inside.last_seq == last_seq && inside.open_events == 0 && inside.gates.is_empty();
    demand(same && inside.counts.iter().cloned().eq(counts), "info/enclave counts something else than the log")
}

fn one_event(enclave: &Enclave, filter: &Filter) -> Result<Event, Fault> {
    let page = enclave.query(filter)?;
    match <[Event; 1]>::try_from(page.events) {
        Ok([event]) => Ok(event),
        Err(events) => Err(wrong(format!("one event was asked for, {} came", events.len()))),
    }
}

fn short(identity: &Identity) -> String {
    identity.public().hex()[..8].into()
}
