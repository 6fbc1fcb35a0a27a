//! One node, one enclave with a bit of everything in it, the people in it, and the two ways in which an answer is judged.

use conformance::encd::Encd;
pub use conformance::hall::{CALM, hall};
use conformance::people::{json, key, now, token};
use conformance::tables::{Tables, difference};
use conformance::wire::{self, Answer, Ask};
use protocol::commit::Draft;
use protocol::schnorr::KeyPair;
use protocol::{Code, Commit, EnclaveId, Json, Receipt};
use std::path::Path;
use tempfile::TempDir;

/// The operator's token, where a node has one.
pub const ADMIN_TOKEN: &str = "a token that only the operator knows";

/// A node and an enclave.
pub struct World {
    pub node: Encd,
    pub enclave: EnclaveId,
    pub tables: Tables,
    pub alice: KeyPair,
    pub bob: KeyPair,
    pub carol: KeyPair,
    pub dave: KeyPair,
    pub stranger: KeyPair,
    pub folder: TempDir,
    config: String,
}

/// What a refusal must say beside its code and sentence.
pub type Extra<'a> = &'a [(&'a str, Json)];

impl World {
    /// A node that takes an admin token and pushes to this machine, with the hall.
    pub fn new() -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let token = folder.path().join("admin-token");
        std::fs::write(&token, ADMIN_TOKEN).expect("the folder is writable");
        let config = format!("[admin]\ntoken_file = \"{}\"\n[outbound]\nallow_loopback = true\n", token.display());
        World::in_folder(folder, &config).with_hall()
    }

    /// A node with this configuration and no enclave.
    pub fn configured(config: &str) -> World {
        World::in_folder(tempfile::tempdir().expect("a temporary folder"), config)
    }

    fn in_folder(folder: TempDir, config: &str) -> World {
        let node = Encd::start(folder.path(), config);
        let tables = Tables::open(node.folder());
        let [alice, bob, carol, dave, stranger] = [1, 2, 3, 4, 5].map(key);
        let (enclave, config) = (EnclaveId([0; 32]), config.to_owned());
        World { node, enclave, tables, alice, bob, carol, dave, stranger, folder, config }
    }

    /// The same with the hall.
    pub fn with_hall(mut self) -> World {
        self.enclave = self.create("hall", CALM);
        self
    }

    /// Kills the node, lets `meddle` at its data folder, and starts it again.
    pub fn restart(&mut self, meddle: impl FnOnce(&Path)) {
        self.node.kill();
        meddle(self.node.folder());
        self.node = Encd::start(self.folder.path(), &self.config);
        self.tables = Tables::open(self.node.folder());
    }

    /// The Manifest of an enclave with a bit of everything: alice owns it, bob is a member, carol an admin, dave gets pushes.
    pub fn manifest(&self, nonce: &str, bundle: &str) -> Commit {
        let content = hall(&self.node.sequencer, bundle, [&self.alice, &self.bob, &self.carol, &self.dave]);
        let tags = vec![vec!["nonce".to_owned(), nonce.to_owned()]];
        Draft::manifest(&self.alice, &content, tags, now() + 60_000).sign(&self.alice).into_commit()
    }

    /// Makes one more such enclave.
    pub fn create(&self, nonce: &str, bundle: &str) -> EnclaveId {
        let manifest = self.manifest(nonce, bundle);
        self.submit(&manifest);
        manifest.enclave
    }

    /// A draft in the hall.
    pub fn draft(&self, event_type: &str, content: &str) -> Draft {
        Draft::new(self.enclave, event_type, &json(content), now() + 60_000)
    }

    /// A commit in the hall.
    pub fn commit(&self, author: &KeyPair, event_type: &str, content: &str) -> Commit {
        self.draft(event_type, content).sign(author).into_commit()
    }

    /// The request that submits a commit.
    pub fn submitting(commit: &Commit) -> Ask {
        Ask::post("/", commit.to_json().to_jcs())
    }

    /// A commit that must be taken.
    pub fn submit(&self, commit: &Commit) -> Receipt {
        let answer = self.ask(&World::submitting(commit));
        assert_eq!(answer.status, 200, "{} is taken: {}", commit.event_type, answer.text());
        let receipt = Receipt::from_json(answer.json()).expect("a receipt");
        receipt.verify(commit, &receipt.position.sequencer).expect("the receipt holds");
        receipt
    }

    /// Signs and submits in the hall.
    pub fn say(&self, author: &KeyPair, event_type: &str, content: &str) -> Receipt {
        self.submit(&self.commit(author, event_type, content))
    }

    /// Closes the open bundle.
    pub fn close(&self) {
        let answer = self.ask(&Ask::post(&self.path("close-bundle"), self.by(&self.alice, "")));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Sends a request to the node.
    pub fn ask(&self, ask: &Ask) -> Answer {
        wire::ask(&self.node.address, ask)
    }

    /// A path in the hall.
    pub fn path(&self, action: &str) -> String {
        format!("/enclaves/{}/{action}", self.enclave)
    }

    /// `{from, session, …}` for somebody, as a body.
    pub fn by(&self, who: &KeyPair, members: &str) -> String {
        let comma = if members.is_empty() { "" } else { "," };
        format!(r#"{{"from":"{}","session":"{}"{comma}{members}}}"#, who.public(), self.token(who))
    }

    /// The same for a body of `POST /` that names the hall.
    pub fn asking(&self, who: &KeyPair, members: &str) -> String {
        self.by(who, &format!(r#""enclave":"{}",{members}"#, self.enclave))
    }

    /// A session for the node's own key.
    pub fn token(&self, who: &KeyPair) -> String {
        token(who, &self.node.sequencer, now())
    }

    /// The two headers of somebody's GET.
    pub fn signed(&self, ask: Ask, who: &KeyPair) -> Ask {
        ask.header("X-Enc-From", &who.public().hex()).header("X-Enc-Session", &self.token(who))
    }

    /// JSON of an answer that must be 200.
    pub fn accepted(&self, what: &str, ask: &Ask) -> Json {
        let answer = self.ask(ask);
        assert_eq!(answer.status, 200, "{what}: {} {}: {}", ask.method, ask.target, answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
        answer.json()
    }

    /// A request that must be refused with this status and code, with exactly these further members, and change nothing: no row of
    /// any table, no tree head, no `seq`.
    pub fn refused(&self, what: &str, ask: &Ask, (status, code): (u16, Code), extra: Extra<'_>) -> Answer {
        let heads = self.heads();
        let before = self.tables.dump();
        let answer = self.ask(ask);
        let changed = difference(&before, &self.tables.dump());
        check_refusal(what, &answer, (status, code), extra);
        assert!(changed.is_empty(), "{what}: a refused request has changed rows\n{changed}");
        assert_eq!(heads, self.heads(), "{what}: the head and the last seq stand");
        answer
    }

    /// A commit that must be refused with its code's own status.
    pub fn refused_commit(&self, what: &str, commit: &Commit, code: Code, extra: Extra<'_>) -> Answer {
        self.refused(what, &World::submitting(commit), (code.status(), code), extra)
    }

    /// The tree head and the last place of the hall, as a member is told.
    fn heads(&self) -> [String; 2] {
        if self.enclave == EnclaveId([0; 32]) {
            return [String::new(), String::new()];
        }
        let info = self.signed(Ask::get(&self.path("info/enclave")), &self.alice);
        [self.ask(&Ask::get(&self.path("sth"))).text(), self.ask(&info).text()]
    }
}

/// A number that differs from run to run.
pub fn any_number() -> Json {
    Json::from("any number")
}

/// Status, code, fixed sentence, exactly the further members, and the headers that a refusal has.
pub fn check_refusal(what: &str, answer: &Answer, (status, code): (u16, Code), extra: Extra<'_>) {
    let said = answer.text();
    assert_eq!(answer.status, status, "{what}: {said}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}: {said}");
    let value = answer.json();
    let mut expected = vec![("error", Json::from(code.as_str())), ("message", Json::from(code.message()))];
    for (name, wanted) in extra {
        let free = *wanted == any_number() && value.member(name).and_then(Json::as_uint).is_some();
        expected.push((name, if free { member(&value, name).clone() } else { wanted.clone() }));
    }
    assert_eq!(value.to_jcs(), Json::object(expected).to_jcs(), "{what}");
    let waits = matches!(code, Code::Overloaded | Code::RateLimited);
    assert_eq!(answer.header("retry-after").is_some(), waits, "{what}: Retry-After");
    assert_eq!(answer.header("allow").is_some(), status == 405, "{what}: Allow");
}

/// A member of an object, which must be there.
pub fn member<'a>(value: &'a Json, name: &str) -> &'a Json {
    value.member(name).unwrap_or_else(|| panic!("{name} in {}", value.to_jcs()))
}

/// A number in an object.
pub fn number(value: &Json, name: &str) -> u64 {
    member(value, name).as_uint().unwrap_or_else(|| panic!("{name} is a number in {}", value.to_jcs()))
}

/// A text in an object.
pub fn text<'a>(value: &'a Json, name: &str) -> &'a str {
    member(value, name).as_text().unwrap_or_else(|| panic!("{name} is a text in {}", value.to_jcs()))
}

/// The elements of an array in an object.
pub fn list<'a>(value: &'a Json, name: &str) -> &'a [Json] {
    match member(value, name) {
        Json::Array(items) => items,
        other => panic!("{name} is a list, not {}", other.to_jcs()),
    }
}

/// The names of an object's members, in order.
pub fn names(value: &Json) -> Vec<&str> {
    match value {
        Json::Object(members) => members.iter().map(|(name, _)| name.as_str()).collect(),
        other => panic!("an object, not {}", other.to_jcs()),
    }
}
