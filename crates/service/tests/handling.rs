//! A host without threads leaves a whole request to the service: it answers as any other host does.

use crate::world::{Ask, START, Told, World, id, key, template};
use protocol::commit::Draft;
use service::Call;
use service::call::{Action, Claim};

/// An error to a single commit does not say which.
fn nameless(mut told: Told) -> Told {
    if let Ok(protocol::Json::Object(mut members)) = protocol::json::parse(&told.body, 64)
        && told.status != 200
    {
        members.retain(|(name, _)| name != "hash");
        told.body = protocol::Json::Object(members).to_jcs().into_bytes();
    }
    told
}

/// The same requests, in the same order, on a host that resolves them itself and on one that does not.
#[test]
fn the_same_answers() {
    let (whole, parts) = (World::new(), World::new());
    let manifest = Draft::manifest(&key("alice"), &template("group"), vec![], START + 60_000).sign(&key("alice"));
    let enclave = manifest.commit().enclave;
    let hex = enclave.hex();
    let commit = |event_type: &str, content: &str| {
        let content = crate::world::json(content);
        let draft = Draft::new(enclave, event_type, &content, START + 70_000).sign(&key("alice"));
        Ask::post("/", &draft.commit().to_json().to_jcs())
    };
    let Claim::Session { token, .. } = whole.session("alice") else { panic!("a session") };
    let as_alice = |members: &str| format!(r#"{{"from":"{}","session":"{token}",{members}}}"#, id("alice").hex());
    let asks = [
        Ask::get("/"),
        Ask::get(&format!("/{hex}/sth")),
        Ask::post("/", &manifest.commit().to_json().to_jcs()),
        Ask::post("/", &manifest.commit().to_json().to_jcs()),
        commit("message", "1"),
        commit("message", "1"),
        commit("unheard", "1"),
        Ask::post("/", "{"),
        Ask::new("PUT", "/sth"),
        Ask::get("/nothing"),
        Ask::get(&format!("/{hex}/sth")),
        Ask::get(&format!("/{hex}/info/manifest")),
        Ask::post(&format!("/{hex}"), &as_alice(r#""type":"Query","filter":{}"#)),
        Ask::post(&format!("/{hex}/state"), &as_alice(&format!(r#""namespace":0,"key":"{}""#, id("alice").hex()))),
    ];
    for (place, ask) in asks.iter().enumerate() {
        for world in [&whole, &parts] {
            world.at(place as u64 * 600);
        }
        assert_eq!(whole.handled(ask), nameless(parts.request(ask)), "{ask:?}");
    }
    assert_eq!(whole.dump(), parts.dump());
}

/// A restore that is refused on its way is answered, and leaves no row.
#[test]
fn a_refused_restore_is_rolled_back() {
    let world = World::new();
    let enclave = world.begin(&template("open"));
    let snapshot = Call { enclave: Some(enclave), claim: Claim::Admin, action: Action::Snapshot };
    let file = world.call(&snapshot).expect(200).body.clone();
    let other = World::new();
    let before = other.dump();
    let ask = Ask::new("POST", &format!("/{}/restore", enclave.hex())).typed("application/octet-stream").body(&file);
    other.handled(&ask.clone().claimed(&other.session("bob"))).refused("unauthorized");
    assert_eq!(other.dump(), before);
    other.handled(&ask.clone().claimed(&other.session("alice"))).expect(200);
    other.handled(&ask.claimed(&other.session("alice"))).refused("enclave_exists");
}

/// What such a host does itself is no route of the service; a browser's question has no body.
#[test]
fn left_to_the_host() {
    let world = World::new();
    let enclave = world.begin(&template("open"));
    let told = world.handled(&Ask::new("OPTIONS", &format!("/{}/sth", enclave.hex())));
    assert_eq!((told.status, told.body.len()), (204, 0));
    let id = "ab".repeat(32);
    let key = format!(r#"{{"enclave_id":"{id}","sequencer_priv":"{id}"}}"#);
    world.handled(&Ask::post("/init-with-priv", &key)).refused("invalid_route");
    world.handled(&Ask::new("POST", "/commits").typed("application/x-ndjson")).refused("invalid_route");
}
