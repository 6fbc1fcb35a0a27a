//! A node over real HTTP: what goes in, what comes out, and how wrong requests are told so.

use crate::node::{Running, config, get, key, manifest, note, post, text};
use protocol::Json;
use protocol::commit::Draft;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[test]
fn what_is_committed_is_read() {
    let node = Running::start(config());
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    let said = note(&owner, enclave, "hello");
    let receipt = node.commit(&said);
    assert_eq!(receipt.status, 200, "{}", receipt.text());
    let receipt = receipt.json();
    assert_eq!(receipt.member("seq").and_then(Json::as_uint), Some(1));
    let query = Json::object([("type", text("Query")), ("enclave", text(&enclave.hex()))]);
    let answer = node.post("/", &query).json();
    let Some(Json::Array(events)) = answer.member("events") else { panic!("events: {}", answer.to_jcs()) };
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].member("id"), receipt.member("id"));
    assert_eq!(events[1].member("content"), Some(&text("hello")));
    let again = node.commit(&said);
    assert_eq!((again.status, again.code().as_str()), (409, "duplicate"));
    assert_eq!(again.json().member("receipt"), Some(&receipt));
}

#[test]
fn every_spelling_of_a_path_is_the_same_route() {
    let node = Running::start(config());
    let enclave = node.create(&key(0x33), "a").hex();
    let answers = [
        node.get(&format!("/enclaves/{enclave}/info/manifest")),
        node.get(&format!("/enclave/{enclave}/info/manifest")),
        node.get(&format!("/{enclave}/info/manifest")),
        node.get(&format!("/info/manifest?enclave={enclave}")),
    ];
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (200, &answers[0].body));
    }
}

#[test]
fn refusals_have_their_status_code_and_headers() {
    let node = Running::start(config());
    let large = format!("\"{}\"", "x".repeat(3 << 20));
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);
    let rows: &[Row] = &[
        ("/", JSON, b"{", 400, "invalid_json"),
        ("/", JSON, b"{}", 400, "invalid_structure"),
        ("/", &[("content-type", "text/plain")], b"{}", 415, "unsupported_media_type"),
        ("/", JSON, large.as_bytes(), 413, "too_large"),
        ("/nowhere", JSON, b"{}", 404, "invalid_route"),
        ("/sth", JSON, b"{}", 405, "invalid_route"),
        ("/commits", JSON, b"{}", 415, "unsupported_media_type"),
    ];
    for (path, headers, body, status, code) in rows {
        let answer = post(&node.url(path), headers, body);
        assert_eq!((answer.status, answer.code().as_str()), (*status, *code), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(answer.header("allow").is_some(), *status == 405, "{path}");
    }
    let nobody = get(&node.url(&format!("/{}/sth", "ab".repeat(32))));
    assert_eq!((nobody.status, nobody.code().as_str()), (404, "enclave_not_found"));
}

#[test]
fn a_commit_is_told_its_fault() {
    let node = Running::start(config());
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    let old = Draft::new(enclave, "note", &text("x"), 1).sign(&owner);
    let stranger = note(&key(0x44), enclave, "x");
    let foreign = manifest(&owner, &key(0x55).public(), "b", 5_000);
    for (commit, code) in [(&old, "expired"), (&stranger, "unauthorized"), (&foreign, "invalid_manifest")] {
        let answer = node.commit(commit);
        assert_eq!(answer.code(), code);
        assert_eq!(answer.json().member("hash"), None, "who sends one commit knows which it is");
    }
    let mut forged = note(&owner, enclave, "y").into_commit();
    forged.sig = old.commit().sig;
    assert_eq!(node.post("/", &forged.to_json()).code(), "invalid_signature");
}

