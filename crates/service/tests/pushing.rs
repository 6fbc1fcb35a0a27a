//! Push: who may register, what is delivered and in which order, what becomes of endpoints that fail.

use crate::world::{Ask, START, World, done, id, json, key, template};
use protocol::push::{Payload, SignedDelivery};
use protocol::verify::Sequencers;
use protocol::{EnclaveId, Json};
use serde_json::Value;
use service::Call;
use service::call::{Action, Outcome, Pull};
use service::endpoint::{MAX_PER_ENCLAVE, MAX_PER_IDENTITY};
use service::push::MAX_RETRIES;
use service::runtime::{Fetch, FetchId, Fetched};

const URL: &str = "https://push.example/in";

/// Members write and are pushed notes and told of hints; `watch` is pushed both, `peek` told of both.
const MANIFEST: &str = r#"{"enc_v":2,"sequencer":"SEQ","bundle":{"size":4,"timeout":5000},"RBAC":{
    "states":["MEMBER"],"traits":["owner(0)","watch(1)","peek(2)"],
    "readers":[{"type":"MEMBER","reads":"*"}],
    "moves":[{"event":"Move","from":"OUTSIDER","to":"MEMBER","operator":"owner","ops":["C"]},
             {"event":"Move","from":"MEMBER","to":"OUTSIDER","operator":["Self","owner"],"ops":["C"]}],
    "grants":[{"event":"Grant","operator":["owner"],"scope":["MEMBER","OUTSIDER"],"trait":["watch","peek"]},
              {"event":"Revoke","operator":["owner"],"scope":["MEMBER","OUTSIDER"],"trait":["watch","peek"]}],
    "slots":[{"event":"Shared","key":"topic","operator":"owner","ops":["C","U","D"]},
             {"event":"Shared","key":"motto","operator":"owner","ops":["C","U","D"]},
             {"event":"Shared","key":"topic","operator":"watch","ops":["P"]}],
    "customs":[{"event":"note","operator":"MEMBER","ops":["C","U","D"]},{"event":"hint","operator":"MEMBER","ops":["C"]},
               {"event":"dull","operator":"MEMBER","ops":["C"]},
               {"event":"note","operator":"watch","ops":["P"]},{"event":"note","operator":"peek","ops":["N"]},
               {"event":"hint","operator":["watch","peek"],"ops":["N"]}],
    "init":[{"identity":"@alice","state":"MEMBER","traits":["owner"]}]}}"#;

