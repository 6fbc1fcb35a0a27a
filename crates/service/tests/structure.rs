//! The Enclave structure: what derives from it, counted.

use crate::world::{Ask, START, Told, World, template};
use protocol::{EnclaveId, Json};
use service::Call;
use service::call::{Action, Admission, Claim};
use service::structure::{
    Addressing, ENC_NODE, Enclave, Method, OPERATIONAL_ROUTES, PROTOCOL_ROUTES, SERVICES, Schema, ddl, reads, routes,
};

#[test]
fn counts() {
    assert_eq!(PROTOCOL_ROUTES.len(), 6);
    assert_eq!(ENC_NODE.extra_routes.len(), 2);
    assert_eq!(routes(&ENC_NODE).len(), 6 + 2 + OPERATIONAL_ROUTES.len());
    assert!(reads(&ENC_NODE).is_empty());
    assert_eq!((ENC_NODE.schema, ENC_NODE.addressing), (Schema::Dynamic, Addressing::PerRequest(1)));
    for service in SERVICES {
        assert_eq!(service.push, service.name == "enc-node", "only enc-node pushes");
        assert_eq!(service.data_view, matches!(service.name, "registry" | "timeline"));
        assert_eq!(service.bootstrap, matches!(service.name, "chat" | "timeline"));
    }
}

#[test]
fn no_route_stands_twice() {
    for service in SERVICES {
        let all = routes(service);
        for (place, route) in all.iter().enumerate() {
            let twice = all[place + 1..].iter().find(|other| (other.method, other.path) == (route.method, route.path));
            assert_eq!(twice, None, "{}", service.name);
        }
    }
}

fn tables(service: &Enclave) -> Vec<&'static str> {
    let name = |statement: &'static str| statement.strip_prefix("CREATE TABLE IF NOT EXISTS ");
    ddl(service).into_iter().filter_map(name).map(|rest| rest.split(' ').next().expect("a name")).collect()
}

#[test]
fn tables_with_and_without_view_and_push() {
    const VIEW: &[&str] = &["sync_state"];
    const PUSH: &[&str] = &["push_endpoints", "push_pending", "push_seq", "push_delivered"];
    let node =
        |service: &Enclave| tables(service).into_iter().filter(|name| !VIEW.contains(name) && !PUSH.contains(name));
    for (data_view, push) in [(false, false), (false, true), (true, false), (true, true)] {
        let service = Enclave { data_view, push, ..ENC_NODE };
        let made = tables(&service);
        assert_eq!(VIEW.iter().all(|name| made.contains(name)), data_view);
        assert_eq!(PUSH.iter().all(|name| made.contains(name)), push);
        assert_eq!(VIEW.iter().any(|name| made.contains(name)), data_view);
        assert_eq!(PUSH.iter().any(|name| made.contains(name)), push);
        assert!(node(&service).eq(node(&ENC_NODE)), "every node has the same tables");
        assert!(["events", "node_state"].iter().all(|name| made.contains(name)));
    }
}

/// A view gives the GET routes of the service, and nothing else does.
#[test]
fn reads_derive_from_the_view() {
    let without = Enclave { data_view: false, ..ENC_NODE };
    let with = Enclave { data_view: true, ..ENC_NODE };
    assert!(reads(&without).is_empty());
    let gets: Vec<&str> = reads(&with).iter().map(|route| route.path).collect();
    assert_eq!(gets, ["consistency"]);
    assert!(reads(&with).iter().all(|route| route.method == Method::Get));
}

#[test]
fn every_statement_of_the_schema_may_run_again() {
    let world = World::new();
    world.begin(&template("open"));
    let before = world.dump();
    for statement in service::node::schema() {
        world.db.execute_batch(statement).expect("idempotent");
    }
    assert_eq!(world.dump(), before);
}

