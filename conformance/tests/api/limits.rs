//! What an operator may bound: each limit with its code, by whatever route a request comes; and that a node goes on serving others.

use crate::world::{ADMIN_TOKEN, CALM, World, check_refusal, text};
use conformance::endpoint::Endpoint;
use conformance::people::{json, now};
use conformance::socket::Socket;
use conformance::wire::{Ask, ask};
use protocol::commit::Draft;
use protocol::{Code, Commit, Json};

fn limited(limit: u64) -> [(&'static str, Json); 1] {
    [("limit", Json::from(limit))]
}

#[test]
fn roles_and_keys_of_an_enclave() {
    let world = World::configured("[limits]\nidentities_per_enclave = 4\nkeys_per_enclave = 1\n").with_hall();
    let admit = format!(r#"{{"target":"{}","to":"MEMBER"}}"#, world.stranger.public());
    let fifth = world.commit(&world.alice, "Move", &admit);
    world.refused_commit("a fifth identity", &fifth, Code::LimitExceeded, &limited(4));
    world.say(&world.alice, "Move", &format!(r#"{{"target":"{}","to":"OUTSIDER"}}"#, world.dave.public()));
    world.submit(&fifth);
    world.say(&world.bob, "Own", r#"{"key":"card","value":1}"#);
    let second = world.commit(&world.alice, "Shared", r#"{"key":"topic","value":1}"#);
    world.refused_commit("a second key", &second, Code::LimitExceeded, &limited(1));
    world.say(&world.bob, "Own", r#"{"key":"card","value":null}"#);
    world.submit(&second);
}

/// Who may make enclaves: refused by a hook, so 401 where a rule of the enclave would be 403.
#[test]
fn making_enclaves() {
    let refused = |config: &str, status: u16, code: Code, extra: &[(&str, Json)]| {
        let world = World::configured(config);
        let manifest = world.manifest("one", CALM);
        world.refused(config, &World::submitting(&manifest), (status, code), extra);
        world
    };
    refused("[create]\nloopback = true\n", 401, Code::Unauthorized, &[]);
    let nobody = format!("[create]\nloopback = true\npolicy = \"allow-list\"\ncreators = [\"{}\"]\n", "ab".repeat(32));
    refused(&nobody, 401, Code::Unauthorized, &[]);
    let alice = conformance::people::key(1).public();
    let listed = format!("[create]\nloopback = true\npolicy = \"allow-list\"\ncreators = [\"{alice}\"]\n");
    World::configured(&listed).create("one", CALM);
    let open = World::configured("[create]\nloopback = true\npolicy = \"open\"\nper_creator_per_hour = 2\n");
    open.create("one", CALM);
    open.create("two", CALM);
    let third = open.manifest("three", CALM);
    open.refused("a third in an hour", &World::submitting(&third), (400, Code::LimitExceeded), &limited(2));
    // By whatever route: a line, a frame, an enclave in the path.
    let line = open.ask(&Ask::post_as("application/x-ndjson", "/commits", third.to_json().to_jcs()));
    assert_eq!(text(&json(line.text().trim_end()), "error"), "limit_exceeded");
    let mut socket = Socket::open(&open.node.address, "/").expect("a socket");
    socket.send(&third.to_json().to_jcs());
    assert_eq!(text(&socket.frame(), "error"), "limit_exceeded");
    let by_path = Ask::post(&format!("/enclaves/{}", third.enclave), third.to_json().to_jcs());
    open.refused("by path", &by_path, (400, Code::LimitExceeded), &limited(2));
}

/// An action that is the operator's is so under every spelling of its path and in every form that it has.
#[test]
fn actions_of_the_operator_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let token = folder.path().join("token");
    std::fs::write(&token, ADMIN_TOKEN).expect("the folder is writable");
    let config = format!(
        "[admin]\ntoken_file = \"{}\"\n[hooks]\nadmin_actions = [\"commit:message\", \"query\", \"subscribe\", \"proof\"]\n",
        token.display()
    );
    let world = World::configured(&config).with_hall();
    let id = world.enclave;
    let message = world.commit(&world.bob, "message", "1");
    let query = world.asking(&world.bob, r#""type":"Query""#);
    let state = world.by(&world.bob, r#""namespace":3,"key":"00""#);
    let unauthorized = (401, Code::Unauthorized);
    for prefix in [String::new(), format!("/enclaves/{id}"), format!("/enclave/{id}"), format!("/{id}")] {
        let root = if prefix.is_empty() { "/" } else { prefix.as_str() };
        world.refused(root, &Ask::post(root, message.to_json().to_jcs()), unauthorized, &[]);
        world.refused(root, &Ask::post(root, query.clone()), unauthorized, &[]);
        if !prefix.is_empty() {
            world.refused(root, &Ask::post(&format!("{prefix}/state"), state.clone()), unauthorized, &[]);
        }
    }
    let line = world.ask(&Ask::post_as("application/x-ndjson", "/commits", message.to_json().to_jcs()));
    assert_eq!(text(&json(line.text().trim_end()), "error"), "unauthorized");
    let mut socket = Socket::open(&world.node.address, "/").expect("a socket");
    socket.send(&message.to_json().to_jcs());
    assert_eq!(text(&socket.frame(), "error"), "unauthorized");
    socket.send(&world.asking(&world.bob, r#""type":"Query","sub_id":"x""#));
    assert_eq!(text(&socket.frame(), "reason"), "unauthorized");
    // Others go on, and so does the operator. Nothing that a hook lets pass is another for it.
    world.say(&world.alice, "notice", "1");
    assert_eq!(world.ask(&Ask::get(&world.path("sth"))).status, 200);
    let operator = World::submitting(&message).header("Authorization", &format!("Bearer {ADMIN_TOKEN}"));
    assert_eq!(world.ask(&operator).status, 200);
}

/// A program on this machine is asked about everything that is not public, and its word goes as far as no.
#[test]
fn a_program_that_is_asked() {
    let hook = Endpoint::start_raw(Box::new(|asked| match text(asked, "action") {
        "commit:notice" => (403, r#"{"error":"rate_limited"}"#.into()),
        "close-bundle" => (403, String::new()),
        _ => (200, String::new()),
    }));
    let config = format!("[hooks]\nhttp_url = \"{}\"\nhttp_timeout_ms = 5000\n", hook.url);
    let world = World::configured(&config).with_hall();
    let create = hook.delivery();
    assert_eq!((text(&create, "action"), text(&create, "service")), ("create", "enc-node"));
    assert_eq!(text(&create, "from"), world.alice.public().hex());
    world.say(&world.bob, "message", "1");
    assert_eq!(text(&hook.delivery(), "action"), "commit:message");
    for target in ["/", &world.path("sth"), &world.path("info/manifest")] {
        assert_eq!(world.ask(&Ask::get(target)).status, 200, "{target}");
    }
    assert!(hook.pending().is_empty(), "what is public is not asked about");
    let notice = World::submitting(&world.commit(&world.alice, "notice", "1"));
    check_refusal("its own code", &world.ask(&notice), (429, Code::RateLimited), &[]);
    let close = Ask::post(&world.path("close-bundle"), world.by(&world.alice, ""));
    check_refusal("a plain no", &world.ask(&close), (401, Code::Unauthorized), &[]);
    let bodies: Vec<String> = hook.pending().iter().map(Json::to_jcs).collect();
    let secrets = [world.token(&world.alice), "\"content\"".into()];
    assert!(bodies.iter().all(|body| secrets.iter().all(|secret| !body.contains(secret.as_str()))), "{bodies:?}");
    // A program that is gone lets nothing pass.
    drop(hook);
    let refused = world.ask(&World::submitting(&world.commit(&world.bob, "message", "2")));
    check_refusal("it is gone", &refused, (503, Code::Overloaded), &[]);
    assert_eq!(world.ask(&Ask::get(&world.path("sth"))).status, 200);
}

#[test]
fn the_rate_of_an_enclave_and_of_a_key() {
    let many = |world: &World, author| -> Vec<u16> {
        (0..60)
            .map(|place: u64| {
                world.ask(&World::submitting(&world.commit(author, "message", &place.to_string()))).status
            })
            .collect()
    };
    let world = World::configured("[quotas]\nenclave_events_per_second = 2\n").with_hall();
    let statuses = many(&world, &world.bob);
    assert!(statuses.contains(&200) && statuses.contains(&400), "some are taken, then it is enough: {statuses:?}");
    let other = world.create("other", CALM);
    let there =
        |content: &str| Draft::new(other, "message", &json(content), now() + 60_000).sign(&world.bob).into_commit();
    world.submit(&there("1"));
    let key = World::configured("[rates]\nloopback = true\nkey_per_second = 2\nkey_burst = 10\n").with_hall();
    let statuses = many(&key, &key.bob);
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
    // A key that is only named is not charged: carol's commits pass though others send in her name.
    let forged = |place: u64| {
        let signed = key.commit(&key.carol, "message", &place.to_string());
        Commit { sig: protocol::Signature([1; 64]), ..signed }
    };
    for place in 0..40 {
        assert_eq!(key.ask(&World::submitting(&forged(place))).status, 401);
    }
    key.say(&key.carol, "message", "\"really\"");
}

/// A socket whose peer takes nothing is cut off, and holds up nobody.
#[test]
fn a_peer_that_takes_nothing() {
    let world = World::configured("[websocket]\nslow_ms = 200\n").with_hall();
    let large = format!("\"{}\"", "x".repeat(900 << 10));
    for place in 0..6 {
        let draft = Draft { content: large.clone(), exp: now() + 60_000 + place, ..world.draft("message", "0") };
        world.submit(&draft.sign(&world.bob).into_commit());
    }
    let mut slow = Socket::open(&world.node.address, "/").expect("a socket");
    for place in 0..8 {
        slow.send(&world.asking(&world.bob, &format!(r#""type":"Query","sub_id":"{place}""#)));
    }
    let metrics = || ask(&world.node.admin, &Ask::get("/metrics")).text();
    let cut_off = (0..100_000).any(|_| metrics().contains("encd_slow_consumers_total 1"));
    assert!(cut_off, "{}", metrics());
    let mut quick = Socket::open(&world.node.address, "/").expect("others are served");
    quick.send(&world.asking(&world.bob, r#""type":"Query","sub_id":"q","filter":{"limit":1}"#));
    assert_eq!(text(&quick.frame(), "type"), "Event");
    assert!(slow.ends(), "what was sent before can be read, then it is over");
}

#[test]
fn sockets_are_pinged() {
    let world = World::configured("[websocket]\nping_ms = 50\n").with_hall();
    let mut socket = Socket::open(&world.node.address, "/").expect("a socket");
    for _ in 0..3 {
        socket.pinged();
    }
    world.say(&world.bob, "message", "1");
    socket.send(&world.asking(&world.bob, r#""type":"Query","sub_id":"x""#));
    assert_eq!(text(&socket.frame(), "type"), "Event", "who answers pings is kept");
}
