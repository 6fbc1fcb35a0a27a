//! What readers ask a node, and whether an answer proves what it must.

use crate::node::Node;
use crate::people;
use crate::request::{self, Request};
use anyhow::{Context, anyhow, ensure};
use merkle::Hash;
use merkle::log::{NodeId, Nodes};
use protocol::head::{Sth, VerifiedSth};
use protocol::json::{self, MAX_DEPTH};
use protocol::proof::{BundleAnswer, ConsistencyAnswer, InclusionAnswer, StateAnswer};
use protocol::schnorr::KeyPair;
use protocol::state::{StateName, namespace};
use protocol::{EnclaveId, Event, Json, PublicKey};
use std::collections::{BTreeMap, BTreeSet};

/// Different requests of a kind: so many events, keys or sizes are asked about.
const POOL: u64 = 1024;
/// Events of a measured query.
pub const PAGE: u64 = 100;

/// Different values of the tag by which events are asked for.
pub const TOPICS: u64 = 50;
/// From this many events on each of our queries finds a whole page.
const ALL_PAGES_FULL: u64 = 10_000;

/// A kind of question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The newest signed tree head.
    Sth,
    /// That an event is in the log.
    Inclusion,
    /// That an event is in its bundle.
    Bundle,
    /// What an identity is.
    State,
    /// That the log continues a smaller one.
    Consistency,
    /// A hundred events by an index.
    Query(By),
}

/// What a query goes by; all but ids and hashes begin at a random place of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A range of places.
    Seq,
    /// From a time on.
    Timestamp,
    /// One of two types.
    Type,
    /// One of the authors.
    From,
    /// One of fifty tags.
    Tag,
    /// A hundred ids.
    Id,
    /// A hundred commit hashes.
    Hash,
}

impl Kind {
    /// As a table shows it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Sth => "STH",
            Kind::Inclusion => "inclusion proof",
            Kind::Bundle => "bundle proof",
            Kind::State => "state proof",
            Kind::Consistency => "consistency proof",
            Kind::Query(By::Seq) => "100 events by seq",
            Kind::Query(By::Timestamp) => "100 events by timestamp",
            Kind::Query(By::Type) => "100 events by type",
            Kind::Query(By::From) => "100 events by author",
            Kind::Query(By::Tag) => "100 events by tag",
            Kind::Query(By::Id) => "100 events by id",
            Kind::Query(By::Hash) => "100 events by hash",
        }
    }
}

/// A reader of one enclave, with what it knows of its log.
pub struct Reader {
    enclave: EnclaveId,
    sequencer: PublicKey,
    identity: PublicKey,
    session: String,
    head: VerifiedSth,
    size: u64,
    /// Events from all over the log's closed bundles, verified.
    events: Vec<Event>,
}