/// Without endpoints the alarm closes what is due, and nothing else ever changes by it.
#[test]
fn the_alarm_closes_what_is_due() {
    let (rung, asked) = (World::new(), World::new());
    let enclave = rung.begin(&template("open"));
    assert_eq!(asked.begin(&template("open")), enclave);
    assert_eq!(
        rung.alarms.borrow().get(&enclave),
        Some(&(START + 5000)),
        "a host is asked to wake the enclave when it is due"
    );
    let before = rung.dump();
    rung.at(4999).alarm(&enclave);
    assert_eq!(rung.dump(), before, "nothing is due");
    rung.at(5000).alarm(&enclave);
    asked.at(5000).ask(&enclave, Action::Sth).expect(200);
    assert_ne!(rung.dump(), before);
    assert_eq!(rung.dump(), asked.dump(), "the alarm does what any request does");
    rung.at(3_600_000).alarm(&enclave);
    assert_eq!(rung.dump(), asked.dump(), "an alarm signs nothing that nobody asks for");
}

/// Whoever asks what sees the bundle closed at its time, and nobody before.
#[test]
fn any_request_closes_what_is_due() {
    let calls: Vec<(&str, Ask)> = vec![
        ("sth", Ask::get("/enclaves/ID/sth")),
        ("checkpoint", Ask::get("/enclaves/ID/checkpoint")),
        ("tile", Ask::get("/enclaves/ID/tile/entries/000.p/1")),
        ("info", Ask::get("/enclaves/ID/info/enclave")),
        ("manifest", Ask::get("/enclaves/ID/info/manifest")),
        ("consistency", Ask::get("/enclaves/ID/consistency?from=0&to=0")),
        ("query", Ask::post("/enclaves/ID", r#"{"type":"Query"}"#)),
        ("state", Ask::post("/enclaves/ID/state", r#"{"namespace":0,"key":"00"}"#)),
    ];
    for (name, ask) in calls {
        for (time, size) in [(4999, 0), (5000, 1), (500_000, 1)] {
            let world = World::new();
            let enclave = world.begin(&template("open"));
            let mut ask = ask.clone();
            ask.line.path = ask.line.path.replace("ID", &enclave.hex());
            world.at(time).request(&ask);
            let record = world.rows("SELECT idx FROM bundles");
            assert_eq!(record.len(), size, "{name} at {time}");
        }
    }
}

fn told_in_turn<'a>(world: &World, enclaves: &[(EnclaveId, &'a str)]) -> Vec<(&'a str, Told)> {
    let mut told = Vec::new();
    for round in 0..12u64 {
        for (enclave, name) in enclaves {
            world.at(1000 + round * 1300);
            let commit = protocol::commit::Draft::new(
                *enclave,
                "Message",
                &Json::from(format!("{name} {round}")),
                world.now.get() + 60_000,
            );
            told.push((*name, world.commit(&commit.sign(&crate::world::key("alice")))));
            told.push((*name, world.ask(enclave, Action::Sth)));
            told.push((*name, world.query(enclave, Some("alice"), r#"{"reverse":true,"limit":3}"#)));
            told.push((*name, world.ask(enclave, Action::InfoEnclave)));
        }
    }
    for (enclave, name) in enclaves {
        let call = Call { enclave: Some(*enclave), claim: Claim::Admin, action: Action::Snapshot };
        told.push((*name, world.call(&call)));
    }
    told
}

/// Two enclaves on one node give the bytes that each gives alone.
#[test]
fn enclaves_do_not_touch() {
    let begin = |world: &World, nonce: &str| world.begin_with(&template("open"), &[&["nonce", nonce]]);
    let (one, two, both) = (World::new(), World::new(), World::new());
    let (first, second) = (begin(&both, "1"), begin(&both, "2"));
    assert_eq!((begin(&one, "1"), begin(&two, "2")), (first, second));
    let mut together = told_in_turn(&both, &[(first, "one"), (second, "two")]);
    let alone = [told_in_turn(&one, &[(first, "one")]), told_in_turn(&two, &[(second, "two")])];
    for (name, alone) in ["one", "two"].into_iter().zip(alone) {
        let part: Vec<_> = together.iter().filter(|(of, _)| *of == name).cloned().collect();
        assert_eq!(part, alone, "{name}");
        together.retain(|(of, _)| *of != name);
    }
    // Row ids count for the whole shard and are never sent.
    for (table, rows) in both.dump() {
        let mut separate = one.dump().remove(&table).expect("the same tables");
        separate.extend(two.dump().remove(&table).expect("the same tables"));
        if !table.starts_with("sqlite_") {
            assert_eq!(rows, separate, "{table}");
        }
    }
}

/// What a host remembers is never needed for an answer.
#[test]
fn a_short_memory_changes_nothing() {
    let run = |world: &World| {
        let enclaves: Vec<EnclaveId> = ["1", "2", "3", "4"]
            .iter()
            .map(|nonce| world.begin_with(&template("open"), &[&["nonce", nonce]]))
            .collect();
        let named: Vec<(EnclaveId, &str)> = enclaves.into_iter().zip(["one", "two", "three", "four"]).collect();
        let told = told_in_turn(world, &named);
        (told, world.dump())
    };
    let expected = run(&World::remembering(100));
    for capacity in [0, 1, 2, 3] {
        assert!(run(&World::remembering(capacity)) == expected, "{capacity}");
    }
}

#[test]
fn admission_names() {
    let id = "ab".repeat(32);
    let session = r#""session":"00","from":"0000000000000000000000000000000000000000000000000000000000000000""#;
    let with = |members: &str| format!("{{{session}{}{members}}}", if members.is_empty() { "" } else { "," });
    let rows = [
        ("info", Ask::get("/")),
        ("info", Ask::get(&format!("/{id}/info/manifest"))),
        ("info", Ask::get(&format!("/{id}/info/enclave"))),
        ("log", Ask::get(&format!("/{id}/sth"))),
        ("log", Ask::get(&format!("/{id}/checkpoint"))),
        ("log", Ask::get(&format!("/{id}/tile/0/000.p/3"))),
        ("log", Ask::get(&format!("/{id}/consistency?from=1&to=2"))),
        ("proof", Ask::post(&format!("/{id}/inclusion"), &with(r#""leaf_index":0"#))),
        ("proof", Ask::post(&format!("/{id}/bundle"), &with(&format!(r#""event_id":"{id}""#)))),
        ("proof", Ask::post(&format!("/{id}/state"), &with(r#""namespace":0,"key":"""#))),
        ("proof", Ask::post(&format!("/{id}/state-batch"), &with(r#""items":[]"#))),
        ("close-bundle", Ask::post(&format!("/{id}/close-bundle"), &with(""))),
        ("push", Ask::post(&format!("/{id}/push"), &with(r#""url":null"#))),
        ("snapshot", Ask::get(&format!("/{id}/snapshot"))),
        ("restore", Ask::new("POST", &format!("/{id}/restore")).typed("application/octet-stream").body(b"x")),
        ("query", Ask::post("/", &with(&format!(r#""type":"Query","enclave":"{id}""#)))),
        ("pull", Ask::post("/", &with(&format!(r#""type":"Pull","enclave":"{id}""#)))),
    ];
    let world = World::new();
    for (name, ask) in rows {
        assert_eq!(world.resolved(&ask).admission().name(), name, "{ask:?}");
    }
    let commit = |event_type: &str| {
        let commit = world.sign(&EnclaveId([1; 32]), "alice", event_type, &Json::Null);
        let ask = Ask::post("/", &commit.commit().to_json().to_jcs());
        world.resolved(&ask).admission().name()
    };
    assert_eq!(commit("Message"), "commit:Message");
    assert_eq!(commit("Manifest"), "create");
    assert_eq!(Admission::Subscribe.name(), "subscribe");
    assert_eq!(Admission::Init.name(), "init");
}
