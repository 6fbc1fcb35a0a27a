//! Every statement is within the subset that all hosts share, and finds its rows by an index.

use crate::world::{Ask, Statements, World, id};
use service::Call;
use service::call::{Action, Claim, Restore, TakeUp};
use std::collections::BTreeSet;

/// Everything that a node does, once.
fn everything() -> Statements {
    let world = World::new();
    crate::pushing::everything(&world);
    crate::querying::everything(&world);
    let enclave = world.begin_with(&crate::world::template("group"), &[&["nonce", "sql"]]);
    let hex = enclave.hex();
    let say = |author: &str, event_type: &str, content: &str, tags: &[&[&str]]| {
        world.pass(1).say(&enclave, author, event_type, content, tags).receipt().id.hex()
    };
    say("alice", "Move", r#"{"target":"@bob","to":"MEMBER"}"#, &[]);
    let first = say("bob", "message", r#""hi""#, &[&["k", "v"], &["alone"]]);
    say("bob", "Update", r#""ho""#, &[&["r", &first]]);
    say("alice", "Shared", r#"{"key":"topic","value":1}"#, &[]);
    say("bob", "Own", r#"{"key":"profile","value":1}"#, &[]);
    say("bob", "Own", r#"{"key":"profile","value":null}"#, &[]);
    say("bob", "Delete", "null", &[&["r", &first]]);
    say("bob", "Move", r#"{"target":"@bob","to":"OUTSIDER"}"#, &[]);
    say("alice", "Move", r#"{"target":"@bob","to":"MEMBER"}"#, &[]);
    say("alice", "Move", r#"{"target":"@bob","to":"BLOCKED"}"#, &[]);
    world.post_as(&enclave, "alice", "close-bundle", "").expect(200);
    let last = say("alice", "message", "2", &[]);
    world.pass(5000);
    let gets = [
        "sth",
        "checkpoint",
        "info/manifest",
        "info/enclave",
        "tile/entries/000.p/2",
        "tile/0/000.p/2",
        "consistency?from=1&to=2",
    ];
    for path in gets {
        world.request(&Ask::get(&format!("/{hex}/{path}")).claimed(&world.session("alice"))).expect(200);
    }
    for (path, members) in [
        ("inclusion", format!(r#""event_id":"{last}""#)),
        ("inclusion", r#""leaf_index":0"#.to_owned()),
        ("bundle", format!(r#""event_id":"{last}""#)),
        ("state", format!(r#""namespace":0,"key":"{}""#, id("alice").hex())),
        ("state-batch", r#""items":[]"#.to_owned()),
    ] {
        world.post_as(&enclave, "alice", path, &members).expect(200);
    }
    world.pass(100_000).ask(&enclave, Action::Sth).expect(200);
    let tail = world.tail(&enclave, None);
    say("alice", "message", "3", &[]);
    world.tail(&enclave, tail.as_ref()).expect("the enclave is here");
    world.read(|host, _| service::closings::enclaves(host, &[], 1)).expect("read");
    let snapshot = Call { enclave: Some(enclave), claim: Claim::Admin, action: Action::Snapshot };
    let snapshot = world.call(&snapshot).expect(200).body.clone();
    let provisioned = protocol::EnclaveId([0xee; 32]);
    let init = service::call::InitWithPriv { sequencer: world.hold(&[9; 32], Some(provisioned)), owner: None };
    let init = Call { enclave: Some(provisioned), claim: Claim::Admin, action: Action::InitWithPriv(init) };
    world.call(&init).expect(200);
    let other = World::new();
    other.now.set(world.now.get());
    let restore = Restore { snapshot, manifest: None, sequencer: None, first: TakeUp::No };
    other.call(&Call { enclave: Some(enclave), claim: Claim::Admin, action: Action::Restore(restore) }).expect(200);
    let mut statements = world.statements.take();
    for (sql, most) in other.statements.take() {
        let known = statements.entry(sql).or_default();
        *known = most.max(*known);
    }
    statements
}

/// One blank where there were some.
fn plain(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The string literals of a Rust source, comments left out.
fn literals(source: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), source);
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let tail = &rest[at..];
        if tail.starts_with("//") {
            rest = tail.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(behind) = tail.strip_prefix("'\"'") {
            rest = behind;
        } else if let Some(mut inside) = tail.strip_prefix('"') {
            let mut literal = String::new();
            loop {
                let end = inside.find(['"', '\\']).expect("a literal ends");
                literal.push_str(&inside[..end]);
                if inside[end..].starts_with('"') {
                    rest = &inside[end + 1..];
                    break;
                }
                let escaped = &inside[end + 1..];
                inside = match escaped.chars().next().expect("something escaped") {
                    '\n' => escaped.trim_start(),
                    other => {
                        literal.push(other);
                        &escaped[other.len_utf8()..]
                    }
                };
            }
            found.push(literal);
        } else {
            rest = &tail[1..];
        }
    }
    found
}

#[test]
fn literals_are_found() {
    let source = "const A: &str = \"SELECT 1\"; // \"SELECT 2\"\n let b = '\"'; concat!(\"a\\\"b\", \"x \\\n   y\")";
    assert_eq!(literals(source), ["SELECT 1", "a\"b", "x y"]);
}

/// Statements that stand in the sources: those that begin as one, and the ends that a macro puts behind the columns of an event.
fn written() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut whole, mut ends) = (BTreeSet::new(), BTreeSet::new());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        // What a mistake does is no statement of a node; nor is what an operator's command does with a whole store while no node runs (those run in
        // the tests of `encd check`, `gc` and `resume-after-loss`).
        if ["defects.rs", "check.rs", "recover.rs"].iter().any(|name| path.ends_with(name)) {
            continue;
        }
        let source = std::fs::read_to_string(path).expect("a source");
        for literal in literals(&source) {
            let verb = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "REPLACE ", "WITH "];
            if literal.starts_with("WHERE ") {
                ends.insert(plain(&literal));
            } else if verb.iter().any(|verb| literal.starts_with(verb)) && !literal.ends_with(", ") {
                whole.insert(plain(&literal));
            }
        }
    }
    (whole, ends)
}

#[test]
fn every_statement_has_run() {
    let ran: BTreeSet<String> = everything().keys().map(|sql| plain(sql)).collect();
    let (whole, ends) = written();
    assert!(whole.len() > 40 && ends.len() > 4, "{} and {} statements in the sources", whole.len(), ends.len());
    let missing: Vec<&String> = whole.iter().filter(|sql| !ran.contains(*sql)).collect();
    assert!(missing.is_empty(), "in the sources, but not run by this test: {missing:#?}");
    let missing: Vec<&String> = ends.iter().filter(|end| !ran.iter().any(|sql| sql.ends_with(*end))).collect();
    assert!(missing.is_empty(), "in the sources, but not run by this test: {missing:#?}");
    let unknown: Vec<&String> =
        ran.iter().filter(|sql| !whole.contains(*sql) && !ends.iter().any(|end| sql.ends_with(end))).collect();
    assert!(unknown.is_empty(), "run, but not found in the sources: {unknown:#?}");
}

#[test]
fn within_the_subset() {
    const REFUSED: [&str; 14] = [
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT",
        "RELEASE",
        "TEMP",
        "TEMPORARY",
        "PRAGMA",
        "ATTACH",
        "VACUUM",
        "LIKE",
        "GLOB",
        "RANDOM",
        "DATETIME",
    ];
    let ran = everything();
    let made = service::node::schema().into_iter().map(|sql| (sql, 0));
    for (sql, most) in ran.into_iter().chain(made) {
        let words: Vec<String> =
            sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_uppercase).collect();
        for word in REFUSED {
            assert!(!words.iter().any(|known| known == word), "{word} in {sql}");
        }
        assert!(most <= 100, "{most} parameters in {sql}");
        assert!(!sql.contains(';'), "two statements in {sql}");
        assert!(sql.len() < 100 << 10);
        let highest = (1..=100).rev().find(|n| sql.contains(&format!("?{n}"))).unwrap_or(0);
        assert_eq!(most, highest, "every parameter is bound in {sql}");
    }
}

/// Each is prepared on a fresh schema, and none reads a table from end to end.
#[test]
fn by_an_index() {
    let ran = everything();
    let fresh = World::new();
    for sql in ran.keys() {
        let mut plan =
            fresh.db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let mut rows = plan.raw_query();
        while let Some(row) = rows.next().expect("a plan") {
            let step: String = row.get(3).expect("a detail");
            assert!(!step.starts_with("SCAN"), "{step}\nin {sql}");
            // Endpoints are at most a thousand an enclave; everything else comes out of its index in order.
            assert!(!step.contains("TEMP B-TREE") || sql.contains("FROM push_endpoints"), "{step}\nin {sql}");
            if step.starts_with("SEARCH") {
                let by = step.split_once('(').map_or("", |(_, by)| by);
                let narrow = by.matches("=?").count();
                let single = ["id=?", "rowid=?", "hash=?", "queue_key=?"].iter().any(|key| by.contains(key));
                assert!(single || narrow >= wanted(sql), "only {by} of what is given in {sql}");
            }
        }
    }
}

/// How many keys a statement gives by equality.
fn wanted(sql: &str) -> usize {
    let Some((_, conditions)) = plain(sql).split_once(" WHERE ").map(|(a, b)| (a.to_owned(), b.to_owned())) else {
        return 0;
    };
    let end = conditions.find(" ORDER BY").unwrap_or(conditions.len());
    let by = conditions[..end].split(" AND ");
    // An enclave has three rows of node_state at most: a walk over all enclaves passes over the others.
    let free = ["delivered_at = 0", "type = 'Update'", "key = 'record'"];
    by.filter(|term| term.contains(" = ") && !free.contains(term)).count()
}
