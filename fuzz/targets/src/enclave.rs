//! A node in memory with one enclave that holds something of everything, and what inputs may call by a name.

use crate::node::{World, id, json, key};
use protocol::snapshot::Snapshot;
use protocol::{EnclaveId, Event, Json};
use service::Call;
use service::call::{Action, Claim};

/// Anyone reads and writes notes; members vote, hold slots and come and go.
const MANIFEST: &str = r#"{"enc_v":2,"sequencer":"SEQ","bundle":{"size":4,"timeout":3600000},"RBAC":{
    "states":["MEMBER"],"traits":["owner(0)","muted(1)"],
    "readers":[{"type":"Public","reads":"*"}],
    "moves":[{"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":"Self","ops":["C"]},
             {"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":["Self","owner"],"ops":["C"]}],
    "grants":[{"event":"Grant","operator":["owner"],"scope":["MEMBER"],"trait":["muted"]},
              {"event":"Revoke","operator":["owner"],"scope":["MEMBER"],"trait":["muted"]}],
    "slots":[{"event":"Own","operator":"Self","ops":["C","U","D"],"key":"profile"},
             {"event":"Shared","operator":"MEMBER","ops":["C","U","D"],"key":"topic"}],
    "lifecycle":[{"event":"Pause","operator":["owner"],"ops":["C"]},{"event":"Resume","operator":["owner"],"ops":["C"]}],
    "customs":[{"event":"note","operator":["MEMBER","Public"],"ops":["C","R","N","P"]},
               {"event":"note","operator":"Sender","ops":["U","D"]},
               {"event":"vote","operator":"MEMBER","ops":["C","R"]},
               {"event":"vote","operator":"muted","ops":["_C"]}],
    "init":[{"identity":"@alice","state":"MEMBER","traits":["owner"]}]}}"#;

/// How many events the enclave has.
pub(crate) const SAMPLE_EVENTS: usize = 15;

/// The node, its enclave, and what was written there.
pub(crate) struct Sample {
    pub(crate) node: World,
    pub(crate) enclave: EnclaveId,
    pub(crate) events: Vec<Event>,
    pub(crate) file: Vec<u8>,
    names: Vec<(&'static str, String)>,
}

thread_local! {
    static SAMPLE: Sample = Sample::make();
}

/// Runs something on the node and puts every row back.
pub(crate) fn rehearse<T>(work: impl FnOnce(&Sample) -> T) -> T {
    SAMPLE.with(|sample| {
        let node = &sample.node;
        let outcome = node.rehearse(|| work(sample));
        node.fetches.borrow_mut().clear();
        node.alarms.borrow_mut().clear();
        node.signed.borrow_mut().clear();
        node.checkpoints.borrow_mut().clear();
        outcome
    })
}

/// The whole log of an enclave as its operator may take it.
pub(crate) fn snapshot(node: &World, enclave: &EnclaveId) -> Vec<u8> {
    let call = Call { enclave: Some(*enclave), claim: Claim::Admin, action: Action::Snapshot };
    node.call(&call).expect(200).body.clone()
}

impl Sample {
    fn make() -> Sample {
        let node = World::new();
        let enclave = node.begin(&json(MANIFEST));
        let say = |author: &str, event_type: &str, content: &str, tags: &[&[&str]]| {
            node.pass(700).say(&enclave, author, event_type, content, tags).receipt().id.hex()
        };
        let first = say("alice", "note", r#"{"n":-5,"t":"é\u0001","l":[true,false,null]}"#, &[&["k", "v"], &["k"]]);
        say("bob", "Move", r#"{"target":"@bob","to":"MEMBER"}"#, &[]);
        say("bob", "Own", r#"{"key":"profile","value":"Bob"}"#, &[]);
        say("alice", "Update", r#""again""#, &[&["r", &first]]);
        say("bob", "vote", "1", &[&["k", "w"]]);
        say("alice", "Grant", r#"{"target":"@bob","trait":"muted"}"#, &[]);
        say("bob", "Shared", r#"{"key":"topic","value":{"a":[1]}}"#, &[]);
        let second = say("carol", "note", r#""short-lived""#, &[&["k", "v"]]);
        say("carol", "Delete", "null", &[&["r", &second]]);
        say("alice", "Revoke", r#"{"target":"@bob","trait":"muted"}"#, &[]);
        say("bob", "vote", "2", &[]);
        let both = r#"{"ops":[{"type":"Grant","content":{"target":"@bob","trait":"muted"}},
            {"type":"Revoke","content":{"target":"@bob","trait":"muted"}}]}"#;
        say("alice", "AC_Bundle", both, &[]);
        say("bob", "Move", r#"{"target":"@bob","to":"OUTSIDER"}"#, &[]);
        say("dave", "note", r#""stays open""#, &[]);
        let file = snapshot(&node, &enclave);
        let read = Snapshot::read(&file).expect("a node's own file");
        let events: Vec<Event> = read.events().collect::<Result<_, _>>().expect("a node's own events");
        assert_eq!(events.len(), SAMPLE_EVENTS);
        let names = names(&node, &enclave, &events);
        Sample { node, enclave, events, file, names }
    }

    /// Puts in what stands in braces, so that an input need not hold keys and signatures: `{E}`, `{alice}`, `{alice.session}` and more.
    pub(crate) fn fill(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

fn names(node: &World, enclave: &EnclaveId, events: &[Event]) -> Vec<(&'static str, String)> {
    let token = |name: &str| match node.session(name) {
        Claim::Session { token, .. } => token,
        Claim::Stranger | Claim::Admin | Claim::Envelope { .. } => unreachable!("a session is one"),
    };
    let commit = |author: &str, event_type: &str, content: &str| {
        node.sign(enclave, author, event_type, &json(content)).commit().to_json().to_jcs()
    };
    let other = json(&MANIFEST.replace("\"vote\"", "\"poll\""));
    let manifest = protocol::commit::Draft::manifest(&key("erin"), &other, vec![], node.now.get() + 60_000);
    vec![
        ("{E}", enclave.hex()),
        ("{alice}", id("alice").hex()),
        ("{bob}", id("bob").hex()),
        ("{alice.session}", token("alice")),
        ("{bob.session}", token("bob")),
        ("{node}", node.facts.sequencer.hex()),
        ("{event}", events[1].id.hex()),
        ("{hash}", events[1].hash.hex()),
        ("{note}", commit("erin", "note", "\"a note\"")),
        ("{vote}", commit("erin", "vote", "3")),
        ("{pause}", commit("alice", "Pause", "{}")),
        ("{stored}", stored(&events[5])),
        ("{manifest}", manifest.sign(&key("erin")).commit().to_json().to_jcs()),
    ]
}

/// The commit that an event was made of.
fn stored(event: &Event) -> String {
    let Ok(verified) = event.verified() else { unreachable!("the node's own event") };
    Json::to_jcs(&verified.commit().to_json())
}