impl Reader {
    /// Learns an enclave that holds `size` events in closed bundles, as the member with this key.
    pub fn learn(node: &Node, enclave: EnclaveId, member: &KeyPair, size: u64) -> anyhow::Result<Reader> {
        let sequencer = node.sequencer();
        let sth = Sth::from_json(node.ask_json(&request::get(&enclave, "sth"))?).map_err(rejected)?;
        let head = sth.verify_for(&enclave, &sequencer).map_err(|error| anyhow!("the STH does not hold: {error:?}"))?;
        let session = people::session(member, &sequencer);
        let mut reader =
            Reader { enclave, sequencer, identity: member.public(), session, head, size, events: Vec::new() };
        let wanted: Vec<u64> = (0..POOL.min(size)).map(|place| scatter(place) % size).collect();
        for seqs in wanted.chunks(PAGE as usize) {
            let list: Vec<String> = seqs.iter().map(u64::to_string).collect();
            let body = node.ask(&reader.query(&format!(r#"{{"seq":[{}]}}"#, list.join(","))))?;
            reader.events.extend(reader.read_events(&body)?);
        }
        Ok(reader)
    }

    /// Different requests of a kind.
    pub fn requests(&self, kind: Kind) -> Vec<Request> {
        let (path, from) = (format!("/{}", self.enclave), self.asker());
        let about =
            |action: &str, members: &str| request::post(&format!("{path}/{action}"), &format!("{{{from},{members}}}"));
        let ids = |event: &Event| format!(r#""event_id":"{}""#, event.id);
        match kind {
            Kind::Sth => vec![request::get(&self.enclave, "sth")],
            Kind::Inclusion => self.events.iter().map(|event| about("inclusion", &ids(event))).collect(),
            Kind::Bundle => self.events.iter().map(|event| about("bundle", &ids(event))).collect(),
            Kind::State => (0..people::AUTHORS)
                .map(|number| {
                    let key = people::key(number).public();
                    about("state", &format!(r#""namespace":{},"key":"{key}""#, namespace::RBAC))
                })
                .collect(),
            Kind::Consistency => {
                let to = self.head.sth().tree_size;
                let ask = |from| request::get(&self.enclave, &format!("consistency?from={from}&to={to}"));
                (1..=to.min(POOL)).map(ask).collect()
            }
            Kind::Query(by) => (0..POOL).map(|number| self.query(&self.filter(by, number))).collect(),
        }
    }

    /// Checks an answer to `requests(kind)[number]` as a client would.
    pub fn check(&self, node: &Node, kind: Kind, number: usize, body: &[u8]) -> anyhow::Result<()> {
        match kind {
            Kind::Sth => self.verify_head(Sth::from_json(parse(body)?).map_err(rejected)?).map(drop),
            Kind::Inclusion => self.check_inclusion(&self.events[number], body).map(drop),
            Kind::Bundle => {
                let event = &self.events[number];
                let whole = request::post(
                    &format!("/{}/inclusion", self.enclave),
                    &format!(r#"{{{},"event_id":"{}"}}"#, self.asker(), event.id),
                );
                let proved = self.check_inclusion(event, &node.ask(&whole)?)?;
                let answer = BundleAnswer::from_json(parse(body)?).map_err(rejected)?;
                let (leaf, entry) = (proved.entry.leaf_index, &proved.entry.entry);
                answer.verify(&event.receipt(), &self.sequencer, leaf, entry).map_err(unproved)
            }
            Kind::State => {
                let answer = StateAnswer::from_json(parse(body)?).map_err(rejected)?;
                let head = self.verify_head(answer.sth)?;
                let member = people::key(number as u64).public();
                let proved = answer.verify(&[StateName::Identity(&member)], &head).map_err(unproved)?;
                ensure!(proved.values[0].is_some(), "a member is proved absent");
                Ok(())
            }
            Kind::Consistency => {
                let answer = ConsistencyAnswer::from_json(parse(body)?).map_err(rejected)?;
                let (from, sth) = (number as u64 + 1, self.head.sth());
                let older = self.tree(node, from)?;
                merkle::log::verify_consistency(from, sth.tree_size, &answer.path, &older, &sth.root_hash)
                    .map_err(|error| anyhow!("the log does not continue: {error:?}"))
            }
            Kind::Query(_) => {
                let events = self.read_events(body)?;
                let found = events.len() as u64;
                ensure!(found == PAGE || (found > 0 && self.size < ALL_PAGES_FULL), "{found} events, not {PAGE}");
                Ok(())
            }
        }
    }

    /// Asks for the first of the kept events and checks the proof: what a client does before anything else.
    pub fn first_proof(&self, node: &Node) -> anyhow::Result<()> {
        let requests = self.requests(Kind::Inclusion);
        let body = node.ask(requests.first().context("an event is known")?)?;
        self.check(node, Kind::Inclusion, 0, &body)
    }

    fn asker(&self) -> String {
        format!(r#""from":"{}","session":"{}""#, self.identity, self.session)
    }

    fn query(&self, filter: &str) -> Request {
        let (enclave, asker) = (&self.enclave, self.asker());
        request::post("/", &format!(r#"{{"type":"Query","enclave":"{enclave}",{asker},"filter":{filter}}}"#))
    }

    fn filter(&self, by: By, number: u64) -> String {
        let event = &self.events[number as usize % self.events.len()];
        // In the first quarter of the log: a hundred events follow, also where one in sixty-four is meant.
        let start = 1 + scatter(number) % (self.size / 4).max(1);
        let place = format!(r#""seq":{{"start_at":{start}}},"limit":{PAGE}"#);
        let many = |name: &str, value: fn(&Event) -> String| {
            let (mut values, mut text) = (BTreeSet::new(), Vec::new());
            let events = self.events.iter().cycle().skip(number as usize % self.events.len()).take(self.events.len());
            for value in events.map(value) {
                if text.len() == PAGE as usize {
                    break;
                }
                // An event may have been picked twice; the node answers it once.
                if values.insert(value.clone()) {
                    text.push(format!("\"{value}\""));
                }
            }
            format!(r#"{{"{name}":[{}],"limit":{PAGE}}}"#, text.join(","))
        };
        match by {
            By::Seq => format!("{{{place}}}"),
            By::Timestamp => {
                let first = self.events.iter().min_by_key(|event| event.position.seq.abs_diff(start));
                let time = first.unwrap_or(event).position.timestamp;
                format!(r#"{{"timestamp":{{"start_at":{time}}},"limit":{PAGE}}}"#)
            }
            By::Type => format!(r#"{{"type":"{}",{place}}}"#, ["message", "note"][number as usize % 2]),
            By::From => format!(r#"{{"from":"{}",{place}}}"#, people::key(number % people::AUTHORS).public()),
            By::Tag => format!(r#"{{"tags":[["topic","{}"]],{place}}}"#, number % TOPICS),
            By::Id => many("id", |event| event.id.hex()),
            By::Hash => many("hash", |event| event.hash.hex()),
        }
    }

    fn check_inclusion(&self, event: &Event, body: &[u8]) -> anyhow::Result<InclusionAnswer> {
        let answer = InclusionAnswer::from_json(parse(body)?).map_err(rejected)?;
        let head = self.verify_head(answer.sth)?;
        answer.verify_event(&event.receipt(), &self.sequencer, &head).map_err(unproved)?;
        Ok(answer)
    }

    fn verify_head(&self, sth: Sth) -> anyhow::Result<VerifiedSth> {
        let head = sth.verify_for(&self.enclave, &self.sequencer);
        head.map_err(|error| anyhow!("the STH does not hold: {error:?}"))
    }

    fn read_events(&self, body: &[u8]) -> anyhow::Result<Vec<Event>> {
        let Json::Object(members) = parse(body)? else { anyhow::bail!("a Response is an object") };
        let events = members.into_iter().find_map(|(name, value)| (name == "events").then_some(value));
        let Some(Json::Array(rows)) = events else { anyhow::bail!("a Response has events") };
        let verified = rows.into_iter().map(|row| {
            let event = Event::from_json(row).map_err(rejected)?;
            ensure!(event.enclave == self.enclave && event.position.sequencer == self.sequencer, "a foreign event");
            event.verify().map_err(|error| anyhow!("an event does not hold: {error:?}"))?;
            Ok(event)
        });
        verified.collect()
    }

    /// The root of the log's first `size` entries, from the entries themselves.
    fn tree(&self, node: &Node, size: u64) -> anyhow::Result<Hash> {
        let mut nodes = Kept::default();
        for index in 0..size {
            let ask = format!(r#"{{{},"leaf_index":{index}}}"#, self.asker());
            let body = node.ask(&request::post(&format!("/{}/inclusion", self.enclave), &ask))?;
            let answer = InclusionAnswer::from_json(parse(&body)?).map_err(rejected)?;
            let head = self.verify_head(answer.sth)?;
            let entry = answer.verify_entry(index, &head).map_err(unproved)?;
            let made = merkle::log::append(&nodes, index, entry.leaf_hash());
            nodes.0.extend(made.map_err(|error| anyhow!("the log does not grow: {error:?}"))?);
        }
        merkle::log::root(&nodes, size).map_err(|error| anyhow!("the log has no root: {error:?}"))
    }
}

#[derive(Default)]
struct Kept(BTreeMap<NodeId, Hash>);

impl Nodes for Kept {
    type Error = NodeId;

    fn node(&self, id: NodeId) -> Result<Hash, NodeId> {
        self.0.get(&id).copied().ok_or(id)
    }
}

/// A number that looks random and is the same in every run (splitmix64).
pub fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn parse(body: &[u8]) -> anyhow::Result<Json> {
    json::parse(body, MAX_DEPTH).map_err(|error| anyhow!("the answer is no JSON: {error:?}"))
}

fn rejected(rejection: protocol::Rejection) -> anyhow::Error {
    anyhow!("the answer has not its shape: {rejection:?}")
}

fn unproved(error: protocol::proof::ProofError) -> anyhow::Error {
    anyhow!("the answer proves nothing: {error:?}")
}