fn grant(world: &World, enclave: &EnclaveId, name: &str, held: &str) {
    let content = format!(r#"{{"target":"@{name}","trait":"{held}"}}"#);
    world.say(enclave, "alice", "Grant", &content, &[]).expect(200);
}

fn revoke(world: &World, enclave: &EnclaveId, name: &str, held: &str) {
    let content = format!(r#"{{"target":"@{name}","trait":"{held}"}}"#);
    world.say(enclave, "alice", "Revoke", &content, &[]).expect(200);
}

/// Walter holds `watch`, peter `peek`.
fn world() -> (World, EnclaveId) {
    let world = World::new();
    let enclave = world.begin(&json(MANIFEST));
    grant(&world, &enclave, "walter", "watch");
    grant(&world, &enclave, "peter", "peek");
    (world, enclave)
}

fn call(world: &World, enclave: &EnclaveId, name: &str, url: Option<&str>) -> Call {
    let action = Action::Push { url: url.map(str::to_owned) };
    Call { enclave: Some(*enclave), claim: world.session(name), action }
}

fn fetches(world: &World) -> Vec<Fetch> {
    world.fetches.take()
}

/// The answer that a willing endpoint gives to its challenge.
fn echo(fetch: &Fetch) -> Fetched {
    let body: Value = serde_json::from_str(&fetch.body).expect("JSON");
    assert_eq!(body["type"], "Challenge");
    Fetched::Answer(200, format!(r#"{{"token":{}}}"#, body["token"]).into_bytes())
}

/// Registers an endpoint; the answer once the endpoint has answered so.
fn register_with(
    world: &World,
    enclave: &EnclaveId,
    name: &str,
    url: &str,
    answer: &dyn Fn(&Fetch) -> Fetched,
) -> String {
    let call = call(world, enclave, name, Some(url));
    let (topic, deadline) = match world.outcome(&call, false) {
        Outcome::Parked { topic, deadline } => (topic, deadline),
        outcome => return crate::world::Told::from(done(outcome)).word(),
    };
    assert!(deadline > world.now.get());
    let asked = fetches(world);
    assert_eq!(asked.len(), 1, "one challenge");
    assert_eq!(asked[0].url, url);
    assert_eq!(world.fetched(asked[0].id, answer(&asked[0])), [topic]);
    crate::world::Told::from(done(world.outcome(&call, true))).word()
}

fn register(world: &World, enclave: &EnclaveId, name: &str, url: &str) {
    assert_eq!(register_with(world, enclave, name, url, &echo), "ok");
}

fn note(world: &World, enclave: &EnclaveId, event_type: &str, text: &str) -> u64 {
    let content = Json::from(text).to_jcs();
    world.say(enclave, "alice", event_type, &content, &[]).receipt().position.seq
}

/// Lets the alarms ring, and takes the deliveries that go out.
fn sent(world: &World) -> Vec<(Fetch, SignedDelivery)> {
    world.ring();
    let read = |fetch: Fetch| {
        let body = protocol::json::parse(fetch.body.as_bytes(), 64).expect("JSON");
        let delivery = SignedDelivery::from_json(body).expect("a delivery");
        assert_eq!(delivery.delivery.to, fetch.url);
        (fetch, delivery)
    };
    fetches(world).into_iter().map(read).collect()
}

/// `P 3,4` or `N 5`.
fn shape(delivery: &SignedDelivery) -> String {
    match &delivery.delivery.payload {
        Payload::Events(events) => {
            let seqs: Vec<String> = events.iter().map(|event| event.position.seq.to_string()).collect();
            format!("{} P {}", delivery.delivery.push_seq, seqs.join(","))
        }
        Payload::Notify(notices) => {
            let seqs: Vec<String> = notices.iter().map(|notice| notice.seq.to_string()).collect();
            format!("{} N {}", delivery.delivery.push_seq, seqs.join(","))
        }
    }
}

/// Takes what goes out, answers it with 200, until nothing does; every delivery verifies as its receiver would.
fn drained(world: &World, enclave: &EnclaveId) -> Vec<String> {
    let mut shapes = Vec::new();
    loop {
        let out = sent(world);
        if out.is_empty() {
            return shapes;
        }
        for (fetch, delivery) in out {
            let sequencers = Sequencers::new(world.facts.sequencer);
            delivery.verify(enclave, &sequencers, &fetch.url, world.now.get()).expect("it holds");
            shapes.push(shape(&delivery));
            world.fetched(fetch.id, Fetched::Answer(204, vec![]));
        }
    }
}

fn pulled(world: &World, enclave: &EnclaveId, name: &str, pull: Pull) -> Result<Vec<String>, String> {
    let told = world.ask_as(enclave, name, Action::Pull(pull));
    if let Some(code) = told.code() {
        return Err(code);
    }
    let value = told.value();
    assert_eq!(value["type"], "Response");
    let deliveries = value["deliveries"].as_array().expect("deliveries").iter();
    let read = deliveries.map(|value| protocol::json::parse(value.to_string().as_bytes(), 64).expect("JSON"));
    let read = read.map(|value| {
        let delivery = SignedDelivery::from_json(value).expect("a delivery");
        assert_eq!(delivery.delivery.time, world.now.get(), "each Pull is signed anew");
        let sequencers = Sequencers::new(world.facts.sequencer);
        delivery.verify(enclave, &sequencers, &delivery.delivery.to, world.now.get()).expect("it holds");
        shape(&delivery)
    });
    Ok(read.collect())
}

fn all() -> Pull {
    Pull { url: None, start_after: 0, limit: 100 }
}

#[test]
fn events_for_p_and_notices_for_n() {
    let (world, enclave) = world();
    register(&world, &enclave, "walter", URL);
    register(&world, &enclave, "peter", "https://peter.example/");
    assert_eq!(drained(&world, &enclave), [""; 0], "from registration on");
    assert_eq!(note(&world, &enclave, "note", "one"), 3);
    assert_eq!(note(&world, &enclave, "dull", "two"), 4);
    assert_eq!(note(&world, &enclave, "hint", "three"), 5);
    world.say(&enclave, "alice", "Shared", r#"{"key":"motto","value":"x"}"#, &[]).expect(200);
    world.say(&enclave, "alice", "Shared", r#"{"key":"topic","value":"x"}"#, &[]).expect(200);
    let out: Vec<(String, String)> =
        sent(&world).into_iter().map(|(fetch, delivery)| (fetch.url, shape(&delivery))).collect();
    let peter = "https://peter.example/".to_owned();
    assert_eq!(out, [(URL.to_owned(), "1 P 3".to_owned()), (peter, "1 N 3,5".to_owned())]);
    assert!(sent(&world).is_empty(), "one waits behind another");
}

#[test]
fn one_waits_behind_another() {
    let (world, enclave) = world();
    register(&world, &enclave, "walter", URL);
    for (event_type, seq) in [("note", 3), ("note", 4), ("hint", 5), ("note", 6)] {
        assert_eq!(note(&world, &enclave, event_type, "x"), seq);
    }
    assert_eq!(drained(&world, &enclave), ["1 P 3,4", "2 N 5", "3 P 6"]);
    note(&world, &enclave, "note", "x");
    assert_eq!(drained(&world, &enclave), ["4 P 7"]);
    // An endpoint that has fallen silent is asked again with the same number and a new time.
    note(&world, &enclave, "note", "y");
    let first = sent(&world);
    world.pass(5_000);
    note(&world, &enclave, "note", "z");
    assert!(sent(&world).is_empty(), "the first is on its way");
    world.pass(60_000);
    let again = sent(&world);
    assert_eq!((shape(&first[0].1), shape(&again[0].1)), ("5 P 8".to_owned(), "5 P 8".to_owned()));
    assert_ne!(first[0].1.delivery.time, again[0].1.delivery.time);
    assert_ne!(first[0].1.sig, again[0].1.sig);
    // Both answers come: the second says nothing of the delivery behind it.
    world.fetched(first[0].0.id, Fetched::Answer(200, vec![]));
    let next = sent(&world);
    assert_eq!(shape(&next[0].1), "6 P 9");
    world.fetched(again[0].0.id, Fetched::Answer(200, vec![]));
    assert!(sent(&world).is_empty());
    world.fetched(next[0].0.id, Fetched::Failed);
    world.pass(1_000);
    assert_eq!(shape(&sent(&world)[0].1), "6 P 9", "a late answer is not taken for another's");
}

/// P wins over N where an identity has both.
#[test]
fn p_wins_over_n() {
    let (world, enclave) = world();
    grant(&world, &enclave, "peter", "watch");
    register(&world, &enclave, "peter", URL);
    note(&world, &enclave, "note", "x");
    assert_eq!(drained(&world, &enclave), ["1 P 4"]);
}

#[test]
fn updates_and_deletes_are_not_pushed() {
    let (world, enclave) = world();
    register(&world, &enclave, "walter", URL);
    let id = world.say(&enclave, "alice", "note", "1", &[]).event_id().hex();
    world.say(&enclave, "alice", "Update", "2", &[&["r", &id]]).expect(200);
    world.say(&enclave, "alice", "Delete", "3", &[&["r", &id]]).expect(200);
    let out = sent(&world);
    assert_eq!(shape(&out[0].1), "1 P 3");
    let Payload::Events(events) = &out[0].1.delivery.payload else { panic!("events") };
    assert!(
        matches!(events[0].content, protocol::event::Content::Deleted(_)),
        "what was deleted since goes without content"
    );
    world.fetched(out[0].0.id, Fetched::Answer(200, vec![]));
    assert!(sent(&world).is_empty());
}

#[test]
fn a_challenge_must_be_answered() {
    let (world, enclave) = world();
    let refusals: [(&str, &dyn Fn(&Fetch) -> Fetched); 7] = [
        ("no answer", &|_| Fetched::Failed),
        ("another status", &|fetch| match echo(fetch) {
            Fetched::Answer(_, body) => Fetched::Answer(201, body),
            Fetched::Failed => Fetched::Failed,
        }),
        ("nothing", &|_| Fetched::Answer(200, vec![])),
        ("another token", &|_| Fetched::Answer(200, br#"{"token":"00"}"#.to_vec())),
        ("no text", &|_| Fetched::Answer(200, br#"{"token":5}"#.to_vec())),
        ("no JSON", &|_| Fetched::Answer(200, b"token".to_vec())),
        ("404", &|_| Fetched::Answer(404, vec![])),
    ];
    for (name, answer) in refusals {
        assert_eq!(register_with(&world, &enclave, "walter", URL, answer), "bad_state", "{name}");
        assert!(world.rows("SELECT * FROM push_endpoints").is_empty(), "{name}: nothing stays");
    }
    note(&world, &enclave, "note", "x");
    assert!(sent(&world).is_empty());
    register(&world, &enclave, "walter", URL);
    note(&world, &enclave, "note", "x");
    assert_eq!(drained(&world, &enclave), ["1 P 4"]);
}

/// A host that waits long enough tells the caller; an answer that comes later is nobody's.
#[test]
fn a_challenge_ends() {
    let (world, enclave) = world();
    let call = call(&world, &enclave, "walter", Some(URL));
    let Outcome::Parked { deadline, topic } = world.outcome(&call, false) else { panic!("it waits") };
    let challenge = fetches(&world).remove(0);
    world.now.set(deadline - 1);
    assert_eq!(world.outcome(&call, true), Outcome::Parked { topic, deadline });
    // Whoever asks for the same meanwhile waits for the same: the endpoint is not asked twice.
    assert_eq!(world.outcome(&call, false), Outcome::Parked { topic, deadline });
    assert!(fetches(&world).is_empty());
    world.now.set(deadline);
    crate::world::Told::from(done(world.outcome(&call, true))).refused("bad_state");
    assert!(world.rows("SELECT * FROM push_endpoints").is_empty());
    assert!(world.fetched(challenge.id, echo(&challenge)).is_empty());
    register(&world, &enclave, "walter", URL);
    assert!(world.fetched(challenge.id, Fetched::Failed).is_empty(), "nor does it harm the next one");
    assert_eq!(register_with(&world, &enclave, "walter", URL, &echo), "ok", "registered already");
}

#[test]
fn who_may_register_what() {
    let (world, enclave) = world();
    let told = |name: &str, url: Option<&str>| match world.outcome(&call(&world, &enclave, name, url), false) {
        Outcome::Parked { .. } => "parked".to_owned(),
        outcome => crate::world::Told::from(done(outcome)).word(),
    };
    assert_eq!(told("mallory", Some(URL)), "unauthorized");
    assert_eq!(told("alice", Some(URL)), "unauthorized", "a reader is no endpoint");
    assert_eq!(world.ask(&enclave, Action::Push { url: Some(URL.to_owned()) }).word(), "unauthorized");
    assert_eq!(world.ask(&enclave, Action::Push { url: None }).word(), "unauthorized");
    assert_eq!(told("mallory", None), "ok", "there is nothing to take away");
    let long = format!("https://a/{}", "x".repeat(2040));
    for url in [
        "http://push.example/",
        "ftp://push.example/",
        "https://",
        "https:///x",
        "push.example",
        "",
        "https://user@push.example/",
        "https://a b/",
        "https://a/\n",
        "https://é/",
        "javascript:alert(1)",
        &long,
    ] {
        assert_eq!(told("walter", Some(url)), "invalid_structure", "{url}");
    }
    assert!(fetches(&world).is_empty());
    let mut loopback = World::new();
    loopback.facts.push_loopback = true;
    let enclave = loopback.begin(&json(MANIFEST));
    grant(&loopback, &enclave, "walter", "watch");
    register(&loopback, &enclave, "walter", "http://127.0.0.1:9/");
}

#[test]
fn limits() {
    let (world, enclave) = world();
    let url = |n: u64| format!("https://push.example/{n}");
    for n in 0..MAX_PER_IDENTITY {
        register(&world, &enclave, "walter", &url(n));
    }
    let told = |name: &str, url: &str| {
        crate::world::Told::from(done(world.outcome(&call(&world, &enclave, name, Some(url)), false)))
    };
    assert_eq!(told("walter", &url(9)).refused("limit_exceeded").value()["limit"], MAX_PER_IDENTITY);
    assert_eq!(told("walter", &url(0)).word(), "ok", "one that is there already");
    // What has not answered in time takes no place.
    assert_eq!(world.ask_as(&enclave, "walter", Action::Push { url: None }).word(), "ok");
    for n in 0..MAX_PER_IDENTITY {
        let outcome = world.outcome(&call(&world, &enclave, "walter", Some(&url(n))), false);
        assert!(matches!(outcome, Outcome::Parked { .. }));
    }
    assert_eq!(told("walter", &url(9)).word(), "limit_exceeded");
    fetches(&world);
    world.pass(20_000);
    register(&world, &enclave, "walter", &url(9));
    assert_eq!(world.rows("SELECT url FROM push_endpoints").len(), 1);
    // The enclave's own limit, with rows that others might have made.
    const FILL: &str = "INSERT INTO push_endpoints (enclave, identity, url, state, token, retries, retry_at)
        VALUES (?1, ?2, 'https://x/', 1, x'', 0, 0)";
    for n in 1..MAX_PER_ENCLAVE {
        let identity = [[0; 24].as_slice(), &n.to_be_bytes()].concat();
        world.db.prepare_cached(FILL).expect("a statement").execute((&enclave.0, identity)).expect("a row");
    }
    assert_eq!(told("peter", URL).refused("limit_exceeded").value()["limit"], MAX_PER_ENCLAVE);
}

/// 1 s, twice as long each time, at most 5 min; after ten retries only Pull is left.
#[test]
fn retries() {
    let (world, enclave) = world();
    register(&world, &enclave, "walter", URL);
    note(&world, &enclave, "note", "x");
    let mut waits = Vec::new();
    let mut failed_at = world.now.get();
    let mut out = sent(&world);
    while !out.is_empty() {
        assert_eq!(shape(&out[0].1), "1 P 3");
        let failure = if waits.len() % 2 == 0 { Fetched::Failed } else { Fetched::Answer(500, vec![]) };
        world.fetched(out[0].0.id, failure);
        failed_at = world.now.get();
        out.clear();
        // An alarm may be for something else: a bundle that is due.
        while out.is_empty() {
            let Some(at) = world.alarms.borrow().get(&enclave).copied() else { break };
            assert!(at > world.now.get());
            world.now.set(at);
            out = sent(&world);
        }
        waits.extend(out.first().map(|_| world.now.get() - failed_at));
    }
    let expected: Vec<u64> = (0..MAX_RETRIES).map(|n| (1000 << n).min(300_000)).collect();
    assert_eq!(waits, expected);
    assert!(failed_at > START);
    // Given up: what comes still waits for a Pull.
    world.pass(10_000_000);
    note(&world, &enclave, "note", "y");
    assert!(sent(&world).is_empty());
    assert_eq!(pulled(&world, &enclave, "walter", all()).expect("deliveries"), ["1 P 3", "2 P 4"]);
    // Registered again, it is delivered to again, from where it was left.
    assert_eq!(world.ask_as(&enclave, "walter", Action::Push { url: Some(URL.to_owned()) }).word(), "ok");
    note(&world, &enclave, "hint", "z");
    assert_eq!(drained(&world, &enclave), ["1 P 3", "2 P 4", "3 N 5"]);
}

/// A success in between begins the count anew.
#[test]
fn a_success_forgets_failures() {
    let (world, enclave) = world();
    register(&world, &enclave, "walter", URL);
    for round in 0..3u64 {
        note(&world, &enclave, "note", "x");
        for wait in [1000, 2000, 4000] {
            let out = sent(&world);
            assert_eq!(out.len(), 1, "round {round}");
            world.fetched(out[0].0.id, Fetched::Failed);
            world.pass(wait);
        }
        assert_eq!(drained(&world, &enclave), [format!("{} P {}", round + 1, round + 3)]);
    }
}

#[test]
fn gone_removes() {
    let (world, enclave) = world();
    register(&world, &enclave, "walter", URL);
    register(&world, &enclave, "walter", "https://other.example/");
    note(&world, &enclave, "note", "x");
    for (fetch, _) in sent(&world) {
        let answer = if fetch.url == URL { Fetched::Answer(410, vec![]) } else { Fetched::Answer(200, vec![]) };
        world.fetched(fetch.id, answer);
    }
    assert_eq!(world.rows("SELECT url FROM push_endpoints").len(), 1);
    note(&world, &enclave, "note", "y");
    let out = sent(&world);
    assert_eq!(out.iter().map(|(fetch, _)| fetch.url.as_str()).collect::<Vec<_>>(), ["https://other.example/"]);
    // It may come back; what was for it before is gone, and numbers go on.
    register(&world, &enclave, "walter", URL);
    note(&world, &enclave, "note", "z");
    let again: Vec<_> = sent(&world).into_iter().filter(|(fetch, _)| fetch.url == URL).collect();
    assert_eq!(shape(&again[0].1), "2 P 5");
}

/// Queued while it was permitted, not delivered once it is not: judged again at each attempt, on the newest state.
#[test]
fn lost_permission_drops_what_waits() {
    let (world, enclave) = world();
    register(&world, &enclave, "walter", URL);
    note(&world, &enclave, "note", "secret");
    let out = sent(&world);
    world.fetched(out[0].0.id, Fetched::Failed);
    note(&world, &enclave, "note", "more");
    revoke(&world, &enclave, "walter", "watch");
    world.pass(1000);
    assert!(sent(&world).is_empty(), "no attempt after the trait is gone");
    assert!(world.rows("SELECT * FROM push_endpoints").is_empty(), "the endpoint is removed");
    assert!(world.rows("SELECT * FROM push_pending").is_empty());
    assert_eq!(pulled(&world, &enclave, "walter", all()), Err("unauthorized".to_owned()));
    grant(&world, &enclave, "walter", "watch");
    assert_eq!(pulled(&world, &enclave, "walter", all()), Ok(vec![]), "nor later");
    register(&world, &enclave, "walter", URL);
    note(&world, &enclave, "note", "public");
    assert_eq!(drained(&world, &enclave).len(), 1, "what comes from then on");
}

/// With one of two rights gone, what only that one gave is left out.
#[test]
fn a_right_less() {
    let (world, enclave) = world();
    grant(&world, &enclave, "walter", "peek");
    register(&world, &enclave, "walter", URL);
    for event_type in ["note", "hint", "note"] {
        note(&world, &enclave, event_type, "x");
    }
    let out = sent(&world);
    assert_eq!(shape(&out[0].1), "1 P 4");
    world.fetched(out[0].0.id, Fetched::Failed);
    revoke(&world, &enclave, "walter", "watch");
    world.pass(1000);
    // Whole events go no more; what had no number yet goes as notices.
    assert_eq!(drained(&world, &enclave), ["2 N 5,6"]);
}

/// More that may not go out than one delivery holds does not stop what comes behind.
#[test]
fn a_long_queue_of_nothing() {
    let (world, enclave) = world();
    grant(&world, &enclave, "walter", "peek");
    register(&world, &enclave, "walter", URL);
    note(&world, &enclave, "note", "first");
    let out = sent(&world);
    for seq in 0..130 {
        world.say(&enclave, "alice", "Shared", &format!(r#"{{"key":"topic","value":{seq}}}"#), &[]).expect(200);
    }
    note(&world, &enclave, "hint", "last");
    revoke(&world, &enclave, "walter", "watch");
    world.fetched(out[0].0.id, Fetched::Answer(200, vec![]));
    assert_eq!(drained(&world, &enclave), ["2 N 135"]);
}

#[test]
fn many_events_in_one_delivery() {
    let (world, enclave) = world();
    register(&world, &enclave, "walter", URL);
    note(&world, &enclave, "note", "first");
    let out = sent(&world);
    for _ in 0..101 {
        note(&world, &enclave, "note", "x");
    }
    world.fetched(out[0].0.id, Fetched::Answer(200, vec![]));
    let shapes = drained(&world, &enclave);
    assert_eq!(shapes.len(), 2);
    assert!(shapes[0].starts_with("2 P 4,5,") && shapes[0].ends_with(",103"), "{}", shapes[0]);
    assert_eq!(shapes[1], "3 P 104");
    for _ in 0..3 {
        note(&world, &enclave, "note", &"x".repeat(300_000));
    }
    assert_eq!(drained(&world, &enclave), ["4 P 105", "5 P 106", "6 P 107"], "as large as 512 KiB");
}

#[test]
fn unregistering() {
    let (world, enclave) = world();
    register(&world, &enclave, "walter", URL);
    register(&world, &enclave, "peter", URL);
    note(&world, &enclave, "note", "x");
    assert_eq!(world.ask_as(&enclave, "walter", Action::Push { url: None }).word(), "ok");
    let out = sent(&world);
    assert_eq!(out.len(), 1, "the other's stays");
    assert_eq!(shape(&out[0].1), "1 N 3");
    let named = Pull { url: Some(URL.to_owned()), ..all() };
    assert_eq!(pulled(&world, &enclave, "walter", named), Err("not_found".to_owned()));
}

#[test]
fn pulling() {
    let (world, enclave) = world();
    register(&world, &enclave, "walter", URL);
    register(&world, &enclave, "walter", "https://other.example/");
    for event_type in ["note", "hint", "note"] {
        note(&world, &enclave, event_type, "x");
    }
    let of = |url: &str, start_after: u64, limit: u64| {
        pulled(&world, &enclave, "walter", Pull { url: Some(url.to_owned()), start_after, limit }).expect("deliveries")
    };
    let everything = ["1 P 3", "2 N 4", "3 P 5"];
    assert_eq!(of(URL, 0, 100), everything);
    assert_eq!(of(URL, 1, 100), everything[1..]);
    assert_eq!(of(URL, 0, 2), everything[..2]);
    assert_eq!(of(URL, 3, 100), [""; 0]);
    assert_eq!(pulled(&world, &enclave, "walter", all()).expect("deliveries").len(), 6);
    assert_eq!(drained(&world, &enclave).len(), 6, "a Pull takes nothing away");
    world.pass(1_000_000);
    assert_eq!(of(URL, 0, 100), everything, "nor does a delivery that has arrived");
    assert_eq!(pulled(&world, &enclave, "mallory", all()), Err("unauthorized".to_owned()));
    assert_eq!(world.ask(&enclave, Action::Pull(all())).word(), "unauthorized");
    let mut sealed = World::new();
    sealed.facts.require_encryption = true;
    let enclave = sealed.begin(&json(MANIFEST));
    assert_eq!(sealed.ask_as(&enclave, "walter", Action::Pull(all())).word(), "unauthorized");
}

/// The route itself, from its bytes.
#[test]
fn over_the_wire() {
    let (world, enclave) = world();
    world.post_as(&enclave, "mallory", "push", r#""url":"https://a.example/""#).refused("unauthorized");
    assert_eq!(
        world.post_as(&enclave, "walter", "push", r#""url":null"#).expect(200).value(),
        serde_json::json!({"ok": true})
    );
    let body = format!(r#"{{"type":"Pull","enclave":"{}","limit":5}}"#, enclave.hex());
    world.request(&Ask::post("/", &body)).refused("unauthorized");
}

/// What was queued survives a restart of the host; a delivery that nobody answered goes out again.
#[test]
fn a_restart_loses_nothing() {
    let (world, enclave) = world();
    register(&world, &enclave, "walter", URL);
    note(&world, &enclave, "note", "x");
    assert_eq!(sent(&world).len(), 1);
    world.forget_all();
    note(&world, &enclave, "note", "y");
    world.pass(60_000).ring();
    assert_eq!(drained_after_restart(&world, &enclave), ["1 P 3", "2 P 4"]);
}

fn drained_after_restart(world: &World, enclave: &EnclaveId) -> Vec<String> {
    let again = fetches(world);
    assert_eq!(again.len(), 1);
    let body = protocol::json::parse(again[0].body.as_bytes(), 64).expect("JSON");
    let first = shape(&SignedDelivery::from_json(body).expect("a delivery"));
    world.fetched(again[0].id, Fetched::Answer(200, vec![]));
    [vec![first], drained(world, enclave)].concat()
}

/// A template's own right: `dataview` of a group is pushed its messages.
#[test]
fn dataview_of_the_group_template() {
    let world = World::new();
    let enclave = world.begin(&template("group"));
    grant_trait(&world, &enclave);
    register(&world, &enclave, "viewer", URL);
    note(&world, &enclave, "message", "hi");
    note(&world, &enclave, "reaction", "+");
    assert_eq!(drained(&world, &enclave), ["1 P 2"]);
    assert_eq!(id("viewer"), key("viewer").public());
}

fn grant_trait(world: &World, enclave: &EnclaveId) {
    grant(world, enclave, "viewer", "dataview");
}

/// Ids of outbound requests name a row that is never used again.
#[test]
fn ids_are_used_once() {
    let (world, enclave) = world();
    let mut seen: Vec<FetchId> = Vec::new();
    for _ in 0..3 {
        register(&world, &enclave, "walter", URL);
        note(&world, &enclave, "note", "x");
        let out = sent(&world);
        assert!(!seen.contains(&out[0].0.id));
        seen.push(out[0].0.id);
        assert_eq!(world.ask_as(&enclave, "walter", Action::Push { url: None }).word(), "ok");
    }
}

/// All that push does, once, for those who look at the statements.
pub fn everything(world: &World) {
    let enclave = world.begin_with(&json(MANIFEST), &[&["nonce", "push"]]);
    grant(world, &enclave, "walter", "watch");
    register(world, &enclave, "walter", URL);
    note(world, &enclave, "note", "x");
    assert_eq!(drained(world, &enclave), ["1 P 2"]);
    note(world, &enclave, "note", "y");
    for _ in 0..=MAX_RETRIES {
        for (fetch, _) in sent(world) {
            world.fetched(fetch.id, Fetched::Failed);
        }
        world.pass(300_000);
    }
    pulled(world, &enclave, "walter", all()).expect("deliveries");
    assert_eq!(world.ask_as(&enclave, "walter", Action::Push { url: Some(URL.to_owned()) }).word(), "ok");
    for (fetch, _) in sent(world) {
        world.fetched(fetch.id, Fetched::Failed);
        assert!(sent(world).is_empty());
    }
    note(world, &enclave, "note", "z");
    assert!(sent(world).is_empty());
    assert_eq!(world.ask_as(&enclave, "walter", Action::Push { url: None }).word(), "ok");
}

/// What waits when the enclave is handed over is delivered by who queued it, and pulled; nothing is registered for what will not come.
#[test]
fn a_queue_outlives_its_log() {
    let (world, enclave) = world();
    register(&world, &enclave, "walter", URL);
    note(&world, &enclave, "note", "one");
    note(&world, &enclave, "hint", "two");
    crate::subscribing::handed_over(&world, &enclave);
    let again = register_with(&world, &enclave, "walter", "https://other.example/", &echo);
    assert_eq!(again, "enclave_migrated");
    assert_eq!(register_with(&world, &enclave, "walter", URL, &echo), "ok", "it is registered");
    let out = sent(&world);
    assert_eq!(out.iter().map(|(_, delivery)| shape(delivery)).collect::<Vec<_>>(), ["1 P 3"]);
    // A receiver that has heard of the Migrate takes it still, under the key that sequenced what is in it.
    let mut sequencers = Sequencers::new(world.facts.sequencer);
    sequencers.hand_over(5, id("zoe"));
    out[0].1.verify(&enclave, &sequencers, URL, world.now.get()).expect("it holds");
    world.fetched(out[0].0.id, Fetched::Answer(500, vec![]));
    world.pass(1_000);
    assert_eq!(drained(&world, &enclave), ["1 P 3", "2 N 4"]);
    assert_eq!(pulled(&world, &enclave, "walter", all()), Ok(vec!["1 P 3".to_owned(), "2 N 4".to_owned()]));
}