#[test]
fn a_full_queue_refuses_at_once_and_loses_nothing() {
    let mut narrow = config();
    narrow.engine.queue_kib = 4;
    let node = Running::start(narrow);
    let owner = key(0x33);
    let enclave = node.create(&owner, "a");
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|thread| {
                let (node, owner) = (&node, &owner);
                scope.spawn(move || {
                    let said = |n: usize| note(owner, enclave, &format!("{thread} {n}"));
                    (0..50).map(|n| node.commit(&said(n))).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no thread panics")).collect()
    });
    let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(!refused.is_empty(), "sixteen at a time do not fit into a queue of one");
    for answer in &refused {
        assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let last = node.commit(&note(&owner, enclave, "last")).json();
    assert_eq!(last.member("seq").and_then(Json::as_uint), Some(taken.len() as u64 + 1));
}

#[test]
fn the_two_listeners_have_what_is_theirs() {
    let node = Running::start(config());
    let operators = format!("http://{}", node.server().admin());
    for (path, public, admin) in [
        ("/healthz", 200, 200),
        ("/openapi.json", 200, 200),
        ("/readyz", 404, 200),
        ("/metrics", 404, 200),
        ("/", 200, 200),
    ] {
        assert_eq!(node.get(path).status, public, "{path}");
        assert_eq!(get(&format!("{operators}{path}")).status, admin, "{path}");
    }
}

#[test]
fn a_bundle_that_is_due_closes_by_itself() {
    let node = Running::start(config());
    let owner = key(0x33);
    let manifest = manifest(&owner, &node.sequencer(), "a", 100);
    let enclave = manifest.commit().enclave;
    let mut watch = node.server().host().engine.watches().listen(&enclave);
    assert_eq!(node.commit(&manifest).status, 200);
    node.runtime().block_on(async {
        watch.changed().await;
        // Nobody asks for anything: only the alarm announces this.
        watch.changed().await;
    });
    let info = node.get(&format!("/{}/info/enclave", enclave.hex())).json();
    assert_eq!(info.member("tree_size").and_then(Json::as_uint), Some(1), "{}", info.to_jcs());
}

#[test]
fn a_provisioned_key_sequences_its_enclave() {
    let node = Running::start(config());
    let (owner, sequencer) = (key(0x33), key(0x66));
    let manifest = manifest(&owner, &sequencer.public(), "a", 5_000);
    let enclave = manifest.commit().enclave.hex();
    let body = |secret: &str| {
        Json::object([("enclave_id", text(&enclave)), ("sequencer_priv", text(secret))]).to_jcs().into_bytes()
    };
    let url = node.url(&format!("/enclaves/{enclave}/init-with-priv"));
    let by_browser = post(&url, &[JSON[0], ("origin", "http://evil.example")], &body(&"66".repeat(32)));
    assert_eq!((by_browser.status, by_browser.code().as_str()), (403, "unauthorized"));
    assert_eq!(by_browser.header("access-control-allow-origin"), None);
    let file = node.server().folder().join("keys").join(format!("{enclave}.key"));
    assert!(!file.exists(), "a refused key is not kept");
    for _ in 0..2 {
        let taken = post(&url, JSON, &body(&"66".repeat(32)));
        assert_eq!(taken.status, 200, "{}", taken.text());
        assert_eq!(taken.json().member("sequencer_pubkey"), Some(&text(&sequencer.public().hex())));
    }
    assert!(file.exists());
    assert_eq!(post(&url, JSON, &body(&"67".repeat(32))).code(), "enclave_exists");
    assert_eq!(post(&url, JSON, &body(&"00".repeat(32))).code(), "invalid_structure");
    let receipt = node.commit(&manifest);
    assert_eq!(receipt.status, 200, "{}", receipt.text());
    assert_eq!(receipt.json().member("sequencer"), Some(&text(&sequencer.public().hex())));
}

#[test]
fn the_operator_takes_a_snapshot_and_puts_it_back() {
    let folder = std::env::temp_dir().join(format!("encd-token-{}", std::process::id()));
    std::fs::write(&folder, "a token of some length\n").expect("written");
    let mut with_token = config();
    with_token.admin.token_file = Some(folder.clone());
    let node = Running::start(with_token);
    std::fs::remove_file(&folder).expect("removed");
    let owner = key(0x33);
    let enclave = node.create(&owner, "a").hex();
    assert_eq!(node.get(&format!("/{enclave}/snapshot")).status, 403);
    let token = ("authorization", "Bearer a token of some length");
    let close = post(&node.url(&format!("/{enclave}/close-bundle")), &[JSON[0], token], b"{}");
    assert_eq!(close.status, 200, "{}", close.text());
    let wrong = ("authorization", "Bearer a token of some lengti");
    assert_eq!(post(&node.url(&format!("/{enclave}/close-bundle")), &[JSON[0], wrong], b"{}").status, 403);
    let closed = post(&node.url(&format!("/{enclave}/init-with-priv")), JSON, b"{\"enclave_id\":\"ab\"}");
    assert_ne!(closed.status, 200, "with a token configured the loopback rule is off");
}
